/* tests/sim/campaign_test.c */

/*
 * Goal: each seed's result arrives once, whatever the number of processes, also where one of them
 * ends in the middle.
 * Method: short scenarios; an observer that ends the process it is called in.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "sim/campaign.h"

enum { SEEDS = 7 };

struct results {
    unsigned counts[SEEDS];
    uint64_t digests[SEEDS];
    unsigned failures;
};

static void on_result(void *context, const struct scenario_config *config,
                      const struct scenario_result *result)
{
    struct results *results = context;
    assert_true(1 <= config->seed && config->seed <= SEEDS);
    results->counts[config->seed - 1]++;
    results->digests[config->seed - 1] = result->trace_digest;
    results->failures += result->has_failed;
}

static void run(struct results *results, uint64_t job_count,
                void (*on_event)(void *context, const struct federation_event *event))
{
    const struct campaign campaign = {
        .config = {.seed = 1,
                   .step_count = 2,
                   .worker_count = 1,
                   .store_count = 1,
                   .receipt_count = 1,
                   .on_event = on_event},
        .seed_count = SEEDS,
        .job_count = job_count,
        .on_result = on_result,
        .context = results,
    };
    *results = (struct results){.failures = 0};
    assert_int_equal(campaign_run(&campaign), STATUS_OK);
    for (size_t i = 0; i < SEEDS; i++) {
        assert_int_equal(results->counts[i], 1);
    }
}

static void every_seed_once_with_any_number_of_processes(void **state)
{
    (void)state;
    struct results alone, shared;
    run(&alone, 1, NULL);
    for (uint64_t jobs = 2; jobs <= SEEDS + 1; jobs++) {
        run(&shared, jobs, NULL);
        assert_int_equal(shared.failures, 0);
        assert_memory_equal(shared.digests, alone.digests, sizeof alone.digests);
    }
}

static void end_the_process(void *context, const struct federation_event *event)
{
    (void)context;
    (void)event;
    raise(SIGKILL);
}

static void a_process_that_ends_fails_its_seed_alone(void **state)
{
    (void)state;
    struct results results;
    for (uint64_t jobs = 1; jobs <= 3; jobs++) {
        run(&results, jobs, end_the_process);
        assert_int_equal(results.failures, SEEDS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_seed_once_with_any_number_of_processes),
        cmocka_unit_test(a_process_that_ends_fails_its_seed_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
