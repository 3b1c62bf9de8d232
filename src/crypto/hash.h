/* src/crypto/hash.h */
#ifndef CRYPTO_HASH_H
#define CRYPTO_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum { HASH_BYTES = 32, HASH_TEXT_BYTES = 65 };

/* A SHA-256 value. Plain: it can be copied and compared with hash_equal(). */
struct hash {
    uint8_t bytes[HASH_BYTES];
};

/* SHA-256 over one run. */
struct hash hash_of(const void *bytes, size_t length);

/* SHA-256 over the concatenation of `count` runs. */
struct hash hash_of_parts(const struct bytes *parts, size_t count);

/* HMAC-SHA-256 under a key that is no secret type of ours (chain codes, names of locks). */
struct hash hash_mac(struct bytes key, struct bytes message);

bool hash_equal(const struct hash *a, const struct hash *b);
bool hash_is_zero(const struct hash *hash);

/* 64 lower-case digits and a NUL. */
void hash_text(const struct hash *hash, char text[HASH_TEXT_BYTES]);

#endif
