/* tests/capsule/tuple_test.c */

/*
 * Goal: a batch reads back tuple by tuple; what is malformed anywhere is
 * refused as a whole; one batch has one encoding.
 * Method: build batches, then bend their bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "capsule/tuple.h"

enum { FIRST = TUPLE_BATCH_HEADER_BYTES, FLAGS = FIRST + 1, KEY_LENGTH = FIRST + 2 };
enum { VALUE_LENGTH = FIRST + 4, DELTA = FIRST + 8 };

static void add(struct tuple_batch *batch, enum tuple_kind kind, uint64_t lamport,
                uint64_t expiry_ms, const char *key, const char *value)
{
    struct tuple tuple = {
        .kind = kind,
        .lamport = lamport,
        .expiry_ms = expiry_ms,
        .key = bytes_text(key),
        .value = bytes_text(value),
    };
    assert_int_equal(tuple_batch_add(batch, &tuple), STATUS_OK);
}

static int setup(void **state)
{
    static struct tuple_batch batch;
    batch = (struct tuple_batch){.plain = BUFFER_EMPTY};
    add(&batch, TUPLE_PUT, 5, 0, "key", "value");
    add(&batch, TUPLE_DELETE, 6, 0, "gone", "");
    add(&batch, TUPLE_PUT, 1ull << 50, 99, "k", "");
    *state = &batch;
    return 0;
}

static int teardown(void **state)
{
    tuple_batch_release(*state);
    return 0;
}

static void reads_back_what_was_added(void **state)
{
    struct tuple_batch *batch = *state;
    struct tuple_reader reader;
    struct tuple tuple;
    assert_int_equal(tuple_reader_init(&reader, buffer_bytes(&batch->plain)), STATUS_OK);
    assert_int_equal(tuple_reader_next(&reader, &tuple), STATUS_OK);
    assert_int_equal(tuple.kind, TUPLE_PUT);
    assert_int_equal(tuple.lamport, 5);
    assert_true(bytes_equal(tuple.key, bytes_text("key")));
    assert_true(bytes_equal(tuple.value, bytes_text("value")));
    assert_int_equal(tuple_reader_next(&reader, &tuple), STATUS_OK);
    assert_int_equal(tuple.kind, TUPLE_DELETE);
    assert_int_equal(tuple.lamport, 6);
    assert_int_equal(tuple_reader_next(&reader, &tuple), STATUS_OK);
    assert_true(tuple.lamport == 1ull << 50);
    assert_int_equal(tuple.expiry_ms, 99);
    assert_int_equal(tuple_reader_next(&reader, &tuple), STATUS_EMPTY);
    assert_int_equal(tuple_reader_next(&reader, &tuple), STATUS_EMPTY);

    uint64_t last = 0;
    assert_int_equal(tuple_verify_batch(buffer_bytes(&batch->plain), &last), STATUS_OK);
    assert_true(last == 1ull << 50);
}

static void p7_a_tag_reads_back(void **state)
{
    (void)state;
    struct tuple_batch batch = {.tag = {.lock = {.bytes = {0x4c}}, .fence = 9}};
    struct tuple_reader reader;
    struct tuple tuple;
    add(&batch, TUPLE_PUT, 5, 0, "key", "value");
    add(&batch, TUPLE_DELETE, 6, 0, "gone", "");
    assert_int_equal(tuple_reader_init(&reader, buffer_bytes(&batch.plain)), STATUS_OK);
    assert_int_equal(reader.tag.fence, 9);
    assert_int_equal(reader.tag.lock.bytes[0], 0x4c);
    assert_int_equal(tuple_reader_next(&reader, &tuple), STATUS_OK);
    assert_int_equal(tuple_reader_next(&reader, &tuple), STATUS_OK);
    assert_int_equal(tuple.lamport, 6);
    assert_int_equal(tuple_reader_next(&reader, &tuple), STATUS_EMPTY);

    // A tag without a fence.
    uint8_t *fence = batch.plain.bytes + TUPLE_BATCH_HEADER_BYTES + HASH_BYTES;
    *fence = 0;
    assert_int_equal(tuple_reader_init(&reader, buffer_bytes(&batch.plain)), STATUS_MALFORMED);
    *fence = 9;
    // A tag cut short.
    assert_int_equal(tuple_reader_init(&reader, bytes_of(batch.plain.bytes, 51)), STATUS_MALFORMED);

    // The next batch in the same memory has none.
    tuple_batch_clear(&batch);
    add(&batch, TUPLE_PUT, 7, 0, "key", "value");
    assert_int_equal(tuple_reader_init(&reader, buffer_bytes(&batch.plain)), STATUS_OK);
    assert_int_equal(reader.tag.fence, 0);
    tuple_batch_release(&batch);
}

static void refuses_a_batch_cut_or_lengthened_anywhere(void **state)
{
    struct tuple_batch *batch = *state;
    uint64_t last;
    for (size_t length = 0; length < batch->plain.length; length++) {
        assert_int_equal(tuple_verify_batch(bytes_of(batch->plain.bytes, length), &last),
                         STATUS_MALFORMED);
    }
    assert_int_equal(buffer_append(&batch->plain, "", 1), STATUS_OK);
    assert_int_equal(tuple_verify_batch(buffer_bytes(&batch->plain), &last), STATUS_MALFORMED);
}

static void refuses_each_bent_field(void **state)
{
    struct tuple_batch *batch = *state;
    const struct {
        size_t offset;
        size_t width;
        uint8_t value;
    } bends[] = {
        {0, 8, 0},                 // the first lamport is at least 1
        {8, 4, 0},                 // no tuples
        {8, 1, 2},                 // fewer than there are
        {8, 1, 4},                 // more
        {FIRST, 1, 0},             // kinds
        {FIRST, 1, 3},             //
        {FIRST, 1, TUPLE_DELETE},  // with a value
        {FLAGS, 1, 2},             // an unknown flag
        {KEY_LENGTH, 2, 0},        // no key
        {KEY_LENGTH + 1, 1, 0xff},
        {VALUE_LENGTH + 3, 1, 0xff},
        {DELTA, 1, 1},     // the first is at no distance to itself
        {DELTA, 1, 0x80},  // an overlong varint
    };
    for (size_t i = 0; i < sizeof bends / sizeof *bends; i++) {
        uint64_t last;
        struct buffer bent = BUFFER_EMPTY;
        assert_int_equal(buffer_append(&bent, batch->plain.bytes, batch->plain.length), STATUS_OK);
        memset(bent.bytes + bends[i].offset, bends[i].value, bends[i].width);
        assert_int_equal(tuple_verify_batch(buffer_bytes(&bent), &last), STATUS_MALFORMED);
        buffer_release(&bent);
    }
}

static void refuses_a_lamport_that_overflows(void **state)
{
    struct tuple_batch *batch = *state;
    uint64_t last;
    memset(batch->plain.bytes, 0xff, 8);
    assert_int_equal(tuple_verify_batch(buffer_bytes(&batch->plain), &last), STATUS_MALFORMED);
}

static void refuses_a_second_way_to_say_never(void **state)
{
    struct tuple_batch *batch = *state;
    uint64_t last;
    // The last tuple ends with its expiry, its key of one byte, and no value.
    memset(batch->plain.bytes + batch->plain.length - 9, 0, 8);
    assert_int_equal(tuple_verify_batch(buffer_bytes(&batch->plain), &last), STATUS_MALFORMED);
}

static void a_full_batch_takes_no_more_and_stays_whole(void **state)
{
    struct tuple_batch *batch = *state;
    static uint8_t value[TUPLE_VALUE_BYTES_MAX];
    struct tuple tuple = {
        .kind = TUPLE_PUT,
        .lamport = 1ull << 51,
        .key = bytes_text("big"),
        .value = bytes_of(value, sizeof value),
    };
    uint32_t count = batch->count;
    while (tuple_batch_add(batch, &tuple) == STATUS_OK) {
        tuple.lamport++;
        count++;
    }
    assert_int_equal(batch->count, count);
    assert_true(batch->plain.length <= TUPLE_BATCH_BYTES_MAX);
    uint64_t last = 0;
    assert_int_equal(tuple_verify_batch(buffer_bytes(&batch->plain), &last), STATUS_OK);
    assert_true(last == tuple.lamport - 1);
}

static void a_cleared_batch_begins_anew(void **state)
{
    struct tuple_batch *batch = *state;
    tuple_batch_clear(batch);
    add(batch, TUPLE_PUT, 1, 0, "a", "b");
    uint64_t last = 0;
    assert_int_equal(tuple_verify_batch(buffer_bytes(&batch->plain), &last), STATUS_OK);
    assert_int_equal(last, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_back_what_was_added),         TEST(refuses_a_batch_cut_or_lengthened_anywhere),
        TEST(refuses_each_bent_field),           TEST(refuses_a_lamport_that_overflows),
        TEST(refuses_a_second_way_to_say_never), TEST(a_full_batch_takes_no_more_and_stays_whole),
        TEST(a_cleared_batch_begins_anew),       TEST(p7_a_tag_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
