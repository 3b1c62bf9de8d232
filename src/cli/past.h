/* src/cli/past.h */
#ifndef CLI_PAST_H
#define CLI_PAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/writer.h"
#include "cli/survey.h"
#include "crypto/hash.h"

/*
 * past: every version of one key that a capsule holds, and the epoch from which each counts: that
 * of the first SYNC which covers its record and, when it was written under a lock, the LOCK that
 * names it. Collected while a survey runs with the seed.
 */
enum past_state {
    PAST_COUNTS = 0,
    PAST_UNDECIDED,  // written under a lock, and no LOCK speaks of it yet
    PAST_VOID,       // written under a lock that was lost
};

struct past_version {
    uint64_t lamport;
    struct writer_id writer;
    uint64_t sequence;  // of its record
    struct hash record;
    uint64_t expiry_ms;  // 0: never
    bool is_delete;
    struct buffer value;
    struct hash lock;
    uint64_t fence;  // 0: written under no lock
    enum past_state state;
    uint64_t epoch;  // 0: no SYNC covers it yet
};

struct past_sync {
    uint64_t epoch;
    uint64_t time_ms;
    uint64_t floor;
};

struct past {
    struct bytes key;  // borrowed
    struct past_version *versions;
    size_t version_count;
    struct past_sync *syncs;  // in order
    size_t sync_count;
    struct past_head *heads;
    size_t head_count;
    struct past_lock *locks;
    size_t lock_count;
    struct survey_visitor visitor;
};

/* Plain, but borrowed by its own visitor: it stays where it is. */
void past_init(struct past *past, struct bytes key);
void past_release(struct past *past);

/* When the survey is over: what counts from when; versions are sorted, the highest last. */
void past_settle(struct past *past);

/*
 * The version in force as of a SYNC. STATUS_OK; STATUS_NOT_FOUND: none, it was deleted, or it had
 * expired (then `*version` is what says so, or NULL). STATUS_EMPTY: there is no such SYNC.
 */
MUST_CHECK enum status past_at(const struct past *past, uint64_t epoch,
                               const struct past_version **version);

/*
 * Whether a body that was pruned could have said something else about that SYNC: only what lies at
 * or below the floor is ever pruned.
 */
bool past_is_certain(const struct past *past, const struct past_version *version);

#endif
