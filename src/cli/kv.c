/* src/cli/kv.c */
#include "cli/kv.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "cli/inspect_internal.h"
#include "cli/invoke.h"
#include "cli/past.h"
#include "cli/report.h"
#include "cli/service.h"
#include "host/host.h"

enum {
    KV_HEADER_BYTES = 64,
    KV_PAGE_KEYS = 1000,
    KV_SHOWN_BYTES = 60,  // of a value, in a table
    KV_SHORT_BYTES = 4,   // of a writer's id there
};

static const struct command_option options[] = {
    {.name = "worker",
     .value = "I",
     .text = "ask worker I, from 0 (default: any)",
     .is_number = true,
     .maximum = HOST_WORKER_COUNT_MAX - 1},
    {.name = "ttl-ms",
     .value = "N",
     .text = "the key goes away after N ms (default: never)",
     .is_number = true,
     .minimum = 1,
     .maximum = UINT64_C(315360000000)},
};

static const struct command_option past_options[] = {
    {.name = "from",
     .value = "DIR",
     .text = "read the segments in DIR, a store's directory (default: the app's)"},
    {.name = "epoch",
     .value = "E",
     .text = "offline, from the capsule: what it was as of SYNC E",
     .is_number = true,
     .minimum = 1,
     .maximum = INT64_MAX},
    {.name = "worker",
     .value = "I",
     .text = "ask worker I, from 0 (default: any)",
     .is_number = true,
     .maximum = HOST_WORKER_COUNT_MAX - 1},
};
enum { HISTORY_OPTIONS = 1, GET_OPTIONS = 3 };

static const struct command_option list_options[] = {
    {.name = "worker",
     .value = "I",
     .text = "ask worker I, from 0 (default: any)",
     .is_number = true,
     .maximum = HOST_WORKER_COUNT_MAX - 1},
    {.name = "limit",
     .letter = 'n',
     .value = "N",
     .text = "at most N keys (default: all)",
     .is_number = true,
     .minimum = 1,
     .maximum = UINT32_MAX},
};

/* The one request about a key. */
static enum status ask_key(const struct service *service, const struct command_line *line,
                           const char *method, const char *headers, struct bytes body,
                           struct client_response *response)
{
    struct buffer target = BUFFER_EMPTY;
    *response = (struct client_response){.status = 0};
    enum status status = buffer_append(&target, "/kv/", 4);
    if (status == STATUS_OK) {
        status = service_encode(&target, bytes_text(line->arguments[0]));
    }
    if (status == STATUS_OK) {
        status = buffer_append(&target, "", 1);
    }
    if (status == STATUS_OK) {
        const struct client_request request = {
            .method = method,
            .target = (const char *)target.bytes,
            .headers = headers,
            .body = body,
        };
        status = service_ask_once(service, service_worker_of(line), &request, response);
    }
    buffer_release(&target);
    return status;
}

static void print_json(json_t *value)
{
    json_dumpf(value, stdout, JSON_COMPACT | JSON_SORT_KEYS);
    putchar('\n');
    json_decref(value);
}

static void print_value(const struct command_line *line, const struct buffer *value)
{
    if (command_has(line, "json")) {
        json_t *text = json_stringn((const char *)value->bytes, value->length);
        print_json(json_pack("{s:s, s:o}", "key", line->arguments[0], "value",
                             text == NULL ? json_null() : text));
    } else {
        fwrite(value->bytes, 1, value->length, stdout);
    }
}

static int run_key(const struct command_line *line, const char *method, const char *what,
                   const char *headers, struct bytes body)
{
    int result = COMMAND_COULD_NOT;
    struct service service;
    struct client_response response = {.status = 0};
    if (service_open(&service, line) == STATUS_OK &&
        ask_key(&service, line, method, headers, body, &response) == STATUS_OK) {
        if (response.status >= 400) {
            service_report(&response, what, line->arguments[0]);
            result = COMMAND_NO;
        } else {
            if (strcmp(method, "GET") == 0) {
                print_value(line, &response.body);
            } else if (command_has(line, "json")) {
                print_json(json_pack("{s:s, s:b}", "key", line->arguments[0],
                                     strcmp(method, "PUT") == 0 ? "put" : "deleted", true));
            }
            result = COMMAND_OK;
        }
    }
    client_response_release(&response);
    service_release(&service);
    return result;
}

/* ---- the past, offline ---- */

static const char *const state_texts[] = {
    [PAST_COUNTS] = "counts", [PAST_UNDECIDED] = "undecided", [PAST_VOID] = "void"};

/* Everything that the capsule says about the key. False: said why not. */
static bool recall(struct inspection *it, struct past *past, const struct command_line *line,
                   int *result)
{
    *result = COMMAND_COULD_NOT;
    if (inspect_open(it, line, command_text(line, "from", NULL)) != STATUS_OK ||
        (it->app.directory[0] == '\0' && app_open(&it->app, line) != STATUS_OK) ||
        app_seed(&it->app, &it->seed) != STATUS_OK) {
        return false;
    }
    it->visitor = &past->visitor;
    enum status status = inspect_survey(it);
    if (status != STATUS_OK) {
        *result = inspect_refuse(it, status);
        return false;
    }
    past_settle(past);
    return true;
}

static json_t *version_json(const struct past_version *version)
{
    char writer[WRITER_ID_TEXT_BYTES];
    writer_id_text(&version->writer, writer);
    json_t *value = version->is_delete
                        ? json_null()
                        : json_stringn((const char *)version->value.bytes, version->value.length);
    return json_pack(
        "{s:o, s:I, s:s, s:I, s:o, s:s, s:I, s:o, s:o}", "epoch",
        version->epoch == 0 ? json_null() : json_integer((json_int_t)version->epoch), "lamport",
        (json_int_t)version->lamport, "writer", writer, "sequence", (json_int_t)version->sequence,
        "state", json_string(state_texts[version->state]), "kind",
        version->is_delete ? "delete" : "put", "bytes", (json_int_t)version->value.length,
        "expiry_ms",
        version->expiry_ms == 0 ? json_null() : json_integer((json_int_t)version->expiry_ms),
        "value", value == NULL ? json_null() : value);  // no UTF-8: null
}

/* The beginning of a value, as a JSON string, so that it cannot steer a terminal. */
static void print_beginning(const struct buffer *value)
{
    size_t length = value->length < KV_SHOWN_BYTES ? value->length : KV_SHOWN_BYTES;
    json_t *text = NULL;
    // A cut through a character takes the character away.
    for (size_t cut = 0; text == NULL && cut <= length && cut < 4; cut++) {
        text = json_stringn((const char *)value->bytes, length - cut);
    }
    if (text == NULL) {
        printf("(no text)");
    } else {
        json_dumpf(text, stdout, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    }
    printf("%s", length < value->length ? "..." : "");
    json_decref(text);
}

static void print_version(const struct past_version *version)
{
    char writer[2 * KV_SHORT_BYTES + 1], epoch[24] = "-";
    hex_encode(writer, version->writer.bytes, KV_SHORT_BYTES);
    if (version->epoch != 0) {
        snprintf(epoch, sizeof epoch, "%" PRIu64, version->epoch);
    }
    printf("%6s %9" PRIu64 "  %s %8" PRIu64 "  %-9s %8zu  ", epoch, version->lamport, writer,
           version->sequence, state_texts[version->state], version->value.length);
    if (version->is_delete) {
        printf("deleted");
    } else {
        print_beginning(&version->value);
    }
    putchar('\n');
}

static void print_history(const struct past *past, uint64_t pruned_count)
{
    printf("%6s %9s  %-8s %8s  %-9s %8s  %s\n", "EPOCH", "LAMPORT", "WRITER", "RECORD", "STATE",
           "BYTES", "VALUE");
    for (size_t i = past->version_count; i > 0; i--) {
        print_version(&past->versions[i - 1]);
    }
    if (pruned_count > 0) {
        report_note("%" PRIu64 " bodies were pruned: older versions may be missing", pruned_count);
    }
}

static int run_history(const struct command_line *line)
{
    int result;
    struct inspection it = {.target = NULL};
    struct past past;
    past_init(&past, bytes_text(line->arguments[0]));
    if (recall(&it, &past, line, &result)) {
        result = past.version_count > 0 ? COMMAND_OK : COMMAND_NO;
        if (command_has(line, "json")) {
            json_t *versions = json_array();
            for (size_t i = past.version_count; i > 0; i--) {
                json_array_append_new(versions, version_json(&past.versions[i - 1]));
            }
            print_json(json_pack("{s:s, s:o, s:I}", "key", line->arguments[0], "versions", versions,
                                 "pruned", (json_int_t)it.survey.pruned_count));
        } else if (past.version_count > 0) {
            print_history(&past, it.survey.pruned_count);
        } else {
            report_error("no version of '%s' is in the capsule%s", line->arguments[0],
                         it.survey.pruned_count > 0 ? ", whose older bodies were pruned" : "");
        }
    }
    past_release(&past);
    inspect_close(&it);
    return result;
}

static int print_as_of(const struct past *past, const struct inspection *it,
                       const struct command_line *line)
{
    const struct past_version *version;
    const char *key = line->arguments[0];
    uint64_t epoch = command_number(line, "epoch", 0);
    enum status status = past_at(past, epoch, &version);
    if (status == STATUS_EMPTY) {
        report_error("cannot get '%s' as of epoch %" PRIu64
                     ": there is no such SYNC; the capsule has epochs to %" PRIu64,
                     key, epoch,
                     past->sync_count == 0 ? 0 : past->syncs[past->sync_count - 1].epoch);
        return COMMAND_NO;
    }
    if (it->survey.pruned_count > 0 && !past_is_certain(past, version)) {
        report_error("cannot get '%s' as of epoch %" PRIu64 ": %" PRIu64
                     " bodies were pruned, and it may be among them",
                     key, epoch, it->survey.pruned_count);
        return COMMAND_NO;
    }
    if (status != STATUS_OK) {
        report_error("cannot get '%s' as of epoch %" PRIu64 ": %s", key, epoch,
                     version == NULL      ? "there was no such key"
                     : version->is_delete ? "it was deleted"
                                          : "it had expired");
        return COMMAND_NO;
    }
    if (command_has(line, "json")) {
        json_t *object = version_json(version);
        json_object_set_new(object, "key", json_string(key));
        print_json(object);
    } else {
        fwrite(version->value.bytes, 1, version->value.length, stdout);
    }
    return COMMAND_OK;
}

static int run_get_as_of(const struct command_line *line)
{
    int result;
    struct inspection it = {.target = NULL};
    struct past past;
    past_init(&past, bytes_text(line->arguments[0]));
    if (recall(&it, &past, line, &result)) {
        result = print_as_of(&past, &it, line);
    }
    past_release(&past);
    inspect_close(&it);
    return result;
}

static int run_get(const struct command_line *line)
{
    if (command_has(line, "epoch")) {
        return run_get_as_of(line);
    }
    return run_key(line, "GET", "get", "", bytes_of(NULL, 0));
}

static int run_delete(const struct command_line *line)
{
    return run_key(line, "DELETE", "delete", "", bytes_of(NULL, 0));
}

static int run_put(const struct command_line *line)
{
    int result = COMMAND_COULD_NOT;
    char header[KV_HEADER_BYTES] = "";
    struct buffer value = BUFFER_EMPTY;
    if (command_has(line, "ttl-ms")) {
        snprintf(header, sizeof header, "X-Paranoid-Ttl-Ms: %" PRIu64 "\r\n",
                 command_number(line, "ttl-ms", 0));
    }
    if (invoke_data(line->arguments[1], &value) == STATUS_OK) {
        result = run_key(line, "PUT", "put", header, buffer_bytes(&value));
    }
    buffer_release(&value);
    return result;
}

/* ---- list ---- */

static enum status page_target(struct buffer *target, const char *prefix, const char *cursor,
                               uint64_t limit)
{
    char text[64];
    snprintf(text, sizeof text, "/kv?limit=%" PRIu64 "&prefix=", limit);
    enum status status = buffer_append(target, text, strlen(text));
    if (status == STATUS_OK) {
        status = service_encode(target, bytes_text(prefix));
    }
    if (status == STATUS_OK && cursor != NULL) {
        status = buffer_append(target, "&cursor=", 8);
        if (status == STATUS_OK) {
            status = service_encode(target, bytes_text(cursor));
        }
    }
    return status == STATUS_OK ? buffer_append(target, "", 1) : status;
}

/* One page; NULL: said why not. */
static json_t *fetch_page(const struct service *service, struct client *client, const char *prefix,
                          const char *cursor, uint64_t limit, int *result)
{
    struct client_response response = {.status = 0};
    struct buffer target = BUFFER_EMPTY;
    json_t *page = NULL;
    *result = COMMAND_COULD_NOT;
    enum status status =
        page_target(&target, prefix, cursor, limit < KV_PAGE_KEYS ? limit : KV_PAGE_KEYS);
    if (status == STATUS_OK) {
        const struct client_request request = {
            .method = "GET", .target = (const char *)target.bytes, .headers = ""};
        status = service_ask(service, client, &request, &response);
    }
    if (status == STATUS_OK && response.status >= 400) {
        service_report(&response, "list", prefix);
        *result = COMMAND_NO;
    } else if (status == STATUS_OK) {
        page = json_loadb((const char *)response.body.bytes, response.body.length, JSON_ALLOW_NUL,
                          NULL);
        if (!json_is_array(json_object_get(page, "keys"))) {
            report_error("cannot list '%s': the worker's answer is no list", prefix);
            json_decref(page);
            page = NULL;
        }
    }
    buffer_release(&target);
    client_response_release(&response);
    return page;
}

static int run_list(const struct command_line *line)
{
    int result = COMMAND_COULD_NOT;
    struct service service;
    struct client *client = NULL;
    const char *prefix = command_argument(line, 0, "");
    json_t *keys = json_array(), *page = NULL, *previous = NULL;
    if (service_open(&service, line) != STATUS_OK ||
        service_connect(&service, service_worker_of(line), &client) != STATUS_OK) {
        goto done;
    }
    const char *cursor = NULL;
    uint64_t left = command_number(line, "limit", UINT64_MAX);
    do {
        page = fetch_page(&service, client, prefix, cursor, left, &result);
        json_decref(previous);
        previous = page;
        if (page == NULL) {
            goto done;
        }
        json_array_extend(keys, json_object_get(page, "keys"));
        left -= json_array_size(json_object_get(page, "keys"));
        cursor = json_string_value(json_object_get(page, "cursor"));
    } while (cursor != NULL && left > 0);
    result = COMMAND_OK;
    if (command_has(line, "json")) {
        json_dumpf(keys, stdout, JSON_COMPACT);
        putchar('\n');
    } else {
        size_t index;
        json_t *key;
        json_array_foreach(keys, index, key)
        {
            printf("%s\n", json_string_value(key));
        }
    }

done:
    json_decref(previous);
    json_decref(keys);
    client_close(client);
    service_release(&service);
    return result;
}

const struct command kv_get_command = {
    .name = "kv get",
    .arguments = "KEY",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Print the value of a key.",
    .about =
        "A worker is asked; with --epoch the capsule is read instead, offline, with the owner's\n"
        "keys.",
    .options = past_options,
    .option_count = GET_OPTIONS,
    .status = "0 printed, 1 there is no such key, 2 wrong usage, 3 could not ask",
    .example = "paranoid kv get greeting --epoch 7",
    .run = run_get,
};

const struct command kv_history_command = {
    .name = "kv history",
    .arguments = "KEY",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "List every version of a key that the capsule holds, newest first, offline.",
    .about =
        "The capsule is verified, and opened with the owner's keys. EPOCH is that of the SYNC\n"
        "from which the version counts: '-' while none covers it. STATE is 'counts';\n"
        "'undecided' or 'void' for what was written under a lock that is still held, or was\n"
        "lost. The first line that counts is the version in force.",
    .options = past_options,
    .option_count = HISTORY_OPTIONS,
    .status = "0 listed, 1 there is none, 2 wrong usage, 3 could not be read",
    .example = "paranoid kv history greeting",
    .run = run_history,
};

const struct command kv_put_command = {
    .name = "kv put",
    .arguments = "KEY VALUE | @FILE | -",
    .argument_min = 2,
    .argument_max = 2,
    .summary = "Set a key; done when the value is durable.",
    .options = options,
    .option_count = 2,
    .status = "0 durable, 1 refused, 2 wrong usage, 3 could not ask",
    .example = "paranoid kv put greeting hello",
    .run = run_put,
};

const struct command kv_delete_command = {
    .name = "kv delete",
    .arguments = "KEY",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Take a key away.",
    .options = options,
    .option_count = 1,
    .status = "0 gone, 1 refused, 2 wrong usage, 3 could not ask",
    .example = "paranoid kv delete greeting",
    .run = run_delete,
};

const struct command kv_list_command = {
    .name = "kv list",
    .arguments = "[PREFIX]",
    .argument_max = 1,
    .summary = "List the keys, or those that begin with PREFIX, in order.",
    .options = list_options,
    .option_count = 2,
    .status = "0 listed, 1 refused, 2 wrong usage, 3 could not ask",
    .example = "paranoid kv list user/",
    .run = run_list,
};
