/* tests/store/store_prune_test.c */

/*
 * Goal: a PRUNE that is on the disk frees the bodies it names, and nothing else; a crash at any
 * step leaves a log that opens, verifies, and holds every record.
 * Method: a history with a compactor in it, in small segments; fail or cut the power at every
 * operation of the disk while segments are replaced.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "capsule/prune.h"
#include "tests/support/store_fixture.h"

enum { PUTS = 60, VALUE_BYTES = 900, PRUNED = 50 };

struct history {
    struct store_fixture f;
    struct capsule_world_writer *compactor;
    size_t prune_at;  // where the PRUNE stands
};

static void put_some(struct history *h)
{
    char value[VALUE_BYTES + 1];
    memset(value, 'v', VALUE_BYTES);
    value[VALUE_BYTES] = '\0';
    for (int i = 0; i < PUTS; i++) {
        capsule_world_put(&h->f.world, h->f.a, "key", value);
    }
}

static void append_prune(struct history *h, const struct branch_head *manifest)
{
    struct capsule_world_draft draft;
    const struct prune_body body = {.term = 1, .manifest = *manifest, .range_count = 1};
    const struct prune_range range = {.writer = h->f.a->id, .from = 1, .to = PRUNED};
    capsule_world_draft(&h->f.world, &draft, h->f.world.leader, RECORD_PRUNE);
    assert_int_equal(prune_encode(&draft.body, &body, &range), STATUS_OK);
    h->prune_at = h->f.world.record_count;
    assert_int_equal(capsule_world_try(&h->f.world, &draft), STATUS_OK);
}

static int setup(void **state)
{
    struct history *h = calloc(1, sizeof *h);
    assert_non_null(h);
    store_fixture_init(&h->f);
    h->compactor = capsule_world_admit(&h->f.world, MEMBER_COMPACTOR);
    put_some(h);
    struct branch_head manifest = capsule_world_compact(&h->f.world, h->compactor);
    struct capsule_world_sync_plan plan;
    capsule_world_plan_sync(&h->f.world, &plan);
    plan.body.manifest = manifest;
    assert_int_equal(capsule_world_try_sync(&h->f.world, &plan), STATUS_OK);
    append_prune(h, &manifest);
    store_fixture_put(&h->f);
    *state = h;
    return 0;
}

static int teardown(void **state)
{
    struct history *h = *state;
    store_fixture_release(&h->f);
    free(h);
    return 0;
}

static void write_up_to(struct history *h, size_t end)
{
    assert_int_equal(store_fixture_append_range(&h->f, 0, end), STATUS_OK);
    assert_int_equal(store_fixture_commit(&h->f), STATUS_OK);
}

/* Until nothing is left to be freed. */
static enum status prepare_all(struct history *h)
{
    enum status status = STATUS_OK;
    for (int i = 0; i < 20 && status == STATUS_OK; i++) {
        status = store_prepare(h->f.store);
    }
    return status;
}

/*
 * Every record up to `end` is there, whole unless the PRUNE names it; returns those without a body.
 */
static size_t judge(struct history *h, size_t end)
{
    size_t pruned_count = 0;
    for (size_t i = 0; i < end; i++) {
        struct buffer bytes = BUFFER_EMPTY;
        struct frame_fetched fetched;
        struct record here, true_one;
        const struct frame_fetch fetch = {.from = i + 1, .to = i + 1, .max_bytes = UINT32_MAX};
        struct bytes whole = capsule_world_record(&h->f.world, i);
        assert_int_equal(record_decode(&true_one, whole.at, whole.length), STATUS_OK);
        assert_int_equal(store_read(h->f.store, &fetch, &bytes, &fetched), STATUS_OK);
        assert_int_equal(record_decode_stored(&here, bytes.bytes, bytes.length), STATUS_OK);
        assert_true(hash_equal(&here.hash, &true_one.hash));
        bool may_be_gone = writer_id_equal(&here.writer, &h->f.a->id) && here.sequence <= PRUNED;
        assert_true(may_be_gone || !here.is_pruned);
        assert_true(here.is_pruned || bytes_equal(buffer_bytes(&bytes), whole));
        pruned_count += here.is_pruned;
        buffer_release(&bytes);
    }
    return pruned_count;
}

static enum status accept_stored(void *context, struct bytes bytes, const struct store_place *place)
{
    struct record record;
    (void)place;
    enum status status = record_decode_stored(&record, bytes.at, bytes.length);
    return status == STATUS_OK ? capsule_accept(context, &record) : status;
}

static void a_prune_frees_the_disk_and_the_log_still_verifies(void **state)
{
    struct history *h = *state;
    struct capsule *capsule;
    struct store_place place;
    write_up_to(h, h->f.world.record_count);
    // One in the middle, with nothing but puts in it.
    uint64_t before = disk_fake_file(h->f.fake, "segment-00000004")->length;
    assert_int_equal(prepare_all(h), STATUS_OK);
    assert_true(judge(h, h->f.world.record_count) > PRUNED * 3 / 4);
    assert_true(disk_fake_file(h->f.fake, "segment-00000004")->length < before / 2);
    assert_int_equal(store_fixture_reopen(&h->f), STATUS_OK);
    assert_true(judge(h, h->f.world.record_count) > PRUNED * 3 / 4);
    assert_int_equal(capsule_new(&capsule, buffer_bytes(&h->f.world.genesis_body)), STATUS_OK);
    assert_int_equal(store_walk(&h->f.disk, &h->f.world.name, accept_stored, capsule, &place),
                     STATUS_OK);
    assert_true(capsule_is_pruned(capsule, &h->f.a->id, PRUNED));
    capsule_free(capsule);
}

static void p4_nothing_goes_before_the_prune_is_on_the_disk(void **state)
{
    struct history *h = *state;
    write_up_to(h, h->prune_at);
    assert_int_equal(prepare_all(h), STATUS_OK);
    assert_int_equal(judge(h, h->prune_at), 0);
    assert_int_equal(store_fixture_append(&h->f, capsule_world_record(&h->f.world, h->prune_at)),
                     STATUS_OK);
    assert_int_equal(prepare_all(h), STATUS_OK);
    assert_int_equal(judge(h, h->prune_at), 0);
    assert_int_equal(store_fixture_commit(&h->f), STATUS_OK);
    assert_int_equal(prepare_all(h), STATUS_OK);
    assert_true(judge(h, h->prune_at) > 0);
}

static void a_record_that_comes_again_is_known_without_its_body(void **state)
{
    struct history *h = *state;
    write_up_to(h, h->f.world.record_count);
    assert_int_equal(prepare_all(h), STATUS_OK);
    for (size_t i = 0; i < h->f.world.record_count; i++) {
        assert_int_equal(store_fixture_append(&h->f, capsule_world_record(&h->f.world, i)),
                         STATUS_STALE);
    }
}

static void p9_survives_a_crash_at_every_step(void **state)
{
    struct history *h = *state;
    bool has_crashed = true;
    size_t end = h->f.world.record_count;
    for (uint64_t nth = 1; has_crashed; nth++) {
        assert_int_equal(store_fixture_reopen_fresh(&h->f), STATUS_OK);
        write_up_to(h, end);
        disk_fake_power_off(h->f.fake, nth);
        has_crashed = prepare_all(h) != STATUS_OK;
        disk_fake_power_off(h->f.fake, 0);
        disk_fake_crash(h->f.fake, &h->f.world.random);
        assert_int_equal(store_fixture_reopen(&h->f), STATUS_OK);
        (void)judge(h, end);
        assert_int_equal(prepare_all(h), STATUS_OK);
        assert_true(judge(h, end) > PRUNED * 3 / 4);
    }
}

/* So many others of `a` than the history's at `at` and behind it; and leave them out. */
static void write_others_and_cut(struct history *h, size_t at, uint64_t count)
{
    struct record before;
    struct bytes whole = capsule_world_record(&h->f.world, at - 1);
    assert_int_equal(record_decode(&before, whole.at, whole.length), STATUS_OK);
    struct hash parent = before.hash;
    for (uint64_t i = 1; i <= count; i++) {
        struct capsule_world_draft draft;
        struct record other;
        char value[VALUE_BYTES + 1] = "";
        memset(value, 'o', VALUE_BYTES);
        capsule_world_draft(&h->f.world, &draft, h->f.a, RECORD_DATA);
        draft.fields.sequence = before.sequence + i;
        draft.fields.epoch = before.epoch;
        draft.fields.parent_count = 1;
        draft.parents[0] = parent;
        capsule_world_tuple(&h->f.world, h->f.a, &draft.body, "key", value);
        capsule_world_build(&h->f.world, &draft);
        assert_int_equal(record_decode(&other, h->f.world.tried.bytes, h->f.world.tried.length),
                         STATUS_OK);
        parent = other.hash;
        assert_int_equal(store_fixture_append(&h->f, other.whole), STATUS_OK);
    }
    assert_int_equal(store_fixture_commit(&h->f), STATUS_OK);
    assert_int_equal(store_leave_out(h->f.store, &h->f.a->id, before.sequence), STATUS_OK);
}

struct counted {
    struct capsule *capsule;
    size_t count;
};

static enum status count_accepted(void *context, struct bytes bytes,
                                  const struct store_place *place)
{
    struct counted *counted = context;
    counted->count++;
    return accept_stored(counted->capsule, bytes, place);
}

/* The cut that leaves the others out ends among records whose bodies may go. */
static void p4_what_came_after_a_cut_counts_when_bodies_before_it_are_gone(void **state)
{
    struct history *h = *state;
    enum { FIRST = 20, LAST = 24 };  // the places in a segment that such a cut may have
    for (size_t at = FIRST; at < LAST; at++) {
        struct counted counted = {.count = 0};
        struct store_place place;
        assert_int_equal(store_fixture_reopen_fresh(&h->f), STATUS_OK);
        write_up_to(h, at);
        write_others_and_cut(h, at, 5);
        assert_int_equal(store_fixture_append_range(&h->f, at, h->f.world.record_count), STATUS_OK);
        assert_int_equal(store_fixture_commit(&h->f), STATUS_OK);
        assert_int_equal(prepare_all(h), STATUS_OK);
        assert_int_equal(capsule_new(&counted.capsule, buffer_bytes(&h->f.world.genesis_body)),
                         STATUS_OK);
        assert_int_equal(store_walk(&h->f.disk, &h->f.world.name, count_accepted, &counted, &place),
                         STATUS_OK);
        assert_int_equal(counted.count, h->f.world.record_count);
        assert_true(capsule_is_pruned(counted.capsule, &h->f.a->id, PRUNED));
        capsule_free(counted.capsule);
        assert_int_equal(store_fixture_reopen(&h->f), STATUS_OK);
        assert_int_equal(judge(h, h->f.world.record_count), PRUNED);
    }
}

/* The lists of every index, which are its file's last part. */
static void spoil_lists(struct history *h)
{
    for (unsigned segment = 1; segment < 100; segment++) {
        char name[32];
        (void)snprintf(name, sizeof name, "index-%08u", segment);
        struct buffer *file = disk_fake_file(h->f.fake, name);
        if (file != NULL) {
            file->bytes[file->length - 1] ^= 1;
        }
    }
}

/* In a segment with a cut in it, two records may have one place in a branch. */
static void p2_spoilt_lists_are_made_anew_without_what_a_cut_covers(void **state)
{
    struct history *h = *state;
    enum { FIRST = 20, LAST = 24 };
    for (size_t at = FIRST; at < LAST; at++) {
        assert_int_equal(store_fixture_reopen_fresh(&h->f), STATUS_OK);
        write_up_to(h, at);
        write_others_and_cut(h, at, 1);
        assert_int_equal(store_fixture_append_range(&h->f, at, h->f.world.record_count), STATUS_OK);
        assert_int_equal(store_fixture_commit(&h->f), STATUS_OK);
        spoil_lists(h);
        assert_int_equal(store_fixture_reopen(&h->f), STATUS_OK);
        assert_int_equal(judge(h, h->f.world.record_count), 0);
        assert_int_equal(prepare_all(h), STATUS_OK);
        spoil_lists(h);
        assert_int_equal(store_fixture_reopen(&h->f), STATUS_OK);
        assert_int_equal(judge(h, h->f.world.record_count), PRUNED);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_prune_frees_the_disk_and_the_log_still_verifies),
        TEST(p4_nothing_goes_before_the_prune_is_on_the_disk),
        TEST(a_record_that_comes_again_is_known_without_its_body),
        TEST(p4_what_came_after_a_cut_counts_when_bodies_before_it_are_gone),
        TEST(p2_spoilt_lists_are_made_anew_without_what_a_cut_covers),
        TEST(p9_survives_a_crash_at_every_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
