/* tests/scl/overlay_test.c */

/*
 * Goal: what was written is found by key and in the order of keys, the last write of each, and
 * never more of it than one record holds.
 * Method: put, replace, seek between; fill it to its bound and beyond.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "scl/overlay.h"

static int setup(void **state)
{
    static struct overlay overlay;
    overlay = (struct overlay){.count = 0};
    *state = &overlay;
    return 0;
}

static int teardown(void **state)
{
    overlay_release(*state);
    return 0;
}

static enum status put(struct overlay *overlay, enum tuple_kind kind, const char *key,
                       struct bytes value)
{
    const struct tuple tuple = {.kind = kind, .key = bytes_text(key), .value = value};
    return overlay_put(overlay, &tuple);
}

static void must_put(struct overlay *overlay, const char *key, const char *value)
{
    assert_int_equal(put(overlay, TUPLE_PUT, key, bytes_text(value)), STATUS_OK);
}

static bool is_key(const struct overlay_entry *entry, const char *key)
{
    return entry != NULL && bytes_equal(buffer_bytes(&entry->key), bytes_text(key));
}

static void the_last_write_of_a_key_is_found(void **state)
{
    struct overlay *overlay = *state;
    must_put(overlay, "b", "1");
    must_put(overlay, "a", "2");
    must_put(overlay, "b", "3");
    assert_int_equal(overlay->count, 2);
    assert_true(
        bytes_equal(buffer_bytes(&overlay_find(overlay, bytes_text("b"))->value), bytes_text("3")));
    assert_int_equal(put(overlay, TUPLE_DELETE, "b", bytes_of(NULL, 0)), STATUS_OK);
    assert_int_equal(overlay_find(overlay, bytes_text("b"))->kind, TUPLE_DELETE);
    assert_null(overlay_find(overlay, bytes_text("c")));
    assert_null(overlay_find(overlay, bytes_text("")));
}

static void keys_come_in_the_order_of_their_bytes(void **state)
{
    struct overlay *overlay = *state;
    const char *const keys[] = {"b", "ab", "a", "\xff", "abc"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        must_put(overlay, keys[i], "");
    }
    assert_true(is_key(overlay_seek(overlay, bytes_text(""), false), "a"));
    assert_true(is_key(overlay_seek(overlay, bytes_text("a"), false), "a"));
    assert_true(is_key(overlay_seek(overlay, bytes_text("a"), true), "ab"));
    assert_true(is_key(overlay_seek(overlay, bytes_text("aa"), true), "ab"));
    assert_true(is_key(overlay_seek(overlay, bytes_text("abc"), true), "b"));
    assert_true(is_key(overlay_seek(overlay, bytes_text("b"), true), "\xff"));
    assert_null(overlay_seek(overlay, bytes_text("\xff"), true));
    assert_true(overlay_compare(bytes_text("a"), bytes_text("a")) == 0);
}

static void all_of_it_fits_into_one_tagged_record(void **state)
{
    struct overlay *overlay = *state;
    static uint8_t large[TUPLE_VALUE_BYTES_MAX];
    for (int i = 0; i < 3; i++) {
        const char key[] = {(char)('a' + i), '\0'};
        assert_int_equal(put(overlay, TUPLE_PUT, key, bytes_of(large, sizeof large)), STATUS_OK);
    }
    assert_int_equal(put(overlay, TUPLE_PUT, "d", bytes_of(large, sizeof large)), STATUS_FULL);
    assert_null(overlay_find(overlay, bytes_text("d")));
    // The largest that fits, and not one byte more.
    size_t room = TUPLE_BATCH_BYTES_MAX - overlay->bytes - (1 + 8 + 10 + 8);
    assert_int_equal(put(overlay, TUPLE_PUT, "d", bytes_of(large, room + 1)), STATUS_FULL);
    assert_int_equal(put(overlay, TUPLE_PUT, "d", bytes_of(large, room)), STATUS_OK);
    assert_int_equal(put(overlay, TUPLE_PUT, "e", bytes_of(NULL, 0)), STATUS_FULL);
    // What takes the place of another has its room.
    assert_int_equal(put(overlay, TUPLE_PUT, "d", bytes_of(large, room)), STATUS_OK);
    assert_int_equal(put(overlay, TUPLE_PUT, "a", bytes_text("small")), STATUS_OK);
    assert_int_equal(put(overlay, TUPLE_PUT, "e", bytes_of(NULL, 0)), STATUS_OK);

    struct tuple_batch batch = {.tag = {.fence = 1}};
    for (size_t i = 0; i < overlay->count; i++) {
        const struct overlay_entry *entry = &overlay->entries[i];
        const struct tuple tuple = {.kind = entry->kind,
                                    .lamport = i == 0 ? 1 : (1ull << 62) + i,
                                    .expiry_ms = 1,
                                    .key = buffer_bytes(&entry->key),
                                    .value = buffer_bytes(&entry->value)};
        assert_int_equal(tuple_batch_add(&batch, &tuple), STATUS_OK);
    }
    tuple_batch_release(&batch);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_last_write_of_a_key_is_found),
        TEST(keys_come_in_the_order_of_their_bytes),
        TEST(all_of_it_fits_into_one_tagged_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
