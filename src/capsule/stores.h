/* src/capsule/stores.h */
#ifndef CAPSULE_STORES_H
#define CAPSULE_STORES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/genesis.h"
#include "capsule/term.h"

/*
 * stores: the owner's word on which stores count from a term on, in place of those of the GENESIS
 * (docs/design/0036-the-set-of-stores-changes.md). JSON
 *   {"capsule":"<hex>","former":{"receipts":W,"stores":[…]},"receipts":W,
 *    "stores":[{"key":"<hex>","name":"…"},…],"version":V}
 * no payload. It stands in TERMs (capsule/term.h). `former` is there until a leader of such a term
 * leads: the set before, whose stores have to answer, too, when that leader takes over.
 */
struct stores {
    uint64_t version;    // 1, 2, 3…: only rises; 0: as the GENESIS says
    struct genesis now;  // the GENESIS, with the stores and the W that count; without its policy
    bool has_former;
    struct genesis former;  // with those before
};

enum {
    STORES_TYPE = 0x53,  // 'S', where a record's type stands in what the owner signs
};

MUST_CHECK enum status stores_encode(struct buffer *body, const struct stores *stores,
                                     const struct sign_key *owner);

/* STATUS_MALFORMED; STATUS_FORGED: not the owner's of this GENESIS, or another capsule's. */
MUST_CHECK enum status stores_decode(struct stores *stores, struct bytes body,
                                     const struct genesis *genesis);

/* Those of the GENESIS. */
void stores_of_genesis(struct stores *stores, const struct genesis *genesis);

/* Those that a TERM names; or the GENESIS's, where it names none. Statuses as stores_decode(). */
MUST_CHECK enum status stores_of_term(struct stores *stores, const struct term *term,
                                      const struct genesis *genesis);

/* One of those that count or did before; NULL: it is none. */
const struct genesis_store *stores_find(const struct stores *stores, const struct writer_id *id);

/* How many different ones these are, at most 2 * GENESIS_STORES_MAX. */
uint32_t stores_count(const struct stores *stores);

/*
 * Whether those that have answered are R of the stores that count; and, where `asks_former`, R of
 * those before, too.
 */
bool stores_have_answered(const struct stores *stores, bool asks_former,
                          const struct writer_id *answered, uint32_t answered_count);

/* Whether both name the same stores, by key, and the same W. */
bool stores_are_same(const struct genesis *a, const struct genesis *b);

/*
 * Whether a leader of `later` may follow one of `earlier`: it hears enough of the stores that
 * counted for that one, and does not go back to an older word of the owner.
 */
bool stores_may_follow(const struct stores *later, const struct stores *earlier);

#endif
