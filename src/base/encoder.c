/* src/base/encoder.c */
#include "base/encoder.h"

#include <string.h>

#include "base/check.h"

struct encoder encoder_over(void *start, size_t capacity)
{
    return (struct encoder){.start = start, .capacity = capacity};
}

enum status encoder_begin(struct encoder *out, struct buffer *target, size_t length)
{
    // One byte at least: an empty buffer has no memory, and so no end to write behind.
    enum status status = buffer_reserve(target, length > 0 ? length : 1);
    if (status == STATUS_OK) {
        *out = encoder_over(target->bytes + target->length, length);
    }
    return status;
}

void encoder_finish(const struct encoder *out, struct buffer *target)
{
    CHECK(!out->failed && out->length == out->capacity);
    CHECK(out->start == target->bytes + target->length);
    target->length += out->length;
}

uint8_t *encoder_reserve(struct encoder *out, size_t length)
{
    if (out->failed || out->capacity - out->length < length) {
        out->failed = true;
        return NULL;
    }
    uint8_t *reserved = out->start + out->length;
    out->length += length;
    return reserved;
}

static void encoder_integer(struct encoder *out, uint64_t value, size_t width)
{
    uint8_t *target = encoder_reserve(out, width);
    for (size_t i = 0; target != NULL && i < width; i++) {
        target[i] = (uint8_t)(value >> (8 * i));
    }
}

void encoder_u8(struct encoder *out, uint8_t value)
{
    encoder_integer(out, value, 1);
}

void encoder_u16(struct encoder *out, uint16_t value)
{
    encoder_integer(out, value, 2);
}

void encoder_u32(struct encoder *out, uint32_t value)
{
    encoder_integer(out, value, 4);
}

void encoder_u64(struct encoder *out, uint64_t value)
{
    encoder_integer(out, value, 8);
}

size_t encoder_varint_bytes(uint64_t value)
{
    size_t count = 1;
    while (value >= 0x80) {
        value >>= 7;
        count++;
    }
    return count;
}

void encoder_varint(struct encoder *out, uint64_t value)
{
    // Reserved whole, so that a number that does not fit leaves no beginning behind.
    size_t count = encoder_varint_bytes(value);
    uint8_t *target = encoder_reserve(out, count);
    for (size_t i = 0; target != NULL && i < count; i++) {
        uint8_t more = i + 1 < count ? 0x80 : 0;
        target[i] = (uint8_t)((value & 0x7f) | more);
        value >>= 7;
    }
}

void encoder_bytes(struct encoder *out, const void *bytes, size_t length)
{
    uint8_t *target = encoder_reserve(out, length);
    if (target != NULL && length > 0) {
        memcpy(target, bytes, length);
    }
}

void encoder_run(struct encoder *out, struct bytes run)
{
    CHECK(run.length <= UINT32_MAX);
    encoder_u32(out, (uint32_t)run.length);
    encoder_bytes(out, run.at, run.length);
}
