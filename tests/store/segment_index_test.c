/* tests/store/segment_index_test.c */

/*
 * Goal: an index says of a segment's records what it was told, and one that is not whole, not of
 * this segment or capsule, or that no segment could have, is damaged.
 * Method: five records of two writers, written and read; every byte of the file changed; heads that
 * are wrong in one point and have the right sum.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/disk_fake.h"
#include "store/segment_index.h"

enum { SEGMENT = 7, RECORDS = 5 };

static const struct hash capsule = {.bytes = {0xca, 0x95}};
static const struct writer_id a = {.bytes = {0x0a}}, b = {.bytes = {0x0b}}, c = {.bytes = {0x0c}};

// In the order of the log: b's record 9, a's 3, b's 10 and 11, a's 4.
static const struct segment_index_item items[RECORDS] = {
    {.branch = 1, .offset = 40, .length = 100}, {.branch = 0, .offset = 140, .length = 60},
    {.branch = 1, .offset = 200, .length = 80}, {.branch = 1, .offset = 280, .length = 90},
    {.branch = 0, .offset = 370, .length = 50},
};

struct fixture {
    struct disk_fake *fake;
    struct disk disk;
    char name[SEGMENT_INDEX_NAME_BYTES];
    struct segment_index_branch branches[2];
    struct segment_index written;
    struct buffer file;
};

static void write_file(struct fixture *f)
{
    buffer_clear(&f->file);
    assert_int_equal(segment_index_encode(&f->file, &f->written, &capsule, items), STATUS_OK);
    disk_fake_put(f->fake, f->name, f->file.bytes, f->file.length);
}

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){
        .fake = disk_fake_new(),
        .branches = {{.writer = a, .first = 3, .count = 2, .start = 0},
                     {.writer = b, .first = 9, .count = 3, .start = 2}},
        .written = {.segment = SEGMENT,
                    .first_number = 1000,
                    .record_count = RECORDS,
                    .branch_count = 2,
                    .end = 420},
    };
    f.written.branches = f.branches;
    f.disk = disk_fake_disk(f.fake);
    segment_index_name(f.name, SEGMENT);
    write_file(&f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    buffer_release(&f->file);
    disk_fake_free(f->fake);
    return 0;
}

/* The head, and then the lists. */
static enum status load(struct fixture *f, uint32_t segment, const struct hash *of)
{
    struct segment_index index = SEGMENT_INDEX_EMPTY;
    struct segment_index_lists lists = {.segment = 0};
    enum status status = segment_index_load(&index, &f->disk, segment, of);
    if (status == STATUS_OK) {
        status = segment_index_load_lists(&lists, &index, &f->disk);
        assert_int_equal(lists.segment, status == STATUS_OK ? segment : 0);
    } else {
        assert_null(index.branches);
    }
    segment_index_lists_release(&lists);
    segment_index_release(&index);
    return status;
}

static void each_record_is_found_by_its_place_and_by_its_sequence(void **state)
{
    struct fixture *f = *state;
    struct segment_index index;
    struct segment_index_lists lists = {.segment = 0};
    assert_int_equal(segment_index_load(&index, &f->disk, SEGMENT, &capsule), STATUS_OK);
    assert_int_equal(segment_index_load_lists(&lists, &index, &f->disk), STATUS_OK);
    assert_int_equal(index.first_number, 1000);
    assert_int_equal(index.end, 420);
    for (uint32_t i = 0; i < RECORDS; i++) {
        uint32_t offset, length;
        segment_index_item(&index, &lists, i, &offset, &length);
        assert_int_equal(offset, items[i].offset);
        assert_int_equal(length, items[i].length);
    }
    const struct segment_index_branch *of_a = segment_index_branch(&index, &a);
    const struct segment_index_branch *of_b = segment_index_branch(&index, &b);
    assert_null(segment_index_branch(&index, &c));
    assert_int_equal(of_a->first, 3);
    assert_int_equal(segment_index_place(&index, &lists, of_a, 0), 1);
    assert_int_equal(segment_index_place(&index, &lists, of_a, 1), 4);
    assert_int_equal(of_b->first, 9);
    assert_int_equal(segment_index_place(&index, &lists, of_b, 0), 0);
    assert_int_equal(segment_index_place(&index, &lists, of_b, 1), 2);
    assert_int_equal(segment_index_place(&index, &lists, of_b, 2), 3);
    segment_index_lists_release(&lists);
    segment_index_release(&index);
}

static void lists_made_anew_are_those_of_the_head_or_none(void **state)
{
    struct fixture *f = *state;
    struct segment_index index;
    struct segment_index_lists lists = {.segment = 0};
    struct segment_index_item others[RECORDS];
    assert_int_equal(segment_index_load(&index, &f->disk, SEGMENT, &capsule), STATUS_OK);
    assert_int_equal(segment_index_make_lists(&lists, &index, items), STATUS_OK);
    assert_int_equal(lists.segment, SEGMENT);
    for (size_t i = 0; i < RECORDS; i++) {
        others[i] = items[i];
    }
    others[4].length++;
    assert_int_equal(segment_index_make_lists(&lists, &index, others), STATUS_DAMAGED);
    assert_int_equal(lists.segment, 0);
    segment_index_lists_release(&lists);
    segment_index_release(&index);
}

static void any_changed_bit_and_any_other_length_is_damage(void **state)
{
    struct fixture *f = *state;
    for (size_t bit = 0; bit < 8 * f->file.length; bit++) {
        f->file.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        disk_fake_put(f->fake, f->name, f->file.bytes, f->file.length);
        if (load(f, SEGMENT, &capsule) != STATUS_DAMAGED) {
            fail_msg("bit %zu of byte %zu does not count", bit % 8, bit / 8);
        }
        f->file.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t length = 0; length < f->file.length; length++) {
        disk_fake_put(f->fake, f->name, f->file.bytes, length);
        assert_int_equal(load(f, SEGMENT, &capsule), STATUS_DAMAGED);
    }
    assert_int_equal(buffer_append(&f->file, "", 1), STATUS_OK);
    disk_fake_put(f->fake, f->name, f->file.bytes, f->file.length);
    assert_int_equal(load(f, SEGMENT, &capsule), STATUS_DAMAGED);
}

static void an_index_is_of_one_segment_of_one_capsule(void **state)
{
    struct fixture *f = *state;
    const struct hash other = {.bytes = {0xca, 0x96}};
    assert_int_equal(load(f, SEGMENT, &capsule), STATUS_OK);
    assert_int_equal(load(f, SEGMENT, &other), STATUS_DAMAGED);
    assert_int_equal(load(f, SEGMENT + 1, &capsule), STATUS_NOT_FOUND);
    segment_index_name(f->name, SEGMENT + 1);
    write_file(f);
    assert_int_equal(load(f, SEGMENT + 1, &capsule), STATUS_DAMAGED);
}

static void branches_that_no_segment_has_are_damage(void **state)
{
    struct fixture *f = *state;
    const struct segment_index_branch of_a = f->branches[0], of_b = f->branches[1];
    const struct segment_index_branch bent[][2] = {
        {of_a, {.writer = a, .first = 9, .count = 3, .start = 2}},  // one writer twice
        {{.writer = c, .first = 3, .count = 2, .start = 0}, of_b},  // falling
        {{.writer = a, .first = 0, .count = 2, .start = 0}, of_b},  // from record 0
        {{.writer = a, .first = 3, .count = 2, .start = 1}, of_b},  // a place that is nobody's
        {of_a, {.writer = b, .first = 9, .count = 3, .start = 1}},  // or of both
        {of_a, {.writer = b, .first = 9, .count = 2, .start = 2}},  // fewer than there are
    };
    for (size_t i = 0; i < sizeof bent / sizeof *bent; i++) {
        f->branches[0] = bent[i][0];
        f->branches[1] = bent[i][1];
        write_file(f);
        if (load(f, SEGMENT, &capsule) != STATUS_DAMAGED) {
            fail_msg("branches %zu are taken", i);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_record_is_found_by_its_place_and_by_its_sequence,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(lists_made_anew_are_those_of_the_head_or_none, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(any_changed_bit_and_any_other_length_is_damage, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_index_is_of_one_segment_of_one_capsule, setup, teardown),
        cmocka_unit_test_setup_teardown(branches_that_no_segment_has_are_damage, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
