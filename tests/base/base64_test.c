/* tests/base/base64_test.c */

/*
 * Goal: bytes have one text, and nothing else is taken for it.
 * Method: the examples of RFC 4648, section 10; every length to 200 and back; other texts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64.h"

static void encodes_as_in_rfc_4648(void **state)
{
    (void)state;
    static const char *const examples[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        struct buffer text = BUFFER_EMPTY;
        assert_int_equal(base64_encode(&text, bytes_text(examples[i][0])), STATUS_OK);
        assert_true(bytes_equal(buffer_bytes(&text), bytes_text(examples[i][1])));
        buffer_release(&text);
    }
}

static void every_length_comes_back(void **state)
{
    (void)state;
    uint8_t bytes[200];
    for (size_t length = 0; length < sizeof bytes; length++) {
        bytes[length] = (uint8_t)(length * 37 + 250);
        struct buffer text = BUFFER_EMPTY, back = BUFFER_EMPTY;
        assert_int_equal(base64_encode(&text, bytes_of(bytes, length)), STATUS_OK);
        assert_int_equal(base64_decode(&back, buffer_bytes(&text)), STATUS_OK);
        assert_true(bytes_equal(buffer_bytes(&back), bytes_of(bytes, length)));
        buffer_release(&text);
        buffer_release(&back);
    }
}

static void nothing_else_is_taken(void **state)
{
    (void)state;
    static const char *const others[] = {
        "Z",        "Zg",    "Zg=",   "Zh==",   "Zm9=", "====",     "Z===",
        "Zg==Zg==", "Zm9v ", "Zm 9v", "Zm9v\n", "Zm-_", "Zm9vYg=a", "\xff\xff\xff\xff",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct buffer bytes = BUFFER_EMPTY;
        assert_int_equal(buffer_append(&bytes, "x", 1), STATUS_OK);
        assert_int_equal(base64_decode(&bytes, bytes_text(others[i])), STATUS_MALFORMED);
        assert_int_equal(bytes.length, 1);
        buffer_release(&bytes);
    }
    struct buffer bytes = BUFFER_EMPTY;
    assert_int_equal(base64_decode(&bytes, bytes_of("Zm\0v", 4)), STATUS_MALFORMED);
    buffer_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_as_in_rfc_4648),
        cmocka_unit_test(every_length_comes_back),
        cmocka_unit_test(nothing_else_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
