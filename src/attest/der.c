/* src/attest/der.c */
#include "attest/der.h"

#include <stddef.h>

enum { TAG_NUMBER = 0x1f, LENGTH_LONG = 0x80, LENGTH_BYTES_MAX = 3 };

/* The length field: one byte below 128, or 0x80 + n and then n bytes, as few as can be. */
static size_t read_length(struct cursor *in)
{
    size_t first = cursor_u8(in);
    if (first < LENGTH_LONG) {
        return first;
    }
    size_t count = first - LENGTH_LONG, length = 0;
    if (count == 0 || count > LENGTH_BYTES_MAX) {
        in->failed = true;
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        length = length << 8 | cursor_u8(in);
    }
    if (length < LENGTH_LONG || length >> 8 * (count - 1) == 0) {
        in->failed = true;  // a shorter form would have done
    }
    return length;
}

bool der_next(struct der *element, struct cursor *in)
{
    if (in->failed || in->left == 0) {
        return false;
    }
    const uint8_t *start = in->at;
    element->tag = cursor_u8(in);
    size_t length = read_length(in);
    element->value = cursor_bytes(in, length);
    if ((element->tag & TAG_NUMBER) == TAG_NUMBER) {
        in->failed = true;
    }
    if (in->failed) {
        return false;
    }
    element->whole = bytes_of(start, (size_t)(in->at - start));
    return true;
}

bool der_expect(struct bytes *value, enum der_tag tag, struct cursor *in)
{
    struct der element;
    if (!der_next(&element, in) || element.tag != tag) {
        in->failed = true;
        return false;
    }
    *value = element.value;
    return true;
}

bool der_number(uint32_t *number, struct bytes value, uint32_t max)
{
    if (value.length == 0 || value.length > 5 || value.at[0] >= 0x80) {
        return false;
    }
    if (value.length > 1 && value.at[0] == 0 && value.at[1] < 0x80) {
        return false;
    }
    uint64_t read = 0;
    for (size_t i = 0; i < value.length; i++) {
        read = read << 8 | value.at[i];
    }
    if (read > max) {
        return false;
    }
    *number = (uint32_t)read;
    return true;
}
