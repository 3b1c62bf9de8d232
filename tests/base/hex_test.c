/* tests/base/hex_test.c */

/*
 * Goal: digits are written in lower case, read in either, and nothing else is
 * taken for one.
 * Method: every byte there and back; every character that is no digit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/hex.h"

static void every_byte_comes_back(void **state)
{
    (void)state;
    uint8_t bytes[256], again[256];
    char text[2 * sizeof bytes + 1];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)i;
    }
    hex_encode(text, bytes, sizeof bytes);
    assert_int_equal(strlen(text), 2 * sizeof bytes);
    assert_memory_equal(text, "000102030405060708090a0b", 24);
    assert_true(hex_decode(again, sizeof again, text, strlen(text)));
    assert_memory_equal(again, bytes, sizeof bytes);
}

static void the_empty_run_is_the_empty_text(void **state)
{
    (void)state;
    char text[1] = "x";
    hex_encode(text, NULL, 0);
    assert_string_equal(text, "");
    assert_true(hex_decode(NULL, 0, "", 0));
}

static void reads_upper_case(void **state)
{
    (void)state;
    uint8_t byte = 0;
    assert_true(hex_decode(&byte, 1, "Af", 2));
    assert_int_equal(byte, 0xaf);
}

static void refuses_other_lengths(void **state)
{
    (void)state;
    uint8_t bytes[3];
    assert_false(hex_decode(bytes, 2, "012", 3));
    assert_false(hex_decode(bytes, 2, "01234", 5));
    assert_false(hex_decode(bytes, 2, "012345", 6));
    assert_false(hex_decode(bytes, 0, "01", 2));
}

static void refuses_every_character_that_is_no_digit(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        const char first[] = {(char)c, '0'}, second[] = {'0', (char)c};
        uint8_t byte;
        int is_digit = c != 0 && strchr("0123456789abcdefABCDEF", c) != NULL;
        assert_int_equal(hex_decode(&byte, 1, first, 2), is_digit);
        assert_int_equal(hex_decode(&byte, 1, second, 2), is_digit);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_comes_back),
        cmocka_unit_test(the_empty_run_is_the_empty_text),
        cmocka_unit_test(reads_upper_case),
        cmocka_unit_test(refuses_other_lengths),
        cmocka_unit_test(refuses_every_character_that_is_no_digit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
