#ifndef LSM_TABLE_H
#define LSM_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "crypto/short_hash.h"
#include "lsm/block.h"

/*
 * table: a sorted, immutable run of entries with keys of its own range: TABLE records of one
 * compactor's branch, in this order: its blocks (lsm/block.h) and last its index. Other
 * records may lie between them. Nothing refers to a table before a MANIFEST does: one that was
 * begun and never finished is so many unreferenced records.
 *
 * The plaintext of an index (docs/format/table.md):
 *
 *     offset  bytes  field
 *          0      4  magic "PTI1"
 *          4      4  block count, ≥ 1
 *          8      8  entry count
 *         16     16  key of the filter: from the data key (table_filter_key)
 *         32         blocks, in key order:
 *                 8  sequence, rising
 *                32  record hash
 *                 4  record_bytes
 *                 2  separator_len
 *                    separator: the shortest key that is above every key of the block before, and
 *                    not above any of this one; empty for the first
 *         ..         filter over all keys (lsm/bloom.h): as long as the entry count says
 */
enum {
    TABLE_ENTRIES_MAX = 1 << 20,
    TABLE_BLOCKS_MAX = 1 << 15,
    TABLE_SEPARATORS_BYTES_MAX = 1 << 20,
    TABLE_TARGET_BYTES = 64 << 20,  // a table ends before its records would grow beyond this
};

/* What a MANIFEST says of a table. */
struct table {
    uint8_t level;
    uint64_t run;             // the floor of the flush, on level 0: higher ones are newer. Else 0
    struct block_ref index;   // its last record
    uint64_t first_sequence;  // its first record: it lies in [first_sequence, index.sequence]
    uint32_t block_count;
    uint32_t entry_count;
    uint32_t delete_count;  // of the entries, how many are tombstones
    uint64_t record_bytes;  // of its blocks and its index, headers and signatures included
    uint64_t stale_ms;      // from then on at least half of its entries are expired; 0: never
    struct bytes first_key;
    struct bytes last_key;
};

/* The key of the filters that are made while `data_key` is in use. */
struct short_hash_key table_filter_key(const struct secret *data_key, const struct hash *capsule);

/* ---- building ---- */

struct table_builder;

struct table_builder_config {
    struct short_hash_key filter_key;
    uint32_t block_bytes;  // at most BLOCK_TARGET_BYTES; 0: that
    uint64_t table_bytes;  // at most TABLE_TARGET_BYTES; 0: that
    uint64_t now_ms;       // by SYNC time: what stale_ms is reckoned from
};

/*
 * Takes entries, gives the plaintexts of TABLE records; the caller seals each one, appends it to
 * its branch, and says where it lies:
 *
 *     for each entry: while (table_builder_add() == STATUS_FULL)
 *         if table_builder_body() == STATUS_OK: seal, append, table_builder_sealed()
 *         else: the table is at its bound: table_builder_finish(), and as at the end
 *     table_builder_finish()
 *     while (table_builder_body() == STATUS_OK) seal, append, table_builder_sealed()
 *     table_builder_result(); the next add begins the next table
 */
MUST_CHECK enum status table_builder_new(struct table_builder **builder,
                                         const struct table_builder_config *config);
void table_builder_free(struct table_builder *builder);  // wipes

/*
 * Append an entry (copied) with a key above the last one's (CHECK). STATUS_FULL: a body waits, or
 * the table is at its bound. STATUS_NO_MEMORY: nothing changed.
 */
MUST_CHECK enum status table_builder_add(struct table_builder *builder, const struct entry *entry);

/* No more entries for this table; it has at least one (CHECK). STATUS_FULL: a body waits.
 * STATUS_NO_MEMORY. */
MUST_CHECK enum status table_builder_finish(struct table_builder *builder);

/* The plaintext that waits to be sealed; borrowed until table_builder_sealed(). STATUS_EMPTY. */
MUST_CHECK enum status table_builder_body(const struct table_builder *builder, struct bytes *plain);

/* It lies there. STATUS_NO_MEMORY: nothing changed. */
MUST_CHECK enum status table_builder_sealed(struct table_builder *builder,
                                            const struct block_ref *ref);

/* Whether no entry was added since the last result. */
bool table_builder_is_empty(const struct table_builder *builder);

/*
 * The finished table, all of whose bodies are sealed (CHECK), on level 0 and run 0. Its keys are
 * borrowed until the next table_builder_add().
 */
struct table table_builder_result(struct table_builder *builder);

/* ---- reading ---- */

/* A table's index in memory: all of it but the blocks. Never changes. */
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
