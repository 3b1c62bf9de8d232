/* tests/leader/lock_test.c */

/*
 * Goal: a lock has one holder at a time, in order of arrival; each grant has a fence above all
 * before it and is decided once, in a record, whatever comes late, twice or never.
 * Method: one leader and two workers, whose messages the test writes by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "capsule/lock.h"
#include "tests/support/leader_world.h"

struct fixture {
    struct leader_world world;
    struct leader_world_joiner a;
    struct leader_world_joiner b;
};

static void admit(struct fixture *f, struct leader_world_joiner *joiner)
{
    leader_world_joiner_init(&f->world, joiner);
    leader_world_join(&f->world, joiner, MEMBER_WORKER, &f->world.capsule);
    assert_true(joiner->is_granted);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    leader_world_init(&f->world, 5);
    leader_world_begin(&f->world);
    leader_world_lead(&f->world, 1);
    admit(f, &f->a);
    admit(f, &f->b);
    f->world.joiner = &f->a;
    f->world.other = &f->b;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    leader_world_joiner_release(&f->a);
    leader_world_joiner_release(&f->b);
    leader_world_release(&f->world);
    free(f);
    return 0;
}

static void say(struct fixture *f, struct leader_world_joiner *worker, struct buffer *plain)
{
    struct buffer sealed = BUFFER_EMPTY;
    worker->message = (struct message){.kind = MESSAGE_GRANT};  // none of a lock's
    assert_int_equal(channel_seal(worker->channel, &sealed, buffer_bytes(plain)), STATUS_OK);
    leader_world_send(&f->world, FRAME_CHANNEL, 0, &worker->id, buffer_bytes(&sealed));
    assert_int_equal(f->world.status, STATUS_OK);
    buffer_release(&sealed);
    buffer_release(plain);
}

static void ask(struct fixture *f, struct leader_world_joiner *worker, uint64_t request,
                const char *name)
{
    struct buffer plain = BUFFER_EMPTY;
    const struct message_lock_ask ask = {.request = request, .name = bytes_text(name)};
    assert_int_equal(message_lock_ask_encode(&plain, &ask), STATUS_OK);
    say(f, worker, &plain);
}

/* `read`: what was read on the way, or NULL. */
static void let_go_after(struct fixture *f, struct leader_world_joiner *worker, uint64_t request,
                         uint64_t fence, uint64_t sequence, const struct branch_head *read)
{
    struct buffer plain = BUFFER_EMPTY;
    struct message_lock_release release = {
        .request = request, .fence = fence, .head_count = read == NULL ? 0 : 1};
    if (sequence > 0) {
        release.record = (struct head){.sequence = sequence, .hash = {.bytes = {0x77}}};
    }
    assert_int_equal(message_lock_release_encode(&plain, &release, read), STATUS_OK);
    say(f, worker, &plain);
}

static void let_go(struct fixture *f, struct leader_world_joiner *worker, uint64_t request,
                   uint64_t fence, uint64_t sequence)
{
    let_go_after(f, worker, request, fence, sequence, NULL);
}

/* The fence that this worker was told of last; 0: it was told of none. */
static uint64_t fence_of(const struct leader_world_joiner *worker)
{
    return worker->message.kind == MESSAGE_LOCK_GRANT ? worker->message.lock_grant.fence : 0;
}

static bool is_answered(const struct leader_world_joiner *worker, uint64_t request)
{
    return worker->message.kind == MESSAGE_LOCK_ANSWER &&
           worker->message.lock_answer.status == STATUS_OK &&
           worker->message.lock_answer.request == request;
}

static size_t lock_count(const struct fixture *f)
{
    return f->world.record_counts[RECORD_LOCK];
}

static void p7_a_lock_is_granted_in_order_of_arrival(void **state)
{
    struct fixture *f = *state;
    ask(f, &f->a, 1, "x");
    uint64_t first = fence_of(&f->a);
    assert_true(first != 0);
    ask(f, &f->b, 1, "x");
    assert_int_equal(fence_of(&f->b), 0);
    ask(f, &f->a, 2, "x");
    assert_int_equal(fence_of(&f->a), 0);
    ask(f, &f->a, 3, "y");  // another lock is nobody's
    assert_true(fence_of(&f->a) != 0);

    let_go(f, &f->a, 1, first, 0);
    assert_true(is_answered(&f->a, 1));
    uint64_t second = fence_of(&f->b);
    assert_true(second > first);
    let_go(f, &f->b, 1, second, 0);
    assert_true(fence_of(&f->a) > second);
    assert_int_equal(f->a.message.lock_grant.request, 2);
    assert_int_equal(lock_count(f), 0);  // nothing was written, nothing to decide
}

static void asking_twice_asks_once(void **state)
{
    struct fixture *f = *state;
    ask(f, &f->a, 1, "x");
    uint64_t fence = fence_of(&f->a);
    ask(f, &f->a, 1, "x");
    assert_true(fence_of(&f->a) == fence);
    let_go(f, &f->a, 1, fence, 0);
    ask(f, &f->b, 1, "x");
    assert_true(fence_of(&f->b) > fence);
}

static void p7_a_grant_is_decided_once(void **state)
{
    struct fixture *f = *state;
    ask(f, &f->a, 1, "x");
    uint64_t fence = fence_of(&f->a);
    struct hash name = f->a.message.lock_grant.lock;
    // Nothing is remembered of it: what was decided, if anything, lies before the newest SYNC.
    const struct capsule_sync *newest = capsule_newest_sync(leader_capsule(f->world.leader));
    assert_int_equal(f->a.message.lock_grant.decided, newest->sequence);
    assert_int_equal(f->a.message.lock_grant.epoch, newest->epoch);
    let_go(f, &f->a, 1, fence, 4);
    assert_int_equal(lock_count(f), 1);
    const struct capsule_lock *lock = capsule_lock_find(leader_capsule(f->world.leader), &name);
    assert_true(lock->fence == fence);
    assert_true(is_answered(&f->a, 1));
    assert_int_equal(f->a.message.lock_answer.sequence, lock->sequence);
    let_go(f, &f->a, 1, fence, 4);  // the answer was lost
    assert_true(is_answered(&f->a, 1));
    assert_int_equal(lock_count(f), 1);

    // The next holder is told where the decision stands, and whose record it is.
    ask(f, &f->b, 1, "x");
    assert_int_equal(f->b.message.lock_grant.decided, lock->sequence);
    assert_int_equal(f->b.message.lock_grant.head_count, 1);
    struct branch_head head = message_lock_grant_head(&f->b.message.lock_grant, 0);
    assert_true(writer_id_equal(&head.writer, &f->a.id));
    assert_int_equal(head.head.sequence, 4);
}

static void p7_a_holder_that_takes_too_long_has_lost(void **state)
{
    struct fixture *f = *state;
    ask(f, &f->a, 1, "x");
    uint64_t fence = fence_of(&f->a);
    ask(f, &f->b, 1, "x");
    leader_world_run(&f->world, 4900 * 1000);
    assert_int_equal(fence_of(&f->b), 0);
    leader_world_run(&f->world, 200 * 1000);
    assert_true(fence_of(&f->b) > fence);
    assert_int_equal(lock_count(f), 1);  // void
    let_go(f, &f->a, 1, fence, 4);
    assert_true(is_answered(&f->a, 1));
    assert_int_equal(lock_count(f), 1);
    let_go(f, &f->b, 1, fence_of(&f->b), 9);
    assert_int_equal(lock_count(f), 2);
}

static void a_holder_nobody_waits_for_has_longer(void **state)
{
    struct fixture *f = *state;
    ask(f, &f->a, 1, "x");
    leader_world_run(&f->world, 59 * 1000 * 1000);
    assert_int_equal(lock_count(f), 0);
    leader_world_run(&f->world, 2 * 1000 * 1000);
    assert_int_equal(lock_count(f), 1);
}

static void a_lock_no_longer_wanted_goes_to_the_next(void **state)
{
    struct fixture *f = *state;
    ask(f, &f->a, 1, "x");
    uint64_t fence = fence_of(&f->a);
    ask(f, &f->b, 1, "x");
    let_go(f, &f->b, 1, 0, 0);
    assert_true(is_answered(&f->b, 1));
    let_go(f, &f->a, 1, fence, 0);
    assert_int_equal(fence_of(&f->b), 0);
    ask(f, &f->b, 2, "x");
    assert_true(fence_of(&f->b) != 0);
}

static void p7_nothing_is_decided_under_another_fence(void **state)
{
    struct fixture *f = *state;
    ask(f, &f->a, 1, "x");
    let_go(f, &f->a, 1, fence_of(&f->a) + 1, 4);
    assert_int_equal(lock_count(f), 0);
    let_go(f, &f->b, 1, 1, 4);  // never asked for
    assert_int_equal(lock_count(f), 0);
}

static void p7_a_worker_that_has_ended_holds_nothing(void **state)
{
    struct fixture *f = *state;
    ask(f, &f->a, 1, "x");
    uint64_t fence = fence_of(&f->a);
    ask(f, &f->b, 1, "x");
    ask(f, &f->a, 2, "x");
    leader_world_send(&f->world, FRAME_GONE, 0, &f->a.id, bytes_of(NULL, 0));
    assert_true(fence_of(&f->b) > fence);
    let_go(f, &f->b, 1, fence_of(&f->b), 0);
    ask(f, &f->b, 2, "x");
    assert_true(fence_of(&f->b) != 0);
}

/* The CLOSE says which records of a number count. */
static void p7_a_grant_names_the_close_of_what_was_read(void **state)
{
    struct fixture *f = *state;
    const struct branch_head read = {.writer = f->b.id, .head = {.sequence = 5}};
    ask(f, &f->a, 1, "x");
    let_go_after(f, &f->a, 1, fence_of(&f->a), 1, &read);
    ask(f, &f->a, 2, "x");
    assert_int_equal(f->a.message.lock_grant.head_count, 2);
    uint64_t decided = f->a.message.lock_grant.decided;
    assert_true(decided != 0);
    let_go(f, &f->a, 2, fence_of(&f->a), 0);
    leader_world_send(&f->world, FRAME_GONE, 0, &f->b.id, bytes_of(NULL, 0));
    assert_int_equal(f->world.record_counts[RECORD_CLOSE], 1);
    ask(f, &f->a, 3, "x");
    assert_int_equal(f->a.message.lock_grant.head_count, 2);
    assert_true(f->a.message.lock_grant.decided > decided);
}

/* A number alone does not say which of two records is meant where a branch is forked. */
static void p7_a_grant_names_what_was_read_and_written_by_its_hash(void **state)
{
    struct fixture *f = *state;
    const struct branch_head read = {.writer = f->b.id,
                                     .head = {.sequence = 5, .hash = {.bytes = {0x55}}}};
    ask(f, &f->a, 1, "x");
    let_go_after(f, &f->a, 1, fence_of(&f->a), 1, &read);
    ask(f, &f->b, 1, "x");
    const struct message_lock_grant *grant = &f->b.message.lock_grant;
    assert_int_equal(grant->head_count, 2);
    for (uint32_t i = 0; i < grant->head_count; i++) {
        struct branch_head head = message_lock_grant_head(grant, i);
        bool is_read = writer_id_equal(&head.writer, &f->b.id);
        assert_int_equal(head.head.sequence, is_read ? 5 : 1);
        assert_int_equal(head.head.hash.bytes[0], is_read ? 0x55 : 0x77);
    }
}

static void p7_fences_of_a_later_term_are_higher(void **state)
{
    struct fixture *f = *state;
    ask(f, &f->a, 1, "x");
    uint64_t fence = fence_of(&f->a);
    struct leader_world_joiner later;
    leader_world_restart(&f->world);
    leader_world_lead(&f->world, 2);
    admit(f, &later);
    f->world.joiner = &later;
    f->world.other = NULL;
    ask(f, &later, 1, "x");
    assert_true(fence_of(&later) > fence);
    assert_true(lock_fence_term(fence_of(&later)) == 2);
    leader_world_joiner_release(&later);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(p7_a_lock_is_granted_in_order_of_arrival),
        TEST(asking_twice_asks_once),
        TEST(p7_a_grant_is_decided_once),
        TEST(p7_a_holder_that_takes_too_long_has_lost),
        TEST(a_holder_nobody_waits_for_has_longer),
        TEST(a_lock_no_longer_wanted_goes_to_the_next),
        TEST(p7_nothing_is_decided_under_another_fence),
        TEST(p7_a_worker_that_has_ended_holds_nothing),
        TEST(p7_a_grant_names_the_close_of_what_was_read),
        TEST(p7_a_grant_names_what_was_read_and_written_by_its_hash),
        TEST(p7_fences_of_a_later_term_are_higher),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
