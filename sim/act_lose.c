/* sim/act_lose.c */

/*
 * A store loses its disk, and begins anew with an empty one. One at a time: while it is refilled it
 * counts among the N-W that may be missing.
 */
#include "sim/scenario_internal.h"

static bool is_spare(struct scenario *s)
{
    for (size_t i = 0; i < s->config->store_count; i++) {
        if (!federation_store_is_running(s->federation, i) ||
            federation_store_is_refilling(s->federation, i)) {
            return false;
        }
    }
    return s->config->receipt_count > 1 && s->config->receipt_count < s->config->store_count;
}

static void step(struct scenario *s, void *state)
{
    (void)state;
    size_t victim = (size_t)scenario_pick(s, s->config->store_count);
    if (scenario_has_chance(s, 3) && scenario_has(s, SCENARIO_LOSE_DISK) && is_spare(s)) {
        federation_store_kill(s->federation, victim);
        disk_fake_free(s->stores[victim].fake);
        s->stores[victim] = (struct scenario_disk){.fake = disk_fake_new()};
        s->disks[victim] = disk_fake_disk(s->stores[victim].fake);
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

const struct scenario_act act_lose = {.step = step, .settle = settle};
