/* src/capsule/owner.h */
#ifndef CAPSULE_OWNER_H
#define CAPSULE_OWNER_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/record.h"
#include "crypto/sign.h"

/*
 * What the owner signs (GENESIS, TERM, POLICY, FUNCTION, REVOKE, and words that stand in a TERM):
 *
 *     4   json_bytes, at most 64 KiB
 *         JSON, an object
 *     64  Ed25519 over "paranoid owner v1 " ‖ type (one byte) ‖ JSON ‖ payload
 *         payload: the rest of the body
 *
 * The exact bytes of the JSON are signed. Duplicate keys, unknown members and
 * numbers that are not integers are refused by the modules that read it. They
 * read it with jansson, which draws a seed from the system at its first object: a process that
 * seals itself calls json_object_seed() before.
 */
enum { OWNER_JSON_BYTES_MAX = 64 << 10 };

struct owner_body {
    struct bytes json;     // borrowed
    struct bytes payload;  // borrowed
    struct signature signature;
};

MUST_CHECK enum status owner_encode(struct buffer *body, enum record_type type, struct bytes json,
                                    struct bytes payload, const struct sign_key *owner);

/* Parse only. STATUS_MALFORMED. */
MUST_CHECK enum status owner_decode(struct owner_body *body, struct bytes bytes);

/* STATUS_FORGED: not signed by `owner` for a record of this type. */
MUST_CHECK enum status owner_verify(const struct owner_body *body, enum record_type type,
                                    const struct verify_key *owner);

#endif
