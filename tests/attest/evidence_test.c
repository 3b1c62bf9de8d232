/* tests/attest/evidence_test.c */

/*
 * Goal: a container gives back what was put in, and evidence of which a single
 * bit or byte was touched outside is never genuine.
 * Method: round trips; then every bit flipped, every truncation, an excess,
 * and every bound of the container.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/attest/fixture.h"

static const struct evidence_roots NO_ROOTS = {.simulated = NULL};

static void gives_back_what_was_put_in(void **state)
{
    struct fixture *f = *state;
    for (enum tee tee = TEE_SIMULATED; tee <= TEE_SEV_SNP; tee++) {
        struct evidence sent = {tee, bytes_text("quote"), bytes_text("collateral")}, received;
        buffer_clear(&f->evidence);
        assert_int_equal(evidence_encode(&sent, &f->evidence), STATUS_OK);
        assert_int_equal(evidence_decode(&received, buffer_bytes(&f->evidence)), STATUS_OK);
        assert_int_equal(received.tee, tee);
        assert_true(bytes_equal(received.quote, sent.quote));
        assert_true(bytes_equal(received.collateral, sent.collateral));
    }
}

static void holds_the_longest_quote_and_collateral_and_no_longer(void **state)
{
    struct fixture *f = *state;
    uint8_t *zeroes = calloc(1, EVIDENCE_BYTES_MAX);
    struct evidence sent = {
        TEE_SGX,
        bytes_of(zeroes, EVIDENCE_QUOTE_BYTES_MAX),
        bytes_of(zeroes, EVIDENCE_COLLATERAL_BYTES_MAX),
    };
    struct evidence received;
    assert_int_equal(evidence_encode(&sent, &f->evidence), STATUS_OK);
    assert_int_equal(f->evidence.length, EVIDENCE_BYTES_MAX);
    assert_int_equal(evidence_decode(&received, buffer_bytes(&f->evidence)), STATUS_OK);

    // One byte more of either, with a length that agrees.
    for (size_t at = 8; at <= 12; at += 4) {
        buffer_clear(&f->evidence);
        assert_int_equal(evidence_encode(&sent, &f->evidence), STATUS_OK);
        assert_int_equal(buffer_append(&f->evidence, zeroes, 1), STATUS_OK);
        f->evidence.bytes[at]++;
        assert_int_equal(evidence_decode(&received, buffer_bytes(&f->evidence)), STATUS_MALFORMED);
    }
    free(zeroes);
}

static void p2_refuses_evidence_with_any_bit_flipped(void **state)
{
    struct fixture *f = *state;
    fixture_evidence(f, false);
    assert_int_equal(fixture_verify(f).reason, REASON_NONE);
    for (size_t bit = 0; bit < 8 * f->evidence.length; bit++) {
        f->evidence.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(fixture_verify(f).reason, REASON_NONE);
        f->evidence.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(fixture_verify(f).reason, REASON_NONE);
}

static void p2_refuses_evidence_cut_at_any_length(void **state)
{
    struct fixture *f = *state;
    struct evidence_roots roots = policy_roots(&f->policy, vendor_pinned());
    fixture_evidence(f, false);
    for (size_t length = 0; length < f->evidence.length; length++) {
        // An allocation of exactly that length: AddressSanitizer sees a read beyond.
        uint8_t *cut = malloc(length);
        memcpy(cut, f->evidence.bytes, length);
        struct verdict verdict = evidence_verify(bytes_of(cut, length), FIXTURE_NOW_S, &roots);
        assert_int_equal(verdict.reason, REASON_FORMAT);
        free(cut);
    }
}

static void p2_refuses_trailing_bytes(void **state)
{
    struct fixture *f = *state;
    fixture_evidence(f, false);
    assert_int_equal(buffer_append(&f->evidence, "", 1), STATUS_OK);
    assert_int_equal(fixture_verify(f).reason, REASON_FORMAT);
}

static void says_which_tee_has_no_root(void **state)
{
    struct fixture *f = *state;
    for (enum tee tee = TEE_SGX; tee <= TEE_SEV_SNP; tee++) {
        struct evidence evidence = {tee, bytes_text("quote"), bytes_of(NULL, 0)};
        buffer_clear(&f->evidence);
        assert_int_equal(evidence_encode(&evidence, &f->evidence), STATUS_OK);
        struct verdict verdict = fixture_verify(f);
        assert_int_equal(verdict.reason, REASON_FORMAT);
        assert_int_equal(verdict.tee, tee);
        verdict = evidence_verify(buffer_bytes(&f->evidence), FIXTURE_NOW_S, &NO_ROOTS);
        assert_int_equal(verdict.reason, REASON_UNSUPPORTED);
        assert_non_null(strstr(verdict.detail, verdict_tee_text(tee)));
    }
}

static void trusts_no_tee_without_a_root(void **state)
{
    struct fixture *f = *state;
    fixture_evidence(f, false);
    struct verdict verdict = evidence_verify(buffer_bytes(&f->evidence), FIXTURE_NOW_S, &NO_ROOTS);
    assert_int_equal(verdict.reason, REASON_SIMULATED_NOT_ALLOWED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(gives_back_what_was_put_in),
        TEST(holds_the_longest_quote_and_collateral_and_no_longer),
        TEST(p2_refuses_evidence_with_any_bit_flipped),
        TEST(p2_refuses_evidence_cut_at_any_length),
        TEST(p2_refuses_trailing_bytes),
        TEST(says_which_tee_has_no_root),
        TEST(trusts_no_tee_without_a_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
