/* src/capsule/lock.h */
#ifndef CAPSULE_LOCK_H
#define CAPSULE_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/sync.h"
#include "crypto/hash.h"

/*
 * lock: the body of a LOCK record (DESIGN 6.8, docs/format/lock.md): what
 * becomes of one grant of a lock. A tagged DATA record counts if and only if a LOCK names it.
 *
 *     offset  bytes  field
 *          0      8  term
 *          8     32  lock: HMAC-SHA-256 of its name
 *         40      8  fence: term in the upper 32 bits, in the lower the number of the grant, ≥ 1
 *         48     16  writer of the record that counts; zero: none does (void)
 *         64      8  its sequence; 0 when void
 *         72     32  its hash; zero when void
 */
enum { LOCK_BODY_BYTES = 104 };

struct lock_body {
    uint64_t term;
    struct hash lock;
    uint64_t fence;
    struct branch_head record;  // all zeroes: void
};

MUST_CHECK enum status lock_encode(struct buffer *body, const struct lock_body *lock);

/* STATUS_MALFORMED: another length, half a record, or a fence of no grant. */
MUST_CHECK enum status lock_decode(struct lock_body *lock, struct bytes body);

/* Whether no record counts. */
bool lock_is_void(const struct lock_body *lock);

/* Fences rise for ever: over all grants of a term, and from one term to the next. */
static inline uint64_t lock_fence(uint64_t term, uint32_t number)
{
    return term << 32 | number;
}

static inline uint64_t lock_fence_term(uint64_t fence)
{
    return fence >> 32;
}

#endif
