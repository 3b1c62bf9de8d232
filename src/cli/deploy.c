/* src/cli/deploy.c */
#include "cli/deploy.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "capsule/function.h"
#include "cli/app.h"
#include "cli/order.h"
#include "cli/report.h"
#include "wire/message.h"

#define DEPLOY_VERSION "owner/function.version"

enum {
    DEPLOY_WAIT_MS = 15 * 1000,
    DEPLOY_TIME_MS = 5 * 1000,
    DEPLOY_MEMORY_BYTES = 64 << 20,
    DEPLOY_RESPONSE_BYTES = 1 << 20,
};

/* Above all versions before, on this machine and (as far as clocks go) on others of the owner's. */
static enum status next_version(const struct app *app, uint64_t *version)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    uint64_t last;
    enum status status = app_number(app, DEPLOY_VERSION, &last);
    *version = now_ms > last ? now_ms : last + 1;
    return status == STATUS_OK ? app_raise(app, DEPLOY_VERSION, *version) : status;
}

bool deploy_is_text(struct bytes code)
{
    json_t *text = json_stringn((const char *)code.at, code.length);
    bool is_text = text != NULL && code.length > 0;
    json_decref(text);
    return is_text;
}

static int give_function(const struct app *app, const struct sign_key *owner,
                         const struct function_manifest *manifest, struct bytes function)
{
    char what[FUNCTION_NAME_BYTES_MAX + 32];
    struct buffer plain = BUFFER_EMPTY;
    const struct message_deploy deploy = {.request = ORDER_REQUEST, .function = function};
    enum status status = message_deploy_encode(&plain, &deploy);
    CHECK(status == STATUS_OK);  // its size was checked when it was read
    bool is_secret = manifest->runtime == FUNCTION_SECRET;
    const char *verb = is_secret ? "set" : "deploy";
    snprintf(what, sizeof what, "%s %s'%s'", manifest->is_removed ? "remove" : verb,
             is_secret ? "secret " : "",
             manifest->name + (is_secret ? strlen(FUNCTION_SECRET_PREFIX) : 0));
    int result = order_give(app, owner, what, buffer_bytes(&plain), DEPLOY_WAIT_MS);
    buffer_release(&plain);
    return result;
}

int deploy_publish(const struct command_line *line, struct function_manifest *manifest,
                   struct bytes code)
{
    int result = COMMAND_COULD_NOT;
    struct app app;
    struct sign_key *owner = NULL;
    struct buffer body = BUFFER_EMPTY;
    if (app_open(&app, line) != STATUS_OK || app_key(&app, APP_OWNER_KEY, &owner) != STATUS_OK ||
        next_version(&app, &manifest->version) != STATUS_OK) {
        goto done;
    }
    enum status status = function_encode(&body, manifest, code, &app.genesis.capsule, owner);
    if (status != STATUS_OK) {
        report_error("cannot deploy '%s': its manifest: %s", manifest->name, status_text(status));
        goto done;
    }
    result = give_function(&app, owner, manifest, buffer_bytes(&body));
    if (result == COMMAND_OK && command_has(line, "json")) {
        printf("{\"name\":\"%s\",\"removed\":%s,\"version\":%" PRIu64 "}\n", manifest->name,
               manifest->is_removed ? "true" : "false", manifest->version);
    } else if (result == COMMAND_OK) {
        const char *done = manifest->runtime == FUNCTION_SECRET ? "set" : "deployed";
        printf("%s %s, version %" PRIu64 "\n", manifest->is_removed ? "removed" : done,
               manifest->name, manifest->version);
    }

done:
    buffer_release(&body);
    sign_key_free(owner);
    app_release(&app);
    return result;
}

/* The name that the file's own gives: wordcount.js is wordcount. */
static bool name_of(const struct command_line *line, const char *path,
                    char name[FUNCTION_NAME_BYTES_MAX + 1])
{
    const char *slash = strrchr(path, '/');
    const char *base = slash == NULL ? path : slash + 1;
    const char *given = command_text(line, "name", base);
    size_t length = given == base ? strcspn(base, ".") : strlen(given);
    if (!function_name_is_valid(bytes_of(given, length))) {
        report_error(
            "cannot deploy '%.*s': a name has 1 to 64 letters, digits, '-' and '_'; give "
            "one with --name",
            (int)length, given);
        return false;
    }
    snprintf(name, FUNCTION_NAME_BYTES_MAX + 1, "%.*s", (int)length, given);
    return true;
}

static bool runtime_of(const char *path)
{
    const char *end = strrchr(path, '.');
    if (end != NULL && strcmp(end, ".js") == 0) {
        return true;
    }
    report_error("cannot deploy '%s': %s", path,
                 end != NULL && strcmp(end, ".wasm") == 0
                     ? "this version runs no WebAssembly; deploy JavaScript (.js)"
                     : "a function is a .js file");
    return false;
}

static int run(const struct command_line *line)
{
    int result = COMMAND_COULD_NOT;
    const char *path = line->arguments[0];
    struct buffer code = BUFFER_EMPTY;
    struct function_manifest manifest = {
        .runtime = FUNCTION_JS,
        .access = command_has(line, "public") ? FUNCTION_PUBLIC : FUNCTION_TOKEN,
        .durability = command_has(line, "async") ? FUNCTION_ASYNC : FUNCTION_RECEIPT,
        .time_ms = command_number(line, "time-ms", DEPLOY_TIME_MS),
        .memory_bytes = command_number(line, "memory-bytes", DEPLOY_MEMORY_BYTES),
        .response_bytes = command_number(line, "response-bytes", DEPLOY_RESPONSE_BYTES),
    };
    if (!runtime_of(path) || !name_of(line, path, manifest.name)) {
        return COMMAND_USAGE;
    }
    const char *prefix;
    while ((prefix = command_each(line, "prefix", manifest.prefix_count)) != NULL) {
        if (manifest.prefix_count == FUNCTION_PREFIXES_MAX) {
            report_error("cannot deploy '%s': at most %d prefixes", path, FUNCTION_PREFIXES_MAX);
            function_manifest_release(&manifest);
            return COMMAND_USAGE;
        }
        manifest.prefixes[manifest.prefix_count] = strdup(prefix);
        CHECK(manifest.prefixes[manifest.prefix_count] != NULL);
        manifest.prefix_count++;
    }
    enum status status = file_read(&code, path, FUNCTION_CODE_BYTES_MAX);
    if (status != STATUS_OK) {
        report_error("cannot read '%s': %s", path, file_reason(status));
    } else if (!deploy_is_text(buffer_bytes(&code))) {
        report_error("cannot deploy '%s': it is %s; a function is JavaScript in UTF-8", path,
                     code.length == 0 ? "empty" : "no text");
    } else {
        result = deploy_publish(line, &manifest, buffer_bytes(&code));
    }
    buffer_release(&code);
    function_manifest_release(&manifest);
    return result;
}

static int run_remove(const struct command_line *line)
{
    const char *name = line->arguments[0];
    struct function_manifest manifest = {
        .is_removed = true,
        .time_ms = DEPLOY_TIME_MS,
        .memory_bytes = DEPLOY_MEMORY_BYTES,
        .response_bytes = DEPLOY_RESPONSE_BYTES,
    };
    if (!function_name_is_valid(bytes_text(name))) {
        report_error("cannot remove '%s': a name has 1 to 64 letters, digits, '-' and '_'", name);
        return COMMAND_USAGE;
    }
    snprintf(manifest.name, sizeof manifest.name, "%s", name);
    return deploy_publish(line, &manifest, bytes_of(NULL, 0));
}

static const struct command_option options[] = {
    {.name = "name", .value = "NAME", .text = "what it is called (default: the file's name)"},
    {.name = "public", .text = "anyone may call it (default: who has the token)"},
    {.name = "async", .text = "answer before its writes are durable"},
    {.name = "time-ms",
     .value = "N",
     .text = "wall time of a call, ms (default: 5000)",
     .is_number = true,
     .minimum = 1,
     .maximum = 600000},
    {.name = "memory-bytes",
     .value = "N",
     .text = "memory of a call, bytes (default: 64 MiB)",
     .is_number = true,
     .minimum = 1 << 20,
     .maximum = UINT64_C(1) << 32},
    {.name = "response-bytes",
     .value = "N",
     .text = "its response, bytes (default: 1 MiB)",
     .is_number = true,
     .minimum = 1,
     .maximum = 64 << 20},
    {.name = "prefix", .value = "P", .text = "it may touch keys that begin with P (default: all)"},
};

const struct command deploy_command = {
    .name = "deploy",
    .arguments = "FILE",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Sign a function and publish it: every worker runs it from now on.",
    .about =
        "FILE is JavaScript (.js) that sets exports.handler. --prefix may be given several times.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .status = "0 published, 1 the leader refuses it or is refused, 2 wrong usage, 3 could not",
    .example = "paranoid deploy examples/counter/counter.js --public",
    .run = run,
};

const struct command deploy_remove_command = {
    .name = "undeploy",
    .arguments = "NAME",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Take a function away from all workers.",
    .status = "0 removed, 1 the leader refuses that or is refused, 2 wrong usage, 3 could not",
    .example = "paranoid undeploy counter",
    .run = run_remove,
};
