/* bench/lsm/rocks.c */
#include "bench/lsm/rocks.h"

#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

enum { BLOOM_BITS = 10, SETTLE_POLL_US = 2000, BACKGROUND_THREADS = 2 };

struct rocks {
    const struct workload *workload;
    char path[300];
    rocksdb_options_t *options;
    rocksdb_block_based_table_options_t *tables;
    rocksdb_writeoptions_t *write;
    rocksdb_readoptions_t *read;
    rocksdb_t *db;
};

static void must(char *error)
{
    if (error != NULL) {
        (void)fprintf(stderr, "rocksdb: %s\n", error);
        abort();
    }
}

static void open_db(struct rocks *rocks, uint64_t cache_bytes)
{
    char *error = NULL;
    const struct workload *workload = rocks->workload;
    rocks->options = rocksdb_options_create();
    rocks->tables = rocksdb_block_based_options_create();
    rocksdb_cache_t *cache = rocksdb_cache_create_lru(cache_bytes);
    rocksdb_block_based_options_set_block_cache(rocks->tables, cache);
    rocksdb_cache_destroy(cache);
    rocksdb_block_based_options_set_block_size(rocks->tables, workload->block_bytes);
    rocksdb_block_based_options_set_filter_policy(
        rocks->tables, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS));
    rocksdb_options_set_block_based_table_factory(rocks->options, rocks->tables);
    rocksdb_options_set_create_if_missing(rocks->options, 1);
    rocksdb_options_set_compression(rocks->options, rocksdb_no_compression);
    rocksdb_options_set_write_buffer_size(rocks->options, workload->memtable_bytes);
    rocksdb_options_set_max_bytes_for_level_base(rocks->options, workload->level1_bytes);
    rocksdb_options_set_target_file_size_base(rocks->options, workload->table_bytes);
    rocksdb_options_increase_parallelism(rocks->options, BACKGROUND_THREADS);
    rocks->db = rocksdb_open(rocks->options, rocks->path, &error);
    must(error);
}

static void close_db(struct rocks *rocks)
{
    rocksdb_close(rocks->db);
    rocksdb_block_based_options_destroy(rocks->tables);
    rocksdb_options_destroy(rocks->options);
}

struct rocks *rocks_new(const struct workload *workload)
{
    struct rocks *rocks = calloc(1, sizeof *rocks);
    CHECK(rocks != NULL);
    rocks->workload = workload;
    (void)snprintf(rocks->path, sizeof rocks->path, "%s/rocks", workload->directory);
    rocks->write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(rocks->write, 1);
    rocks->read = rocksdb_readoptions_create();
    open_db(rocks, workload->cache_bytes);
    return rocks;
}

void rocks_free(struct rocks *rocks)
{
    close_db(rocks);
    rocksdb_writeoptions_destroy(rocks->write);
    rocksdb_readoptions_destroy(rocks->read);
    free(rocks);
}

void rocks_reopen(struct rocks *rocks, uint64_t cache_bytes)
{
    close_db(rocks);
    open_db(rocks, cache_bytes);
}

void rocks_put(struct rocks *rocks, const uint32_t *numbers, size_t count, uint64_t version)
{
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    for (size_t i = 0; i < count; i++) {
        char key[WORKLOAD_KEY_BYTES + 1];
        (void)workload_key(key, numbers[i]);
        struct bytes value = workload_value(rocks->workload, numbers[i], version + i);
        rocksdb_writebatch_put(batch, key, WORKLOAD_KEY_BYTES, (const char *)value.at,
                               value.length);
    }
    char *error = NULL;
    rocksdb_write(rocks->db, rocks->write, batch, &error);
    must(error);
    rocksdb_writebatch_destroy(batch);
}

static uint64_t property(struct rocks *rocks, const char *name)
{
    uint64_t value = 0;
    CHECK(rocksdb_property_int(rocks->db, name, &value) == 0);
    return value;
}

void rocks_settle(struct rocks *rocks)
{
    char *error = NULL;
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
    rocksdb_flush(rocks->db, options, &error);
    must(error);
    rocksdb_flushoptions_destroy(options);
    while (property(rocks, "rocksdb.compaction-pending") > 0 ||
           property(rocks, "rocksdb.num-running-compactions") > 0) {
        (void)usleep(SETTLE_POLL_US);  // its C interface sends no word of it
    }
}

uint64_t rocks_compact(struct rocks *rocks)
{
    rocksdb_compactoptions_t *options = rocksdb_compactoptions_create();
    // 2 is kForce: rewrite the bottommost level too.
    rocksdb_compactoptions_set_bottommost_level_compaction(options, 2);
    rocksdb_compact_range_opt(rocks->db, options, NULL, 0, NULL, 0);
    rocksdb_compactoptions_destroy(options);
    return property(rocks, "rocksdb.live-sst-files-size");
}

bool rocks_get(struct rocks *rocks, uint32_t number, uint8_t *target)
{
    char key[WORKLOAD_KEY_BYTES + 1];
    (void)workload_key(key, number);
    char *error = NULL;
    rocksdb_pinnableslice_t *slice =
        rocksdb_get_pinned(rocks->db, rocks->read, key, WORKLOAD_KEY_BYTES, &error);
    must(error);
    if (slice == NULL) {
        return false;
    }
    size_t length;
    const char *value = rocksdb_pinnableslice_value(slice, &length);
    CHECK(length == rocks->workload->value_bytes);
    memcpy(target, value, length);
    rocksdb_pinnableslice_destroy(slice);
    return true;
}

uint64_t rocks_scan(struct rocks *rocks)
{
    uint64_t count = 0;
    rocksdb_iterator_t *iterator = rocksdb_create_iterator(rocks->db, rocks->read);
    for (rocksdb_iter_seek_to_first(iterator); rocksdb_iter_valid(iterator);
         rocksdb_iter_next(iterator)) {
        size_t length;
        (void)rocksdb_iter_value(iterator, &length);
        CHECK(length == rocks->workload->value_bytes);
        count++;
    }
    rocksdb_iter_destroy(iterator);
    return count;
}
