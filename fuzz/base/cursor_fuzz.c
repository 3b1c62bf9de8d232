/* fuzz/base/cursor_fuzz.c */

/*
 * The input is a program: each byte chooses a read of the rest. No read may
 * leave the input, a failed cursor gives nothing but zeroes, and a varint that
 * was read is written back as the same bytes.
 */
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "base/encoder.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void read_varint(struct cursor *in)
{
    const uint8_t *start = in->at;
    uint64_t value = cursor_varint(in);
    if (in->failed) {
        CHECK(value == 0);
        return;
    }
    size_t used = (size_t)(in->at - start);
    uint8_t again[ENCODER_VARINT_BYTES_MAX];
    struct encoder out = encoder_over(again, sizeof again);
    encoder_varint(&out, value);
    CHECK(!out.failed);
    CHECK(out.length == used);
    CHECK(encoder_varint_bytes(value) == used);
    CHECK(memcmp(again, start, used) == 0);
}

static void read_fixed(struct cursor *in, uint8_t choice)
{
    const uint8_t *start = in->at;
    size_t width = (size_t)1 << (choice & 3);
    uint64_t value = width == 1   ? cursor_u8(in)
                     : width == 2 ? cursor_u16(in)
                     : width == 4 ? cursor_u32(in)
                                  : cursor_u64(in);
    if (in->failed) {
        CHECK(value == 0);
        return;
    }
    uint8_t again[8];
    struct encoder out = encoder_over(again, sizeof again);
    encoder_u64(&out, value);
    CHECK(memcmp(again, start, width) == 0);
}

static void read_run(struct cursor *in, uint8_t choice)
{
    uint8_t copy[64];
    size_t length = choice >> 2;
    memset(copy, 0xaa, sizeof copy);
    cursor_copy(in, copy, length);
    for (size_t i = 0; in->failed && i < length; i++) {
        CHECK(copy[i] == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct cursor in = cursor_over(bytes, length);
    while (!in.failed && in.left > 0) {
        size_t left = in.left;
        uint8_t choice = cursor_u8(&in);
        if ((choice & 3) == 3) {
            read_run(&in, choice);
        } else if (choice & 4) {
            read_varint(&in);
        } else {
            read_fixed(&in, choice >> 3);
        }
        CHECK(in.left < left);
    }
    CHECK(cursor_done(&in) == !in.failed);
    CHECK(!in.failed || cursor_take(&in, 0) == NULL);
    return 0;
}
