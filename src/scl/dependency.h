/* src/scl/dependency.h */
#ifndef SCL_DEPENDENCY_H
#define SCL_DEPENDENCY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * dependency: what an answer rests on: for each writer the highest sequence
 * that was written or read on the way to it. Plain; all zeroes is "nothing".
 * `member` is the index of the writer in capsule_member_at().
 */
enum { DEPENDENCY_WRITERS_MAX = 64 };

struct dependency {
    uint32_t count;
    bool has_overflowed;  // more writers than fit: it rests on every head
    struct {
        uint32_t member;
        uint64_t sequence;
    } items[DEPENDENCY_WRITERS_MAX];
};

/* Raise the dependency to cover `sequence` of `member`. Sequence 0 adds nothing. */
void dependency_add(struct dependency *dependency, uint32_t member, uint64_t sequence);

#endif
