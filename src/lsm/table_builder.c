/* src/lsm/table_builder.c */
#include "lsm/table_builder.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/checked.h"
#include "base/encoder.h"
#include "capsule/record.h"
#include "crypto/aead.h"
#include "lsm/bloom.h"
#include "lsm/table_internal.h"

enum {
    HASH_COUNT_MIN = 1024,
    AGE_COUNT = 65,  // 0, and one for each highest bit
};

_Static_assert(TABLE_INDEX_HEADER_BYTES + TABLE_BLOCKS_MAX * TABLE_INDEX_BLOCK_BYTES +
                       TABLE_SEPARATORS_BYTES_MAX +
                       (TABLE_ENTRIES_MAX / 8 + 1) * BLOOM_BITS_PER_KEY + BLOOM_LINE_BYTES <=
                   RECORD_BODY_BYTES_MAX - AEAD_TAG_BYTES,
               "the index of a table fits into a record");

/* A key of the longest kind. */
struct key_copy {
    size_t length;
    uint8_t bytes[TUPLE_KEY_BYTES_MAX];
};

/* What is to be done next with a table. */
enum stage {
    STAGE_FILLING,   // entries are added
    STAGE_ENDING,    // its last block waits to be sealed
    STAGE_INDEXING,  // its index waits to be sealed
    STAGE_DONE,
};

struct table_builder {
    struct table_builder_config config;
    struct block_builder *block;
    enum stage stage;
    struct buffer body;         // waits to be sealed, unless empty
    struct key_copy separator;  // of the block in `body`
    struct table table;         // grows; its keys are the copies here
    struct key_copy first;
    struct key_copy last;
    struct key_copy last_of_block;  // of the block before
    struct buffer blocks;           // as the index lists them
    size_t separator_bytes;
    struct short_hash *hashes;  // of all keys, for the filter
    uint32_t hash_capacity;
    uint32_t age_counts[AGE_COUNT];  // entries by the highest bit of the time that they have left
};

static void copy_key(struct key_copy *copy, struct bytes key)
{
    CHECK(key.length <= sizeof copy->bytes);
    memcpy(copy->bytes, key.at, key.length);
    copy->length = key.length;
}

static struct bytes copied_key(const struct key_copy *copy)
{
    return bytes_of(copy->bytes, copy->length);
}

static void begin_table(struct table_builder *builder)
{
    builder->stage = STAGE_FILLING;
    builder->table = (struct table){.level = 0};
    builder->last_of_block.length = 0;
    buffer_clear(&builder->blocks);
    builder->separator_bytes = 0;
    memset(builder->age_counts, 0, sizeof builder->age_counts);
}

enum status table_builder_new(struct table_builder **builder,
                              const struct table_builder_config *config)
{
    *builder = NULL;
    struct table_builder *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    made->config = *config;
    if (made->config.block_bytes == 0) {
        made->config.block_bytes = TABLE_BLOCK_BYTES;
    }
    if (made->config.table_bytes == 0) {
        made->config.table_bytes = TABLE_TARGET_BYTES;
    }
    CHECK(made->config.table_bytes <= TABLE_TARGET_BYTES);
    enum status status = block_builder_new(&made->block, made->config.block_bytes);
    if (status != STATUS_OK) {
        free(made);
        return status;
    }
    begin_table(made);
    *builder = made;
    return STATUS_OK;
}

void table_builder_free(struct table_builder *builder)
{
    if (builder != NULL) {
        block_builder_free(builder->block);
        buffer_release(&builder->body);
        buffer_release(&builder->blocks);
        buffer_wipe(builder->hashes, builder->hash_capacity * sizeof *builder->hashes);
        free(builder->hashes);
        buffer_wipe(builder, sizeof *builder);
        free(builder);
    }
}

bool table_builder_is_empty(const struct table_builder *builder)
{
    return builder->stage == STAGE_DONE || builder->table.entry_count == 0;
}

static bool is_at_bound(const struct table_builder *builder)
{
    const struct table *table = &builder->table;
    if (table->entry_count == TABLE_ENTRIES_MAX) {
        return true;
    }
    return block_builder_count(builder->block) == 0 &&
           (table->record_bytes >= builder->config.table_bytes ||
            table->block_count == TABLE_BLOCKS_MAX ||
            builder->separator_bytes > TABLE_SEPARATORS_BYTES_MAX - TUPLE_KEY_BYTES_MAX);
}

static enum status grow_hashes(struct table_builder *builder)
{
    if (builder->table.entry_count < builder->hash_capacity) {
        return STATUS_OK;
    }
    uint32_t capacity = builder->hash_capacity == 0 ? HASH_COUNT_MIN : builder->hash_capacity * 2;
    struct short_hash *hashes = malloc(capacity * sizeof *hashes);
    if (hashes == NULL) {
        return STATUS_NO_MEMORY;
    }
    // Not realloc(): hashes say something about the keys, so none are left behind.
    size_t used_bytes = builder->hash_capacity * sizeof *hashes;
    if (used_bytes > 0) {
        memcpy(hashes, builder->hashes, used_bytes);
        buffer_wipe(builder->hashes, used_bytes);
    }
    free(builder->hashes);
    builder->hashes = hashes;
    builder->hash_capacity = capacity;
    return STATUS_OK;
}

/* The shortest key above `before` and not above `key`, which is above `before`. */
static struct bytes shortest_between(struct bytes before, struct bytes key)
{
    size_t length = 0;
    while (length < before.length && before.at[length] == key.at[length]) {
        length++;
    }
    return bytes_of(key.at, length + 1);
}

/* The block is complete: make a body of it. */
static enum status end_block(struct table_builder *builder)
{
    struct bytes first = block_builder_first(builder->block);
    struct bytes before = copied_key(&builder->last_of_block);
    struct bytes separator =
        builder->table.block_count == 0 ? bytes_of(first.at, 0) : shortest_between(before, first);
    copy_key(&builder->separator, separator);
    struct key_copy last;
    copy_key(&last, block_builder_last(builder->block));
    enum status status = block_builder_finish(builder->block, &builder->body);
    if (status == STATUS_OK) {
        copy_key(&builder->last_of_block, copied_key(&last));
    }
    return status;
}

/* How the entry's time is counted: 0 when it has none left. */
static size_t age_of(const struct table_builder *builder, uint64_t expiry_ms)
{
    uint64_t now_ms = builder->config.now_ms;
    uint64_t left_ms = expiry_ms > now_ms ? expiry_ms - now_ms : 0;
    return left_ms == 0 ? 0 : 64 - (size_t)__builtin_clzll(left_ms);
}

enum status table_builder_add(struct table_builder *builder, const struct entry *entry)
{
    if (builder->stage == STAGE_DONE) {
        begin_table(builder);
    }
    CHECK(builder->stage == STAGE_FILLING);
    struct table *table = &builder->table;
    bool is_first = table->entry_count == 0;
    CHECK(is_first || bytes_compare(entry->tuple.key, copied_key(&builder->last)) > 0);
    if (builder->body.length > 0 || is_at_bound(builder)) {
        return STATUS_FULL;
    }
    enum status status = grow_hashes(builder);
    if (status != STATUS_OK) {
        return status;
    }
    status = block_builder_add(builder->block, entry);
    if (status == STATUS_FULL) {
        status = end_block(builder);
        return status == STATUS_OK ? STATUS_FULL : status;
    }
    if (status != STATUS_OK) {
        return status;
    }

    if (is_first) {
        copy_key(&builder->first, entry->tuple.key);
    }
    copy_key(&builder->last, entry->tuple.key);
    builder->hashes[table->entry_count] =
        short_hash_of(&builder->config.filter_key, entry->tuple.key);
    table->entry_count++;
    table->delete_count += entry->tuple.kind == TUPLE_DELETE;
    if (entry->tuple.expiry_ms != 0) {
        builder->age_counts[age_of(builder, entry->tuple.expiry_ms)]++;
    }
    return STATUS_OK;
}

/* What the index of the blocks listed so far takes, and `extra` more. */
static enum status reserve_index(struct table_builder *builder, size_t extra)
{
    size_t filter_bytes = bloom_bytes(builder->table.entry_count);
    return buffer_reserve(&builder->body,
                          TABLE_INDEX_HEADER_BYTES + builder->blocks.length + filter_bytes + extra);
}

/* Into the reserved and empty body. */
static void make_index(struct table_builder *builder)
{
    const struct table *table = &builder->table;
    size_t filter_bytes = bloom_bytes(table->entry_count);
    struct encoder out;
    CHECK(encoder_begin(&out, &builder->body,
                        TABLE_INDEX_HEADER_BYTES + builder->blocks.length + filter_bytes) ==
          STATUS_OK);
    encoder_u32(&out, TABLE_INDEX_MAGIC);
    encoder_u32(&out, table->block_count);
    encoder_u64(&out, table->entry_count);
    encoder_bytes(&out, builder->config.filter_key.bytes, sizeof builder->config.filter_key.bytes);
    encoder_bytes(&out, builder->blocks.bytes, builder->blocks.length);
    uint8_t *filter = encoder_reserve(&out, filter_bytes);
    memset(filter, 0, filter_bytes);
    for (uint32_t i = 0; i < table->entry_count; i++) {
        bloom_add(filter, filter_bytes, builder->hashes[i]);
    }
    encoder_finish(&out, &builder->body);
    builder->stage = STAGE_INDEXING;
}

enum status table_builder_finish(struct table_builder *builder)
{
    CHECK(builder->stage == STAGE_FILLING && builder->table.entry_count > 0);
    if (builder->body.length > 0) {
        return STATUS_FULL;
    }
    enum status status;
    if (block_builder_count(builder->block) > 0) {
        status = end_block(builder);
        builder->stage = status == STATUS_OK ? STAGE_ENDING : STAGE_FILLING;
        return status;
    }
    status = reserve_index(builder, 0);
    if (status == STATUS_OK) {
        make_index(builder);
    }
    return status;
}

enum status table_builder_body(const struct table_builder *builder, struct bytes *plain)
{
    if (builder->body.length == 0) {
        return STATUS_EMPTY;
    }
    *plain = buffer_bytes(&builder->body);
    return STATUS_OK;
}

/* List the block that was sealed. */
static enum status list_block(struct table_builder *builder, const struct block_ref *ref)
{
    struct bytes separator = copied_key(&builder->separator);
    struct encoder out;
    enum status status =
        encoder_begin(&out, &builder->blocks, TABLE_INDEX_BLOCK_BYTES + separator.length);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_u64(&out, ref->sequence);
    encoder_bytes(&out, ref->hash.bytes, sizeof ref->hash.bytes);
    encoder_u32(&out, ref->record_bytes);
    encoder_u16(&out, (uint16_t)separator.length);
    encoder_bytes(&out, separator.at, separator.length);
    encoder_finish(&out, &builder->blocks);

    struct table *table = &builder->table;
    if (table->block_count == 0) {
        table->first_sequence = ref->sequence;
        table->index.writer = ref->writer;
    }
    table->index.sequence = ref->sequence;  // the last one so far
    table->block_count++;
    table->record_bytes += ref->record_bytes;
    builder->separator_bytes += separator.length;
    return STATUS_OK;
}

/* When at least half of the entries will have expired. */
static uint64_t stale_ms(const struct table_builder *builder)
{
    uint64_t expired = 0;
    for (size_t age = 0; age < AGE_COUNT; age++) {
        expired += builder->age_counts[age];
        if (expired * 2 >= builder->table.entry_count) {
            uint64_t stale;
            uint64_t left_ms = age < 64 ? 1ull << age : UINT64_MAX;
            bool is_sound = checked_add_u64(&stale, builder->config.now_ms, left_ms);
            return is_sound ? stale : UINT64_MAX;
        }
    }
    return 0;
}

static void end_table(struct table_builder *builder, const struct block_ref *ref)
{
    struct table *table = &builder->table;
    table->index = *ref;
    table->record_bytes += ref->record_bytes;
    table->stale_ms = stale_ms(builder);
    table->first_key = copied_key(&builder->first);
    table->last_key = copied_key(&builder->last);
    builder->stage = STAGE_DONE;
}

enum status table_builder_sealed(struct table_builder *builder, const struct block_ref *ref)
{
    const struct table *table = &builder->table;
    CHECK(builder->body.length > 0);
    CHECK(table->block_count == 0 || (writer_id_equal(&ref->writer, &table->index.writer) &&
                                      ref->sequence > table->index.sequence));
    if (builder->stage == STAGE_INDEXING) {
        end_table(builder, ref);
        buffer_clear(&builder->body);
        return STATUS_OK;
    }
    bool is_last = builder->stage == STAGE_ENDING;
    enum status status = STATUS_OK;
    if (is_last) {
        status = reserve_index(builder, TABLE_INDEX_BLOCK_BYTES + builder->separator.length);
    }
    if (status == STATUS_OK) {
        status = list_block(builder, ref);
    }
    if (status != STATUS_OK) {
        return status;
    }
    buffer_clear(&builder->body);
    if (is_last) {
        make_index(builder);
    }
    return STATUS_OK;
}

struct table table_builder_result(struct table_builder *builder)
{
    CHECK(builder->stage == STAGE_DONE);
    return builder->table;
}
