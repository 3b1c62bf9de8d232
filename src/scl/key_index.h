/* src/scl/key_index.h */
#ifndef SCL_KEY_INDEX_H
#define SCL_KEY_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "scl/reclaim.h"

/*
 * key_index: from the hash of a key to the item that holds it. One thread at
 * a time adds and removes; any number read beside it, inside sections of `reclaim`.
 *
 * It only makes finding faster: beside it stands an ordered structure that
 * holds every item. An item whose place is crowded, because keys were chosen
 * to collide or memory is short, is left out; from then on a miss tells
 * nothing, and who asks looks there. So no choice of keys makes a search
 * longer than there, and adding cannot fail.
 */
struct key_index;

/* `reclaim` is borrowed for as long as the index lives. */
MUST_CHECK enum status key_index_new(struct key_index **index, struct reclaim *reclaim);
/* Wipes; the items are the caller's. No reader is left. */
void key_index_free(struct key_index *index);

uint64_t key_index_hash(struct bytes key);

/*
 * Add an item that is not in the index. It stays valid until it is removed, and then until no
 * reader is left who may have found it.
 */
void key_index_add(struct key_index *index, uint64_t hash, void *item);

/* Take an item out; harmless when it was left out. */
void key_index_remove(struct key_index *index, uint64_t hash, const void *item);

/*
 * The item with this hash of which `has_key` says yes; NULL when there is
 * none. Then, `*is_certain` says whether none is meant to be here.
 */
void *key_index_get(const struct key_index *index, uint64_t hash, struct bytes key,
                    bool (*has_key)(const void *item, struct bytes key), bool *is_certain);

/* The bytes it takes. May be read by any thread. */
uint64_t key_index_bytes(const struct key_index *index);

#endif
