/* tests/capsule/two_workers.h */
#ifndef TESTS_CAPSULE_TWO_WORKERS_H
#define TESTS_CAPSULE_TWO_WORKERS_H

#include "tests/support/capsule_world.h"

/* two_workers: an app of three stores, W = 2, and two workers, each of which has put a value. */
struct two_workers {
    struct capsule_world world;
    struct capsule_world_writer *a;
    struct capsule_world_writer *b;
};

/* Fixtures of cmocka. */
int two_workers_setup(void **state);
int two_workers_teardown(void **state);

#endif
