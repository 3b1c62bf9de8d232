#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

#include "store/store_internal.h"
#include "tests/store/disk_fake.h"
#include "tests/support/capsule_world.h"

/*
 * fixture: a world of one owner, one store, a leader and two workers, and a store with small
 * segments on a disk in memory. What goes wrong in building is a CHECK.
 */
enum { FIXTURE_SEGMENT_BYTES = 4096 };

struct fixture {
    struct capsule_world world;
    struct capsule_world_writer *a;
    struct capsule_world_writer *b;
    struct disk_fake *fake;
    struct disk disk;
    struct store *store;  // open after fixture_init()
    struct buffer receipt;
    struct buffer proof;
};

/* The world's records so far: GENESIS, TERM, MEMBER a, MEMBER b. The store has none of them. */
void fixture_init(struct fixture *f);
void fixture_release(struct fixture *f);

/* Close the store and open it on f->disk. */
enum status fixture_reopen(struct fixture *f);

/* The same on a fresh disk. */
enum status fixture_reopen_fresh(struct fixture *f);

/* Three more records: two of a, one of b. */
void fixture_put(struct fixture *f);

enum status fixture_append(struct fixture *f, struct bytes record);

/* Append the world's records from `first` up to before `end`. */
enum status fixture_append_range(struct fixture *f, size_t first, size_t end);

/* Commit, leaving the receipt in f->receipt. */
enum status fixture_commit(struct fixture *f);

/* How many of the world's records the store holds, which must be the first ones, in order. */
size_t fixture_held(struct fixture *f);

/* A record of `writer` for its next place, which the world does not take up: f->world.tried. */
void fixture_build_other(struct fixture *f, struct capsule_world_writer *writer);

/* A FENCE of the world's leader; `writer` NULL: of everyone. Appends to `body`. */
void fixture_ask(struct fixture *f, struct buffer *body, const struct writer_id *writer);

#endif
