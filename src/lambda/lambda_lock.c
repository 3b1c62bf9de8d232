/* src/lambda/lambda_lock.c */
#include "lambda/lambda_internal.h"

// What a host call that waits refuses with, in the words of locks.
static JSValueRef throw_lock(const struct lambda_call *call, enum status status)
{
    switch (status) {
    case STATUS_TIMEOUT:
        return lambda_native_throw(call, "not granted in time; two may wait for each other",
                                   "lock_timeout");
    case STATUS_STALE:
        return lambda_native_throw(call, "this invocation holds it already", "lock_held");
    case STATUS_FULL:
        return lambda_native_throw(call, "too many locks are held or waited for", "lock_busy");
    default:
        return lambda_native_throw_status(call, status);
    }
}

static JSValueRef throw_unlock(const struct lambda_call *call, enum status status)
{
    switch (status) {
    case STATUS_STALE:
        return lambda_native_throw(call, "it was taken over; nothing written under it counts",
                                   "lock_lost");
    case STATUS_TIMEOUT:
        return lambda_native_throw(call, "the leader does not answer; it may or may not count",
                                   "lock_undecided");
    default:
        return lambda_native_throw_status(call, status);
    }
}

// Waiting for the leader and the stores is no runaway: the watchdog looks away meanwhile.
static void look_away(const struct lambda_call *call)
{
    struct watchdog_seat *seat = call->function->engine->seat;
    if (seat != NULL) {
        watchdog_leave(seat);
    }
}

// lock(name): the number of the hold.
static JSValueRef native_lock(const struct lambda_call *call)
{
    struct lambda_invocation *invocation = call->invocation;
    struct buffer name = BUFFER_EMPTY;
    JSValueRef value = JSValueMakeUndefined(call->context);
    uint32_t hold = 0;
    enum status status = lambda_native_take_key(call, 0, 1, &name);
    if (status == STATUS_MALFORMED) {
        lambda_native_throw(call, "a name is a string of 1 to 1024 bytes of UTF-8", "invalid");
        goto done;
    }
    if (status == STATUS_OK) {
        look_away(call);
        status = invocation->calls->lock(invocation->context, call->function, buffer_bytes(&name),
                                         &hold);
        lambda_limit_watch(call->function->engine, invocation);
    }
    if (status == STATUS_OK) {
        value = JSValueMakeNumber(call->context, hold);
    } else {
        throw_lock(call, status);
    }

done:
    buffer_release(&name);
    return value;
}

static uint32_t hold_of(const struct lambda_call *call)
{
    return (uint32_t)JSValueToNumber(call->context, call->arguments[0], NULL);
}

// unlock(hold)
static JSValueRef native_unlock(const struct lambda_call *call)
{
    struct lambda_invocation *invocation = call->invocation;
    look_away(call);
    enum status status =
        invocation->calls->unlock(invocation->context, call->function, hold_of(call));
    lambda_limit_watch(call->function->engine, invocation);
    if (status != STATUS_OK) {
        throw_unlock(call, status);
    }
    return JSValueMakeUndefined(call->context);
}

// abandon(hold): what was written under it is forgotten.
static JSValueRef native_abandon(const struct lambda_call *call)
{
    struct lambda_invocation *invocation = call->invocation;
    invocation->calls->abandon(invocation->context, call->function, hold_of(call));
    return JSValueMakeUndefined(call->context);
}

// version(key): a string, or undefined.
static JSValueRef native_version(const struct lambda_call *call)
{
    struct lambda_invocation *invocation = call->invocation;
    struct buffer key = BUFFER_EMPTY;
    struct buffer version = BUFFER_EMPTY;
    JSValueRef value = JSValueMakeUndefined(call->context);
    enum status status = lambda_native_take_key(call, 0, 1, &key);
    if (status == STATUS_OK) {
        status = invocation->calls->version(invocation->context, call->function, buffer_bytes(&key),
                                            &version);
    }
    if (status == STATUS_OK) {
        value = lambda_value_of_text(call->context, buffer_bytes(&version));
    } else if (status != STATUS_NOT_FOUND) {
        lambda_native_throw_status(call, status);
    }
    buffer_release(&version);
    buffer_release(&key);
    return value;
}

// swap(key, expected version or '', content, content's length, ttl_ms): whether it was that
// version.
static JSValueRef native_swap(const struct lambda_call *call)
{
    struct lambda_invocation *invocation = call->invocation;
    struct buffer key = BUFFER_EMPTY;
    struct buffer expected = BUFFER_EMPTY;
    struct buffer stored = BUFFER_EMPTY;
    uint64_t ttl_ms = 0;
    bool is_done = false;
    enum status status = lambda_kv_take_put(call, 0, 2, &key, &stored, &ttl_ms);
    if (status != STATUS_OK) {
        goto done;  // it has thrown
    }
    status = lambda_native_take_key(call, 1, 0, &expected);
    if (status == STATUS_OK) {
        look_away(call);
        status = invocation->calls->swap(invocation->context, call->function, buffer_bytes(&key),
                                         buffer_bytes(&expected), buffer_bytes(&stored), ttl_ms,
                                         &is_done);
        lambda_limit_watch(call->function->engine, invocation);
    }
    if (status == STATUS_STALE) {
        throw_unlock(call, status);
    } else if (status != STATUS_OK) {
        throw_lock(call, status);
    }

done:
    buffer_release(&stored);
    buffer_release(&expected);
    buffer_release(&key);
    return JSValueMakeBoolean(call->context, is_done);
}

const struct lambda_native lambda_lock_natives[] = {
    {"lock", "ctx.lock", native_lock},       {"unlock", "ctx.lock", native_unlock},
    {"abandon", "ctx.lock", native_abandon}, {"version", "kv.version", native_version},
    {"swap", "kv.cas", native_swap},         {NULL, NULL, NULL},
};
