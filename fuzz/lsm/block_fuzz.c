/* fuzz/lsm/block_fuzz.c */

/* A block that decodes holds its keys in order, finds each, and encodes to the same bytes. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "lsm/block.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void check_again(const struct block *block, struct bytes plain)
{
    struct block_builder *builder;
    struct buffer again = BUFFER_EMPTY;
    CHECK(block_builder_new(&builder, BLOCK_TARGET_BYTES_MAX) == STATUS_OK);
    for (uint32_t i = 0; i < block_count(block); i++) {
        uint8_t key[TUPLE_KEY_BYTES_MAX];
        struct entry entry, found;
        struct block_key parts = block_key_at(block, i);
        block_entry_at(block, i, &entry);
        entry.tuple.key = block_key_copy(&parts, key);
        CHECK(block_key_compare(&parts, entry.tuple.key) == 0);
        CHECK(block_seek(block, entry.tuple.key) == i);
        CHECK(block_get(block, entry.tuple.key, &found) == STATUS_OK);
        CHECK(found.tuple.value.at == entry.tuple.value.at);
        CHECK(block_builder_add(builder, &entry) == STATUS_OK);
    }
    CHECK(block_builder_finish(builder, &again) == STATUS_OK);
    CHECK(bytes_equal(buffer_bytes(&again), plain));
    buffer_release(&again);
    block_builder_free(builder);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct buffer plain = BUFFER_EMPTY;
    struct block *block;
    CHECK(buffer_append(&plain, bytes, length) == STATUS_OK);
    enum status status = block_decode(&block, &plain);
    CHECK((status == STATUS_OK) == (block != NULL));
    // Near the bound a builder reckons with longer places of writers than there are.
    if (status == STATUS_OK && length < BLOCK_TARGET_BYTES_MAX / 2) {
        check_again(block, bytes_of(bytes, length));
    }
    block_free(block);
    buffer_release(&plain);
    return 0;
}
