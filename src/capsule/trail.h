/* src/capsule/trail.h */
#ifndef CAPSULE_TRAIL_H
#define CAPSULE_TRAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "capsule/record.h"
#include "capsule/writer.h"

/*
 * trail: whether the records that somebody gives of a branch lead to a head that a SYNC or CLOSE
 * names. Whoever has a writer's key may sign several records for one place; the hashes, from the
 * one that is named backwards, say which of them counts. Nothing else of the records is looked at:
 * the named hash vouches for all of them, once it is reached.
 *
 * They go in from the lowest to the named one, in order; none is kept.
 */
struct trail {
    struct branch_head named;  // where it has to lead
    uint64_t next;             // the record awaited; 0: no trail is followed
    struct hash last;          // of the one before
    bool has_begun;
};

void trail_begin(struct trail *trail, const struct branch_head *named, uint64_t from);

/* Whether it is the one awaited and follows the one before; else it is passed over. */
bool trail_follow(struct trail *trail, const struct record *record);

/* Whether the named head was reached: then what was followed leads there, and nothing else does. */
bool trail_has_led(const struct trail *trail);

#endif
