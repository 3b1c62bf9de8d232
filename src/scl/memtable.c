/* src/scl/memtable.c */

/*
 * A skip list whose nodes are the keys, and an index by hash of the same
 * nodes, which finds one key several times as fast as the list does. A
 * key's current value hangs off its node as a block that never changes;
 * another write of the key swings one pointer to a new block and retires the
 * old one.
 *
 * Invariants:
 *  1. A node is reachable on level i only when it is whole: its key, its value
 *     and its links up to i are written (insert_node).
 *  2. Each level is in key order and a part of the level below, except that a
 *     node under insertion may still be missing above its lowest levels
 *     (insert_node); a search that misses it there meets it below.
 *  3. A node's value is never NULL, and its versions only rise (memtable_apply).
 *  4. Nodes and value blocks live until no reader's section can still hold them (reclaim.h). A node
 *     that was removed keeps its links, so a search that stands on it goes on.
 *  5. Only an entry at or below the caller's floor is removed (memtable_evict).
 */
#include "scl/memtable.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/checked.h"
#include "scl/key_index.h"
#include "scl/reclaim.h"

// One node in 4 reaches the next level, so 4^12 keys (16 million) before searches grow.
enum { HEIGHT_MAX = 12 };

struct value {
    ck_epoch_entry_t retired;
    struct memtable_version version;
    uint64_t expiry_ms;
    size_t length;
    bool is_tombstone;
    uint8_t bytes[];
};

struct node;
typedef _Atomic(struct node *) node_link;

struct node {
    ck_epoch_entry_t retired;
    _Atomic(struct value *) value;
    _Atomic bool is_used;  // got since the hand passed
    size_t key_length;
    size_t height;
    node_link next[];  // `height` of them, then the key
};

struct memtable {
    struct reclaim *reclaim;
    struct key_index *index;
    node_link head[HEIGHT_MAX];
    _Atomic size_t height;  // of the tallest node
    uint64_t draw;          // where heights come from
    _Atomic uint64_t count;
    _Atomic uint64_t bytes;
    struct buffer hand;      // the last key that eviction looked at
    bool has_evictable;      // seen since the hand was at the start
    uint64_t floor;          // of the last eviction
    uint64_t settled_floor;  // nothing at or below it is here; 0: unknown
};

struct memtable_reader {
    struct memtable *memtable;
    struct reclaim_reader *section;
};

static struct bytes node_key(const struct node *node)
{
    return bytes_of(node->next + node->height, node->key_length);
}

static size_t node_bytes(size_t height, size_t key_length)
{
    return sizeof(struct node) + height * sizeof(node_link) + key_length;
}

static struct value *value_new(const struct memtable_entry *entry)
{
    size_t bytes;
    if (!checked_add(&bytes, sizeof(struct value), entry->value.length)) {
        return NULL;
    }
    struct value *value = malloc(bytes);
    if (value == NULL) {
        return NULL;
    }
    value->version = entry->version;
    value->expiry_ms = entry->expiry_ms;
    value->length = entry->value.length;
    value->is_tombstone = entry->is_tombstone;
    if (value->length > 0) {
        memcpy(value->bytes, entry->value.at, value->length);
    }
    return value;
}

static size_t value_bytes(const struct value *value)
{
    return sizeof *value + value->length;
}

static void value_free(struct value *value)
{
    buffer_wipe(value->bytes, value->length);
    free(value);
}

static void value_destroy(ck_epoch_entry_t *retired)
{
    struct value *value = (void *)((uint8_t *)retired - offsetof(struct value, retired));
    value_free(value);
}

/* With the value that it holds at last. */
static void node_free(struct node *node)
{
    // Relaxed: whoever frees has made sure that no other thread looks.
    value_free(atomic_load_explicit(&node->value, memory_order_relaxed));
    buffer_wipe(node->next + node->height, node->key_length);
    free(node);
}

static void node_destroy(ck_epoch_entry_t *retired)
{
    node_free((void *)((uint8_t *)retired - offsetof(struct node, retired)));
}

/*
 * The first node whose key is at or after `key` (after it, when `is_after`), or NULL. For the
 * writer, `before` (HEIGHT_MAX long; else NULL) gets the link on each level that leads past `key`.
 */
static struct node *find(struct memtable *memtable, struct bytes key, bool is_after,
                         node_link *before[])
{
    node_link *links = memtable->head;
    struct node *known = NULL;  // met on the level above, and not before `key`
    // Relaxed: any height serves, a lower one than the tallest node's is only slower.
    size_t level = atomic_load_explicit(&memtable->height, memory_order_relaxed);
    while (level > 0) {
        // Acquire: pairs with the release in insert_node(); the node is whole.
        struct node *next = atomic_load_explicit(&links[level - 1], memory_order_acquire);
        if (next != known && next != NULL) {
            int order = bytes_compare(node_key(next), key);
            if (order < 0 || (order == 0 && is_after)) {
                links = next->next;
                continue;
            }
        }
        known = next;
        level--;
        if (before != NULL) {
            before[level] = &links[level];
        }
    }
    return known;
}

static bool has_key(const void *item, struct bytes key)
{
    return bytes_equal(node_key(item), key);
}

/* The node of this key, or NULL. */
static struct node *find_exactly(struct memtable *memtable, struct bytes key)
{
    bool is_certain;
    struct node *node =
        key_index_get(memtable->index, key_index_hash(key), key, has_key, &is_certain);
    if (node == NULL && !is_certain) {
        node = find(memtable, key, false, NULL);
        return node != NULL && has_key(node, key) ? node : NULL;
    }
    return node;
}

/*
 * Whoever could foresee the heights could pick keys that leave the list flat, so they hang on
 * writer ids too, which are hashes of fresh keys; and not on a source of their own, so that the
 * same writes give the same table.
 */
static size_t draw_height(struct memtable *memtable, const struct memtable_version *version)
{
    uint64_t writer;
    memcpy(&writer, version->writer.bytes, sizeof writer);
    uint64_t draw = (memtable->draw ^ writer) + version->lamport + 0x9e3779b97f4a7c15;
    draw = (draw ^ (draw >> 32)) * 0xd6e8feb86659fd93;
    draw = (draw ^ (draw >> 32)) * 0xd6e8feb86659fd93;
    memtable->draw = draw ^ (draw >> 32);

    size_t height = 1;
    for (uint64_t bits = memtable->draw; height < HEIGHT_MAX && (bits & 3) == 0; bits >>= 2) {
        height++;
    }
    return height;
}

static enum status insert_node(struct memtable *memtable, const struct memtable_entry *entry)
{
    node_link *before[HEIGHT_MAX];
    (void)find(memtable, entry->key, false, before);
    size_t height = draw_height(memtable, &entry->version);
    size_t bytes;
    if (!checked_add(&bytes, node_bytes(height, 0), entry->key.length)) {
        return STATUS_NO_MEMORY;
    }
    struct value *value = value_new(entry);
    struct node *node = malloc(bytes);
    if (value == NULL || node == NULL) {
        free(node);
        if (value != NULL) {
            value_free(value);
        }
        return STATUS_NO_MEMORY;
    }
    atomic_init(&node->value, value);
    atomic_init(&node->is_used, false);
    node->key_length = entry->key.length;
    node->height = height;
    if (entry->key.length > 0) {
        memcpy((uint8_t *)(node->next + height), entry->key.at, entry->key.length);
    }

    // Relaxed: only this thread writes the height and the links.
    size_t tallest = atomic_load_explicit(&memtable->height, memory_order_relaxed);
    for (size_t level = tallest; level < height; level++) {
        before[level] = &memtable->head[level];
    }
    for (size_t level = 0; level < height; level++) {
        struct node *next = atomic_load_explicit(before[level], memory_order_relaxed);
        atomic_init(&node->next[level], next);
    }
    // First here, so that a reader which met a key by seek also gets it.
    key_index_add(memtable->index, key_index_hash(entry->key), node);
    // Release: the node is whole before it is found. From the lowest level up (invariant 2).
    for (size_t level = 0; level < height; level++) {
        atomic_store_explicit(before[level], node, memory_order_release);
    }
    if (height > tallest) {
        atomic_store_explicit(&memtable->height, height, memory_order_relaxed);
    }
    // Relaxed: figures for a display.
    atomic_fetch_add_explicit(&memtable->count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&memtable->bytes, bytes + value_bytes(value), memory_order_relaxed);
    return STATUS_OK;
}

bool memtable_is_newer(const struct memtable_version *version, const struct memtable_version *than)
{
    if (version->lamport != than->lamport) {
        return version->lamport > than->lamport;
    }
    return writer_id_compare(&version->writer, &than->writer) > 0;
}

/* What a reader gets to see of a node. */
static void read_node(const struct node *node, struct memtable_entry *entry)
{
    // Acquire: pairs with the release in replace_value(); the block is whole.
    const struct value *value = atomic_load_explicit(&node->value, memory_order_acquire);
    *entry = (struct memtable_entry){
        .key = node_key(node),
        .value = bytes_of(value->bytes, value->length),
        .expiry_ms = value->expiry_ms,
        .is_tombstone = value->is_tombstone,
        .version = value->version,
    };
}

static enum status replace_value(struct memtable *memtable, struct node *node, struct value *old,
                                 const struct memtable_entry *entry)
{
    struct value *value = value_new(entry);
    if (value == NULL) {
        return STATUS_NO_MEMORY;
    }
    // Release: the block is whole before it is found.
    atomic_store_explicit(&node->value, value, memory_order_release);
    // Relaxed: a figure for a display. Modulo 2^64, so it falls where the new value is shorter.
    atomic_fetch_add_explicit(&memtable->bytes, value_bytes(value) - value_bytes(old),
                              memory_order_relaxed);
    reclaim_retire(memtable->reclaim, &old->retired, value_destroy);
    return STATUS_OK;
}

void memtable_free(struct memtable *memtable)
{
    if (memtable == NULL) {
        return;
    }
    // Relaxed: whoever frees has made sure that no other thread is left.
    struct node *node = atomic_load_explicit(&memtable->head[0], memory_order_relaxed);
    while (node != NULL) {
        struct node *next = atomic_load_explicit(&node->next[0], memory_order_relaxed);
        node_free(node);
        node = next;
    }
    buffer_release(&memtable->hand);
    key_index_free(memtable->index);
    reclaim_free(memtable->reclaim);
    free(memtable);
}

enum status memtable_new(struct memtable **memtable)
{
    struct memtable *made = calloc(1, sizeof *made);
    *memtable = NULL;
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    enum status status = reclaim_new(&made->reclaim);
    if (status == STATUS_OK) {
        status = key_index_new(&made->index, made->reclaim);
    }
    if (status != STATUS_OK) {
        memtable_free(made);
        return status;
    }
    *memtable = made;
    return STATUS_OK;
}

enum status memtable_apply(struct memtable *memtable, const struct memtable_entry *entry)
{
    struct node *node = find_exactly(memtable, entry->key);
    if (entry->version.lamport <= memtable->floor) {
        memtable->has_evictable = true;
        memtable->settled_floor = 0;
    }
    if (node == NULL) {
        return insert_node(memtable, entry);
    }
    // Relaxed: only this thread writes it.
    struct value *old = atomic_load_explicit(&node->value, memory_order_relaxed);
    if (!memtable_is_newer(&entry->version, &old->version)) {
        return STATUS_STALE;
    }
    return replace_value(memtable, node, old, entry);
}

/* Take a node out of list and index. Its own links stay (invariant 4). */
static void remove_node(struct memtable *memtable, struct node *node)
{
    node_link *before[HEIGHT_MAX];
    struct bytes key = node_key(node);
    struct node *found = find(memtable, key, false, before);
    CHECK(found == node);
    // From the top down: a search that misses it above meets it below (invariant 2).
    for (size_t level = node->height; level > 0; level--) {
        // Relaxed: only this thread writes links.
        CHECK(atomic_load_explicit(before[level - 1], memory_order_relaxed) == node);
        struct node *next = atomic_load_explicit(&node->next[level - 1], memory_order_relaxed);
        // Release: whoever finds it gone sees what the caller did before.
        atomic_store_explicit(before[level - 1], next, memory_order_release);
    }
    key_index_remove(memtable->index, key_index_hash(key), node);
    const struct value *value = atomic_load_explicit(&node->value, memory_order_relaxed);
    uint64_t bytes = node_bytes(node->height, node->key_length) + value_bytes(value);
    // Relaxed: figures for a display.
    atomic_fetch_sub_explicit(&memtable->count, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&memtable->bytes, bytes, memory_order_relaxed);
    reclaim_retire(memtable->reclaim, &node->retired, node_destroy);
}

/* The node behind the hand, or the first one; then a round is over. NULL: the table is empty. */
static struct node *hand_next(struct memtable *memtable, uint64_t floor)
{
    struct node *node = find(memtable, buffer_bytes(&memtable->hand), true, NULL);
    if (node == NULL) {
        memtable->settled_floor = memtable->has_evictable ? 0 : floor;
        memtable->has_evictable = false;
        buffer_clear(&memtable->hand);
        node = atomic_load_explicit(&memtable->head[0], memory_order_relaxed);
    }
    return node;
}

uint64_t memtable_evict(struct memtable *memtable, uint64_t floor, uint64_t bytes_max,
                        uint32_t step_count)
{
    uint64_t evicted_count = 0;
    struct node *node = NULL;
    memtable->floor = floor;
    for (uint32_t step = 0; floor > 0 && step < step_count && memtable_bytes(memtable) > bytes_max;
         step++) {
        node = node == NULL ? NULL : atomic_load_explicit(&node->next[0], memory_order_relaxed);
        node = node == NULL ? hand_next(memtable, floor) : node;
        if (node == NULL || memtable->settled_floor == floor) {
            return evicted_count;
        }
        struct bytes key = node_key(node);
        buffer_clear(&memtable->hand);
        if (buffer_append(&memtable->hand, key.at, key.length) != STATUS_OK) {
            return evicted_count;  // a later call begins anew
        }
        const struct value *value = atomic_load_explicit(&node->value, memory_order_relaxed);
        if (value->version.lamport > floor) {
            continue;
        }
        memtable->has_evictable = true;
        if (atomic_load_explicit(&node->is_used, memory_order_relaxed)) {
            atomic_store_explicit(&node->is_used, false, memory_order_relaxed);
            continue;
        }
        remove_node(memtable, node);
        node = NULL;
        evicted_count++;
    }
    return evicted_count;
}

enum status memtable_reader_new(struct memtable_reader **reader, struct memtable *memtable)
{
    struct memtable_reader *made = calloc(1, sizeof *made);
    *reader = NULL;
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    made->memtable = memtable;
    enum status status = reclaim_reader_new(&made->section, memtable->reclaim);
    if (status != STATUS_OK) {
        free(made);
        return status;
    }
    *reader = made;
    return STATUS_OK;
}

void memtable_reader_free(struct memtable_reader *reader)
{
    if (reader != NULL) {
        reclaim_reader_free(reader->section);
        free(reader);
    }
}

void memtable_reader_begin(struct memtable_reader *reader)
{
    reclaim_reader_begin(reader->section);
}

void memtable_reader_end(struct memtable_reader *reader)
{
    reclaim_reader_end(reader->section);
}

enum status memtable_get(struct memtable_reader *reader, struct bytes key,
                         struct memtable_entry *entry)
{
    struct node *node = find_exactly(reader->memtable, key);
    if (node == NULL) {
        return STATUS_NOT_FOUND;
    }
    read_node(node, entry);
    // Relaxed, and written only when it changes: a hint for eviction, on a line that others read.
    if (!atomic_load_explicit(&node->is_used, memory_order_relaxed)) {
        atomic_store_explicit(&node->is_used, true, memory_order_relaxed);
    }
    return STATUS_OK;
}

enum status memtable_seek(struct memtable_reader *reader, struct bytes from, bool is_after,
                          struct memtable_entry *entry)
{
    const struct node *node = find(reader->memtable, from, is_after, NULL);
    if (node == NULL) {
        return STATUS_NOT_FOUND;
    }
    read_node(node, entry);
    return STATUS_OK;
}

uint64_t memtable_count(const struct memtable *memtable)
{
    return atomic_load_explicit(&memtable->count, memory_order_relaxed);
}

uint64_t memtable_bytes(const struct memtable *memtable)
{
    return atomic_load_explicit(&memtable->bytes, memory_order_relaxed) +
           key_index_bytes(memtable->index);
}
