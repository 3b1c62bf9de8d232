/* sim/act_disk.c */

/* The power goes off in the middle of a write; the disk is full for a while. */
#include "sim/scenario_internal.h"

enum {
    POWER_OFF_OPERATIONS = 20,   // it goes off in one of the next so many
    SPARE_DISK_BYTES = 2 << 10,  // what a full disk still has
};

static void step(struct scenario *s, void *state)
{
    (void)state;
    struct scenario_disk *victim = &s->stores[scenario_pick(s, s->config->store_count)];
    if (scenario_has_chance(s, 4)) {
        uint64_t nth = 1 + scenario_pick(s, POWER_OFF_OPERATIONS);
        if (scenario_has(s, SCENARIO_POWER)) {
            disk_fake_power_off(victim->fake, nth);
        }
    }
    if (scenario_has_chance(s, 8)) {
        bool is_full = scenario_has_chance(s, 50);
        uint64_t spare_bytes = scenario_pick(s, SPARE_DISK_BYTES);
        if (scenario_has(s, SCENARIO_FULL)) {
            victim->is_full = is_full;
            disk_fake_limit(victim->fake,
                            is_full ? disk_fake_used(victim->fake) + spare_bytes : UINT64_MAX);
        }
    }
}

static void stop(struct scenario *s, void *state)
{
    (void)state;
    for (size_t i = 0; i < s->config->store_count; i++) {
        disk_fake_power_off(s->stores[i].fake, 0);
        disk_fake_limit(s->stores[i].fake, UINT64_MAX);
        s->stores[i].is_full = false;
    }
}

const struct scenario_act act_disk = {.step = step, .stop = stop};
