/* tests/store/store_term_test.c */

/*
 * Goal: a new leader hears from a store of all that may count, and the store takes nothing
 * afterwards that this leader did not hear of (docs/design/0032-one-chain-of-leaders.md).
 * Method: leaders in a row whose records reach the store, or do not; then a FENCE of the next.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "capsule/receipt.h"
#include "tests/support/store_fixture.h"

static int setup(void **state)
{
    struct store_fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    store_fixture_init(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    store_fixture_release(*state);
    free(*state);
    return 0;
}

static void take_from(struct store_fixture *f, size_t first)
{
    assert_int_equal(store_fixture_append_range(f, first, f->world.record_count), STATUS_OK);
}

/* What the store says to the world's newest leader, who fences everything; its bytes in `said`. */
static struct receipt fence_all(struct store_fixture *f, struct buffer *said)
{
    struct buffer body = BUFFER_EMPTY;
    struct frame_fence ask;
    struct receipt fence;
    store_fixture_ask(f, &body, NULL);
    assert_int_equal(frame_fence_decode(&ask, buffer_bytes(&body)), STATUS_OK);
    buffer_clear(said);
    assert_int_equal(store_fence(f->store, &ask, said), STATUS_OK);
    assert_int_equal(receipt_decode(&fence, buffer_bytes(said)), STATUS_OK);
    buffer_release(&body);
    return fence;
}

static bool names(const struct receipt *fence, const struct capsule_world_writer *writer)
{
    for (uint32_t i = 0; i < fence->head_count; i++) {
        struct branch_head head = receipt_head(fence, i);
        if (writer_id_equal(&head.writer, &writer->id)) {
            return true;
        }
    }
    return false;
}

static void a_fence_names_first_who_wrote_the_newest_sync_and_no_leader_without(void **state)
{
    struct store_fixture *f = *state;
    struct buffer said = BUFFER_EMPTY;
    struct capsule_world_writer *first = f->world.leader;
    store_fixture_put(f);
    capsule_world_sync(&f->world);
    capsule_world_restart(&f->world);
    struct capsule_world_writer *second = f->world.leader;
    capsule_world_close(&f->world, first);
    capsule_world_restart(&f->world);
    take_from(f, 0);
    struct receipt fence = fence_all(f, &said);
    struct branch_head named = receipt_head(&fence, 0);
    assert_true(writer_id_equal(&named.writer, &first->id));
    assert_int_equal(fence.head_count, 3);
    assert_true(names(&fence, f->a) && names(&fence, f->b));
    assert_false(names(&fence, second));
    buffer_release(&said);
}

static void p4_what_a_leader_closed_that_may_not_count_is_named_to_the_next(void **state)
{
    struct store_fixture *f = *state;
    struct buffer said = BUFFER_EMPTY;
    store_fixture_put(f);
    capsule_world_sync(&f->world);
    capsule_world_sync(&f->world);
    capsule_world_close(&f->world, f->a);
    capsule_world_sync(&f->world);
    take_from(f, 0);
    size_t settled = f->world.record_count;
    capsule_world_sync(&f->world);
    capsule_world_restart(&f->world);
    struct receipt fence = fence_all(f, &said);
    assert_true(names(&fence, f->a));
    // Two SYNCs after it, W stores hold the CLOSE.
    assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, settled)), STATUS_GAP);
    assert_int_equal(store_fixture_reopen_fresh(f), STATUS_OK);
    take_from(f, 0);
    fence = fence_all(f, &said);
    assert_false(names(&fence, f->a));
    assert_true(names(&fence, f->b));
    buffer_release(&said);
}

/* That the world's record of `a` at this place leads to the cut, where the world has closed it. */
static void show(struct store_fixture *f, size_t place)
{
    struct record record;
    struct bytes bytes = capsule_world_record(&f->world, place);
    assert_int_equal(record_decode(&record, bytes.at, bytes.length), STATUS_OK);
    const struct branch_head cut = {.writer = f->a->id, .head = f->a->head};
    assert_int_equal(
        store_show(f->store, &cut, record.sequence, bytes_of(record.hash.bytes, HASH_BYTES)),
        STATUS_OK);
}

/* The store has what lies below a SYNC. Where what comes later begins. */
static size_t take_an_epoch(struct store_fixture *f)
{
    store_fixture_put(f);
    capsule_world_sync(&f->world);
    take_from(f, 0);
    return f->world.record_count;
}

static void p4_a_cut_of_a_leader_that_the_next_has_not_heard_of_lets_nothing_in(void **state)
{
    struct store_fixture *f = *state;
    struct buffer said = BUFFER_EMPTY;
    struct capsule_world_writer *first = f->world.leader;
    size_t late = take_an_epoch(f);
    capsule_world_put(&f->world, f->a, "x", "late");
    capsule_world_restart(&f->world);
    struct capsule_world_writer *second = f->world.leader;
    capsule_world_close(&f->world, first);
    capsule_world_close(&f->world, f->a);
    take_from(f, late + 1);
    capsule_world_restart(&f->world);
    struct receipt fence = fence_all(f, &said);
    assert_int_equal(fence.term, 3);
    assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, late)), STATUS_GAP);
    assert_int_equal(store_fixture_reopen(f), STATUS_OK);
    assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, late)), STATUS_GAP);
    // When it follows that leader after all, the cut counts.
    size_t next = f->world.record_count - 1;
    capsule_world_close(&f->world, second);
    take_from(f, next);
    show(f, late);
    assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, late)), STATUS_OK);
    buffer_release(&said);
}

static void p9_below_a_cut_that_may_not_count_only_what_leads_there_is_taken(void **state)
{
    struct store_fixture *f = *state;
    struct buffer said = BUFFER_EMPTY;
    struct capsule_world_writer *first = f->world.leader;
    size_t late = take_an_epoch(f);
    struct head before = f->a->head;
    capsule_world_put(&f->world, f->a, "x", "late");
    capsule_world_put(&f->world, f->a, "x", "later");
    capsule_world_restart(&f->world);
    (void)fence_all(f, &said);
    capsule_world_close(&f->world, first);
    capsule_world_close(&f->world, f->a);
    take_from(f, late + 2);
    struct head cut = f->a->head;
    f->a->head = before;
    store_fixture_build_other(f, f->a);
    f->a->head = cut;
    const struct capsule_member *a = capsule_member_find(store_capsule(f->store), &f->a->id);
    assert_true(store_needs_trail(f->store, a));
    assert_int_equal(store_fixture_append(f, buffer_bytes(&f->world.tried)), STATUS_GAP);
    assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, late)), STATUS_GAP);
    show(f, late);
    assert_false(store_needs_trail(f->store, a));
    assert_int_equal(store_fixture_append(f, buffer_bytes(&f->world.tried)), STATUS_GAP);
    assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, late)), STATUS_OK);
    // What follows has yet to be shown; and needs not be, once the leader that wrote the cut leads.
    assert_true(store_needs_trail(f->store, a));
    size_t later = late + 1, synced = f->world.record_count;
    assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, later)), STATUS_GAP);
    capsule_world_sync(&f->world);
    capsule_world_sync(&f->world);
    take_from(f, synced);
    assert_int_equal(store_fixture_append(f, capsule_world_record(&f->world, later)), STATUS_OK);
    buffer_release(&said);
}

/*
 * A store whose disk was lost is filled again in the term of a leader that closes the one before,
 * and never comes to lead. The third one closes that one, too: its CLOSE is f->world.tried.
 */
static struct capsule_world_writer *fill_on_a_vain_word(struct store_fixture *f)
{
    struct capsule_world_writer *first = f->world.leader;
    for (int i = 0; i < 8; i++) {
        store_fixture_put(f);
    }
    capsule_world_sync(&f->world);
    store_fixture_put(f);
    size_t term = f->world.record_count;
    capsule_world_restart(&f->world);
    capsule_world_close(&f->world, first);
    size_t next = f->world.record_count;
    assert_int_equal(store_fixture_append_range(f, 0, 2), STATUS_OK);
    assert_int_equal(store_fixture_append_range(f, term, next), STATUS_OK);
    assert_int_equal(store_fixture_append_range(f, 2, term), STATUS_OK);
    capsule_world_restart(&f->world);
    take_from(f, next);
    assert_int_equal(store_fixture_commit(f), STATUS_OK);
    struct capsule_world_close_plan plan;
    capsule_world_plan_close(&f->world, &plan, first);
    assert_int_equal(capsule_world_try_close(&f->world, &plan), STATUS_GAP);
    return first;
}

static void assert_holds_all_of(struct store_fixture *f, const struct capsule_world_writer *writer)
{
    const struct capsule_member *member = capsule_member_find(store_capsule(f->store), &writer->id);
    assert_non_null(member);
    assert_int_equal(member->head.sequence, writer->head.sequence);
    assert_memory_equal(member->head.hash.bytes, writer->head.hash.bytes, HASH_BYTES);
}

static void p4_what_was_taken_on_the_word_of_a_leader_that_is_void_stays(void **state)
{
    struct store_fixture *f = *state;
    struct buffer said = BUFFER_EMPTY;
    const struct capsule_world_writer *first = fill_on_a_vain_word(f);
    struct bytes close = buffer_bytes(&f->world.tried);
    assert_int_equal(store_fixture_append(f, close), STATUS_GAP);
    assert_int_equal(store_fixture_commit(f), STATUS_OK);
    assert_int_equal(store_fixture_append(f, close), STATUS_STALE);
    for (int i = 0; i < 2; i++) {
        assert_holds_all_of(f, first);
        assert_holds_all_of(f, f->a);
        assert_holds_all_of(f, f->b);
        struct receipt fence = fence_all(f, &said);
        assert_true(names(&fence, f->a) && names(&fence, f->b));
        struct frame_fetched fetched;
        const struct frame_fetch fetch = {.from = 1, .to = UINT64_MAX, .max_bytes = UINT32_MAX};
        buffer_clear(&said);
        assert_int_equal(store_read(f->store, &fetch, &said, &fetched), STATUS_OK);
        assert_int_equal(store_fixture_reopen(f), STATUS_OK);
    }
    buffer_release(&said);
}

static void p4_it_stays_also_when_the_power_goes_off_meanwhile(void **state)
{
    struct store_fixture *f = *state;
    struct random_seeded seeded;
    struct random random = random_seeded(&seeded, 6);
    const struct capsule_world_writer *first = fill_on_a_vain_word(f);
    struct bytes close = buffer_bytes(&f->world.tried);
    store_close(f->store);
    f->store = NULL;
    struct disk_fake *filled = disk_fake_copy(f->fake);
    uint64_t nth = 1;
    for (bool has_ended = false; !has_ended; nth++) {
        store_close(f->store);
        f->store = NULL;
        disk_fake_assign(f->fake, filled);
        assert_int_equal(store_fixture_reopen(f), STATUS_OK);
        uint64_t before = disk_fake_operations(f->fake);
        disk_fake_power_off(f->fake, nth);
        has_ended =
            store_fixture_append(f, close) == STATUS_GAP && store_fixture_commit(f) == STATUS_OK;
        assert_true(has_ended || disk_fake_operations(f->fake) >= before + nth - 1);
        disk_fake_crash(f->fake, &random);
        // Whichever leader's word it goes by now, what it has signed for is there.
        assert_int_equal(store_fixture_reopen(f), STATUS_OK);
        assert_holds_all_of(f, first);
        assert_holds_all_of(f, f->a);
        assert_holds_all_of(f, f->b);
        enum status status = store_fixture_append(f, close);
        assert_true(status == STATUS_GAP || status == STATUS_STALE);
        status = store_fixture_commit(f);
        assert_true(status == STATUS_OK || status == STATUS_EMPTY);
        assert_int_equal(store_fixture_append(f, close), STATUS_STALE);
        assert_holds_all_of(f, first);
        assert_holds_all_of(f, f->a);
        assert_holds_all_of(f, f->b);
    }
    assert_true(nth > 8);
    disk_fake_free(filled);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_fence_names_first_who_wrote_the_newest_sync_and_no_leader_without),
        TEST(p4_what_a_leader_closed_that_may_not_count_is_named_to_the_next),
        TEST(p4_a_cut_of_a_leader_that_the_next_has_not_heard_of_lets_nothing_in),
        TEST(p9_below_a_cut_that_may_not_count_only_what_leads_there_is_taken),
        TEST(p4_what_was_taken_on_the_word_of_a_leader_that_is_void_stays),
        TEST(p4_it_stays_also_when_the_power_goes_off_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
