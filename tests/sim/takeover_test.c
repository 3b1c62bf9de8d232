/* tests/sim/takeover_test.c */

/*
 * Goal: a leader may die at each frame that it sends while it takes over, and so may the next one:
 * the third leads, everything acknowledged is there, and the app goes on (P4, P9).
 * Method: the real cores in one process, with three stores of which two give receipts, a MANIFEST
 * to start from, and what is newer than that. Two leaders in a row get as far as their nth frame,
 * which some of its receivers get and some not; n grows until the first of them comes to lead.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "sim/disk_fake.h"
#include "sim/federation.h"
#include "tests/sim/until.h"

enum {
    STORES = 3,
    LONG_US = 60 * 1000 * 1000,
    EPOCH_US = 1500 * 1000,
    ROUNDS = 6,
    ROUND_RECORDS = 10,
    FRAMES_MAX = 500,
};

struct fixture {
    struct disk_fake *fakes[STORES];
    struct disk disks[STORES];
    struct federation *federation;
    int count;  // of keys that are durable
};

static bool leads_or_ended(struct federation *f, void *context)
{
    (void)context;
    return federation_leader_is_leading(f) || !federation_leader_is_running(f);
}

static void put(struct fixture *f, size_t worker)
{
    struct until_held held = {.worker = worker};
    char key[16];
    snprintf(key, sizeof key, "key-%d", f->count++);
    assert_int_equal(federation_worker_put(f->federation, worker, key, key, &held.dependency),
                     STATUS_OK);
    assert_true(federation_run(f->federation, LONG_US, until_held, &held));
}

static size_t start_worker(struct fixture *f)
{
    size_t worker = federation_worker_start(f->federation);
    assert_true(federation_run(f->federation, LONG_US, until_ready, &worker));
    return worker;
}

static void start_leader(struct fixture *f)
{
    federation_leader_start(f->federation);
    assert_true(federation_run(f->federation, LONG_US, leads_or_ended, NULL));
    assert_true(federation_leader_is_leading(f->federation));
}

/* A leader, and two enclaves that are left behind with what they have written. */
static void begin(struct fixture *f)
{
    *f = (struct fixture){.count = 0};
    for (size_t i = 0; i < STORES; i++) {
        f->fakes[i] = disk_fake_new();
        f->disks[i] = disk_fake_disk(f->fakes[i]);
    }
    const struct federation_config config = {
        .seed = 11,
        .disks = f->disks,
        .store_count = STORES,
        .receipt_count = 2,
        .faults = {.delay_us = 500},
    };
    f->federation = federation_new(&config);
    start_leader(f);
    size_t compactor = federation_worker_start_compactor(f->federation);
    size_t worker = start_worker(f);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < ROUND_RECORDS; i++) {
            put(f, worker);
        }
        federation_run(f->federation, EPOCH_US, NULL, NULL);
    }
    put(f, worker);
    federation_leader_kill(f->federation);
    federation_worker_kill(f->federation, worker);
    federation_worker_kill(f->federation, compactor);
}

static void end(struct fixture *f)
{
    federation_free(f->federation);
    for (size_t i = 0; i < STORES; i++) {
        disk_fake_free(f->fakes[i]);
    }
}

/* A leader that dies with that frame. Returns whether it led before. */
static bool lead_until(struct fixture *f, uint64_t frames)
{
    federation_leader_start(f->federation);
    federation_leader_trip(f->federation, frames);
    assert_true(federation_run(f->federation, LONG_US, leads_or_ended, NULL));
    bool has_led = federation_leader_is_leading(f->federation);
    federation_leader_kill(f->federation);
    return has_led;
}

static void assert_all_is_there(struct fixture *f, size_t worker)
{
    char key[16];
    struct memtable_entry entry;
    for (int i = 0; i < f->count; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        assert_int_equal(federation_worker_find(f->federation, worker, bytes_text(key), &entry),
                         STATUS_OK);
        assert_true(bytes_equal(entry.value, bytes_text(key)));
    }
}

static void p9_two_leaders_may_die_at_any_frame_of_their_takeover(void **state)
{
    (void)state;
    bool has_led = false;
    uint64_t frames = 0;
    while (!has_led) {
        struct fixture f;
        begin(&f);
        has_led = lead_until(&f, ++frames);
        (void)lead_until(&f, frames);
        start_leader(&f);
        assert_false(federation_owner_has_alarm(f.federation));
        size_t worker = start_worker(&f);
        assert_all_is_there(&f, worker);
        put(&f, worker);
        end(&f);
        assert_in_range(frames, 1, FRAMES_MAX);
    }
    print_message("a takeover takes %llu frames\n", (unsigned long long)frames);
    assert_true(frames > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p9_two_leaders_may_die_at_any_frame_of_their_takeover),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
