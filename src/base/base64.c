/* src/base/base64.c */
#include "base/base64.h"

#include <stdbool.h>
#include <string.h>

static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum status base64_encode(struct buffer *text, struct bytes bytes)
{
    enum status status = buffer_reserve(text, bytes.length / 3 * 4 + 4);
    if (status != STATUS_OK) {
        return status;
    }
    for (size_t i = 0; i < bytes.length; i += 3) {
        size_t left = bytes.length - i;
        uint32_t group = (uint32_t)bytes.at[i] << 16;
        group |= left > 1 ? (uint32_t)bytes.at[i + 1] << 8 : 0;
        group |= left > 2 ? bytes.at[i + 2] : 0;
        uint8_t *out = text->bytes + text->length;
        out[0] = (uint8_t)DIGITS[group >> 18];
        out[1] = (uint8_t)DIGITS[group >> 12 & 63];
        out[2] = left > 1 ? (uint8_t)DIGITS[group >> 6 & 63] : '=';
        out[3] = left > 2 ? (uint8_t)DIGITS[group & 63] : '=';
        text->length += 4;
    }
    return STATUS_OK;
}

/* False: it is no digit. */
static bool digit_value(uint8_t character, uint32_t *value)
{
    const char *found = character == '\0' ? NULL : strchr(DIGITS, character);
    *value = found == NULL ? 0 : (uint32_t)(found - DIGITS);
    return found != NULL;
}

/* The bytes of a group of four characters; 0: it is none. Padding stands for 1 or 2 of three. */
static size_t group_decode(uint8_t out[3], const uint8_t *in, bool is_last)
{
    size_t padding = !is_last || in[3] != '=' ? 0 : in[2] == '=' ? 2 : 1;
    uint32_t group = 0;
    for (size_t i = 0; i < 4; i++) {
        uint32_t value = 0;
        if (i < 4 - padding && !digit_value(in[i], &value)) {
            return 0;
        }
        group = group << 6 | value;
    }
    out[0] = (uint8_t)(group >> 16);
    out[1] = (uint8_t)(group >> 8);
    out[2] = (uint8_t)group;
    // One text for one run of bytes: the bits that padding leaves over are zero.
    bool is_clean = (padding < 1 || out[2] == 0) && (padding < 2 || out[1] == 0);
    return is_clean ? 3 - padding : 0;
}

enum status base64_decode(struct buffer *bytes, struct bytes text)
{
    size_t length = bytes->length;
    if (text.length % 4 != 0) {
        return STATUS_MALFORMED;
    }
    enum status status = buffer_reserve(bytes, text.length / 4 * 3 + 1);
    for (size_t i = 0; i < text.length && status == STATUS_OK; i += 4) {
        uint8_t out[3];
        size_t count = group_decode(out, text.at + i, i + 4 == text.length);
        status = count == 0 ? STATUS_MALFORMED : buffer_append(bytes, out, count);
    }
    if (status != STATUS_OK) {
        bytes->length = length;
    }
    return status;
}
