/* bench/lsm/tree_bench.c */

/*
 * CapsuleDB beside RocksDB on the same keys, values, disk, batch, block size, filter bits, cache
 * size and level bounds, in one run: puts that are durable when they return, reads of a warm cache,
 * reads of absent keys, a walk over all keys, a merge of everything, and reads that miss the cache
 * (of blocks, not the kernel's). Ours is sealed and signed when written, and verified and
 * opened when read; RocksDB has sums alone, and no compression. They take turns; what is printed
 * is the median and the range of the turns. A ratio above 1 says that ours is faster.
 *
 * usage: lsm_tree_bench [KEYS [BLOCK_KIB [DIRECTORY [FLUSH_BLOCK_KIB]]]]
 *
 * KEYS is a multiple of 10,000. Default: 100,000 keys of 1 KiB, blocks of 16 KiB (ours of 64 KiB on
 * level 0), the current directory; a folder in it is used, then removed.
 */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "bench/lsm/federation.h"
#include "bench/lsm/rocks.h"
#include "bench/lsm/workload.h"
#include "crypto/crypto.h"
#include "lsm/table.h"

enum { ROUNDS = 5, THREADS_MAX = 2, VALUE_BYTES = 1024, PUTS_PER_KEY = 2, PUT_PARTS = 8 };

struct bench {
    struct workload workload;
    struct federation *ours;
    struct rocks *rocks;
};

/* ---- reading ---- */

struct reading {
    struct bench *bench;
    bool is_ours;
    bool is_absent;  // keys that were never put
    uint32_t count;
    uint64_t seed;
};

static void *read_keys(void *context)
{
    const struct reading *reading = context;
    struct bench *bench = reading->bench;
    const struct workload *workload = &bench->workload;
    static _Thread_local uint8_t value[VALUE_BYTES];
    struct federation_reader *reader = NULL;
    if (reading->is_ours) {
        reader = federation_reader_new(bench->ours);
    }
    uint64_t state = reading->seed;
    for (uint32_t i = 0; i < reading->count; i++) {
        uint32_t number = (uint32_t)(workload_random(&state) % workload->key_count);
        uint32_t asked = reading->is_absent ? number + WORKLOAD_ABSENT : number;
        bool is_found = reading->is_ours ? federation_get(reader, asked, value)
                                         : rocks_get(bench->rocks, asked, value);
        CHECK(is_found == !reading->is_absent);
        if (is_found) {
            workload_check(workload, number, bytes_of(value, sizeof value));
        }
    }
    if (reader != NULL) {
        federation_reader_free(reader);
    }
    return NULL;
}

/* Reads per second of all threads together. */
static double run_reading(const struct reading *reading, size_t thread_count)
{
    pthread_t threads[THREADS_MAX];
    struct reading each[THREADS_MAX];
    double start = workload_now();
    for (size_t i = 0; i < thread_count; i++) {
        each[i] = *reading;
        each[i].seed += i * 1000;
        CHECK(pthread_create(&threads[i], NULL, read_keys, &each[i]) == 0);
    }
    for (size_t i = 0; i < thread_count; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    return (double)reading->count * (double)thread_count / (workload_now() - start);
}

static double run_scan(struct bench *bench, bool is_ours)
{
    double start = workload_now();
    uint64_t count;
    if (is_ours) {
        struct federation_reader *reader = federation_reader_new(bench->ours);
        count = federation_scan(reader);
        federation_reader_free(reader);
    } else {
        count = rocks_scan(bench->rocks);
    }
    CHECK(count == bench->workload.key_count);
    return (double)count / (workload_now() - start);
}

static int compare_doubles(const void *left, const void *right)
{
    const double *a = left;
    const double *b = right;
    return (*a > *b) - (*a < *b);
}

static void print_line(const char *what, const char *unit, double *ours, double *rocks,
                       size_t count)
{
    qsort(ours, count, sizeof *ours, compare_doubles);
    qsort(rocks, count, sizeof *rocks, compare_doubles);
    double a = ours[count / 2], b = rocks[count / 2];
    printf("%-26s ours %9.0f %s (%.0f to %.0f)  rocksdb %9.0f (%.0f to %.0f)  ratio %.2f\n", what,
           a, unit, ours[0], ours[count - 1], b, rocks[0], rocks[count - 1], a / b);
    (void)fflush(stdout);
}

static void measure_reading(struct bench *bench, const char *what, uint32_t count, bool is_absent,
                            size_t thread_count)
{
    double ours[ROUNDS], rocks[ROUNDS];
    for (size_t i = 0; i < ROUNDS; i++) {
        struct reading reading = {
            .bench = bench,
            .is_ours = true,
            .is_absent = is_absent,
            .count = count,
            .seed = i + 1,
        };
        ours[i] = run_reading(&reading, thread_count);
        reading.is_ours = false;
        rocks[i] = run_reading(&reading, thread_count);
    }
    print_line(what, "/s", ours, rocks, ROUNDS);
}

static void measure_scan(struct bench *bench)
{
    double ours[ROUNDS], rocks[ROUNDS];
    for (size_t i = 0; i < ROUNDS; i++) {
        ours[i] = run_scan(bench, true);
        rocks[i] = run_scan(bench, false);
    }
    print_line("walk over all, warm", "/s", ours, rocks, ROUNDS);
}

static void reopen(struct bench *bench, uint64_t cache_bytes)
{
    federation_reopen(bench->ours, cache_bytes);
    rocks_reopen(bench->rocks, cache_bytes);
}

/* ---- writing ---- */

/* One part of the puts: per second until they are durable, and until nothing is left to merge. */
static void run_puts(struct bench *bench, bool is_ours, uint64_t part, double *durable,
                     double *settled)
{
    const struct workload *workload = &bench->workload;
    uint32_t numbers[1024];
    CHECK(workload->batch_puts <= sizeof numbers / sizeof *numbers);
    uint64_t count = (uint64_t)workload->key_count * PUTS_PER_KEY / PUT_PARTS;
    uint64_t state = part + 77, first = part * count;
    double start = workload_now();
    for (uint64_t done = first; done < first + count; done += workload->batch_puts) {
        for (uint32_t i = 0; i < workload->batch_puts; i++) {
            // Every key once, in an order without order; then keys at random.
            uint64_t draw = done + i < workload->key_count
                                ? (done + i) * 2654435761u % workload->key_count
                                : workload_random(&state) % workload->key_count;
            numbers[i] = (uint32_t)draw;
        }
        if (is_ours) {
            federation_put(bench->ours, numbers, workload->batch_puts);
        } else {
            rocks_put(bench->rocks, numbers, workload->batch_puts, done + 1);
        }
    }
    double written = workload_now();
    if (is_ours) {
        federation_settle(bench->ours);
    } else {
        rocks_settle(bench->rocks);
    }
    *durable = (double)count / (written - start);
    *settled = (double)count / (workload_now() - start);
}

static void measure_puts(struct bench *bench)
{
    double ours[2][PUT_PARTS], rocks[2][PUT_PARTS];
    for (uint64_t part = 0; part < PUT_PARTS; part++) {
        run_puts(bench, true, part, &ours[0][part], &ours[1][part]);
        run_puts(bench, false, part, &rocks[0][part], &rocks[1][part]);
    }
    print_line("puts, durable", "/s", ours[0], rocks[0], PUT_PARTS);
    print_line("puts, durable and merged", "/s", ours[1], rocks[1], PUT_PARTS);
    struct federation_costs costs;
    federation_count(bench->ours, &costs);
    printf("  ours wrote %.0f MB of tables for %.0f MB put (%.1f times)\n",
           (double)costs.written_bytes / 1e6, (double)costs.put_bytes / 1e6,
           (double)costs.written_bytes / (double)costs.put_bytes);
}

static void print_merge_costs(const struct federation_merge_costs *before,
                              const struct federation_merge_costs *after, double bytes)
{
    double kib16 = bytes / (16 << 10) / 1e6;
    printf(
        "  ours, CPU time per 16 KiB merged: fetch %.0f us, verify %.0f us, open and decode %.0f "
        "us, merge and encode %.0f us, seal and sign %.0f us, store %.0f us\n",
        (after->fetch - before->fetch) / kib16, (after->verify - before->verify) / kib16,
        (after->open - before->open) / kib16, (after->merge - before->merge) / kib16,
        (after->seal - before->seal) / kib16, (after->keep - before->keep) / kib16);
}

static void measure_merge(struct bench *bench)
{
    double ours[3], rocks[3];
    double total = 0;
    struct federation_costs before, after;
    federation_count(bench->ours, &before);
    for (size_t i = 0; i < 3; i++) {
        double start = workload_now();
        double bytes = (double)federation_compact(bench->ours);
        ours[i] = bytes / 1e6 / (workload_now() - start);
        total += bytes;
        start = workload_now();
        bytes = (double)rocks_compact(bench->rocks);
        rocks[i] = bytes / 1e6 / (workload_now() - start);
    }
    print_line("merge of everything", "MB/s", ours, rocks, 3);
    federation_count(bench->ours, &after);
    print_merge_costs(&before.merge, &after.merge, total);
}

/* ---- all of it ---- */

static void remove_folder(const char *path)
{
    DIR *folder = opendir(path);
    CHECK(folder != NULL);
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        char inner[600];
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            (void)snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
            if (unlink(inner) != 0) {
                remove_folder(inner);
            }
        }
    }
    CHECK(closedir(folder) == 0);
    CHECK(rmdir(path) == 0);
}

static void print_costs(struct bench *bench)
{
    struct federation_costs costs;
    federation_count(bench->ours, &costs);
    double blocks = (double)costs.blocks;
    printf(
        "  ours, CPU time per missed block: fetch %.0f us, verify %.0f us, open and decode %.0f "
        "us\n",
        costs.fetch / blocks * 1e6, costs.verify / blocks * 1e6, costs.open / blocks * 1e6);
}

static void print_memory(struct bench *bench)
{
    struct federation_costs costs;
    federation_count(bench->ours, &costs);
    printf(
        "  ours in memory for %llu tables: %.2f MB of indexes and filters, %.2f MB per million "
        "keys\n",
        (unsigned long long)costs.table_count, (double)costs.index_bytes / 1e6,
        (double)costs.index_bytes / bench->workload.key_count);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    static char directory[256];
    crypto_init();
    (void)snprintf(directory, sizeof directory, "%s/lsm_bench.XXXXXX", argc > 3 ? argv[3] : ".");
    CHECK(mkdtemp(directory) != NULL);
    uint32_t key_count = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100000;
    uint32_t block_bytes =
        argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) << 10 : TABLE_BLOCK_BYTES;
    uint32_t flush_block_bytes =
        argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) << 10 : TABLE_FLUSH_BLOCK_BYTES;
    CHECK(key_count >= 10000 && key_count % 10000 == 0 && key_count < WORKLOAD_ABSENT);
    bench.workload = (struct workload){
        .directory = directory,
        .key_count = key_count,
        .value_bytes = VALUE_BYTES,
        .batch_puts = 100,
        .block_bytes = block_bytes,
        .flush_block_bytes = flush_block_bytes,
        .memtable_bytes = 16 << 20,
        .level1_bytes = 64 << 20,
        .table_bytes = 16 << 20,
        .cache_bytes = (uint64_t)key_count * VALUE_BYTES * 2,
        .cold_bytes = 4 << 20,
    };
    bench.ours = federation_new(&bench.workload);
    bench.rocks = rocks_new(&bench.workload);
    printf("%u keys of %d bytes, %u puts per sync, blocks of %u KiB\n", key_count, VALUE_BYTES,
           bench.workload.batch_puts, bench.workload.block_bytes >> 10);

    measure_puts(&bench);
    reopen(&bench, bench.workload.cache_bytes);
    (void)run_scan(&bench, true);
    (void)run_scan(&bench, false);
    measure_reading(&bench, "get, warm", 200000, false, 1);
    measure_reading(&bench, "get, warm, 2 threads", 200000, false, 2);
    measure_reading(&bench, "get of absent keys", 200000, true, 1);
    measure_scan(&bench);
    // Before the cold reads: of so few keys, half would lie on level 0.
    measure_merge(&bench);
    reopen(&bench, bench.workload.cold_bytes);
    measure_reading(&bench, "get, cold", 5000, false, 1);
    measure_reading(&bench, "get, cold, 2 threads", 5000, false, 2);
    print_costs(&bench);
    print_memory(&bench);

    federation_free(bench.ours);
    rocks_free(bench.rocks);
    remove_folder(directory);
    return 0;
}
