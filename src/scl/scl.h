/* src/scl/scl.h */
#ifndef SCL_SCL_H
#define SCL_SCL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/status.h"
#include "capsule/capsule.h"
#include "capsule/tuple.h"
#include "crypto/secret.h"
#include "crypto/sign.h"
#include "lsm/block.h"
#include "scl/dependency.h"
#include "scl/memtable.h"
#include "wire/frame.h"

/*
 * scl: the Secure Concurrency Layer of one worker: a replica of the key-value
 * store and the branch that this enclave writes (DESIGN 3, 6.4 to 6.6).
 *
 * Sans-IO: frames and the time go in; frames and a wake-up time come out. Not
 * thread-safe: the enclave holds one lock around every call here, except where
 * a contract says "without the lock". Cryptography is split off into jobs
 * that run without the lock: the sealer's and the opener's.
 *
 * Invariants:
 *  1. A put is stamped and appended to the open batch in one step, so lamports
 *     rise along the branch.
 *  2. A record's tuples are applied after capsule_accept(), in branch order, all or none.
 *  3. One sealer: records of the own branch leave in the order of their sequence.
 *  4. The lamport of this replica is at least that of every tuple applied and of
 *     every SYNC joined.
 *  5. Nothing counts as durable without W verified receipts.
 */
struct scl;
struct scl_lock;

struct scl_config {
    struct bytes genesis;        // copied
    const struct sign_key *key;  // the writer's; borrowed until scl_free()
    const struct log *log;       // borrowed
    /* A FUNCTION record of the leader's was applied: its plaintext (capsule/function.h). */
    void (*on_function)(void *context, struct bytes body);
    void *context;
    uint64_t memtable_bytes;  // bound of the memtable, beyond which it evicts; 0: none
    uint64_t cache_bytes;     // bound of the blocks of tables that are kept opened
    /*
     * A compactor's: of others' branches it applies no more than SYNCs have listed, so what it
     * flushes cannot be undone by a cut.
     */
    bool is_compactor;
    bool waits_for_start;  // reads nothing of the log before scl_start()
};

MUST_CHECK enum status scl_new(struct scl **scl, const struct scl_config *config);
void scl_free(struct scl *scl);

const struct capsule *scl_capsule(const struct scl *scl);
struct memtable *scl_memtable(struct scl *scl);

/*
 * A data key from the leader (copied); the first one first, then without gaps. New records are
 * sealed with that of the key epoch which the joined SYNC says is in force; no SYNC is joined
 * before its key is here. STATUS_STALE: it is here already. STATUS_FULL.
 */
MUST_CHECK enum status scl_add_key(struct scl *scl, uint32_t key_epoch,
                                   const uint8_t secret[SECRET_BYTES]);

/*
 * Append the next message for the leader to `plain`: about locks, or a request for a data key.
 * STATUS_EMPTY: nothing to say before scl_tell_wake_us().
 */
MUST_CHECK enum status scl_tell(struct scl *scl, uint64_t now_us, struct buffer *plain);
uint64_t scl_tell_wake_us(struct scl *scl, uint64_t now_us);

/*
 * Begin: from the MANIFEST that the leader names (its GRANT), when there is one (sequence above 0),
 * and what is newer than it; else by reading the log. After scl_add_key(). STATUS_STALE: it has
 * begun.
 */
MUST_CHECK enum status scl_start(struct scl *scl, const struct branch_head *manifest);

/* The heads this replica has to reach before it may serve (from the leader's GRANT). */
MUST_CHECK enum status scl_require(struct scl *scl, const struct branch_head *head);
/* Whether it has. */
bool scl_is_ready(const struct scl *scl);

/* ---- the way of a put ---- */

/*
 * Stamp and apply one put or delete and append it to the open batch. `tuple->lamport` is ignored.
 * `dependency` is raised to cover the record it will be in.
 * STATUS_FULL: the batch, the memtable, or what waits for receipts is at its bound: wait.
 * STATUS_CLOSED: this branch was closed: the enclave must join anew. STATUS_NO_MEMORY.
 */
MUST_CHECK enum status scl_put(struct scl *scl, const struct tuple *tuple,
                               struct dependency *dependency);

/*
 * One record to be sealed. Fields are the scl's own; the caller carries it. Starts as all zeroes.
 */
struct scl_seal_job {
    struct tuple_batch batch;  // of a DATA record
    struct scl_lock *lock;     // under which it was written; or NULL
    struct buffer body;        // of an EOE
    struct record_fields fields;
    struct hash parents[2];
    struct aead_key *body_key;  // borrowed
    struct buffer frame;        // RECORD frame: header and record
    struct record record;       // lies in `frame`
    enum status status;
};

/*
 * Whether there is something to seal; one job at a time. STATUS_EMPTY: no.
 * STATUS_FULL: unreceipted records are under way, and the batch gathers until `*until_us`.
 * STATUS_CLOSED: the branch was closed. STATUS_NO_MEMORY.
 */
MUST_CHECK enum status scl_seal_begin(struct scl *scl, struct scl_seal_job *job, uint64_t now_us,
                                      uint64_t *until_us);
/* Without the lock: encode, seal, hash, chain, sign. */
void scl_seal_run(const struct scl *scl, struct scl_seal_job *job);
/*
 * The record becomes part of the branch. `*frame` is to be sent to everyone; it is borrowed until
 * the next scl_seal_begin(), so it may be sent without the lock.
 */
MUST_CHECK enum status scl_seal_finish(struct scl *scl, struct scl_seal_job *job, uint64_t now_us,
                                       struct bytes *frame);
void scl_seal_release(struct scl_seal_job *job);

/* ---- the way of a record received ---- */

/*
 * A decoded record of another writer: held until its turn. Copied. Of an answer to a FETCH it may
 * be pruned. A block that scl_cold_fetch() asked for is taken at once.
 */
MUST_CHECK enum status scl_receive(struct scl *scl, const struct record *record);

/* A run of one writer. Starts as all zeroes. */
enum { SCL_RUN_RECORDS_MAX = 64 };
struct scl_open_job {
    struct buffer bytes[SCL_RUN_RECORDS_MAX];
    struct record records[SCL_RUN_RECORDS_MAX];
    struct buffer plains[SCL_RUN_RECORDS_MAX];
    size_t count;
    struct verify_key key;
    struct aead_key *body_key;  // borrowed
    bool is_introduction;       // a leader's first record: its key is inside
    enum status status;
};

/* The next run that can be applied. STATUS_EMPTY: none; gaps are asked for by scl_tick(). */
MUST_CHECK enum status scl_open_begin(struct scl *scl, struct scl_open_job *job);
/* Without the lock, by the one opener thread: verify chain and last signature, open the bodies. */
void scl_open_run(struct scl_open_job *job);
/*
 * Accept and apply. STATUS_CLOSED: this very enclave's branch was closed, or the replica is
 * overrun by a cut, or holds records of a forked branch that do not count: the process must end and
 * join anew.
 */
MUST_CHECK enum status scl_open_finish(struct scl *scl, struct scl_open_job *job, uint64_t now_us);
void scl_open_release(struct scl_open_job *job);

/* RECEIPT, RTS, FETCHED and REFUSED, decoded and verified here; no other kind says anything. */
MUST_CHECK enum status scl_receive_frame(struct scl *scl, const struct frame *frame);

/* Time passes: fetch what is missing, repeat what no receipt covers. Returns when to call again. */
uint64_t scl_tick(struct scl *scl, uint64_t now_us);

/* Append the next frame to be sent to `frame`. STATUS_EMPTY. */
bool scl_has_output(const struct scl *scl);
MUST_CHECK enum status scl_output(struct scl *scl, struct buffer *frame);

/* ---- reading: the state itself is read by scl/scl_reader.h ---- */

/* A reader lacks a block: ask the stores. STATUS_FULL: too many are on their way; try again. */
MUST_CHECK enum status scl_cold_fetch(struct scl *scl, const struct block_ref *ref,
                                      uint64_t now_us);
/* What a reader got from tables whose floor was `floor`: keep it in the memtable. Copied. */
void scl_cold_keep(struct scl *scl, const struct memtable_entry *entry, uint64_t floor);

/* What was read or written rests on the record that `version` names. Without the lock. */
void scl_depend(const struct scl *scl, struct dependency *dependency,
                const struct memtable_version *version);

/* Whether W stores hold all that `dependency` names. Verifies the receipts it needs. */
bool scl_is_durable(struct scl *scl, const struct dependency *dependency);

/* STATUS_NO_SPACE when a store refused this enclave's records last; else STATUS_OK. */
enum status scl_store_trouble(const struct scl *scl);

/* The time of the newest joined SYNC: what expiry is judged by. Without the lock. */
uint64_t scl_time_ms(const struct scl *scl);

/*
 * Session tokens (P6; scl/version.h): each head beyond the joined SYNC, with a part of its hash:
 * whoever has a writer's key may have given another worker a fork of its branch. A head is named as
 * far as W stores say they hold it, so that no crash takes away what an honest token names; and in
 * any case as far as the answer rests on it (`dependency`) and as its client has seen it before
 * (`after`, the token that came with the request; empty for none). What `after` names beyond this
 * very epoch is named again: to a client, only a later epoch takes the place of a head.
 * STATUS_FULL: more than fits.
 */
enum { SCL_VERSION_BYTES_MAX = 4096 };
MUST_CHECK enum status scl_version(const struct scl *scl, const struct dependency *dependency,
                                   struct bytes after, char text[SCL_VERSION_BYTES_MAX]);

/*
 * STATUS_OK: reached here. STATUS_GAP: not yet, or what is here is another record than it names.
 * STATUS_CLOSED: it names what a cut has removed.
 * STATUS_MALFORMED; STATUS_DENIED: another capsule's.
 */
MUST_CHECK enum status scl_version_reaches(const struct scl *scl, struct bytes version);

struct scl_counters {
    uint64_t tuples_put;
    uint64_t tuples_applied;
    uint64_t records_sealed;
    uint64_t records_applied;
    uint64_t records_refused;
    uint64_t receipts_verified;
    uint64_t fetches;
    uint64_t joined_epoch;
    uint64_t newest_epoch;
    uint64_t lamport;
    uint64_t unreceipted_bytes;
    uint64_t keys;
    uint64_t key_bytes;
    uint64_t locks;      // asked for, held or not yet decided
    uint64_t undecided;  // records, of any writer, that wait for a LOCK or for its receipts
    uint64_t keys_evicted;
    uint64_t keys_kept;  // from tables
    uint64_t block_fetches;
    uint64_t manifests_adopted;
    uint64_t table_floor;
    uint64_t table_count;
    uint64_t table_index_bytes;
    uint64_t table_cache_bytes;
};
void scl_count(const struct scl *scl, struct scl_counters *counters);

#endif
