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
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hex.h"
#include "tests/attest/fixture.h"

enum { PAGE_BYTES_MAX = 64 * 1024 };

/* The text between the line "```tag" and the next "```" of a page. The caller frees it. */
static char *block_of(const char *page_name, const char *tag)
{
    const char *source = getenv("PARANOID_SOURCE");
    assert_non_null(source);
    char path[4096], fence[64];
    snprintf(path, sizeof path, "%s/docs/format/%s", source, page_name);
    snprintf(fence, sizeof fence, "```%s\n", tag);

    char *page = calloc(1, PAGE_BYTES_MAX);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_true(fread(page, 1, PAGE_BYTES_MAX - 1, file) < PAGE_BYTES_MAX - 1);
    fclose(file);

    char *begin = strstr(page, fence);
    assert_non_null(begin);
    begin += strlen(fence);
    char *end = strstr(begin, "```");
    assert_non_null(end);
    char *block = strndup(begin, (size_t)(end - begin));
    free(page);
    return block;
}

/* Take spaces and newlines out of hexadecimal digits, and read them. */
static void hex_append(struct buffer *bytes, const char *text)
{
    for (const char *at = text; *at != '\0';) {
        uint8_t byte;
        size_t space = strspn(at, " \n");
        at += space;
        if (*at != '\0') {
            assert_true(hex_decode(&byte, 1, at, 2));
            assert_int_equal(buffer_append(bytes, &byte, 1), STATUS_OK);
            at += 2;
        }
    }
}

static void the_example_of_a_policy_is_canonical(void **state)
{
    (void)state;
    char *json = block_of("policy.md", "json policy");
    struct policy policy;
    struct buffer again = BUFFER_EMPTY;
    char error[POLICY_ERROR_BYTES_MAX];
    assert_int_equal(policy_parse(&policy, bytes_text(json), error), STATUS_OK);
    assert_int_equal(policy_encode(&policy, &again), STATUS_OK);
    assert_true(bytes_equal(bytes_text(json), buffer_bytes(&again)));
    buffer_release(&again);
    free(json);
}

static void the_example_of_evidence_is_admitted_by_the_example_of_a_policy(void **state)
{
    struct fixture *f = *state;
    char error[POLICY_ERROR_BYTES_MAX];
    char *hex = block_of("evidence.md", "hex evidence");
    char *json = block_of("policy.md", "json policy");
    assert_int_equal(policy_parse(&f->policy, bytes_text(json), error), STATUS_OK);
    hex_append(&f->evidence, hex);

    assert_true(fixture_judge(f).is_admitted);
    f->report_data[0] ^= 1;
    assert_int_equal(fixture_judge(f).reason, REASON_REPORT_DATA);
    free(hex);
    free(json);
}

static void the_page_lists_every_reason(void **state)
{
    (void)state;
    for (enum reason reason = REASON_FORMAT; reason < REASON_NONE; reason++) {
        char row[64];
        const char *source = getenv("PARANOID_SOURCE");
        assert_non_null(source);
        snprintf(row, sizeof row, "| `%s` |", verdict_code(reason));
        char path[4096], line[1024];
        snprintf(path, sizeof path, "%s/docs/format/evidence.md", source);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        bool is_listed = false;
        while (fgets(line, sizeof line, file) != NULL) {
            is_listed |= strncmp(line, row, strlen(row)) == 0;
        }
        fclose(file);
        assert_true(is_listed);
    }
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
