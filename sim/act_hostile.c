/* sim/act_hostile.c */

/*
 * A host that does what no network and no disk would: it holds a worker's key and signs a second
 * record, and at the very end it puts back an old copy of every store's disk. P8.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "capsule/record.h"
#include "sim/scenario_internal.h"
#include "store/store.h"

enum {
    RECOVERY_US = 60 * 1000 * 1000,
    POLL_US = 100 * 1000,
};

/* An old copy of each disk. */
struct copies {
    struct disk_fake *disks[FEDERATION_STORES_MAX];
};

static void *begin(struct scenario *s)
{
    (void)s;
    struct copies *copies = calloc(1, sizeof *copies);
    CHECK(copies != NULL);
    return copies;
}

static void fork_some(struct scenario *s)
{
    size_t worker = (size_t)scenario_pick(s, s->config->worker_count);
    size_t store = (size_t)scenario_pick(s, s->config->store_count);
    bool is_time = scenario_has_chance(s, 3);
    if (is_time && scenario_has(s, SCENARIO_FORK) && scenario_is_ready(s, worker) &&
        federation_store_is_running(s->federation, store) &&
        federation_store_fork(s->federation, store, s->workers[worker])) {
        scenario_fail(s, "P8: store %zu has seen worker %zu fork, and proves nothing", store,
                      s->workers[worker]);
    }
}

/* Once, somewhere on the way. */
static void copy_some(struct scenario *s, struct copies *copies)
{
    if (!scenario_has_chance(s, 4) || copies->disks[0] != NULL) {
        return;
    }
    for (size_t i = 0; i < s->config->store_count; i++) {
        if (!federation_store_is_running(s->federation, i)) {
            return;
        }
    }
    for (size_t i = 0; i < s->config->store_count; i++) {
        copies->disks[i] = disk_fake_copy(s->stores[i].fake);
    }
}

static void step(struct scenario *s, void *state)
{
    fork_some(s);
    copy_some(s, state);
}

static enum status note_epoch(void *context, struct bytes bytes, const struct store_place *place)
{
    uint64_t *newest = context;
    struct record record;
    (void)place;
    if (record_decode(&record, bytes.at, bytes.length) == STATUS_OK && record.type == RECORD_SYNC &&
        record.epoch > *newest) {
        *newest = record.epoch;
    }
    return STATUS_OK;
}

/* Of the newest SYNC on any of the copies. */
static uint64_t epoch_of(const struct scenario *s, const struct copies *copies)
{
    uint64_t newest = 0;
    struct bytes genesis = federation_genesis(s->federation);
    const struct hash capsule = hash_of(genesis.at, genesis.length);
    for (size_t i = 0; i < s->config->store_count; i++) {
        struct disk disk = disk_fake_disk(copies->disks[i]);
        struct store_place place;
        CHECK(store_walk(&disk, &capsule, note_epoch, &newest, &place) == STATUS_OK);
    }
    return newest;
}

static void end_all(struct scenario *s, size_t later)
{
    federation_leader_kill(s->federation);
    for (size_t i = 0; i <= later; i++) {
        federation_worker_kill(s->federation, i);
    }
    for (size_t i = 0; i < s->config->store_count; i++) {
        federation_store_kill(s->federation, i);
    }
}

static void put_back(struct scenario *s, const struct copies *copies)
{
    for (size_t i = 0; i < s->config->store_count; i++) {
        disk_fake_assign(s->stores[i].fake, copies->disks[i]);
        if (federation_store_start(s->federation, i) != STATUS_OK) {
            scenario_fail(s, "P8: store %zu does not start from an old copy of its disk", i);
        }
    }
}

/* After everything else, for nothing can be judged any more: the stores are what they once were. */
static void judge(struct scenario *s, void *state, size_t later)
{
    const struct copies *copies = state;
    uint64_t known = federation_owner_epoch(s->federation);
    uint64_t held = copies->disks[0] == NULL ? known : epoch_of(s, copies);
    if (held >= known) {
        return;
    }
    end_all(s, later);
    put_back(s, copies);
    for (uint64_t us = 0; us < RECOVERY_US && !s->result->has_failed; us += POLL_US) {
        if (!federation_leader_is_running(s->federation)) {
            federation_leader_start(s->federation);
        }
        federation_run(s->federation, POLL_US, NULL, NULL);
        if (federation_owner_has_alarm(s->federation)) {
            if (!federation_owner_has_proof(s->federation)) {
                scenario_fail(s, "P8: the owner cannot prove that the stores were rolled back");
            }
            return;
        }
        if (federation_leader_is_leading(s->federation)) {
            scenario_fail(s,
                          "P8: a leader leads from stores of epoch %" PRIu64
                          ", and the owner had seen epoch %" PRIu64,
                          held, known);
        }
    }
    scenario_fail(s, "P8: nobody told the owner that the stores were rolled back");
}

static void end(struct scenario *s, void *state)
{
    struct copies *copies = state;
    for (size_t i = 0; i < s->config->store_count; i++) {
        disk_fake_free(copies->disks[i]);
    }
    free(copies);
}

const struct scenario_act act_hostile = {.begin = begin, .step = step, .judge = judge, .end = end};
