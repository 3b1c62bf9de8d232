/* tests/scl/dependency_test.c */

/*
 * Goal: a dependency never forgets what an answer rests on.
 * Method: add writers below, at and beyond the bound.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scl/dependency.h"

static void p4_keeps_the_highest_sequence_of_each_writer(void **state)
{
    (void)state;
    struct dependency dependency = {.count = 0};
    dependency_add(&dependency, 7, 3);
    dependency_add(&dependency, 2, 1);
    dependency_add(&dependency, 7, 5);
    dependency_add(&dependency, 7, 4);
    assert_int_equal(dependency.count, 2);
    assert_int_equal(dependency.items[0].member, 7);
    assert_int_equal(dependency.items[0].sequence, 5);
    assert_int_equal(dependency.items[1].member, 2);
    assert_int_equal(dependency.items[1].sequence, 1);
    assert_int_equal(dependency_on(&dependency, 7), 5);
    assert_int_equal(dependency_on(&dependency, 3), 0);
    assert_false(dependency.has_overflowed);
}

static void sequence_zero_adds_nothing(void **state)
{
    (void)state;
    struct dependency dependency = {.count = 0};
    dependency_add(&dependency, 7, 0);
    assert_int_equal(dependency.count, 0);
    assert_false(dependency.has_overflowed);
}

static void p4_says_so_when_writers_do_not_fit(void **state)
{
    (void)state;
    struct dependency dependency = {.count = 0};
    for (uint32_t member = 0; member < DEPENDENCY_WRITERS_MAX; member++) {
        dependency_add(&dependency, member, 1);
    }
    assert_false(dependency.has_overflowed);
    assert_int_equal(dependency.count, DEPENDENCY_WRITERS_MAX);

    // One that is known still fits, and nothing is no writer.
    dependency_add(&dependency, DEPENDENCY_WRITERS_MAX - 1, 9);
    dependency_add(&dependency, DEPENDENCY_WRITERS_MAX, 0);
    assert_false(dependency.has_overflowed);
    assert_int_equal(dependency.items[DEPENDENCY_WRITERS_MAX - 1].sequence, 9);

    dependency_add(&dependency, DEPENDENCY_WRITERS_MAX, 1);
    assert_true(dependency.has_overflowed);
    assert_int_equal(dependency.count, DEPENDENCY_WRITERS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p4_keeps_the_highest_sequence_of_each_writer),
        cmocka_unit_test(sequence_zero_adds_nothing),
        cmocka_unit_test(p4_says_so_when_writers_do_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
