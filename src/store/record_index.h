#ifndef STORE_RECORD_INDEX_H
#define STORE_RECORD_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "capsule/writer.h"
#include "store/journal.h"

/*
 * record_index: where each record lies, by its number in the log and by (writer, sequence). In
 * memory, 20 bytes per record; made anew from the log at every start.
 */
struct record_index_branch {
    struct writer_id writer;
    uint64_t *numbers;  // of sequence 1, 2, 3…: branches have no gaps
    uint64_t count;
    uint64_t capacity;
    bool is_receipt_due;  // the next receipt names this branch
};

struct record_index {
    struct record_index_branch *branches;  // in order of their writers
    size_t branch_count;
    size_t branch_capacity;
    struct journal_place *places;  // of record 0, 1, 2… of the log
    uint64_t place_count;
    uint64_t place_capacity;
};

#define RECORD_INDEX_EMPTY ((struct record_index){.branches = NULL})

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

/* NULL: not here. Valid until the next record_index_add(). */
const struct journal_place *record_index_find(const struct record_index *index,
                                              const struct writer_id *writer, uint64_t sequence);

#endif
