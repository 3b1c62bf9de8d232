/* src/cli/client_head.c */
#include "cli/client_head.h"

#include <string.h>
#include <strings.h>

/* The next line of `rest`, without its CRLF; false: there is no whole one. */
static bool take_line(struct bytes *rest, struct bytes *line)
{
    for (size_t i = 0; i + 1 < rest->length; i++) {
        if (rest->at[i] == '\r' && rest->at[i + 1] == '\n') {
            *line = bytes_of(rest->at, i);
            *rest = bytes_of(rest->at + i + 2, rest->length - i - 2);
            return true;
        }
    }
    return false;
}

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

/* Split "name: value"; false: it is none. */
static bool split_field(struct bytes line, struct bytes *name, struct bytes *value)
{
    const uint8_t *colon = line.length == 0 ? NULL : memchr(line.at, ':', line.length);
    if (colon == NULL || colon == line.at) {
        return false;
    }
    *name = bytes_of(line.at, (size_t)(colon - line.at));
    *value = bytes_of(colon + 1, line.length - name->length - 1);
    while (value->length > 0 && is_blank(value->at[0])) {
        *value = bytes_of(value->at + 1, value->length - 1);
    }
    while (value->length > 0 && is_blank(value->at[value->length - 1])) {
        value->length--;
    }
    return true;
}

static bool is_word(struct bytes bytes, const char *word)
{
    return bytes.length == strlen(word) &&
           (bytes.length == 0 || strncasecmp((const char *)bytes.at, word, bytes.length) == 0);
}

static bool read_digits(struct bytes digits, uint64_t *number)
{
    uint64_t result = 0;
    for (size_t i = 0; i < digits.length; i++) {
        if (digits.at[i] < '0' || digits.at[i] > '9' || result > (UINT64_MAX - 9) / 10) {
            return false;
        }
        result = result * 10 + (uint64_t)(digits.at[i] - '0');
    }
    *number = result;
    return digits.length > 0;
}

/* "HTTP/1.1 200 OK" */
static bool read_first_line(struct bytes line, unsigned *status)
{
    const struct bytes version = bytes_text("HTTP/1.1 ");
    uint64_t number;
    if (!bytes_start_with(line, version) || line.length < version.length + 3 ||
        !read_digits(bytes_of(line.at + version.length, 3), &number) ||
        (line.length > version.length + 3 && line.at[version.length + 3] != ' ')) {
        return false;
    }
    *status = (unsigned)number;
    return 100 <= number && number <= 599;
}

static enum status note_field(struct client_head *head, struct bytes name, struct bytes value)
{
    if (is_word(name, "content-length")) {
        if (head->has_length || !read_digits(value, &head->content_length)) {
            return STATUS_MALFORMED;
        }
        head->has_length = true;
    }
    if (is_word(name, "transfer-encoding")) {
        return STATUS_DENIED;
    }
    if (is_word(name, "connection") && is_word(value, "close")) {
        head->closes = true;
    }
    return STATUS_OK;
}

enum status client_head_parse(struct client_head *head, struct bytes bytes)
{
    struct bytes rest = bytes, line, name, value;
    enum status unfinished = bytes.length > CLIENT_HEAD_BYTES_MAX ? STATUS_MALFORMED : STATUS_EMPTY;
    *head = (struct client_head){.status = 0};
    if (!take_line(&rest, &line)) {
        return unfinished;
    }
    if (!read_first_line(line, &head->status)) {
        return STATUS_MALFORMED;
    }
    const uint8_t *fields = rest.at;
    while (take_line(&rest, &line)) {
        if (line.length == 0) {
            head->head_bytes = bytes.length - rest.length;
            head->fields = bytes_of(fields, (size_t)(line.at - fields));
            return head->head_bytes > CLIENT_HEAD_BYTES_MAX ? STATUS_MALFORMED : STATUS_OK;
        }
        if (!split_field(line, &name, &value)) {
            return STATUS_MALFORMED;
        }
        enum status status = note_field(head, name, value);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return unfinished;
}

bool client_head_field(const struct client_head *head, const char *name, struct bytes *value)
{
    struct bytes rest = head->fields, line, found;
    while (take_line(&rest, &line)) {
        if (split_field(line, &found, value) && is_word(found, name)) {
            return true;
        }
    }
    return false;
}
