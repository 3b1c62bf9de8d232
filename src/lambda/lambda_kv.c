/* src/lambda/lambda_kv.c */
#include "base/cursor.h"
#include "lambda/lambda_internal.h"

static JSValueRef throw_key(const struct lambda_call *call, enum status status)
{
    if (status != STATUS_MALFORMED) {
        return lambda_native_throw_status(call, status);
    }
    return lambda_native_throw(call, "a key is a string of 1 to 1024 bytes of UTF-8", "invalid");
}

// get(key, as_bytes): a string, a Uint8Array, or undefined.
static JSValueRef native_get(const struct lambda_call *call)
{
    struct lambda_invocation *invocation = call->invocation;
    struct buffer key = BUFFER_EMPTY;
    struct buffer stored = BUFFER_EMPTY;
    JSValueRef value = JSValueMakeUndefined(call->context);

    enum status status = lambda_native_take_key(call, 0, 1, &key);
    if (status != STATUS_OK) {
        throw_key(call, status);
        goto done;
    }
    status =
        invocation->calls->get(invocation->context, call->function, buffer_bytes(&key), &stored);
    if (status == STATUS_OK) {
        value = JSValueToBoolean(call->context, call->arguments[1])
                    ? lambda_value_of_bytes(call->context, buffer_bytes(&stored), call->exception)
                    : lambda_value_of_text(call->context, buffer_bytes(&stored));
    } else if (status != STATUS_NOT_FOUND) {
        lambda_native_throw_status(call, status);
    }

done:
    buffer_release(&stored);
    buffer_release(&key);
    return value;
}

enum status lambda_kv_take_put(const struct lambda_call *call, size_t key_at, size_t content_at,
                               struct buffer *key, struct buffer *content, uint64_t *ttl_ms)
{
    const JSValueRef *arguments = &call->arguments[content_at];
    enum status status = lambda_native_take_key(call, key_at, 1, key);
    if (status != STATUS_OK) {
        throw_key(call, status);
        return status;
    }
    double ttl = JSValueToNumber(call->context, arguments[2], call->exception);
    if (!(ttl >= 0 && ttl <= 9007199254740991.0)) {  // also refuses NaN
        lambda_native_throw(call, "ttlMs is a number of milliseconds, 0 or more", "invalid");
        return STATUS_MALFORMED;
    }
    *ttl_ms = (uint64_t)ttl;
    // The length comes first, because looking at a long string flattens it.
    status =
        JSValueToNumber(call->context, arguments[1], NULL) > LAMBDA_VALUE_BYTES_MAX
            ? STATUS_NO_SPACE
            : lambda_value_append(content, call->context, arguments[0], LAMBDA_VALUE_BYTES_MAX);
    if (status == STATUS_NO_SPACE) {
        lambda_native_throw(call, "the value is longer than 1 MiB", "too_large");
    } else if (status != STATUS_OK) {
        lambda_native_throw_status(call, status);
    }
    return status;
}

// put(key, content, content's length, ttl_ms)
static JSValueRef native_put(const struct lambda_call *call)
{
    struct lambda_invocation *invocation = call->invocation;
    struct buffer key = BUFFER_EMPTY;
    struct buffer stored = BUFFER_EMPTY;
    uint64_t ttl_ms;
    enum status status = lambda_kv_take_put(call, 0, 1, &key, &stored, &ttl_ms);
    if (status == STATUS_OK) {
        status = invocation->calls->put(invocation->context, call->function, buffer_bytes(&key),
                                        buffer_bytes(&stored), ttl_ms);
        if (status != STATUS_OK) {
            lambda_native_throw_status(call, status);
        }
    }
    buffer_release(&stored);
    buffer_release(&key);
    return JSValueMakeUndefined(call->context);
}

// delete(key)
static JSValueRef native_delete(const struct lambda_call *call)
{
    struct lambda_invocation *invocation = call->invocation;
    struct buffer key = BUFFER_EMPTY;
    enum status status = lambda_native_take_key(call, 0, 1, &key);
    if (status != STATUS_OK) {
        throw_key(call, status);
    } else {
        status =
            invocation->calls->delete (invocation->context, call->function, buffer_bytes(&key));
        if (status != STATUS_OK && status != STATUS_NOT_FOUND) {
            lambda_native_throw_status(call, status);
        }
    }
    buffer_release(&key);
    return JSValueMakeUndefined(call->context);
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
                                         : lambda_value_of_text(context, buffer_bytes(next));
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
            JSObjectSetPropertyAtIndex(context, array, index++, lambda_value_of_text(context, part),
                                       exception);
        }
    }
    return array;
}

// list(prefix, limit, cursor)
static JSValueRef native_list(const struct lambda_call *call)
{
    struct lambda_invocation *invocation = call->invocation;
    struct buffer prefix = BUFFER_EMPTY;
    struct buffer cursor = BUFFER_EMPTY;
    struct buffer next = BUFFER_EMPTY;
    struct listing listing = {.packed = BUFFER_EMPTY};
    JSValueRef value = JSValueMakeUndefined(call->context);

    enum status status = lambda_native_take_key(call, 0, 0, &prefix);
    if (status == STATUS_OK) {
        status = lambda_native_take_key(call, 2, 0, &cursor);
    }
    double limit = JSValueIsNumber(call->context, call->arguments[1])
                       ? JSValueToNumber(call->context, call->arguments[1], NULL)
                       : 0;
    if (status == STATUS_OK && !(limit >= 1 && limit <= LAMBDA_LIST_LIMIT_MAX)) {
        status = STATUS_MALFORMED;
    }
    if (status == STATUS_MALFORMED) {
        lambda_native_throw(call, "takes a prefix and a limit of 1 to 1000", "invalid");
        goto done;
    }
    if (status == STATUS_OK) {
        status = invocation->calls->list(invocation->context, call->function, buffer_bytes(&prefix),
                                         (size_t)limit, buffer_bytes(&cursor), listing_visit,
                                         &listing, &next);
    }
    if (status == STATUS_OK) {
        status = listing.status;
    }
    if (status == STATUS_OK) {
        value = listing_value(&listing, call->context, &next, call->exception);
    } else {
        lambda_native_throw_status(call, status);
    }

done:
    buffer_release(&listing.packed);
    buffer_release(&next);
    buffer_release(&cursor);
    buffer_release(&prefix);
    return value;
}

// sync()
static JSValueRef native_sync(const struct lambda_call *call)
{
    struct lambda_invocation *invocation = call->invocation;
    // Waiting for stores is no runaway: the watchdog looks away, the time limit does not.
    struct watchdog_seat *seat = call->function->engine->seat;
    if (seat != NULL) {
        watchdog_leave(seat);
    }
    enum status status = invocation->calls->sync(invocation->context, call->function);
    lambda_limit_watch(call->function->engine, invocation);
    if (status != STATUS_OK) {
        lambda_native_throw_status(call, status);
    }
    return JSValueMakeUndefined(call->context);
}

const struct lambda_native lambda_kv_natives[] = {
    {"get", "kv.get", native_get},          {"put", "kv.put", native_put},
    {"delete", "kv.delete", native_delete}, {"list", "kv.list", native_list},
    {"sync", "kv.sync", native_sync},       {NULL, NULL, NULL},
};
