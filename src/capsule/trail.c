/* src/capsule/trail.c */
#include "capsule/trail.h"

void trail_begin(struct trail *trail, const struct branch_head *named, uint64_t from)
{
    *trail = (struct trail){.named = *named, .next = from};
}

bool trail_follow(struct trail *trail, const struct record *record)
{
    if (trail->next == 0 || record->sequence != trail->next ||
        record->sequence > trail->named.head.sequence ||
        !writer_id_equal(&record->writer, &trail->named.writer)) {
        return false;
    }
    if (trail->has_begun) {
        // Only a first record has no one before it.
        struct hash parent = record_parent(record, 0);
        if (!hash_equal(&parent, &trail->last)) {
            return false;
        }
    }
    trail->has_begun = true;
    trail->last = record->hash;
    trail->next++;
    return true;
}

bool trail_has_led(const struct trail *trail)
{
    return trail->next > trail->named.head.sequence &&
           hash_equal(&trail->last, &trail->named.head.hash);
}
