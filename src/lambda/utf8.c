/* src/lambda/utf8.c */
#include "lambda/utf8.h"

enum {
    REPLACEMENT = 0xfffd,
    SURROGATE_HIGH = 0xd800,
    SURROGATE_LOW = 0xdc00,
    SURROGATE_END = 0xe000,
    BEYOND_PLANE_0 = 0x10000,
};

bool utf8_is_plain(struct bytes text)
{
    uint8_t wrong = 0;
    for (size_t i = 0; i < text.length; i++) {
        // NUL minus 1 has the high bit set, as every byte above 0x80 minus 1 has.
        wrong |= (uint8_t)(text.at[i] - 1) | text.at[i];
    }
    return (wrong & 0x80) == 0;
}

// What a lead byte promises: how many bytes follow, and the bounds of the first of them, which
// exclude overlong forms, surrogates and what lies beyond U+10FFFF.
struct lead {
    uint8_t follow;
    uint8_t lowest;
    uint8_t highest;
};

static struct lead lead_of(uint8_t byte)
{
    if (byte >= 0xc2 && byte <= 0xdf) {
        return (struct lead){1, 0x80, 0xbf};
    }
    if (byte >= 0xe0 && byte <= 0xef) {
        return (struct lead){2, byte == 0xe0 ? 0xa0 : 0x80, byte == 0xed ? 0x9f : 0xbf};
    }
    if (byte >= 0xf0 && byte <= 0xf4) {
        return (struct lead){3, byte == 0xf0 ? 0x90 : 0x80, byte == 0xf4 ? 0x8f : 0xbf};
    }
    return (struct lead){0, 0, 0};
}

// The code point that begins at `*at`, which moves past it.
static uint32_t take_point(struct bytes text, size_t *at)
{
    uint8_t first = text.at[(*at)++];
    if (first < 0x80) {
        return first;
    }
    struct lead lead = lead_of(first);
    if (lead.follow == 0) {
        return REPLACEMENT;
    }
    uint32_t point = first & (0x3fu >> lead.follow);
    for (uint8_t i = 0; i < lead.follow; i++) {
        if (*at == text.length || text.at[*at] < lead.lowest || text.at[*at] > lead.highest) {
            return REPLACEMENT;
        }
        point = point << 6 | (text.at[(*at)++] & 0x3fu);
        lead.lowest = 0x80;
        lead.highest = 0xbf;
    }
    return point;
}

size_t utf8_decode(uint16_t *units, struct bytes text)
{
    size_t count = 0;
    for (size_t at = 0; at < text.length;) {
        uint32_t point = take_point(text, &at);
        if (point < BEYOND_PLANE_0) {
            units[count++] = (uint16_t)point;
        } else {
            point -= BEYOND_PLANE_0;
            units[count++] = (uint16_t)(SURROGATE_HIGH | point >> 10);
            units[count++] = (uint16_t)(SURROGATE_LOW | (point & 0x3ff));
        }
    }
    return count;
}

static size_t write_point(uint8_t *target, uint32_t point)
{
    if (point < 0x80) {
        target[0] = (uint8_t)point;
        return 1;
    }
    if (point < 0x800) {
        target[0] = (uint8_t)(0xc0 | point >> 6);
        target[1] = (uint8_t)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < BEYOND_PLANE_0) {
        target[0] = (uint8_t)(0xe0 | point >> 12);
        target[1] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
        target[2] = (uint8_t)(0x80 | (point & 0x3f));
        return 3;
    }
    target[0] = (uint8_t)(0xf0 | point >> 18);
    target[1] = (uint8_t)(0x80 | (point >> 12 & 0x3f));
    target[2] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
    target[3] = (uint8_t)(0x80 | (point & 0x3f));
    return 4;
}

// Bytes that `units` need, counting lone surrogates as the replacement.
static size_t encoded_bytes(const uint16_t *units, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_surrogate = units[i] >= SURROGATE_HIGH && units[i] < SURROGATE_END;
        // A pair is two units and four bytes; a lone half is three.
        total += units[i] < 0x80 ? 1 : units[i] < 0x800 ? 2 : 3;
        if (is_surrogate && units[i] < SURROGATE_LOW && i + 1 < count &&
            units[i + 1] >= SURROGATE_LOW && units[i + 1] < SURROGATE_END) {
            total++;
            i++;
        }
    }
    return total;
}

enum status utf8_encode(struct buffer *target, const uint16_t *units, size_t count,
                        bool *is_well_formed)
{
    *is_well_formed = true;
    enum status status = buffer_reserve(target, encoded_bytes(units, count));
    if (status != STATUS_OK) {
        return status;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t point = units[i];
        if (point >= SURROGATE_HIGH && point < SURROGATE_END) {
            bool has_low = point < SURROGATE_LOW && i + 1 < count &&
                           units[i + 1] >= SURROGATE_LOW && units[i + 1] < SURROGATE_END;
            if (has_low) {
                point = BEYOND_PLANE_0 + ((point & 0x3ff) << 10 | (units[i + 1] & 0x3ffu));
                i++;
            } else {
                point = REPLACEMENT;
                *is_well_formed = false;
            }
        }
        target->length += write_point(target->bytes + target->length, point);
    }
    return STATUS_OK;
}
