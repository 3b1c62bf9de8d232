/* tests/lsm/manifest_test.c */

/*
 * Goal: a MANIFEST says what it was made to say, its successor what was changed, and what is not in
 * order is refused.
 * Method: build small ones, bend each byte, and break each rule by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lsm/manifest.h"

static struct table make(uint8_t level, uint64_t run, const char *first, const char *last)
{
    return (struct table){
        .level = level,
        .run = run,
        .index = {.writer = {{7}}, .sequence = 20, .record_bytes = 300},
        .first_sequence = 10,
        .block_count = 2,
        .entry_count = 5,
        .record_bytes = 1000,
        .first_key = bytes_text(first),
        .last_key = bytes_text(last),
    };
}

static enum status succeed(struct buffer *plain, const struct table *tables, uint32_t count)
{
    const struct manifest none = {.floor = 0};
    const struct manifest_cover covers[] = {{{{1}}, 5}, {{{2}}, 9}};
    const struct manifest_change change = {
        .floor = 100,
        .time_ms = 7,
        .covers = covers,
        .cover_count = 2,
        .added = tables,
        .added_count = count,
        .snapshot = bytes_text("state"),
    };
    return manifest_succeed(plain, &none, &change);
}

static enum status decode(const struct buffer *plain)
{
    struct manifest manifest;
    enum status status = manifest_decode(&manifest, buffer_bytes(plain));
    if (status == STATUS_OK) {
        manifest_release(&manifest);
    }
    return status;
}

static void lists_tables_in_the_order_of_reading(void **state)
{
    (void)state;
    const struct table tables[] = {make(1, 0, "m", "p"), make(0, 40, "a", "z"),
                                   make(2, 0, "a", "k"), make(0, 90, "n", "q"),
                                   make(1, 0, "a", "c"), make(0, 90, "b", "d")};
    struct buffer plain = BUFFER_EMPTY;
    struct manifest manifest;
    assert_int_equal(succeed(&plain, tables, 6), STATUS_OK);
    assert_int_equal(manifest_decode(&manifest, buffer_bytes(&plain)), STATUS_OK);
    const uint64_t runs[] = {90, 90, 40, 0, 0, 0};
    const char *firsts[] = {"b", "n", "a", "a", "m", "a"};
    for (uint32_t i = 0; i < 6; i++) {
        assert_true(manifest.tables[i].run == runs[i]);
        assert_true(bytes_equal(manifest.tables[i].first_key, bytes_text(firsts[i])));
        assert_int_equal(manifest.tables[i].record_bytes, 1000);
        assert_int_equal(manifest.tables[i].index.sequence, 20);
    }
    uint32_t first;
    assert_int_equal(manifest_level(&manifest, 0, &first), 3);
    assert_int_equal(first, 0);
    assert_int_equal(manifest_level(&manifest, 1, &first), 2);
    assert_int_equal(first, 3);
    assert_int_equal(manifest_level(&manifest, 3, &first), 0);
    assert_int_equal(manifest_covered(&manifest, &(struct writer_id){{2}}), 9);
    assert_int_equal(manifest_covered(&manifest, &(struct writer_id){{3}}), 0);
    assert_true(bytes_equal(manifest.snapshot, bytes_text("state")));
    manifest_release(&manifest);
    buffer_release(&plain);
}

static void a_successor_drops_and_adds(void **state)
{
    (void)state;
    const struct table tables[] = {make(0, 40, "a", "z"), make(1, 0, "a", "c"),
                                   make(1, 0, "d", "f")};
    const struct table added = make(1, 0, "a", "b");
    const uint32_t removed[] = {0, 1};
    struct buffer plain = BUFFER_EMPTY, next = BUFFER_EMPTY;
    struct manifest manifest, successor;
    assert_int_equal(succeed(&plain, tables, 3), STATUS_OK);
    assert_int_equal(manifest_decode(&manifest, buffer_bytes(&plain)), STATUS_OK);
    const struct manifest_change change = {
        .floor = 101,
        .time_ms = 8,
        .predecessor = {{9}},
        .removed = removed,
        .removed_count = 2,
        .added = &added,
        .added_count = 1,
    };
    assert_int_equal(manifest_succeed(&next, &manifest, &change), STATUS_OK);
    assert_int_equal(manifest_decode(&successor, buffer_bytes(&next)), STATUS_OK);
    assert_int_equal(successor.floor, 101);
    assert_int_equal(successor.predecessor.bytes[0], 9);
    assert_int_equal(successor.cover_count, 0);
    assert_int_equal(successor.table_count, 2);
    assert_true(bytes_equal(successor.tables[0].last_key, bytes_text("b")));
    assert_true(bytes_equal(successor.tables[1].first_key, bytes_text("d")));
    manifest_release(&manifest);
    manifest_release(&successor);
    buffer_release(&plain);
    buffer_release(&next);
}

static void what_is_not_in_order_is_refused(void **state)
{
    (void)state;
    const struct table tables[] = {make(0, 90, "a", "z"), make(0, 40, "a", "z"),
                                   make(1, 0, "a", "c"), make(1, 0, "d", "f")};
    struct buffer plain = BUFFER_EMPTY;
    assert_int_equal(succeed(&plain, tables, 4), STATUS_OK);
    enum { HEADER = 56, COVER = 24, TABLES = HEADER + 2 * COVER + 4, TABLE = 111 };
    // Each: where, what it becomes.
    const struct {
        size_t at;
        uint8_t byte;
    } breaks[] = {
        {0, 'X'},                               // magic
        {HEADER, 3},                            // covers out of order
        {HEADER + 16, 0},                       // a cover of nothing
        {TABLES, 1},                            // a level below that of the next table
        {TABLES, 9},                            // a level that is too deep
        {TABLES + 1, 30},                       // an older run first
        {TABLES + 1, 40},                       // overlap within a run
        {TABLES + 1, 101},                      // a run above the floor
        {TABLES + TABLE + 1, 0},                // a run of level 0 without a floor
        {TABLES + 2 * TABLE + 1, 1},            // a run on level 1
        {TABLES + 25, 21},                      // the first record behind the index
        {TABLES + 25, 19},                      // no room for the blocks
        {TABLES + 25, 0},                       // sequence 0
        {TABLES + 77, 0},                       // no block
        {TABLES + 81, 1},                       // fewer entries than blocks
        {TABLES + 85, 6},                       // more tombstones than entries
        {TABLES + TABLE - 1, 'A'},              // the last key below the first
        {TABLES + TABLE - 1, 'a'},              // one key, but more than one entry
        {TABLES + 3 * TABLE + TABLE - 2, 'b'},  // overlap on level 1
    };
    for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
        uint8_t good = plain.bytes[breaks[i].at];
        plain.bytes[breaks[i].at] = breaks[i].byte;
        if (decode(&plain) != STATUS_MALFORMED) {
            fail_msg("break %zu was accepted", i);
        }
        plain.bytes[breaks[i].at] = good;
    }
    assert_int_equal(decode(&plain), STATUS_OK);
    for (size_t length = 0; length < plain.length; length++) {
        struct buffer cut = {.bytes = plain.bytes, .length = length};
        assert_int_equal(decode(&cut), STATUS_MALFORMED);
    }
    assert_int_equal(buffer_append(&plain, "", 1), STATUS_OK);
    assert_int_equal(decode(&plain), STATUS_MALFORMED);
    buffer_release(&plain);
}

static void what_does_not_fit_is_not_made(void **state)
{
    (void)state;
    static struct table tables[MANIFEST_TABLES_MAX + 1];
    static char keys[MANIFEST_TABLES_MAX + 1][2][8];
    for (uint32_t i = 0; i <= MANIFEST_TABLES_MAX; i++) {
        snprintf(keys[i][0], sizeof keys[i][0], "%05ua", i);
        snprintf(keys[i][1], sizeof keys[i][1], "%05ub", i);
        tables[i] = make(1, 0, keys[i][0], keys[i][1]);
    }
    struct buffer plain = BUFFER_EMPTY;
    assert_int_equal(succeed(&plain, tables, MANIFEST_TABLES_MAX + 1), STATUS_FULL);
    assert_int_equal(plain.length, 0);
    assert_int_equal(succeed(&plain, tables, MANIFEST_TABLES_MAX), STATUS_OK);
    size_t length = plain.length;

    const struct manifest none = {.floor = 0};
    struct manifest_change change = {.floor = 0};
    uint8_t *snapshot = calloc(1, MANIFEST_BYTES_MAX);
    assert_non_null(snapshot);
    change.snapshot = bytes_of(snapshot, MANIFEST_BYTES_MAX - 64);
    assert_int_equal(manifest_succeed(&plain, &none, &change), STATUS_OK);
    change.snapshot.length++;
    length = plain.length;
    assert_int_equal(manifest_succeed(&plain, &none, &change), STATUS_FULL);
    assert_int_equal(plain.length, length);
    free(snapshot);
    buffer_release(&plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_tables_in_the_order_of_reading),
        cmocka_unit_test(a_successor_drops_and_adds),
        cmocka_unit_test(what_is_not_in_order_is_refused),
        cmocka_unit_test(what_does_not_fit_is_not_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
