/* src/cli/deploy.c */
#include "cli/deploy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "capsule/function.h"
#include "cli/app.h"
#include "cli/known.h"
#include "cli/post.h"
#include "cli/report.h"
#include "cli/session.h"

#define DEPLOY_VERSION "owner/function.version"

enum {
    DEPLOY_REQUEST = 1,
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

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What passes between here and the leader. */
struct exchange {
    struct post post;
    struct session session;
    struct bytes function;
    int64_t due_ms;
};

static enum status send_function(struct exchange *exchange, struct buffer *frame)
{
    struct buffer plain = BUFFER_EMPTY;
    const struct message_deploy deploy = {
        .request = DEPLOY_REQUEST,
        .function = exchange->function,
    };
    enum status status = message_deploy_encode(&plain, &deploy);
    if (status == STATUS_OK) {
        status = session_seal(&exchange->session, buffer_bytes(&plain), frame);
    }
    buffer_release(&plain);
    return status;
}

/* One frame from the host. STATUS_OK: `answer` is the leader's. STATUS_EMPTY: go on. */
static enum status take_frame(struct exchange *exchange, const struct frame *frame,
                              struct message_answer *answer)
{
    struct buffer reply = BUFFER_EMPTY;
    bool was_trusted = exchange->session.state == SESSION_TRUSTED;
    enum status status =
        session_receive(&exchange->session, frame, (uint64_t)time(NULL), &reply, answer);
    if (status == STATUS_OK && !was_trusted) {
        status = send_function(exchange, &reply);
        status = status == STATUS_OK ? STATUS_EMPTY : status;
    } else if (status == STATUS_OK && answer->request != DEPLOY_REQUEST) {
        status = STATUS_EMPTY;
    }
    if (reply.length > 0) {
        enum status sent = post_send(&exchange->post, buffer_bytes(&reply));
        status = sent == STATUS_OK ? status : sent;
    }
    buffer_release(&reply);
    return status;
}

static enum status await_answer(struct exchange *exchange, struct message_answer *answer)
{
    while (true) {
        struct frame frame;
        int64_t left_ms = exchange->due_ms - now_ms();
        enum status status =
            left_ms <= 0 ? STATUS_TIMEOUT : post_receive(&exchange->post, &frame, (int)left_ms);
        if (status == STATUS_OK) {
            status = take_frame(exchange, &frame, answer);
        } else if (status == STATUS_TIMEOUT && left_ms > 0) {
            status = STATUS_EMPTY;
        }
        if (status != STATUS_EMPTY) {
            return status;
        }
    }
}

static int report_failure(const struct exchange *exchange, const char *name, enum status status)
{
    if (status == STATUS_DENIED) {
        report_error("cannot deploy '%s': refusing the leader: %s", name, exchange->session.reason);
        return COMMAND_NO;
    }
    report_error("cannot deploy '%s': %s", name,
                 status == STATUS_NOT_FOUND ? "no leader is up; try again in a moment"
                 : status == STATUS_TIMEOUT ? "the leader does not answer; see 'paranoid status'"
                 : status == STATUS_CLOSED  ? "the host has ended; start it with 'paranoid up'"
                                            : status_text(status));
    return COMMAND_COULD_NOT;
}

static int exchange_function(const struct app *app, const struct sign_key *owner,
                             const struct function_manifest *manifest, struct bytes function)
{
    int result = COMMAND_COULD_NOT;
    const struct random random = random_kernel();
    struct exchange exchange = {.function = function, .due_ms = now_ms() + DEPLOY_WAIT_MS};
    struct policy *policy = malloc(sizeof *policy);
    struct buffer frame = BUFFER_EMPTY;
    struct message_answer answer;
    struct known known = KNOWN_NONE;
    CHECK(policy != NULL);
    const struct session_config config = {
        .genesis = &app->genesis, .owner = owner, .policy = policy, .random = &random};
    session_init(&exchange.session, &config);
    enum status status = post_open(&exchange.post, app);
    if (status != STATUS_OK) {
        report_error(
            "cannot deploy '%s': the app does not run; start it with 'paranoid up --app "
            "%s'",
            manifest->name, app->directory);
        goto done;
    }
    if (app_policy(app, policy) != STATUS_OK) {
        goto done;
    }
    status = session_call(&exchange.session, &frame);
    if (status == STATUS_OK) {
        status = post_send(&exchange.post, buffer_bytes(&frame));
    }
    if (status == STATUS_OK) {
        status = await_answer(&exchange, &answer);
    }
    if (status != STATUS_OK) {
        result = report_failure(&exchange, manifest->name, status);
        goto done;
    }
    if (known_load(&known, app) != STATUS_OK || known_take(&known, app, &answer) != STATUS_OK) {
        goto done;
    }
    result = COMMAND_OK;
    if (answer.status != STATUS_OK) {
        report_error("cannot deploy '%s': %.*s (%s)", manifest->name, (int)answer.text.length,
                     (const char *)answer.text.at, status_text((enum status)answer.status));
        result = COMMAND_NO;
    }

done:
    known_release(&known);
    post_close(&exchange.post);
    session_release(&exchange.session);
    buffer_release(&frame);
    free(policy);
    return result;
}

static int publish(const struct command_line *line, struct function_manifest *manifest,
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
        report_error("cannot deploy '%s': its manifest is %s", manifest->name, status_text(status));
        goto done;
    }
    result = exchange_function(&app, owner, manifest, buffer_bytes(&body));
    if (result == COMMAND_OK && command_has(line, "json")) {
        printf("{\"name\":\"%s\",\"removed\":%s,\"version\":%" PRIu64 "}\n", manifest->name,
               manifest->is_removed ? "true" : "false", manifest->version);
    } else if (result == COMMAND_OK) {
        printf("%s %s, version %" PRIu64 "\n", manifest->is_removed ? "removed" : "deployed",
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
    } else {
        result = publish(line, &manifest, buffer_bytes(&code));
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
    return publish(line, &manifest, bytes_of(NULL, 0));
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
