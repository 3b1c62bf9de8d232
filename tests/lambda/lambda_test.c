/* tests/lambda/lambda_test.c */

/*
 * Goal: functions see what docs promise them, whatever they do comes to an
 * end, and they leave nothing behind for the next invocation.
 * Method: run small functions on one engine, over a store in memory; after
 * everything that runs wild, run a tame one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "lambda/lambda.h"
#include "tests/support/cpu_time.h"

// What ends by itself has all the time that a busy machine takes; what does not is hurried.
enum { ENTRY_COUNT_MAX = 64, PATIENT_MS = 60000, HURRIED_MS = 200 };

// What the engine's library allocates once and never frees.
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libjavascriptcoregtk\n";
}

struct entry {
    struct buffer key;
    struct buffer value;
};

// The host: a sorted store, a log, and two more functions for ctx.call.
struct fixture {
    struct watchdog *watchdog;
    _Atomic unsigned stop_count;  // how often the watchdog would have ended the process
    struct lambda_engine *engine;
    struct entry entries[ENTRY_COUNT_MAX];
    size_t entry_count;
    enum status refuse;  // what the next calls answer, if not OK
    struct buffer log;
    size_t put_count;
    uint64_t ttl_ms;
    uint32_t hold;               // the last lock's number
    enum status refuse_release;  // what letting go of one answers
    size_t sync_count;
    uint64_t sync_ms;  // how much CPU time one takes
    const struct lambda_function *others[2];
    struct lambda_result result;
};

static struct entry *find_entry(struct fixture *f, struct bytes key)
{
    for (size_t i = 0; i < f->entry_count; i++) {
        if (bytes_equal(buffer_bytes(&f->entries[i].key), key)) {
            return &f->entries[i];
        }
    }
    return NULL;
}

static bool may_touch(const struct lambda_function *function, struct bytes key)
{
    const char *prefix = lambda_function_owner(function);
    return prefix == NULL || bytes_start_with(key, bytes_text(prefix));
}

static enum status store_get(void *context, const struct lambda_function *function,
                             struct bytes key, struct buffer *value)
{
    struct fixture *f = context;
    if (!may_touch(function, key)) {
        return STATUS_DENIED;
    }
    if (f->refuse != STATUS_OK) {
        return f->refuse;
    }
    const struct entry *entry = find_entry(f, key);
    if (entry == NULL) {
        return STATUS_NOT_FOUND;
    }
    return entry->value.length == 0 ? STATUS_OK
                                    : buffer_append(value, entry->value.bytes, entry->value.length);
}

static enum status store_put(void *context, const struct lambda_function *function,
                             struct bytes key, struct bytes value, uint64_t ttl_ms)
{
    struct fixture *f = context;
    if (!may_touch(function, key)) {
        return STATUS_DENIED;
    }
    if (f->refuse != STATUS_OK) {
        return f->refuse;
    }
    f->ttl_ms = ttl_ms;
    f->put_count++;
    struct entry *entry = find_entry(f, key);
    if (entry == NULL) {
        size_t at = f->entry_count;
        assert_true(at < ENTRY_COUNT_MAX);
        while (at > 0 && bytes_compare(buffer_bytes(&f->entries[at - 1].key), key) > 0) {
            f->entries[at] = f->entries[at - 1];
            at--;
        }
        entry = &f->entries[at];
        *entry = (struct entry){.key = BUFFER_EMPTY};
        assert_int_equal(buffer_append(&entry->key, key.at, key.length), STATUS_OK);
        f->entry_count++;
    }
    buffer_clear(&entry->value);
    return value.length == 0 ? STATUS_OK : buffer_append(&entry->value, value.at, value.length);
}

static void drop_entry(struct fixture *f, struct entry *entry)
{
    buffer_release(&entry->key);
    buffer_release(&entry->value);
    size_t index = (size_t)(entry - f->entries);
    memmove(entry, entry + 1, (f->entry_count - index - 1) * sizeof *entry);
    f->entry_count--;
}

static enum status store_delete(void *context, const struct lambda_function *function,
                                struct bytes key)
{
    struct fixture *f = context;
    (void)function;
    struct entry *entry = find_entry(f, key);
    if (entry == NULL) {
        return STATUS_NOT_FOUND;
    }
    drop_entry(f, entry);
    return STATUS_OK;
}

static enum status store_list(void *context, const struct lambda_function *function,
                              struct bytes prefix, size_t limit, struct bytes cursor,
                              lambda_visit *visit, void *visitor, struct buffer *next)
{
    struct fixture *f = context;
    (void)function;
    for (size_t i = 0; i < f->entry_count; i++) {
        struct bytes key = buffer_bytes(&f->entries[i].key);
        if (!bytes_start_with(key, prefix) || bytes_compare(key, cursor) < 0) {
            continue;
        }
        if (limit-- == 0) {
            return buffer_append(next, key.at, key.length);
        }
        visit(visitor, key, buffer_bytes(&f->entries[i].value));
    }
    return STATUS_OK;
}

static enum status store_sync(void *context, const struct lambda_function *function)
{
    struct fixture *f = context;
    (void)function;
    f->sync_count++;
    cpu_time_take(f->sync_ms);
    return f->refuse;
}

/* Locks leave their trace in the log: what is asked, in its order. */
static enum status take_lock(void *context, const struct lambda_function *function,
                             struct bytes name, uint32_t *hold)
{
    struct fixture *f = context;
    (void)function;
    if (f->refuse != STATUS_OK) {
        return f->refuse;
    }
    *hold = ++f->hold;
    assert_int_equal(buffer_append(&f->log, "+", 1), STATUS_OK);
    return buffer_append(&f->log, name.at, name.length);
}

static enum status note_hold(struct fixture *f, char mark, uint32_t hold)
{
    const char text[] = {mark, (char)('0' + hold)};
    return buffer_append(&f->log, text, sizeof text);
}

static enum status release_lock(void *context, const struct lambda_function *function,
                                uint32_t hold)
{
    struct fixture *f = context;
    (void)function;
    assert_int_equal(note_hold(f, '-', hold), STATUS_OK);
    return f->refuse_release;
}

static void abandon_lock(void *context, const struct lambda_function *function, uint32_t hold)
{
    (void)function;
    assert_int_equal(note_hold(context, '!', hold), STATUS_OK);
}

static enum status version_of(void *context, const struct lambda_function *function,
                              struct bytes key, struct buffer *version)
{
    struct fixture *f = context;
    (void)function;
    return find_entry(f, key) == NULL ? STATUS_NOT_FOUND : buffer_append(version, "7-ab", 4);
}

static enum status swap(void *context, const struct lambda_function *function, struct bytes key,
                        struct bytes expected, struct bytes value, uint64_t ttl_ms, bool *is_done)
{
    struct fixture *f = context;
    bool exists = find_entry(f, key) != NULL;
    *is_done = bytes_equal(expected, bytes_text(exists ? "7-ab" : ""));
    if (f->refuse != STATUS_OK) {
        return f->refuse;
    }
    return *is_done ? store_put(context, function, key, value, ttl_ms) : STATUS_OK;
}

static void take_log(void *context, const struct lambda_function *function, enum lambda_level level,
                     struct bytes text)
{
    struct fixture *f = context;
    char head[64];
    snprintf(head, sizeof head, "%d %s ", (int)level, lambda_function_name(function));
    assert_int_equal(buffer_append(&f->log, head, strlen(head)), STATUS_OK);
    if (text.length > 0) {
        assert_int_equal(buffer_append(&f->log, text.at, text.length), STATUS_OK);
    }
    assert_int_equal(buffer_append(&f->log, "\n", 1), STATUS_OK);
}

static const struct lambda_function *find_function(void *context, struct bytes name)
{
    const struct fixture *f = context;
    for (size_t i = 0; i < 2; i++) {
        if (f->others[i] != NULL &&
            bytes_equal(name, bytes_text(lambda_function_name(f->others[i])))) {
            return f->others[i];
        }
    }
    return NULL;
}

/* Its answer is the nonce, so that a test sees what was asked. */
static enum status attest(void *context, const struct lambda_function *function, struct bytes nonce,
                          struct buffer *evidence)
{
    struct fixture *f = context;
    (void)function;
    return f->refuse != STATUS_OK ? f->refuse : buffer_append(evidence, nonce.at, nonce.length);
}

static enum status secret_of(void *context, const struct lambda_function *function,
                             struct bytes name, struct buffer *secret)
{
    struct fixture *f = context;
    (void)function;
    if (f->refuse != STATUS_OK) {
        return f->refuse;
    }
    return bytes_equal(name, bytes_text("key")) ? buffer_append(secret, "p\xc3\xa4ssword", 9)
                                                : STATUS_NOT_FOUND;
}

static const struct lambda_calls CALLS = {
    .get = store_get,
    .put = store_put,
    .delete = store_delete,
    .list = store_list,
    .sync = store_sync,
    .lock = take_lock,
    .unlock = release_lock,
    .abandon = abandon_lock,
    .version = version_of,
    .swap = swap,
    .attest = attest,
    .secret = secret_of,
    .log = take_log,
    .find = find_function,
};

// Tested are the engine's own limits: a machine that stands still for a second is no matter.
static void count_stop(void *context, enum watchdog_reason reason)
{
    struct fixture *f = context;
    (void)reason;
    f->stop_count++;
}

static int make_engine(void **state)
{
    static struct fixture f;
    assert_int_equal(setenv("TZ", "UTC", 1), 0);
    assert_int_equal(lambda_engine_begin(true), STATUS_OK);
    assert_int_equal(watchdog_new(&f.watchdog, count_stop, &f), STATUS_OK);
    assert_int_equal(lambda_engine_new(&f.engine, "worker-7", f.watchdog), STATUS_OK);
    assert_int_equal(lambda_engine_warm_up(f.engine), STATUS_OK);
    *state = &f;
    return 0;
}

static int drop_engine(void **state)
{
    struct fixture *f = *state;
    lambda_engine_free(f->engine);
    watchdog_free(f->watchdog);
    return 0;
}

static int clear(void **state)
{
    struct fixture *f = *state;
    while (f->entry_count > 0) {
        drop_entry(f, &f->entries[0]);
    }
    buffer_release(&f->log);
    lambda_result_release(&f->result);
    f->refuse = STATUS_OK;
    f->sync_count = 0;
    f->hold = 0;
    f->refuse_release = STATUS_OK;
    f->sync_ms = 0;
    f->stop_count = 0;
    f->others[0] = f->others[1] = NULL;
    return 0;
}

static enum status compile(struct fixture *f, const struct lambda_source *source,
                           struct lambda_function **function, char message[256])
{
    return lambda_function_new(f->engine, source, function, message, 256);
}

static struct lambda_function *compiled_for(struct fixture *f, uint64_t time_ms, const char *name,
                                            const char *code, const char *prefix)
{
    // An owner is not const to the engine; this one is only ever compared.
    const struct lambda_source source = {
        .name = name,
        .version = 3,
        .code = bytes_text(code),
        .limits = {.time_ms = time_ms, .memory_bytes = 512 << 20},
        .owner = (void *)(uintptr_t)prefix,
    };
    struct lambda_function *function = NULL;
    char message[256];
    enum status status = compile(f, &source, &function, message);
    if (status != STATUS_OK) {
        fail_msg("%s: %s", code, message);
    }
    return function;
}

static struct lambda_function *compiled(struct fixture *f, const char *name, const char *code,
                                        const char *prefix)
{
    return compiled_for(f, PATIENT_MS, name, code, prefix);
}

static void invoke_event(struct fixture *f, const struct lambda_function *function,
                         const struct lambda_event *event)
{
    lambda_invoke(f->engine, function, event, &CALLS, f, &f->result);
}

static void invoke(struct fixture *f, const struct lambda_function *function)
{
    const struct lambda_event event = {
        .method = bytes_text("POST"),
        .path = bytes_text("/function/f"),
    };
    invoke_event(f, function, &event);
}

static void run_for(struct fixture *f, uint64_t time_ms, const char *code)
{
    struct lambda_function *function = compiled_for(f, time_ms, "f", code, NULL);
    invoke(f, function);
    lambda_function_free(function);
}

static void run(struct fixture *f, const char *code)
{
    run_for(f, PATIENT_MS, code);
}

static void assert_body(struct fixture *f, const char *expected)
{
    if (f->result.outcome != LAMBDA_OK) {
        fail_msg("%s: %.*s", lambda_outcome_text(f->result.outcome), (int)f->result.message.length,
                 (const char *)f->result.message.bytes);
    }
    assert_int_equal(f->result.body.length, strlen(expected));
    assert_memory_equal(f->result.body.bytes, expected, f->result.body.length);
}

static void assert_message(struct fixture *f, enum lambda_outcome outcome, const char *part)
{
    assert_int_equal(f->result.outcome, outcome);
    char text[512];
    snprintf(text, sizeof text, "%.*s", (int)f->result.message.length,
             (const char *)f->result.message.bytes);
    if (strstr(text, part) == NULL) {
        fail_msg("'%s' is not in '%s'", part, text);
    }
}

static const char *header(const struct fixture *f, const char *name)
{
    static char value[256];
    for (size_t i = 0; i < f->result.header_count; i++) {
        if (bytes_equal(f->result.headers[i].name, bytes_text(name))) {
            snprintf(value, sizeof value, "%.*s", (int)f->result.headers[i].value.length,
                     (const char *)f->result.headers[i].value.at);
            return value;
        }
    }
    return "(none)";
}

// What every test of a runaway ends with.
static void assert_engine_still_works(struct fixture *f)
{
    run(f, "exports.handler = async () => { await 1; return 6 * 7 }");
    assert_body(f, "42");
}

// ---- answers ----

static void answers_follow_the_type_of_the_value(void **state)
{
    static const struct {
        const char *code;
        unsigned status;
        const char *type;
        const char *body;
    } CASES[] = {
        {"'text \\u00e4'", 200, "text/plain; charset=utf-8", "text \xc3\xa4"},
        {"'\\ud83d\\ude00 \\ud800'", 200, "text/plain; charset=utf-8",
         "\xf0\x9f\x98\x80 \xef\xbf\xbd"},
        {"new Uint8Array([65, 66])", 200, "application/octet-stream", "AB"},
        {"new Uint8Array([65, 66, 67]).subarray(1)", 200, "application/octet-stream", "BC"},
        {"new Uint8Array([65, 66]).buffer", 200, "application/octet-stream", "AB"},
        {"new Uint16Array([0x4241])", 200, "application/octet-stream", "AB"},
        {"({a: [1, 'x', null]})", 200, "application/json", "{\"a\":[1,\"x\",null]}"},
        {"[1, 2]", 200, "application/json", "[1,2]"},
        {"7", 200, "application/json", "7"},
        {"false", 200, "application/json", "false"},
        {"null", 200, "application/json", "null"},
        {"undefined", 204, "(none)", ""},
        {"({status: 404})", 404, "(none)", ""},
        {"({status: 201, body: 'made'})", 201, "text/plain; charset=utf-8", "made"},
        {"({status: 200, body: {a: 1}})", 200, "application/json", "{\"a\":1}"},
        {"({status: 200, headers: {'Content-Type': 'text/html'}, body: '<p>'})", 200, "text/html",
         "<p>"},
        {"({status: 'done'})", 200, "application/json", "{\"status\":\"done\"}"},
        {"Promise.resolve('later')", 200, "text/plain; charset=utf-8", "later"},
        {"({then(resolve) { resolve('thenable') }})", 200, "text/plain; charset=utf-8", "thenable"},
        {"new Proxy({}, {ownKeys: () => ['k'], get: (t, k) => k === 'k' ? 1 : undefined,"
         " getOwnPropertyDescriptor: () => ({value: 1, enumerable: true, configurable: true})})",
         200, "application/json", "{\"k\":1}"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char code[512];
        snprintf(code, sizeof code, "exports.handler = () => %s", CASES[i].code);
        run(f, code);
        assert_body(f, CASES[i].body);
        assert_int_equal(f->result.http_status, CASES[i].status);
        assert_string_equal(header(f, "content-type"), CASES[i].type);
    }
}

static void headers_of_the_answer_arrive_in_lower_case_and_in_order(void **state)
{
    struct fixture *f = *state;
    run(f,
        "exports.handler = () => ({status: 302, headers: {Location: '/x', 'Set-Cookie': ['a=1',"
        " 'b=2'], 'X-N': 5}})");
    assert_int_equal(f->result.outcome, LAMBDA_OK);
    assert_int_equal(f->result.header_count, 4);
    assert_string_equal(header(f, "location"), "/x");
    assert_string_equal(header(f, "x-n"), "5");
    assert_memory_equal(f->result.headers[2].value.at, "b=2", 3);
}

static void refuses_an_answer_that_is_no_response(void **state)
{
    static const char *const CODES[] = {
        "exports.handler = () => ({status: 199})",
        "exports.handler = () => ({status: 600})",
        "exports.handler = () => ({status: 200, headers: {'a b': '1'}})",
        "exports.handler = () => ({status: 200, headers: {'': '1'}})",
        "exports.handler = () => ({status: 200, headers: {a: '1\\r\\nx: 2'}})",
        "exports.handler = () => ({status: 200, headers: {a: '1\\0x\\x002'}})",
        "exports.handler = () => ({status: 200, headers: {a: 'x'.repeat(20000)}})",
        "exports.handler = () => ({status: 200, headers: {a: Array(65).fill('')}})",
        "exports.handler = () => () => 1",
        "exports.handler = () => Symbol('s')",
        "exports.handler = () => 10n",
        "exports.handler = () => { const a = {}; a.a = a; return a }",
        "exports.handler = () => ({get status() { throw new Error('no') }})",
        "exports.handler = () => ({toJSON() { throw 1 }})",
        "exports.handler = () => ({toJSON() { throw {toString() { throw 2 }} }})",
        "exports.handler = () => new Proxy({}, {get() { throw new Error('trap') }})",
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof CODES / sizeof *CODES; i++) {
        run(f, CODES[i]);
        if (f->result.outcome != LAMBDA_THREW) {
            fail_msg("%s: %s", CODES[i], lambda_outcome_text(f->result.outcome));
        }
        assert_true(f->result.message.length > 0);
    }
    assert_engine_still_works(f);
}

static void what_is_thrown_comes_back_with_its_line(void **state)
{
    struct fixture *f = *state;
    run(f, "exports.handler = () => {\n    throw new TypeError('broken');\n};");
    assert_message(f, LAMBDA_THREW, "TypeError: broken");
    assert_message(f, LAMBDA_THREW, "f:2:");
    run(f, "exports.handler = async () => {\n\n    await 1;\n    throw new Error('later');\n};");
    assert_message(f, LAMBDA_THREW, "Error: later");
    assert_message(f, LAMBDA_THREW, "f:4:");
    run(f, "exports.handler = () => { throw 'only text' }");
    assert_message(f, LAMBDA_THREW, "only text");
    run(f, "throw new Error('at the top')");
    assert_message(f, LAMBDA_THREW, "at the top");
    run(f, "exports.handler = () => { throw undefined }");
    assert_message(f, LAMBDA_THREW, "undefined");
    run(f, "exports.handler = () => Promise.reject(new Error('rejected'))");
    assert_message(f, LAMBDA_THREW, "rejected");
}

static void a_function_needs_a_handler(void **state)
{
    struct fixture *f = *state;
    run(f, "const x = 1;");
    assert_message(f, LAMBDA_NO_HANDLER, "exports.handler");
    run(f, "");
    assert_int_equal(f->result.outcome, LAMBDA_NO_HANDLER);
    run(f, "exports.handler = 5");
    assert_int_equal(f->result.outcome, LAMBDA_NO_HANDLER);
    run(f, "module.exports = null");
    assert_int_equal(f->result.outcome, LAMBDA_NO_HANDLER);
    run(f, "module.exports = { handler: () => 'by module' }");
    assert_body(f, "by module");
}

static void what_is_not_javascript_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *code;
        const char *part;
    } CASES[] = {
        {"const a = ;", "(line 1)"},        {"let a;\nlet b;\nlet 5c;\n", "(line 3)"},
        {"}); (function () {", "(line 1)"}, {"/* never closed", "(line"},
        {"with (a) {}", "(line 1)"},        {"let a; let a;", "(line 1)"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const struct lambda_source source = {.name = "f", .code = bytes_text(CASES[i].code)};
        struct lambda_function *function = NULL;
        char message[256] = "";
        assert_int_equal(compile(f, &source, &function, message), STATUS_MALFORMED);
        assert_null(function);
        if (strstr(message, CASES[i].part) == NULL) {
            fail_msg("%s: %s", CASES[i].code, message);
        }
    }
    assert_engine_still_works(f);
}

// ---- events ----

static void the_event_is_the_request(void **state)
{
    struct fixture *f = *state;
    const struct lambda_header headers[] = {
        {bytes_text("X-One"), bytes_text("1")},
        {bytes_text("x-two"), bytes_text("a")},
        {bytes_text("X-Two"), bytes_text("b\xff")},
    };
    const struct lambda_event event = {
        .method = bytes_text("PUT"),
        .path = bytes_text("/function/f/\xc3\xa4"),
        .query = bytes_text("a=1&b=x+y%20z&c&__proto__=p&bad=%E0%A4%A"),
        .headers = headers,
        .header_count = 3,
        .body = bytes_of("{\"n\":\"\xf0\x9f\x98\x80\"}", 12),
    };
    struct lambda_function *function = compiled(
        f, "f",
        "exports.handler = (event, ctx) => [event.method, event.path, event.query.a, event.query.b,"
        " event.query.c, event.query['__proto__'], event.query.bad, event.headers['x-one'],"
        " event.headers['x-two'], event.body, event.json().n.length, event.bytes.length,"
        " ctx.function.name, ctx.function.version, ctx.worker, {...event}.method].join('|')",
        NULL);
    invoke_event(f, function, &event);
    assert_body(f,
                "PUT|/function/f/\xc3\xa4|1|x y z||p|%E0%A4%A|1|a, b\xef\xbf\xbd|"
                "{\"n\":\"\xf0\x9f\x98\x80\"}|2|12|f|3|worker-7|PUT");
    lambda_function_free(function);
}

static void a_body_may_be_any_bytes(void **state)
{
    struct fixture *f = *state;
    const struct lambda_event event = {.body = bytes_of("a\0\xff\xc3", 4)};
    struct lambda_function *function = compiled(
        f, "f", "exports.handler = (event) => event.body.length === 4 && event.bytes", NULL);
    invoke_event(f, function, &event);
    assert_int_equal(f->result.outcome, LAMBDA_OK);
    assert_int_equal(f->result.body.length, 4);
    assert_memory_equal(f->result.body.bytes, event.body.at, 4);
    lambda_function_free(function);
}

// ---- the store ----

static void what_is_put_is_got(void **state)
{
    struct fixture *f = *state;
    run(f,
        "exports.handler = (event, { kv }) => {\n"
        "  kv.put('text', '\\u00e4\\0b'); kv.put('json', {a: [1]}, {ttlMs: 60000});\n"
        "  kv.put('bytes', new Uint8Array([1, 255])); kv.put('', 'x') }");
    assert_message(f, LAMBDA_THREW, "a key is a string");
    assert_int_equal(f->entry_count, 3);
    assert_int_equal(f->ttl_ms, 0);
    run(f,
        "exports.handler = (event, { kv }) => [kv.get('text') === '\\u00e4\\0b',"
        " kv.getJSON('json').a[0], kv.getBytes('bytes')[1], kv.get('absent') === undefined,"
        " kv.getJSON('absent') === undefined, kv.getBytes('absent') === undefined,"
        " kv.delete('text'), kv.get('text') === undefined, kv.delete('absent'), kv.sync()]");
    assert_body(f, "[true,1,255,true,true,true,null,true,null,null]");
    assert_int_equal(f->sync_count, 1);
    run(f, "exports.handler = (event, { kv }) => kv.put('a', 1, {ttlMs: 60000})");
    assert_int_equal(f->ttl_ms, 60000);
}

static void a_list_goes_on_from_its_cursor(void **state)
{
    struct fixture *f = *state;
    run(f,
        "exports.handler = (event, { kv }) => {\n"
        "  for (const k of ['b2', 'a1', 'b1', 'b3', 'c']) kv.put(k, k + '!');\n"
        "  const seen = []; let cursor;\n"
        "  do { const page = kv.list('b', { limit: 2, cursor }); cursor = page.cursor;\n"
        "       seen.push(...page.entries.map((e) => e.key + e.value), '-');\n"
        "  } while (cursor !== undefined);\n"
        "  return seen.join(' ') + ' ' + kv.list().entries.length }");
    assert_body(f, "b1b1! b2b2! - b3b3! - 5");
}

static void bad_arguments_are_refused_before_the_host_sees_them(void **state)
{
    static const char *const CALLS_OF_KV[] = {
        "kv.get()",
        "kv.get(5)",
        "kv.get('')",
        "kv.get('x'.repeat(1025))",
        "kv.get('\\ud800')",
        "kv.put('k', 'v', {ttlMs: -1})",
        "kv.put('k', 'v', {ttlMs: NaN})",
        "kv.list('', {limit: 0})",
        "kv.list('', {limit: 1001})",
        "kv.list('', {limit: '5'})",
        "kv.list(5)",
        "kv.delete(Symbol.iterator)",
        "kv.put('\\u00e4'.repeat(513), '')",
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof CALLS_OF_KV / sizeof *CALLS_OF_KV; i++) {
        char code[256];
        snprintf(code, sizeof code,
                 "exports.handler = (event, { kv }) => {\n"
                 "try { %s } catch (e) { return e.code } }",
                 CALLS_OF_KV[i]);
        run(f, code);
        assert_body(f, "invalid");
    }
    assert_int_equal(f->entry_count, 0);
    run(f,
        "exports.handler = (event, { kv }) => { kv.put('x'.repeat(1024), 'x'.repeat(1 << 20));\n"
        "try { kv.put('k', 'x'.repeat((1 << 20) + 1)) } catch (e) { return e.code } }");
    assert_body(f, "too_large");
    run(f, "exports.handler = (event, { kv }) => kv.put('k', undefined)");
    assert_message(f, LAMBDA_THREW, "TypeError");
}

static void a_refusal_of_the_host_is_an_exception_with_a_code(void **state)
{
    static const enum status STATUSES[] = {STATUS_DENIED,  STATUS_GAP,    STATUS_NO_SPACE,
                                           STATUS_TIMEOUT, STATUS_CLOSED, STATUS_FULL};
    static const char *const CODES[] = {"denied",  "behind", "no_space",
                                        "timeout", "closed", "busy"};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof STATUSES / sizeof *STATUSES; i++) {
        f->refuse = STATUSES[i];
        run(f,
            "exports.handler = (event, { kv }) => {\n"
            "  const codes = new Set();\n"
            "  for (const attempt of [() => kv.get('k'), () => kv.put('k', ''), () => kv.sync()])\n"
            "    try { attempt() } catch (e) { codes.add(e instanceof Error ? e.code : '?') }\n"
            "  return [...codes].join() }");
        assert_body(f, CODES[i]);
        assert_string_equal(lambda_code(STATUSES[i]), CODES[i]);
    }
}

static void a_long_sync_stops_the_function_not_the_process(void **state)
{
    struct fixture *f = *state;
    f->sync_ms = HURRIED_MS + WATCHDOG_GRACE_CPU_MS + 300;  // beyond what the watchdog grants
    run_for(f, HURRIED_MS, "exports.handler = (event, { kv }) => { kv.sync(); for (;;); }");
    assert_int_equal(f->result.outcome, LAMBDA_TIMED_OUT);
    assert_int_equal(f->stop_count, 0);
    f->sync_ms = 0;
    assert_engine_still_works(f);
}

static void logs_carry_level_and_function(void **state)
{
    struct fixture *f = *state;
    run(f,
        "exports.handler = (event, ctx) => { ctx.log('a', 1, {b: 2}); console.log('l');"
        " console.info('i'); console.warn('w'); console.error(new Error('e').message);"
        " console.debug(undefined); console.log('x'.repeat(1e6)) }");
    assert_int_equal(f->result.outcome, LAMBDA_OK);
    static const char EXPECTED[] = "1 f a 1 {\"b\":2}\n1 f l\n1 f i\n2 f w\n3 f e\n0 f undefined\n";
    assert_true(f->log.length > sizeof EXPECTED);
    assert_memory_equal(f->log.bytes, EXPECTED, sizeof EXPECTED - 1);
    assert_true(f->log.length < sizeof EXPECTED + 2 * LAMBDA_LOG_BYTES_MAX);
}

static void old_scripts_still_work(void **state)
{
    struct fixture *f = *state;
    run(f, "psl_put('k', 'v'); psl_return(psl_get('k') + '!')");
    assert_body(f, "v!");
    run(f, "print('a', 1); print('b')");
    assert_body(f, "a 1\nb\n");
    run(f, "psl_put('k', 'w')");
    assert_body(f, "");
    assert_int_equal(f->result.http_status, 204);
}

// ---- calls of other functions ----

static void calls_run_in_the_same_invocation_and_copy_values(void **state)
{
    struct fixture *f = *state;
    struct lambda_function *twice = compiled(
        f, "twice",
        "exports.handler = async (event, ctx) => { await 1; ctx.kv.put('by', ctx.function.name);\n"
        " return { n: event.n * 2, drop: undefined, body: event.json && event.body } }",
        NULL);
    struct lambda_function *wrong = compiled(
        f, "wrong",
        "exports.handler = () => { throw Object.assign(new Error('no'), {code: 'c7'}) }", NULL);
    f->others[0] = twice;
    f->others[1] = wrong;
    run(f,
        "exports.handler = async (event, ctx) => {\n"
        "  const made = await ctx.call('twice', { n: 21, f() {}, body: 'b' });\n"
        "  let error; try { await ctx.call('wrong') } catch (e) { error = e }\n"
        "  let absent; try { await ctx.call('absent') } catch (e) { absent = e }\n"
        "  return [made, Object.getPrototypeOf(made) === Object.prototype, ctx.kv.get('by'),\n"
        "    error instanceof Error, error.code, error.message.split('\\n')[0], absent.code] }");
    assert_body(f,
                "[{\"n\":42,\"body\":\"b\"},true,\"twice\",true,\"c7\",\"wrong: Error: no\","
                "\"not_found\"]");
    lambda_function_free(twice);
    lambda_function_free(wrong);
}

static void calls_are_at_most_eight_deep(void **state)
{
    struct fixture *f = *state;
    struct lambda_function *deeper =
        compiled(f, "deeper",
                 "exports.handler = async (event, ctx) => { await 1;\n"
                 " try { return await ctx.call('deeper', { n: event.n + 1 }) }\n"
                 " catch (e) { return [event.n, e.code] } }",
                 NULL);
    f->others[0] = deeper;
    run(f, "exports.handler = (event, ctx) => ctx.call('deeper', { n: 1 })");
    assert_body(f, "[8,\"too_deep\"]");
    lambda_function_free(deeper);
}

static void a_callee_touches_only_its_own_keys(void **state)
{
    struct fixture *f = *state;
    struct lambda_function *narrow = compiled(
        f, "narrow", "exports.handler = (event, ctx) => { ctx.kv.put(event.key, 1) }", "narrow/");
    f->others[0] = narrow;
    run(f,
        "exports.handler = async (event, ctx) => { await ctx.call('narrow', {key: 'narrow/a'});\n"
        " ctx.kv.put('other', 1);\n"
        " try { await ctx.call('narrow', {key: 'other'}) } catch (e) { return e.code } }");
    assert_body(f, "denied");
    lambda_function_free(narrow);
}

static void a_runaway_callee_ends_the_whole_invocation(void **state)
{
    struct fixture *f = *state;
    struct lambda_function *endless =
        compiled(f, "endless", "exports.handler = () => { for (;;); }", NULL);
    struct lambda_function *deep = compiled(
        f, "deep", "exports.handler = () => { const g = () => g() + 1; return g() }", NULL);
    f->others[0] = endless;
    f->others[1] = deep;
    run_for(f, HURRIED_MS,
            "exports.handler = async (event, ctx) => {\n"
            "  try { await ctx.call('endless') } catch { return 'caught' } }");
    assert_message(f, LAMBDA_TIMED_OUT, "time limit");
    run(f,
        "exports.handler = async (event, ctx) => {\n"
        "  try { await ctx.call('deep') } catch (e) { return 'caught' } }");
    assert_body(f, "caught");
    lambda_function_free(endless);
    lambda_function_free(deep);
    assert_engine_still_works(f);
}

// ---- runaways ----

static void whatever_runs_too_long_ends(void **state)
{
    static const char *const BODIES[] = {
        "for (;;);",
        "for (;;) { try { for (;;); } catch {} finally { for (;;); } }",
        "return (async () => { for (;;) await 1 })()",
        "(async () => { for (;;) await 1 })(); return 'answered already'",
        "const f = () => { Promise.resolve().then(f) }; f(); f(); f()",
        "(async () => { for (;;) await 1 })(); (async () => { await 2; for (;;); })(); for (;;);",
        "return { toJSON() { for (;;); } }",
        "return { get status() { for (;;); } }",
        "return new Proxy({}, { get() { for (;;); } })",
        "throw { toString() { for (;;); } }",
        "return { then() { for (;;); } }",
        "let a = 1n; for (;;) a = a + 1n",
        "for (;;) JSON.parse('[' + '1,'.repeat(1e5) + '1]')",
        "for (;;) ctx.kv.get('k')",
        "return /^(a+)+$/.test('a'.repeat(24) + 'b') && (() => { for (;;); })()",
        "return eval('for (;;);')",
        "function* g() { for (;;) yield 1 } for (const x of g());",
        "new Array(1e6).fill(0).sort(() => { for (;;); })",
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof BODIES / sizeof *BODIES; i++) {
        char code[512];
        snprintf(code, sizeof code, "exports.handler = (event, ctx) => { %s }", BODIES[i]);
        run_for(f, HURRIED_MS, code);
        // The regular expression is not endless, only slow: either end will do.
        if (f->result.outcome != LAMBDA_TIMED_OUT && strstr(BODIES[i], "(a+)+") == NULL) {
            fail_msg("%s: %s", BODIES[i], lambda_outcome_text(f->result.outcome));
        }
        assert_engine_still_works(f);
    }
    run_for(f, HURRIED_MS, "for (;;);");
    assert_int_equal(f->result.outcome, LAMBDA_TIMED_OUT);
    assert_engine_still_works(f);
}

static void what_was_stopped_never_calls_the_host_again(void **state)
{
    static const char *const BODIES[] = {
        "const put = async () => { for (;;) ctx.kv.put('k', await 1) }; put(); put(); for (;;);",
        "const put = async () => { for (;;) ctx.kv.put('k', await 1) }; put(); put(); put()",
        "const put = () => { ctx.kv.put('k', 1); Promise.resolve().then(put).then(put) }; put()",
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof BODIES / sizeof *BODIES; i++) {
        char code[512];
        snprintf(code, sizeof code, "exports.handler = (event, ctx) => { %s }", BODIES[i]);
        struct lambda_function *function = compiled_for(f, HURRIED_MS, "f", code, NULL);
        invoke(f, function);
        assert_true(f->result.outcome == LAMBDA_TIMED_OUT ||
                    f->result.outcome == LAMBDA_OUT_OF_MEMORY);
        size_t put_count = f->put_count;
        assert_engine_still_works(f);
        assert_int_equal(f->put_count, put_count);
        lambda_function_free(function);
        assert_engine_still_works(f);
    }
}

static void whatever_takes_too_much_memory_ends(void **state)
{
    static const char *const BODIES[] = {
        "const a = []; for (;;) a.push({ i: a.length })",
        "const a = []; for (;;) a.push('x'.repeat(100000) + a.length)",
        "const a = []; for (;;) a.push(new Uint8Array(1 << 20).fill(1))",
        "const a = []; for (;;) try { for (;;) a.push(new Uint8Array(1 << 20).fill(1)) } catch {}",
        "const m = new Map(); for (let i = 0; ; i++) m.set(i, [i])",
        "const a = []; return (async () => { for (;;) a.push(await Array(1000).fill(1)) })()",
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof BODIES / sizeof *BODIES; i++) {
        char code[512];
        snprintf(code, sizeof code, "exports.handler = () => { %s }", BODIES[i]);
        const struct lambda_source source = {
            .name = "f",
            .code = bytes_text(code),
            .limits = {.time_ms = PATIENT_MS, .memory_bytes = 64 << 20},
        };
        struct lambda_function *function = NULL;
        char message[256];
        assert_int_equal(compile(f, &source, &function, message), STATUS_OK);
        invoke(f, function);
        if (f->result.outcome != LAMBDA_OUT_OF_MEMORY) {
            fail_msg("%s: %s", BODIES[i], lambda_outcome_text(f->result.outcome));
        }
        lambda_function_free(function);
        assert_engine_still_works(f);
    }
}

static void recursion_without_end_is_an_exception(void **state)
{
    struct fixture *f = *state;
    run(f, "const g = (n) => g(n + 1) + 1; exports.handler = () => g(0)");
    assert_message(f, LAMBDA_THREW, "Maximum call stack");
    run_for(f, HURRIED_MS,
            "const g = () => { try { return g() } finally { g() } }; exports.handler = g");
    assert_true(f->result.outcome == LAMBDA_THREW || f->result.outcome == LAMBDA_TIMED_OUT);
    run_for(f, HURRIED_MS,
            "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; exports.handler = () => a");
    assert_true(f->result.outcome == LAMBDA_THREW || f->result.outcome == LAMBDA_TIMED_OUT);
    assert_engine_still_works(f);
}

static void a_huge_answer_is_too_large(void **state)
{
    static const char *const VALUES[] = {
        "'x'.repeat(100 << 20)",         "'\\u00e4'.repeat(3 << 20)",
        "new Uint8Array((4 << 20) + 1)", "({status: 200, body: 'x'.repeat((4 << 20) + 1)})",
        "['x'.repeat(4 << 20)]",
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof VALUES / sizeof *VALUES; i++) {
        char code[256];
        snprintf(code, sizeof code, "exports.handler = () => %s", VALUES[i]);
        run(f, code);
        assert_message(f, LAMBDA_TOO_LARGE, "longer");
        assert_int_equal(f->result.body.length, 0);
    }
    run(f, "exports.handler = () => 'x'.repeat(4 << 20)");
    assert_int_equal(f->result.outcome, LAMBDA_OK);
    assert_int_equal(f->result.body.length, 4 << 20);
}

static void a_promise_that_never_settles_is_told_at_once(void **state)
{
    struct fixture *f = *state;
    run(f, "exports.handler = () => new Promise(() => {})");
    assert_message(f, LAMBDA_NEVER_SETTLED, "never settles");
    run(f, "exports.handler = async () => { await new Promise(() => {}) }");
    assert_message(f, LAMBDA_NEVER_SETTLED, "never settles");
    assert_engine_still_works(f);
}

// ---- isolation ----

// Run one function twice: it answers 'clean' unless it finds what it left the first time.
static void assert_leaves_nothing(struct fixture *f, const char *body)
{
    char code[512];
    snprintf(code, sizeof code, "exports.handler = (event, ctx) => { %s }", body);
    struct lambda_function *function = compiled(f, "f", code, NULL);
    for (int i = 0; i < 3; i++) {
        invoke(f, function);
        if (f->result.outcome != LAMBDA_OK ||
            !bytes_equal(buffer_bytes(&f->result.body), bytes_text("clean"))) {
            fail_msg("%s: %s %.*s%.*s", body, lambda_outcome_text(f->result.outcome),
                     (int)f->result.body.length, (const char *)f->result.body.bytes,
                     (int)f->result.message.length, (const char *)f->result.message.bytes);
        }
    }
    lambda_function_free(function);
}

static void an_invocation_leaves_nothing_behind(void **state)
{
    static const char *const BODIES[] = {
        "if (globalThis.x) return 'x'; try { globalThis.x = 1 } catch {} return 'clean'",
        "if (typeof y !== 'undefined') return 'y'; try { (0, eval)('var y = 1') } catch {}"
        " return 'clean'",
        "if (typeof z !== 'undefined') return 'z'; try { new Function('z = 1')() } catch {}"
        " return 'clean'",
        "if (typeof w !== 'undefined') return 'w'; try { (0, eval)('let w = 1; function v() {}') }"
        " catch {} return 'clean'",
        "if ([].mine) return 'proto'; try { Array.prototype.mine = 1 } catch {} return 'clean'",
        "if ({}.mine) return 'proto'; try { Object.prototype.mine = 1 } catch {} return 'clean'",
        "if ([3].map === 5) return 'map'; try { Array.prototype.map = 5 } catch {} return 'clean'",
        "try { Object.prototype.toString = () => 'bad' } catch {}"
        " return String({}) === 'bad' ? 'toString' : 'clean'",
        "try { Error.prototype.message = 'bad' } catch {}"
        " return new Error().message === 'bad' ? 'message' : 'clean'",
        "if (/a/.mine) return 're'; try { RegExp.prototype.mine = 1 } catch {} return 'clean'",
        "const before = [RegExp.$1, RegExp.lastMatch, RegExp.input, RegExp['$&']].join('');"
        " /(s)ecret/.exec('secret'); try { RegExp.input = 'i' } catch {}"
        " return before === '' || before === 'undefined' ? 'clean' : before",
        "const r = /a/g; if (r.lastIndex !== 0) return 'lastIndex'; r.exec('aa'); return 'clean'",
        "const s = Symbol.for('k'); try { s.mine = 1 } catch {} return s.mine ? 'symbol' : 'clean'",
        "if (ctx.mine || ctx.kv.mine || ctx.kv.get.mine || ctx.call.mine || ctx.function.mine)"
        " return 'ctx'; for (const o of [ctx, ctx.kv, ctx.kv.get, ctx.call, ctx.log, ctx.function,"
        " console, console.log]) try { o.mine = 1 } catch {} return 'clean'",
        "const p = Object.getPrototypeOf(function* () {}()); const q = Object.getPrototypeOf(p);"
        " const i = Object.getPrototypeOf([][Symbol.iterator]()); if (q.mine || i.mine) return "
        "'gen';"
        " for (const o of [q, i]) try { o.mine = 1 } catch {} return 'clean'",
        "const t = ((s) => s)`a`; if (t.mine) return 'template'; try { t.mine = 1 } catch {}"
        " return 'clean'",
        "const d = Intl.DateTimeFormat.prototype; if (d.mine) return 'intl';"
        " try { d.mine = 1 } catch {} return 'clean'",
        "const a = Object.getPrototypeOf(async () => {}); if (a.mine) return 'async';"
        " try { a.mine = 1 } catch {} return 'clean'",
        "try { Object.setPrototypeOf(globalThis, { evil: 1 }) } catch {}"
        " try { Object.setPrototypeOf(Array.prototype, { evil: 1 }) } catch {}"
        " return typeof evil === 'undefined' && [].evil === undefined ? 'clean' : 'evil'",
        "try { delete Math.max } catch {} try { Math.max = 1 } catch {}"
        " return Math.max(1, 2) === 2 ? 'clean' : 'Math'",
        "try { JSON.stringify = () => 'bad' } catch {} return 'clean'",
        "try { psl_get.mine = 1; console = 1; psl_return = 2 } catch {}"
        " return psl_get.mine || console === 1 ? 'global' : 'clean'",
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof BODIES / sizeof *BODIES; i++) {
        assert_leaves_nothing(f, BODIES[i]);
    }
}

static void the_top_level_runs_anew(void **state)
{
    struct fixture *f = *state;
    struct lambda_function *function =
        compiled(f, "f",
                 "let count = 0; class Kept { static n = 0 } const cache = new Map();\n"
                 "const next = (() => { let hidden = 0; return () => ++hidden })();\n"
                 "exports.handler = () => { cache.set(cache.size, 1);\n"
                 "  return [++count, ++Kept.n, cache.size, next(), Object.keys(exports).length] }",
                 NULL);
    for (int i = 0; i < 3; i++) {
        invoke(f, function);
        assert_body(f, "[1,1,1,1,1]");
    }
    lambda_function_free(function);
}

static void what_programs_do_to_their_own_objects_still_works(void **state)
{
    struct fixture *f = *state;
    run(f,
        "class Mine extends Error { constructor(m) { super(m); this.name = 'Mine' } }\n"
        "exports.handler = () => {\n"
        "  const o = {}; o.toString = () => 'o!'; o.constructor = 5; o.valueOf = () => 9;\n"
        "  const e = new Error('a'); e.message = 'b'; e.name = 'N';\n"
        "  function Old() {} Old.prototype = Object.create(Error.prototype);\n"
        "  Old.prototype.constructor = Old; Old.prototype.name = 'Old';\n"
        "  const r = Object.create(null); r.toString = 1; const a = [1]; a.x = 1; a.length = 0;\n"
        "  const empty = new Error(); empty.message = 'm';\n"
        "  let frozen; try { Object.freeze(o).toString = 1 } catch { frozen = true }\n"
        "  return [`${o}`, o.constructor, +o, String(e), String(new Mine('m')), String(new "
        "Old()),\n"
        "    Object.keys(o).length, empty.message, frozen, {}.toString(), typeof WebAssembly,\n"
        "    typeof SharedArrayBuffer] }");
    assert_body(f,
                "[\"o!\",5,9,\"N: b\",\"Mine: m\",\"Old\",3,\"m\",true,\"[object Object]\","
                "\"undefined\",\"undefined\"]");
}

static void assert_log(struct fixture *f, const char *text)
{
    if (!bytes_equal(buffer_bytes(&f->log), bytes_text(text))) {
        print_message("log: %.*s\n", (int)f->log.length, (const char *)f->log.bytes);
        fail();
    }
    buffer_clear(&f->log);
}

static void a_lock_is_held_while_its_function_runs(void **state)
{
    struct fixture *f = *state;
    run(f,
        "exports.handler = (event, { lock, log }) =>\n"
        "  lock('a', () => lock('b', () => 'inner') + ' and outer')");
    assert_body(f, "inner and outer");
    assert_log(f, "+a+b-2-1");

    run(f,
        "exports.handler = async (event, { lock }) => {\n"
        "  const one = lock('a', async () => { await 1; return 1; });\n"
        "  const two = lock('b', () => 2);\n"
        "  return [await one, two] }");
    assert_body(f, "[1,2]");
    assert_log(f, "+a+b-4-3");
}

static void what_a_function_throws_abandons_its_lock(void **state)
{
    struct fixture *f = *state;
    run(f,
        "exports.handler = async (event, { lock }) => {\n"
        "  const said = [];\n"
        "  try { lock('a', () => { throw new Error('now') }) } catch (e) { said.push(e.message) }\n"
        "  try { await lock('b', async () => { await 1; throw new Error('later') }) }\n"
        "  catch (e) { said.push(e.message) }\n"
        "  try { lock('c') } catch (e) { said.push(e.constructor.name) }\n"
        "  try { lock('', () => 1) } catch (e) { said.push(e.code) }\n"
        "  return said }");
    assert_body(f, "[\"now\",\"later\",\"TypeError\",\"invalid\"]");
    assert_log(f, "+a!1+b!2");
}

static void the_troubles_of_locks_have_codes(void **state)
{
    static const struct {
        enum status refuse;
        enum status refuse_release;
        const char *code;
    } troubles[] = {
        {STATUS_TIMEOUT, STATUS_OK, "lock_timeout"},   {STATUS_STALE, STATUS_OK, "lock_held"},
        {STATUS_FULL, STATUS_OK, "lock_busy"},         {STATUS_OK, STATUS_STALE, "lock_lost"},
        {STATUS_OK, STATUS_TIMEOUT, "lock_undecided"}, {STATUS_OK, STATUS_CLOSED, "closed"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof troubles / sizeof *troubles; i++) {
        f->refuse = troubles[i].refuse;
        f->refuse_release = troubles[i].refuse_release;
        run(f,
            "exports.handler = (event, { lock }) => {\n"
            "  try { return lock('a', () => 'held') } catch (e) { return e.code } }");
        assert_body(f, troubles[i].code);
        // Not caught, it is the caller's to know.
        run(f, "exports.handler = (event, { lock }) => lock('a', () => 'held')");
        assert_int_equal(f->result.outcome, LAMBDA_THREW);
        assert_true(bytes_equal(buffer_bytes(&f->result.code), bytes_text(troubles[i].code)));
    }
    f->refuse = f->refuse_release = STATUS_OK;
    run(f, "exports.handler = () => { throw { code: 'x'.repeat(1000) } }");
    assert_int_equal(f->result.outcome, LAMBDA_THREW);
    assert_int_equal(f->result.code.length, 0);
    buffer_clear(&f->log);
}

static void a_value_is_swapped_when_its_version_is_the_one_expected(void **state)
{
    struct fixture *f = *state;
    run(f,
        "exports.handler = (event, { kv }) => [kv.version('k') ?? null, kv.cas('k', undefined, "
        "'a'),\n"
        "  kv.cas('k', undefined, 'b'), kv.version('k'), kv.cas('k', kv.version('k'), { c: 1 }),\n"
        "  kv.getJSON('k').c]");
    assert_body(f, "[null,true,false,\"7-ab\",true,1]");
    f->refuse = STATUS_STALE;
    run(f,
        "exports.handler = (event, { kv }) => { try { kv.cas('k', '', 1) } catch (e) { return "
        "e.code } }");
    assert_body(f, "lock_lost");
    f->refuse = STATUS_OK;
}

static void evidence_is_bytes_over_a_nonce_of_1_to_64(void **state)
{
    struct fixture *f = *state;
    run(f, "exports.handler = (event, ctx) => ctx.attest('a nonce')");
    assert_body(f, "a nonce");
    run(f, "exports.handler = (event, ctx) => ctx.attest(new Uint8Array(64).fill(65))");
    assert_int_equal(f->result.body.length, 64);
    run(f,
        "exports.handler = (event, ctx) => ['', 'x'.repeat(65), new Uint8Array(65), undefined].map("
        "(nonce) => { try { ctx.attest(nonce); return 'taken' } catch (e) { return e.code ?? "
        "e.name "
        "} })");
    assert_body(f, "[\"invalid\",\"invalid\",\"invalid\",\"TypeError\"]");
    f->refuse = STATUS_TIMEOUT;
    run(f,
        "exports.handler = (event, ctx) => { try { ctx.attest('n') } catch (e) { return e.code } "
        "}");
    assert_body(f, lambda_code(STATUS_TIMEOUT));
    f->refuse = STATUS_OK;
}

static void p1_a_secret_is_a_string_and_in_no_error(void **state)
{
    struct fixture *f = *state;
    run(f, "exports.handler = (event, ctx) => [ctx.secret('key'), ctx.secret('none') ?? null]");
    assert_body(f, "[\"p\xc3\xa4ssword\",null]");
    run(f,
        "exports.handler = (event, ctx) => ['', 'x'.repeat(2000), 7].map((name) => { try { "
        "ctx.secret(name); return 'taken' } catch (e) { return e.code } })");
    assert_body(f, "[\"invalid\",\"invalid\",\"invalid\"]");
    f->refuse = STATUS_CLOSED;
    run(f, "exports.handler = (event, ctx) => ctx.secret('key')");
    assert_int_equal(f->result.outcome, LAMBDA_THREW);
    assert_int_equal(buffer_append(&f->result.message, "", 1), STATUS_OK);
    assert_null(strstr((const char *)f->result.message.bytes, "key"));
    assert_null(strstr((const char *)f->result.message.bytes, "ssword"));
    f->refuse = STATUS_OK;
}

static void two_functions_share_no_realm(void **state)
{
    struct fixture *f = *state;
    struct lambda_function *other =
        compiled(f, "other", "exports.handler = () => Object.keys(globalThis).length", NULL);
    f->others[0] = other;
    run(f, "exports.handler = async (event, ctx) => typeof await ctx.call('other')");
    assert_body(f, "number");
    lambda_function_free(other);
}

static void a_function_outlives_the_compilation_of_its_successor(void **state)
{
    struct fixture *f = *state;
    struct lambda_function *first = compiled(f, "f", "exports.handler = () => 'first'", NULL);
    struct lambda_function *second = compiled(f, "f", "exports.handler = () => 'second'", NULL);
    invoke(f, first);
    assert_body(f, "first");
    lambda_function_free(first);
    invoke(f, second);
    assert_body(f, "second");
    lambda_function_free(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_lock_is_held_while_its_function_runs, clear),
        cmocka_unit_test_teardown(what_a_function_throws_abandons_its_lock, clear),
        cmocka_unit_test_teardown(the_troubles_of_locks_have_codes, clear),
        cmocka_unit_test_teardown(a_value_is_swapped_when_its_version_is_the_one_expected, clear),
        cmocka_unit_test_teardown(evidence_is_bytes_over_a_nonce_of_1_to_64, clear),
        cmocka_unit_test_teardown(p1_a_secret_is_a_string_and_in_no_error, clear),
        cmocka_unit_test_teardown(answers_follow_the_type_of_the_value, clear),
        cmocka_unit_test_teardown(headers_of_the_answer_arrive_in_lower_case_and_in_order, clear),
        cmocka_unit_test_teardown(refuses_an_answer_that_is_no_response, clear),
        cmocka_unit_test_teardown(what_is_thrown_comes_back_with_its_line, clear),
        cmocka_unit_test_teardown(a_function_needs_a_handler, clear),
        cmocka_unit_test_teardown(what_is_not_javascript_is_refused_with_its_line, clear),
        cmocka_unit_test_teardown(the_event_is_the_request, clear),
        cmocka_unit_test_teardown(a_body_may_be_any_bytes, clear),
        cmocka_unit_test_teardown(what_is_put_is_got, clear),
        cmocka_unit_test_teardown(a_list_goes_on_from_its_cursor, clear),
        cmocka_unit_test_teardown(bad_arguments_are_refused_before_the_host_sees_them, clear),
        cmocka_unit_test_teardown(a_refusal_of_the_host_is_an_exception_with_a_code, clear),
        cmocka_unit_test_teardown(a_long_sync_stops_the_function_not_the_process, clear),
        cmocka_unit_test_teardown(logs_carry_level_and_function, clear),
        cmocka_unit_test_teardown(old_scripts_still_work, clear),
        cmocka_unit_test_teardown(calls_run_in_the_same_invocation_and_copy_values, clear),
        cmocka_unit_test_teardown(calls_are_at_most_eight_deep, clear),
        cmocka_unit_test_teardown(a_callee_touches_only_its_own_keys, clear),
        cmocka_unit_test_teardown(a_runaway_callee_ends_the_whole_invocation, clear),
        cmocka_unit_test_teardown(whatever_runs_too_long_ends, clear),
        cmocka_unit_test_teardown(what_was_stopped_never_calls_the_host_again, clear),
        cmocka_unit_test_teardown(whatever_takes_too_much_memory_ends, clear),
        cmocka_unit_test_teardown(recursion_without_end_is_an_exception, clear),
        cmocka_unit_test_teardown(a_huge_answer_is_too_large, clear),
        cmocka_unit_test_teardown(a_promise_that_never_settles_is_told_at_once, clear),
        cmocka_unit_test_teardown(an_invocation_leaves_nothing_behind, clear),
        cmocka_unit_test_teardown(the_top_level_runs_anew, clear),
        cmocka_unit_test_teardown(what_programs_do_to_their_own_objects_still_works, clear),
        cmocka_unit_test_teardown(two_functions_share_no_realm, clear),
        cmocka_unit_test_teardown(a_function_outlives_the_compilation_of_its_successor, clear),
    };
    return cmocka_run_group_tests(tests, make_engine, drop_engine);
}
