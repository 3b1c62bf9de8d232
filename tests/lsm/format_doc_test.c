/* tests/lsm/format_doc_test.c */

/*
 * Goal: the pages on TABLE and MANIFEST say what the code does.
 * Method: take the examples out of their fenced blocks, and build the same bytes from what the
 * pages say of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/crypto.h"
#include "lsm/manifest.h"
#include "lsm/table_builder.h"
#include "lsm/table_index.h"
#include "tests/support/page.h"

static struct buffer hex_of(const char *name, const char *tag)
{
    struct buffer bytes = BUFFER_EMPTY;
    page_hex(&bytes, name, tag);
    return bytes;
}

static struct writer_id writer(uint8_t byte)
{
    struct writer_id id;
    memset(id.bytes, byte, sizeof id.bytes);
    return id;
}

static struct entry put(const char *key, const char *value, uint64_t lamport, uint8_t by)
{
    return (struct entry){
        .tuple = {.kind = TUPLE_PUT,
                  .lamport = lamport,
                  .key = bytes_text(key),
                  .value = bytes_text(value)},
        .writer = writer(by),
    };
}

/* Compare the body that waits with the page's, and list it as the page does. */
static void assert_sealed(struct table_builder *builder, const char *tag, uint64_t sequence)
{
    struct buffer shown = hex_of("format/table.md", tag);
    struct bytes body;
    assert_int_equal(table_builder_body(builder, &body), STATUS_OK);
    assert_true(bytes_equal(body, buffer_bytes(&shown)));
    const struct block_ref ref = {
        .writer = writer(0xc3),
        .sequence = sequence,
        .hash = hash_of(body.at, body.length),
        .record_bytes = (uint32_t)body.length + 224,
    };
    assert_int_equal(table_builder_sealed(builder, &ref), STATUS_OK);
    buffer_release(&shown);
}

static void assert_manifest(const struct table *table)
{
    struct buffer shown = hex_of("format/manifest.md", "hex manifest"), made = BUFFER_EMPTY;
    const struct manifest none = {.floor = 0};
    const struct manifest_cover covers[] = {{writer(0xa1), 31}, {writer(0xb2), 4}};
    const struct manifest_change change = {
        .floor = 300,
        .time_ms = 1700000000000,
        .covers = covers,
        .cover_count = 2,
        .added = table,
        .added_count = 1,
        .snapshot = bytes_text("snapshot"),
    };
    assert_int_equal(manifest_succeed(&made, &none, &change), STATUS_OK);
    assert_true(bytes_equal(buffer_bytes(&made), buffer_bytes(&shown)));
    struct manifest manifest;
    assert_int_equal(manifest_decode(&manifest, buffer_bytes(&shown)), STATUS_OK);
    assert_int_equal(manifest.tables[0].first_sequence, 5);
    assert_int_equal(manifest.tables[0].index.sequence, 7);
    manifest_release(&manifest);
    buffer_release(&made);
    buffer_release(&shown);
}

static void the_table_and_its_manifest_are_those_that_are_told(void **state)
{
    (void)state;
    struct table_builder_config config = {.block_bytes = 100, .now_ms = 1700000000000};
    for (uint8_t i = 0; i < SHORT_HASH_KEY_BYTES; i++) {
        config.filter_key.bytes[i] = (uint8_t)(0x10 + i);
    }
    struct table_builder *builder;
    assert_int_equal(table_builder_new(&builder, &config), STATUS_OK);
    struct entry entries[] = {
        put("user/ann", "42", 7, 0xb2),
        put("user/anna", "", 300, 0xa1),
        put("user/bob", "x", 9, 0xa1),
        put("user/carl", "a value that needs a block of its own", 12, 0xa1),
    };
    entries[1].tuple.kind = TUPLE_DELETE;
    entries[2].tuple.expiry_ms = 1700000060000;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(table_builder_add(builder, &entries[i]), STATUS_OK);
    }
    assert_int_equal(table_builder_add(builder, &entries[3]), STATUS_FULL);
    assert_sealed(builder, "hex block", 5);
    assert_int_equal(table_builder_add(builder, &entries[3]), STATUS_OK);
    assert_int_equal(table_builder_finish(builder), STATUS_OK);
    assert_sealed(builder, "hex other block", 6);
    assert_sealed(builder, "hex index", 7);
    struct table table = table_builder_result(builder);
    table.run = 300;
    assert_manifest(&table);

    struct buffer shown = hex_of("format/table.md", "hex index");
    struct table_index *index;
    assert_int_equal(table_index_decode(&index, &table, buffer_bytes(&shown)), STATUS_OK);
    assert_int_equal(table_index_seek(index, bytes_text("user/bz")), 0);
    assert_int_equal(table_index_seek(index, bytes_text("user/c")), 1);
    table_index_free(index);
    buffer_release(&shown);
    table_builder_free(builder);
}

int main(void)
{
    crypto_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_and_its_manifest_are_those_that_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
