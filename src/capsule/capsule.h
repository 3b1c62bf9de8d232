/* src/capsule/capsule.h */
#ifndef CAPSULE_CAPSULE_H
#define CAPSULE_CAPSULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "capsule/genesis.h"
#include "capsule/member.h"
#include "capsule/record.h"
#include "capsule/stores.h"
#include "capsule/sync.h"
#include "capsule/term.h"
#include "capsule/writer.h"

/*
 * capsule: what the records accepted so far say, every one of them verified.
 * Store, worker, leader and offline verifier all run this very code; it needs
 * no secret. It starts from a GENESIS body alone and keeps of each branch its
 * end, never the records themselves.
 *
 * Invariants (kept by capsule_accept()):
 *  1. A branch grows by one: sequence = head + 1 and the first parent is the head.
 *  2. A writer is known before its first record: by an owner-signed TERM (leader)
 *     or a MEMBER of the current leader.
 *  3. Only who may sign a type has signed it: worker DATA and EOE; compactor TABLE,
 *     MANIFEST and EOE; leader the rest, and with the owner's signature where DESIGN 5.1 asks
 *     for it.
 *  4. Terms rise: a leader of a lower term adds nothing beyond its cut. A leader's branch
 *     begins with its TERM and the CLOSE of its one predecessor; all else of it waits until
 *     that branch is here up to its cut, and those of its predecessors. So the leaders' records
 *     have one order, and every replica judges them alike.
 *  5. Nothing is accepted beyond a cut, and what is at the cut has the hash the CLOSE names.
 *  6. A branch and a SYNC or CLOSE that speak of the same (writer, sequence) speak of the same
 *     hash: a record is refused that is not the one named before. Where the record came first, its
 *     writer has forked, and what W stores hold or R stores have fenced counts (forked_sequence).
 *  7. A record's SYNC parent is known and newer than the one its branch joined before; its epoch
 *     is one more than that SYNC's. A SYNC's own epoch, time, lamport and floor do not fall;
 *     other records of a leader carry one more than the epoch of the newest SYNC (its TERM and
 *     the CLOSE of its predecessor: at least one more than the epoch its TERM names).
 *  8. What a SYNC lists, W stores have signed to hold; what a CLOSE cuts, R stores have fenced: of
 *     those that the TERM of its leader names, and a branch of an earlier term also of those
 *     before. A leader follows one whose stores are among these, and no newer word of the owner's.
 *  9. The MANIFEST that SYNCs name is one that W stores hold, and it only moves on: along the
 *     branch of one compactor, then to a compactor admitted later.
 * 10. A PRUNE rests on the MANIFEST in effect, names only what a SYNC or a CLOSE has named before,
 *     and neither that MANIFEST nor the one in effect before it (capsule/prune.h).
 * 11. Fences rise: of each lock that is remembered, from one LOCK to the next. A LOCK names a
 *     record of a worker's branch that its leader has not closed before.
 * 12. A sealed record names the key epoch in force where it stands: that of the SYNC its branch has
 *     joined, of a leader that of the newest SYNC. Key epochs begin with 1 and rise by one, each
 *     with a SYNC.
 * 13. The SYNC after a REVOKE begins a key epoch, and a revoked branch joins neither it nor a later
 *     one. Only what the owner has revoked is closed for that reason.
 */
struct capsule;

enum {
    CAPSULE_MEMBERS_MAX = 65536,
    CAPSULE_SYNCS_MAX = 1 << 24,
    CAPSULE_LOCKS_MAX = 1 << 15,  // names that are remembered; a snapshot of them fits a MANIFEST
    CAPSULE_KEY_EPOCH_FIRST = 1,  // in force before the first SYNC
};

/* One writer. Read-only for others. */
struct capsule_member {
    struct writer_id id;
    struct verify_key key;
    enum member_role role;
    uint64_t term;            // of a leader: its own; of others: that of the leader who admitted it
    struct hash admitted_by;  // hash of its TERM or MEMBER record
    uint64_t admitted_sequence;  // that record's, in its leader's branch
    struct hash evidence_hash;
    struct p256_public tls_key;  // zeroes for a leader
    struct head head;
    struct hash joined;  // the SYNC this branch last named as parent (or its MEMBER's)
    uint64_t joined_epoch;
    uint64_t joined_lamport;    // L of that SYNC
    uint32_t joined_key_epoch;  // in force from that SYNC on: what the branch seals with
    uint64_t revoked_epoch;     // it may join no SYNC from this epoch on; 0: not revoked
    bool is_closed;
    struct head cut;   // meaningful when closed
    uint64_t until_s;  // of a leader that a keeper made: when its delegation ends; else 0
    bool is_void;      // of a leader: it is not in the chain of a later one, so that nothing of it
                       // counts beyond its TERM
    uint64_t forked_sequence;  // a SYNC or CLOSE names another record than this one here: nothing
                               // of the branch counts from here on; 0: none does
};

/* A SYNC. */
struct capsule_sync {
    struct hash hash;
    uint64_t epoch;
    uint64_t sequence;  // in its leader's branch
    struct writer_id leader;
    uint64_t term;
    uint64_t lamport;
    uint64_t floor;
    uint64_t time_ms;
    struct branch_head manifest;  // in effect; all zeroes: none
    uint32_t key_epoch;           // in force from it on
    uint32_t unmet_count;         // heads it names that have not been reached here
};

/* What was decided last on a lock in this term. */
struct capsule_lock {
    struct hash name;   // HMAC of it
    uint64_t fence;     // of the grant that was decided; so are all before it
    uint64_t sequence;  // of the LOCK, in its leader's branch
};

/* A branch that was closed, was here up to its cut, and is no longer kept (capsule_snapshot.h). */
struct capsule_gone {
    struct writer_id id;
    uint64_t cut;
};

/* Why a record was refused, for people: which record, what disagreed. */
enum { CAPSULE_REASON_BYTES = 256 };

/*
 * STATUS_MALFORMED, STATUS_FORGED: no valid GENESIS. `genesis_body` is copied.
 */
MUST_CHECK enum status capsule_new(struct capsule **capsule, struct bytes genesis_body);
void capsule_free(struct capsule *capsule);

/*
 * Exchange what two capsules of one GENESIS have come to; what others borrow of either's GENESIS
 * stays where it is.
 */
void capsule_exchange(struct capsule *a, struct capsule *b);

const struct genesis *capsule_genesis(const struct capsule *capsule);
struct bytes capsule_genesis_body(const struct capsule *capsule);
const struct hash *capsule_name(const struct capsule *capsule);

/*
 * Accept one record: everything is checked, its signature included.
 *
 * STATUS_OK: accepted, the branch grew.
 * STATUS_STALE: its sequence is not above the head; whether it is the same record is for
 *   the caller to compare, who has the earlier one.
 * STATUS_GAP: an ancestor (the record before, the MEMBER, the SYNC parent) is not here yet.
 * STATUS_CLOSED: beyond a cut, or of an ended term.
 * STATUS_FULL: a bound below; nothing more fits.
 * STATUS_MALFORMED, STATUS_FORGED, STATUS_DENIED (this role may not sign this type),
 * STATUS_FORKED: it follows another record than the head, although signed.
 * STATUS_NO_MEMORY. On any but STATUS_OK nothing changed; capsule_reason() says why.
 */
MUST_CHECK enum status capsule_accept(struct capsule *capsule, const struct record *record);

/*
 * Verify a run: `count` ≥ 1 records of one known writer, each the parent of
 * the next, beginning just above its head, the last one signed: its signature vouches for all.
 * Then each may be given to capsule_accept_vouched(). Same statuses; changes nothing.
 */
MUST_CHECK enum status capsule_verify_run(struct capsule *capsule, const struct record *records,
                                          size_t count);

/* As capsule_accept(), without the signature: capsule_verify_run() has seen it. */
MUST_CHECK enum status capsule_accept_vouched(struct capsule *capsule, const struct record *record);

/*
 * A leader follows the ends of branches without holding their DATA: accept an
 * EOE whose signature verifies and whose sequence is above the head, whatever lies between.
 */
MUST_CHECK enum status capsule_accept_leap(struct capsule *capsule, const struct record *record);

/* The reason of the last refusal: one phrase with the values that disagreed. Owned by `capsule`. */
const char *capsule_reason(const struct capsule *capsule);

/* NULL when unknown. Valid until the next capsule_accept…(). */
const struct capsule_member *capsule_member_find(const struct capsule *capsule,
                                                 const struct writer_id *id);
size_t capsule_member_count(const struct capsule *capsule);
const struct capsule_member *capsule_member_at(const struct capsule *capsule, size_t index);
/* The index of a member of this capsule; it never changes. */
size_t capsule_member_index(const struct capsule *capsule, const struct capsule_member *member);

/* The last sequence of this branch that a SYNC or CLOSE has named. */
uint64_t capsule_covered_sequence(const struct capsule *capsule,
                                  const struct capsule_member *member);

/* The last head of this branch that a SYNC or CLOSE has named: it may not be reached here yet. */
struct head capsule_named_head(const struct capsule *capsule, const struct capsule_member *member);

/* The hash of its record at that place, if that is here and nothing here above it was named. */
bool capsule_hash_at(const struct capsule *capsule, const struct capsule_member *member,
                     uint64_t sequence, struct hash *hash);

/* Whether a SYNC lists this branch as closed: none will list it again. */
bool capsule_is_listed_closed(const struct capsule *capsule, const struct capsule_member *member);

/*
 * On whose word a closed branch ends: the term of the leader that closed it, or, where that one was
 * closed in turn, of the one that did, and so on. 0: it is open.
 */
uint64_t capsule_close_term(const struct capsule *capsule, const struct capsule_member *member);

/*
 * Whether W stores are known to hold that CLOSE, and a SYNC after it: no later leader can be
 * without it.
 */
bool capsule_is_close_settled(const struct capsule *capsule, const struct capsule_member *member);

/* Whether a SYNC of this leader is here: before, it cannot have come to lead. */
bool capsule_has_synced(const struct capsule *capsule, const struct capsule_member *leader);

size_t capsule_gone_count(const struct capsule *capsule);
const struct capsule_gone *capsule_gone_at(const struct capsule *capsule, size_t index);

/* The leader of the highest term; NULL before the first TERM. */
const struct capsule_member *capsule_leader(const struct capsule *capsule);
uint64_t capsule_term(const struct capsule *capsule);
uint64_t capsule_policy_version(const struct capsule *capsule);
struct bytes capsule_policy(const struct capsule *capsule);  // the policy in force; owned
/* The body of the POLICY record it is from; empty while the GENESIS's is in force. Owned. */
struct bytes capsule_policy_body(const struct capsule *capsule);

/* The stores that count in the highest term. Valid until the next capsule_accept…(). */
const struct stores *capsule_stores(const struct capsule *capsule);

/* The key epoch in force after the newest SYNC; 1 before the first. */
uint32_t capsule_key_epoch(const struct capsule *capsule);
/* Whether the next SYNC must begin a key epoch: a member was revoked. */
bool capsule_must_rotate(const struct capsule *capsule);

/* The newest SYNC accepted; the newest whose heads are all reached here (joined); NULL for none. */
const struct capsule_sync *capsule_newest_sync(const struct capsule *capsule);
const struct capsule_sync *capsule_joined_sync(const struct capsule *capsule);
const struct capsule_sync *capsule_sync_find(const struct capsule *capsule,
                                             const struct hash *hash);

/*
 * Whether this SYNC belongs to the history accepted here. One of an epoch that is no longer kept
 * (capsule_snapshot.h) does: the leaders since have been held to theirs when they began.
 */
bool capsule_includes_sync(const struct capsule *capsule, const struct hash *hash, uint64_t epoch);

/*
 * The epoch of the first SYNC that a leader of a higher term than this one wrote, of those that are
 * kept; UINT64_MAX: none did. Whoever has seen a SYNC of this epoch or a later one by a leader of
 * this term or a lower one has seen what does not count: the owner gave it up (capsule/term.h).
 */
uint64_t capsule_epoch_after(const struct capsule *capsule, uint64_t term);

/*
 * What is missing of all that a SYNC or a CLOSE named: until the newest SYNC
 * is joined, and closed branches are here up to their cuts. Call with *index = 0, and
 * again with what it left there, until STATUS_EMPTY. `wanted` names a writer and the
 * sequence to reach; `from` is the first missing one.
 */
MUST_CHECK enum status capsule_missing(const struct capsule *capsule, size_t *index,
                                       struct branch_head *wanted, uint64_t *from);

/*
 * Whether a PRUNE accepted here names the body of this record. A record whose body is gone while
 * this is false has lost it by somebody's fault.
 */
bool capsule_is_pruned(const struct capsule *capsule, const struct writer_id *writer,
                       uint64_t sequence);

/*
 * NULL: nothing was decided on it in the term of the present leader, or before the newest SYNC of
 * that term: names are forgotten when there are too many.
 */
const struct capsule_lock *capsule_lock_find(const struct capsule *capsule,
                                             const struct hash *name);
/* On how many anything was. */
size_t capsule_lock_count(const struct capsule *capsule);
/* Forget what was decided before the newest SYNC of this term. STATUS_NO_MEMORY: nothing was. */
MUST_CHECK enum status capsule_lock_forget(struct capsule *capsule);

/*
 * The last of the records from `sequence` on that are pruned without a gap; `sequence` - 1: none.
 */
uint64_t capsule_pruned_end(const struct capsule *capsule, const struct writer_id *writer,
                            uint64_t sequence);

/* Whether a PRUNE may name these bodies of a branch, as far as one sees without keys. */
bool capsule_may_prune(const struct capsule *capsule, const struct writer_id *writer, uint64_t from,
                       uint64_t to);

/* Whether a SYNC may name this MANIFEST after the one in effect, once W stores hold it. */
bool capsule_manifest_may_follow(const struct capsule *capsule, const struct branch_head *manifest);

/*
 * Whether this replica holds what does not count: some branch went beyond a cut accepted later, or
 * holds another record than was named later (forked_sequence), or a leader wrote here of whom its
 * successor does not know (is_void). The replica discards itself, or what does not count.
 */
bool capsule_is_overrun(const struct capsule *capsule);

#endif
