/* src/serve/http.c */
#define _GNU_SOURCE  // memmem()
#include "serve/http.h"

#include <stdlib.h>
#include <string.h>

#include <llhttp.h>

#include "base/check.h"
#include "serve/percent.h"

// What a parser keeps for its next request; more is given back.
enum { KEPT_BYTES_MAX = 64 * 1024 };

enum stage {
    STAGE_HEAD,
    STAGE_BODY,
    STAGE_WHOLE,
    STAGE_REFUSED,
};

struct http_parser {
    llhttp_t llhttp;
    struct http_limits limits;
    enum stage stage;
    bool awaits_continue;
    struct buffer head;
    size_t scanned;  // bytes of the head known to be good
    size_t line_start;
    bool has_request_line;
    struct buffer body;
    struct bytes target;
    struct bytes name;   // of the header being parsed
    struct bytes value;  // likewise
    struct http_request request;
    struct http_refusal refusal;
};

static const struct http_refusal refused_head = {400, "malformed", "the request is malformed",
                                                 NULL};
static const struct http_refusal refused_head_size = {431, "header_too_large",
                                                      "the header block is too large", NULL};
static const struct http_refusal refused_target_size = {414, "uri_too_long",
                                                        "the request target is too long", NULL};
static const struct http_refusal refused_path = {
    400, "malformed_path", "the path has a bad escape, a NUL, or a '.' or '..' segment", NULL};
static const struct http_refusal refused_method = {501, "method_not_implemented",
                                                   "no resource here has this method", NULL};
static const struct http_refusal refused_version = {505, "version_not_supported",
                                                    "only HTTP/1.1 and HTTP/1.0 are served", NULL};
static const struct http_refusal refused_host = {400, "malformed_host",
                                                 "exactly one Host header is needed", NULL};
static const struct http_refusal refused_framing = {
    400, "malformed_framing",
    "the body needs one plain Content-Length, or \"Transfer-Encoding: chunked\"", NULL};
static const struct http_refusal refused_expectation = {
    417, "expectation_failed", "the only expectation met is 100-continue", NULL};
static const struct http_refusal refused_token = {
    400, "malformed_authorization", "at most one Authorization header, \"Bearer TOKEN\"", NULL};
static const struct http_refusal refused_body_size = {413, "body_too_large",
                                                      "the body is too large", NULL};
static const struct http_refusal refused_body = {400, "malformed_body",
                                                 "the body's chunks are malformed", NULL};
static const struct http_refusal refused_memory = {503, "overloaded",
                                                   "no memory for this request now", NULL};

static enum status refuse(struct http_parser *parser, struct http_refusal refusal)
{
    parser->stage = STAGE_REFUSED;
    parser->refusal = refusal;
    return refusal.status == 503 ? STATUS_NO_MEMORY : STATUS_MALFORMED;
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

static bool equals_ignoring_case(struct bytes text, const char *lower)
{
    return text.length == strlen(lower) &&
           strncasecmp((const char *)text.at, lower, text.length) == 0;
}

static struct bytes trim(struct bytes text)
{
    while (text.length > 0 && is_space(text.at[0])) {
        text.at++;
        text.length--;
    }
    while (text.length > 0 && is_space(text.at[text.length - 1])) {
        text.length--;
    }
    return text;
}

/* A value may reach llhttp's callback in pieces, which lie side by side in the head. */
static struct bytes extend(struct bytes text, const char *at, size_t length)
{
    if (text.length == 0) {
        return bytes_of(at, length);
    }
    CHECK(text.at + text.length <= (const uint8_t *)at);
    text.length = (size_t)((const uint8_t *)at + length - text.at);
    return text;
}

static int on_url(llhttp_t *llhttp, const char *at, size_t length)
{
    struct http_parser *parser = llhttp->data;
    parser->target = extend(parser->target, at, length);
    return 0;
}

static int on_header_field(llhttp_t *llhttp, const char *at, size_t length)
{
    struct http_parser *parser = llhttp->data;
    if (parser->stage != STAGE_HEAD) {
        return HPE_USER;  // a trailer
    }
    parser->name = extend(parser->name, at, length);
    return 0;
}

static int on_header_value(llhttp_t *llhttp, const char *at, size_t length)
{
    struct http_parser *parser = llhttp->data;
    parser->value = extend(parser->value, at, length);
    return 0;
}

static int on_header_value_complete(llhttp_t *llhttp)
{
    struct http_parser *parser = llhttp->data;
    struct http_request *request = &parser->request;
    if (parser->stage != STAGE_HEAD) {
        return HPE_USER;
    }
    if (request->header_count == HTTP_HEADER_COUNT_MAX) {
        parser->refusal = refused_head_size;
        return HPE_USER;
    }
    request->headers[request->header_count] =
        (struct http_header){.name = parser->name, .value = trim(parser->value)};
    request->header_count++;
    parser->name = bytes_of(NULL, 0);
    parser->value = bytes_of(NULL, 0);
    return 0;
}

static int on_headers_complete(llhttp_t *llhttp)
{
    // An Upgrade that is not taken up is no upgrade (RFC 9110, 7.8).
    llhttp->upgrade = 0;
    return 0;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t length)
{
    struct http_parser *parser = llhttp->data;
    if (length > parser->limits.body_bytes_max - parser->body.length) {
        parser->refusal = refused_body_size;
        return HPE_USER;
    }
    if (buffer_append(&parser->body, at, length) != STATUS_OK) {
        parser->refusal = refused_memory;
        return HPE_USER;
    }
    return 0;
}

static int on_chunk_header(llhttp_t *llhttp)
{
    struct http_parser *parser = llhttp->data;
    if (llhttp->content_length > parser->limits.body_bytes_max - parser->body.length) {
        parser->refusal = refused_body_size;
        return HPE_USER;
    }
    return 0;
}

static int on_message_complete(llhttp_t *llhttp)
{
    (void)llhttp;
    return HPE_PAUSED;  // what follows is the next request's
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
    .on_header_value_complete = on_header_value_complete,
    .on_chunk_header = on_chunk_header,
};

struct http_parser *http_new(const struct http_limits *limits)
{
    struct http_parser *parser = calloc(1, sizeof *parser);
    if (parser == NULL) {
        return NULL;
    }
    parser->limits = *limits;
    http_reset(parser);
    return parser;
}

void http_free(struct http_parser *parser)
{
    if (parser == NULL) {
        return;
    }
    buffer_release(&parser->head);
    buffer_release(&parser->body);
    free(parser);
}

void http_reset(struct http_parser *parser)
{
    buffer_recycle(&parser->head, KEPT_BYTES_MAX);
    buffer_recycle(&parser->body, KEPT_BYTES_MAX);
    llhttp_init(&parser->llhttp, HTTP_REQUEST, &settings);
    parser->llhttp.data = parser;
    parser->stage = STAGE_HEAD;
    parser->awaits_continue = false;
    parser->scanned = 0;
    parser->line_start = 0;
    parser->has_request_line = false;
    parser->target = bytes_of(NULL, 0);
    parser->name = bytes_of(NULL, 0);
    parser->value = bytes_of(NULL, 0);
    parser->refusal = (struct http_refusal){.status = 0};

    struct http_request *request = &parser->request;
    request->method = HTTP_METHOD_GET;
    request->keeps_alive = false;
    request->is_http_1_0 = false;
    request->path = request->query = request->token = request->body = bytes_of(NULL, 0);
    request->header_count = 0;
}

/*
 * Scan the head's new bytes. STATUS_OK: it is whole, and `*head_bytes` long.
 * Between two line ends there is no control byte but a tab, and no line begins with white space.
 */
static enum status head_scan(struct http_parser *parser, size_t *head_bytes)
{
    const uint8_t *at = parser->head.bytes;
    size_t length = parser->head.length;

    for (size_t i = parser->scanned; i < length; i++) {
        uint8_t byte = at[i];
        if (byte >= ' ' && byte != 0x7f) {
            if (byte == ' ' && i == parser->line_start) {
                return STATUS_MALFORMED;
            }
            continue;
        }
        if (byte == '\t' && i != parser->line_start) {
            continue;
        }
        if (byte != '\r') {
            return STATUS_MALFORMED;
        }
        if (i + 1 == length) {
            parser->scanned = i;
            return STATUS_EMPTY;
        }
        if (at[i + 1] != '\n') {
            return STATUS_MALFORMED;
        }
        bool is_empty_line = i == parser->line_start;
        if (is_empty_line && !parser->has_request_line) {
            return STATUS_MALFORMED;
        }
        parser->has_request_line = true;
        i++;
        parser->line_start = i + 1;
        if (is_empty_line) {
            *head_bytes = i + 1;
            return STATUS_OK;
        }
    }
    parser->scanned = length;
    return STATUS_EMPTY;
}

static void lower_case(struct bytes text)
{
    // The head is ours, and this parser's callbacks only narrowed it.
    uint8_t *at = (uint8_t *)(uintptr_t)text.at;
    for (size_t i = 0; i < text.length; i++) {
        if ('A' <= at[i] && at[i] <= 'Z') {
            at[i] = (uint8_t)(at[i] + ('a' - 'A'));
        }
    }
}

static bool method_of(enum http_method *method, unsigned llhttp_method)
{
    switch (llhttp_method) {
    case HTTP_GET:
        *method = HTTP_METHOD_GET;
        return true;
    case HTTP_HEAD:
        *method = HTTP_METHOD_HEAD;
        return true;
    case HTTP_POST:
        *method = HTTP_METHOD_POST;
        return true;
    case HTTP_PUT:
        *method = HTTP_METHOD_PUT;
        return true;
    case HTTP_DELETE:
        *method = HTTP_METHOD_DELETE;
        return true;
    case HTTP_PATCH:
        *method = HTTP_METHOD_PATCH;
        return true;
    case HTTP_OPTIONS:
        *method = HTTP_METHOD_OPTIONS;
        return true;
    default:
        return false;
    }
}

/* Plain digits, and below 2^53, which is far beyond any limit. */
static bool length_decode(struct bytes text, uint64_t *length)
{
    if (text.length == 0 || text.length > 15) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (text.at[i] < '0' || text.at[i] > '9') {
            return false;
        }
        value = value * 10 + (uint64_t)(text.at[i] - '0');
    }
    *length = value;
    return true;
}

static bool has_dot_segment(struct bytes path)
{
    size_t start = 1;
    for (size_t i = 1; i <= path.length; i++) {
        if (i < path.length && path.at[i] != '/') {
            continue;
        }
        struct bytes segment = bytes_of(path.at + start, i - start);
        if (bytes_equal(segment, bytes_text(".")) || bytes_equal(segment, bytes_text(".."))) {
            return true;
        }
        start = i + 1;
    }
    return false;
}

static bool target_split(struct http_parser *parser)
{
    struct bytes target = parser->target;
    if (target.length == 0 || target.at[0] != '/' ||
        memchr(target.at, '#', target.length) != NULL) {
        return false;
    }
    struct http_request *request = &parser->request;
    struct bytes path = target;
    const uint8_t *mark = memchr(target.at, '?', target.length);
    if (mark != NULL) {
        path.length = (size_t)(mark - target.at);
        request->query = bytes_of(mark + 1, target.length - path.length - 1);
    }
    // In place: the target lies in our own head, and decoding never lengthens.
    uint8_t *decoded = (uint8_t *)(uintptr_t)path.at;
    size_t length;
    if (!percent_decode(decoded, path.length, &length, path)) {
        return false;
    }
    request->path = bytes_of(decoded, length);
    return !has_dot_segment(request->path);
}

/* One space before the target and one behind it: llhttp takes more. */
static bool has_plain_request_line(const struct http_parser *parser)
{
    static const char version[] = " HTTP/1.";
    struct bytes target = parser->target;
    size_t offset = (size_t)(target.at - parser->head.bytes);
    size_t behind = parser->head.length - offset - target.length;
    return offset == strlen(http_method_text(parser->request.method)) + 1 &&
           behind > sizeof version - 1 &&
           memcmp(target.at + target.length, version, sizeof version - 1) == 0;
}

static bool token_take(struct http_request *request, struct bytes value)
{
    static const char scheme[] = "bearer ";
    const size_t scheme_bytes = sizeof scheme - 1;
    if (request->token.length != 0 || value.length <= scheme_bytes ||
        strncasecmp((const char *)value.at, scheme, scheme_bytes) != 0) {
        return false;
    }
    request->token = trim(bytes_of(value.at + scheme_bytes, value.length - scheme_bytes));
    return memchr(request->token.at, ' ', request->token.length) == NULL;
}

/* Judge what llhttp let through. */
static enum status head_judge(struct http_parser *parser)
{
    struct http_request *request = &parser->request;
    request->is_http_1_0 = parser->llhttp.http_minor == 0;
    request->keeps_alive = llhttp_should_keep_alive(&parser->llhttp) != 0;

    if (parser->llhttp.http_major != 1) {
        return refuse(parser, refused_version);
    }
    if (!method_of(&request->method, parser->llhttp.method)) {
        return refuse(parser, refused_method);
    }
    if (!has_plain_request_line(parser)) {
        return refuse(parser, refused_head);
    }
    if (parser->target.length > HTTP_TARGET_BYTES_MAX) {
        return refuse(parser, refused_target_size);
    }
    if (!target_split(parser)) {
        return refuse(parser, refused_path);
    }

    size_t host_count = 0, length_count = 0, coding_count = 0;
    uint64_t body_bytes = 0;
    bool expects_continue = false;
    for (size_t i = 0; i < request->header_count; i++) {
        struct bytes name = request->headers[i].name;
        struct bytes value = request->headers[i].value;
        lower_case(name);
        if (name.length == 0) {
            return refuse(parser, refused_head);
        }
        if (equals_ignoring_case(name, "host")) {
            host_count++;
        } else if (equals_ignoring_case(name, "content-length")) {
            length_count++;
            if (!length_decode(value, &body_bytes)) {
                return refuse(parser, refused_framing);
            }
        } else if (equals_ignoring_case(name, "transfer-encoding")) {
            coding_count++;
            if (!equals_ignoring_case(value, "chunked")) {
                return refuse(parser, refused_framing);
            }
        } else if (equals_ignoring_case(name, "expect")) {
            if (!equals_ignoring_case(value, "100-continue")) {
                return refuse(parser, refused_expectation);
            }
            expects_continue = true;
        } else if (equals_ignoring_case(name, "authorization")) {
            if (!token_take(request, value)) {
                return refuse(parser, refused_token);
            }
        }
    }
    if (host_count > 1 || (host_count == 0 && !request->is_http_1_0)) {
        return refuse(parser, refused_host);
    }
    if (length_count + coding_count > 1 || (coding_count > 0 && request->is_http_1_0)) {
        return refuse(parser, refused_framing);
    }
    if (body_bytes > parser->limits.body_bytes_max) {
        return refuse(parser, refused_body_size);
    }
    bool has_body = body_bytes > 0 || coding_count > 0;
    parser->awaits_continue = has_body && expects_continue && !request->is_http_1_0;
    return STATUS_OK;
}

static enum status head_refuse(struct http_parser *parser, llhttp_errno_t error)
{
    if (parser->refusal.status != 0) {
        return refuse(parser, parser->refusal);
    }
    switch (error) {
    case HPE_INVALID_METHOD:
        return refuse(parser, refused_method);
    case HPE_INVALID_VERSION:
    case HPE_PAUSED_H2_UPGRADE:
        return refuse(parser, refused_version);
    case HPE_INVALID_URL:
        return refuse(parser, refused_path);
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
    case HPE_INVALID_TRANSFER_ENCODING:
        return refuse(parser, refused_framing);
    default:
        return refuse(parser, refused_head);
    }
}

static enum status head_parse(struct http_parser *parser)
{
    const char *head = (const char *)parser->head.bytes;
    llhttp_errno_t error = llhttp_execute(&parser->llhttp, head, parser->head.length);
    if (error != HPE_OK && error != HPE_PAUSED) {
        return head_refuse(parser, error);
    }
    enum status status = head_judge(parser);
    if (status != STATUS_OK) {
        return status;
    }
    parser->stage = error == HPE_PAUSED ? STAGE_WHOLE : STAGE_BODY;
    return STATUS_OK;
}

/* Find out which bound a head of too many bytes is over. */
static enum status head_refuse_size(struct http_parser *parser)
{
    return refuse(parser, parser->has_request_line ? refused_head_size : refused_target_size);
}

static enum status head_feed(struct http_parser *parser, struct bytes input, size_t *used)
{
    // One byte above the limit is enough to know that it was crossed.
    size_t before = parser->head.length;
    size_t room = parser->limits.head_bytes_max + 1 - before;
    size_t taken = input.length < room ? input.length : room;
    // The head usually ends within what arrived: copy no more of a long pipeline than that.
    const uint8_t *end = taken == 0 ? NULL : memmem(input.at, taken, "\r\n\r\n", 4);
    if (end != NULL) {
        taken = (size_t)(end + 4 - input.at);
    }
    if (buffer_append(&parser->head, input.at, taken) != STATUS_OK) {
        return refuse(parser, refused_memory);
    }
    size_t head_bytes = 0;
    enum status status = head_scan(parser, &head_bytes);
    if (status == STATUS_MALFORMED) {
        return refuse(parser, refused_head);
    }
    if (status == STATUS_EMPTY) {
        *used = taken;
        return taken == room ? head_refuse_size(parser) : STATUS_EMPTY;
    }
    if (head_bytes > parser->limits.head_bytes_max) {
        return head_refuse_size(parser);
    }
    // The rest is body, or the next request.
    buffer_wipe(parser->head.bytes + head_bytes, parser->head.length - head_bytes);
    parser->head.length = head_bytes;
    *used = head_bytes - before;
    return head_parse(parser);
}

static enum status body_feed(struct http_parser *parser, struct bytes input, size_t *used)
{
    if (input.length == 0) {
        return STATUS_EMPTY;
    }
    parser->awaits_continue = false;
    const char *at = (const char *)input.at;
    llhttp_errno_t error = llhttp_execute(&parser->llhttp, at, input.length);
    if (error == HPE_OK) {
        *used = input.length;
        return STATUS_EMPTY;
    }
    if (error != HPE_PAUSED) {
        return refuse(parser, parser->refusal.status != 0 ? parser->refusal : refused_body);
    }
    *used = (size_t)(llhttp_get_error_pos(&parser->llhttp) - at);
    CHECK(*used <= input.length);
    parser->stage = STAGE_WHOLE;
    return STATUS_OK;
}

enum status http_feed(struct http_parser *parser, struct bytes input, size_t *used)
{
    CHECK(parser->stage == STAGE_HEAD || parser->stage == STAGE_BODY);

    *used = 0;
    if (parser->stage == STAGE_HEAD) {
        enum status status = head_feed(parser, input, used);
        if (status != STATUS_OK) {
            return status;
        }
    }
    if (parser->stage == STAGE_BODY) {
        struct bytes rest = bytes_of(input.at + *used, input.length - *used);
        size_t body_used = 0;
        enum status status = body_feed(parser, rest, &body_used);
        *used += body_used;
        if (status != STATUS_OK) {
            return status;
        }
    }
    parser->request.body = buffer_bytes(&parser->body);
    return STATUS_OK;
}

const struct http_request *http_request(const struct http_parser *parser)
{
    return &parser->request;
}

const struct http_refusal *http_refusal(const struct http_parser *parser)
{
    return &parser->refusal;
}

bool http_has_begun(const struct http_parser *parser)
{
    return parser->stage != STAGE_HEAD || parser->head.length > 0;
}

bool http_has_head(const struct http_parser *parser)
{
    return parser->stage == STAGE_BODY || parser->stage == STAGE_WHOLE;
}

bool http_awaits_continue(const struct http_parser *parser)
{
    return parser->stage == STAGE_BODY && parser->awaits_continue;
}

size_t http_body_bytes(const struct http_parser *parser)
{
    return parser->body.length;
}

bool http_find(const struct http_request *request, const char *name, struct bytes *value)
{
    struct bytes wanted = bytes_text(name);
    for (size_t i = 0; i < request->header_count; i++) {
        if (bytes_equal(request->headers[i].name, wanted)) {
            *value = request->headers[i].value;
            return true;
        }
    }
    return false;
}

const char *http_method_text(enum http_method method)
{
    static const char *const texts[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"};
    return texts[method];
}
