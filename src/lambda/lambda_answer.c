/* src/lambda/lambda_answer.c */
#include <string.h>

#include "lambda/lambda_internal.h"

enum {
    HTTP_STATUS_MIN = 200,
    HTTP_STATUS_MAX = 599,
    CODE_BYTES_MAX = 64,
};

static void settle(struct lambda_invocation *invocation, enum lambda_outcome outcome)
{
    invocation->result->outcome = outcome;
    invocation->is_settled = true;
}

void lambda_answer_say(struct lambda_result *result, const char *message)
{
    buffer_clear(&result->message);
    // Without memory the message stays empty; the outcome says enough.
    if (buffer_append(&result->message, message, strlen(message)) != STATUS_OK) {
        buffer_clear(&result->message);
    }
}

void lambda_answer_settle(struct lambda_invocation *invocation, enum lambda_outcome outcome,
                          const char *message)
{
    if (!invocation->is_stopped) {
        settle(invocation, outcome);
        lambda_answer_say(invocation->result, message);
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
static JSValueRef native_answer(const struct lambda_call *call)
{
    struct lambda_invocation *invocation = call->invocation;
    struct lambda_result *result = invocation->result;
    JSValueRef undefined = JSValueMakeUndefined(call->context);

    if (invocation->is_stopped) {
        return undefined;
    }
    double http_status = JSValueToNumber(call->context, call->arguments[0], NULL);
    if (!(http_status >= HTTP_STATUS_MIN && http_status <= HTTP_STATUS_MAX)) {
        lambda_answer_settle(invocation, LAMBDA_THREW,
                             "the answer's status is not one of 200 to 599");
        return undefined;
    }
    buffer_clear(&result->head);
    result->header_count = 0;
    enum status status = lambda_value_append(&result->head, call->context, call->arguments[1],
                                             LAMBDA_HEADER_BYTES_MAX);
    if (status != STATUS_OK || !split_head(result)) {
        lambda_answer_settle(invocation, LAMBDA_THREW,
                             "the answer's headers are too many, too long or not allowed in HTTP");
        return undefined;
    }
    buffer_clear(&result->body);
    uint64_t bytes_max = invocation->limits->response_bytes;
    // The length comes first, because looking at a long string flattens it.
    status = JSValueToNumber(call->context, call->arguments[3], NULL) > (double)bytes_max
                 ? STATUS_NO_SPACE
                 : lambda_value_append(&result->body, call->context, call->arguments[2], bytes_max);
    if (status == STATUS_NO_SPACE) {
        buffer_release(&result->body);
        lambda_answer_settle(invocation, LAMBDA_TOO_LARGE,
                             "the answer is longer than the function's limit");
    } else if (status != STATUS_OK) {
        lambda_answer_settle(invocation, LAMBDA_OUT_OF_MEMORY, "no memory for the answer");
    } else {
        result->http_status = (uint32_t)http_status;
        settle(invocation, LAMBDA_OK);
    }
    return undefined;
}

// threw(description, code)
static JSValueRef native_threw(const struct lambda_call *call)
{
    struct lambda_invocation *invocation = call->invocation;
    if (invocation->is_stopped) {
        return JSValueMakeUndefined(call->context);
    }
    lambda_answer_settle(invocation, LAMBDA_THREW, "");
    if (lambda_value_append(&invocation->result->message, call->context, call->arguments[0],
                            LAMBDA_LOG_BYTES_MAX) != STATUS_OK) {
        lambda_answer_settle(invocation, LAMBDA_THREW, "threw an error with an overlong message");
    }
    if (lambda_value_append(&invocation->result->code, call->context, call->arguments[1],
                            CODE_BYTES_MAX) != STATUS_OK) {
        buffer_clear(&invocation->result->code);  // none of ours
    }
    return JSValueMakeUndefined(call->context);
}

// noHandler()
static JSValueRef native_no_handler(const struct lambda_call *call)
{
    lambda_answer_settle(call->invocation, LAMBDA_NO_HANDLER,
                         "the function sets no exports.handler");
    return JSValueMakeUndefined(call->context);
}

const struct lambda_native lambda_answer_natives[] = {
    {"answer", "", native_answer},
    {"threw", "", native_threw},
    {"noHandler", "", native_no_handler},
    {NULL, NULL, NULL},
};
