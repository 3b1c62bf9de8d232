/* tests/store/store_test.c */

/*
 * Goal: a store takes what its capsule accepts and nothing else, says in its receipts only what is
 * durable, gives back what it took, and keeps what it promised to a leader.
 * Method: a world of owner, leader and workers writes a history; the store runs on a disk in
 * memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/journal.h"
#include "store/store_internal.h"
#include "tests/store/disk_fake.h"
#include "tests/support/capsule_world.h"

enum { SEGMENT_BYTES = 4096 };

struct fixture {
    struct capsule_world world;
    struct capsule_world_writer *a;
    struct capsule_world_writer *b;
    struct disk_fake *fake;
    struct disk disk;
    struct store *store;
    struct buffer receipt;
    struct buffer proof;
};

static enum status reopen(struct fixture *f)
{
    store_close(f->store);
    struct store_config config = {
        .disk = &f->disk,
        .genesis = buffer_bytes(&f->world.genesis_body),
        .key = f->world.store_keys[0],
        .segment_bytes = SEGMENT_BYTES,
    };
    return store_open(&f->store, &config);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    capsule_world_init(&f->world, 11, 1, 1, 0);
    capsule_world_start(&f->world);
    f->a = capsule_world_admit(&f->world, MEMBER_WORKER);
    f->b = capsule_world_admit(&f->world, MEMBER_WORKER);
    f->fake = disk_fake_new();
    f->disk = disk_fake_disk(f->fake);
    assert_int_equal(reopen(f), STATUS_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    store_close(f->store);
    disk_fake_free(f->fake);
    buffer_release(&f->receipt);
    buffer_release(&f->proof);
    capsule_world_release(&f->world);
    free(f);
    return 0;
}

static enum status append(struct fixture *f, struct bytes bytes)
{
    struct record record;
    assert_int_equal(record_decode(&record, bytes.at, bytes.length), STATUS_OK);
    return store_append(f->store, &record, &f->proof);
}

static void append_from(struct fixture *f, size_t index)
{
    for (; index < f->world.record_count; index++) {
        assert_int_equal(append(f, capsule_world_record(&f->world, index)), STATUS_OK);
    }
}

static void put_some(struct fixture *f)
{
    capsule_world_put(&f->world, f->a, "x", "1");
    capsule_world_put(&f->world, f->b, "y", "2");
    capsule_world_put(&f->world, f->a, "x", "3");
}

/* The receipt must be the store's, and say of `writer` what the world knows. */
static void assert_receipted(struct fixture *f, const struct capsule_world_writer *writer)
{
    struct receipt receipt;
    assert_int_equal(receipt_decode(&receipt, buffer_bytes(&f->receipt)), STATUS_OK);
    struct verify_key key = sign_key_public(f->world.store_keys[0]);
    assert_int_equal(receipt_verify(&receipt, RECEIPT_DURABLE, &f->world.name, &key), STATUS_OK);
    for (uint32_t i = 0; i < receipt.head_count; i++) {
        struct branch_head head = receipt_head(&receipt, i);
        if (writer_id_equal(&head.writer, &writer->id)) {
            assert_int_equal(head.head.sequence, writer->head.sequence);
            assert_true(hash_equal(&head.head.hash, &writer->head.hash));
            return;
        }
    }
    fail_msg("the receipt does not name the writer");
}

static void commit(struct fixture *f)
{
    buffer_clear(&f->receipt);
    assert_int_equal(store_commit(f->store, &f->receipt), STATUS_OK);
}

static void assert_holds_all(struct fixture *f)
{
    struct buffer records = BUFFER_EMPTY;
    struct frame_fetched fetched;
    struct frame_fetch fetch = {.from = 1, .to = UINT64_MAX, .max_bytes = UINT32_MAX};
    assert_int_equal(store_read(f->store, &fetch, &records, &fetched), STATUS_OK);
    assert_true(bytes_equal(buffer_bytes(&records), buffer_bytes(&f->world.log)));
    assert_int_equal(fetched.next, f->world.record_count + 1);
    assert_true(fetched.is_end);
    buffer_release(&records);
}

static void p4_a_receipt_names_what_a_crash_leaves(void **state)
{
    struct fixture *f = *state;
    put_some(f);
    append_from(f, 0);
    commit(f);
    assert_receipted(f, f->world.leader);
    assert_receipted(f, f->a);
    assert_receipted(f, f->b);
    assert_int_equal(store_commit(f->store, &f->receipt), STATUS_EMPTY);
    disk_fake_crash_torn(f->fake, 0);
    assert_int_equal(reopen(f), STATUS_OK);
    assert_holds_all(f);
}

static void goes_on_after_reopening_over_many_segments(void **state)
{
    struct fixture *f = *state;
    size_t sent = 0;
    for (int round = 0; round < 12; round++) {
        put_some(f);
        append_from(f, sent);
        sent = f->world.record_count;
        commit(f);
        assert_int_equal(store_prepare(f->store), STATUS_OK);
        assert_int_equal(reopen(f), STATUS_OK);
        assert_holds_all(f);
    }
    struct store_counters counters;
    store_count(f->store, &counters);
    assert_in_range(counters.segment_count, 3, 20);
    assert_int_equal(counters.record_count, f->world.record_count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(p4_a_receipt_names_what_a_crash_leaves, setup, teardown),
        cmocka_unit_test_setup_teardown(goes_on_after_reopening_over_many_segments, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
