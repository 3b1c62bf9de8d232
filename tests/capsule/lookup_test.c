/* tests/capsule/lookup_test.c */

/*
 * Goal: every position added is found again, also among those with equal keys;
 * what was not added is not found.
 * Method: grow it through several sizes, with keys that collide.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

#include <cmocka.h>

#include "capsule/lookup_internal.h"
#include "crypto/crypto.h"
#include "crypto/hash.h"

enum { COUNT = 1000 };

/* Every eighth shares its first bytes with seven others. */
static struct hash key_of(uint32_t i)
{
    uint32_t shared = i / 8;
    return hash_of(&shared, sizeof shared);
}

static void finds_what_was_added_and_nothing_else(void **state)
{
    (void)state;
    crypto_init();
    struct lookup lookup = {.slots = NULL};
    size_t probe = 0;
    struct hash key = key_of(0);
    assert_int_equal(lookup_next(&lookup, key.bytes, &probe), LOOKUP_NONE);
    for (uint32_t i = 0; i < COUNT; i++) {
        key = key_of(i);
        assert_int_equal(lookup_reserve(&lookup), STATUS_OK);
        lookup_add(&lookup, key.bytes, i);
    }
    for (uint32_t i = 0; i < COUNT + 8; i++) {
        uint32_t found_count = 0;
        bool is_found = false;
        key = key_of(i);
        probe = 0;
        for (;;) {
            uint32_t position = lookup_next(&lookup, key.bytes, &probe);
            if (position == LOOKUP_NONE) {
                break;
            }
            found_count++;
            is_found = is_found || position == i;
        }
        assert_int_equal(found_count, i < COUNT ? 8 : 0);
        assert_int_equal(is_found, i < COUNT);
    }
    lookup_release(&lookup);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_added_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
