/* src/capsule/capsule_snapshot.h */
#ifndef CAPSULE_CAPSULE_SNAPSHOT_H
#define CAPSULE_CAPSULE_SNAPSHOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/capsule.h"

/*
 * snapshot: what a capsule has come to, as bytes from which another goes on
 * (docs/format/snapshot.md), so that a start need not read the whole history. Two kinds:
 *
 *   WHOLE   everything, as it is: what a store writes down for itself.
 *   JOINED  what W stores hold for certain: the leader's branch up to its end, each other branch
 *           up to the head that a SYNC or its CLOSE named last. What comes after is read and
 *           verified as ever, and leads to the state of whoever read everything.
 *
 * A snapshot proves nothing by itself: believe one that an attested member vouches for (the leader
 * in its GRANT, a compactor in a MANIFEST that a SYNC names), or that is one's own.
 *
 * Neither holds all SYNCs: those that an open branch may still name as parent, and the last
 * CAPSULE_SNAPSHOT_SYNCS_KEPT of the others.
 */
enum {
    CAPSULE_SNAPSHOT_SYNCS_KEPT = 256,
    CAPSULE_SNAPSHOT_SYNCS_MAX = 8192,  // of a JOINED one
    CAPSULE_SNAPSHOT_PLACES_MAX = 1 << 16,
};

/* What the one who takes a JOINED snapshot knows beside; all empty for nothing. */
struct capsule_snapshot_more {
    /* Whether a closed branch, wholly here, is still of use: whose bodies have yet to be opened. */
    bool (*is_needed)(void *context, const struct capsule_member *closed);  // NULL: all are
    void *context;
    const struct branch_head *functions;  // the FUNCTION records in force
    uint32_t function_count;
};

/* Append a WHOLE one. STATUS_GAP: no TERM is known yet. STATUS_NO_MEMORY: nothing changed. */
MUST_CHECK enum status capsule_snapshot_encode_whole(struct buffer *target,
                                                     const struct capsule *capsule);

/*
 * Append a JOINED one. The caller sees to it that W stores hold the leader's branch up to its end.
 * STATUS_GAP: the leader has not begun, or what a branch had joined at the head that a SYNC named
 * is not known; try again later. STATUS_FULL: a branch lags so far behind that too many SYNCs would
 * have to be in it. STATUS_CLOSED: the replica is overrun by a cut. STATUS_NO_MEMORY. In all cases
 * nothing changed.
 */
MUST_CHECK enum status capsule_snapshot_encode_joined(struct buffer *target,
                                                      const struct capsule *capsule,
                                                      const struct capsule_snapshot_more *more);

/* What a snapshot says beside the capsule's state. Borrows from its bytes. */
struct capsule_snapshot {
    bool is_whole;
    uint32_t function_count;
    const uint8_t *functions;
};

struct branch_head capsule_snapshot_function(const struct capsule_snapshot *snapshot,
                                             uint32_t index);

/*
 * A capsule that goes on from `bytes`. STATUS_MALFORMED: they are none of this capsule's, or they
 * contradict themselves. STATUS_NO_MEMORY; what capsule_new() says of `genesis_body`. On failure
 * *capsule is NULL.
 */
MUST_CHECK enum status capsule_snapshot_restore(struct capsule **capsule,
                                                struct capsule_snapshot *snapshot,
                                                struct bytes genesis_body, struct bytes bytes);

#endif
