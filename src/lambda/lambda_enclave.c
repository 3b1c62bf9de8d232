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

const struct lambda_native lambda_enclave_natives[] = {
    {"attest", "ctx.attest", native_attest},
    {NULL, NULL, NULL},
};
