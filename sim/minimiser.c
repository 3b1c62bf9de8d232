/* sim/minimiser.c */
#include "sim/minimiser.h"

#include <string.h>

enum { PROMISE_LENGTH = 2, ROUNDS = 2 };  // "P4"

struct search {
    struct scenario_config *config;
    struct scenario_result *result;
    minimiser_run *run;
    void *context;
};

/* Keep `smaller` if it fails in the same way. */
static bool accepts(struct search *search, const struct scenario_config *smaller)
{
    struct scenario_result result;
    search->run(search->context, smaller, &result);
    if (!result.has_failed || strncmp(result.reason, search->result->reason, PROMISE_LENGTH) != 0) {
        return false;
    }
    *search->config = *smaller;
    *search->result = result;
    return true;
}

static void drop_faults(struct search *search)
{
    for (unsigned fault = 0; fault < SCENARIO_FAULTS; fault++) {
        struct scenario_config smaller = *search->config;
        uint64_t bit = 1ull << fault;
        smaller.without |= bit;
        // One that the seed has not got is left out for nothing, and the command stays short.
        if ((search->result->faults & bit) != 0) {
            (void)accepts(search, &smaller);
        }
    }
}

static void drop_workers(struct search *search)
{
    struct scenario_config smaller = *search->config;
    for (smaller.worker_count = 1; smaller.worker_count < search->config->worker_count;
         smaller.worker_count++) {
        if (accepts(search, &smaller)) {
            return;
        }
    }
}

static void drop_stores(struct search *search)
{
    struct scenario_config smaller = *search->config;
    if (smaller.tolerated_count > 0) {
        return;  // fewer would tolerate less
    }
    for (smaller.store_count = 1; smaller.store_count < search->config->store_count;
         smaller.store_count++) {
        smaller.receipt_count = search->config->receipt_count < smaller.store_count
                                    ? search->config->receipt_count
                                    : smaller.store_count;
        if (accepts(search, &smaller)) {
            return;
        }
    }
}

static void drop_steps(struct search *search)
{
    for (uint64_t cut = search->config->step_count; cut > 0; cut /= 2) {
        struct scenario_config smaller = *search->config;
        while (smaller.step_count >= cut) {
            smaller.step_count -= cut;
            if (!accepts(search, &smaller)) {
                break;
            }
        }
    }
}

void minimiser_reduce(struct scenario_config *config, struct scenario_result *result,
                      minimiser_run *run, void *context)
{
    struct search search = {.config = config, .result = result, .run = run, .context = context};
    for (int i = 0; i < ROUNDS; i++) {
        drop_faults(&search);
        drop_workers(&search);
        drop_stores(&search);
        drop_steps(&search);
    }
}
