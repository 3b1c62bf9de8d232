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
    READERS_MAX = 64,
    READ_KEYS = 4000,
    READ_ENTRY_BYTES = 120,
    READ_STORES = 3,
    READ_US = 2 * 1000 * 1000,
    PUTS_TOGETHER = 50,
    PAUSE_US = 100 * 1000,
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

static struct federation *new_federation(uint64_t seed, const struct disk *disks,
                                         size_t store_count, uint64_t memtable_bytes)
{
    const struct federation_config config = {
        .seed = seed,
        .memtable_bytes = memtable_bytes,
        .disks = disks,
        .store_count = store_count,
        .receipt_count = store_count,
        .faults = {.delay_us = DELAY_US},
    };
    struct federation *federation = federation_new(&config);
    federation_leader_start(federation);
    CHECK(federation_run(federation, LIMIT_US, is_leading, NULL));
    return federation;
}

struct curve_point curve_measure(size_t worker_count, uint64_t epoch_count, uint64_t seed)
{
    struct disk_fake *fake = disk_fake_new();
    struct disk disk = disk_fake_disk(fake);
    struct federation_counters before, after;
    CHECK(worker_count <= FEDERATION_WORKERS_MAX);
    struct federation *federation = new_federation(seed, &disk, 1, 0);
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
        .frames = after.sent_frames - before.sent_frames,
        .bytes = after.sent_bytes - before.sent_bytes,
    };
}

// ---- reading ----

struct reading {
    struct random_seeded seeded;
    struct random random;
    size_t worker_count;
    uint32_t asked[READERS_MAX];  // the key that each of them waits for
    uint64_t reads;
};

static struct bytes key_of(char text[32], uint32_t number)
{
    snprintf(text, 32, "key-%06u", number);
    return bytes_text(text);
}

static uint32_t draw(struct reading *reading)
{
    uint64_t word;
    random_fill(&reading->random, &word, sizeof word);
    return (uint32_t)(word % READ_KEYS);
}

static uint64_t counted(struct federation *federation, size_t worker_count, bool is_blocks)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < worker_count; i++) {
        struct scl_counters counters;
        scl_count(federation_worker_scl(federation, i), &counters);
        sum += is_blocks ? counters.block_fetches : counters.keys;
    }
    return sum;
}

/* All that was put lies in tables, and next to nothing in memory. */
static bool are_cold(struct federation *federation, void *context)
{
    size_t worker_count = *(const size_t *)context;
    return counted(federation, worker_count, false) <= worker_count * READ_KEYS / 50;
}

static bool is_put(struct federation *federation, void *context)
{
    return federation_worker_is_durable(federation, 0, context);
}

static void put_keys(struct federation *federation)
{
    char key[32], value[128];
    struct dependency dependency = {.count = 0};
    for (uint32_t i = 0; i < READ_KEYS; i++) {
        (void)key_of(key, i);
        snprintf(value, sizeof value, "%0100u", i);
        enum status status;
        while ((status = federation_worker_put(federation, 0, key, value, &dependency)) ==
               STATUS_FULL) {
            (void)federation_run(federation, PAUSE_US, NULL, NULL);  // until tables have it
        }
        CHECK(status == STATUS_OK);
        if (i % PUTS_TOGETHER == PUTS_TOGETHER - 1) {
            CHECK(federation_run(federation, LIMIT_US, is_put, &dependency));
        }
    }
}

/* Each client goes on as far as it can. */
static bool have_read(struct federation *federation, void *context)
{
    struct reading *reading = context;
    for (size_t i = 0; i < reading->worker_count; i++) {
        char key[32];
        enum status status;
        while ((status = federation_worker_ask(federation, i, key_of(key, reading->asked[i]))) ==
               STATUS_OK) {
            reading->reads++;
            reading->asked[i] = draw(reading);
        }
        CHECK(status == STATUS_GAP);
    }
    return false;
}

struct curve_reads curve_measure_reads(size_t worker_count, uint64_t seed)
{
    struct disk_fake *fakes[READ_STORES];
    struct disk disks[READ_STORES];
    struct federation_counters before, after;
    struct reading reading = {.worker_count = worker_count};
    CHECK(worker_count <= READERS_MAX);
    for (size_t i = 0; i < READ_STORES; i++) {
        fakes[i] = disk_fake_new();
        disks[i] = disk_fake_disk(fakes[i]);
    }
    struct federation *federation =
        new_federation(seed, disks, READ_STORES, READ_KEYS * READ_ENTRY_BYTES / 50);
    start_workers(federation, worker_count);
    (void)federation_worker_start_compactor(federation);
    put_keys(federation);
    CHECK(federation_run(federation, LIMIT_US, are_cold, &worker_count));

    reading.random = random_seeded(&reading.seeded, seed);
    for (size_t i = 0; i < worker_count; i++) {
        reading.asked[i] = draw(&reading);
    }
    uint64_t blocks = counted(federation, worker_count, true);
    federation_count(federation, &before);
    (void)federation_run(federation, READ_US, have_read, &reading);
    federation_count(federation, &after);
    struct curve_reads result = {
        .worker_count = worker_count,
        .reads = reading.reads,
        .time_us = READ_US,
        .blocks = counted(federation, worker_count, true) - blocks,
        .frames = after.sent_frames - before.sent_frames,
    };
    federation_free(federation);
    for (size_t i = 0; i < READ_STORES; i++) {
        disk_fake_free(fakes[i]);
    }
    return result;
}
