/* tests/base/bytes_test.c */

/*
 * Goal: runs of bytes compare by content, as unsigned, shorter first.
 * Method: each pair in both orders, empty and absent runs among them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"

static void orders_by_content_then_by_length(void **state)
{
    (void)state;
    // Ascending.
    const struct bytes runs[] = {
        bytes_of(NULL, 0), bytes_of("\0", 1), bytes_text("a"),    bytes_text("a\x01"),
        bytes_text("ab"),  bytes_text("b"),   bytes_text("\x7f"), bytes_text("\x80"),
    };
    size_t count = sizeof runs / sizeof *runs;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            int order = bytes_compare(runs[i], runs[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
            assert_int_equal(bytes_equal(runs[i], runs[j]), i == j);
        }
    }
}

static void knows_how_a_run_begins(void **state)
{
    (void)state;
    assert_true(bytes_start_with(bytes_text("prefix"), bytes_text("pre")));
    assert_true(bytes_start_with(bytes_text("pre"), bytes_text("pre")));
    assert_true(bytes_start_with(bytes_text("pre"), bytes_of(NULL, 0)));
    assert_true(bytes_start_with(bytes_of(NULL, 0), bytes_of(NULL, 0)));
    assert_false(bytes_start_with(bytes_text("pr"), bytes_text("pre")));
    assert_false(bytes_start_with(bytes_text("prf"), bytes_text("pre")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_by_content_then_by_length),
        cmocka_unit_test(knows_how_a_run_begins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
