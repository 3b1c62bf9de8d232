/* src/capsule/revoke.h */
#ifndef CAPSULE_REVOKE_H
#define CAPSULE_REVOKE_H

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/owner.h"
#include "capsule/writer.h"

/*
 * REVOKE: the owner throws a member out (DESIGN 6.11, P11). JSON
 *   {"capsule":"<hex>","writer":"<hex id>"}; no payload.
 * A writer's id is never used again, so it needs no version: said twice, it says the same.
 */
MUST_CHECK enum status revoke_encode(struct buffer *body, const struct hash *capsule,
                                     const struct writer_id *writer, const struct sign_key *owner);

/* STATUS_MALFORMED; STATUS_FORGED: not the owner's, or another capsule's. */
MUST_CHECK enum status revoke_decode(struct writer_id *writer, struct bytes body,
                                     const struct verify_key *owner, const struct hash *capsule);

#endif
