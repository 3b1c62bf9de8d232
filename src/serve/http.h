/* src/serve/http.h */
#ifndef SERVE_HTTP_H
#define SERVE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"

/*
 * http: one HTTP/1.1 request (RFC 9112) out of a stream of hostile bytes.
 *
 * The head (request line and headers) is gathered whole, scanned by us, and
 * only then shown to llhttp; the body streams through llhttp. Ours to refuse,
 * because the parser does not: a CR without LF and any other control byte in
 * the head, folded lines, headers without a name, a missing or second Host, chunked in HTTP/1.0,
 * any transfer coding but a single "chunked", a Content-Length that is not one plain number,
 * trailers, paths with bad escapes, NUL or dot segments.
 *
 * Served: HTTP/1.1 and 1.0, origin-form targets. Upgrade is ignored.
 */

enum {
    HTTP_HEADER_COUNT_MAX = 64,
    HTTP_TARGET_BYTES_MAX = 8 * 1024,
};

enum http_method {
    HTTP_METHOD_GET,
    HTTP_METHOD_HEAD,
    HTTP_METHOD_POST,
    HTTP_METHOD_PUT,
    HTTP_METHOD_DELETE,
    HTTP_METHOD_PATCH,
    HTTP_METHOD_OPTIONS,
};

struct http_header {
    struct bytes name;   // lower case
    struct bytes value;  // without white space around it
};

/* A whole request. Its bytes lie in the parser's head and body. */
struct http_request {
    enum http_method method;
    bool keeps_alive;
    bool is_http_1_0;
    struct bytes path;   // percent-decoded; begins with '/', no NUL, no "." or ".." segment
    struct bytes query;  // as sent, behind the '?'; see query.h
    struct bytes token;  // of "Authorization: Bearer"; empty without one
    struct bytes body;
    struct http_header headers[HTTP_HEADER_COUNT_MAX];
    size_t header_count;
};

/* The value of a header, by its lower-case name. False: the request has none. */
bool http_find(const struct http_request *request, const char *name, struct bytes *value);

/* "GET", "HEAD", … Static storage. */
const char *http_method_text(enum http_method method);

struct http_limits {
    size_t head_bytes_max;
    size_t body_bytes_max;
};

/* How to answer a request that is refused. Static storage. */
struct http_refusal {
    unsigned status;
    const char *code;     // for programs
    const char *message;  // for people
    const char *allow;    // with 405: the methods allowed; else NULL
};

struct http_parser;

/* `limits` is copied. NULL: no memory. */
struct http_parser *http_new(const struct http_limits *limits);
void http_free(struct http_parser *parser);

/*
 * Forget everything, and be ready for another request. Wipes, and keeps memory of a moderate size.
 */
void http_reset(struct http_parser *parser);

/*
 * Feed the next bytes of the stream; `*used` says how many belong to this request.
 *
 * STATUS_OK: http_request() is whole, until http_reset(). STATUS_EMPTY: all
 * were used, and more are needed. STATUS_MALFORMED: refused, http_refusal()
 * says how; nothing after it on this stream means anything. STATUS_NO_MEMORY:
 * likewise, and the refusal is 503.
 */
MUST_CHECK enum status http_feed(struct http_parser *parser, struct bytes input, size_t *used);

/*
 * Borrow the request, until http_reset(). Before http_feed() gave STATUS_OK,
 * method, version and headers are valid only once http_has_head().
 */
const struct http_request *http_request(const struct http_parser *parser);
const struct http_refusal *http_refusal(const struct http_parser *parser);

/* Whether any byte of a request has arrived; whether its whole head has. */
bool http_has_begun(const struct http_parser *parser);
bool http_has_head(const struct http_parser *parser);

/*
 * Whether the client sends the body only after "100 Continue": true from the head to the body's
 * first byte.
 */
bool http_awaits_continue(const struct http_parser *parser);

/* Bytes of body held. */
size_t http_body_bytes(const struct http_parser *parser);

#endif
