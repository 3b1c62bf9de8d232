/* src/serve/response.c */
#include "serve/response.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const char *reason_of(unsigned status)
{
    switch (status) {
    case 200:
        return "OK";
    case 201:
        return "Created";
    case 202:
        return "Accepted";
    case 204:
        return "No Content";
    case 301:
        return "Moved Permanently";
    case 302:
        return "Found";
    case 303:
        return "See Other";
    case 304:
        return "Not Modified";
    case 307:
        return "Temporary Redirect";
    case 308:
        return "Permanent Redirect";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 412:
        return "Precondition Failed";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 417:
        return "Expectation Failed";
    case 422:
        return "Unprocessable Content";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "";
    }
}

static bool is_token_byte(uint8_t byte)
{
    return ('a' <= byte && byte <= 'z') || ('A' <= byte && byte <= 'Z') ||
           ('0' <= byte && byte <= '9') || (byte != 0 && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

static bool is_ours(struct bytes name)
{
    static const char *const ours[] = {"content-length", "connection", "transfer-encoding",
                                       "content-type",   "keep-alive", "upgrade",
                                       "trailer"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        if (name.length == strlen(ours[i]) &&
            strncasecmp((const char *)name.at, ours[i], name.length) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_name(struct bytes name)
{
    for (size_t i = 0; i < name.length; i++) {
        if (!is_token_byte(name.at[i])) {
            return false;
        }
    }
    return name.length > 0 && !is_ours(name);
}

static bool is_value(struct bytes value)
{
    for (size_t i = 0; i < value.length; i++) {
        uint8_t byte = value.at[i];
        if ((byte < ' ' && byte != '\t') || byte == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool has_good_headers(const struct response *response)
{
    if (response->header_count > RESPONSE_HEADER_COUNT_MAX || !is_value(response->content_type)) {
        return false;
    }
    size_t left = RESPONSE_HEADER_BYTES_MAX;
    for (size_t i = 0; i < response->header_count; i++) {
        const struct response_header *header = &response->headers[i];
        if (header->name.length > left || header->value.length > left - header->name.length ||
            !is_name(header->name) || !is_value(header->value)) {
            return false;
        }
        left -= header->name.length + header->value.length;
    }
    return response->content_type.length <= RESPONSE_HEADER_BYTES_MAX;
}

/* For what was reserved before. */
static void put(struct buffer *target, struct bytes text)
{
    if (text.length > 0) {
        memcpy(target->bytes + target->length, text.at, text.length);
        target->length += text.length;
    }
}

static void put_text(struct buffer *target, const char *text)
{
    put(target, bytes_text(text));
}

static void put_header(struct buffer *target, struct bytes name, struct bytes value)
{
    put(target, name);
    put_text(target, ": ");
    put(target, value);
    put_text(target, "\r\n");
}

/* Status line and the headers that are ours: never longer than this. */
enum { FIXED_BYTES_MAX = 256 };

enum status response_encode(struct buffer *target, const struct response *response,
                            const struct response_frame *frame)
{
    if (response->status < 200 || response->status > 599 || !has_good_headers(response)) {
        return STATUS_MALFORMED;
    }
    bool may_have_body = response->status != 204 && response->status != 304;
    bool has_body = may_have_body && !frame->is_head;

    size_t needed = FIXED_BYTES_MAX + response->content_type.length;
    for (size_t i = 0; i < response->header_count; i++) {
        needed += response->headers[i].name.length + response->headers[i].value.length + 4;
    }
    needed += has_body ? response->body.length : 0;
    enum status status = buffer_reserve(target, needed);
    if (status != STATUS_OK) {
        return status;
    }

    char fixed[FIXED_BYTES_MAX];
    snprintf(fixed, sizeof fixed, "HTTP/1.1 %u %s\r\n", response->status,
             reason_of(response->status));
    put_text(target, fixed);
    if (response->content_type.length > 0) {
        put_header(target, bytes_text("Content-Type"), response->content_type);
    }
    if (may_have_body) {
        snprintf(fixed, sizeof fixed, "Content-Length: %zu\r\n", response->body.length);
        put_text(target, fixed);
    }
    if (frame->closes) {
        put_text(target, "Connection: close\r\n");
    } else if (frame->is_http_1_0) {
        put_text(target, "Connection: keep-alive\r\n");
    }
    for (size_t i = 0; i < response->header_count; i++) {
        put_header(target, response->headers[i].name, response->headers[i].value);
    }
    put_text(target, "\r\n");
    if (has_body) {
        put(target, response->body);
    }
    return STATUS_OK;
}

/*
 * Bytes of the UTF-8 character that `text` begins with; 0 when it begins with none:
 * a stray or missing continuation, an overlong form, a surrogate, or beyond U+10FFFF.
 */
static size_t utf8_bytes(struct bytes text)
{
    uint8_t first = text.at[0];
    if (first < 0x80) {
        return 1;
    }
    size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.length < length) {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if ((text.at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    uint8_t second = text.at[1];
    bool is_bad = (first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
                  (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f);
    return is_bad ? 0 : length;
}

enum status response_append_json(struct buffer *target, struct bytes text)
{
    // Six bytes, "\u0000", is the longest that one byte becomes.
    enum { ESCAPE_BYTES_MAX = 6 };
    if (text.length > SIZE_MAX / ESCAPE_BYTES_MAX - 2) {
        return STATUS_NO_MEMORY;
    }
    enum status status = buffer_reserve(target, text.length * ESCAPE_BYTES_MAX + 2);
    if (status != STATUS_OK) {
        return status;
    }
    put_text(target, "\"");
    while (text.length > 0) {
        uint8_t byte = text.at[0];
        size_t length = utf8_bytes(text);
        if (length == 0) {
            put_text(target, "\\ufffd");
            length = 1;
        } else if (byte == '"' || byte == '\\') {
            put_text(target, "\\");
            put(target, bytes_of(&byte, 1));
        } else if (byte < ' ') {
            char escape[ESCAPE_BYTES_MAX + 1];
            snprintf(escape, sizeof escape, "\\u%04x", byte);
            put_text(target, escape);
        } else {
            put(target, bytes_of(text.at, length));
        }
        text.at += length;
        text.length -= length;
    }
    put_text(target, "\"");
    return STATUS_OK;
}

enum status response_error(struct response *response, struct buffer *body, unsigned status,
                           const char *code, struct bytes message)
{
    static const char before_code[] = "{\"error\":{\"code\":";
    static const char before_message[] = ",\"message\":";
    static const char end[] = "}}\n";

    buffer_clear(body);
    enum status result = buffer_append(body, before_code, sizeof before_code - 1);
    if (result == STATUS_OK) {
        result = response_append_json(body, bytes_text(code));
    }
    if (result == STATUS_OK) {
        result = buffer_append(body, before_message, sizeof before_message - 1);
    }
    if (result == STATUS_OK) {
        result = response_append_json(body, message);
    }
    if (result == STATUS_OK) {
        result = buffer_append(body, end, sizeof end - 1);
    }
    *response = (struct response){
        .status = status,
        .content_type = bytes_text("application/json"),
        .body = buffer_bytes(body),
    };
    return result;
}
