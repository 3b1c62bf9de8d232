/* sim/scenario.h */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "sim/checker_store.h"
#include "sim/federation.h"

/*
 * scenario: one simulated life of an app, drawn from a seed.
 *
 * Workload: puts and deletes, of fresh keys and of a few hot ones, at every worker that is ready.
 * Faults: the seed picks which of them are on, and how bad: frames late, lost, doubled, bent,
 * replayed; processes that cannot reach each other for a while; workers, leader and store killed
 * at any time; the store's power going off in the middle of a write, its disk full; clocks
 * that drift and leap. Its host starts again whatever ended.
 * Then all faults stop, and the checkers of P2 to P6 and P9 judge what is there.
 */
enum {
    SCENARIO_STEPS = 80,
    SCENARIO_STEPS_MAX = 1000000,
    SCENARIO_WORKERS = 3,
    SCENARIO_WORKERS_MAX = 32,
};

struct scenario_config {
    uint64_t seed;
    uint64_t step_count;
    uint64_t worker_count;
    const struct log *log;  // borrowed; NULL for none
    void (*on_event)(void *context, const struct federation_event *event);  // NULL: none
    void *context;
};

struct scenario_result {
    bool has_failed;
    char reason[CHECKER_REASON_BYTES];  // which promise was broken, and how
    uint64_t event_count;
    uint64_t trace_digest;  // of all events: equal runs have equal ones
    uint64_t put_count;
    uint64_t durable_count;
    uint64_t time_us;  // virtual
};

void scenario_run(const struct scenario_config *config, struct scenario_result *result);

#endif
