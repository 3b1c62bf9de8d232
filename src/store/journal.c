/* src/store/journal.c */
#include "store/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { NAME_BYTES = 32 };

struct journal {
    struct journal_config config;
    struct segment_header header;  // of the segment that is being written
    uint64_t written;              // bytes of it that the disk was given
    uint64_t ready;                // bytes of it that lie on the disk, synced: the rest is zeroes
    uint64_t next_ready;           // the same of the segment after it; 0: not created
    struct buffer gathered;        // follows what is written
    bool has_unsynced;             // records that no mark follows
    bool is_torn;
    bool is_full;  // the disk was, when last asked: said once
    uint8_t *zeroes;
    uint64_t slice_bytes;  // of zeroes: JOURNAL_SLICE_BYTES, or a whole smaller segment
};

static void segment_name(char name[NAME_BYTES], uint32_t number)
{
    (void)snprintf(name, NAME_BYTES, "segment-%08u", number);
}

static uint64_t log_end(const struct journal *journal)
{
    return journal->written + journal->gathered.length;
}

/* Read a whole segment. STATUS_NOT_FOUND: `target` is empty. */
static enum status segment_load(const struct disk *disk, uint32_t number, struct buffer *target)
{
    char name[NAME_BYTES];
    segment_name(name, number);
    buffer_clear(target);

    uint64_t bytes = 0;
    enum status status = disk->size(disk->context, name, &bytes);
    if (status != STATUS_OK) {
        return status;
    }
    if (bytes > UINT32_MAX) {
        return STATUS_DAMAGED;
    }
    status = buffer_reserve(target, bytes);
    if (status == STATUS_OK && bytes > 0) {
        status = disk->read(disk->context, name, 0, target->bytes, bytes);
    }
    if (status == STATUS_OK) {
        target->length = bytes;
    }
    return status;
}

/* What one segment holds, found out before any of its records is believed. */
struct outline {
    uint64_t mark_end;  // the end of the last mark: everything before it was synced
    uint64_t end;       // the end of the last whole entry
    bool is_clean;      // only zeroes follow `end`
};

/*
 * `header` is what must stand at the start, with only `number` to be believed when it is the walk
 * that asks. STATUS_DAMAGED: a mark follows something that does not hold.
 */
static enum status segment_outline(struct outline *outline, struct bytes bytes,
                                   const struct segment_header *header)
{
    *outline = (struct outline){.mark_end = 0};
    if (segment_is_zero(bytes)) {
        outline->is_clean = true;
        return STATUS_OK;
    }
    struct segment_reader reader;
    enum status status = segment_reader_init(&reader, bytes);
    if (status == STATUS_OK &&
        (reader.header.number != header->number ||
         !hash_equal(&reader.header.capsule, &header->capsule) ||
         memcmp(reader.header.salt, header->salt, SEGMENT_SALT_BYTES) != 0)) {
        // Whole, but another store's: nothing torn about it.
        return STATUS_DAMAGED;
    }
    struct segment_entry entry;
    while (status == STATUS_OK) {
        outline->end = reader.offset;
        status = segment_read(&reader, &entry);
        if (status == STATUS_OK && entry.is_mark) {
            outline->mark_end = reader.offset;
        }
    }
    outline->is_clean = status == STATUS_EMPTY;
    if (!outline->is_clean && segment_has_mark(bytes, header, outline->end)) {
        return STATUS_DAMAGED;
    }
    return STATUS_OK;
}

/* Visit the records up to an offset that an outline found whole. */
static enum status visit_records(struct bytes bytes, uint32_t number, uint64_t to,
                                 journal_visit *visit, void *context, struct journal_place *place)
{
    for (uint64_t offset = SEGMENT_HEADER_BYTES; offset < to;) {
        struct segment_entry entry;
        enum status status =
            segment_entry_decode(&entry, bytes_of(bytes.at + offset, bytes.length - offset));
        CHECK(status == STATUS_OK);
        *place = (struct journal_place){
            .segment = number,
            .offset = (uint32_t)offset,
            .length = (uint32_t)entry.content.length,
        };
        if (!entry.is_mark) {
            status = visit(context, entry.content, place);
            if (status != STATUS_OK) {
                return status;
            }
        }
        offset += segment_entry_bytes(entry.content.length);
    }
    return STATUS_OK;
}

/* Goes through all segments, each in memory beside the one after it. */
struct scan {
    const struct disk *disk;
    struct buffer current;
    struct buffer next;
    uint32_t number;
    bool is_last;  // the next one is missing or holds nothing yet
};

static enum status scan_load_next(struct scan *scan)
{
    enum status status = segment_load(scan->disk, scan->number + 1, &scan->next);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND) {
        return status;
    }
    scan->is_last = segment_is_zero(buffer_bytes(&scan->next));
    if (!scan->is_last) {
        return STATUS_OK;
    }
    // Behind an unused segment another may have been made ready, but none was written to.
    struct buffer beyond = BUFFER_EMPTY;
    status = segment_load(scan->disk, scan->number + 2, &beyond);
    if (status == STATUS_NOT_FOUND) {
        status = STATUS_OK;
    } else if (status == STATUS_OK && !segment_is_zero(buffer_bytes(&beyond))) {
        status = STATUS_DAMAGED;
    }
    buffer_release(&beyond);
    return status;
}

static enum status scan_first(struct scan *scan, uint32_t number)
{
    scan->number = number;
    enum status status = segment_load(scan->disk, number, &scan->current);
    if (status == STATUS_OK || status == STATUS_NOT_FOUND) {
        enum status next = scan_load_next(scan);
        status = next == STATUS_OK ? status : next;
    }
    return status;
}

static enum status scan_advance(struct scan *scan)
{
    struct buffer current = scan->current;
    scan->current = scan->next;
    scan->next = current;
    scan->number++;
    return scan_load_next(scan);
}

static void scan_release(struct scan *scan)
{
    buffer_release(&scan->current);
    buffer_release(&scan->next);
}

/* The caller knows the cause best, so it is logged here, once. */
static enum status damaged(const struct journal *journal, uint32_t number, uint64_t offset,
                           const char *what)
{
    log_event(journal->config.log, "segment damaged file=segment-%08u offset=%llu cause=\"%s\"",
              number, (unsigned long long)offset, what);
    return STATUS_DAMAGED;
}

/* Write out one more slice of a segment of which `ready` bytes exist. */
static enum status slice_write(struct journal *journal, uint32_t number, uint64_t *ready)
{
    const struct disk *disk = journal->config.disk;
    uint64_t slice = journal->slice_bytes;
    if (*ready < journal->config.segment_bytes && journal->config.segment_bytes - *ready < slice) {
        slice = journal->config.segment_bytes - *ready;
    }
    char name[NAME_BYTES];
    segment_name(name, number);
    enum status status;
    if (*ready == 0) {
        status = disk->create(disk->context, name, slice);
    } else {
        status = disk->write(disk->context, name, *ready, journal->zeroes, slice);
        if (status == STATUS_OK) {
            status = disk->sync(disk->context, name);
        }
    }
    if (status == STATUS_OK) {
        *ready += slice;
    } else if (status != STATUS_NO_SPACE || !journal->is_full) {
        log_event(journal->config.log, "segment not extended file=%s bytes=%llu cause=\"%s\"", name,
                  (unsigned long long)*ready, status_text(status));
    }
    journal->is_full = status == STATUS_NO_SPACE;
    return status;
}

static enum status slices_write(struct journal *journal, uint32_t number, uint64_t *ready,
                                uint64_t wanted)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK && *ready < wanted) {
        status = slice_write(journal, number, ready);
    }
    return status;
}

/* Write what is gathered, without syncing it. */
static enum status gathered_write(struct journal *journal)
{
    if (journal->gathered.length == 0) {
        return STATUS_OK;
    }
    CHECK(log_end(journal) <= journal->ready);
    const struct disk *disk = journal->config.disk;
    char name[NAME_BYTES];
    segment_name(name, journal->header.number);
    enum status status = disk->write(disk->context, name, journal->written, journal->gathered.bytes,
                                     journal->gathered.length);
    if (status == STATUS_OK) {
        journal->written = log_end(journal);
        buffer_clear(&journal->gathered);
    }
    return status;
}

/* Begin a segment: its header is gathered, and reaches the disk with its first records. */
static enum status segment_begin(struct journal *journal, uint32_t number)
{
    uint8_t header[SEGMENT_HEADER_BYTES];
    journal->header.number = number;
    journal->written = 0;
    segment_header_encode(header, &journal->header);
    buffer_clear(&journal->gathered);
    return buffer_append(&journal->gathered, header, sizeof header);
}

/* Overwrite a part of the segment being written. */
static enum status zeroes_write(struct journal *journal, uint64_t from, uint64_t to)
{
    const struct disk *disk = journal->config.disk;
    char name[NAME_BYTES];
    segment_name(name, journal->header.number);
    enum status status = STATUS_OK;
    while (status == STATUS_OK && from < to) {
        uint64_t step = to - from < journal->slice_bytes ? to - from : journal->slice_bytes;
        status = disk->write(disk->context, name, from, journal->zeroes, step);
        from += step;
    }
    return status;
}

/*
 * Over every byte after `from` that is not zero already: a crash in between leaves the same tail.
 */
static enum status tail_erase(struct journal *journal, struct bytes file, uint64_t from)
{
    uint64_t end = file.length;
    while (end > from && file.at[end - 1] == 0) {
        end--;
    }
    return zeroes_write(journal, from, end);
}

/* The last segment: what its marks cover is visited, the tail is kept for journal_settle(). */
static enum status open_last(struct journal *journal, struct scan *scan,
                             const struct outline *outline)
{
    struct bytes file = buffer_bytes(&scan->current);
    journal->ready = scan->current.length;
    journal->next_ready = scan->next.length;
    journal->is_torn = !outline->is_clean;
    if (!outline->is_clean) {
        log_event(journal->config.log, "torn tail cut file=segment-%08u offset=%llu", scan->number,
                  (unsigned long long)outline->end);
        enum status status = tail_erase(journal, file, outline->end);
        if (status != STATUS_OK) {
            return status;
        }
    }
    if (outline->end == 0) {
        return segment_begin(journal, scan->number);
    }
    journal->written = outline->mark_end;
    return buffer_append(&journal->gathered, file.at + outline->mark_end,
                         outline->end - outline->mark_end);
}

static enum status open_all(struct journal *journal, struct scan *scan, journal_visit *visit,
                            void *context)
{
    uint32_t first = journal->config.first_segment;
    enum status status = scan_first(scan, first);
    if (status == STATUS_NOT_FOUND) {
        status = scan->is_last ? STATUS_OK : damaged(journal, first, 0, "missing");
    }
    while (status == STATUS_OK) {
        struct bytes file = buffer_bytes(&scan->current);
        struct outline outline;
        struct journal_place place = {.segment = scan->number};
        journal->header.number = scan->number;
        status = segment_outline(&outline, file, &journal->header);
        if (status != STATUS_OK) {
            return damaged(journal, scan->number, outline.end, "a synced entry does not hold");
        }
        if (!scan->is_last &&
            (!outline.is_clean || outline.mark_end != outline.end || outline.end == 0)) {
            return damaged(journal, scan->number, outline.end, "not the end of a sealed segment");
        }
        status = visit_records(file, scan->number, outline.mark_end, visit, context, &place);
        if (status != STATUS_OK) {
            return status == STATUS_DAMAGED
                       ? damaged(journal, place.segment, place.offset, "not a record that fits")
                       : status;
        }
        if (scan->is_last) {
            return open_last(journal, scan, &outline);
        }
        status = scan_advance(scan);
    }
    return status == STATUS_DAMAGED
               ? damaged(journal, scan->number + 1, 0, "a segment is missing or too large")
               : status;
}

enum status journal_open(struct journal **opened, const struct journal_config *config,
                         journal_visit *visit, void *context)
{
    *opened = NULL;
    CHECK(config->first_segment >= 1);
    CHECK(config->segment_bytes % 8 == 0 && config->segment_bytes >= 4 * SEGMENT_HEADER_BYTES);
    struct scan scan = {.disk = config->disk};
    struct journal *journal = calloc(1, sizeof *journal);
    uint64_t slice_bytes =
        config->segment_bytes < JOURNAL_SLICE_BYTES ? config->segment_bytes : JOURNAL_SLICE_BYTES;
    uint8_t *zeroes = calloc(1, slice_bytes);
    if (journal == NULL || zeroes == NULL) {
        free(journal);
        free(zeroes);
        return STATUS_NO_MEMORY;
    }
    journal->config = *config;
    journal->zeroes = zeroes;
    journal->slice_bytes = slice_bytes;
    journal->header.capsule = config->capsule;
    memcpy(journal->header.salt, config->salt, SEGMENT_SALT_BYTES);

    enum status status = open_all(journal, &scan, visit, context);
    scan_release(&scan);
    if (status == STATUS_OK) {
        *opened = journal;
    } else {
        buffer_release(&journal->gathered);
        free(journal->zeroes);
        free(journal);
    }
    return status;
}

enum status journal_verify_sealed(const struct disk *disk, uint32_t segment, uint64_t end)
{
    char name[NAME_BYTES];
    uint64_t bytes = 0;
    segment_name(name, segment);
    enum status status = disk->size(disk->context, name, &bytes);
    if (status == STATUS_NOT_FOUND || (status == STATUS_OK && bytes < end)) {
        return STATUS_DAMAGED;
    }
    return status;
}

/* Read a whole sealed segment, which names itself. */
static enum status sealed_load(const struct disk *disk, uint32_t segment, struct buffer *file,
                               struct outline *outline)
{
    struct segment_header header;
    *outline = (struct outline){.end = 0};
    enum status status = segment_load(disk, segment, file);
    if (status == STATUS_OK) {
        status = segment_header_decode(&header, buffer_bytes(file));
    }
    if (status == STATUS_OK) {
        status = segment_outline(outline, buffer_bytes(file), &header);
    }
    return status;
}

enum status journal_visit_sealed(const struct disk *disk, uint32_t segment, journal_visit *visit,
                                 void *context)
{
    struct buffer file = BUFFER_EMPTY;
    struct outline outline;
    struct journal_place place;
    enum status status = sealed_load(disk, segment, &file, &outline);
    if (status == STATUS_OK) {
        status = visit_records(buffer_bytes(&file), segment, outline.end, visit, context, &place);
    }
    buffer_release(&file);
    return status == STATUS_OK && !outline.is_clean ? STATUS_DAMAGED : status;
}

/* The entries of a whole segment, changed, behind the same header; and a mark at the end. */
static enum status segment_change(struct buffer *target, struct bytes file,
                                  const struct outline *outline, journal_change *change,
                                  void *context)
{
    struct segment_header header;
    struct buffer kept = BUFFER_EMPTY;
    uint8_t mark[SEGMENT_MARK_BYTES];
    enum status status = segment_header_decode(&header, file);
    if (status == STATUS_OK) {
        status = buffer_append(target, file.at, SEGMENT_HEADER_BYTES);
    }
    for (uint64_t offset = SEGMENT_HEADER_BYTES; offset < outline->end && status == STATUS_OK;) {
        struct segment_entry entry;
        status = segment_entry_decode(&entry, bytes_of(file.at + offset, file.length - offset));
        CHECK(status == STATUS_OK);  // the outline has seen it whole
        offset += segment_entry_bytes(entry.content.length);
        if (entry.is_mark) {
            continue;
        }
        buffer_clear(&kept);
        status = change(context, entry.content, &kept);
        if (status == STATUS_OK) {
            status = segment_entry_encode(target, buffer_bytes(&kept));
        }
    }
    if (status == STATUS_OK) {
        segment_mark_encode(mark, &header, target->length);
        status = buffer_append(target, mark, sizeof mark);
    }
    buffer_release(&kept);
    return status;
}

enum status journal_rewrite(const struct disk *disk, uint32_t segment, journal_change *change,
                            journal_visit *visit, void *context)
{
    char name[NAME_BYTES];
    struct buffer file = BUFFER_EMPTY, changed = BUFFER_EMPTY;
    struct outline outline;
    struct journal_place place;
    enum status status = sealed_load(disk, segment, &file, &outline);
    if (status == STATUS_OK && (!outline.is_clean || outline.mark_end != outline.end)) {
        status = STATUS_DAMAGED;
    }
    if (status == STATUS_OK) {
        status = segment_change(&changed, buffer_bytes(&file), &outline, change, context);
    }
    if (status == STATUS_OK) {
        segment_name(name, segment);
        status = disk->replace(disk->context, name, changed.bytes, changed.length);
    }
    if (status == STATUS_OK) {
        status =
            visit_records(buffer_bytes(&changed), segment, changed.length, visit, context, &place);
    }
    buffer_release(&file);
    buffer_release(&changed);
    return status;
}

void journal_close(struct journal *journal)
{
    if (journal == NULL) {
        return;
    }
    if (!journal->has_unsynced && journal->written > 0) {
        char name[NAME_BYTES];
        segment_name(name, journal->header.number);
        // Nothing rests on it: without it the last group is looked at as a tail.
        (void)journal->config.disk->sync(journal->config.disk->context, name);
    }
    buffer_release(&journal->gathered);
    free(journal->zeroes);
    free(journal);
}

enum status journal_tail_next(const struct journal *journal, uint64_t *offset, struct bytes *record,
                              struct journal_place *place)
{
    if (journal->written == 0 && *offset == 0) {
        *offset = SEGMENT_HEADER_BYTES;
    }
    if (*offset >= journal->gathered.length) {
        return STATUS_EMPTY;
    }
    struct segment_entry entry;
    enum status status = segment_entry_decode(
        &entry, bytes_of(journal->gathered.bytes + *offset, journal->gathered.length - *offset));
    CHECK(status == STATUS_OK && !entry.is_mark);  // seen whole, and no mark follows the last
    *record = entry.content;
    *place = (struct journal_place){
        .segment = journal->header.number,
        .offset = (uint32_t)(journal->written + *offset),
        .length = (uint32_t)entry.content.length,
    };
    *offset += segment_entry_bytes(entry.content.length);
    return STATUS_OK;
}

bool journal_tail_is_torn(const struct journal *journal)
{
    return journal->is_torn;
}

enum status journal_settle(struct journal *journal, uint64_t offset)
{
    CHECK(offset <= journal->gathered.length);
    const struct disk *disk = journal->config.disk;
    char name[NAME_BYTES];
    segment_name(name, journal->header.number);
    uint64_t header_bytes = journal->written == 0 ? SEGMENT_HEADER_BYTES : 0;
    offset = offset < header_bytes ? header_bytes : offset;

    enum status status = slices_write(journal, journal->header.number, &journal->ready,
                                      SEGMENT_HEADER_BYTES + SEGMENT_MARK_BYTES);
    if (status != STATUS_OK) {
        return status;
    }
    if (offset < journal->gathered.length) {
        status = zeroes_write(journal, journal->written + offset, log_end(journal));
        if (status != STATUS_OK) {
            return status;
        }
        journal->gathered.length = offset;
    }
    if (journal->gathered.length > header_bytes) {
        // The mark must fit, and its bytes may lie beyond what was ready when the tail was written.
        status = slices_write(journal, journal->header.number, &journal->ready,
                              log_end(journal) + SEGMENT_MARK_BYTES);
        if (status != STATUS_OK) {
            return status;
        }
        journal->has_unsynced = true;
        return journal_sync(journal);
    }
    return journal->is_torn ? disk->sync(disk->context, name) : STATUS_OK;
}

/* Seal this segment and go on in the next, which is ready. */
static enum status segment_roll(struct journal *journal)
{
    const struct disk *disk = journal->config.disk;
    char name[NAME_BYTES];
    segment_name(name, journal->header.number);
    enum status status = journal_sync(journal);
    if (status == STATUS_OK) {
        status = disk->sync(disk->context, name);  // the mark
    }
    if (status == STATUS_OK) {
        status = segment_begin(journal, journal->header.number + 1);
    }
    if (status == STATUS_OK) {
        journal->ready = journal->next_ready;
        journal->next_ready = 0;
    }
    return status;
}

enum status journal_reserve(struct journal *journal, uint64_t bytes)
{
    uint64_t needed = log_end(journal) + bytes + SEGMENT_MARK_BYTES;
    bool is_begun = log_end(journal) > SEGMENT_HEADER_BYTES;

    // What is larger than a whole segment gets one of its own.
    if (!is_begun || needed <= journal->config.segment_bytes) {
        return slices_write(journal, journal->header.number, &journal->ready, needed);
    }
    enum status status = slices_write(journal, journal->header.number + 1, &journal->next_ready,
                                      SEGMENT_HEADER_BYTES + bytes + SEGMENT_MARK_BYTES);
    return status == STATUS_OK ? segment_roll(journal) : status;
}

enum status journal_append(struct journal *journal, struct bytes record,
                           struct journal_place *place)
{
    CHECK(log_end(journal) + segment_entry_bytes(record.length) + SEGMENT_MARK_BYTES <=
          journal->ready);
    *place = (struct journal_place){
        .segment = journal->header.number,
        .offset = (uint32_t)log_end(journal),
        .length = (uint32_t)record.length,
    };
    enum status status = segment_entry_encode(&journal->gathered, record);
    if (status != STATUS_OK) {
        return status;
    }
    journal->has_unsynced = true;
    return journal->gathered.length < JOURNAL_GATHER_BYTES ? STATUS_OK : gathered_write(journal);
}

enum status journal_sync(struct journal *journal)
{
    if (!journal->has_unsynced) {
        return STATUS_OK;
    }
    const struct disk *disk = journal->config.disk;
    char name[NAME_BYTES];
    segment_name(name, journal->header.number);
    enum status status = gathered_write(journal);
    if (status == STATUS_OK) {
        status = disk->sync(disk->context, name);
    }
    if (status != STATUS_OK) {
        return status;
    }
    // Not synced itself: the next group's sync takes it along. Until then a crash makes the group
    // a tail, which is whole.
    uint8_t mark[SEGMENT_MARK_BYTES];
    segment_mark_encode(mark, &journal->header, journal->written);
    status = disk->write(disk->context, name, journal->written, mark, sizeof mark);
    if (status == STATUS_OK) {
        journal->written += sizeof mark;
        journal->has_unsynced = false;
    }
    return status;
}

enum status journal_prepare(struct journal *journal)
{
    uint64_t ahead = journal->ready - log_end(journal) + journal->next_ready;
    if (ahead >= JOURNAL_AHEAD_BYTES) {
        return STATUS_OK;
    }
    bool is_whole = journal->ready >= journal->config.segment_bytes;
    enum status status =
        is_whole ? slice_write(journal, journal->header.number + 1, &journal->next_ready)
                 : slice_write(journal, journal->header.number, &journal->ready);
    return status == STATUS_NO_SPACE ? STATUS_OK : status;
}

enum status journal_load(struct journal *journal, const struct journal_place *place,
                         struct buffer *target)
{
    const struct disk *disk = journal->config.disk;
    uint64_t bytes = segment_entry_bytes(place->length);
    enum status status = buffer_reserve(target, bytes);
    if (status != STATUS_OK) {
        return status;
    }
    uint8_t *entry_bytes = target->bytes + target->length;
    if (place->segment == journal->header.number && place->offset >= journal->written) {
        memcpy(entry_bytes, journal->gathered.bytes + (place->offset - journal->written), bytes);
    } else {
        char name[NAME_BYTES];
        segment_name(name, place->segment);
        status = disk->read(disk->context, name, place->offset, entry_bytes, bytes);
    }
    struct segment_entry entry;
    if (status == STATUS_OK &&
        (segment_entry_decode(&entry, bytes_of(entry_bytes, bytes)) != STATUS_OK ||
         entry.content.length != place->length)) {
        status = damaged(journal, place->segment, place->offset, "read back differs");
    }
    if (status == STATUS_OK) {
        memmove(entry_bytes, entry.content.at, place->length);
        target->length += place->length;
    }
    return status;
}

uint32_t journal_segment_count(const struct journal *journal)
{
    return journal->header.number;
}

static enum status walk_all(struct scan *scan, journal_visit *visit, void *context,
                            struct journal_place *place)
{
    struct segment_header header = {.number = 0};
    enum status status = scan_first(scan, 1);
    if (status == STATUS_OK && !segment_is_zero(buffer_bytes(&scan->current))) {
        // The first header says whose log it is; all others must agree.
        status = segment_header_decode(&header, buffer_bytes(&scan->current));
    }
    while (status == STATUS_OK) {
        struct bytes file = buffer_bytes(&scan->current);
        struct outline outline;
        *place = (struct journal_place){.segment = scan->number};
        header.number = scan->number;
        enum status outlined = segment_outline(&outline, file, &header);
        // What lies before the damage is whole: the damaged record is named by its own place.
        status = visit_records(file, scan->number, outline.end, visit, context, place);
        if (status != STATUS_OK) {
            break;
        }
        if (outlined != STATUS_OK) {
            place->offset = (uint32_t)outline.end;
            return outlined;
        }
        bool is_sealed = outline.mark_end == outline.end && outline.end > 0;
        if (!outline.is_clean || (!scan->is_last && !is_sealed)) {
            place->offset = (uint32_t)outline.end;
            return STATUS_DAMAGED;
        }
        if (scan->is_last) {
            return STATUS_OK;
        }
        place->segment = scan->number + 1;
        place->offset = 0;
        status = scan_advance(scan);
    }
    return status;
}

enum status journal_walk(const struct disk *disk, journal_visit *visit, void *context,
                         struct journal_place *place)
{
    struct scan scan = {.disk = disk};
    *place = (struct journal_place){.segment = 1};
    enum status status = walk_all(&scan, visit, context, place);
    scan_release(&scan);
    return status;
}
