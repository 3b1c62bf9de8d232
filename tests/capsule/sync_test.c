/* tests/capsule/sync_test.c */

/*
 * Goal: EOE, SYNC and CLOSE read back, and nothing else reads as one.
 * Method: round trip, cut at each length, bend each bound.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "capsule/sync.h"

static const struct branch_head HEADS[] = {
    {.writer = {.bytes = {1}}, .head = {.sequence = 5, .hash = {.bytes = {9}}}},
    {.writer = {.bytes = {2}}, .head = {.sequence = 0}},
};

typedef enum status decode_function(struct bytes body);

static enum status decode_eoe(struct bytes body)
{
    struct eoe eoe;
    return sync_eoe_decode(&eoe, body);
}

static enum status decode_sync(struct bytes body)
{
    struct sync_body sync;
    return sync_decode(&sync, body);
}

static enum status decode_close(struct bytes body)
{
    struct sync_close close;
    return sync_close_decode(&close, body);
}

static void assert_only_whole(struct buffer *body, decode_function *decode)
{
    for (size_t length = 0; length < body->length; length++) {
        assert_int_equal(decode(bytes_of(body->bytes, length)), STATUS_MALFORMED);
    }
    assert_int_equal(buffer_append(body, "", 1), STATUS_OK);
    assert_int_equal(decode(buffer_bytes(body)), STATUS_MALFORMED);
    body->length--;
    assert_int_equal(decode(buffer_bytes(body)), STATUS_OK);
}

static void assert_bent(struct buffer *body, decode_function *decode, size_t offset, uint8_t value)
{
    uint8_t before = body->bytes[offset];
    body->bytes[offset] = value;
    assert_int_equal(decode(buffer_bytes(body)), STATUS_MALFORMED);
    body->bytes[offset] = before;
}

static void an_eoe_reads_back(void **state)
{
    (void)state;
    struct buffer body = BUFFER_EMPTY;
    struct eoe eoe = {.epoch = 3, .lamport = 88, .sync = {.bytes = {7}}, .head_count = 2}, read;
    assert_int_equal(sync_eoe_encode(&body, &eoe, HEADS), STATUS_OK);
    assert_int_equal(body.length, 52 + 2 * BRANCH_HEAD_BYTES);
    assert_int_equal(sync_eoe_decode(&read, buffer_bytes(&body)), STATUS_OK);
    assert_int_equal(read.epoch, 3);
    assert_int_equal(read.lamport, 88);
    assert_int_equal(read.sync.bytes[0], 7);
    assert_int_equal(read.head_count, 2);
    struct branch_head head = sync_eoe_head(&read, 0);
    assert_int_equal(head.writer.bytes[0], 1);
    assert_int_equal(head.head.sequence, 5);
    assert_int_equal(head.head.hash.bytes[0], 9);
    assert_only_whole(&body, decode_eoe);
    assert_bent(&body, decode_eoe, 48 + 1, 0xff);                    // too many heads
    assert_bent(&body, decode_eoe, 52 + BRANCH_HEAD_BYTES + 16, 1);  // no hash, a sequence
    assert_bent(&body, decode_eoe, 52 + BRANCH_HEAD_BYTES + 24, 1);  // and the reverse
    buffer_release(&body);
}

static void a_sync_reads_back(void **state)
{
    (void)state;
    struct buffer body = BUFFER_EMPTY;
    const struct sync_head heads[] = {
        {.branch = HEADS[0], .flags = SYNC_FLAG_CLOSED},
        {.branch = HEADS[1], .flags = SYNC_FLAG_ABSENT},
    };
    struct sync_body sync = {
        .term = 1,
        .time_ms = 2,
        .lamport = 3,
        .floor = 4,
        .manifest = {.writer = {{5}}, .head = {.sequence = 6, .hash = {{7}}}},
        .head_count = 2,
        .receipts = bytes_text("receipts"),
    };
    struct sync_body read;
    assert_int_equal(sync_encode(&body, &sync, heads), STATUS_OK);
    assert_int_equal(sync_decode(&read, buffer_bytes(&body)), STATUS_OK);
    assert_int_equal(read.term, 1);
    assert_int_equal(read.time_ms, 2);
    assert_int_equal(read.lamport, 3);
    assert_int_equal(read.floor, 4);
    assert_memory_equal(&read.manifest, &sync.manifest, sizeof sync.manifest);
    assert_int_equal(read.head_count, 2);
    assert_true(bytes_equal(read.receipts, bytes_text("receipts")));
    assert_int_equal(sync_head_at(&read, 0).flags, SYNC_FLAG_CLOSED);
    assert_int_equal(sync_head_at(&read, 0).branch.head.sequence, 5);
    assert_int_equal(sync_head_at(&read, 1).flags, SYNC_FLAG_ABSENT);
    assert_only_whole(&body, decode_sync);
    assert_bent(&body, decode_sync, 32, 0);            // a MANIFEST of nobody's
    assert_bent(&body, decode_sync, 48, 0);            // a MANIFEST without a sequence
    assert_bent(&body, decode_sync, 56, 0);            // a MANIFEST without a hash
    assert_bent(&body, decode_sync, 88 + 2, 1);        // too many heads
    assert_bent(&body, decode_sync, 92 + 56, 4);       // an unknown flag
    assert_bent(&body, decode_sync, 92 + 64 + 16, 1);  // a sequence without a hash
    buffer_release(&body);
}

static void a_close_reads_back(void **state)
{
    (void)state;
    struct buffer body = BUFFER_EMPTY;
    struct sync_close close = {
        .term = 8,
        .cut = HEADS[0],
        .reason = SYNC_CLOSE_REVOKED,
        .fences = bytes_text("fences"),
    };
    struct sync_close read;
    assert_int_equal(sync_close_encode(&body, &close), STATUS_OK);
    assert_int_equal(sync_close_decode(&read, buffer_bytes(&body)), STATUS_OK);
    assert_int_equal(read.term, 8);
    assert_int_equal(read.cut.head.sequence, 5);
    assert_int_equal(read.reason, SYNC_CLOSE_REVOKED);
    assert_true(bytes_equal(read.fences, bytes_text("fences")));
    assert_only_whole(&body, decode_close);
    assert_bent(&body, decode_close, 64, 0);
    assert_bent(&body, decode_close, 64, 6);
    assert_bent(&body, decode_close, 67, 1);
    assert_bent(&body, decode_close, 24, 0);  // nothing counts, and yet a hash
    buffer_release(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_eoe_reads_back),
        cmocka_unit_test(a_sync_reads_back),
        cmocka_unit_test(a_close_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
