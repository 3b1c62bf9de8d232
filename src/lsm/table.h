/* src/lsm/table.h */
#ifndef LSM_TABLE_H
#define LSM_TABLE_H

#include <stdint.h>

#include "base/bytes.h"
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
    // Of a block: what a get of a cold key fetches, hashes and opens (docs/design/0050).
    TABLE_BLOCK_BYTES = 16 << 10,
    // On level 0, which is a small part of a tree, and is merged soon: there a signature costs
    // more.
    TABLE_FLUSH_BLOCK_BYTES = 64 << 10,
    TABLE_TARGET_BYTES = 64 << 20,  // a table ends with the block that reaches this
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

#endif
