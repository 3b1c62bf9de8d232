/* src/store/segment.c */
#include "store/segment.h"

#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "base/encoder.h"
#include "store/crc32c.h"

enum {
    SEGMENT_MAGIC = 0x31534350,  // "PCS1"
    MARK_MAGIC = 0x314d4350,     // "PCM1"
    SEGMENT_VERSION = 1,
    HEADER_SUMMED_BYTES = SEGMENT_HEADER_BYTES - 4,
    ALIGNMENT = 8,
};

static uint64_t padded(uint64_t length)
{
    return (length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static uint32_t entry_sum(const uint8_t length[4], struct bytes content)
{
    return crc32c_extend(crc32c_extend(0, length, 4), content.at, content.length);
}

void segment_header_encode(uint8_t target[SEGMENT_HEADER_BYTES],
                           const struct segment_header *header)
{
    struct encoder out = encoder_over(target, SEGMENT_HEADER_BYTES);
    encoder_u32(&out, SEGMENT_MAGIC);
    encoder_u32(&out, header->number);
    encoder_bytes(&out, header->capsule.bytes, HASH_BYTES);
    encoder_bytes(&out, header->salt, SEGMENT_SALT_BYTES);
    encoder_u32(&out, SEGMENT_VERSION);
    encoder_u32(&out, crc32c_extend(0, target, HEADER_SUMMED_BYTES));
    CHECK(!out.failed && out.length == SEGMENT_HEADER_BYTES);
}

enum status segment_header_decode(struct segment_header *header, struct bytes bytes)
{
    struct segment_header read = {.number = 0};
    struct cursor in = cursor_over(bytes.at, bytes.length);
    uint32_t magic = cursor_u32(&in);
    read.number = cursor_u32(&in);
    cursor_copy(&in, read.capsule.bytes, HASH_BYTES);
    cursor_copy(&in, read.salt, SEGMENT_SALT_BYTES);
    uint32_t version = cursor_u32(&in);
    uint32_t sum = cursor_u32(&in);

    if (in.failed || magic != SEGMENT_MAGIC || version != SEGMENT_VERSION ||
        sum != crc32c_extend(0, bytes.at, HEADER_SUMMED_BYTES)) {
        return STATUS_DAMAGED;
    }
    *header = read;
    return STATUS_OK;
}

uint64_t segment_entry_bytes(size_t length)
{
    return SEGMENT_ENTRY_HEAD_BYTES + padded(length);
}

/* Write the head of an entry; its content follows. */
static void entry_head(uint8_t target[SEGMENT_ENTRY_HEAD_BYTES], struct bytes content)
{
    struct encoder out = encoder_over(target, SEGMENT_ENTRY_HEAD_BYTES);
    encoder_u32(&out, (uint32_t)content.length);
    encoder_u32(&out, entry_sum(target, content));
}

enum status segment_entry_encode(struct buffer *target, struct bytes content)
{
    CHECK(0 < content.length && content.length <= UINT32_MAX);
    CHECK(target->length % ALIGNMENT == 0);

    uint64_t bytes = segment_entry_bytes(content.length);
    enum status status = buffer_reserve(target, bytes);
    if (status != STATUS_OK) {
        return status;
    }
    uint8_t *entry = target->bytes + target->length;
    entry_head(entry, content);
    memcpy(entry + SEGMENT_ENTRY_HEAD_BYTES, content.at, content.length);
    uint64_t end = SEGMENT_ENTRY_HEAD_BYTES + content.length;
    memset(entry + end, 0, bytes - end);
    target->length += bytes;
    return STATUS_OK;
}

static void mark_content(uint8_t target[SEGMENT_MARK_CONTENT_BYTES],
                         const struct segment_header *header, uint64_t offset)
{
    struct encoder out = encoder_over(target, SEGMENT_MARK_CONTENT_BYTES);
    encoder_u32(&out, MARK_MAGIC);
    encoder_u32(&out, header->number);
    encoder_bytes(&out, header->salt, SEGMENT_SALT_BYTES);
    encoder_u64(&out, offset);
    CHECK(!out.failed && out.length == SEGMENT_MARK_CONTENT_BYTES);
}

void segment_mark_encode(uint8_t target[SEGMENT_MARK_BYTES], const struct segment_header *header,
                         uint64_t offset)
{
    uint8_t *content = target + SEGMENT_ENTRY_HEAD_BYTES;
    mark_content(content, header, offset);
    entry_head(target, bytes_of(content, SEGMENT_MARK_CONTENT_BYTES));
}

enum status segment_entry_decode(struct segment_entry *entry, struct bytes bytes)
{
    struct cursor in = cursor_over(bytes.at, bytes.length);
    uint32_t length = cursor_u32(&in);
    uint32_t sum = cursor_u32(&in);
    if (in.failed) {
        return STATUS_DAMAGED;
    }
    if (length == 0) {
        return STATUS_EMPTY;
    }
    struct bytes content = cursor_bytes(&in, length);
    struct bytes padding = cursor_bytes(&in, padded(length) - length);
    if (in.failed || !segment_is_zero(padding) || sum != entry_sum(bytes.at, content)) {
        return STATUS_DAMAGED;
    }
    struct cursor magic = cursor_over(content.at, content.length);
    *entry = (struct segment_entry){
        .content = content,
        .is_mark = cursor_u32(&magic) == MARK_MAGIC,
    };
    return STATUS_OK;
}

enum status segment_reader_init(struct segment_reader *reader, struct bytes bytes)
{
    *reader = (struct segment_reader){.bytes = bytes, .offset = 0};
    enum status status = segment_header_decode(&reader->header, bytes);
    if (status == STATUS_OK) {
        reader->offset = SEGMENT_HEADER_BYTES;
    }
    return status;
}

enum status segment_read(struct segment_reader *reader, struct segment_entry *entry)
{
    struct bytes rest =
        bytes_of(reader->bytes.at + reader->offset, reader->bytes.length - reader->offset);

    // A file that is still being written out may end anywhere.
    if (rest.length < SEGMENT_ENTRY_HEAD_BYTES) {
        return segment_is_zero(rest) ? STATUS_EMPTY : STATUS_DAMAGED;
    }
    enum status status = segment_entry_decode(entry, rest);
    if (status == STATUS_EMPTY) {
        return segment_is_zero(rest) ? STATUS_EMPTY : STATUS_DAMAGED;
    }
    if (status != STATUS_OK) {
        return status;
    }
    entry->offset = reader->offset;
    if (entry->is_mark) {
        uint8_t expected[SEGMENT_MARK_CONTENT_BYTES];
        mark_content(expected, &reader->header, entry->offset);
        if (!bytes_equal(entry->content, bytes_of(expected, sizeof expected))) {
            return STATUS_DAMAGED;
        }
    }
    reader->offset += segment_entry_bytes(entry->content.length);
    return STATUS_OK;
}

bool segment_has_mark(struct bytes bytes, const struct segment_header *header, uint64_t offset)
{
    uint8_t mark[SEGMENT_MARK_BYTES];
    // Everything up to the offset is the same for all marks of a segment.
    enum { COMMON_BYTES = 24 };
    mark_content(mark, header, 0);
    uint8_t common[COMMON_BYTES];
    memcpy(common, mark, COMMON_BYTES);

    for (uint64_t at = padded(offset); at + SEGMENT_MARK_BYTES <= bytes.length; at += ALIGNMENT) {
        const uint8_t *content = bytes.at + at + SEGMENT_ENTRY_HEAD_BYTES;
        if (memcmp(content, common, COMMON_BYTES) != 0) {
            continue;
        }
        segment_mark_encode(mark, header, at);
        if (memcmp(bytes.at + at, mark, sizeof mark) == 0) {
            return true;
        }
    }
    return false;
}

bool segment_is_zero(struct bytes bytes)
{
    // Each byte equals the one before it, and the first is zero.
    return bytes.length == 0 ||
           (bytes.at[0] == 0 && memcmp(bytes.at, bytes.at + 1, bytes.length - 1) == 0);
}
