/* src/store/segment_index.c */
#include "store/segment_index.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/cursor.h"
#include "base/encoder.h"
#include "store/crc32c.h"

enum {
    MAGIC = 0x31494350,  // "PCI1"
    FIXED_BYTES = 64,
    COUNTS_OFFSET = 48,  // of record_count and branch_count
    SUM_BYTES = 4,
    BRANCH_BYTES = 32,
    ITEM_BYTES = 8,
    PLACE_BYTES = 4,
    RECORDS_MAX = 1 << 26,  // of one segment: they are above 200 bytes each
};

void segment_index_release(struct segment_index *index)
{
    free(index->branches);
    *index = SEGMENT_INDEX_EMPTY;
}

void segment_index_lists_release(struct segment_index_lists *lists)
{
    buffer_release(&lists->bytes);
    lists->segment = 0;
}

void segment_index_name(char name[SEGMENT_INDEX_NAME_BYTES], uint32_t segment)
{
    (void)snprintf(name, SEGMENT_INDEX_NAME_BYTES, "index-%08u", segment);
}

static size_t head_bytes(uint32_t branch_count)
{
    return FIXED_BYTES + (size_t)branch_count * BRANCH_BYTES + SUM_BYTES;
}

static size_t lists_bytes(uint32_t record_count)
{
    return (size_t)record_count * (ITEM_BYTES + PLACE_BYTES);
}

static void encode_head(struct encoder *out, const struct segment_index *index,
                        const struct hash *capsule)
{
    encoder_u32(out, MAGIC);
    encoder_u32(out, index->segment);
    encoder_bytes(out, capsule->bytes, HASH_BYTES);
    encoder_u64(out, index->first_number);
    encoder_u32(out, index->record_count);
    encoder_u32(out, index->branch_count);
    encoder_u32(out, index->end);
    encoder_u32(out, index->list_sum);
    for (uint32_t i = 0; i < index->branch_count; i++) {
        const struct segment_index_branch *branch = &index->branches[i];
        encoder_bytes(out, branch->writer.bytes, WRITER_ID_BYTES);
        encoder_u64(out, branch->first);
        encoder_u32(out, branch->count);
        encoder_u32(out, branch->start);
    }
    encoder_u32(out, crc32c_extend(0, out->start, out->length));
}

static void encode_lists(struct encoder *out, const struct segment_index *index,
                         const struct segment_index_item *items, uint32_t *filled)
{
    for (uint32_t i = 0; i < index->record_count; i++) {
        encoder_u32(out, items[i].offset);
        encoder_u32(out, items[i].length);
    }
    uint8_t *places = encoder_reserve(out, (size_t)index->record_count * PLACE_BYTES);
    for (uint32_t i = 0; i < index->record_count && places != NULL; i++) {
        uint32_t branch = items[i].branch;
        size_t at = (size_t)index->branches[branch].start + filled[branch]++;
        struct encoder place = encoder_over(places + at * PLACE_BYTES, PLACE_BYTES);
        encoder_u32(&place, i);
    }
}

enum status segment_index_make_lists(struct segment_index_lists *lists,
                                     const struct segment_index *index,
                                     const struct segment_index_item *items)
{
    size_t length = lists_bytes(index->record_count);
    uint32_t *filled = calloc(index->branch_count + 1, sizeof *filled);
    struct encoder out;
    buffer_clear(&lists->bytes);
    lists->segment = 0;
    if (filled == NULL || encoder_begin(&out, &lists->bytes, length) != STATUS_OK) {
        free(filled);
        return STATUS_NO_MEMORY;
    }
    encode_lists(&out, index, items, filled);
    encoder_finish(&out, &lists->bytes);
    free(filled);
    if (crc32c_extend(0, lists->bytes.bytes, length) != index->list_sum) {
        return STATUS_DAMAGED;
    }
    lists->segment = index->segment;
    return STATUS_OK;
}

enum status segment_index_encode(struct buffer *target, struct segment_index *index,
                                 const struct hash *capsule, const struct segment_index_item *items)
{
    size_t head = head_bytes(index->branch_count);
    size_t lists = lists_bytes(index->record_count);
    uint32_t *filled = calloc(index->branch_count + 1, sizeof *filled);
    if (filled == NULL || buffer_reserve(target, head + lists) != STATUS_OK) {
        free(filled);
        return STATUS_NO_MEMORY;
    }
    uint8_t *start = target->bytes + target->length;
    struct encoder out = encoder_over(start + head, lists);
    encode_lists(&out, index, items, filled);
    free(filled);
    CHECK(!out.failed && out.length == lists);
    index->list_sum = crc32c_extend(0, start + head, lists);
    out = encoder_over(start, head);
    encode_head(&out, index, capsule);
    CHECK(!out.failed && out.length == head);
    target->length += head + lists;
    return STATUS_OK;
}

/* The branches rise, and their records fill the second list, one branch behind the other. */
static bool branches_are_sound(const struct segment_index *index)
{
    uint64_t start = 0;
    for (uint32_t i = 0; i < index->branch_count; i++) {
        const struct segment_index_branch *branch = &index->branches[i];
        if (branch->first == 0 || branch->count == 0 || branch->start != start ||
            (i > 0 && writer_id_compare(&branch[-1].writer, &branch->writer) >= 0)) {
            return false;
        }
        start += branch->count;
    }
    return start == index->record_count;
}

enum status segment_index_decode(struct segment_index *index, struct bytes bytes,
                                 const struct hash *capsule)
{
    struct cursor in = cursor_over(bytes.at, bytes.length);
    struct segment_index read = SEGMENT_INDEX_EMPTY;
    struct hash name;
    uint32_t magic = cursor_u32(&in);
    read.segment = cursor_u32(&in);
    cursor_copy(&in, name.bytes, HASH_BYTES);
    read.first_number = cursor_u64(&in);
    read.record_count = cursor_u32(&in);
    read.branch_count = cursor_u32(&in);
    read.end = cursor_u32(&in);
    read.list_sum = cursor_u32(&in);
    if (in.failed || magic != MAGIC || !hash_equal(&name, capsule) ||
        read.record_count > RECORDS_MAX || read.branch_count > read.record_count ||
        read.branch_count > in.left / BRANCH_BYTES) {
        return STATUS_DAMAGED;
    }
    read.branches = calloc(read.branch_count + 1, sizeof *read.branches);
    if (read.branches == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < read.branch_count; i++) {
        struct segment_index_branch *branch = &read.branches[i];
        cursor_copy(&in, branch->writer.bytes, WRITER_ID_BYTES);
        branch->first = cursor_u64(&in);
        branch->count = cursor_u32(&in);
        branch->start = cursor_u32(&in);
    }
    uint32_t sum = cursor_u32(&in);
    if (in.failed || !branches_are_sound(&read) ||
        sum != crc32c_extend(0, bytes.at, head_bytes(read.branch_count) - SUM_BYTES)) {
        segment_index_release(&read);
        return STATUS_DAMAGED;
    }
    *index = read;
    return STATUS_OK;
}

enum status segment_index_load(struct segment_index *index, const struct disk *disk,
                               uint32_t segment, const struct hash *capsule)
{
    char name[SEGMENT_INDEX_NAME_BYTES];
    uint8_t fixed[FIXED_BYTES];
    uint64_t bytes = 0;
    segment_index_name(name, segment);
    enum status status = disk->size(disk->context, name, &bytes);
    if (status == STATUS_OK && bytes < FIXED_BYTES + SUM_BYTES) {
        status = STATUS_DAMAGED;
    }
    if (status == STATUS_OK) {
        status = disk->read(disk->context, name, 0, fixed, sizeof fixed);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct cursor in = cursor_over(fixed + COUNTS_OFFSET, 2 * sizeof(uint32_t));
    uint32_t record_count = cursor_u32(&in);
    uint32_t branch_count = cursor_u32(&in);
    if (record_count > RECORDS_MAX || branch_count > record_count ||
        bytes != head_bytes(branch_count) + lists_bytes(record_count)) {
        return STATUS_DAMAGED;
    }
    struct buffer head = BUFFER_EMPTY;
    size_t length = head_bytes(branch_count);
    status = buffer_reserve(&head, length);
    if (status == STATUS_OK) {
        status = disk->read(disk->context, name, 0, head.bytes, length);
    }
    if (status == STATUS_OK) {
        status = segment_index_decode(index, bytes_of(head.bytes, length), capsule);
    }
    buffer_release(&head);
    if (status == STATUS_OK && index->segment != segment) {
        segment_index_release(index);
        return STATUS_DAMAGED;
    }
    return status;
}

/* What a damaged list would lead to is refused where it is read; here its sum decides. */
enum status segment_index_load_lists(struct segment_index_lists *lists,
                                     const struct segment_index *index, const struct disk *disk)
{
    char name[SEGMENT_INDEX_NAME_BYTES];
    segment_index_name(name, index->segment);
    size_t length = lists_bytes(index->record_count);
    buffer_clear(&lists->bytes);
    lists->segment = 0;
    enum status status = buffer_reserve(&lists->bytes, length);
    if (status == STATUS_OK) {
        status = disk->read(disk->context, name, head_bytes(index->branch_count),
                            lists->bytes.bytes, length);
    }
    if (status == STATUS_OK && crc32c_extend(0, lists->bytes.bytes, length) != index->list_sum) {
        status = STATUS_DAMAGED;
    }
    if (status == STATUS_OK) {
        lists->bytes.length = length;
        lists->segment = index->segment;
    }
    return status;
}

void segment_index_item(const struct segment_index *index, const struct segment_index_lists *lists,
                        uint32_t place, uint32_t *offset, uint32_t *length)
{
    CHECK(lists->segment == index->segment && place < index->record_count);
    struct cursor in = cursor_over(lists->bytes.bytes + (size_t)place * ITEM_BYTES, ITEM_BYTES);
    *offset = cursor_u32(&in);
    *length = cursor_u32(&in);
}

uint32_t segment_index_place(const struct segment_index *index,
                             const struct segment_index_lists *lists,
                             const struct segment_index_branch *branch, uint32_t nth)
{
    CHECK(lists->segment == index->segment && nth < branch->count);
    size_t at =
        (size_t)index->record_count * ITEM_BYTES + ((size_t)branch->start + nth) * PLACE_BYTES;
    struct cursor in = cursor_over(lists->bytes.bytes + at, PLACE_BYTES);
    uint32_t place = cursor_u32(&in);
    return place < index->record_count ? place : 0;
}

const struct segment_index_branch *segment_index_branch(const struct segment_index *index,
                                                        const struct writer_id *writer)
{
    uint32_t low = 0, high = index->branch_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = writer_id_compare(&index->branches[middle].writer, writer);
        if (order == 0) {
            return &index->branches[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}
