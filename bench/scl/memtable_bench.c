/* bench/scl/memtable_bench.c */

/*
 * Gets and puts of the memtable: keys of 20 bytes drawn evenly, values of 128
 * bytes, one section per get. The median of RUN_COUNT runs, and between which
 * figures they lay, in operations per second of the thread's own processor
 * time, so that a busy machine takes nothing off the figure.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/random.h"
#include "scl/memtable.h"

enum { RUN_COUNT = 9, RUN_OPERATIONS = 200000, KEY_BYTES = 20, VALUE_BYTES = 128 };

struct subject {
    struct memtable *memtable;
    uint8_t (*keys)[KEY_BYTES];
    size_t key_count;
    uint64_t lamport;  // the writing thread's
    _Atomic bool is_over;
};

static double thread_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void print_runs(const char *what, size_t key_count, double runs[RUN_COUNT])
{
    qsort(runs, RUN_COUNT, sizeof *runs, compare);
    printf("%-26s %8zu  %8.0f  %8.0f  %8.0f\n", what, key_count, runs[RUN_COUNT / 2] / 1e3,
           runs[0] / 1e3, runs[RUN_COUNT - 1] / 1e3);
}

static struct bytes draw_key(const struct subject *subject, uint64_t *state)
{
    *state = *state * 6364136223846793005 + 1442695040888963407;
    return bytes_of(subject->keys[(*state >> 33) % subject->key_count], KEY_BYTES);
}

static void put(struct subject *subject, struct bytes key)
{
    static const uint8_t value[VALUE_BYTES];
    const struct memtable_entry entry = {
        .key = key,
        .value = bytes_of(value, sizeof value),
        .version = {.lamport = ++subject->lamport},
    };
    CHECK(memtable_apply(subject->memtable, &entry) == STATUS_OK);
}

static void measure_gets(struct subject *subject, const char *what)
{
    struct memtable_reader *reader;
    CHECK(memtable_reader_new(&reader, subject->memtable) == STATUS_OK);
    double runs[RUN_COUNT];
    uint64_t state = 1, byte_count = 0;
    for (size_t i = 0; i < RUN_COUNT; i++) {
        double start = thread_seconds();
        for (size_t done = 0; done < RUN_OPERATIONS; done++) {
            struct memtable_entry entry;
            memtable_reader_begin(reader);
            CHECK(memtable_get(reader, draw_key(subject, &state), &entry) == STATUS_OK);
            byte_count += entry.value.length + entry.value.at[0];
            memtable_reader_end(reader);
        }
        runs[i] = RUN_OPERATIONS / (thread_seconds() - start);
    }
    CHECK(byte_count == (uint64_t)RUN_COUNT * RUN_OPERATIONS * VALUE_BYTES);
    print_runs(what, subject->key_count, runs);
    memtable_reader_free(reader);
}

static void measure_puts(struct subject *subject, const char *what)
{
    double runs[RUN_COUNT];
    uint64_t state = 2;
    for (size_t i = 0; i < RUN_COUNT; i++) {
        double start = thread_seconds();
        for (size_t done = 0; done < RUN_OPERATIONS; done++) {
            put(subject, draw_key(subject, &state));
        }
        runs[i] = RUN_OPERATIONS / (thread_seconds() - start);
    }
    print_runs(what, subject->key_count, runs);
}

static void *write_until_over(void *context)
{
    struct subject *subject = context;
    uint64_t state = 3;
    while (!atomic_load(&subject->is_over)) {
        put(subject, draw_key(subject, &state));
    }
    return NULL;
}

static void *read_until_over(void *context)
{
    struct subject *subject = context;
    struct memtable_reader *reader;
    CHECK(memtable_reader_new(&reader, subject->memtable) == STATUS_OK);
    uint64_t state = 4;
    while (!atomic_load(&subject->is_over)) {
        struct memtable_entry entry;
        memtable_reader_begin(reader);
        CHECK(memtable_get(reader, draw_key(subject, &state), &entry) == STATUS_OK);
        memtable_reader_end(reader);
    }
    memtable_reader_free(reader);
    return NULL;
}

static void measure_beside(struct subject *subject, void *(*other)(void *),
                           void (*measure)(struct subject *, const char *), const char *what)
{
    pthread_t thread;
    atomic_store(&subject->is_over, false);
    CHECK(pthread_create(&thread, NULL, other, subject) == 0);
    measure(subject, what);
    atomic_store(&subject->is_over, true);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void measure_table(size_t key_count)
{
    struct subject subject = {.key_count = key_count};
    CHECK((subject.keys = malloc(key_count * KEY_BYTES)) != NULL);
    struct random_seeded storage;
    const struct random random = random_seeded(&storage, 1);
    random_fill(&random, subject.keys, key_count * KEY_BYTES);
    CHECK(memtable_new(&subject.memtable) == STATUS_OK);

    double start = thread_seconds();
    for (size_t i = 0; i < key_count; i++) {
        put(&subject, bytes_of(subject.keys[i], KEY_BYTES));
    }
    printf("%-26s %8zu  %8.0f\n", "put of a new key", key_count,
           (double)key_count / (thread_seconds() - start) / 1e3);
    measure_gets(&subject, "get");
    measure_puts(&subject, "put");
    measure_beside(&subject, write_until_over, measure_gets, "get beside a writer");
    measure_beside(&subject, read_until_over, measure_puts, "put beside a reader");
    printf("%-26s %8zu  %8.0f bytes each\n", "memory", key_count,
           (double)memtable_bytes(subject.memtable) / (double)key_count);
    memtable_free(subject.memtable);
    free(subject.keys);
}

int main(void)
{
    printf("%-26s %8s  %8s  %8s  %8s   thousands a second\n", "", "keys", "median", "least",
           "most");
    measure_table(100000);
    measure_table(1000000);
    return 0;
}
