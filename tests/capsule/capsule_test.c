/* tests/capsule/capsule_test.c */

/*
 * Goal: a capsule accepts what its members wrote, in any order that respects
 * ancestry, and nothing else; each refusal has its status.
 * Method: a world of an owner, stores, leaders and workers writes a history;
 * then each invariant is broken once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/capsule_world.h"

struct fixture {
    struct capsule_world world;
    struct capsule_world_writer *a;
    struct capsule_world_writer *b;
};

static int setup(void **state)
{
    static struct fixture f;
    capsule_world_init(&f.world, 7, 3, 2, 0);
    capsule_world_start(&f.world);
    f.a = capsule_world_admit(&f.world, MEMBER_WORKER);
    f.b = capsule_world_admit(&f.world, MEMBER_WORKER);
    capsule_world_put(&f.world, f.a, "x", "1");
    capsule_world_put(&f.world, f.b, "y", "2");
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    capsule_world_release(&f->world);
    return 0;
}

/* A longer history: epochs, an end of a worker, a second leader. */
static void live_on(struct fixture *f)
{
    struct capsule_world *world = &f->world;
    capsule_world_eoe(world, f->a);
    capsule_world_eoe(world, f->b);
    capsule_world_sync(world);
    capsule_world_put(world, f->a, "x", "3");
    capsule_world_put(world, f->a, "z", "4");
    capsule_world_sync(world);
    capsule_world_close(world, f->b);
    capsule_world_sync(world);
    struct capsule_world_writer *old = world->leader;
    capsule_world_restart(world);
    capsule_world_close(world, old);
    struct capsule_world_writer *c = capsule_world_admit(world, MEMBER_WORKER);
    capsule_world_put(world, c, "w", "5");
    capsule_world_put(world, f->a, "x", "6");
    capsule_world_sync(world);
    capsule_world_put(world, f->a, "x", "7");
}

static void assert_same(const struct capsule *one, const struct capsule *other)
{
    assert_int_equal(capsule_term(one), capsule_term(other));
    assert_int_equal(capsule_member_count(one), capsule_member_count(other));
    for (size_t i = 0; i < capsule_member_count(one); i++) {
        const struct capsule_member *member = capsule_member_at(one, i);
        const struct capsule_member *twin = capsule_member_find(other, &member->id);
        assert_non_null(twin);
        assert_int_equal(member->head.sequence, twin->head.sequence);
        assert_true(hash_equal(&member->head.hash, &twin->head.hash));
        assert_true(hash_equal(&member->joined, &twin->joined));
        assert_int_equal(member->is_closed, twin->is_closed);
    }
    const struct capsule_sync *sync = capsule_joined_sync(one);
    const struct capsule_sync *same = capsule_joined_sync(other);
    assert_non_null(sync);
    assert_non_null(same);
    assert_true(hash_equal(&sync->hash, &same->hash));
    assert_int_equal(sync->unmet_count, 0);
}

static void replays_a_history_in_the_order_of_its_log(void **state)
{
    struct fixture *f = *state;
    live_on(f);
    struct capsule *replica;
    assert_int_equal(capsule_new(&replica, buffer_bytes(&f->world.genesis_body)), STATUS_OK);
    for (size_t i = 0; i < f->world.record_count; i++) {
        assert_int_equal(capsule_world_feed(replica, capsule_world_record(&f->world, i)),
                         STATUS_OK);
    }
    assert_same(f->world.capsule, replica);
    assert_int_equal(capsule_newest_sync(replica)->epoch, 4);
    capsule_free(replica);
}

static void replays_the_leaders_branches_before_the_data(void **state)
{
    struct fixture *f = *state;
    live_on(f);
    struct capsule *replica;
    assert_int_equal(capsule_new(&replica, buffer_bytes(&f->world.genesis_body)), STATUS_OK);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < f->world.record_count; i++) {
            struct bytes bytes = capsule_world_record(&f->world, i);
            struct record record;
            assert_int_equal(record_decode(&record, bytes.at, bytes.length), STATUS_OK);
            bool is_data = record.type == RECORD_DATA || record.type == RECORD_EOE;
            if (is_data == (pass == 1)) {
                assert_int_equal(capsule_accept(replica, &record), STATUS_OK);
            }
        }
        if (pass == 0) {
            assert_null(capsule_joined_sync(replica));
            size_t index = 0;
            struct branch_head wanted;
            uint64_t from;
            assert_int_equal(capsule_missing(replica, &index, &wanted, &from), STATUS_OK);
            assert_true(writer_id_equal(&wanted.writer, &f->a->id));
            assert_int_equal(from, 1);
            assert_int_equal(wanted.head.sequence, 5);
        }
    }
    assert_same(f->world.capsule, replica);
    capsule_free(replica);
}

/* Feed all records once; whether every one of them was accepted. */
static bool accepts_all(const struct capsule_world *world, const struct buffer *log)
{
    struct capsule *replica;
    bool is_whole = true;
    assert_int_equal(capsule_new(&replica, buffer_bytes(&world->genesis_body)), STATUS_OK);
    for (size_t i = 0; i < world->record_count && is_whole; i++) {
        struct bytes bytes =
            bytes_of(log->bytes + world->offsets[i], world->offsets[i + 1] - world->offsets[i]);
        is_whole = capsule_world_feed(replica, bytes) == STATUS_OK;
    }
    capsule_free(replica);
    return is_whole;
}

static void p2_no_flipped_byte_is_accepted(void **state)
{
    struct fixture *f = *state;
    capsule_world_sync(&f->world);
    struct buffer *log = &f->world.log;
    assert_true(accepts_all(&f->world, log));
    for (size_t i = 0; i < log->length; i++) {
        log->bytes[i] ^= (uint8_t)(1u << i % 8);
        if (accepts_all(&f->world, log)) {
            fail_msg("a flipped bit in byte %zu of %zu was accepted", i, log->length);
        }
        log->bytes[i] ^= (uint8_t)(1u << i % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(replays_a_history_in_the_order_of_its_log, setup, teardown),
        cmocka_unit_test_setup_teardown(replays_the_leaders_branches_before_the_data, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(p2_no_flipped_byte_is_accepted, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
