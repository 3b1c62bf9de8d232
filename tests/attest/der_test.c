/* tests/attest/der_test.c */

/*
 * Goal: one value has one encoding; every other is refused.
 * Method: elements as they are written, and the same in longer forms, cut or with a bent tag.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "attest/der.h"

static void elements_are_read_one_after_the_other(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x02, 0x01, 0x05, 0x30, 0x02, 0x05, 0x00};
    struct cursor in = cursor_over(bytes, sizeof bytes);
    struct bytes value;
    struct der element;
    assert_true(der_expect(&value, DER_INTEGER, &in));
    assert_int_equal(value.length, 1);
    assert_true(der_next(&element, &in));
    assert_int_equal(element.tag, DER_SEQUENCE);
    assert_int_equal(element.whole.length, 4);
    assert_false(der_next(&element, &in));
    assert_true(cursor_done(&in));
}

static void a_length_has_its_shortest_form(void **state)
{
    (void)state;
    uint8_t bytes[4 + 300] = {0x04, 0x81, 0x80};
    struct der element;
    struct cursor in = cursor_over(bytes, 3 + 0x80);
    assert_true(der_next(&element, &in));
    memcpy(bytes, "\x04\x82\x01\x2c", 4);
    in = cursor_over(bytes, 4 + 300);
    assert_true(der_next(&element, &in));
    assert_int_equal(element.value.length, 300);

    static const uint8_t longer[][8] = {
        {0x04, 0x81, 0x01, 0x00},        // one byte would do
        {0x04, 0x82, 0x00, 0x01, 0x00},  // no byte of zero in front
        {0x04, 0x80, 0x00, 0x00},        // of unknown length
        {0x04, 0x84, 0x00, 0x00, 0x00, 0x01, 0x00},
        {0x1f, 0x01, 0x00},  // a tag of several bytes
        {0x04, 0x07, 0x00},  // cut
        {0x04},
    };
    for (size_t i = 0; i < sizeof longer / sizeof *longer; i++) {
        in = cursor_over(longer[i], i == 6 ? 1 : sizeof longer[i]);
        assert_false(der_next(&element, &in));
        assert_true(in.failed);
    }
}

static void a_number_is_positive_short_and_bounded(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
        uint32_t max;
        int64_t number;  // -1: none
    } numbers[] = {
        {"\0", 1, 255, 0},        {"\x7f", 1, 255, 127},
        {"\0\xff", 2, 255, 255},  {"\x01\0", 2, 255, -1},
        {"\xff", 1, 255, -1},     {"", 0, 255, -1},
        {"\0\x7f", 2, 255, -1},   {"\0\xff\xff\xff\xff", 5, UINT32_MAX, UINT32_MAX},
        {"\0\0\xff", 3, 255, -1}, {"\0\xff\xff\xff\xff\xff", 6, UINT32_MAX, -1},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uint32_t number = 0;
        struct bytes value = bytes_of(numbers[i].bytes, numbers[i].length);
        bool is_read = der_number(&number, value, numbers[i].max);
        assert_int_equal(is_read, numbers[i].number >= 0);
        assert_true(!is_read || number == numbers[i].number);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_are_read_one_after_the_other),
        cmocka_unit_test(a_length_has_its_shortest_form),
        cmocka_unit_test(a_number_is_positive_short_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
