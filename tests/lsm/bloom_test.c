/* tests/lsm/bloom_test.c */

/*
 * Goal: a filter never denies a member, and takes about one stranger in a hundred for one; also a
 * stranger chosen by whoever knows another key.
 * Method: count.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "crypto/crypto.h"
#include "lsm/bloom.h"

enum { KEY_COUNT = 20000 };

static struct short_hash hash_number(uint8_t key_byte, uint32_t number)
{
    const struct short_hash_key key = {{key_byte}};
    return short_hash_of(&key, bytes_of(&number, sizeof number));
}

static double strangers_taken(uint8_t *filter, size_t filter_bytes, uint8_t key_byte, uint32_t from)
{
    uint32_t taken = 0;
    for (uint32_t i = 0; i < KEY_COUNT; i++) {
        taken += bloom_has(filter, filter_bytes, hash_number(key_byte, from + i));
    }
    return (double)taken / KEY_COUNT;
}

static void members_are_never_denied_and_strangers_mostly(void **state)
{
    (void)state;
    size_t filter_bytes = bloom_bytes(KEY_COUNT);
    assert_true(filter_bytes * 8 >= KEY_COUNT * BLOOM_BITS_PER_KEY);
    uint8_t *filter = calloc(1, filter_bytes);
    assert_non_null(filter);
    for (uint32_t i = 0; i < KEY_COUNT; i++) {
        bloom_add(filter, filter_bytes, hash_number(1, i));
    }
    for (uint32_t i = 0; i < KEY_COUNT; i++) {
        assert_true(bloom_has(filter, filter_bytes, hash_number(1, i)));
    }
    assert_true(strangers_taken(filter, filter_bytes, 1, KEY_COUNT) < 0.02);
    // Under another key the very members are strangers.
    assert_true(strangers_taken(filter, filter_bytes, 2, 0) < 0.02);
    free(filter);
}

static void one_key_takes_one_line(void **state)
{
    (void)state;
    assert_int_equal(bloom_bytes(0), 0);
    assert_int_equal(bloom_bytes(1), BLOOM_LINE_BYTES);
    assert_int_equal(bloom_bytes(51), BLOOM_LINE_BYTES);
    assert_int_equal(bloom_bytes(52), 2 * BLOOM_LINE_BYTES);
}

int main(void)
{
    crypto_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_never_denied_and_strangers_mostly),
        cmocka_unit_test(one_key_takes_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
