/* src/lsm/compaction.h */
#ifndef LSM_COMPACTION_H
#define LSM_COMPACTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "capsule/record.h"
#include "crypto/aead.h"
#include "lsm/manifest.h"
#include "lsm/plan.h"
#include "lsm/table.h"
#include "lsm/table_builder.h"

/*
 * compaction: merges sorted runs into new tables, block by block. Sans-IO: it says which record it
 * needs and which plaintext is to be sealed; the caller fetches and appends. Memory:
 * COMPACTION_AHEAD blocks and an index per input run, and a block and an index under construction.
 *
 *     compaction_new(); compaction_add_run() or compaction_add_source() for each run
 *     loop on compaction_step():
 *         STATUS_GAP: fetch compaction_need(), then compaction_supply()
 *         STATUS_FULL: seal compaction_body(), append it, then compaction_sealed()
 *         STATUS_EMPTY: done: compaction_tables()
 *
 * Of each key the highest version stays. An expired PUT becomes a tombstone; with `drops_deletes`
 * a tombstone goes away. A crash at any step leaves records that nothing refers to.
 */
struct compaction;

/* Blocks of a run that are asked for at once: so many answers come for one wait. */
enum { COMPACTION_AHEAD = 16 };

struct compaction_config {
    // Its now_ms judges expiry. Of block_bytes, 0 means TABLE_FLUSH_BLOCK_BYTES for level 0.
    struct table_builder_config builder;
    uint8_t target_level;
    uint64_t run;    // for target level 0: the floor of this flush
    uint64_t floor;  // every entry is at or below it
    bool drops_deletes;
};

MUST_CHECK enum status compaction_new(struct compaction **compaction,
                                      const struct compaction_config *config);
void compaction_free(struct compaction *compaction);  // wipes

/* Tables of one level or one level-0 run, in key order: a run. Copied. STATUS_NO_MEMORY. */
MUST_CHECK enum status compaction_add_run(struct compaction *compaction, const struct table *tables,
                                          uint32_t table_count);

/* All inputs of a plan, as the runs that they are. */
MUST_CHECK enum status compaction_add_plan(struct compaction *compaction,
                                           const struct manifest *manifest,
                                           const struct plan *plan);

/*
 * A run from elsewhere: what a memtable holds. `next` gives entries with rising keys, each borrowed
 * until the next call; STATUS_EMPTY at the end; another status stops the step, and is asked again.
 */
struct compaction_source {
    enum status (*next)(void *context, struct entry *entry);
    void *context;
};
MUST_CHECK enum status compaction_add_source(struct compaction *compaction,
                                             const struct compaction_source *source);

/*
 * Merge until something is needed, but at most `entry_count_max` entries. STATUS_OK: call again.
 * STATUS_GAP, STATUS_FULL, STATUS_EMPTY: above. STATUS_NO_MEMORY: call again, or give up.
 * STATUS_MALFORMED: an input has an entry above the floor: a compactor is broken.
 */
MUST_CHECK enum status compaction_step(struct compaction *compaction, uint32_t entry_count_max);

/*
 * After STATUS_GAP: the records that are needed, the most urgent first: at most `count` of them;
 * returns how many.
 */
uint32_t compaction_need(const struct compaction *compaction, struct block_ref *refs,
                         uint32_t count);

/*
 * A record that was asked for, decoded (which compared its body with its hash), and the key of its
 * writer and key epoch. STATUS_STALE: nothing needs it. STATUS_FORGED: it is another record than
 * that which was named, or does not open. STATUS_MALFORMED: it opens to nonsense: a compactor is
 * broken. STATUS_NO_MEMORY.
 */
MUST_CHECK enum status compaction_supply(struct compaction *compaction, const struct record *record,
                                         struct aead_key *body_key);

/* After STATUS_FULL: what is to be sealed as a TABLE record; borrowed until compaction_sealed(). */
struct bytes compaction_body(const struct compaction *compaction);
MUST_CHECK enum status compaction_sealed(struct compaction *compaction,
                                         const struct block_ref *ref);

/* After STATUS_EMPTY: the new tables, in key order; none when nothing was left. Borrowed. */
const struct table *compaction_tables(const struct compaction *compaction, uint32_t *count);

struct compaction_counters {
    uint64_t entries_read;
    uint64_t entries_written;
    uint64_t bytes_read;     // of records
    uint64_t bytes_written;  // of records
};
void compaction_count(const struct compaction *compaction, struct compaction_counters *counters);

#endif
