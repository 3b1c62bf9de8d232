#include "store/cuts.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/cursor.h"
#include "base/encoder.h"
#include "store/crc32c.h"

static const char FILE_NAME[] = "cuts";

enum {
    MAGIC = 0x31434350,  // "PCC1"
    FIXED_BYTES = 40,
    CUT_BYTES = 32,
    SUM_BYTES = 4,
    FILE_BYTES_MAX = FIXED_BYTES + CUTS_MAX * CUT_BYTES + SUM_BYTES,
};

void cuts_release(struct cuts *cuts)
{
    free(cuts->items);
    *cuts = CUTS_EMPTY;
}

static enum status cuts_decode(struct cuts *cuts, struct bytes bytes, const struct hash *capsule)
{
    struct cursor in = cursor_over(bytes.at, bytes.length);
    struct hash name;
    uint32_t magic = cursor_u32(&in);
    uint32_t count = cursor_u32(&in);
    cursor_copy(&in, name.bytes, HASH_BYTES);
    if (magic != MAGIC || !hash_equal(&name, capsule) || count > CUTS_MAX) {
        return STATUS_DAMAGED;
    }
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        struct cut cut;
        cursor_copy(&in, cut.writer.bytes, WRITER_ID_BYTES);
        cut.sequence = cursor_u64(&in);
        cut.segment = cursor_u32(&in);
        cut.offset = cursor_u32(&in);
        status = cuts_add(cuts, &cut);
    }
    uint32_t sum = cursor_u32(&in);
    if (status != STATUS_OK) {
        return status;
    }
    bool is_whole = cursor_done(&in) && sum == crc32c_extend(0, bytes.at, bytes.length - SUM_BYTES);
    return is_whole ? STATUS_OK : STATUS_DAMAGED;
}

enum status cuts_load(struct cuts *cuts, const struct disk *disk, const struct hash *capsule)
{
    *cuts = CUTS_EMPTY;
    uint64_t bytes = 0;
    enum status status = disk->size(disk->context, FILE_NAME, &bytes);
    if (status == STATUS_NOT_FOUND) {
        return STATUS_OK;
    }
    if (status != STATUS_OK || bytes < FIXED_BYTES + SUM_BYTES || bytes > FILE_BYTES_MAX) {
        return status != STATUS_OK ? status : STATUS_DAMAGED;
    }
    struct buffer file = BUFFER_EMPTY;
    status = buffer_reserve(&file, bytes);
    if (status == STATUS_OK) {
        status = disk->read(disk->context, FILE_NAME, 0, file.bytes, bytes);
    }
    if (status == STATUS_OK) {
        status = cuts_decode(cuts, bytes_of(file.bytes, bytes), capsule);
    }
    if (status != STATUS_OK) {
        cuts_release(cuts);
    }
    buffer_release(&file);
    return status;
}

enum status cuts_save(const struct cuts *cuts, const struct disk *disk, const struct hash *capsule)
{
    size_t bytes = FIXED_BYTES + (size_t)cuts->count * CUT_BYTES + SUM_BYTES;
    uint8_t *file = malloc(bytes);
    if (file == NULL) {
        return STATUS_NO_MEMORY;
    }
    struct encoder out = encoder_over(file, bytes);
    encoder_u32(&out, MAGIC);
    encoder_u32(&out, cuts->count);
    encoder_bytes(&out, capsule->bytes, HASH_BYTES);
    for (uint32_t i = 0; i < cuts->count; i++) {
        encoder_bytes(&out, cuts->items[i].writer.bytes, WRITER_ID_BYTES);
        encoder_u64(&out, cuts->items[i].sequence);
        encoder_u32(&out, cuts->items[i].segment);
        encoder_u32(&out, cuts->items[i].offset);
    }
    encoder_u32(&out, crc32c_extend(0, file, out.length));
    CHECK(!out.failed && out.length == bytes);
    enum status status = disk->replace(disk->context, FILE_NAME, file, bytes);
    free(file);
    return status;
}

static bool is_at_or_before(const struct journal_place *place, const struct cut *cut)
{
    return place->segment < cut->segment ||
           (place->segment == cut->segment && place->offset <= cut->offset);
}

enum status cuts_add(struct cuts *cuts, const struct cut *cut)
{
    for (uint32_t i = 0; i < cuts->count; i++) {
        struct cut *item = &cuts->items[i];
        const struct journal_place place = {.segment = item->segment, .offset = item->offset};
        if (writer_id_equal(&item->writer, &cut->writer) && item->sequence >= cut->sequence &&
            is_at_or_before(&place, cut)) {
            *item = *cut;
            return STATUS_OK;
        }
    }
    if (cuts->count == CUTS_MAX) {
        return STATUS_FULL;
    }
    struct cut *items = reallocarray(cuts->items, cuts->count + 1, sizeof *items);
    if (items == NULL) {
        return STATUS_NO_MEMORY;
    }
    items[cuts->count++] = *cut;
    cuts->items = items;
    return STATUS_OK;
}

bool cuts_cover(const struct cuts *cuts, const struct record *record,
                const struct journal_place *place)
{
    for (uint32_t i = 0; i < cuts->count; i++) {
        const struct cut *cut = &cuts->items[i];
        if (record->sequence > cut->sequence && writer_id_equal(&record->writer, &cut->writer) &&
            is_at_or_before(place, cut)) {
            return true;
        }
    }
    return false;
}

bool cuts_reach(const struct cuts *cuts, const struct journal_place *place)
{
    for (uint32_t i = 0; i < cuts->count; i++) {
        if (is_at_or_before(place, &cuts->items[i])) {
            return true;
        }
    }
    return false;
}

bool cuts_end_in(const struct cuts *cuts, uint32_t segment)
{
    for (uint32_t i = 0; i < cuts->count; i++) {
        if (cuts->items[i].segment == segment) {
            return true;
        }
    }
    return false;
}
