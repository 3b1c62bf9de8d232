/* tests/sim/federation_test.c */

/*
 * Goal: leader, workers and store, wired together, keep what they promise in
 * the normal case, over restarts, and when frames are late, lost or overtake each other.
 * Method: the real cores in one process under virtual time and a seed; the store on a real
 * directory. SEED=n runs another one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "sim/federation.h"
#include "tests/support/scratch.h"
#include "tests/sim/until.h"

struct fixture {
    char directory[SCRATCH_PATH_BYTES];
    struct disk_posix *posix;
    struct disk disk;
    struct federation *federation;
    struct log log;
};

static void print_line(void *context, const char *text)
{
    (void)context;
    if (getenv("LOG") != NULL) {
        fprintf(stderr, "%s\n", text);
    }
}

static uint64_t seed_or(uint64_t otherwise)
{
    const char *seed = getenv("SEED");
    return seed == NULL ? otherwise : strtoull(seed, NULL, 10);
}

static void begin(struct fixture *f, uint64_t delay_us)
{
    uint64_t seed = seed_or(1);
    print_message("seed %llu\n", (unsigned long long)seed);
    scratch_make(f->directory, "federation");
    assert_int_equal(disk_posix_open(&f->posix, &f->disk, f->directory), STATUS_OK);
    f->log = (struct log){.line = print_line};
    const struct federation_config config = {
        .seed = seed,
        .disks = &f->disk,
        .store_count = 1,
        .receipt_count = 1,
        .log = &f->log,
        .faults = {.delay_us = delay_us},
    };
    f->federation = federation_new(&config);
}

static void end(struct fixture *f)
{
    federation_free(f->federation);
    disk_posix_close(f->posix);
    scratch_remove(f->directory);
}

static size_t start_worker(struct fixture *f)
{
    size_t worker = federation_worker_start(f->federation);
    assert_true(federation_run(f->federation, 20000000, until_ready, &worker));
    return worker;
}

static void start_leader(struct fixture *f)
{
    federation_leader_start(f->federation);
    assert_true(federation_run(f->federation, 20000000, until_leads, NULL));
}

/* Put and wait for the receipts. */
static void put(struct fixture *f, size_t worker, const char *key, const char *value)
{
    struct until_held held = {.worker = worker};
    assert_int_equal(federation_worker_put(f->federation, worker, key, value, &held.dependency),
                     STATUS_OK);
    assert_true(federation_run(f->federation, 20000000, until_held, &held));
}

static void assert_value(struct fixture *f, size_t worker, const char *key, const char *expected)
{
    char text[64];
    assert_int_equal(federation_worker_get(f->federation, worker, key, text, sizeof text),
                     STATUS_OK);
    assert_string_equal(text, expected);
}

struct pair {
    size_t a, b;
};

static bool are_equal(struct federation *federation, void *context)
{
    const struct pair *pair = context;
    return federation_worker_equals(federation, pair->a, pair->b);
}

static void p5_a_write_at_one_worker_is_seen_at_the_other(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 500);
    start_leader(&f);
    struct pair pair = {.a = start_worker(&f), .b = start_worker(&f)};
    put(&f, pair.a, "key", "one");
    put(&f, pair.b, "other", "two");
    put(&f, pair.b, "key", "three");
    put(&f, pair.a, "other", NULL);
    assert_true(federation_run(f.federation, 5000000, are_equal, &pair));
    assert_value(&f, pair.a, "key", "three");
    char text[8];
    assert_int_equal(federation_worker_get(f.federation, pair.b, "other", text, sizeof text),
                     STATUS_NOT_FOUND);
    end(&f);
}

struct epoch {
    size_t worker;
    uint64_t epoch;
};

static bool has_joined(struct federation *federation, void *context)
{
    const struct epoch *epoch = context;
    return federation_worker_joined_epoch(federation, epoch->worker) >= epoch->epoch;
}

static void p5_epochs_follow_writes_and_an_idle_app_is_silent(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 500);
    start_leader(&f);
    size_t a = start_worker(&f), b = start_worker(&f);
    put(&f, a, "key", "value");
    struct epoch first = {.worker = b, .epoch = 2};
    assert_true(federation_run(f.federation, 3000000, has_joined, &first));
    federation_run(f.federation, 2000000, NULL, NULL);
    uint64_t epoch = federation_worker_joined_epoch(f.federation, a);
    struct federation_counters before, after;
    federation_count(f.federation, &before);
    federation_run(f.federation, 10000000, NULL, NULL);
    assert_int_equal(federation_worker_joined_epoch(f.federation, a), epoch);
    federation_count(f.federation, &after);
    assert_int_equal(after.delivered_frames, before.delivered_frames);
    end(&f);
}

static void p4_everything_acknowledged_survives_the_end_of_every_process(void **state)
{
    (void)state;
    struct fixture f;
    char key[24], value[24];
    begin(&f, 500);
    for (int life = 0; life < 4; life++) {
        start_leader(&f);
        size_t a = start_worker(&f), b = start_worker(&f);
        for (int i = 0; i < life * 10; i++) {
            snprintf(key, sizeof key, "key-%d", i);
            snprintf(value, sizeof value, "value-%d", i);
            assert_value(&f, a, key, value);
            assert_value(&f, b, key, value);
        }
        for (int i = life * 10; i < life * 10 + 10; i++) {
            snprintf(key, sizeof key, "key-%d", i);
            snprintf(value, sizeof value, "value-%d", i);
            put(&f, i % 2 == 0 ? a : b, key, value);
        }
        federation_leader_kill(f.federation);
        federation_worker_kill(f.federation, a);
        federation_worker_kill(f.federation, b);
        federation_store_kill(f.federation, 0);
        assert_int_equal(federation_store_start(f.federation, 0), STATUS_OK);
    }
    end(&f);
}

static void p9_a_worker_that_ends_is_closed_and_its_writes_stay(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 500);
    start_leader(&f);
    size_t a = start_worker(&f), b = start_worker(&f);
    put(&f, a, "key", "of the dead");
    federation_worker_kill(f.federation, a);
    struct epoch closed = {.worker = b,
                           .epoch = federation_worker_joined_epoch(f.federation, b) + 1};
    assert_true(federation_run(f.federation, 5000000, has_joined, &closed));
    put(&f, b, "more", "of the living");
    struct pair pair = {.a = b, .b = start_worker(&f)};
    assert_true(federation_run(f.federation, 5000000, are_equal, &pair));
    assert_value(&f, pair.b, "key", "of the dead");
    end(&f);
}

static void p9_workers_of_an_ended_term_end_too(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, 500);
    start_leader(&f);
    size_t a = start_worker(&f);
    put(&f, a, "key", "value");
    federation_leader_kill(f.federation);
    start_leader(&f);
    federation_run(f.federation, 3000000, NULL, NULL);
    assert_false(federation_worker_is_ready(f.federation, a));
    size_t b = start_worker(&f);
    assert_value(&f, b, "key", "value");
    end(&f);
}

static void p5_lost_and_late_frames_are_made_good(void **state)
{
    (void)state;
    struct fixture f;
    char key[24], value[24];
    begin(&f, 20000);
    start_leader(&f);
    struct pair pair = {.a = start_worker(&f), .b = start_worker(&f)};
    federation_disturb(f.federation,
                       &(struct network_faults){.delay_us = 50000, .drop_percent = 20});
    for (int i = 0; i < 200; i++) {
        struct dependency dependency = {0};
        snprintf(key, sizeof key, "key-%d", i % 40);
        snprintf(value, sizeof value, "value-%d", i);
        assert_int_equal(federation_worker_put(f.federation, i % 3 == 0 ? pair.a : pair.b, key,
                                               value, &dependency),
                         STATUS_OK);
        federation_run(f.federation, 20000, NULL, NULL);
    }
    federation_disturb(f.federation, &(struct network_faults){.delay_us = 500, .drop_percent = 0});
    assert_true(federation_run(f.federation, 20000000, are_equal, &pair));
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p5_a_write_at_one_worker_is_seen_at_the_other),
        cmocka_unit_test(p5_epochs_follow_writes_and_an_idle_app_is_silent),
        cmocka_unit_test(p4_everything_acknowledged_survives_the_end_of_every_process),
        cmocka_unit_test(p9_a_worker_that_ends_is_closed_and_its_writes_stay),
        cmocka_unit_test(p9_workers_of_an_ended_term_end_too),
        cmocka_unit_test(p5_lost_and_late_frames_are_made_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
