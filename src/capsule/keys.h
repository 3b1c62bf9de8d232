/* src/capsule/keys.h */
#ifndef CAPSULE_KEYS_H
#define CAPSULE_KEYS_H

#include <stdint.h>

#include "base/status.h"
#include "crypto/certificate.h"
#include "crypto/hash.h"
#include "crypto/secret.h"

/*
 * keys: the tree that grows from the master seed (DESIGN 6.2). SLIP-0010,
 * hardened steps only, then HKDF with the purpose in words and the capsule's
 * name; the owner and the leader each derive what they need, nothing is stored.
 *
 *     m/1'/k'   data key of key epoch k     "paranoid data key v1"
 *     m/2'      TLS root, nist256p1
 *     m/3'      bearer token of the owner   "paranoid token v1"
 *     m/4'      names of locks              "paranoid lock v1"
 */
enum {
    KEYS_TOKEN_TEXT_BYTES = 65,
    KEYS_EPOCHS_MAX = 1024,  // key epochs of one app: a newcomer is given all keys
};

/* The caller's. */
struct secret *keys_data(const struct secret *seed, const struct hash *capsule, uint32_t key_epoch);

/* The caller's, until p256_key_free(). */
struct p256_key *keys_tls_root(const struct secret *seed);

/* What names of locks are hidden by; the leader's alone. The caller's. */
struct secret *keys_lock(const struct secret *seed, const struct hash *capsule);

/*
 * What the owner's client sends as "Authorization: Bearer …": 64 digits and a NUL, for the caller
 * to wipe. Workers know its SHA-256 alone.
 */
void keys_token(const struct secret *seed, const struct hash *capsule,
                char text[KEYS_TOKEN_TEXT_BYTES]);
struct hash keys_token_hash(const char text[KEYS_TOKEN_TEXT_BYTES]);

#endif
