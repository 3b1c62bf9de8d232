/* tests/capsule/delegation_test.c */

/*
 * Goal: a keeper signs what the owner has let it sign, and nothing else: terms of its range, until
 * its time, that give nothing up.
 * Method: round trips of delegations and of the TERMs that rest on them; then each bent, or signed
 * by somebody else, or beyond the range; and a whole capsule whose next leader a keeper makes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "capsule/delegation.h"
#include "capsule/term.h"
#include "tests/support/capsule_world.h"

struct fixture {
    struct capsule_world world;
    struct sign_key *key;
    struct delegation delegation;
    struct buffer body;
    struct buffer term_body;
    struct term term;
};

static int setup(void **state)
{
    static struct fixture f;
    static const uint8_t seed[SIGN_SEED_BYTES] = {9};
    f = (struct fixture){.body = BUFFER_EMPTY};
    capsule_world_init(&f.world, 5, 1, 1, 0);
    f.key = sign_key_new_from_seed(seed);
    f.delegation = (struct delegation){
        .capsule = f.world.name,
        .keeper = sign_key_public(f.key),
        .name = "deputy",
        .first = 2,
        .last = 4,
        .until_s = f.world.time_ms / 1000 + 3600,
    };
    assert_int_equal(delegation_encode(&f.body, &f.delegation, f.world.owner), STATUS_OK);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    buffer_release(&f->body);
    buffer_release(&f->term_body);
    sign_key_free(f->key);
    capsule_world_release(&f->world);
    return 0;
}

static enum status read_back(struct fixture *f, struct delegation *read)
{
    return delegation_decode(read, buffer_bytes(&f->body), &f->world.genesis.owner, &f->world.name);
}

/* Encode a TERM of this number as the keeper would, and read it. */
static enum status judge(struct fixture *f, uint64_t number, uint64_t lost_epoch,
                         const struct sign_key *signer)
{
    const struct term term = {
        .capsule = f->world.name,
        .number = number,
        .leader = f->delegation.keeper,  // any key
        .lost_epoch = lost_epoch,
        .evidence = bytes_text("evidence"),
        .delegation = buffer_bytes(&f->body),
    };
    buffer_clear(&f->term_body);
    assert_int_equal(term_encode(&f->term_body, &term, signer), STATUS_OK);
    return term_decode(&f->term, buffer_bytes(&f->term_body), &f->world.genesis.owner,
                       &f->world.name);
}

static void a_delegation_reads_back(void **state)
{
    struct fixture *f = *state;
    struct delegation read;
    assert_int_equal(read_back(f, &read), STATUS_OK);
    assert_string_equal(read.name, "deputy");
    assert_int_equal(read.first, 2);
    assert_int_equal(read.last, 4);
    assert_true(read.until_s == f->delegation.until_s);
    assert_true(verify_key_equal(&read.keeper, &f->delegation.keeper));
}

static void p2_no_bent_byte_of_a_delegation_is_taken(void **state)
{
    struct fixture *f = *state;
    struct delegation read;
    for (size_t i = 0; i < f->body.length; i++) {
        f->body.bytes[i] ^= 4;
        assert_int_not_equal(read_back(f, &read), STATUS_OK);
        f->body.bytes[i] ^= 4;
    }
    struct hash other = hash_of("other", 5);
    assert_int_equal(
        delegation_decode(&read, buffer_bytes(&f->body), &f->world.genesis.owner, &other),
        STATUS_FORGED);
}

static void nobody_but_the_owner_delegates(void **state)
{
    struct fixture *f = *state;
    struct delegation read;
    buffer_clear(&f->body);
    assert_int_equal(delegation_encode(&f->body, &f->delegation, f->key), STATUS_OK);
    assert_int_equal(read_back(f, &read), STATUS_FORGED);
    assert_int_equal(judge(f, 2, 0, f->key), STATUS_FORGED);
}

static void a_keepers_term_says_whose_it_is(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(judge(f, 3, 0, f->key), STATUS_OK);
    assert_int_equal(f->term.number, 3);
    assert_string_equal(f->term.keeper.name, "deputy");
    assert_true(bytes_equal(f->term.evidence, bytes_text("evidence")));
    assert_true(bytes_equal(f->term.delegation, buffer_bytes(&f->body)));
}

static void a_keeper_signs_terms_of_its_range_alone(void **state)
{
    struct fixture *f = *state;
    const uint64_t refused[] = {1, 5, 1 << 20};
    for (uint64_t number = 2; number <= 4; number++) {
        assert_int_equal(judge(f, number, 0, f->key), STATUS_OK);
    }
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        assert_int_equal(judge(f, refused[i], 0, f->key), STATUS_FORGED);
    }
}

static void p8_a_keeper_gives_nothing_up(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(judge(f, 2, 7, f->key), STATUS_FORGED);
}

static void p8_the_owner_may_give_up_what_is_lost(void **state)
{
    struct fixture *f = *state;
    const struct term term = {
        .capsule = f->world.name,
        .number = 2,
        .leader = f->delegation.keeper,
        .sync = hash_of("kept", 4),
        .sync_epoch = 3,
        .lost = hash_of("lost", 4),
        .lost_epoch = 7,
        .evidence = bytes_text("evidence"),
    };
    assert_int_equal(term_encode(&f->term_body, &term, f->world.owner), STATUS_OK);
    assert_int_equal(
        term_decode(&f->term, buffer_bytes(&f->term_body), &f->world.genesis.owner, &f->world.name),
        STATUS_OK);
    assert_int_equal(f->term.lost_epoch, 7);
    assert_true(hash_equal(&f->term.lost, &term.lost));
    assert_int_equal(f->term.sync_epoch, 3);
    assert_string_equal(f->term.keeper.name, "");
}

static void another_key_with_the_keepers_delegation_signs_nothing(void **state)
{
    struct fixture *f = *state;
    static const uint8_t seed[SIGN_SEED_BYTES] = {10};
    struct sign_key *other = sign_key_new_from_seed(seed);
    assert_int_equal(judge(f, 2, 0, other), STATUS_FORGED);
    sign_key_free(other);
}

/* A leader that a keeper made, in a capsule whose last SYNC is of this time. */
static enum status take_over(struct fixture *f)
{
    struct capsule_world_draft draft;
    struct capsule_world *world = &f->world;
    struct capsule_world_writer *leader = capsule_world_stranger(world, MEMBER_LEADER);
    struct capsule_world_writer *before = world->leader;
    const struct term term = {
        .capsule = world->name,
        .number = 2,
        .leader = leader->public_key,
        .sync = world->sync,
        .sync_epoch = world->sync_epoch,
        .evidence = world->evidence,
        .delegation = buffer_bytes(&f->body),
    };
    leader->term = 2;
    capsule_world_draft(world, &draft, leader, RECORD_TERM);
    assert_int_equal(term_encode(&draft.body, &term, f->key), STATUS_OK);
    assert_int_equal(capsule_world_try(world, &draft), STATUS_OK);
    world->leader = leader;
    capsule_world_close(world, before);
    struct capsule_world_sync_plan plan;
    capsule_world_plan_sync(world, &plan);
    return capsule_world_try_sync(world, &plan);
}

static void p9_a_leader_that_a_keeper_made_leads(void **state)
{
    struct fixture *f = *state;
    capsule_world_start(&f->world);
    capsule_world_sync(&f->world);
    assert_int_equal(take_over(f), STATUS_OK);
}

static void p11_after_its_time_a_keepers_leader_does_not_begin(void **state)
{
    struct fixture *f = *state;
    f->world.time_ms = f->delegation.until_s * 1000;
    capsule_world_start(&f->world);
    capsule_world_sync(&f->world);
    assert_int_equal(take_over(f), STATUS_FORGED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_delegation_reads_back),
        TEST(p2_no_bent_byte_of_a_delegation_is_taken),
        TEST(nobody_but_the_owner_delegates),
        TEST(a_keepers_term_says_whose_it_is),
        TEST(a_keeper_signs_terms_of_its_range_alone),
        TEST(p8_a_keeper_gives_nothing_up),
        TEST(p8_the_owner_may_give_up_what_is_lost),
        TEST(another_key_with_the_keepers_delegation_signs_nothing),
        TEST(p9_a_leader_that_a_keeper_made_leads),
        TEST(p11_after_its_time_a_keepers_leader_does_not_begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
