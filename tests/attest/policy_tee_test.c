/* tests/attest/policy_tee_test.c */

/*
 * Goal: what a policy says of one TEE, or of a signer, counts there and nowhere else, and comes
 * back as it was written.
 * Method: policies as texts, read, written again and put to judge verdicts made by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "attest/policy.h"

#define DIGITS32 "abababababababababababababababababababababababababababababababab"
#define DIGITS16 "abababababababababababababababab"
#define WITH(member) "{\"version\": 1, \"measurements\": {}, " member "}"

static const uint8_t REPORT_DATA[VERDICT_REPORT_DATA_BYTES];

static void parse(struct policy *policy, const char *json)
{
    char error[POLICY_ERROR_BYTES_MAX];
    if (policy_parse(policy, bytes_text(json), error) != STATUS_OK) {
        fail_msg("%s: %s", json, error);
    }
}

/* A genuine verdict of this TEE: signer and measurement of 0xab, product 7, security version 5. */
static struct verdict genuine(enum tee tee)
{
    uint8_t bytes[48];
    memset(bytes, 0xab, sizeof bytes);
    const uint8_t product[] = {7, 0};
    struct verdict verdict = verdict_at(1800000000);
    verdict.tee = tee;
    verdict.reason = REASON_NONE;
    verdict.tcb_status = tee == TEE_SEV_SNP ? TCB_UNKNOWN : TCB_UP_TO_DATE;
    verdict.collateral_issued_s = tee == TEE_SEV_SNP ? 0 : 1800000000;
    verdict.measurement = verdict_value_of(bytes_of(bytes, tee == TEE_SGX ? 32 : 48));
    verdict.signer = verdict_value_of(bytes_of(bytes, tee == TEE_SGX ? 32 : 48));
    verdict.product = verdict_value_of(tee == TEE_SGX ? bytes_of(product, 2) : bytes_of(bytes, 32));
    verdict.security_version = 5;
    return verdict;
}

static enum reason judge(const char *json, const struct verdict *verdict)
{
    struct policy policy;
    parse(&policy, json);
    const struct verdict judged = policy_judge(&policy, verdict, REPORT_DATA, POLICY_WORKER);
    assert_int_equal(judged.is_admitted, judged.reason == REASON_NONE);
    return judged.reason;
}

static void what_is_written_is_read_again(void **state)
{
    (void)state;
    static const char json[] = WITH(
        "\"signers\": {\"worker\": [{\"tee\": \"sgx\", \"signer\": \"" DIGITS32
        "\", \"product\": 7, \"min_security_version\": 4294967295}, {\"tee\": \"sev-snp\", "
        "\"signer\": \"" DIGITS32 DIGITS16 "\", \"product\": \"" DIGITS32
        "\", \"min_security_version\": 0}]}, "
        "\"tees\": {\"sgx\": {\"tcb_statuses\": [], \"advisories\": [\"INTEL-SA-00615\"], "
        "\"allow_debug\": true, \"max_collateral_age_days\": 3}, \"simulated\": {\"allow_debug\": "
        "false}, \"sev-snp\": {\"min_tcb\": {\"Genoa\": {\"snp\": 22}, \"Turin\": {}}}}");
    struct policy policy, again;
    struct buffer first = BUFFER_EMPTY, second = BUFFER_EMPTY;
    char error[POLICY_ERROR_BYTES_MAX];
    parse(&policy, json);
    assert_int_equal(policy_encode(&policy, &first), STATUS_OK);
    assert_int_equal(policy_parse(&again, buffer_bytes(&first), error), STATUS_OK);
    assert_int_equal(policy_encode(&again, &second), STATUS_OK);
    assert_true(bytes_equal(buffer_bytes(&first), buffer_bytes(&second)));
    assert_int_equal(again.signers[POLICY_WORKER].count, 2);
    assert_int_equal(again.signers[POLICY_WORKER].values[0].min_security_version, UINT32_MAX);
    assert_int_equal(again.tees[TEE_SGX].max_collateral_age_days, 3);
    assert_string_equal(again.tees[TEE_SGX].advisories[0], "INTEL-SA-00615");
    assert_false(again.tees[TEE_TDX].has_allow_debug);
    assert_true(again.tees[TEE_SIMULATED].has_allow_debug);
    buffer_release(&first);
    buffer_release(&second);
}

static void what_is_not_wholly_understood_is_refused(void **state)
{
    (void)state;
#define SIGNER(members) WITH("\"signers\": {\"worker\": [{" members "}]}")
#define SGX "\"tee\": \"sgx\", \"signer\": \"" DIGITS32 "\""
    static const struct {
        const char *json;
        const char *names;
    } cases[] = {
        {WITH("\"tees\": []"), "'tees'"},
        {WITH("\"tees\": {\"nitro\": {}}"), "'tees.nitro'"},
        {WITH("\"tees\": {\"unknown\": {}}"), "'tees.unknown'"},
        {WITH("\"tees\": {\"sgx\": []}"), "'tees.sgx'"},
        {WITH("\"tees\": {\"sgx\": {\"debug\": true}}"), "'tees.sgx.debug' is unknown"},
        {WITH("\"tees\": {\"sgx\": {\"allow_debug\": 1}}"), "'tees.sgx.allow_debug'"},
        {WITH("\"tees\": {\"tdx\": {\"tcb_statuses\": [\"Revoked\"]}}"),
         "'tees.tdx.tcb_statuses[0]'"},
        {WITH("\"tees\": {\"tdx\": {\"max_collateral_age_days\": 0}}"),
         "'tees.tdx.max_collateral_age_days'"},
        {WITH("\"tees\": {\"tdx\": {\"advisories\": \"all\"}}"), "'tees.tdx.advisories'"},
        {WITH("\"tees\": {\"tdx\": {\"advisories\": [\"\"]}}"), "'tees.tdx.advisories[0]'"},
        {WITH("\"tees\": {\"tdx\": {\"advisories\": [\"A,B\"]}}"), "'tees.tdx.advisories[0]'"},
        {WITH("\"tees\": {\"tdx\": {\"advisories\": [\"123456789012345678901234\"]}}"),
         "'tees.tdx.advisories[0]'"},
        {WITH("\"signers\": []"), "'signers'"},
        {WITH("\"signers\": {\"admin\": []}"), "unknown role"},
        {WITH("\"signers\": {\"worker\": {}}"), "'signers.worker'"},
        {SIGNER(""), "'signers.worker[0].tee'"},
        {SIGNER("\"tee\": \"tdx\""), "'signers.worker[0].tee'"},
        {SIGNER("\"tee\": \"sgx\", \"signer\": \"" DIGITS16 "\""), "'signers.worker[0].signer'"},
        {SIGNER("\"tee\": \"sev-snp\", \"signer\": \"" DIGITS32 "\""),
         "'signers.worker[0].signer'"},
        {SIGNER(SGX), "'signers.worker[0].product'"},
        {SIGNER(SGX ", \"product\": 65536"), "'signers.worker[0].product'"},
        {SIGNER(SGX ", \"product\": -1"), "'signers.worker[0].product'"},
        {SIGNER(SGX ", \"product\": 0"), "'signers.worker[0].min_security_version'"},
        {SIGNER(SGX ", \"product\": 0, \"min_security_version\": 0, \"more\": 1"),
         "'signers.worker[0]' has an unknown member"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct policy policy;
        char error[POLICY_ERROR_BYTES_MAX];
        enum status status = policy_parse(&policy, bytes_text(cases[i].json), error);
        if (status != STATUS_MALFORMED || strstr(error, cases[i].names) == NULL) {
            fail_msg("%s gave '%s': %s", cases[i].json, error, status_text(status));
        }
    }
}

static void a_signer_stands_for_its_programs_from_a_version_on(void **state)
{
    (void)state;
#define SIGNED(product, version) \
    SIGNER(SGX ", \"product\": " product ", \"min_security_version\": " version)
    struct verdict sgx = genuine(TEE_SGX), snp = genuine(TEE_SEV_SNP);
    assert_int_equal(judge(SIGNED("7", "5"), &sgx), REASON_NONE);
    assert_int_equal(judge(SIGNED("7", "6"), &sgx), REASON_MEASUREMENT);
    assert_int_equal(judge(SIGNED("8", "5"), &sgx), REASON_MEASUREMENT);
    assert_int_equal(judge(SIGNED("1792", "5"), &sgx), REASON_MEASUREMENT);  // 7, turned around
    assert_int_equal(judge(SIGNED("7", "5"), &snp), REASON_MEASUREMENT);
    assert_int_equal(judge(SIGNER("\"tee\": \"sev-snp\", \"signer\": \"" DIGITS32 DIGITS16
                                  "\", \"product\": \"" DIGITS32 "\", \"min_security_version\": 5"),
                           &snp),
                     REASON_NONE);
    sgx.signer.bytes[31] ^= 1;
    assert_int_equal(judge(SIGNED("7", "5"), &sgx), REASON_MEASUREMENT);
    snp.signer.length = 0;  // started without an ID block
    assert_int_equal(judge(SIGNED("7", "5"), &snp), REASON_MEASUREMENT);
}

#define MEASURED(member)                                                                      \
    "{\"version\": 1, \"measurements\": {\"worker\": [\"" DIGITS32 "\", \"" DIGITS32 DIGITS16 \
    "\"]}, " member "}"

static void what_is_said_of_one_tee_counts_for_that_tee(void **state)
{
    (void)state;
    struct verdict sgx = genuine(TEE_SGX), tdx = genuine(TEE_TDX);
    sgx.tcb_status = tdx.tcb_status = TCB_OUT_OF_DATE;
    static const char lax[] = MEASURED("\"tees\": {\"sgx\": {\"tcb_statuses\": [\"OutOfDate\"]}}");
    assert_int_equal(judge(lax, &sgx), REASON_NONE);
    assert_int_equal(judge(lax, &tdx), REASON_TCB_STATUS);

    sgx = genuine(TEE_SGX), tdx = genuine(TEE_TDX);
    sgx.is_debug = tdx.is_debug = true;
    static const char debug[] = MEASURED("\"tees\": {\"tdx\": {\"allow_debug\": true}}");
    assert_int_equal(judge(debug, &sgx), REASON_DEBUG);
    assert_int_equal(judge(debug, &tdx), REASON_NONE);
    static const char strict[] =
        MEASURED("\"allow_debug\": true, \"tees\": {\"tdx\": {\"allow_debug\": false}}");
    assert_int_equal(judge(strict, &sgx), REASON_NONE);
    assert_int_equal(judge(strict, &tdx), REASON_DEBUG);

    sgx = genuine(TEE_SGX), tdx = genuine(TEE_TDX);
    sgx.collateral_issued_s = tdx.collateral_issued_s -= 2 * 24 * 60 * 60;
    static const char young[] = MEASURED("\"tees\": {\"sgx\": {\"max_collateral_age_days\": 1}}");
    assert_int_equal(judge(young, &sgx), REASON_COLLATERAL);
    assert_int_equal(judge(young, &tdx), REASON_NONE);
}

static void snp_has_no_status_and_needs_no_dated_collateral(void **state)
{
    (void)state;
    struct verdict snp = genuine(TEE_SEV_SNP), sgx = genuine(TEE_SGX);
    assert_int_equal(judge(MEASURED("\"tcb_statuses\": [\"UpToDate\"]"), &snp), REASON_NONE);
    sgx.tcb_status = TCB_UNKNOWN;
    assert_int_equal(judge(MEASURED("\"tcb_statuses\": [\"UpToDate\"]"), &sgx), REASON_TCB_STATUS);
    snp.collateral_issued_s = snp.judged_at_s - 31 * 24 * 60 * 60;  // of its revocation list
    assert_int_equal(judge(MEASURED("\"allow_debug\": false"), &snp), REASON_COLLATERAL);
}

static void snp_may_have_a_least_version_of_each_part(void **state)
{
    (void)state;
    static const char json[] =
        "{\"version\": 1, \"measurements\": {\"worker\": [\"" DIGITS32 DIGITS16
        "\"]}, \"tees\": {\"sev-snp\": {\"min_tcb\": {\"Milan\": {\"snp\": 24, "
        "\"microcode\": 219}, \"Turin\": {}}}}}";
    struct verdict verdict = genuine(TEE_SEV_SNP);
    assert_int_equal(judge(json, &verdict), REASON_TCB_STATUS);  // nobody knows its TCB
    verdict.has_parts = true;
    verdict.parts_product = VENDOR_MILAN;
    verdict.parts[VERDICT_PART_SNP] = 24;
    verdict.parts[VERDICT_PART_MICROCODE] = 219;
    assert_int_equal(judge(json, &verdict), REASON_NONE);
    verdict.parts[VERDICT_PART_MICROCODE] = 218;
    assert_int_equal(judge(json, &verdict), REASON_TCB_STATUS);
    verdict.parts[VERDICT_PART_MICROCODE] = 255;
    verdict.parts[VERDICT_PART_SNP] = 23;
    assert_int_equal(judge(json, &verdict), REASON_TCB_STATUS);
    verdict.parts_product = VENDOR_TURIN;  // of which nothing more is asked
    assert_int_equal(judge(json, &verdict), REASON_NONE);
    verdict.parts_product = VENDOR_GENOA;  // which the owner did not think of
    assert_int_equal(judge(json, &verdict), REASON_TCB_STATUS);

    static const char *const wrong[] = {
        WITH("\"tees\": {\"sev-snp\": {\"min_tcb\": {\"Rome\": {}}}}"),
        WITH("\"tees\": {\"sev-snp\": {\"min_tcb\": {\"Milan\": {\"psp\": 1}}}}"),
        WITH("\"tees\": {\"sev-snp\": {\"min_tcb\": {\"Milan\": {\"snp\": 256}}}}"),
        WITH("\"tees\": {\"sev-snp\": {\"min_tcb\": {\"Milan\": 24}}}"),
        WITH("\"tees\": {\"sev-snp\": {\"min_tcb\": []}}"),
        WITH("\"tees\": {\"sgx\": {\"min_tcb\": {}}}"),
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct policy policy;
        char error[POLICY_ERROR_BYTES_MAX];
        assert_int_equal(policy_parse(&policy, bytes_text(wrong[i]), error), STATUS_MALFORMED);
        assert_non_null(strstr(error, "min_tcb"));
    }
}

static void statements_of_succession_are_read_again_and_admit_nobody(void **state)
{
    (void)state;
    static const char json[] =
        WITH("\"successions\": [{\"old\": \"" DIGITS32 "\", \"new\": \"" DIGITS32 DIGITS16 "\"}]");
    struct policy policy, again;
    struct buffer text = BUFFER_EMPTY;
    char error[POLICY_ERROR_BYTES_MAX];
    parse(&policy, json);
    assert_int_equal(policy_encode(&policy, &text), STATUS_OK);
    assert_int_equal(policy_parse(&again, buffer_bytes(&text), error), STATUS_OK);
    assert_int_equal(again.successions.count, 1);
    uint8_t bytes[48];
    memset(bytes, 0xab, sizeof bytes);
    const struct verdict_value older = verdict_value_of(bytes_of(bytes, 32));
    const struct verdict_value newer = verdict_value_of(bytes_of(bytes, 48));
    const struct policy_succession *found = policy_succession_find(&again.successions, &older);
    assert_non_null(found);
    assert_true(verdict_value_equal(&found->newer, &newer));
    assert_null(policy_succession_find(&again.successions, &newer));
    const struct verdict verdict = genuine(TEE_TDX);
    assert_int_equal(judge(json, &verdict), REASON_POLICY);
    buffer_release(&text);

    static const char *const wrong[] = {
        WITH("\"successions\": {}"),
        WITH("\"successions\": [{\"old\": \"" DIGITS32 "\"}]"),
        WITH("\"successions\": [{\"old\": \"" DIGITS32 "\", \"new\": \"" DIGITS32 "\"}]"),
        WITH("\"successions\": [{\"old\": \"" DIGITS32 "\", \"new\": \"" DIGITS16 "\"}]"),
        WITH("\"successions\": [{\"old\": \"" DIGITS32 "\", \"new\": \"" DIGITS32 DIGITS16
             "\", \"why\": 1}]"),
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(policy_parse(&policy, bytes_text(wrong[i]), error), STATUS_MALFORMED);
        assert_non_null(strstr(error, "successions"));
    }
}

#define DIGITS48 DIGITS32 DIGITS16
#define OTHER48 \
    "00"        \
    "abababababababababababababababababababababababababababababab" DIGITS16 "ab"

static void every_register_that_the_policy_names_has_to_have_its_value(void **state)
{
    (void)state;
#define SET(measurement, more) "{\"measurement\": \"" measurement "\"" more "}"
#define RTMR(number, digits) ", \"rtmr" number "\": \"" digits "\""
#define TDX_SAYS(rtmrs) MEASURED("\"tees\": {\"tdx\": {\"rtmrs\": " rtmrs "}}")
    struct verdict tdx = genuine(TEE_TDX);
    const struct verdict sgx = genuine(TEE_SGX);
    memset(tdx.rtmrs[1], 0xab, sizeof tdx.rtmrs[1]);
    memset(tdx.rtmrs[2], 0xab, sizeof tdx.rtmrs[2]);
    static const char both[] =
        TDX_SAYS("[" SET(DIGITS48, RTMR("1", DIGITS48) RTMR("2", DIGITS48)) "]");
    assert_int_equal(judge(both, &tdx), REASON_NONE);
    assert_int_equal(judge(both, &sgx), REASON_NONE);
    assert_int_equal(judge(TDX_SAYS("[]"), &tdx), REASON_MEASUREMENT);
    assert_int_equal(judge(TDX_SAYS("[" SET(OTHER48, RTMR("1", DIGITS48)) "]"), &tdx),
                     REASON_MEASUREMENT);
    assert_int_equal(judge(TDX_SAYS("[" SET(DIGITS48, RTMR("0", DIGITS48)) "]"), &tdx),
                     REASON_MEASUREMENT);
    assert_int_equal(judge(TDX_SAYS("[" SET(DIGITS48, RTMR("1", OTHER48)) ", "  //
                                    SET(DIGITS48, RTMR("1", DIGITS48)) "]"),
                           &tdx),
                     REASON_NONE);
    for (size_t i = 1; i <= 2; i++) {
        tdx.rtmrs[i][47] ^= 1;
        assert_int_equal(judge(both, &tdx), REASON_MEASUREMENT);
        tdx.rtmrs[i][47] ^= 1;
    }

    struct policy policy, again;
    struct buffer first = BUFFER_EMPTY, second = BUFFER_EMPTY;
    char error[POLICY_ERROR_BYTES_MAX];
    parse(&policy, both);
    assert_int_equal(policy_encode(&policy, &first), STATUS_OK);
    assert_int_equal(policy_parse(&again, buffer_bytes(&first), error), STATUS_OK);
    assert_int_equal(policy_encode(&again, &second), STATUS_OK);
    assert_true(bytes_equal(buffer_bytes(&first), buffer_bytes(&second)));
    assert_true(again.tees[TEE_TDX].rtmrs.sets[0].is_said[2]);
    assert_false(again.tees[TEE_TDX].rtmrs.sets[0].is_said[3]);
    buffer_release(&first);
    buffer_release(&second);

    static const char *const wrong[] = {
        TDX_SAYS("{}"),
        TDX_SAYS("[{}]"),
        TDX_SAYS("[" SET(DIGITS48, "") "]"),
        TDX_SAYS("[" SET(DIGITS32, RTMR("1", DIGITS48)) "]"),
        TDX_SAYS("[" SET(DIGITS48, RTMR("1", DIGITS32)) "]"),
        TDX_SAYS("[" SET(DIGITS48, RTMR("1", DIGITS48) RTMR("4", DIGITS48)) "]"),
        MEASURED("\"tees\": {\"sgx\": {\"rtmrs\": []}}"),
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(policy_parse(&policy, bytes_text(wrong[i]), error), STATUS_MALFORMED);
        assert_non_null(strstr(error, "rtmrs"));
    }
}

static void hosts_are_names_and_addresses_and_nothing_else(void **state)
{
    (void)state;
    struct policy policy, again;
    struct buffer text = BUFFER_EMPTY;
    char error[POLICY_ERROR_BYTES_MAX];
    parse(&policy,
          WITH("\"hosts\": [\"a.example\", \"A-1.b.example\", \"10.1.2.3\", \"2001:db8::1\"]"));
    assert_int_equal(policy.host_count, 4);
    assert_int_equal(policy_encode(&policy, &text), STATUS_OK);
    assert_int_equal(policy_parse(&again, buffer_bytes(&text), error), STATUS_OK);
    assert_int_equal(again.host_count, 4);
    assert_string_equal(again.hosts[3].name, "2001:db8::1");
    buffer_release(&text);

#define DNS64 DIGITS32
    static const char *const wrong[] = {
        WITH("\"hosts\": \"a.example\""),
        WITH("\"hosts\": [1]"),
        WITH("\"hosts\": [\"\"]"),
        WITH("\"hosts\": [\"*.example\"]"),
        WITH("\"hosts\": [\"a.example,URI:paranoid:writer:00\"]"),
        WITH("\"hosts\": [\"a..example\"]"),
        WITH("\"hosts\": [\"a.example.\"]"),
        WITH("\"hosts\": [\"-a.example\"]"),
        WITH("\"hosts\": [\"a-.example\"]"),
        WITH("\"hosts\": [\"10.1.2\"]"),
        WITH("\"hosts\": [\"10.1.2.256\"]"),
        WITH("\"hosts\": [\"::1::\"]"),
        WITH("\"hosts\": [\"" DNS64 ".example\"]"),
        WITH("\"hosts\": [\"" DIGITS32 "." DIGITS32 "\"]"),
        WITH("\"hosts\": [\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\"]"),
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (policy_parse(&policy, bytes_text(wrong[i]), error) != STATUS_MALFORMED ||
            strstr(error, "hosts") == NULL) {
            fail_msg("%s: %s", wrong[i], error);
        }
    }
}

static void every_advisory_has_to_be_accepted(void **state)
{
    (void)state;
    struct verdict sgx = genuine(TEE_SGX);
    static const char none[] = MEASURED("\"tees\": {\"sgx\": {\"advisories\": []}}");
    static const char one[] =
        MEASURED("\"tees\": {\"sgx\": {\"advisories\": [\"INTEL-SA-00615\"]}}");
    assert_int_equal(judge(none, &sgx), REASON_NONE);
    verdict_add_advisory(&sgx, "INTEL-SA-00615");
    assert_int_equal(judge(none, &sgx), REASON_ADVISORY);
    assert_int_equal(judge(one, &sgx), REASON_NONE);
    assert_int_equal(judge(MEASURED("\"allow_debug\": false"), &sgx), REASON_NONE);
    verdict_add_advisory(&sgx, "INTEL-SA-0061");
    assert_int_equal(judge(one, &sgx), REASON_ADVISORY);
    sgx = genuine(TEE_SGX);
    for (int i = 0; i < 200; i++) {
        char name[24];
        snprintf(name, sizeof name, "INTEL-SA-%05d", i);
        verdict_add_advisory(&sgx, name);
    }
    assert_true(sgx.has_more_advisories);
    assert_int_equal(judge(one, &sgx), REASON_ADVISORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(what_is_not_wholly_understood_is_refused),
        cmocka_unit_test(a_signer_stands_for_its_programs_from_a_version_on),
        cmocka_unit_test(what_is_said_of_one_tee_counts_for_that_tee),
        cmocka_unit_test(snp_has_no_status_and_needs_no_dated_collateral),
        cmocka_unit_test(snp_may_have_a_least_version_of_each_part),
        cmocka_unit_test(statements_of_succession_are_read_again_and_admit_nobody),
        cmocka_unit_test(every_register_that_the_policy_names_has_to_have_its_value),
        cmocka_unit_test(hosts_are_names_and_addresses_and_nothing_else),
        cmocka_unit_test(every_advisory_has_to_be_accepted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
