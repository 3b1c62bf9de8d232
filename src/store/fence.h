#ifndef STORE_FENCE_H
#define STORE_FENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "capsule/capsule.h"
#include "capsule/writer.h"
#include "store/disk.h"

/*
 * fence: what a store has promised to leaders and must never forget: which term it obeys, and from
 * whom it takes nothing more (DESIGN 6.4 closing, 6.10). The file "fence", replaced atomically:
 *
 *     offset  bytes  field
 *          0      4  magic "PCF1"
 *          4      4  writer_count, at most 8,192
 *          8     32  capsule name
 *         40      8  term that the store obeys
 *         48      8  every branch of a term below this one is fenced
 *         56     32  public key of the leader of that term
 *         88    16n  ids of other writers that are fenced
 *         ..      4  CRC32C over everything before
 */
#define FENCE_FILE "fence"
enum { FENCE_WRITERS_MAX = 8192 };

struct fence {
    uint64_t term;  // 0: no leader has asked yet
    uint64_t fenced_below;
    struct verify_key leader;
    struct writer_id *writers;  // owned
    uint32_t writer_count;
};

#define FENCE_EMPTY ((struct fence){.writers = NULL})

void fence_release(struct fence *fence);

/* STATUS_OK also when nothing was ever fenced. STATUS_DAMAGED, STATUS_IO, STATUS_NO_MEMORY. */
MUST_CHECK enum status fence_load(struct fence *fence, const struct disk *disk,
                                  const struct hash *capsule);

/* Durable when it returns STATUS_OK. */
MUST_CHECK enum status fence_save(const struct fence *fence, const struct disk *disk,
                                  const struct hash *capsule);

/* Add one writer. STATUS_FULL, STATUS_NO_MEMORY. */
MUST_CHECK enum status fence_add(struct fence *fence, const struct writer_id *writer);

/* Whether nothing is taken from this writer. `member` is NULL when it is not known yet. */
bool fence_covers(const struct fence *fence, const struct writer_id *writer,
                  const struct capsule_member *member);

#endif
