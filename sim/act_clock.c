/* sim/act_clock.c */

/* Clocks that run fast or slow, and leap. */
#include "sim/scenario_internal.h"

enum {
    LEAP_US_MAX = 20 * 1000 * 1000,
    SKEW_MS_MAX = 3600 * 1000,
    DRIFT_PERMILLE_MAX = 100,
};

static void step(struct scenario *s, void *state)
{
    (void)state;
    if (!scenario_has_chance(s, 10)) {
        return;
    }
    size_t victim = (size_t)scenario_pick(s, s->config->worker_count + 1);
    int drift_permille = (int)scenario_pick(s, 2 * DRIFT_PERMILLE_MAX + 1) - DRIFT_PERMILLE_MAX;
    uint64_t leap_us = scenario_has_chance(s, 20) ? scenario_pick(s, LEAP_US_MAX) : 0;
    int64_t skew_ms = (int64_t)scenario_pick(s, 2 * SKEW_MS_MAX) - SKEW_MS_MAX;
    if (!scenario_has(s, SCENARIO_CLOCK)) {
        return;
    }
    if (victim == s->config->worker_count) {
        federation_leader_adjust_clock(s->federation, drift_permille, leap_us, skew_ms);
    } else if (victim < s->started_count) {
        federation_worker_adjust_clock(s->federation, s->workers[victim], drift_permille, leap_us);
    }
}

static void stop(struct scenario *s, void *state)
{
    (void)state;
    federation_leader_adjust_clock(s->federation, 0, 0, 0);
    for (size_t i = 0; i < s->started_count; i++) {
        federation_worker_adjust_clock(s->federation, s->workers[i], 0, 0);
    }
}

const struct scenario_act act_clock = {.step = step, .stop = stop};
