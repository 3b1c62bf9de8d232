/* src/lsm/plan.h */
#ifndef LSM_PLAN_H
#define LSM_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "lsm/manifest.h"

/*
 * plan: which tables to merge next: a pure function of the manifest (and the time, by which
 * entries expire). Level 0 holds the runs of flushes, newest first. Each level below may hold ten
 * times the bytes of the one above, in disjoint tables; those above the last one at most a tenth of
 * what it holds, or level1_bytes. What is above its bound is merged one level down: all of
 * level 0, or the one table elsewhere whose merge rewrites least.
 *
 * So an entry is rewritten about eleven times per level it passes at most, a merge reads a table
 * and what lies under it, and what is superseded takes about a ninth of the last level, beside
 * level 0 and level1_bytes.
 */
struct plan_config {
    uint32_t run_count_max;  // with more runs, level 0 is merged; 0: 4
    uint64_t level1_bytes;   // with more, a table of level 1 is; 0: 64 MiB
};

struct plan {
    uint32_t *inputs;  // places of tables in the manifest, ascending
    uint32_t input_count;
    uint8_t target_level;
    bool drops_deletes;  // nothing older lies below: tombstones and expired entries end here
    bool is_move;        // one table, nothing under it: only its level changes
};

/* STATUS_EMPTY: nothing to do. STATUS_NO_MEMORY. Starts as all zeroes. */
MUST_CHECK enum status plan_make(struct plan *plan, const struct manifest *manifest,
                                 const struct plan_config *config, uint64_t now_ms);
void plan_release(struct plan *plan);

#endif
