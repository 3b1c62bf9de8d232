/* sim/checker_map.h */
#ifndef SIM_CHECKER_MAP_H
#define SIM_CHECKER_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include "scl/memtable.h"
#include "sim/checker_store.h"
#include "sim/federation.h"
#include "sim/oracle.h"

/*
 * checker_map: what a worker's map must be once everything is quiet. A put has survived when the
 * store holds the record it was to be in, and the last of the survivors wins each key:
 *
 *   P4  every put that was reported durable has survived;
 *   P2  the map holds nothing but winners;
 *   P5  it holds all of them, whichever worker's it is.
 */

/* P4, once for all workers. False: `reason` says why. */
bool checker_map_judge_durable(const struct oracle *oracle, const struct checker_store *store,
                               char reason[CHECKER_REASON_BYTES]);

/* P2 and P5 for one worker. */
bool checker_map_judge(const struct oracle *oracle, const struct checker_store *store,
                       struct federation *federation, size_t worker,
                       char reason[CHECKER_REASON_BYTES]);

#endif
