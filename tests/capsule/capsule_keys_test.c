/* tests/capsule/capsule_keys_test.c */

/*
 * Goal: whoever holds no key still refuses what is sealed with the wrong one: what a branch writes
 * after it has joined a key epoch, and what it writes after the owner has revoked it.
 * Method: a world of true records; each rule is broken once by a draft, and kept once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "capsule/capsule_snapshot.h"
#include "capsule/revoke.h"
#include "tests/capsule/two_workers.h"

static void assert_reason(const struct two_workers *f, const char *part)
{
    assert_non_null(strstr(capsule_reason(f->world.capsule), part));
}

static enum status try_sync(struct two_workers *f, uint32_t key_epoch)
{
    struct capsule_world_sync_plan plan;
    capsule_world_plan_sync(&f->world, &plan);
    plan.key_epoch = key_epoch;
    return capsule_world_try_sync(&f->world, &plan);
}

static void rotate(struct two_workers *f)
{
    capsule_world_rotate(&f->world, secret_new_random(&f->world.random));
}

/* DATA of this writer's, said to be sealed with the key of that epoch. */
static enum status try_data(struct two_workers *f, struct capsule_world_writer *writer,
                            uint32_t key_epoch)
{
    struct capsule_world_draft draft;
    capsule_world_draft(&f->world, &draft, writer, RECORD_DATA);
    capsule_world_tuple(&f->world, writer, &draft.body, "key", "value");
    draft.fields.key_epoch = key_epoch;
    return capsule_world_try(&f->world, &draft);
}

static enum status try_revoke(struct two_workers *f, const struct writer_id *writer,
                              const struct hash *capsule, const struct sign_key *key)
{
    struct capsule_world_draft draft;
    capsule_world_draft(&f->world, &draft, f->world.leader, RECORD_REVOKE);
    assert_int_equal(revoke_encode(&draft.body, capsule, writer, key), STATUS_OK);
    return capsule_world_try(&f->world, &draft);
}

static void p11_key_epochs_rise_by_one_with_a_sync(void **state)
{
    struct two_workers *f = *state;
    assert_int_equal(capsule_key_epoch(f->world.capsule), 1);
    assert_int_equal(try_sync(f, 1), STATUS_FORGED);
    assert_reason(f, "it begins key epoch 1 after 1");
    assert_int_equal(try_sync(f, 3), STATUS_FORGED);
    assert_int_equal(try_sync(f, 2), STATUS_OK);
    assert_int_equal(capsule_key_epoch(f->world.capsule), 2);
    assert_int_equal(try_sync(f, 0), STATUS_OK);
    assert_int_equal(capsule_key_epoch(f->world.capsule), 2);
    assert_int_equal(capsule_newest_sync(f->world.capsule)->key_epoch, 2);
}

static void p11_a_branch_seals_with_the_key_epoch_it_has_joined(void **state)
{
    struct two_workers *f = *state;
    assert_int_equal(try_data(f, f->a, 0), STATUS_FORGED);
    assert_int_equal(try_data(f, f->a, 2), STATUS_FORGED);
    assert_int_equal(try_data(f, f->a, 1), STATUS_OK);
    rotate(f);

    // A branch that has not joined yet goes on with the old key, and only with that.
    f->a->names_join = false;
    f->a->joined_epoch = 0;
    assert_int_equal(try_data(f, f->a, 2), STATUS_FORGED);
    assert_reason(f, "sealed by key epoch 2, its place is in 1");
    assert_int_equal(try_data(f, f->a, 1), STATUS_OK);

    // One that has joined does not go back.
    assert_int_equal(try_data(f, f->b, 1), STATUS_FORGED);
    assert_reason(f, "sealed by key epoch 1, its place is in 2");
    assert_int_equal(try_data(f, f->b, 2), STATUS_OK);
    assert_int_equal(try_data(f, f->b, 1), STATUS_FORGED);
    assert_int_equal(capsule_member_find(f->world.capsule, &f->b->id)->joined_key_epoch, 2);
    assert_int_equal(capsule_member_find(f->world.capsule, &f->a->id)->joined_key_epoch, 1);
}

static void p11_a_newcomer_and_a_leader_seal_with_the_key_epoch_in_force(void **state)
{
    struct two_workers *f = *state;
    struct capsule_world_draft draft;
    rotate(f);
    struct capsule_world_writer *c = capsule_world_admit(&f->world, MEMBER_WORKER);
    assert_int_equal(try_data(f, c, 1), STATUS_FORGED);
    assert_int_equal(try_data(f, c, 2), STATUS_OK);

    capsule_world_draft(&f->world, &draft, f->world.leader, RECORD_FUNCTION);
    draft.fields.key_epoch = 1;
    assert_int_equal(capsule_world_try(&f->world, &draft), STATUS_FORGED);
    capsule_world_draft(&f->world, &draft, f->world.leader, RECORD_FUNCTION);
    assert_int_equal(draft.fields.key_epoch, 2);
    assert_int_equal(capsule_world_try(&f->world, &draft), STATUS_OK);
}

static void what_is_not_sealed_names_no_key_epoch(void **state)
{
    struct two_workers *f = *state;
    struct capsule_world_draft draft;
    capsule_world_draft(&f->world, &draft, f->world.leader, RECORD_MEMBER);
    draft.fields.key_epoch = 1;
    assert_int_equal(capsule_world_try(&f->world, &draft), STATUS_FORGED);
    assert_reason(f, "nothing in it is sealed");
}

static void p11_only_the_owner_revokes_and_only_members(void **state)
{
    struct two_workers *f = *state;
    const struct hash other = {.bytes = {1}};
    const struct writer_id stranger = capsule_world_stranger(&f->world, MEMBER_WORKER)->id;
    const struct capsule_world *world = &f->world;
    assert_int_equal(try_revoke(f, &f->b->id, &world->name, world->leader->key), STATUS_FORGED);
    assert_int_equal(try_revoke(f, &f->b->id, &other, world->owner), STATUS_FORGED);
    assert_int_equal(try_revoke(f, &stranger, &world->name, world->owner), STATUS_FORGED);
    assert_reason(f, "unknown writer");
    assert_int_equal(try_revoke(f, &world->leader->id, &world->name, world->owner), STATUS_DENIED);
    assert_false(capsule_must_rotate(world->capsule));
    assert_int_equal(capsule_member_find(world->capsule, &f->b->id)->revoked_epoch, 0);
    assert_int_equal(try_revoke(f, &f->b->id, &world->name, world->owner), STATUS_OK);
    assert_int_equal(try_revoke(f, &f->b->id, &world->name, world->owner), STATUS_OK);
    assert_true(capsule_must_rotate(world->capsule));
    assert_int_equal(capsule_member_find(world->capsule, &f->b->id)->revoked_epoch, 1);
}

static void p11_the_sync_after_a_revocation_begins_a_key_epoch(void **state)
{
    struct two_workers *f = *state;
    capsule_world_revoke(&f->world, f->b);
    assert_int_equal(try_sync(f, 0), STATUS_FORGED);
    assert_reason(f, "a member was revoked before it");
    assert_int_equal(try_sync(f, 2), STATUS_OK);
    assert_false(capsule_must_rotate(f->world.capsule));
    assert_int_equal(try_sync(f, 0), STATUS_OK);
}

static void p11_who_was_revoked_joins_nothing_and_ends_at_its_cut(void **state)
{
    struct two_workers *f = *state;
    capsule_world_sync(&f->world);
    capsule_world_revoke(&f->world, f->b);
    const struct capsule_world_writer before = *f->b;
    rotate(f);

    // With the key, which it never gets, it would be refused: in DATA, and in an EOE.
    assert_int_equal(try_data(f, f->b, 2), STATUS_CLOSED);
    assert_reason(f, "the owner revoked it");
    struct capsule_world_draft draft;
    const struct eoe eoe = {.epoch = 3, .lamport = 9, .sync = f->b->joined};
    capsule_world_draft(&f->world, &draft, f->b, RECORD_EOE);
    assert_int_equal(sync_eoe_encode(&draft.body, &eoe, NULL), STATUS_OK);
    assert_int_equal(capsule_world_try(&f->world, &draft), STATUS_CLOSED);

    // Nor by a leap, which the EOE itself has to justify.
    capsule_world_draft(&f->world, &draft, f->b, RECORD_EOE);
    draft.fields.sequence += 2;
    assert_int_equal(sync_eoe_encode(&draft.body, &eoe, NULL), STATUS_OK);
    capsule_world_build(&f->world, &draft);
    struct record record;
    assert_int_equal(record_decode(&record, f->world.tried.bytes, f->world.tried.length),
                     STATUS_OK);
    assert_int_equal(capsule_accept_leap(f->world.capsule, &record), STATUS_CLOSED);

    // What it had under way counts up to the cut, and nothing beyond.
    f->b->names_join = before.names_join;
    f->b->joined = before.joined;
    f->b->joined_epoch = before.joined_epoch;
    assert_int_equal(try_data(f, f->b, 1), STATUS_OK);
    struct capsule_world_close_plan plan;
    capsule_world_plan_close(&f->world, &plan, f->b);
    plan.body.reason = SYNC_CLOSE_REVOKED;
    assert_int_equal(capsule_world_try_close(&f->world, &plan), STATUS_OK);
    assert_int_equal(try_data(f, f->b, 1), STATUS_CLOSED);
    assert_reason(f, "the branch was cut at 2");
}

static void p11_a_leader_closes_as_revoked_only_what_the_owner_revoked(void **state)
{
    struct two_workers *f = *state;
    struct capsule_world_close_plan plan;
    capsule_world_plan_close(&f->world, &plan, f->b);
    plan.body.reason = SYNC_CLOSE_REVOKED;
    assert_int_equal(capsule_world_try_close(&f->world, &plan), STATUS_FORGED);
    assert_reason(f, "the owner has not revoked");
    capsule_world_revoke(&f->world, f->b);
    capsule_world_plan_close(&f->world, &plan, f->b);
    plan.body.reason = SYNC_CLOSE_REVOKED;
    assert_int_equal(capsule_world_try_close(&f->world, &plan), STATUS_OK);
}

/* What goes on from a snapshot refuses the same. */
static void p11_a_snapshot_keeps_key_epochs_and_revocations(void **state)
{
    struct two_workers *f = *state;
    rotate(f);
    capsule_world_put(&f->world, f->a, "key", "a2");
    capsule_world_revoke(&f->world, f->b);

    struct buffer bytes = BUFFER_EMPTY;
    struct capsule_snapshot snapshot;
    struct capsule *restored;
    assert_int_equal(capsule_snapshot_encode_whole(&bytes, f->world.capsule), STATUS_OK);
    assert_int_equal(
        capsule_snapshot_restore(&restored, &snapshot, buffer_bytes(&f->world.genesis_body),
                                 buffer_bytes(&bytes)),
        STATUS_OK);
    buffer_release(&bytes);
    capsule_exchange(f->world.capsule, restored);
    capsule_free(restored);

    assert_int_equal(capsule_key_epoch(f->world.capsule), 2);
    assert_true(capsule_must_rotate(f->world.capsule));
    assert_int_equal(try_sync(f, 0), STATUS_FORGED);
    assert_int_equal(try_data(f, f->a, 1), STATUS_FORGED);
    assert_int_equal(try_data(f, f->a, 2), STATUS_OK);
    rotate(f);
    assert_int_equal(try_data(f, f->b, 3), STATUS_CLOSED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, two_workers_setup, two_workers_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(p11_key_epochs_rise_by_one_with_a_sync),
        TEST(p11_a_branch_seals_with_the_key_epoch_it_has_joined),
        TEST(p11_a_newcomer_and_a_leader_seal_with_the_key_epoch_in_force),
        TEST(what_is_not_sealed_names_no_key_epoch),
        TEST(p11_only_the_owner_revokes_and_only_members),
        TEST(p11_the_sync_after_a_revocation_begins_a_key_epoch),
        TEST(p11_who_was_revoked_joins_nothing_and_ends_at_its_cut),
        TEST(p11_a_leader_closes_as_revoked_only_what_the_owner_revoked),
        TEST(p11_a_snapshot_keeps_key_epochs_and_revocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
