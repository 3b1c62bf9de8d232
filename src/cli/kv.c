/* src/cli/kv.c */
#include "cli/kv.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/invoke.h"
#include "cli/report.h"
#include "cli/service.h"
#include "host/host.h"

enum { KV_HEADER_BYTES = 64, KV_PAGE_KEYS = 1000 };

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

static void print_value(const struct command_line *line, const struct buffer *value)
{
    if (command_has(line, "json")) {
        json_t *text = json_stringn((const char *)value->bytes, value->length);
        json_t *result = json_pack("{s:s, s:o}", "key", line->arguments[0], "value",
                                   text == NULL ? json_null() : text);
        json_dumpf(result, stdout, JSON_COMPACT | JSON_SORT_KEYS);
        putchar('\n');
        json_decref(result);
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
            }
            result = COMMAND_OK;
        }
    }
    client_response_release(&response);
    service_release(&service);
    return result;
}

static int run_get(const struct command_line *line)
{
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
    .options = options,
    .option_count = 1,
    .status = "0 printed, 1 there is no such key, 2 wrong usage, 3 could not ask",
    .example = "paranoid kv get greeting",
    .run = run_get,
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
