/* src/store/record_index.h */
#ifndef STORE_RECORD_INDEX_H
#define STORE_RECORD_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "capsule/writer.h"
#include "store/cuts.h"
#include "store/disk.h"
#include "store/journal.h"
#include "store/segment_index.h"

/*
 * record_index: where each record lies, by its number in the log and by (writer, sequence). Of the
 * segments that are sealed it keeps in memory the heads of their index files (32 bytes for each
 * writer in each segment) and the lists of the RECORD_INDEX_LISTS segments asked for last (12 bytes
 * for each record); of what follows, 20 bytes for each record.
 */
enum { RECORD_INDEX_LISTS = 4 };

struct record_index_branch {
    struct writer_id writer;
    uint64_t count;       // its last sequence: branches have no gaps
    uint64_t first;       // sequence of numbers[0]; count + 1: all are in sealed segments
    uint64_t *numbers;    // in the log, of sequence first, first + 1…
    uint64_t capacity;    // of numbers
    bool is_receipt_due;  // the next receipt names this branch
};

struct record_index {
    struct record_index_branch *branches;  // in order of their writers
    size_t branch_count;
    size_t branch_capacity;
    struct journal_place *places;  // of the records behind the sealed segments
    uint64_t place_count;
    uint64_t place_capacity;
    uint64_t sealed_count;        // records in the sealed segments
    struct segment_index *parts;  // of segment 1, 2, 3…
    uint64_t part_count;
    uint64_t part_capacity;
    struct segment_index_lists lists[RECORD_INDEX_LISTS];
    size_t lists_next;        // gives way next
    const struct cuts *cuts;  // borrowed, or NULL: what they cover in the segments is not here
};

/* Its cuts stay. */
void record_index_release(struct record_index *index);

/*
 * Note the next record of the log, which is also the next of its writer's branch. Returns its
 * branch; NULL when there is no memory.
 */
struct record_index_branch *record_index_add(struct record_index *index,
                                             const struct writer_id *writer,
                                             const struct journal_place *place);

/* NULL: nothing of this writer's. Valid until the next record_index_add(). */
struct record_index_branch *record_index_branch(const struct record_index *index,
                                                const struct writer_id *writer);

/* How many records the log has. */
uint64_t record_index_count(const struct record_index *index);

/*
 * Where it lies. STATUS_NOT_FOUND: it is not here. STATUS_DAMAGED: an index file is; it is made
 * anew when the store is opened again. STATUS_IO, STATUS_NO_MEMORY.
 */
MUST_CHECK enum status record_index_find(struct record_index *index, const struct disk *disk,
                                         const struct writer_id *writer, uint64_t sequence,
                                         struct journal_place *place);
/* The record with this number: 0, 1, 2…, below record_index_count(). Same statuses. */
MUST_CHECK enum status record_index_at(struct record_index *index, const struct disk *disk,
                                       uint64_t number, struct journal_place *place);

/*
 * Write the index file of each segment before `segment` whose records are all here, and let go of
 * what it says. On failure nothing of it changed: STATUS_NO_SPACE, STATUS_IO, STATUS_NO_MEMORY.
 */
MUST_CHECK enum status record_index_seal(struct record_index *index, const struct disk *disk,
                                         uint32_t segment, const struct hash *capsule);

/*
 * A sealed segment has been rewritten: its records, as many and in the same order, lie elsewhere in
 * it. `visit` is for journal_rewrite(), with what record_index_rewrite_begin() gave as context;
 * record_index_rewrite_end() writes the index file. Nothing changes before that returns STATUS_OK.
 */
struct record_index_rewrite;
MUST_CHECK enum status record_index_rewrite_begin(struct record_index_rewrite **rewrite,
                                                  const struct record_index *index,
                                                  uint32_t segment);
MUST_CHECK enum status record_index_rewrite_visit(struct record_index_rewrite *rewrite,
                                                  struct bytes record,
                                                  const struct journal_place *place);
MUST_CHECK enum status record_index_rewrite_end(struct record_index_rewrite *rewrite,
                                                struct record_index *index, const struct disk *disk,
                                                const struct hash *capsule);
void record_index_rewrite_free(struct record_index_rewrite *rewrite);

/*
 * Take up the next sealed segment from its index file, before any record is added. STATUS_DAMAGED:
 * it is missing, damaged, or does not follow.
 */
MUST_CHECK enum status record_index_take_up(struct record_index *index, const struct disk *disk,
                                            const struct hash *capsule);

#endif
