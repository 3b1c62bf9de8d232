/* src/scl/dependency.h */
#ifndef SCL_DEPENDENCY_H
#define SCL_DEPENDENCY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * dependency: what an answer rests on: for each writer the highest sequence
 * that was written or read on the way to it. Plain; all zeroes is "nothing".
 * `member` is the index of the writer in capsule_member_at(). The replica's own
 * branch has a place of its own: records of others were whole when they were
 * read, so that "every head" covers them; an own one may not be sealed yet.
 */
enum { DEPENDENCY_WRITERS_MAX = 64 };

struct dependency {
    uint32_t count;
    bool has_overflowed;  // more writers than fit: it rests on every head
    uint64_t own_sequence;
    struct {
        uint32_t member;
        uint64_t sequence;
    } items[DEPENDENCY_WRITERS_MAX];
};

/* Raise the dependency to cover `sequence` of `member`. Sequence 0 adds nothing. */
void dependency_add(struct dependency *dependency, uint32_t member, uint64_t sequence);

/* The same for the replica's own branch. */
void dependency_add_own(struct dependency *dependency, uint64_t sequence);

/* Up to where it rests on `member`: 0, not at all. */
uint64_t dependency_on(const struct dependency *dependency, uint32_t member);

/* Whether it rests on nothing. */
bool dependency_is_empty(const struct dependency *dependency);

#endif
