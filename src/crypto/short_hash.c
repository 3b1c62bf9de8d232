/* src/crypto/short_hash.c */
#include "crypto/short_hash.h"

#include <sodium.h>

#include "base/check.h"
#include "base/cursor.h"

_Static_assert(SHORT_HASH_KEY_BYTES == crypto_shorthash_siphashx24_KEYBYTES,
               "libsodium's SipHash takes such a key");

struct short_hash short_hash_of(const struct short_hash_key *key, struct bytes message)
{
    uint8_t output[crypto_shorthash_siphashx24_BYTES];
    CHECK(crypto_shorthash_siphashx24(output, message.at, message.length, key->bytes) == 0);
    struct cursor in = cursor_over(output, sizeof output);
    struct short_hash hash = {.low = cursor_u64(&in)};
    hash.high = cursor_u64(&in);
    return hash;
}
