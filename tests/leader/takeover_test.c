/* tests/leader/takeover_test.c */

/*
 * Goal: a leader may die at any record while it takes over, and the next one goes on; the owner is
 * told of a rollback whatever else is missing; of a branch that its writer forked is loaded what
 * leads to its cut; where other stores count than before, enough of both have answered, and W of
 * those that count now hold everything, before a leader leads. Method: one leader after another
 * against a store that keeps the first n records of a term and then no more, or signs for what it
 * does not have (leader_world).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/leader/one_worker.h"

/* Whether the last SYNC in the store lists this writer as closed. */
static bool is_listed_closed(const struct leader_world *world, const struct writer_id *id)
{
    bool is_listed = false;
    struct bytes records = buffer_bytes(&world->stored);
    while (records.length > 0) {
        struct record record;
        struct sync_body sync;
        size_t length = record_length(records.at, records.length);
        assert_int_equal(record_decode(&record, records.at, length), STATUS_OK);
        records = bytes_of(records.at + length, records.length - length);
        if (record.type != RECORD_SYNC) {
            continue;
        }
        assert_int_equal(sync_decode(&sync, record.body), STATUS_OK);
        for (uint32_t i = 0; i < sync.head_count; i++) {
            struct sync_head head = sync_head_at(&sync, i);
            is_listed = is_listed || (writer_id_equal(&head.branch.writer, id) &&
                                      (head.flags & SYNC_FLAG_CLOSED) != 0);
        }
    }
    return is_listed;
}

static void p9_a_leader_may_die_at_any_record_of_its_takeover(void **state)
{
    (void)state;
    // TERM, CLOSE of the leader, CLOSE of the worker, SYNC.
    for (size_t kept = 0; kept <= 4; kept++) {
        struct leader_world *world = malloc(sizeof *world);
        struct leader_world_joiner joiner;
        assert_non_null(world);
        leader_world_init(world, 5);
        leader_world_begin(world);
        leader_world_lead(world, 1);
        leader_world_joiner_init(world, &joiner);
        leader_world_join(world, &joiner, MEMBER_WORKER, &world->capsule);
        assert_true(joiner.is_granted);
        struct writer_id first = world->leader_id;

        leader_world_restart(world);
        world->store_room = kept;
        leader_world_lead(world, 2);
        assert_int_equal(leader_is_leading(world->leader), kept == 4);
        struct writer_id second = world->leader_id;

        leader_world_restart(world);
        world->store_room = SIZE_MAX;
        leader_world_lead(world, 3);
        assert_int_equal(world->status, STATUS_OK);
        assert_true(leader_is_leading(world->leader));
        // What was closed joins a SYNC, whoever closed it: the floor rests on that.
        assert_true(is_listed_closed(world, &first));
        assert_true(is_listed_closed(world, &joiner.id));
        // Before its first SYNC a leader has not come to lead: nobody need follow it.
        assert_int_equal(is_listed_closed(world, &second), kept == 4);
        leader_world_joiner_release(&joiner);
        leader_world_release(world);
        free(world);
    }
}

static void p8_a_rollback_is_told_though_records_are_missing_as_well(void **state)
{
    (void)state;
    struct leader_world *world = malloc(sizeof *world);
    struct leader_world_joiner joiner;
    assert_non_null(world);
    leader_world_init(world, 6);
    leader_world_begin(world);
    leader_world_lead(world, 1);
    leader_world_joiner_init(world, &joiner);
    leader_world_join(world, &joiner, MEMBER_WORKER, &world->capsule);
    assert_true(joiner.is_granted);

    // The store signs for a record that it does not give.
    size_t signed_count = 0;
    for (uint32_t i = 0; i < world->head_count; i++) {
        if (writer_id_equal(&world->heads[i].writer, &joiner.id)) {
            world->heads[i].head = (struct head){.sequence = 1, .hash = {{1}}};
            signed_count++;
        }
    }
    assert_int_equal(signed_count, 1);
    leader_world_restart(world);
    leader_world_lead(world, 2);
    assert_false(leader_is_leading(world->leader));
    assert_int_equal(world->answer, STATUS_GAP);

    // And it lacks a SYNC that the owner has seen: that weighs more.
    world->sync = (struct sync_pair){.epoch = 1000, .hash = {{2}}};
    leader_world_restart(world);
    leader_world_lead(world, 3);
    assert_false(leader_is_leading(world->leader));
    assert_int_equal(world->answer, STATUS_FORGED);
    leader_world_joiner_release(&joiner);
    leader_world_release(world);
    free(world);
}

static void p9_of_a_forked_branch_is_loaded_what_leads_to_its_cut(void **state)
{
    struct one_worker *f = *state;
    struct leader_world *world = &f->world;
    one_worker_write_eoe(f, 700);
    assert_int_equal(buffer_append(&world->forked, f->record.bytes, f->record.length), STATUS_OK);
    const struct head other = f->head;
    f->head = (struct head){.sequence = 0};
    for (uint64_t lamport = 800; lamport <= 801; lamport++) {
        one_worker_write_eoe(f, lamport);
        assert_int_equal(buffer_append(&world->stored, f->record.bytes, f->record.length),
                         STATUS_OK);
    }
    for (uint32_t i = 0; i < world->head_count; i++) {
        if (writer_id_equal(&world->heads[i].writer, &f->worker.id)) {
            world->heads[i].head = other;
        }
    }
    world->mirrors_lack = f->worker.id;
    world->mirror_heads[0] = world->mirror_heads[1] = f->head;
    leader_world_send(world, FRAME_GONE, 0, &f->worker.id, bytes_of(NULL, 0));
    leader_world_run(world, 5000000);
    assert_true(one_worker_member(f)->is_closed);
    assert_int_equal(one_worker_member(f)->cut.sequence, 2);

    // Of the two stores that are left one gives the other record, and as the first of them.
    world->silent_mirror_count = 1;
    leader_world_restart(world);
    leader_world_lead(world, 2);
    assert_true(leader_is_leading(world->leader));
    assert_memory_equal(one_worker_member(f)->head.hash.bytes, f->head.hash.bytes, HASH_BYTES);
}

enum { STORE = 1, MIRROR_0 = 2, MIRROR_1 = 4, ALL = 7 };

static void p4_other_stores_count_once_enough_of_those_before_have_answered(void **state)
{
    struct one_worker *f = *state;
    struct leader_world *world = &f->world;
    leader_world_name_stores(world, 1, STORE, ALL);
    world->silent_mirror_count = 2;
    leader_world_restart(world);
    size_t fetch_count = world->fetch_count;
    size_t record_count = world->record_counts[RECORD_TERM];
    leader_world_lead(world, 2);
    leader_world_run(world, 2000000);
    // The one that counts has answered: R of it alone, and one of the three of which two are R.
    assert_int_equal(world->status, STATUS_OK);
    assert_int_equal(world->fetch_count, fetch_count);
    assert_int_equal(world->record_counts[RECORD_TERM], record_count);

    world->silent_mirror_count = 1;
    leader_world_run(world, 2000000);
    assert_true(leader_is_leading(world->leader));
    assert_int_equal(world->answer, STATUS_OK);
}

/* The worker's branch ends in term 2; in term 3 others count, both of which a write needs. */
static void begin_where_one_lacks_what_ended(struct one_worker *f)
{
    struct leader_world *world = &f->world;
    one_worker_write_eoe(f, 700);
    one_worker_tell_store(f);
    leader_world_restart(world);
    leader_world_lead(world, 2);
    assert_true(leader_is_leading(world->leader));
    assert_true(is_listed_closed(world, &f->worker.id));

    leader_world_name_stores(world, 1, MIRROR_0 | MIRROR_1, ALL);
    world->mirrors_lack = f->worker.id;
    world->mirror_heads[0] = f->head;
    leader_world_restart(world);
    leader_world_lead(world, 3);
}

static void p4_no_leader_leads_before_w_of_those_that_count_hold_what_ended_long_ago(void **state)
{
    struct one_worker *f = *state;
    struct leader_world *world = &f->world;
    begin_where_one_lacks_what_ended(f);
    leader_world_run(world, 5000000);
    assert_int_equal(world->status, STATUS_OK);
    assert_false(leader_is_leading(world->leader));

    // It comes to have that, and says so when it is asked again.
    world->mirror_heads[1] = f->head;
    leader_world_run(world, 2000000);
    assert_true(leader_is_leading(world->leader));
    assert_int_equal(world->answer, STATUS_OK);
}

static void p9_a_leader_gives_up_where_w_of_those_that_count_lack_what_ended_long_ago(void **state)
{
    struct one_worker *f = *state;
    struct leader_world *world = &f->world;
    begin_where_one_lacks_what_ended(f);
    leader_world_run(world, 25000000);
    assert_int_equal(world->status, STATUS_CLOSED);
    assert_int_equal(world->answer, STATUS_TIMEOUT);

    // The owner takes it back.
    leader_world_name_stores(world, 2, ALL, MIRROR_0 | MIRROR_1);
    leader_world_restart(world);
    leader_world_lead(world, 4);
    assert_true(leader_is_leading(world->leader));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(p9_of_a_forked_branch_is_loaded_what_leads_to_its_cut,
                                        one_worker_setup_mirrored, one_worker_teardown),
        cmocka_unit_test_setup_teardown(
            p4_other_stores_count_once_enough_of_those_before_have_answered,
            one_worker_setup_mirrored, one_worker_teardown),
        cmocka_unit_test_setup_teardown(
            p4_no_leader_leads_before_w_of_those_that_count_hold_what_ended_long_ago,
            one_worker_setup_mirrored, one_worker_teardown),
        cmocka_unit_test_setup_teardown(
            p9_a_leader_gives_up_where_w_of_those_that_count_lack_what_ended_long_ago,
            one_worker_setup_mirrored, one_worker_teardown),
        cmocka_unit_test(p8_a_rollback_is_told_though_records_are_missing_as_well),
        cmocka_unit_test(p9_a_leader_may_die_at_any_record_of_its_takeover),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
