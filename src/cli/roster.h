/* src/cli/roster.h */
#ifndef CLI_ROSTER_H
#define CLI_ROSTER_H

#include <stddef.h>
#include <stdint.h>

#include "capsule/sync.h"
#include "cli/survey.h"

/*
 * roster: what a capsule says of its members and keys over time, beside what the capsule core
 * keeps: which SYNC began which key epoch, and why which branch ended. Give `visitor` to
 * a survey; then read.
 */
struct roster_key {
    uint32_t key_epoch;
    uint64_t epoch;  // of the SYNC that began it; 0: the first one, before any SYNC
    uint64_t time_ms;
};

struct roster_end {
    struct branch_head cut;
    enum sync_close_reason reason;
};

struct roster {
    struct roster_key *keys;
    size_t key_count;
    struct roster_end *ends;
    size_t end_count;
    struct survey_visitor visitor;
};

/* `roster` stays where it is until roster_release(). */
void roster_init(struct roster *roster);
void roster_release(struct roster *roster);

/* How this branch ended; NULL: it did not. */
const struct roster_end *roster_end_find(const struct roster *roster,
                                         const struct writer_id *writer);

/* "exited", "revoked", … Static. */
const char *roster_reason_text(enum sync_close_reason reason);

#endif
