/* tests/scl/key_index_test.c */

/*
 * Goal: what was added is found; a miss that calls itself certain is one; and
 * what cannot be placed is never denied.
 * Method: choose hashes by hand, so that items crowd one place or none, and
 * add enough of them to grow the table several times.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "scl/key_index.h"

enum { CROWD_MAX = 64 };  // items with one home that find a place

struct fixture {
    struct reclaim *reclaim;
    struct key_index *index;
};

static int setup(void **state)
{
    static struct fixture f;
    assert_int_equal(reclaim_new(&f.reclaim), STATUS_OK);
    assert_int_equal(key_index_new(&f.index, f.reclaim), STATUS_OK);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    key_index_free(f->index);
    reclaim_free(f->reclaim);
    return 0;
}

/* Items are numbers, and keys are their bytes. */
static bool has_key(const void *item, struct bytes key)
{
    return bytes_equal(bytes_of(item, sizeof(uint64_t)), key);
}

static void *get(struct fixture *f, uint64_t hash, const uint64_t *number, bool *is_certain)
{
    return key_index_get(f->index, hash, bytes_of(number, sizeof *number), has_key, is_certain);
}

static void finds_what_was_added_while_it_grows(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 10000 };
    static uint64_t numbers[COUNT];
    uint64_t bytes = key_index_bytes(f->index);
    bool is_certain;
    for (uint64_t i = 0; i < COUNT; i++) {
        numbers[i] = i;
        uint64_t hash = key_index_hash(bytes_of(&i, sizeof i));
        assert_null(get(f, hash, &i, &is_certain));
        assert_true(is_certain);
        key_index_add(f->index, hash, &numbers[i]);
        assert_ptr_equal(get(f, hash, &i, &is_certain), &numbers[i]);
    }
    for (uint64_t i = 0; i < COUNT; i++) {
        uint64_t hash = key_index_hash(bytes_of(&i, sizeof i));
        assert_ptr_equal(get(f, hash, &i, &is_certain), &numbers[i]);
    }
    assert_true(key_index_bytes(f->index) > bytes);
}

static void what_is_removed_makes_room_and_hides_nothing(void **state)
{
    struct fixture *f = *state;
    static uint64_t numbers[CROWD_MAX + 1];
    bool is_certain;
    // A crowd around one place: whoever stands behind a gap is found all the same.
    for (uint64_t i = 0; i < CROWD_MAX; i++) {
        numbers[i] = i;
        key_index_add(f->index, 5, &numbers[i]);
    }
    key_index_remove(f->index, 5, &numbers[0]);
    key_index_remove(f->index, 5, &numbers[30]);
    for (uint64_t i = 0; i < CROWD_MAX; i++) {
        bool is_there = i != 0 && i != 30;
        assert_ptr_equal(get(f, 5, &i, &is_certain), is_there ? &numbers[i] : NULL);
        assert_true(is_certain);
    }
    numbers[CROWD_MAX] = 1000;
    key_index_add(f->index, 5, &numbers[CROWD_MAX]);
    assert_ptr_equal(get(f, 5, &numbers[CROWD_MAX], &is_certain), &numbers[CROWD_MAX]);
}

static void keys_that_come_and_go_do_not_let_it_grow(void **state)
{
    struct fixture *f = *state;
    enum { LIVING = 100, LIVES = 100000 };
    static uint64_t numbers[LIVES];
    bool is_certain;
    uint64_t bytes = key_index_bytes(f->index);
    for (uint64_t i = 0; i < LIVES; i++) {
        numbers[i] = i;
        key_index_add(f->index, key_index_hash(bytes_of(&i, sizeof i)), &numbers[i]);
        if (i >= LIVING) {
            uint64_t old = i - LIVING;
            key_index_remove(f->index, key_index_hash(bytes_of(&old, sizeof old)), &numbers[old]);
            assert_null(get(f, key_index_hash(bytes_of(&old, sizeof old)), &old, &is_certain));
            assert_true(is_certain);
        }
        assert_ptr_equal(get(f, key_index_hash(bytes_of(&i, sizeof i)), &i, &is_certain),
                         &numbers[i]);
    }
    assert_int_equal(key_index_bytes(f->index), bytes);
}

static void tells_keys_of_one_hash_apart(void **state)
{
    struct fixture *f = *state;
    uint64_t numbers[] = {1, 2}, other = 3;
    bool is_certain;
    key_index_add(f->index, 77, &numbers[0]);
    key_index_add(f->index, 77, &numbers[1]);
    assert_ptr_equal(get(f, 77, &numbers[0], &is_certain), &numbers[0]);
    assert_ptr_equal(get(f, 77, &numbers[1], &is_certain), &numbers[1]);
    assert_null(get(f, 77, &other, &is_certain));
    assert_true(is_certain);
}

static void a_crowd_that_ends_at_the_last_slot_goes_on_at_the_first(void **state)
{
    struct fixture *f = *state;
    uint64_t numbers[CROWD_MAX];
    bool is_certain;
    for (uint64_t i = 0; i < CROWD_MAX; i++) {
        numbers[i] = i;
        key_index_add(f->index, UINT64_MAX, &numbers[i]);
    }
    for (uint64_t i = 0; i < CROWD_MAX; i++) {
        assert_ptr_equal(get(f, UINT64_MAX, &i, &is_certain), &numbers[i]);
    }
    uint64_t other = CROWD_MAX;
    assert_null(get(f, UINT64_MAX, &other, &is_certain));
    assert_true(is_certain);
}

static void a_miss_is_uncertain_once_an_item_was_left_out(void **state)
{
    struct fixture *f = *state;
    static uint64_t numbers[2000];
    bool is_certain;
    for (uint64_t i = 0; i <= CROWD_MAX; i++) {
        numbers[i] = i;
        key_index_add(f->index, 77, &numbers[i]);
    }
    uint64_t left_out = CROWD_MAX;
    assert_null(get(f, 77, &left_out, &is_certain));
    assert_false(is_certain);

    // A larger table holds only what the smaller one did.
    for (uint64_t i = CROWD_MAX + 1; i < 2000; i++) {
        numbers[i] = i;
        key_index_add(f->index, key_index_hash(bytes_of(&i, sizeof i)), &numbers[i]);
    }
    assert_null(get(f, 77, &left_out, &is_certain));
    assert_false(is_certain);
}

static void the_hash_depends_on_every_byte_and_the_length(void **state)
{
    (void)state;
    uint8_t key[20] = {0};
    uint64_t hashes[41];
    size_t count = 0;
    for (size_t length = 0; length <= 20; length++) {
        hashes[count++] = key_index_hash(bytes_of(key, length));
    }
    for (size_t i = 0; i < 20; i++) {
        key[i] = 1;
        hashes[count++] = key_index_hash(bytes_of(key, 20));
        key[i] = 0;
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_true(hashes[i] != hashes[j]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_what_was_added_while_it_grows, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_removed_makes_room_and_hides_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(keys_that_come_and_go_do_not_let_it_grow, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_keys_of_one_hash_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(a_crowd_that_ends_at_the_last_slot_goes_on_at_the_first,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_miss_is_uncertain_once_an_item_was_left_out, setup,
                                        teardown),
        cmocka_unit_test(the_hash_depends_on_every_byte_and_the_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
