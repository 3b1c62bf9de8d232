/* tests/crypto/short_hash_test.c */

/*
 * Goal: it is SipHash-2-4-128.
 * Method: the first vectors of its authors' reference implementation (vectors_sip128 of
 * github.com/veorq/SipHash): key 00 01 … 0f, message 00 01 … of each length.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crypto/short_hash.h"

static void agrees_with_the_reference(void **state)
{
    (void)state;
    static const struct short_hash expected[] = {
        {.low = 0xe6a825ba047f81a3, .high = 0x930255c71472f66d},
        {.low = 0x44af996bd8c187da, .high = 0x45fc229b11597634},
        {.low = 0xc75da4a48d227781, .high = 0xe4ff0af6de8ba3fc},
    };
    struct short_hash_key key;
    uint8_t message[sizeof expected / sizeof *expected];
    for (uint8_t i = 0; i < SHORT_HASH_KEY_BYTES; i++) {
        key.bytes[i] = i;
    }
    for (uint8_t length = 0; length < sizeof message; length++) {
        message[length] = length;
        struct short_hash hash = short_hash_of(&key, bytes_of(message, length));
        assert_true(hash.low == expected[length].low);
        assert_true(hash.high == expected[length].high);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
