/* src/store/record_index.c */
#include "store/record_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "capsule/record.h"

void record_index_release(struct record_index *index)
{
    for (size_t i = 0; i < index->branch_count; i++) {
        free(index->branches[i].numbers);
    }
    for (size_t i = 0; i < index->part_count; i++) {
        segment_index_release(&index->parts[i]);
    }
    for (size_t i = 0; i < RECORD_INDEX_LISTS; i++) {
        segment_index_lists_release(&index->lists[i]);
    }
    free(index->branches);
    free(index->places);
    free(index->parts);
    *index = (struct record_index){.cuts = index->cuts};
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
    *branch = (struct record_index_branch){.writer = *writer, .first = 1};
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
    uint64_t *numbers = grow(branch->numbers, branch->count + 1 - branch->first, &branch->capacity,
                             sizeof *branch->numbers);
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

    branch->count++;
    branch->numbers[branch->count - branch->first] = record_index_count(index);
    index->places[index->place_count++] = *place;
    return branch;
}

uint64_t record_index_count(const struct record_index *index)
{
    return index->sealed_count + index->place_count;
}

// ---- sealed segments ----

/* What a sealed segment holds of what its index's head speaks of. */
struct rebuild {
    const struct segment_index *part;
    const struct cuts *cuts;
    struct cuts_place place;
    struct segment_index_item *items;
    uint32_t count;
};

static enum status rebuild_visit(void *context, struct bytes bytes,
                                 const struct journal_place *place)
{
    struct rebuild *rebuild = context;
    struct record record;
    if (record_decode_again(&record, bytes.at, bytes.length) != STATUS_OK) {
        return STATUS_DAMAGED;
    }
    rebuild->place = cuts_next(&rebuild->place, place->segment);
    const struct segment_index_branch *branch = segment_index_branch(rebuild->part, &record.writer);
    bool is_cut = rebuild->cuts != NULL && cuts_cover(rebuild->cuts, &record, &rebuild->place);
    bool is_indexed = branch != NULL && !is_cut && record.sequence >= branch->first &&
                      record.sequence - branch->first < branch->count;
    if (is_indexed && rebuild->count == rebuild->part->record_count) {
        return STATUS_DAMAGED;
    }
    if (is_indexed) {
        rebuild->items[rebuild->count++] = (struct segment_index_item){
            .branch = (uint32_t)(branch - rebuild->part->branches),
            .offset = place->offset,
            .length = place->length,
        };
    }
    return STATUS_OK;
}

/* The lists in the file do not hold: the segment has them too. */
static enum status rebuild_lists(const struct record_index *index, const struct disk *disk,
                                 const struct segment_index *part,
                                 struct segment_index_lists *lists)
{
    struct rebuild rebuild = {.part = part, .cuts = index->cuts};
    rebuild.items = calloc((size_t)part->record_count + 1, sizeof *rebuild.items);
    if (rebuild.items == NULL) {
        return STATUS_NO_MEMORY;
    }
    enum status status = journal_visit_sealed(disk, part->segment, rebuild_visit, &rebuild);
    if (status == STATUS_OK && rebuild.count != part->record_count) {
        status = STATUS_DAMAGED;
    }
    if (status == STATUS_OK) {
        status = segment_index_make_lists(lists, part, rebuild.items);
    }
    free(rebuild.items);
    return status == STATUS_NOT_FOUND ? STATUS_DAMAGED : status;
}

/* The lists of a part, from memory, from its file, or from the segment. */
static enum status lists_of(struct record_index *index, const struct disk *disk,
                            const struct segment_index *part,
                            const struct segment_index_lists **lists)
{
    for (size_t i = 0; i < RECORD_INDEX_LISTS; i++) {
        if (index->lists[i].segment == part->segment) {
            *lists = &index->lists[i];
            return STATUS_OK;
        }
    }
    struct segment_index_lists *oldest = &index->lists[index->lists_next];
    index->lists_next = (index->lists_next + 1) % RECORD_INDEX_LISTS;
    *lists = oldest;
    enum status status = segment_index_load_lists(oldest, part, disk);
    bool is_lost = status == STATUS_NOT_FOUND || status == STATUS_DAMAGED;
    return is_lost ? rebuild_lists(index, disk, part, oldest) : status;
}

static enum status place_in(struct record_index *index, const struct disk *disk,
                            const struct segment_index *part, const struct writer_id *writer,
                            uint64_t nth, struct journal_place *place)
{
    const struct segment_index_lists *lists;
    enum status status = lists_of(index, disk, part, &lists);
    if (status != STATUS_OK) {
        return status;
    }
    uint32_t at = (uint32_t)nth;
    if (writer != NULL) {
        at = segment_index_place(part, lists, segment_index_branch(part, writer), at);
    }
    *place = (struct journal_place){.segment = part->segment};
    segment_index_item(part, lists, at, &place->offset, &place->length);
    return STATUS_OK;
}

enum status record_index_find(struct record_index *index, const struct disk *disk,
                              const struct writer_id *writer, uint64_t sequence,
                              struct journal_place *place)
{
    const struct record_index_branch *branch = record_index_branch(index, writer);
    if (branch == NULL || sequence == 0 || sequence > branch->count) {
        return STATUS_NOT_FOUND;
    }
    if (sequence >= branch->first) {
        *place = index->places[branch->numbers[sequence - branch->first] - index->sealed_count];
        return STATUS_OK;
    }
    // The newest is asked for most.
    for (size_t i = index->part_count; i > 0; i--) {
        const struct segment_index *part = &index->parts[i - 1];
        const struct segment_index_branch *here = segment_index_branch(part, writer);
        if (here != NULL && sequence >= here->first) {
            return place_in(index, disk, part, writer, sequence - here->first, place);
        }
    }
    return STATUS_NOT_FOUND;
}

enum status record_index_at(struct record_index *index, const struct disk *disk, uint64_t number,
                            struct journal_place *place)
{
    CHECK(number < record_index_count(index));
    if (number >= index->sealed_count) {
        *place = index->places[number - index->sealed_count];
        return STATUS_OK;
    }
    size_t low = 0, high = index->part_count - 1;
    while (low < high) {
        size_t middle = low + (high - low + 1) / 2;
        if (index->parts[middle].first_number <= number) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    const struct segment_index *part = &index->parts[low];
    return place_in(index, disk, part, NULL, number - part->first_number, place);
}

/* Room for one more part, so that nothing can fail once its file is written. */
static bool parts_reserve(struct record_index *index)
{
    struct segment_index *parts =
        grow(index->parts, index->part_count, &index->part_capacity, sizeof *index->parts);
    index->parts = parts != NULL ? parts : index->parts;
    return parts != NULL;
}

/* What the first `count` places behind the sealed segments say of `segment`. */
static enum status part_make(const struct record_index *index, uint32_t segment, uint32_t count,
                             struct segment_index *part, struct segment_index_item *items)
{
    *part = (struct segment_index){
        .segment = segment, .first_number = index->sealed_count, .record_count = count};
    part->branches = calloc(index->branch_count + 1, sizeof *part->branches);
    if (part->branches == NULL) {
        return STATUS_NO_MEMORY;
    }
    uint32_t start = 0;
    for (size_t i = 0; i < index->branch_count; i++) {
        const struct record_index_branch *branch = &index->branches[i];
        uint32_t in_part = 0;
        while (branch->first + in_part <= branch->count &&
               branch->numbers[in_part] - index->sealed_count < count) {
            uint64_t at = branch->numbers[in_part] - index->sealed_count;
            items[at] = (struct segment_index_item){
                .branch = part->branch_count,
                .offset = index->places[at].offset,
                .length = index->places[at].length,
            };
            in_part++;
        }
        if (in_part > 0) {
            part->branches[part->branch_count++] = (struct segment_index_branch){
                .writer = branch->writer, .first = branch->first, .count = in_part, .start = start};
            start += in_part;
        }
    }
    CHECK(start == count);
    if (count > 0) {
        const struct journal_place *last = &index->places[count - 1];
        part->end = last->offset + (uint32_t)segment_entry_bytes(last->length) +
                    (uint32_t)SEGMENT_MARK_BYTES;
    }
    return STATUS_OK;
}

/* Its file is written: let go of what it says. Takes over `part`. */
static void part_add(struct record_index *index, struct segment_index *part)
{
    for (uint32_t i = 0; i < part->branch_count; i++) {
        const struct segment_index_branch *sealed = &part->branches[i];
        struct record_index_branch *branch = record_index_branch(index, &sealed->writer);
        branch->first += sealed->count;
        memmove(branch->numbers, branch->numbers + sealed->count,
                (branch->count + 1 - branch->first) * sizeof *branch->numbers);
    }
    index->place_count -= part->record_count;
    memmove(index->places, index->places + part->record_count,
            index->place_count * sizeof *index->places);
    index->sealed_count += part->record_count;
    index->parts[index->part_count++] = *part;
    *part = SEGMENT_INDEX_EMPTY;
}

static enum status seal_first(struct record_index *index, const struct disk *disk, uint32_t segment,
                              const struct hash *capsule)
{
    uint32_t count = 0;
    while (count < index->place_count && index->places[count].segment == segment) {
        count++;
    }
    char name[SEGMENT_INDEX_NAME_BYTES];
    segment_index_name(name, segment);
    struct segment_index part = SEGMENT_INDEX_EMPTY;
    struct buffer file = BUFFER_EMPTY;
    struct segment_index_item *items = calloc(count + 1, sizeof *items);
    enum status status = STATUS_NO_MEMORY;
    if (items != NULL && parts_reserve(index)) {
        status = part_make(index, segment, count, &part, items);
    }
    if (status == STATUS_OK) {
        status = segment_index_encode(&file, &part, capsule, items);
    }
    if (status == STATUS_OK) {
        status = disk->replace(disk->context, name, file.bytes, file.length);
    }
    if (status == STATUS_OK) {
        part_add(index, &part);
    }
    free(items);
    buffer_release(&file);
    segment_index_release(&part);
    return status;
}

enum status record_index_seal(struct record_index *index, const struct disk *disk, uint32_t segment,
                              const struct hash *capsule)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK && index->part_count + 1 < segment) {
        status = seal_first(index, disk, (uint32_t)index->part_count + 1, capsule);
    }
    return status;
}

/* Every branch goes on where the segments before left it. */
static bool follows(const struct record_index *index, const struct segment_index *part)
{
    if (part->first_number != index->sealed_count) {
        return false;
    }
    for (uint32_t i = 0; i < part->branch_count; i++) {
        const struct record_index_branch *branch =
            record_index_branch(index, &part->branches[i].writer);
        if (part->branches[i].first != (branch == NULL ? 0 : branch->count) + 1) {
            return false;
        }
    }
    return true;
}

enum status record_index_take_up(struct record_index *index, const struct disk *disk,
                                 const struct hash *capsule)
{
    CHECK(index->place_count == 0);
    struct segment_index part = SEGMENT_INDEX_EMPTY;
    if (!parts_reserve(index)) {
        return STATUS_NO_MEMORY;
    }
    enum status status = segment_index_load(&part, disk, (uint32_t)index->part_count + 1, capsule);
    if (status != STATUS_OK) {
        return status == STATUS_NOT_FOUND ? STATUS_DAMAGED : status;
    }
    if (!follows(index, &part)) {
        segment_index_release(&part);
        return STATUS_DAMAGED;
    }
    for (uint32_t i = 0; i < part.branch_count; i++) {
        struct record_index_branch *branch = record_index_branch(index, &part.branches[i].writer);
        branch = branch == NULL ? branch_insert(index, &part.branches[i].writer) : branch;
        if (branch == NULL) {
            segment_index_release(&part);
            return STATUS_NO_MEMORY;
        }
        branch->count += part.branches[i].count;
        branch->first = branch->count + 1;
    }
    index->sealed_count += part.record_count;
    index->parts[index->part_count++] = part;
    return STATUS_OK;
}

// ---- a segment rewritten ----

struct record_index_rewrite {
    struct rebuild rebuild;
    uint32_t end;
};

enum status record_index_rewrite_begin(struct record_index_rewrite **rewrite,
                                       const struct record_index *index, uint32_t segment)
{
    CHECK(0 < segment && segment <= index->part_count);
    struct record_index_rewrite *made = calloc(1, sizeof *made);
    *rewrite = NULL;
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    made->rebuild.part = &index->parts[segment - 1];
    made->rebuild.cuts = index->cuts;
    made->rebuild.items =
        calloc((size_t)made->rebuild.part->record_count + 1, sizeof *made->rebuild.items);
    if (made->rebuild.items == NULL) {
        free(made);
        return STATUS_NO_MEMORY;
    }
    *rewrite = made;
    return STATUS_OK;
}

enum status record_index_rewrite_visit(struct record_index_rewrite *rewrite, struct bytes record,
                                       const struct journal_place *place)
{
    rewrite->end =
        place->offset + (uint32_t)segment_entry_bytes(place->length) + (uint32_t)SEGMENT_MARK_BYTES;
    return rebuild_visit(&rewrite->rebuild, record, place);
}

enum status record_index_rewrite_end(struct record_index_rewrite *rewrite,
                                     struct record_index *index, const struct disk *disk,
                                     const struct hash *capsule)
{
    struct segment_index *part = &index->parts[rewrite->rebuild.part->segment - 1];
    char name[SEGMENT_INDEX_NAME_BYTES];
    struct buffer file = BUFFER_EMPTY;
    struct segment_index changed = *part;  // its branches are the same
    changed.end = rewrite->end;
    if (rewrite->rebuild.count != part->record_count) {
        return STATUS_DAMAGED;
    }
    segment_index_name(name, part->segment);
    enum status status = segment_index_encode(&file, &changed, capsule, rewrite->rebuild.items);
    if (status == STATUS_OK) {
        status = disk->replace(disk->context, name, file.bytes, file.length);
    }
    if (status == STATUS_OK) {
        *part = changed;
        for (size_t i = 0; i < RECORD_INDEX_LISTS; i++) {
            if (index->lists[i].segment == part->segment) {
                segment_index_lists_release(&index->lists[i]);
            }
        }
    }
    buffer_release(&file);
    return status;
}

void record_index_rewrite_free(struct record_index_rewrite *rewrite)
{
    if (rewrite != NULL) {
        free(rewrite->rebuild.items);
        free(rewrite);
    }
}
