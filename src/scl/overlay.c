/* src/scl/overlay.c */
#include "scl/overlay.h"

#include <stdlib.h>
#include <string.h>

enum {
    // Of a tuple, beside key and value: header, varint, expiry.
    OVERLAY_TUPLE_BYTES_MAX = 8 + 10 + 8,
    // Of the batch: header and tag.
    OVERLAY_BATCH_BYTES = TUPLE_BATCH_HEADER_BYTES + HASH_BYTES + 8,
};

void overlay_release(struct overlay *overlay)
{
    for (size_t i = 0; i < overlay->count; i++) {
        buffer_release(&overlay->entries[i].key);
        buffer_release(&overlay->entries[i].value);
    }
    free(overlay->entries);
    *overlay = (struct overlay){.entries = NULL};
}

int overlay_compare(struct bytes a, struct bytes b)
{
    size_t length = a.length < b.length ? a.length : b.length;
    int order = length == 0 ? 0 : memcmp(a.at, b.at, length);
    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

/* The index of the first entry whose key is not below `key`. */
static size_t lower_bound(const struct overlay *overlay, struct bytes key)
{
    size_t low = 0, high = overlay->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (overlay_compare(buffer_bytes(&overlay->entries[middle].key), key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_at(const struct overlay *overlay, size_t index, struct bytes key)
{
    return index < overlay->count && bytes_equal(buffer_bytes(&overlay->entries[index].key), key);
}

const struct overlay_entry *overlay_find(const struct overlay *overlay, struct bytes key)
{
    size_t index = lower_bound(overlay, key);
    return is_at(overlay, index, key) ? &overlay->entries[index] : NULL;
}

const struct overlay_entry *overlay_seek(const struct overlay *overlay, struct bytes from,
                                         bool is_after)
{
    size_t index = lower_bound(overlay, from);
    if (is_after && is_at(overlay, index, from)) {
        index++;
    }
    return index < overlay->count ? &overlay->entries[index] : NULL;
}

static enum status reserve(struct overlay *overlay)
{
    if (overlay->count < overlay->capacity) {
        return STATUS_OK;
    }
    size_t capacity = overlay->capacity == 0 ? 8 : 2 * overlay->capacity;
    struct overlay_entry *grown = realloc(overlay->entries, capacity * sizeof *grown);
    if (grown == NULL) {
        return STATUS_NO_MEMORY;
    }
    overlay->entries = grown;
    overlay->capacity = capacity;
    return STATUS_OK;
}

static enum status copy(struct overlay_entry *entry, const struct tuple *tuple)
{
    *entry = (struct overlay_entry){.kind = tuple->kind, .expiry_ms = tuple->expiry_ms};
    enum status status = buffer_append(&entry->key, tuple->key.at, tuple->key.length);
    if (status == STATUS_OK && tuple->value.length > 0) {
        status = buffer_append(&entry->value, tuple->value.at, tuple->value.length);
    }
    if (status != STATUS_OK) {
        buffer_release(&entry->key);
    }
    return status;
}

enum status overlay_put(struct overlay *overlay, const struct tuple *tuple)
{
    size_t index = lower_bound(overlay, tuple->key);
    bool is_known = is_at(overlay, index, tuple->key);
    size_t bytes = overlay->bytes == 0 ? OVERLAY_BATCH_BYTES : overlay->bytes;
    bytes += OVERLAY_TUPLE_BYTES_MAX + tuple->key.length + tuple->value.length;
    if (is_known) {
        bytes -= OVERLAY_TUPLE_BYTES_MAX + tuple->key.length + overlay->entries[index].value.length;
    }
    if (bytes > TUPLE_BATCH_BYTES_MAX) {
        return STATUS_FULL;
    }
    struct overlay_entry made;
    enum status status = is_known ? STATUS_OK : reserve(overlay);
    if (status == STATUS_OK) {
        status = copy(&made, tuple);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct overlay_entry *entry = &overlay->entries[index];
    if (is_known) {
        buffer_release(&entry->key);
        buffer_release(&entry->value);
    } else {
        memmove(entry + 1, entry, (overlay->count - index) * sizeof *entry);
        overlay->count++;
    }
    *entry = made;
    overlay->bytes = bytes;
    return STATUS_OK;
}
