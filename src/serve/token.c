/* src/serve/token.c */
#include "serve/token.h"

#include "crypto/crypto.h"

bool token_add(struct token_set *set, const struct hash *hash)
{
    if (set->count == TOKEN_COUNT_MAX) {
        return false;
    }
    set->hashes[set->count] = *hash;
    set->count++;
    return true;
}

bool token_accepts(const struct token_set *set, struct bytes token)
{
    if (token.length == 0) {
        return false;
    }
    struct hash hash = hash_of(token.at, token.length);
    bool is_accepted = false;
    for (size_t i = 0; i < set->count; i++) {
        // No early exit: where in the set a token stands is not told by the clock.
        is_accepted |= crypto_equal(hash.bytes, set->hashes[i].bytes, HASH_BYTES);
    }
    return is_accepted;
}
