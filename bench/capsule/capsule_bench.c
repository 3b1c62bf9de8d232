/* bench/capsule/capsule_bench.c */

/*
 * What a DATA record of one small put costs a replica, in ns: to decode (two
 * hashes), to accept once a run's signature was verified, and to accept alone,
 * with its signature. The median of RUN_COUNT runs over RECORD_COUNT records,
 * and between which figures the runs lay.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "tests/support/capsule_world.h"

enum { RUN_COUNT = 9, RECORD_COUNT = 4000 };

typedef enum status accept_function(struct capsule *capsule, const struct record *record);

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void print(const char *name, double runs[RUN_COUNT])
{
    qsort(runs, RUN_COUNT, sizeof *runs, compare);
    printf("%-16s %9.0f  %9.0f  %9.0f\n", name, runs[RUN_COUNT / 2], runs[0], runs[RUN_COUNT - 1]);
}

static void measure_decode(const struct capsule_world *world, size_t first,
                           struct record records[RECORD_COUNT])
{
    double runs[RUN_COUNT];
    for (size_t run = 0; run < RUN_COUNT; run++) {
        double start = now_ns();
        for (size_t i = 0; i < RECORD_COUNT; i++) {
            struct bytes bytes = capsule_world_record(world, first + i);
            CHECK(record_decode(&records[i], bytes.at, bytes.length) == STATUS_OK);
        }
        runs[run] = (now_ns() - start) / RECORD_COUNT;
    }
    print("decode", runs);
}

static void measure_accept(const char *name, accept_function *accept,
                           const struct capsule_world *world, size_t first,
                           const struct record records[RECORD_COUNT])
{
    double runs[RUN_COUNT];
    for (size_t run = 0; run < RUN_COUNT; run++) {
        struct capsule *replica;
        CHECK(capsule_new(&replica, buffer_bytes(&world->genesis_body)) == STATUS_OK);
        for (size_t i = 0; i < first; i++) {
            CHECK(capsule_world_feed(replica, capsule_world_record(world, i)) == STATUS_OK);
        }
        double start = now_ns();
        for (size_t i = 0; i < RECORD_COUNT; i++) {
            CHECK(accept(replica, &records[i]) == STATUS_OK);
        }
        runs[run] = (now_ns() - start) / RECORD_COUNT;
        capsule_free(replica);
    }
    print(name, runs);
}

int main(void)
{
    static struct capsule_world world;
    static struct record records[RECORD_COUNT];
    capsule_world_init(&world, 1, 1, 1, 0);
    capsule_world_start(&world);
    struct capsule_world_writer *worker = capsule_world_admit(&world, MEMBER_WORKER);
    size_t first = world.record_count;
    for (size_t i = 0; i < RECORD_COUNT; i++) {
        capsule_world_put(&world, worker, "key", "value");
    }
    printf("%-16s %9s  %9s  %9s\n", "DATA record", "ns", "from", "to");
    measure_decode(&world, first, records);
    measure_accept("accept vouched", capsule_accept_vouched, &world, first, records);
    measure_accept("accept", capsule_accept, &world, first, records);
    capsule_world_release(&world);
    return 0;
}
