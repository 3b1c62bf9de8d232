/* tests/sim/federation_thief_test.c */

/*
 * Goal: whoever takes a revoked member's keys from its memory reads nothing that is written after
 * its revocation, and no key of one key epoch opens what was sealed in another.
 * Method: the real cores in one process; the thief's keyring are the data keys that the member was
 * given, and every record on the store's disk is tried with every one of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/check.h"
#include "capsule/keys.h"
#include "capsule/seal.h"
#include "sim/disk_fake.h"
#include "sim/federation_internal.h"
#include "tests/sim/until.h"
#include "store/store.h"

enum { LONG_US = 20 * 1000 * 1000, ROTATIONS = 10, KEYS_MAX = 16 };

struct fixture {
    struct disk_fake *fake;
    struct disk disk;
    struct federation *federation;
    struct log log;
    size_t a, b;
    uint32_t key_epoch;  // waited for
};

static void ignore_line(void *context, const char *text)
{
    (void)context;
    (void)text;
}

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){.fake = disk_fake_new(), .log = {.line = ignore_line}};
    f.disk = disk_fake_disk(f.fake);
    const struct federation_config config = {.seed = 5,
                                             .disks = &f.disk,
                                             .store_count = 1,
                                             .receipt_count = 1,
                                             .log = &f.log,
                                             .faults = {.delay_us = 500}};
    f.federation = federation_new(&config);
    federation_leader_start(f.federation);
    assert_true(federation_run(f.federation, LONG_US, until_leads, NULL));
    f.a = federation_worker_start(f.federation);
    f.b = federation_worker_start(f.federation);
    assert_true(federation_run(f.federation, LONG_US, until_ready, &f.a));
    assert_true(federation_run(f.federation, LONG_US, until_ready, &f.b));
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    federation_free(f->federation);
    disk_fake_free(f->fake);
    return 0;
}

static void put(struct fixture *f, size_t worker, const char *key)
{
    struct until_held held = {.worker = worker};
    assert_int_equal(federation_worker_put(f->federation, worker, key, "value", &held.dependency),
                     STATUS_OK);
    assert_true(federation_run(f->federation, LONG_US, until_held, &held));
}

/* Whether this worker seals with the key epoch that the fixture waits for. */
static bool has_joined(const struct fixture *f, size_t worker)
{
    const struct capsule *capsule = scl_capsule(federation_worker_scl(f->federation, worker));
    const struct writer_id id = federation_worker_id(f->federation, worker);
    return capsule_member_find(capsule, &id)->joined_key_epoch == f->key_epoch;
}

static bool have_joined(struct federation *federation, void *context)
{
    struct fixture *f = context;
    return (!federation_worker_is_alive(federation, f->a) || has_joined(f, f->a)) &&
           has_joined(f, f->b);
}

/* The DATA on the disk, tried with a keyring: the data keys of epochs 1 to `last`. */
struct theft {
    const struct fixture *f;
    uint32_t last;
    uint64_t opened[KEYS_MAX][KEYS_MAX];  // by the key epoch of the record, and of the key
    uint64_t sealed[KEYS_MAX];            // that there are, by key epoch
};

static enum status try_record(void *context, struct bytes bytes, const struct store_place *place)
{
    struct theft *theft = context;
    struct federation *federation = theft->f->federation;
    struct record record;
    (void)place;
    CHECK(record_decode_stored(&record, bytes.at, bytes.length) == STATUS_OK);
    if (record.type != RECORD_DATA) {
        return STATUS_OK;
    }
    assert_in_range(record.key_epoch, 1, KEYS_MAX - 1);
    theft->sealed[record.key_epoch]++;
    const struct capsule_member *writer =
        capsule_member_find(store_capsule(federation->stores[0].store), &record.writer);
    for (uint32_t epoch = 1; epoch <= theft->last; epoch++) {
        struct buffer plain = BUFFER_EMPTY;
        struct secret *key = keys_data(federation->owner.seed, &federation->capsule, epoch);
        struct aead_key *body_key = seal_key_new(key, &federation->capsule, &writer->key);
        theft->opened[record.key_epoch][epoch] += seal_open(&plain, &record, body_key) == STATUS_OK;
        buffer_release(&plain);
        aead_key_free(body_key);
        secret_free(key);
    }
    return STATUS_OK;
}

static struct theft steal(const struct fixture *f, uint32_t last)
{
    struct theft theft = {.f = f, .last = last};
    struct store_place place;
    assert_int_equal(store_walk(&f->disk, &f->federation->capsule, try_record, &theft, &place),
                     STATUS_OK);
    return theft;
}

static void p11_a_key_opens_what_was_sealed_in_its_epoch_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    put(f, f->a, "before");
    for (f->key_epoch = 2; f->key_epoch <= 1 + ROTATIONS; f->key_epoch++) {
        assert_true(federation_owner_rotate(f->federation));
        assert_true(federation_run(f->federation, LONG_US, have_joined, f));
        put(f, f->a, "key");
        put(f, f->b, "key");
    }
    struct theft theft = steal(f, 1 + ROTATIONS);
    for (uint32_t epoch = 1; epoch <= 1 + ROTATIONS; epoch++) {
        assert_true(theft.sealed[epoch] > 0);
        for (uint32_t key = 1; key <= 1 + ROTATIONS; key++) {
            assert_int_equal(theft.opened[epoch][key], key == epoch ? theft.sealed[epoch] : 0);
        }
    }
}

static bool is_revoked(struct federation *federation, void *context)
{
    struct fixture *f = context;
    return federation_worker_is_revoked(federation, f->a) && has_joined(f, f->b);
}

static void p11_the_keys_of_a_revoked_member_open_nothing_that_came_after(void **state)
{
    struct fixture *f = *state;
    put(f, f->a, "before");
    put(f, f->b, "before");
    f->key_epoch = 2;
    assert_true(federation_owner_revoke(f->federation, f->a));
    assert_true(federation_run(f->federation, LONG_US, is_revoked, f));
    uint32_t given = federation_worker_key_epoch(f->federation, f->a);
    assert_int_equal(given, 1);
    for (int i = 0; i < 20; i++) {
        put(f, f->b, "after");
        federation_thief_write(f->federation, f->a);
    }
    size_t later = federation_worker_start(f->federation);
    assert_true(federation_run(f->federation, LONG_US, until_ready, &later));
    put(f, later, "after");

    struct theft theft = steal(f, given);
    assert_true(theft.sealed[1] > 0 && theft.sealed[2] > 0);
    assert_int_equal(theft.opened[1][1], theft.sealed[1]);
    assert_int_equal(theft.opened[2][1], 0);

    // What it wrote on is nowhere: on no disk, at no worker.
    const struct writer_id thief = federation_worker_id(f->federation, f->a);
    const struct capsule *capsule = store_capsule(f->federation->stores[0].store);
    const struct capsule_member *member = capsule_member_find(capsule, &thief);
    assert_true(member->is_closed);
    assert_int_equal(member->head.sequence, member->cut.sequence);
    char text[8];
    assert_int_equal(
        federation_worker_get(f->federation, f->b, FEDERATION_THIEF_KEY, text, sizeof text),
        STATUS_NOT_FOUND);
    assert_int_equal(
        federation_worker_get(f->federation, later, FEDERATION_THIEF_KEY, text, sizeof text),
        STATUS_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(p11_a_key_opens_what_was_sealed_in_its_epoch_and_nothing_else),
        TEST(p11_the_keys_of_a_revoked_member_open_nothing_that_came_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
