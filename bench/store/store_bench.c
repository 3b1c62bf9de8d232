/* bench/store/store_bench.c */

/*
 * What it costs to keep records of 1 KiB durably, in groups of 1, 16, 100 and 1,000: a server that
 * decodes, verifies, appends, syncs and signs a receipt, beside a loop that only writes as many
 * bytes into a file written out before and calls fdatasync. Both in one run, taking turns, on one
 * disk.
 *
 * usage: store_store_bench [DIRECTORY]     (default: the current one; a folder in it is used, then
 * removed)
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "crypto/crypto.h"
#include "store/server.h"
#include "tests/support/capsule_world.h"

enum { RECORD_BYTES = 1024, REPETITIONS = 5, RECORDS_PER_RUN_MAX = 20000, FILES_MAX = 8 };

/* Records of one worker, signed before the clock starts, each in a frame of its own. */
struct load {
    struct buffer bytes;
    size_t *offsets;
    size_t count;
};

struct bench {
    struct capsule_world world;
    struct capsule_world_writer *worker;
    char directory[256];
    struct disk_posix *posix;
    struct disk disk;
    struct store *store;
    struct server *server;
    size_t receipt_count;
    int bare;
    uint64_t bare_offset;
};

static double now(void)
{
    struct timespec time;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &time) == 0);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void on_send(void *context, uint64_t client, struct bytes frame)
{
    (void)context;
    (void)client;
    (void)frame;
    CHECK(false && "no record is refused");
}

static void on_broadcast(void *context, struct bytes frame)
{
    struct bench *bench = context;
    struct frame decoded;
    CHECK(frame_decode(&decoded, frame) == STATUS_OK && decoded.kind == FRAME_RECEIPT);
    bench->receipt_count++;
}

static void make_load(struct bench *bench, struct load *load, size_t count)
{
    static const struct writer_id nobody;
    // Header, a parent, a sealed tuple, a signature: 1,024 bytes in all, give or take a varint.
    char value[RECORD_BYTES - RECORD_HEADER_BYTES - HASH_BYTES - SIGN_SIGNATURE_BYTES - 40];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    *load = (struct load){.offsets = calloc(count + 1, sizeof(size_t)), .count = count};
    CHECK(load->offsets != NULL);
    for (size_t i = 0; i < count; i++) {
        struct capsule_world_draft draft;
        capsule_world_draft(&bench->world, &draft, bench->worker, RECORD_DATA);
        capsule_world_tuple(&bench->world, bench->worker, &draft.body, "key", value);
        capsule_world_build(&bench->world, &draft);
        struct record record;
        CHECK(record_decode(&record, bench->world.tried.bytes, bench->world.tried.length) ==
              STATUS_OK);
        bench->worker->head = (struct head){.sequence = record.sequence, .hash = record.hash};
        CHECK(frame_encode(&load->bytes, FRAME_RECORD, 0, &nobody, record.whole) == STATUS_OK);
        load->offsets[i + 1] = load->bytes.length;
    }
}

static double run_store(struct bench *bench, const struct load *load, size_t group)
{
    double start = now();
    for (size_t i = 0; i < load->count; i++) {
        struct bytes frame =
            bytes_of(load->bytes.bytes + load->offsets[i], load->offsets[i + 1] - load->offsets[i]);
        CHECK(server_receive(bench->server, 1, frame) == STATUS_OK);
        if ((i + 1) % group == 0) {
            CHECK(server_commit(bench->server) == STATUS_OK);
        }
    }
    return (double)load->count / (now() - start);
}

static double run_bare(struct bench *bench, const struct load *load, size_t group)
{
    double start = now();
    for (size_t i = 0; i + group <= load->count; i += group) {
        size_t bytes = group * RECORD_BYTES;
        CHECK(pwrite(bench->bare, load->bytes.bytes, bytes, (off_t)bench->bare_offset) ==
              (ssize_t)bytes);
        CHECK(fdatasync(bench->bare) == 0);
        bench->bare_offset += bytes;
    }
    return (double)load->count / (now() - start);
}

/* A file of zeroes, written out and synced. */
static void open_bare(struct bench *bench, uint64_t bytes)
{
    char path[300];
    (void)snprintf(path, sizeof path, "%s/bare", bench->directory);
    bench->bare = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(bench->bare >= 0);
    static const uint8_t zeroes[1 << 20];
    for (uint64_t at = 0; at < bytes; at += sizeof zeroes) {
        CHECK(pwrite(bench->bare, zeroes, sizeof zeroes, (off_t)at) == (ssize_t)sizeof zeroes);
    }
    CHECK(fsync(bench->bare) == 0);
    bench->bare_offset = 0;
}

static int compare_doubles(const void *left, const void *right)
{
    const double *a = left;
    const double *b = right;
    return (*a > *b) - (*a < *b);
}

static void measure(struct bench *bench, size_t group)
{
    double store[REPETITIONS];
    double bare[REPETITIONS];
    size_t count = group * 300 < RECORDS_PER_RUN_MAX ? group * 300 : RECORDS_PER_RUN_MAX;
    for (size_t i = 0; i < REPETITIONS; i++) {
        struct load load;
        make_load(bench, &load, count);
        open_bare(bench, count * RECORD_BYTES);
        bare[i] = run_bare(bench, &load, group);
        store[i] = run_store(bench, &load, group);
        CHECK(close(bench->bare) == 0);
        buffer_release(&load.bytes);
        free(load.offsets);
    }
    qsort(store, REPETITIONS, sizeof *store, compare_doubles);
    qsort(bare, REPETITIONS, sizeof *bare, compare_doubles);
    size_t middle = REPETITIONS / 2;
    printf(
        "group %4zu  store %8.0f records/s (%.0f to %.0f)  bare %8.0f (%.0f to %.0f)  ratio %.2f\n",
        group, store[middle], store[0], store[REPETITIONS - 1], bare[middle], bare[0],
        bare[REPETITIONS - 1], store[middle] / bare[middle]);
}

static void feed_beginning(struct bench *bench)
{
    static const struct writer_id nobody;
    struct buffer frame = BUFFER_EMPTY;
    CHECK(frame_encode(&frame, FRAME_RECORD, 0, &nobody, buffer_bytes(&bench->world.log)) ==
          STATUS_OK);
    CHECK(server_receive(bench->server, 1, buffer_bytes(&frame)) == STATUS_OK);
    CHECK(server_commit(bench->server) == STATUS_OK);
    buffer_release(&frame);
}

static double open_store(struct bench *bench)
{
    struct store_config config = {
        .disk = &bench->disk,
        .genesis = buffer_bytes(&bench->world.genesis_body),
        .key = bench->world.store_keys[0],
    };
    double start = now();
    CHECK(store_open(&bench->store, &config) == STATUS_OK);
    return (now() - start) * 1000;
}

static void remove_files(const struct bench *bench)
{
    char path[300];
    for (unsigned i = 1; i <= FILES_MAX; i++) {
        (void)snprintf(path, sizeof path, "%s/segment-%08u", bench->directory, i);
        (void)unlink(path);
    }
    (void)snprintf(path, sizeof path, "%s/bare", bench->directory);
    (void)unlink(path);
    CHECK(rmdir(bench->directory) == 0);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    crypto_init();
    (void)snprintf(bench.directory, sizeof bench.directory, "%s/store_bench.XXXXXX",
                   argc > 1 ? argv[1] : ".");
    CHECK(mkdtemp(bench.directory) != NULL);
    CHECK(disk_posix_open(&bench.posix, &bench.disk, bench.directory) == STATUS_OK);
    capsule_world_init(&bench.world, 3, 1, 1, 0);
    capsule_world_start(&bench.world);
    bench.worker = capsule_world_admit(&bench.world, MEMBER_WORKER);
    printf("open, empty: %.1f ms\n", open_store(&bench));
    struct server_output output = {.send = on_send, .broadcast = on_broadcast, .context = &bench};
    CHECK(server_new(&bench.server, bench.store, &output) == STATUS_OK);
    feed_beginning(&bench);

    const size_t groups[] = {1, 16, 100, 1000};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        measure(&bench, groups[i]);
    }
    struct store_counters counters;
    store_count(bench.store, &counters);
    CHECK(bench.receipt_count == counters.commit_count);
    server_free(bench.server);
    store_close(bench.store);
    double reopened_ms = open_store(&bench);
    printf("open, %llu records, %.0f MB: %.0f ms\n", (unsigned long long)counters.record_count,
           (double)counters.record_bytes / 1e6, reopened_ms);
    store_close(bench.store);
    disk_posix_close(bench.posix);
    capsule_world_release(&bench.world);
    remove_files(&bench);
    return 0;
}
