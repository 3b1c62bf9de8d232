/* src/crypto/aead.h */
#ifndef CRYPTO_AEAD_H
#define CRYPTO_AEAD_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "crypto/secret.h"

/*
 * ChaCha20-Poly1305 (RFC 8439). A key owns its cipher state: one thread at a
 * time uses it. The nonce is 4 zero bytes and a 64-bit number that the caller
 * never uses twice under one key, and can say in a comment why.
 */
enum { AEAD_TAG_BYTES = 16, AEAD_PLAIN_BYTES_MAX = 1 << 30 };

struct aead_key;  // in OpenSSL's memory, which is neither locked nor guarded, but is wiped

struct aead_key *aead_key_new(const struct secret *secret);
void aead_key_free(struct aead_key *key);

/*
 * Encrypt `plain`, at most AEAD_PLAIN_BYTES_MAX long, to `target`,
 * plain.length + AEAD_TAG_BYTES long. `target` may be plain.at itself; no other overlap.
 */
void aead_seal(struct aead_key *key, uint64_t nonce, struct bytes associated, struct bytes plain,
               uint8_t *target);

/*
 * Check and decrypt `sealed` to `target`, sealed.length - AEAD_TAG_BYTES long.
 * `target` may be sealed.at itself; no other overlap.
 * STATUS_FORGED: the tag disagrees, or there is none; `target` holds zeroes.
 */
MUST_CHECK enum status aead_unseal(struct aead_key *key, uint64_t nonce, struct bytes associated,
                                   struct bytes sealed, uint8_t *target);

/* The same with a nonce of 12 free bytes: for the test vectors of others. */
void aead_seal_nonce(struct aead_key *key, const uint8_t nonce[12], struct bytes associated,
                     struct bytes plain, uint8_t *target);
MUST_CHECK enum status aead_unseal_nonce(struct aead_key *key, const uint8_t nonce[12],
                                         struct bytes associated, struct bytes sealed,
                                         uint8_t *target);

#endif
