/* src/lsm/table_index.h */
#ifndef LSM_TABLE_INDEX_H
#define LSM_TABLE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "crypto/short_hash.h"
#include "lsm/block.h"
#include "lsm/table.h"

/* table_index: a table in memory, all but its blocks. Never changes, so any thread may read it. */
struct table_index;

/*
 * Decode the index of `table`, which it must agree with. STATUS_MALFORMED; STATUS_NO_MEMORY.
 * `plain` is copied.
 */
MUST_CHECK enum status table_index_decode(struct table_index **index, const struct table *table,
                                          struct bytes plain);
void table_index_free(struct table_index *index);  // wipes

uint32_t table_index_count(const struct table_index *index);
size_t table_index_bytes(const struct table_index *index);  // memory it takes
const struct short_hash_key *table_index_filter_key(const struct table_index *index);

/* False: no such key. `hash` is that of the key under table_index_filter_key(). */
bool table_index_has(const struct table_index *index, struct short_hash hash);

/* The one block that may hold `key`, and of which the first key may be above it. */
uint32_t table_index_seek(const struct table_index *index, struct bytes key);

struct block_ref table_index_ref(const struct table_index *index, uint32_t block);

/* The block that is the record (sequence) of the table's writer. STATUS_NOT_FOUND. */
MUST_CHECK enum status table_index_find(const struct table_index *index, uint64_t sequence,
                                        uint32_t *block);

/* STATUS_MALFORMED: the keys of `content` are not those that belong into `block`. */
MUST_CHECK enum status table_index_verify(const struct table_index *index, uint32_t block,
                                          const struct block *content);

#endif
