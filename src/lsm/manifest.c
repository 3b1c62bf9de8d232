/* src/lsm/manifest.c */
#include "lsm/manifest.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/cursor.h"
#include "base/encoder.h"
#include "capsule/record.h"

static const uint32_t MANIFEST_MAGIC = 0x31464d50;  // "PMF1"

enum {
    HEADER_BYTES = 56,
    COVER_BYTES = WRITER_ID_BYTES + 8,
    TABLE_BYTES = 109,  // and its keys
    COUNT_BYTES = 4,
};

_Static_assert(MANIFEST_BYTES_MAX <= RECORD_BODY_BYTES_MAX - 16, "a MANIFEST is one record");

/* Where a reader asks `a` relative to `b`: <0 before it, 0 for overlapping tables of one run. */
static int compare_places(const struct table *a, const struct table *b)
{
    if (a->level != b->level) {
        return a->level < b->level ? -1 : 1;
    }
    if (a->run != b->run) {
        return a->run > b->run ? -1 : 1;
    }
    if (bytes_compare(a->last_key, b->first_key) < 0) {
        return -1;
    }
    return bytes_compare(b->last_key, a->first_key) < 0 ? 1 : 0;
}

static bool key_is_sound(struct bytes key)
{
    return key.length >= 1 && key.length <= TUPLE_KEY_BYTES_MAX;
}

static bool range_is_sound(const struct table *table)
{
    if (!key_is_sound(table->first_key) || !key_is_sound(table->last_key)) {
        return false;
    }
    int order = bytes_compare(table->first_key, table->last_key);
    return table->entry_count == 1 ? order == 0 : order < 0;
}

static bool counts_are_sound(const struct table *table)
{
    return table->block_count >= 1 && table->block_count <= TABLE_BLOCKS_MAX &&
           table->entry_count >= table->block_count && table->entry_count <= TABLE_ENTRIES_MAX &&
           table->delete_count <= table->entry_count &&
           table->record_bytes > table->index.record_bytes;
}

static bool places_are_sound(const struct table *table, uint64_t floor)
{
    bool run_is_sound =
        table->level == 0 ? table->run >= 1 && table->run <= floor : table->run == 0;
    return run_is_sound && table->level < MANIFEST_LEVELS_MAX && floor >= 1 &&
           table->first_sequence >= 1 && table->index.sequence > table->first_sequence &&
           table->index.sequence - table->first_sequence >= table->block_count;
}

static struct table read_table(struct cursor *in)
{
    struct table table = {.level = cursor_u8(in)};
    table.run = cursor_u64(in);
    cursor_copy(in, table.index.writer.bytes, sizeof table.index.writer.bytes);
    table.first_sequence = cursor_u64(in);
    table.index.sequence = cursor_u64(in);
    cursor_copy(in, table.index.hash.bytes, sizeof table.index.hash.bytes);
    table.index.record_bytes = cursor_u32(in);
    table.block_count = cursor_u32(in);
    table.entry_count = cursor_u32(in);
    table.delete_count = cursor_u32(in);
    table.record_bytes = cursor_u64(in);
    table.stale_ms = cursor_u64(in);
    uint16_t first_length = cursor_u16(in);
    uint16_t last_length = cursor_u16(in);
    table.first_key = cursor_bytes(in, first_length);
    table.last_key = cursor_bytes(in, last_length);
    return table;
}

static bool read_tables(struct manifest *manifest, struct cursor *in)
{
    for (uint32_t i = 0; i < manifest->table_count; i++) {
        struct table *table = &manifest->tables[i];
        *table = read_table(in);
        if (in->failed || !range_is_sound(table) || !counts_are_sound(table) ||
            !places_are_sound(table, manifest->floor) ||
            (i > 0 && compare_places(&table[-1], table) >= 0)) {
            return false;
        }
    }
    return true;
}

struct manifest_cover manifest_cover_at(const struct manifest *manifest, uint32_t index)
{
    CHECK(index < manifest->cover_count);
    struct cursor in = cursor_over(manifest->covers + (size_t)index * COVER_BYTES, COVER_BYTES);
    struct manifest_cover cover;
    cursor_copy(&in, cover.writer.bytes, sizeof cover.writer.bytes);
    cover.sequence = cursor_u64(&in);
    return cover;
}

static bool covers_are_sound(const struct manifest *manifest)
{
    for (uint32_t i = 0; i < manifest->cover_count; i++) {
        struct manifest_cover cover = manifest_cover_at(manifest, i);
        if (cover.sequence == 0) {
            return false;
        }
        if (i > 0) {
            struct manifest_cover before = manifest_cover_at(manifest, i - 1);
            if (writer_id_compare(&before.writer, &cover.writer) >= 0) {
                return false;
            }
        }
    }
    return true;
}

enum status manifest_decode(struct manifest *manifest, struct bytes plain)
{
    if (plain.length > MANIFEST_BYTES_MAX) {
        return STATUS_MALFORMED;
    }
    struct cursor in = cursor_over(plain.at, plain.length);
    uint32_t magic = cursor_u32(&in);
    struct manifest decoded = {.floor = cursor_u64(&in)};
    decoded.time_ms = cursor_u64(&in);
    cursor_copy(&in, decoded.predecessor.bytes, sizeof decoded.predecessor.bytes);
    decoded.cover_count = cursor_u32(&in);
    decoded.covers = cursor_take(&in, (size_t)decoded.cover_count * COVER_BYTES);
    decoded.table_count = cursor_u32(&in);
    if (in.failed || magic != MANIFEST_MAGIC || decoded.cover_count > MANIFEST_COVERS_MAX ||
        decoded.table_count > MANIFEST_TABLES_MAX || in.left / TABLE_BYTES < decoded.table_count ||
        !covers_are_sound(&decoded)) {
        return STATUS_MALFORMED;
    }
    // One more, so that there is an array even for none.
    decoded.tables = calloc((size_t)decoded.table_count + 1, sizeof *decoded.tables);
    if (decoded.tables == NULL) {
        return STATUS_NO_MEMORY;
    }
    bool is_sound = read_tables(&decoded, &in);
    decoded.snapshot = cursor_run(&in);
    if (!is_sound || !cursor_done(&in)) {
        manifest_release(&decoded);
        return STATUS_MALFORMED;
    }
    *manifest = decoded;
    return STATUS_OK;
}

void manifest_release(struct manifest *manifest)
{
    free(manifest->tables);
    *manifest = (struct manifest){.floor = 0};
}

uint64_t manifest_covered(const struct manifest *manifest, const struct writer_id *writer)
{
    uint32_t low = 0, high = manifest->cover_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct manifest_cover cover = manifest_cover_at(manifest, middle);
        int order = writer_id_compare(&cover.writer, writer);
        if (order == 0) {
            return cover.sequence;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return 0;
}

/* The first table of `level` or a deeper one. */
static uint32_t first_at(const struct manifest *manifest, unsigned level)
{
    uint32_t low = 0, high = manifest->table_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (manifest->tables[middle].level < level) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

uint32_t manifest_level(const struct manifest *manifest, uint8_t level, uint32_t *first)
{
    *first = first_at(manifest, level);
    return first_at(manifest, level + 1u) - *first;
}

/* ---- the successor ---- */

static int compare_for_sort(const void *left, const void *right)
{
    const struct table *a = *(const struct table *const *)left;
    const struct table *b = *(const struct table *const *)right;
    return compare_places(a, b);
}

/* What stays and what comes, in order. */
static uint32_t collect(const struct table **tables, const struct manifest *manifest,
                        const struct manifest_change *change)
{
    uint32_t count = 0, removed = 0;
    for (uint32_t i = 0; i < manifest->table_count; i++) {
        if (removed < change->removed_count && change->removed[removed] == i) {
            removed++;
        } else {
            tables[count++] = &manifest->tables[i];
        }
    }
    CHECK(removed == change->removed_count);
    for (uint32_t i = 0; i < change->added_count; i++) {
        tables[count++] = &change->added[i];
    }
    qsort(tables, count, sizeof *tables, compare_for_sort);
    return count;
}

static size_t encoded_bytes(const struct table *const *tables, uint32_t count,
                            const struct manifest_change *change)
{
    size_t bytes = HEADER_BYTES + (size_t)change->cover_count * COVER_BYTES + COUNT_BYTES;
    for (uint32_t i = 0; i < count; i++) {
        bytes += TABLE_BYTES + tables[i]->first_key.length + tables[i]->last_key.length;
    }
    return bytes + COUNT_BYTES + change->snapshot.length;
}

static void write_table(struct encoder *out, const struct table *table)
{
    encoder_u8(out, table->level);
    encoder_u64(out, table->run);
    encoder_bytes(out, table->index.writer.bytes, sizeof table->index.writer.bytes);
    encoder_u64(out, table->first_sequence);
    encoder_u64(out, table->index.sequence);
    encoder_bytes(out, table->index.hash.bytes, sizeof table->index.hash.bytes);
    encoder_u32(out, table->index.record_bytes);
    encoder_u32(out, table->block_count);
    encoder_u32(out, table->entry_count);
    encoder_u32(out, table->delete_count);
    encoder_u64(out, table->record_bytes);
    encoder_u64(out, table->stale_ms);
    encoder_u16(out, (uint16_t)table->first_key.length);
    encoder_u16(out, (uint16_t)table->last_key.length);
    encoder_bytes(out, table->first_key.at, table->first_key.length);
    encoder_bytes(out, table->last_key.at, table->last_key.length);
}

static void write_manifest(struct encoder *out, const struct table *const *tables, uint32_t count,
                           const struct manifest_change *change)
{
    encoder_u32(out, MANIFEST_MAGIC);
    encoder_u64(out, change->floor);
    encoder_u64(out, change->time_ms);
    encoder_bytes(out, change->predecessor.bytes, sizeof change->predecessor.bytes);
    encoder_u32(out, change->cover_count);
    for (uint32_t i = 0; i < change->cover_count; i++) {
        encoder_bytes(out, change->covers[i].writer.bytes, sizeof change->covers[i].writer.bytes);
        encoder_u64(out, change->covers[i].sequence);
    }
    encoder_u32(out, count);
    for (uint32_t i = 0; i < count; i++) {
        write_table(out, tables[i]);
    }
    encoder_run(out, change->snapshot);
}

/* What was written is what every replica will read: an overlap here would be our mistake. */
static enum status verify_written(const struct buffer *plain, size_t offset)
{
    struct manifest decoded;
    enum status status =
        manifest_decode(&decoded, bytes_of(plain->bytes + offset, plain->length - offset));
    CHECK(status == STATUS_OK || status == STATUS_NO_MEMORY);
    if (status == STATUS_OK) {
        manifest_release(&decoded);
    }
    return status;
}

enum status manifest_succeed(struct buffer *plain, const struct manifest *manifest,
                             const struct manifest_change *change)
{
    CHECK(change->floor >= manifest->floor && change->time_ms >= manifest->time_ms);
    size_t count_max = (size_t)manifest->table_count + change->added_count + 1;
    const struct table **tables = calloc(count_max, sizeof *tables);
    if (tables == NULL) {
        return STATUS_NO_MEMORY;
    }
    uint32_t count = collect(tables, manifest, change);
    size_t bytes = encoded_bytes(tables, count, change);
    struct encoder out;
    enum status status = STATUS_FULL;
    if (bytes <= MANIFEST_BYTES_MAX && count <= MANIFEST_TABLES_MAX &&
        change->cover_count <= MANIFEST_COVERS_MAX) {
        status = encoder_begin(&out, plain, bytes);
    }
    if (status == STATUS_OK) {
        size_t offset = plain->length;
        write_manifest(&out, tables, count, change);
        encoder_finish(&out, plain);
        status = verify_written(plain, offset);
        plain->length = status == STATUS_OK ? plain->length : offset;
    }
    free(tables);
    return status;
}
