/* tests/capsule/lock_test.c */

/*
 * Goal: a LOCK body reads back, and nothing else reads as one.
 * Method: round trip, cut at each length, bend each part that has a rule.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "capsule/lock.h"

static const struct lock_body NAMED = {
    .term = 3,
    .lock = {.bytes = {0x10}},
    .fence = UINT64_C(3) << 32 | 7,
    .record = {.writer = {.bytes = {0x20}}, .head = {.sequence = 9, .hash = {.bytes = {0x30}}}},
};

static enum status decode_of(const struct lock_body *lock)
{
    struct buffer body = BUFFER_EMPTY;
    struct lock_body read;
    assert_int_equal(lock_encode(&body, lock), STATUS_OK);
    enum status status = lock_decode(&read, buffer_bytes(&body));
    buffer_release(&body);
    return status;
}

static void a_lock_reads_back(void **state)
{
    (void)state;
    struct buffer body = BUFFER_EMPTY;
    struct lock_body read;
    assert_int_equal(lock_encode(&body, &NAMED), STATUS_OK);
    assert_int_equal(body.length, LOCK_BODY_BYTES);
    assert_int_equal(lock_decode(&read, buffer_bytes(&body)), STATUS_OK);
    assert_int_equal(read.term, 3);
    assert_true(hash_equal(&read.lock, &NAMED.lock));
    assert_true(read.fence == lock_fence(3, 7));
    assert_true(lock_fence_term(read.fence) == 3);
    assert_int_equal(read.record.writer.bytes[0], 0x20);
    assert_int_equal(read.record.head.sequence, 9);
    assert_int_equal(read.record.head.hash.bytes[0], 0x30);
    assert_false(lock_is_void(&read));
    for (size_t length = 0; length < body.length; length++) {
        assert_int_equal(lock_decode(&read, bytes_of(body.bytes, length)), STATUS_MALFORMED);
    }
    assert_int_equal(buffer_append(&body, "", 1), STATUS_OK);
    assert_int_equal(lock_decode(&read, buffer_bytes(&body)), STATUS_MALFORMED);
    buffer_release(&body);
}

static void a_void_one_names_nothing(void **state)
{
    (void)state;
    struct lock_body lock = NAMED;
    lock.record = (struct branch_head){.head = {.sequence = 0}};
    assert_true(lock_is_void(&lock));
    assert_int_equal(decode_of(&lock), STATUS_OK);
    lock.record.writer = NAMED.record.writer;
    assert_int_equal(decode_of(&lock), STATUS_MALFORMED);
    lock.record = NAMED.record;
    lock.record.head.sequence = 0;
    assert_int_equal(decode_of(&lock), STATUS_MALFORMED);
    lock.record = NAMED.record;
    lock.record.head.hash = (struct hash){{0}};
    assert_int_equal(decode_of(&lock), STATUS_MALFORMED);
}

static void a_fence_is_of_its_term_and_of_a_grant(void **state)
{
    (void)state;
    struct lock_body lock = NAMED;
    lock.term = 4;
    assert_int_equal(decode_of(&lock), STATUS_MALFORMED);
    lock = NAMED;
    lock.fence = lock_fence(3, 0);
    assert_int_equal(decode_of(&lock), STATUS_MALFORMED);
    lock.fence = lock_fence(3, UINT32_MAX);
    assert_int_equal(decode_of(&lock), STATUS_OK);
    assert_true(lock_fence(3, UINT32_MAX) < lock_fence(4, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lock_reads_back),
        cmocka_unit_test(a_void_one_names_nothing),
        cmocka_unit_test(a_fence_is_of_its_term_and_of_a_grant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
