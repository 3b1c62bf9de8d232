/* src/scl/overlay.h */
#ifndef SCL_OVERLAY_H
#define SCL_OVERLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/tuple.h"

/*
 * overlay: what was written under a lock and has not left yet, by key: a later write of a key takes
 * the place of an earlier one. All of it fits into one DATA record. Plain; all zeroes is empty.
 */
struct overlay_entry {
    struct buffer key;
    struct buffer value;
    enum tuple_kind kind;
    uint64_t expiry_ms;
};

struct overlay {
    struct overlay_entry *entries;  // in the order of their keys
    size_t count;
    size_t capacity;
    size_t bytes;  // at most, of the batch they will be
};

/* The order of keys: by bytes; of two that begin alike the shorter comes first. */
int overlay_compare(struct bytes a, struct bytes b);

void overlay_release(struct overlay *overlay);

/* Keep a copy; the lamport is ignored. STATUS_FULL: no record holds as much. STATUS_NO_MEMORY. */
MUST_CHECK enum status overlay_put(struct overlay *overlay, const struct tuple *tuple);

/* NULL: not written here. Valid until the next put. */
const struct overlay_entry *overlay_find(const struct overlay *overlay, struct bytes key);

/* The first entry at or after `from` (after it, when `is_after`), or NULL. */
const struct overlay_entry *overlay_seek(const struct overlay *overlay, struct bytes from,
                                         bool is_after);

#endif
