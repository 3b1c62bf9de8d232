/* src/scl/holdback.c */
#include "scl/holdback.h"

#include <stdlib.h>
#include <string.h>

enum { HOLDBACK_BUCKET_COUNT = 4096 };

struct holdback_node {
    struct holdback_node *next;
    struct writer_id writer;
    uint64_t sequence;
    struct buffer bytes;
};

struct holdback {
    struct holdback_node *buckets[HOLDBACK_BUCKET_COUNT];
    size_t count;
    size_t byte_count;
};

// Neighbours of one branch lie in neighbouring buckets: writers are hashes, sequences count up.
static size_t bucket_of(const struct writer_id *writer, uint64_t sequence)
{
    uint64_t word;
    memcpy(&word, writer->bytes, sizeof word);
    return (size_t)(word + sequence) % HOLDBACK_BUCKET_COUNT;
}

/* The link that points at the node, or at NULL where it would hang. */
static struct holdback_node **link_find(struct holdback *holdback, const struct writer_id *writer,
                                        uint64_t sequence)
{
    struct holdback_node **link = &holdback->buckets[bucket_of(writer, sequence)];
    while (*link != NULL &&
           ((*link)->sequence != sequence || !writer_id_equal(&(*link)->writer, writer))) {
        link = &(*link)->next;
    }
    return link;
}

/* Unhook the node; its bytes become the caller's. */
static struct buffer node_remove(struct holdback *holdback, struct holdback_node **link)
{
    struct holdback_node *node = *link;
    struct buffer bytes = node->bytes;
    *link = node->next;
    holdback->count--;
    holdback->byte_count -= bytes.length;
    free(node);
    return bytes;
}

enum status holdback_new(struct holdback **holdback)
{
    *holdback = calloc(1, sizeof **holdback);
    return *holdback == NULL ? STATUS_NO_MEMORY : STATUS_OK;
}

void holdback_free(struct holdback *holdback)
{
    if (holdback == NULL) {
        return;
    }
    for (size_t i = 0; i < HOLDBACK_BUCKET_COUNT; i++) {
        while (holdback->buckets[i] != NULL) {
            struct buffer bytes = node_remove(holdback, &holdback->buckets[i]);
            buffer_release(&bytes);
        }
    }
    free(holdback);
}

enum status holdback_put(struct holdback *holdback, const struct record *record)
{
    struct holdback_node **link = link_find(holdback, &record->writer, record->sequence);
    if (*link != NULL) {
        return STATUS_STALE;
    }
    if (holdback->count == HOLDBACK_COUNT_MAX ||
        holdback->byte_count + record->whole.length > HOLDBACK_BYTES_MAX) {
        return STATUS_FULL;
    }
    struct holdback_node *node = calloc(1, sizeof *node);
    if (node == NULL) {
        return STATUS_NO_MEMORY;
    }
    enum status status = buffer_append(&node->bytes, record->whole.at, record->whole.length);
    if (status != STATUS_OK) {
        free(node);
        return status;
    }
    node->writer = record->writer;
    node->sequence = record->sequence;
    *link = node;
    holdback->count++;
    holdback->byte_count += node->bytes.length;
    return STATUS_OK;
}

bool holdback_is_tight(const struct holdback *holdback)
{
    return holdback->count > HOLDBACK_COUNT_MAX / 4 * 3 ||
           holdback->byte_count > HOLDBACK_BYTES_MAX / 4 * 3;
}

bool holdback_has(const struct holdback *holdback, const struct writer_id *writer,
                  uint64_t sequence)
{
    // link_find() changes nothing; it only hands out a link that others change.
    return *link_find((struct holdback *)(uintptr_t)holdback, writer, sequence) != NULL;
}

enum status holdback_take(struct holdback *holdback, const struct writer_id *writer,
                          uint64_t sequence, struct buffer *bytes)
{
    struct holdback_node **link = link_find(holdback, writer, sequence);
    if (*link == NULL) {
        return STATUS_NOT_FOUND;
    }
    *bytes = node_remove(holdback, link);
    return STATUS_OK;
}

enum status holdback_next(const struct holdback *holdback, size_t *place, struct writer_id *writer,
                          uint64_t *sequence)
{
    // A place is bucket and depth; depths are small, for the table is wide.
    enum { DEPTH_BITS = 16 };
    size_t bucket = *place >> DEPTH_BITS;
    size_t depth = *place & ((1u << DEPTH_BITS) - 1);
    while (bucket < HOLDBACK_BUCKET_COUNT) {
        const struct holdback_node *node = holdback->buckets[bucket];
        for (size_t i = 0; node != NULL && i < depth; i++) {
            node = node->next;
        }
        if (node != NULL) {
            *writer = node->writer;
            *sequence = node->sequence;
            *place = (bucket << DEPTH_BITS) + depth + 1;
            return STATUS_OK;
        }
        bucket++;
        depth = 0;
    }
    return STATUS_EMPTY;
}

void holdback_drop(struct holdback *holdback, const struct writer_id *writer, uint64_t sequence)
{
    if (holdback->count == 0) {
        return;
    }
    for (size_t i = 0; i < HOLDBACK_BUCKET_COUNT; i++) {
        struct holdback_node **link = &holdback->buckets[i];
        while (*link != NULL) {
            if ((*link)->sequence <= sequence && writer_id_equal(&(*link)->writer, writer)) {
                struct buffer bytes = node_remove(holdback, link);
                buffer_release(&bytes);
            } else {
                link = &(*link)->next;
            }
        }
    }
}

size_t holdback_count(const struct holdback *holdback)
{
    return holdback->count;
}
