/* tests/support/leader_world.h */
#ifndef SUPPORT_LEADER_WORLD_H
#define SUPPORT_LEADER_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attest/policy.h"
#include "attest/simulated.h"
#include "base/buffer.h"
#include "base/random.h"
#include "capsule/function.h"
#include "capsule/term.h"
#include "crypto/certificate.h"
#include "leader/leader.h"
#include "wire/channel.h"
#include "wire/join.h"
#include "wire/message.h"

/*
 * leader_world: one leader, and everybody it speaks to in one hand: owner,
 * host, the TEE's machine, a store that keeps all and signs for it, and
 * enclaves that want to join. A test bends what they say. Nothing gets lost, and nothing
 * takes time. What goes wrong in building is a CHECK.
 */
struct leader_world_evidence {
    struct hash measurement;
    bool is_debug;
    const struct simulated_platform *platform;
    struct bytes tcb;
    const uint8_t *report_data;  // NULL: what the handshake asks for

    // Instead of all that: makes the evidence for this report data. NULL: the above counts.
    void (*make)(void *context, const uint8_t *report_data, struct buffer *target);
    void *context;
};

/* What time the host tells the leader at the beginning. */
uint64_t leader_world_start_s(void);

struct leader_world_joiner {
    struct leader_world *world;  // where it lives
    struct sign_key *key;
    struct verify_key public_key;
    struct writer_id id;
    struct p256_key *tls_key;
    struct join_applicant *applicant;
    struct channel *channel;
    uint8_t report_data[JOIN_REPORT_DATA_BYTES];
    struct buffer proof;  // the JOIN body of message 3
    char refusal[JOIN_REASON_BYTES_MAX + 1];
    size_t channel_frame_count;  // what the leader said to it under seal
    bool is_granted;
    struct message message;    // the last one received; lies in `plain`
    struct bytes certificate;  // likewise
    struct buffer plain;
};

struct leader_world {
    struct random_seeded seeded;
    struct random random;
    struct sign_key *owner;
    struct secret *seed;
    struct sign_key *vendor;
    struct policy policy;
    const struct vendor_roots *vendors;  // of the hardware; vendor_pinned(), unless a test says
    struct simulated_platform *platform;
    struct buffer tcb;
    struct leader_world_evidence evidence;  // what the next evidence says
    struct sign_key *store_key;
    bool has_mirrors;  // set before leader_world_begin(): two more stores, and W = 2
    struct sign_key *mirror_keys[2];
    struct writer_id mirrors_lack;  // they say what the first one says, but of this writer
    struct head mirror_heads[2];    // that they hold so much
    size_t silent_mirror_count;     // the last ones
    struct buffer stores_word;      // the owner's, for the next TERMs; empty: the GENESIS's count
    struct buffer forked;  // records of one writer: the first one gives these, and no others of it
    struct buffer genesis;
    struct hash capsule;
    struct sync_pair {
        uint64_t epoch;
        struct hash hash;
    } sync;  // as the last ANSWER names it

    struct sign_key *leader_key;
    struct verify_key leader_public;
    struct writer_id leader_id;
    struct leader *leader;
    enum status status;  // the last of leader_receive() and leader_tick()
    uint64_t now_us;
    uint64_t wake_us;
    struct buffer *tape;  // NULL, or receives every frame that the leader does, behind its length

    // The store.
    bool is_store_silent;
    bool is_store_deaf_to_leader;  // it takes what others write
    size_t fetch_count;
    size_t store_room;  // so many records more, then it takes none
    struct buffer stored;
    struct branch_head heads[32];
    bool are_leaders[32];  // of the heads
    bool have_synced[32];
    uint32_t head_count;
    struct writer_id synced;      // who wrote the newest SYNC
    struct head proposed;         // the cut in the newest FENCE
    size_t others_record_count;   // that the leader sent, which it has not written
    size_t fetched_record_count;  // that it gave
    size_t record_counts[32];     // by type
    size_t rts_count;

    // The owner's side of its session.
    const struct sign_key *judge_key;  // who signs as the owner
    struct join_judge *judge;
    struct join_apply apply;
    struct buffer leader_evidence;
    struct channel *session;
    size_t answer_count;
    size_t request_count;  // of those, answers to requests
    enum status answer;
    char answer_text[128];

    struct leader_world_joiner *joiner;  // who receives what is not for the owner
    struct leader_world_joiner *other;   // and another one, or NULL
};

/* An owner with a policy that admits honest evidence, and a leader that has no term yet. */
void leader_world_init(struct leader_world *world, uint64_t seed);
void leader_world_release(struct leader_world *world);

/* The GENESIS carries the policy: call after changing world->policy, before anything is sent. */
void leader_world_begin(struct leader_world *world);

/* End this leader and start another; the store keeps what it has. */
void leader_world_restart(struct leader_world *world);

/* Hand one frame to the leader and do what follows. */
void leader_world_send(struct leader_world *world, enum frame_kind kind, uint32_t request,
                       const struct writer_id *peer, struct bytes body);
/* The same with a whole frame, or what is none. */
void leader_world_give(struct leader_world *world, struct bytes frame);
/* A record of another writer reaches the store. */
void leader_world_store(struct leader_world *world, struct bytes record);
/* Let time pass, in steps of 10 ms. */
void leader_world_run(struct leader_world *world, uint64_t us);

/* The owner calls: on return there is a session, unless the leader refused it. */
void leader_world_call(struct leader_world *world);
/* A message of the owner's (wire/message.h), over its session. */
void leader_world_say(struct leader_world *world, struct bytes plain);
/* A TERM with this number for this key, and the seed. */
void leader_world_seed(struct leader_world *world, uint64_t number,
                       const struct verify_key *leader);
void leader_world_deploy(struct leader_world *world, const char *name, uint64_t version,
                         const struct sign_key *signer);
void leader_world_undeploy(struct leader_world *world, const char *name, uint64_t version);
/*
 * The owner's word: of the store and the mirrors those whose bits are set in `now` count, `former`
 * before. W is most of them.
 */
void leader_world_name_stores(struct leader_world *world, uint64_t version, unsigned now,
                              unsigned former);
/* All of it: from a new leader to one that leads term `number`. */
void leader_world_lead(struct leader_world *world, uint64_t number);

/* An enclave with keys of its own. */
void leader_world_joiner_init(struct leader_world *world, struct leader_world_joiner *joiner);
void leader_world_joiner_release(struct leader_world_joiner *joiner);
/* It applies; on return it is granted, refused, or waits for receipts. */
void leader_world_join(struct leader_world *world, struct leader_world_joiner *joiner,
                       enum member_role role, const struct hash *capsule);

#endif
