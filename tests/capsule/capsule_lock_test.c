/* tests/capsule/capsule_lock_test.c */

/*
 * Goal: one decision for each fence, whoever hears of it when; a LOCK that no
 * true leader writes is refused.
 * Method: offer true LOCKs and bent ones to the capsule of a small world, and feed its
 * records to a replica in another order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "capsule/lock.h"
#include "tests/capsule/two_workers.h"

static const struct hash NAME = {.bytes = {0x4c}};
static const struct hash OTHER = {.bytes = {0x4d}};

static struct lock_body lock_of(const struct hash *name, uint64_t fence,
                                const struct capsule_world_writer *writer)
{
    struct lock_body lock = {.term = lock_fence_term(fence), .lock = *name, .fence = fence};
    if (writer != NULL) {
        lock.record = (struct branch_head){.writer = writer->id, .head = writer->head};
    }
    return lock;
}

static enum status offer(struct two_workers *f, struct capsule_world_writer *signer,
                         const struct lock_body *lock)
{
    struct capsule_world_draft draft;
    capsule_world_draft(&f->world, &draft, signer, RECORD_LOCK);
    CHECK(lock_encode(&draft.body, lock) == STATUS_OK);
    return capsule_world_try(&f->world, &draft);
}

static enum status offer_fence(struct two_workers *f, const struct hash *name, uint64_t fence,
                               const struct capsule_world_writer *writer)
{
    const struct lock_body lock = lock_of(name, fence, writer);
    return offer(f, f->world.leader, &lock);
}

static void p7_fences_of_a_lock_rise(void **state)
{
    struct two_workers *f = *state;
    assert_null(capsule_lock_find(f->world.capsule, &NAME));
    assert_int_equal(offer_fence(f, &NAME, lock_fence(1, 2), f->a), STATUS_OK);
    const struct capsule_lock *lock = capsule_lock_find(f->world.capsule, &NAME);
    assert_true(lock->fence == lock_fence(1, 2));
    assert_int_equal(lock->sequence, f->world.leader->head.sequence);
    assert_int_equal(offer_fence(f, &NAME, lock_fence(1, 2), f->b), STATUS_FORGED);
    assert_int_equal(offer_fence(f, &NAME, lock_fence(1, 2), NULL), STATUS_FORGED);
    assert_int_equal(offer_fence(f, &NAME, lock_fence(1, 1), f->a), STATUS_FORGED);
    assert_int_equal(offer_fence(f, &OTHER, lock_fence(1, 1), f->a), STATUS_OK);
    assert_int_equal(offer_fence(f, &NAME, lock_fence(1, 3), NULL), STATUS_OK);
}

static void a_leader_alone_decides_and_in_its_own_term(void **state)
{
    struct two_workers *f = *state;
    const struct lock_body lock = lock_of(&NAME, lock_fence(1, 1), f->a);
    assert_int_equal(offer(f, f->a, &lock), STATUS_DENIED);
    assert_int_equal(offer_fence(f, &NAME, lock_fence(2, 1), f->a), STATUS_FORGED);
    struct capsule_world_draft draft;
    capsule_world_draft(&f->world, &draft, f->world.leader, RECORD_LOCK);
    assert_int_equal(capsule_world_try(&f->world, &draft), STATUS_MALFORMED);
}

static void p7_only_a_worker_whose_branch_goes_on_is_named(void **state)
{
    struct two_workers *f = *state;
    struct capsule_world_writer *stranger = capsule_world_stranger(&f->world, MEMBER_WORKER);
    stranger->head = f->a->head;
    assert_int_equal(offer_fence(f, &NAME, lock_fence(1, 1), stranger), STATUS_FORGED);
    assert_int_equal(offer_fence(f, &NAME, lock_fence(1, 1), f->world.leader), STATUS_FORGED);
    capsule_world_close(&f->world, f->a);
    assert_int_equal(offer_fence(f, &NAME, lock_fence(1, 1), f->a), STATUS_FORGED);
    assert_int_equal(offer_fence(f, &NAME, lock_fence(1, 1), NULL), STATUS_OK);
}

static void p5_a_decision_is_accepted_before_what_it_names(void **state)
{
    struct two_workers *f = *state;
    struct capsule *replica;
    size_t put_at = f->world.record_count - 1;
    assert_int_equal(offer_fence(f, &NAME, lock_fence(1, 1), f->a), STATUS_OK);
    assert_int_equal(capsule_new(&replica, buffer_bytes(&f->world.genesis_body)), STATUS_OK);
    for (size_t i = 0; i < f->world.record_count; i++) {
        if (i != put_at) {
            assert_int_equal(capsule_world_feed(replica, capsule_world_record(&f->world, i)),
                             STATUS_OK);
        }
    }
    assert_true(capsule_lock_find(replica, &NAME)->fence == lock_fence(1, 1));
    assert_int_equal(capsule_world_feed(replica, capsule_world_record(&f->world, put_at)),
                     STATUS_OK);
    capsule_free(replica);
}

static void p7_a_new_term_begins_above_all_fences_before(void **state)
{
    struct two_workers *f = *state;
    assert_int_equal(offer_fence(f, &NAME, lock_fence(1, UINT32_MAX), NULL), STATUS_OK);
    struct capsule_world_writer *first = f->world.leader;
    capsule_world_restart(&f->world);
    assert_null(capsule_lock_find(f->world.capsule, &NAME));
    assert_int_equal(capsule_lock_count(f->world.capsule), 0);
    capsule_world_close(&f->world, first);
    capsule_world_close(&f->world, f->a);
    capsule_world_close(&f->world, f->b);
    capsule_world_sync(&f->world);
    struct capsule_world_writer *c = capsule_world_admit(&f->world, MEMBER_WORKER);
    capsule_world_put(&f->world, c, "x", "2");
    assert_int_equal(offer_fence(f, &NAME, lock_fence(1, UINT32_MAX), c), STATUS_FORGED);
    assert_int_equal(offer_fence(f, &NAME, lock_fence(2, 1), c), STATUS_OK);
    assert_true(capsule_lock_find(f->world.capsule, &NAME)->fence == lock_fence(2, 1));
    assert_int_equal(capsule_lock_count(f->world.capsule), 1);
}

static struct hash name_of(uint32_t number)
{
    struct hash name = {.bytes = {[8] = 0x4e}};
    memcpy(name.bytes, &number, sizeof number);
    return name;
}

/* LOCKs on `count` names, more than the world keeps records. */
static void decide_many(struct two_workers *f, uint32_t count)
{
    struct capsule_world_writer *leader = f->world.leader;
    for (uint32_t number = 0; number < count; number++) {
        const struct hash name = name_of(number);
        const struct lock_body lock = lock_of(&name, lock_fence(1, number + 1), NULL);
        struct capsule_world_draft draft;
        struct record record;
        capsule_world_draft(&f->world, &draft, leader, RECORD_LOCK);
        CHECK(lock_encode(&draft.body, &lock) == STATUS_OK);
        capsule_world_build(&f->world, &draft);
        struct bytes bytes = buffer_bytes(&f->world.tried);
        CHECK(record_decode(&record, bytes.at, bytes.length) == STATUS_OK);
        assert_int_equal(capsule_accept(f->world.capsule, &record), STATUS_OK);
        leader->head = (struct head){.sequence = record.sequence, .hash = record.hash};
        leader->names_join = false;
    }
}

static void p7_names_are_forgotten_below_the_newest_sync_alone(void **state)
{
    struct two_workers *f = *state;
    uint32_t number = CAPSULE_LOCKS_MAX - 1;
    decide_many(f, number);
    capsule_world_sync(&f->world);
    struct hash first = name_of(0), last = name_of(number);
    assert_int_equal(offer_fence(f, &last, lock_fence(1, ++number), NULL), STATUS_OK);
    assert_int_equal(capsule_lock_count(f->world.capsule), CAPSULE_LOCKS_MAX);
    assert_non_null(capsule_lock_find(f->world.capsule, &first));

    // One more: those before the SYNC go, that behind it stays.
    assert_int_equal(offer_fence(f, &NAME, lock_fence(1, ++number), NULL), STATUS_OK);
    assert_int_equal(capsule_lock_count(f->world.capsule), 2);
    assert_null(capsule_lock_find(f->world.capsule, &first));
    assert_non_null(capsule_lock_find(f->world.capsule, &NAME));
    assert_int_equal(offer_fence(f, &last, lock_fence(1, 1), NULL), STATUS_FORGED);
    // A name that was forgotten goes on as any.
    assert_int_equal(offer_fence(f, &first, lock_fence(1, ++number), f->a), STATUS_OK);
    assert_true(capsule_lock_find(f->world.capsule, &first)->fence == lock_fence(1, number));
}

static void without_a_sync_in_between_there_is_no_room_for_more_names(void **state)
{
    struct two_workers *f = *state;
    decide_many(f, CAPSULE_LOCKS_MAX);
    assert_int_equal(offer_fence(f, &NAME, lock_fence(1, CAPSULE_LOCKS_MAX + 1), NULL),
                     STATUS_FULL);
    capsule_world_sync(&f->world);
    assert_int_equal(offer_fence(f, &NAME, lock_fence(1, CAPSULE_LOCKS_MAX + 1), NULL), STATUS_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, two_workers_setup, two_workers_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(p7_fences_of_a_lock_rise),
        TEST(a_leader_alone_decides_and_in_its_own_term),
        TEST(p7_only_a_worker_whose_branch_goes_on_is_named),
        TEST(p5_a_decision_is_accepted_before_what_it_names),
        TEST(p7_names_are_forgotten_below_the_newest_sync_alone),
        TEST(without_a_sync_in_between_there_is_no_room_for_more_names),
        TEST(p7_a_new_term_begins_above_all_fences_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
