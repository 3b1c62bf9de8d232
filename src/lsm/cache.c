/* src/lsm/cache.c */
#include "lsm/cache.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/check.h"

enum { ITEM_COUNT_MIN = 64 };

static void free_item(struct cache_item *item)
{
    block_free(item->block);
    free(item);
}

static void destroy_item(struct guard_item *retired, void *context)
{
    (void)context;
    free_item((void *)((uint8_t *)retired - offsetof(struct cache_item, retired)));
}

void cache_release(struct cache *cache)
{
    for (uint64_t i = 0; i < cache->item_count; i++) {
        free_item(cache->items[i]);
    }
    free(cache->items);
    *cache = (struct cache){.guard = NULL};
}

/* Off the hand's way, and out of its slot. */
static void unlink_item(struct cache *cache, struct cache_item *item)
{
    struct cache_item *last = cache->items[--cache->item_count];
    cache->items[item->place] = last;
    last->place = item->place;
    cache->bytes -= item->bytes;
    // Sequentially consistent: guard.h.
    atomic_store(item->slot, NULL);
    guard_retire(cache->guard, &item->retired, destroy_item, NULL);
}

void cache_drop(struct cache *cache, cache_slot *slot)
{
    // Relaxed: only this thread writes slots.
    struct cache_item *item = atomic_load_explicit(slot, memory_order_relaxed);
    if (item != NULL) {
        unlink_item(cache, item);
    }
}

static void evict_one(struct cache *cache)
{
    // Readers may mark blocks as fast as the hand goes on: after two rounds nothing is spared.
    uint64_t spared_max = 2 * cache->item_count;
    for (uint64_t spared = 0;; spared++) {
        if (cache->hand >= cache->item_count) {
            cache->hand = 0;
        }
        struct cache_item *item = cache->items[cache->hand];
        // Relaxed: a hint.
        bool was_used = atomic_exchange_explicit(&item->is_used, false, memory_order_relaxed);
        if (!was_used || spared == spared_max) {
            unlink_item(cache, item);
            cache->evicted_count++;
            return;
        }
        cache->hand++;
    }
}

static enum status grow(struct cache *cache)
{
    if (cache->item_count < cache->item_capacity) {
        return STATUS_OK;
    }
    uint64_t capacity = cache->item_capacity == 0 ? ITEM_COUNT_MIN : cache->item_capacity * 2;
    struct cache_item **items = realloc(cache->items, capacity * sizeof(struct cache_item *));
    if (items == NULL) {
        return STATUS_NO_MEMORY;
    }
    cache->items = items;
    cache->item_capacity = capacity;
    return STATUS_OK;
}

enum status cache_put(struct cache *cache, cache_slot *slot, struct block *block)
{
    struct cache_item *item = calloc(1, sizeof *item);
    if (item == NULL || grow(cache) != STATUS_OK) {
        free(item);
        block_free(block);
        return STATUS_NO_MEMORY;
    }
    item->block = block;
    item->slot = slot;
    item->bytes = sizeof *item + block_bytes(block);
    // Who waits for it has not looked yet.
    atomic_init(&item->is_used, true);
    while (cache->item_count >= cache->item_count_min && cache->item_count > 0 &&
           cache->bytes + item->bytes > cache->bytes_max) {
        evict_one(cache);
    }
    item->place = cache->item_count;
    cache->items[cache->item_count++] = item;
    cache->bytes += item->bytes;
    // Relaxed: only this thread writes slots.
    CHECK(atomic_load_explicit(slot, memory_order_relaxed) == NULL);
    // Release: the block is whole before it is found.
    atomic_store_explicit(slot, item, memory_order_release);
    return STATUS_OK;
}
