/* tests/capsule/capsule_snapshot_test.c */

/*
 * Goal: whoever goes on from a snapshot judges everything that comes as whoever read the whole
 * history does; and no bytes make a capsule that contradicts itself.
 * Method: one history with two leaders, a closed branch and a branch that lags. At each of its
 * records take a snapshot, restore it, give both capsules the rest, and compare. Then cut and bend
 * the bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "capsule/capsule_snapshot.h"
#include "capsule/lock.h"
#include "tests/support/capsule_world.h"

struct fixture {
    struct capsule_world world;
    struct capsule_world_writer *a, *b, *c;
    struct buffer bytes, again;
};

static const struct capsule_snapshot_more nothing;

/* A SYNC that leaves out what `absent` wrote since the last one. */
static void sync_without(struct capsule_world *world, struct capsule_world_writer *absent)
{
    struct capsule_world_sync_plan plan;
    struct capsule_world_writer kept = *absent;
    capsule_world_plan_sync(world, &plan);
    for (uint32_t i = 0; i < plan.body.head_count; i++) {
        if (writer_id_equal(&plan.heads[i].branch.writer, &absent->id)) {
            plan.heads[i] = plan.heads[plan.body.head_count - 1];
            plan.body.head_count--;
        }
    }
    assert_int_equal(capsule_world_try_sync(world, &plan), STATUS_OK);
    // It has not heard of it.
    absent->joined = kept.joined;
    absent->joined_epoch = kept.joined_epoch;
    absent->joined_lamport = kept.joined_lamport;
    absent->names_join = kept.names_join;
}

static const struct hash LOCK_NAME = {.bytes = {7, 7}};

/* The leader decides on a grant of the lock. */
static enum status decide(struct capsule_world *world, uint64_t fence)
{
    struct capsule_world_draft draft;
    const struct lock_body lock = {
        .term = lock_fence_term(fence), .lock = LOCK_NAME, .fence = fence};
    capsule_world_draft(world, &draft, world->leader, RECORD_LOCK);
    assert_int_equal(lock_encode(&draft.body, &lock), STATUS_OK);
    return capsule_world_try(world, &draft);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    struct capsule_world *world = &f->world;
    capsule_world_init(world, 11, 1, 1, 0);
    capsule_world_start(world);
    f->a = capsule_world_admit(world, MEMBER_WORKER);
    f->b = capsule_world_admit(world, MEMBER_WORKER);
    capsule_world_put(world, f->a, "x", "1");
    capsule_world_put(world, f->b, "x", "2");
    capsule_world_sync(world);
    capsule_world_put(world, f->a, "x", "3");
    capsule_world_put(world, f->b, "y", "1");
    capsule_world_eoe(world, f->a);
    sync_without(world, f->b);
    capsule_world_put(world, f->a, "x", "4");
    capsule_world_put(world, f->b, "y", "2");
    sync_without(world, f->b);
    f->c = capsule_world_admit(world, MEMBER_WORKER);
    capsule_world_put(world, f->c, "z", "1");
    capsule_world_put(world, f->b, "y", "3");
    capsule_world_sync(world);
    capsule_world_close(world, f->b);
    capsule_world_put(world, f->c, "z", "2");
    capsule_world_sync(world);
    struct capsule_world_writer *old = world->leader;
    capsule_world_restart(world);
    capsule_world_close(world, old);
    capsule_world_close(world, f->a);
    capsule_world_sync(world);
    capsule_world_put(world, f->c, "z", "3");
    assert_int_equal(decide(world, lock_fence(2, 3)), STATUS_OK);
    capsule_world_sync(world);
    capsule_world_put(world, f->c, "z", "4");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    buffer_release(&f->bytes);
    buffer_release(&f->again);
    capsule_world_release(&f->world);
    free(f);
    return 0;
}

/* A capsule that has accepted the first `count` records. */
static struct capsule *capsule_after(struct fixture *f, size_t count)
{
    struct capsule *capsule;
    assert_int_equal(capsule_new(&capsule, buffer_bytes(&f->world.genesis_body)), STATUS_OK);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(capsule_world_feed(capsule, capsule_world_record(&f->world, i)),
                         STATUS_OK);
    }
    return capsule;
}

static struct capsule *restore(struct fixture *f)
{
    struct capsule *capsule;
    struct capsule_snapshot snapshot;
    assert_int_equal(
        capsule_snapshot_restore(&capsule, &snapshot, buffer_bytes(&f->world.genesis_body),
                                 buffer_bytes(&f->bytes)),
        STATUS_OK);
    return capsule;
}

static void assert_same_member(const struct capsule_member *a, const struct capsule_member *b)
{
    assert_non_null(a);
    assert_true(verify_key_equal(&a->key, &b->key));
    assert_int_equal(a->role, b->role);
    assert_int_equal(a->term, b->term);
    assert_true(hash_equal(&a->admitted_by, &b->admitted_by));
    assert_int_equal(a->head.sequence, b->head.sequence);
    assert_true(hash_equal(&a->head.hash, &b->head.hash));
    assert_true(hash_equal(&a->joined, &b->joined));
    assert_int_equal(a->joined_epoch, b->joined_epoch);
    assert_int_equal(a->joined_lamport, b->joined_lamport);
    assert_int_equal(a->is_closed, b->is_closed);
    assert_int_equal(a->cut.sequence, b->cut.sequence);
}

/* All that `part` knows is as `whole` knows it. */
static void assert_agrees(const struct capsule *part, const struct capsule *whole)
{
    assert_int_equal(capsule_term(part), capsule_term(whole));
    assert_true(writer_id_equal(&capsule_leader(part)->id, &capsule_leader(whole)->id));
    for (size_t i = 0; i < capsule_member_count(part); i++) {
        const struct capsule_member *member = capsule_member_at(part, i);
        assert_same_member(capsule_member_find(whole, &member->id), member);
    }
    const struct capsule_sync *a = capsule_newest_sync(part), *b = capsule_newest_sync(whole);
    assert_int_equal(a == NULL, b == NULL);
    assert_true(a == NULL || (hash_equal(&a->hash, &b->hash) && a->floor == b->floor));
    a = capsule_joined_sync(part);
    b = capsule_joined_sync(whole);
    assert_int_equal(a == NULL, b == NULL);
    assert_true(a == NULL || hash_equal(&a->hash, &b->hash));
}

static void p9_a_whole_snapshot_goes_on_as_the_capsule_it_was_taken_of(void **state)
{
    struct fixture *f = *state;
    for (size_t count = 2; count <= f->world.record_count; count++) {
        struct capsule *taken = capsule_after(f, count);
        buffer_clear(&f->bytes);
        assert_int_equal(capsule_snapshot_encode_whole(&f->bytes, taken), STATUS_OK);
        struct capsule *restored = restore(f);
        assert_agrees(restored, taken);
        buffer_clear(&f->again);
        assert_int_equal(capsule_snapshot_encode_whole(&f->again, restored), STATUS_OK);
        assert_true(bytes_equal(buffer_bytes(&f->bytes), buffer_bytes(&f->again)));
        for (size_t i = 0; i < f->world.record_count; i++) {
            assert_int_equal(capsule_world_feed(restored, capsule_world_record(&f->world, i)),
                             i < count ? STATUS_STALE : STATUS_OK);
        }
        assert_agrees(restored, f->world.capsule);
        capsule_free(taken);
        capsule_free(restored);
    }
}

static bool is_of_no_use(void *context, const struct capsule_member *closed)
{
    (void)context;
    (void)closed;
    return false;
}

static void p9_a_joined_snapshot_and_what_came_later_are_the_whole_history(void **state)
{
    struct fixture *f = *state;
    const struct capsule_snapshot_more few = {.is_needed = is_of_no_use};
    const struct capsule_snapshot_more *const mores[] = {&nothing, &few};
    size_t taken_count = 0;
    for (size_t count = 2; count <= f->world.record_count; count++) {
        struct capsule *taken = capsule_after(f, count);
        for (size_t m = 0; m < 2; m++) {
            buffer_clear(&f->bytes);
            enum status status = capsule_snapshot_encode_joined(&f->bytes, taken, mores[m]);
            if (status != STATUS_OK) {
                assert_int_equal(status, STATUS_GAP);
                assert_int_equal(f->bytes.length, 0);
                continue;
            }
            taken_count++;
            struct capsule *restored = restore(f);
            for (size_t i = 0; i < f->world.record_count; i++) {
                enum status fed = capsule_world_feed(restored, capsule_world_record(&f->world, i));
                // What no SYNC had named yet is not in it; nor is, perhaps, a branch of no use.
                assert_true(m == 1 || fed == STATUS_OK || fed == STATUS_STALE);
                assert_true(i < count || fed == STATUS_OK);
            }
            assert_agrees(restored, f->world.capsule);
            assert_true(m == 1 ||
                        capsule_member_count(restored) == capsule_member_count(f->world.capsule));
            capsule_free(restored);
        }
        capsule_free(taken);
    }
    assert_true(taken_count > f->world.record_count);
}

static void a_lagging_branch_keeps_the_syncs_that_it_may_still_join(void **state)
{
    struct fixture *f = *state;
    struct capsule_world *world = &f->world;
    struct capsule_world_writer early;
    capsule_world_sync(world);
    for (size_t i = 0; i < CAPSULE_SNAPSHOT_SYNCS_KEPT + 20; i++) {
        sync_without(world, f->c);
        if (i == 0) {
            const struct capsule_sync *newest = capsule_newest_sync(world->capsule);
            early = *f->c;
            early.joined = newest->hash;
            early.joined_epoch = newest->epoch;
            early.joined_lamport = newest->lamport;
        }
    }
    assert_int_equal(capsule_snapshot_encode_joined(&f->bytes, world->capsule, &nothing),
                     STATUS_OK);
    struct capsule *restored = restore(f);
    *f->c = early;
    capsule_world_put(world, f->c, "z", "5");
    assert_int_equal(
        capsule_world_feed(restored, capsule_world_record(world, world->record_count - 1)),
        STATUS_OK);
    assert_agrees(restored, world->capsule);
    capsule_free(restored);
}

static void syncs_that_nobody_will_join_are_forgotten(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < CAPSULE_SNAPSHOT_SYNCS_KEPT + 20; i++) {
        capsule_world_sync(&f->world);
        capsule_world_eoe(&f->world, f->c);
    }
    capsule_world_sync(&f->world);
    assert_int_equal(capsule_snapshot_encode_joined(&f->bytes, f->world.capsule, &nothing),
                     STATUS_OK);
    struct capsule *restored = restore(f);
    struct hash unknown = {.bytes = {1}};
    uint64_t newest = capsule_newest_sync(restored)->epoch;
    assert_true(capsule_includes_sync(restored, &unknown, newest - CAPSULE_SNAPSHOT_SYNCS_KEPT));
    assert_false(
        capsule_includes_sync(restored, &unknown, newest - CAPSULE_SNAPSHOT_SYNCS_KEPT + 1));
    assert_false(capsule_includes_sync(f->world.capsule, &unknown, 1));
    capsule_free(restored);
}

static void says_what_it_was_told_beside(void **state)
{
    struct fixture *f = *state;
    const struct branch_head places[] = {{.writer = f->a->id, .head = f->a->head},
                                         {.writer = f->c->id, .head = f->c->head}};
    const struct capsule_snapshot_more more = {.functions = places, .function_count = 2};
    capsule_world_sync(&f->world);
    assert_int_equal(capsule_snapshot_encode_joined(&f->bytes, f->world.capsule, &more), STATUS_OK);
    struct capsule *restored;
    struct capsule_snapshot snapshot;
    assert_int_equal(
        capsule_snapshot_restore(&restored, &snapshot, buffer_bytes(&f->world.genesis_body),
                                 buffer_bytes(&f->bytes)),
        STATUS_OK);
    assert_false(snapshot.is_whole);
    assert_int_equal(snapshot.function_count, 2);
    struct branch_head place = capsule_snapshot_function(&snapshot, 1);
    assert_true(writer_id_equal(&place.writer, &f->c->id));
    assert_int_equal(place.head.sequence, f->c->head.sequence);
    capsule_free(restored);
}

static void p7_a_fence_that_was_decided_stays_decided(void **state)
{
    struct fixture *f = *state;
    capsule_world_sync(&f->world);
    assert_int_equal(capsule_snapshot_encode_joined(&f->bytes, f->world.capsule, &nothing),
                     STATUS_OK);
    struct capsule *restored = restore(f);
    const struct capsule_lock *lock = capsule_lock_find(restored, &LOCK_NAME);
    assert_non_null(lock);
    assert_int_equal(lock->fence, lock_fence(2, 3));
    assert_int_equal(decide(&f->world, lock_fence(2, 3)), STATUS_FORGED);
    assert_int_equal(capsule_world_feed(restored, buffer_bytes(&f->world.tried)), STATUS_FORGED);
    capsule_free(restored);
}

static void p8_a_term_that_names_an_unknown_newer_sync_is_refused(void **state)
{
    struct fixture *f = *state;
    struct capsule_world *world = &f->world;
    capsule_world_sync(world);
    assert_int_equal(capsule_snapshot_encode_joined(&f->bytes, world->capsule, &nothing),
                     STATUS_OK);
    struct capsule *restored = restore(f);
    // The owner has seen a SYNC that this history lacks.
    capsule_world_sync(world);
    struct capsule_world_writer *old = world->leader;
    capsule_world_restart(world);
    capsule_world_close(world, old);
    capsule_world_sync(world);
    size_t count = world->record_count;
    assert_int_equal(capsule_world_feed(restored, capsule_world_record(world, count - 3)),
                     STATUS_OK);
    // It cannot close at the head that it does not have, nor begin without it.
    assert_int_equal(capsule_world_feed(restored, capsule_world_record(world, count - 2)),
                     STATUS_OK);
    assert_int_equal(capsule_world_feed(restored, capsule_world_record(world, count - 1)),
                     STATUS_GAP);
    assert_int_equal(capsule_world_feed(restored, capsule_world_record(world, count - 4)),
                     STATUS_OK);
    assert_int_equal(capsule_world_feed(restored, capsule_world_record(world, count - 1)),
                     STATUS_OK);
    capsule_free(restored);
}

static void waits_until_the_leader_has_begun(void **state)
{
    struct fixture *f = *state;
    struct capsule *capsule = capsule_after(f, 2);
    assert_int_equal(capsule_snapshot_encode_joined(&f->bytes, capsule, &nothing), STATUS_GAP);
    assert_int_equal(f->bytes.length, 0);
    capsule_free(capsule);
    capsule = capsule_after(f, 0);
    assert_int_equal(capsule_snapshot_encode_whole(&f->bytes, capsule), STATUS_GAP);
    capsule_free(capsule);
}

static void p9_what_is_not_here_yet_is_still_to_come(void **state)
{
    struct fixture *f = *state;
    struct capsule *capsule = NULL;
    // All of the leaders' records, and none of the workers'.
    assert_int_equal(capsule_new(&capsule, buffer_bytes(&f->world.genesis_body)), STATUS_OK);
    for (size_t i = 0; i < f->world.record_count; i++) {
        struct record record;
        struct bytes bytes = capsule_world_record(&f->world, i);
        assert_int_equal(record_decode(&record, bytes.at, bytes.length), STATUS_OK);
        if (record.type != RECORD_DATA && record.type != RECORD_EOE) {
            assert_int_equal(capsule_accept(capsule, &record), STATUS_OK);
        }
    }
    const struct capsule_snapshot_more few = {.is_needed = is_of_no_use};
    assert_int_equal(capsule_snapshot_encode_joined(&f->bytes, capsule, &few), STATUS_OK);
    struct capsule *restored = restore(f);
    assert_agrees(restored, capsule);
    for (size_t i = 0; i < f->world.record_count; i++) {
        (void)capsule_world_feed(restored, capsule_world_record(&f->world, i));
    }
    assert_agrees(restored, f->world.capsule);
    assert_non_null(capsule_joined_sync(restored));
    capsule_free(capsule);
    capsule_free(restored);
}

static void refuses_bytes_that_are_cut_or_contradict_themselves(void **state)
{
    struct fixture *f = *state;
    struct capsule *capsule = capsule_after(f, f->world.record_count - 3);
    assert_int_equal(capsule_snapshot_encode_whole(&f->bytes, capsule), STATUS_OK);
    capsule_free(capsule);
    struct capsule_snapshot snapshot;
    struct bytes genesis = buffer_bytes(&f->world.genesis_body);
    for (size_t length = 0; length < f->bytes.length; length++) {
        assert_int_equal(capsule_snapshot_restore(&capsule, &snapshot, genesis,
                                                  bytes_of(f->bytes.bytes, length)),
                         STATUS_MALFORMED);
        assert_null(capsule);
    }
    size_t refused = 0;
    for (size_t i = 0; i < f->bytes.length; i++) {
        f->bytes.bytes[i] ^= 0x40;
        if (capsule_snapshot_restore(&capsule, &snapshot, genesis, buffer_bytes(&f->bytes)) ==
            STATUS_OK) {
            // What it says is another thing, and still says it in one way.
            buffer_clear(&f->again);
            assert_int_equal(capsule_snapshot_encode_whole(&f->again, capsule), STATUS_OK);
            capsule_free(capsule);
        } else {
            refused++;
        }
        f->bytes.bytes[i] ^= 0x40;
    }
    assert_true(refused > f->bytes.length / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(p9_a_whole_snapshot_goes_on_as_the_capsule_it_was_taken_of,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            p9_a_joined_snapshot_and_what_came_later_are_the_whole_history, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lagging_branch_keeps_the_syncs_that_it_may_still_join,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(syncs_that_nobody_will_join_are_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(says_what_it_was_told_beside, setup, teardown),
        cmocka_unit_test_setup_teardown(p7_a_fence_that_was_decided_stays_decided, setup, teardown),
        cmocka_unit_test_setup_teardown(p8_a_term_that_names_an_unknown_newer_sync_is_refused,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(waits_until_the_leader_has_begun, setup, teardown),
        cmocka_unit_test_setup_teardown(p9_what_is_not_here_yet_is_still_to_come, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_bytes_that_are_cut_or_contradict_themselves, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
