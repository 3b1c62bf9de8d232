/* src/capsule/lookup.c */
#include "capsule/lookup_internal.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/cursor.h"

enum { SLOT_COUNT_MIN = 64 };

/* The first eight bytes: whoever chose them had to grind a SHA-256, and be admitted with it. */
static uint64_t key_of(const uint8_t *hash_bytes)
{
    struct cursor in = cursor_over(hash_bytes, sizeof(uint64_t));
    return cursor_u64(&in);
}

static void slots_put(struct lookup_slot *slots, size_t slot_count, struct lookup_slot slot)
{
    size_t at = slot.key & (slot_count - 1);
    while (slots[at].position_plus_one != 0) {
        at = (at + 1) & (slot_count - 1);
    }
    slots[at] = slot;
}

void lookup_release(struct lookup *lookup)
{
    free(lookup->slots);
    *lookup = (struct lookup){.slots = NULL};
}

enum status lookup_reserve(struct lookup *lookup)
{
    // Half empty, so that every search meets a free slot soon.
    if (2 * (lookup->used_count + 1) <= lookup->slot_count) {
        return STATUS_OK;
    }
    size_t slot_count = lookup->slot_count == 0 ? SLOT_COUNT_MIN : 2 * lookup->slot_count;
    struct lookup_slot *slots = calloc(slot_count, sizeof *slots);
    if (slots == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (size_t i = 0; i < lookup->slot_count; i++) {
        if (lookup->slots[i].position_plus_one != 0) {
            slots_put(slots, slot_count, lookup->slots[i]);
        }
    }
    free(lookup->slots);
    lookup->slots = slots;
    lookup->slot_count = slot_count;
    return STATUS_OK;
}

void lookup_add(struct lookup *lookup, const uint8_t *hash_bytes, uint32_t position)
{
    CHECK(lookup->used_count < lookup->slot_count && position < LOOKUP_NONE);
    struct lookup_slot slot = {
        .key = key_of(hash_bytes),
        .position_plus_one = position + 1,
    };
    slots_put(lookup->slots, lookup->slot_count, slot);
    lookup->used_count++;
}

uint32_t lookup_next(const struct lookup *lookup, const uint8_t *hash_bytes, size_t *probe)
{
    uint64_t key = key_of(hash_bytes);
    while (*probe < lookup->slot_count) {
        size_t at = (key + *probe) & (lookup->slot_count - 1);
        const struct lookup_slot *slot = &lookup->slots[at];
        (*probe)++;
        if (slot->position_plus_one == 0) {
            return LOOKUP_NONE;
        }
        if (slot->key == key) {
            return slot->position_plus_one - 1;
        }
    }
    return LOOKUP_NONE;
}
