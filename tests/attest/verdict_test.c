/* tests/attest/verdict_test.c */

/*
 * Goal: whoever reads a verdict, person or program, learns the TEE, the reason
 * and the remedy, and a simulated TEE is always called one.
 * Method: walk the closed lists; read the texts of one verdict back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "attest/verdict.h"

static void every_reason_has_its_own_code_a_sentence_and_a_remedy(void **state)
{
    (void)state;
    for (enum reason reason = REASON_FORMAT; reason <= REASON_NONE; reason++) {
        assert_non_null(verdict_code(reason));
        assert_non_null(verdict_sentence(reason));
        assert_non_null(verdict_remedy(reason));
        for (enum reason other = REASON_FORMAT; other < reason; other++) {
            assert_string_not_equal(verdict_code(reason), verdict_code(other));
            assert_string_not_equal(verdict_sentence(reason), verdict_sentence(other));
        }
    }
}

static void a_tcb_status_is_read_from_its_own_text(void **state)
{
    (void)state;
    for (enum tcb_status status = TCB_UP_TO_DATE; status < TCB_STATUS_COUNT; status++) {
        assert_int_equal(verdict_tcb_parse(verdict_tcb_text(status)), status);
    }
    assert_null(verdict_tcb_text(TCB_UNKNOWN));
    assert_int_equal(verdict_tcb_parse("upToDate"), TCB_UNKNOWN);
    assert_int_equal(verdict_tcb_parse(""), TCB_UNKNOWN);
}

static void an_empty_verdict_is_a_refusal(void **state)
{
    (void)state;
    const struct verdict verdict = {0};
    assert_int_not_equal(verdict.reason, REASON_NONE);
    assert_false(verdict.is_admitted);
}

static void a_refusal_takes_admission_back_and_cuts_its_detail(void **state)
{
    (void)state;
    struct verdict verdict = {.reason = REASON_NONE, .is_admitted = true};
    verdict_refuse(&verdict, REASON_DEBUG, "%0300d", 1);
    assert_int_equal(verdict.reason, REASON_DEBUG);
    assert_false(verdict.is_admitted);
    assert_int_equal(strlen(verdict.detail), VERDICT_DETAIL_BYTES_MAX - 1);
}

static struct verdict simulated_in_debug_mode(void)
{
    struct verdict verdict = {
        .tee = TEE_SIMULATED,
        .tcb_status = TCB_OUT_OF_DATE,
        .is_debug = true,
        .measurement = verdict_value_of(bytes_text("AB")),
    };
    verdict_refuse(&verdict, REASON_DEBUG, "a \"quoted\" detail");
    return verdict;
}

static void a_line_says_tee_simulated(void **state)
{
    (void)state;
    const struct verdict verdict = simulated_in_debug_mode();
    char line[VERDICT_LINE_BYTES_MAX];
    verdict_line(&verdict, line);
    assert_string_equal(line,
                        "tee=simulated verdict=invalid reason=debug tcb_status=OutOfDate "
                        "debug=true measurement=4142 detail=a \"quoted\" detail");
}

static json_t *json_of(const struct verdict *verdict)
{
    struct buffer text = BUFFER_EMPTY;
    assert_int_equal(verdict_json(verdict, &text), STATUS_OK);
    json_t *object = json_loadb((char *)text.bytes, text.length, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(object);
    assert_int_equal(json_object_size(object), 9);
    buffer_release(&text);
    return object;
}

static const char *member(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static void json_of_a_refusal_says_all_that_is_known(void **state)
{
    (void)state;
    const struct verdict verdict = simulated_in_debug_mode();
    json_t *object = json_of(&verdict);
    assert_string_equal(member(object, "tee"), "simulated");
    assert_string_equal(member(object, "verdict"), "invalid");
    assert_string_equal(member(object, "reason"), "debug");
    assert_string_equal(member(object, "tcb_status"), "OutOfDate");
    assert_true(json_is_true(json_object_get(object, "debug")));
    assert_string_equal(member(object, "measurement"), "4142");
    assert_true(json_is_null(json_object_get(object, "signer")));
    assert_int_equal(strlen(member(object, "report_data")), 2 * VERDICT_REPORT_DATA_BYTES);
    assert_string_equal(member(object, "detail"),
                        "the enclave runs in debug mode, so its host can read its memory: a "
                        "\"quoted\" detail; remedy: start the enclave without debug mode");
    json_decref(object);
}

static void json_of_what_is_valid_says_for_how_long_and_what_applies(void **state)
{
    (void)state;
    struct verdict verdict = verdict_at(1800000000);
    verdict.reason = REASON_NONE;
    json_t *object = json_of(&verdict);
    assert_string_equal(member(object, "detail"), "nothing speaks against the evidence");
    json_decref(object);
    verdict.valid_from_s = 1700000000;
    verdict.valid_until_s = 1800000001;
    verdict_add_advisory(&verdict, "INTEL-SA-00615");
    verdict_add_advisory(&verdict, "INTEL-SA-00657");
    object = json_of(&verdict);
    assert_string_equal(member(object, "detail"),
                        "nothing speaks against the evidence; it is in force from "
                        "2023-11-14T22:13:20Z to 2027-01-15T08:00:01Z; advisories: "
                        "INTEL-SA-00615,INTEL-SA-00657");
    json_decref(object);
}

static void json_says_what_is_not_known(void **state)
{
    (void)state;
    const struct verdict verdict = {.reason = REASON_NONE};
    json_t *object = json_of(&verdict);
    assert_string_equal(member(object, "verdict"), "valid");
    assert_true(json_is_null(json_object_get(object, "tee")));
    assert_true(json_is_null(json_object_get(object, "reason")));
    assert_true(json_is_null(json_object_get(object, "tcb_status")));
    assert_string_equal(member(object, "measurement"), "");
    assert_true(json_is_null(json_object_get(object, "signer")));
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reason_has_its_own_code_a_sentence_and_a_remedy),
        cmocka_unit_test(a_tcb_status_is_read_from_its_own_text),
        cmocka_unit_test(an_empty_verdict_is_a_refusal),
        cmocka_unit_test(a_refusal_takes_admission_back_and_cuts_its_detail),
        cmocka_unit_test(a_line_says_tee_simulated),
        cmocka_unit_test(json_of_a_refusal_says_all_that_is_known),
        cmocka_unit_test(json_of_what_is_valid_says_for_how_long_and_what_applies),
        cmocka_unit_test(json_says_what_is_not_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
