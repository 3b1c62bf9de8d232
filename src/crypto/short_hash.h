/* src/crypto/short_hash.h */
#ifndef CRYPTO_SHORT_HASH_H
#define CRYPTO_SHORT_HASH_H

#include <stdint.h>

#include "base/bytes.h"

/*
 * SipHash-2-4 with 128 bits of output: where a key lies in a table or a filter, for whoever must
 * not let others choose keys that lie badly. No message authentication.
 */
enum { SHORT_HASH_KEY_BYTES = 16 };

struct short_hash_key {
    uint8_t bytes[SHORT_HASH_KEY_BYTES];
};

struct short_hash {
    uint64_t low;
    uint64_t high;
};

struct short_hash short_hash_of(const struct short_hash_key *key, struct bytes message);

#endif
