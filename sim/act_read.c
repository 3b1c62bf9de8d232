/* sim/act_read.c */

/*
 * Clients read hot keys, and their answers wait until all that they rest on is durable. P4: what a
 * client was told stays true, whoever wrote it and whoever has ended since.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "sim/scenario_internal.h"

enum { READS_PER_STEP = 2 };

struct reading {
    size_t worker;
    struct memtable_version version;
    struct dependency dependency;
    bool is_answered;
};

struct readings {
    struct reading *items;
    size_t count;
    size_t room;
    size_t first_pending;  // those before it are answered, or never will be
};

static void *begin(struct scenario *s)
{
    (void)s;
    struct readings *readings = calloc(1, sizeof *readings);
    CHECK(readings != NULL);
    return readings;
}

static void step(struct scenario *s, void *state)
{
    struct readings *readings = state;
    char key[ORACLE_TEXT_BYTES];
    for (int i = 0; i < READS_PER_STEP; i++) {
        size_t place = (size_t)scenario_pick(s, s->config->worker_count);
        snprintf(key, sizeof key, "hot-%d", (int)scenario_pick(s, ORACLE_HOT_KEYS));
        struct reading reading = {.is_answered = false};
        if (!scenario_is_ready(s, place)) {
            continue;
        }
        reading.worker = s->workers[place];
        if (federation_worker_read(s->federation, reading.worker, key, &reading.version,
                                   &reading.dependency) != STATUS_OK) {
            continue;
        }
        if (readings->count == readings->room) {
            readings->room = readings->room == 0 ? 64 : 2 * readings->room;
            readings->items =
                reallocarray(readings->items, readings->room, sizeof *readings->items);
            CHECK(readings->items != NULL);
        }
        readings->items[readings->count++] = reading;
    }
}

static void watch(struct scenario *s, void *state)
{
    struct readings *readings = state;
    bool is_pending = false;
    for (size_t i = readings->first_pending; i < readings->count; i++) {
        struct reading *reading = &readings->items[i];
        if (!reading->is_answered && federation_worker_is_alive(s->federation, reading->worker)) {
            reading->is_answered =
                federation_worker_is_durable(s->federation, reading->worker, &reading->dependency);
            is_pending = is_pending || !reading->is_answered;
        }
        readings->first_pending = is_pending ? readings->first_pending : i + 1;
    }
}

static void judge(struct scenario *s, void *state, size_t later)
{
    const struct readings *readings = state;
    (void)later;
    for (size_t i = 0; i < readings->count; i++) {
        const struct reading *reading = &readings->items[i];
        uint64_t held = checker_store_head(scenario_held(s), &reading->version.writer);
        if (reading->is_answered && reading->version.sequence > held) {
            scenario_fail(s,
                          "P4: worker %zu answered what it had read in record %" PRIu64
                          " of another, of which the stores hold %" PRIu64,
                          reading->worker, reading->version.sequence, held);
            return;
        }
    }
}

static void end(struct scenario *s, void *state)
{
    struct readings *readings = state;
    (void)s;
    free(readings->items);
    free(readings);
}

const struct scenario_act act_read = {
    .begin = begin, .step = step, .watch = watch, .judge = judge, .end = end};
