/* tests/base/cursor_test.c */

/*
 * Goal: a cursor never reads beyond its bytes, fails once and stays failed,
 * and knows one encoding of each number.
 * Method: read every width at its last possible byte and one beyond; feed
 * varints at the edges of their lengths, and forms that are not the shortest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cursor.h"

static const uint8_t eight[] = {1, 2, 3, 4, 5, 6, 7, 0x88};

static void reads_integers_little_endian(void **state)
{
    (void)state;
    struct cursor in = cursor_over(eight, sizeof eight);
    assert_int_equal(cursor_u64(&in), 0x8807060504030201);
    assert_true(cursor_done(&in));
    in = cursor_over(eight, sizeof eight);
    assert_int_equal(cursor_u32(&in), 0x04030201);
    assert_int_equal(cursor_u16(&in), 0x0605);
    assert_int_equal(cursor_u8(&in), 7);
    assert_int_equal(in.left, 1);
    assert_false(cursor_done(&in));
}

static void fails_once_and_stays_failed(void **state)
{
    (void)state;
    struct cursor in = cursor_over(eight, 3);
    assert_int_equal(cursor_u32(&in), 0);
    assert_true(in.failed);
    // The three bytes are still there, and none is given out any more.
    assert_int_equal(cursor_u8(&in), 0);
    assert_int_equal(cursor_varint(&in), 0);
    assert_null(cursor_take(&in, 0));
    assert_int_equal(cursor_bytes(&in, 1).length, 0);
    assert_false(cursor_done(&in));
}

static void takes_up_to_the_end_and_not_beyond(void **state)
{
    (void)state;
    struct cursor in = cursor_over(eight, sizeof eight);
    assert_ptr_equal(cursor_take(&in, sizeof eight), eight);
    assert_non_null(cursor_take(&in, 0));
    assert_true(cursor_done(&in));
    assert_null(cursor_take(&in, 1));
    assert_true(in.failed);

    in = cursor_over(eight, sizeof eight);
    assert_null(cursor_take(&in, SIZE_MAX));
    assert_true(in.failed);
}

static void an_empty_run_without_an_address_is_fine(void **state)
{
    (void)state;
    struct cursor in = cursor_over(NULL, 0);
    assert_non_null(cursor_take(&in, 0));
    assert_true(cursor_done(&in));
}

static void a_copy_that_fails_gives_zeroes(void **state)
{
    (void)state;
    static const uint8_t zero[4];
    uint8_t target[4];
    struct cursor in = cursor_over(eight, 6);
    cursor_copy(&in, target, sizeof target);
    assert_memory_equal(target, eight, sizeof target);
    cursor_copy(&in, target, sizeof target);
    assert_memory_equal(target, zero, sizeof target);
    cursor_copy(&in, NULL, 0);
    assert_true(in.failed);
}

static void assert_varint(const char *bytes, size_t length, uint64_t expected, int is_taken)
{
    struct cursor in = cursor_over(bytes, length);
    assert_int_equal(cursor_varint(&in), is_taken ? expected : 0);
    assert_int_equal(cursor_done(&in), is_taken);
}

static void reads_varints_at_the_edges_of_their_lengths(void **state)
{
    (void)state;
    assert_varint("\x00", 1, 0, 1);
    assert_varint("\x7f", 1, 127, 1);
    assert_varint("\x80\x01", 2, 128, 1);
    assert_varint("\xff\x7f", 2, 16383, 1);
    assert_varint("\x80\x80\x01", 3, 16384, 1);
    assert_varint("\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 9, INT64_MAX, 1);
    assert_varint("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 10, 1ull << 63, 1);
    assert_varint("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, UINT64_MAX, 1);
}

static void refuses_varints_that_are_overlong_too_large_or_cut(void **state)
{
    (void)state;
    assert_varint("\x80\x00", 2, 0, 0);
    assert_varint("\xff\x00", 2, 0, 0);
    assert_varint("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10, 0, 0);
    assert_varint("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11, 0, 0);
    assert_varint("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11, 0, 0);
    assert_varint("\x80", 1, 0, 0);
    assert_varint("", 0, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_integers_little_endian),
        cmocka_unit_test(fails_once_and_stays_failed),
        cmocka_unit_test(takes_up_to_the_end_and_not_beyond),
        cmocka_unit_test(an_empty_run_without_an_address_is_fine),
        cmocka_unit_test(a_copy_that_fails_gives_zeroes),
        cmocka_unit_test(reads_varints_at_the_edges_of_their_lengths),
        cmocka_unit_test(refuses_varints_that_are_overlong_too_large_or_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
