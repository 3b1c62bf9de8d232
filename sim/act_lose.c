/* sim/act_lose.c */

/*
 * A store loses its disk, and begins anew with an empty one; or it was damaged, and what it held
 * was set aside but for what it had promised to leaders (store/aside.h). One at a time: while it is
 * refilled it counts among the N-W that may be missing. And one store, of those f that may, does
 * not keep its word: it signs for what it does not keep, or its host goes back and forth between
 * two states of its disk, so that it forgets what it held and promised, and shows different views
 * of the same.
 */
#include <stdlib.h>

#include "base/check.h"
#include "sim/scenario_internal.h"
#include "store/fence.h"

struct losses {
    size_t liar;
    bool is_lying;
    struct disk_fake *other;  // state of its disk; NULL: none yet
};

static void *begin(struct scenario *s)
{
    struct losses *losses = calloc(1, sizeof *losses);
    CHECK(losses != NULL);
    losses->liar = s->config->tolerated_count > 0 ? (size_t)scenario_pick(s, s->config->store_count)
                                                  : SIZE_MAX;
    return losses;
}

static bool is_spare(struct scenario *s)
{
    for (size_t i = 0; i < s->config->store_count; i++) {
        if (!federation_store_is_running(s->federation, i) ||
            federation_store_is_refilling(s->federation, i)) {
            return false;
        }
    }
    // Of N stores R = N-W+1+f must be there to lead; a lost one is not, until it is refilled.
    return federation_owner_counts_all(s->federation) &&
           s->config->receipt_count > 1 + s->config->tolerated_count &&
           s->config->receipt_count < s->config->store_count;
}

static void lose_some(struct scenario *s)
{
    size_t victim = (size_t)scenario_pick(s, s->config->store_count);
    if (scenario_has_chance(s, 3) && scenario_has(s, SCENARIO_LOSE_DISK) && is_spare(s)) {
        federation_store_kill(s->federation, victim);
        struct disk_fake *lost = s->stores[victim].fake;
        const struct buffer *fence = disk_fake_file(lost, FENCE_FILE);
        s->stores[victim] = (struct scenario_disk){.fake = disk_fake_new()};
        if (scenario_has_chance(s, 50) && fence != NULL) {
            disk_fake_put(s->stores[victim].fake, FENCE_FILE, fence->bytes, fence->length);
        }
        disk_fake_free(lost);
        s->disks[victim] = disk_fake_disk(s->stores[victim].fake);
    }
}

static void turn_back(struct scenario *s, struct losses *losses)
{
    struct disk_fake *fake = s->stores[losses->liar].fake;
    federation_store_kill(s->federation, losses->liar);
    disk_fake_crash(fake, s->random);
    struct disk_fake *now = disk_fake_copy(fake);
    if (losses->other != NULL) {
        disk_fake_assign(fake, losses->other);
        s->stores[losses->liar].is_full = false;
        disk_fake_free(losses->other);
    }
    losses->other = now;
}

static void step(struct scenario *s, void *state)
{
    struct losses *losses = state;
    lose_some(s);
    if (losses->liar == SIZE_MAX) {
        return;
    }
    if (scenario_has_chance(s, 5) && scenario_has(s, SCENARIO_LIE)) {
        losses->is_lying = !losses->is_lying;
        federation_store_lie(s->federation, losses->liar, losses->is_lying);
    }
    if (scenario_has_chance(s, 5) && scenario_has(s, SCENARIO_ROLL_BACK)) {
        turn_back(s, losses);
    }
}

/* It begins again, and asks the others what it lacks. */
static void stop(struct scenario *s, void *state)
{
    const struct losses *losses = state;
    if (losses->liar != SIZE_MAX) {
        federation_store_lie(s->federation, losses->liar, false);
        federation_store_kill(s->federation, losses->liar);
    }
}

/* Each store ends with what all have: also what a worker that has died sent to one alone. */
static bool settle(struct scenario *s, void *state)
{
    (void)state;
    bool is_settled = federation_store_agree(s->federation);
    if (!is_settled) {
        scenario_wait(s, "the stores hold different records");
    }
    return is_settled;
}

static void end(struct scenario *s, void *state)
{
    struct losses *losses = state;
    (void)s;
    disk_fake_free(losses->other);
    free(losses);
}

const struct scenario_act act_lose = {
    .begin = begin, .step = step, .stop = stop, .settle = settle, .end = end};
