/* tests/support/store_fixture.h */
#ifndef SUPPORT_STORE_FIXTURE_H
#define SUPPORT_STORE_FIXTURE_H

#include "store/store_internal.h"
#include "sim/disk_fake.h"
#include "tests/support/capsule_world.h"

/*
 * store_fixture: a world of one owner, one store, a leader and two workers, and a store with small
 * segments on a disk in memory. What goes wrong in building is a CHECK.
 */
enum { STORE_FIXTURE_SEGMENT_BYTES = 4096 };

struct store_fixture {
    struct capsule_world world;
    struct capsule_world_writer *a;
    struct capsule_world_writer *b;
    struct disk_fake *fake;
    struct disk disk;
    struct store *store;  // open after store_fixture_init()
    struct buffer receipt;
    struct buffer proof;
};

/* The world's records so far: GENESIS, TERM, MEMBER a, MEMBER b. The store has none of them. */
void store_fixture_init(struct store_fixture *f);
void store_fixture_release(struct store_fixture *f);

/* Close the store and open it on f->disk. */
enum status store_fixture_reopen(struct store_fixture *f);

/* The same on a fresh disk. */
enum status store_fixture_reopen_fresh(struct store_fixture *f);

/* Three more records: two of a, one of b. */
void store_fixture_put(struct store_fixture *f);

enum status store_fixture_append(struct store_fixture *f, struct bytes record);

/* Append the world's records from `first` up to before `end`. */
enum status store_fixture_append_range(struct store_fixture *f, size_t first, size_t end);

/* Commit, leaving the receipt in f->receipt. */
enum status store_fixture_commit(struct store_fixture *f);

/* How many of the world's records the store holds, which must be the first ones, in order. */
size_t store_fixture_held(struct store_fixture *f);
/* The same, with what reading them all gave. */
enum status store_fixture_read(struct store_fixture *f, size_t *count);

/* A record of `writer` for its next place, which the world does not take up: f->world.tried. */
void store_fixture_build_other(struct store_fixture *f, struct capsule_world_writer *writer);

/* A FENCE of the world's leader; `writer` NULL: of everyone. Appends to `body`. */
void store_fixture_ask(struct store_fixture *f, struct buffer *body,
                       const struct writer_id *writer);

/* One that proposes a cut. */
void store_fixture_propose(struct store_fixture *f, struct buffer *body,
                           const struct writer_id *writer, const struct head *cut);

#endif
