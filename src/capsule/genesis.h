/* src/capsule/genesis.h */
#ifndef CAPSULE_GENESIS_H
#define CAPSULE_GENESIS_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/owner.h"
#include "capsule/writer.h"

/*
 * GENESIS: what an app is. Owner-signed, JSON
 *   {"app":"…","owner":"<hex>","receipts":W,"stores":[{"key":"<hex>","name":"…"},…],
 *    "suite":"paranoid-1","tolerated":f,"version":1}
 * with the first policy as payload. The capsule's name is the SHA-256 of this
 * body: who knows the name, knows the owner.
 */
enum { GENESIS_STORES_MAX = 16, GENESIS_NAME_BYTES_MAX = 64 };

struct genesis_store {
    char name[GENESIS_NAME_BYTES_MAX];
    struct verify_key key;
    struct writer_id id;
};

struct genesis {
    char app[GENESIS_NAME_BYTES_MAX];  // letters, digits, '-', '_'; NUL-terminated
    struct verify_key owner;
    struct genesis_store stores[GENESIS_STORES_MAX];
    uint32_t store_count;      // N ≥ 1
    uint32_t receipt_count;    // W, 1 to N
    uint32_t tolerated_count;  // f: stores that may lie; R = N - W + 1 + f ≤ N must answer
    struct hash capsule;       // the name; filled by genesis_decode()
    struct bytes policy;       // borrowed from the body
};

/* Encode and sign. `genesis->capsule` and store ids are ignored. */
MUST_CHECK enum status genesis_encode(struct buffer *body, const struct genesis *genesis,
                                      struct bytes policy, const struct sign_key *owner);

/*
 * Decode and verify with the owner key that the body itself names. STATUS_MALFORMED, STATUS_FORGED.
 */
MUST_CHECK enum status genesis_decode(struct genesis *genesis, struct bytes body);

/* R = N - W + 1 + f: so many stores have to answer to end a branch, or a term. */
uint32_t genesis_answer_count(const struct genesis *genesis);

/*
 * How many others must say what they hold before a store that lost its disk knows again what it may
 * have signed: of W stores that hold a record and it was one of, one of any N-W+1+f others is one,
 * too, and says so truly; of R = N-W+1+f stores that gave a fence and it was one of, one of any W
 * others.
 */
uint32_t genesis_refill_count(const struct genesis *genesis);

/* The store with this id, or NULL. */
const struct genesis_store *genesis_store_find(const struct genesis *genesis,
                                               const struct writer_id *id);

#endif
