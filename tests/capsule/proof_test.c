/* tests/capsule/proof_test.c */

/*
 * Goal: a proof convinces whoever has nothing but its bytes, names the stores that contradicted
 * themselves, and cannot be made of what honest stores sign.
 * Method: three stores, two of which must hold a record; proofs of true statements, and then with
 * each part bent, left out, or taken from another place or time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "capsule/proof.h"
#include "tests/support/capsule_world.h"

enum { STORES = 3, RECEIPTS = 2, LATER = 5 };

struct fixture {
    struct capsule_world world;
    struct bytes term_body;
    struct bytes sync_record;
    struct record sync;
    struct buffer receipts;
    struct buffer warrant;
    struct buffer fences;
    struct buffer bytes;
    struct proof proof;
};

static struct branch_head leader_at(const struct fixture *f, uint64_t sequence)
{
    struct branch_head head = {.writer = f->sync.writer, .head = {.sequence = sequence}};
    if (sequence > 0) {
        head.head.hash = sequence == f->sync.sequence ? f->sync.hash : hash_of("another", 7);
    }
    return head;
}

static void receipt(struct fixture *f, uint32_t store, uint64_t term, uint64_t sequence)
{
    const struct branch_head head = leader_at(f, sequence);
    capsule_world_state(&f->world, &f->receipts, store, RECEIPT_DURABLE, term, &head, 1);
}

static void fence(struct fixture *f, uint32_t store, uint64_t term, uint64_t sequence)
{
    const struct branch_head head = leader_at(f, sequence);
    capsule_world_state(&f->world, &f->fences, store, RECEIPT_FENCE, term, &head, 1);
}

/* Stores 0 and 1 signed that they held the SYNC. */
static void two_held(struct fixture *f)
{
    receipt(f, 0, 1, f->sync.sequence);
    receipt(f, 1, 1, f->sync.sequence);
}

/* And answer a later leader as if they had never seen its writer. */
static void two_deny(struct fixture *f)
{
    fence(f, 0, LATER, 0);
    fence(f, 1, LATER, 0);
}

static int setup(void **state)
{
    static struct fixture f;
    struct record record;
    f = (struct fixture){.receipts = BUFFER_EMPTY};
    capsule_world_init(&f.world, 11, STORES, RECEIPTS, 0);
    capsule_world_start(&f.world);
    struct capsule_world_writer *worker = capsule_world_admit(&f.world, MEMBER_WORKER);
    capsule_world_put(&f.world, worker, "key", "value");
    capsule_world_sync(&f.world);
    struct bytes term = capsule_world_record(&f.world, 1);
    assert_int_equal(record_decode(&record, term.at, term.length), STATUS_OK);
    assert_int_equal(record.type, RECORD_TERM);
    f.term_body = record.body;
    f.sync_record = capsule_world_record(&f.world, f.world.record_count - 1);
    assert_int_equal(record_decode(&f.sync, f.sync_record.at, f.sync_record.length), STATUS_OK);
    assert_int_equal(f.sync.type, RECORD_SYNC);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    buffer_release(&f->receipts);
    buffer_release(&f->warrant);
    buffer_release(&f->fences);
    buffer_release(&f->bytes);
    capsule_world_release(&f->world);
    return 0;
}

static enum status judge_parts(struct fixture *f, struct bytes term_body, struct bytes sync_record)
{
    buffer_clear(&f->warrant);
    buffer_clear(&f->bytes);
    assert_int_equal(
        proof_warrant_encode(&f->warrant, term_body, sync_record, buffer_bytes(&f->receipts)),
        STATUS_OK);
    assert_int_equal(proof_rollback_encode(&f->bytes, buffer_bytes(&f->world.genesis_body),
                                           buffer_bytes(&f->warrant), buffer_bytes(&f->fences)),
                     STATUS_OK);
    return proof_verify(&f->proof, buffer_bytes(&f->bytes));
}

static enum status judge(struct fixture *f)
{
    return judge_parts(f, f->term_body, f->sync_record);
}

static void p8_a_rollback_is_proved_and_the_stores_that_lie_are_named(void **state)
{
    struct fixture *f = *state;
    receipt(f, 0, 1, f->sync.sequence);
    receipt(f, 1, 1, f->sync.sequence + 4);
    fence(f, 1, LATER, f->sync.sequence - 1);
    fence(f, 2, LATER, 0);
    assert_int_equal(judge(f), STATUS_OK);
    assert_int_equal(f->proof.kind, PROOF_ROLLBACK);
    assert_true(hash_equal(&f->proof.capsule, &f->world.name));
    assert_int_equal(f->proof.warrant.sync.epoch, f->sync.epoch);
    assert_int_equal(f->proof.sequence, f->sync.sequence);
    assert_int_equal(f->proof.term, LATER);
    // The third never signed that it held it, and the first was not asked.
    assert_false(f->proof.is_blamed[0]);
    assert_true(f->proof.is_blamed[1]);
    assert_false(f->proof.is_blamed[2]);
    assert_int_equal(f->proof.blamed_count, 1);
    assert_int_equal(f->proof.denied_count, 2);
}

static void p8_a_warrant_shows_that_stores_held_a_sync(void **state)
{
    struct fixture *f = *state;
    struct proof_warrant warrant;
    receipt(f, 0, 1, f->sync.sequence);
    receipt(f, 2, 1, f->sync.sequence);
    assert_int_equal(
        proof_warrant_encode(&f->warrant, f->term_body, f->sync_record, buffer_bytes(&f->receipts)),
        STATUS_OK);
    assert_int_equal(proof_warrant_verify(&warrant, buffer_bytes(&f->warrant), &f->world.genesis),
                     STATUS_OK);
    assert_true(hash_equal(&warrant.sync.hash, &f->world.sync));
    assert_int_equal(warrant.heads[0].sequence, f->sync.sequence);
    assert_int_equal(warrant.heads[1].sequence, 0);
}

static void a_store_that_names_a_branch_twice_is_held_to_the_most_of_it(void **state)
{
    struct fixture *f = *state;
    struct proof_warrant warrant;
    const struct branch_head heads[] = {leader_at(f, f->sync.sequence - 1),
                                        leader_at(f, f->sync.sequence)};
    receipt(f, 0, 1, f->sync.sequence);
    capsule_world_state(&f->world, &f->receipts, 2, RECEIPT_DURABLE, 1, heads, 2);
    assert_int_equal(
        proof_warrant_encode(&f->warrant, f->term_body, f->sync_record, buffer_bytes(&f->receipts)),
        STATUS_OK);
    assert_int_equal(proof_warrant_verify(&warrant, buffer_bytes(&f->warrant), &f->world.genesis),
                     STATUS_OK);
    // And has not denied what it still names beside less.
    fence(f, 0, LATER, 0);
    capsule_world_state(&f->world, &f->fences, 2, RECEIPT_FENCE, LATER, heads, 2);
    assert_int_not_equal(judge(f), STATUS_OK);
}

static void fewer_than_w_receipts_show_nothing(void **state)
{
    struct fixture *f = *state;
    receipt(f, 0, 1, f->sync.sequence);
    receipt(f, 0, 1, f->sync.sequence + 1);
    two_deny(f);
    assert_int_equal(judge(f), STATUS_FORGED);
}

static void fewer_than_r_answers_prove_nothing(void **state)
{
    struct fixture *f = *state;
    two_held(f);
    fence(f, 0, LATER, 0);
    fence(f, 0, LATER, 1);
    assert_int_equal(judge(f), STATUS_FORGED);
}

static void a_store_that_still_holds_it_has_not_denied(void **state)
{
    struct fixture *f = *state;
    two_held(f);
    fence(f, 0, LATER, 0);
    fence(f, 1, LATER, f->sync.sequence);
    assert_int_equal(judge(f), STATUS_FORGED);
    buffer_clear(&f->fences);
    fence(f, 0, LATER, 0);
    fence(f, 1, LATER, f->sync.sequence + 1);
    assert_int_equal(judge(f), STATUS_FORGED);
}

static void what_was_said_before_it_was_held_proves_nothing(void **state)
{
    struct fixture *f = *state;
    two_held(f);
    fence(f, 0, 1, 0);
    fence(f, 1, 1, 0);
    assert_int_equal(judge(f), STATUS_FORGED);
    // Answers to two leaders are not one answer.
    buffer_clear(&f->fences);
    fence(f, 0, LATER, 0);
    fence(f, 1, LATER + 1, 0);
    assert_int_equal(judge(f), STATUS_FORGED);
}

static void a_store_that_spoke_in_the_later_term_is_not_blamed(void **state)
{
    struct fixture *f = *state;
    // It may have got it after it was asked.
    receipt(f, 0, LATER, f->sync.sequence);
    receipt(f, 1, LATER, f->sync.sequence);
    two_deny(f);
    assert_int_equal(judge(f), STATUS_FORGED);
}

static void a_receipt_is_no_denial_and_a_fence_no_receipt(void **state)
{
    struct fixture *f = *state;
    two_held(f);
    const struct branch_head head = leader_at(f, 0);
    capsule_world_state(&f->world, &f->fences, 0, RECEIPT_DURABLE, LATER, &head, 1);
    capsule_world_state(&f->world, &f->fences, 1, RECEIPT_DURABLE, LATER, &head, 1);
    assert_int_equal(judge(f), STATUS_FORGED);
}

static void another_record_than_a_sync_shows_nothing(void **state)
{
    struct fixture *f = *state;
    two_held(f);
    two_deny(f);
    assert_int_equal(judge_parts(f, f->term_body, capsule_world_record(&f->world, 2)),
                     STATUS_FORGED);
}

static void p2_no_bent_byte_is_a_proof(void **state)
{
    struct fixture *f = *state;
    two_held(f);
    two_deny(f);
    assert_int_equal(judge(f), STATUS_OK);
    for (size_t i = 0; i < f->bytes.length; i++) {
        f->bytes.bytes[i] ^= 0x10;
        assert_int_not_equal(proof_verify(&f->proof, buffer_bytes(&f->bytes)), STATUS_OK);
        f->bytes.bytes[i] ^= 0x10;
    }
    for (size_t length = 0; length < f->bytes.length; length += 7) {
        assert_int_not_equal(proof_verify(&f->proof, bytes_of(f->bytes.bytes, length)), STATUS_OK);
    }
}

static void p8_a_fork_is_proved_by_its_own_file(void **state)
{
    struct fixture *f = *state;
    struct capsule_world_draft draft;
    struct buffer first = BUFFER_EMPTY, records = BUFFER_EMPTY;
    struct capsule_world_writer *worker = &f->world.writers[1];
    for (int i = 0; i < 2; i++) {
        capsule_world_draft(&f->world, &draft, worker, RECORD_DATA);
        capsule_world_tuple(&f->world, worker, &draft.body, "key", i == 0 ? "one" : "two");
        capsule_world_build(&f->world, &draft);
        if (i == 0) {
            assert_int_equal(buffer_append(&first, f->world.tried.bytes, f->world.tried.length),
                             STATUS_OK);
        }
    }
    assert_int_equal(
        receipt_fork_encode(&records, buffer_bytes(&first), buffer_bytes(&f->world.tried)),
        STATUS_OK);
    assert_int_equal(proof_fork_encode(&f->bytes, &worker->public_key, buffer_bytes(&records)),
                     STATUS_OK);
    assert_int_equal(proof_verify(&f->proof, buffer_bytes(&f->bytes)), STATUS_OK);
    assert_int_equal(f->proof.kind, PROOF_FORK);
    assert_true(writer_id_equal(&f->proof.writer, &worker->id));
    assert_int_equal(f->proof.sequence, worker->head.sequence + 1);
    buffer_clear(&f->bytes);
    assert_int_equal(
        proof_fork_encode(&f->bytes, &f->world.leader->public_key, buffer_bytes(&records)),
        STATUS_OK);
    assert_int_equal(proof_verify(&f->proof, buffer_bytes(&f->bytes)), STATUS_FORGED);
    buffer_release(&first);
    buffer_release(&records);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(p8_a_rollback_is_proved_and_the_stores_that_lie_are_named),
        TEST(p8_a_warrant_shows_that_stores_held_a_sync),
        TEST(a_store_that_names_a_branch_twice_is_held_to_the_most_of_it),
        TEST(fewer_than_w_receipts_show_nothing),
        TEST(fewer_than_r_answers_prove_nothing),
        TEST(a_store_that_still_holds_it_has_not_denied),
        TEST(what_was_said_before_it_was_held_proves_nothing),
        TEST(a_store_that_spoke_in_the_later_term_is_not_blamed),
        TEST(a_receipt_is_no_denial_and_a_fence_no_receipt),
        TEST(another_record_than_a_sync_shows_nothing),
        TEST(p2_no_bent_byte_is_a_proof),
        TEST(p8_a_fork_is_proved_by_its_own_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
