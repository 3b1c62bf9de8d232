/* tests/base/encoder_test.c */

/*
 * Goal: what an encoder writes a cursor reads back, and nothing is written
 * beyond the memory it was given, nor in part.
 * Method: one message of every field, in memory of its exact size, then in
 * every smaller size; varints at the edges of their lengths.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cursor.h"
#include "base/encoder.h"

enum { MESSAGE_BYTES = 1 + 2 + 4 + 8 + 2 + 3 + 1 };

static const uint8_t field_ends[] = {0, 1, 3, 7, 15, 17, 20};

static void message_encode(struct encoder *out)
{
    encoder_u8(out, 0x11);
    encoder_u16(out, 0x2233);
    encoder_u32(out, 0x44556677);
    encoder_u64(out, 0x8899aabbccddeeff);
    encoder_varint(out, 300);
    encoder_bytes(out, "abc", 3);
    uint8_t *reserved = encoder_reserve(out, 1);
    if (reserved != NULL) {
        *reserved = 0x42;
    }
}

static void a_cursor_reads_back_what_was_written(void **state)
{
    (void)state;
    uint8_t message[MESSAGE_BYTES];
    struct encoder out = encoder_over(message, sizeof message);
    message_encode(&out);
    assert_false(out.failed);
    assert_int_equal(out.length, MESSAGE_BYTES);

    struct cursor in = cursor_over(message, sizeof message);
    assert_int_equal(cursor_u8(&in), 0x11);
    assert_int_equal(cursor_u16(&in), 0x2233);
    assert_int_equal(cursor_u32(&in), 0x44556677);
    assert_int_equal(cursor_u64(&in), 0x8899aabbccddeeff);
    assert_int_equal(cursor_varint(&in), 300);
    assert_memory_equal(cursor_take(&in, 3), "abc", 3);
    assert_int_equal(cursor_u8(&in), 0x42);
    assert_true(cursor_done(&in));
}

static void a_run_is_read_back_whole_or_not_at_all(void **state)
{
    (void)state;
    uint8_t message[4 + 3];
    struct encoder out = encoder_over(message, sizeof message);
    encoder_run(&out, bytes_text("abc"));
    assert_false(out.failed);
    assert_memory_equal(message, "\3\0\0\0abc", sizeof message);

    struct cursor in = cursor_over(message, sizeof message);
    struct bytes run = cursor_run(&in);
    assert_int_equal(run.length, 3);
    assert_ptr_equal(run.at, message + 4);
    assert_true(cursor_done(&in));
    for (size_t length = 0; length < sizeof message; length++) {
        in = cursor_over(message, length);
        assert_int_equal(cursor_run(&in).length, 0);
        assert_true(in.failed);
    }
}

static void fails_in_any_smaller_memory_and_stays_inside(void **state)
{
    (void)state;
    for (size_t capacity = 0; capacity < MESSAGE_BYTES; capacity++) {
        uint8_t message[MESSAGE_BYTES];
        memset(message, 0xaa, sizeof message);
        struct encoder out = encoder_over(message, capacity);
        message_encode(&out);
        assert_true(out.failed);
        // Whole fields only: the length is one of the ends between them.
        assert_non_null(memchr(field_ends, (int)out.length, sizeof field_ends));
        assert_true(out.length <= capacity);
        for (size_t i = out.length; i < sizeof message; i++) {
            assert_int_equal(message[i], 0xaa);
        }
    }
}

static void writes_nothing_after_a_failure(void **state)
{
    (void)state;
    uint8_t message[2] = {0xaa, 0xaa};
    struct encoder out = encoder_over(message, sizeof message);
    encoder_u32(&out, 1);
    encoder_u8(&out, 1);
    encoder_bytes(&out, NULL, 0);
    assert_true(out.failed);
    assert_int_equal(out.length, 0);
    assert_int_equal(message[0], 0xaa);
    assert_null(encoder_reserve(&out, 0));
}

static void varints_come_back_at_every_power_of_two(void **state)
{
    (void)state;
    for (unsigned shift = 0; shift < 64; shift++) {
        const uint64_t values[] = {(1ull << shift) - 1, 1ull << shift, UINT64_MAX >> shift};
        for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
            uint8_t bytes[ENCODER_VARINT_BYTES_MAX];
            struct encoder out = encoder_over(bytes, sizeof bytes);
            encoder_varint(&out, values[i]);
            assert_false(out.failed);
            assert_int_equal(out.length, encoder_varint_bytes(values[i]));
            struct cursor in = cursor_over(bytes, out.length);
            assert_int_equal(cursor_varint(&in), values[i]);
            assert_true(cursor_done(&in));
        }
    }
    assert_int_equal(encoder_varint_bytes(0), 1);
    assert_int_equal(encoder_varint_bytes(127), 1);
    assert_int_equal(encoder_varint_bytes(128), 2);
    assert_int_equal(encoder_varint_bytes(UINT64_MAX), ENCODER_VARINT_BYTES_MAX);
}

static void what_is_appended_belongs_to_the_buffer_once_it_is_whole(void **state)
{
    (void)state;
    struct buffer target = BUFFER_EMPTY;
    assert_int_equal(buffer_append(&target, "ab", 2), STATUS_OK);
    struct encoder out;
    assert_int_equal(encoder_begin(&out, &target, 3), STATUS_OK);
    encoder_u8(&out, 'c');
    encoder_u16(&out, 0x6564);
    assert_int_equal(target.length, 2);
    encoder_u8(&out, 'f');
    assert_true(out.failed);
    out.failed = false;
    encoder_finish(&out, &target);
    assert_int_equal(target.length, 5);
    assert_memory_equal(target.bytes, "abcde", 5);

    assert_int_equal(encoder_begin(&out, &target, SIZE_MAX), STATUS_NO_MEMORY);

    // Nothing is written like something, also into nothing: sanitizers see where.
    struct buffer empty = BUFFER_EMPTY;
    assert_int_equal(encoder_begin(&out, &empty, 0), STATUS_OK);
    encoder_bytes(&out, NULL, 0);
    encoder_finish(&out, &empty);
    assert_int_equal(empty.length, 0);
    buffer_release(&empty);
    assert_int_equal(target.length, 5);
    buffer_release(&target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cursor_reads_back_what_was_written),
        cmocka_unit_test(a_run_is_read_back_whole_or_not_at_all),
        cmocka_unit_test(fails_in_any_smaller_memory_and_stays_inside),
        cmocka_unit_test(writes_nothing_after_a_failure),
        cmocka_unit_test(what_is_appended_belongs_to_the_buffer_once_it_is_whole),
        cmocka_unit_test(varints_come_back_at_every_power_of_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
