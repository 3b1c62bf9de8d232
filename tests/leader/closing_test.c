/* tests/leader/closing_test.c */

/*
 * Goal: a CLOSE names what W stores hold; what one of them alone had is not lost with it.
 * Method: one worker's branch, written by hand; three stores of which the test says what they
 * hold of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "capsule/receipt.h"
#include "tests/leader/one_worker.h"

static const struct writer_id everyone;

static bool is_closed(const struct one_worker *f)
{
    return one_worker_member(f)->is_closed;
}

/* The worker's branch in the first store. */
static struct head *held(struct one_worker *f)
{
    uint32_t i = 0;
    while (!writer_id_equal(&f->world.heads[i].writer, &f->worker.id)) {
        i++;
        assert_true(i < f->world.head_count);
    }
    return &f->world.heads[i].head;
}

/* The worker ends, and what it wrote last one store alone holds: no receipt of it has come. */
static void end_with_a_tail(struct one_worker *f)
{
    f->world.mirrors_lack = f->worker.id;
    for (uint64_t lamport = 4999; lamport <= 5000; lamport++) {
        one_worker_write_eoe(f, lamport);
        assert_int_equal(buffer_append(&f->world.stored, f->record.bytes, f->record.length),
                         STATUS_OK);
    }
    *held(f) = f->head;
    f->world.is_store_deaf_to_leader = true;
    leader_world_send(&f->world, FRAME_GONE, 0, &f->worker.id, bytes_of(NULL, 0));
}

static void p9_a_cut_is_written_when_w_stores_hold_it(void **state)
{
    struct one_worker *f = *state;
    end_with_a_tail(f);
    assert_false(is_closed(f));
    assert_int_equal(f->world.proposed.sequence, 2);
    assert_memory_equal(f->world.proposed.hash.bytes, f->head.hash.bytes, HASH_BYTES);
    assert_int_equal(f->world.others_record_count, 2);

    // The store that alone had it may lose its disk: the leader has it, too.
    f->world.stored.length = 0;
    *held(f) = (struct head){.sequence = 0};
    leader_world_run(&f->world, 1500000);
    assert_int_equal(f->world.others_record_count, 4);
    f->world.mirror_heads[0] = f->head;
    leader_world_run(&f->world, 3000000);
    assert_false(is_closed(f));  // what it said before, it may no longer hold
    f->world.is_store_deaf_to_leader = false;
    leader_world_run(&f->world, 3000000);
    assert_true(is_closed(f));
    assert_int_equal(held(f)->sequence, 2);
    assert_int_equal(one_worker_newest(f)->floor, 5000);  // a SYNC lists it
}

static void p9_another_record_at_a_cut_is_not_the_cut(void **state)
{
    struct one_worker *f = *state;
    end_with_a_tail(f);
    f->world.mirror_heads[0] = (struct head){.sequence = 2, .hash = hash_of("another", 7)};
    leader_world_run(&f->world, 3000000);
    assert_false(is_closed(f));
    f->world.mirror_heads[0] = f->head;
    leader_world_run(&f->world, 1500000);
    assert_true(is_closed(f));
}

static void p9_a_branch_that_was_forked_is_cut_without_the_store_that_has_the_fork(void **state)
{
    struct one_worker *f = *state;
    struct buffer one = BUFFER_EMPTY, proof = BUFFER_EMPTY, body = BUFFER_EMPTY;
    one_worker_write_eoe(f, 700);
    assert_int_equal(buffer_append(&one, f->record.bytes, f->record.length), STATUS_OK);
    f->head = (struct head){.sequence = 0};
    one_worker_write_eoe(f, 800);
    assert_int_equal(receipt_fork_encode(&proof, buffer_bytes(&one), buffer_bytes(&f->record)),
                     STATUS_OK);
    f->head = (struct head){.sequence = 0};
    const struct frame_refused refused = {
        .status = STATUS_FORKED, .sequence = 1, .text = buffer_bytes(&proof)};
    assert_int_equal(frame_refused_encode(&body, &refused), STATUS_OK);
    end_with_a_tail(f);
    assert_false(is_closed(f));
    leader_world_send(&f->world, FRAME_REFUSED, 0, &everyone, buffer_bytes(&body));
    assert_true(is_closed(f));
    buffer_release(&one);
    buffer_release(&proof);
    buffer_release(&body);
}

static enum status refuse(struct one_worker *f, const struct writer_id *writer)
{
    struct buffer body = BUFFER_EMPTY;
    const struct frame_refused refused = {
        .status = STATUS_CLOSED, .sequence = 21, .writer = *writer};
    assert_int_equal(frame_refused_encode(&body, &refused), STATUS_OK);
    leader_world_send(&f->world, FRAME_REFUSED, 0, &everyone, buffer_bytes(&body));
    buffer_release(&body);
    return f->world.status;
}

static void p9_a_leader_ends_with_its_own_branch_and_not_with_another(void **state)
{
    struct one_worker *f = *state;
    assert_int_equal(refuse(f, &f->worker.id), STATUS_OK);
    assert_int_equal(refuse(f, &f->world.leader_id), STATUS_CLOSED);
}

static void p9_stores_that_do_not_come_to_a_cut_are_not_waited_for(void **state)
{
    struct one_worker *f = *state;
    end_with_a_tail(f);
    f->world.is_store_silent = true;
    leader_world_run(&f->world, 60000000);
    assert_false(is_closed(f));  // those that do not answer are
    f->world.is_store_silent = false;
    leader_world_run(&f->world, 15000000);
    assert_false(is_closed(f));
    leader_world_run(&f->world, 15000000);
    assert_true(is_closed(f));
}

static void p9_a_store_that_does_not_give_what_it_named_is_asked_what_it_holds(void **state)
{
    struct one_worker *f = *state;
    one_worker_write_eoe(f, 700);
    *held(f) = f->head;
    leader_world_send(&f->world, FRAME_GONE, 0, &f->worker.id, bytes_of(NULL, 0));
    leader_world_run(&f->world, 500000);
    *held(f) = (struct head){.sequence = 0};  // it has been rolled back since
    leader_world_run(&f->world, 3000000);
    assert_true(is_closed(f));
    assert_int_equal(one_worker_member(f)->cut.sequence, 0);
}

static void p4_a_cut_rests_on_no_store_that_holds_another_record_below_it(void **state)
{
    struct one_worker *f = *state;
    const struct head other = {.sequence = 1, .hash = hash_of("another record", 14)};
    f->world.mirror_heads[0] = f->world.mirror_heads[1] = other;
    end_with_a_tail(f);
    // Both may have acknowledged that.
    leader_world_run(&f->world, 30000000);
    assert_false(is_closed(f));
    f->world.mirror_heads[1] = f->head;
    leader_world_run(&f->world, 5000000);
    assert_true(is_closed(f));
    assert_int_equal(one_worker_member(f)->cut.sequence, f->head.sequence);
}

/* What the store with this key promises of the worker's branch. */
static void promise(struct one_worker *f, const struct sign_key *store, uint64_t sequence)
{
    struct buffer said = BUFFER_EMPTY;
    const struct branch_head head = {
        .writer = f->worker.id,
        .head = {.sequence = sequence,
                 .hash = sequence == 0 ? (struct hash){{0}} : hash_of("some record", 11)}};
    assert_int_equal(receipt_encode(&said, RECEIPT_FENCE, &f->world.capsule, 1, &head, 1, store),
                     STATUS_OK);
    leader_world_send(&f->world, FRAME_FENCED, 0, &everyone, buffer_bytes(&said));
    buffer_release(&said);
}

static void p4_a_promise_from_before_a_fence_was_repeated_does_not_count(void **state)
{
    struct one_worker *f = *state;
    f->world.is_store_silent = true;
    leader_world_send(&f->world, FRAME_GONE, 0, &f->worker.id, bytes_of(NULL, 0));
    promise(f, f->world.store_key, 5);
    leader_world_run(&f->world, 1500000);  // it is asked again, and may have lost its disk
    promise(f, f->world.mirror_keys[0], 0);
    assert_false(is_closed(f));
    promise(f, f->world.mirror_keys[1], 0);
    assert_true(is_closed(f));
    assert_int_equal(one_worker_member(f)->cut.sequence, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, one_worker_setup_mirrored, one_worker_teardown)
        TEST(p9_a_cut_is_written_when_w_stores_hold_it),
        TEST(p9_another_record_at_a_cut_is_not_the_cut),
        TEST(p9_a_leader_ends_with_its_own_branch_and_not_with_another),
        TEST(p9_stores_that_do_not_come_to_a_cut_are_not_waited_for),
        TEST(p9_a_branch_that_was_forked_is_cut_without_the_store_that_has_the_fork),
        TEST(p9_a_store_that_does_not_give_what_it_named_is_asked_what_it_holds),
        TEST(p4_a_cut_rests_on_no_store_that_holds_another_record_below_it),
        TEST(p4_a_promise_from_before_a_fence_was_repeated_does_not_count),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
