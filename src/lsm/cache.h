/* src/lsm/cache.h */
#ifndef LSM_CACHE_H
#define LSM_CACHE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "lsm/block.h"
#include "lsm/guard.h"

/*
 * cache: the decrypted blocks that are in memory, up to a bound of bytes. Each hangs in a slot
 * of its table, so finding one is one load; the cache decides which to drop: a hand goes around
 * them, and drops the first one that was not looked at since it came by last.
 *
 * Readers load slots inside sections of the guard and call cache_touch(); all else is called
 * by one thread at a time.
 */
struct cache_item {
    struct guard_item retired;
    struct block *block;
    _Atomic(struct cache_item *) *slot;
    size_t bytes;
    uint64_t place;  // on the hand's way
    _Atomic bool is_used;
};

typedef _Atomic(struct cache_item *) cache_slot;

/* Starts as all zeroes but for the first three. */
struct cache {
    struct guard *guard;  // borrowed
    uint64_t bytes_max;
    uint64_t item_count_min;  // so many stay, whatever they take
    uint64_t bytes;
    struct cache_item **items;
    uint64_t item_count;
    uint64_t item_capacity;
    uint64_t hand;
    uint64_t evicted_count;
};

void cache_release(struct cache *cache);  // wipes; no reader is left

/*
 * Hang `block` (taken over, also on failure) into the empty `slot`, after dropping others until the
 * bounds hold. STATUS_NO_MEMORY.
 */
MUST_CHECK enum status cache_put(struct cache *cache, cache_slot *slot, struct block *block);

/* Empty the slot. */
void cache_drop(struct cache *cache, cache_slot *slot);

/* By a reader that looked at it. */
static inline void cache_touch(struct cache_item *item)
{
    // Relaxed: a hint. Written only when it changes, so that readers of one block do not
    // take its line from each other.
    if (!atomic_load_explicit(&item->is_used, memory_order_relaxed)) {
        atomic_store_explicit(&item->is_used, true, memory_order_relaxed);
    }
}

#endif
