/* src/store/checkpoint.h */
#ifndef STORE_CHECKPOINT_H
#define STORE_CHECKPOINT_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/capsule.h"
#include "store/disk.h"

/*
 * checkpoint: what the sealed segments of a store have come to, so that only the last one is read
 * when it opens. The file "checkpoint", replaced atomically (docs/format/segment.md):
 *
 *     offset  bytes  field
 *          0      4  magic "PCK1"
 *          4      4  segments it speaks of: 1 to so many
 *          8      8  records in them
 *         16      8  bytes of these records
 *         24      4  snapshot_bytes
 *         28      n  a WHOLE snapshot of the capsule (capsule/capsule_snapshot.h)
 *         ..      4  CRC32C over everything before
 *
 * Without it, or with a damaged one, all segments are read, and it is written anew.
 */
struct checkpoint {
    uint32_t segment_count;
    uint64_t record_count;
    uint64_t record_bytes;
    struct buffer snapshot;
};

#define CHECKPOINT_EMPTY ((struct checkpoint){.segment_count = 0})

void checkpoint_release(struct checkpoint *checkpoint);

/* Durable when it returns STATUS_OK. STATUS_NO_SPACE, STATUS_IO, STATUS_NO_MEMORY. */
MUST_CHECK enum status checkpoint_save(const struct checkpoint *checkpoint,
                                       const struct disk *disk);

/* STATUS_NOT_FOUND: there is none that holds. STATUS_IO, STATUS_NO_MEMORY. */
MUST_CHECK enum status checkpoint_load(struct checkpoint *checkpoint, const struct disk *disk);

/* The log is no longer to be read as it says: durably forget it. */
MUST_CHECK enum status checkpoint_forget(const struct disk *disk);

#endif
