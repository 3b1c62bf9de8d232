/* src/scl/scl_internal.h */
#ifndef SCL_SCL_INTERNAL_H
#define SCL_SCL_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "capsule/function.h"
#include "capsule/keys.h"
#include "capsule/trail.h"
#include "lsm/tree.h"
#include "scl/durable.h"
#include "scl/holdback.h"
#include "scl/outbox.h"
#include "scl/scl.h"
#include "scl/scl_lock.h"

/*
 * What the files of the scl share: scl.c has its life, its keys and puts,
 * scl_seal.c the own records, scl_receive.c the frames that come, scl_open.c
 * the records of others, scl_repair.c what is missing, scl_version.c tokens, scl_lock.c the locks
 * of this worker, scl_keys.c the data keys it lacks, scl_tag.c what was written under anybody's,
 * scl_cold.c the tables below the memtable, scl_start.c how it begins, scl_snapshot.c what others
 * begin from, scl_reader.c reading both.
 */

enum {
    SCL_KEYS_MAX = KEYS_EPOCHS_MAX,
    SCL_FETCHES_MAX = 8,
    SCL_INTRODUCTIONS_MAX = 16,
    SCL_STALL_US = 50 * 1000,   // no progress for so long: ask for what is missing
    SCL_LOST_US = 1000 * 1000,  // with records that wait for what nobody names
    SCL_BLOCKS_MAX = 64,        // on their way at once
    SCL_EVICT_STEPS = 64,       // entries looked at for each that comes
};

/* A zero id: every worker and store; in a FETCH, the whole log. */
extern const struct writer_id scl_everyone;

struct scl_key {
    uint32_t key_epoch;
    struct secret *secret;
};

/* A DATA record that the tables do not cover yet: a compactor keeps count of them. */
struct scl_mark {
    uint64_t sequence;
    uint64_t lamport;  // the greatest in it
};

/* What this replica keeps of the member with the same index in the capsule. */
struct scl_peer {
    struct aead_key *body_key;  // for key_epoch; NULL until needed
    uint32_t key_epoch;
    bool is_blocked;            // its next record waits for a leader's record
    bool must_probe;            // a store may hold more of it than this replica has heard of
    uint64_t progress_us;       // when one of its records was applied last
    uint64_t asked_us;          // when it was fetched last
    uint64_t ask_delay_us;      // until it is again, when that led to nothing
    uint64_t synced_sequence;   // as the newest SYNC lists it
    uint64_t reached_sequence;  // the last before that one which the branch here has come to
    uint64_t synced_lamport;    // no tuple up to there has a greater one; UINT64_MAX: not known
    uint64_t joined_sequence;   // as the joined SYNC lists it, or less
    struct scl_mark *marks;     // of a compactor: rising in both
    size_t mark_count;
    size_t mark_capacity;
    uint64_t pruned_sequence;  // the last whose body a PRUNE took before tables covered it; 0: none
    struct trail trail;        // what was asked for as to show whether the branch here counts
    uint64_t trail_asked;      // from here on, the last time
    bool is_trail_other;       // it has shown another record than the head that is here
};

struct scl_fetch {
    uint32_t request;  // 0: free
    bool is_log;       // the whole log in the store's order, at the start
    bool is_probe;     // whatever a branch has beyond what anybody named
    struct writer_id writer;
    uint64_t deadline_us;
};

/* A TABLE or MANIFEST that somebody waits for. */
struct scl_block {
    bool is_wanted;
    struct block_ref ref;
    uint64_t wanted_us;  // by somebody, last
    uint64_t asked_us;   // of the stores, last
};

struct scl_cold {
    struct tree *tree;
    struct branch_head named;  // the MANIFEST that the joined SYNC names; zeroes: none
    uint64_t named_floor;      // of that SYNC
    struct hash adopting;      // the MANIFEST whose indexes are being fetched
    struct scl_block blocks[SCL_BLOCKS_MAX];
    uint64_t memtable_bytes;  // its bound; 0: none
    // A compactor's, asked first. STATUS_STALE: not for it.
    enum status (*on_block)(void *context, const struct record *record, struct aead_key *key);
    void *context;
};

/* How this replica begins (scl_start.c). */
enum scl_start_stage {
    SCL_START_LOG,       // by reading the log: the default
    SCL_START_WAITING,   // not yet: the leader will say
    SCL_START_FETCHING,  // from a MANIFEST that is on its way
    SCL_START_RESTORED,  // from a MANIFEST that has come
};

struct scl_start {
    enum scl_start_stage stage;
    struct branch_head manifest;
    struct verify_key key;  // of its writer
    bool has_key;
    struct buffer record;  // the MANIFEST
    uint64_t asked_us;
    uint64_t floor;                 // once restored: what lies at or below it the tables decided
    struct branch_head *functions;  // FUNCTION records that are still missing
    uint32_t function_count;
    bool has_probed;      // the peers that must be
    size_t member_count;  // once restored: in the snapshot
};

/* The newest FUNCTION record of one name. */
struct scl_function {
    char name[FUNCTION_NAME_BYTES_MAX + 1];
    uint64_t version;
    struct branch_head place;
};

/* What a compactor's MANIFESTs carry (scl_snapshot.c). */
struct scl_snapshots {
    struct buffer ready;
    uint64_t ready_lamport;
    struct buffer candidate;  // waits until a floor reaches its lamport
    uint64_t candidate_lamport;
    struct scl_function *functions;
    size_t function_count;
};

struct scl_frame {
    struct scl_frame *next;
    struct buffer bytes;
};

struct scl {
    struct capsule *capsule;
    struct memtable *memtable;
    struct durable *durable;
    struct holdback *holdback;
    const struct sign_key *key;
    struct writer_id id;
    const struct log *log;
    void (*on_function)(void *context, struct bytes body);
    void *context;

    struct scl_key keys[SCL_KEYS_MAX];
    size_t key_count;
    uint64_t key_asked_us;  // when the leader was asked for one last; 0: never
    struct scl_peer *peers;
    size_t peer_count;
    size_t peer_capacity;

    // The own branch.
    uint64_t lamport;
    struct tuple_batch batch;  // will be record begun_sequence + 1
    struct tuple_batch spare;  // its memory takes turns with the batch's
    uint64_t begun_sequence;   // the last sequence given to a job
    uint64_t eoe_next;         // 0, or the next record is the EOE of this epoch: puts go behind it
    struct scl_lock *lock_next;  // or NULL: what was written under it leaves before the batch
    uint64_t gather_until_us;    // 0: the batch has not been looked at
    bool is_sealing;
    uint64_t eoe_asked;
    uint64_t eoe_answered;
    struct aead_key *own_body_key;
    uint32_t own_key_epoch;
    struct outbox outbox;
    struct buffer newest;  // the last own record that W stores hold, until a SYNC lists it
    uint64_t newest_sequence;
    uint64_t newest_us;  // when it was sent last
    enum status trouble;
    enum record_type block_type;  // of a compactor's next record
    struct bytes block_plain;     // borrowed; empty: none waits
    struct block_ref sealed_block;
    struct buffer manifest;  // the record sealed last
    bool has_sealed_block;   // since the last scl_seal_block()

    // The SYNC that this replica has joined and that W stores hold.
    struct hash joined;
    uint64_t joined_epoch;
    uint64_t joined_floor;
    uint32_t joined_key_epoch;  // what the own branch seals with
    _Atomic uint64_t joined_time_ms;
    uint64_t expiry_ms;    // the latest of any key: until then SYNCs must tell the time
    uint64_t timed_epoch;  // the epoch joined when timed_us was taken
    uint64_t timed_us;

    // Locks: of this worker, and what was written under anybody's and is not decided or not here.
    struct scl_lock *locks;
    size_t lock_count;
    uint64_t lock_request;  // the last number of one
    struct scl_tagged *tagged;
    struct writer_id lock_leader;  // of the last LOCK applied,
    uint64_t lock_applied;         // and where it stands
    struct writer_id admitted_by;  // where the own MEMBER stands
    uint64_t admitted_sequence;

    // Catching up.
    struct branch_head *required;
    size_t required_count;
    uint64_t log_next;
    uint32_t log_store;   // whose log it is
    uint32_t store_turn;  // which store is asked next
    bool is_log_done;
    bool is_dirty;  // something may be applicable
    size_t scan;    // where the search for it goes on
    struct writer_id introductions[SCL_INTRODUCTIONS_MAX];
    size_t introduction_count;
    size_t introductions_waiting;  // so many in a row wait for another's record
    bool may_lack;                 // the leader has named heads that may not be here
    struct writer_id predecessor;  // a leader that the next one closes, and that is not known here
    uint64_t progress_us;          // when a record was applied last, or the log read again
    uint64_t lost_us;              // after so long without progress it is
    uint64_t checked_us;           // when what is missing was asked for last
    bool is_answered;              // something that was asked for has come since the last tick
    bool is_doubtful;              // a store or a leader acts as if this replica were cut off
    uint64_t stranger_us;          // when records of unknown writers were fetched last
    uint64_t stranger_delay_us;
    struct scl_fetch fetches[SCL_FETCHES_MAX];
    uint32_t last_request;

    struct scl_cold cold;
    struct scl_start start;
    struct scl_snapshots snapshots;
    bool is_compactor;
    uint64_t marked_bytes;  // of DATA that a compactor has read and that no table covered then
    bool was_ready;
    bool must_rejoin;  // a body is gone that this map has not seen
    bool is_forked;    // some branch here does not lead to what is named

    struct scl_frame *output;
    struct scl_frame **output_end;
    struct scl_counters counters;
};

/* What waited may go on now. */
void scl_unblock(struct scl *scl);

const struct scl_key *scl_key_find(const struct scl *scl, uint32_t key_epoch);
/* That of the key epoch that the own branch seals with; NULL until it was granted. */
const struct scl_key *scl_key_own(const struct scl *scl);

/* This enclave's own member; NULL until its MEMBER record is here. */
const struct capsule_member *scl_own_member(const struct scl *scl);
size_t scl_member_index(const struct scl *scl, const struct capsule_member *member);

/* Whether the SYNC that the own MEMBER names is joined: before, the own branch cannot begin. */
bool scl_has_begun(const struct scl *scl, const struct capsule_member *own);

/* Whether this record is applied; a zero hash: whichever has that sequence. */
bool scl_has_reached(const struct scl *scl, const struct branch_head *wanted);

/* Room for one member more than there are: made before a record is accepted that adds it. */
MUST_CHECK enum status scl_peers_reserve(struct scl *scl);

MUST_CHECK enum status scl_output_add(struct scl *scl, enum frame_kind kind, uint32_t request,
                                      const struct writer_id *peer, struct bytes body);

/*
 * Whether W stores hold this branch, as it is here, up to `sequence`: by a SYNC, which rests on
 * their receipts, or by receipts that came since.
 */
bool scl_is_held(struct scl *scl, const struct capsule_member *member, uint64_t sequence);

/*
 * Join the newest SYNC whose ancestors are all applied and which W stores hold: a SYNC that a
 * crash could still lose must not become a parent.
 */
void scl_join_newest(struct scl *scl);

/* Keys that expire need SYNCs to tell them the time. */
void scl_note_expiry(struct scl *scl, uint64_t expiry_ms);

/* A leader is known by its first records: these go to the capsule whole. */
void scl_receive_introduction(struct scl *scl, const struct record *record);

/* Apply what a record says to the map, or (record by its place) what a LOCK has decided. */
void scl_open_apply(struct scl *scl, const struct branch_head *record, struct bytes plain,
                    uint32_t origin);

/* ---- scl_tag.c ---- */

/* A tagged record was accepted. */
MUST_CHECK enum status scl_tag_note_record(struct scl *scl, const struct record *record,
                                           const struct tuple_tag *tag, struct bytes plain);
/* One without its body was: the tables have decided, whatever a LOCK says of it. */
void scl_tag_forget(struct scl *scl, const struct record *record);
/* A LOCK was; a branch was closed. */
MUST_CHECK enum status scl_tag_note_lock(struct scl *scl, const struct record *record);
void scl_tag_note_close(struct scl *scl, const struct writer_id *writer);
/* Apply what is decided, as far as W stores hold the decisions. */
void scl_tag_apply(struct scl *scl);
/* Whether every record that this leader's LOCKs name, up to `sequence`, is in the map. */
bool scl_tag_is_applied(const struct scl *scl, const struct writer_id *leader, uint64_t sequence);
/* A record that a LOCK names and that is not here; begin with *place = 0. */
bool scl_tag_missing(const struct scl *scl, size_t *place, struct branch_head *wanted);
/* Send LOCKs again whose receipts are missing here. Returns when to call again. */
uint64_t scl_tag_tick(struct scl *scl, uint64_t now_us);
/* Whether a LOCK names a record above what SYNCs and CLOSEs have named of its branch. */
bool scl_tag_is_ahead(const struct scl *scl);
uint64_t scl_tag_count(const struct scl *scl);
void scl_tag_release(struct scl *scl);

/* ---- scl_lock.c ---- */

bool scl_lock_has_written(const struct scl *scl);
/* With an empty batch: the oldest that was written under a lock leaves next (lock_next). */
MUST_CHECK enum status scl_lock_reserve(struct scl *scl);
/* That one goes to the sealer, and comes back as a record. */
struct scl_lock *scl_lock_begin(struct scl *scl, struct tuple_batch *batch);
MUST_CHECK enum status scl_lock_finish(struct scl *scl, struct scl_lock *lock,
                                       const struct record *record,
                                       const struct tuple_batch *batch);
/* What became of the own tagged record: STATUS_OK, STATUS_STALE. */
void scl_lock_settle(struct scl *scl, uint64_t sequence, enum status fate);
/* A head that a lock waits for; begin with *place = 0. */
bool scl_lock_missing(const struct scl *scl, size_t *place, struct branch_head *wanted);
void scl_lock_release_all(struct scl *scl);

/* ---- scl_keys.c ---- */

/* Append a request for a data key that a SYNC has begun to use, when it is time. STATUS_EMPTY. */
MUST_CHECK enum status scl_keys_output(struct scl *scl, uint64_t now_us, struct buffer *plain);
uint64_t scl_keys_wake_us(struct scl *scl, uint64_t now_us);

/*
 * A compactor applies of a worker's branch what SYNCs have listed: no cut will undo that. So does
 * everybody of a branch that is about to be cut, for it may go on writing what no store takes. And
 * nothing beyond a cut: whoever has the key may send that again and again, and in one run with what
 * lies below it would keep that from being applied.
 */
bool scl_open_may_apply(const struct scl *scl, size_t index, const struct capsule_member *member,
                        uint64_t sequence);

/* The key that opens this record's body; NULL: not ours to read (yet). By the opener's thread. */
struct aead_key *scl_open_key(struct scl *scl, const struct record *record);

/*
 * Let the next job seal a TABLE or MANIFEST of this compactor's. `plain` is borrowed until the job
 * begins; one at a time (CHECK).
 */
void scl_seal_block(struct scl *scl, enum record_type type, struct bytes plain);
/* Tell the leader of the MANIFEST sealed last, once more. */
void scl_seal_tell_manifest(struct scl *scl);
/* Whether it is part of the branch, and where. */
bool scl_seal_block_is_done(const struct scl *scl, struct block_ref *ref);

/* A SYNC was joined: its MANIFEST is the one in effect. */
void scl_cold_name(struct scl *scl, const struct capsule_sync *sync);
/* Whether the tables are those of that MANIFEST. */
bool scl_cold_is_current(const struct scl *scl);
/*
 * A TABLE or MANIFEST came: STATUS_OK: it was wanted. STATUS_NOT_FOUND: it was not. STATUS_FORGED:
 * another one was. STATUS_GAP, STATUS_NO_MEMORY: asked for again later.
 */
MUST_CHECK enum status scl_cold_receive(struct scl *scl, const struct record *record);
/* Whether the tables are known to say all that this record of member `index` says. */
bool scl_cold_covers(const struct scl *scl, size_t index, uint64_t sequence);
/* Whether the tables say all that records said which came without their bodies. */
bool scl_cold_is_complete(const struct scl *scl);
/* Bring the memtable nearer to its bound. */
void scl_cold_evict(struct scl *scl, uint32_t step_count);
/* False: the memtable has outgrown its bound, and nothing of it may go. */
bool scl_cold_has_room(const struct scl *scl);
/* Ask for what is missing of the MANIFEST; ask again. Returns when to call next. */
uint64_t scl_cold_tick(struct scl *scl, uint64_t now_us);

void scl_start_release(struct scl_start *start);
/* Whether all is here that it begins with: the tables, the functions. */
bool scl_start_is_done(const struct scl *scl);
/*
 * A record came: STATUS_OK: it belongs to the start. STATUS_NOT_FOUND: it does not.
 * STATUS_NO_MEMORY.
 */
MUST_CHECK enum status scl_start_receive(struct scl *scl, const struct record *record);
/* Ask for what is missing of it. Returns when to call next. */
uint64_t scl_start_tick(struct scl *scl, uint64_t now_us);

void scl_snapshot_release(struct scl_snapshots *snapshots);
/* A SYNC was accepted last. */
void scl_snapshot_note_sync(struct scl *scl);
/* A FUNCTION record of this plaintext was applied. STATUS_NO_MEMORY. */
MUST_CHECK enum status scl_snapshot_note_function(struct scl *scl, const struct record *record,
                                                  struct bytes plain);
/* The snapshot that this replica began with serves until there is a newer one. */
MUST_CHECK enum status scl_snapshot_take_over(struct scl *scl, struct bytes snapshot,
                                              uint64_t lamport);
/* What a MANIFEST with this floor may carry; empty: nothing yet. Borrowed until the next SYNC. */
struct bytes scl_snapshot_for(const struct scl *scl, uint64_t floor);

/* Whether this replica lacks anything that it knows of. */
bool scl_repair_is_needed(const struct scl *scl);

/* Forget own records that W stores hold; the last one stays until a SYNC lists it. */
void scl_seal_settle(struct scl *scl, const struct capsule_member *own);

/*
 * A record came, whatever becomes of it: see whether it belongs to what was asked for as a trail.
 * `member` is its writer, NULL when it is not known.
 */
void scl_repair_follow(struct scl *scl, const struct capsule_member *member,
                       const struct record *record);

/* Ask for what is missing, when it is time to. */
void scl_repair_tick(struct scl *scl, uint64_t now_us);

#endif
