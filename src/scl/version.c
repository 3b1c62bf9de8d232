/* src/scl/version.c */
#include "scl/version.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"

enum { VERSION_DIGITS_MAX = 18 };  // no number of them overflows

static void skip(struct bytes *text, size_t count)
{
    *text = bytes_of(text->at + count, text->length - count);
}

/* Read decimal digits. False: none, or too many. */
static bool read_number(struct bytes *text, uint64_t *number)
{
    size_t digits = 0;
    *number = 0;
    while (digits < text->length && text->at[digits] >= '0' && text->at[digits] <= '9') {
        if (digits == VERSION_DIGITS_MAX) {
            return false;
        }
        *number = *number * 10 + (uint64_t)(text->at[digits] - '0');
        digits++;
    }
    skip(text, digits);
    return digits > 0;
}

static bool read_hex(struct bytes *text, uint8_t *bytes, size_t count)
{
    if (text->length < 2 * count || !hex_decode(bytes, count, (const char *)text->at, 2 * count)) {
        return false;
    }
    skip(text, 2 * count);
    return true;
}

static bool read_mark(struct bytes *text, char mark)
{
    if (text->length == 0 || text->at[0] != (uint8_t)mark) {
        return false;
    }
    skip(text, 1);
    return true;
}

enum status version_decode(struct version *version, struct bytes text)
{
    *version = (struct version){.term = 0};
    bool is_whole = read_hex(&text, version->capsule, VERSION_ID_BYTES) && read_mark(&text, '.') &&
                    read_number(&text, &version->term) && read_mark(&text, '.') &&
                    read_number(&text, &version->epoch);
    version->heads = text;
    return is_whole ? STATUS_OK : STATUS_MALFORMED;
}

enum status version_next(struct version *version, struct version_head *head)
{
    struct bytes *text = &version->heads;
    *head = (struct version_head){.sequence = 0};
    if (text->length == 0) {
        return STATUS_EMPTY;
    }
    bool is_whole = read_mark(text, '.') && read_hex(text, head->writer, VERSION_ID_BYTES) &&
                    read_mark(text, '-') && read_number(text, &head->sequence);
    if (is_whole && read_mark(text, '-')) {
        head->has_hash = true;
        is_whole = read_hex(text, head->hash, VERSION_HASH_BYTES);
    }
    return is_whole ? STATUS_OK : STATUS_MALFORMED;
}

enum status version_begin(char *text, size_t text_bytes, const struct version *version)
{
    char capsule[2 * VERSION_ID_BYTES + 1];
    hex_encode(capsule, version->capsule, VERSION_ID_BYTES);
    int length = snprintf(text, text_bytes, "%s.%" PRIu64 ".%" PRIu64, capsule, version->term,
                          version->epoch);
    return (size_t)length < text_bytes ? STATUS_OK : STATUS_FULL;
}

enum status version_add(char *text, size_t text_bytes, const struct version_head *head)
{
    char writer[2 * VERSION_ID_BYTES + 1], hash[2 * VERSION_HASH_BYTES + 1] = "";
    size_t end = strlen(text);
    hex_encode(writer, head->writer, VERSION_ID_BYTES);
    if (head->has_hash) {
        hex_encode(hash, head->hash, VERSION_HASH_BYTES);
    }
    int length = snprintf(text + end, text_bytes - end, ".%s-%" PRIu64 "%s%s", writer,
                          head->sequence, head->has_hash ? "-" : "", hash);
    if ((size_t)length >= text_bytes - end) {
        text[end] = '\0';
        return STATUS_FULL;
    }
    return STATUS_OK;
}
