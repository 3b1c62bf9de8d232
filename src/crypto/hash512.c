/* src/crypto/hash512.c */
#include "crypto/hash512.h"

#include "crypto/crypto_internal.h"
#include "crypto/hash_internal.h"

void hash512_of_parts(uint8_t target[HASH512_BYTES], const struct bytes *parts, size_t count)
{
    EVP_MD_CTX *context = hash_context_new();
    hash_context_begin(context, crypto_algorithms()->sha512);
    for (size_t i = 0; i < count; i++) {
        hash_context_add(context, parts[i].at, parts[i].length);
    }
    hash_context_end(context, target, HASH512_BYTES);
    EVP_MD_CTX_free(context);
}

void hash512_mac(uint8_t target[HASH512_BYTES], struct bytes key, struct bytes message)
{
    char digest[] = "SHA512";
    hash_mac_with(target, HASH512_BYTES, digest, key, message);
}
