#include "store/record_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

void record_index_release(struct record_index *index)
{
    for (size_t i = 0; i < index->branch_count; i++) {
        free(index->branches[i].numbers);
    }
    free(index->branches);
    free(index->places);
    *index = RECORD_INDEX_EMPTY;
}

/* Room for one more item of `item_bytes`. NULL: there is no memory, `items` stays as it is. */
static void *grow(void *items, uint64_t count, uint64_t *capacity, size_t item_bytes)
{
    if (count < *capacity) {
        return items;
    }
    uint64_t wanted = *capacity == 0 ? 16 : 2 * *capacity;
    void *grown = reallocarray(items, wanted, item_bytes);
    if (grown != NULL) {
        *capacity = wanted;
    }
    return grown;
}

/* The first branch whose writer is not below `writer`. */
static size_t lower_bound(const struct record_index *index, const struct writer_id *writer)
{
    size_t low = 0;
    size_t high = index->branch_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (writer_id_compare(&index->branches[middle].writer, writer) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct record_index_branch *branch_insert(struct record_index *index,
                                                 const struct writer_id *writer)
{
    struct record_index_branch *branches = grow(index->branches, index->branch_count,
                                                &index->branch_capacity, sizeof *index->branches);
    if (branches == NULL) {
        return NULL;
    }
    index->branches = branches;
    size_t at = lower_bound(index, writer);
    struct record_index_branch *branch = &branches[at];
    memmove(branch + 1, branch, (index->branch_count - at) * sizeof *branch);
    *branch = (struct record_index_branch){.writer = *writer};
    index->branch_count++;
    return branch;
}

struct record_index_branch *record_index_branch(const struct record_index *index,
                                                const struct writer_id *writer)
{
    size_t at = lower_bound(index, writer);
    if (at == index->branch_count || !writer_id_equal(&index->branches[at].writer, writer)) {
        return NULL;
    }
    return &index->branches[at];
}

struct record_index_branch *record_index_add(struct record_index *index,
                                             const struct writer_id *writer,
                                             const struct journal_place *place)
{
    struct record_index_branch *branch = record_index_branch(index, writer);
    if (branch == NULL) {
        branch = branch_insert(index, writer);
    }
    if (branch == NULL) {
        return NULL;
    }
    uint64_t *numbers =
        grow(branch->numbers, branch->count, &branch->capacity, sizeof *branch->numbers);
    if (numbers == NULL) {
        return NULL;
    }
    branch->numbers = numbers;
    struct journal_place *places =
        grow(index->places, index->place_count, &index->place_capacity, sizeof *index->places);
    if (places == NULL) {
        return NULL;
    }
    index->places = places;

    branch->numbers[branch->count++] = index->place_count;
    index->places[index->place_count++] = *place;
    return branch;
}

const struct journal_place *record_index_find(const struct record_index *index,
                                              const struct writer_id *writer, uint64_t sequence)
{
    const struct record_index_branch *branch = record_index_branch(index, writer);
    if (branch == NULL || sequence == 0 || sequence > branch->count) {
        return NULL;
    }
    return &index->places[branch->numbers[sequence - 1]];
}
