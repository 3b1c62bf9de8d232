/* src/leader/leader_internal.h */
#ifndef LEADER_LEADER_INTERNAL_H
#define LEADER_LEADER_INTERNAL_H

#include "attest/policy.h"
#include "base/cursor.h"
#include "capsule/function.h"
#include "capsule/receipt.h"
#include "capsule/trail.h"
#include "crypto/certificate.h"
#include "leader/leader.h"
#include "leader/shelf.h"
#include "scl/durable.h"
#include "scl/outbox.h"
#include "wire/channel.h"
#include "wire/join.h"
#include "wire/message.h"

/* What the files of this layer share. */

enum {
    LEADER_SESSIONS_MAX = 16,  // of the owner's clients
    LEADER_JOINS_MAX = 64,     // handshakes under way
    LEADER_CLOSINGS_MAX = 64,  // branches being closed one by one
    LEADER_FUNCTIONS_MAX = 1024,
    LEADER_WAITING_DEPLOYS_MAX = 64,
    LEADER_LOCKS_MAX = 4096,    // asked for or held
    LEADER_VOUCHINGS_MAX = 64,  // members that wait for evidence of the leader's
    LEADER_ROTATIONS_MAX = 16,  // that the owner waits for
    LEADER_RUN_MAX = 64,        // records vouched for by one signature while loading

    LEADER_TAIL_BYTES_MAX = 96 << 20,  // of a closed branch; an honest writer waits sooner

    LEADER_ASK_US = 1000 * 1000,  // an unanswered question to the stores is repeated
};

enum leader_stage {
    LEADER_IDLE,
    LEADER_FENCING,
    LEADER_LOADING,
    LEADER_TAKING_OVER,
    LEADER_REFUSING,  // the stores were rolled back: asks them for proof
    LEADER_LEADING,
};

/* A client of the owner's: the leader is the applicant, the owner the judge. */
struct leader_session {
    bool is_used;
    struct writer_id peer;
    struct join_applicant *applicant;  // until it has proved itself
    uint32_t evidence_request;         // 0: none under way
    struct channel *channel;           // afterwards
    bool is_told;                      // it gives terms: it hears of newer SYNCs
    uint64_t last_us;
};

/* An enclave that wants to join: the leader is the judge. */
struct leader_join {
    bool is_used;
    struct writer_id peer;
    struct join_judge *judge;
    struct join_apply apply;
    struct channel *channel;   // admitted: waits for the receipts of its MEMBER
    uint64_t member_sequence;  // that record's, in the own branch
    struct hash evidence_hash;
    enum tee tee;
    uint64_t started_us;
};

/* What the leader keeps of the member with the same index in the capsule. */
struct leader_peer {
    struct channel *channel;  // NULL: not a member of this term's
    enum tee tee;             // of its evidence, while it has a channel
    struct head listed;       // in the newest SYNC that lists it
    uint64_t listed_joined;   // L of the SYNC its branch had joined there (or its MEMBER named)
    bool was_absent;
    uint64_t absent_us;         // since when it has missed every epoch; 0: it has not
    uint64_t stale_us;          // since when a key epoch has begun that it has not joined; 0: none
    uint64_t claimed_sequence;  // the greatest a receipt speaks of; not verified: a reason to ask
    uint64_t eoe_epoch;         // the newest it answered
    struct head eoe_head;
    uint64_t eoe_lamport;
    uint64_t eoe_joined;      // L of the SYNC its branch had joined at that EOE
    uint64_t closed_lamport;  // the greatest in a closed branch
    struct head manifest;     // of a compactor: the newest it has sent

    struct head lock_head;    // the last that was read or written under any lock
    struct buffer last_data;  // its newest DATA or EOE record, while loading
};

/* A branch being closed: fenced by R stores, its last records fetched, held by W, then CLOSE. */
struct leader_closing {
    bool is_used;
    struct writer_id writer;
    enum sync_close_reason reason;
    struct buffer fences;  // verified, each behind its length
    struct writer_id answered[2 * GENESIS_STORES_MAX];
    uint32_t answer_count;
    struct writer_id others[2 * GENESIS_STORES_MAX];  // hold another record where the cut leads
    uint32_t other_count;
    bool is_one_left_out;  // the first of them held the cut of the last time, and R did not
    struct head cut;
    struct writer_id cut_store;  // who holds it
    uint32_t fetch_request;      // 0: not yet
    uint64_t fetch_from;         // as asked for last
    uint64_t next;               // the record awaited; what came before it:
    struct hash last;
    struct buffer tail;
    bool is_proposed;  // all of the tail is here
    uint64_t lamport;  // how far the clock of the branch had gone
    struct closing_word {
        struct writer_id store;
        bool is_holder;               // of the branch up to the cut
    } words[2 * GENESIS_STORES_MAX];  // since it was asked last
    uint32_t word_count;
    uint32_t vain_count;  // so often W answered, and fewer had come to hold it
    uint64_t asked_us;
};

/* What is being loaded of what earlier terms left (load.c). */
enum load_step { LOAD_LEADERS, LOAD_SEEK, LOAD_KEY, LOAD_MANIFEST, LOAD_WANTS };

struct leader_load {
    enum load_step step;
    uint32_t attempts;
    uint32_t place;    // of the fence, or of the store, that is asked
    uint32_t request;  // under way
    uint64_t asked_us;
    bool is_found;          // what was asked for last
    uint64_t record_count;  // that came, whatever for
    bool is_refused;        // some record did not verify
    bool is_forked;         // some record did not follow what was loaded of its branch
    bool is_careful;        // no record of a branch is loaded that does not lead to what is named
    struct trail trail;     // what is asked for is to show that it does; next 0: it is loaded
    uint64_t trail_asked;   // from here on
    struct writer_id trail_store;

    // The leader whose successor this one is; term 0: none came to lead.
    struct writer_id predecessor;
    struct verify_key predecessor_key;
    uint64_t predecessor_term;
    struct head predecessor_head;  // as that store names it
    struct writer_id predecessor_store;
    uint64_t seek_from, seek_end, seek_records;
    struct buffer sync;  // the body of its last SYNC
    struct branch_head manifest;
    struct verify_key manifest_key;  // of its writer

    struct writer_id *chain;  // the predecessor, and who came before it and was not known yet
    size_t chain_count;
    struct branch_head *functions;  // in force in the snapshot, and not here yet
    uint32_t function_count;
    struct writer_id *evidence;  // members whose evidence may be of use
    size_t evidence_count;
    size_t skip;  // so many questions in a row led to nothing
    struct buffer run_bytes[LEADER_RUN_MAX];
    struct record run[LEADER_RUN_MAX];
    size_t run_count;
};

struct leader_function {
    char name[65];
    uint64_t version;
};

/* A function or a policy that was written and waits for receipts before the owner is told. */
struct leader_deploy {
    bool is_used;
    struct writer_id session;
    uint32_t request;
    uint64_t sequence;
};

/* The owner waits for a key epoch to begin, and with it for a revoked branch to end. */
struct leader_rotation {
    bool is_used;
    struct writer_id session;
    uint32_t request;
    struct writer_id revoked;  // zero: nobody is
    uint64_t revoke_sequence;  // of that REVOKE
    uint64_t sequence;         // of the SYNC that did it; 0: it is not written yet
};

/* A lock that a worker asked for; with a fence, one that it holds. */
struct leader_lock {
    struct hash name;  // HMAC of it
    struct writer_id writer;
    uint64_t request;  // the worker's number for it
    uint64_t order;    // of arrival
    uint64_t fence;    // 0: it waits
    uint64_t granted_us;
    uint64_t floor_max;  // what is written under it has a version above this
};

/* A member that wants to be vouched for: the leader's own evidence is under way. */
struct leader_vouching {
    bool is_used;
    struct writer_id member;
    uint32_t request;  // the member's number
    uint64_t order;    // of arrival
    uint32_t evidence_request;
    struct buffer evidence;  // the member's, complete
};

struct leader_frame {
    struct leader_frame *next;
    struct buffer bytes;
};

struct leader {
    struct capsule *capsule;
    struct stores stores;  // that count in its term
    struct durable *durable;
    struct outbox outbox;
    const struct sign_key *key;
    struct verify_key public_key;
    struct writer_id id;
    const struct random *random;
    const struct log *log;
    const struct vendor_roots *vendors;
    struct shelf shelf;

    enum leader_stage stage;
    uint64_t term;
    uint64_t later_term;  // that a store obeys, as the host says; 0: none
    struct buffer term_body;
    struct buffer policy_body;  // a new policy, to be recorded in this term
    struct secret *seed;
    struct p256_key *root_key;
    struct buffer root;  // its certificate, DER
    struct hash token;
    struct aead_key *body_key;  // of the own sealed bodies; NULL until needed
    uint32_t key_epoch;         // which it is for
    struct secret *lock_key;
    struct policy policy;
    uint64_t policy_version;  // of the one parsed

    struct leader_session sessions[LEADER_SESSIONS_MAX];
    struct writer_id seeder;        // the session that gave the seed
    struct branch_head known_sync;  // that the TERM names: whose, and where; zeroes: not known
    struct leader_join joins[LEADER_JOINS_MAX];
    struct leader_peer *peers;
    size_t peer_count;

    // Taking over.
    struct leader_closing all;  // the fence around everything
    struct leader_load load;
    uint64_t taking_over_us;      // since when the first records are written
    uint64_t rollback_us;         // since when a SYNC is known to be missing; 0: it is not
    uint32_t rollback_answers;    // of stores, at that time
    uint64_t recalled_us;         // when the stores were asked last to say what they hold
    struct head pending_genesis;  // the own GENESIS, before the TERM makes us known
    uint64_t takeover_sequence;  // of the first SYNC, once it is written; held by W stores: leading

    // Epochs.
    uint64_t rts_epoch;  // 0: none under way
    uint64_t rts_us;
    bool is_epoch_awaited;    // by a store that is being refilled
    uint64_t patience_us;     // so long an epoch waits for answers; grows while they come too late
    uint64_t patience_syncs;  // that were written when it grew last
    uint64_t sync_us;         // when the last one was written
    uint64_t sync_sequence;

    // What the owner is told, so that a rollback can be proved (capsule/proof.h).
    struct buffer sync_record;  // the newest own SYNC; empty once W stores hold it
    struct buffer warrant;      // that W stores hold the newest one of which that is known
    uint64_t warrant_epoch;
    struct hash warrant_sync;
    uint64_t told_epoch;
    uint64_t told_us;

    // What a compactor holds for dispensable: the first waits for its time, the last replaces the
    // one before it until then.
    struct leader_prune {
        struct buffer body;  // empty: none
        uint64_t time_ms;    // of the newest SYNC when it came
    } prunes[2];

    struct leader_closing closings[LEADER_CLOSINGS_MAX];
    struct leader_function functions[LEADER_FUNCTIONS_MAX];
    size_t function_count;
    struct leader_deploy deploys[LEADER_WAITING_DEPLOYS_MAX];

    // Key epochs: whether the owner asked for the next one, and who waits for it.
    bool must_rotate;
    uint64_t begun_sequence;  // of the last own SYNC that began one; 0: none did
    struct leader_rotation rotations[LEADER_ROTATIONS_MAX];

    // Locks: those asked for and held, in no order.
    struct leader_lock *locks;  // LEADER_LOCKS_MAX of them
    size_t lock_count;
    uint64_t lock_order;
    uint32_t fence_count;  // of this term

    struct leader_vouching vouchings[LEADER_VOUCHINGS_MAX];
    uint64_t vouching_order;

    uint32_t last_request;
    struct leader_frame *output;
    struct leader_frame **output_end;
    struct leader_counters counters;
};

/* ---- leader.c ---- */

/* Queue a frame. */
MUST_CHECK enum status leader_send(struct leader *leader, enum frame_kind kind, uint32_t request,
                                   const struct writer_id *peer, struct bytes body);

/*
 * Append a record with this body to the own branch and send it; `heads` are the parents of a SYNC
 * beyond the previous record. FUNCTION bodies are sealed here.
 */
MUST_CHECK enum status leader_write(struct leader *leader, enum record_type type, struct bytes body,
                                    const struct hash *heads, size_t head_count, uint64_t now_us);

/* Queue a message to a member. */
MUST_CHECK enum status leader_send_sealed(struct leader *leader, struct channel *channel,
                                          const struct writer_id *peer, struct bytes plain);

/* The sequence of the own branch's last record; whether W stores hold it up to one. */
uint64_t leader_own_sequence(const struct leader *leader);
bool leader_own_is_durable(struct leader *leader, uint64_t sequence);

/* The peer with the same index as this member. */
struct leader_peer *leader_peer_of(struct leader *leader, const struct capsule_member *member);
MUST_CHECK enum status leader_grow_peers(struct leader *leader);
uint32_t leader_next_request(struct leader *leader);

/*
 * Whether R stores have answered, so that every durable record is among what they tell; before it
 * leads, R of the stores before, too.
 */
bool leader_is_answered(const struct leader *leader, const struct leader_closing *closing);

/* Ask one store for records; `*request` receives the number that the answer carries. */
MUST_CHECK enum status leader_fetch(struct leader *leader, const struct frame_fetch *fetch,
                                    const struct writer_id *store, uint32_t *request);

/*
 * The plaintext of a sealed record of this capsule, appended to `plain`: of a member's, or of one
 * whose writer has this key. STATUS_NOT_FOUND: its writer is not known; seal_open().
 */
MUST_CHECK enum status leader_unseal(struct leader *leader, const struct record *record,
                                     struct buffer *plain);
MUST_CHECK enum status leader_unseal_of(struct leader *leader, const struct record *record,
                                        const struct verify_key *key, struct buffer *plain);

/* What was loaded is not to be kept: begin again with an empty capsule. STATUS_NO_MEMORY. */
MUST_CHECK enum status leader_forget(struct leader *leader);

/* Parse the policy in force, when it is not the one parsed already. */
MUST_CHECK enum status leader_use_policy(struct leader *leader);

/* The owner's session with this peer, or NULL. */
struct leader_session *leader_session_find(struct leader *leader, const struct writer_id *peer);

/* Answer the owner's session, if it is still there. */
MUST_CHECK enum status leader_answer(struct leader *leader, const struct writer_id *session,
                                     uint32_t request, enum status status, const char *text);

/* ---- admission.c ---- */

MUST_CHECK enum status admission_receive_join(struct leader *leader, const struct frame *frame,
                                              struct leader_time time);
MUST_CHECK enum status admission_receive_evidence(struct leader *leader, const struct frame *frame);
MUST_CHECK enum status admission_receive_channel(struct leader *leader, const struct frame *frame,
                                                 struct leader_time time);
/* Grant what receipts have made ready; forget handshakes that take too long. */
MUST_CHECK enum status admission_tick(struct leader *leader, struct leader_time time);
/* A FUNCTION is in the capsule: only higher versions of it may follow. */
void admission_note_function(struct leader *leader, const struct function_manifest *manifest);
void admission_release(struct leader *leader);

/* ---- takeover.c ---- */

/* The owner gave a term: fence the stores. */
MUST_CHECK enum status takeover_begin(struct leader *leader, uint64_t now_us);
MUST_CHECK enum status takeover_receive_fenced(struct leader *leader, struct bytes fence,
                                               struct leader_time time);
/* All that earlier terms left is here: write the first records. */
MUST_CHECK enum status takeover_write(struct leader *leader, struct leader_time time);
/* P8: the owner has seen a SYNC that is not in what leaders wrote. All of that is here. */
bool takeover_is_rolled_back(struct leader *leader);
/* Then: let the other stores answer, too; load again with those that do, or tell the owner. */
MUST_CHECK enum status takeover_await_holder(struct leader *leader, uint64_t now_us);
/* Tell the owner why this term cannot begin. STATUS_CLOSED, STATUS_NO_MEMORY. */
MUST_CHECK enum status takeover_give_up(struct leader *leader, enum status code, const char *text);
MUST_CHECK enum status takeover_tick(struct leader *leader, struct leader_time time);
void takeover_release(struct leader *leader);

/* ---- load.c ---- */

/* R stores have fenced everything: load what they hold, then takeover_write(). */
MUST_CHECK enum status load_begin(struct leader *leader, struct leader_time time);
/* Answers to what was asked last: a record of it, and its end. */
MUST_CHECK enum status load_receive_record(struct leader *leader, const struct record *record,
                                           struct leader_time time);
MUST_CHECK enum status load_receive_fetched(struct leader *leader, struct leader_time time);
MUST_CHECK enum status load_tick(struct leader *leader, struct leader_time time);
/* The longest head of this branch that a store has signed, or that is here. */
struct head load_longest_head(const struct leader *leader, const struct capsule_member *member);
void load_release(struct leader *leader);

/* ---- closing.c ---- */

/* An enclave of this term has ended: close its branch. */
MUST_CHECK enum status closing_begin(struct leader *leader, const struct writer_id *writer,
                                     enum sync_close_reason reason, uint64_t now_us);
MUST_CHECK enum status closing_receive_fence(struct leader *leader, const struct receipt *fence,
                                             struct bytes bytes, uint64_t now_us);
MUST_CHECK enum status closing_receive_record(struct leader *leader, uint32_t request,
                                              const struct record *record, uint64_t now_us);
MUST_CHECK enum status closing_tick(struct leader *leader, uint64_t now_us);
/* Whether some branch is being closed: stores may have to be asked again. */
bool closing_is_under_way(struct leader *leader);

/* What closing one branch and closing all have in common. */

/* Ask the stores for their fences. */
MUST_CHECK enum status closing_fence(struct leader *leader, struct leader_closing *closing,
                                     uint64_t now_us);
/* Keep a store's verified answer. False: it is no new answer. */
bool closing_keep_fence(struct leader *leader, struct leader_closing *closing,
                        const struct receipt *fence, struct bytes bytes);
void closing_drop_fence(struct leader *leader, struct leader_closing *closing,
                        const struct writer_id *store);
/* The next of the fences kept; false: there are no more. */
bool closing_next_fence(struct cursor *fences, struct receipt *fence);
bool closing_fence_lists(const struct receipt *fence, const struct writer_id *writer,
                         struct head *head);
MUST_CHECK enum status closing_write(struct leader *leader, const struct writer_id *writer,
                                     struct head cut, enum sync_close_reason reason,
                                     struct bytes fences, uint64_t now_us);
/*
 * How far the clock of a branch had gone at this record; 0 when it does not say. A pruned one lies
 * at or below a floor, and the SYNCs have gone beyond that.
 */
uint64_t closing_lamport(struct leader *leader, const struct record *record);
void closing_release(struct leader_closing *closing);

/* ---- rotation.c ---- */

/* The owner asks for a new key epoch; throws a member out. */
MUST_CHECK enum status rotation_receive_rotate(struct leader *leader,
                                               const struct leader_session *session,
                                               uint32_t request);
MUST_CHECK enum status rotation_receive_revoke(struct leader *leader,
                                               const struct leader_session *session,
                                               const struct message_revoke *revoke,
                                               uint64_t now_us);
/* A member asks for a data key. */
MUST_CHECK enum status rotation_receive_ask(struct leader *leader,
                                            const struct capsule_member *member,
                                            struct channel *channel, uint32_t key_epoch);
/* The newest key epoch whose key may be given away: a crash does not undo its SYNC. */
uint32_t rotation_epoch_to_grant(struct leader *leader);
/* The key epoch that the SYNC to be written begins; 0: none. */
uint32_t rotation_epoch_to_begin(const struct leader *leader);
/* A SYNC was written. */
void rotation_note_sync(struct leader *leader, uint32_t begun, uint64_t now_us);
/* A member's EOE was accepted: it may seal with the key epoch in force now. */
void rotation_note_eoe(struct leader *leader, const struct capsule_member *member);
/* Whether an open branch has yet to join the key epoch in force. */
bool rotation_is_under_way(struct leader *leader);
/* Whether a revoked branch is still open. */
bool rotation_awaits_cut(struct leader *leader);
/* Close whom the owner revoked; answer the owner. */
MUST_CHECK enum status rotation_tick(struct leader *leader, uint64_t now_us);

/* ---- news.c ---- */

/* An own SYNC was written. */
MUST_CHECK enum status news_note_sync(struct leader *leader, const struct record *record);
/* Fill `answer` with the newest SYNC that W stores hold, and what shows it. */
MUST_CHECK enum status news_fill(struct leader *leader, struct message_answer *answer);
/* Tell the sessions that give terms that this leader leads, and up to which SYNC. */
MUST_CHECK enum status news_tell(struct leader *leader, uint64_t now_us);
/* Of newer ones, now and then. */
MUST_CHECK enum status news_tick(struct leader *leader, uint64_t now_us, uint64_t *wake_us);
void news_release(struct leader *leader);

/* ---- retention.c ---- */

/* A compactor says what need not be kept. */
MUST_CHECK enum status retention_receive(struct leader *leader, const struct capsule_member *member,
                                         struct bytes body);
/* Write a PRUNE when the owner's policy lets one go now. */
MUST_CHECK enum status retention_tick(struct leader *leader, struct leader_time time);
void retention_release(struct leader *leader);

/* ---- epoch.c ---- */

MUST_CHECK enum status epoch_receive_record(struct leader *leader, const struct record *record);
void epoch_receive_receipt(struct leader *leader, struct bytes receipt);
void epoch_receive_recalled(struct leader *leader, const struct frame *frame);
MUST_CHECK enum status epoch_tick(struct leader *leader, struct leader_time time,
                                  uint64_t *wake_us);

/* Whether a branch that was closed has yet to be listed, and W stores hold it up to its cut. */
bool epoch_has_cut_to_list(struct leader *leader);
/* Whether some branch was closed and W stores do not hold it up to its cut, as far as is known. */
bool epoch_lacks_cut(struct leader *leader);

/* Write the SYNC of the next epoch over what has answered, and what was closed. */
MUST_CHECK enum status epoch_write_sync(struct leader *leader, struct leader_time time);

/* ---- lock.c ---- */

MUST_CHECK enum status lock_receive_ask(struct leader *leader, const struct capsule_member *member,
                                        const struct message_lock_ask *ask,
                                        struct leader_time time);
MUST_CHECK enum status lock_receive_release(struct leader *leader,
                                            const struct capsule_member *member,
                                            const struct message_lock_release *release,
                                            struct leader_time time);
/* Take over what was held too long. */
MUST_CHECK enum status lock_tick(struct leader *leader, struct leader_time time, uint64_t *wake_us);
/* A worker has ended: nothing that it still writes will count. */
MUST_CHECK enum status lock_drop_writer(struct leader *leader, const struct writer_id *writer,
                                        uint64_t now_us);
/* No version above this is decided for ever: something undecided may have the next one. */
uint64_t lock_floor_max(const struct leader *leader);

/* ---- vouching.c ---- */

/* A member wants a client of its own to know who it is. */
MUST_CHECK enum status vouching_receive_ask(struct leader *leader,
                                            const struct capsule_member *member,
                                            const struct message_vouch_ask *ask);
MUST_CHECK enum status vouching_receive_evidence(struct leader *leader, const struct frame *frame);
void vouching_release(struct leader *leader);

#endif
