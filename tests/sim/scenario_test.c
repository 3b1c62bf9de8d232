/* tests/sim/scenario_test.c */

/*
 * Goal: the promises hold whatever fails, and equal seeds give equal runs.
 * Method: many seeds of the scenario, two of them twice. SEED=n runs that one alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sim/scenario.h"

enum { SEEDS = 60 };

static void run(uint64_t seed, struct scenario_result *result)
{
    const struct scenario_config config = {.seed = seed,
                                           .step_count = SCENARIO_STEPS,
                                           .worker_count = SCENARIO_WORKERS,
                                           .store_count = 1,
                                           .receipt_count = 1};
    scenario_run(&config, result);
}

static void p2_p3_p4_p5_p6_p9_hold_whatever_fails(void **state)
{
    (void)state;
    const char *only = getenv("SEED");
    uint64_t first = only == NULL ? 1 : strtoull(only, NULL, 10);
    uint64_t last = only == NULL ? SEEDS : first;
    uint64_t put_count = 0, durable_count = 0;
    for (uint64_t seed = first; seed <= last; seed++) {
        struct scenario_result result;
        run(seed, &result);
        if (result.has_failed) {
            print_message("seed %llu: %s\n", (unsigned long long)seed, result.reason);
        }
        assert_false(result.has_failed);
        put_count += result.put_count;
        durable_count += result.durable_count;
    }
    print_message("%llu puts, %llu durable\n", (unsigned long long)put_count,
                  (unsigned long long)durable_count);
    // Most get through: a simulation in which nothing works keeps every promise.
    assert_true(durable_count > put_count / 2 && put_count > 20 * (last - first + 1));
}

static void equal_seeds_give_equal_runs_and_others_do_not(void **state)
{
    (void)state;
    uint64_t digests[2];
    for (uint64_t seed = 1; seed <= 2; seed++) {
        struct scenario_result once, again;
        run(seed, &once);
        run(seed, &again);
        assert_int_equal(once.trace_digest, again.trace_digest);
        assert_int_equal(once.event_count, again.event_count);
        digests[seed - 1] = once.trace_digest;
    }
    assert_int_not_equal(digests[0], digests[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_seeds_give_equal_runs_and_others_do_not),
        cmocka_unit_test(p2_p3_p4_p5_p6_p9_hold_whatever_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
