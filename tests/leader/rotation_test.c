/* tests/leader/rotation_test.c */

/*
 * Goal: a data key leaves when no crash can undo the key epoch that it belongs to, and to nobody
 * whom the owner has revoked; the owner is answered when nothing is sealed with the old key.
 * Method: one leader and one worker's branch, written by hand (leader_world); the test decides
 * what the store takes and when the worker joins.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "capsule/keys.h"
#include "capsule/revoke.h"
#include "tests/leader/one_worker.h"

enum { REQUEST = 9 };

/* Store and leader have its EOE, which joins the newest SYNC. */
static void join_newest(struct one_worker *f)
{
    one_worker_write_eoe(f, 7);
    one_worker_tell_store(f);
    one_worker_tell_leader(f);
}

/* Whether the leader gives the worker the key of this epoch, and it is the right one. */
static bool is_given(struct one_worker *f, uint32_t key_epoch)
{
    struct buffer plain = BUFFER_EMPTY;
    const struct message_key request = {.key_epoch = key_epoch};
    size_t before = f->worker.channel_frame_count;
    CHECK(message_key_encode(&plain, &request) == STATUS_OK);
    one_worker_say(f, &plain);
    if (f->worker.channel_frame_count == before) {
        return false;
    }
    struct secret *key = keys_data(f->world.seed, &f->world.capsule, key_epoch);
    assert_int_equal(f->worker.message.kind, MESSAGE_KEY);
    assert_int_equal(f->worker.message.key.key_epoch, key_epoch);
    assert_memory_equal(f->worker.message.key.secret, secret_bytes(key), SECRET_BYTES);
    secret_free(key);
    return true;
}

static void rotate(struct one_worker *f)
{
    struct buffer plain = BUFFER_EMPTY;
    CHECK(message_rotate_encode(&plain, REQUEST) == STATUS_OK);
    leader_world_say(&f->world, buffer_bytes(&plain));
    buffer_release(&plain);
}

static void revoke(struct one_worker *f, const struct writer_id *writer,
                   const struct sign_key *owner)
{
    struct buffer body = BUFFER_EMPTY, plain = BUFFER_EMPTY;
    CHECK(revoke_encode(&body, &f->world.capsule, writer, owner) == STATUS_OK);
    const struct message_revoke message = {.request = REQUEST, .revocation = buffer_bytes(&body)};
    CHECK(message_revoke_encode(&plain, &message) == STATUS_OK);
    leader_world_say(&f->world, buffer_bytes(&plain));
    buffer_release(&body);
    buffer_release(&plain);
}

static void p11_a_key_is_given_when_its_sync_is_held_and_the_owner_told_when_all_have_joined(
    void **state)
{
    struct one_worker *f = *state;
    size_t answers = f->world.request_count;
    assert_true(is_given(f, 1));
    assert_false(is_given(f, 2));
    f->world.is_store_deaf_to_leader = true;
    rotate(f);
    leader_world_run(&f->world, 2000000);
    assert_int_equal(capsule_key_epoch(one_worker_capsule(f)), 2);
    assert_false(is_given(f, 2));

    f->world.is_store_deaf_to_leader = false;
    leader_world_run(&f->world, 500000);
    assert_true(is_given(f, 2));
    assert_false(is_given(f, 3));
    assert_int_equal(f->world.request_count, answers);
    join_newest(f);
    leader_world_run(&f->world, 20000);
    assert_int_equal(one_worker_member(f)->joined_key_epoch, 2);
    assert_int_equal(f->world.request_count, answers + 1);
    assert_int_equal(f->world.answer, STATUS_OK);
}

static void p11_who_is_revoked_is_given_no_key_and_is_closed(void **state)
{
    struct one_worker *f = *state;
    size_t answers = f->world.request_count;
    join_newest(f);
    f->world.is_store_silent = true;
    revoke(f, &f->worker.id, f->world.owner);
    assert_true(one_worker_member(f)->revoked_epoch > 0);
    assert_false(is_given(f, 1));
    leader_world_run(&f->world, 1000000);
    assert_false(one_worker_member(f)->is_closed);

    f->world.is_store_silent = false;
    leader_world_run(&f->world, 3000000);
    assert_true(one_worker_member(f)->is_closed);
    assert_int_equal(one_worker_member(f)->cut.sequence, f->head.sequence);
    assert_int_equal(capsule_key_epoch(one_worker_capsule(f)), 2);
    assert_false(is_given(f, 2));
    assert_int_equal(f->world.request_count, answers + 1);
    assert_int_equal(f->world.answer, STATUS_OK);

    revoke(f, &f->worker.id, f->world.owner);
    assert_int_equal(f->world.answer, STATUS_STALE);
}

static void p11_a_later_leader_begins_the_key_epoch_that_a_revocation_asked_for(void **state)
{
    struct one_worker *f = *state;
    revoke(f, &f->worker.id, f->world.owner);
    assert_true(capsule_must_rotate(one_worker_capsule(f)));
    leader_world_restart(&f->world);
    leader_world_lead(&f->world, 2);
    assert_int_equal(capsule_key_epoch(one_worker_capsule(f)), 2);
    assert_true(one_worker_member(f)->is_closed);
    struct leader_world_joiner newcomer;
    leader_world_joiner_init(&f->world, &newcomer);
    leader_world_join(&f->world, &newcomer, MEMBER_WORKER, &f->world.capsule);
    assert_int_equal(newcomer.message.kind, MESSAGE_GRANT);
    assert_int_equal(newcomer.message.grant.key_count, 2);
    leader_world_joiner_release(&newcomer);
}

static void p11_only_the_owner_revokes_and_only_members(void **state)
{
    struct one_worker *f = *state;
    const struct writer_id nobody = {{1}};
    revoke(f, &f->worker.id, f->world.vendor);
    assert_int_equal(f->world.answer, STATUS_FORGED);
    revoke(f, &nobody, f->world.owner);
    assert_int_equal(f->world.answer, STATUS_NOT_FOUND);
    revoke(f, &f->world.leader_id, f->world.owner);
    assert_int_equal(f->world.answer, STATUS_DENIED);
    assert_int_equal(f->world.record_counts[RECORD_REVOKE], 0);
}

/* Here one that is silent, too. */
static void p11_who_never_joins_a_key_epoch_is_closed(void **state)
{
    struct one_worker *f = *state;
    size_t answers = f->world.request_count;
    rotate(f);
    leader_world_run(&f->world, 25000000);
    assert_false(one_worker_member(f)->is_closed);
    assert_int_equal(f->world.request_count, answers);
    leader_world_run(&f->world, 8000000);
    assert_true(one_worker_member(f)->is_closed);
    assert_int_equal(f->world.request_count, answers + 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, one_worker_setup, one_worker_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(p11_a_key_is_given_when_its_sync_is_held_and_the_owner_told_when_all_have_joined),
        TEST(p11_who_is_revoked_is_given_no_key_and_is_closed),
        TEST(p11_a_later_leader_begins_the_key_epoch_that_a_revocation_asked_for),
        TEST(p11_only_the_owner_revokes_and_only_members),
        TEST(p11_who_never_joins_a_key_epoch_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
