/* src/crypto/hasher.h */
#ifndef CRYPTO_HASHER_H
#define CRYPTO_HASHER_H

#include <stddef.h>

#include "crypto/hash.h"

/*
 * SHA-256 of a stream. A hasher is used for one hash after another by one
 * thread; beginning again forgets what was added.
 */
struct hasher;

struct hasher *hasher_new(void);
void hasher_free(struct hasher *hasher);
void hasher_begin(struct hasher *hasher);
void hasher_add(struct hasher *hasher, const void *bytes, size_t length);
struct hash hasher_end(struct hasher *hasher);

#endif
