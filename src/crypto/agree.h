/* src/crypto/agree.h */
#ifndef CRYPTO_AGREE_H
#define CRYPTO_AGREE_H

#include <stdint.h>

#include "base/random.h"
#include "base/status.h"
#include "crypto/secret.h"

/* X25519 (RFC 7748): two parties, each with a fresh key pair, get one shared secret. */
enum { AGREE_PUBLIC_BYTES = 32 };

struct agree_public {
    uint8_t bytes[AGREE_PUBLIC_BYTES];
};

struct agree_key;  // in guarded memory

struct agree_key *agree_key_new(const struct random *random);
struct agree_key *agree_key_new_from_bytes(const uint8_t scalar[32]);  // for test vectors
void agree_key_free(struct agree_key *key);
struct agree_public agree_key_public(const struct agree_key *key);

/*
 * On STATUS_OK `*shared` is the caller's. It is raw: derive from it, bound to
 * the transcript, before use. STATUS_FORGED: the peer's key is of small order
 * (an all-zero result); `*shared` is NULL.
 */
MUST_CHECK enum status agree_shared(struct secret **shared, const struct agree_key *own,
                                    const struct agree_public *peer);

#endif
