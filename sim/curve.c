/* sim/curve.c */
#include "sim/curve.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "sim/disk_fake.h"
#include "sim/federation.h"

enum {
    TOGETHER = 50,  // workers that join at a time
    DELAY_US = 500,
    LIMIT_US = 120 * 1000 * 1000,
};

static bool is_leading(struct federation *federation, void *context)
{
    (void)context;
    return federation_leader_is_leading(federation);
}

static bool are_ready(struct federation *federation, void *context)
{
    size_t count = *(const size_t *)context;
    for (size_t i = count < TOGETHER ? 0 : count - TOGETHER; i < count; i++) {
        if (!federation_worker_is_ready(federation, i)) {
            return false;
        }
    }
    return true;
}

static void start_workers(struct federation *federation, size_t worker_count)
{
    for (size_t started = 0; started < worker_count;) {
        (void)federation_worker_start(federation);
        started++;
        if (started % TOGETHER == 0 || started == worker_count) {
            CHECK(federation_run(federation, LIMIT_US, are_ready, &started));
        }
    }
}

struct epoch {
    size_t worker_count;
    uint64_t epoch;
};

/* Every worker has joined it. */
static bool is_joined(struct federation *federation, void *context)
{
    const struct epoch *wanted = context;
    for (size_t i = 0; i < wanted->worker_count; i++) {
        if (federation_worker_joined_epoch(federation, i) < wanted->epoch) {
            return false;
        }
    }
    return true;
}

/* One put at each, and the SYNC that joins them all. */
static void run_epoch(struct federation *federation, size_t worker_count)
{
    char key[32];
    struct epoch wanted = {.worker_count = worker_count};
    for (size_t i = 0; i < worker_count; i++) {
        struct dependency dependency = {.count = 0};
        uint64_t joined = federation_worker_joined_epoch(federation, i);
        wanted.epoch = wanted.epoch > joined + 1 ? wanted.epoch : joined + 1;
        snprintf(key, sizeof key, "key-%zu", i);
        CHECK(federation_worker_put(federation, i, key, "value", &dependency) == STATUS_OK);
    }
    CHECK(federation_run(federation, LIMIT_US, is_joined, &wanted));
}

struct curve_point curve_measure(size_t worker_count, uint64_t epoch_count, uint64_t seed)
{
    struct disk_fake *fake = disk_fake_new();
    struct disk disk = disk_fake_disk(fake);
    struct federation_counters before, after;
    const struct federation_config config = {
        .seed = seed,
        .disks = &disk,
        .store_count = 1,
        .receipt_count = 1,
        .faults = {.delay_us = DELAY_US},
    };
    CHECK(worker_count <= FEDERATION_WORKERS_MAX);
    struct federation *federation = federation_new(&config);
    federation_leader_start(federation);
    CHECK(federation_run(federation, LIMIT_US, is_leading, NULL));
    start_workers(federation, worker_count);
    run_epoch(federation, worker_count);  // the joins end with it
    federation_count(federation, &before);
    for (uint64_t i = 0; i < epoch_count; i++) {
        run_epoch(federation, worker_count);
    }
    federation_count(federation, &after);
    federation_free(federation);
    disk_fake_free(fake);
    return (struct curve_point){
        .worker_count = worker_count,
        .epoch_count = epoch_count,
        .frames = after.sent_frames - before.sent_frames,
        .bytes = after.sent_bytes - before.sent_bytes,
        .receptions = after.delivered_frames - before.delivered_frames,
    };
}
