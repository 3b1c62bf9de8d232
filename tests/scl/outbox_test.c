/* tests/scl/outbox_test.c */

/*
 * Goal: every frame stays, in order, until it is dropped, and is repeated
 * when it is due and not before.
 * Method: hand the clock's readings in, at the due time and just below it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

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

static void assert_repeats(struct outbox *outbox, size_t *place, uint64_t now_us, uint64_t sequence)
{
    struct bytes frame;
    assert_int_equal(outbox_repeat(outbox, place, now_us, &frame), STATUS_OK);
    assert_true(bytes_equal(frame, bytes_of(&sequence, sizeof sequence)));
}

static void assert_repeats_no_more(struct outbox *outbox, size_t *place, uint64_t now_us)
{
    struct bytes frame;
    assert_int_equal(outbox_repeat(outbox, place, now_us, &frame), STATUS_EMPTY);
}

static void an_empty_one_has_nothing(void **state)
{
    struct outbox *outbox = *state;
    size_t place = 0;
    assert_int_equal(outbox_oldest(outbox), 0);
    assert_int_equal(outbox->bytes, 0);
    assert_repeats_no_more(outbox, &place, UINT64_MAX);
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
    size_t place = 0;
    assert_repeats_no_more(outbox, &place, 1000 + OUTBOX_REPEAT_US - 1);
    assert_int_equal(place, 0);
    assert_repeats(outbox, &place, 1000 + OUTBOX_REPEAT_US, 1);
    assert_repeats_no_more(outbox, &place, 1000 + OUTBOX_REPEAT_US);

    // The time of the repetition counts from now on.
    place = 0;
    assert_repeats_no_more(outbox, &place, 1000 + 2 * OUTBOX_REPEAT_US - 1);
    assert_repeats(outbox, &place, 1000 + 2 * OUTBOX_REPEAT_US, 1);
}

static void repeats_the_older_ones_that_are_due_and_stops_at_the_first_that_is_not(void **state)
{
    struct outbox *outbox = *state;
    add(outbox, 1, 0);
    add(outbox, 2, 10);
    add(outbox, 3, 20);
    size_t place = 0;
    assert_repeats(outbox, &place, OUTBOX_REPEAT_US + 10, 1);
    assert_repeats(outbox, &place, OUTBOX_REPEAT_US + 10, 2);
    assert_repeats_no_more(outbox, &place, OUTBOX_REPEAT_US + 10);
}

static void repeats_no_more_than_the_bound_in_a_row(void **state)
{
    struct outbox *outbox = *state;
    for (uint64_t sequence = 1; sequence <= OUTBOX_REPEAT_COUNT + 1; sequence++) {
        add(outbox, sequence, 0);
    }
    size_t place = 0;
    for (uint64_t sequence = 1; sequence <= OUTBOX_REPEAT_COUNT; sequence++) {
        assert_repeats(outbox, &place, OUTBOX_REPEAT_US, sequence);
    }
    assert_repeats_no_more(outbox, &place, OUTBOX_REPEAT_US);
}

static void a_clock_that_steps_back_repeats_nothing(void **state)
{
    struct outbox *outbox = *state;
    add(outbox, 1, 5000);
    size_t place = 0;
    assert_repeats_no_more(outbox, &place, 0);
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
        cmocka_unit_test_setup_teardown(a_clock_that_steps_back_repeats_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
