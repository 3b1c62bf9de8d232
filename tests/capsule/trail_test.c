/* tests/capsule/trail_test.c */

/*
 * Goal: a trail has led to a named head only by records each of which is the parent of the next.
 * Method: a branch of four records, and a fork of its third; each is offered in every wrong way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "capsule/trail.h"
#include "tests/support/capsule_world.h"

enum { RECORDS = 4, FORKED = 3 };

struct fixture {
    struct capsule_world world;
    struct capsule_world_writer *a;
    struct record records[RECORDS + 1];  // by sequence
    struct buffer forked_bytes;
    struct record forked;  // another third one
};

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){.forked_bytes = BUFFER_EMPTY};
    capsule_world_init(&f.world, 31, 1, 1, 0);
    capsule_world_start(&f.world);
    f.a = capsule_world_admit(&f.world, MEMBER_WORKER);
    size_t first = f.world.record_count;
    for (int i = 1; i <= RECORDS; i++) {
        if (i == FORKED) {
            struct capsule_world_draft draft;
            capsule_world_draft(&f.world, &draft, f.a, RECORD_DATA);
            capsule_world_tuple(&f.world, f.a, &draft.body, "key", "forked");
            capsule_world_build(&f.world, &draft);
            f.forked_bytes = f.world.tried;
            f.world.tried = BUFFER_EMPTY;
        }
        capsule_world_put(&f.world, f.a, "key", "value");
    }
    for (size_t i = 0; i < RECORDS; i++) {
        struct bytes bytes = capsule_world_record(&f.world, first + i);
        assert_int_equal(record_decode(&f.records[i + 1], bytes.at, bytes.length), STATUS_OK);
    }
    assert_int_equal(record_decode(&f.forked, f.forked_bytes.bytes, f.forked_bytes.length),
                     STATUS_OK);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    buffer_release(&f->forked_bytes);
    capsule_world_release(&f->world);
    return 0;
}

static struct branch_head end_of(const struct fixture *f)
{
    return (struct branch_head){.writer = f->a->id, .head = f->a->head};
}

static void leads_by_every_record_from_anywhere(void **state)
{
    const struct fixture *f = *state;
    for (uint64_t from = 1; from <= RECORDS; from++) {
        struct trail trail;
        struct branch_head end = end_of(f);
        trail_begin(&trail, &end, from);
        for (uint64_t i = from; i <= RECORDS; i++) {
            assert_false(trail_has_led(&trail));
            assert_true(trail_follow(&trail, &f->records[i]));
        }
        assert_true(trail_has_led(&trail));
        assert_false(trail_follow(&trail, &f->records[RECORDS]));
    }
}

static void p2_leads_by_no_record_that_the_next_does_not_follow(void **state)
{
    const struct fixture *f = *state;
    struct trail trail;
    struct branch_head end = end_of(f);
    trail_begin(&trail, &end, FORKED);
    assert_true(trail_follow(&trail, &f->forked));
    assert_false(trail_follow(&trail, &f->records[FORKED + 1]));
    assert_false(trail_has_led(&trail));
}

static void p2_has_not_led_to_another_record_of_the_same_place(void **state)
{
    const struct fixture *f = *state;
    struct trail trail;
    struct branch_head other = {.writer = f->a->id,
                                .head = {.sequence = FORKED, .hash = f->forked.hash}};
    trail_begin(&trail, &other, 1);
    for (uint64_t i = 1; i <= FORKED; i++) {
        assert_true(trail_follow(&trail, &f->records[i]));
    }
    assert_false(trail_has_led(&trail));
    assert_false(trail_follow(&trail, &f->records[FORKED + 1]));
}

static void passes_over_what_is_not_awaited(void **state)
{
    const struct fixture *f = *state;
    struct trail trail = {.next = 0};
    assert_false(trail_follow(&trail, &f->records[1]));
    struct branch_head end = end_of(f);
    trail_begin(&trail, &end, 1);
    assert_false(trail_follow(&trail, &f->records[2]));
    assert_true(trail_follow(&trail, &f->records[1]));
    assert_false(trail_follow(&trail, &f->records[1]));
    end.writer.bytes[0] ^= 1;
    trail_begin(&trail, &end, 1);
    assert_false(trail_follow(&trail, &f->records[1]));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(leads_by_every_record_from_anywhere),
        TEST(p2_leads_by_no_record_that_the_next_does_not_follow),
        TEST(p2_has_not_led_to_another_record_of_the_same_place),
        TEST(passes_over_what_is_not_awaited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
