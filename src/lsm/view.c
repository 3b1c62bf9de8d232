/* src/lsm/view.c */
#include "lsm/view.h"

#include <stdlib.h>
#include <string.h>

static struct view_table *table_new(const struct table *table)
{
    size_t bytes = sizeof(struct view_table) + table->block_count * sizeof(cache_slot);
    struct view_table *made = calloc(1, bytes);
    if (made != NULL) {
        made->ref = table->index;
        made->user_count = 1;
    }
    return made;
}

static void table_drop(struct view_table *table, struct cache *cache)
{
    if (--table->user_count > 0) {
        return;
    }
    if (table->index != NULL) {
        for (uint32_t i = 0; i < table_index_count(table->index); i++) {
            cache_drop(cache, &table->slots[i]);
        }
    }
    table_index_free(table->index);
    free(table);
}

static int compare_refs(const void *left, const void *right)
{
    const struct view_table *a = *(struct view_table *const *)left;
    const struct view_table *b = *(struct view_table *const *)right;
    return memcmp(a->ref.hash.bytes, b->ref.hash.bytes, sizeof a->ref.hash.bytes);
}

/* The tables of a view by their hashes; the caller's. NULL: no memory. */
static struct view_table **sorted_tables(const struct view *view)
{
    uint32_t count = view != NULL ? view->manifest.table_count : 0;
    struct view_table **sorted = calloc((size_t)count + 1, sizeof *sorted);
    if (sorted != NULL && count > 0) {
        memcpy(sorted, view->tables, count * sizeof *sorted);
        qsort(sorted, count, sizeof *sorted, compare_refs);
    }
    return sorted;
}

static struct view_table *share_table(const struct table *table, struct view_table **sorted,
                                      uint32_t count)
{
    const struct view_table wanted = {.ref = table->index};
    const struct view_table *key = &wanted;
    struct view_table **found = bsearch(&key, sorted, count, sizeof *sorted, compare_refs);
    if (found == NULL) {
        return NULL;
    }
    (*found)->user_count++;
    return *found;
}

static enum status fill_tables(struct view *view, const struct view *former)
{
    struct view_table **sorted = sorted_tables(former);
    uint32_t sorted_count = former != NULL ? former->manifest.table_count : 0;
    uint32_t count = view->manifest.table_count;
    view->tables = calloc((size_t)count + 1, sizeof *view->tables);
    if (view->tables == NULL || sorted == NULL) {
        free(sorted);
        return STATUS_NO_MEMORY;
    }
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        const struct table *table = &view->manifest.tables[i];
        view->tables[i] = share_table(table, sorted, sorted_count);
        if (view->tables[i] == NULL) {
            view->tables[i] = table_new(table);
        }
        if (view->tables[i] == NULL) {
            status = STATUS_NO_MEMORY;
        } else if (view->tables[i]->index == NULL) {
            view->missing_count++;
        }
    }
    free(sorted);
    return status;
}

static enum status fill_runs(struct view *view)
{
    uint32_t count = view->manifest.table_count;
    const struct table *tables = view->manifest.tables;
    view->runs = calloc((size_t)count + 1, sizeof *view->runs);
    if (view->runs == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || tables[i].level != tables[i - 1].level ||
            tables[i].run != tables[i - 1].run) {
            view->runs[view->run_count++].first = i;
        }
        view->runs[view->run_count - 1].count++;
    }
    return STATUS_OK;
}

enum status view_new(struct view **view, const struct hash *hash, struct bytes plain,
                     const struct view *former)
{
    *view = NULL;
    struct view *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    made->hash = *hash;
    enum status status = buffer_append(&made->plain, plain.at, plain.length);
    if (status == STATUS_OK) {
        status = manifest_decode(&made->manifest, buffer_bytes(&made->plain));
    }
    if (status == STATUS_OK) {
        status = fill_tables(made, former);
    }
    if (status == STATUS_OK) {
        status = fill_runs(made);
    }
    if (status != STATUS_OK) {
        // Whatever it shares is used by `former` too, so nothing leaves a cache.
        view_free(made, NULL);
        return status;
    }
    *view = made;
    return STATUS_OK;
}

void view_free(struct view *view, struct cache *cache)
{
    if (view == NULL) {
        return;
    }
    for (uint32_t i = 0; view->tables != NULL && i < view->manifest.table_count; i++) {
        if (view->tables[i] != NULL) {
            table_drop(view->tables[i], cache);
        }
    }
    free(view->tables);
    free(view->runs);
    manifest_release(&view->manifest);
    buffer_release(&view->plain);
    free(view);
}

struct view_table *view_find(const struct view *view, const struct writer_id *writer,
                             uint64_t sequence, uint32_t *place)
{
    for (uint32_t i = 0; i < view->manifest.table_count; i++) {
        const struct table *table = &view->manifest.tables[i];
        struct view_table *held = view->tables[i];
        uint32_t block;
        bool is_near = table->first_sequence <= sequence && sequence <= table->index.sequence &&
                       writer_id_equal(&table->index.writer, writer);
        // Another table's records may lie between this one's.
        if (is_near && (sequence == table->index.sequence ||
                        (held->index != NULL &&
                         table_index_find(held->index, sequence, &block) == STATUS_OK))) {
            *place = i;
            return held;
        }
    }
    return NULL;
}

/* ---- one key ---- */

/* The first table of the run whose last key is not below `key`; the run's count: none. */
static uint32_t seek_table(const struct view *view, const struct view_run *run, struct bytes key)
{
    const struct table *tables = &view->manifest.tables[run->first];
    uint32_t low = 0, high = run->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (bytes_compare(tables[middle].last_key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* NULL: it is not in memory, and `*need` says which it is. */
static const struct block *load_block(struct view_table *table, uint32_t block,
                                      struct block_ref *need)
{
    // Sequentially consistent: guard.h.
    struct cache_item *item = atomic_load(&table->slots[block]);
    if (item == NULL) {
        *need = table_index_ref(table->index, block);
        return NULL;
    }
    cache_touch(item);
    return item->block;
}

/* A key's hash, under the filter key that was asked for last. */
struct hashed {
    struct bytes key;
    const struct short_hash_key *filter_key;
    struct short_hash hash;
};

static bool filter_has(const struct table_index *index, struct hashed *hashed)
{
    const struct short_hash_key *filter_key = table_index_filter_key(index);
    if (hashed->filter_key == NULL ||
        memcmp(hashed->filter_key->bytes, filter_key->bytes, sizeof filter_key->bytes) != 0) {
        hashed->hash = short_hash_of(filter_key, hashed->key);
        hashed->filter_key = filter_key;
    }
    return table_index_has(index, hashed->hash);
}

static enum status get_from_run(const struct view *view, const struct view_run *run,
                                struct hashed *hashed, struct entry *entry, struct block_ref *need)
{
    struct bytes key = hashed->key;
    uint32_t place = seek_table(view, run, key);
    if (place == run->count ||
        bytes_compare(view->manifest.tables[run->first + place].first_key, key) > 0) {
        return STATUS_NOT_FOUND;
    }
    struct view_table *table = view->tables[run->first + place];
    if (!filter_has(table->index, hashed)) {
        return STATUS_NOT_FOUND;
    }
    const struct block *content = load_block(table, table_index_seek(table->index, key), need);
    return content != NULL ? block_get(content, key, entry) : STATUS_GAP;
}

enum status view_get(const struct view *view, struct bytes key, struct entry *entry,
                     struct block_ref *need)
{
    struct hashed hashed = {.key = key};
    // Every entry of a run is newer than every entry of that key in the runs behind it: each
    // flush brings what lies above the floor of the flush before, and merges keep the order.
    for (uint32_t i = 0; i < view->run_count; i++) {
        enum status status = get_from_run(view, &view->runs[i], &hashed, entry, need);
        if (status != STATUS_NOT_FOUND) {
            return status;
        }
    }
    return STATUS_NOT_FOUND;
}

/* ---- in key order ---- */

void view_walk_release(struct view_walk *walk)
{
    if (walk->cursors != NULL) {
        buffer_wipe(walk->cursors, walk->cursor_capacity * sizeof *walk->cursors);
    }
    free(walk->cursors);
    buffer_wipe(walk, sizeof *walk);
}

static enum status reserve_cursors(struct view_walk *walk, uint32_t count)
{
    walk->cursor_count = 0;
    if (count <= walk->cursor_capacity) {
        return STATUS_OK;
    }
    view_walk_release(walk);
    walk->cursors = calloc(count, sizeof *walk->cursors);
    if (walk->cursors == NULL) {
        return STATUS_NO_MEMORY;
    }
    walk->cursor_capacity = count;
    return STATUS_OK;
}

static void read_key(struct view_cursor *cursor)
{
    struct block_key key = block_key_at(cursor->content, cursor->place);
    cursor->key = block_key_copy(&key, cursor->copy);
}

/* Stand at the first entry of the block, or of a later one if the run has one. */
static enum status enter_block(const struct view *view, const struct view_run *run,
                               struct view_cursor *cursor, struct block_ref *need)
{
    cursor->content = NULL;
    if (cursor->table == run->count) {
        return STATUS_OK;
    }
    struct view_table *table = view->tables[run->first + cursor->table];
    cursor->content = load_block(table, cursor->block, need);
    return cursor->content != NULL ? STATUS_OK : STATUS_GAP;
}

/* The place is behind the block's last entry: go to the next one. */
static enum status leave_block(const struct view *view, const struct view_run *run,
                               struct view_cursor *cursor, struct block_ref *need)
{
    const struct view_table *table = view->tables[run->first + cursor->table];
    cursor->place = 0;
    if (++cursor->block == table_index_count(table->index)) {
        cursor->block = 0;
        cursor->table++;
    }
    return enter_block(view, run, cursor, need);
}

static enum status settle(const struct view *view, const struct view_run *run,
                          struct view_cursor *cursor, struct block_ref *need)
{
    enum status status = STATUS_OK;
    if (cursor->content != NULL && cursor->place == block_count(cursor->content)) {
        status = leave_block(view, run, cursor, need);
    }
    if (status == STATUS_OK && cursor->content != NULL) {
        read_key(cursor);
    }
    return status;
}

static enum status seek_run(const struct view *view, const struct view_run *run,
                            struct view_cursor *cursor, struct bytes from, bool is_after,
                            struct block_ref *need)
{
    *cursor = (struct view_cursor){.table = seek_table(view, run, from)};
    if (cursor->table < run->count) {
        const struct view_table *table = view->tables[run->first + cursor->table];
        cursor->block = table_index_seek(table->index, from);
    }
    enum status status = enter_block(view, run, cursor, need);
    if (status != STATUS_OK || cursor->content == NULL) {
        return status;
    }
    cursor->place = block_seek(cursor->content, from);
    status = settle(view, run, cursor, need);
    if (status == STATUS_OK && is_after && cursor->content != NULL &&
        bytes_equal(cursor->key, from)) {
        cursor->place++;
        status = settle(view, run, cursor, need);
    }
    return status;
}

/* The lowest key's newest entry. STATUS_NOT_FOUND: all runs have ended. */
static enum status give(struct view_walk *walk, struct entry *entry)
{
    const struct view_cursor *lowest = NULL;
    for (uint32_t i = 0; i < walk->cursor_count; i++) {
        const struct view_cursor *cursor = &walk->cursors[i];
        // Of equal keys the first run's is the newest, as in view_get().
        if (cursor->content != NULL &&
            (lowest == NULL || bytes_compare(cursor->key, lowest->key) < 0)) {
            lowest = cursor;
        }
    }
    if (lowest == NULL) {
        return STATUS_NOT_FOUND;
    }
    block_entry_at(lowest->content, lowest->place, entry);
    memcpy(walk->last, lowest->key.at, lowest->key.length);
    walk->last_length = lowest->key.length;
    entry->tuple.key = bytes_of(walk->last, walk->last_length);
    return STATUS_OK;
}

enum status view_seek(const struct view *view, struct view_walk *walk, struct bytes from,
                      bool is_after, struct entry *entry, struct block_ref *need)
{
    enum status status = reserve_cursors(walk, view->run_count);
    for (uint32_t i = 0; i < view->run_count && status == STATUS_OK; i++) {
        status = seek_run(view, &view->runs[i], &walk->cursors[i], from, is_after, need);
        walk->cursor_count++;
    }
    return status == STATUS_OK ? give(walk, entry) : status;
}

enum status view_next(const struct view *view, struct view_walk *walk, struct entry *entry,
                      struct block_ref *need)
{
    struct bytes last = bytes_of(walk->last, walk->last_length);
    for (uint32_t i = 0; i < walk->cursor_count; i++) {
        struct view_cursor *cursor = &walk->cursors[i];
        if (cursor->content != NULL && bytes_equal(cursor->key, last)) {
            cursor->place++;
            enum status status = settle(view, &view->runs[i], cursor, need);
            if (status != STATUS_OK) {
                return status;
            }
        }
    }
    return give(walk, entry);
}
