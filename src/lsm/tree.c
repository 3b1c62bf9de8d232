/* src/lsm/tree.c */
#include "lsm/tree.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/check.h"
#include "capsule/seal.h"
#include "lsm/cache.h"
#include "lsm/guard.h"
#include "lsm/view.h"

/*
 * The lock is for whoever changes something. Readers take none: they find the view, and in it the
 * cache's slots, inside sections of the guard.
 */
struct tree {
    pthread_mutex_t lock;
    struct guard guard;
    struct cache cache;
    _Atomic(struct view *) view;  // never NULL
    struct view *coming;          // being adopted; NULL: none
    _Atomic uint64_t floor;
    uint64_t index_bytes;
};

struct tree_reader {
    struct guard_reader section;
    struct tree *tree;
    const struct view *view;  // of the section
    struct view_walk walk;
};

static void lock(struct tree *tree)
{
    CHECK(pthread_mutex_lock(&tree->lock) == 0);
}

static void unlock(struct tree *tree)
{
    CHECK(pthread_mutex_unlock(&tree->lock) == 0);
}

static struct view *current(const struct tree *tree)
{
    // Sequentially consistent: guard.h.
    return atomic_load(&tree->view);
}

/* The view of a tree without a MANIFEST. */
static enum status new_empty_view(struct view **view)
{
    static const struct hash nothing;
    struct buffer plain = BUFFER_EMPTY;
    const struct manifest none = {.floor = 0};
    const struct manifest_change change = {.floor = 0};
    enum status status = manifest_succeed(&plain, &none, &change);
    if (status == STATUS_OK) {
        status = view_new(view, &nothing, buffer_bytes(&plain), NULL);
    }
    buffer_release(&plain);
    return status;
}

enum status tree_new(struct tree **tree, uint64_t cache_bytes)
{
    *tree = NULL;
    struct tree *made = aligned_alloc(GUARD_CACHE_LINE_BYTES, sizeof *made);
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    *made = (struct tree){
        .cache = {.guard = &made->guard,
                  .bytes_max = cache_bytes,
                  .item_count_min = TREE_BLOCK_COUNT_MIN},
    };
    guard_init(&made->guard);
    struct view *view;
    enum status status = new_empty_view(&view);
    if (status != STATUS_OK) {
        free(made);
        return status;
    }
    atomic_init(&made->view, view);
    atomic_init(&made->floor, 0);
    CHECK(pthread_mutex_init(&made->lock, NULL) == 0);
    *tree = made;
    return STATUS_OK;
}

void tree_free(struct tree *tree)
{
    if (tree == NULL) {
        return;
    }
    CHECK(tree->guard.readers == NULL);
    view_free(tree->coming, &tree->cache);
    view_free(current(tree), &tree->cache);
    // A view that goes retires blocks, so once more.
    guard_collect(&tree->guard);
    guard_collect(&tree->guard);
    cache_release(&tree->cache);
    CHECK(pthread_mutex_destroy(&tree->lock) == 0);
    free(tree);
}

/* ---- a new MANIFEST ---- */

enum status tree_adopt(struct tree *tree, const struct hash *hash, struct bytes plain)
{
    lock(tree);
    // Indexes that came for the one under way are not fetched again.
    const struct view *former = tree->coming != NULL ? tree->coming : current(tree);
    struct view *view;
    enum status status = view_new(&view, hash, plain, former);
    if (status == STATUS_OK) {
        view_free(tree->coming, &tree->cache);
        tree->coming = view;
    }
    unlock(tree);
    return status;
}

uint32_t tree_missing(struct tree *tree, struct block_ref *refs, uint32_t count)
{
    uint32_t found = 0;
    lock(tree);
    const struct view *view = tree->coming;
    uint32_t table_count = view != NULL ? view->manifest.table_count : 0;
    for (uint32_t i = 0; i < table_count && found < count; i++) {
        if (view->tables[i]->index == NULL) {
            refs[found++] = view->tables[i]->ref;
        }
    }
    unlock(tree);
    return found;
}

static void destroy_view(struct guard_item *retired, void *context)
{
    struct tree *tree = context;
    struct view *view = (void *)((uint8_t *)retired - offsetof(struct view, retired));
    view_free(view, &tree->cache);
}

static uint64_t index_bytes_of(const struct view *view)
{
    uint64_t bytes = view->plain.capacity;
    for (uint32_t i = 0; i < view->manifest.table_count; i++) {
        const struct view_table *table = view->tables[i];
        bytes += sizeof *table + sizeof *view->manifest.tables +
                 table_index_count(table->index) * sizeof *table->slots +
                 table_index_bytes(table->index);
    }
    return bytes;
}

enum status tree_install(struct tree *tree)
{
    enum status status = STATUS_OK;
    lock(tree);
    if (tree->coming == NULL) {
        status = STATUS_EMPTY;
    } else if (tree->coming->missing_count > 0) {
        status = STATUS_GAP;
    } else {
        struct view *former = current(tree);
        struct view *view = tree->coming;
        tree->coming = NULL;
        tree->index_bytes = index_bytes_of(view);
        tree->cache.item_count_min = TREE_BLOCK_COUNT_MIN + 2ull * view->run_count;
        // Sequentially consistent, before it is retired: guard.h.
        atomic_store(&tree->view, view);
        atomic_store(&tree->floor, view->manifest.floor);
        guard_retire(&tree->guard, &former->retired, destroy_view, tree);
        guard_collect(&tree->guard);
    }
    unlock(tree);
    return status;
}

const struct manifest *tree_manifest(const struct tree *tree)
{
    return &current(tree)->manifest;
}

struct hash tree_manifest_hash(const struct tree *tree)
{
    return current(tree)->hash;
}

uint64_t tree_floor(const struct tree *tree)
{
    return atomic_load(&tree->floor);
}

/* ---- records that were fetched ---- */

/* What a record is here. */
struct wanted {
    struct view_table *table;
    const struct table *described;  // as the view that waits for it describes the table
    uint32_t block;
    bool is_index;
};

/* STATUS_STALE: the view does not wait for it. STATUS_FORGED. */
static enum status find_in_view(const struct view *view, const struct record *record,
                                struct wanted *wanted)
{
    uint32_t place;
    struct view_table *table = view_find(view, &record->writer, record->sequence, &place);
    if (table == NULL) {
        return STATUS_STALE;
    }
    *wanted = (struct wanted){
        .table = table,
        .described = &view->manifest.tables[place],
        .is_index = record->sequence == table->ref.sequence,
    };
    struct block_ref ref = table->ref;
    if (!wanted->is_index) {
        CHECK(table_index_find(table->index, record->sequence, &wanted->block) == STATUS_OK);
        ref = table_index_ref(table->index, wanted->block);
    }
    if (record->type != RECORD_TABLE || !hash_equal(&record->hash, &ref.hash)) {
        return STATUS_FORGED;
    }
    bool is_here =
        wanted->is_index ? table->index != NULL : atomic_load(&table->slots[wanted->block]) != NULL;
    return is_here ? STATUS_STALE : STATUS_OK;
}

/* With the lock, until which the answer holds. */
static enum status find_wanted(const struct tree *tree, const struct record *record,
                               struct wanted *wanted)
{
    enum status status = STATUS_STALE;
    if (tree->coming != NULL) {
        status = find_in_view(tree->coming, record, wanted);
    }
    if (status == STATUS_STALE) {
        status = find_in_view(current(tree), record, wanted);
    }
    return status;
}

static enum status keep_index(struct tree *tree, const struct wanted *wanted, struct bytes plain)
{
    struct view_table *table = wanted->table;
    enum status status = table_index_decode(&table->index, wanted->described, plain);
    struct view *view = tree->coming;
    for (uint32_t i = 0; status == STATUS_OK && i < view->manifest.table_count; i++) {
        if (view->tables[i] == table) {
            view->missing_count--;
        }
    }
    return status;
}

/* Takes over the block. */
static enum status keep_block(struct tree *tree, const struct wanted *wanted, struct block *block)
{
    struct view_table *table = wanted->table;
    enum status status = table_index_verify(table->index, wanted->block, block);
    if (status != STATUS_OK) {
        block_free(block);
        return status;
    }
    return cache_put(&tree->cache, &table->slots[wanted->block], block);
}

enum status tree_supply(struct tree *tree, const struct record *record, struct aead_key *body_key)
{
    struct wanted wanted;
    lock(tree);
    enum status status = find_wanted(tree, record, &wanted);
    unlock(tree);
    if (status != STATUS_OK) {
        return status;
    }
    // Without the lock: this is what takes long.
    bool is_index = wanted.is_index;
    struct block *block = NULL;
    struct buffer plain = BUFFER_EMPTY;
    status = seal_open(&plain, record, body_key);
    if (status == STATUS_OK && !is_index) {
        status = block_decode(&block, &plain);
    }
    if (status == STATUS_OK) {
        lock(tree);
        // Somebody else may have brought it meanwhile, or nobody waits for it any more.
        status = find_wanted(tree, record, &wanted);
        if (status == STATUS_OK && is_index) {
            status = keep_index(tree, &wanted, buffer_bytes(&plain));
        } else if (status == STATUS_OK) {
            status = keep_block(tree, &wanted, block);
            block = NULL;
        }
        guard_collect(&tree->guard);
        unlock(tree);
    }
    block_free(block);
    buffer_release(&plain);
    return status;
}

/* ---- reading ---- */

enum status tree_reader_new(struct tree_reader **reader, struct tree *tree)
{
    struct tree_reader *made = aligned_alloc(GUARD_CACHE_LINE_BYTES, sizeof *made);
    *reader = made;
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    *made = (struct tree_reader){.tree = tree};
    lock(tree);
    guard_add(&tree->guard, &made->section);
    unlock(tree);
    return STATUS_OK;
}

void tree_reader_free(struct tree_reader *reader)
{
    if (reader != NULL) {
        lock(reader->tree);
        guard_remove(&reader->tree->guard, &reader->section);
        unlock(reader->tree);
        view_walk_release(&reader->walk);
        free(reader);
    }
}

void tree_reader_begin(struct tree_reader *reader)
{
    guard_begin(&reader->tree->guard, &reader->section);
    reader->view = current(reader->tree);
}

void tree_reader_end(struct tree_reader *reader)
{
    reader->view = NULL;
    guard_end(&reader->section);
}

enum status tree_get(struct tree_reader *reader, struct bytes key, struct entry *entry,
                     struct block_ref *need)
{
    CHECK(reader->view != NULL);
    return view_get(reader->view, key, entry, need);
}

enum status tree_seek(struct tree_reader *reader, struct bytes from, bool is_after,
                      struct entry *entry, struct block_ref *need)
{
    CHECK(reader->view != NULL);
    return view_seek(reader->view, &reader->walk, from, is_after, entry, need);
}

enum status tree_next(struct tree_reader *reader, struct entry *entry, struct block_ref *need)
{
    CHECK(reader->view != NULL);
    return view_next(reader->view, &reader->walk, entry, need);
}

void tree_count(struct tree *tree, struct tree_counters *counters)
{
    lock(tree);
    *counters = (struct tree_counters){
        .table_count = current(tree)->manifest.table_count,
        .index_bytes = tree->index_bytes,
        .cache_bytes = tree->cache.bytes,
        .cached_blocks = tree->cache.item_count,
        .evicted_blocks = tree->cache.evicted_count,
    };
    unlock(tree);
}
