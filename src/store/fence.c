#include "store/fence.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/cursor.h"
#include "base/encoder.h"
#include "store/crc32c.h"

enum {
    MAGIC = 0x31464350,  // "PCF1"
    FIXED_BYTES = 88,
    SUM_BYTES = 4,
    FILE_BYTES_MAX = FIXED_BYTES + FENCE_WRITERS_MAX * WRITER_ID_BYTES + SUM_BYTES,
};

void fence_release(struct fence *fence)
{
    free(fence->writers);
    *fence = FENCE_EMPTY;
}

static enum status fence_decode(struct fence *fence, struct bytes bytes, const struct hash *capsule)
{
    struct cursor in = cursor_over(bytes.at, bytes.length);
    struct fence read = FENCE_EMPTY;
    struct hash name;
    uint32_t magic = cursor_u32(&in);
    read.writer_count = cursor_u32(&in);
    cursor_copy(&in, name.bytes, HASH_BYTES);
    read.term = cursor_u64(&in);
    read.fenced_below = cursor_u64(&in);
    cursor_copy(&in, read.leader.bytes, SIGN_PUBLIC_BYTES);
    if (magic != MAGIC || !hash_equal(&name, capsule) || read.writer_count > FENCE_WRITERS_MAX) {
        return STATUS_DAMAGED;
    }
    struct bytes writers = cursor_bytes(&in, (size_t)read.writer_count * WRITER_ID_BYTES);
    uint32_t sum = cursor_u32(&in);
    if (!cursor_done(&in) || sum != crc32c_extend(0, bytes.at, bytes.length - SUM_BYTES)) {
        return STATUS_DAMAGED;
    }
    if (read.writer_count > 0) {
        read.writers = malloc(writers.length);
        if (read.writers == NULL) {
            return STATUS_NO_MEMORY;
        }
        memcpy(read.writers, writers.at, writers.length);
    }
    *fence = read;
    return STATUS_OK;
}

enum status fence_load(struct fence *fence, const struct disk *disk, const struct hash *capsule)
{
    *fence = FENCE_EMPTY;
    uint64_t bytes = 0;
    enum status status = disk->size(disk->context, FENCE_FILE, &bytes);
    if (status == STATUS_NOT_FOUND) {
        return STATUS_OK;
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (bytes > FILE_BYTES_MAX) {
        return STATUS_DAMAGED;
    }
    struct buffer file = BUFFER_EMPTY;
    status = buffer_reserve(&file, bytes);
    if (status == STATUS_OK && bytes > 0) {
        status = disk->read(disk->context, FENCE_FILE, 0, file.bytes, bytes);
    }
    if (status == STATUS_OK) {
        status = fence_decode(fence, bytes_of(file.bytes, bytes), capsule);
    }
    buffer_release(&file);
    return status;
}

enum status fence_save(const struct fence *fence, const struct disk *disk,
                       const struct hash *capsule)
{
    size_t bytes = FIXED_BYTES + (size_t)fence->writer_count * WRITER_ID_BYTES + SUM_BYTES;
    uint8_t *file = malloc(bytes);
    if (file == NULL) {
        return STATUS_NO_MEMORY;
    }
    struct encoder out = encoder_over(file, bytes);
    encoder_u32(&out, MAGIC);
    encoder_u32(&out, fence->writer_count);
    encoder_bytes(&out, capsule->bytes, HASH_BYTES);
    encoder_u64(&out, fence->term);
    encoder_u64(&out, fence->fenced_below);
    encoder_bytes(&out, fence->leader.bytes, SIGN_PUBLIC_BYTES);
    for (uint32_t i = 0; i < fence->writer_count; i++) {
        encoder_bytes(&out, fence->writers[i].bytes, WRITER_ID_BYTES);
    }
    encoder_u32(&out, crc32c_extend(0, file, out.length));
    CHECK(!out.failed && out.length == bytes);
    enum status status = disk->replace(disk->context, FENCE_FILE, file, bytes);
    free(file);
    return status;
}

static bool is_listed(const struct fence *fence, const struct writer_id *writer)
{
    for (uint32_t i = 0; i < fence->writer_count; i++) {
        if (writer_id_equal(&fence->writers[i], writer)) {
            return true;
        }
    }
    return false;
}

enum status fence_add(struct fence *fence, const struct writer_id *writer)
{
    if (is_listed(fence, writer)) {
        return STATUS_OK;
    }
    if (fence->writer_count == FENCE_WRITERS_MAX) {
        return STATUS_FULL;
    }
    struct writer_id *writers =
        reallocarray(fence->writers, fence->writer_count + 1, sizeof *fence->writers);
    if (writers == NULL) {
        return STATUS_NO_MEMORY;
    }
    writers[fence->writer_count++] = *writer;
    fence->writers = writers;
    return STATUS_OK;
}

bool fence_covers(const struct fence *fence, const struct writer_id *writer,
                  const struct capsule_member *member)
{
    if (member != NULL && member->term < fence->fenced_below) {
        return true;
    }
    if (member != NULL && member->role == MEMBER_LEADER && member->term < fence->term) {
        return true;
    }
    return is_listed(fence, writer);
}
