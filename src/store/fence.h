/* src/store/fence.h */
#ifndef STORE_FENCE_H
#define STORE_FENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"
#include "capsule/capsule.h"
#include "capsule/writer.h"
#include "store/disk.h"
#include "wire/frame.h"

/*
 * fence: what a store has promised to leaders and must never forget: which term it obeys, and from
 * whom it takes nothing more, or nothing beyond the cut that its leader proposes (DESIGN 6.4
 * closing, 6.10). The file "fence", replaced atomically:
 *
 *     offset  bytes  field
 *          0      4  magic "PCF3"
 *          4      4  ask_count, at most 512
 *          8     32  capsule name
 *         40      8  term that the store obeys
 *         48      8  every branch of a term below this one is fenced
 *         56     32  public key of the leader of that term
 *         88         of each FENCE that still matters: u32 length, its body
 *         ..      4  CRC32C over everything before
 *
 * There is one about each writer; the writer is zero in the one about everybody. The leaders' own
 * words are kept so that a sibling that has lost its disk can be told what it promised, and need
 * not believe who tells it.
 */
#define FENCE_FILE "fence"
enum {
    FENCE_ASKS_MAX = 512,
    FENCE_ASK_BYTES_MAX = 256 << 10,
};

struct fence_ask {
    struct writer_id writer;
    struct head cut;  // as proposed; zeroes: none yet
    struct buffer body;
};

struct fence {
    uint64_t term;  // 0: no leader has asked yet
    uint64_t fenced_below;
    struct verify_key leader;
    struct fence_ask *asks;  // owned
    uint32_t ask_count;
};

#define FENCE_EMPTY ((struct fence){.asks = NULL})

void fence_release(struct fence *fence);

/* STATUS_OK also when nothing was ever fenced. STATUS_DAMAGED, STATUS_IO, STATUS_NO_MEMORY. */
MUST_CHECK enum status fence_load(struct fence *fence, const struct disk *disk,
                                  const struct hash *capsule);

/* Durable when it returns STATUS_OK. */
MUST_CHECK enum status fence_save(const struct fence *fence, const struct disk *disk,
                                  const struct hash *capsule);

/*
 * Add a FENCE, unless one about this writer is there that proposes a cut, or this one proposes
 * none. STATUS_FULL: no room, or it is longer than FENCE_ASK_BYTES_MAX. STATUS_NO_MEMORY.
 */
MUST_CHECK enum status fence_add(struct fence *fence, const struct frame_fence *ask);

/*
 * Whether this record is not to be taken. `member`, its writer, is NULL when it is not known yet.
 */
bool fence_covers(const struct fence *fence, const struct record *record,
                  const struct capsule_member *member);

#endif
