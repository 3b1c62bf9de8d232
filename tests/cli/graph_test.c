/* tests/cli/graph_test.c */

/*
 * Goal: the picture shows which branch a record is of, which others it joins, and which go on.
 * Method: small capsules by hand, compared line by line, newest first.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/graph.h"

/* `lines` are newest first. */
static void expect(const struct graph_record *records, size_t count, size_t writers,
                   const char *const lines[])
{
    struct graph *graph = graph_new(records, count, writers);
    for (size_t i = 0; i < count; i++) {
        struct buffer text = BUFFER_EMPTY;
        assert_int_equal(graph_line(graph, count - 1 - i, &text), STATUS_OK);
        assert_int_equal(text.length, graph_width(graph));
        assert_int_equal(buffer_append(&text, "", 1), STATUS_OK);
        assert_string_equal((const char *)text.bytes, lines[i]);
        buffer_release(&text);
    }
    graph_free(graph);
}

static void a_join_reaches_over_the_branches_between(void **state)
{
    (void)state;
    static const uint32_t all[] = {1, 2}, far[] = {2}, leader[] = {0};
    const struct graph_record records[] = {
        {.writer = 0},
        {.writer = 1},
        {.writer = 2},
        {.writer = 0, .parents = all, .parent_count = 2},
        {.writer = 2, .parents = leader, .parent_count = 1},
        {.writer = 0, .parents = far, .parent_count = 1},
        {.writer = 1},
    };
    static const char *const lines[] = {
        "  *  ",  //
        "*-|-+",  //
        "+-|-*",  //
        "*-+-+",  //
        "| | *",  //
        "| *  ",  //
        "*    ",
    };
    expect(records, 7, 3, lines);
}

static void a_column_is_free_again_after_its_last_record(void **state)
{
    (void)state;
    static const uint32_t first[] = {1};
    const struct graph_record records[] = {
        {.writer = 0}, {.writer = 1}, {.writer = 0, .parents = first, .parent_count = 1},
        {.writer = 2}, {.writer = 0},
    };
    static const char *const lines[] = {"*  ", "| *", "*-+", "| *", "*  "};
    expect(records, 5, 3, lines);
}

static void a_branch_lasts_until_the_join_that_names_it(void **state)
{
    (void)state;
    static const uint32_t first[] = {1};
    const struct graph_record records[] = {
        {.writer = 0},
        {.writer = 1},
        {.writer = 2},
        {.writer = 0, .parents = first, .parent_count = 1},
    };
    static const char *const lines[] = {"*-+  ", "| | *", "| *  ", "*    "};
    expect(records, 4, 3, lines);
}

static void nothing_and_unknown_parents_draw_nothing(void **state)
{
    (void)state;
    static const uint32_t unknown[] = {UINT32_MAX};
    const struct graph_record record = {.writer = 0, .parents = unknown, .parent_count = 1};
    static const char *const lines[] = {"*"};
    expect(&record, 1, 1, lines);
    struct graph *empty = graph_new(NULL, 0, 0);
    assert_int_equal(graph_width(empty), 0);
    graph_free(empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_join_reaches_over_the_branches_between),
        cmocka_unit_test(a_column_is_free_again_after_its_last_record),
        cmocka_unit_test(a_branch_lasts_until_the_join_that_names_it),
        cmocka_unit_test(nothing_and_unknown_parents_draw_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
