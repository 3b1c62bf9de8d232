/* tests/sim/start_test.c */

/*
 * Goal: what a new leader and a new worker read before they lead and serve does not depend on how
 * much was written before them (P9), nor on how often others started before them.
 * Method: the real cores in one process, with a compactor. A history over the same few keys, of one
 * length and of ten times that; then every process ends, and what the stores send to each successor
 * until it is there is counted: in records, and in bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sim/disk_fake.h"
#include "sim/federation_internal.h"
#include "tests/sim/until.h"

enum {
    LONG_US = 20 * 1000 * 1000,
    KEYS = 16,
    LARGE_BYTES = 4000,
    LARGE_COUNT = 500,
    EPOCH_US = 1500 * 1000,
    EPOCH_RECORDS = 50,
    SHORT_HISTORY = 300,
    TIMES = 10,
    RESTARTS = 60,
    // The last epochs, which nothing has decided yet, and what is not worth a flush.
    TAIL_RECORDS = 4 * EPOCH_RECORDS,
    TAIL_BYTES = 1000 * TAIL_RECORDS,
    // Of virtual time, in which a frame takes 0.5 ms and work none: so many questions at most one
    // after another, and no pauses.
    START_US = 200 * 1000,
};

struct fixture {
    struct disk_fake *fake;
    struct disk disk;
    struct federation *federation;
    struct log log;
    size_t listener;          // the place whose deliveries count
    uint64_t received_bytes;  // there
    uint64_t leader_records;  // as the leader says
};

struct cost {
    uint64_t leader_records;
    uint64_t leader_bytes;
    uint64_t worker_records;
    uint64_t worker_bytes;
    uint64_t leader_us;  // until it leads
    uint64_t worker_us;  // until it is ready
};

static void note_line(void *context, const char *text)
{
    struct fixture *f = context;
    unsigned long long records;
    const char *loaded = strstr(text, "loaded records=");
    if (loaded != NULL && sscanf(loaded, "loaded records=%llu", &records) == 1) {
        f->leader_records = records;
    }
}

static void note_event(void *context, const struct federation_event *event)
{
    struct fixture *f = context;
    bool is_from_store = event->from < FEDERATION_STORES_MAX;
    if (is_from_store && event->to == f->listener && strcmp(event->what, "receive") == 0) {
        f->received_bytes += event->bytes;
    }
}

static void listen(struct fixture *f, size_t place)
{
    f->listener = place;
    f->received_bytes = 0;
}

static void begin(struct fixture *f)
{
    *f = (struct fixture){.fake = disk_fake_new()};
    f->log = (struct log){.line = note_line, .context = f};
    f->disk = disk_fake_disk(f->fake);
    const struct federation_config config = {
        .seed = 7,
        .disks = &f->disk,
        .store_count = 1,
        .receipt_count = 1,
        .log = &f->log,
        .faults = {.delay_us = 500},
        .on_event = note_event,
        .context = f,
    };
    f->federation = federation_new(&config);
}

static void end(struct fixture *f)
{
    federation_free(f->federation);
    disk_fake_free(f->fake);
}

/* A leader, a compactor and a worker; returns the worker. */
static size_t start_all(struct fixture *f, struct cost *cost)
{
    uint64_t begun_us = federation_now_us(f->federation);
    listen(f, PLACE_LEADER);
    federation_leader_start(f->federation);
    assert_true(federation_run(f->federation, LONG_US, until_leads, NULL));
    cost->leader_records = f->leader_records;
    cost->leader_bytes = f->received_bytes;
    cost->leader_us = federation_now_us(f->federation) - begun_us;
    size_t compactor = federation_worker_start_compactor(f->federation);
    assert_true(federation_run(f->federation, LONG_US, until_ready, &compactor));
    begun_us = federation_now_us(f->federation);
    size_t worker = federation_worker_start(f->federation);
    listen(f, PLACE_WORKER + worker);
    assert_true(federation_run(f->federation, LONG_US, until_ready, &worker));
    struct scl_counters counters;
    scl_count(federation_worker_scl(f->federation, worker), &counters);
    cost->worker_records = counters.records_applied;
    cost->worker_bytes = f->received_bytes;
    cost->worker_us = federation_now_us(f->federation) - begun_us;
    return worker;
}

static void kill_all(struct fixture *f)
{
    federation_leader_kill(f->federation);
    for (size_t i = 0; i < f->federation->worker_count; i++) {
        federation_worker_kill(f->federation, i);
    }
    federation_store_kill(f->federation, 0);
    assert_int_equal(federation_store_start(f->federation, 0), STATUS_OK);
}

/* One record each, in many epochs. */
static void put_many(struct fixture *f, size_t worker, int count)
{
    char key[16], value[16];
    for (int i = 0; i < count; i++) {
        struct until_held held = {.worker = worker};
        snprintf(key, sizeof key, "key-%d", i % KEYS);
        snprintf(value, sizeof value, "%d", i);
        assert_int_equal(federation_worker_put(f->federation, worker, key, value, &held.dependency),
                         STATUS_OK);
        assert_true(federation_run(f->federation, LONG_US, until_held, &held));
        if (i % EPOCH_RECORDS == 0) {
            federation_run(f->federation, EPOCH_US, NULL, NULL);
        }
    }
}

/* As many bytes as are to be too many, each key once, and no pause. */
static void put_large(struct fixture *f, size_t worker)
{
    char key[24], value[LARGE_BYTES + 1];
    struct dependency dependency;
    for (int i = 0; i < LARGE_COUNT; i++) {
        snprintf(key, sizeof key, "large-%d", i);
        snprintf(value, sizeof value, "%-*d", LARGE_BYTES, i);
        assert_int_equal(federation_worker_put(f->federation, worker, key, value, &dependency),
                         STATUS_OK);
    }
}

static void print_cost(int count, const struct cost *cost)
{
    print_message("%d records: a leader reads %llu records, %llu bytes; a worker %llu, %llu\n",
                  count, (unsigned long long)cost->leader_records,
                  (unsigned long long)cost->leader_bytes, (unsigned long long)cost->worker_records,
                  (unsigned long long)cost->worker_bytes);
}

/* What starting costs behind so many records. */
static struct cost cost_behind(int count)
{
    struct fixture f;
    struct cost cost;
    char text[16], expected[16];
    begin(&f);
    size_t worker = start_all(&f, &cost);
    put_many(&f, worker, count);
    federation_run(f.federation, LONG_US, NULL, NULL);
    kill_all(&f);
    worker = start_all(&f, &cost);
    struct memtable_entry entry;
    assert_int_equal(federation_worker_find(f.federation, worker, bytes_text("key-0"), &entry),
                     STATUS_OK);
    snprintf(text, sizeof text, "%.*s", (int)entry.value.length, (const char *)entry.value.at);
    snprintf(expected, sizeof expected, "%d", (count - 1) / KEYS * KEYS);
    assert_string_equal(text, expected);
    print_cost(count, &cost);
    end(&f);
    return cost;
}

static void assert_is_tail(const struct cost *cost)
{
    assert_in_range(cost->leader_records, 1, TAIL_RECORDS);
    assert_in_range(cost->leader_bytes, 1, TAIL_BYTES);
    assert_in_range(cost->worker_records, 1, TAIL_RECORDS);
    assert_in_range(cost->worker_bytes, 1, TAIL_BYTES);
}

static void p9_a_start_reads_no_more_behind_a_longer_history(void **state)
{
    (void)state;
    struct cost less = cost_behind(SHORT_HISTORY);
    struct cost more = cost_behind(SHORT_HISTORY * TIMES);
    assert_is_tail(&less);
    assert_is_tail(&more);
}

/*
 * All is written within an epoch or two, so one flush takes it, and its tables lie behind the SYNC
 * that whoever begins goes on from: how many there are is read, not what is in them.
 */
static void p9_a_start_reads_no_tables(void **state)
{
    (void)state;
    struct fixture f;
    struct cost cost;
    begin(&f);
    size_t worker = start_all(&f, &cost);
    put_large(&f, worker);
    federation_run(f.federation, LONG_US, NULL, NULL);
    kill_all(&f);
    (void)start_all(&f, &cost);
    print_cost(LARGE_COUNT, &cost);
    assert_in_range(cost.leader_bytes, 1, LARGE_COUNT * LARGE_BYTES / 2);
    assert_in_range(cost.worker_bytes, 1, LARGE_COUNT * LARGE_BYTES / 2);
    end(&f);
}

static void raise_to(uint64_t *most, uint64_t value)
{
    *most = value > *most ? value : *most;
}

/* Nobody writes, so no table grows: yet the MANIFEST moves on. */
static void p9_a_start_reads_no_more_behind_many_others(void **state)
{
    (void)state;
    struct fixture f;
    struct cost cost, most = {0};
    begin(&f);
    size_t worker = start_all(&f, &cost);
    put_many(&f, worker, SHORT_HISTORY);
    for (int i = 0; i < RESTARTS; i++) {
        federation_run(f.federation, LONG_US, NULL, NULL);
        kill_all(&f);
        (void)start_all(&f, &cost);
        raise_to(&most.leader_records, cost.leader_records);
        raise_to(&most.worker_records, cost.worker_records);
        raise_to(&most.leader_us, cost.leader_us);
        raise_to(&most.worker_us, cost.worker_us);
    }
    print_message(
        "%d starts: at most a leader reads %llu records in %llu us, a worker %llu in %llu us\n",
        RESTARTS, (unsigned long long)most.leader_records, (unsigned long long)most.leader_us,
        (unsigned long long)most.worker_records, (unsigned long long)most.worker_us);
    assert_in_range(most.leader_records, 1, 2 * TAIL_RECORDS);
    assert_in_range(most.worker_records, 1, 2 * TAIL_RECORDS);
    assert_in_range(most.leader_us, 1, START_US);
    assert_in_range(most.worker_us, 1, START_US);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p9_a_start_reads_no_more_behind_a_longer_history),
        cmocka_unit_test(p9_a_start_reads_no_tables),
        cmocka_unit_test(p9_a_start_reads_no_more_behind_many_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
