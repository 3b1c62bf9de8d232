/* tests/base/buffer_test.c */

/*
 * Goal: a buffer keeps its bytes while it grows, wipes what it leaves, and
 * refuses what cannot be.
 * Method: grow across every capacity; look at the memory behind the length.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buffer.h"

static void keeps_every_byte_while_it_grows(void **state)
{
    (void)state;
    struct buffer buffer = BUFFER_EMPTY;
    for (size_t i = 0; i < 5000; i++) {
        uint8_t byte = (uint8_t)i;
        assert_int_equal(buffer_append(&buffer, &byte, 1), STATUS_OK);
    }
    assert_int_equal(buffer.length, 5000);
    for (size_t i = 0; i < buffer.length; i++) {
        assert_int_equal(buffer.bytes[i], (uint8_t)i);
    }
    assert_int_equal(buffer_append(&buffer, NULL, 0), STATUS_OK);
    buffer_release(&buffer);
    assert_null(buffer.bytes);
    assert_int_equal(buffer.length, 0);
    assert_int_equal(buffer.capacity, 0);
    buffer_release(&buffer);
}

static void consumes_from_the_front_and_wipes_behind(void **state)
{
    (void)state;
    struct buffer buffer = BUFFER_EMPTY;
    assert_int_equal(buffer_append(&buffer, "secrets", 7), STATUS_OK);
    buffer_consume(&buffer, 0);
    assert_int_equal(buffer.length, 7);
    buffer_consume(&buffer, 4);
    assert_int_equal(buffer.length, 3);
    assert_memory_equal(buffer.bytes, "ets\0\0\0\0", 7);
    buffer_consume(&buffer, 4);
    assert_int_equal(buffer.length, 0);
    assert_memory_equal(buffer.bytes, "\0\0\0\0\0\0\0", 7);
    buffer_release(&buffer);
}

static void clearing_wipes_and_keeps_the_memory(void **state)
{
    (void)state;
    struct buffer buffer = BUFFER_EMPTY;
    assert_int_equal(buffer_append(&buffer, "secret", 6), STATUS_OK);
    const uint8_t *memory = buffer.bytes;
    buffer_clear(&buffer);
    assert_ptr_equal(buffer.bytes, memory);
    assert_int_equal(buffer.length, 0);
    assert_memory_equal(buffer.bytes, "\0\0\0\0\0\0", 6);
    assert_int_equal(buffer_bytes(&buffer).length, 0);
    buffer_release(&buffer);
}

static void recycling_keeps_memory_up_to_a_bound(void **state)
{
    (void)state;
    struct buffer buffer = BUFFER_EMPTY;
    assert_int_equal(buffer_append(&buffer, "secret", 6), STATUS_OK);
    const uint8_t *memory = buffer.bytes;
    buffer_recycle(&buffer, buffer.capacity);
    assert_ptr_equal(buffer.bytes, memory);
    assert_int_equal(buffer.length, 0);
    buffer_recycle(&buffer, buffer.capacity - 1);
    assert_null(buffer.bytes);
    assert_int_equal(buffer.capacity, 0);
}

static void refuses_sizes_that_overflow_and_changes_nothing(void **state)
{
    (void)state;
    struct buffer buffer = BUFFER_EMPTY;
    assert_int_equal(buffer_append(&buffer, "text", 4), STATUS_OK);
    assert_int_equal(buffer_reserve(&buffer, SIZE_MAX), STATUS_NO_MEMORY);
    assert_int_equal(buffer_reserve(&buffer, SIZE_MAX - 4), STATUS_NO_MEMORY);
    assert_int_equal(buffer.length, 4);
    assert_memory_equal(buffer.bytes, "text", 4);
    buffer_release(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_every_byte_while_it_grows),
        cmocka_unit_test(consumes_from_the_front_and_wipes_behind),
        cmocka_unit_test(clearing_wipes_and_keeps_the_memory),
        cmocka_unit_test(recycling_keeps_memory_up_to_a_bound),
        cmocka_unit_test(refuses_sizes_that_overflow_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
