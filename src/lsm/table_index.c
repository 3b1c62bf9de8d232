/* src/lsm/table_index.c */
#include "lsm/table_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cursor.h"
#include "lsm/bloom.h"
#include "lsm/key_head.h"
#include "lsm/table_internal.h"

struct slot {
    uint64_t sequence;
    struct hash hash;
    uint32_t record_bytes;
    uint32_t separator;  // where it starts in `separators`; it ends where the next one starts
};

struct table_index {
    struct writer_id writer;
    struct short_hash_key filter_key;
    uint32_t block_count;
    size_t filter_bytes;
    size_t separator_bytes;
    size_t separator_bytes_max;
    size_t shared_length;  // what all separators but the first begin with
    uint64_t *heads;       // of what follows in each of them
    uint8_t *filter;       // aligned to its lines
    uint8_t *separators;   // one behind the other
    struct slot slots[];   // block_count, and one whose separator is the end
};

static void wipe_and_free(void *bytes, size_t length)
{
    if (bytes != NULL) {
        buffer_wipe(bytes, length);
        free(bytes);
    }
}

void table_index_free(struct table_index *index)
{
    if (index != NULL) {
        // They say something about the keys.
        wipe_and_free(index->separators, index->separator_bytes);
        wipe_and_free(index->heads, index->block_count * sizeof *index->heads);
        wipe_and_free(index->filter, index->filter_bytes);
        buffer_wipe(index, sizeof *index);
        free(index);
    }
}

static struct table_index *index_new(uint32_t block_count, size_t filter_bytes,
                                     size_t separator_bytes_max)
{
    struct table_index *index =
        calloc(1, sizeof *index + ((size_t)block_count + 1) * sizeof *index->slots);
    if (index == NULL) {
        return NULL;
    }
    index->block_count = block_count;
    index->filter_bytes = filter_bytes;
    index->filter = aligned_alloc(BLOOM_LINE_BYTES, filter_bytes);
    index->separator_bytes_max = separator_bytes_max;
    // One more, so that there is memory even for none.
    index->separators = malloc(separator_bytes_max + 1);
    index->heads = calloc(block_count, sizeof *index->heads);
    if (index->filter == NULL || index->separators == NULL || index->heads == NULL) {
        table_index_free(index);
        return NULL;
    }
    return index;
}

static struct bytes separator_of(const struct table_index *index, uint32_t block)
{
    const struct slot *slot = &index->slots[block];
    return bytes_of(index->separators + slot->separator, slot[1].separator - slot->separator);
}

/* A separator without what all but the first share. */
static struct bytes rest_of(const struct table_index *index, struct bytes key)
{
    return bytes_of(key.at + index->shared_length, key.length - index->shared_length);
}

static void fill_heads(struct table_index *index)
{
    if (index->block_count == 1) {
        return;
    }
    struct bytes first = separator_of(index, 1);
    struct bytes last = separator_of(index, index->block_count - 1);
    while (index->shared_length < first.length && index->shared_length < last.length &&
           first.at[index->shared_length] == last.at[index->shared_length]) {
        index->shared_length++;
    }
    for (uint32_t i = 1; i < index->block_count; i++) {
        index->heads[i] = key_head(rest_of(index, separator_of(index, i)));
    }
}

/* False: malformed. */
static bool read_slot(struct table_index *index, uint32_t block, struct cursor *in,
                      uint64_t *record_bytes)
{
    struct slot *slot = &index->slots[block];
    slot->sequence = cursor_u64(in);
    cursor_copy(in, slot->hash.bytes, sizeof slot->hash.bytes);
    slot->record_bytes = cursor_u32(in);
    uint16_t separator_length = cursor_u16(in);
    struct bytes separator = cursor_bytes(in, separator_length);
    if (in->failed || separator_length > TUPLE_KEY_BYTES_MAX ||
        separator_length > index->separator_bytes_max - index->separator_bytes) {
        return false;
    }
    memcpy(index->separators + index->separator_bytes, separator.at, separator.length);
    slot->separator = (uint32_t)index->separator_bytes;
    index->separator_bytes += separator_length;
    slot[1].separator = (uint32_t)index->separator_bytes;
    *record_bytes += slot->record_bytes;
    if (block == 0) {
        return separator_length == 0;
    }
    return slot[-1].sequence < slot->sequence &&
           bytes_compare(separator_of(index, block - 1), separator) < 0;
}

static bool agrees_with_table(const struct table_index *index, const struct table *table,
                              uint64_t record_bytes)
{
    uint32_t last = index->block_count - 1;
    bool splits_range =
        last == 0 || (bytes_compare(table->first_key, separator_of(index, 1)) < 0 &&
                      bytes_compare(separator_of(index, last), table->last_key) <= 0);
    return index->slots[0].sequence == table->first_sequence &&
           index->slots[last].sequence < table->index.sequence &&
           record_bytes == table->record_bytes && splits_range;
}

enum status table_index_decode(struct table_index **index, const struct table *table,
                               struct bytes plain)
{
    *index = NULL;
    struct cursor in = cursor_over(plain.at, plain.length);
    uint32_t magic = cursor_u32(&in);
    uint32_t block_count = cursor_u32(&in);
    uint64_t entry_count = cursor_u64(&in);
    struct short_hash_key filter_key;
    cursor_copy(&in, filter_key.bytes, sizeof filter_key.bytes);
    if (in.failed || magic != TABLE_INDEX_MAGIC || block_count == 0 ||
        block_count > TABLE_BLOCKS_MAX || block_count != table->block_count ||
        entry_count != table->entry_count || entry_count < block_count ||
        entry_count > TABLE_ENTRIES_MAX) {
        return STATUS_MALFORMED;
    }
    size_t filter_bytes = bloom_bytes(entry_count);
    size_t listed_bytes = (size_t)block_count * TABLE_INDEX_BLOCK_BYTES;
    if (in.left < filter_bytes || in.left - filter_bytes < listed_bytes ||
        in.left - filter_bytes - listed_bytes > TABLE_SEPARATORS_BYTES_MAX) {
        return STATUS_MALFORMED;
    }
    struct table_index *made =
        index_new(block_count, filter_bytes, in.left - filter_bytes - listed_bytes);
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    made->writer = table->index.writer;
    made->filter_key = filter_key;
    struct cursor listed = cursor_over(in.at, in.left - filter_bytes);
    uint64_t record_bytes = table->index.record_bytes;
    bool is_sound = true;
    for (uint32_t i = 0; i < block_count && is_sound; i++) {
        is_sound = read_slot(made, i, &listed, &record_bytes);
    }
    if (!is_sound || !cursor_done(&listed) || !agrees_with_table(made, table, record_bytes)) {
        table_index_free(made);
        return STATUS_MALFORMED;
    }
    memcpy(made->filter, listed.at, filter_bytes);
    fill_heads(made);
    *index = made;
    return STATUS_OK;
}

uint32_t table_index_count(const struct table_index *index)
{
    return index->block_count;
}

size_t table_index_bytes(const struct table_index *index)
{
    return sizeof *index + ((size_t)index->block_count + 1) * sizeof *index->slots +
           index->block_count * sizeof *index->heads + index->filter_bytes + index->separator_bytes;
}

const struct short_hash_key *table_index_filter_key(const struct table_index *index)
{
    return &index->filter_key;
}

bool table_index_has(const struct table_index *index, struct short_hash hash)
{
    return bloom_has(index->filter, index->filter_bytes, hash);
}

/* The last block whose separator is not above `key`, which begins with what they share. */
static uint32_t seek_rest(const struct table_index *index, struct bytes key)
{
    uint64_t head = key_head(rest_of(index, key));
    // The first separator is empty.
    uint32_t low = 0, high = index->block_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        bool is_above = index->heads[middle] > head;
        if (index->heads[middle] == head) {
            is_above = bytes_compare(separator_of(index, middle), key) > 0;
        }
        if (is_above) {
            high = middle;
        } else {
            low = middle;
        }
    }
    return low;
}

uint32_t table_index_seek(const struct table_index *index, struct bytes key)
{
    if (index->block_count == 1) {
        return 0;
    }
    struct bytes shared = bytes_of(separator_of(index, 1).at, index->shared_length);
    if (bytes_start_with(key, shared)) {
        return seek_rest(index, key);
    }
    // All separators but the first lie on one side of it.
    return bytes_compare(key, shared) < 0 ? 0 : index->block_count - 1;
}

struct block_ref table_index_ref(const struct table_index *index, uint32_t block)
{
    const struct slot *slot = &index->slots[block];
    return (struct block_ref){
        .writer = index->writer,
        .sequence = slot->sequence,
        .hash = slot->hash,
        .record_bytes = slot->record_bytes,
    };
}

enum status table_index_find(const struct table_index *index, uint64_t sequence, uint32_t *block)
{
    uint32_t low = 0, high = index->block_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (index->slots[middle].sequence < sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == index->block_count || index->slots[low].sequence != sequence) {
        return STATUS_NOT_FOUND;
    }
    *block = low;
    return STATUS_OK;
}

enum status table_index_verify(const struct table_index *index, uint32_t block,
                               const struct block *content)
{
    struct block_key first = block_key_at(content, 0);
    struct block_key last = block_key_at(content, block_count(content) - 1);
    bool starts = block_key_compare(&first, separator_of(index, block)) >= 0;
    bool ends = block + 1 == index->block_count ||
                block_key_compare(&last, separator_of(index, block + 1)) < 0;
    return starts && ends ? STATUS_OK : STATUS_MALFORMED;
}
