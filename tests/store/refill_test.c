/* tests/store/refill_test.c */

/*
 * Goal: what a store lacks it gets from its siblings, whatever kept it from taking it; one that has
 * lost its disk promises nothing before it is whole again, with all that it may have signed for;
 * what lies beyond a cut does not count, nor what does not lead to one; siblings are those that
 * count, and those before; and nobody can make a store ask without end. Method: three real stores
 * with their servers on disks in memory, and the frames between them, under a time that the test
 * passes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "capsule/prune.h"
#include "capsule/receipt.h"
#include "capsule/stores.h"
#include "crypto/crypto.h"
#include "sim/disk_fake.h"
#include "store/refill.h"
#include "store/server.h"
#include "tests/support/capsule_world.h"

enum { STORES = 3, STEP_US = 20 * 1000, FRAMES_MAX = 4096 };

struct fixture;

struct one {
    struct fixture *fixture;
    uint32_t index;
    struct writer_id id;
    struct disk_fake *fake;
    struct disk disk;
    struct store *store;  // NULL: down
    struct server *server;
    uint64_t wake_us;
    uint64_t question_count;
    uint64_t receipt_count;  // that it gave to all
    uint64_t await_count;    // how often it told all that it awaits epochs
    struct buffer fenced;    // the body of its newest FENCED
    uint32_t gap_count;      // of REFUSED to the test, STATUS_GAP
};

struct letter {
    uint32_t from;
    uint32_t to;
    struct buffer frame;
};

struct fixture {
    struct capsule_world world;
    struct capsule_world_writer *a;
    struct capsule_world_writer *b;
    struct one stores[STORES];
    struct letter letters[FRAMES_MAX];
    size_t letter_count;
    uint64_t now_us;
    struct buffer word;  // the owner's on the stores; empty: none
};

enum { TEST_CLIENT = 99 };

static void send(struct fixture *f, uint32_t from, uint32_t to, struct bytes frame)
{
    CHECK(f->letter_count < FRAMES_MAX);
    struct letter *letter = &f->letters[f->letter_count++];
    *letter = (struct letter){.from = from, .to = to};
    CHECK(buffer_append(&letter->frame, frame.at, frame.length) == STATUS_OK);
}

static void on_send(void *context, uint64_t client, struct bytes bytes)
{
    struct one *one = context;
    struct frame frame;
    struct frame_refused refused;
    if (client != TEST_CLIENT) {
        send(one->fixture, one->index, (uint32_t)client, bytes);
        return;
    }
    CHECK(frame_decode(&frame, bytes) == STATUS_OK);
    if (frame.kind == FRAME_FENCED) {
        buffer_clear(&one->fenced);
        CHECK(buffer_append(&one->fenced, frame.body.at, frame.body.length) == STATUS_OK);
    }
    if (frame.kind == FRAME_REFUSED && frame_refused_decode(&refused, frame.body) == STATUS_OK) {
        one->gap_count += refused.status == STATUS_GAP;
    }
}

static void on_broadcast(void *context, struct bytes frame)
{
    struct one *one = context;
    struct frame decoded;
    CHECK(frame_decode(&decoded, frame) == STATUS_OK);
    one->receipt_count += decoded.kind == FRAME_RECEIPT;
    one->await_count += decoded.kind == FRAME_RECALLED;
    for (uint32_t i = 0; i < STORES; i++) {
        if (i != one->index) {
            send(one->fixture, one->index, i, frame);
        }
    }
}

static void on_ask(void *context, struct bytes bytes)
{
    struct one *one = context;
    struct frame frame;
    one->question_count++;
    CHECK(frame_decode(&frame, bytes) == STATUS_OK);
    for (uint32_t i = 0; i < STORES; i++) {
        if (writer_id_equal(&one->fixture->stores[i].id, &frame.peer)) {
            CHECK(i != one->index);
            send(one->fixture, one->index, i, bytes);
        }
    }
}

static void stop(struct fixture *f, uint32_t index)
{
    server_free(f->stores[index].server);
    store_close(f->stores[index].store);
    f->stores[index].server = NULL;
    f->stores[index].store = NULL;
}

static void start(struct fixture *f, uint32_t index)
{
    struct one *one = &f->stores[index];
    const struct store_config config = {
        .disk = &one->disk,
        .genesis = buffer_bytes(&f->world.genesis_body),
        .stores = buffer_bytes(&f->word),
        .key = f->world.store_keys[index],
        .random = f->world.random,
        .segment_bytes = 4096,
    };
    const struct server_output output = {
        .send = on_send, .broadcast = on_broadcast, .ask = on_ask, .context = one};
    CHECK(store_open(&one->store, &config) == STATUS_OK);
    CHECK(server_new(&one->server, one->store, &output) == STATUS_OK);
    one->wake_us = 0;
}

static void lose_disk(struct fixture *f, uint32_t index)
{
    struct one *one = &f->stores[index];
    stop(f, index);
    disk_fake_free(one->fake);
    one->fake = disk_fake_new();
    one->disk = disk_fake_disk(one->fake);
}

/* All frames that wait, and one commit of each store. */
static void step(struct fixture *f)
{
    size_t count = f->letter_count;
    f->now_us += STEP_US;
    for (size_t i = 0; i < count; i++) {
        struct buffer frame = f->letters[i].frame;
        struct one *to = &f->stores[f->letters[i].to];
        if (to->server != NULL) {
            CHECK(server_receive(to->server, f->letters[i].from, buffer_bytes(&frame)) ==
                  STATUS_OK);
        }
        buffer_release(&frame);
    }
    f->letter_count -= count;
    memmove(f->letters, f->letters + count, f->letter_count * sizeof *f->letters);
    for (uint32_t i = 0; i < STORES; i++) {
        struct one *one = &f->stores[i];
        if (one->server != NULL) {
            CHECK(server_commit(one->server) == STATUS_OK);
            CHECK(server_tick(one->server, f->now_us, &one->wake_us) == STATUS_OK);
        }
    }
}

static void pass(struct fixture *f, uint64_t ms)
{
    for (uint64_t us = 0; us < ms * 1000; us += STEP_US) {
        step(f);
    }
}

static void lose_letters(struct fixture *f)
{
    for (size_t i = 0; i < f->letter_count; i++) {
        buffer_release(&f->letters[i].frame);
    }
    f->letter_count = 0;
}

static uint64_t held(struct fixture *f, uint32_t index)
{
    struct store_counters counters;
    store_count(f->stores[index].store, &counters);
    return counters.record_count;
}

static void give(struct fixture *f, uint32_t index, struct bytes record)
{
    static const struct writer_id nobody;
    struct buffer frame = BUFFER_EMPTY;
    CHECK(frame_encode(&frame, FRAME_RECORD, 0, &nobody, record) == STATUS_OK);
    CHECK(server_receive(f->stores[index].server, TEST_CLIENT, buffer_bytes(&frame)) == STATUS_OK);
    buffer_release(&frame);
}

/* The world's records from `first` on, to the stores whose bits are set. */
static void give_all(struct fixture *f, unsigned stores, size_t first)
{
    for (uint32_t i = 0; i < STORES; i++) {
        for (size_t r = first; r < f->world.record_count && (stores & 1u << i) != 0; r++) {
            give(f, i, capsule_world_record(&f->world, r));
        }
    }
}

static enum status ask_fence(struct fixture *f, uint32_t index)
{
    static const struct writer_id nobody;
    struct buffer body = BUFFER_EMPTY, term_body = BUFFER_EMPTY, frame = BUFFER_EMPTY;
    struct one *one = &f->stores[index];
    const struct term term = {
        .capsule = f->world.name, .number = 2, .leader = f->world.leader->public_key};
    CHECK(term_encode(&term_body, &term, f->world.owner) == STATUS_OK);
    CHECK(frame_fence_encode(&body, &f->world.name, 2, &nobody, &(struct head){.sequence = 0},
                             buffer_bytes(&term_body), f->world.leader->key) == STATUS_OK);
    CHECK(frame_encode(&frame, FRAME_FENCE, 0, &nobody, buffer_bytes(&body)) == STATUS_OK);
    uint32_t gaps = one->gap_count;
    buffer_clear(&one->fenced);
    CHECK(server_receive(one->server, TEST_CLIENT, buffer_bytes(&frame)) == STATUS_OK);
    buffer_release(&body);
    buffer_release(&term_body);
    buffer_release(&frame);
    return one->fenced.length > 0 ? STATUS_OK : one->gap_count > gaps ? STATUS_GAP : STATUS_IO;
}

static int begin(void **state, uint32_t tolerated_count)
{
    static struct fixture f;
    f = (struct fixture){.now_us = 1};
    crypto_init();
    capsule_world_init(&f.world, 21, STORES, 2, tolerated_count);
    capsule_world_start(&f.world);
    f.a = capsule_world_admit(&f.world, MEMBER_WORKER);
    f.b = capsule_world_admit(&f.world, MEMBER_WORKER);
    for (uint32_t i = 0; i < STORES; i++) {
        struct one *one = &f.stores[i];
        const struct verify_key key = sign_key_public(f.world.store_keys[i]);
        one->fixture = &f;
        one->index = i;
        one->id = writer_store_id_of(&key);
        one->fake = disk_fake_new();
        one->disk = disk_fake_disk(one->fake);
        start(&f, i);
    }
    *state = &f;
    return 0;
}

static int setup(void **state)
{
    return begin(state, 0);
}

/* No leader without an answer of every store. */
static int setup_with_a_liar(void **state)
{
    return begin(state, 1);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    for (uint32_t i = 0; i < STORES; i++) {
        stop(f, i);
        disk_fake_free(f->stores[i].fake);
        buffer_release(&f->stores[i].fenced);
    }
    lose_letters(f);
    buffer_release(&f->word);
    capsule_world_release(&f->world);
    return 0;
}

/* Enough for several answers, by both workers, with a SYNC in between. */
static void write_much(struct fixture *f)
{
    static char value[2000];
    memset(value, 'v', sizeof value - 1);
    for (int i = 0; i < 40; i++) {
        capsule_world_put(&f->world, f->a, "a", value);
        capsule_world_put(&f->world, f->b, "b", value);
        if (i == 20) {
            capsule_world_sync(&f->world);
        }
    }
}

static void all_hold_much(struct fixture *f)
{
    pass(f, 200);
    write_much(f);
    give_all(f, 7, 0);
    pass(f, 200);
}

static void all_hold_one(struct fixture *f)
{
    pass(f, 200);
    capsule_world_put(&f->world, f->a, "k", "1");
    give_all(f, 7, 0);
    pass(f, 100);
}

/* The sequence that this store is at in the branch of `a`. */
static uint64_t head_of_a(struct fixture *f, uint32_t index)
{
    const struct capsule_member *a =
        capsule_member_find(store_capsule(f->stores[index].store), &f->a->id);
    return a == NULL ? 0 : a->head.sequence;
}

/* An EOE of each that the world still has, to all stores: it joins the newest SYNC. */
static void all_write(struct fixture *f)
{
    size_t before = f->world.record_count;
    for (size_t i = 0; i < f->world.writer_count; i++) {
        struct capsule_world_writer *writer = &f->world.writers[i];
        if (writer->role != MEMBER_LEADER && !writer->is_closed) {
            capsule_world_eoe(&f->world, writer);
        }
    }
    give_all(f, 7, before);
    pass(f, 100);
}

/* So many epochs of which all stores hear. */
static void pass_epochs(struct fixture *f, int count)
{
    size_t before = f->world.record_count;
    for (int i = 0; i < count; i++) {
        capsule_world_sync(&f->world);
    }
    give_all(f, 7, before);
    pass(f, 100);
}

/* Whatever a lost disk has signed for is older now than what each branch has here. */
static void outlive_receipts(struct fixture *f)
{
    pass_epochs(f, 2);
    all_write(f);
}

static void stores_that_begin_together_are_whole(void **state)
{
    struct fixture *f = *state;
    for (uint32_t i = 0; i < STORES; i++) {
        assert_true(store_is_refilling(f->stores[i].store));
        assert_int_equal(ask_fence(f, i), STATUS_GAP);
    }
    pass(f, 200);
    for (uint32_t i = 0; i < STORES; i++) {
        assert_false(store_is_refilling(f->stores[i].store));
        assert_int_equal(ask_fence(f, i), STATUS_OK);
    }
}

static void p9_one_that_holds_nothing_yet_has_not_lost_it(void **state)
{
    struct fixture *f = *state;
    pass(f, 200);
    // Two at a time: they do not wait for each other.
    for (uint32_t i = 0; i < 2; i++) {
        stop(f, i);
        start(f, i);
        assert_false(store_is_refilling(f->stores[i].store));
        assert_int_equal(ask_fence(f, i), STATUS_OK);
    }
}

static void what_comes_before_a_store_is_ready_waits(void **state)
{
    struct fixture *f = *state;
    give_all(f, 7, 0);
    step(f);
    assert_int_equal(held(f, 0), 0);
    pass(f, 200);
    for (uint32_t i = 0; i < STORES; i++) {
        assert_int_equal(held(f, i), f->world.record_count);
        assert_true(f->stores[i].receipt_count > 0);
    }
}

static void p4_what_a_store_missed_its_siblings_give_it(void **state)
{
    struct fixture *f = *state;
    pass(f, 200);
    give_all(f, 7, 0);
    pass(f, 100);
    size_t before = f->world.record_count;
    write_much(f);
    give_all(f, 6, before);
    pass(f, 3000);
    assert_int_equal(held(f, 0), f->world.record_count);
}

static void p9_a_sibling_that_is_silent_is_waited_for_once_and_not_for_each_branch(void **state)
{
    struct fixture *f = *state;
    struct capsule_world_writer *writers[8];
    pass(f, 200);
    give_all(f, 7, 0);
    pass(f, 100);
    size_t first = f->world.record_count;
    for (size_t i = 0; i < 8; i++) {
        writers[i] = capsule_world_admit(&f->world, MEMBER_WORKER);
    }
    size_t admitted = f->world.record_count;
    for (size_t i = 0; i < 8; i++) {
        capsule_world_put(&f->world, writers[i], "k", "1");
    }
    capsule_world_sync(&f->world);
    // What the two others have is named by the SYNC alone, and one of them is gone.
    give_all(f, 3, first);
    step(f);
    lose_letters(f);
    stop(f, 0);
    for (size_t r = first; r < admitted; r++) {
        give(f, 2, capsule_world_record(&f->world, r));
    }
    give(f, 2, capsule_world_record(&f->world, f->world.record_count - 1));
    pass(f, 5000);
    for (size_t i = 0; i < 8; i++) {
        const struct capsule_member *member =
            capsule_member_find(store_capsule(f->stores[2].store), &writers[i]->id);
        assert_int_equal(member->head.sequence, 1);
    }
}

static void p4_a_store_that_was_down_learns_what_it_missed_when_it_starts(void **state)
{
    struct fixture *f = *state;
    pass(f, 200);
    give_all(f, 7, 0);
    pass(f, 100);
    stop(f, 1);
    size_t before = f->world.record_count;
    write_much(f);
    give_all(f, 5, before);
    pass(f, 200);
    start(f, 1);
    pass(f, 3000);
    assert_int_equal(held(f, 1), f->world.record_count);
    assert_false(store_is_refilling(f->stores[1].store));
}

static void p4_a_store_that_lost_its_disk_fences_nothing_until_it_is_whole(void **state)
{
    struct fixture *f = *state;
    all_hold_much(f);
    lose_disk(f, 2);
    start(f, 2);
    assert_int_equal(ask_fence(f, 2), STATUS_GAP);
    step(f);
    // Begun, killed, begun again: it still knows that it is not whole.
    pass(f, 400);
    assert_true(held(f, 2) > 0);
    stop(f, 2);
    start(f, 2);
    pass(f, 5000);
    assert_int_equal(held(f, 2), f->world.record_count);
    assert_int_equal(ask_fence(f, 2), STATUS_GAP);
    outlive_receipts(f);
    assert_int_equal(ask_fence(f, 2), STATUS_OK);
}

static void p4_a_store_that_lost_its_disk_is_not_whole_without_what_it_may_have_signed(void **state)
{
    struct fixture *f = *state;
    all_hold_one(f);
    // It alone signs for a record; its disk is lost, and its siblings say what they hold.
    size_t last = f->world.record_count;
    capsule_world_put(&f->world, f->a, "k", "2");
    give_all(f, 4, last);
    CHECK(server_commit(f->stores[2].server) == STATUS_OK);
    assert_int_equal(head_of_a(f, 2), 2);
    lose_letters(f);
    lose_disk(f, 2);
    start(f, 2);
    pass(f, 3000);
    assert_false(store_is_waiting(f->stores[2].store));
    assert_int_equal(head_of_a(f, 2), 1);
    assert_int_equal(ask_fence(f, 2), STATUS_GAP);
    // One of them takes it now: with the old receipt these are W.
    give_all(f, 1, last);
    pass(f, 20);
    assert_int_equal(head_of_a(f, 0), 2);
    assert_int_equal(ask_fence(f, 2), STATUS_GAP);
    pass(f, 2000);
    assert_int_equal(head_of_a(f, 2), 2);
    assert_int_equal(ask_fence(f, 2), STATUS_GAP);
    outlive_receipts(f);
    assert_int_equal(ask_fence(f, 2), STATUS_OK);
}

static void p4_each_branch_has_to_join_a_sync_that_is_later_than_the_loss(void **state)
{
    struct fixture *f = *state;
    all_hold_much(f);
    lose_disk(f, 2);
    start(f, 2);
    pass(f, 3000);
    // The next SYNC may have been written before.
    pass_epochs(f, 1);
    all_write(f);
    assert_int_equal(ask_fence(f, 2), STATUS_GAP);
    pass_epochs(f, 1);
    size_t before = f->world.record_count;
    capsule_world_eoe(&f->world, f->b);
    give_all(f, 7, before);
    pass(f, 100);
    assert_int_equal(ask_fence(f, 2), STATUS_GAP);
    // Or it ends: once two SYNCs say that no later leader can be without that.
    before = f->world.record_count;
    capsule_world_close(&f->world, f->a);
    give_all(f, 7, before);
    pass_epochs(f, 1);
    assert_int_equal(ask_fence(f, 2), STATUS_GAP);
    pass_epochs(f, 1);
    assert_int_equal(ask_fence(f, 2), STATUS_OK);
}

static void p9_a_store_that_awaits_epochs_says_so_until_it_is_whole(void **state)
{
    struct fixture *f = *state;
    all_hold_much(f);
    lose_disk(f, 2);
    f->stores[2].await_count = 0;
    start(f, 2);
    pass(f, 5000);
    assert_in_range(f->stores[2].await_count, 8, 11);
    outlive_receipts(f);
    assert_false(store_is_refilling(f->stores[2].store));
    f->stores[2].await_count = 0;
    pass(f, 5000);
    assert_int_equal(f->stores[2].await_count, 0);
}

static void p9_a_store_without_which_nobody_can_lead_waits_for_no_epoch(void **state)
{
    struct fixture *f = *state;
    all_hold_much(f);
    lose_disk(f, 2);
    start(f, 2);
    pass(f, 5000);
    assert_int_equal(held(f, 2), f->world.record_count);
    assert_int_equal(ask_fence(f, 2), STATUS_OK);
}

static void p4_one_sibling_is_not_enough_to_be_whole(void **state)
{
    struct fixture *f = *state;
    all_hold_much(f);
    // A record that the lost disk and the dead store held: nobody else knows of it.
    stop(f, 0);
    lose_disk(f, 2);
    start(f, 2);
    pass(f, 5000);
    assert_int_equal(held(f, 2), 0);
    assert_true(store_is_refilling(f->stores[2].store));
    stop(f, 2);
    start(f, 2);
    assert_int_equal(ask_fence(f, 2), STATUS_GAP);
    start(f, 0);
    pass(f, 5000);
    outlive_receipts(f);
    assert_int_equal(ask_fence(f, 2), STATUS_OK);
}

/* Of what waits, the frames of this kind from one store to another. */
static void lose_frames(struct fixture *f, uint32_t from, uint32_t to, enum frame_kind kind)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->letter_count; i++) {
        struct letter *letter = &f->letters[i];
        struct frame frame;
        CHECK(frame_decode(&frame, buffer_bytes(&letter->frame)) == STATUS_OK);
        if (letter->from == from && letter->to == to && frame.kind == kind) {
            buffer_release(&letter->frame);
        } else {
            f->letters[kept++] = *letter;
        }
    }
    f->letter_count = kept;
}

/* Store 2 has lost its disk, and store 1 was down: only store 0 holds what 0 and 2 signed. */
static void lose_all_but_one(struct fixture *f)
{
    pass(f, 200);
    give_all(f, 7, 0);
    pass(f, 200);
    stop(f, 1);
    size_t before = f->world.record_count;
    write_much(f);
    give_all(f, 5, before);
    pass(f, 200);
    lose_disk(f, 2);
    start(f, 1);
    start(f, 2);
}

static void p4_an_answer_of_which_a_part_is_lost_is_none(void **state)
{
    struct fixture *f = *state;
    lose_all_but_one(f);
    for (int i = 0; i < 20; i++) {
        step(f);
        lose_frames(f, 0, 1, FRAME_RECEIPT);
        lose_frames(f, 0, 2, FRAME_RECEIPT);
    }
    assert_true(store_is_refilling(f->stores[2].store));
    pass(f, 8000);
    assert_int_equal(held(f, 2), f->world.record_count);
    outlive_receipts(f);
    assert_int_equal(ask_fence(f, 2), STATUS_OK);
}

static void p4_an_answer_that_was_bent_is_none(void **state)
{
    struct fixture *f = *state;
    lose_all_but_one(f);
    for (int round = 0; round < 20; round++) {
        step(f);
        for (size_t l = 0; l < f->letter_count; l++) {
            struct letter *letter = &f->letters[l];
            struct frame frame;
            struct receipt receipt;
            CHECK(frame_decode(&frame, buffer_bytes(&letter->frame)) == STATUS_OK);
            if (letter->from == 0 && frame.kind == FRAME_RECEIPT &&
                receipt_decode(&receipt, frame.body) == STATUS_OK) {
                // Of each branch it says now that only the first record is held.
                size_t head = (size_t)(receipt.heads - letter->frame.bytes) + WRITER_ID_BYTES;
                for (uint32_t i = 0; i < receipt.head_count; i++, head += BRANCH_HEAD_BYTES) {
                    memset(letter->frame.bytes + head, 0, sizeof(uint64_t));
                    letter->frame.bytes[head] = 1;
                }
            }
        }
    }
    assert_true(store_is_refilling(f->stores[2].store));
    pass(f, 8000);
    outlive_receipts(f);
    assert_int_equal(ask_fence(f, 2), STATUS_OK);
}

static void p4_who_refuses_to_answer_has_not_answered(void **state)
{
    static const struct writer_id nobody;
    struct fixture *f = *state;
    lose_all_but_one(f);
    stop(f, 0);
    pass(f, 200);
    struct buffer body = BUFFER_EMPTY, frame = BUFFER_EMPTY;
    const struct frame_refused refused = {.status = STATUS_FULL, .text = bytes_text("too much")};
    CHECK(frame_refused_encode(&body, &refused) == STATUS_OK);
    for (uint32_t request = 1; request < 100; request++) {
        buffer_clear(&frame);
        CHECK(frame_encode(&frame, FRAME_REFUSED, request, &nobody, buffer_bytes(&body)) ==
              STATUS_OK);
        CHECK(server_receive(f->stores[2].server, 0, buffer_bytes(&frame)) == STATUS_OK);
    }
    pass(f, 5000);
    assert_true(store_is_refilling(f->stores[2].store));
    buffer_release(&body);
    buffer_release(&frame);
}

static void p4_a_store_that_lost_its_disk_keeps_the_fences_it_gave(void **state)
{
    struct fixture *f = *state;
    all_hold_one(f);
    // Two stores answer a leader; the third takes one record more, and hears of nothing.
    assert_int_equal(ask_fence(f, 0), STATUS_OK);
    assert_int_equal(ask_fence(f, 1), STATUS_OK);
    size_t before = f->world.record_count;
    uint64_t fenced = head_of_a(f, 0);
    capsule_world_put(&f->world, f->a, "k", "2");
    give_all(f, 4, before);
    pass(f, 100);
    assert_int_equal(head_of_a(f, 2), fenced + 1);
    // With the third, an emptied one would make it W, and the leader would never know.
    lose_disk(f, 0);
    for (int life = 0; life < 2; life++) {
        start(f, 0);
        for (int i = 0; i < 20; i++) {
            give_all(f, 1, 0);
            pass(f, 100);
            assert_in_range(head_of_a(f, 0), 0, fenced);
        }
        assert_false(store_is_waiting(f->stores[0].store));
        // Nor is it whole: what it takes of that branch the leader's cut will tell.
        assert_int_equal(ask_fence(f, 0), STATUS_GAP);
        stop(f, 0);
    }
}

static void p4_a_store_that_lost_its_disk_takes_nothing_until_its_siblings_have_answered(
    void **state)
{
    struct fixture *f = *state;
    pass(f, 200);
    give_all(f, 7, 0);
    pass(f, 200);
    stop(f, 1);
    lose_disk(f, 2);
    for (int life = 0; life < 2; life++) {
        start(f, 2);
        f->stores[2].receipt_count = 0;
        give_all(f, 4, 0);
        pass(f, 5000);
        assert_int_equal(held(f, 2), 0);
        assert_int_equal(f->stores[2].receipt_count, 0);
        assert_true(store_is_waiting(f->stores[2].store));
        stop(f, 2);
    }
    start(f, 2);
    start(f, 1);
    pass(f, 5000);
    assert_false(store_is_waiting(f->stores[2].store));
    assert_int_equal(held(f, 2), f->world.record_count);
    assert_true(f->stores[2].receipt_count > 0);
}

static void p4_an_old_answer_is_none(void **state)
{
    struct fixture *f = *state;
    // At the birth all say, with the first requests, that they hold nothing.
    struct letter old[16];
    size_t old_count = 0;
    for (int i = 0; i < 3; i++) {
        step(f);
        for (size_t l = 0; l < f->letter_count && old_count < 16; l++) {
            struct letter *letter = &f->letters[l];
            struct frame frame;
            CHECK(frame_decode(&frame, buffer_bytes(&letter->frame)) == STATUS_OK);
            if (letter->to == 2 && frame.kind == FRAME_RECALLED) {
                old[old_count] = (struct letter){.from = letter->from, .to = 2};
                CHECK(buffer_append(&old[old_count++].frame, letter->frame.bytes,
                                    letter->frame.length) == STATUS_OK);
            }
        }
    }
    assert_true(old_count >= 2);
    all_hold_much(f);
    stop(f, 0);
    stop(f, 1);
    lose_disk(f, 2);
    start(f, 2);
    step(f);
    for (size_t i = 0; i < old_count; i++) {
        send(f, old[i].from, 2, buffer_bytes(&old[i].frame));
        buffer_release(&old[i].frame);
    }
    pass(f, 500);
    assert_true(store_is_waiting(f->stores[2].store));
    assert_int_equal(ask_fence(f, 2), STATUS_GAP);
}

/* Of the records from `first` to `end` the bodies go; a MANIFEST and the PRUNE that rests on it. */
static void append_prune(struct fixture *f, uint64_t first, uint64_t end)
{
    struct capsule_world_writer *compactor = capsule_world_admit(&f->world, MEMBER_COMPACTOR);
    struct branch_head manifest = capsule_world_compact(&f->world, compactor);
    struct capsule_world_sync_plan plan;
    capsule_world_plan_sync(&f->world, &plan);
    plan.body.manifest = manifest;
    CHECK(capsule_world_try_sync(&f->world, &plan) == STATUS_OK);
    struct capsule_world_draft draft;
    const struct prune_body body = {.term = 1, .manifest = manifest, .range_count = 1};
    const struct prune_range range = {.writer = f->a->id, .from = first, .to = end};
    capsule_world_draft(&f->world, &draft, f->world.leader, RECORD_PRUNE);
    CHECK(prune_encode(&draft.body, &body, &range) == STATUS_OK);
    CHECK(capsule_world_try(&f->world, &draft) == STATUS_OK);
}

/* Number `r` of the world's, without its body if it is of `a`. */
static void give_pruned(struct fixture *f, uint32_t index, size_t r)
{
    struct buffer kept = BUFFER_EMPTY;
    struct record record;
    struct bytes whole = capsule_world_record(&f->world, r);
    CHECK(record_decode(&record, whole.at, whole.length) == STATUS_OK);
    bool is_gone = writer_id_equal(&record.writer, &f->a->id) && record.type == RECORD_DATA;
    CHECK((is_gone ? record_prune(&kept, &record) : buffer_append(&kept, whole.at, whole.length)) ==
          STATUS_OK);
    give(f, index, buffer_bytes(&kept));
    buffer_release(&kept);
}

static void p4_a_record_without_its_body_is_taken_once_a_prune_names_it(void **state)
{
    struct fixture *f = *state;
    pass(f, 200);
    for (int i = 0; i < 3; i++) {
        capsule_world_put(&f->world, f->a, "k", "v");
    }
    append_prune(f, 1, 3);
    size_t prune = f->world.record_count - 1;
    stop(f, 1);
    stop(f, 2);
    for (size_t r = 0; r < prune; r++) {
        give_pruned(f, 0, r);
        step(f);
    }
    assert_int_equal(head_of_a(f, 0), 0);
    give_pruned(f, 0, prune);
    step(f);
    assert_int_equal(head_of_a(f, 0), 3);
    assert_int_equal(held(f, 0), f->world.record_count);
    // Nor is it lost on a start, or taken for another when it comes whole.
    stop(f, 0);
    start(f, 0);
    give_all(f, 1, 0);
    step(f);
    assert_int_equal(held(f, 0), f->world.record_count);
    lose_letters(f);
}

static void p9_a_store_asks_again_while_records_wait(void **state)
{
    struct fixture *f = *state;
    pass(f, 200);
    give_all(f, 7, 0);
    pass(f, 100);
    // What the others take now, and every receipt for it, is lost on the way to store 0.
    size_t before = f->world.record_count;
    struct capsule_world_writer *late = capsule_world_admit(&f->world, MEMBER_WORKER);
    give_all(f, 6, before);
    for (int i = 0; i < 5; i++) {
        step(f);
        lose_letters(f);
    }
    // Then one record comes that needs it.
    before = f->world.record_count;
    capsule_world_put(&f->world, late, "k", "1");
    give_all(f, 1, before);
    pass(f, 1000);
    assert_true(held(f, 0) < f->world.record_count);
    pass(f, 4000);
    assert_int_equal(held(f, 0), f->world.record_count);
}

/* A CLOSE of `writer` at `cut`, fenced by all stores there. */
static void close_at(struct fixture *f, struct capsule_world_writer *writer, struct head cut)
{
    struct capsule_world_close_plan plan;
    const struct branch_head head = {.writer = writer->id, .head = cut};
    capsule_world_plan_close(&f->world, &plan, writer);
    buffer_clear(&plan.fences);
    for (uint32_t i = 0; i < STORES - 1; i++) {
        capsule_world_state(&f->world, &plan.fences, i, RECEIPT_FENCE, f->world.leader->term, &head,
                            1);
    }
    plan.body.cut = head;
    plan.body.fences = buffer_bytes(&plan.fences);
    CHECK(capsule_world_try_close(&f->world, &plan) == STATUS_OK);
}

static enum status count_record(void *context, struct bytes record, const struct store_place *place)
{
    (void)record;
    (void)place;
    *(uint64_t *)context += 1;
    return STATUS_OK;
}

static void p4_what_a_store_took_beyond_a_cut_does_not_count(void **state)
{
    struct fixture *f = *state;
    pass(f, 200);
    capsule_world_put(&f->world, f->a, "k", "1");
    struct head cut = f->a->head;
    give_all(f, 7, 0);
    pass(f, 100);
    // Two more records reach one store alone, which then does not answer the fence.
    size_t before = f->world.record_count;
    capsule_world_put(&f->world, f->a, "k", "2");
    capsule_world_put(&f->world, f->a, "k", "3");
    give_all(f, 4, before);
    CHECK(server_commit(f->stores[2].server) == STATUS_OK);
    lose_letters(f);
    size_t close = f->world.record_count;
    close_at(f, f->a, cut);
    capsule_world_put(&f->world, f->b, "k", "4");
    give_all(f, 7, close);
    pass(f, 200);

    for (int life = 0; life < 2; life++) {
        const struct capsule_member *a =
            capsule_member_find(store_capsule(f->stores[2].store), &f->a->id);
        assert_true(a->is_closed);
        assert_int_equal(a->head.sequence, cut.sequence);
        assert_false(capsule_is_overrun(store_capsule(f->stores[2].store)));
        assert_int_equal(held(f, 2), f->world.record_count - 2);
        stop(f, 2);
        uint64_t walked = 0;
        struct store_place place;
        assert_int_equal(
            store_walk(&f->stores[2].disk, &f->world.name, count_record, &walked, &place),
            STATUS_OK);
        assert_int_equal(walked, f->world.record_count - 2);
        start(f, 2);
    }
    // It goes on.
    before = f->world.record_count;
    capsule_world_put(&f->world, f->b, "k", "5");
    give_all(f, 4, before);
    pass(f, 100);
    assert_int_equal(held(f, 2), f->world.record_count - 2);
}

/* Puts, tables of them, a SYNC that names the MANIFEST, and a PRUNE of the first puts of `a`. */
static void write_and_prune(struct fixture *f)
{
    struct capsule_world_sync_plan plan;
    struct capsule_world_draft draft;
    struct capsule_world_writer *compactor = capsule_world_admit(&f->world, MEMBER_COMPACTOR);
    write_much(f);
    const struct branch_head manifest = capsule_world_compact(&f->world, compactor);
    capsule_world_plan_sync(&f->world, &plan);
    plan.body.manifest = manifest;
    assert_int_equal(capsule_world_try_sync(&f->world, &plan), STATUS_OK);
    const struct prune_body body = {.term = 1, .manifest = manifest, .range_count = 1};
    const struct prune_range range = {.writer = f->a->id, .from = 1, .to = 30};
    capsule_world_draft(&f->world, &draft, f->world.leader, RECORD_PRUNE);
    assert_int_equal(prune_encode(&draft.body, &body, &range), STATUS_OK);
    assert_int_equal(capsule_world_try(&f->world, &draft), STATUS_OK);
    capsule_world_put(&f->world, f->a, "a", "after");
}

/* How many records this store has without their bodies. */
static size_t bare_count(struct fixture *f, uint32_t index)
{
    size_t count = 0;
    for (size_t i = 0; i < held(f, index); i++) {
        struct buffer bytes = BUFFER_EMPTY;
        struct frame_fetched fetched;
        struct record record;
        const struct frame_fetch fetch = {.from = i + 1, .to = i + 1, .max_bytes = UINT32_MAX};
        assert_int_equal(store_read(f->stores[index].store, &fetch, &bytes, &fetched), STATUS_OK);
        assert_int_equal(record_decode_stored(&record, bytes.bytes, bytes.length), STATUS_OK);
        assert_true(!record.is_pruned || capsule_is_pruned(store_capsule(f->stores[index].store),
                                                           &record.writer, record.sequence));
        count += record.is_pruned;
        buffer_release(&bytes);
    }
    return count;
}

static void p9_a_store_that_lost_its_disk_takes_what_was_pruned_without_its_body(void **state)
{
    struct fixture *f = *state;
    pass(f, 200);
    write_and_prune(f);
    give_all(f, 7, 0);
    pass(f, 1000);
    assert_true(bare_count(f, 0) > 20);
    assert_true(bare_count(f, 1) > 20);
    lose_disk(f, 2);
    start(f, 2);
    pass(f, 10000);
    assert_int_equal(held(f, 2), f->world.record_count);
    outlive_receipts(f);
    assert_false(store_is_refilling(f->stores[2].store));
    assert_true(bare_count(f, 2) > 20);
    // And again, from what lies on its disk: in sealed segments, and in the last.
    stop(f, 2);
    start(f, 2);
    assert_int_equal(held(f, 2), f->world.record_count);
}

static void p4_a_record_without_its_body_is_not_taken_before_a_prune_names_it(void **state)
{
    struct fixture *f = *state;
    struct buffer bare = BUFFER_EMPTY;
    struct record record;
    pass(f, 200);
    write_and_prune(f);
    size_t prune_at = f->world.record_count - 2, first_put = 0;
    for (size_t i = 0; i < f->world.record_count; i++) {
        const struct bytes bytes = capsule_world_record(&f->world, i);
        assert_int_equal(record_decode(&record, bytes.at, bytes.length), STATUS_OK);
        bool is_first = writer_id_equal(&record.writer, &f->a->id) && record.sequence == 1;
        first_put = is_first ? i : first_put;
        if (i < prune_at && !writer_id_equal(&record.writer, &f->a->id)) {
            give(f, 0, bytes);
        }
    }
    const struct bytes whole = capsule_world_record(&f->world, first_put);
    assert_int_equal(record_decode(&record, whole.at, whole.length), STATUS_OK);
    assert_int_equal(record_prune(&bare, &record), STATUS_OK);
    pass(f, 100);
    uint64_t before = held(f, 0);
    give(f, 0, buffer_bytes(&bare));
    pass(f, 100);
    assert_int_equal(held(f, 0), before);
    // One with its body is not held up by the one without.
    give(f, 0, whole);
    pass(f, 100);
    assert_int_equal(held(f, 0), before + 1);
    assert_int_equal(bare_count(f, 0), 0);
    // A store that knows the PRUNE takes it, and the one behind it.
    for (size_t i = 0; i <= prune_at; i++) {
        const struct bytes bytes = capsule_world_record(&f->world, i);
        assert_int_equal(record_decode(&record, bytes.at, bytes.length), STATUS_OK);
        if (!writer_id_equal(&record.writer, &f->a->id)) {
            give(f, 1, bytes);
        }
    }
    give(f, 1, buffer_bytes(&bare));
    step(f);
    uint64_t named = held(f, 1);
    assert_int_equal(
        capsule_member_find(store_capsule(f->stores[1].store), &f->a->id)->head.sequence, 1);
    assert_true(named > before);
    buffer_release(&bare);
}

static void a_sibling_that_claims_what_it_does_not_have_is_not_asked_without_end(void **state)
{
    struct fixture *f = *state;
    static const struct writer_id nobody;
    struct buffer receipt = BUFFER_EMPTY, frame = BUFFER_EMPTY;
    pass(f, 200);
    give_all(f, 7, 0);
    pass(f, 200);
    stop(f, 0);
    struct branch_head claims[50];
    for (size_t i = 0; i < 50; i++) {
        claims[i] = (struct branch_head){.head = {.sequence = 1000 + i, .hash = {{1}}}};
        claims[i].writer.bytes[0] = (uint8_t)(i + 1);
    }
    claims[0].writer = f->a->id;
    CHECK(receipt_encode(&receipt, RECEIPT_DURABLE, &f->world.name, 1, claims, 50,
                         f->world.store_keys[0]) == STATUS_OK);
    CHECK(frame_encode(&frame, FRAME_RECEIPT, 0, &nobody, buffer_bytes(&receipt)) == STATUS_OK);
    for (int i = 0; i < 60; i++) {
        CHECK(server_receive(f->stores[1].server, 0, buffer_bytes(&frame)) == STATUS_OK);
        pass(f, 1000);
    }
    // At most each of 50 branches every 4 s, once the delays have grown.
    assert_in_range(f->stores[1].question_count, 1, 1500);
    buffer_release(&receipt);
    buffer_release(&frame);
}

/*
 * As many other records of `a` for its next places, to the stores whose bits are set, and no word
 * of it.
 */
static void fork_to(struct fixture *f, unsigned stores, int count)
{
    struct head true_head = f->a->head;
    for (int i = 0; i < count; i++) {
        struct capsule_world_draft draft;
        struct record record;
        capsule_world_draft(&f->world, &draft, f->a, RECORD_DATA);
        capsule_world_tuple(&f->world, f->a, &draft.body, "k", "forked");
        capsule_world_build(&f->world, &draft);
        struct bytes bytes = buffer_bytes(&f->world.tried);
        CHECK(record_decode(&record, bytes.at, bytes.length) == STATUS_OK);
        for (uint32_t to = 0; to < STORES; to++) {
            if ((stores & 1u << to) != 0) {
                give(f, to, bytes);
                CHECK(server_commit(f->stores[to].server) == STATUS_OK);
            }
        }
        f->a->head = (struct head){.sequence = record.sequence, .hash = record.hash};
    }
    f->a->head = true_head;
    lose_letters(f);
}

static struct head head_at(struct fixture *f, uint32_t index)
{
    return capsule_member_find(store_capsule(f->stores[index].store), &f->a->id)->head;
}

/* All that the world has written, and nothing else: also when it is opened again, or walked. */
static void assert_whole(struct fixture *f, uint32_t index)
{
    for (int life = 0; life < 2; life++) {
        struct head head = head_at(f, index);
        assert_int_equal(head.sequence, f->a->head.sequence);
        assert_memory_equal(head.hash.bytes, f->a->head.hash.bytes, HASH_BYTES);
        assert_false(capsule_is_overrun(store_capsule(f->stores[index].store)));
        assert_int_equal(held(f, index), f->world.record_count);
        stop(f, index);
        uint64_t walked = 0;
        struct store_place place;
        assert_int_equal(
            store_walk(&f->stores[index].disk, &f->world.name, count_record, &walked, &place),
            STATUS_OK);
        assert_int_equal(walked, f->world.record_count);
        start(f, index);
    }
}

static void assert_all_whole(struct fixture *f)
{
    for (uint32_t i = 0; i < STORES; i++) {
        assert_whole(f, i);
    }
}

static void p9_a_store_that_took_others_below_a_cut_takes_what_leads_to_it(void **state)
{
    struct fixture *f = *state;
    all_hold_one(f);
    fork_to(f, 4, 3);
    size_t before = f->world.record_count;
    for (int i = 0; i < 5; i++) {
        capsule_world_put(&f->world, f->a, "k", "2");
    }
    give_all(f, 3, before);
    pass(f, 100);
    assert_int_equal(head_at(f, 2).sequence, 4);
    size_t close = f->world.record_count;
    close_at(f, f->a, f->a->head);
    capsule_world_put(&f->world, f->b, "k", "3");
    give_all(f, 7, close);
    pass(f, 5000);
    assert_all_whole(f);
}

static void p9_a_store_that_took_another_than_a_sync_names_takes_that(void **state)
{
    struct fixture *f = *state;
    all_hold_one(f);
    fork_to(f, 4, 2);
    size_t before = f->world.record_count;
    capsule_world_put(&f->world, f->a, "k", "2");
    capsule_world_sync(&f->world);
    capsule_world_put(&f->world, f->a, "k", "3");
    give_all(f, 7, before);
    pass(f, 5000);
    assert_all_whole(f);
}

static void p9_a_fenced_store_takes_no_other_below_the_cut_of_a_new_leader(void **state)
{
    struct fixture *f = *state;
    all_hold_one(f);
    struct head early = f->a->head;
    size_t before = f->world.record_count;
    for (int i = 0; i < 5; i++) {
        capsule_world_put(&f->world, f->a, "k", "2");
    }
    give_all(f, 3, before);
    CHECK(server_commit(f->stores[0].server) == STATUS_OK);
    CHECK(server_commit(f->stores[1].server) == STATUS_OK);
    lose_letters(f);
    struct capsule_world_writer *first = f->world.leader;
    size_t term = f->world.record_count;
    capsule_world_restart(&f->world);
    for (uint32_t i = 0; i < STORES; i++) {
        assert_int_equal(ask_fence(f, i), STATUS_OK);
    }
    capsule_world_close(&f->world, first);
    close_at(f, f->a, f->a->head);
    give_all(f, 7, term);
    CHECK(server_commit(f->stores[2].server) == STATUS_OK);
    struct head cut = f->a->head;
    f->a->head = early;
    fork_to(f, 4, 2);
    f->a->head = cut;
    assert_int_equal(head_at(f, 2).sequence, early.sequence);
    pass(f, 5000);
    assert_all_whole(f);
}

static void p4_what_leads_nowhere_makes_no_store_leave_its_own_out(void **state)
{
    struct fixture *f = *state;
    all_hold_one(f);
    fork_to(f, 4, 2);
    // Store 0 has the true ones but for the last; who has that is down.
    size_t before = f->world.record_count;
    capsule_world_put(&f->world, f->a, "k", "2");
    capsule_world_put(&f->world, f->a, "k", "3");
    size_t last = f->world.record_count;
    capsule_world_put(&f->world, f->a, "k", "4");
    for (size_t i = before; i < last; i++) {
        give(f, 0, capsule_world_record(&f->world, i));
    }
    give_all(f, 2, before);
    pass(f, 20);
    stop(f, 1);
    size_t close = f->world.record_count;
    close_at(f, f->a, f->a->head);
    give_all(f, 5, close);
    pass(f, 10 * 1000);
    assert_int_equal(head_at(f, 0).sequence, 3);
    assert_int_equal(head_at(f, 2).sequence, 3);
    assert_int_equal(held(f, 0), f->world.record_count - 1);

    start(f, 1);
    pass(f, 20 * 1000);
    assert_all_whole(f);
}

static void name_store(struct genesis *set, uint32_t index, const struct sign_key *key)
{
    struct genesis_store *store = &set->stores[index];
    *store = (struct genesis_store){.name = "store", .key = sign_key_public(key)};
    store->name[5] = (char)('a' + index);
    store->id = writer_store_id_of(&store->key);
}

/* The owner has a store with this key count as the third one, or none; the next TERM says so. */
static void change_third(struct fixture *f, struct stores *stores, const struct sign_key *key)
{
    stores->version++;
    stores->has_former = true;
    stores->former = stores->now;
    stores->now.store_count = key == NULL ? STORES - 1 : STORES;
    if (key != NULL) {
        name_store(&stores->now, STORES - 1, key);
    }
    buffer_clear(&f->word);
    assert_int_equal(stores_encode(&f->word, stores, f->world.owner), STATUS_OK);
    f->world.term_stores = buffer_bytes(&f->word);
    size_t term = f->world.record_count;
    struct capsule_world_writer *before = f->world.leader;
    capsule_world_restart(&f->world);
    capsule_world_close(&f->world, before);
    give_all(f, 3, term);
    pass(f, 100);
}

/* Another one is there instead, with a key that has never signed anything. */
static void replace_third(struct fixture *f)
{
    lose_disk(f, 2);
    sign_key_free(f->world.store_keys[2]);
    f->world.store_keys[2] = sign_key_new(&f->world.random);
    const struct verify_key public_key = sign_key_public(f->world.store_keys[2]);
    f->stores[2].id = writer_store_id_of(&public_key);
}

static void p9_one_that_is_added_serves_at_once_and_is_filled(void **state)
{
    struct fixture *f = *state;
    struct stores stores;
    all_hold_one(f);
    stores_of_genesis(&stores, &f->world.genesis);
    replace_third(f);
    change_third(f, &stores, f->world.store_keys[2]);
    stop(f, 1);
    assert_int_equal(store_begin_whole(&f->stores[2].disk), STATUS_OK);
    start(f, 2);
    assert_false(store_is_refilling(f->stores[2].store));
    pass(f, 5000);
    assert_int_equal(held(f, 2), f->world.record_count);
    assert_int_equal(ask_fence(f, 2), STATUS_OK);
}

static void p9_one_that_counted_before_gives_what_nobody_else_has(void **state)
{
    struct fixture *f = *state;
    struct stores stores;
    all_hold_one(f);
    stores_of_genesis(&stores, &f->world.genesis);
    change_third(f, &stores, NULL);
    capsule_world_put(&f->world, f->a, "k", "2");
    give_all(f, 4, f->world.record_count - 1);
    pass(f, 1000);
    assert_int_equal(held(f, 0), f->world.record_count);
    assert_int_equal(held(f, 1), f->world.record_count);
}

static void p4_one_that_lost_its_disk_hears_enough_of_those_that_counted_before(void **state)
{
    struct fixture *f = *state;
    struct stores stores;
    all_hold_one(f);
    stores_of_genesis(&stores, &f->world.genesis);
    stop(f, 2);
    change_third(f, &stores, NULL);
    lose_disk(f, 0);
    start(f, 0);
    // The other one that counts is all there is now; two of the three have to have answered.
    pass(f, 10 * 1000);
    assert_true(store_is_waiting(f->stores[0].store));
    assert_int_equal(ask_fence(f, 0), STATUS_GAP);
    start(f, 2);
    pass(f, 10 * 1000);
    assert_int_equal(held(f, 0), f->world.record_count);
    outlive_receipts(f);
    assert_false(store_is_refilling(f->stores[0].store));
}

static void p9_stores_come_and_go_as_often_as_the_owner_likes(void **state)
{
    enum { CHANGES = 40 };
    struct fixture *f = *state;
    struct stores stores;
    all_hold_one(f);
    stop(f, 2);
    stores_of_genesis(&stores, &f->world.genesis);
    change_third(f, &stores, NULL);
    for (int i = 0; i < CHANGES / 2; i++) {
        struct sign_key *key = sign_key_new(&f->world.random);
        change_third(f, &stores, key);
        change_third(f, &stores, NULL);
        sign_key_free(key);
    }

    // The last one is there, and the only one to be given something: it is asked for that.
    replace_third(f);
    change_third(f, &stores, f->world.store_keys[2]);
    start(f, 2);
    pass(f, 5000);
    assert_int_equal(held(f, 2), f->world.record_count);
    capsule_world_put(&f->world, f->a, "k", "2");
    give_all(f, 4, f->world.record_count - 1);
    pass(f, 500);
    for (uint32_t i = 0; i < STORES; i++) {
        assert_int_equal(held(f, i), f->world.record_count);
    }

    // And nobody asks those that went.
    uint64_t asked = f->stores[0].question_count;
    pass(f, 20 * 1000);
    assert_int_equal(f->stores[0].question_count, asked);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(p9_a_store_that_took_others_below_a_cut_takes_what_leads_to_it),
        TEST(p9_a_store_that_took_another_than_a_sync_names_takes_that),
        TEST(p9_a_fenced_store_takes_no_other_below_the_cut_of_a_new_leader),
        TEST(p4_what_leads_nowhere_makes_no_store_leave_its_own_out),
        TEST(stores_that_begin_together_are_whole),
        TEST(p9_one_that_holds_nothing_yet_has_not_lost_it),
        TEST(what_comes_before_a_store_is_ready_waits),
        TEST(p4_what_a_store_missed_its_siblings_give_it),
        TEST(p9_a_sibling_that_is_silent_is_waited_for_once_and_not_for_each_branch),
        TEST(p4_a_store_that_was_down_learns_what_it_missed_when_it_starts),
        TEST(p4_a_store_that_lost_its_disk_fences_nothing_until_it_is_whole),
        TEST(p4_a_store_that_lost_its_disk_is_not_whole_without_what_it_may_have_signed),
        TEST(p4_each_branch_has_to_join_a_sync_that_is_later_than_the_loss),
        TEST(p9_a_store_that_awaits_epochs_says_so_until_it_is_whole),
        cmocka_unit_test_setup_teardown(p9_a_store_without_which_nobody_can_lead_waits_for_no_epoch,
                                        setup_with_a_liar, teardown),
        TEST(p4_one_sibling_is_not_enough_to_be_whole),
        TEST(p4_an_answer_of_which_a_part_is_lost_is_none),
        TEST(p4_an_answer_that_was_bent_is_none),
        TEST(p4_who_refuses_to_answer_has_not_answered),
        TEST(p4_a_store_that_lost_its_disk_keeps_the_fences_it_gave),
        TEST(p4_a_store_that_lost_its_disk_takes_nothing_until_its_siblings_have_answered),
        TEST(p4_an_old_answer_is_none),
        TEST(p4_a_record_without_its_body_is_taken_once_a_prune_names_it),
        TEST(p9_a_store_asks_again_while_records_wait),
        TEST(p4_what_a_store_took_beyond_a_cut_does_not_count),
        TEST(p9_a_store_that_lost_its_disk_takes_what_was_pruned_without_its_body),
        TEST(p4_a_record_without_its_body_is_not_taken_before_a_prune_names_it),
        TEST(p9_one_that_is_added_serves_at_once_and_is_filled),
        TEST(p9_one_that_counted_before_gives_what_nobody_else_has),
        TEST(p4_one_that_lost_its_disk_hears_enough_of_those_that_counted_before),
        TEST(p9_stores_come_and_go_as_often_as_the_owner_likes),
        TEST(a_sibling_that_claims_what_it_does_not_have_is_not_asked_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
