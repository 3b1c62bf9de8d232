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
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "enclave/sandbox.h"

enum { PAGE_BYTES_MAX = 64 * 1024 };

struct text {
    char bytes[PAGE_BYTES_MAX];
    size_t length;
};

static void page_read(struct text *page)
{
    const char *source = getenv("PARANOID_SOURCE");
    assert_non_null(source);
    char path[4096];
    snprintf(path, sizeof path, "%s/docs/threat_model.md", source);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    page->length = fread(page->bytes, 1, sizeof page->bytes - 1, file);
    fclose(file);
    assert_true(page->length < sizeof page->bytes - 1);
    page->bytes[page->length] = '\0';
}

static void add_row(void *context, const char *row)
{
    struct text *table = context;
    int added =
        snprintf(table->bytes + table->length, sizeof table->bytes - table->length, "%s\n", row);
    assert_true(added > 0 && (size_t)added < sizeof table->bytes - table->length);
    table->length += (size_t)added;
}

/* The table that follows the line `mark` on the page is the role's. */
static void assert_page_lists(const char *mark, enum sandbox_role role)
{
    static struct text page, table;
    page_read(&page);
    table = (struct text){.length = 0};
    add_row(&table, "\n| call | limited to | reason | shown by |\n| --- | --- | --- | --- |");
    sandbox_describe(role, add_row, &table);
    add_row(&table, "");  // the table ends there

    const char *at = strstr(page.bytes, mark);
    if (at == NULL) {
        fail_msg("no line '%s' in docs/threat_model.md", mark);
    }
    at += strlen(mark);
    if (at[0] != '\n' || strncmp(at + 1, table.bytes, table.length) != 0) {
        fprintf(stderr, "%s\n%s", mark, table.bytes);
        fail_msg("docs/threat_model.md does not say so");
    }
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
