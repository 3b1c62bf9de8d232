/* tests/support/capsule_world.h */
#ifndef SUPPORT_CAPSULE_WORLD_H
#define SUPPORT_CAPSULE_WORLD_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/random.h"
#include "capsule/capsule.h"
#include "capsule/receipt.h"
#include "capsule/seal.h"
#include "capsule/tuple.h"

/*
 * capsule_world: an owner, stores, a leader and workers in one hand, for the
 * tests of every layer: it writes true records, and lets a test bend each of
 * them before it is signed. Same seed, same bytes. What goes wrong in building
 * is a CHECK; what `capsule` answers is the test's to judge.
 *
 *     struct capsule_world world;
 *     capsule_world_init(&world, 7, 1, 1, 0);
 *     capsule_world_start(&world);
 *     struct capsule_world_writer *worker = capsule_world_admit(&world, MEMBER_WORKER);
 *     capsule_world_put(&world, worker, "key", "value");
 *     capsule_world_sync(&world);
 *     … capsule_world_record(&world, i) for i below world.record_count …
 *     capsule_world_release(&world);
 */
enum {
    CAPSULE_WORLD_WRITERS_MAX = 64,
    CAPSULE_WORLD_RECORDS_MAX = 4096,
    CAPSULE_WORLD_PARENTS_MAX = CAPSULE_WORLD_WRITERS_MAX + 4,
};

struct capsule_world_writer {
    struct sign_key *key;
    struct verify_key public_key;
    struct writer_id id;
    enum member_role role;
    uint64_t term;  // of a leader
    struct aead_key *body_key;
    struct head head;
    struct hash joined;  // the SYNC it has joined; zero: none
    uint64_t joined_epoch;
    uint64_t joined_lamport;
    bool names_join;  // its next record names that SYNC
    bool is_closed;
    bool is_listed_closed;
    uint64_t lamport;
};

struct capsule_world {
    struct random_seeded seeded;
    struct random random;
    struct sign_key *owner;
    struct sign_key *store_keys[GENESIS_STORES_MAX];
    struct genesis genesis;
    struct buffer genesis_body;
    struct bytes evidence;     // of every enclave; borrowed
    struct bytes term_stores;  // what the next TERMs say of the stores; borrowed, empty at first
    struct hash name;
    struct secret *data_key;  // of key epoch 0

    struct capsule *capsule;  // has accepted every record below

    struct capsule_world_writer writers[CAPSULE_WORLD_WRITERS_MAX];
    size_t writer_count;
    struct capsule_world_writer *leader;  // of the newest term
    uint64_t sync_epoch;
    struct hash sync;
    uint64_t time_ms;

    struct buffer log;  // every accepted record, one after the other
    size_t offsets[CAPSULE_WORLD_RECORDS_MAX + 1];
    size_t record_count;
    struct buffer tried;  // the record last built, accepted or not
};

/* N stores of which W give receipts and f may lie. */
void capsule_world_init(struct capsule_world *world, uint64_t seed, uint32_t store_count,
                        uint32_t receipt_count, uint32_t tolerated_count);
/*
 * The same, with a policy and with evidence for all enclaves, which is borrowed: else both mean
 * nothing.
 */
void capsule_world_init_attested(struct capsule_world *world, uint64_t seed, uint32_t store_count,
                                 struct bytes policy, struct bytes evidence);
void capsule_world_release(struct capsule_world *world);

/* The bytes of record `index`; borrowed until the next record is made. */
struct bytes capsule_world_record(const struct capsule_world *world, size_t index);

/* Decode and accept bytes elsewhere. */
enum status capsule_world_feed(struct capsule *capsule, struct bytes record);

// ---- true records: accepted by world->capsule, or a CHECK fails ----

/* The first leader: GENESIS and TERM. */
void capsule_world_start(struct capsule_world *world);

/* A new leader of the next term: its TERM; the CLOSE of the old one is the test's. */
void capsule_world_restart(struct capsule_world *world);

/* A MEMBER of the leader's, starting from the newest SYNC. */
struct capsule_world_writer *capsule_world_admit(struct capsule_world *world,
                                                 enum member_role role);

void capsule_world_put(struct capsule_world *world, struct capsule_world_writer *writer,
                       const char *key, const char *value);
void capsule_world_eoe(struct capsule_world *world, struct capsule_world_writer *writer);

/* A TABLE and a MANIFEST, whose bodies mean nothing; returns where the MANIFEST stands. */
struct branch_head capsule_world_compact(struct capsule_world *world,
                                         struct capsule_world_writer *compactor);

/* A SYNC of all heads with the receipts of W stores; every open writer joins it. */
void capsule_world_sync(struct capsule_world *world);

/*
 * The same, and it begins the next key epoch: from now on every writer seals with `data_key`, which
 * the world takes.
 */
void capsule_world_rotate(struct capsule_world *world, struct secret *data_key);

/* The owner's REVOKE of `writer`. */
void capsule_world_revoke(struct capsule_world *world, const struct capsule_world_writer *writer);

/* A CLOSE of `writer` at its head, fenced by R stores. */
void capsule_world_close(struct capsule_world *world, struct capsule_world_writer *writer);

// ---- records to be bent ----

struct capsule_world_draft {
    struct capsule_world_writer *writer;
    const struct sign_key *key;
    struct record_fields fields;  // its parents are those below
    struct hash parents[CAPSULE_WORLD_PARENTS_MAX];
    struct buffer body;  // clear, or to be sealed
};

/* The next record of `writer` as it should be, its body empty. */
void capsule_world_draft(struct capsule_world *world, struct capsule_world_draft *draft,
                         struct capsule_world_writer *writer, enum record_type type);

/* Encode the draft to world->tried, and release it. */
void capsule_world_build(struct capsule_world *world, struct capsule_world_draft *draft);

/*
 * Build, and offer it to world->capsule. On STATUS_OK the world goes on from there.
 */
enum status capsule_world_try(struct capsule_world *world, struct capsule_world_draft *draft);

/* The plaintext of a DATA body with one PUT. */
void capsule_world_tuple(struct capsule_world *world, struct capsule_world_writer *writer,
                         struct buffer *plain, const char *key, const char *value);

/* A writer that nobody has admitted, with a key of its own. */
struct capsule_world_writer *capsule_world_stranger(struct capsule_world *world,
                                                    enum member_role role);

struct capsule_world_sync_plan {
    struct sync_body body;
    struct sync_head heads[CAPSULE_WORLD_WRITERS_MAX + 1];
    struct buffer receipts;
    uint32_t key_epoch;  // that it begins; 0: none
};
void capsule_world_plan_sync(struct capsule_world *world, struct capsule_world_sync_plan *plan);
enum status capsule_world_try_sync(struct capsule_world *world,
                                   struct capsule_world_sync_plan *plan);

struct capsule_world_close_plan {
    struct sync_close body;
    struct buffer fences;
};
void capsule_world_plan_close(struct capsule_world *world, struct capsule_world_close_plan *plan,
                              const struct capsule_world_writer *writer);
enum status capsule_world_try_close(struct capsule_world *world,
                                    struct capsule_world_close_plan *plan);

/* Append one statement of store `index` about `heads`, preceded by its length. */
void capsule_world_state(struct capsule_world *world, struct buffer *target, uint32_t index,
                         enum receipt_kind kind, uint64_t term, const struct branch_head *heads,
                         uint32_t head_count);

#endif
