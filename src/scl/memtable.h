/* src/scl/memtable.h */
#ifndef SCL_MEMTABLE_H
#define SCL_MEMTABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "capsule/writer.h"

/*
 * memtable: the map of the active keys inside an enclave. One thread at a time writes (the
 * caller holds its lock); any number of readers read beside it without a lock,
 * each through a memtable_reader of its own.
 *
 * The merge rule (DESIGN 6.5) lives here: a version is (lamport, writer id), the
 * higher one wins, never arrival order; so any order of the same writes gives the
 * same map. A delete is a tombstone with a version.
 */
struct memtable;

/* Where a value came from. */
struct memtable_version {
    uint64_t lamport;
    struct writer_id writer;
    uint32_t origin;    // the caller's index of that writer
    uint64_t sequence;  // of the record that carries it
};

/* What a reader sees; borrowed until memtable_reader_end(). */
struct memtable_entry {
    struct bytes key;
    struct bytes value;  // empty for a tombstone
    uint64_t expiry_ms;  // 0: never; judged by the caller
    bool is_tombstone;
    struct memtable_version version;
};

/* The merge rule: whether `version` wins over `than`. */
bool memtable_is_newer(const struct memtable_version *version, const struct memtable_version *than);

MUST_CHECK enum status memtable_new(struct memtable **memtable);
void memtable_free(struct memtable *memtable);  // wipes; no reader is left

/*
 * Apply a put (or with is_tombstone a delete). STATUS_OK: it won. STATUS_STALE: what is there has
 * the same or a higher version. STATUS_NO_MEMORY: nothing changed. Key and value are copied.
 */
MUST_CHECK enum status memtable_apply(struct memtable *memtable,
                                      const struct memtable_entry *entry);

/*
 * Drop entries whose lamport is at or below `floor` until the table takes at most `bytes_max`, by
 * clock: an entry that was got since the hand passed is spared once. At most `step_count` entries
 * are looked at. The caller answers for it that what is dropped is found elsewhere: whoever sees
 * that an entry is gone also sees what the caller did before. Returns how many were dropped.
 */
uint64_t memtable_evict(struct memtable *memtable, uint64_t floor, uint64_t bytes_max,
                        uint32_t step_count);

/* One per reading thread, made and freed while no writer runs or by that thread. */
struct memtable_reader;
MUST_CHECK enum status memtable_reader_new(struct memtable_reader **reader,
                                           struct memtable *memtable);
void memtable_reader_free(struct memtable_reader *reader);

/* Between begin and end, what was borrowed stays. Sections are short and do not nest. */
void memtable_reader_begin(struct memtable_reader *reader);
void memtable_reader_end(struct memtable_reader *reader);

/*
 * STATUS_NOT_FOUND: never written, or evicted. A tombstone is found: its absence was read from a
 * record too. A key under insertion is got before it is sought, never the other way round. Readers
 * do not allocate.
 */
MUST_CHECK enum status memtable_get(struct memtable_reader *reader, struct bytes key,
                                    struct memtable_entry *entry);

/*
 * The first entry whose key is at or after `from` (after it, when `is_after`), in byte order;
 * tombstones too. STATUS_NOT_FOUND: none.
 */
MUST_CHECK enum status memtable_seek(struct memtable_reader *reader, struct bytes from,
                                     bool is_after, struct memtable_entry *entry);

/* Keys (tombstones included) and the bytes they take. May be read by any thread. */
uint64_t memtable_count(const struct memtable *memtable);
uint64_t memtable_bytes(const struct memtable *memtable);

#endif
