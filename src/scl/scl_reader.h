/* src/scl/scl_reader.h */
#ifndef SCL_SCL_READER_H
#define SCL_SCL_READER_H

#include <stdbool.h>

#include "base/bytes.h"
#include "base/status.h"
#include "lsm/tree.h"
#include "scl/memtable.h"

struct scl;

/*
 * scl_reader: the whole state as one thread reads it: the memtable, and below it the tables of the
 * MANIFEST in effect. No call takes a lock.
 *
 * Invariant: the memtable is asked before the tables are (scl_reader_get, scl_reader_seek). What is
 * evicted lies in tables that were installed before; so who misses it in the memtable finds it
 * there.
 */
struct scl_reader;

MUST_CHECK enum status scl_reader_new(struct scl_reader **reader, struct scl *scl);
void scl_reader_free(struct scl_reader *reader);

/*
 * The winner of a key; tombstones are found, expiry is the caller's to judge. What a table says has
 * a version with sequence 0: W stores hold it, so nothing has to be waited for. `entry` is borrowed
 * until the next call.
 * STATUS_NOT_FOUND. STATUS_GAP: a table block has to be fetched first: give `need` to
 * scl_cold_fetch(), and ask again when something has changed. STATUS_NO_MEMORY.
 */
MUST_CHECK enum status scl_reader_get(struct scl_reader *reader, struct bytes key,
                                      struct memtable_entry *entry, struct block_ref *need);

/*
 * The first entry whose key is at or after `from` (after it, when `is_after`). The same statuses.
 */
MUST_CHECK enum status scl_reader_seek(struct scl_reader *reader, struct bytes from, bool is_after,
                                       struct memtable_entry *entry, struct block_ref *need);

/* Let go of what the last call borrowed. To be called soon: until then nothing is freed. */
void scl_reader_end(struct scl_reader *reader);

/* The floor of the tables that the last call read, if it got that far; for scl_cold_keep(). */
uint64_t scl_reader_floor(const struct scl_reader *reader);

#endif
