/* tests/attest/policy_test.c */

/*
 * Goal: a policy admits exactly what it lists; a text that is not wholly
 * understood is no policy.
 * Method: one wrong text after the other, with the member that the error has to
 * name; then one verdict, and the policy or the verdict changed in one point.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/attest/fixture.h"

// Hexadecimal digits of 32 and 16 bytes.
#define HEX32 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define HEX16 "00112233445566778899aabbccddeeff"

static enum status parse(struct policy *policy, const char *json, char *error)
{
    return policy_parse(policy, bytes_text(json), error);
}

static void what_is_left_out_has_its_strictest_value(void **state)
{
    (void)state;
    struct policy policy;
    char error[POLICY_ERROR_BYTES_MAX];
    assert_int_equal(parse(&policy, "{\"version\": 1, \"measurements\": {}}", error), STATUS_OK);
    assert_string_equal(error, "");
    assert_int_equal(policy.version, 1);
    assert_false(policy.allow_simulated);
    assert_false(policy.allow_debug);
    assert_false(policy.has_simulated_root);
    assert_int_equal(policy.tcb_statuses, 1u << TCB_UP_TO_DATE | 1u << TCB_SW_HARDENING_NEEDED);
    assert_int_equal(policy.platform_count, 0);
    assert_int_equal(policy.max_collateral_age_days, 30);
    assert_false(policy.has_retention);  // bodies are kept for ever
    for (size_t role = 0; role < POLICY_ROLE_COUNT; role++) {
        assert_int_equal(policy.measurements[role].count, 0);
    }
}

static void gives_back_every_member(void **state)
{
    struct fixture *f = *state;
    struct policy *sent = &f->policy, received;
    char error[POLICY_ERROR_BYTES_MAX];
    struct buffer json = BUFFER_EMPTY, again = BUFFER_EMPTY;
    sent->version = INT32_MAX;
    sent->allow_debug = true;
    sent->tcb_statuses = 1u << TCB_OUT_OF_DATE | 1u << TCB_CONFIGURATION_NEEDED;
    sent->max_collateral_age_days = POLICY_COLLATERAL_AGE_DAYS_MAX;
    sent->has_retention = true;
    sent->retention_s = 86400;
    sent->platform_count = POLICY_PLATFORM_COUNT_MAX;
    for (size_t i = 0; i < POLICY_PLATFORM_COUNT_MAX; i++) {
        sent->platforms[i].length = (uint8_t)(1 + i % VERDICT_VALUE_BYTES_MAX);
        random_fill(&f->random, sent->platforms[i].bytes, sent->platforms[i].length);
    }
    for (size_t role = 0; role < POLICY_ROLE_COUNT; role++) {
        struct policy_measurements *measurements = &sent->measurements[role];
        measurements->count = POLICY_MEASUREMENT_COUNT_MAX - role;
        for (size_t i = 0; i < measurements->count; i++) {
            measurements->values[i].length = i % 2 == 0 ? 32 : 48;
            random_fill(&f->random, measurements->values[i].bytes, measurements->values[i].length);
        }
    }
    assert_int_equal(policy_encode(sent, &json), STATUS_OK);
    assert_int_equal(policy_parse(&received, buffer_bytes(&json), error), STATUS_OK);
    assert_int_equal(policy_encode(&received, &again), STATUS_OK);
    assert_true(bytes_equal(buffer_bytes(&json), buffer_bytes(&again)));

    assert_int_equal(received.version, sent->version);
    assert_true(received.allow_simulated && received.allow_debug && received.has_simulated_root);
    assert_true(verify_key_equal(&received.simulated_root, &sent->simulated_root));
    assert_int_equal(received.tcb_statuses, sent->tcb_statuses);
    assert_int_equal(received.max_collateral_age_days, sent->max_collateral_age_days);
    assert_true(received.has_retention);
    assert_int_equal(received.retention_s, 86400);
    assert_int_equal(received.platform_count, sent->platform_count);
    assert_true(verdict_value_equal(&received.platforms[255], &sent->platforms[255]));
    for (size_t role = 0; role < POLICY_ROLE_COUNT; role++) {
        assert_int_equal(received.measurements[role].count, sent->measurements[role].count);
        assert_true(verdict_value_equal(&received.measurements[role].values[7],
                                        &sent->measurements[role].values[7]));
    }
    buffer_release(&json);
    buffer_release(&again);
}

static void refuses_what_it_does_not_wholly_understand(void **state)
{
    (void)state;
#define WITH(member) "{\"version\": 1, \"measurements\": {}, " member "}"
    const struct {
        const char *json;
        const char *names;  // what the error has to name
    } cases[] = {
        {"", "JSON"},
        {"{", "JSON"},
        {"[]", "no object"},
        {"{\"version\": 1, \"measurements\": {}} x", "JSON"},
        {"{\"version\": 1, \"measurements\": {}}{}", "JSON"},
        {"{\"version\": 1, \"version\": 1, \"measurements\": {}}", "JSON"},
        {"{\"measurements\": {}}", "'version' is missing"},
        {"{\"version\": 1}", "'measurements' is missing"},
        {"{\"version\": 0, \"measurements\": {}}", "'version'"},
        {"{\"version\": -1, \"measurements\": {}}", "'version'"},
        {"{\"version\": 1.0, \"measurements\": {}}", "'version'"},
        {"{\"version\": 1e0, \"measurements\": {}}", "'version'"},
        {"{\"version\": 2147483648, \"measurements\": {}}", "'version'"},
        {"{\"version\": 99999999999999999999, \"measurements\": {}}", "JSON"},
        {"{\"version\": \"1\", \"measurements\": {}}", "'version'"},
        {"{\"version\": 1, \"measurements\": []}", "'measurements'"},
        {"{\"version\": 1, \"measurements\": {\"worker\": \"" HEX32 "\"}}",
         "'measurements.worker'"},
        {"{\"version\": 1, \"measurements\": {\"worker\": [], \"worker\": []}}", "JSON"},
        {"{\"version\": 1, \"measurements\": {\"admin\": []}}", "unknown role"},
        {"{\"version\": 1, \"measurements\": {\"leader\": [\"" HEX32 "\", \"" HEX16 "\"]}}",
         "'measurements.leader[1]'"},
        {"{\"version\": 1, \"measurements\": {\"leader\": [\"" HEX32 "0\"]}}",
         "'measurements.leader[0]'"},
        {"{\"version\": 1, \"measurements\": {\"leader\": [\"" HEX32 HEX16 "00\"]}}",
         "'measurements.leader[0]'"},
        {"{\"version\": 1, \"measurements\": {\"leader\": [\"g" HEX32 "0\"]}}",
         "'measurements.leader[0]'"},
        {"{\"version\": 1, \"measurements\": {\"leader\": [32]}}", "'measurements.leader[0]'"},
        {WITH("\"allow_simulate\": true"), "'allow_simulate' is unknown"},
        {WITH("\"allow_simulated\": 1"), "'allow_simulated'"},
        {WITH("\"allow_simulated\": null"), "'allow_simulated'"},
        {WITH("\"allow_simulated\": true"), "'simulated_root' is missing"},
        {WITH("\"simulated_root\": \"" HEX16 "\""), "'simulated_root'"},
        {WITH("\"simulated_root\": \"" HEX32 "00\""), "'simulated_root'"},
        {WITH("\"allow_debug\": \"no\""), "'allow_debug'"},
        {WITH("\"tcb_statuses\": \"UpToDate\""), "'tcb_statuses'"},
        {WITH("\"tcb_statuses\": [\"uptodate\"]"), "'tcb_statuses[0]'"},
        {WITH("\"tcb_statuses\": [\"UpToDate\", \"Revoked\"]"), "'tcb_statuses[1]'"},
        {WITH("\"tcb_statuses\": [1]"), "'tcb_statuses[0]'"},
        {WITH("\"platforms\": []"), "'platforms' is empty"},
        {WITH("\"platforms\": {}"), "'platforms'"},
        {WITH("\"platforms\": [\"\"]"), "'platforms[0]'"},
        {WITH("\"platforms\": [\"" HEX32 HEX32 "00\"]"), "'platforms[0]'"},
        {WITH("\"max_collateral_age_days\": 0"), "'max_collateral_age_days'"},
        {WITH("\"retention_s\": -1"), "'retention_s'"},
        {WITH("\"max_collateral_age_days\": 3651"), "'max_collateral_age_days'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct policy policy;
        char error[POLICY_ERROR_BYTES_MAX];
        enum status status = parse(&policy, cases[i].json, error);
        if (status != STATUS_MALFORMED || strstr(error, cases[i].names) == NULL) {
            fail_msg("%s gave '%s': %s", cases[i].json, error, status_text(status));
        }
    }
}

static void refuses_lists_and_texts_beyond_their_bounds(void **state)
{
    (void)state;
    struct policy policy;
    char error[POLICY_ERROR_BYTES_MAX];
    struct buffer json = BUFFER_EMPTY;
    for (size_t count = POLICY_PLATFORM_COUNT_MAX; count <= POLICY_PLATFORM_COUNT_MAX + 1;
         count++) {
        const char *head = "{\"version\": 1, \"measurements\": {}, \"platforms\": [\"00\"";
        buffer_clear(&json);
        assert_int_equal(buffer_append(&json, head, strlen(head)), STATUS_OK);
        for (size_t i = 1; i < count; i++) {
            assert_int_equal(buffer_append(&json, ",\"00\"", 5), STATUS_OK);
        }
        assert_int_equal(buffer_append(&json, "]}", 2), STATUS_OK);
        assert_int_equal(policy_parse(&policy, buffer_bytes(&json), error),
                         count <= POLICY_PLATFORM_COUNT_MAX ? STATUS_OK : STATUS_MALFORMED);
    }
    while (json.length <= POLICY_BYTES_MAX) {
        assert_int_equal(buffer_append(&json, " ", 1), STATUS_OK);
    }
    assert_int_equal(policy_parse(&policy, buffer_bytes(&json), error), STATUS_MALFORMED);
    assert_non_null(strstr(error, "shorten"));
    buffer_release(&json);
}

/* The verdict on good evidence, after evidence_verify(). */
static struct verdict good(struct fixture *f)
{
    fixture_evidence(f, false);
    struct verdict verdict = fixture_verify(f);
    assert_int_equal(verdict.reason, REASON_NONE);
    return verdict;
}

static struct verdict judge(const struct fixture *f, const struct verdict *verdict)
{
    return policy_judge(&f->policy, verdict, f->report_data, POLICY_WORKER);
}

static void refused(const struct fixture *f, const struct verdict *verdict, enum reason reason)
{
    struct verdict judged = judge(f, verdict);
    assert_int_equal(judged.reason, reason);
    assert_false(judged.is_admitted);
    assert_string_not_equal(judged.detail, "");
}

static void admits_what_it_lists(void **state)
{
    struct fixture *f = *state;
    struct verdict verdict = good(f);
    assert_false(verdict.is_admitted);
    struct verdict judged = judge(f, &verdict);
    assert_int_equal(judged.reason, REASON_NONE);
    assert_true(judged.is_admitted);
}

static void never_admits_what_is_not_genuine(void **state)
{
    struct fixture *f = *state;
    struct verdict verdict = good(f);
    for (enum reason reason = REASON_FORMAT; reason < REASON_NONE; reason++) {
        verdict.reason = reason;
        verdict.is_admitted = true;
        struct verdict judged = judge(f, &verdict);
        assert_int_equal(judged.reason, reason);
        assert_false(judged.is_admitted);
    }
    struct verdict empty = {0};
    assert_false(judge(f, &empty).is_admitted);
}

static void refuses_the_simulated_tee_unless_told_otherwise(void **state)
{
    struct fixture *f = *state;
    struct verdict verdict = good(f);
    f->policy.allow_simulated = false;
    refused(f, &verdict, REASON_SIMULATED_NOT_ALLOWED);
    verdict.tee = TEE_SGX;
    assert_true(judge(f, &verdict).is_admitted);
}

static void refuses_debug_mode_unless_told_otherwise(void **state)
{
    struct fixture *f = *state;
    fixture_evidence(f, true);
    struct verdict verdict = fixture_verify(f);
    refused(f, &verdict, REASON_DEBUG);
    f->policy.allow_debug = true;
    assert_true(judge(f, &verdict).is_admitted);
}

static void refuses_each_tcb_status_that_is_not_listed(void **state)
{
    struct fixture *f = *state;
    struct verdict verdict = good(f);
    for (enum tcb_status status = TCB_UP_TO_DATE; status < TCB_STATUS_COUNT; status++) {
        verdict.tcb_status = status;
        f->policy.tcb_statuses = 1u << status;
        assert_true(judge(f, &verdict).is_admitted);
        f->policy.tcb_statuses = ~f->policy.tcb_statuses;
        refused(f, &verdict, REASON_TCB_STATUS);
    }
    // Nothing that a policy can say accepts a platform of which nothing is known.
    verdict.tcb_status = TCB_UNKNOWN;
    f->policy.tcb_statuses = UINT32_MAX;
    refused(f, &verdict, REASON_TCB_STATUS);
}

static void refuses_collateral_older_than_the_days_it_grants(void **state)
{
    struct fixture *f = *state;
    struct verdict verdict = good(f);
    f->policy.max_collateral_age_days = 2;
    verdict.collateral_issued_s = FIXTURE_NOW_S - 2 * FIXTURE_DAY_S;
    assert_true(judge(f, &verdict).is_admitted);
    verdict.collateral_issued_s--;
    refused(f, &verdict, REASON_COLLATERAL);
}

static void refuses_a_platform_that_is_not_pinned(void **state)
{
    struct fixture *f = *state;
    struct verdict verdict = good(f);
    f->policy.platform_count = 1;
    f->policy.platforms[0] = verdict_value_of(bytes_text("another platform"));
    refused(f, &verdict, REASON_PLATFORM);
    f->policy.platforms[f->policy.platform_count++] = verdict.platform;
    assert_true(judge(f, &verdict).is_admitted);
}

static void an_empty_list_of_measurements_admits_nobody(void **state)
{
    struct fixture *f = *state;
    struct verdict verdict = good(f);
    for (enum policy_role role = POLICY_LEADER; role < POLICY_ROLE_COUNT; role++) {
        f->policy.measurements[role].count = 0;
        struct verdict judged = policy_judge(&f->policy, &verdict, f->report_data, role);
        assert_int_equal(judged.reason, REASON_POLICY);
        assert_false(judged.is_admitted);
        assert_non_null(strstr(judged.detail, policy_role_text(role)));
    }
}

static void a_program_is_admitted_only_in_its_role(void **state)
{
    struct fixture *f = *state;
    struct verdict verdict = good(f);
    f->policy.measurements[POLICY_LEADER].values[0] =
        verdict_value_of(bytes_of(f->root.bytes, HASH_BYTES));
    f->policy.measurements[POLICY_LEADER].count = 1;
    struct verdict judged = policy_judge(&f->policy, &verdict, f->report_data, POLICY_LEADER);
    assert_int_equal(judged.reason, REASON_MEASUREMENT);
    assert_false(judged.is_admitted);
}

static void refuses_another_measurement(void **state)
{
    struct fixture *f = *state;
    struct verdict verdict = good(f);
    verdict.measurement.bytes[HASH_BYTES - 1] ^= 1;
    refused(f, &verdict, REASON_MEASUREMENT);
    verdict.measurement.bytes[HASH_BYTES - 1] ^= 1;
    verdict.measurement.length = 48;  // the same beginning
    refused(f, &verdict, REASON_MEASUREMENT);
}

static void p3_refuses_evidence_made_for_another_connection(void **state)
{
    struct fixture *f = *state;
    struct verdict verdict = good(f);
    for (size_t i = 0; i < sizeof f->report_data; i++) {
        f->report_data[i] ^= 1;
        refused(f, &verdict, REASON_REPORT_DATA);
        f->report_data[i] ^= 1;
    }
    assert_true(judge(f, &verdict).is_admitted);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_left_out_has_its_strictest_value),
        TEST(gives_back_every_member),
        TEST(refuses_what_it_does_not_wholly_understand),
        TEST(refuses_lists_and_texts_beyond_their_bounds),
        TEST(admits_what_it_lists),
        TEST(never_admits_what_is_not_genuine),
        TEST(refuses_the_simulated_tee_unless_told_otherwise),
        TEST(refuses_debug_mode_unless_told_otherwise),
        TEST(refuses_each_tcb_status_that_is_not_listed),
        TEST(refuses_collateral_older_than_the_days_it_grants),
        TEST(refuses_a_platform_that_is_not_pinned),
        TEST(an_empty_list_of_measurements_admits_nobody),
        TEST(a_program_is_admitted_only_in_its_role),
        TEST(refuses_another_measurement),
        TEST(p3_refuses_evidence_made_for_another_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
