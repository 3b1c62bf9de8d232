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
 * The seed picks which faults there are, and how bad. For so many steps the acts
 * (sim/scenario_internal.h) do their work and make their faults; whatever ends is started again.
 * Then all faults stop, and the checkers judge what is there.
 */
enum {
    SCENARIO_STEPS = 80,
    SCENARIO_WORKERS = 3,
    SCENARIO_WORKERS_MAX = 32,
    SCENARIO_STORES = 1,
};

/* What can be left out; docs/simulation.md says what each is. */
enum scenario_fault {
    SCENARIO_LATE,
    SCENARIO_DROP,
    SCENARIO_DUPLICATE,
    SCENARIO_CORRUPT,
    SCENARIO_REPLAY,
    SCENARIO_PART,
    SCENARIO_KILL_WORKER,
    SCENARIO_KILL_LEADER,
    SCENARIO_KILL_STORE,
    SCENARIO_TRIP_WORKER,
    SCENARIO_TRIP_LEADER,
    SCENARIO_POWER,
    SCENARIO_FULL,
    SCENARIO_CLOCK,
    SCENARIO_FORK,
    SCENARIO_ROT,
    SCENARIO_LOSE_DISK,
    SCENARIO_LIE,
    SCENARIO_ROLL_BACK,
    SCENARIO_KEYS,
    SCENARIO_THIEF,
    SCENARIO_STORE_SET,
    SCENARIO_FAULTS,
};

struct scenario_config {
    uint64_t seed;
    uint64_t step_count;
    uint64_t worker_count;
    uint64_t store_count;
    uint64_t receipt_count;    // W
    uint64_t tolerated_count;  // f
    uint64_t without;          // bits by enum scenario_fault
    const struct log *log;     // borrowed; NULL for none
    void (*on_event)(void *context, const struct federation_event *event);  // NULL: none
    void *context;
};

struct scenario_result {
    bool has_failed;
    char reason[CHECKER_REASON_BYTES];  // which promise was broken, and how
    uint64_t faults;                    // those that the seed has; bits
    uint64_t event_count;
    uint64_t trace_digest;  // of all events: equal runs have equal ones
    uint64_t put_count;
    uint64_t durable_count;
    uint64_t increment_count;  // of counters under locks, as clients were told
    uint64_t time_us;          // virtual
};

void scenario_run(const struct scenario_config *config, struct scenario_result *result);

/* "drop". `fault` is below SCENARIO_FAULTS. Static storage. */
const char *scenario_fault_name(enum scenario_fault fault);

#endif
