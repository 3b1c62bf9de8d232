/* sim/act_network.c */

/* The network gets bad, recovers, parts and heals. */
#include <stdlib.h>

#include "base/check.h"
#include "sim/scenario_internal.h"

static const struct network_faults calm = {.delay_us = SCENARIO_CALM_DELAY_US};

/* Its state: how bad the network is when it is. All is drawn, whatever is left out. */
static void *begin(struct scenario *s)
{
    static const uint64_t delays_us[] = {5000, 20000, 100000};
    struct network_faults *bad = calloc(1, sizeof *bad);
    CHECK(bad != NULL);
    *bad = calm;
    uint64_t delay_us = delays_us[scenario_pick(s, sizeof delays_us / sizeof *delays_us)];
    unsigned drop = (unsigned)scenario_pick(s, 31);
    unsigned duplicate = (unsigned)scenario_pick(s, 16);
    unsigned corrupt = (unsigned)scenario_pick(s, 8);
    unsigned replay = (unsigned)scenario_pick(s, 11);
    bad->delay_us = scenario_has(s, SCENARIO_LATE) ? delay_us : bad->delay_us;
    bad->drop_percent = scenario_has(s, SCENARIO_DROP) ? drop : 0;
    bad->duplicate_percent = scenario_has(s, SCENARIO_DUPLICATE) ? duplicate : 0;
    bad->corrupt_percent = scenario_has(s, SCENARIO_CORRUPT) ? corrupt : 0;
    bad->replay_percent = scenario_has(s, SCENARIO_REPLAY) ? replay : 0;
    return bad;
}

static void step(struct scenario *s, void *state)
{
    const struct network_faults *bad = state;
    if (scenario_has_chance(s, 15)) {
        federation_disturb(s->federation, scenario_has_chance(s, 70) ? bad : &calm);
    }
    if (scenario_has_chance(s, 10)) {
        uint64_t sides = scenario_has_chance(s, 50) ? scenario_pick(s, UINT64_MAX) : 0;
        if (scenario_has(s, SCENARIO_PART)) {
            federation_divide(s->federation, sides);
        }
    }
}

static void stop(struct scenario *s, void *state)
{
    (void)state;
    federation_disturb(s->federation, &calm);
    federation_divide(s->federation, 0);
}

static void end(struct scenario *s, void *state)
{
    (void)s;
    free(state);
}

const struct scenario_act act_network = {.begin = begin, .step = step, .stop = stop, .end = end};
