/* tests/base/checked_test.c */

/*
 * Goal: arithmetic on sizes from input says when it overflows, and then leaves
 * the result alone.
 * Method: each operation at and one above the largest result.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/checked.h"

static void adds_up_to_the_largest_size(void **state)
{
    (void)state;
    size_t sum = 77;
    assert_true(checked_add(&sum, SIZE_MAX - 1, 1));
    assert_int_equal(sum, SIZE_MAX);
    sum = 77;
    assert_false(checked_add(&sum, SIZE_MAX, 1));
    assert_int_equal(sum, 77);
}

static void adds_up_to_the_largest_u64(void **state)
{
    (void)state;
    uint64_t sum = 77;
    assert_true(checked_add_u64(&sum, UINT64_MAX, 0));
    assert_int_equal(sum, UINT64_MAX);
    sum = 77;
    assert_false(checked_add_u64(&sum, UINT64_MAX, UINT64_MAX));
    assert_int_equal(sum, 77);
}

static void multiplies_up_to_the_largest_size(void **state)
{
    (void)state;
    size_t product = 77;
    assert_true(checked_multiply(&product, SIZE_MAX / 3, 3));
    assert_int_equal(product, SIZE_MAX / 3 * 3);
    product = 77;
    assert_false(checked_multiply(&product, SIZE_MAX / 2 + 1, 2));
    assert_int_equal(product, 77);
    assert_true(checked_multiply(&product, SIZE_MAX, 0));
    assert_int_equal(product, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adds_up_to_the_largest_size),
        cmocka_unit_test(adds_up_to_the_largest_u64),
        cmocka_unit_test(multiplies_up_to_the_largest_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
