/* tests/scl/outbox_test.c */

/*
 * Goal: every frame stays, in order, until it is dropped, and is repeated
 * when it is due and not before; answers alone pace what a store that was silent is sent.
 * Method: hand the clock's readings in, at the due time and just below it; count rounds while the
 * clock stands still.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "scl/outbox.h"

static int setup(void **state)
{
    static struct outbox outbox;
    outbox_init(&outbox);
    *state = &outbox;
    return 0;
}

static int teardown(void **state)
{
    outbox_release(*state);
    return 0;
}

static void add(struct outbox *outbox, uint64_t sequence, uint64_t now_us)
{
    struct buffer frame = BUFFER_EMPTY;
    struct bytes kept;
    assert_int_equal(buffer_append(&frame, &sequence, sizeof sequence), STATUS_OK);
    assert_int_equal(outbox_add(outbox, sequence, &frame, now_us, &kept), STATUS_OK);
    assert_null(frame.bytes);
    assert_int_equal(frame.length, 0);
    assert_true(bytes_equal(kept, bytes_of(&sequence, sizeof sequence)));
}

static void assert_repeats(struct outbox *outbox, struct outbox_walk *walk, uint64_t now_us,
                           uint64_t sequence)
{
    struct bytes frame;
    assert_int_equal(outbox_repeat(outbox, walk, now_us, &frame), STATUS_OK);
    assert_true(bytes_equal(frame, bytes_of(&sequence, sizeof sequence)));
}

static void assert_repeats_no_more(struct outbox *outbox, struct outbox_walk *walk, uint64_t now_us)
{
    struct bytes frame;
    assert_int_equal(outbox_repeat(outbox, walk, now_us, &frame), STATUS_EMPTY);
}

static void an_empty_one_has_nothing(void **state)
{
    struct outbox *outbox = *state;
    struct outbox_walk walk = OUTBOX_WALK_BEGIN;
    assert_int_equal(outbox_oldest(outbox), 0);
    assert_int_equal(outbox->bytes, 0);
    assert_repeats_no_more(outbox, &walk, UINT64_MAX);
}

static void drops_in_the_order_of_adding_and_counts_bytes(void **state)
{
    struct outbox *outbox = *state;
    for (uint64_t sequence = 1; sequence <= 3; sequence++) {
        add(outbox, sequence, 0);
        assert_int_equal(outbox->bytes, sequence * sizeof sequence);
    }
    for (uint64_t sequence = 1; sequence <= 3; sequence++) {
        assert_int_equal(outbox_oldest(outbox), sequence);
        outbox_drop_oldest(outbox);
        assert_int_equal(outbox->bytes, (3 - sequence) * sizeof sequence);
    }
    assert_int_equal(outbox_oldest(outbox), 0);

    // Emptied, it begins anew.
    add(outbox, 4, 0);
    assert_int_equal(outbox_oldest(outbox), 4);
}

static void repeats_a_frame_when_it_is_due_and_not_before(void **state)
{
    struct outbox *outbox = *state;
    add(outbox, 1, 1000);
    struct outbox_walk walk = OUTBOX_WALK_BEGIN;
    assert_repeats_no_more(outbox, &walk, 1000 + OUTBOX_REPEAT_US - 1);
    assert_repeats(outbox, &walk, 1000 + OUTBOX_REPEAT_US, 1);
    assert_repeats_no_more(outbox, &walk, 1000 + OUTBOX_REPEAT_US);

    // The time of the repetition counts from now on.
    walk = OUTBOX_WALK_BEGIN;
    assert_repeats_no_more(outbox, &walk, 1000 + 2 * OUTBOX_REPEAT_US - 1);
    walk = OUTBOX_WALK_BEGIN;
    assert_repeats(outbox, &walk, 1000 + 2 * OUTBOX_REPEAT_US, 1);
}

static void repeats_the_older_ones_that_are_due_and_stops_at_the_first_that_is_not(void **state)
{
    struct outbox *outbox = *state;
    add(outbox, 1, 0);
    add(outbox, 2, 10);
    add(outbox, 3, 20);
    struct outbox_walk walk = OUTBOX_WALK_BEGIN;
    assert_repeats(outbox, &walk, OUTBOX_REPEAT_US + 10, 1);
    assert_repeats(outbox, &walk, OUTBOX_REPEAT_US + 10, 2);
    assert_repeats_no_more(outbox, &walk, OUTBOX_REPEAT_US + 10);
}

enum { ITEMS_AT_FIRST = OUTBOX_WINDOW_BYTES_MIN / OUTBOX_ITEM_BYTES_MIN };

/* Repeat all that may be now; returns how many frames that were, and adds up their bytes. */
static size_t repeat_round(struct outbox *outbox, uint64_t now_us, size_t *bytes)
{
    struct outbox_walk walk = OUTBOX_WALK_BEGIN;
    struct bytes frame;
    size_t count = 0;
    while (outbox_repeat(outbox, &walk, now_us, &frame) == STATUS_OK) {
        *bytes += frame.length;
        count++;
    }
    return count;
}

static void add_many(struct outbox *outbox, uint64_t count)
{
    for (uint64_t sequence = 1; sequence <= count; sequence++) {
        add(outbox, sequence, 0);
    }
}

static void repeats_no_more_than_the_bound_in_a_row(void **state)
{
    struct outbox *outbox = *state;
    add_many(outbox, ITEMS_AT_FIRST + 1);
    struct outbox_walk walk = OUTBOX_WALK_BEGIN;
    for (uint64_t sequence = 1; sequence <= ITEMS_AT_FIRST; sequence++) {
        assert_repeats(outbox, &walk, OUTBOX_REPEAT_US, sequence);
    }
    assert_repeats_no_more(outbox, &walk, OUTBOX_REPEAT_US);
}

static void p9_whoever_answers_is_sent_the_rest_without_any_wait(void **state)
{
    struct outbox *outbox = *state;
    enum { COUNT = 2000, ITEMS_AT_LAST = OUTBOX_WINDOW_BYTES_MAX / OUTBOX_ITEM_BYTES_MIN };
    size_t round_count = 0, bytes = 0;
    add_many(outbox, COUNT);
    while (outbox_oldest(outbox) != 0) {
        size_t sent = repeat_round(outbox, OUTBOX_REPEAT_US, &bytes);
        assert_in_range(sent, 1, ITEMS_AT_LAST);
        for (size_t i = 0; i < sent; i++) {
            outbox_drop_oldest(outbox);
        }
        round_count++;
    }
    assert_int_equal(bytes, COUNT * sizeof(uint64_t));  // each one once
    assert_true(round_count <= COUNT / ITEMS_AT_LAST + 4);
}

static void an_answer_to_some_makes_room_for_others(void **state)
{
    struct outbox *outbox = *state;
    size_t bytes = 0;
    add_many(outbox, 4 * ITEMS_AT_FIRST);
    assert_int_equal(repeat_round(outbox, OUTBOX_REPEAT_US, &bytes), ITEMS_AT_FIRST);
    for (int i = 0; i < ITEMS_AT_FIRST / 2; i++) {
        outbox_drop_oldest(outbox);
    }
    // What was answered, and as much again.
    assert_int_equal(repeat_round(outbox, OUTBOX_REPEAT_US, &bytes), ITEMS_AT_FIRST);
    assert_int_equal(repeat_round(outbox, OUTBOX_REPEAT_US, &bytes), 0);
}

static void whoever_is_silent_is_sent_little(void **state)
{
    struct outbox *outbox = *state;
    enum { COUNT = 40, FRAME_BYTES = 300 << 10, LARGE_BYTES = 2 << 20, ROUNDS = 40 };
    for (uint64_t sequence = 1; sequence <= COUNT; sequence++) {
        size_t length = sequence == 1 ? LARGE_BYTES : FRAME_BYTES;
        struct buffer frame = BUFFER_EMPTY;
        struct bytes kept;
        assert_int_equal(buffer_reserve(&frame, length), STATUS_OK);
        memset(frame.bytes, 'f', length);
        frame.length = length;
        assert_int_equal(outbox_add(outbox, sequence, &frame, 0, &kept), STATUS_OK);
    }
    // One that is larger than the window goes alone.
    size_t bytes = 0;
    assert_int_equal(repeat_round(outbox, OUTBOX_REPEAT_US, &bytes), 1);
    outbox_drop_oldest(outbox);
    bytes = 0;
    for (uint64_t round = 2; round < ROUNDS; round++) {
        assert_true(repeat_round(outbox, round * OUTBOX_REPEAT_US, &bytes) > 0);
    }
    assert_true(bytes <= (size_t)ROUNDS * OUTBOX_WINDOW_BYTES_MIN + OUTBOX_WINDOW_BYTES_MAX);
}

static void a_clock_that_steps_back_repeats_nothing(void **state)
{
    struct outbox *outbox = *state;
    add(outbox, 1, 5000);
    struct outbox_walk walk = OUTBOX_WALK_BEGIN;
    assert_repeats_no_more(outbox, &walk, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_one_has_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(drops_in_the_order_of_adding_and_counts_bytes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(repeats_a_frame_when_it_is_due_and_not_before, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            repeats_the_older_ones_that_are_due_and_stops_at_the_first_that_is_not, setup,
            teardown),
        cmocka_unit_test_setup_teardown(repeats_no_more_than_the_bound_in_a_row, setup, teardown),
        cmocka_unit_test_setup_teardown(p9_whoever_answers_is_sent_the_rest_without_any_wait, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_answer_to_some_makes_room_for_others, setup, teardown),
        cmocka_unit_test_setup_teardown(whoever_is_silent_is_sent_little, setup, teardown),
        cmocka_unit_test_setup_teardown(a_clock_that_steps_back_repeats_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
