/* tests/leader/epoch_test.c */

/*
 * Goal: an epoch begins for what stores hold, lists only that, waits for those who live, and
 * raises clock and floor no further than the listed heads allow.
 * Method: one leader and one worker's branch, written by hand (leader_world); the test decides
 * what reaches the store and what the leader.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"
#include "capsule/receipt.h"
#include "capsule/seal.h"
#include "tests/leader/one_worker.h"

static const struct writer_id everyone;

/* The store's receipt makes the leader ask for the epoch's end. */
static void tell_store_and_await_rts(struct one_worker *f)
{
    size_t rts_count = f->world.rts_count;
    one_worker_tell_store(f);
    for (int i = 0; i < 100 && f->world.rts_count == rts_count; i++) {
        leader_world_run(&f->world, 10000);
    }
    assert_int_equal(f->world.rts_count, rts_count + 1);
}

static void an_epoch_joins_what_the_store_holds(void **state)
{
    struct one_worker *f = *state;
    uint64_t epoch = one_worker_newest(f)->epoch;
    leader_world_run(&f->world, 2000000);
    assert_int_equal(one_worker_newest(f)->epoch, epoch);
    assert_int_equal(f->world.rts_count, 0);

    one_worker_write_eoe(f, 700);
    tell_store_and_await_rts(f);
    assert_int_equal(f->world.rts_count, 1);
    one_worker_tell_leader(f);
    leader_world_run(&f->world, 10000);
    assert_int_equal(one_worker_newest(f)->epoch, epoch + 1);
    assert_int_equal(one_worker_newest(f)->lamport, 700);
}

static void an_eoe_that_no_store_holds_is_not_listed(void **state)
{
    struct one_worker *f = *state;
    one_worker_write_eoe(f, 700);
    tell_store_and_await_rts(f);
    uint64_t epoch = one_worker_newest(f)->epoch;
    one_worker_write_eoe(f, 900);
    one_worker_tell_leader(f);
    leader_world_run(&f->world, 240000);
    assert_int_equal(one_worker_newest(f)->epoch, epoch);  // it waits
    leader_world_run(&f->world, 10000);                    // and goes on without
    assert_int_equal(one_worker_newest(f)->epoch, epoch + 1);
    assert_int_equal(f->world.status, STATUS_OK);
}

static void a_forged_receipt_begins_no_epoch(void **state)
{
    struct one_worker *f = *state;
    struct buffer bytes = BUFFER_EMPTY;
    const struct branch_head head = {.writer = f->worker.id,
                                     .head = {.sequence = 1000, .hash = hash_of("no record", 9)}};
    CHECK(receipt_encode(&bytes, RECEIPT_DURABLE, &f->world.capsule, 1, &head, 1,
                         f->world.store_key) == STATUS_OK);
    bytes.bytes[bytes.length - 1] ^= 1;
    leader_world_send(&f->world, FRAME_RECEIPT, 0, &everyone, buffer_bytes(&bytes));
    leader_world_run(&f->world, 3000000);
    assert_int_equal(f->world.rts_count, 0);
    buffer_release(&bytes);
}

/* A store's word that it is being refilled, or is not; bent where `is_bent`. */
static void tell_recalled(struct one_worker *f, uint8_t is_refilling, bool is_bent)
{
    const struct frame_recalled recalled = {.is_refilling = is_refilling};
    const struct verify_key key = sign_key_public(f->world.store_key);
    const struct writer_id store = writer_store_id_of(&key);
    struct buffer body = BUFFER_EMPTY;
    CHECK(frame_recalled_encode(&body, &f->world.capsule, &recalled, f->world.store_key) ==
          STATUS_OK);
    body.bytes[body.length - 1] ^= is_bent;
    leader_world_send(&f->world, FRAME_RECALLED, 0, &store, buffer_bytes(&body));
    buffer_release(&body);
}

static void p9_a_store_that_is_refilled_is_given_an_epoch_where_nobody_writes(void **state)
{
    struct one_worker *f = *state;
    uint64_t epoch = one_worker_newest(f)->epoch;
    tell_recalled(f, 0, false);
    tell_recalled(f, 1, true);
    leader_world_run(&f->world, 3000000);
    assert_int_equal(f->world.rts_count, 0);
    // One for each time that it says so.
    tell_recalled(f, 1, false);
    leader_world_run(&f->world, 3000000);
    assert_int_equal(f->world.rts_count, 1);
    assert_int_equal(one_worker_newest(f)->epoch, epoch + 1);
}

static void the_next_epoch_waits_until_the_last_sync_is_held(void **state)
{
    struct one_worker *f = *state;
    one_worker_write_eoe(f, 700);
    tell_store_and_await_rts(f);
    f->world.is_store_silent = true;
    one_worker_tell_leader(f);
    leader_world_run(&f->world, 10000);
    uint64_t epoch = one_worker_newest(f)->epoch;
    size_t rts_count = f->world.rts_count;
    f->world.is_store_silent = false;
    f->world.is_store_deaf_to_leader = true;
    one_worker_write_eoe(f, 800);
    one_worker_tell_store(f);
    leader_world_run(&f->world, 3000000);
    assert_int_equal(f->world.rts_count, rts_count);
    f->world.is_store_deaf_to_leader = false;
    leader_world_run(&f->world, 1000000);
    assert_true(f->world.rts_count > rts_count);
    assert_true(one_worker_newest(f)->epoch > epoch);
}

static void epochs_go_on_until_all_that_is_listed_is_decided(void **state)
{
    struct one_worker *f = *state;
    one_worker_write_eoe(f, 700);
    tell_store_and_await_rts(f);
    one_worker_tell_leader(f);
    leader_world_run(&f->world, 10000);
    assert_int_equal(one_worker_newest(f)->lamport, 700);
    assert_true(one_worker_newest(f)->floor < 700);

    // Nobody writes any more, but what was written is not decided yet.
    size_t rts_count = f->world.rts_count;
    leader_world_run(&f->world, 600000);
    assert_int_equal(f->world.rts_count, rts_count + 1);
    one_worker_write_eoe(f, 700);
    one_worker_tell_store(f);
    one_worker_tell_leader(f);
    leader_world_run(&f->world, 10000);
    assert_int_equal(one_worker_newest(f)->floor, 700);

    // And then an idle app is silent.
    rts_count = f->world.rts_count;
    leader_world_run(&f->world, 3000000);
    assert_int_equal(f->world.rts_count, rts_count);
}

/* For more than 40 s, every answer comes so long after it was asked for. */
static void answer_late(struct one_worker *f, uint64_t late_us, uint64_t count)
{
    one_worker_write_eoe(f, 700);
    tell_store_and_await_rts(f);
    for (uint64_t i = 1; i <= count; i++) {
        size_t rts_count = f->world.rts_count;
        leader_world_run(&f->world, late_us);
        one_worker_tell_store(f);
        one_worker_tell_leader(f);
        for (int step = 0; step < 100 && f->world.rts_count == rts_count; step++) {
            leader_world_run(&f->world, 10000);
        }
        assert_true(f->world.rts_count > rts_count);
        one_worker_write_eoe(f, 700 + i);
    }
    const struct capsule_member *member = one_worker_member(f);
    assert_false(member->is_closed);
    assert_int_equal(f->world.status, STATUS_OK);
}

static void p9_who_answers_late_is_alive(void **state)
{
    struct one_worker *f = *state;
    answer_late(f, 600000, 40);
    // It came to be waited for: what it wrote is listed.
    assert_int_equal(one_worker_newest(f)->lamport, 739);
}

static void p9_who_answers_later_than_any_epoch_waits_is_alive(void **state)
{
    answer_late(*state, 6 * 1000 * 1000, 10);
}

static void p9_who_does_not_answer_is_closed_after_a_while(void **state)
{
    struct one_worker *f = *state;
    one_worker_write_eoe(f, 700);
    tell_store_and_await_rts(f);
    leader_world_run(&f->world, 40 * 1000 * 1000);
    const struct capsule_member *member = one_worker_member(f);
    assert_true(member->is_closed);
}

static void the_floor_stays_below_what_an_unlisted_eoe_left_behind(void **state)
{
    struct one_worker *f = *state;
    // Listed: an EOE that had joined nothing but what its MEMBER named.
    one_worker_write_eoe(f, 700);
    tell_store_and_await_rts(f);
    one_worker_tell_leader(f);
    leader_world_run(&f->world, 10000);
    assert_int_equal(one_worker_newest(f)->lamport, 700);
    uint64_t floor = one_worker_newest(f)->floor;

    // It joins that SYNC and says so, but only the leader hears it.
    one_worker_write_eoe(f, 900);
    one_worker_tell_leader(f);
    struct leader_world_joiner other;
    leader_world_joiner_init(&f->world, &other);
    leader_world_join(&f->world, &other, MEMBER_WORKER, &f->world.capsule);
    assert_true(other.is_granted);
    leader_world_send(&f->world, FRAME_GONE, 0, &other.id, bytes_of(NULL, 0));
    uint64_t epoch = one_worker_newest(f)->epoch;
    leader_world_run(&f->world, 1500000);
    assert_true(one_worker_newest(f)->epoch > epoch);
    assert_int_equal(one_worker_newest(f)->floor, floor);
    leader_world_joiner_release(&other);
}

/* The joiner's next record, of a sealed type: what it holds is nobody's business here. */
static void write_sealed(struct one_worker *f, struct leader_world_joiner *writer,
                         struct head *head, enum record_type type)
{
    const struct capsule_sync *sync = one_worker_newest(f);
    struct hash hash;
    static const uint8_t data_key[SECRET_BYTES] = {3};
    struct secret *secret = secret_new_copy(data_key);
    const struct verify_key public_key = sign_key_public(writer->key);
    struct aead_key *key = seal_key_new(secret, &f->world.capsule, &public_key);
    const struct record_fields fields = {
        .type = type,
        .sequence = head->sequence + 1,
        .epoch = sync->epoch + 1,
        .writer = writer->id,
        .capsule = f->world.capsule,
        .parents = &head->hash,
        .parent_count = head->sequence > 0,
    };
    buffer_clear(&f->record);
    CHECK(seal_record(&f->record, &hash, &fields, bytes_text("body"), key, writer->key) ==
          STATUS_OK);
    *head = (struct head){.sequence = fields.sequence, .hash = hash};
    aead_key_free(key);
    secret_free(secret);
}

/* A compactor's EOE, which joins no SYNC beyond that of its MEMBER. */
static void end_epoch(struct one_worker *f, struct leader_world_joiner *writer, struct head *head,
                      const struct hash *joined)
{
    const struct capsule_sync *sync = capsule_sync_find(one_worker_capsule(f), joined);
    struct hash hash;
    struct buffer body = BUFFER_EMPTY;
    const struct eoe eoe = {.epoch = one_worker_newest(f)->epoch + 1, .sync = *joined};
    const struct record_fields fields = {
        .type = RECORD_EOE,
        .sequence = head->sequence + 1,
        .epoch = sync->epoch + 1,
        .writer = writer->id,
        .capsule = f->world.capsule,
        .parents = &head->hash,
        .parent_count = head->sequence > 0,
    };
    buffer_clear(&f->record);
    CHECK(sync_eoe_encode(&body, &eoe, NULL) == STATUS_OK);
    CHECK(record_encode(&f->record, &hash, &fields, buffer_bytes(&body), writer->key) == STATUS_OK);
    *head = (struct head){.sequence = fields.sequence, .hash = hash};
    buffer_release(&body);
}

static void join_epochs(struct one_worker *f, uint64_t from, uint64_t to)
{
    for (uint64_t lamport = from; lamport <= to; lamport += 100) {
        one_worker_write_eoe(f, lamport);
        tell_store_and_await_rts(f);
        one_worker_tell_leader(f);
        leader_world_run(&f->world, 300000);
    }
}

static void a_sync_names_the_manifest_when_stores_hold_it_and_no_compactor_holds_the_floor(
    void **state)
{
    struct one_worker *f = *state;
    struct leader_world_joiner compactor;
    struct head head = {.sequence = 0};
    leader_world_joiner_init(&f->world, &compactor);
    leader_world_join(&f->world, &compactor, MEMBER_COMPACTOR, &f->world.capsule);
    assert_true(compactor.is_granted);
    const struct hash joined = one_worker_newest(f)->hash;

    // The worker joins an epoch, and the next: the floor rises beyond what the compactor joined.
    join_epochs(f, 700, 900);
    assert_int_equal(one_worker_newest(f)->floor, 800);

    write_sealed(f, &compactor, &head, RECORD_TABLE);
    one_worker_tell_store(f);
    // A MANIFEST that the leader alone has is not named; nor one that another signed.
    write_sealed(f, &compactor, &head, RECORD_MANIFEST);
    const struct head manifest = head;
    leader_world_send(&f->world, FRAME_RECORD, 0, &compactor.id, buffer_bytes(&f->record));
    struct buffer held_back = f->record;
    f->record = (struct buffer)BUFFER_EMPTY;
    leader_world_run(&f->world, 2000000);
    assert_int_equal(one_worker_newest(f)->manifest.head.sequence, 0);

    leader_world_store(&f->world, buffer_bytes(&held_back));
    end_epoch(f, &compactor, &head, &joined);
    tell_store_and_await_rts(f);
    leader_world_send(&f->world, FRAME_RECORD, 0, &compactor.id, buffer_bytes(&f->record));
    leader_world_run(&f->world, 1000000);
    assert_int_equal(one_worker_newest(f)->manifest.head.sequence, manifest.sequence);
    assert_true(hash_equal(&one_worker_newest(f)->manifest.head.hash, &manifest.hash));
    assert_true(writer_id_equal(&one_worker_newest(f)->manifest.writer, &compactor.id));
    buffer_release(&held_back);
    leader_world_joiner_release(&compactor);
}

static void p7_what_is_undecided_under_a_lock_holds_the_floor(void **state)
{
    struct one_worker *f = *state;
    struct buffer plain = BUFFER_EMPTY;
    const struct message_lock_ask ask = {.request = 1, .name = bytes_text("x")};
    join_epochs(f, 700, 900);
    assert_int_equal(one_worker_newest(f)->floor, 800);
    assert_int_equal(message_lock_ask_encode(&plain, &ask), STATUS_OK);
    one_worker_say(f, &plain);
    assert_int_equal(f->worker.message.kind, MESSAGE_LOCK_GRANT);
    const struct message_lock_release release = {
        .request = 1,
        .fence = f->worker.message.lock_grant.fence,
        .record = {.sequence = f->head.sequence, .hash = f->head.hash}};
    join_epochs(f, 1000, 1200);
    assert_int_equal(one_worker_newest(f)->lamport, 1200);
    assert_int_equal(one_worker_newest(f)->floor, 800);  // what it writes may have the version 801
    assert_int_equal(message_lock_release_encode(&plain, &release, NULL), STATUS_OK);
    one_worker_say(f, &plain);
    join_epochs(f, 1300, 1300);
    assert_int_equal(one_worker_newest(f)->floor, 1200);
}

static void a_closed_branch_raises_the_clock(void **state)
{
    struct one_worker *f = *state;
    one_worker_write_eoe(f, 5000);
    one_worker_tell_store(f);
    leader_world_send(&f->world, FRAME_GONE, 0, &f->worker.id, bytes_of(NULL, 0));
    leader_world_run(&f->world, 1500000);
    assert_true(one_worker_member(f)->is_closed);
    assert_int_equal(one_worker_newest(f)->lamport, 5000);
    assert_int_equal(one_worker_newest(f)->floor, 5000);  // nobody is left who could write below
}

static void p9_a_leader_does_not_sleep_while_a_branch_is_being_closed(void **state)
{
    struct one_worker *f = *state;
    f->world.is_store_silent = true;
    leader_world_run(&f->world, 5000000);  // until nothing is to be done
    leader_world_send(&f->world, FRAME_GONE, 0, &f->worker.id, bytes_of(NULL, 0));
    leader_world_run(&f->world, 100000);
    uint64_t wake_us = 0;
    const struct leader_time time = {.now_us = f->world.now_us,
                                     .unix_ms = 1000 * leader_world_start_s()};
    assert_int_equal(leader_tick(f->world.leader, time, &wake_us), STATUS_OK);
    assert_true(wake_us <= f->world.now_us + 1000000);
}

static void p2_a_fence_counts_only_if_a_store_signed_it_for_this_term(void **state)
{
    (void)state;
    struct leader_world *world = malloc(sizeof *world);
    struct buffer bytes = BUFFER_EMPTY;
    assert_non_null(world);
    leader_world_init(world, 3);
    leader_world_begin(world);
    world->is_store_silent = true;
    leader_world_lead(world, 1);
    world->is_store_silent = false;
    struct sign_key *unknown = sign_key_new(&world->random);
    for (int i = 0; i < 3; i++) {
        buffer_clear(&bytes);
        CHECK(receipt_encode(&bytes, i == 0 ? RECEIPT_DURABLE : RECEIPT_FENCE, &world->capsule,
                             i == 1 ? 2 : 1, NULL, 0,
                             i == 2 ? unknown : world->store_key) == STATUS_OK);
        leader_world_send(world, FRAME_FENCED, 0, &everyone, buffer_bytes(&bytes));
    }
    buffer_clear(&bytes);
    CHECK(receipt_encode(&bytes, RECEIPT_FENCE, &world->capsule, 1, NULL, 0, world->store_key) ==
          STATUS_OK);
    bytes.bytes[bytes.length - 1] ^= 1;
    leader_world_send(world, FRAME_FENCED, 0, &everyone, buffer_bytes(&bytes));
    assert_int_equal(world->record_counts[RECORD_TERM], 0);
    bytes.bytes[bytes.length - 1] ^= 1;
    leader_world_send(world, FRAME_FENCED, 0, &everyone, buffer_bytes(&bytes));
    assert_int_equal(world->record_counts[RECORD_TERM], 1);
    sign_key_free(unknown);
    buffer_release(&bytes);
    leader_world_release(world);
    free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, one_worker_setup, one_worker_teardown)
        TEST(an_epoch_joins_what_the_store_holds),
        TEST(an_eoe_that_no_store_holds_is_not_listed),
        TEST(a_forged_receipt_begins_no_epoch),
        TEST(p9_a_store_that_is_refilled_is_given_an_epoch_where_nobody_writes),
        TEST(the_next_epoch_waits_until_the_last_sync_is_held),
        TEST(epochs_go_on_until_all_that_is_listed_is_decided),
        TEST(p9_who_answers_late_is_alive),
        TEST(p9_who_answers_later_than_any_epoch_waits_is_alive),
        TEST(p9_who_does_not_answer_is_closed_after_a_while),
        TEST(the_floor_stays_below_what_an_unlisted_eoe_left_behind),
        TEST(p7_what_is_undecided_under_a_lock_holds_the_floor),
        TEST(a_sync_names_the_manifest_when_stores_hold_it_and_no_compactor_holds_the_floor),
        TEST(a_closed_branch_raises_the_clock),
        TEST(p9_a_leader_does_not_sleep_while_a_branch_is_being_closed),
#undef TEST
        cmocka_unit_test(p2_a_fence_counts_only_if_a_store_signed_it_for_this_term),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
