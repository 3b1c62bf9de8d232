/* src/capsule/lookup_internal.h */
#ifndef CAPSULE_LOOKUP_INTERNAL_H
#define CAPSULE_LOOKUP_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/*
 * lookup: from the first eight bytes of a hash to a position in an array that
 * belongs to someone else, who compares the rest. Positions are only added.
 */
struct lookup_slot {
    uint64_t key;
    uint32_t position_plus_one;  // 0: free
};

struct lookup {
    struct lookup_slot *slots;
    size_t slot_count;  // 0 or a power of two
    size_t used_count;
};

enum { LOOKUP_NONE = UINT32_MAX };

void lookup_release(struct lookup *lookup);

/* Make room for one more. STATUS_NO_MEMORY: nothing changed. */
MUST_CHECK enum status lookup_reserve(struct lookup *lookup);

/* Add a position, after lookup_reserve(). */
void lookup_add(struct lookup *lookup, const uint8_t *hash_bytes, uint32_t position);

/*
 * The next position that may be that of this hash, or LOOKUP_NONE. Begin with
 * *probe = 0, and call again with what it left there.
 */
uint32_t lookup_next(const struct lookup *lookup, const uint8_t *hash_bytes, size_t *probe);

#endif
