/* src/capsule/capsule_internal.h */
#ifndef CAPSULE_CAPSULE_INTERNAL_H
#define CAPSULE_CAPSULE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "capsule/branch_internal.h"
#include "capsule/capsule.h"
#include "capsule/lookup_internal.h"
#include "capsule/stores.h"

/* The GENESIS record, until its leader's TERM says whose it is. */
struct capsule_pending {
    bool is_present;
    struct writer_id writer;
    struct hash hash;
    struct signature signature;
};

/* What the owner says in TERMs of the stores that count. */
struct capsule_statement {
    struct buffer bytes;
    struct stores stores;
};

enum { CAPSULE_STATEMENTS_MAX = 4096 };

struct capsule {
    struct buffer genesis_body;
    struct genesis genesis;  // borrows from genesis_body
    struct stores first_stores;
    struct capsule_statement **statements;  // each different one once
    size_t statement_count;
    struct capsule_pending pending;

    struct branch *branches;
    size_t branch_count;
    size_t branch_capacity;
    struct lookup branch_by_id;

    struct capsule_sync *syncs;  // in the order of epochs
    size_t sync_count;
    size_t sync_capacity;
    size_t joined_count;       // the first so many have no unmet heads
    uint64_t forgotten_epoch;  // SYNCs up to this epoch are not among them
    struct lookup sync_by_hash;

    uint64_t term;        // the highest accepted; 0: none
    uint64_t begun_term;  // the highest whose leader has begun
    size_t leader;        // its branch, when there is a term

    // What was decided last on each lock, by the leader of lock_term.
    uint64_t lock_term;
    struct capsule_lock *locks;
    size_t lock_count;
    size_t lock_capacity;
    struct lookup lock_by_name;

    struct capsule_gone *gone;  // as the snapshot had them that this began with; borrowed by none
    size_t gone_count;
    struct lookup gone_by_id;

    uint64_t revoke_epoch;  // of the newest REVOKE; 0: none

    uint64_t policy_version;
    struct buffer policy_body;  // as the owner signed it; empty while the GENESIS's is in force
    struct bytes policy;        // in that body

    uint64_t examination_count;
    bool is_overrun;
    struct branch_head manifest;         // that the newest SYNC names; all zeroes: none
    struct branch_head manifest_before;  // in effect before it
    char reason[CAPSULE_REASON_BYTES];
};

/* Say why a record is refused, and pass `status` on. */
enum status capsule_refuse(struct capsule *capsule, const struct record *record, enum status status,
                           const char *format, ...) __attribute__((format(printf, 4, 5)));

/* The first digits of a hash or id, for reasons. */
struct capsule_digits {
    char text[17];
};
struct capsule_digits capsule_digits_of(const void *bytes);

/* NULL: this writer is not among those that are no longer kept. */
const struct capsule_gone *capsule_gone_find(const struct capsule *capsule,
                                             const struct writer_id *id);

/* The SYNC of this epoch, or NULL. */
const struct capsule_sync *capsule_sync_at_epoch(const struct capsule *capsule, uint64_t epoch);

struct branch *capsule_branch_find(const struct capsule *capsule, const struct writer_id *id);

/*
 * Add a branch, all but whose id is yet to be filled; other branches may move.
 * STATUS_FULL, STATUS_NO_MEMORY: nothing changed.
 */
MUST_CHECK enum status capsule_branch_add(struct capsule *capsule, struct branch **branch,
                                          const struct writer_id *id);

/* Whether this record of a leader depends on its predecessors: all but closing one of them does. */
bool capsule_term_is_begun_by(const struct capsule *capsule, const struct branch *leader,
                              const struct record *record);

/* Whether the leader may write this now: its predecessors are complete, its epoch is right. */
MUST_CHECK enum status capsule_term_verify(struct capsule *capsule, const struct branch *leader,
                                           const struct record *record);

/* capsule_stores.c: the stores that count for what this leader writes. */
const struct stores *capsule_stores_of(const struct capsule *capsule, const struct branch *leader);
/*
 * The number of these bytes of a TERM among the statements; 0: they are none. STATUS_MALFORMED,
 * STATUS_FORGED: not the owner's; STATUS_FULL, STATUS_NO_MEMORY. On failure nothing changed.
 */
MUST_CHECK enum status capsule_stores_add(struct capsule *capsule, struct bytes bytes,
                                          uint16_t *statement);
void capsule_stores_release(struct capsule *capsule);

/*
 * Handlers: judge a record by its content, after its place and its signature
 * were found right, and apply it. On any but STATUS_OK nothing changed.
 * Branches may have moved afterwards.
 */

/* capsule_term.c: what the owner or the leader says about who takes part. */
enum status capsule_term_accept_genesis(struct capsule *capsule, const struct record *record);
enum status capsule_term_accept(struct capsule *capsule, const struct record *record);
enum status capsule_term_apply_member(struct capsule *capsule, struct branch *leader,
                                      const struct record *record);
/* What capsule_close_term() says. */
uint64_t capsule_term_of_close(const struct capsule *capsule, const struct branch *branch);
/* The term that this leader speaks for: its own, or that of the newest who closed it, and so on. */
uint64_t capsule_term_authority(const struct capsule *capsule, const struct branch *leader);
/*
 * Another leader closes this branch by a higher authority: who closed it before, and who built on
 * that, is void.
 */
void capsule_term_void_closers(struct capsule *capsule, const struct branch *closed);
enum status capsule_term_apply_policy(struct capsule *capsule, struct branch *leader,
                                      const struct record *record);
/*
 * Let the policy in this POLICY body be in force. STATUS_FORGED, STATUS_MALFORMED,
 * STATUS_NO_MEMORY.
 */
enum status capsule_term_keep_policy(struct capsule *capsule, struct bytes body);

/* capsule_sync.c: joins and cuts, and the stores' signatures they rest on. */
enum status capsule_sync_apply(struct capsule *capsule, struct branch *leader,
                               const struct record *record);
enum status capsule_sync_apply_close(struct capsule *capsule, struct branch *leader,
                                     const struct record *record);

/* capsule_prune.c: which bodies may go, and which MANIFEST is in effect. */
enum status capsule_prune_apply(struct capsule *capsule, struct branch *leader,
                                const struct record *record);
/*
 * Whether `named`, of that compactor, comes behind the one in effect: further up its branch, or of
 * a compactor admitted later.
 */
bool capsule_prune_moves_on(const struct capsule *capsule, const struct branch_head *named,
                            const struct capsule_member *compactor);
/* NULL, or why these bodies may not be named by a PRUNE. */
const char *capsule_prune_refusal(const struct capsule *capsule, const struct writer_id *writer,
                                  uint64_t from, uint64_t to);
/* Judge the MANIFEST that a SYNC names, its heads examined already; and let it take effect. */
MUST_CHECK enum status capsule_prune_verify_manifest(struct capsule *capsule,
                                                     const struct record *record,
                                                     const struct branch_head *named);
void capsule_prune_set_manifest(struct capsule *capsule, const struct branch_head *named);
/* Judge a compactor's record by what a SYNC has said of its place. */
MUST_CHECK enum status capsule_prune_verify_place(struct capsule *capsule,
                                                  const struct record *record);

/* capsule_keys.c: key epochs, and who gets no more keys. */
enum status capsule_keys_apply_revoke(struct capsule *capsule, struct branch *leader,
                                      const struct record *record);
/* Judge the key epoch of a sealed record; the one that a SYNC begins; whether a branch may join. */
MUST_CHECK enum status capsule_keys_verify_sealed(struct capsule *capsule,
                                                  const struct record *record, uint32_t expected);
MUST_CHECK enum status capsule_keys_verify_sync(struct capsule *capsule,
                                                const struct record *record);
MUST_CHECK enum status capsule_keys_verify_join(struct capsule *capsule,
                                                const struct branch *branch,
                                                const struct record *record,
                                                const struct capsule_sync *sync);

/* capsule_lock.c: what becomes of the grants of locks. */
enum status capsule_lock_apply(struct capsule *capsule, struct branch *leader,
                               const struct record *record);
/* Note one as a snapshot has it. STATUS_MALFORMED: it is known already. */
MUST_CHECK enum status capsule_lock_restore(struct capsule *capsule,
                                            const struct capsule_lock *lock);
/* Forget all of them. */
void capsule_lock_clear(struct capsule *capsule);

#endif
