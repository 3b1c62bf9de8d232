/* src/capsule/term.h */
#ifndef CAPSULE_TERM_H
#define CAPSULE_TERM_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/delegation.h"
#include "capsule/owner.h"
#include "capsule/writer.h"

/*
 * TERM: the owner, or a keeper in its place, makes one enclave the leader. JSON
 *   {"capsule":"<hex>","evidence":"<hex SHA-256 of the evidence>","leader":"<hex public key>",
 *    "sync":"<hex hash of the SYNC to go on from, zeroes for none>","sync_epoch":E,
 *    "version":TERM}
 * Payload: the leader's evidence. Stores refuse lower terms.
 *
 * The SYNC is the newest one that the signer knows. When the stores have lost that one, the owner,
 * and no keeper, may go on from an older one and says what it gives up: then there are also
 *   "lost":"<hex hash of the newest SYNC that is given up>","lost_epoch":L, above E.
 *
 * Of a keeper's TERM the payload begins with u32 length ‖ delegation (capsule/delegation.h), and
 * the keeper's key has signed it.
 *
 * When other stores than those of the GENESIS count from this term on, there is also
 *   "stores":<length>
 * and so many bytes before the evidence are the owner's word on that (capsule/stores.h).
 */
struct term {
    struct hash capsule;
    uint64_t number;  // 1, 2, 3…: "version" in the JSON
    struct verify_key leader;
    struct hash sync;
    uint64_t sync_epoch;
    struct hash lost;
    uint64_t lost_epoch;       // 0: nothing is given up
    struct bytes evidence;     // borrowed
    struct bytes stores;       // borrowed, unread; empty: those of the GENESIS count
    struct bytes delegation;   // borrowed; empty: the owner's own
    struct delegation keeper;  // what the delegation says; filled by term_decode()
};

/* `signer` is the owner's key, or the keeper's that the delegation names. */
MUST_CHECK enum status term_encode(struct buffer *body, const struct term *term,
                                   const struct sign_key *signer);

/*
 * STATUS_MALFORMED; STATUS_FORGED: nobody who may has signed it, it is another capsule's, its
 * evidence is other, or it is beyond what the keeper may.
 */
MUST_CHECK enum status term_decode(struct term *term, struct bytes body,
                                   const struct verify_key *owner, const struct hash *capsule);

/*
 * POLICY: a new policy takes the place of the last. JSON
 *   {"capsule":"<hex>","version":V}; payload: the policy file. Only higher versions count;
 * the GENESIS carries version 1.
 */
MUST_CHECK enum status term_policy_encode(struct buffer *body, const struct hash *capsule,
                                          uint64_t version, struct bytes policy,
                                          const struct sign_key *owner);
MUST_CHECK enum status term_policy_decode(uint64_t *version, struct bytes *policy,
                                          struct bytes body, const struct verify_key *owner,
                                          const struct hash *capsule);

#endif
