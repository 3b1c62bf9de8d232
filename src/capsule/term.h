/* src/capsule/term.h */
#ifndef CAPSULE_TERM_H
#define CAPSULE_TERM_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/owner.h"
#include "capsule/writer.h"

/*
 * TERM: the owner makes one enclave the leader. JSON
 *   {"capsule":"<hex>","evidence":"<hex SHA-256 of the payload>","leader":"<hex public key>",
 *    "sync":"<hex hash of the newest SYNC the owner knows, zeroes for
 * none>","sync_epoch":E,"version":TERM} Payload: the leader's evidence. Stores refuse lower terms.
 */
struct term {
    struct hash capsule;
    uint64_t number;  // 1, 2, 3…: "version" in the JSON
    struct verify_key leader;
    struct hash sync;
    uint64_t sync_epoch;
    struct bytes evidence;  // borrowed
};

MUST_CHECK enum status term_encode(struct buffer *body, const struct term *term,
                                   const struct sign_key *owner);

/* STATUS_MALFORMED; STATUS_FORGED: not the owner's, another capsule's, or other evidence. */
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
