/* src/attest/pem.c */
#include "attest/pem.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static const char BEGIN[] = "-----BEGIN ";
static const char END[] = "-----END ";
static const char DASHES[] = "-----";

static bool is_line_end(uint8_t sign)
{
    return sign == '\n' || sign == '\r';
}

static void skip(struct bytes *rest, size_t length)
{
    rest->at += length;
    rest->length -= length;
}

/*
 * The length of the first line with its end, when it is empty or words of printable ASCII: 0 when
 * it is not. Five dashes are no words: a block's first or last line that was altered is one no
 * more, and does not pass for an explanation.
 */
static size_t words_length(struct bytes rest)
{
    size_t dash_count = 0;
    for (size_t i = 0; i < rest.length; i++) {
        uint8_t sign = rest.at[i];
        dash_count = sign == '-' ? dash_count + 1 : 0;
        if (is_line_end(sign)) {
            return i + 1;
        }
        if (dash_count == sizeof DASHES - 1 || (sign != '\t' && (sign < ' ' || sign > '~'))) {
            return 0;
        }
    }
    return 0;
}

static void skip_words(struct bytes *rest)
{
    for (size_t length; (length = words_length(*rest)) > 0;) {
        skip(rest, length);
    }
}

static bool take(struct bytes *rest, const char *text)
{
    struct bytes wanted = bytes_text(text);
    if (!bytes_start_with(*rest, wanted)) {
        return false;
    }
    skip(rest, wanted.length);
    return true;
}

static bool take_line(struct bytes *rest, const char *start, const char *label)
{
    return take(rest, start) && take(rest, label) && take(rest, DASHES);
}

static bool is_zero(struct bytes bytes)
{
    for (size_t i = 0; i < bytes.length; i++) {
        if (bytes.at[i] != 0) {
            return false;
        }
    }
    return true;
}

/* The six bits of a sign; 64 for the padding, -1 for any other. */
static int sextet(uint8_t sign)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
    const char *found = sign == 0 ? NULL : strchr(alphabet, sign);
    return found == NULL ? -1 : (int)(found - alphabet);
}

/* Append what four signs stand for. */
static enum status append_group(struct buffer *der, const int signs[4])
{
    size_t padding = signs[3] < 64 ? 0 : signs[2] < 64 ? 1 : 2;
    if (signs[0] > 63 || signs[1] > 63 || (signs[2] > 63 && signs[3] < 64)) {
        return STATUS_MALFORMED;
    }
    uint32_t bits = (uint32_t)signs[0] << 18 | (uint32_t)signs[1] << 12;
    bits |= padding < 2 ? (uint32_t)signs[2] << 6 : 0;
    bits |= padding < 1 ? (uint32_t)signs[3] : 0;
    const uint8_t bytes[] = {(uint8_t)(bits >> 16), (uint8_t)(bits >> 8), (uint8_t)bits};
    for (size_t i = 3 - padding; i < 3; i++) {
        if (bytes[i] != 0) {
            return STATUS_MALFORMED;  // bits that stand for nothing
        }
    }
    enum status status = buffer_append(der, bytes, 3 - padding);
    return status == STATUS_OK && padding > 0 ? STATUS_EMPTY : status;
}

/* Up to the line that ends the block. */
static enum status decode_base64(struct buffer *der, struct bytes *rest)
{
    int signs[4];
    size_t count = 0;
    bool is_padded = false;
    while (rest->length > 0 && rest->at[0] != '-') {
        int sign = sextet(rest->at[0]);
        bool is_break = is_line_end(rest->at[0]);
        skip(rest, 1);
        if (is_break) {
            continue;
        }
        if (sign < 0 || is_padded) {
            return STATUS_MALFORMED;
        }
        signs[count++] = sign;
        if (count == 4) {
            enum status status = append_group(der, signs);
            if (status != STATUS_OK && status != STATUS_EMPTY) {
                return status;
            }
            is_padded = status == STATUS_EMPTY;
            count = 0;
        }
    }
    return count == 0 && der->length > 0 ? STATUS_OK : STATUS_MALFORMED;
}

bool pem_is_text(struct bytes text)
{
    skip_words(&text);
    return bytes_start_with(text, bytes_text(BEGIN));
}

enum status pem_next(struct buffer *der, struct bytes *rest, const char *label)
{
    buffer_clear(der);
    skip_words(rest);
    if (is_zero(*rest)) {
        return STATUS_EMPTY;
    }
    if (!take_line(rest, BEGIN, label) || rest->length == 0 || !is_line_end(rest->at[0])) {
        return STATUS_MALFORMED;
    }
    enum status status = decode_base64(der, rest);
    if (status != STATUS_OK) {
        return status;
    }
    bool is_ended = take_line(rest, END, label) &&
                    (rest->length == 0 || rest->at[0] == 0 || is_line_end(rest->at[0]));
    return is_ended ? STATUS_OK : STATUS_MALFORMED;
}
