/* tests/capsule/prune_test.c */

/*
 * Goal: a PRUNE reads back as it was written, and only one encoding of a set of ranges is one.
 * Method: write one; cut it, lengthen it, bend each bound.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "capsule/prune.h"

enum { RANGES_OFFSET = 68, RANGE_BYTES = 32, FROM_OFFSET = 16, TO_OFFSET = 24 };

static const struct prune_range RANGES[] = {
    {.writer = {{1}}, .from = 1, .to = 4},
    {.writer = {{1}}, .from = 6, .to = 6},
    {.writer = {{2}}, .from = 3, .to = 900},
};

static struct buffer encode(void)
{
    struct buffer body = BUFFER_EMPTY;
    const struct prune_body prune = {
        .term = 7,
        .manifest = {.writer = {{3}}, .head = {.sequence = 5, .hash = {{4}}}},
        .range_count = 3,
    };
    assert_int_equal(prune_encode(&body, &prune, RANGES), STATUS_OK);
    return body;
}

static void a_prune_reads_back(void **state)
{
    (void)state;
    struct prune_body read;
    struct buffer body = encode();
    assert_int_equal(prune_decode(&read, buffer_bytes(&body)), STATUS_OK);
    assert_int_equal(read.term, 7);
    assert_int_equal(read.manifest.head.sequence, 5);
    assert_int_equal(read.manifest.writer.bytes[0], 3);
    assert_int_equal(read.range_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        struct prune_range range = prune_range_at(&read, i);
        assert_memory_equal(&range, &RANGES[i], sizeof range);
    }
    buffer_release(&body);
}

static void refuses_a_prune_cut_or_lengthened_anywhere(void **state)
{
    (void)state;
    struct prune_body read;
    struct buffer body = encode();
    for (size_t length = 0; length < body.length; length++) {
        assert_int_equal(prune_decode(&read, bytes_of(body.bytes, length)), STATUS_MALFORMED);
    }
    assert_int_equal(buffer_append(&body, "", 1), STATUS_OK);
    assert_int_equal(prune_decode(&read, buffer_bytes(&body)), STATUS_MALFORMED);
    buffer_release(&body);
}

static void refuses_ranges_out_of_order_or_touching(void **state)
{
    (void)state;
    const struct {
        size_t offset;
        uint8_t value;
    } bends[] = {
        {24, 0},                               // a MANIFEST without a sequence
        {RANGES_OFFSET + FROM_OFFSET, 0},      // sequences begin at 1
        {RANGES_OFFSET + FROM_OFFSET, 5},      // its end lies before its start
        {RANGES_OFFSET + TO_OFFSET, 5},        // it touches the next one
        {RANGES_OFFSET + TO_OFFSET, 6},        // it meets the next one
        {RANGES_OFFSET + 2 * RANGE_BYTES, 0},  // writers go up
        {RANGES_OFFSET, 0},                    // nobody's
        {RANGES_OFFSET - 4, 2},                // one range too many
    };
    for (size_t i = 0; i < sizeof bends / sizeof *bends; i++) {
        struct prune_body read;
        struct buffer body = encode();
        body.bytes[bends[i].offset] = bends[i].value;
        assert_int_equal(prune_decode(&read, buffer_bytes(&body)), STATUS_MALFORMED);
        buffer_release(&body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prune_reads_back),
        cmocka_unit_test(refuses_a_prune_cut_or_lengthened_anywhere),
        cmocka_unit_test(refuses_ranges_out_of_order_or_touching),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
