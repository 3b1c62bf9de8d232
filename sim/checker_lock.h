/* sim/checker_lock.h */
#ifndef SIM_CHECKER_LOCK_H
#define SIM_CHECKER_LOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scl/memtable.h"
#include "sim/checker_store.h"

/*
 * checker_lock: P7. Clients increment counters under locks; each keeps what it saw. Of the holders
 * that a LOCK on a store's disk has named, in the order of their fences, each must have seen what
 * the one before wrote. It knows nothing of heads, leases or receipts.
 */
enum checker_lock_fate {
    CHECKER_LOCK_NOTHING,  // it never let go of what it wrote, or was told that it is lost
    CHECKER_LOCK_UNKNOWN,  // it ended before it was told
    CHECKER_LOCK_COUNTED,  // it was told that it counts
};

/* One holder. */
struct checker_lock_hold {
    size_t counter;
    uint64_t fence;
    uint64_t seen;   // the counter's value; 0: none
    uint64_t wrote;  // seen + 1
    enum checker_lock_fate fate;
};

/* At the end, once for all workers. False: `reason` says why. */
bool checker_lock_judge(const struct checker_lock_hold *holds, size_t count, size_t counter_count,
                        const struct checker_store *store, char reason[CHECKER_REASON_BYTES]);

/* How many increments of this counter count: what every map must say. */
uint64_t checker_lock_total(const struct checker_lock_hold *holds, size_t count, size_t counter,
                            const struct checker_store *store);

#endif
