/* tests/lsm/compaction_test.c */

/*
 * Goal: of each key the highest version stays, whatever run it is in; a compactor that dies at any
 * step has changed nothing; records that were not asked for, or are not what was asked for, are
 * refused.
 * Method: merges of compactor_model's tables, stopped after each record; sources by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "crypto/crypto.h"
#include "tests/lsm/compactor_model.h"

static const struct compactor_model_config small = {
    .key_count = 200,
    .block_bytes = 700,
    .table_bytes = 4000,
    .value_bytes_max = 100,
    .plan = {.run_count_max = 1, .level1_bytes = 1 << 20},
};

static void write_runs(struct compactor_model *model, int run_count)
{
    compactor_model_init(model, &small, 11);
    for (int run = 0; run < run_count; run++) {
        for (int i = 0; i < 150; i++) {
            compactor_model_write(model);
        }
        compactor_model_flush(model);
    }
}

static struct compaction *begin_merge(const struct compactor_model *model)
{
    struct plan plan;
    struct compaction *compaction;
    assert_int_equal(plan_make(&plan, &model->manifest, &small.plan, model->now_ms), STATUS_OK);
    const struct compaction_config config = {
        .builder = {.block_bytes = small.block_bytes, .table_bytes = small.table_bytes},
        .target_level = plan.target_level,
        .floor = model->manifest.floor,
        .drops_deletes = plan.drops_deletes,
    };
    assert_int_equal(compaction_new(&compaction, &config), STATUS_OK);
    assert_int_equal(compaction_add_plan(compaction, &model->manifest, &plan), STATUS_OK);
    plan_release(&plan);
    return compaction;
}

/* Merge up to `record_count` records written. True: there were no more. */
static bool merge_some(struct compactor_model *model, struct compaction *compaction,
                       uint32_t record_count)
{
    enum status status;
    uint32_t written = 0;
    while ((status = compaction_step(compaction, 10)) != STATUS_EMPTY) {
        struct block_ref ref;
        if (status == STATUS_GAP) {
            assert_int_equal(compaction_need(compaction, &ref, 1), 1);
            struct record record = compactor_branch_record(&model->branch, &ref);
            assert_int_equal(compaction_supply(compaction, &record, model->branch.body_key),
                             STATUS_OK);
        } else if (status == STATUS_FULL) {
            if (written++ == record_count) {
                return false;
            }
            ref = compactor_branch_append(&model->branch, compaction_body(compaction));
            assert_int_equal(compaction_sealed(compaction, &ref), STATUS_OK);
        } else {
            assert_int_equal(status, STATUS_OK);
        }
    }
    return true;
}

/* All that the tree says, as one hash. */
static struct hash read_all(struct compactor_model *model)
{
    struct tree *tree;
    struct tree_reader *reader;
    struct hash hash = {{0}};
    uint8_t key[TUPLE_KEY_BYTES_MAX];
    assert_int_equal(tree_new(&tree, 1 << 24), STATUS_OK);
    compactor_model_install(model, tree);
    assert_int_equal(tree_reader_new(&reader, tree), STATUS_OK);
    for (uint32_t i = 0; i < small.key_count; i++) {
        struct entry entry;
        struct block_ref need;
        enum status status;
        tree_reader_begin(reader);
        while ((status = tree_get(reader, compactor_model_key(i, key), &entry, &need)) ==
               STATUS_GAP) {
            compactor_model_supply(model, tree, &need);
        }
        if (status == STATUS_OK && entry.tuple.kind == TUPLE_PUT) {
            const struct bytes parts[] = {
                bytes_of(hash.bytes, sizeof hash.bytes),
                entry.tuple.key,
                entry.tuple.value,
                bytes_of(&entry.tuple.lamport, sizeof entry.tuple.lamport),
            };
            hash = hash_of_parts(parts, sizeof parts / sizeof *parts);
        }
        tree_reader_end(reader);
    }
    tree_reader_free(reader);
    tree_free(tree);
    return hash;
}

static void p9_a_compactor_that_dies_at_any_record_has_changed_nothing(void **state)
{
    static struct compactor_model model;
    (void)state;
    write_runs(&model, 3);
    struct hash before = read_all(&model);
    bool is_done = false;
    for (uint32_t record_count = 0; !is_done; record_count++) {
        struct compaction *compaction = begin_merge(&model);
        is_done = merge_some(&model, compaction, record_count);
        compaction_free(compaction);
        // What it wrote is in the branch; the newest MANIFEST is as it was.
        struct hash after = read_all(&model);
        assert_true(hash_equal(&before, &after));
        assert_true(record_count < 1000);
    }
    // Somebody else merges the same tables, and all is read as before.
    assert_true(compactor_model_merge(&model));
    assert_int_equal(model.manifest.tables[0].level, 1);
    struct hash merged = read_all(&model);
    assert_true(hash_equal(&before, &merged));
    compactor_model_release(&model);
}

static void p2_refuses_what_it_did_not_ask_for(void **state)
{
    static struct compactor_model model;
    (void)state;
    write_runs(&model, 2);
    struct compaction *compaction = begin_merge(&model);
    struct block_ref refs[2];
    assert_int_equal(compaction_step(compaction, 10), STATUS_GAP);
    // One need for each run: its first table's index.
    assert_int_equal(compaction_need(compaction, refs, 2), 2);
    const struct block_ref first = {
        .writer = model.branch.writer,
        .sequence = 1,
        .hash = hash_of(model.branch.records[0].bytes, RECORD_HEADER_BYTES),
        .record_bytes = (uint32_t)model.branch.records[0].length,
    };
    struct record other = compactor_branch_record(&model.branch, &first);
    assert_int_equal(compaction_supply(compaction, &other, model.branch.body_key), STATUS_STALE);

    struct buffer *bytes = &model.branch.records[refs[0].sequence - 1];
    const size_t bent[] = {8, 24, 33, 50, 80};  // key epoch, epoch, writer, capsule, body hash
    for (size_t i = 0; i < sizeof bent / sizeof *bent; i++) {
        struct record record;
        bytes->bytes[bent[i]] ^= 1;
        if (record_decode_again(&record, bytes->bytes, bytes->length) == STATUS_OK) {
            enum status status = compaction_supply(compaction, &record, model.branch.body_key);
            assert_true(status == STATUS_FORGED || status == STATUS_STALE);
        }
        bytes->bytes[bent[i]] ^= 1;
    }
    // Another record of the same writer in the same place: a fork.
    struct compactor_branch fork;
    struct block_ref forked;
    compactor_branch_init(&fork, 11);
    do {
        forked = compactor_branch_append(&fork, bytes_text("something else"));
    } while (forked.sequence < refs[0].sequence);
    struct record fork_record = compactor_branch_record(&fork, &forked);
    assert_int_equal(compaction_supply(compaction, &fork_record, fork.body_key), STATUS_FORGED);
    compactor_branch_release(&fork);

    struct record genuine = compactor_branch_record(&model.branch, &refs[0]);
    assert_int_equal(compaction_supply(compaction, &genuine, model.branch.body_key), STATUS_OK);
    assert_int_equal(compaction_supply(compaction, &genuine, model.branch.body_key), STATUS_STALE);
    compaction_free(compaction);
    compactor_model_release(&model);
}

/* ---- sources by hand ---- */

struct listed {
    const struct entry *entries;
    size_t count;
    size_t next;
};

static enum status next_listed(void *context, struct entry *entry)
{
    struct listed *listed = context;
    if (listed->next == listed->count) {
        return STATUS_EMPTY;
    }
    *entry = listed->entries[listed->next++];
    return STATUS_OK;
}

static struct entry make(enum tuple_kind kind, const char *key, uint64_t lamport, uint8_t writer,
                         const char *value)
{
    return (struct entry){
        .tuple = {.kind = kind,
                  .lamport = lamport,
                  .key = bytes_text(key),
                  .value = bytes_text(value)},
        .writer = {{writer}},
    };
}

/* The one block that comes of two sources, decoded; NULL when nothing does. */
static struct block *merge_two(const struct entry *a, size_t a_count, const struct entry *b,
                               size_t b_count, const struct compaction_config *config,
                               enum status expected)
{
    struct listed lists[] = {{.entries = a, .count = a_count}, {.entries = b, .count = b_count}};
    struct compaction *compaction;
    struct block *block = NULL;
    assert_int_equal(compaction_new(&compaction, config), STATUS_OK);
    for (size_t i = 0; i < 2; i++) {
        const struct compaction_source source = {.next = next_listed, .context = &lists[i]};
        assert_int_equal(compaction_add_source(compaction, &source), STATUS_OK);
    }
    enum status status = compaction_step(compaction, 1000);
    assert_int_equal(status, expected);
    if (status == STATUS_FULL) {
        struct buffer plain = BUFFER_EMPTY;
        struct bytes body = compaction_body(compaction);
        assert_int_equal(buffer_append(&plain, body.at, body.length), STATUS_OK);
        assert_int_equal(block_decode(&block, &plain), STATUS_OK);
    }
    compaction_free(compaction);
    return block;
}

static void p5_the_highest_version_wins_in_whatever_order_the_runs_come(void **state)
{
    (void)state;
    const struct compaction_config config = {.floor = 9};
    const struct entry a[] = {make(TUPLE_PUT, "k1", 3, 1, "old"),
                              make(TUPLE_PUT, "k2", 5, 9, "win"),
                              make(TUPLE_DELETE, "k3", 7, 1, "")};
    const struct entry b[] = {
        make(TUPLE_PUT, "k1", 4, 1, "win"), make(TUPLE_PUT, "k2", 5, 8, "old"),
        make(TUPLE_PUT, "k3", 6, 9, "old"), make(TUPLE_PUT, "k4", 9, 1, "win")};
    for (int turn = 0; turn < 2; turn++) {
        struct block *block = turn == 0 ? merge_two(a, 3, b, 4, &config, STATUS_FULL)
                                        : merge_two(b, 4, a, 3, &config, STATUS_FULL);
        assert_int_equal(block_count(block), 4);
        for (uint32_t i = 0; i < 4; i++) {
            struct entry entry;
            block_entry_at(block, i, &entry);
            assert_true(i == 2 ? entry.tuple.kind == TUPLE_DELETE
                               : bytes_equal(entry.tuple.value, bytes_text("win")));
        }
        block_free(block);
    }
}

static void an_expired_put_becomes_a_tombstone_and_ends_where_nothing_lies_below(void **state)
{
    (void)state;
    struct compaction_config config = {.floor = 9, .builder = {.now_ms = 50}};
    struct entry a[] = {make(TUPLE_PUT, "k1", 3, 1, "gone"), make(TUPLE_PUT, "k2", 4, 1, "stays")};
    const struct entry b[] = {make(TUPLE_PUT, "k1", 2, 1, "older"),
                              make(TUPLE_DELETE, "k3", 5, 1, "")};
    a[0].tuple.expiry_ms = 50;
    a[1].tuple.expiry_ms = 51;
    struct entry entry;
    struct block *block = merge_two(a, 2, b, 2, &config, STATUS_FULL);
    assert_int_equal(block_count(block), 3);
    block_entry_at(block, 0, &entry);
    assert_int_equal(entry.tuple.kind, TUPLE_DELETE);
    assert_int_equal(entry.tuple.lamport, 3);
    block_entry_at(block, 1, &entry);
    assert_true(entry.tuple.expiry_ms == 51);
    block_free(block);

    config.drops_deletes = true;
    block = merge_two(a, 2, b, 2, &config, STATUS_FULL);
    assert_int_equal(block_count(block), 1);
    block_free(block);
    assert_null(merge_two(a, 1, &b[1], 1, &config, STATUS_EMPTY));
}

static void nothing_above_the_floor_gets_into_a_table(void **state)
{
    (void)state;
    const struct compaction_config config = {.floor = 9};
    const struct entry a[] = {make(TUPLE_PUT, "k1", 10, 1, "early")};
    assert_null(merge_two(a, 1, a, 0, &config, STATUS_MALFORMED));
}

/* How long the first block is when there is more than enough for one. */
static size_t first_block_bytes(uint8_t target_level)
{
    enum { COUNT = 200 };
    static char keys[COUNT][8], value[1000];
    struct entry entries[COUNT];
    memset(value, 'v', sizeof value - 1);
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(keys[i], sizeof keys[i], "k%05zu", i);
        entries[i] = make(TUPLE_PUT, keys[i], 1, 1, value);
    }
    struct listed list = {.entries = entries, .count = COUNT};
    const struct compaction_source source = {.next = next_listed, .context = &list};
    const struct compaction_config config = {.floor = 9, .target_level = target_level};
    struct compaction *compaction;
    assert_int_equal(compaction_new(&compaction, &config), STATUS_OK);
    assert_int_equal(compaction_add_source(compaction, &source), STATUS_OK);
    assert_int_equal(compaction_step(compaction, 1000), STATUS_FULL);
    size_t bytes = compaction_body(compaction).length;
    compaction_free(compaction);
    return bytes;
}

static void what_is_merged_soon_lies_in_larger_blocks(void **state)
{
    (void)state;
    assert_in_range(first_block_bytes(0), TABLE_FLUSH_BLOCK_BYTES - 1100, TABLE_FLUSH_BLOCK_BYTES);
    assert_in_range(first_block_bytes(1), TABLE_BLOCK_BYTES - 1100, TABLE_BLOCK_BYTES);
}

int main(void)
{
    crypto_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p9_a_compactor_that_dies_at_any_record_has_changed_nothing),
        cmocka_unit_test(p2_refuses_what_it_did_not_ask_for),
        cmocka_unit_test(p5_the_highest_version_wins_in_whatever_order_the_runs_come),
        cmocka_unit_test(an_expired_put_becomes_a_tombstone_and_ends_where_nothing_lies_below),
        cmocka_unit_test(nothing_above_the_floor_gets_into_a_table),
        cmocka_unit_test(what_is_merged_soon_lies_in_larger_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
