/* tests/lsm/tree_test.c */

/*
 * Goal: after any flushes and merges, a replica that knows the newest MANIFEST reads
 * what a plain map holds, key by key and in key order, with any cache; and no bit of a fetched
 * record can change without being refused. Method: a compactor without a federation
 * (compactor_model) writes real sealed records; its map is the judge. SEED=… repeats a run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "crypto/crypto.h"
#include "tests/lsm/compactor_model.h"

struct fixture {
    struct compactor_model model;
    struct tree *tree;
    struct tree_reader *reader;
    uint8_t value[TUPLE_VALUE_BYTES_MAX];
};

static uint64_t seed_of(void)
{
    const char *text = getenv("SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : 1;
    printf("SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

static void start(struct fixture *f, const struct compactor_model_config *config, uint64_t seed,
                  uint64_t cache_bytes)
{
    compactor_model_init(&f->model, config, seed);
    assert_int_equal(tree_new(&f->tree, cache_bytes), STATUS_OK);
    assert_int_equal(tree_reader_new(&f->reader, f->tree), STATUS_OK);
}

static void stop(struct fixture *f)
{
    tree_reader_free(f->reader);
    tree_free(f->tree);
    compactor_model_release(&f->model);
}

/* Read with whatever is needed; between begin and end when it returns. */
static enum status get(struct fixture *f, struct bytes key, struct entry *entry)
{
    for (;;) {
        struct block_ref need;
        tree_reader_begin(f->reader);
        enum status status = tree_get(f->reader, key, entry, &need);
        if (status != STATUS_GAP) {
            return status;
        }
        tree_reader_end(f->reader);
        compactor_model_supply(&f->model, f->tree, &need);
    }
}

/* Expired at the time of the MANIFEST: it may read as put, as deleted or not at all. */
static bool may_be_gone(const struct fixture *f, const struct compactor_model_value *value)
{
    return value->is_delete || (value->expiry_ms != 0 && value->expiry_ms <= f->model.now_ms);
}

static void assert_is(struct fixture *f, const struct compactor_model_value *value,
                      const struct entry *entry)
{
    assert_int_equal(entry->tuple.lamport, value->lamport);
    assert_true(writer_id_equal(&entry->writer, &value->writer));
    if (entry->tuple.kind == TUPLE_DELETE) {
        assert_true(may_be_gone(f, value));
        return;
    }
    assert_false(value->is_delete);
    assert_true(entry->tuple.expiry_ms == value->expiry_ms);
    assert_int_equal(entry->tuple.value.length, value->value_length);
    compactor_model_fill(f->value, value->value_seed, value->value_length);
    assert_memory_equal(entry->tuple.value.at, f->value, value->value_length);
}

static void assert_gets(struct fixture *f)
{
    uint8_t key[TUPLE_KEY_BYTES_MAX];
    for (uint32_t i = 0; i < f->model.config.key_count; i++) {
        const struct compactor_model_value *value = &f->model.values[i];
        struct entry entry;
        enum status status = get(f, compactor_model_key(i, key), &entry);
        if (status == STATUS_OK) {
            assert_true(value->is_flushed);
            assert_is(f, value, &entry);
        } else {
            assert_int_equal(status, STATUS_NOT_FOUND);
            assert_true(!value->is_flushed || may_be_gone(f, value));
        }
        tree_reader_end(f->reader);
    }
}

/* From `from` to the end, in sections as long as no block is missing. */
static void assert_walk(struct fixture *f, uint32_t from)
{
    uint8_t key[TUPLE_KEY_BYTES_MAX], last[TUPLE_KEY_BYTES_MAX];
    struct bytes start_key = compactor_model_key(from, key);
    bool is_after = false;
    uint32_t index = from;
    struct entry entry;
    struct block_ref need;
    tree_reader_begin(f->reader);
    enum status status = tree_seek(f->reader, start_key, is_after, &entry, &need);
    while (status != STATUS_NOT_FOUND) {
        if (status == STATUS_GAP) {
            tree_reader_end(f->reader);
            compactor_model_supply(&f->model, f->tree, &need);
            tree_reader_begin(f->reader);
            status = tree_seek(f->reader, start_key, is_after, &entry, &need);
            continue;
        }
        assert_int_equal(status, STATUS_OK);
        // Whatever was skipped may be skipped.
        uint8_t expected[TUPLE_KEY_BYTES_MAX];
        while (!bytes_equal(compactor_model_key(index, expected), entry.tuple.key)) {
            assert_true(!f->model.values[index].is_flushed ||
                        may_be_gone(f, &f->model.values[index]));
            index++;
            assert_true(index < f->model.config.key_count);
        }
        assert_true(f->model.values[index].is_flushed);
        assert_is(f, &f->model.values[index], &entry);
        index++;
        memcpy(last, entry.tuple.key.at, entry.tuple.key.length);
        start_key = bytes_of(last, entry.tuple.key.length);
        is_after = true;
        status = tree_next(f->reader, &entry, &need);
    }
    tree_reader_end(f->reader);
    for (; index < f->model.config.key_count; index++) {
        assert_true(!f->model.values[index].is_flushed || may_be_gone(f, &f->model.values[index]));
    }
}

static const struct compactor_model_config small = {
    .key_count = 400,
    .block_bytes = 700,
    .table_bytes = 4000,
    .value_bytes_max = 120,
    .plan = {.run_count_max = 3, .level1_bytes = 12000},
};

static void p5_reads_what_a_plain_map_holds(void **state)
{
    static struct fixture f;
    (void)state;
    uint64_t seed = seed_of();
    for (uint64_t round = 0; round < 6; round++) {
        // The cache holds all, or some blocks, or as few as it may.
        const uint64_t caches[] = {1 << 24, 40000, 1};
        start(&f, &small, seed + round, caches[round % 3]);
        for (int flush = 0; flush < 25; flush++) {
            uint64_t count = 1 + compactor_model_random(&f.model) % 120;
            for (uint64_t i = 0; i < count; i++) {
                compactor_model_write(&f.model);
            }
            compactor_model_flush(&f.model);
            f.model.now_ms += compactor_model_random(&f.model) % 50;
            compactor_model_install(&f.model, f.tree);
            while (compactor_model_merge(&f.model)) {
                if (compactor_model_random(&f.model) % 3 == 0) {
                    compactor_model_install(&f.model, f.tree);
                }
            }
            compactor_model_install(&f.model, f.tree);
            if (flush % 6 == 0) {
                assert_gets(&f);
                assert_walk(&f, (uint32_t)(compactor_model_random(&f.model) % small.key_count));
            }
        }
        assert_gets(&f);
        assert_walk(&f, 0);
        struct tree_counters counters;
        tree_count(f.tree, &counters);
        assert_true(counters.cached_blocks <= TREE_BLOCK_COUNT_MIN + 20 ||
                    counters.cache_bytes <= caches[round % 3]);
        stop(&f);
    }
}

static void p5_deletes_and_expired_keys_go_away_at_the_bottom(void **state)
{
    static struct fixture f;
    (void)state;
    struct compactor_model_config config = small;
    config.plan = (struct plan_config){.run_count_max = 1, .level1_bytes = 1 << 30};
    start(&f, &config, seed_of(), 1 << 20);
    for (int i = 0; i < 500; i++) {
        compactor_model_write(&f.model);
    }
    compactor_model_flush(&f.model);
    compactor_model_write(&f.model);
    f.model.now_ms += 1000;
    compactor_model_flush(&f.model);
    assert_true(compactor_model_merge(&f.model));
    assert_false(compactor_model_merge(&f.model));
    for (uint32_t i = 0; i < f.model.manifest.table_count; i++) {
        assert_int_equal(f.model.manifest.tables[i].level, 1);
        assert_int_equal(f.model.manifest.tables[i].delete_count, 0);
        assert_int_equal(f.model.manifest.tables[i].stale_ms, 0);
    }
    compactor_model_install(&f.model, f.tree);
    assert_gets(&f);
    uint8_t key[TUPLE_KEY_BYTES_MAX];
    for (uint32_t i = 0; i < config.key_count; i++) {
        struct entry entry;
        bool is_found = get(&f, compactor_model_key(i, key), &entry) == STATUS_OK;
        tree_reader_end(f.reader);
        assert_true(is_found ==
                    (f.model.values[i].is_known && !may_be_gone(&f, &f.model.values[i])));
    }
    stop(&f);
}

static void p2_refuses_every_changed_bit_of_a_record(void **state)
{
    static struct fixture f;
    (void)state;
    start(&f, &small, seed_of(), 1 << 20);
    for (int i = 0; i < 100; i++) {
        compactor_model_write(&f.model);
    }
    compactor_model_flush(&f.model);
    assert_int_equal(tree_adopt(f.tree, &f.model.hash, buffer_bytes(&f.model.plain)), STATUS_OK);
    struct block_ref ref;
    assert_int_equal(tree_missing(f.tree, &ref, 1), 1);
    struct buffer *bytes = &f.model.branch.records[ref.sequence - 1];
    struct record genuine = compactor_branch_record(&f.model.branch, &ref);
    // The signature is not what such a record is known by.
    for (size_t bit = 0; bit < (bytes->length - SIGN_SIGNATURE_BYTES) * 8; bit++) {
        bytes->bytes[bit / 8] ^= (uint8_t)(1 << (bit % 8));
        struct record record;
        if (record_decode(&record, bytes->bytes, bytes->length) == STATUS_OK) {
            enum status status = tree_supply(f.tree, &record, f.model.branch.body_key);
            assert_true(status == STATUS_FORGED || status == STATUS_STALE);
        }
        bytes->bytes[bit / 8] ^= (uint8_t)(1 << (bit % 8));
    }
    assert_int_equal(tree_install(f.tree), STATUS_GAP);
    assert_int_equal(tree_supply(f.tree, &genuine, f.model.branch.body_key), STATUS_OK);
    assert_int_equal(tree_supply(f.tree, &genuine, f.model.branch.body_key), STATUS_STALE);
    stop(&f);
}

static void refuses_another_writers_key(void **state)
{
    static struct fixture f;
    (void)state;
    struct compactor_branch other;
    start(&f, &small, 5, 1 << 20);
    compactor_branch_init(&other, 99);
    compactor_model_write(&f.model);
    compactor_model_flush(&f.model);
    assert_int_equal(tree_adopt(f.tree, &f.model.hash, buffer_bytes(&f.model.plain)), STATUS_OK);
    struct block_ref ref;
    assert_int_equal(tree_missing(f.tree, &ref, 1), 1);
    struct record record = compactor_branch_record(&f.model.branch, &ref);
    assert_int_equal(tree_supply(f.tree, &record, other.body_key), STATUS_FORGED);
    compactor_branch_release(&other);
    stop(&f);
}

static void p2_refuses_a_forked_record_of_the_writers_own(void **state)
{
    static struct fixture f;
    (void)state;
    struct compactor_branch fork;
    start(&f, &small, 5, 1 << 20);
    compactor_branch_init(&fork, 5);  // the same keys
    for (int i = 0; i < 100; i++) {
        compactor_model_write(&f.model);
    }
    compactor_model_flush(&f.model);
    assert_int_equal(tree_adopt(f.tree, &f.model.hash, buffer_bytes(&f.model.plain)), STATUS_OK);
    struct block_ref ref, forked;
    assert_int_equal(tree_missing(f.tree, &ref, 1), 1);
    do {
        forked = compactor_branch_append(&fork, bytes_text("something else"));
    } while (forked.sequence < ref.sequence);
    struct record record = compactor_branch_record(&fork, &forked);
    assert_int_equal(tree_supply(f.tree, &record, fork.body_key), STATUS_FORGED);
    compactor_branch_release(&fork);
    stop(&f);
}

static void indexes_take_no_more_memory_than_is_stated(void **state)
{
    static struct fixture f;
    (void)state;
    struct compactor_model_config config = small;
    config.key_count = 4000;
    config.table_bytes = 100000;
    start(&f, &config, seed_of(), 1 << 20);
    for (int i = 0; i < 20000; i++) {
        compactor_model_write(&f.model);
    }
    compactor_model_flush(&f.model);
    compactor_model_install(&f.model, f.tree);
    uint64_t bytes_max = 4096, entry_count = 0;
    for (uint32_t i = 0; i < f.model.manifest.table_count; i++) {
        const struct table *table = &f.model.manifest.tables[i];
        entry_count += table->entry_count;
        bytes_max += 1024 + table->block_count * (64 + sizeof "user/0000/profile");
    }
    struct tree_counters counters;
    tree_count(f.tree, &counters);
    assert_true(entry_count > 3000);
    assert_true(counters.index_bytes <= bytes_max + entry_count * 10 / 8);
    stop(&f);
}

static void an_empty_tree_knows_nothing(void **state)
{
    static struct fixture f;
    (void)state;
    start(&f, &small, 1, 1 << 20);
    struct entry entry;
    struct block_ref need;
    tree_reader_begin(f.reader);
    assert_int_equal(tree_get(f.reader, bytes_text("k"), &entry, &need), STATUS_NOT_FOUND);
    assert_int_equal(tree_seek(f.reader, bytes_text("k"), false, &entry, &need), STATUS_NOT_FOUND);
    assert_int_equal(tree_next(f.reader, &entry, &need), STATUS_NOT_FOUND);
    tree_reader_end(f.reader);
    assert_int_equal(tree_install(f.tree), STATUS_EMPTY);
    assert_int_equal(tree_floor(f.tree), 0);
    stop(&f);
}

static void a_section_keeps_its_manifest_and_its_blocks(void **state)
{
    static struct fixture f;
    (void)state;
    start(&f, &small, seed_of(), 1);
    for (int i = 0; i < 300; i++) {
        compactor_model_write(&f.model);
    }
    compactor_model_flush(&f.model);
    compactor_model_install(&f.model, f.tree);
    uint8_t key[TUPLE_KEY_BYTES_MAX];
    uint32_t index = 0;
    while (!f.model.values[index].is_known || f.model.values[index].is_delete) {
        index++;
    }
    struct compactor_model_value old = f.model.values[index];
    struct entry entry;
    assert_int_equal(get(&f, compactor_model_key(index, key), &entry), STATUS_OK);
    // Meanwhile another MANIFEST takes effect, and another reader evicts the block.
    struct tree_reader *first = f.reader;
    assert_int_equal(tree_reader_new(&f.reader, f.tree), STATUS_OK);
    for (int i = 0; i < 300; i++) {
        compactor_model_write(&f.model);
    }
    compactor_model_flush(&f.model);
    compactor_model_install(&f.model, f.tree);
    assert_gets(&f);
    assert_is(&f, &old, &entry);
    struct block_ref need;
    enum status status = tree_get(first, compactor_model_key(index, key), &entry, &need);
    assert_true(status == STATUS_OK || status == STATUS_GAP);
    tree_reader_end(first);
    tree_reader_free(first);
    stop(&f);
}

int main(void)
{
    crypto_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p5_reads_what_a_plain_map_holds),
        cmocka_unit_test(p5_deletes_and_expired_keys_go_away_at_the_bottom),
        cmocka_unit_test(p2_refuses_every_changed_bit_of_a_record),
        cmocka_unit_test(refuses_another_writers_key),
        cmocka_unit_test(p2_refuses_a_forked_record_of_the_writers_own),
        cmocka_unit_test(indexes_take_no_more_memory_than_is_stated),
        cmocka_unit_test(an_empty_tree_knows_nothing),
        cmocka_unit_test(a_section_keeps_its_manifest_and_its_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
