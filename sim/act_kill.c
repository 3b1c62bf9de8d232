/* sim/act_kill.c */

/* kill -9: at any time, and in the middle of sending. */
#include "sim/scenario_internal.h"

enum { WORKER_FRAMES_MAX = 8, LEADER_FRAMES_MAX = 32 };

static void step(struct scenario *s, void *state)
{
    (void)state;
    size_t worker = (size_t)scenario_pick(s, s->config->worker_count);
    size_t store = (size_t)scenario_pick(s, s->config->store_count);
    if (scenario_has_chance(s, 5) && scenario_has(s, SCENARIO_KILL_WORKER) &&
        worker < s->started_count) {
        federation_worker_kill(s->federation, s->workers[worker]);
    }
    if (scenario_has_chance(s, 3) && scenario_has(s, SCENARIO_KILL_WORKER) && s->has_compactor) {
        federation_worker_kill(s->federation, s->compactor);
    }
    if (scenario_has_chance(s, 3) && scenario_has(s, SCENARIO_KILL_LEADER)) {
        federation_leader_kill(s->federation);
    }
    if (scenario_has_chance(s, 4) && scenario_has(s, SCENARIO_KILL_STORE)) {
        federation_store_kill(s->federation, store);
    }
    uint64_t frames = 1 + scenario_pick(s, WORKER_FRAMES_MAX);
    if (scenario_has_chance(s, 5) && scenario_has(s, SCENARIO_TRIP_WORKER) &&
        worker < s->started_count) {
        federation_worker_trip(s->federation, s->workers[worker], frames);
    }
    frames = 1 + scenario_pick(s, LEADER_FRAMES_MAX);
    if (scenario_has_chance(s, 4) && scenario_has(s, SCENARIO_TRIP_LEADER)) {
        federation_leader_trip(s->federation, frames);
    }
}

static void stop(struct scenario *s, void *state)
{
    (void)state;
    federation_leader_trip(s->federation, 0);
    for (size_t i = 0; i < s->started_count; i++) {
        federation_worker_trip(s->federation, s->workers[i], 0);
    }
}

const struct scenario_act act_kill = {.step = step, .stop = stop};
