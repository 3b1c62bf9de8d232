/* tests/scl/holdback_test.c */

/*
 * Goal: what is held comes back byte for byte, and no more is held than the
 * bounds allow.
 * Method: hold bytes under chosen writers and sequences, among them some that
 * share a bucket; fill it to each bound.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "scl/holdback.h"

static int setup(void **state)
{
    struct holdback *holdback;
    assert_int_equal(holdback_new(&holdback), STATUS_OK);
    *state = holdback;
    return 0;
}

static int teardown(void **state)
{
    holdback_free(*state);
    return 0;
}

static struct writer_id writer_of(uint8_t number)
{
    return (struct writer_id){.bytes = {[0] = number, [15] = number}};
}

static struct record record_of(uint8_t writer, uint64_t sequence, struct bytes whole)
{
    return (struct record){.writer = writer_of(writer), .sequence = sequence, .whole = whole};
}

static enum status put(struct holdback *holdback, uint8_t writer, uint64_t sequence)
{
    const struct record record = record_of(writer, sequence, bytes_text("a record"));
    return holdback_put(holdback, &record);
}

static bool has(const struct holdback *holdback, uint8_t writer, uint64_t sequence)
{
    const struct writer_id id = writer_of(writer);
    return holdback_has(holdback, &id, sequence);
}

static void gives_back_a_copy_once(void **state)
{
    struct holdback *holdback = *state;
    char whole[] = "bytes of a record";
    const struct record record = record_of(1, 5, bytes_text(whole));
    assert_int_equal(holdback_put(holdback, &record), STATUS_OK);
    whole[0] = 'x';

    struct buffer bytes = BUFFER_EMPTY;
    const struct writer_id id = writer_of(1);
    assert_int_equal(holdback_take(holdback, &id, 5, &bytes), STATUS_OK);
    assert_true(bytes_equal(buffer_bytes(&bytes), bytes_text("bytes of a record")));
    buffer_release(&bytes);
    assert_int_equal(holdback_count(holdback), 0);
    assert_int_equal(holdback_take(holdback, &id, 5, &bytes), STATUS_NOT_FOUND);
    assert_null(bytes.bytes);
}

static void keeps_the_first_of_two_with_one_name(void **state)
{
    struct holdback *holdback = *state;
    assert_int_equal(put(holdback, 1, 5), STATUS_OK);
    const struct record other = record_of(1, 5, bytes_text("another"));
    assert_int_equal(holdback_put(holdback, &other), STATUS_STALE);
    assert_int_equal(holdback_count(holdback), 1);

    struct buffer bytes = BUFFER_EMPTY;
    const struct writer_id id = writer_of(1);
    assert_int_equal(holdback_take(holdback, &id, 5, &bytes), STATUS_OK);
    assert_true(bytes_equal(buffer_bytes(&bytes), bytes_text("a record")));
    buffer_release(&bytes);
}

static void tells_apart_what_shares_a_bucket(void **state)
{
    struct holdback *holdback = *state;
    // The bucket is first eight bytes of the id plus sequence, by 4,096.
    assert_int_equal(put(holdback, 1, 5), STATUS_OK);
    assert_int_equal(put(holdback, 2, 4), STATUS_OK);
    assert_int_equal(put(holdback, 1, 5 + 4096), STATUS_OK);
    assert_false(has(holdback, 3, 3));

    struct buffer bytes = BUFFER_EMPTY;
    const struct writer_id id = writer_of(2);
    assert_int_equal(holdback_take(holdback, &id, 4, &bytes), STATUS_OK);
    buffer_release(&bytes);
    assert_true(has(holdback, 1, 5));

    // Even one sequence may share it, of writers whose ids begin alike.
    struct writer_id alike = writer_of(1);
    alike.bytes[15] ^= 1;
    assert_false(holdback_has(holdback, &alike, 5));
    assert_int_equal(holdback_take(holdback, &alike, 5, &bytes), STATUS_NOT_FOUND);
    assert_false(has(holdback, 2, 4));
    assert_true(has(holdback, 1, 5 + 4096));
}

static void drops_one_writer_up_to_a_sequence(void **state)
{
    struct holdback *holdback = *state;
    const uint64_t sequences[] = {1, 2, 3, 4, 4096 + 1};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(put(holdback, 1, sequences[i]), STATUS_OK);
        assert_int_equal(put(holdback, 2, sequences[i]), STATUS_OK);
    }
    const struct writer_id id = writer_of(1);
    holdback_drop(holdback, &id, 3);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(has(holdback, 1, sequences[i]), sequences[i] > 3);
        assert_true(has(holdback, 2, sequences[i]));
    }
    assert_int_equal(holdback_count(holdback), 7);
    holdback_drop(holdback, &id, UINT64_MAX);
    assert_int_equal(holdback_count(holdback), 5);
}

static void the_walk_names_each_record_once(void **state)
{
    struct holdback *holdback = *state;
    struct writer_id writer;
    uint64_t sequence;
    size_t place = 0;
    assert_int_equal(holdback_next(holdback, &place, &writer, &sequence), STATUS_EMPTY);

    // Three in one bucket, one in the last, some elsewhere.
    const uint64_t sequences[] = {1, 1 + 4096, 1 + 2 * 4096, 4094, 77};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(put(holdback, 1, sequences[i]), STATUS_OK);
    }
    size_t met[5] = {0};
    place = 0;
    while (holdback_next(holdback, &place, &writer, &sequence) == STATUS_OK) {
        const struct writer_id id = writer_of(1);
        assert_true(writer_id_equal(&writer, &id));
        for (size_t i = 0; i < 5; i++) {
            met[i] += sequences[i] == sequence;
        }
    }
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(met[i], 1);
    }
}

static void holds_no_more_records_than_its_bound(void **state)
{
    struct holdback *holdback = *state;
    for (uint64_t sequence = 1; sequence <= HOLDBACK_COUNT_MAX; sequence++) {
        assert_int_equal(put(holdback, 1, sequence), STATUS_OK);
    }
    assert_int_equal(put(holdback, 1, HOLDBACK_COUNT_MAX + 1), STATUS_FULL);
    assert_int_equal(put(holdback, 1, 1), STATUS_STALE);
    assert_int_equal(holdback_count(holdback), HOLDBACK_COUNT_MAX);

    const struct writer_id id = writer_of(1);
    holdback_drop(holdback, &id, 1);
    assert_int_equal(put(holdback, 1, HOLDBACK_COUNT_MAX + 1), STATUS_OK);
}

static void holds_no_more_bytes_than_its_bound(void **state)
{
    struct holdback *holdback = *state;
    enum { PART_BYTES = HOLDBACK_BYTES_MAX / 4 };
    uint8_t *part = calloc(1, PART_BYTES);
    assert_non_null(part);
    for (uint64_t sequence = 1; sequence <= 4; sequence++) {
        const struct record record = record_of(1, sequence, bytes_of(part, PART_BYTES));
        assert_int_equal(holdback_put(holdback, &record), STATUS_OK);
    }
    const struct record one_byte = record_of(1, 5, bytes_of(part, 1));
    assert_int_equal(holdback_put(holdback, &one_byte), STATUS_FULL);
    const struct writer_id id = writer_of(1);
    holdback_drop(holdback, &id, 1);
    assert_int_equal(holdback_put(holdback, &one_byte), STATUS_OK);
    free(part);
}

static void says_when_the_rest_is_for_those_whose_turn_it_is(void **state)
{
    struct holdback *holdback = *state;
    enum { PART_BYTES = HOLDBACK_BYTES_MAX / 4 };
    uint8_t *part = calloc(1, PART_BYTES);
    assert_non_null(part);
    for (uint64_t sequence = 1; sequence <= 3; sequence++) {
        const struct record record = record_of(1, sequence, bytes_of(part, PART_BYTES));
        assert_int_equal(holdback_put(holdback, &record), STATUS_OK);
        assert_false(holdback_is_tight(holdback));
    }
    const struct record one_byte = record_of(1, 4, bytes_of(part, 1));
    assert_int_equal(holdback_put(holdback, &one_byte), STATUS_OK);
    assert_true(holdback_is_tight(holdback));
    free(part);
    const struct writer_id id = writer_of(1);
    holdback_drop(holdback, &id, UINT64_MAX);
    for (uint64_t sequence = 1; sequence <= HOLDBACK_COUNT_MAX / 4 * 3; sequence++) {
        assert_int_equal(put(holdback, 1, sequence), STATUS_OK);
        assert_false(holdback_is_tight(holdback));
    }
    assert_int_equal(put(holdback, 2, 1), STATUS_OK);
    assert_true(holdback_is_tight(holdback));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gives_back_a_copy_once, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_the_first_of_two_with_one_name, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_apart_what_shares_a_bucket, setup, teardown),
        cmocka_unit_test_setup_teardown(drops_one_writer_up_to_a_sequence, setup, teardown),
        cmocka_unit_test_setup_teardown(the_walk_names_each_record_once, setup, teardown),
        cmocka_unit_test_setup_teardown(says_when_the_rest_is_for_those_whose_turn_it_is, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(holds_no_more_records_than_its_bound, setup, teardown),
        cmocka_unit_test_setup_teardown(holds_no_more_bytes_than_its_bound, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
