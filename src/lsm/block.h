/* src/lsm/block.h */
#ifndef LSM_BLOCK_H
#define LSM_BLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/writer.h"
#include "crypto/hash.h"
#include "lsm/entry.h"

/*
 * block: a run of entries in key order, each key once: the plaintext of one TABLE record
 * (docs/format/table.md).
 *
 *     offset  bytes  field
 *          0      4  magic "PTB1"
 *          4      4  entry count, ≥ 1
 *          8      2  prefix_len: what all keys begin with, as long as possible
 *         10      2  writer count, ≥ 1
 *         12         prefix
 *             16n    writers, ascending; each is some entry's
 *                    entries:
 *                 2  suffix_len; the key is prefix ‖ suffix
 *                    suffix
 *                 1  kind: PUT 1, DELETE 2; plus 128: an expiry follows
 *            varint  writer: its place in the list
 *            varint  lamport, ≥ 1
 *                 8  expiry, ms (if any; PUT only)
 *            varint  value_len; 0 for DELETE
 *                    value
 *
 * One set of entries has one encoding.
 */
enum {
    BLOCK_TARGET_BYTES_MAX = 64 << 10,                    // two entries or more fit into this
    BLOCK_BYTES_MAX = TUPLE_VALUE_BYTES_MAX + (2 << 10),  // one entry of the greatest size fits
};

/* Where a block (or a table's index) lies: one record of some compactor's. */
struct block_ref {
    struct writer_id writer;
    uint64_t sequence;
    struct hash hash;       // of the record
    uint32_t record_bytes;  // its whole length
};

/* ---- building ---- */

struct block_builder;

/* `target_bytes`: BLOCK_TARGET_BYTES_MAX or less. */
MUST_CHECK enum status block_builder_new(struct block_builder **builder, size_t target_bytes);
void block_builder_free(struct block_builder *builder);  // wipes

/*
 * Append an entry (copied) whose key is above the last one's (CHECK). STATUS_FULL: it does not fit
 * beside the others: finish the block first. Alone an entry always fits. STATUS_NO_MEMORY.
 */
MUST_CHECK enum status block_builder_add(struct block_builder *builder, const struct entry *entry);

uint32_t block_builder_count(const struct block_builder *builder);

/* The first and the last key. Borrowed until the next finish. The builder is not empty (CHECK). */
struct bytes block_builder_first(const struct block_builder *builder);
struct bytes block_builder_last(const struct block_builder *builder);

/* Replace the content of `plain` by the block, and begin the next one. STATUS_NO_MEMORY. */
MUST_CHECK enum status block_builder_finish(struct block_builder *builder, struct buffer *plain);

/* ---- reading ---- */

struct block;  // whole and well formed; never changes, so any number of threads may read it

/*
 * Decode a block, which takes over `plain` (left empty) on success. STATUS_MALFORMED;
 * STATUS_NO_MEMORY: `plain` is as it was.
 */
MUST_CHECK enum status block_decode(struct block **block, struct buffer *plain);
void block_free(struct block *block);  // wipes

uint32_t block_count(const struct block *block);

/* Memory it takes. */
size_t block_bytes(const struct block *block);

/* Its whole key in two parts. Borrowed, as the entry's value, until block_free(). */
struct block_key {
    struct bytes prefix;
    struct bytes suffix;
};
struct block_key block_key_at(const struct block *block, uint32_t index);

/* <0, 0, >0. */
int block_key_compare(const struct block_key *block_key, struct bytes key);

/* Write the whole key to `target`, TUPLE_KEY_BYTES_MAX long; returns it. */
struct bytes block_key_copy(const struct block_key *block_key, uint8_t *target);

/* Entry `index` without its key (`tuple.key` is empty). The value is borrowed. */
void block_entry_at(const struct block *block, uint32_t index, struct entry *entry);

/* The first entry whose key is at or after `key`; block_count() when there is none. */
uint32_t block_seek(const struct block *block, struct bytes key);

/* STATUS_NOT_FOUND; else the entry, whose key is `key` itself. */
MUST_CHECK enum status block_get(const struct block *block, struct bytes key, struct entry *entry);

#endif
