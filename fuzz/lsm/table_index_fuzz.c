/* fuzz/lsm/table_index_fuzz.c */

/* An index that decodes, for a table that agrees with it, finds a block for any key. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "lsm/table_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* What the index says of its table, as a MANIFEST would. */
static struct table described(const uint8_t *bytes, size_t length)
{
    static uint8_t last_key[TUPLE_KEY_BYTES_MAX];
    memset(last_key, 0xff, sizeof last_key);
    struct cursor in = cursor_over(bytes, length);
    (void)cursor_u32(&in);
    struct table table = {.index = {.sequence = UINT64_MAX, .record_bytes = 1}};
    table.block_count = cursor_u32(&in);
    table.entry_count = (uint32_t)cursor_u64(&in);
    table.first_key = bytes_of(last_key, 0);
    table.last_key = bytes_of(last_key, sizeof last_key);
    table.record_bytes = table.index.record_bytes;
    (void)cursor_take(&in, 16);
    for (uint32_t i = 0; i < table.block_count && !in.failed; i++) {
        uint64_t sequence = cursor_u64(&in);
        table.first_sequence = i == 0 ? sequence : table.first_sequence;
        (void)cursor_take(&in, HASH_BYTES);
        table.record_bytes += cursor_u32(&in);
        uint16_t separator_length = cursor_u16(&in);
        (void)cursor_take(&in, separator_length);
    }
    return table;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct table table = described(bytes, length);
    struct table_index *index;
    enum status status = table_index_decode(&index, &table, bytes_of(bytes, length));
    CHECK((status == STATUS_OK) == (index != NULL));
    if (status != STATUS_OK) {
        return 0;
    }
    size_t key_length = length < TUPLE_KEY_BYTES_MAX ? length : TUPLE_KEY_BYTES_MAX;
    struct bytes key = bytes_of(bytes, key_length);
    CHECK(table_index_seek(index, key) < table_index_count(index));
    (void)table_index_has(index, short_hash_of(table_index_filter_key(index), key));
    for (uint32_t i = 0; i < table_index_count(index); i++) {
        struct block_ref ref = table_index_ref(index, i);
        uint32_t block;
        CHECK(table_index_find(index, ref.sequence, &block) == STATUS_OK && block == i);
    }
    table_index_free(index);
    return 0;
}
