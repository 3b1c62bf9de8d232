/* src/lambda/lambda_enclave.c */
#include "lambda/lambda_internal.h"

// attest(nonce): evidence of this enclave and this function over the nonce, as a Uint8Array.
static JSValueRef native_attest(const struct lambda_call *call)
{
    struct lambda_invocation *invocation = call->invocation;
    struct buffer nonce = BUFFER_EMPTY;
    struct buffer evidence = BUFFER_EMPTY;
    JSValueRef value = JSValueMakeUndefined(call->context);
    enum status status =
        lambda_value_append(&nonce, call->context, call->arguments[0], LAMBDA_NONCE_BYTES_MAX);
    if (status == STATUS_NO_SPACE || (status == STATUS_OK && nonce.length == 0)) {
        lambda_native_throw(call, "a nonce is a string or bytes, 1 to 64 of them", "invalid");
        goto done;
    }
    if (status == STATUS_OK) {
        // Waiting for the platform is no runaway: the watchdog looks away, the time limit does not.
        struct watchdog_seat *seat = call->function->engine->seat;
        if (seat != NULL) {
            watchdog_leave(seat);
        }
        status = invocation->calls->attest(invocation->context, call->function,
                                           buffer_bytes(&nonce), &evidence);
        lambda_limit_watch(call->function->engine, invocation);
    }
    if (status == STATUS_OK) {
        value = lambda_value_of_bytes(call->context, buffer_bytes(&evidence), call->exception);
    } else {
        lambda_native_throw_status(call, status);
    }

done:
    buffer_release(&evidence);
    buffer_release(&nonce);
    return value;
}

// secret(name): a string, or undefined. No error ever has name or text in it.
static JSValueRef native_secret(const struct lambda_call *call)
{
    struct lambda_invocation *invocation = call->invocation;
    struct buffer name = BUFFER_EMPTY;
    struct buffer secret = BUFFER_EMPTY;
    JSValueRef value = JSValueMakeUndefined(call->context);
    enum status status = lambda_native_take_key(call, 0, 1, &name);
    if (status == STATUS_MALFORMED) {
        lambda_native_throw(call, "a name is a string of 1 to 1024 bytes of UTF-8", "invalid");
    } else if (status == STATUS_OK) {
        status = invocation->calls->secret(invocation->context, call->function, buffer_bytes(&name),
                                           &secret);
    }
    if (status == STATUS_OK) {
        value = lambda_value_of_text(call->context, buffer_bytes(&secret));
    } else if (status != STATUS_NOT_FOUND && status != STATUS_MALFORMED) {
        lambda_native_throw_status(call, status);
    }
    buffer_release(&secret);
    buffer_release(&name);
    return value;
}

const struct lambda_native lambda_enclave_natives[] = {
    {"secret", "ctx.secret", native_secret},
    {"attest", "ctx.attest", native_attest},
    {NULL, NULL, NULL},
};
