/* sim/scenario_internal.h */
#ifndef SIM_SCENARIO_INTERNAL_H
#define SIM_SCENARIO_INTERNAL_H

#include "base/random.h"
#include "sim/disk_fake.h"
#include "sim/federation.h"
#include "sim/oracle.h"
#include "sim/scenario.h"

struct scenario;

/*
 * An act is one part of a scenario: a workload or some faults, its oracle, and its checkers. Each
 * lies in a file of its own, sim/act_<name>.c, and is named once, in scenario.c. Each draws from a
 * random stream of its own: a new act changes nothing of what the others do under the same seed.
 * Any function may be NULL.
 */
struct scenario_act {
    void *(*begin)(struct scenario *s);  // its state, which the others are given
    void (*step)(struct scenario *s, void *state);
    void (*watch)(struct scenario *s, void *state);  // time has passed: check on the way
    void (*stop)(struct scenario *s, void *state);   // its faults end
    // While all settles, and all processes are there. False: it has to go on; scenario_wait() says
    // what for.
    bool (*settle)(struct scenario *s, void *state);
    // At the end, once; `later` is a worker that came after everything.
    void (*judge)(struct scenario *s, void *state, size_t later);
    void (*end)(struct scenario *s, void *state);
};

/* The disk of a store. */
struct scenario_disk {
    struct disk_fake *fake;
    bool is_full;
    bool is_out;  // its store does not count, and is not started
};

enum { SCENARIO_ACTS_MAX = 16, SCENARIO_CALM_DELAY_US = 500 };

struct scenario {
    const struct scenario_config *config;
    struct scenario_result *result;
    struct federation *federation;
    struct scenario_disk stores[FEDERATION_STORES_MAX];
    struct disk disks[FEDERATION_STORES_MAX];
    size_t workers[SCENARIO_WORKERS_MAX];  // the federation's index of each
    size_t started_count;                  // of those
    size_t life_count;                     // of all workers ever
    size_t compactor;                      // the federation's index
    bool has_compactor;                    // one was ever started
    void *states[SCENARIO_ACTS_MAX];
    struct random_seeded seeds[SCENARIO_ACTS_MAX];
    struct random randoms[SCENARIO_ACTS_MAX];
    const struct random *random;  // that of the act under way
    struct checker_store held;
    char waiting[CHECKER_REASON_BYTES / 2];
};

/* What all stores together hold, read from their disks as an auditor would; from judge() on. */
const struct checker_store *scenario_held(const struct scenario *s);

uint64_t scenario_pick(struct scenario *s, uint64_t below);
bool scenario_has_chance(struct scenario *s, uint64_t percent);
/* Whether this life has that fault. */
bool scenario_has(const struct scenario *s, enum scenario_fault fault);
bool scenario_is_ready(const struct scenario *s, size_t place);  // the worker at workers[place]

/* The first failure stands. `reason` begins with the promise: "P4: …". */
void scenario_fail(struct scenario *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* What has not come yet, for the failure if it never does: "the put of 'x' is not durable". */
void scenario_wait(struct scenario *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

extern const struct scenario_act act_kill;
extern const struct scenario_act act_network;
extern const struct scenario_act act_disk;
extern const struct scenario_act act_clock;
extern const struct scenario_act act_hostile;
extern const struct scenario_act act_lose;
extern const struct scenario_act act_put;
extern const struct scenario_act act_keys;
extern const struct scenario_act act_lock;
extern const struct scenario_act act_read;
extern const struct scenario_act act_session;
extern const struct scenario_act act_stores;

#endif
