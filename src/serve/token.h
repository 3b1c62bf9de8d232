/* src/serve/token.h */
#ifndef SERVE_TOKEN_H
#define SERVE_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "crypto/hash.h"

/*
 * token_set: the bearer tokens an app accepts, known by their SHA-256 alone. A
 * token has to carry its own entropy: 128 bits or more, drawn by a machine.
 */
enum { TOKEN_COUNT_MAX = 64 };

struct token_set {
    struct hash hashes[TOKEN_COUNT_MAX];
    size_t count;
};

/* False: the set is full. */
bool token_add(struct token_set *set, const struct hash *hash);

/*
 * Whether `token` is one of the set's. The time it takes depends on the length of
 * the token and the size of the set, not on what either holds. An empty token is none.
 */
bool token_accepts(const struct token_set *set, struct bytes token);

#endif
