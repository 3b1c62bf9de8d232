/* src/crypto/crypto_internal.h */
#ifndef CRYPTO_CRYPTO_INTERNAL_H
#define CRYPTO_CRYPTO_INTERNAL_H

#include <openssl/evp.h>
#include <stddef.h>

/* What crypto_init() fetched. Read-only from then on, so every thread may use it. */
struct crypto_algorithms {
    EVP_MD *sha256;
    EVP_MD *sha512;
    EVP_MAC *hmac;
    EVP_KDF *hkdf;
    EVP_CIPHER *chacha20_poly1305;
};

/* Static storage. Stops the program before crypto_init(). */
const struct crypto_algorithms *crypto_algorithms(void);

/*
 * Memory for a secret: between guard pages, left out of core dumps, locked as
 * far as RLIMIT_MEMLOCK allows, wiped when freed. Never NULL. Filled with
 * noise that is no zero, so that a forgotten initialisation shows.
 */
void *crypto_guarded_new(size_t size);
void crypto_guarded_free(void *memory);

#endif
