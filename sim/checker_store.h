/* sim/checker_store.h */
#ifndef SIM_CHECKER_STORE_H
#define SIM_CHECKER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "capsule/writer.h"
#include "store/disk.h"

/*
 * checker_store: P3: every record on a store's disk has its place in the one graph that begins
 * with the GENESIS. Reads the disk as an auditor would, with a fresh capsule.
 */
enum { CHECKER_REASON_BYTES = 256 };

struct checker_head {
    struct writer_id writer;
    uint64_t sequence;  // the last one that is there
};

struct checker_store {
    struct checker_head *heads;
    size_t count;
    uint64_t *fences;  // of the LOCKs that name a record, in any order
    size_t fence_count;
    size_t record_count;
};

/* False: `reason` says why; the heads are those before it. Release it either way. */
bool checker_store_walk(struct checker_store *checker, const struct disk *disk,
                        struct bytes genesis, char reason[CHECKER_REASON_BYTES]);
void checker_store_release(struct checker_store *checker);

/* Of each writer what W of the stores hold: nothing else has to survive. Release it. */
void checker_store_agree(struct checker_store *target, const struct checker_store *stores,
                         size_t store_count, size_t receipt_count);

/* Whether a LOCK of this fence names a record. */
bool checker_store_names(const struct checker_store *checker, uint64_t fence);

/* 0: nothing of that writer is there. */
uint64_t checker_store_head(const struct checker_store *checker, const struct writer_id *writer);

#endif
