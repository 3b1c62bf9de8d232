/* src/store/checkpoint.c */
#include "store/checkpoint.h"

#include "base/cursor.h"
#include "base/encoder.h"
#include "store/crc32c.h"

static const char FILE_NAME[] = "checkpoint";

enum {
    MAGIC = 0x314b4350,  // "PCK1"
    FIXED_BYTES = 28,
    SUM_BYTES = 4,
    FILE_BYTES_MAX = 1 << 30,
};

void checkpoint_release(struct checkpoint *checkpoint)
{
    buffer_release(&checkpoint->snapshot);
    *checkpoint = CHECKPOINT_EMPTY;
}

enum status checkpoint_save(const struct checkpoint *checkpoint, const struct disk *disk)
{
    struct buffer file = BUFFER_EMPTY;
    struct encoder out;
    size_t bytes = FIXED_BYTES + checkpoint->snapshot.length + SUM_BYTES;
    if (bytes > FILE_BYTES_MAX) {
        return STATUS_NO_SPACE;
    }
    enum status status = encoder_begin(&out, &file, bytes);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_u32(&out, MAGIC);
    encoder_u32(&out, checkpoint->segment_count);
    encoder_u64(&out, checkpoint->record_count);
    encoder_u64(&out, checkpoint->record_bytes);
    encoder_run(&out, buffer_bytes(&checkpoint->snapshot));
    encoder_u32(&out, crc32c_extend(0, out.start, out.length));
    encoder_finish(&out, &file);
    status = disk->replace(disk->context, FILE_NAME, file.bytes, file.length);
    buffer_release(&file);
    return status;
}

static enum status checkpoint_decode(struct checkpoint *checkpoint, struct bytes bytes)
{
    struct cursor in = cursor_over(bytes.at, bytes.length);
    uint32_t magic = cursor_u32(&in);
    checkpoint->segment_count = cursor_u32(&in);
    checkpoint->record_count = cursor_u64(&in);
    checkpoint->record_bytes = cursor_u64(&in);
    struct bytes snapshot = cursor_run(&in);
    uint32_t sum = cursor_u32(&in);
    if (!cursor_done(&in) || magic != MAGIC || checkpoint->segment_count == 0 ||
        sum != crc32c_extend(0, bytes.at, bytes.length - SUM_BYTES)) {
        return STATUS_NOT_FOUND;
    }
    return buffer_append(&checkpoint->snapshot, snapshot.at, snapshot.length);
}

enum status checkpoint_load(struct checkpoint *checkpoint, const struct disk *disk)
{
    *checkpoint = CHECKPOINT_EMPTY;
    struct buffer file = BUFFER_EMPTY;
    uint64_t bytes = 0;
    enum status status = disk->size(disk->context, FILE_NAME, &bytes);
    if (status == STATUS_OK && (bytes < FIXED_BYTES + SUM_BYTES || bytes > FILE_BYTES_MAX)) {
        status = STATUS_NOT_FOUND;
    }
    if (status == STATUS_OK) {
        status = buffer_reserve(&file, bytes);
    }
    if (status == STATUS_OK) {
        status = disk->read(disk->context, FILE_NAME, 0, file.bytes, bytes);
    }
    if (status == STATUS_OK) {
        status = checkpoint_decode(checkpoint, bytes_of(file.bytes, bytes));
    }
    buffer_release(&file);
    if (status != STATUS_OK) {
        checkpoint_release(checkpoint);
    }
    return status;
}

enum status checkpoint_forget(const struct disk *disk)
{
    uint64_t bytes = 0;
    enum status status = disk->size(disk->context, FILE_NAME, &bytes);
    if (status != STATUS_OK || bytes == 0) {
        return status == STATUS_NOT_FOUND ? STATUS_OK : status;
    }
    return disk->replace(disk->context, FILE_NAME, "", 0);
}
