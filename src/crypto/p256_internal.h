/* src/crypto/p256_internal.h */
#ifndef CRYPTO_P256_INTERNAL_H
#define CRYPTO_P256_INTERNAL_H

#include <openssl/evp.h>
#include <stdbool.h>

#include "crypto/p256.h"

/* OpenSSL's form of a public key, the caller's. NULL when it is no point of the curve. */
EVP_PKEY *p256_public_to_openssl(const struct p256_public *key);

/* False when the key is not of P-256, or not written as an uncompressed point. */
bool p256_public_from_openssl(struct p256_public *target, const EVP_PKEY *key);

#endif
