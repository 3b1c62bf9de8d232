/* src/lsm/entry.h */
#ifndef LSM_ENTRY_H
#define LSM_ENTRY_H

#include <stdbool.h>

#include "capsule/tuple.h"
#include "capsule/writer.h"

/*
 * entry: one key's winner as CapsuleDB keeps it: what was put (or that it was deleted) and by
 * whom. Its version is (lamport, writer), as everywhere (DESIGN 6.5).
 */
struct entry {
    struct tuple tuple;  // borrows key and value
    struct writer_id writer;
};

/* Within the bounds of capsule/tuple.h, and its lamport at least 1. */
bool entry_is_sound(const struct entry *entry);

/* Whether the version of `entry` is above that of `than`. */
bool entry_is_newer(const struct entry *entry, const struct entry *than);

#endif
