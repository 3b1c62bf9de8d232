/* tests/store/segment_test.c */

/*
 * Goal: a segment reads back as it was written, and every byte of it counts.
 * Method: write one with two records and a mark; flip bits, move it, cut it; parse the example of
 * docs/format/segment.md.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/segment.h"
#include "tests/support/page.h"

enum { FILE_BYTES = 256 };

static const struct segment_header header = {
    .number = 7,
    .capsule = {.bytes = {0xca, 0x95}},
    .salt = {0x5a, 0x17},
};

/* Header, "first", "the second", a mark, zeroes. */
static void make(struct buffer *file)
{
    *file = BUFFER_EMPTY;
    assert_int_equal(buffer_reserve(file, FILE_BYTES), STATUS_OK);
    segment_header_encode(file->bytes, &header);
    file->length = SEGMENT_HEADER_BYTES;
    assert_int_equal(segment_entry_encode(file, bytes_text("first")), STATUS_OK);
    assert_int_equal(segment_entry_encode(file, bytes_text("the second")), STATUS_OK);
    segment_mark_encode(file->bytes + file->length, &header, file->length);
    file->length += SEGMENT_MARK_BYTES;
    memset(file->bytes + file->length, 0, FILE_BYTES - file->length);
    file->length = FILE_BYTES;
}

/* Read to the end; STATUS_EMPTY: it is whole. `count` counts the entries. */
static enum status read_all(struct bytes bytes, size_t *count)
{
    struct segment_reader reader;
    struct segment_entry entry;
    *count = 0;
    enum status status = segment_reader_init(&reader, bytes);
    while (status == STATUS_OK) {
        status = segment_read(&reader, &entry);
        *count += status == STATUS_OK ? 1 : 0;
    }
    return status;
}

static void reads_what_was_written(void **state)
{
    (void)state;
    struct buffer file;
    make(&file);
    struct segment_reader reader;
    struct segment_entry entry;
    assert_int_equal(segment_reader_init(&reader, buffer_bytes(&file)), STATUS_OK);
    assert_int_equal(reader.header.number, 7);
    assert_true(hash_equal(&reader.header.capsule, &header.capsule));
    assert_memory_equal(reader.header.salt, header.salt, SEGMENT_SALT_BYTES);
    assert_int_equal(segment_read(&reader, &entry), STATUS_OK);
    assert_true(bytes_equal(entry.content, bytes_text("first")) && !entry.is_mark);
    assert_int_equal(entry.offset, 64);
    assert_int_equal(segment_read(&reader, &entry), STATUS_OK);
    assert_true(bytes_equal(entry.content, bytes_text("the second")) && !entry.is_mark);
    assert_int_equal(entry.offset, 80);
    assert_int_equal(segment_read(&reader, &entry), STATUS_OK);
    assert_true(entry.is_mark);
    assert_int_equal(entry.offset, 104);
    assert_int_equal(segment_read(&reader, &entry), STATUS_EMPTY);
    buffer_release(&file);
}

static void sees_every_flipped_bit(void **state)
{
    (void)state;
    struct buffer file;
    make(&file);
    for (size_t bit = 0; bit < 8 * FILE_BYTES; bit++) {
        size_t count;
        file.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(read_all(buffer_bytes(&file), &count), STATUS_DAMAGED);
        file.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    buffer_release(&file);
}

static void reads_as_far_as_a_cut_file_goes(void **state)
{
    (void)state;
    struct buffer file;
    make(&file);
    for (size_t length = 0; length <= FILE_BYTES; length++) {
        size_t count;
        uint8_t *exact = malloc(length + 1);
        memcpy(exact, file.bytes, length);
        enum status status = read_all(bytes_of(exact, length), &count);
        size_t whole = length < 80 ? 0 : length < 104 ? 1 : length < 144 ? 2 : 3;
        assert_int_equal(count, whole);
        bool ends_at_an_entry = length == 64 || length == 80 || length == 104 || length >= 144;
        assert_int_equal(status, ends_at_an_entry ? STATUS_EMPTY : STATUS_DAMAGED);
        free(exact);
    }
    buffer_release(&file);
}

static void finds_a_mark_and_only_a_true_one(void **state)
{
    (void)state;
    struct buffer file;
    make(&file);
    assert_true(segment_has_mark(buffer_bytes(&file), &header, 0));
    assert_true(segment_has_mark(buffer_bytes(&file), &header, 104));
    assert_false(segment_has_mark(buffer_bytes(&file), &header, 105));
    struct segment_header other = header;
    other.number++;
    assert_false(segment_has_mark(buffer_bytes(&file), &other, 0));
    other = header;
    other.salt[3]++;
    assert_false(segment_has_mark(buffer_bytes(&file), &other, 0));
    // At another place it is not true.
    memmove(file.bytes + 112, file.bytes + 104, SEGMENT_MARK_BYTES);
    memset(file.bytes + 104, 0, 8);
    assert_false(segment_has_mark(buffer_bytes(&file), &header, 0));
    buffer_release(&file);
}

static void a_mark_of_another_place_is_damage(void **state)
{
    (void)state;
    struct buffer file;
    make(&file);
    size_t count;
    segment_mark_encode(file.bytes + 104, &header, 64);
    assert_int_equal(read_all(buffer_bytes(&file), &count), STATUS_DAMAGED);
    assert_int_equal(count, 2);
    buffer_release(&file);
}

static void parses_the_example_of_the_page(void **state)
{
    (void)state;
    struct buffer file = BUFFER_EMPTY;
    page_hex(&file, "format/segment.md", "hex segment");
    struct segment_reader reader;
    struct segment_entry entry;
    assert_int_equal(segment_reader_init(&reader, buffer_bytes(&file)), STATUS_OK);
    assert_int_equal(reader.header.number, 1);
    assert_int_equal(segment_read(&reader, &entry), STATUS_OK);
    assert_true(bytes_equal(entry.content, bytes_text("PCR1 and so on")));
    assert_int_equal(segment_read(&reader, &entry), STATUS_OK);
    assert_true(entry.is_mark);
    assert_int_equal(segment_read(&reader, &entry), STATUS_EMPTY);
    assert_int_equal(file.length, 144);

    // And it is what this program would write.
    struct buffer own = BUFFER_EMPTY;
    assert_int_equal(buffer_reserve(&own, file.length), STATUS_OK);
    segment_header_encode(own.bytes, &reader.header);
    own.length = SEGMENT_HEADER_BYTES;
    assert_int_equal(segment_entry_encode(&own, bytes_text("PCR1 and so on")), STATUS_OK);
    segment_mark_encode(own.bytes + own.length, &reader.header, own.length);
    own.length += SEGMENT_MARK_BYTES;
    assert_memory_equal(own.bytes, file.bytes, own.length);
    buffer_release(&own);
    buffer_release(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_was_written),
        cmocka_unit_test(sees_every_flipped_bit),
        cmocka_unit_test(reads_as_far_as_a_cut_file_goes),
        cmocka_unit_test(finds_a_mark_and_only_a_true_one),
        cmocka_unit_test(a_mark_of_another_place_is_damage),
        cmocka_unit_test(parses_the_example_of_the_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
