/* tests/leader/one_worker.h */
#ifndef TESTS_LEADER_ONE_WORKER_H
#define TESTS_LEADER_ONE_WORKER_H

#include "tests/support/leader_world.h"

/*
 * one_worker: a leader in its first term and one worker that it has admitted, whose branch the
 * test writes by hand and brings to leader and store as it likes.
 */
struct one_worker {
    struct leader_world world;
    struct leader_world_joiner worker;
    struct head head;      // the worker's newest record
    struct buffer record;  // that record
};

/* Fixtures of cmocka. */
int one_worker_setup(void **state);
int one_worker_setup_mirrored(void **state);  // with three stores, W = 2
int one_worker_teardown(void **state);

/* As the leader's capsule has them. */
const struct capsule *one_worker_capsule(const struct one_worker *f);
const struct capsule_member *one_worker_member(const struct one_worker *f);
const struct capsule_sync *one_worker_newest(const struct one_worker *f);

/* The worker's next record: an EOE that joins the newest SYNC, unless it has joined that before. */
void one_worker_write_eoe(struct one_worker *f, uint64_t lamport);
void one_worker_tell_leader(struct one_worker *f);
void one_worker_tell_store(struct one_worker *f);

/* A message of the worker's (wire/message.h), under seal; takes `plain`. */
void one_worker_say(struct one_worker *f, struct buffer *plain);

#endif
