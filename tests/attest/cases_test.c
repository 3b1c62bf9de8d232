/* tests/attest/cases_test.c */

/*
 * Goal: evidence that others captured from real hardware gets the verdict that they gave it, at the
 * time that they name, with what it claims; and no document of it can be altered or exchanged.
 * Method: all cases of the published vectors; then one of each format, with documents removed,
 * altered and swapped.
 */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/date.h"
#include "base/hex.h"
#include "tests/attest/cases.h"

static const char SGX[] = "sgx/automata-606a-platca";
static const char TDX_4[] = "tdx/azure-v4-2026";
static const char TDX_5[] = "tdx/gotdx-v5-90c0";
static const char SNP[] = "sev-snp/milan-v3-azure";

// ---- the verdicts of others ----

static void assert_hex(const char *what, const uint8_t *bytes, size_t length, const json_t *fields,
                       const char *name)
{
    char text[2 * VERDICT_VALUE_BYTES_MAX + 1];
    const char *expected = json_string_value(json_object_get(fields, name));
    if (expected != NULL) {
        hex_encode(text, bytes, length);
        if (strcmp(text, expected) != 0) {
            fail_msg("%s: %s is %s, expected %s", what, name, text, expected);
        }
    }
}

static void assert_fields(const char *name, const struct verdict *verdict, const json_t *fields)
{
    const struct verdict_value *measurement = &verdict->measurement;
    const struct verdict_value *signer = &verdict->signer;
    assert_hex(name, measurement->bytes, measurement->length, fields, "MRENCLAVE");
    assert_hex(name, measurement->bytes, measurement->length, fields, "MRTD");
    assert_hex(name, measurement->bytes, measurement->length, fields, "MEASUREMENT");
    assert_hex(name, signer->bytes, signer->length, fields, "MRSIGNER");
    assert_hex(name, verdict->report_data, sizeof verdict->report_data, fields, "REPORT_DATA");
    for (size_t i = 0; i < VERDICT_RTMR_COUNT; i++) {
        static const char *const registers[] = {"RTMR0", "RTMR1", "RTMR2", "RTMR3"};
        assert_hex(name, verdict->rtmrs[i], VERDICT_RTMR_BYTES, fields, registers[i]);
    }
    assert_int_not_equal(measurement->length, 0);
}

/* Without collateral it is judged for the quote alone, as the vectors did. */
static struct verdict judge_as_others(struct cases_one *it)
{
    const struct evidence_roots roots = {.vendors = vendor_pinned()};
    const struct evidence quote = {.tee = it->tee, .quote = buffer_bytes(&it->quote)};
    uint64_t now_s = it->verify_at_s != 0 ? it->verify_at_s : (uint64_t)time(NULL);
    if (it->tee != TEE_SEV_SNP && it->files[COLLATERAL_TCB_INFO].length == 0) {
        return evidence_verify_quote(&quote, now_s, &roots);
    }
    return cases_judge(it, buffer_bytes(&it->quote), now_s);
}

static void judge_case(const char *name)
{
    struct cases_one it;
    cases_load(&it, name);
    const struct verdict verdict = judge_as_others(&it);
    const char *word = json_string_value(json_object_get(it.expected, "verdict"));
    const char *status = json_string_value(json_object_get(it.expected, "tcb_status"));
    bool is_valid = strcmp(word, "valid") == 0;
    if (is_valid != (verdict.reason == REASON_NONE)) {
        fail_msg("%s: expected %s, and it is %s: %s", name, word, verdict_code(verdict.reason),
                 verdict.detail);
    }
    // Where a status could not be found, others wrote why; we say that we do not know.
    enum tcb_status known = status == NULL ? TCB_UNKNOWN : verdict_tcb_parse(status);
    assert_int_equal(verdict.tcb_status, known);
    assert_int_equal(verdict.is_debug, json_is_true(json_object_get(it.expected, "debug")));
    assert_fields(name, &verdict, json_object_get(it.expected, "fields"));
    cases_release(&it);
}

static void every_case_gets_the_verdict_that_others_gave_it(void **state)
{
    (void)state;
    cases_each(judge_case);
}

static void each_negative_case_is_refused_for_its_own_reason(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum reason reason;
    } refusals[] = {
        {"sgx/certtype3-fortanix-raw", REASON_CHAIN},
        {"sgx/neg-oe-report-bad-chain", REASON_CHAIN},
        {"tdx/neg-fmspc-mismatch", REASON_COLLATERAL},
        {"tdx/neg-no-tcb-level-v4", REASON_FORMAT},
        {"sev-snp/neg-milan-v2-coco-wrong-vcek-legacy", REASON_SIGNATURE},
        {"sev-snp/neg-milan-v2-coco-wrong-vcek-new", REASON_SIGNATURE},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct cases_one it;
        cases_load(&it, refusals[i].name);
        const struct verdict verdict = judge_as_others(&it);
        assert_string_equal(verdict_code(verdict.reason), verdict_code(refusals[i].reason));
        assert_int_not_equal(strlen(verdict.detail), 0);
        cases_release(&it);
    }
    // Without the bytes behind its end the last TDX case shows what else is wrong with it.
    struct cases_one it;
    cases_load(&it, "tdx/neg-no-tcb-level-v4");
    const struct verdict verdict =
        cases_judge(&it, bytes_of(it.quote.bytes, it.quote.length - 39), it.verify_at_s);
    assert_int_equal(verdict.reason, REASON_TCB_STATUS);
    cases_release(&it);
}

static void a_case_is_in_force_in_its_window_and_not_a_second_longer(void **state)
{
    (void)state;
    static const char *const names[] = {SGX, TDX_4, TDX_5, SNP,
                                        "sev-snp/milan-v3-vlek-aws-us-east-2"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct cases_one it;
        uint64_t from_s, until_s;
        cases_load(&it, names[i]);
        const char *member = it.tee == TEE_SEV_SNP ? "cert_window" : "collateral_window";
        const json_t *window = json_object_get(it.expected, member);
        const char *from = json_string_value(json_array_get(window, 0));
        const char *until = json_string_value(json_array_get(window, 1));
        assert_true(date_parse(&from_s, bytes_text(from)));
        assert_true(date_parse(&until_s, bytes_text(until)));
        struct bytes quote = buffer_bytes(&it.quote);
        enum reason late = it.tee == TEE_SEV_SNP ? REASON_CHAIN : REASON_COLLATERAL_EXPIRED;
        assert_int_equal(cases_judge(&it, quote, from_s - 1).reason, late);
        assert_int_equal(cases_judge(&it, quote, from_s).reason, REASON_NONE);
        assert_int_equal(cases_judge(&it, quote, until_s).reason, REASON_NONE);
        assert_int_equal(cases_judge(&it, quote, until_s + 1).reason, late);
        const struct verdict verdict = cases_judge(&it, quote, from_s);
        assert_int_equal(verdict.valid_from_s, from_s);
        assert_int_equal(verdict.valid_until_s, until_s);
        cases_release(&it);
    }
}

// ---- altered: bit by bit in sgx_test.c, tdx_test.c and snp_test.c ----

static void zeroes_behind_the_end_are_padding_and_nothing_else_is(void **state)
{
    (void)state;
    static const char *const names[] = {SGX, TDX_4, TDX_5, SNP};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct cases_one it;
        uint8_t padding[100] = {0};
        cases_load(&it, names[i]);
        assert_int_equal(buffer_append(&it.quote, padding, sizeof padding), STATUS_OK);
        assert_int_equal(cases_judge_own(&it).reason, REASON_NONE);
        it.quote.bytes[it.quote.length - 1] = 1;
        assert_int_equal(cases_judge_own(&it).reason, REASON_FORMAT);
        cases_release(&it);
    }
}

// ---- documents ----

static enum reason judge_without(struct cases_one *it, enum collateral_kind kind)
{
    struct bytes document = it->collateral.documents[kind];
    it->collateral.documents[kind] = bytes_of(NULL, 0);
    enum reason reason = cases_judge_own(it).reason;
    it->collateral.documents[kind] = document;
    return reason;
}

static void no_document_can_be_left_out(void **state)
{
    (void)state;
    struct cases_one it;
    cases_load(&it, TDX_4);
    for (size_t kind = COLLATERAL_PCK_CRL; kind <= COLLATERAL_QE_IDENTITY_ISSUER_CHAIN; kind++) {
        // The chain of the PCK's issuer is a copy of what the quote carries.
        bool is_needed = kind != COLLATERAL_PCK_CRL_ISSUER_CHAIN;
        assert_int_equal(judge_without(&it, (enum collateral_kind)kind),
                         is_needed ? REASON_COLLATERAL : REASON_NONE);
    }
    cases_release(&it);
    cases_load(&it, SNP);
    assert_int_equal(judge_without(&it, COLLATERAL_VCEK), REASON_CHAIN);
    assert_int_equal(judge_without(&it, COLLATERAL_ASK), REASON_CHAIN);
    assert_int_equal(judge_without(&it, COLLATERAL_ARK), REASON_CHAIN);
    cases_release(&it);
}

static void assert_document_cannot_change(struct cases_one *it, enum collateral_kind kind,
                                          size_t step)
{
    struct buffer *file = &it->files[kind];
    for (size_t bit = 1; bit < 8 * file->length; bit += step) {
        uint8_t before = file->bytes[bit / 8];
        file->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        const struct verdict verdict = cases_judge_own(it);
        // Digits of a signature in JSON, which is not signed itself, may be of either case.
        bool is_case = isxdigit(before) && tolower(before) == tolower(file->bytes[bit / 8]);
        if (verdict.reason == REASON_NONE && !is_case) {
            fail_msg("%s: bit %zu of byte %zu can change", collateral_name(kind), bit % 8, bit / 8);
        }
        file->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void no_document_can_be_altered(void **state)
{
    (void)state;
    struct cases_one it;
    cases_load(&it, TDX_4);
    for (size_t kind = COLLATERAL_PCK_CRL; kind <= COLLATERAL_QE_IDENTITY_ISSUER_CHAIN; kind++) {
        assert_document_cannot_change(&it, (enum collateral_kind)kind, 8 * 11 + 1);
    }
    cases_release(&it);
    cases_load(&it, SNP);
    for (size_t kind = COLLATERAL_VCEK; kind <= COLLATERAL_ARK; kind++) {
        assert_document_cannot_change(&it, (enum collateral_kind)kind, 8 * 11 + 1);
    }
    cases_release(&it);
}

/* Judge one case with a document of another. */
static enum reason judge_with(struct cases_one *it, enum collateral_kind kind,
                              struct cases_one *other, enum collateral_kind source)
{
    struct bytes document = it->collateral.documents[kind];
    it->collateral.documents[kind] = other->collateral.documents[source];
    enum reason reason = cases_judge_own(it).reason;
    it->collateral.documents[kind] = document;
    return reason;
}

static void a_document_of_another_platform_or_purpose_is_refused(void **state)
{
    (void)state;
    struct cases_one tdx, milan, genoa, vlek;
    cases_load(&tdx, TDX_4);
    // A PCK's chain signs no statement; the chain of statements no PCK.
    assert_int_equal(
        judge_with(&tdx, COLLATERAL_TCB_INFO_ISSUER_CHAIN, &tdx, COLLATERAL_PCK_CRL_ISSUER_CHAIN),
        REASON_COLLATERAL);
    assert_int_equal(
        judge_with(&tdx, COLLATERAL_PCK_CRL_ISSUER_CHAIN, &tdx, COLLATERAL_TCB_INFO_ISSUER_CHAIN),
        REASON_COLLATERAL);
    assert_int_equal(judge_with(&tdx, COLLATERAL_PCK_CRL, &tdx, COLLATERAL_ROOT_CA_CRL),
                     REASON_COLLATERAL);
    assert_int_equal(judge_with(&tdx, COLLATERAL_ROOT_CA_CRL, &tdx, COLLATERAL_PCK_CRL),
                     REASON_COLLATERAL);
    assert_int_equal(judge_with(&tdx, COLLATERAL_QE_IDENTITY, &tdx, COLLATERAL_TCB_INFO),
                     REASON_COLLATERAL);

    cases_load(&milan, SNP);
    cases_load(&genoa, "sev-snp/genoa-v3-azure");
    cases_load(&vlek, "sev-snp/milan-v3-vlek-aws-us-east-2");
    assert_int_equal(judge_with(&milan, COLLATERAL_VCEK, &genoa, COLLATERAL_VCEK),
                     REASON_SIGNATURE);
    assert_int_equal(judge_with(&milan, COLLATERAL_VCEK, &vlek, COLLATERAL_VLEK), REASON_SIGNATURE);
    assert_int_equal(judge_with(&milan, COLLATERAL_ARK, &genoa, COLLATERAL_ARK), REASON_CHAIN);
    assert_int_equal(judge_with(&vlek, COLLATERAL_VLEK, &milan, COLLATERAL_VCEK), REASON_SIGNATURE);
    struct cases_one second;
    cases_load(&second, "sev-snp/milan-v3-azure-2");
    assert_int_equal(judge_with(&milan, COLLATERAL_VCEK, &second, COLLATERAL_VCEK),
                     REASON_SIGNATURE);
    cases_release(&second);
    cases_release(&tdx);
    cases_release(&milan);
    cases_release(&genoa);
    cases_release(&vlek);
}

static void certificates_come_in_any_order_and_in_either_form(void **state)
{
    (void)state;
    struct cases_one it;
    cases_load(&it, SNP);
    struct buffer both = BUFFER_EMPTY;
    struct bytes ask = it.collateral.documents[COLLATERAL_ASK];
    struct bytes ark = it.collateral.documents[COLLATERAL_ARK];
    assert_int_equal(buffer_append(&both, ark.at, ark.length), STATUS_OK);
    assert_int_equal(buffer_append(&both, ask.at, ask.length), STATUS_OK);
    it.collateral.documents[COLLATERAL_ASK] = buffer_bytes(&both);
    it.collateral.documents[COLLATERAL_ARK] = bytes_of(NULL, 0);
    assert_int_equal(cases_judge_own(&it).reason, REASON_NONE);
    it.collateral.documents[COLLATERAL_ASK] = ark;
    it.collateral.documents[COLLATERAL_ARK] = ask;
    assert_int_equal(cases_judge_own(&it).reason, REASON_NONE);
    // What AMD serves is both in one text, and a user may take it for either.
    it.collateral.documents[COLLATERAL_ASK] = buffer_bytes(&both);
    it.collateral.documents[COLLATERAL_ARK] = buffer_bytes(&both);
    assert_int_equal(cases_judge_own(&it).reason, REASON_NONE);
    buffer_release(&both);
    cases_release(&it);
}

/* The digits of a document, and a line end. */
static struct buffer in_hex(struct bytes document)
{
    struct buffer text = BUFFER_EMPTY;
    assert_int_equal(buffer_reserve(&text, 2 * document.length + 1), STATUS_OK);
    hex_encode((char *)text.bytes, document.at, document.length);
    text.length = 2 * document.length;
    text.bytes[text.length++] = '\n';
    return text;
}

static void revocation_lists_may_be_in_hexadecimal(void **state)
{
    (void)state;
    struct cases_one it;
    cases_load(&it, TDX_4);
    struct buffer pck = in_hex(it.collateral.documents[COLLATERAL_PCK_CRL]);
    struct buffer root = in_hex(it.collateral.documents[COLLATERAL_ROOT_CA_CRL]);
    it.collateral.documents[COLLATERAL_PCK_CRL] = buffer_bytes(&pck);
    it.collateral.documents[COLLATERAL_ROOT_CA_CRL] = buffer_bytes(&root);
    assert_int_equal(cases_judge_own(&it).reason, REASON_NONE);
    for (size_t length = 0; length + 1 < pck.length; length += 7) {
        it.collateral.documents[COLLATERAL_PCK_CRL].length = length;
        assert_int_equal(cases_judge_own(&it).reason, REASON_COLLATERAL);
    }
    buffer_release(&pck);
    buffer_release(&root);
    cases_release(&it);
}

static void a_tee_is_not_judged_by_the_rules_of_another(void **state)
{
    (void)state;
    static const enum tee tees[] = {TEE_SGX, TEE_TDX, TEE_SEV_SNP};
    static const char *const names[] = {SGX, TDX_4, SNP};
    for (size_t i = 0; i < 3; i++) {
        struct cases_one it;
        cases_load(&it, names[i]);
        for (size_t j = 0; j < 3; j++) {
            it.tee = tees[j];
            assert_int_equal(cases_judge_own(&it).reason == REASON_NONE, i == j);
        }
        cases_release(&it);
    }
}

static void a_root_that_lies_beside_the_evidence_proves_nothing(void **state)
{
    (void)state;
    static const char *const names[] = {SGX, TDX_4, SNP};
    struct vendor_roots others = *vendor_pinned();
    others.intel.key.bytes[0] ^= 1;
    others.amd[VENDOR_MILAN].key.bytes[31] ^= 1;
    const struct evidence_roots roots = {.vendors = &others};
    const struct evidence_roots none = {.vendors = NULL};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct cases_one it;
        cases_load(&it, names[i]);
        assert_int_equal(cases_judge_own(&it).reason, REASON_NONE);
        const struct evidence evidence = {
            .tee = it.tee,
            .quote = buffer_bytes(&it.quote),
            .collateral = buffer_bytes(&it.bundle),
        };
        assert_int_equal(evidence_verify_parts(&evidence, it.verify_at_s, &roots).reason,
                         REASON_CHAIN);
        assert_int_equal(evidence_verify_quote(&evidence, it.verify_at_s, &roots).reason,
                         REASON_CHAIN);
        assert_int_equal(evidence_verify_parts(&evidence, it.verify_at_s, &none).reason,
                         REASON_UNSUPPORTED);
        cases_release(&it);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_gets_the_verdict_that_others_gave_it),
        cmocka_unit_test(each_negative_case_is_refused_for_its_own_reason),
        cmocka_unit_test(a_case_is_in_force_in_its_window_and_not_a_second_longer),
        cmocka_unit_test(zeroes_behind_the_end_are_padding_and_nothing_else_is),
        cmocka_unit_test(no_document_can_be_left_out),
        cmocka_unit_test(no_document_can_be_altered),
        cmocka_unit_test(a_document_of_another_platform_or_purpose_is_refused),
        cmocka_unit_test(certificates_come_in_any_order_and_in_either_form),
        cmocka_unit_test(revocation_lists_may_be_in_hexadecimal),
        cmocka_unit_test(a_tee_is_not_judged_by_the_rules_of_another),
        cmocka_unit_test(a_root_that_lies_beside_the_evidence_proves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
