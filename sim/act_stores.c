/* sim/act_stores.c */

/*
 * The owner takes a store out of the set, and puts it back later; at each change the leader ends,
 * and the next one brings it into force. The store is dead from the start, or goes on until the
 * change is in force; then its disk is destroyed, or it comes back as it was when it went.
 */
#include <stdlib.h>

#include "base/check.h"
#include "sim/scenario_internal.h"

struct change {
    size_t store;    // SIZE_MAX: all count
    bool is_back;    // it is on its way back
    bool dies_last;  // it runs until the change is in force
    bool has_stopped;
};

static void *begin(struct scenario *s)
{
    (void)s;
    struct change *change = calloc(1, sizeof *change);
    CHECK(change != NULL);
    change->store = SIZE_MAX;
    return change;
}

/* W of so many: any two sets of them have a store in common that does not lie. */
static uint32_t receipts_of(const struct scenario *s, size_t store_count)
{
    return (uint32_t)((store_count + (size_t)s->config->tolerated_count) / 2 + 1);
}

/* As the command line sees to it: the app has begun, and all are whole. */
static bool is_whole(struct scenario *s)
{
    for (size_t i = 0; i < s->config->store_count; i++) {
        if (!federation_store_is_running(s->federation, i) ||
            federation_store_is_refilling(s->federation, i)) {
            return false;
        }
    }
    return federation_owner_epoch(s->federation) > 0;
}

static void take_away(struct scenario *s, size_t store)
{
    federation_store_kill(s->federation, store);
    s->stores[store].is_out = true;
}

static void take_out(struct scenario *s, struct change *change)
{
    size_t count = (size_t)s->config->store_count;
    size_t store = (size_t)scenario_pick(s, count);
    uint64_t all = (1ull << count) - 1;
    // Who lies must not be needed for a write.
    if (receipts_of(s, count - 1) + s->config->tolerated_count > count - 1 || !is_whole(s) ||
        !federation_owner_name_stores(s->federation, all & ~(1ull << store),
                                      receipts_of(s, count - 1))) {
        return;
    }
    // Where every store has to answer, none may be dead before the change is in force.
    bool are_all_needed = s->config->receipt_count <= s->config->tolerated_count + 1;
    *change =
        (struct change){.store = store, .dies_last = scenario_has_chance(s, 50) || are_all_needed};
    if (!change->dies_last) {
        take_away(s, store);
    }
    federation_leader_kill(s->federation);
}

static void put_back(struct scenario *s, struct change *change)
{
    size_t count = (size_t)s->config->store_count;
    if (!federation_owner_name_stores(s->federation, (1ull << count) - 1,
                                      (uint32_t)s->config->receipt_count)) {
        return;
    }
    if (scenario_has_chance(s, 50)) {
        struct scenario_disk *disk = &s->stores[change->store];
        disk_fake_free(disk->fake);
        *disk = (struct scenario_disk){.fake = disk_fake_new()};
        s->disks[change->store] = disk_fake_disk(disk->fake);
    }
    s->stores[change->store].is_out = false;
    change->is_back = true;
    federation_leader_kill(s->federation);
}

/* What a change in force allows. */
static void follow(struct scenario *s, struct change *change)
{
    if (change->store == SIZE_MAX || !federation_owner_is_settled(s->federation)) {
        return;
    }
    if (change->is_back) {
        change->store = SIZE_MAX;
        change->is_back = false;
    } else if (change->dies_last) {
        change->dies_last = false;
        take_away(s, change->store);
    }
}

static void step(struct scenario *s, void *state)
{
    struct change *change = state;
    bool has_chance = scenario_has_chance(s, 8);
    if (!scenario_has(s, SCENARIO_STORE_SET)) {
        return;
    }
    if (has_chance && change->store == SIZE_MAX) {
        take_out(s, change);
    } else if (has_chance && !change->is_back && s->stores[change->store].is_out) {
        put_back(s, change);
    }
}

static void stop(struct scenario *s, void *state)
{
    struct change *change = state;
    (void)s;
    change->has_stopped = true;
}

/* All count again at the end, one change after the other. */
static void watch(struct scenario *s, void *state)
{
    struct change *change = state;
    follow(s, change);
    bool is_out = change->store != SIZE_MAX && s->stores[change->store].is_out;
    if (change->has_stopped && is_out && !change->is_back) {
        put_back(s, change);
    }
}

static bool settle(struct scenario *s, void *state)
{
    const struct change *change = state;
    if (change->store != SIZE_MAX) {
        scenario_wait(s, "the set of stores is not settled");
    }
    return change->store == SIZE_MAX;
}

static void end(struct scenario *s, void *state)
{
    (void)s;
    free(state);
}

const struct scenario_act act_stores = {
    .begin = begin, .step = step, .watch = watch, .stop = stop, .settle = settle, .end = end};
