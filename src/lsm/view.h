/* src/lsm/view.h */
#ifndef LSM_VIEW_H
#define LSM_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "lsm/block.h"
#include "lsm/cache.h"
#include "lsm/entry.h"
#include "lsm/guard.h"
#include "lsm/manifest.h"
#include "lsm/table_index.h"

/*
 * view: one MANIFEST with its tables, as readers see it. Views share the tables that their
 * manifests share. Reading is for any thread, inside a section of the guard that protects the
 * cache's slots and the view itself; the rest is for one thread at a time.
 */

/* A table in memory. */
struct view_table {
    struct block_ref ref;       // of its index: what it is known by
    struct table_index *index;  // NULL: still missing; never changes once a view is read
    uint64_t user_count;        // views that list it
    cache_slot slots[];         // of its blocks
};

struct view {
    struct guard_item retired;
    struct buffer plain;  // of the manifest
    struct hash hash;     // of its record
    struct manifest manifest;
    struct view_table **tables;  // as the manifest lists them
    uint32_t missing_count;      // indexes that are NULL
    struct view_run *runs;       // in the order in which they are asked
    uint32_t run_count;
};

/* Tables [first, first + count): a level, or one run of level 0. */
struct view_run {
    uint32_t first;
    uint32_t count;
};

/*
 * `plain` is copied. Tables that `former` (may be NULL) holds too are shared.
 * STATUS_MALFORMED, STATUS_NO_MEMORY.
 */
MUST_CHECK enum status view_new(struct view **view, const struct hash *hash, struct bytes plain,
                                const struct view *former);
/* Tables that no other view uses leave the cache. */
void view_free(struct view *view, struct cache *cache);

/* The table that the record belongs to, and its place in the manifest; NULL: none. */
struct view_table *view_find(const struct view *view, const struct writer_id *writer,
                             uint64_t sequence, uint32_t *place);

/* As tree_get(). */
MUST_CHECK enum status view_get(const struct view *view, struct bytes key, struct entry *entry,
                                struct block_ref *need);

/* ---- in key order ---- */

/* Where a walk stands in one run. */
struct view_cursor {
    uint32_t table;  // counted from the run's first
    uint32_t block;
    uint32_t place;
    const struct block *content;  // NULL: the run has ended
    struct bytes key;             // in `copy`
    uint8_t copy[TUPLE_KEY_BYTES_MAX];
};

struct view_walk {
    struct view_cursor *cursors;  // one per run
    uint32_t cursor_count;
    uint32_t cursor_capacity;
    size_t last_length;  // of the key that was given
    uint8_t last[TUPLE_KEY_BYTES_MAX];
};

void view_walk_release(struct view_walk *walk);  // wipes

/* As tree_seek() and tree_next(). */
MUST_CHECK enum status view_seek(const struct view *view, struct view_walk *walk, struct bytes from,
                                 bool is_after, struct entry *entry, struct block_ref *need);
MUST_CHECK enum status view_next(const struct view *view, struct view_walk *walk,
                                 struct entry *entry, struct block_ref *need);

#endif
