/* src/crypto/hash.h */
#ifndef CRYPTO_HASH_H
#define CRYPTO_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

enum { HASH_BYTES = 32, HASH_TEXT_BYTES = 65, HASH512_BYTES = 64 };

/* A SHA-256 value. Plain: it can be copied and compared with hash_equal(). */
struct hash {
    uint8_t bytes[HASH_BYTES];
};

/* SHA-256 over one run. */
struct hash hash_of(const void *bytes, size_t length);

/* SHA-256 over the concatenation of `count` runs. */
struct hash hash_of_parts(const struct bytes *parts, size_t count);

/* SHA-512 over the concatenation of `count` runs: report data is 64 bytes wide. */
void hash512_of_parts(uint8_t target[HASH512_BYTES], const struct bytes *parts, size_t count);

/* SHA-256 of a stream. A hasher is used for one hash after another by one thread. */
struct hasher;
struct hasher *hasher_new(void);
void hasher_free(struct hasher *hasher);
void hasher_begin(struct hasher *hasher);
void hasher_add(struct hasher *hasher, const void *bytes, size_t length);
struct hash hasher_end(struct hasher *hasher);

/* HMAC-SHA-256 under a key that is no secret type of ours (chain codes, names of locks). */
struct hash hash_mac(struct bytes key, struct bytes message);
void hash512_mac(uint8_t target[HASH512_BYTES], struct bytes key, struct bytes message);

bool hash_equal(const struct hash *a, const struct hash *b);
bool hash_is_zero(const struct hash *hash);

/* 64 lower-case digits and a NUL. */
void hash_text(const struct hash *hash, char text[HASH_TEXT_BYTES]);

#endif
