/* tests/attest/snp_test.c */

/*
 * Goal: nothing in an SEV-SNP report can be altered or cut, and what lies behind it is refused.
 * Method: one from real hardware, every bit flipped, cut at every length.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "attest/snp.h"
#include "tests/attest/cases.h"

static const char SNP[] = "sev-snp/milan-v3-azure";

enum { SIGNED_BYTES = 0x2a0, SIGNATURE_BYTES = 512 };

static void no_bit_of_a_report_can_change(void **state)
{
    (void)state;
    struct cases_one it;
    cases_load(&it, SNP);
    assert_int_equal(it.quote.length, SNP_REPORT_BYTES);
    cases_assert_no_bit_can_change(&it, bytes_of(it.quote.bytes, SIGNED_BYTES), 1);
    cases_release(&it);
}

static void no_bit_of_a_signature_can_change_nor_of_what_pads_it(void **state)
{
    (void)state;
    struct cases_one it;
    cases_load(&it, SNP);
    cases_assert_no_bit_can_change(&it, bytes_of(it.quote.bytes + SIGNED_BYTES, SIGNATURE_BYTES),
                                   1);
    cases_release(&it);
}

static void a_report_is_refused_at_every_length_below_its_own(void **state)
{
    (void)state;
    cases_assert_refused_at_every_length(SNP, SNP_REPORT_BYTES);
}

static void a_report_says_what_to_ask_the_key_service_for(void **state)
{
    (void)state;
    struct cases_one it;
    struct snp_query query;
    cases_load(&it, SNP);
    assert_true(snp_query_read(&query, buffer_bytes(&it.quote)));
    assert_false(query.is_vlek);
    assert_true(query.has_product);
    assert_int_equal(query.product, VENDOR_MILAN);
    assert_memory_equal(query.chip, it.quote.bytes + 0x1a0, SNP_CHIP_BYTES);
    assert_false(snp_query_read(&query, bytes_of(it.quote.bytes, SIGNED_BYTES - 1)));
    cases_release(&it);
    cases_load(&it, "sev-snp/milan-v3-vlek-aws-us-east-2");
    assert_true(snp_query_read(&query, buffer_bytes(&it.quote)));
    assert_true(query.is_vlek);
    cases_release(&it);
    cases_load(&it, "sev-snp/milan-v2-coco");
    assert_true(snp_query_read(&query, buffer_bytes(&it.quote)));
    assert_false(query.has_product);
    cases_release(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_bit_of_a_report_can_change),
        cmocka_unit_test(no_bit_of_a_signature_can_change_nor_of_what_pads_it),
        cmocka_unit_test(a_report_is_refused_at_every_length_below_its_own),
        cmocka_unit_test(a_report_says_what_to_ask_the_key_service_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
