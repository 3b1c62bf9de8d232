/* tests/attest/tdx_5_test.c */

/*
 * Goal: nothing in a TDX quote of version 5 can be altered or cut, and what lies behind it
 * is refused. Method: one from real hardware, every bit flipped, cut at every length.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "attest/tdx.h"
#include "tests/attest/cases.h"

static const char TDX_5[] = "tdx/gotdx-v5-90c0";

static void no_bit_of_a_quote_of_version_5_can_change(void **state)
{
    (void)state;
    cases_assert_no_bit_of_a_quote_can_change(TDX_5);
}

static void a_quote_is_refused_at_every_length_below_its_own(void **state)
{
    (void)state;
    cases_assert_refused_at_every_length(TDX_5, 5006);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_bit_of_a_quote_of_version_5_can_change),
        cmocka_unit_test(a_quote_is_refused_at_every_length_below_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
