/* src/crypto/sign.h */
#ifndef CRYPTO_SIGN_H
#define CRYPTO_SIGN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/random.h"
#include "base/status.h"

/*
 * Ed25519. Every signature names its purpose: what is signed is
 * `purpose` ‖ message, where `purpose` is a constant of the program such as
 * "paranoid record v1". No purpose is the beginning of another.
 * Sign hashes, not messages: signing 1 KiB costs twice as much as signing 32 bytes.
 */
enum { SIGN_SEED_BYTES = 32, SIGN_PUBLIC_BYTES = 32, SIGN_SIGNATURE_BYTES = 64 };

struct verify_key {
    uint8_t bytes[SIGN_PUBLIC_BYTES];
};

struct signature {
    uint8_t bytes[SIGN_SIGNATURE_BYTES];
};

struct sign_key;  // in guarded memory

struct sign_key *sign_key_new(const struct random *random);
struct sign_key *sign_key_new_from_seed(const uint8_t seed[SIGN_SEED_BYTES]);
void sign_key_free(struct sign_key *key);
struct verify_key sign_key_public(const struct sign_key *key);

/* Borrow the seed, to store it in a file of the owner's. */
const uint8_t *sign_key_seed(const struct sign_key *key);

struct signature sign_make(const struct sign_key *key, const char *purpose, struct bytes message);

/*
 * STATUS_FORGED: the signature does not verify. Small-order public keys and
 * points and a scalar beyond the group order are refused too (libsodium's rules).
 * STATUS_NO_MEMORY: only for messages beyond 200 bytes.
 */
MUST_CHECK enum status sign_verify(const struct verify_key *key, const char *purpose,
                                   struct bytes message, const struct signature *signature);

/* Public keys: no secret to compare in constant time. */
static inline bool verify_key_equal(const struct verify_key *a, const struct verify_key *b)
{
    return bytes_equal(bytes_of(a->bytes, sizeof a->bytes), bytes_of(b->bytes, sizeof b->bytes));
}

#endif
