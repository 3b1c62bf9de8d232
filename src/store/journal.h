/* src/store/journal.h */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/status.h"
#include "store/disk.h"
#include "store/segment.h"

/*
 * journal: the log of records on a disk, over all its segments. It knows nothing of what the
 * records say. Records are gathered in memory and reach the disk with one write per group.
 *
 * Invariants:
 *  1. What is gathered has its place: zeroes that are written out and synced already
 *     (journal_reserve()), so that writing it cannot run out of space.
 *  2. A mark is written only after everything before it was synced (journal_sync()). So damage
 *     before a mark is damage, and damage after the last one is a torn tail, of which nothing was
 *     acknowledged beyond the first entry that fails.
 *  3. A segment ends with a mark that is synced before the next segment is touched
 * (journal_reserve()).
 *  4. Between the log's end and the end of the file there are only zeroes.
 */
struct journal;

enum {
    JOURNAL_SLICE_BYTES = 1 << 20,   // zeroes written out at a time
    JOURNAL_AHEAD_BYTES = 8 << 20,   // zeroes kept ready ahead of the log
    JOURNAL_GATHER_BYTES = 8 << 20,  // gathered beyond this goes to the disk before the commit
};

struct journal_place {
    uint32_t segment;
    uint32_t offset;
    uint32_t length;  // of the record
};

struct journal_config {
    const struct disk *disk;  // borrowed
    const struct log *log;    // borrowed; NULL for none
    uint64_t segment_bytes;
    uint32_t first_segment;  // those before it are sealed, and the caller knows what they say
    struct hash capsule;
    uint8_t salt[SEGMENT_SALT_BYTES];
};

/* Gets each record in order; a status other than STATUS_OK ends it and is returned. */
typedef enum status journal_visit(void *context, struct bytes record,
                                  const struct journal_place *place);

/*
 * Read all segments from the first on that the config names, or begin that one. Every record up to
 * the last mark is visited. What lies beyond is the tail: nobody knows whether it was synced. The
 * caller judges it with journal_tail_next() and then calls journal_settle(); before that nothing is
 * appended. STATUS_DAMAGED: elsewhere than in the tail; the log names file and offset. STATUS_IO,
 * STATUS_NO_MEMORY, STATUS_NO_SPACE. On failure *journal is NULL.
 */
MUST_CHECK enum status journal_open(struct journal **journal, const struct journal_config *config,
                                    journal_visit *visit, void *context);

/*
 * Whether a sealed segment is there, up to `end` at least. STATUS_DAMAGED: it is not; STATUS_IO.
 */
MUST_CHECK enum status journal_verify_sealed(const struct disk *disk, uint32_t segment,
                                             uint64_t end);

/*
 * Visit the records of one sealed segment. STATUS_DAMAGED: it is; those before the damage were
 * visited. STATUS_NOT_FOUND, STATUS_IO, STATUS_NO_MEMORY.
 */
MUST_CHECK enum status journal_visit_sealed(const struct disk *disk, uint32_t segment,
                                            journal_visit *visit, void *context);

/*
 * Replace a sealed segment atomically by one whose records stand as `change` appends them to
 * `kept`; then `visit` each where it lies now. Statuses as journal_visit_sealed(), and
 * STATUS_NO_SPACE: what was there is still there.
 */
typedef enum status journal_change(void *context, struct bytes record, struct buffer *kept);
MUST_CHECK enum status journal_rewrite(const struct disk *disk, uint32_t segment,
                                       journal_change *change, journal_visit *visit, void *context);

/* Syncs the last mark, so that nothing of the log is a tail. `journal` may be NULL. */
void journal_close(struct journal *journal);

/* The next record of the tail, starting with *offset = 0. STATUS_EMPTY: there is none. */
MUST_CHECK enum status journal_tail_next(const struct journal *journal, uint64_t *offset,
                                         struct bytes *record, struct journal_place *place);

/* Whether something other than zeroes followed the tail's last whole entry. */
bool journal_tail_is_torn(const struct journal *journal);

/*
 * Keep the tail up to `offset`, as journal_tail_next() left it, and write zeroes over everything
 * after it. What is kept is written again and synced: whether the first time succeeded is unknown.
 */
MUST_CHECK enum status journal_settle(struct journal *journal, uint64_t offset);

/*
 * Make room for one or more records that take `bytes` as entries (segment_entry_bytes()), all in
 * one segment. May end a segment, which makes durable what was gathered.
 * STATUS_NO_SPACE: there is no room; nothing changed. STATUS_IO, STATUS_NO_MEMORY.
 */
MUST_CHECK enum status journal_reserve(struct journal *journal, uint64_t bytes);

/* Gather a record for which there is room. */
MUST_CHECK enum status journal_append(struct journal *journal, struct bytes record,
                                      struct journal_place *place);

/* Write and sync what was gathered. On failure the journal must not be used for writing again. */
MUST_CHECK enum status journal_sync(struct journal *journal);

/*
 * Write out one more slice of zeroes when fewer than JOURNAL_AHEAD_BYTES are ready. A full disk is
 * no failure here.
 */
MUST_CHECK enum status journal_prepare(struct journal *journal);

/*
 * Append to `target` the record at `place`, gathered or written. STATUS_DAMAGED: its sum differs.
 */
MUST_CHECK enum status journal_load(struct journal *journal, const struct journal_place *place,
                                    struct buffer *target);

uint32_t journal_segment_count(const struct journal *journal);

/*
 * Visit every record without changing anything. Here everything that is not exactly as it was
 * written is STATUS_DAMAGED at `place`, a torn tail as well. STATUS_NOT_FOUND: there is no log.
 */
MUST_CHECK enum status journal_walk(const struct disk *disk, journal_visit *visit, void *context,
                                    struct journal_place *place);

#endif
