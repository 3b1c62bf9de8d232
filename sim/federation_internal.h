/* sim/federation_internal.h */
#ifndef SIM_FEDERATION_INTERNAL_H
#define SIM_FEDERATION_INTERNAL_H

#include "attest/policy.h"
#include "attest/simulated.h"
#include "base/buffer.h"
#include "capsule/term.h"
#include "crypto/crypto.h"
#include "leader/leader.h"
#include "scl/compactor.h"
#include "scl/scl_reader.h"
#include "sim/federation.h"
#include "store/server.h"
#include "wire/join.h"

/*
 * What the kinds of process share. Each kind lies in a file of its own, federation_<kind>.c, and
 * says in a struct federation_kind what the world calls; federation.c knows no more of them. A
 * new kind: its state in struct federation, its places in enum federation_place, its file.
 */

/* Where frames go: the places of each kind, in the order in which they act at one instant. */
enum federation_place {
    PLACE_STORE = 0,
    PLACE_LEADER = FEDERATION_STORES_MAX,
    PLACE_OWNER,
    PLACE_WORKER = 16,
    PLACE_COUNT = PLACE_WORKER + FEDERATION_WORKERS_MAX,
};

struct federation_kind {
    /* A frame has come. */
    void (*receive)(struct federation *f, size_t place, const struct network_letter *letter);
    /* When step() is to be called, in real time; UINT64_MAX: never by itself. */
    uint64_t (*due_us)(const struct federation *f, size_t place);
    void (*step)(struct federation *f, size_t place);
};

/* The process at a place. */
struct federation_process {
    const struct federation_kind *kind;  // NULL: nobody is there
    uint64_t life;                       // 0: likewise; never the same again
    uint64_t frames_left;                // until it dies while it sends; 0: it does not
    bool is_dying;                       // it has: what it still says is heard by nobody
};

/* A process's own clock: real time, too fast or too slow, with leaps. */
struct federation_clock {
    uint64_t begun_us;
    uint64_t leapt_us;
    int64_t drift_permille;
};

struct federation_store {
    struct federation *federation;
    const struct disk *disk;
    struct sign_key *key;
    struct store *store;
    struct server *server;
    bool must_commit;
    uint64_t proof_count;
    uint64_t tick_us;
    bool is_lying;
    uint64_t lie_count;  // of what came meanwhile
};

struct federation_owner {
    struct sign_key *key;
    struct secret *seed;
    uint64_t term;
    uint64_t sync_epoch;
    struct hash sync;
    struct branch_head sync_head;  // the same SYNC: whose, and where
    struct buffer warrant;         // that W stores held it
    struct join_judge *judge;
    struct join_apply apply;
    struct channel *channel;
    bool has_alarm;
    bool has_proof;             // of what the alarm is about: it was verified
    struct stores stores;       // that count; version 0: those of the GENESIS
    struct buffer stores_word;  // the owner's on them
    uint64_t given_version;     // of the word in the last TERM
};

struct federation_leader {
    struct sign_key *key;
    struct verify_key public_key;
    struct writer_id id;
    struct leader *leader;  // NULL: none
    uint64_t tick_us;       // by its own clock
    struct federation_clock clock;
    int64_t skew_ms;  // of the time of day, as the leader's host tells it
};

struct federation_worker {
    bool is_alive;
    bool is_ready;
    struct federation_clock clock;
    uint64_t join_us;
    struct sign_key *key;
    struct verify_key public_key;
    struct writer_id id;
    struct p256_key *tls_key;
    struct scl *scl;
    struct scl_reader *reader;
    struct compactor *compactor;  // NULL: a worker
    struct join_applicant *applicant;
    struct channel *channel;
    bool has_grant;
    uint32_t key_epoch;  // the newest whose key it was given; stays when it has ended
    uint64_t tick_us;    // both by its own clock
    uint64_t seal_us;
    uint64_t work_us;  // a compactor's
    struct scl_seal_job seal;
    struct scl_open_job open;
};

struct federation {
    struct random_seeded seeded;
    struct random random;
    const struct log *log;
    struct network *network;
    bool is_bending;  // some frame is, or may have been, corrupted or replayed
    void (*on_event)(void *context, const struct federation_event *event);
    void *context;
    uint64_t now_us;
    uint64_t delivered_count;
    uint64_t sent_count;
    uint64_t sent_bytes;
    uint64_t lives;

    uint64_t memtable_bytes;  // of each worker
    struct policy policy;
    struct buffer genesis;
    struct hash capsule;

    // The machine's.
    struct sign_key *vendor;
    struct simulated_platform *platform;
    struct buffer tcb;
    struct hash measurement;

    struct federation_process processes[PLACE_COUNT];
    size_t place_count;  // no process beyond
    struct federation_store stores[FEDERATION_STORES_MAX];
    size_t store_count;
    struct federation_owner owner;
    struct federation_leader leader;
    struct federation_worker *workers[FEDERATION_WORKERS_MAX];  // those that ever were
    size_t worker_count;
};

enum { FEDERATION_START_S = 1700000000 };  // of the virtual time of day

/* ---- federation.c ---- */

/* The peer of frames to nobody in particular, and the owner's. */
extern const struct writer_id federation_everyone;
extern const struct writer_id federation_owner_peer;

/* A new process at `place`. `kind` is static. */
void federation_occupy(struct federation *f, size_t place, const struct federation_kind *kind);
void federation_vacate(struct federation *f, size_t place);

/* For the counters: one frame, however many receive it. */
void federation_note_sent(struct federation *f, struct bytes frame);
/* Send a frame from place to place. */
void federation_post(struct federation *f, size_t from, size_t to, struct bytes frame);
void federation_post_body(struct federation *f, size_t from, size_t to, enum frame_kind kind,
                          uint32_t request, const struct writer_id *peer, struct bytes body);
void federation_post_to_workers(struct federation *f, size_t from, struct bytes frame);
/* The part of the sender's host: to where its clear header says. */
void federation_route(struct federation *f, size_t from, struct bytes frame);

/* From now on the process at `place` sends so many frames, the last of them not to everybody. */
void federation_trip(struct federation *f, size_t place, uint64_t frames);
/* Whether it has come to its end that way: whoever runs it kills it. */
bool federation_is_dying(const struct federation *f, size_t place);

/* For the trace; `frame` may be empty. `what` is static. */
void federation_tell(struct federation *f, const char *what, size_t from, size_t to,
                     struct bytes frame);

uint64_t federation_clock_us(const struct federation *f, const struct federation_clock *clock);
/* In real time, when that clock will show `us`. */
uint64_t federation_clock_real_us(const struct federation *f, const struct federation_clock *clock,
                                  uint64_t us);
void federation_clock_adjust(const struct federation *f, struct federation_clock *clock,
                             int64_t drift_permille, uint64_t leap_us);

/* ---- federation_owner.c ---- */

void federation_owner_init(struct federation *f);
void federation_owner_release(struct federation *f);
/* The host at the owner's asks a new leader to apply. */
void federation_owner_call(struct federation *f);

/* ---- federation_store.c ---- */

/*
 * Append a record of a store's, by whose hand it came. STATUS_NOT_FOUND: no store that runs has it.
 */
MUST_CHECK enum status federation_store_look(struct federation *f, const struct writer_id *writer,
                                             uint64_t sequence, struct buffer *record);

void federation_store_init(struct federation *f, size_t index, const struct disk *disk);
void federation_store_release(struct federation *f, size_t index);
/* Where the store with this id is; the first one's place when there is none. */
size_t federation_store_place(const struct federation *f, const struct writer_id *id);

#endif
