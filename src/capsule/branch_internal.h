/* src/capsule/branch_internal.h */
#ifndef CAPSULE_BRANCH_INTERNAL_H
#define CAPSULE_BRANCH_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "capsule/capsule.h"

/*
 * branch: what a capsule keeps of one writer's chain: its end, and as much of
 * it as a SYNC may still speak of.
 *
 * `covered` is the last head that a SYNC or CLOSE named. What is here above the
 * last one that the branch has come to stands in `recent`; what was named and is
 * not here yet stands in `expected`, in the order of sequences. Whichever comes
 * first, the branch or the SYNC, the other is compared with it.
 */
enum {
    BRANCH_RECENT_MAX = 1 << 20,
    BRANCH_EXPECTED_MAX = 1 << 22,
    BRANCH_PRUNED_MAX = 1 << 20,
};

/* A SYNC says that the branch will have this head. */
struct branch_expectation {
    struct head head;
    uint32_t sync;  // its position among the capsule's SYNCs
};

/* Bodies that a PRUNE has named, both ends included. */
struct branch_range {
    uint64_t from;
    uint64_t to;
};

/* A record above what was named and reached, and the epoch that its branch had joined with it. */
struct branch_recent {
    struct hash hash;
    uint64_t joined_epoch;
};

#define BRANCH_JOINED_UNKNOWN UINT64_MAX

struct branch {
    struct capsule_member member;

    struct head covered;
    uint64_t covered_joined_epoch;  // what the branch had joined there; or BRANCH_JOINED_UNKNOWN
    uint64_t closed_term;           // of the leader that closed it; 0: open
    uint64_t closed_sequence;       // of the CLOSE, in that leader's branch
    bool is_listed_closed;          // a SYNC has listed it as closed: none will list it again

    struct branch_recent *recent;  // of recent_first, recent_first + 1, …
    size_t recent_count;
    size_t recent_capacity;
    uint64_t recent_first;

    struct branch_expectation *expected;
    size_t expected_start;  // those before it were met
    size_t expected_count;  // the others
    size_t expected_capacity;

    // Of a compactor: its newest MANIFEST here. After a leap nobody knows what lies between.
    struct head manifest;
    bool has_leapt;

    struct branch_range *pruned;  // in order, none touching the next
    size_t pruned_count;
    size_t pruned_capacity;

    // Of a leader: where its TERM stands, and whether it has gone beyond it and
    // beyond closing its predecessors.
    uint64_t term_sequence;
    bool has_begun;
    uint16_t statement;  // on the stores: its number among the capsule's, from 1; 0: the GENESIS's

    // While one SYNC is examined: which, and the stores that hold the head it lists.
    uint64_t examined_by;
    struct head examined_head;
    uint32_t examined_stores;
};

void branch_release(struct branch *branch);

/* Make room for one more record. STATUS_FULL: too many without a SYNC. STATUS_NO_MEMORY. */
MUST_CHECK enum status branch_reserve(struct branch *branch);

/* Make room for one more expectation. STATUS_FULL, STATUS_NO_MEMORY. */
MUST_CHECK enum status branch_reserve_expectation(struct branch *branch);

/* The hash of the record at `sequence`, if the branch still knows it. */
bool branch_hash_at(const struct branch *branch, uint64_t sequence, struct hash *hash);

/* The next head a SYNC named beyond the end, or NULL. */
const struct branch_expectation *branch_expectation(const struct branch *branch);

/* Drop the first expectation: it is met, and what lies below it needs no comparing any more. */
void branch_meet(struct branch *branch);

/*
 * The branch ends at `head` now, above the old one; after branch_reserve(). What it has joined with
 * that stands in its member already.
 */
void branch_grow(struct branch *branch, const struct head *head);

/*
 * A SYNC or CLOSE names `head`, not below `covered`: what lies at or below it
 * needs no comparing any more, once the branch has come to it.
 */
void branch_cover(struct branch *branch, const struct head *head);

/* A SYNC names a head not reached here; after branch_reserve_expectation(). */
void branch_expect(struct branch *branch, const struct head *head, uint32_t sync);

/* Make room for one more pruned range. STATUS_FULL, STATUS_NO_MEMORY. */
MUST_CHECK enum status branch_reserve_pruned(struct branch *branch, size_t count);

/* The bodies of a range are gone or may go; after branch_reserve_pruned(). */
void branch_prune(struct branch *branch, struct branch_range range);

bool branch_is_pruned(const struct branch *branch, uint64_t sequence);
/* The last of those pruned from `sequence` on without a gap; `sequence` - 1: it is not. */
uint64_t branch_pruned_end(const struct branch *branch, uint64_t sequence);

#endif
