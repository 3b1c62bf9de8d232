/* tests/scl/version_test.c */

/*
 * Goal: what a token says is read as it was written, in the form that docs/format/version.md has,
 * and nothing else is taken for a token.
 * Method: write the token of that page, read it, and cut it short at each byte; the refusals are
 * also seen through scl_version_reaches(), in scl_test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "scl/version.h"
#include "tests/support/page.h"

enum { TEXT_BYTES = 256 };

static const struct version example = {.capsule = {0x40, 0x41, 0x42, 0x43}, .term = 1, .epoch = 7};
static const struct version_head of_leader = {.writer = {0x11, 0x11, 0x11, 0x11}, .sequence = 3};
static const struct version_head of_worker = {
    .writer = {0x80, 0x81, 0x82, 0x83},
    .sequence = 12,
    .has_hash = true,
    .hash = {0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xcb},
};

static void write_example(char text[TEXT_BYTES])
{
    assert_int_equal(version_begin(text, TEXT_BYTES, &example), STATUS_OK);
    assert_int_equal(version_add(text, TEXT_BYTES, &of_leader), STATUS_OK);
    assert_int_equal(version_add(text, TEXT_BYTES, &of_worker), STATUS_OK);
}

static void the_page_shows_what_is_written(void **state)
{
    (void)state;
    char text[TEXT_BYTES];
    struct buffer shown = BUFFER_EMPTY;
    write_example(text);
    page_hex(&shown, "format/version.md", "hex version");
    assert_true(bytes_equal(buffer_bytes(&shown), bytes_text(text)));
    buffer_release(&shown);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    char text[TEXT_BYTES];
    struct version version;
    struct version_head head;
    write_example(text);
    assert_int_equal(version_decode(&version, bytes_text(text)), STATUS_OK);
    assert_memory_equal(version.capsule, example.capsule, VERSION_ID_BYTES);
    assert_int_equal(version.term, 1);
    assert_int_equal(version.epoch, 7);
    assert_int_equal(version_next(&version, &head), STATUS_OK);
    assert_memory_equal(head.writer, of_leader.writer, VERSION_ID_BYTES);
    assert_int_equal(head.sequence, 3);
    assert_false(head.has_hash);
    assert_int_equal(version_next(&version, &head), STATUS_OK);
    assert_memory_equal(head.writer, of_worker.writer, VERSION_ID_BYTES);
    assert_int_equal(head.sequence, 12);
    assert_true(head.has_hash);
    assert_memory_equal(head.hash, of_worker.hash, VERSION_HASH_BYTES);
    assert_int_equal(version_next(&version, &head), STATUS_EMPTY);
}

/* How many heads are read of it; SIZE_MAX: it is refused. */
static size_t count_heads(struct bytes text)
{
    struct version version;
    struct version_head head;
    size_t count = 0;
    enum status status = version_decode(&version, text);
    while (status == STATUS_OK && (status = version_next(&version, &head)) == STATUS_OK) {
        count++;
    }
    return status == STATUS_EMPTY ? count : SIZE_MAX;
}

static void what_is_cut_short_is_refused_or_says_less(void **state)
{
    (void)state;
    char text[TEXT_BYTES];
    write_example(text);
    size_t whole = strlen(text), accepted = 0;
    for (size_t length = 0; length < whole; length++) {
        accepted += count_heads(bytes_of((const uint8_t *)text, length)) != SIZE_MAX;
    }
    // Behind the epoch, behind the leader's number, behind each digit of the worker's.
    assert_int_equal(accepted, 4);
    assert_int_equal(count_heads(bytes_text(text)), 2);
}

static void what_does_not_fit_is_not_begun(void **state)
{
    (void)state;
    char text[TEXT_BYTES], expected[TEXT_BYTES];
    write_example(expected);
    for (size_t room = 1; room <= strlen(expected); room++) {
        enum status status = version_begin(text, room, &example);
        assert_int_equal(status, room > strlen("40414243.1.7") ? STATUS_OK : STATUS_FULL);
        const char *whole = status == STATUS_OK ? "40414243.1.7" : NULL;
        if (status == STATUS_OK && version_add(text, room, &of_leader) == STATUS_OK) {
            whole = "40414243.1.7.11111111-3";
            assert_int_equal(version_add(text, room, &of_worker), STATUS_FULL);
        }
        if (whole != NULL) {
            assert_string_equal(text, whole);
        }
    }
    assert_int_equal(version_begin(text, strlen(expected) + 1, &example), STATUS_OK);
    assert_int_equal(version_add(text, strlen(expected) + 1, &of_leader), STATUS_OK);
    assert_int_equal(version_add(text, strlen(expected) + 1, &of_worker), STATUS_OK);
    assert_string_equal(text, expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_shows_what_is_written),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(what_is_cut_short_is_refused_or_says_less),
        cmocka_unit_test(what_does_not_fit_is_not_begun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
