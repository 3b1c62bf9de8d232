/* tests/attest/simulated_test.c */

/*
 * Goal: the simulated TEE refuses for the same reasons as a real one.
 * Method: make evidence with one thing wrong at a time, some by the functions
 * under test, some by signing bytes by hand; compare the reasons.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/attest/fixture.h"

enum { REPORT_BYTES = 188, PLATFORM_SEED_AT = 4 };

static void says_what_the_quote_was_made_of(void **state)
{
    struct fixture *f = *state;
    fixture_evidence(f, true);
    struct verdict verdict = fixture_verify(f);
    assert_int_equal(verdict.reason, REASON_NONE);
    assert_false(verdict.is_admitted);
    assert_int_equal(verdict.tee, TEE_SIMULATED);
    assert_int_equal(verdict.tcb_status, TCB_UP_TO_DATE);
    assert_true(verdict.is_debug);
    assert_int_equal(verdict.measurement.length, HASH_BYTES);
    assert_memory_equal(verdict.measurement.bytes, f->measurement.bytes, HASH_BYTES);
    assert_int_equal(verdict.signer.length, 0);
    assert_int_equal(verdict.platform.length, SIMULATED_PLATFORM_ID_BYTES);
    assert_memory_equal(verdict.platform.bytes, simulated_platform_id(f->platform),
                        SIMULATED_PLATFORM_ID_BYTES);
    assert_memory_equal(verdict.report_data, f->report_data, sizeof f->report_data);
    assert_int_equal(verdict.judged_at_s, FIXTURE_NOW_S);
    assert_int_equal(verdict.collateral_issued_s, f->tcb.issued_s);
    assert_string_equal(verdict.detail, "");
}

static void a_stored_platform_makes_the_same_quotes(void **state)
{
    struct fixture *f = *state;
    uint8_t stored[SIMULATED_PLATFORM_BYTES];
    uint8_t before[SIMULATED_QUOTE_BYTES], after[SIMULATED_QUOTE_BYTES];
    simulated_quote(f->platform, &f->measurement, f->report_data, false, before);

    simulated_platform_encode(f->platform, stored);
    simulated_platform_free(f->platform);
    assert_int_equal(simulated_platform_decode(&f->platform, bytes_of(stored, sizeof stored)),
                     STATUS_OK);

    simulated_quote(f->platform, &f->measurement, f->report_data, false, after);
    assert_memory_equal(before, after, sizeof before);
}

static void refuses_a_stored_platform_that_is_cut_or_has_another_key(void **state)
{
    struct fixture *f = *state;
    struct simulated_platform *platform = NULL;
    uint8_t stored[SIMULATED_PLATFORM_BYTES + 1] = {0};
    simulated_platform_encode(f->platform, stored);
    for (size_t length = 0; length <= sizeof stored; length++) {
        if (length != SIMULATED_PLATFORM_BYTES) {
            assert_int_equal(simulated_platform_decode(&platform, bytes_of(stored, length)),
                             STATUS_MALFORMED);
            assert_null(platform);
        }
    }
    stored[PLATFORM_SEED_AT] ^= 1;
    assert_int_equal(
        simulated_platform_decode(&platform, bytes_of(stored, SIMULATED_PLATFORM_BYTES)),
        STATUS_MALFORMED);
    assert_null(platform);
}

static void refuses_a_chain_to_another_root(void **state)
{
    struct fixture *f = *state;
    fixture_evidence(f, false);
    f->policy.simulated_root.bytes[0] ^= 1;
    assert_int_equal(fixture_verify(f).reason, REASON_CHAIN);
}

static enum reason reason_at(const struct fixture *f, uint64_t now_s)
{
    struct evidence_roots roots = policy_roots(&f->policy, vendor_pinned());
    return evidence_verify(buffer_bytes(&f->evidence), now_s, &roots).reason;
}

static void a_certificate_is_valid_from_its_first_second_to_its_last(void **state)
{
    struct fixture *f = *state;
    f->tcb.issued_s = 0;
    fixture_evidence(f, false);
    uint64_t first_s = FIXTURE_NOW_S - FIXTURE_DAY_S, last_s = FIXTURE_NOW_S + FIXTURE_DAY_S;
    assert_int_equal(reason_at(f, first_s - 1), REASON_CHAIN);
    assert_int_equal(reason_at(f, first_s), REASON_NONE);
    assert_int_equal(reason_at(f, last_s), REASON_NONE);
    assert_int_equal(reason_at(f, last_s + 1), REASON_CHAIN);
}

static void collateral_is_current_until_its_next_update(void **state)
{
    struct fixture *f = *state;
    f->tcb.issued_s = FIXTURE_NOW_S - 10;
    f->tcb.next_update_s = FIXTURE_NOW_S + 10;
    fixture_evidence(f, false);
    assert_int_equal(reason_at(f, FIXTURE_NOW_S - 11), REASON_COLLATERAL_EXPIRED);
    assert_int_equal(reason_at(f, FIXTURE_NOW_S - 10), REASON_NONE);
    assert_int_equal(reason_at(f, FIXTURE_NOW_S + 9), REASON_NONE);
    assert_int_equal(reason_at(f, FIXTURE_NOW_S + 10), REASON_COLLATERAL_EXPIRED);
}

static void refuses_evidence_without_collateral(void **state)
{
    struct fixture *f = *state;
    uint8_t quote[SIMULATED_QUOTE_BYTES];
    simulated_quote(f->platform, &f->measurement, f->report_data, false, quote);
    const struct evidence evidence = {
        .tee = TEE_SIMULATED,
        .quote = bytes_of(quote, sizeof quote),
    };
    assert_int_equal(evidence_encode(&evidence, &f->evidence), STATUS_OK);
    struct verdict verdict = fixture_verify(f);
    assert_int_equal(verdict.reason, REASON_COLLATERAL);
    assert_int_equal(verdict.tcb_status, TCB_UNKNOWN);
}

static void refuses_collateral_that_another_vendor_signed(void **state)
{
    struct fixture *f = *state;
    struct sign_key *vendor = f->vendor;
    f->vendor = sign_key_new(&f->random);
    fixture_evidence(f, false);
    assert_int_equal(fixture_verify(f).reason, REASON_COLLATERAL);
    sign_key_free(vendor);
}

static void p11_refuses_a_platform_that_the_vendor_revoked(void **state)
{
    struct fixture *f = *state;
    memcpy(f->tcb.revoked[f->tcb.revoked_count++], simulated_platform_id(f->platform),
           SIMULATED_PLATFORM_ID_BYTES);
    fixture_evidence(f, false);
    assert_int_equal(fixture_verify(f).reason, REASON_REVOKED);
}

static void a_platform_has_the_status_of_the_first_level_not_above_its_own(void **state)
{
    struct fixture *f = *state;
    const struct {
        uint32_t first_level;
        enum tcb_status status;
    } cases[] = {
        {FIXTURE_TCB_LEVEL - 1, TCB_UP_TO_DATE},
        {FIXTURE_TCB_LEVEL, TCB_UP_TO_DATE},
        {FIXTURE_TCB_LEVEL + 1, TCB_OUT_OF_DATE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        f->tcb.levels[0].tcb_level = cases[i].first_level;
        fixture_evidence(f, false);
        struct verdict verdict = fixture_verify(f);
        assert_int_equal(verdict.reason, REASON_NONE);
        assert_int_equal(verdict.tcb_status, cases[i].status);
    }
}

static void refuses_a_level_below_all_that_the_vendor_lists(void **state)
{
    struct fixture *f = *state;
    f->tcb.levels[0].tcb_level = FIXTURE_TCB_LEVEL + 1;
    f->tcb.level_count = 1;
    fixture_evidence(f, false);
    struct verdict verdict = fixture_verify(f);
    assert_int_equal(verdict.reason, REASON_COLLATERAL);
    assert_int_equal(verdict.tcb_status, TCB_UNKNOWN);
}

/* Sign the report in `quote` anew, by the platform's own key. */
static void sign_again(const struct fixture *f, uint8_t *quote)
{
    uint8_t stored[SIMULATED_PLATFORM_BYTES];
    simulated_platform_encode(f->platform, stored);
    struct sign_key *key = sign_key_new_from_seed(stored + PLATFORM_SEED_AT);
    struct signature signature = sign_make(key, "paranoid simulated report v1",
                                           bytes_of(quote, REPORT_BYTES - SIGN_SIGNATURE_BYTES));
    memcpy(quote + REPORT_BYTES - SIGN_SIGNATURE_BYTES, signature.bytes, sizeof signature.bytes);
    sign_key_free(key);
}

static void refuses_a_report_of_another_platform_or_level_than_its_certificate(void **state)
{
    struct fixture *f = *state;
    const struct {
        size_t at;  // in the report
        enum reason reason;
    } cases[] = {
        {4, REASON_NONE},    // the debug flag
        {5, REASON_FORMAT},  // a flag that does not exist
        {8, REASON_CHAIN},   // TCB level
        {12, REASON_CHAIN},  // platform id
        {28, REASON_NONE},   // measurement
        {123, REASON_NONE},  // report data
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t quote[SIMULATED_QUOTE_BYTES];
        simulated_quote(f->platform, &f->measurement, f->report_data, false, quote);
        quote[cases[i].at] ^= 1;
        fixture_wrap(f, bytes_of(quote, sizeof quote));
        enum reason unsigned_reason =
            cases[i].reason == REASON_FORMAT ? REASON_FORMAT : REASON_SIGNATURE;
        assert_int_equal(fixture_verify(f).reason, unsigned_reason);
        sign_again(f, quote);
        fixture_wrap(f, bytes_of(quote, sizeof quote));
        assert_int_equal(fixture_verify(f).reason, cases[i].reason);
    }
}

static void refuses_a_report_that_another_platform_signed(void **state)
{
    struct fixture *f = *state;
    const struct simulated_terms terms = {
        .tcb_level = FIXTURE_TCB_LEVEL,
        .not_after_s = UINT64_MAX,
    };
    struct simulated_platform *other = simulated_platform_new(&f->random, f->vendor, &terms);
    uint8_t quote[SIMULATED_QUOTE_BYTES], foreign[SIMULATED_QUOTE_BYTES];
    simulated_quote(f->platform, &f->measurement, f->report_data, false, quote);
    simulated_quote(other, &f->measurement, f->report_data, false, foreign);
    memcpy(quote, foreign, REPORT_BYTES);
    fixture_wrap(f, bytes_of(quote, sizeof quote));
    assert_int_equal(fixture_verify(f).reason, REASON_SIGNATURE);
    simulated_platform_free(other);
}

static void tcb_info_gives_back_what_was_put_in(void **state)
{
    struct fixture *f = *state;
    struct buffer bytes = BUFFER_EMPTY;
    struct simulated_tcb tcb;
    f->tcb.level_count = SIMULATED_LEVEL_COUNT_MAX;
    for (uint32_t i = 0; i < SIMULATED_LEVEL_COUNT_MAX; i++) {
        f->tcb.levels[i] = (struct simulated_level){100 - i, TCB_OUT_OF_DATE};
    }
    f->tcb.revoked_count = SIMULATED_REVOKED_COUNT_MAX;
    random_fill(&f->random, f->tcb.revoked, sizeof f->tcb.revoked);
    assert_int_equal(simulated_tcb_encode(&f->tcb, f->vendor, &bytes), STATUS_OK);
    assert_int_equal(simulated_tcb_decode(&tcb, buffer_bytes(&bytes), &f->root), STATUS_OK);
    assert_int_equal(tcb.issued_s, f->tcb.issued_s);
    assert_int_equal(tcb.next_update_s, f->tcb.next_update_s);
    assert_int_equal(tcb.level_count, f->tcb.level_count);
    assert_int_equal(tcb.levels[15].tcb_level, 85);
    assert_int_equal(tcb.levels[15].status, TCB_OUT_OF_DATE);
    assert_memory_equal(tcb.revoked, f->tcb.revoked, sizeof tcb.revoked);
    buffer_release(&bytes);
}

static void refuses_tcb_info_with_any_field_out_of_bounds(void **state)
{
    struct fixture *f = *state;
    const struct {
        size_t at;
        uint8_t value;
        enum status status;
    } cases[] = {
        {0, 'Q', STATUS_MALFORMED},                               // magic
        {4, 0xff, STATUS_FORGED},                                 // issued
        {20, 0, STATUS_MALFORMED},                                // no level
        {20, SIMULATED_LEVEL_COUNT_MAX + 1, STATUS_MALFORMED},    // too many
        {20, 2, STATUS_MALFORMED},                                // fewer than there are
        {21, SIMULATED_REVOKED_COUNT_MAX + 1, STATUS_MALFORMED},  //
        {26, TCB_UNKNOWN, STATUS_MALFORMED},                      // status
        {26, TCB_STATUS_COUNT, STATUS_MALFORMED},                 //
        {27, FIXTURE_TCB_LEVEL, STATUS_MALFORMED},                // second level as the first
        {27, FIXTURE_TCB_LEVEL - 1, STATUS_FORGED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buffer bytes = BUFFER_EMPTY;
        struct simulated_tcb tcb;
        assert_int_equal(simulated_tcb_encode(&f->tcb, f->vendor, &bytes), STATUS_OK);
        bytes.bytes[cases[i].at] = cases[i].value;
        assert_int_equal(simulated_tcb_decode(&tcb, buffer_bytes(&bytes), &f->root),
                         cases[i].status);
        buffer_release(&bytes);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(says_what_the_quote_was_made_of),
        TEST(a_stored_platform_makes_the_same_quotes),
        TEST(refuses_a_stored_platform_that_is_cut_or_has_another_key),
        TEST(refuses_a_chain_to_another_root),
        TEST(a_certificate_is_valid_from_its_first_second_to_its_last),
        TEST(collateral_is_current_until_its_next_update),
        TEST(refuses_evidence_without_collateral),
        TEST(refuses_collateral_that_another_vendor_signed),
        TEST(p11_refuses_a_platform_that_the_vendor_revoked),
        TEST(a_platform_has_the_status_of_the_first_level_not_above_its_own),
        TEST(refuses_a_level_below_all_that_the_vendor_lists),
        TEST(refuses_a_report_of_another_platform_or_level_than_its_certificate),
        TEST(refuses_a_report_that_another_platform_signed),
        TEST(tcb_info_gives_back_what_was_put_in),
        TEST(refuses_tcb_info_with_any_field_out_of_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
