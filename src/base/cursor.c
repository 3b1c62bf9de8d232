/* src/base/cursor.c */
#include "base/cursor.h"

#include <string.h>

struct cursor cursor_over(const void *bytes, size_t length)
{
    static const uint8_t nothing[1];
    return (struct cursor){.at = length == 0 ? nothing : bytes, .left = length};
}

const uint8_t *cursor_take(struct cursor *in, size_t length)
{
    if (in->failed || in->left < length) {
        in->failed = true;
        return NULL;
    }
    const uint8_t *taken = in->at;
    in->at += length;
    in->left -= length;
    return taken;
}

static uint64_t cursor_integer(struct cursor *in, size_t width)
{
    const uint8_t *bytes = cursor_take(in, width);
    uint64_t value = 0;
    for (size_t i = 0; bytes != NULL && i < width; i++) {
        value |= (uint64_t)bytes[i] << (8 * i);
    }
    return value;
}

uint8_t cursor_u8(struct cursor *in)
{
    return (uint8_t)cursor_integer(in, 1);
}

uint16_t cursor_u16(struct cursor *in)
{
    return (uint16_t)cursor_integer(in, 2);
}

uint32_t cursor_u32(struct cursor *in)
{
    return (uint32_t)cursor_integer(in, 4);
}

uint64_t cursor_u64(struct cursor *in)
{
    return cursor_integer(in, 8);
}

uint64_t cursor_varint(struct cursor *in)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = cursor_u8(in);
        uint64_t bits = byte & 0x7f;
        bool is_overlong = byte == 0 && shift > 0;
        bool is_too_large = shift == 63 && bits > 1;
        if (in->failed || is_overlong || is_too_large) {
            break;
        }
        value |= bits << shift;
        if ((byte & 0x80) == 0) {
            return value;
        }
    }
    in->failed = true;
    return 0;
}

struct bytes cursor_bytes(struct cursor *in, size_t length)
{
    const uint8_t *taken = cursor_take(in, length);
    return bytes_of(taken, taken == NULL ? 0 : length);
}

struct bytes cursor_run(struct cursor *in)
{
    uint32_t length = cursor_u32(in);
    return cursor_bytes(in, length);
}

void cursor_copy(struct cursor *in, void *target, size_t length)
{
    const uint8_t *taken = cursor_take(in, length);
    if (length == 0) {
        return;
    }
    if (taken != NULL) {
        memcpy(target, taken, length);
    } else {
        memset(target, 0, length);
    }
}

bool cursor_done(const struct cursor *in)
{
    return !in->failed && in->left == 0;
}
