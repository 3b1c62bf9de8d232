/* tests/enclave/sandbox_doc_test.c */

/*
 * Goal: the system calls that docs/threat_model.md lists are those that the
 * sandbox allows, with the limits and reasons that the source gives.
 * Method: print the rules of each role; compare them line by line with the
 * page's table. On a difference the right table goes to stderr.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "enclave/sandbox.h"
#include "tests/support/page.h"

static void add_row(void *context, const char *row)
{
    assert_int_equal(buffer_append(context, row, strlen(row)), STATUS_OK);
    assert_int_equal(buffer_append(context, "\n", 1), STATUS_OK);
}

/* The table that follows the line `mark` on the page is the role's. */
static void assert_page_lists(const char *mark, enum sandbox_role role)
{
    struct buffer page = BUFFER_EMPTY, table = BUFFER_EMPTY;
    page_read(&page, "threat_model.md");
    add_row(&table, "\n| call | limited to | reason | shown by |\n| --- | --- | --- | --- |");
    sandbox_describe(role, add_row, &table);
    add_row(&table, "");  // the table ends there

    const char *at = strstr((const char *)page.bytes, mark);
    if (at == NULL) {
        fail_msg("no line '%s' in docs/threat_model.md", mark);
    }
    at += strlen(mark);
    if (at[0] != '\n' || strncmp(at + 1, (const char *)table.bytes, table.length) != 0) {
        fprintf(stderr, "%s\n%.*s", mark, (int)table.length, (const char *)table.bytes);
        fail_msg("docs/threat_model.md does not say so");
    }
    buffer_release(&table);
    buffer_release(&page);
}

static void p10_the_page_lists_the_calls_of_the_leader(void **state)
{
    (void)state;
    assert_page_lists("<!-- calls of the leader -->", SANDBOX_LEADER);
}

static void p10_the_page_lists_the_calls_of_a_worker(void **state)
{
    (void)state;
    assert_page_lists("<!-- calls of a worker -->", SANDBOX_WORKER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p10_the_page_lists_the_calls_of_the_leader),
        cmocka_unit_test(p10_the_page_lists_the_calls_of_a_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
