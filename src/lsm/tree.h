/* src/lsm/tree.h */
#ifndef LSM_TREE_H
#define LSM_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "capsule/record.h"
#include "crypto/aead.h"
#include "lsm/manifest.h"
#include "lsm/table.h"

/*
 * tree: CapsuleDB as a replica reads it. It holds the manifest in effect, and of each table its
 * index and filter; blocks are fetched when a read needs them, verified by hash, opened, and kept
 * in a cache with a bound.
 *
 * Sans-IO: a read that needs a block which is not there says STATUS_GAP and which; the caller
 * fetches the record from any store, gives it to tree_supply(), and reads again.
 *
 * Threads: any number read at once, each through a tree_reader of its own, and never wait for one
 * another nor write to memory that they share. tree_supply() may be called by any thread.
 * tree_adopt() and tree_install() are called by one thread at a time.
 *
 * Memory: per million entries 1.25 MB of filters, and per block 72 bytes and its separator; per
 * table less than 1 KiB and its two keys. With values of 1 KiB, blocks of 16 KiB and keys that
 * differ within 16 bytes that is about 6.5 MB in all. Plus the cache's bound.
 */
struct tree;

/*
 * `cache_bytes`: the bound of the decrypted blocks. TREE_BLOCK_COUNT_MIN and two for each run
 * of tables stay in any case: a walk needs one block of each run at the same time.
 */
enum { TREE_BLOCK_COUNT_MIN = 16 };
MUST_CHECK enum status tree_new(struct tree **tree, uint64_t cache_bytes);
void tree_free(struct tree *tree);  // wipes; no reader is left

/* ---- a new MANIFEST ---- */

/*
 * Begin to adopt a MANIFEST (copied), whose record has the hash `hash`, in place of one that is
 * under way, if any. Tables that the tree holds already are kept with their cached blocks.
 * STATUS_MALFORMED, STATUS_NO_MEMORY: what was under way still is.
 */
MUST_CHECK enum status tree_adopt(struct tree *tree, const struct hash *hash, struct bytes plain);

/* Indexes that are still missing for it: up to `count` of them, to be fetched and supplied. */
uint32_t tree_missing(struct tree *tree, struct block_ref *refs, uint32_t count);

/*
 * Read by it from now on. STATUS_GAP: indexes are missing. STATUS_EMPTY: nothing is under way.
 */
MUST_CHECK enum status tree_install(struct tree *tree);

/* The manifest in effect; borrowed until the next tree_install(), by the thread that calls it. */
const struct manifest *tree_manifest(const struct tree *tree);
/* Its hash; zero: none yet. */
struct hash tree_manifest_hash(const struct tree *tree);
/* Its floor, for any thread. */
uint64_t tree_floor(const struct tree *tree);

/*
 * A TABLE record that was fetched, decoded (which compared its body with its hash), and the key of
 * its writer and key epoch. STATUS_OK: kept. STATUS_STALE: no table names it, or it is here
 * already. STATUS_FORGED: another record is named in its place, or it does not open.
 * STATUS_MALFORMED: it opens to nonsense: a compactor is broken. STATUS_NO_MEMORY.
 */
MUST_CHECK enum status tree_supply(struct tree *tree, const struct record *record,
                                   struct aead_key *body_key);

/* ---- reading ---- */

struct tree_reader;
MUST_CHECK enum status tree_reader_new(struct tree_reader **reader, struct tree *tree);
void tree_reader_free(struct tree_reader *reader);

/*
 * Between begin and end, what was borrowed stays, and all reads see one manifest. Sections are
 * short and do not nest: what is replaced or evicted meanwhile is freed only after them.
 */
void tree_reader_begin(struct tree_reader *reader);
void tree_reader_end(struct tree_reader *reader);

/*
 * The winner of `key` at the floor; a tombstone is found too. Expiry is the caller's to judge.
 * `entry->tuple.key` is `key`; the value is borrowed until tree_reader_end(). STATUS_NOT_FOUND:
 * the tables say nothing of it. STATUS_GAP: `*need` has to be supplied first.
 */
MUST_CHECK enum status tree_get(struct tree_reader *reader, struct bytes key, struct entry *entry,
                                struct block_ref *need);

/*
 * In key order from `from` on (after it, when `is_after`): each key's winner, tombstones too.
 * tree_seek() starts (or STATUS_NO_MEMORY), tree_next() goes on; `entry` is borrowed until the next
 * call, its value until tree_reader_end(). Both: STATUS_NOT_FOUND: no more. STATUS_GAP: `*need` has
 * to be supplied; then seek again after the last key that was given. A reader has one walk, which
 * ends with its section.
 */
MUST_CHECK enum status tree_seek(struct tree_reader *reader, struct bytes from, bool is_after,
                                 struct entry *entry, struct block_ref *need);
MUST_CHECK enum status tree_next(struct tree_reader *reader, struct entry *entry,
                                 struct block_ref *need);

struct tree_counters {
    uint64_t table_count;
    uint64_t index_bytes;  // memory of indexes and filters
    uint64_t cache_bytes;  // memory of the cached blocks
    uint64_t cached_blocks;
    uint64_t evicted_blocks;
};
/* For any thread. */
void tree_count(struct tree *tree, struct tree_counters *counters);

#endif
