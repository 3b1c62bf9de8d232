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
#include "tests/support/leader_world.h"

enum { REQUEST = 9 };

struct fixture {
    struct leader_world world;
    struct leader_world_joiner worker;
    struct head head;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    leader_world_init(&f->world, 3);
    leader_world_begin(&f->world);
    leader_world_lead(&f->world, 1);
    leader_world_joiner_init(&f->world, &f->worker);
    leader_world_join(&f->world, &f->worker, MEMBER_WORKER, &f->world.capsule);
    assert_true(f->worker.is_granted);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    leader_world_joiner_release(&f->worker);
    leader_world_release(&f->world);
    free(f);
    return 0;
}

static const struct capsule *capsule_of(const struct fixture *f)
{
    return leader_capsule(f->world.leader);
}

static const struct capsule_member *member_of(const struct fixture *f)
{
    return capsule_member_find(capsule_of(f), &f->worker.id);
}

/* The worker's EOE, which joins the newest SYNC; store and leader have it. */
static void join_newest(struct fixture *f)
{
    const struct capsule_sync *sync = capsule_newest_sync(capsule_of(f));
    struct hash parents[2], hash;
    struct buffer body = BUFFER_EMPTY, record = BUFFER_EMPTY;
    const struct eoe eoe = {.epoch = sync->epoch + 1, .lamport = 7, .sync = sync->hash};
    struct record_fields fields = {
        .type = RECORD_EOE,
        .sequence = f->head.sequence + 1,
        .epoch = sync->epoch + 1,
        .writer = f->worker.id,
        .capsule = f->world.capsule,
        .parents = parents,
    };
    if (f->head.sequence > 0) {
        parents[fields.parent_count++] = f->head.hash;
    }
    if (!hash_equal(&member_of(f)->joined, &sync->hash)) {
        parents[fields.parent_count++] = sync->hash;
    }
    CHECK(sync_eoe_encode(&body, &eoe, NULL) == STATUS_OK);
    CHECK(record_encode(&record, &hash, &fields, buffer_bytes(&body), f->worker.key) == STATUS_OK);
    f->head = (struct head){.sequence = fields.sequence, .hash = hash};
    leader_world_store(&f->world, buffer_bytes(&record));
    leader_world_send(&f->world, FRAME_RECORD, 0, &f->worker.id, buffer_bytes(&record));
    buffer_release(&body);
    buffer_release(&record);
}

/* Whether the leader gives the worker the key of this epoch, and it is the right one. */
static bool is_given(struct fixture *f, uint32_t key_epoch)
{
    struct buffer plain = BUFFER_EMPTY, sealed = BUFFER_EMPTY;
    const struct message_key request = {.key_epoch = key_epoch};
    size_t before = f->worker.channel_frame_count;
    CHECK(message_key_encode(&plain, &request) == STATUS_OK);
    CHECK(channel_seal(f->worker.channel, &sealed, buffer_bytes(&plain)) == STATUS_OK);
    leader_world_send(&f->world, FRAME_CHANNEL, 0, &f->worker.id, buffer_bytes(&sealed));
    buffer_release(&plain);
    buffer_release(&sealed);
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

static void rotate(struct fixture *f)
{
    struct buffer plain = BUFFER_EMPTY;
    CHECK(message_rotate_encode(&plain, REQUEST) == STATUS_OK);
    leader_world_say(&f->world, buffer_bytes(&plain));
    buffer_release(&plain);
}

static void revoke(struct fixture *f, const struct writer_id *writer, const struct sign_key *owner)
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
    struct fixture *f = *state;
    size_t answers = f->world.request_count;
    assert_true(is_given(f, 1));
    assert_false(is_given(f, 2));
    f->world.is_store_deaf_to_leader = true;
    rotate(f);
    leader_world_run(&f->world, 2000000);
    assert_int_equal(capsule_key_epoch(capsule_of(f)), 2);
    assert_false(is_given(f, 2));

    f->world.is_store_deaf_to_leader = false;
    leader_world_run(&f->world, 500000);
    assert_true(is_given(f, 2));
    assert_false(is_given(f, 3));
    assert_int_equal(f->world.request_count, answers);
    join_newest(f);
    leader_world_run(&f->world, 20000);
    assert_int_equal(member_of(f)->joined_key_epoch, 2);
    assert_int_equal(f->world.request_count, answers + 1);
    assert_int_equal(f->world.answer, STATUS_OK);
}

static void p11_who_is_revoked_is_given_no_key_and_is_closed(void **state)
{
    struct fixture *f = *state;
    size_t answers = f->world.request_count;
    join_newest(f);
    f->world.is_store_silent = true;
    revoke(f, &f->worker.id, f->world.owner);
    assert_true(member_of(f)->revoked_epoch > 0);
    assert_false(is_given(f, 1));
    leader_world_run(&f->world, 1000000);
    assert_false(member_of(f)->is_closed);

    f->world.is_store_silent = false;
    leader_world_run(&f->world, 3000000);
    assert_true(member_of(f)->is_closed);
    assert_int_equal(member_of(f)->cut.sequence, f->head.sequence);
    assert_int_equal(capsule_key_epoch(capsule_of(f)), 2);
    assert_false(is_given(f, 2));
    assert_int_equal(f->world.request_count, answers + 1);
    assert_int_equal(f->world.answer, STATUS_OK);

    revoke(f, &f->worker.id, f->world.owner);
    assert_int_equal(f->world.answer, STATUS_STALE);
}

static void p11_a_later_leader_begins_the_key_epoch_that_a_revocation_asked_for(void **state)
{
    struct fixture *f = *state;
    revoke(f, &f->worker.id, f->world.owner);
    assert_true(capsule_must_rotate(capsule_of(f)));
    leader_world_restart(&f->world);
    leader_world_lead(&f->world, 2);
    assert_int_equal(capsule_key_epoch(capsule_of(f)), 2);
    assert_true(member_of(f)->is_closed);
    struct leader_world_joiner newcomer;
    leader_world_joiner_init(&f->world, &newcomer);
    leader_world_join(&f->world, &newcomer, MEMBER_WORKER, &f->world.capsule);
    assert_int_equal(newcomer.message.kind, MESSAGE_GRANT);
    assert_int_equal(newcomer.message.grant.key_count, 2);
    leader_world_joiner_release(&newcomer);
}

static void p11_only_the_owner_revokes_and_only_members(void **state)
{
    struct fixture *f = *state;
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
    struct fixture *f = *state;
    size_t answers = f->world.request_count;
    rotate(f);
    leader_world_run(&f->world, 25000000);
    assert_false(member_of(f)->is_closed);
    assert_int_equal(f->world.request_count, answers);
    leader_world_run(&f->world, 8000000);
    assert_true(member_of(f)->is_closed);
    assert_int_equal(f->world.request_count, answers + 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
