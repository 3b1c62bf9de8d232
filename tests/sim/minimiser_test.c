/* tests/sim/minimiser_test.c */

/*
 * Goal: what is left of a failing scenario is no more than it takes to fail, and fails in the
 * same way.
 * Method: in place of scenarios, rules that say which of them fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "sim/minimiser.h"

enum { NEEDED_STEPS = 13, NEEDED_WORKERS = 2, NEEDED_STORES = 3 };

static const uint64_t all_faults = (1ull << SCENARIO_FAULTS) - 1;

struct rule {
    uint64_t needed;  // faults
    uint64_t run_count;
};

/* Fails with P4 if enough is there, with P9 if no fault at all is. */
static void run(void *context, const struct scenario_config *config, struct scenario_result *result)
{
    struct rule *rule = context;
    rule->run_count++;
    *result = (struct scenario_result){.faults = all_faults & ~config->without};
    if ((result->faults & rule->needed) == rule->needed && config->step_count >= NEEDED_STEPS &&
        config->worker_count >= NEEDED_WORKERS && config->store_count >= NEEDED_STORES) {
        result->has_failed = true;
        snprintf(result->reason, sizeof result->reason, "P4: of %u steps",
                 (unsigned)config->step_count);
    } else if (result->faults == 0) {
        result->has_failed = true;
        snprintf(result->reason, sizeof result->reason, "P9: nothing to see");
    }
}

static void reduces_to_what_the_failure_needs(void **state)
{
    (void)state;
    for (uint64_t first = 0; first < SCENARIO_FAULTS; first++) {
        struct rule rule = {.needed = 1ull << first | 1ull << (SCENARIO_FAULTS - 1)};
        struct scenario_config config = {
            .seed = 7, .step_count = 80, .worker_count = 5, .store_count = 5, .receipt_count = 2};
        struct scenario_result result;
        run(&rule, &config, &result);
        minimiser_reduce(&config, &result, run, &rule);
        assert_int_equal(config.seed, 7);
        assert_int_equal(config.step_count, NEEDED_STEPS);
        assert_int_equal(config.worker_count, NEEDED_WORKERS);
        assert_int_equal(config.store_count, NEEDED_STORES);
        assert_int_equal(config.without, all_faults & ~rule.needed);
        assert_int_equal(result.faults, rule.needed);
        assert_string_equal(result.reason, "P4: of 13 steps");
        assert_true(rule.run_count < 150);
    }
}

static void leaves_out_no_fault_that_the_seed_has_not_got(void **state)
{
    (void)state;
    struct rule rule = {.needed = 1};
    struct scenario_config config = {.step_count = NEEDED_STEPS,
                                     .worker_count = NEEDED_WORKERS,
                                     .store_count = NEEDED_STORES,
                                     .receipt_count = 1,
                                     .without = all_faults & ~1ull};
    struct scenario_result result;
    run(&rule, &config, &result);
    minimiser_reduce(&config, &result, run, &rule);
    assert_int_equal(config.without, all_faults & ~1ull);
    assert_string_equal(result.reason, "P4: of 13 steps");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reduces_to_what_the_failure_needs),
        cmocka_unit_test(leaves_out_no_fault_that_the_seed_has_not_got),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
