/* src/lambda/lambda.c */
#include "lambda/lambda.h"

#include <JavaScriptCore/JavaScript.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cursor.h"
#include "lambda/resident.h"
#include "lambda/utf8.h"

/*
 * What lies where: prelude.js says in JavaScript what functions see. Beneath it are the natives
 * of this file, each a JavaScript object of a class whose private data is the function that it
 * belongs to, so that a host call knows who asks.
 *
 * Stopping: JavaScriptCore's own time limit is armed at TICK_SECONDS and armed again whenever it
 * fires; on_tick() tests the invocation's own limits and ends the script when one is passed. The
 * engine starts that limit anew whenever a script is entered from outside, which a chain of
 * promise jobs does at every job. native_drain() therefore runs the jobs while the script that
 * made them is still entered, and the limit holds over all of them.
 */

// Exported by the library, declared in none of its public headers.
typedef bool should_terminate(JSContextRef context, void *argument);
extern void JSContextGroupSetExecutionTimeLimit(JSContextGroupRef group, double seconds,
                                                should_terminate *callback, void *argument);
extern void JSSynchronousGarbageCollectForDebugging(JSContextRef context);
extern void JSLock(JSContextRef context);
extern void JSUnlock(JSContextRef context);
// JSC::VM::drainMicrotasks(); the group is the VM. Weak: without it endless promise chains are
// the watchdog's.
extern void vm_drain_microtasks(JSContextGroupRef vm) __asm__("_ZN3JSC2VM15drainMicrotasksEv")
    __attribute__((weak));

static const double TICK_SECONDS = 0.005;

enum {
    TIME_MS_DEFAULT = 5000,
    MEMORY_BYTES_DEFAULT = 128 << 20,
    RESPONSE_BYTES_DEFAULT = 4 << 20,
    // What the watchdog grants beyond a function's own limits.
    WATCHDOG_TIME_MS = 1000,
    WATCHDOG_MEMORY_BYTES = 256 << 20,
    HTTP_STATUS_MIN = 200,
    HTTP_STATUS_MAX = 599,
};

enum native {
    NATIVE_GET,
    NATIVE_PUT,
    NATIVE_DELETE,
    NATIVE_LIST,
    NATIVE_SYNC,
    NATIVE_LOG,
    NATIVE_HEADERS,
    NATIVE_BODY,
    NATIVE_CALL,
    NATIVE_ANSWER,
    NATIVE_THREW,
    NATIVE_NO_HANDLER,
    NATIVE_DRAIN,
    NATIVE_COUNT,
};

struct invocation {
    const struct lambda_event *event;
    const struct lambda_calls *calls;
    void *context;
    struct lambda_result *result;
    const struct lambda_limits *limits;
    uint64_t deadline_ns;
    uint64_t resident_bytes_max;
    bool is_settled;  // `result` holds an outcome
    bool is_stopped;  // by a limit: `result->outcome` says which, and stays
};

struct lambda_engine {
    JSContextGroupRef group;
    JSClassRef classes[NATIVE_COUNT];
    JSStringRef word_code;
    JSStringRef idle;  // a script that does nothing
    char *worker;
    int statm;
    struct watchdog_seat *seat;  // or NULL
    struct invocation *invocation;
};

struct lambda_function {
    struct lambda_engine *engine;
    char *name;
    uint64_t version;
    struct lambda_limits limits;
    void *owner;
    JSGlobalContextRef realm;
    JSObjectRef run;    // of prelude.js
    JSObjectRef enter;  // of prelude.js
};

__asm__(
    ".pushsection .rodata\n"
    "lambda_prelude:\n"
    ".incbin \"lambda/prelude.js\"\n"
    "lambda_prelude_end:\n"
    ".popsection\n");
extern const uint8_t lambda_prelude[];
extern const uint8_t lambda_prelude_end[];

static uint64_t now_ns(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// ---- limits ----

static enum status closed_get(void *context, const struct lambda_function *function,
                              struct bytes key, struct buffer *value)
{
    (void)context, (void)function, (void)key, (void)value;
    return STATUS_CLOSED;
}

static enum status closed_put(void *context, const struct lambda_function *function,
                              struct bytes key, struct bytes value, uint64_t ttl_ms)
{
    (void)context, (void)function, (void)key, (void)value, (void)ttl_ms;
    return STATUS_CLOSED;
}

static enum status closed_delete(void *context, const struct lambda_function *function,
                                 struct bytes key)
{
    (void)context, (void)function, (void)key;
    return STATUS_CLOSED;
}

static enum status closed_list(void *context, const struct lambda_function *function,
                               struct bytes prefix, size_t limit, struct bytes cursor,
                               lambda_visit *visit, void *visitor, struct buffer *next)
{
    (void)context, (void)function, (void)prefix, (void)limit, (void)cursor;
    (void)visit, (void)visitor, (void)next;
    return STATUS_CLOSED;
}

static enum status closed_sync(void *context, const struct lambda_function *function)
{
    (void)context, (void)function;
    return STATUS_CLOSED;
}

static void closed_log(void *context, const struct lambda_function *function,
                       enum lambda_level level, struct bytes text)
{
    (void)context, (void)function, (void)level, (void)text;
}

static const struct lambda_function *closed_find(void *context, struct bytes name)
{
    (void)context, (void)name;
    return NULL;
}

// Promise jobs may outlive the order to stop by a little: the host hears nothing of them.
static const struct lambda_calls CLOSED = {
    .get = closed_get,
    .put = closed_put,
    .delete = closed_delete,
    .list = closed_list,
    .sync = closed_sync,
    .log = closed_log,
    .find = closed_find,
};

static void stop(struct invocation *invocation, enum lambda_outcome outcome)
{
    invocation->is_stopped = true;
    invocation->result->outcome = outcome;
    invocation->calls = &CLOSED;
}

static bool on_tick(JSContextRef context, void *argument)
{
    (void)context;
    struct lambda_engine *engine = argument;
    JSContextGroupSetExecutionTimeLimit(engine->group, TICK_SECONDS, on_tick, engine);

    struct invocation *invocation = engine->invocation;
    if (invocation == NULL) {
        return false;
    }
    if (!invocation->is_stopped) {
        if (now_ns() > invocation->deadline_ns) {
            stop(invocation, LAMBDA_TIMED_OUT);
        } else if (resident_bytes(engine->statm) > invocation->resident_bytes_max) {
            stop(invocation, LAMBDA_OUT_OF_MEMORY);
        }
    }
    return invocation->is_stopped;
}

// From now the watchdog grants what is left of the invocation's time, and its own allowance.
static void watch(struct lambda_engine *engine, const struct invocation *invocation)
{
    if (engine->seat == NULL) {
        return;
    }
    uint64_t now = now_ns();
    uint64_t left_ns = invocation->deadline_ns > now ? invocation->deadline_ns - now : 0;
    watchdog_enter(engine->seat, left_ns / 1000000 + WATCHDOG_TIME_MS,
                   invocation->resident_bytes_max + WATCHDOG_MEMORY_BYTES);
}

// ---- text ----

// NULL only when there is no memory for it.
static JSStringRef string_make(struct bytes text)
{
    enum { SMALL_COUNT = 256 };
    uint16_t small[SMALL_COUNT];
    uint16_t *units = small;
    if (text.length >= SMALL_COUNT) {
        if (text.length > SIZE_MAX / sizeof *units - 1) {
            return NULL;
        }
        units = malloc((text.length + 1) * sizeof *units);
        if (units == NULL) {
            return NULL;
        }
    }
    JSStringRef string;
    if (utf8_is_plain(text)) {
        // Half the memory of the other way.
        char *terminated = (char *)units;
        if (text.length > 0) {
            memcpy(terminated, text.at, text.length);
        }
        terminated[text.length] = '\0';
        string = JSStringCreateWithUTF8CString(terminated);
    } else {
        string = JSStringCreateWithCharacters(units, utf8_decode(units, text));
    }
    if (units != small) {
        free(units);
    }
    return string;
}

static JSValueRef value_of_text(JSContextRef context, struct bytes text)
{
    JSStringRef string = string_make(text);
    if (string == NULL) {
        return JSValueMakeUndefined(context);
    }
    JSValueRef value = JSValueMakeString(context, string);
    JSStringRelease(string);
    return value;
}

static JSValueRef value_of_bytes(JSContextRef context, struct bytes bytes, JSValueRef *exception)
{
    JSObjectRef array =
        JSObjectMakeTypedArray(context, kJSTypedArrayTypeUint8Array, bytes.length, exception);
    if (array == NULL) {
        return JSValueMakeUndefined(context);
    }
    void *target = JSObjectGetTypedArrayBytesPtr(context, array, exception);
    if (target != NULL && bytes.length > 0) {
        memcpy(target, bytes.at, bytes.length);
    }
    return array;
}

// Append a string value as UTF-8. STATUS_NO_SPACE: longer than `bytes_max`. STATUS_MALFORMED: no
// string, or it has a lone surrogate (then `target` has U+FFFD in its place).
static enum status append_text(struct buffer *target, JSContextRef context, JSValueRef value,
                               size_t bytes_max)
{
    if (!JSValueIsString(context, value)) {
        return STATUS_MALFORMED;
    }
    JSStringRef string = JSValueToStringCopy(context, value, NULL);
    if (string == NULL) {
        return STATUS_NO_MEMORY;
    }
    enum status status = STATUS_NO_SPACE;
    size_t count = JSStringGetLength(string);
    if (count <= bytes_max) {
        bool is_well_formed = true;
        size_t before = target->length;
        status = utf8_encode(target, JSStringGetCharactersPtr(string), count, &is_well_formed);
        if (status == STATUS_OK && target->length - before > bytes_max) {
            status = STATUS_NO_SPACE;
        } else if (status == STATUS_OK && !is_well_formed) {
            status = STATUS_MALFORMED;
        }
    }
    JSStringRelease(string);
    return status;
}

// Append what prelude.js hands down as content: a string, or a Uint8Array of its own.
static enum status append_content(struct buffer *target, JSContextRef context, JSValueRef value,
                                  size_t bytes_max)
{
    if (JSValueIsString(context, value)) {
        enum status status = append_text(target, context, value, bytes_max);
        return status == STATUS_MALFORMED ? STATUS_OK : status;
    }
    JSObjectRef array = JSValueToObject(context, value, NULL);
    if (array == NULL) {
        return STATUS_MALFORMED;
    }
    size_t length = JSObjectGetTypedArrayByteLength(context, array, NULL);
    const void *bytes = JSObjectGetTypedArrayBytesPtr(context, array, NULL);
    if (length > bytes_max) {
        return STATUS_NO_SPACE;
    }
    return length == 0 ? STATUS_OK : buffer_append(target, bytes, length);
}

const char *lambda_code(enum status status)
{
    switch (status) {
    case STATUS_OK:
        return "ok";
    case STATUS_NOT_FOUND:
        return "not_found";
    case STATUS_DENIED:
        return "denied";
    case STATUS_GAP:
        return "behind";
    case STATUS_FULL:
    case STATUS_EMPTY:
        return "busy";
    case STATUS_MALFORMED:
        return "invalid";
    case STATUS_CLOSED:
    case STATUS_STALE:
        return "closed";
    case STATUS_NO_SPACE:
        return "no_space";
    case STATUS_NO_MEMORY:
        return "no_memory";
    case STATUS_TIMEOUT:
        return "timeout";
    case STATUS_FORGED:
    case STATUS_FORKED:
    case STATUS_DAMAGED:
        return "damaged";
    case STATUS_IO:
        return "unavailable";
    }
    return "unavailable";
}

// Throw an Error "<what>: <why>" with the property `code`.
static JSValueRef throw_coded(const struct lambda_function *function, JSContextRef context,
                              const char *what, const char *why, const char *code,
                              JSValueRef *exception)
{
    char text[128];
    snprintf(text, sizeof text, "%s: %s", what, why);
    JSValueRef message = value_of_text(context, bytes_text(text));
    JSObjectRef error = JSObjectMakeError(context, 1, &message, NULL);
    if (error != NULL) {
        JSObjectSetProperty(context, error, function->engine->word_code,
                            value_of_text(context, bytes_text(code)), kJSPropertyAttributeNone,
                            NULL);
    }
    *exception = error;
    return JSValueMakeUndefined(context);
}

static JSValueRef throw_status(const struct lambda_function *function, JSContextRef context,
                               const char *what, enum status status, JSValueRef *exception)
{
    return throw_coded(function, context, what, status_text(status), lambda_code(status),
                       exception);
}

// ---- natives ----

// What every native begins with: whose it is, and the invocation that is under way.
static const struct lambda_function *caller_of(JSObjectRef native)
{
    const struct lambda_function *function = JSObjectGetPrivate(native);
    CHECK(function != NULL && function->engine->invocation != NULL);
    return function;
}

static enum status take_key(struct buffer *key, JSContextRef context, JSValueRef value,
                            size_t bytes_min)
{
    enum status status = append_text(key, context, value, LAMBDA_KEY_BYTES_MAX);
    if (status == STATUS_NO_SPACE || (status == STATUS_OK && key->length < bytes_min)) {
        return STATUS_MALFORMED;
    }
    return status;
}

static JSValueRef throw_key(const struct lambda_function *function, JSContextRef context,
                            const char *what, enum status status, JSValueRef *exception)
{
    if (status != STATUS_MALFORMED) {
        return throw_status(function, context, what, status, exception);
    }
    return throw_coded(function, context, what, "a key is a string of 1 to 1024 bytes of UTF-8",
                       "invalid", exception);
}

// get(key, as_bytes): a string, a Uint8Array, or undefined.
static JSValueRef native_get(JSContextRef context, JSObjectRef native, JSObjectRef this_object,
                             size_t count, const JSValueRef arguments[], JSValueRef *exception)
{
    (void)this_object;
    (void)count;
    const struct lambda_function *function = caller_of(native);
    struct invocation *invocation = function->engine->invocation;
    struct buffer key = BUFFER_EMPTY;
    struct buffer stored = BUFFER_EMPTY;
    JSValueRef value = JSValueMakeUndefined(context);

    enum status status = take_key(&key, context, arguments[0], 1);
    if (status != STATUS_OK) {
        throw_key(function, context, "kv.get", status, exception);
        goto done;
    }
    status = invocation->calls->get(invocation->context, function, buffer_bytes(&key), &stored);
    if (status == STATUS_OK) {
        value = JSValueToBoolean(context, arguments[1])
                    ? value_of_bytes(context, buffer_bytes(&stored), exception)
                    : value_of_text(context, buffer_bytes(&stored));
    } else if (status != STATUS_NOT_FOUND) {
        throw_status(function, context, "kv.get", status, exception);
    }

done:
    buffer_release(&stored);
    buffer_release(&key);
    return value;
}

// put(key, content, content's length, ttl_ms)
static JSValueRef native_put(JSContextRef context, JSObjectRef native, JSObjectRef this_object,
                             size_t count, const JSValueRef arguments[], JSValueRef *exception)
{
    (void)this_object;
    (void)count;
    const struct lambda_function *function = caller_of(native);
    struct invocation *invocation = function->engine->invocation;
    struct buffer key = BUFFER_EMPTY;
    struct buffer stored = BUFFER_EMPTY;

    enum status status = take_key(&key, context, arguments[0], 1);
    if (status != STATUS_OK) {
        throw_key(function, context, "kv.put", status, exception);
        goto done;
    }
    double ttl_ms = JSValueToNumber(context, arguments[3], exception);
    if (!(ttl_ms >= 0 && ttl_ms <= 9007199254740991.0)) {  // also refuses NaN
        throw_coded(function, context, "kv.put", "ttlMs is a number of milliseconds, 0 or more",
                    "invalid", exception);
        goto done;
    }
    // The length comes first, because looking at a long string flattens it.
    status = JSValueToNumber(context, arguments[2], NULL) > LAMBDA_VALUE_BYTES_MAX
                 ? STATUS_NO_SPACE
                 : append_content(&stored, context, arguments[1], LAMBDA_VALUE_BYTES_MAX);
    if (status == STATUS_NO_SPACE) {
        throw_coded(function, context, "kv.put", "the value is longer than 1 MiB", "too_large",
                    exception);
        goto done;
    }
    if (status == STATUS_OK) {
        status = invocation->calls->put(invocation->context, function, buffer_bytes(&key),
                                        buffer_bytes(&stored), (uint64_t)ttl_ms);
    }
    if (status != STATUS_OK) {
        throw_status(function, context, "kv.put", status, exception);
    }

done:
    buffer_release(&stored);
    buffer_release(&key);
    return JSValueMakeUndefined(context);
}

// delete(key)
static JSValueRef native_delete(JSContextRef context, JSObjectRef native, JSObjectRef this_object,
                                size_t count, const JSValueRef arguments[], JSValueRef *exception)
{
    (void)this_object;
    (void)count;
    const struct lambda_function *function = caller_of(native);
    struct invocation *invocation = function->engine->invocation;
    struct buffer key = BUFFER_EMPTY;
    enum status status = take_key(&key, context, arguments[0], 1);
    if (status != STATUS_OK) {
        throw_key(function, context, "kv.delete", status, exception);
    } else {
        status = invocation->calls->delete (invocation->context, function, buffer_bytes(&key));
        if (status != STATUS_OK && status != STATUS_NOT_FOUND) {
            throw_status(function, context, "kv.delete", status, exception);
        }
    }
    buffer_release(&key);
    return JSValueMakeUndefined(context);
}

// Entries on their way from the host, which may hold a lock meanwhile: nothing of the engine is
// touched until the host is done.
struct listing {
    struct buffer packed;  // size_t key length, size_t value length, key, value; and so on
    enum status status;
};

static void listing_visit(void *visitor, struct bytes key, struct bytes value)
{
    struct listing *listing = visitor;
    const size_t lengths[] = {key.length, value.length};
    const struct bytes parts[] = {bytes_of(lengths, sizeof lengths), key, value};
    for (size_t i = 0; i < 3 && listing->status == STATUS_OK; i++) {
        if (parts[i].length > 0) {
            listing->status = buffer_append(&listing->packed, parts[i].at, parts[i].length);
        }
    }
}

// The array [next cursor or undefined, key, value, key, value ...].
static JSValueRef listing_value(const struct listing *listing, JSContextRef context,
                                const struct buffer *next, JSValueRef *exception)
{
    JSValueRef first = next->length == 0 ? JSValueMakeUndefined(context)
                                         : value_of_text(context, buffer_bytes(next));
    JSObjectRef array = JSObjectMakeArray(context, 1, &first, exception);
    if (array == NULL) {
        return JSValueMakeUndefined(context);
    }
    struct cursor in = cursor_over(listing->packed.bytes, listing->packed.length);
    for (unsigned index = 1; in.left > 0;) {
        size_t lengths[2];
        cursor_copy(&in, lengths, sizeof lengths);
        for (size_t i = 0; i < 2; i++) {
            struct bytes part = cursor_bytes(&in, lengths[i]);
            JSObjectSetPropertyAtIndex(context, array, index++, value_of_text(context, part),
                                       exception);
        }
    }
    return array;
}

// list(prefix, limit, cursor)
static JSValueRef native_list(JSContextRef context, JSObjectRef native, JSObjectRef this_object,
                              size_t count, const JSValueRef arguments[], JSValueRef *exception)
{
    (void)this_object;
    (void)count;
    const struct lambda_function *function = caller_of(native);
    struct invocation *invocation = function->engine->invocation;
    struct buffer prefix = BUFFER_EMPTY;
    struct buffer cursor = BUFFER_EMPTY;
    struct buffer next = BUFFER_EMPTY;
    struct listing listing = {.packed = BUFFER_EMPTY};
    JSValueRef value = JSValueMakeUndefined(context);

    enum status status = take_key(&prefix, context, arguments[0], 0);
    if (status == STATUS_OK) {
        status = take_key(&cursor, context, arguments[2], 0);
    }
    double limit =
        JSValueIsNumber(context, arguments[1]) ? JSValueToNumber(context, arguments[1], NULL) : 0;
    if (status == STATUS_OK && !(limit >= 1 && limit <= LAMBDA_LIST_LIMIT_MAX)) {
        status = STATUS_MALFORMED;
    }
    if (status == STATUS_MALFORMED) {
        throw_coded(function, context, "kv.list", "takes a prefix and a limit of 1 to 1000",
                    "invalid", exception);
        goto done;
    }
    if (status == STATUS_OK) {
        status = invocation->calls->list(invocation->context, function, buffer_bytes(&prefix),
                                         (size_t)limit, buffer_bytes(&cursor), listing_visit,
                                         &listing, &next);
    }
    if (status == STATUS_OK) {
        status = listing.status;
    }
    if (status == STATUS_OK) {
        value = listing_value(&listing, context, &next, exception);
    } else {
        throw_status(function, context, "kv.list", status, exception);
    }

done:
    buffer_release(&listing.packed);
    buffer_release(&next);
    buffer_release(&cursor);
    buffer_release(&prefix);
    return value;
}

// sync()
static JSValueRef native_sync(JSContextRef context, JSObjectRef native, JSObjectRef this_object,
                              size_t count, const JSValueRef arguments[], JSValueRef *exception)
{
    (void)this_object;
    (void)count;
    (void)arguments;
    const struct lambda_function *function = caller_of(native);
    struct invocation *invocation = function->engine->invocation;
    // Waiting for stores is no runaway: the watchdog looks away, the time limit does not.
    struct watchdog_seat *seat = function->engine->seat;
    if (seat != NULL) {
        watchdog_leave(seat);
    }
    enum status status = invocation->calls->sync(invocation->context, function);
    watch(function->engine, invocation);
    if (status != STATUS_OK) {
        throw_status(function, context, "kv.sync", status, exception);
    }
    return JSValueMakeUndefined(context);
}

// log(level, text)
static JSValueRef native_log(JSContextRef context, JSObjectRef native, JSObjectRef this_object,
                             size_t count, const JSValueRef arguments[], JSValueRef *exception)
{
    (void)this_object;
    (void)count;
    (void)exception;
    const struct lambda_function *function = caller_of(native);
    struct invocation *invocation = function->engine->invocation;
    struct buffer text = BUFFER_EMPTY;
    enum lambda_level level = (enum lambda_level)JSValueToNumber(context, arguments[0], NULL);
    enum status status = append_content(&text, context, arguments[1], LAMBDA_LOG_BYTES_MAX);
    if (status == STATUS_OK) {
        invocation->calls->log(invocation->context, function, level, buffer_bytes(&text));
    } else if (status == STATUS_NO_SPACE) {
        static const char CUT[] = " [cut]";
        size_t length = text.length < LAMBDA_LOG_BYTES_MAX ? text.length : LAMBDA_LOG_BYTES_MAX;
        text.length = length;
        if (buffer_append(&text, CUT, sizeof CUT - 1) == STATUS_OK) {
            invocation->calls->log(invocation->context, function, level, buffer_bytes(&text));
        }
    }
    buffer_release(&text);
    return JSValueMakeUndefined(context);
}

// headers(): name NUL value NUL name NUL ...
static JSValueRef native_headers(JSContextRef context, JSObjectRef native, JSObjectRef this_object,
                                 size_t count, const JSValueRef arguments[], JSValueRef *exception)
{
    (void)this_object;
    (void)count;
    (void)arguments;
    const struct lambda_function *function = caller_of(native);
    const struct lambda_event *event = function->engine->invocation->event;
    struct buffer packed = BUFFER_EMPTY;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < event->header_count; i++) {
        const struct bytes parts[] = {event->headers[i].name, bytes_of("", 1),
                                      event->headers[i].value, bytes_of("", 1)};
        for (size_t j = 0; j < 4 && status == STATUS_OK; j++) {
            if (parts[j].length > 0) {
                status = buffer_append(&packed, parts[j].at, parts[j].length);
            }
        }
    }
    JSValueRef value = JSValueMakeUndefined(context);
    if (status == STATUS_OK) {
        value = value_of_text(context, buffer_bytes(&packed));
    } else {
        throw_status(function, context, "event.headers", status, exception);
    }
    buffer_release(&packed);
    return value;
}

// body(as_bytes)
static JSValueRef native_body(JSContextRef context, JSObjectRef native, JSObjectRef this_object,
                              size_t count, const JSValueRef arguments[], JSValueRef *exception)
{
    (void)this_object;
    (void)count;
    const struct lambda_event *event = caller_of(native)->engine->invocation->event;
    return JSValueToBoolean(context, arguments[0]) ? value_of_bytes(context, event->body, exception)
                                                   : value_of_text(context, event->body);
}

// call(name, event as JSON, depth, settle)
static JSValueRef native_call(JSContextRef context, JSObjectRef native, JSObjectRef this_object,
                              size_t count, const JSValueRef arguments[], JSValueRef *exception)
{
    (void)this_object;
    (void)count;
    const struct lambda_function *function = caller_of(native);
    struct invocation *invocation = function->engine->invocation;
    struct buffer name = BUFFER_EMPTY;
    const struct lambda_function *callee = NULL;
    if (take_key(&name, context, arguments[0], 1) == STATUS_OK) {
        callee = invocation->calls->find(invocation->context, buffer_bytes(&name));
    }
    buffer_release(&name);
    if (callee == NULL) {
        return throw_coded(function, context, "ctx.call", "there is no function of that name",
                           "not_found", exception);
    }
    CHECK(callee->engine == function->engine);
    JSValueRef failure = NULL;
    JSObjectCallAsFunction(callee->realm, callee->enter, NULL, 3, &arguments[1], &failure);
    if (failure != NULL && !invocation->is_stopped) {
        // Never the failure itself: it is an object of the other realm.
        return throw_coded(function, context, "ctx.call", "the function ran out of stack", "failed",
                           exception);
    }
    return JSValueMakeUndefined(context);
}

// ---- the answer ----

static void settle(struct invocation *invocation, enum lambda_outcome outcome)
{
    invocation->result->outcome = outcome;
    invocation->is_settled = true;
}

static void say(struct lambda_result *result, const char *message)
{
    buffer_clear(&result->message);
    // Without memory the message stays empty; the outcome says enough.
    if (buffer_append(&result->message, message, strlen(message)) != STATUS_OK) {
        buffer_clear(&result->message);
    }
}

static void settle_with(struct invocation *invocation, enum lambda_outcome outcome,
                        const char *message)
{
    if (!invocation->is_stopped) {
        settle(invocation, outcome);
        say(invocation->result, message);
    }
}

// A token of RFC 9110, in lower case.
static bool is_header_name(struct bytes name)
{
    for (size_t i = 0; i < name.length; i++) {
        uint8_t c = name.at[i];
        bool is_token = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                        (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
        if (!is_token) {
            return false;
        }
    }
    return name.length > 0;
}

static bool is_header_value(struct bytes value)
{
    for (size_t i = 0; i < value.length; i++) {
        if ((value.at[i] < ' ' && value.at[i] != '\t') || value.at[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

static struct bytes take_terminated(struct bytes *rest)
{
    const uint8_t *end = rest->length == 0 ? NULL : memchr(rest->at, '\0', rest->length);
    size_t length = end == NULL ? rest->length : (size_t)(end - rest->at);
    struct bytes part = bytes_of(rest->at, length);
    size_t used = end == NULL ? length : length + 1;
    *rest = bytes_of(rest->at + used, rest->length - used);
    return part;
}

// Cut result->head into headers.
static bool split_head(struct lambda_result *result)
{
    struct bytes rest = buffer_bytes(&result->head);
    while (rest.length > 0) {
        if (result->header_count == LAMBDA_HEADER_COUNT_MAX) {
            return false;
        }
        struct lambda_header *header = &result->headers[result->header_count];
        header->name = take_terminated(&rest);
        header->value = take_terminated(&rest);
        if (!is_header_name(header->name) || !is_header_value(header->value)) {
            return false;
        }
        result->header_count++;
    }
    return true;
}

// answer(status, head, body, body's length)
static JSValueRef native_answer(JSContextRef context, JSObjectRef native, JSObjectRef this_object,
                                size_t count, const JSValueRef arguments[], JSValueRef *exception)
{
    (void)this_object;
    (void)count;
    (void)exception;
    struct invocation *invocation = caller_of(native)->engine->invocation;
    struct lambda_result *result = invocation->result;
    JSValueRef undefined = JSValueMakeUndefined(context);

    if (invocation->is_stopped) {
        return undefined;
    }
    double http_status = JSValueToNumber(context, arguments[0], NULL);
    if (!(http_status >= HTTP_STATUS_MIN && http_status <= HTTP_STATUS_MAX)) {
        settle_with(invocation, LAMBDA_THREW, "the answer's status is not one of 200 to 599");
        return undefined;
    }
    buffer_clear(&result->head);
    result->header_count = 0;
    enum status status =
        append_content(&result->head, context, arguments[1], LAMBDA_HEADER_BYTES_MAX);
    if (status != STATUS_OK || !split_head(result)) {
        settle_with(invocation, LAMBDA_THREW,
                    "the answer's headers are too many, too long or not allowed in HTTP");
        return undefined;
    }
    buffer_clear(&result->body);
    uint64_t bytes_max = invocation->limits->response_bytes;
    // The length comes first, because looking at a long string flattens it.
    status = JSValueToNumber(context, arguments[3], NULL) > (double)bytes_max
                 ? STATUS_NO_SPACE
                 : append_content(&result->body, context, arguments[2], bytes_max);
    if (status == STATUS_NO_SPACE) {
        buffer_release(&result->body);
        settle_with(invocation, LAMBDA_TOO_LARGE, "the answer is longer than the function's limit");
    } else if (status != STATUS_OK) {
        settle_with(invocation, LAMBDA_OUT_OF_MEMORY, "no memory for the answer");
    } else {
        result->http_status = (uint32_t)http_status;
        settle(invocation, LAMBDA_OK);
    }
    return undefined;
}

// threw(description)
static JSValueRef native_threw(JSContextRef context, JSObjectRef native, JSObjectRef this_object,
                               size_t count, const JSValueRef arguments[], JSValueRef *exception)
{
    (void)this_object;
    (void)count;
    (void)exception;
    struct invocation *invocation = caller_of(native)->engine->invocation;
    if (invocation->is_stopped) {
        return JSValueMakeUndefined(context);
    }
    settle_with(invocation, LAMBDA_THREW, "");
    if (append_content(&invocation->result->message, context, arguments[0], LAMBDA_LOG_BYTES_MAX) !=
        STATUS_OK) {
        settle_with(invocation, LAMBDA_THREW, "threw an error with an overlong message");
    }
    return JSValueMakeUndefined(context);
}

// noHandler()
static JSValueRef native_no_handler(JSContextRef context, JSObjectRef native,
                                    JSObjectRef this_object, size_t count,
                                    const JSValueRef arguments[], JSValueRef *exception)
{
    (void)this_object;
    (void)count;
    (void)arguments;
    (void)exception;
    settle_with(caller_of(native)->engine->invocation, LAMBDA_NO_HANDLER,
                "the function sets no exports.handler");
    return JSValueMakeUndefined(context);
}

// drain(): run the promise jobs now, within the time limit of the script that is running.
static JSValueRef native_drain(JSContextRef context, JSObjectRef native, JSObjectRef this_object,
                               size_t count, const JSValueRef arguments[], JSValueRef *exception)
{
    (void)this_object;
    (void)count;
    (void)arguments;
    (void)exception;
    if (vm_drain_microtasks != NULL) {
        JSLock(context);
        vm_drain_microtasks(caller_of(native)->engine->group);
        JSUnlock(context);
    }
    return JSValueMakeUndefined(context);
}

static const struct {
    const char *name;
    JSObjectCallAsFunctionCallback call;
} NATIVES[NATIVE_COUNT] = {
    [NATIVE_GET] = {"get", native_get},
    [NATIVE_PUT] = {"put", native_put},
    [NATIVE_DELETE] = {"delete", native_delete},
    [NATIVE_LIST] = {"list", native_list},
    [NATIVE_SYNC] = {"sync", native_sync},
    [NATIVE_LOG] = {"log", native_log},
    [NATIVE_HEADERS] = {"headers", native_headers},
    [NATIVE_BODY] = {"body", native_body},
    [NATIVE_CALL] = {"call", native_call},
    [NATIVE_ANSWER] = {"answer", native_answer},
    [NATIVE_THREW] = {"threw", native_threw},
    [NATIVE_NO_HANDLER] = {"noHandler", native_no_handler},
    [NATIVE_DRAIN] = {"drain", native_drain},
};

// ---- engines ----

enum status lambda_engine_new(struct lambda_engine **target, const char *worker,
                              struct watchdog *watchdog)
{
    *target = NULL;
    struct lambda_engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL) {
        return STATUS_NO_MEMORY;
    }
    enum status status = STATUS_NO_MEMORY;
    engine->statm = resident_open();
    if (engine->statm < 0) {
        status = STATUS_IO;
        goto failed;
    }
    engine->worker = strdup(worker);
    if (engine->worker == NULL) {
        goto failed;
    }
    if (watchdog != NULL) {
        engine->seat = watchdog_seat(watchdog);
        if (engine->seat == NULL) {
            status = STATUS_FULL;
            goto failed;
        }
    }
    engine->group = JSContextGroupCreate();
    engine->word_code = JSStringCreateWithUTF8CString("code");
    engine->idle = JSStringCreateWithUTF8CString("for (let i = 0; i < 2; i++);");
    for (size_t i = 0; i < NATIVE_COUNT; i++) {
        JSClassDefinition definition = kJSClassDefinitionEmpty;
        definition.className = NATIVES[i].name;
        definition.callAsFunction = NATIVES[i].call;
        engine->classes[i] = JSClassCreate(&definition);
    }
    JSContextGroupSetExecutionTimeLimit(engine->group, TICK_SECONDS, on_tick, engine);
    *target = engine;
    return STATUS_OK;

failed:
    lambda_engine_free(engine);
    return status;
}

void lambda_engine_free(struct lambda_engine *engine)
{
    if (engine == NULL) {
        return;
    }
    CHECK(engine->invocation == NULL);
    for (size_t i = 0; i < NATIVE_COUNT; i++) {
        if (engine->classes[i] != NULL) {
            JSClassRelease(engine->classes[i]);
        }
    }
    if (engine->word_code != NULL) {
        JSStringRelease(engine->word_code);
    }
    if (engine->idle != NULL) {
        JSStringRelease(engine->idle);
    }
    if (engine->group != NULL) {
        JSContextGroupRelease(engine->group);
    }
    if (engine->statm >= 0) {
        close(engine->statm);
    }
    free(engine->worker);
    free(engine);
}

// ---- functions ----

static JSValueRef property(JSContextRef context, JSObjectRef object, const char *name)
{
    JSStringRef key = JSStringCreateWithUTF8CString(name);
    JSValueRef value = JSObjectGetProperty(context, object, key, NULL);
    JSStringRelease(key);
    return value == NULL ? JSValueMakeUndefined(context) : value;
}

// "<what the engine says> (line <n>)"
static void describe_syntax(JSContextRef context, JSValueRef exception, double lines_before,
                            char *message, size_t message_bytes)
{
    snprintf(message, message_bytes, "cannot be parsed");
    JSStringRef text = exception == NULL ? NULL : JSValueToStringCopy(context, exception, NULL);
    if (text == NULL) {
        return;
    }
    struct buffer utf8 = BUFFER_EMPTY;
    bool is_well_formed;
    JSObjectRef error = JSValueToObject(context, exception, NULL);
    double line =
        error == NULL ? 0 : JSValueToNumber(context, property(context, error, "line"), NULL);
    if (utf8_encode(&utf8, JSStringGetCharactersPtr(text), JSStringGetLength(text),
                    &is_well_formed) == STATUS_OK) {
        snprintf(message, message_bytes, "%.*s (line %.0f)",
                 (int)(utf8.length < 512 ? utf8.length : 512), (const char *)utf8.bytes,
                 line - lines_before);
    }
    buffer_release(&utf8);
    JSStringRelease(text);
}

// Whether `body` is the body of a function of these parameters by itself, so that no text in it
// can end the function early; if so, that function.
static JSObjectRef make_function(JSContextRef context, const char *const *parameters,
                                 unsigned parameter_count, JSStringRef body, JSValueRef *exception)
{
    enum { PARAMETER_COUNT_MAX = 8 };
    CHECK(parameter_count <= PARAMETER_COUNT_MAX);
    JSStringRef names[PARAMETER_COUNT_MAX] = {NULL};
    for (unsigned i = 0; i < parameter_count; i++) {
        names[i] = JSStringCreateWithUTF8CString(parameters[i]);
    }
    JSObjectRef function =
        JSObjectMakeFunction(context, NULL, parameter_count, names, body, NULL, 1, exception);
    for (unsigned i = 0; i < parameter_count; i++) {
        JSStringRelease(names[i]);
    }
    return function;
}

// The owner's code as function (exports, module). NULL: it is not JavaScript.
static JSObjectRef compile(struct lambda_function *function, struct bytes code, char *message,
                           size_t message_bytes)
{
    // On the first line, so that line numbers are the owner's.
    static const char STRICT[] = "\"use strict\";";
    static const char OPEN[] = "(function (exports, module) {";
    static const char CLOSE[] = "\n})";
    // JavaScriptCore puts the parameters on two lines before a function's body.
    static const double LINES_BEFORE = 2;
    static const char *const PARAMETERS[] = {"exports", "module"};

    JSContextRef context = function->realm;
    struct buffer text = BUFFER_EMPTY;
    JSStringRef body = NULL;
    JSStringRef script = NULL;
    JSStringRef address = string_make(bytes_text(function->name));
    JSObjectRef load = NULL;
    snprintf(message, message_bytes, "no memory to compile it");

    if (buffer_append(&text, OPEN, sizeof OPEN - 1) != STATUS_OK ||
        buffer_append(&text, STRICT, sizeof STRICT - 1) != STATUS_OK ||
        (code.length > 0 && buffer_append(&text, code.at, code.length) != STATUS_OK)) {
        goto done;
    }
    body = string_make(bytes_of(text.bytes + (sizeof OPEN - 1), text.length - (sizeof OPEN - 1)));
    if (body == NULL || buffer_append(&text, CLOSE, sizeof CLOSE - 1) != STATUS_OK) {
        goto done;
    }
    script = string_make(buffer_bytes(&text));
    if (script == NULL || address == NULL) {
        goto done;
    }
    JSValueRef exception = NULL;
    if (make_function(context, PARAMETERS, 2, body, &exception) == NULL) {
        describe_syntax(context, exception, LINES_BEFORE, message, message_bytes);
        goto done;
    }
    // Once more as an expression: the stack traces of this one have the owner's lines and name.
    JSValueRef value = JSEvaluateScript(context, script, NULL, address, 1, &exception);
    if (value == NULL) {
        describe_syntax(context, exception, 0, message, message_bytes);
        goto done;
    }
    load = JSValueToObject(context, value, NULL);

done:
    if (address != NULL) {
        JSStringRelease(address);
    }
    if (script != NULL) {
        JSStringRelease(script);
    }
    if (body != NULL) {
        JSStringRelease(body);
    }
    buffer_release(&text);
    return load;
}

static JSObjectRef make_natives(struct lambda_function *function)
{
    JSContextRef context = function->realm;
    JSObjectRef natives = JSObjectMake(context, NULL, NULL);
    for (size_t i = 0; i < NATIVE_COUNT; i++) {
        JSObjectRef native = JSObjectMake(context, function->engine->classes[i], function);
        JSStringRef key = JSStringCreateWithUTF8CString(NATIVES[i].name);
        JSObjectSetProperty(context, natives, key, native, kJSPropertyAttributeNone, NULL);
        JSStringRelease(key);
    }
    return natives;
}

// Run prelude.js in the function's realm.
static enum status furnish(struct lambda_function *function, JSObjectRef load)
{
    static const char *const PARAMETERS[] = {"native", "load", "name", "version", "worker"};
    JSContextRef context = function->realm;
    JSStringRef text =
        string_make(bytes_of(lambda_prelude, (size_t)(lambda_prelude_end - lambda_prelude)));
    if (text == NULL) {
        return STATUS_NO_MEMORY;
    }
    JSObjectRef prelude = make_function(context, PARAMETERS, 5, text, NULL);
    JSStringRelease(text);
    CHECK(prelude != NULL);

    const JSValueRef arguments[] = {
        make_natives(function),
        load,
        value_of_text(context, bytes_text(function->name)),
        JSValueMakeNumber(context, (double)function->version),
        value_of_text(context, bytes_text(function->engine->worker)),
    };
    JSValueRef made = JSObjectCallAsFunction(context, prelude, NULL, 5, arguments, NULL);
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    JSObjectRef entries = JSValueToObject(context, made, NULL);
    function->run = JSValueToObject(context, property(context, entries, "run"), NULL);
    function->enter = JSValueToObject(context, property(context, entries, "enter"), NULL);
    CHECK(function->run != NULL && function->enter != NULL);
    JSValueProtect(context, function->run);
    JSValueProtect(context, function->enter);
    return STATUS_OK;
}

enum status lambda_function_new(struct lambda_engine *engine, const struct lambda_source *source,
                                struct lambda_function **target, char *message,
                                size_t message_bytes)
{
    *target = NULL;
    snprintf(message, message_bytes, "no memory");
    struct lambda_function *function = calloc(1, sizeof *function);
    if (function == NULL) {
        return STATUS_NO_MEMORY;
    }
    function->engine = engine;
    function->version = source->version;
    function->owner = source->owner;
    function->limits = source->limits;
    struct lambda_limits *limits = &function->limits;
    limits->time_ms = limits->time_ms == 0 ? TIME_MS_DEFAULT : limits->time_ms;
    limits->memory_bytes = limits->memory_bytes == 0 ? MEMORY_BYTES_DEFAULT : limits->memory_bytes;
    limits->response_bytes =
        limits->response_bytes == 0 ? RESPONSE_BYTES_DEFAULT : limits->response_bytes;

    enum status status = STATUS_NO_MEMORY;
    function->name = strdup(source->name);
    if (function->name == NULL) {
        goto done;
    }
    function->realm = JSGlobalContextCreateInGroup(engine->group, NULL);
    JSObjectRef load = compile(function, source->code, message, message_bytes);
    if (load == NULL) {
        status = STATUS_MALFORMED;
        goto done;
    }
    status = furnish(function, load);

done:
    if (status != STATUS_OK) {
        lambda_function_free(function);
        return status;
    }
    message[0] = '\0';
    *target = function;
    return STATUS_OK;
}

void lambda_function_free(struct lambda_function *function)
{
    if (function == NULL) {
        return;
    }
    CHECK(function->engine->invocation == NULL);
    if (function->run != NULL) {
        JSValueUnprotect(function->realm, function->run);
        JSValueUnprotect(function->realm, function->enter);
    }
    if (function->realm != NULL) {
        JSGlobalContextRelease(function->realm);
    }
    free(function->name);
    free(function);
}

const char *lambda_function_name(const struct lambda_function *function)
{
    return function->name;
}

void *lambda_function_owner(const struct lambda_function *function)
{
    return function->owner;
}

// ---- invocations ----

const char *lambda_outcome_text(enum lambda_outcome outcome)
{
    switch (outcome) {
    case LAMBDA_OK:
        return "ok";
    case LAMBDA_THREW:
        return "threw an error";
    case LAMBDA_TIMED_OUT:
        return "ran longer than its time limit";
    case LAMBDA_OUT_OF_MEMORY:
        return "took more memory than its limit";
    case LAMBDA_TOO_LARGE:
        return "answered more than its limit";
    case LAMBDA_NO_HANDLER:
        return "has no handler";
    case LAMBDA_NEVER_SETTLED:
        return "returned a promise that never settles";
    }
    return "unknown outcome";
}

void lambda_result_release(struct lambda_result *result)
{
    buffer_release(&result->head);
    buffer_release(&result->body);
    buffer_release(&result->message);
    *result = LAMBDA_RESULT_EMPTY;
}

static void result_clear(struct lambda_result *result)
{
    buffer_clear(&result->head);
    buffer_clear(&result->body);
    buffer_clear(&result->message);
    result->header_count = 0;
    result->http_status = 0;
}

// A script that was stopped may leave the order to stop behind, and the engine does not survive
// to meet it while it makes a realm: run something that does nothing until nothing stops it.
static void clean_up(struct lambda_engine *engine, const struct lambda_function *function)
{
    enum { ATTEMPT_COUNT_MAX = 1000 };
    int attempts = 0;
    while (JSEvaluateScript(function->realm, engine->idle, NULL, NULL, 1, NULL) == NULL) {
        CHECK(++attempts < ATTEMPT_COUNT_MAX);
    }
    // What it held is not to count against the next.
    JSSynchronousGarbageCollectForDebugging(function->realm);
}

void lambda_invoke(struct lambda_engine *engine, const struct lambda_function *function,
                   const struct lambda_event *event, const struct lambda_calls *calls,
                   void *context, struct lambda_result *result)
{
    CHECK(engine->invocation == NULL);
    CHECK(function->engine == engine);
    result_clear(result);

    const struct lambda_limits *limits = &function->limits;
    uint64_t resident = resident_bytes(engine->statm);
    struct invocation invocation = {
        .event = event,
        .calls = calls,
        .context = context,
        .result = result,
        .limits = limits,
        .deadline_ns = now_ns() + limits->time_ms * 1000000u,
        .resident_bytes_max = resident + limits->memory_bytes,
    };
    engine->invocation = &invocation;
    watch(engine, &invocation);

    const JSValueRef arguments[] = {
        value_of_text(function->realm, event->method),
        value_of_text(function->realm, event->path),
        value_of_text(function->realm, event->query),
    };
    JSValueRef exception = NULL;
    JSObjectCallAsFunction(function->realm, function->run, NULL, 3, arguments, &exception);

    if (engine->seat != NULL) {
        watchdog_leave(engine->seat);
    }
    if (!invocation.is_stopped && exception != NULL) {
        // The prelude catches what a function throws, unless there is no stack left to do it.
        settle_with(&invocation, LAMBDA_THREW, "ran out of stack");
    }
    if (invocation.is_stopped) {
        clean_up(engine, function);
        say(result, lambda_outcome_text(result->outcome));
    } else if (!invocation.is_settled) {
        settle_with(&invocation, LAMBDA_NEVER_SETTLED, lambda_outcome_text(LAMBDA_NEVER_SETTLED));
    }
    engine->invocation = NULL;
}

// ---- warm-up ----

// Time zones come from files of their own, whatever else was loaded.
static const char TOUCHES[] =
    "exports.handler = (event) => {\n"
    "    const values = [new Date(0).toLocaleString('de', { timeZone: 'Asia/Tokyo',\n"
    "        timeZoneName: 'long' }), new Date(0), new Date(2020, 6, 1),\n"
    "        new Date().getTimezoneOffset(), Date.parse('1 Jul 2020'),\n"
    "        Intl.DateTimeFormat().resolvedOptions().timeZone,\n"
    "        Intl.supportedValuesOf('timeZone').length,\n"
    "        new Intl.NumberFormat('en', { style: 'percent' }).format(0.5),\n"
    "        /^(\\w+)\\s*=\\s*\\p{L}/u.exec('name = value'),\n"
    "        'a'.localeCompare('b'), new Intl.Collator('de').compare('z', 'ä'),\n"
    "        'ä'.normalize('NFD').toLocaleUpperCase('tr')];\n"
    "    return [values.map(String), event.query, event.headers, event.body];\n"
    "};\n";

static const char NEVER_ENDS[] = "exports.handler = () => { for (;;); };";

static enum status run_once(struct lambda_engine *engine, const char *code, uint64_t time_ms,
                            enum lambda_outcome expected)
{
    static const struct lambda_event EVENT = {.header_count = 0};
    const struct lambda_source source = {
        .name = "warm-up",
        .code = bytes_text(code),
        .limits = {.time_ms = time_ms},
    };
    char message[128];
    struct lambda_function *function = NULL;
    enum status status = lambda_function_new(engine, &source, &function, message, sizeof message);
    if (status != STATUS_OK) {
        return status;
    }
    struct lambda_result result = LAMBDA_RESULT_EMPTY;
    lambda_invoke(engine, function, &EVENT, &CLOSED, NULL, &result);
    status = result.outcome == expected ? STATUS_OK : STATUS_IO;
    lambda_result_release(&result);
    lambda_function_free(function);
    return status;
}

enum status lambda_engine_warm_up_further(struct lambda_engine *engine)
{
    return run_once(engine, NEVER_ENDS, 1, LAMBDA_TIMED_OUT);
}

enum status lambda_engine_warm_up(struct lambda_engine *engine)
{
    // A cold disk may take its time.
    enum status status = run_once(engine, TOUCHES, 60000, LAMBDA_OK);
    return status != STATUS_OK ? status : lambda_engine_warm_up_further(engine);
}
