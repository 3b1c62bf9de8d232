/* tests/lsm/block_test.c */

/*
 * Goal: a block gives back what was added; one set of entries has one encoding; what is not in
 * form is refused.
 * Method: random blocks, then each of their bytes bent; and by hand each bound.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/encoder.h"
#include "base/random.h"
#include "lsm/block.h"

static struct entry make(const char *key, const char *value, uint64_t lamport)
{
    return (struct entry){
        .tuple = {.kind = TUPLE_PUT,
                  .lamport = lamport,
                  .key = bytes_text(key),
                  .value = bytes_text(value)},
        .writer = {{(uint8_t)lamport}},
    };
}

static struct block_builder *builder_new(size_t target_bytes)
{
    struct block_builder *builder;
    assert_int_equal(block_builder_new(&builder, target_bytes), STATUS_OK);
    return builder;
}

static struct block *finish(struct block_builder *builder, struct buffer *plain)
{
    struct buffer copy = BUFFER_EMPTY;
    struct block *block;
    assert_int_equal(block_builder_finish(builder, plain), STATUS_OK);
    assert_int_equal(buffer_append(&copy, plain->bytes, plain->length), STATUS_OK);
    assert_int_equal(block_decode(&block, &copy), STATUS_OK);
    return block;
}

static enum status decode(const uint8_t *bytes, size_t length)
{
    struct buffer plain = BUFFER_EMPTY;
    struct block *block;
    assert_int_equal(buffer_append(&plain, bytes, length), STATUS_OK);
    enum status status = block_decode(&block, &plain);
    block_free(block);
    buffer_release(&plain);
    return status;
}

/* Whether a block says exactly these bytes when its entries are added again. */
static bool is_canonical(const uint8_t *bytes, size_t length)
{
    struct buffer plain = BUFFER_EMPTY, again = BUFFER_EMPTY;
    struct block *block;
    assert_int_equal(buffer_append(&plain, bytes, length), STATUS_OK);
    assert_int_equal(block_decode(&block, &plain), STATUS_OK);
    struct block_builder *builder = builder_new(BLOCK_TARGET_BYTES_MAX);
    for (uint32_t i = 0; i < block_count(block); i++) {
        uint8_t key[TUPLE_KEY_BYTES_MAX];
        struct entry entry;
        struct block_key parts = block_key_at(block, i);
        block_entry_at(block, i, &entry);
        entry.tuple.key = block_key_copy(&parts, key);
        assert_int_equal(block_builder_add(builder, &entry), STATUS_OK);
    }
    assert_int_equal(block_builder_finish(builder, &again), STATUS_OK);
    bool is_same = bytes_equal(buffer_bytes(&again), bytes_of(bytes, length));
    buffer_release(&again);
    block_builder_free(builder);
    block_free(block);
    return is_same;
}

static void bent_bytes_are_refused_or_mean_something_else(void **state)
{
    (void)state;
    struct block_builder *builder = builder_new(BLOCK_TARGET_BYTES_MAX);
    struct entry entries[] = {make("aa", "1", 200), make("aab", "", 3),
                              make("ab", "three", 1ull << 40)};
    entries[1].tuple.kind = TUPLE_DELETE;
    entries[2].tuple.expiry_ms = 77;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(block_builder_add(builder, &entries[i]), STATUS_OK);
    }
    struct buffer plain = BUFFER_EMPTY;
    block_free(finish(builder, &plain));
    size_t accepted = 0;
    for (size_t at = 0; at < plain.length; at++) {
        uint8_t good = plain.bytes[at];
        for (unsigned byte = 0; byte < 256; byte++) {
            plain.bytes[at] = (uint8_t)byte;
            if (decode(plain.bytes, plain.length) == STATUS_OK) {
                accepted++;
                assert_true(is_canonical(plain.bytes, plain.length));
            }
        }
        plain.bytes[at] = good;
    }
    // Ids, versions, values and most of the keys' bytes are free; lengths and counts are not.
    assert_true(accepted > 0);
    for (size_t length = 0; length < plain.length; length++) {
        assert_int_equal(decode(plain.bytes, length), STATUS_MALFORMED);
    }
    assert_int_equal(buffer_append(&plain, "", 1), STATUS_OK);
    assert_int_equal(decode(plain.bytes, plain.length), STATUS_MALFORMED);
    buffer_release(&plain);
    block_builder_free(builder);
}

static void finds_each_key_and_none_beside_it(void **state)
{
    (void)state;
    struct block_builder *builder = builder_new(BLOCK_TARGET_BYTES_MAX);
    for (unsigned i = 0; i < 500; i++) {
        char key[32];
        snprintf(key, sizeof key, "key/%04u", 2 * i);
        struct entry entry = make(key, "v", i + 1);
        assert_int_equal(block_builder_add(builder, &entry), STATUS_OK);
    }
    struct buffer plain = BUFFER_EMPTY;
    struct block *block = finish(builder, &plain);
    for (unsigned i = 0; i < 1000; i++) {
        char key[32];
        struct entry entry;
        snprintf(key, sizeof key, "key/%04u", i);
        assert_int_equal(block_seek(block, bytes_text(key)), (i + 1) / 2);
        enum status status = block_get(block, bytes_text(key), &entry);
        assert_int_equal(status, i % 2 == 0 ? STATUS_OK : STATUS_NOT_FOUND);
        if (status == STATUS_OK) {
            assert_int_equal(entry.tuple.lamport, i / 2 + 1);
        }
    }
    assert_int_equal(block_seek(block, bytes_text("k")), 0);
    assert_int_equal(block_seek(block, bytes_text("key/")), 0);
    assert_int_equal(block_seek(block, bytes_text("a longer key than any")), 0);
    assert_int_equal(block_seek(block, bytes_text("l")), 500);
    assert_int_equal(block_seek(block, bytes_text("key/0998 and more")), 500);
    block_free(block);
    buffer_release(&plain);
    block_builder_free(builder);
}

static void two_entries_stay_within_the_bound_and_one_may_be_of_any_size(void **state)
{
    (void)state;
    static uint8_t value[TUPLE_VALUE_BYTES_MAX], key[TUPLE_KEY_BYTES_MAX];
    struct block_builder *builder = builder_new(1000);
    struct entry entry = make("a", "", UINT64_MAX);
    // What the header, a writer and an entry take: 12, 16 and 2 + 1 + 1 + 2 + 10 + 2 for each.
    for (size_t length = 920; length <= 980; length++) {
        struct entry other = make("b", "", UINT64_MAX);
        entry.tuple.value = bytes_of(value, length);
        assert_int_equal(block_builder_add(builder, &entry), STATUS_OK);
        enum status status = block_builder_add(builder, &other);
        assert_int_equal(status, length <= 937 ? STATUS_OK : STATUS_FULL);
        struct buffer plain = BUFFER_EMPTY;
        block_free(finish(builder, &plain));
        assert_true(plain.length <= 1000 || status == STATUS_FULL);
        buffer_release(&plain);
    }
    entry.tuple.key = bytes_of(key, sizeof key);
    entry.tuple.value = bytes_of(value, sizeof value);
    entry.tuple.expiry_ms = UINT64_MAX;
    assert_int_equal(block_builder_add(builder, &entry), STATUS_OK);
    struct buffer plain = BUFFER_EMPTY;
    struct block *block = finish(builder, &plain);
    assert_true(plain.length <= BLOCK_BYTES_MAX);
    struct entry found;
    assert_int_equal(block_get(block, entry.tuple.key, &found), STATUS_OK);
    assert_int_equal(found.tuple.value.length, sizeof value);
    block_free(block);
    buffer_release(&plain);
    block_builder_free(builder);
}

static void a_block_holds_up_to_256_writers(void **state)
{
    (void)state;
    struct block_builder *builder = builder_new(BLOCK_TARGET_BYTES_MAX);
    for (unsigned i = 0; i < 257; i++) {
        char key[32];
        snprintf(key, sizeof key, "%04u", i);
        struct entry entry = make(key, "", 1);
        entry.writer.bytes[0] = (uint8_t)(255 - i);
        entry.writer.bytes[1] = (uint8_t)(i >> 8);
        assert_int_equal(block_builder_add(builder, &entry), i < 256 ? STATUS_OK : STATUS_FULL);
    }
    struct buffer plain = BUFFER_EMPTY;
    struct block *block = finish(builder, &plain);
    for (unsigned i = 0; i < 256; i++) {
        struct entry entry;
        block_entry_at(block, i, &entry);
        assert_int_equal(entry.writer.bytes[0], 255 - i);
    }
    block_free(block);
    buffer_release(&plain);
    block_builder_free(builder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bent_bytes_are_refused_or_mean_something_else),
        cmocka_unit_test(finds_each_key_and_none_beside_it),
        cmocka_unit_test(two_entries_stay_within_the_bound_and_one_may_be_of_any_size),
        cmocka_unit_test(a_block_holds_up_to_256_writers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
