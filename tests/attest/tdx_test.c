/* tests/attest/tdx_test.c */

/*
 * Goal: nothing in a TDX quote of version 4 can be altered or cut, and what lies behind it
 * is refused. Method: one from real hardware, every bit flipped, cut at every length.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "attest/tdx.h"
#include "tests/attest/cases.h"

static const char TDX_4[] = "tdx/azure-v4-2026";

static void no_bit_of_a_quote_of_version_4_can_change(void **state)
{
    (void)state;
    cases_assert_no_bit_of_a_quote_can_change(TDX_4);
}

static void a_quote_is_refused_at_every_length_below_its_own(void **state)
{
    (void)state;
    cases_assert_refused_at_every_length(TDX_4, 4936);
}

static void a_quote_of_an_enclave_is_none_of_a_trust_domain(void **state)
{
    (void)state;
    struct cases_one it;
    cases_load(&it, "sgx/automata-606a-platca");
    struct verdict verdict = verdict_at(it.verify_at_s);
    tdx_verify(&verdict, buffer_bytes(&it.quote), &it.collateral, &vendor_pinned()->intel);
    assert_int_equal(verdict.reason, REASON_FORMAT);
    cases_release(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_bit_of_a_quote_of_version_4_can_change),
        cmocka_unit_test(a_quote_is_refused_at_every_length_below_its_own),
        cmocka_unit_test(a_quote_of_an_enclave_is_none_of_a_trust_domain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
