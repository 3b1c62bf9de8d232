/* src/scl/key_index.c */

/*
 * Open addressing with linear probing. A slot once taken never becomes empty:
 * what is removed leaves a mark, which another item may take. A table more
 * than half taken is copied without the marks, to one of twice the size unless
 * most of it were marks, and the copy replaces it by one store. Invariants:
 *  1. A slot's item is written after its hash, so who sees the item sees the
 *     hash too (place).
 *  2. No slot between an item's home and its place is empty (place), so a
 *     search may stop at the first empty one.
 *  3. An item that is not in the table has made `is_complete` false, for ever
 *     (key_index_add, grow).
 */
#include "scl/key_index.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/checked.h"

// Half full, a run of 64 slots does not occur by chance; four slots share a cache line.
enum { SLOT_COUNT_MIN = 1024, PROBE_COUNT_MAX = 64 };

/* Stands in the slot of what was removed. */
static char removed;

struct slot {
    _Atomic uint64_t hash;
    _Atomic(void *) item;
};

struct table {
    ck_epoch_entry_t retired;
    size_t slot_count;  // a power of two
    struct slot slots[];
};

struct key_index {
    struct reclaim *reclaim;
    _Atomic(struct table *) table;
    size_t item_count;
    size_t taken_count;  // slots of the table with an item or a mark
    _Atomic bool is_complete;
    _Atomic uint64_t bytes;
};

/* NULL: no memory. */
static struct table *table_new(size_t slot_count)
{
    size_t bytes;
    if (!checked_multiply(&bytes, slot_count, sizeof(struct slot)) ||
        !checked_add(&bytes, bytes, sizeof(struct table))) {
        return NULL;
    }
    struct table *table = calloc(1, bytes);
    if (table != NULL) {
        table->slot_count = slot_count;
    }
    return table;
}

static size_t table_bytes(const struct table *table)
{
    return sizeof *table + table->slot_count * sizeof *table->slots;
}

/* A hash says something about its key, so it is wiped like one. */
static void table_free(struct table *table)
{
    buffer_wipe(table, table_bytes(table));
    free(table);
}

static void table_destroy(ck_epoch_entry_t *retired)
{
    struct table *table = (void *)((uint8_t *)retired - offsetof(struct table, retired));
    table_free(table);
}

/*
 * False: the slots from its home on are taken. `*taken_count` grows by an empty slot that is taken.
 */
static bool place(struct table *table, uint64_t hash, void *item, size_t *taken_count)
{
    for (size_t i = 0; i < PROBE_COUNT_MAX; i++) {
        struct slot *slot = &table->slots[(hash + i) & (table->slot_count - 1)];
        // Relaxed: only this thread writes slots.
        const void *there = atomic_load_explicit(&slot->item, memory_order_relaxed);
        if (there == NULL || there == &removed) {
            *taken_count += there == NULL;
            // A reader that saw the mark's item before it, or this hash beside it, compares keys.
            atomic_store_explicit(&slot->hash, hash, memory_order_relaxed);
            // Release: the hash, and the item itself, are written before the item is found.
            atomic_store_explicit(&slot->item, item, memory_order_release);
            return true;
        }
    }
    return false;
}

/* Without memory for a larger table the old one fills up; what no longer fits is left out. */
static struct table *grow(struct key_index *index, struct table *old)
{
    bool is_mostly_marks = index->item_count < old->slot_count / 4;
    struct table *table = table_new(is_mostly_marks ? old->slot_count : old->slot_count * 2);
    if (table == NULL) {
        return old;
    }
    index->taken_count = 0;
    for (size_t i = 0; i < old->slot_count; i++) {
        // Relaxed: only this thread writes slots.
        void *item = atomic_load_explicit(&old->slots[i].item, memory_order_relaxed);
        uint64_t hash = atomic_load_explicit(&old->slots[i].hash, memory_order_relaxed);
        bool is_item = item != NULL && item != &removed;
        if (is_item && !place(table, hash, item, &index->taken_count)) {
            // Relaxed: the release of the table, below, comes after it.
            atomic_store_explicit(&index->is_complete, false, memory_order_relaxed);
        }
    }
    // Release: the table is whole before it is found.
    atomic_store_explicit(&index->table, table, memory_order_release);
    // Relaxed: a figure for a display.
    atomic_store_explicit(&index->bytes, table_bytes(table), memory_order_relaxed);
    reclaim_retire(index->reclaim, &old->retired, table_destroy);
    return table;
}

enum status key_index_new(struct key_index **index, struct reclaim *reclaim)
{
    struct key_index *made = calloc(1, sizeof *made);
    struct table *table = table_new(SLOT_COUNT_MIN);
    *index = NULL;
    if (made == NULL || table == NULL) {
        free(table);
        free(made);
        return STATUS_NO_MEMORY;
    }
    made->reclaim = reclaim;
    atomic_init(&made->table, table);
    atomic_init(&made->is_complete, true);
    atomic_init(&made->bytes, table_bytes(table));
    *index = made;
    return STATUS_OK;
}

void key_index_free(struct key_index *index)
{
    if (index != NULL) {
        // Relaxed: whoever frees has made sure that no other thread is left.
        table_free(atomic_load_explicit(&index->table, memory_order_relaxed));
        free(index);
    }
}

uint64_t key_index_hash(struct bytes key)
{
    // Each step is one to one in both the hash so far and the 8 bytes it takes in.
    uint64_t hash = key.length;
    while (key.length > 0) {
        uint64_t word = 0;
        size_t taken = key.length < sizeof word ? key.length : sizeof word;
        memcpy(&word, key.at, taken);
        hash = (hash ^ word) * 0x9fb21c651e98df25;
        hash ^= hash >> 32;
        key = bytes_of(key.at + taken, key.length - taken);
    }
    return hash;
}

void key_index_add(struct key_index *index, uint64_t hash, void *item)
{
    CHECK(item != NULL);
    // Relaxed: only this thread writes it.
    struct table *table = atomic_load_explicit(&index->table, memory_order_relaxed);
    if (index->taken_count >= table->slot_count / 2) {
        table = grow(index, table);
    }
    index->item_count++;
    if (!place(table, hash, item, &index->taken_count)) {
        // Relaxed: a reader that must see the item was told of it after this call, and so sees
        // this; another may take the key for one that is not written yet.
        atomic_store_explicit(&index->is_complete, false, memory_order_relaxed);
    }
}

void key_index_remove(struct key_index *index, uint64_t hash, const void *item)
{
    // Relaxed: only this thread writes it.
    struct table *table = atomic_load_explicit(&index->table, memory_order_relaxed);
    index->item_count--;
    for (size_t i = 0; i < PROBE_COUNT_MAX; i++) {
        struct slot *slot = &table->slots[(hash + i) & (table->slot_count - 1)];
        const void *there = atomic_load_explicit(&slot->item, memory_order_relaxed);
        if (there == NULL) {
            return;
        }
        if (there == item) {
            // Release: whoever sees that it is gone sees what made it dispensable.
            atomic_store_explicit(&slot->item, (void *)&removed, memory_order_release);
            return;
        }
    }
}

void *key_index_get(const struct key_index *index, uint64_t hash, struct bytes key,
                    bool (*has_key)(const void *item, struct bytes key), bool *is_certain)
{
    // Acquire: pairs with the release in grow().
    const struct table *table = atomic_load_explicit(&index->table, memory_order_acquire);
    for (size_t i = 0; i < PROBE_COUNT_MAX; i++) {
        const struct slot *slot = &table->slots[(hash + i) & (table->slot_count - 1)];
        // Acquire: pairs with the release in place().
        void *item = atomic_load_explicit(&slot->item, memory_order_acquire);
        if (item == NULL) {
            break;
        }
        if (item != &removed && atomic_load_explicit(&slot->hash, memory_order_relaxed) == hash &&
            has_key(item, key)) {
            return item;
        }
    }
    // Relaxed: whoever left an item out did so before the table in hand was released, or before
    // this reader was told of the item.
    *is_certain = atomic_load_explicit(&index->is_complete, memory_order_relaxed);
    return NULL;
}

uint64_t key_index_bytes(const struct key_index *index)
{
    return atomic_load_explicit(&index->bytes, memory_order_relaxed);
}
