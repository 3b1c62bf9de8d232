/* src/crypto/hash512.h */
#ifndef CRYPTO_HASH512_H
#define CRYPTO_HASH512_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* SHA-512, where a format wants 64 bytes: report data of evidence, SLIP-0010. */
enum { HASH512_BYTES = 64 };

/* SHA-512 over the concatenation of `count` runs. */
void hash512_of_parts(uint8_t target[HASH512_BYTES], const struct bytes *parts, size_t count);

/* HMAC-SHA-512. */
void hash512_mac(uint8_t target[HASH512_BYTES], struct bytes key, struct bytes message);

#endif
