/* tests/lsm/plan_test.c */

/*
 * Goal: the levels keep their bounds, the least is rewritten, and a tombstone goes away only where
 * nothing older can lie below it.
 * Method: MANIFESTs by hand for each decision; then many writes through compactor_model, counting
 * what is written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/crypto.h"
#include "lsm/plan.h"
#include "tests/lsm/compactor_model.h"

static const struct plan_config config = {.run_count_max = 2, .level1_bytes = 2500};

static struct table make(uint8_t level, uint64_t run, const char *first, const char *last)
{
    return (struct table){
        .level = level,
        .run = run,
        .entry_count = 5,
        .record_bytes = 1000,
        .first_key = bytes_text(first),
        .last_key = bytes_text(last),
    };
}

static struct plan plan_of(struct table *tables, uint32_t count, uint64_t now_ms)
{
    const struct manifest manifest = {.floor = 100, .tables = tables, .table_count = count};
    struct plan plan = {.inputs = NULL};
    enum status status = plan_make(&plan, &manifest, &config, now_ms);
    assert_true(status == STATUS_OK || status == STATUS_EMPTY);
    assert_true((status == STATUS_EMPTY) == (plan.input_count == 0));
    return plan;
}

static void assert_inputs(struct plan *plan, const char *expected)
{
    char text[64] = "";
    for (uint32_t i = 0; i < plan->input_count; i++) {
        size_t length = strlen(text);
        snprintf(text + length, sizeof text - length, "%u ", plan->inputs[i]);
    }
    assert_string_equal(text, expected);
    plan_release(plan);
}

static void what_is_within_its_bounds_stays(void **state)
{
    (void)state;
    struct table tables[] = {make(0, 90, "a", "z"), make(0, 80, "a", "z"), make(1, 0, "a", "c"),
                             make(1, 0, "d", "f"), make(2, 0, "a", "z")};
    struct plan plan = plan_of(tables, 5, 0);
    assert_inputs(&plan, "");
}

static void all_runs_go_down_together_with_what_lies_under_them(void **state)
{
    (void)state;
    struct table tables[] = {make(0, 90, "d", "e"), make(0, 80, "c", "g"), make(0, 70, "f", "h"),
                             make(1, 0, "a", "b"),  make(1, 0, "b0", "c"), make(1, 0, "h", "i"),
                             make(1, 0, "j", "k"),  make(2, 0, "x", "z")};
    struct plan plan = plan_of(tables, 8, 0);
    assert_int_equal(plan.target_level, 1);
    assert_true(plan.drops_deletes);  // what lies on level 2 has other keys
    assert_false(plan.is_move);
    assert_inputs(&plan, "0 1 2 4 5 ");
    tables[7].first_key = bytes_text("e");
    plan = plan_of(tables, 8, 0);
    assert_false(plan.drops_deletes);
    plan_release(&plan);
}

static void the_table_goes_down_under_which_least_is_rewritten(void **state)
{
    (void)state;
    struct table tables[] = {make(1, 0, "a", "c"), make(1, 0, "d", "f"),  make(1, 0, "g", "i"),
                             make(2, 0, "a", "b"), make(2, 0, "b0", "d"), make(2, 0, "e", "i")};
    tables[4].record_bytes = 5000;
    struct plan plan = plan_of(tables, 6, 0);
    assert_int_equal(plan.target_level, 2);
    assert_true(plan.drops_deletes);
    assert_inputs(&plan, "2 5 ");
}

static void above_the_last_level_lies_a_tenth_of_it(void **state)
{
    (void)state;
    struct table tables[] = {make(2, 0, "a", "c"), make(2, 0, "d", "f"), make(3, 0, "a", "c")};
    // Level 2 may hold 25,000, but no more than a tenth of level 3.
    tables[0].record_bytes = 3000;
    tables[2].record_bytes = 39999;
    struct plan plan = plan_of(tables, 3, 0);
    assert_int_equal(plan.target_level, 3);
    assert_inputs(&plan, "1 ");
    tables[2].record_bytes = 40000;
    plan = plan_of(tables, 3, 0);
    assert_inputs(&plan, "");
    // And level 1's bound in any case.
    tables[0].record_bytes = 1500;
    tables[2].record_bytes = 10;
    plan = plan_of(tables, 3, 0);
    assert_inputs(&plan, "");
}

static void a_table_with_nothing_under_it_only_moves(void **state)
{
    (void)state;
    struct table tables[] = {make(1, 0, "a", "c"), make(1, 0, "d", "f"), make(1, 0, "g", "i"),
                             make(2, 0, "a", "e")};
    struct plan plan = plan_of(tables, 4, 0);
    assert_true(plan.is_move);
    assert_inputs(&plan, "2 ");
    // With tombstones it is rewritten: nothing lies below that they could hide.
    tables[2].delete_count = 1;
    plan = plan_of(tables, 4, 0);
    assert_false(plan.is_move);
    assert_inputs(&plan, "2 ");
    // Unless something does.
    struct table deeper[] = {tables[0], tables[1], tables[2], tables[3], make(3, 0, "h", "h0")};
    plan = plan_of(deeper, 5, 0);
    assert_true(plan.is_move);
    assert_false(plan.drops_deletes);
    assert_inputs(&plan, "2 ");
}

static void a_table_that_is_half_expired_is_rewritten(void **state)
{
    (void)state;
    struct table tables[] = {make(1, 0, "a", "c"), make(2, 0, "a", "b"), make(2, 0, "d", "f")};
    tables[2].stale_ms = 50;
    struct plan plan = plan_of(tables, 3, 49);
    assert_inputs(&plan, "");
    plan = plan_of(tables, 3, 50);
    assert_int_equal(plan.target_level, 2);
    assert_true(plan.drops_deletes);
    assert_inputs(&plan, "2 ");
    tables[0].stale_ms = 50;
    plan = plan_of(tables, 3, 50);
    assert_int_equal(plan.target_level, 2);
    assert_inputs(&plan, "0 1 ");
}

static void many_writes_are_rewritten_a_bounded_number_of_times(void **state)
{
    (void)state;
    static struct compactor_model model;
    const struct compactor_model_config writes = {
        .key_count = 4000,
        .block_bytes = 1000,
        .table_bytes = 8000,
        .value_bytes_max = 100,
        .plan = {.run_count_max = 4, .level1_bytes = 30000},
    };
    compactor_model_init(&model, &writes, 3);
    for (int flush = 0; flush < 120; flush++) {
        for (int i = 0; i < 100; i++) {
            compactor_model_write(&model);
        }
        compactor_model_flush(&model);
        int merges = 0;
        while (compactor_model_merge(&model)) {
            assert_true(++merges < 200);
        }
    }
    uint32_t first;
    assert_true(manifest_level(&model.manifest, 0, &first) <= 5 * 2);
    assert_true(manifest_level(&model.manifest, 2, &first) > 0);
    // Once flushed, and per level at most about once for each of the ten below and for itself.
    printf("written %.1f times\n", (double)model.merged_bytes / (double)model.flushed_bytes);
    assert_true(model.merged_bytes < 12 * model.flushed_bytes);
    // The last level has each key once; above it lie level 1's bound, level 0, and a tenth.
    uint64_t bytes = 0, last_bytes = 0;
    const struct manifest *manifest = &model.manifest;
    for (uint32_t i = 0; i < manifest->table_count; i++) {
        bytes += manifest->tables[i].record_bytes;
        last_bytes += manifest->tables[i].level == manifest->tables[manifest->table_count - 1].level
                          ? manifest->tables[i].record_bytes
                          : 0;
    }
    printf("takes %.2f times the last level\n", (double)bytes / (double)last_bytes);
    assert_true(bytes <= last_bytes + last_bytes / 9 + 2 * 30000 + 5 * 8000);
    compactor_model_release(&model);
}

int main(void)
{
    crypto_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_within_its_bounds_stays),
        cmocka_unit_test(all_runs_go_down_together_with_what_lies_under_them),
        cmocka_unit_test(the_table_goes_down_under_which_least_is_rewritten),
        cmocka_unit_test(above_the_last_level_lies_a_tenth_of_it),
        cmocka_unit_test(a_table_with_nothing_under_it_only_moves),
        cmocka_unit_test(a_table_that_is_half_expired_is_rewritten),
        cmocka_unit_test(many_writes_are_rewritten_a_bounded_number_of_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
