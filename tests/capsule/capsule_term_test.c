/* tests/capsule/capsule_term_test.c */

/*
 * Goal: only the owner makes a leader, only a leader admits, and a new leader's
 * records wait for its predecessor's end.
 * Method: true histories, and next to each step the same step wrong in one point.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/capsule_world.h"

static int setup(void **state)
{
    static struct capsule_world world;
    capsule_world_init(&world, 11, 3, 2, 0);
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    capsule_world_release(*state);
    return 0;
}

static void assert_reason(const struct capsule_world *world, const char *part)
{
    if (strstr(capsule_reason(world->capsule), part) == NULL) {
        fail_msg("the reason is '%s', not '%s'", capsule_reason(world->capsule), part);
    }
}

// ---- GENESIS and TERM ----

static struct term term_make(const struct capsule_world *world,
                             const struct capsule_world_writer *leader, uint64_t number)
{
    return (struct term){
        .capsule = world->name,
        .number = number,
        .leader = leader->public_key,
        .evidence = bytes_text("evidence"),
    };
}

static enum status try_term(struct capsule_world *world, struct capsule_world_writer *leader,
                            const struct term *term, const struct sign_key *owner)
{
    struct capsule_world_draft draft;
    capsule_world_draft(world, &draft, leader, RECORD_TERM);
    draft.fields.epoch = term->sync_epoch + 1;
    assert_int_equal(term_encode(&draft.body, term, owner), STATUS_OK);
    return capsule_world_try(world, &draft);
}

static enum status try_genesis(struct capsule_world *world, struct capsule_world_writer *leader,
                               struct bytes body)
{
    struct capsule_world_draft draft;
    capsule_world_draft(world, &draft, leader, RECORD_GENESIS);
    assert_int_equal(buffer_append(&draft.body, body.at, body.length), STATUS_OK);
    return capsule_world_try(world, &draft);
}

static void knows_nothing_but_the_owner_before_the_first_term(void **state)
{
    struct capsule_world *world = *state;
    assert_null(capsule_leader(world->capsule));
    assert_null(capsule_newest_sync(world->capsule));
    assert_null(capsule_joined_sync(world->capsule));
    assert_int_equal(capsule_term(world->capsule), 0);
    assert_int_equal(capsule_policy_version(world->capsule), 1);
    assert_true(bytes_equal(capsule_policy(world->capsule), bytes_text("{}")));
    assert_true(hash_equal(capsule_name(world->capsule), &world->name));
    struct capsule *none;
    assert_int_equal(capsule_new(&none, bytes_text("no genesis")), STATUS_MALFORMED);
    assert_null(none);
}

static void a_genesis_of_another_body_is_forged(void **state)
{
    struct capsule_world *world = *state;
    struct capsule_world_writer *leader = capsule_world_stranger(world, MEMBER_LEADER);
    assert_int_equal(try_genesis(world, leader, bytes_text("other")), STATUS_FORGED);
    assert_int_equal(try_genesis(world, leader, buffer_bytes(&world->genesis_body)), STATUS_OK);
    assert_int_equal(capsule_world_feed(world->capsule, buffer_bytes(&world->tried)), STATUS_STALE);
}

static void a_genesis_elsewhere_than_at_the_beginning_is_forged(void **state)
{
    struct capsule_world *world = *state;
    struct capsule_world_writer *leader = capsule_world_stranger(world, MEMBER_LEADER);
    for (int bend = 0; bend < 3; bend++) {
        struct capsule_world_draft draft;
        capsule_world_draft(world, &draft, leader, RECORD_GENESIS);
        draft.fields.sequence += bend == 0 ? 1 : 0;
        draft.fields.epoch += bend == 1 ? 1 : 0;
        draft.fields.parent_count = bend == 1 ? 0 : 1;
        assert_int_equal(
            buffer_append(&draft.body, world->genesis_body.bytes, world->genesis_body.length),
            STATUS_OK);
        assert_int_equal(capsule_world_try(world, &draft), STATUS_FORGED);
    }
}

static void the_first_term_is_the_second_record(void **state)
{
    struct capsule_world *world = *state;
    struct capsule_world_writer *leader = capsule_world_stranger(world, MEMBER_LEADER);
    assert_int_equal(try_genesis(world, leader, buffer_bytes(&world->genesis_body)), STATUS_OK);
    leader->head.sequence = 2;
    struct term term = term_make(world, leader, 1);
    assert_int_equal(try_term(world, leader, &term, world->owner), STATUS_FORGED);
    leader->head.sequence = 1;
    assert_int_equal(try_term(world, leader, &term, world->owner), STATUS_OK);
}

static void a_genesis_of_somebody_does_not_keep_the_leader_out(void **state)
{
    struct capsule_world *world = *state;
    struct capsule_world_writer *nobody = capsule_world_stranger(world, MEMBER_LEADER);
    assert_int_equal(try_genesis(world, nobody, buffer_bytes(&world->genesis_body)), STATUS_OK);
    capsule_world_start(world);
    assert_int_equal(capsule_term(world->capsule), 1);
    nobody->head = (struct head){.sequence = 0};
    assert_int_equal(try_genesis(world, nobody, buffer_bytes(&world->genesis_body)), STATUS_FORGED);
}

static void the_first_term_waits_for_its_genesis_and_vouches_for_it(void **state)
{
    struct capsule_world *world = *state;
    struct capsule_world_writer *leader = capsule_world_stranger(world, MEMBER_LEADER);
    struct term term = term_make(world, leader, 1);
    assert_int_equal(try_term(world, leader, &term, world->owner), STATUS_GAP);

    // A GENESIS that somebody else signed in the leader's name.
    struct sign_key *other = sign_key_new(&world->random);
    struct capsule_world_draft draft;
    capsule_world_draft(world, &draft, leader, RECORD_GENESIS);
    draft.key = other;
    assert_int_equal(
        buffer_append(&draft.body, world->genesis_body.bytes, world->genesis_body.length),
        STATUS_OK);
    assert_int_equal(capsule_world_try(world, &draft), STATUS_OK);
    assert_int_equal(try_term(world, leader, &term, world->owner), STATUS_FORGED);
    assert_null(capsule_leader(world->capsule));
    sign_key_free(other);

    // The same record with its true signature is another one, and takes its place.
    leader->head = (struct head){.sequence = 0};
    assert_int_equal(try_genesis(world, leader, buffer_bytes(&world->genesis_body)), STATUS_OK);
    assert_int_equal(try_term(world, leader, &term, world->owner), STATUS_OK);
}

static void p3_only_the_owner_makes_a_leader(void **state)
{
    struct capsule_world *world = *state;
    capsule_world_start(world);
    struct capsule_world_writer *leader = capsule_world_stranger(world, MEMBER_LEADER);
    struct capsule_world_writer *other = capsule_world_stranger(world, MEMBER_LEADER);

    struct term term = term_make(world, leader, 2);
    assert_int_equal(try_term(world, leader, &term, leader->key), STATUS_FORGED);
    term.capsule = hash_of("other", 5);
    assert_int_equal(try_term(world, leader, &term, world->owner), STATUS_FORGED);
    term = term_make(world, other, 2);
    assert_int_equal(try_term(world, leader, &term, world->owner), STATUS_FORGED);
    assert_reason(world, "another writer");
    term = term_make(world, leader, 1);
    assert_int_equal(try_term(world, leader, &term, world->owner), STATUS_CLOSED);
    term = term_make(world, leader, 2);
    struct capsule_world_draft draft;
    capsule_world_draft(world, &draft, leader, RECORD_TERM);
    draft.key = other->key;
    assert_int_equal(term_encode(&draft.body, &term, world->owner), STATUS_OK);
    assert_int_equal(capsule_world_try(world, &draft), STATUS_FORGED);
    assert_int_equal(capsule_term(world->capsule), 1);
    assert_int_equal(try_term(world, leader, &term, world->owner), STATUS_OK);
    assert_int_equal(capsule_term(world->capsule), 2);
    assert_true(writer_id_equal(&capsule_leader(world->capsule)->id, &leader->id));
    term = term_make(world, other, 2);
    assert_int_equal(try_term(world, other, &term, world->owner), STATUS_CLOSED);
}

static void a_later_leader_begins_with_its_term(void **state)
{
    struct capsule_world *world = *state;
    capsule_world_start(world);
    struct capsule_world_writer *leader = capsule_world_stranger(world, MEMBER_LEADER);
    struct term term = term_make(world, leader, 2);
    leader->head = (struct head){.sequence = 1, .hash = hash_of("x", 1)};
    assert_int_equal(try_term(world, leader, &term, world->owner), STATUS_FORGED);
}

// ---- one leader after the other ----

/* A replica that has accepted the first `count` records. */
static struct capsule *replica_of(const struct capsule_world *world, size_t count)
{
    struct capsule *replica;
    assert_int_equal(capsule_new(&replica, buffer_bytes(&world->genesis_body)), STATUS_OK);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(capsule_world_feed(replica, capsule_world_record(world, i)), STATUS_OK);
    }
    return replica;
}

static void p9_a_first_leader_of_whom_nobody_heard_is_learnt_of_late(void **state)
{
    struct capsule_world *world = *state;
    capsule_world_start(world);
    size_t first = world->record_count - 2;
    capsule_world_restart(world);
    size_t second = world->record_count - 1;
    struct capsule_world_writer *worker = capsule_world_admit(world, MEMBER_WORKER);
    struct capsule *replica = replica_of(world, 0);
    for (size_t i = second; i < world->record_count; i++) {
        assert_int_equal(capsule_world_feed(replica, capsule_world_record(world, i)), STATUS_OK);
    }
    for (size_t i = first; i < second; i++) {
        assert_int_equal(capsule_world_feed(replica, capsule_world_record(world, i)), STATUS_OK);
    }
    assert_int_equal(capsule_term(replica), 2);
    assert_true(writer_id_equal(&capsule_leader(replica)->id, &world->leader->id));
    assert_non_null(capsule_member_find(replica, &worker->id));
    assert_false(capsule_is_overrun(replica));
    capsule_free(replica);
}

static void an_old_leader_waits_for_its_cut_and_ends_there(void **state)
{
    struct capsule_world *world = *state;
    capsule_world_start(world);
    struct capsule_world_writer *old = world->leader;
    capsule_world_admit(world, MEMBER_WORKER);
    size_t behind = world->record_count;
    capsule_world_admit(world, MEMBER_WORKER);
    capsule_world_restart(world);
    size_t term_at = world->record_count - 1;
    capsule_world_close(world, old);
    struct capsule_world_writer *worker = capsule_world_admit(world, MEMBER_WORKER);

    struct capsule *replica = replica_of(world, behind);
    assert_int_equal(capsule_world_feed(replica, capsule_world_record(world, term_at)), STATUS_OK);
    struct bytes late = capsule_world_record(world, behind);
    assert_int_equal(capsule_world_feed(replica, late), STATUS_GAP);
    assert_int_equal(capsule_world_feed(replica, capsule_world_record(world, term_at + 1)),
                     STATUS_OK);
    struct bytes member = capsule_world_record(world, term_at + 2);
    assert_int_equal(capsule_world_feed(replica, member), STATUS_GAP);

    size_t index = 0;
    struct branch_head wanted;
    uint64_t from;
    assert_int_equal(capsule_missing(replica, &index, &wanted, &from), STATUS_OK);
    assert_true(writer_id_equal(&wanted.writer, &old->id));
    assert_int_equal(from, old->head.sequence);
    assert_int_equal(capsule_missing(replica, &index, &wanted, &from), STATUS_EMPTY);

    assert_int_equal(capsule_world_feed(replica, late), STATUS_OK);
    assert_int_equal(capsule_world_feed(replica, member), STATUS_OK);
    assert_non_null(capsule_member_find(replica, &worker->id));
    assert_false(capsule_is_overrun(replica));
    capsule_free(replica);

    struct capsule_world_draft draft;
    capsule_world_draft(world, &draft, old, RECORD_FUNCTION);
    assert_int_equal(capsule_world_try(world, &draft), STATUS_CLOSED);
}

static void p9_what_a_leader_does_not_close_it_did_not_know_and_that_is_void(void **state)
{
    struct capsule_world *world = *state;
    capsule_world_start(world);
    capsule_world_admit(world, MEMBER_WORKER);
    capsule_world_restart(world);
    struct capsule_world_draft draft;
    capsule_world_draft(world, &draft, world->leader, RECORD_FUNCTION);
    struct writer_id old = capsule_member_at(world->capsule, 0)->id;
    assert_false(capsule_is_overrun(world->capsule));
    assert_int_equal(capsule_world_try(world, &draft), STATUS_GAP);
    assert_reason(world, "has not been closed");
    assert_true(capsule_is_overrun(world->capsule));
    assert_true(capsule_member_find(world->capsule, &old)->is_void);
}

static void p9_what_a_successor_closes_again_was_closed_without_effect(void **state)
{
    struct capsule_world *world = *state;
    struct capsule *replica = NULL;
    capsule_world_start(world);
    struct capsule_world_writer *first = world->leader;
    size_t begun = world->record_count;
    // The second leader's CLOSE reaches this replica alone; the third does not know of it.
    capsule_world_restart(world);
    struct writer_id second = world->leader->id;
    capsule_world_close(world, first);
    assert_int_equal(capsule_new(&replica, buffer_bytes(&world->genesis_body)), STATUS_OK);
    for (size_t i = 0; i < world->record_count; i++) {
        assert_int_equal(capsule_world_feed(replica, capsule_world_record(world, i)), STATUS_OK);
    }
    capsule_free(world->capsule);
    assert_int_equal(capsule_new(&world->capsule, buffer_bytes(&world->genesis_body)), STATUS_OK);
    for (size_t i = 0; i < begun; i++) {
        assert_int_equal(capsule_world_feed(world->capsule, capsule_world_record(world, i)),
                         STATUS_OK);
    }
    first->is_closed = false;
    size_t third = world->record_count;
    capsule_world_restart(world);
    capsule_world_close(world, first);
    assert_int_equal(capsule_world_feed(replica, capsule_world_record(world, third)), STATUS_OK);
    assert_false(capsule_is_overrun(replica));
    assert_int_equal(capsule_world_feed(replica, capsule_world_record(world, third + 1)),
                     STATUS_GAP);
    assert_true(capsule_is_overrun(replica));
    assert_true(capsule_member_find(replica, &second)->is_void);
    capsule_free(replica);
}

/* A world that has come to a first leader's SYNC, and from there on to nothing else. */
static void begin_again(struct capsule_world *world, size_t count)
{
    capsule_free(world->capsule);
    world->capsule = replica_of(world, count);
}

/*
 * The first leader is followed by two, of whom each heard nothing of the other, and each of those
 * by one more: 1 ← 3 ← 4 and 1 ← 2 ← 5. The fifth counts, so the second does, and the third and
 * the fourth, whose terms are higher, do not.
 */
static void p9_of_two_chains_the_one_that_ends_higher_counts(void **state)
{
    struct capsule_world *world = *state;
    capsule_world_start(world);
    struct capsule_world_writer *first = world->leader, at_fork;
    capsule_world_sync(world);
    size_t fork = world->record_count;
    at_fork = *first;
    uint64_t epoch = world->sync_epoch;
    struct hash sync = world->sync;

    capsule_world_restart(world);
    struct capsule_world_writer *second = world->leader;
    capsule_world_close(world, first);
    capsule_world_sync(world);
    struct capsule_world_writer second_end = *second;
    size_t second_count = world->record_count - fork;

    begin_again(world, fork);
    *first = at_fork;
    world->sync_epoch = epoch;
    world->sync = sync;
    size_t other = world->record_count;
    capsule_world_restart(world);
    struct capsule_world_writer *third = world->leader;
    capsule_world_close(world, first);
    capsule_world_sync(world);
    capsule_world_restart(world);
    struct capsule_world_writer *fourth = world->leader;
    capsule_world_close(world, third);
    size_t other_end = world->record_count;

    // What becomes of a replica that followed the fourth.
    struct capsule *replica = replica_of(world, fork);
    for (size_t i = other; i < other_end; i++) {
        assert_int_equal(capsule_world_feed(replica, capsule_world_record(world, i)), STATUS_OK);
    }
    begin_again(world, fork + second_count);
    *second = second_end;
    *first = at_fork;
    first->is_closed = true;
    capsule_world_restart(world);
    capsule_world_close(world, second);
    struct bytes term = capsule_world_record(world, other_end);
    struct bytes close = capsule_world_record(world, other_end + 1);
    assert_int_equal(capsule_world_feed(replica, term), STATUS_OK);
    assert_int_equal(capsule_world_feed(replica, close), STATUS_GAP);
    assert_int_equal(capsule_world_feed(replica, capsule_world_record(world, fork)), STATUS_OK);
    assert_int_equal(capsule_world_feed(replica, close), STATUS_OK);
    assert_false(capsule_is_overrun(replica));
    const struct capsule_member *ended = capsule_member_find(replica, &first->id);
    assert_int_equal(capsule_close_term(replica, ended), fourth->term);

    assert_int_equal(capsule_world_feed(replica, capsule_world_record(world, fork + 1)),
                     STATUS_GAP);
    assert_true(capsule_is_overrun(replica));
    assert_true(capsule_member_find(replica, &third->id)->is_void);
    assert_true(capsule_member_find(replica, &fourth->id)->is_void);
    assert_false(capsule_member_find(replica, &first->id)->is_void);
    assert_false(capsule_member_find(replica, &second->id)->is_void);
    capsule_free(replica);
}

static void a_close_is_settled_by_the_second_sync_after_it(void **state)
{
    struct capsule_world *world = *state;
    capsule_world_start(world);
    struct capsule_world_writer *worker = capsule_world_admit(world, MEMBER_WORKER);
    capsule_world_sync(world);
    capsule_world_sync(world);
    capsule_world_close(world, worker);
    const struct capsule_member *closed = capsule_member_find(world->capsule, &worker->id);
    assert_int_equal(capsule_close_term(world->capsule, closed), 1);
    assert_false(capsule_is_close_settled(world->capsule, closed));
    capsule_world_sync(world);
    assert_false(capsule_is_close_settled(world->capsule, closed));
    capsule_world_sync(world);
    assert_true(capsule_is_close_settled(world->capsule, closed));
}

static void a_leader_has_synced_once_a_sync_of_its_own_is_here(void **state)
{
    struct capsule_world *world = *state;
    capsule_world_start(world);
    struct capsule_world_writer *first = world->leader;
    assert_false(capsule_has_synced(world->capsule, capsule_leader(world->capsule)));
    capsule_world_sync(world);
    assert_true(capsule_has_synced(world->capsule, capsule_leader(world->capsule)));
    capsule_world_restart(world);
    capsule_world_close(world, first);
    assert_false(capsule_has_synced(world->capsule, capsule_leader(world->capsule)));
}

static void a_predecessor_that_only_came_needs_no_close(void **state)
{
    struct capsule_world *world = *state;
    capsule_world_start(world);
    capsule_world_restart(world);
    capsule_world_admit(world, MEMBER_WORKER);
    assert_int_equal(capsule_term(world->capsule), 2);
}

static void a_leader_closes_one_predecessor_by_its_second_record(void **state)
{
    struct capsule_world *world = *state;
    capsule_world_start(world);
    struct capsule_world_writer *first = world->leader;
    capsule_world_admit(world, MEMBER_WORKER);
    capsule_world_restart(world);
    struct capsule_world_writer *second = world->leader;
    capsule_world_restart(world);
    capsule_world_close(world, first);
    struct capsule_world_close_plan plan;
    capsule_world_plan_close(world, &plan, second);
    assert_int_equal(capsule_world_try_close(world, &plan), STATUS_DENIED);
    assert_reason(world, "one predecessor");
}

static void a_term_may_be_learnt_of_late_and_says_nothing_then(void **state)
{
    struct capsule_world *world = *state;
    capsule_world_start(world);
    struct capsule_world_writer *third = capsule_world_stranger(world, MEMBER_LEADER);
    struct capsule_world_writer *second = capsule_world_stranger(world, MEMBER_LEADER);
    struct term term = term_make(world, third, 3);
    assert_int_equal(try_term(world, third, &term, world->owner), STATUS_OK);
    third->term = 3;
    world->leader = third;
    capsule_world_admit(world, MEMBER_WORKER);
    term = term_make(world, second, 2);
    assert_int_equal(try_term(world, second, &term, world->owner), STATUS_OK);
    assert_int_equal(capsule_term(world->capsule), 3);
    struct capsule_world_draft draft;
    capsule_world_draft(world, &draft, second, RECORD_FUNCTION);
    assert_int_equal(capsule_world_try(world, &draft), STATUS_GAP);
    capsule_world_admit(world, MEMBER_WORKER);
}

static void p3_a_term_has_one_leader(void **state)
{
    struct capsule_world *world = *state;
    capsule_world_start(world);
    capsule_world_restart(world);
    struct capsule_world_writer *other = capsule_world_stranger(world, MEMBER_LEADER);
    struct term term = term_make(world, other, 2);
    assert_int_equal(try_term(world, other, &term, world->owner), STATUS_CLOSED);
}

static void a_predecessor_closed_by_one_that_is_not_whole_here_is_waited_for(void **state)
{
    struct capsule_world *world = *state;
    capsule_world_start(world);
    struct capsule_world_writer *first = world->leader;
    capsule_world_admit(world, MEMBER_WORKER);
    size_t second_at = world->record_count;
    capsule_world_restart(world);
    struct capsule_world_writer *second = world->leader;
    capsule_world_close(world, first);
    capsule_world_sync(world);
    size_t third_at = world->record_count;
    capsule_world_restart(world);
    capsule_world_close(world, second);
    capsule_world_sync(world);

    struct capsule *replica = replica_of(world, second_at + 1);
    for (size_t i = third_at; i < third_at + 2; i++) {
        assert_int_equal(capsule_world_feed(replica, capsule_world_record(world, i)), STATUS_OK);
    }
    assert_int_equal(capsule_world_feed(replica, capsule_world_record(world, third_at + 2)),
                     STATUS_GAP);
    for (size_t i = second_at + 1; i < third_at; i++) {
        assert_int_equal(capsule_world_feed(replica, capsule_world_record(world, i)), STATUS_OK);
    }
    assert_int_equal(capsule_world_feed(replica, capsule_world_record(world, third_at + 2)),
                     STATUS_OK);
    capsule_free(replica);
}

static void a_leader_starts_above_the_epoch_that_its_term_names(void **state)
{
    struct capsule_world *world = *state;
    capsule_world_start(world);
    struct capsule_world_writer *old = world->leader;
    capsule_world_sync(world);
    struct capsule_world_writer *leader = capsule_world_stranger(world, MEMBER_LEADER);
    struct term term = term_make(world, leader, 2);
    term.sync = world->sync;
    term.sync_epoch = 1;
    struct capsule_world_draft draft;
    capsule_world_draft(world, &draft, leader, RECORD_TERM);
    draft.fields.epoch = 1;
    assert_int_equal(term_encode(&draft.body, &term, world->owner), STATUS_OK);
    assert_int_equal(capsule_world_try(world, &draft), STATUS_FORGED);
    assert_int_equal(try_term(world, leader, &term, world->owner), STATUS_OK);
    world->leader = leader;
    leader->term = 2;

    struct capsule_world_close_plan plan;
    capsule_world_plan_close(world, &plan, old);
    world->sync_epoch = 0;
    assert_int_equal(capsule_world_try_close(world, &plan), STATUS_FORGED);
    assert_reason(world, "is not above");
    world->sync_epoch = 1;
    capsule_world_close(world, old);
}

static void p8_a_leader_without_the_sync_that_the_owner_knew_may_not_begin(void **state)
{
    struct capsule_world *world = *state;
    capsule_world_start(world);
    struct capsule_world_writer *old = world->leader;
    capsule_world_sync(world);
    struct capsule_world_writer *leader = capsule_world_stranger(world, MEMBER_LEADER);
    struct term term = term_make(world, leader, 2);
    term.sync = hash_of("a SYNC that was rolled back", 27);
    term.sync_epoch = 1;
    assert_int_equal(try_term(world, leader, &term, world->owner), STATUS_OK);
    world->leader = leader;
    leader->term = 2;
    capsule_world_close(world, old);
    struct capsule_world_draft draft;
    capsule_world_draft(world, &draft, leader, RECORD_FUNCTION);
    assert_int_equal(capsule_world_try(world, &draft), STATUS_FORGED);
    assert_reason(world, "its predecessors did not write");
}

// ---- MEMBER and POLICY ----

static enum status try_member(struct capsule_world *world, const struct member_body *member,
                              uint64_t epoch)
{
    struct capsule_world_draft draft;
    capsule_world_draft(world, &draft, world->leader, RECORD_MEMBER);
    draft.fields.epoch = epoch;
    assert_int_equal(member_encode(&draft.body, member), STATUS_OK);
    return capsule_world_try(world, &draft);
}

static void a_member_is_admitted_once_by_the_policy_in_force(void **state)
{
    struct capsule_world *world = *state;
    capsule_world_start(world);
    capsule_world_sync(world);
    struct capsule_world_writer *writer = capsule_world_stranger(world, MEMBER_WORKER);
    const struct member_body right = {
        .key = writer->public_key,
        .role = MEMBER_WORKER,
        .policy_version = 1,
        .sync = world->sync,
        .evidence = bytes_text("evidence"),
    };
    struct member_body member = right;
    member.policy_version = 2;
    assert_int_equal(try_member(world, &member, 2), STATUS_FORGED);
    member = right;
    member.sync.bytes[0] ^= 1;
    assert_int_equal(try_member(world, &member, 2), STATUS_FORGED);
    assert_int_equal(try_member(world, &right, 1), STATUS_FORGED);
    assert_reason(world, "its epoch is 1, expected 2");
    assert_int_equal(capsule_member_count(world->capsule), 1);
    assert_int_equal(try_member(world, &right, 2), STATUS_OK);
    assert_int_equal(try_member(world, &right, 2), STATUS_FORGED);

    const struct capsule_member *found = capsule_member_find(world->capsule, &writer->id);
    struct hash evidence = hash_of("evidence", 8);
    assert_int_equal(found->role, MEMBER_WORKER);
    assert_int_equal(found->term, 1);
    assert_true(hash_equal(&found->evidence_hash, &evidence));
    assert_true(hash_equal(&found->admitted_by, &world->leader->head.hash));
    assert_true(hash_equal(&found->joined, &world->sync));
    assert_int_equal(found->joined_epoch, 1);
    assert_int_equal(found->head.sequence, 0);
}

static enum status try_policy(struct capsule_world *world, uint64_t version, const char *policy,
                              const struct sign_key *owner)
{
    struct capsule_world_draft draft;
    capsule_world_draft(world, &draft, world->leader, RECORD_POLICY);
    assert_int_equal(
        term_policy_encode(&draft.body, &world->name, version, bytes_text(policy), owner),
        STATUS_OK);
    return capsule_world_try(world, &draft);
}

static void only_a_newer_policy_of_the_owner_counts(void **state)
{
    struct capsule_world *world = *state;
    capsule_world_start(world);
    assert_int_equal(try_policy(world, 2, "p2", world->leader->key), STATUS_FORGED);
    assert_int_equal(try_policy(world, 1, "p1", world->owner), STATUS_FORGED);
    assert_true(bytes_equal(capsule_policy(world->capsule), bytes_text("{}")));
    assert_int_equal(try_policy(world, 4, "p4", world->owner), STATUS_OK);
    assert_int_equal(capsule_policy_version(world->capsule), 4);
    assert_true(bytes_equal(capsule_policy(world->capsule), bytes_text("p4")));
    assert_int_equal(try_policy(world, 4, "again", world->owner), STATUS_FORGED);
    assert_int_equal(try_policy(world, 3, "p3", world->owner), STATUS_FORGED);
    assert_int_equal(try_policy(world, 5, "", world->owner), STATUS_OK);
    assert_int_equal(capsule_policy(world->capsule).length, 0);
}

static void a_leader_has_one_term_and_no_other_parents(void **state)
{
    struct capsule_world *world = *state;
    capsule_world_start(world);
    struct term term = term_make(world, world->leader, 2);
    assert_int_equal(try_term(world, world->leader, &term, world->owner), STATUS_DENIED);
    assert_int_equal(try_genesis(world, world->leader, buffer_bytes(&world->genesis_body)),
                     STATUS_DENIED);
    capsule_world_sync(world);
    struct capsule_world_draft draft;
    capsule_world_draft(world, &draft, world->leader, RECORD_FUNCTION);
    draft.parents[draft.fields.parent_count++] = world->sync;
    assert_int_equal(capsule_world_try(world, &draft), STATUS_FORGED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(knows_nothing_but_the_owner_before_the_first_term),
        TEST(a_genesis_of_another_body_is_forged),
        TEST(a_genesis_elsewhere_than_at_the_beginning_is_forged),
        TEST(the_first_term_is_the_second_record),
        TEST(a_genesis_of_somebody_does_not_keep_the_leader_out),
        TEST(the_first_term_waits_for_its_genesis_and_vouches_for_it),
        TEST(p3_only_the_owner_makes_a_leader),
        TEST(a_later_leader_begins_with_its_term),
        TEST(p9_a_first_leader_of_whom_nobody_heard_is_learnt_of_late),
        TEST(an_old_leader_waits_for_its_cut_and_ends_there),
        TEST(p9_what_a_leader_does_not_close_it_did_not_know_and_that_is_void),
        TEST(p9_what_a_successor_closes_again_was_closed_without_effect),
        TEST(p9_of_two_chains_the_one_that_ends_higher_counts),
        TEST(a_close_is_settled_by_the_second_sync_after_it),
        TEST(a_leader_has_synced_once_a_sync_of_its_own_is_here),
        TEST(a_predecessor_that_only_came_needs_no_close),
        TEST(a_leader_closes_one_predecessor_by_its_second_record),
        TEST(a_term_may_be_learnt_of_late_and_says_nothing_then),
        TEST(p3_a_term_has_one_leader),
        TEST(a_predecessor_closed_by_one_that_is_not_whole_here_is_waited_for),
        TEST(a_leader_starts_above_the_epoch_that_its_term_names),
        TEST(p8_a_leader_without_the_sync_that_the_owner_knew_may_not_begin),
        TEST(a_member_is_admitted_once_by_the_policy_in_force),
        TEST(only_a_newer_policy_of_the_owner_counts),
        TEST(a_leader_has_one_term_and_no_other_parents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
