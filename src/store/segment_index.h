/* src/store/segment_index.h */
#ifndef STORE_SEGMENT_INDEX_H
#define STORE_SEGMENT_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/writer.h"
#include "crypto/hash.h"
#include "store/disk.h"

/*
 * segment_index: where the records of one sealed segment lie: the file "index-00000001" beside
 * "segment-00000001" (docs/format/segment.md). Made anew from the segment when it is missing or
 * damaged. Integers are little endian.
 *
 *     offset  bytes  field
 *          0      4  magic "PCI1"
 *          4      4  segment number
 *          8     32  capsule name
 *         40      8  how many records the log has before this segment
 *         48      4  record_count
 *         52      4  branch_count
 *         56      4  where the segment's last mark ends
 *         60      4  CRC32C of the lists
 *         64    32b  branches, ascending by writer: writer 16, first sequence 8, count 4,
 *                    start 4: where its records begin in the second list
 *         ..      4  CRC32C of everything before
 *         ..     8r  first list, in the order of the log: offset 4, length 4 of each record
 *         ..     4r  second list, by branch and sequence: the place in the first list
 *
 * The head, up to the sum, stays in memory; the lists, 12 bytes for each record, are read when
 * somebody asks for one.
 */
struct segment_index_branch {
    struct writer_id writer;
    uint64_t first;  // sequence
    uint32_t count;
    uint32_t start;
};

struct segment_index {
    uint32_t segment;
    uint64_t first_number;
    uint32_t record_count;
    uint32_t branch_count;
    uint32_t end;
    uint32_t list_sum;
    struct segment_index_branch *branches;  // owned
};

#define SEGMENT_INDEX_EMPTY ((struct segment_index){.branches = NULL})

void segment_index_release(struct segment_index *index);

/* The lists of one segment. */
struct segment_index_lists {
    uint32_t segment;  // 0: none
    struct buffer bytes;
};

/* One record, in the order of the log. */
struct segment_index_item {
    uint32_t branch;  // place in the index's branches
    uint32_t offset;
    uint32_t length;
};

/* A file name. */
enum { SEGMENT_INDEX_NAME_BYTES = 32 };
void segment_index_name(char name[SEGMENT_INDEX_NAME_BYTES], uint32_t segment);

/*
 * Append the whole file: the head as `index` says (its list_sum is filled in), and the lists of
 * `items`, record_count of them. Within a branch sequences rise by one in the order of items.
 */
MUST_CHECK enum status segment_index_encode(struct buffer *target, struct segment_index *index,
                                            const struct hash *capsule,
                                            const struct segment_index_item *items);

/* Decode a head, with or without what follows. STATUS_DAMAGED, STATUS_NO_MEMORY. */
MUST_CHECK enum status segment_index_decode(struct segment_index *index, struct bytes bytes,
                                            const struct hash *capsule);

/* Read the head of a segment's index. STATUS_NOT_FOUND, STATUS_DAMAGED, STATUS_IO. */
MUST_CHECK enum status segment_index_load(struct segment_index *index, const struct disk *disk,
                                          uint32_t segment, const struct hash *capsule);

/* Read its lists. Same statuses; on failure `lists` is empty. */
MUST_CHECK enum status segment_index_load_lists(struct segment_index_lists *lists,
                                                const struct segment_index *index,
                                                const struct disk *disk);
/*
 * Lists made anew from what the segment holds: `items`, record_count of them. STATUS_DAMAGED: they
 * are not those that the head speaks of.
 */
MUST_CHECK enum status segment_index_make_lists(struct segment_index_lists *lists,
                                                const struct segment_index *index,
                                                const struct segment_index_item *items);
void segment_index_lists_release(struct segment_index_lists *lists);

/* Offset and length of record `place` of the segment; below record_count. */
void segment_index_item(const struct segment_index *index, const struct segment_index_lists *lists,
                        uint32_t place, uint32_t *offset, uint32_t *length);

/* The place of record `nth` of a branch, below its count. */
uint32_t segment_index_place(const struct segment_index *index,
                             const struct segment_index_lists *lists,
                             const struct segment_index_branch *branch, uint32_t nth);

/* NULL: nothing of this writer's. */
const struct segment_index_branch *segment_index_branch(const struct segment_index *index,
                                                        const struct writer_id *writer);

#endif
