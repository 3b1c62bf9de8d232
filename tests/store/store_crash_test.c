/* tests/store/store_crash_test.c */

/*
 * Goal: whatever the disk does, what a receipt named is there afterwards, a fence that was signed
 * is remembered, and the store goes on (P4, P9); damage is never taken for a torn tail (P2).
 * Method: one history in groups, over several segments. Fail the 1st, 2nd, 3rd… operation of the
 * disk; switch the power off in it and tear what was not synced, at every sector, at random bytes
 * and at random sectors; let the disk run full at every size; flip a bit of every byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/store_fixture.h"

enum { SECTOR_BYTES = 512, GROUP_MAX = 5, TEARS_AT_RANDOM = 3, CRASHES_AT_RANDOM = 3 };

static int setup(void **state)
{
    struct store_fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    store_fixture_init(f);
    for (int i = 0; i < 10; i++) {
        store_fixture_put(f);
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct store_fixture *f = *state;
    store_fixture_release(f);
    free(f);
    return 0;
}

/* What the store has said. */
struct said {
    size_t record_count;  // receipts covered so many records
    bool has_fenced;
};

/* Write the history from where the store is, until something fails. */
static enum status live(struct store_fixture *f, struct said *said)
{
    struct buffer fence = BUFFER_EMPTY;
    struct buffer body = BUFFER_EMPTY;
    size_t next = store_fixture_held(f);
    enum status status = STATUS_OK;
    for (size_t group = 1; status == STATUS_OK && next < f->world.record_count; group++) {
        size_t end = next + 1 + group * 3 % GROUP_MAX;
        end = end < f->world.record_count ? end : f->world.record_count;
        status = store_fixture_append_range(f, next, end);
        if (status == STATUS_OK) {
            status = store_fixture_commit(f);
        }
        if (status == STATUS_OK) {
            said->record_count = next = end;
            status = store_prepare(f->store);
        }
        // In the middle of the history: a fence of a writer that writes nothing else here.
        if (status == STATUS_OK && next > f->world.record_count / 2 && !said->has_fenced) {
            struct writer_id stranger = {.bytes = {1, 2, 3}};
            struct frame_fence ask;
            buffer_clear(&body);
            store_fixture_ask(f, &body, &stranger);
            assert_int_equal(frame_fence_decode(&ask, buffer_bytes(&body)), STATUS_OK);
            status = store_fence(f->store, &ask, &fence);
            said->has_fenced = status == STATUS_OK;
        }
    }
    buffer_release(&body);
    buffer_release(&fence);
    return status;
}

/* Nothing that was said is lost, and the store can go on to the end. */
static void assert_recovers(struct store_fixture *f, struct said said)
{
    enum status status = store_fixture_reopen(f);
    if (status != STATUS_OK) {
        fail_msg("does not open: %s", status_text(status));
    }
    assert_true(store_fixture_held(f) >= said.record_count);
    if (said.has_fenced) {
        const struct buffer *fence = disk_fake_file(f->fake, "fence");
        assert_non_null(fence);
        assert_int_equal(fence->bytes[4], 1);
    }
    assert_int_equal(live(f, &said), STATUS_OK);
    assert_int_equal(store_fixture_reopen(f), STATUS_OK);
    assert_int_equal(store_fixture_held(f), f->world.record_count);
}

static void p4_survives_the_failure_of_any_one_operation(void **state)
{
    struct store_fixture *f = *state;
    const enum status failures[] = {STATUS_IO, STATUS_NO_SPACE};
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        uint64_t nth = 1;
        for (bool has_failed = true; has_failed; nth++) {
            struct said said = {.record_count = 0};
            assert_int_equal(store_fixture_reopen_fresh(f), STATUS_OK);
            uint64_t before = disk_fake_operations(f->fake);
            disk_fake_fail(f->fake, nth, failures[i]);
            enum status status = live(f, &said);
            has_failed = disk_fake_operations(f->fake) >= before + nth;
            // Preparing lives with a full disk; nothing else lets a failure pass.
            assert_true(status != STATUS_OK || !has_failed || failures[i] == STATUS_NO_SPACE);
            disk_fake_fail(f->fake, 0, STATUS_OK);
            assert_recovers(f, said);
        }
        assert_true(nth > 40);
    }
}

/* Live, with the power going off in operation `nth` of the disk. False: it never came to that. */
static bool live_until(struct store_fixture *f, uint64_t nth, struct said *said)
{
    *said = (struct said){.record_count = 0};
    store_close(f->store);
    f->store = NULL;
    disk_fake_free(f->fake);
    f->fake = disk_fake_new();
    f->disk = disk_fake_disk(f->fake);
    disk_fake_power_off(f->fake, nth);
    return store_fixture_reopen(f) != STATUS_OK || live(f, said) != STATUS_OK;
}

static void p9_survives_a_torn_last_write_at_every_sector_and_at_random_bytes(void **state)
{
    struct store_fixture *f = *state;
    struct random_seeded seeded;
    struct random random = random_seeded(&seeded, 5);
    struct said said;
    uint64_t nth = 1;
    for (; live_until(f, nth, &said); nth++) {
        size_t length = disk_fake_last_write(f->fake);
        size_t sectors = length / SECTOR_BYTES + 2;
        for (size_t i = 0; i < sectors + TEARS_AT_RANDOM; i++) {
            uint16_t any;
            random_fill(&random, &any, sizeof any);
            size_t kept = i < sectors ? i * SECTOR_BYTES : length == 0 ? 0 : any % length;
            assert_true(i == 0 || live_until(f, nth, &said));
            disk_fake_crash_torn(f->fake, kept);
            assert_recovers(f, said);
        }
    }
    assert_true(nth > 40);
}

/* Learnt of late, the first leader's GENESIS lies behind others when its TERM is torn off. */
static void p9_a_genesis_whose_term_was_torn_off_waits_for_it(void **state)
{
    struct store_fixture *f = *state;
    capsule_world_restart(&f->world);
    size_t second = f->world.record_count - 1;
    size_t length = SIZE_MAX;
    for (size_t kept = 0; kept < length; kept += SECTOR_BYTES) {
        assert_int_equal(store_fixture_reopen_fresh(f), STATUS_OK);
        assert_int_equal(store_fixture_append_range(f, second, second + 1), STATUS_OK);
        assert_int_equal(store_fixture_commit(f), STATUS_OK);
        assert_int_equal(store_fixture_append_range(f, 0, 2), STATUS_OK);
        disk_fake_power_off(f->fake, 1);
        assert_int_not_equal(store_fixture_commit(f), STATUS_OK);
        length = disk_fake_last_write(f->fake);
        disk_fake_crash_torn(f->fake, kept);
        assert_int_equal(store_fixture_reopen(f), STATUS_OK);
        if (capsule_member_count(store_capsule(f->store)) == 1) {
            (void)store_fixture_append(f, capsule_world_record(&f->world, 0));
            assert_int_equal(store_fixture_append_range(f, 1, 2), STATUS_OK);
            assert_int_equal(store_fixture_commit(f), STATUS_OK);
        }
        assert_int_equal(store_fixture_reopen(f), STATUS_OK);
        assert_int_equal(capsule_member_count(store_capsule(f->store)), 2);
    }
    assert_true(length > SECTOR_BYTES);
}

static void p9_survives_the_loss_of_any_sectors_that_were_not_synced(void **state)
{
    struct store_fixture *f = *state;
    struct random_seeded seeded;
    const char *seed = getenv("SEED");
    unsigned long long number = seed == NULL ? 9 : strtoull(seed, NULL, 10);
    print_message("SEED=%llu\n", number);
    struct random random = random_seeded(&seeded, number);
    struct said said;
    for (uint64_t nth = 1; live_until(f, nth, &said); nth++) {
        for (int i = 0; i < CRASHES_AT_RANDOM; i++) {
            assert_true(i == 0 || live_until(f, nth, &said));
            disk_fake_crash(f->fake, i == 0 ? NULL : &random);
            assert_recovers(f, said);
        }
    }
}

static void p9_survives_a_second_crash_while_it_recovers_from_the_first(void **state)
{
    struct store_fixture *f = *state;
    struct random_seeded seeded;
    struct random random = random_seeded(&seeded, 6);
    struct said said;
    for (uint64_t nth = 5; live_until(f, nth, &said); nth += 3) {
        disk_fake_crash(f->fake, &random);
        for (uint64_t second = 1;; second++) {
            disk_fake_power_off(f->fake, second);
            enum status status = store_fixture_reopen(f);
            disk_fake_crash(f->fake, &random);
            if (status == STATUS_OK) {
                break;
            }
        }
        assert_recovers(f, said);
    }
}

static void p4_a_disk_that_is_full_at_any_size_costs_nothing_but_time(void **state)
{
    struct store_fixture *f = *state;
    assert_int_equal(store_fixture_reopen_fresh(f), STATUS_OK);
    struct said all = {.record_count = 0};
    assert_int_equal(live(f, &all), STATUS_OK);
    uint64_t needed = disk_fake_used(f->fake);
    size_t full_count = 0;
    for (uint64_t limit = STORE_FIXTURE_SEGMENT_BYTES + 200; limit < needed + 700; limit += 700) {
        struct said said = {.record_count = 0};
        assert_int_equal(store_fixture_reopen_fresh(f), STATUS_OK);
        disk_fake_limit(f->fake, limit);
        enum status status = live(f, &said);
        if (status != STATUS_OK) {
            // Refused, and refused again: nothing changes until there is room.
            assert_int_equal(status, STATUS_NO_SPACE);
            full_count++;
            enum status again = store_fixture_commit(f);
            assert_true(again == STATUS_OK || again == STATUS_EMPTY);
            size_t held = store_fixture_held(f);
            assert_int_equal(live(f, &said), STATUS_NO_SPACE);
            assert_int_equal(store_fixture_held(f), held);
            disk_fake_limit(f->fake, UINT64_MAX);
            assert_int_equal(live(f, &said), STATUS_OK);
            assert_int_equal(store_fixture_held(f), f->world.record_count);
        }
        disk_fake_limit(f->fake, UINT64_MAX);
        assert_recovers(f, said);
    }
    assert_true(full_count > 5);
}

static enum status ignore_record(void *context, struct bytes record,
                                 const struct store_place *place)
{
    (void)context;
    (void)record;
    (void)place;
    return STATUS_OK;
}

/* What a store makes of a disk on which one bit is not what it was. */
static enum status open_flipped(struct store_fixture *f, struct disk disk, size_t said_count)
{
    struct disk before = f->disk;
    size_t held = 0;
    f->disk = disk;
    enum status status = store_fixture_reopen(f);
    if (status == STATUS_OK) {
        // A sealed segment is not read before somebody asks for its records.
        status = store_fixture_read(f, &held);
        assert_true(status != STATUS_OK || held >= said_count);
        store_close(f->store);
        f->store = NULL;
    }
    f->disk = before;
    return status;
}

/*
 * Flip one bit of every byte of every file, and see the store refuse or lose nothing: at once, or
 * when the record is read. What it wrote down beside the segments it can make anew.
 */
static void flip_each(struct store_fixture *f, size_t said_count)
{
    size_t opened = 0;
    for (size_t i = 0; i < disk_fake_count(f->fake); i++) {
        const char *name = disk_fake_name(f->fake, i);
        struct buffer *file = disk_fake_file(f->fake, name);
        unsigned segment = 0;
        bool is_segment = sscanf(name, "segment-%u", &segment) == 1;
        size_t end = file->length;
        while (end > 0 && file->bytes[end - 1] == 0) {
            end--;
        }
        for (size_t at = 0; at < file->length; at++) {
            struct disk_fake *copy = disk_fake_copy(f->fake);
            struct disk disk = disk_fake_disk(copy);
            disk_fake_file(copy, name)->bytes[at] ^= (uint8_t)(1u << at % 8);
            struct store_place place;
            enum status walked = store_walk(&disk, &f->world.name, ignore_record, NULL, &place);
            if (walked != (is_segment ? STATUS_DAMAGED : STATUS_OK)) {
                fail_msg("of a flipped bit in %s at %zu it says %s", name, at, status_text(walked));
            }
            assert_true(!is_segment || (place.segment == segment && place.offset <= at));
            // Of the zeroes at the end, some are as good as all.
            if (at < end + 64 || at % 61 == 0) {
                enum status status = open_flipped(f, disk, said_count);
                assert_true(status == STATUS_OK || (is_segment && status == STATUS_DAMAGED));
                opened += status == STATUS_OK;
            }
            disk_fake_free(copy);
        }
    }
    assert_true(opened > 0);
}

static void p2_a_flipped_bit_anywhere_is_refused_or_costs_nothing(void **state)
{
    struct store_fixture *f = *state;
    struct said said = {.record_count = 0};
    f->world.record_count = 16;  // a short history: two segments
    assert_int_equal(live(f, &said), STATUS_OK);
    disk_fake_remove(f->fake, "fence");
    // As it lies there after a clean end, and while it runs.
    flip_each(f, said.record_count);
}

/*
 * The limit that the format page tells: the last group, synced, whose mark was lost with the power.
 */
static void a_flip_in_a_group_whose_mark_was_lost_costs_no_more_than_that_group(void **state)
{
    struct store_fixture *f = *state;
    f->world.record_count = 10;
    assert_int_equal(store_fixture_append_range(f, 0, 7), STATUS_OK);
    assert_int_equal(store_fixture_commit(f), STATUS_OK);
    assert_int_equal(store_fixture_append_range(f, 7, 10), STATUS_OK);
    assert_int_equal(store_fixture_commit(f), STATUS_OK);
    disk_fake_crash_torn(f->fake, 0);
    flip_each(f, 7);
}

static void a_missing_segment_is_damage(void **state)
{
    struct store_fixture *f = *state;
    struct said said = {.record_count = 0};
    assert_int_equal(live(f, &said), STATUS_OK);
    assert_true(disk_fake_file(f->fake, "segment-00000003") != NULL);
    disk_fake_remove(f->fake, "segment-00000002");
    assert_int_equal(store_fixture_reopen(f), STATUS_DAMAGED);
    struct store_place place;
    assert_int_equal(store_walk(&f->disk, &f->world.name, ignore_record, NULL, &place),
                     STATUS_DAMAGED);
    disk_fake_remove(f->fake, "segment-00000001");
    assert_int_equal(store_fixture_reopen(f), STATUS_DAMAGED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(p4_survives_the_failure_of_any_one_operation, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            p9_survives_a_torn_last_write_at_every_sector_and_at_random_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(p9_a_genesis_whose_term_was_torn_off_waits_for_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(p9_survives_the_loss_of_any_sectors_that_were_not_synced,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(p9_survives_a_second_crash_while_it_recovers_from_the_first,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(p4_a_disk_that_is_full_at_any_size_costs_nothing_but_time,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(p2_a_flipped_bit_anywhere_is_refused_or_costs_nothing,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_flip_in_a_group_whose_mark_was_lost_costs_no_more_than_that_group, setup, teardown),
        cmocka_unit_test_setup_teardown(a_missing_segment_is_damage, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
