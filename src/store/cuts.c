/* src/store/cuts.c */
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
    MAGIC = 0x32434350,  // "PCC2"
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
        cut.last.segment = cursor_u32(&in);
        cut.last.number = cursor_u32(&in);
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
        encoder_u32(&out, cuts->items[i].last.segment);
        encoder_u32(&out, cuts->items[i].last.number);
    }
    encoder_u32(&out, crc32c_extend(0, file, out.length));
    CHECK(!out.failed && out.length == bytes);
    enum status status = disk->replace(disk->context, FILE_NAME, file, bytes);
    free(file);
    return status;
}

struct cuts_place cuts_next(const struct cuts_place *place, uint32_t segment)
{
    uint32_t before = place->segment == segment ? place->number : 0;
    return (struct cuts_place){.segment = segment, .number = before + 1};
}

static bool is_at_or_before(const struct cuts_place *place, const struct cut *cut)
{
    return place->segment < cut->last.segment ||
           (place->segment == cut->last.segment && place->number <= cut->last.number);
}

enum status cuts_add(struct cuts *cuts, const struct cut *cut)
{
    for (uint32_t i = 0; i < cuts->count; i++) {
        struct cut *item = &cuts->items[i];
        if (writer_id_equal(&item->writer, &cut->writer) && item->sequence >= cut->sequence &&
            is_at_or_before(&item->last, cut)) {
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
                const struct cuts_place *place)
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

bool cuts_reach(const struct cuts *cuts, const struct cuts_place *place)
{
    for (uint32_t i = 0; i < cuts->count; i++) {
        if (is_at_or_before(place, &cuts->items[i])) {
            return true;
        }
    }
    return false;
}
