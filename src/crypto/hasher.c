/* src/crypto/hasher.c */
#include "crypto/hasher.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "base/check.h"
#include "crypto/crypto_internal.h"
#include "crypto/hash_internal.h"

struct hasher {
    EVP_MD_CTX *context;
};

struct hasher *hasher_new(void)
{
    struct hasher *hasher = malloc(sizeof *hasher);
    CHECK(hasher != NULL);
    hasher->context = hash_context_new();
    return hasher;
}

void hasher_free(struct hasher *hasher)
{
    if (hasher == NULL) {
        return;
    }
    EVP_MD_CTX_free(hasher->context);
    free(hasher);
}

void hasher_begin(struct hasher *hasher)
{
    hash_context_begin(hasher->context, crypto_algorithms()->sha256);
}

void hasher_add(struct hasher *hasher, const void *bytes, size_t length)
{
    hash_context_add(hasher->context, bytes, length);
}

struct hash hasher_end(struct hasher *hasher)
{
    struct hash hash;
    hash_context_end(hasher->context, hash.bytes, sizeof hash.bytes);
    return hash;
}
