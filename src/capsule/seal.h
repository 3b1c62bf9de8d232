/* src/capsule/seal.h */
#ifndef CAPSULE_SEAL_H
#define CAPSULE_SEAL_H

#include "base/buffer.h"
#include "base/status.h"
#include "capsule/record.h"
#include "crypto/aead.h"
#include "crypto/secret.h"

/*
 * Sealed bodies. Key = HKDF-SHA-256(data key of the key epoch, "paranoid body
 * v1" ‖ capsule ‖ writer's full public key); nonce = sequence; associated data =
 * header bytes 0 to 79 ‖ parents. A nonce never repeats: a writer's key pair is new at every
 * start, and its sequence only grows.
 */
enum { SEAL_ASSOCIATED_HEADER_BYTES = 80 };

/* The key for the bodies of one writer in one key epoch. The caller's, until aead_key_free(). */
struct aead_key *seal_key_new(const struct secret *data_key, const struct hash *capsule,
                              const struct verify_key *writer);

/*
 * Seal `plain` and append the whole signed record to `target`, as
 * record_encode() does for clear bodies.
 */
MUST_CHECK enum status seal_record(struct buffer *target, struct hash *hash,
                                   const struct record_fields *fields, struct bytes plain,
                                   struct aead_key *body_key, const struct sign_key *key);

/*
 * Append the plaintext of a sealed record's body to `plain`. STATUS_FORGED: it
 * does not open; `plain` is as it was.
 */
MUST_CHECK enum status seal_open(struct buffer *plain, const struct record *record,
                                 struct aead_key *body_key);

#endif
