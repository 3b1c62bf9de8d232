/* src/capsule/sync.h */
#ifndef CAPSULE_SYNC_H
#define CAPSULE_SYNC_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/writer.h"

/*
 * The three clear bodies that drive epochs (DESIGN 6.4).
 *
 * EOE(e), a writer's answer to RTS(e):
 *
 *     offset  bytes  field
 *          0      8  epoch e
 *          8      8  lamport: no tuple of this branch so far has a greater one
 *         16     32  the SYNC it last joined (zero: none)
 *         48      4  head_count, then head_count × 56: (writer, sequence, hash) of those other
 *                    writers of whom it has more than it knows W stores to hold
 *
 * SYNC(e), the leader's join (e is in the record's header):
 *
 *          0      8  term
 *          8      8  time, ms since 1970 by the leader's clock, never decreasing
 *         16      8  lamport L(e): the greatest among the ancestors
 *         24      8  floor F(e)
 *         32     56  the MANIFEST in effect: (writer, sequence, hash), zeroes: none
 *         88      4  head_count, then head_count × 64: writer 16, sequence 8, hash 32,
 *                    flags 8 (bit 0: closed for ever; bit 1: absent in this epoch)
 *         ..      4  receipts_bytes, then the receipts it rests on, each preceded by its u32 length
 *
 * The record's parents are its own previous record and then, in this order, the hashes of the heads
 * whose sequence is above 0. A head listed closed in one SYNC is not listed again.
 *
 * CLOSE, the leader ends a branch:
 *
 *          0      8  term
 *          8     16  writer
 *         24      8  cut: the last sequence that counts (0: nothing it wrote counts)
 *         32     32  hash of that record (zero when the cut is 0)
 *         64      4  reason: 1 restart, 2 exited, 3 absent, 4 forked, 5 revoked
 *         68      4  fences_bytes, then the stores' answers, each preceded by its u32 length
 */
enum { SYNC_HEADS_MAX = 8191, SYNC_FLAG_CLOSED = 1, SYNC_FLAG_ABSENT = 2 };

struct eoe {
    uint64_t epoch;
    uint64_t lamport;
    struct hash sync;
    uint32_t head_count;
    const uint8_t *heads;  // borrowed: head_count encoded heads
};

MUST_CHECK enum status sync_eoe_encode(struct buffer *body, const struct eoe *eoe,
                                       const struct branch_head *heads);
MUST_CHECK enum status sync_eoe_decode(struct eoe *eoe, struct bytes body);
struct branch_head sync_eoe_head(const struct eoe *eoe, uint32_t index);

struct sync_head {
    struct branch_head branch;
    uint64_t flags;
};

struct sync_body {
    uint64_t term;
    uint64_t time_ms;
    uint64_t lamport;
    uint64_t floor;
    struct branch_head manifest;  // in effect; all zeroes: none
    uint32_t head_count;
    const uint8_t *heads;   // borrowed
    struct bytes receipts;  // borrowed: length-prefixed receipts
};

MUST_CHECK enum status sync_encode(struct buffer *body, const struct sync_body *sync,
                                   const struct sync_head *heads);
MUST_CHECK enum status sync_decode(struct sync_body *sync, struct bytes body);
struct sync_head sync_head_at(const struct sync_body *sync, uint32_t index);

enum sync_close_reason {
    SYNC_CLOSE_RESTART = 1,
    SYNC_CLOSE_EXITED = 2,
    SYNC_CLOSE_ABSENT = 3,
    SYNC_CLOSE_FORKED = 4,
    SYNC_CLOSE_REVOKED = 5,
};

struct sync_close {
    uint64_t term;
    struct branch_head cut;
    enum sync_close_reason reason;
    struct bytes fences;  // borrowed: length-prefixed fences
};

MUST_CHECK enum status sync_close_encode(struct buffer *body, const struct sync_close *close);
MUST_CHECK enum status sync_close_decode(struct sync_close *close, struct bytes body);

#endif
