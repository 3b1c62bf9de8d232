/* bench/scl/put_bench.c */

/*
 * Puts per second from a native loop in a worker: stamped, applied to the memtable, encoded,
 * sealed, hashed, chained, signed. Batched as the sealer batches under a flood, and, as
 * the baseline in the same run, one record for every put.
 *
 * usage: scl_put_bench
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "crypto/crypto.h"
#include "scl/scl.h"
#include "tests/support/capsule_world.h"

enum { ROUNDS = 7, PUTS = 20000, KEYS = 4096, GATHERED_US = 1000000 };

struct bench {
    struct capsule_world world;
    struct capsule_world_writer *worker;
    struct scl *scl;
    struct scl_seal_job job;
    uint64_t now_us;
    uint64_t record_count;
};

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void ignore_function(void *context, struct bytes body)
{
    (void)context;
    (void)body;
}

static void catch_up(struct bench *bench)
{
    static struct scl_open_job job;
    for (size_t i = 0; i < bench->world.record_count; i++) {
        struct record record;
        struct bytes bytes = capsule_world_record(&bench->world, i);
        CHECK(record_decode(&record, bytes.at, bytes.length) == STATUS_OK);
        CHECK(scl_receive(bench->scl, &record) == STATUS_OK);
    }
    while (scl_open_begin(bench->scl, &job) == STATUS_OK) {
        scl_open_run(&job);
        CHECK(scl_open_finish(bench->scl, &job, 0) == STATUS_OK);
    }
    scl_open_release(&job);
}

static void bench_init(struct bench *bench)
{
    capsule_world_init(&bench->world, 1, 1, 1, 0);
    capsule_world_start(&bench->world);
    bench->worker = capsule_world_admit(&bench->world, MEMBER_WORKER);
    capsule_world_sync(&bench->world);
    const struct scl_config config = {
        .genesis = buffer_bytes(&bench->world.genesis_body),
        .key = bench->worker->key,
        .on_function = ignore_function,
    };
    CHECK(scl_new(&bench->scl, &config) == STATUS_OK);
    CHECK(scl_add_key(bench->scl, CAPSULE_KEY_EPOCH_FIRST, secret_bytes(bench->world.data_key)) ==
          STATUS_OK);
    catch_up(bench);
}

static void bench_release(struct bench *bench)
{
    scl_seal_release(&bench->job);
    scl_free(bench->scl);
    capsule_world_release(&bench->world);
}

/* Seal what is in the batch. The clock is far enough on that it does not gather. */
static void seal(struct bench *bench)
{
    uint64_t until_us;
    struct bytes frame;
    enum status status;
    do {
        bench->now_us += GATHERED_US;
        status = scl_seal_begin(bench->scl, &bench->job, bench->now_us, &until_us);
    } while (status == STATUS_FULL);
    CHECK(status == STATUS_OK);
    scl_seal_run(bench->scl, &bench->job);
    CHECK(scl_seal_finish(bench->scl, &bench->job, bench->now_us, &frame) == STATUS_OK);
    bench->record_count++;
}

/* Outside the measurement: the store's receipt for all of it, so that nothing piles up. */
static void settle(struct bench *bench)
{
    const struct capsule_member *own =
        capsule_member_find(scl_capsule(bench->scl), &bench->worker->id);
    const struct branch_head head = {.writer = own->id, .head = own->head};
    struct buffer receipt = BUFFER_EMPTY;
    CHECK(receipt_encode(&receipt, RECEIPT_DURABLE, &bench->world.name, 1, &head, 1,
                         bench->world.store_keys[0]) == STATUS_OK);
    const struct frame frame = {.kind = FRAME_RECEIPT, .body = buffer_bytes(&receipt)};
    CHECK(scl_receive_frame(bench->scl, &frame) == STATUS_OK);
    buffer_release(&receipt);
    uint64_t until_us;
    CHECK(scl_seal_begin(bench->scl, &bench->job, bench->now_us, &until_us) == STATUS_EMPTY);
}

/* Puts per second with a record for every `per_record` puts. */
static double round_of(struct bench *bench, size_t value_bytes, size_t per_record)
{
    static uint8_t value[1024];
    char key[16];
    double begin = seconds();
    for (size_t i = 0; i < PUTS; i++) {
        snprintf(key, sizeof key, "key-%06zu", i % KEYS);
        const struct tuple tuple = {
            .kind = TUPLE_PUT, .key = bytes_text(key), .value = bytes_of(value, value_bytes)};
        struct dependency dependency = {0};
        CHECK(scl_put(bench->scl, &tuple, &dependency) == STATUS_OK);
        if ((i + 1) % per_record == 0) {
            seal(bench);
        }
    }
    double took = seconds() - begin;
    settle(bench);
    return PUTS / took;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct spread {
    double low, median, high;
};

static struct spread measure(struct bench *bench, size_t value_bytes, size_t per_record)
{
    double rates[ROUNDS];
    for (size_t i = 0; i < ROUNDS; i++) {
        rates[i] = round_of(bench, value_bytes, per_record);
    }
    qsort(rates, ROUNDS, sizeof *rates, by_size);
    return (struct spread){rates[0], rates[ROUNDS / 2], rates[ROUNDS - 1]};
}

int main(void)
{
    static struct bench bench;
    const size_t sizes[] = {128, 1024};
    const size_t batches[] = {1, 16, 100, 1000};
    crypto_init();
    bench_init(&bench);
    printf("puts/s in one thread: stamp, map, encode, seal, hash, chain, sign (%d rounds)\n",
           ROUNDS);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        double alone = 0;
        for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
            struct spread rate = measure(&bench, sizes[s], batches[b]);
            alone = b == 0 ? rate.median : alone;
            printf("%5zu B  %5zu a record  %10.0f  (%.0f to %.0f)  %6.1fx\n", sizes[s], batches[b],
                   rate.median, rate.low, rate.high, rate.median / alone);
        }
    }
    bench_release(&bench);
    return 0;
}
