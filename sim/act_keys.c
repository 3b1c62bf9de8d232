/* sim/act_keys.c */

/*
 * The owner rotates the keys and throws members out, at any time; whoever was thrown out is in the
 * hands of a thief that writes on with all that it had. P11.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "sim/checker_keys.h"
#include "sim/scenario_internal.h"

enum { REVOKED_MAX = 8 };

struct keys {
    size_t revoked[REVOKED_MAX];  // as the federation counts workers
    size_t count;
};

static void *begin(struct scenario *s)
{
    (void)s;
    struct keys *keys = calloc(1, sizeof *keys);
    CHECK(keys != NULL);
    return keys;
}

static void step(struct scenario *s, void *state)
{
    struct keys *keys = state;
    bool rotates = scenario_has_chance(s, 8);
    bool revokes = scenario_has_chance(s, 5);
    size_t place = (size_t)scenario_pick(s, s->config->worker_count);
    if (!scenario_has(s, SCENARIO_KEYS)) {
        return;
    }
    if (rotates) {
        federation_owner_rotate(s->federation);
    }
    if (revokes && keys->count < REVOKED_MAX && scenario_is_ready(s, place) &&
        federation_owner_revoke(s->federation, s->workers[place])) {
        keys->revoked[keys->count++] = s->workers[place];
    }
    for (size_t i = 0; i < keys->count; i++) {
        if (scenario_has(s, SCENARIO_THIEF) &&
            federation_worker_is_revoked(s->federation, keys->revoked[i])) {
            federation_thief_write(s->federation, keys->revoked[i]);
        }
    }
}

/* Whether the worker at that place knows where this one's branch ends, and has all up to there. */
static bool has_seen_end(struct scenario *s, size_t place, size_t revoked)
{
    const struct writer_id id = federation_worker_id(s->federation, revoked);
    const struct scl *scl = federation_worker_scl(s->federation, s->workers[place]);
    const struct capsule_member *member = capsule_member_find(scl_capsule(scl), &id);
    return member == NULL || member->revoked_epoch == 0 ||
           (member->is_closed && member->head.sequence >= member->cut.sequence);
}

/* What has been revoked stays so, whatever the thief does with it in the end. */
static bool settle(struct scenario *s, void *state)
{
    const struct keys *keys = state;
    for (size_t i = 0; i < keys->count; i++) {
        if (scenario_has(s, SCENARIO_THIEF) &&
            federation_worker_is_revoked(s->federation, keys->revoked[i])) {
            federation_thief_write(s->federation, keys->revoked[i]);
        }
        for (size_t place = 0; place < s->config->worker_count; place++) {
            if (!has_seen_end(s, place, keys->revoked[i])) {
                scenario_wait(s, "worker %zu waits for the end of revoked worker %zu",
                              s->workers[place], keys->revoked[i]);
                return false;
            }
        }
    }
    return true;
}

static void judge_disk(struct scenario *s, size_t store)
{
    char reason[CHECKER_REASON_BYTES];
    struct checker_keys checker;
    if (!checker_keys_walk(&checker, &s->disks[store], federation_genesis(s->federation), reason)) {
        scenario_fail(s, "%s", reason);
    }
    for (size_t i = 0; i < s->life_count; i++) {
        const struct writer_id id = federation_worker_id(s->federation, i);
        const struct checker_revoked *revoked = checker_keys_find(&checker, &id);
        uint32_t given = federation_worker_key_epoch(s->federation, i);
        if (revoked != NULL && revoked->key_epoch != 0 && given >= revoked->key_epoch) {
            scenario_fail(s,
                          "P11: worker %zu was revoked before key epoch %" PRIu32
                          " began, and was given the key of %" PRIu32,
                          i, revoked->key_epoch, given);
        }
    }
    checker_keys_release(&checker);
}

static void judge(struct scenario *s, void *state, size_t later)
{
    const struct keys *keys = state;
    struct memtable_entry entry;
    for (size_t i = 0; i < s->config->store_count; i++) {
        judge_disk(s, i);
    }
    if (keys->count > 0 &&
        federation_worker_find(s->federation, later, bytes_text(FEDERATION_THIEF_KEY), &entry) ==
            STATUS_OK) {
        scenario_fail(s, "P11: a worker reads what a revoked member's thief has written");
    }
}

static void end(struct scenario *s, void *state)
{
    (void)s;
    free(state);
}

const struct scenario_act act_keys = {
    .begin = begin, .step = step, .settle = settle, .judge = judge, .end = end};
