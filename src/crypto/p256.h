/* src/crypto/p256.h */
#ifndef CRYPTO_P256_H
#define CRYPTO_P256_H

#include <stdint.h>

#include "crypto/secret.h"

/* Keys of P-256 (FIPS 186-4), for TLS alone. Public keys travel as uncompressed points. */
enum { P256_PUBLIC_BYTES = 65 };

struct p256_public {
    uint8_t bytes[P256_PUBLIC_BYTES];
};

struct p256_key;  // wraps an OpenSSL key

struct p256_key *p256_key_new(void);  // drawn by OpenSSL's own generator
struct p256_key *p256_key_new_from_secret(const struct secret *secret);  // 1 ≤ scalar < order
void p256_key_free(struct p256_key *key);
struct p256_public p256_key_public(const struct p256_key *key);

/* Borrow the EVP_PKEY, for an SSL_CTX. */
void *p256_key_openssl(struct p256_key *key);

#endif
