/* src/store/segment.h */
#ifndef STORE_SEGMENT_H
#define STORE_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "crypto/hash.h"

/*
 * segment: one file of a store's log (DESIGN 5.2, docs/format/segment.md). Integers are little
 * endian. A header, then entries, then zeroes up to the end of the file:
 *
 *     offset  bytes  field
 *          0      4  magic "PCS1"
 *          4      4  segment number, 1, 2, 3…
 *          8     32  capsule name
 *         40     16  salt: the store's own, so that no writer can make a record that holds a mark
 *         56      4  version, 1
 *         60      4  CRC32C over bytes 0 to 59
 *
 * An entry starts at a multiple of 8:
 *
 *          0      4  length of the content, at least 1; 0 ends the log
 *          4      4  CRC32C over length ‖ content
 *          8      n  content: a record, or a mark
 *         ..         zeroes up to a multiple of 8
 *
 * A mark is an entry whose content says: all that lies before me had been synced when I was
 * written.
 *
 *          0      4  "PCM1"
 *          4      4  segment number
 *          8     16  salt
 *         24      8  offset of this entry
 */
enum {
    SEGMENT_SALT_BYTES = 16,
    SEGMENT_HEADER_BYTES = 64,
    SEGMENT_ENTRY_HEAD_BYTES = 8,
    SEGMENT_MARK_CONTENT_BYTES = 32,
    SEGMENT_MARK_BYTES = SEGMENT_ENTRY_HEAD_BYTES + SEGMENT_MARK_CONTENT_BYTES,
};

struct segment_header {
    uint32_t number;
    struct hash capsule;
    uint8_t salt[SEGMENT_SALT_BYTES];
};

void segment_header_encode(uint8_t target[SEGMENT_HEADER_BYTES],
                           const struct segment_header *header);
/* STATUS_DAMAGED: not a header. */
MUST_CHECK enum status segment_header_decode(struct segment_header *header, struct bytes bytes);

/* Bytes that an entry with `length` bytes of content takes, head and padding included. */
uint64_t segment_entry_bytes(size_t length);

/* Append an entry to `target`, whose length is and stays a multiple of 8. STATUS_NO_MEMORY. */
MUST_CHECK enum status segment_entry_encode(struct buffer *target, struct bytes content);

/* The mark that lies at `offset`. */
void segment_mark_encode(uint8_t target[SEGMENT_MARK_BYTES], const struct segment_header *header,
                         uint64_t offset);

struct segment_entry {
    struct bytes content;  // borrowed
    uint64_t offset;       // where the entry starts
    bool is_mark;
};

/* Decode the entry at the start of `bytes`. STATUS_EMPTY: its length is zero. STATUS_DAMAGED. */
MUST_CHECK enum status segment_entry_decode(struct segment_entry *entry, struct bytes bytes);

/* Goes through the entries of a segment that lies in memory. */
struct segment_reader {
    struct segment_header header;
    struct bytes bytes;  // borrowed: the whole file
    uint64_t offset;     // of the next entry
};

/* STATUS_DAMAGED: the header does not hold. */
MUST_CHECK enum status segment_reader_init(struct segment_reader *reader, struct bytes bytes);

/*
 * STATUS_OK: `entry` is the next. STATUS_EMPTY: the log ends here, and there are only zeroes up to
 * the end of the file. STATUS_DAMAGED: reader->offset is where it stops to make sense; so it is
 * for a mark that names another place, and for anything but zeroes after the end.
 */
MUST_CHECK enum status segment_read(struct segment_reader *reader, struct segment_entry *entry);

/* Whether a mark of this store's lies anywhere at or after `offset`. */
bool segment_has_mark(struct bytes bytes, const struct segment_header *header, uint64_t offset);

bool segment_is_zero(struct bytes bytes);

#endif
