/* sim/act_put.c */

/*
 * Clients put and delete at workers that are ready, fresh keys and a few hot ones; the oracle keeps
 * what they saw. P2, P4, P5, P6.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "sim/checker_map.h"
#include "sim/checker_session.h"
#include "sim/scenario_internal.h"

enum {
    PUTS_PER_STEP_MAX = 4,
    REACH_US = 60 * 1000 * 1000,  // P5: until all maps have what the stores hold
    POLL_US = 20 * 1000,
};

struct puts {
    struct oracle oracle;
    size_t first_pending;                // no put before it is still to be asked for
    size_t lasts[SCENARIO_WORKERS_MAX];  // workers that made their last put
};

static void put(struct scenario *s, struct puts *puts, size_t worker, const char *key,
                bool is_delete)
{
    struct memtable_entry entry;
    struct oracle_put made = {.is_delete = is_delete, .worker = worker};
    snprintf(made.key, sizeof made.key, "%s", key);
    snprintf(made.value, sizeof made.value, "%zu", puts->oracle.count);
    enum status status = federation_worker_put(s->federation, worker, key,
                                               is_delete ? NULL : made.value, &made.dependency);
    if (status != STATUS_OK) {
        // Full for now, or closed and about to end.
        return;
    }
    made.writer = federation_worker_id(s->federation, worker);
    made.sequence = made.dependency.own_sequence;
    bool is_own =
        federation_worker_find(s->federation, worker, bytes_text(key), &entry) == STATUS_OK &&
        entry.is_tombstone == is_delete &&
        (is_delete || bytes_equal(entry.value, bytes_text(made.value)));
    made.lamport = is_own ? entry.version.lamport : 0;
    if (!is_own) {
        scenario_fail(s, "P6: worker %zu does not read what it has just written", worker);
    }
    oracle_add(&puts->oracle, &made);
}

static void *begin(struct scenario *s)
{
    struct puts *puts = calloc(1, sizeof *puts);
    (void)s;
    CHECK(puts != NULL);
    memset(puts->lasts, 0xff, sizeof puts->lasts);
    return puts;
}

static void step(struct scenario *s, void *state)
{
    struct puts *puts = state;
    char key[ORACLE_TEXT_BYTES];
    for (uint64_t i = scenario_pick(s, PUTS_PER_STEP_MAX); i > 0; i--) {
        size_t place = (size_t)scenario_pick(s, s->config->worker_count);
        size_t hot = (size_t)scenario_pick(s, ORACLE_HOT_KEYS);
        bool is_delete = scenario_has_chance(s, 25);
        if (!scenario_is_ready(s, place)) {
            continue;
        }
        snprintf(key, sizeof key, "key-%zu", puts->oracle.count % 100000);
        put(s, puts, s->workers[place], key, false);
        snprintf(key, sizeof key, "hot-%zu", hot);
        put(s, puts, s->workers[place], key, is_delete);
    }
}

static void watch(struct scenario *s, void *state)
{
    struct puts *puts = state;
    char reason[CHECKER_REASON_BYTES];
    bool is_pending = false;
    for (size_t i = puts->first_pending; i < puts->oracle.count; i++) {
        struct oracle_put *made = &puts->oracle.puts[i];
        if (made->is_durable || !federation_worker_is_alive(s->federation, made->worker)) {
            puts->first_pending = is_pending ? puts->first_pending : i + 1;
            continue;
        }
        is_pending = true;
        if (!checker_session_judge_put(&puts->oracle, made, s->federation, reason)) {
            scenario_fail(s, "%s", reason);
        }
        made->is_durable =
            federation_worker_is_durable(s->federation, made->worker, &made->dependency);
    }
}

/* Every worker has made a last put, all puts are durable, and all maps are equal. */
static bool settle(struct scenario *s, void *state)
{
    struct puts *puts = state;
    bool is_settled = true;
    for (size_t i = 0; i < s->config->worker_count; i++) {
        if (puts->lasts[i] != s->workers[i]) {
            puts->lasts[i] = s->workers[i];
            put(s, puts, s->workers[i], "last", false);
            scenario_wait(s, "worker %zu has just come", s->workers[i]);
            is_settled = false;
        }
    }
    for (size_t i = puts->first_pending; i < puts->oracle.count && is_settled; i++) {
        const struct oracle_put *made = &puts->oracle.puts[i];
        is_settled = made->is_durable || !federation_worker_is_alive(s->federation, made->worker);
        if (!is_settled) {
            scenario_wait(s, "'%s' at worker %zu is not durable; it was to be in record %" PRIu64,
                          made->key, made->worker, made->sequence);
        }
    }
    for (size_t i = 1; i < s->config->worker_count && is_settled; i++) {
        is_settled = federation_worker_equals(s->federation, s->workers[0], s->workers[i]);
        if (!is_settled) {
            scenario_wait(s, "workers %zu and %zu differ", s->workers[0], s->workers[i]);
        }
    }
    return is_settled;
}

/* Whether every map is the oracle's. */
static bool are_right(struct scenario *s, const struct puts *puts, size_t later, char *reason)
{
    const struct checker_store *held = scenario_held(s);
    struct federation *federation = s->federation;
    bool are_right = checker_map_judge(&puts->oracle, held, federation, later, reason);
    for (size_t i = 0; i < s->config->worker_count && are_right; i++) {
        size_t worker = s->workers[i];
        // One that was absent too long under the faults may have been closed only now.
        are_right = !federation_worker_is_alive(federation, worker) ||
                    checker_map_judge(&puts->oracle, held, federation, worker, reason);
    }
    return are_right;
}

/*
 * That all maps are equal does not say that all is in them: what a worker that has ended sent to
 * one store alone reaches the others when its branch is closed, and then the workers.
 */
static void judge(struct scenario *s, void *state, size_t later)
{
    struct puts *puts = state;
    char reason[CHECKER_REASON_BYTES];
    if (!checker_map_judge_durable(&puts->oracle, scenario_held(s), reason)) {
        scenario_fail(s, "%s", reason);
        return;
    }
    bool is_right = are_right(s, puts, later, reason);
    for (uint64_t us = 0; !is_right && us < REACH_US; us += POLL_US) {
        federation_run(s->federation, POLL_US, NULL, NULL);
        is_right = are_right(s, puts, later, reason);
    }
    if (!is_right) {
        scenario_fail(s, "%s", reason);
    }
}

static void end(struct scenario *s, void *state)
{
    struct puts *puts = state;
    s->result->put_count = puts->oracle.count;
    for (size_t i = 0; i < puts->oracle.count; i++) {
        s->result->durable_count += puts->oracle.puts[i].is_durable;
    }
    oracle_release(&puts->oracle);
    free(puts);
}

const struct scenario_act act_put = {
    .begin = begin, .step = step, .watch = watch, .settle = settle, .judge = judge, .end = end};
