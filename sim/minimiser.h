/* sim/minimiser.h */
#ifndef SIM_MINIMISER_H
#define SIM_MINIMISER_H

#include <stdbool.h>

#include "sim/scenario.h"

/*
 * minimiser: of a scenario that fails, the least that still does: fewer faults, workers, stores and
 * steps. Greedy: what it drops one at a time stays dropped as long as the failure stays.
 */

/* Run a scenario that may end in any way. */
typedef void minimiser_run(void *context, const struct scenario_config *config,
                           struct scenario_result *result);

/*
 * `result` is that of `config`, which has failed; both become those of the smallest scenario found
 * that breaks the same promise.
 */
void minimiser_reduce(struct scenario_config *config, struct scenario_result *result,
                      minimiser_run *run, void *context);

#endif
