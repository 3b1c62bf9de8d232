/* src/scl/compactor.h */
#ifndef SCL_COMPACTOR_H
#define SCL_COMPACTOR_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"
#include "lsm/plan.h"
#include "scl/scl.h"

/*
 * compactor: turns what epochs have decided into CapsuleDB tables (DESIGN 6.7): the role of one
 * enclave. Around an scl, made with is_compactor, it adds the work itself: when enough of the
 * memtable lies at or below the floor it writes it out as tables of level 0; it merges tables as
 * the plan says; each job ends with a MANIFEST. The next job begins when a SYNC names that.
 *
 * A crash at any step leaves records that nothing refers to.
 *
 * Invariants:
 *  1. A flush takes winners at or below the floor of a SYNC that was joined when it began, all of
 *     whose ancestors are applied. What wins over an older one that is not in tables yet is itself
 *     listed by a SYNC (scl_config.is_compactor), so no cut brings the older one back.
 *     What LOCKs before that SYNC have decided is applied.
 *  2. A MANIFEST follows the one in effect (finish_job), and covers of each branch only records
 *     that were applied when its job began and whose tuples lie at or below its floor
 *     (collect_covers).
 *
 * Used under the same lock as its scl. Sans-IO: what it appends the scl's sealer seals and sends.
 */
struct compactor;

struct compactor_config {
    struct scl *scl;        // borrowed
    const struct log *log;  // borrowed; NULL for none
    uint64_t flush_bytes;   // of the memtable, before it is worth a flush; 0: COMPACTOR_FLUSH_BYTES
    uint64_t tail_records;  // of log behind the MANIFEST that are worth one, too; 0: as many as
                            // COMPACTOR_TAIL_RECORDS
    struct plan_config plan;
    uint32_t block_bytes;  // 0: as compaction_config says
    uint64_t table_bytes;  // 0: TABLE_TARGET_BYTES
};

enum {
    COMPACTOR_FLUSH_BYTES = 8 << 20,
    COMPACTOR_TAIL_RECORDS = 8192,  // whoever begins reads these in about 0.1 s
};

MUST_CHECK enum status compactor_new(struct compactor **compactor,
                                     const struct compactor_config *config);
void compactor_free(struct compactor *compactor);  // before its scl

/*
 * Go on with the work for a moment. STATUS_OK: there is more to do; first let the scl seal and
 * send. STATUS_EMPTY: nothing to do until something is received or `*wake_us`. STATUS_NO_MEMORY;
 * STATUS_MALFORMED: tables that lie in the capsule are broken. Both end the process.
 */
MUST_CHECK enum status compactor_step(struct compactor *compactor, uint64_t now_us,
                                      uint64_t *wake_us);

/*
 * After a MANIFEST of this compactor's took effect: what that has made dispensable, as the body of
 * a PRUNE, once; it replaces the content of `body`. DATA that its tables cover; TABLE and MANIFEST
 * records that neither it nor its predecessor names. STATUS_EMPTY: nothing new. STATUS_NO_MEMORY.
 */
MUST_CHECK enum status compactor_prune(struct compactor *compactor, struct buffer *body);

struct compactor_counters {
    uint64_t flushes;
    uint64_t merges;
    uint64_t entries_written;
    uint64_t bytes_written;  // of TABLE records
    uint64_t bytes_read;
};
void compactor_count(const struct compactor *compactor, struct compactor_counters *counters);

#endif
