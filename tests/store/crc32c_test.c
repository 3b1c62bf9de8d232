/* tests/store/crc32c_test.c */

/*
 * Goal: the sum is CRC-32C, the same by instruction and by table, in one piece or many.
 * Method: the check value and the test patterns of RFC 3720, B.4; every length and alignment of
 * a short run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store/crc32c.h"

static void gives_the_published_sums(void **state)
{
    (void)state;
    uint8_t bytes[32];
    assert_int_equal(crc32c_extend(0, "123456789", 9), 0xe3069283);
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(crc32c_extend(0, bytes, sizeof bytes), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(crc32c_extend(0, bytes, sizeof bytes), 0x62a8ab43);
    for (uint8_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = i;
    }
    assert_int_equal(crc32c_extend(0, bytes, sizeof bytes), 0x46dd794e);
}

static void gives_the_same_by_table_and_in_pieces(void **state)
{
    (void)state;
    uint8_t bytes[64];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 37 + 11);
    }
    for (size_t start = 0; start < 9; start++) {
        for (size_t length = 0; length <= sizeof bytes - start; length++) {
            uint32_t whole = crc32c_extend(0, bytes + start, length);
            assert_int_equal(whole, crc32c_extend_by_table(0, bytes + start, length));
            uint32_t first = crc32c_extend(0, bytes + start, length / 3);
            size_t rest = length - length / 3;
            assert_int_equal(whole, crc32c_extend(first, bytes + start + length / 3, rest));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_published_sums),
        cmocka_unit_test(gives_the_same_by_table_and_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
