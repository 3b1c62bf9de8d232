/* src/serve/response.h */
#ifndef SERVE_RESPONSE_H
#define SERVE_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"

/*
 * response: the answer to one request. All of it is borrowed by whoever is
 * handed one, for the length of that call.
 *
 * Content-Length, Connection and Transfer-Encoding are written by
 * response_encode() alone. There is no Date: an enclave has no clock to trust.
 */
enum { RESPONSE_HEADER_COUNT_MAX = 64, RESPONSE_HEADER_BYTES_MAX = 16 * 1024 };

struct response_header {
    struct bytes name;
    struct bytes value;
};

struct response {
    unsigned status;            // 200 to 599
    struct bytes content_type;  // empty: none
    const struct response_header *headers;
    size_t header_count;
    struct bytes body;
};

/* What the request says about how its response looks. */
struct response_frame {
    bool is_head;      // headers as if, but no body
    bool is_http_1_0;  // an open connection has to be announced
    bool closes;       // the connection ends behind it
};

/*
 * Append the response as bytes of HTTP/1.1. STATUS_MALFORMED: the status is out
 * of range, or a header (a function's own, perhaps) has a name that is no token,
 * a control byte in its value, a name that is ours to write, or there are too many;
 * then nothing was appended.
 */
MUST_CHECK enum status response_encode(struct buffer *target, const struct response *response,
                                       const struct response_frame *frame);

/*
 * Make `response` the error {"error":{"code":"…","message":"…"}}, written to
 * `body`, which the response borrows. Bytes of the message that are not UTF-8 become U+FFFD.
 */
MUST_CHECK enum status response_error(struct response *response, struct buffer *body,
                                      unsigned status, const char *code, struct bytes message);

/* Append `text` as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
MUST_CHECK enum status response_append_json(struct buffer *target, struct bytes text);

#endif
