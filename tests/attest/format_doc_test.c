/* tests/attest/format_doc_test.c */

/*
 * Goal: the pages in docs/format/ say what the code does.
 * Method: take the examples out of their fenced blocks and use them: the
 * policy is canonical, and admits the evidence; no other connection gets in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/attest/fixture.h"
#include "tests/support/page.h"

static void the_example_of_a_policy_is_canonical(void **state)
{
    (void)state;
    struct policy policy;
    struct buffer json = BUFFER_EMPTY, again = BUFFER_EMPTY;
    char error[POLICY_ERROR_BYTES_MAX];
    page_block(&json, "format/policy.md", "json policy");
    assert_int_equal(policy_parse(&policy, buffer_bytes(&json), error), STATUS_OK);
    assert_int_equal(policy_encode(&policy, &again), STATUS_OK);
    assert_true(bytes_equal(buffer_bytes(&json), buffer_bytes(&again)));
    buffer_release(&again);
    buffer_release(&json);
}

static void the_example_of_evidence_is_admitted_by_the_example_of_a_policy(void **state)
{
    struct fixture *f = *state;
    char error[POLICY_ERROR_BYTES_MAX];
    struct buffer json = BUFFER_EMPTY;
    page_block(&json, "format/policy.md", "json policy");
    assert_int_equal(policy_parse(&f->policy, buffer_bytes(&json), error), STATUS_OK);
    page_hex(&f->evidence, "format/evidence.md", "hex evidence");

    assert_true(fixture_judge(f).is_admitted);
    f->report_data[0] ^= 1;
    assert_int_equal(fixture_judge(f).reason, REASON_REPORT_DATA);
    buffer_release(&json);
}

static void the_page_lists_every_reason(void **state)
{
    (void)state;
    struct buffer page = BUFFER_EMPTY;
    page_read(&page, "format/evidence.md");
    for (enum reason reason = REASON_FORMAT; reason < REASON_NONE; reason++) {
        char row[64];
        snprintf(row, sizeof row, "\n| `%s` |", verdict_code(reason));
        assert_non_null(strstr((const char *)page.bytes, row));
    }
    buffer_release(&page);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_example_of_a_policy_is_canonical),
        TEST(the_example_of_evidence_is_admitted_by_the_example_of_a_policy),
        TEST(the_page_lists_every_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
