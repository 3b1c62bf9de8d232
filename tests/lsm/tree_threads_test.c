/* tests/lsm/tree_threads_test.c */

/*
 * Goal: threads read beside one another, beside new MANIFESTs and beside evictions, and see whole
 * values whose versions never go back.
 * Method: many MANIFESTs of one history, made beforehand; real threads, a cache far too small, the
 * sanitizers.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "capsule/seal.h"
#include "crypto/crypto.h"
#include "tests/lsm/compactor_model.h"

enum { MANIFEST_COUNT = 24, THREAD_COUNT = 3, KEY_COUNT = 300, CACHE_BYTES = 20000 };

static struct compactor_model model;

struct shared {
    struct tree *tree;
    struct buffer plains[MANIFEST_COUNT];
    struct hash hashes[MANIFEST_COUNT];
    atomic_bool has_ended;
    atomic_uint seed;
    atomic_ullong read_count;
};

static void keep_manifest(struct shared *shared, size_t index)
{
    shared->hashes[index] = model.hash;
    CHECK(buffer_append(&shared->plains[index], model.plain.bytes, model.plain.length) ==
          STATUS_OK);
}

static void make_history(struct shared *shared)
{
    const struct compactor_model_config config = {
        .key_count = KEY_COUNT,
        .block_bytes = 900,
        .table_bytes = 6000,
        .value_bytes_max = 80,
        .plan = {.run_count_max = 3, .level1_bytes = 15000},
    };
    compactor_model_init(&model, &config, 21);
    for (size_t i = 0; i < MANIFEST_COUNT;) {
        for (int j = 0; j < 150; j++) {
            compactor_model_write(&model);
        }
        compactor_model_flush(&model);
        keep_manifest(shared, i++);
        while (i < MANIFEST_COUNT && compactor_model_merge(&model)) {
            keep_manifest(shared, i++);
        }
    }
}

/* A key of each thread: ciphers have a state. */
static struct aead_key *body_key_new(void)
{
    struct verify_key public_key = sign_key_public(model.branch.key);
    return seal_key_new(model.branch.data_key, &model.branch.capsule, &public_key);
}

static void supply(struct shared *shared, struct aead_key *key, const struct block_ref *ref)
{
    struct record record = compactor_branch_record(&model.branch, ref);
    enum status status = tree_supply(shared->tree, &record, key);
    CHECK(status == STATUS_OK || status == STATUS_STALE);
}

static void check_value(const struct entry *entry, uint64_t *last_lamport)
{
    CHECK(entry->tuple.lamport >= *last_lamport);
    *last_lamport = entry->tuple.lamport;
    struct bytes value = entry->tuple.value;
    for (size_t i = 1; i < value.length; i++) {
        CHECK((uint8_t)(value.at[i] - value.at[i - 1]) == 1);
    }
}

static void get_once(struct shared *shared, struct tree_reader *reader, struct aead_key *key,
                     uint32_t index, uint64_t *last_lamport)
{
    uint8_t text[TUPLE_KEY_BYTES_MAX];
    struct entry entry;
    struct block_ref need;
    tree_reader_begin(reader);
    enum status status = tree_get(reader, compactor_model_key(index, text), &entry, &need);
    if (status == STATUS_OK) {
        check_value(&entry, last_lamport);
    }
    tree_reader_end(reader);
    if (status == STATUS_GAP) {
        supply(shared, key, &need);
    }
}

static void walk_a_little(struct shared *shared, struct tree_reader *reader, struct aead_key *key,
                          uint32_t index)
{
    uint8_t text[TUPLE_KEY_BYTES_MAX];
    struct entry entry;
    struct block_ref need;
    tree_reader_begin(reader);
    enum status status = tree_seek(reader, compactor_model_key(index, text), false, &entry, &need);
    for (int i = 0; i < 20 && status == STATUS_OK; i++) {
        uint64_t none = 0;
        check_value(&entry, &none);
        status = tree_next(reader, &entry, &need);
    }
    tree_reader_end(reader);
    if (status == STATUS_GAP) {
        supply(shared, key, &need);
    }
}

static void *read_on(void *context)
{
    struct shared *shared = context;
    struct aead_key *key = body_key_new();
    struct tree_reader *reader;
    uint64_t lamports[KEY_COUNT] = {0};
    CHECK(tree_reader_new(&reader, shared->tree) == STATUS_OK);
    uint32_t draw = atomic_fetch_add(&shared->seed, 1) * 2654435761u + 1;
    while (!atomic_load(&shared->has_ended)) {
        draw = draw * 1664525u + 1013904223u;
        uint32_t index = (draw >> 8) % KEY_COUNT;
        if (draw >> 28 == 0) {
            walk_a_little(shared, reader, key, index);
        } else {
            get_once(shared, reader, key, index, &lamports[index]);
        }
        atomic_fetch_add(&shared->read_count, 1);
    }
    tree_reader_free(reader);
    aead_key_free(key);
    return NULL;
}

static void p6_threads_read_beside_new_manifests_and_evictions(void **state)
{
    (void)state;
    static struct shared shared;
    make_history(&shared);
    assert_int_equal(tree_new(&shared.tree, CACHE_BYTES), STATUS_OK);
    pthread_t threads[THREAD_COUNT];
    for (size_t i = 0; i < THREAD_COUNT; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &shared), 0);
    }
    struct aead_key *key = body_key_new();
    for (size_t i = 0; i < MANIFEST_COUNT; i++) {
        struct block_ref ref;
        assert_int_equal(
            tree_adopt(shared.tree, &shared.hashes[i], buffer_bytes(&shared.plains[i])), STATUS_OK);
        while (tree_missing(shared.tree, &ref, 1) > 0) {
            supply(&shared, key, &ref);
        }
        assert_int_equal(tree_install(shared.tree), STATUS_OK);
        // Let the readers see each of them.
        unsigned long long seen = atomic_load(&shared.read_count);
        while (atomic_load(&shared.read_count) < seen + 500) {
            struct tree_counters counters;
            tree_count(shared.tree, &counters);
        }
    }
    atomic_store(&shared.has_ended, true);
    for (size_t i = 0; i < THREAD_COUNT; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    struct tree_counters counters;
    tree_count(shared.tree, &counters);
    assert_true(counters.evicted_blocks > 100);
    assert_true(counters.cache_bytes <= CACHE_BYTES ||
                counters.cached_blocks <= TREE_BLOCK_COUNT_MIN + 2 * MANIFEST_LEVELS_MAX);
    aead_key_free(key);
    tree_free(shared.tree);
    for (size_t i = 0; i < MANIFEST_COUNT; i++) {
        buffer_release(&shared.plains[i]);
    }
    compactor_model_release(&model);
}

int main(void)
{
    crypto_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p6_threads_read_beside_new_manifests_and_evictions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
