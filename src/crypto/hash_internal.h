/* src/crypto/hash_internal.h */
#ifndef CRYPTO_HASH_INTERNAL_H
#define CRYPTO_HASH_INTERNAL_H

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* OpenSSL's digests, with every result checked: they fail only by our mistake. */
EVP_MD_CTX *hash_context_new(void);
void hash_context_begin(EVP_MD_CTX *context, const EVP_MD *algorithm);
void hash_context_add(EVP_MD_CTX *context, const void *bytes, size_t length);
void hash_context_end(EVP_MD_CTX *context, uint8_t *target, size_t length);

/* HMAC with the digest that OpenSSL calls `digest`. */
void hash_mac_with(uint8_t *target, size_t target_bytes, char *digest, struct bytes key,
                   struct bytes message);

#endif
