/* src/scl/compactor.c */
#include "scl/compactor.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "capsule/prune.h"
#include "lsm/compaction.h"
#include "scl/scl_internal.h"

/*
 *   IDLE ──begin_flush(), begin_merge()──► MERGING ◄──sealed──► SEALING a TABLE
 *     ▲                                       │ finish_job()
 *     └──a SYNC names it── NAMING ◄──sealed── ENDING: the MANIFEST is being sealed
 */
enum compactor_stage {
    COMPACTOR_IDLE,
    COMPACTOR_MERGING,
    COMPACTOR_SEALING,
    COMPACTOR_ENDING,
    COMPACTOR_NAMING,
};

enum {
    STEP_ENTRIES = 512,               // merged before others have their turn
    NEED_MAX = 32,                    // blocks asked for at once
    UNRECEIPTED_BYTES_MAX = 8 << 20,  // under way to the stores: then it waits for receipts
    REPEAT_US = 1000 * 1000,          // the leader may not have heard of the MANIFEST
    WAIT_US = 50 * 1000,
    TAIL_FLUSHES = 2,  // so many times flush_bytes of log are worth a flush, whatever has won
    TAIL_RECORDS_PER_MEMBER = 128,  // to look for a leader of before takes as long as to read these
};

/* The memtable's entries that a flush takes, in key order, each copied. */
struct source {
    struct memtable *memtable;
    struct memtable_reader *reader;
    uint64_t floor;   // up to here
    uint64_t before;  // what lies at or below it is in tables already
    struct buffer key;
    struct buffer value;
    bool has_begun;
};

/* Records of a compactor's that are in use, both ends included. */
struct kept {
    struct writer_id writer;
    uint64_t from;
    uint64_t to;
};

struct compactor {
    struct compactor_config config;
    struct scl *scl;
    uint64_t empty_bytes;    // of a memtable that holds nothing
    uint64_t flushed_bytes;  // scl->marked_bytes when the last flush began
    uint64_t flushed_tail;   // log_length() then

    enum compactor_stage stage;
    struct compaction *compaction;
    struct source source;
    struct plan plan;  // of a merge
    bool is_flush;
    uint64_t floor;
    uint64_t time_ms;
    struct hash predecessor;
    struct manifest_cover *covers;
    uint32_t cover_count;
    struct table moved;   // of a plan that moves
    struct buffer plain;  // of the MANIFEST
    struct block_ref manifest;
    uint64_t told_us;     // the leader, last
    struct kept *before;  // what the MANIFEST before the one in effect needs
    uint32_t before_count;
    bool has_prune;  // nobody has been told yet what the one in effect has made dispensable
    enum status trouble;

    struct compactor_counters counters;
};

// ---- what a flush takes ----

static enum status source_keep(struct source *source, const struct memtable_entry *found,
                               struct entry *entry)
{
    buffer_clear(&source->value);
    enum status status = buffer_append(&source->value, found->value.at, found->value.length);
    if (status == STATUS_OK) {
        *entry = (struct entry){
            .tuple = {.kind = found->is_tombstone ? TUPLE_DELETE : TUPLE_PUT,
                      .lamport = found->version.lamport,
                      .expiry_ms = found->is_tombstone ? 0 : found->expiry_ms,
                      .key = buffer_bytes(&source->key),
                      .value = buffer_bytes(&source->value)},
            .writer = found->version.writer,
        };
    }
    return status;
}

static enum status source_next(void *context, struct entry *entry)
{
    struct source *source = context;
    enum status status = STATUS_OK;
    bool is_taken = false;
    while (status == STATUS_OK && !is_taken) {
        struct memtable_entry found;
        memtable_reader_begin(source->reader);
        status =
            memtable_seek(source->reader, buffer_bytes(&source->key), source->has_begun, &found);
        if (status == STATUS_OK) {
            buffer_clear(&source->key);
            status = buffer_append(&source->key, found.key.at, found.key.length);
            source->has_begun = true;
        }
        is_taken = status == STATUS_OK && found.version.lamport <= source->floor &&
                   found.version.lamport > source->before;
        if (is_taken) {
            status = source_keep(source, &found, entry);
        }
        memtable_reader_end(source->reader);
    }
    return status == STATUS_NOT_FOUND ? STATUS_EMPTY : status;
}

// ---- what a MANIFEST covers ----

static int compare_covers(const void *a, const void *b)
{
    const struct manifest_cover *left = a, *right = b;
    return writer_id_compare(&left->writer, &right->writer);
}

/* The last record of a worker's branch up to which all tuples lie at or below the floor. */
static uint64_t cover_of(const struct compactor *compactor, size_t index)
{
    const struct scl *scl = compactor->scl;
    const struct capsule_member *member = capsule_member_at(scl->capsule, index);
    const struct scl_peer *peer = &scl->peers[index];
    uint64_t before = manifest_covered(tree_manifest(scl->cold.tree), &member->id);
    uint64_t cover = member->head.sequence;
    for (size_t i = 0; i < peer->mark_count; i++) {
        if (peer->marks[i].lamport > compactor->floor) {
            cover = peer->marks[i].sequence - 1;
            break;
        }
    }
    return cover > before ? cover : before;
}

static enum status collect_covers(struct compactor *compactor)
{
    const struct scl *scl = compactor->scl;
    free(compactor->covers);
    compactor->cover_count = 0;
    compactor->covers = calloc(scl->peer_count + 1, sizeof *compactor->covers);
    if (compactor->covers == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (size_t i = 0; i < scl->peer_count; i++) {
        const struct capsule_member *member = capsule_member_at(scl->capsule, i);
        uint64_t sequence = member->role == MEMBER_WORKER ? cover_of(compactor, i) : 0;
        if (sequence > 0) {
            compactor->covers[compactor->cover_count++] =
                (struct manifest_cover){.writer = member->id, .sequence = sequence};
        }
    }
    if (compactor->cover_count > 1) {
        qsort(compactor->covers, compactor->cover_count, sizeof *compactor->covers, compare_covers);
    }
    return STATUS_OK;
}

/* What the tables cover need not be counted any more. */
static void drop_marks(struct scl *scl)
{
    for (size_t i = 0; i < scl->peer_count; i++) {
        struct scl_peer *peer = &scl->peers[i];
        const struct capsule_member *member = capsule_member_at(scl->capsule, i);
        uint64_t covered = manifest_covered(tree_manifest(scl->cold.tree), &member->id);
        size_t dropped = 0;
        while (dropped < peer->mark_count && peer->marks[dropped].sequence <= covered) {
            dropped++;
        }
        peer->mark_count -= dropped;
        if (peer->mark_count > 0) {
            memmove(peer->marks, peer->marks + dropped, peer->mark_count * sizeof *peer->marks);
        }
    }
}

// ---- what need not be kept any more ----

static int compare_kept(const void *a, const void *b)
{
    const struct kept *left = a, *right = b;
    int order = writer_id_compare(&left->writer, &right->writer);
    return order != 0 ? order : (left->from > right->from) - (left->from < right->from);
}

/* The tables of a manifest, and the record that it is itself. Returns how many. */
static uint32_t keep_manifest(struct kept *kept, const struct manifest *manifest,
                              const struct branch_head *itself)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < manifest->table_count; i++) {
        const struct table *table = &manifest->tables[i];
        kept[count++] = (struct kept){.writer = table->index.writer,
                                      .from = table->first_sequence,
                                      .to = table->index.sequence};
    }
    if (itself->head.sequence > 0) {
        kept[count++] = (struct kept){
            .writer = itself->writer, .from = itself->head.sequence, .to = itself->head.sequence};
    }
    return count;
}

/* Before a job: what the MANIFEST in effect needs, for when its successor is. */
static enum status remember_before(struct compactor *compactor)
{
    const struct scl *scl = compactor->scl;
    const struct manifest *manifest = tree_manifest(scl->cold.tree);
    struct kept *kept = realloc(compactor->before, (manifest->table_count + 1u) * sizeof *kept);
    if (kept == NULL) {
        return STATUS_NO_MEMORY;
    }
    compactor->before = kept;
    compactor->before_count = keep_manifest(kept, manifest, &scl->cold.named);
    return STATUS_OK;
}

/* Of `range`, what is not pruned yet. False: nothing. */
static bool is_left(const struct capsule *capsule, struct prune_range *range)
{
    if (range->from > range->to) {
        return false;
    }
    range->from = capsule_pruned_end(capsule, &range->writer, range->from) + 1;
    return range->from <= range->to;
}

/* A compactor's branch up to `end`, but for what is kept. */
static uint32_t free_between(const struct capsule *capsule, const struct writer_id *writer,
                             uint64_t end, const struct kept *kept, uint32_t kept_count,
                             struct prune_range *ranges)
{
    uint32_t count = 0;
    uint64_t next = 1;
    for (uint32_t i = 0; i <= kept_count; i++) {
        bool is_last = i == kept_count;
        if (!is_last && !writer_id_equal(&kept[i].writer, writer)) {
            continue;
        }
        struct prune_range range = {
            .writer = *writer, .from = next, .to = is_last ? end : kept[i].from - 1};
        range.to = range.to < end ? range.to : end;
        if (is_left(capsule, &range)) {
            ranges[count++] = range;
        }
        next = !is_last && kept[i].to >= next ? kept[i].to + 1 : next;
    }
    return count;
}

static int compare_ranges(const void *a, const void *b)
{
    const struct prune_range *left = a, *right = b;
    int order = writer_id_compare(&left->writer, &right->writer);
    return order != 0 ? order : (left->from > right->from) - (left->from < right->from);
}

/*
 * All that may go, in order. Of an open branch of another compactor's nobody knows what it is for.
 */
static uint32_t collect_ranges(const struct compactor *compactor, const struct kept *kept,
                               uint32_t kept_count, struct prune_range *ranges, uint32_t count_max)
{
    const struct scl *scl = compactor->scl;
    const struct manifest *manifest = tree_manifest(scl->cold.tree);
    uint32_t count = 0;
    for (uint32_t i = 0; i < manifest->cover_count && count < count_max; i++) {
        struct manifest_cover cover = manifest_cover_at(manifest, i);
        struct prune_range range = {.writer = cover.writer, .from = 1, .to = cover.sequence};
        if (is_left(scl->capsule, &range)) {
            ranges[count++] = range;
        }
    }
    for (size_t i = 0; i < scl->peer_count; i++) {
        const struct capsule_member *member = capsule_member_at(scl->capsule, i);
        bool is_own = writer_id_equal(&member->id, &scl->id);
        uint64_t end = is_own ? compactor->manifest.sequence - 1
                              : (member->is_closed ? member->cut.sequence : 0);
        if (member->role == MEMBER_COMPACTOR && end > 0 && count + kept_count + 1 <= count_max) {
            count += free_between(scl->capsule, &member->id, end, kept, kept_count, ranges + count);
        }
    }
    if (count > 1) {
        qsort(ranges, count, sizeof *ranges, compare_ranges);
    }
    return count;
}

enum status compactor_prune(struct compactor *compactor, struct buffer *body)
{
    const struct scl *scl = compactor->scl;
    if (!compactor->has_prune) {
        return STATUS_EMPTY;
    }
    const struct manifest *manifest = tree_manifest(scl->cold.tree);
    struct kept *kept =
        calloc((size_t)manifest->table_count + 1 + compactor->before_count, sizeof *kept);
    struct prune_range *ranges = calloc(PRUNE_RANGES_MAX, sizeof *ranges);
    enum status status = STATUS_NO_MEMORY;
    if (kept != NULL && ranges != NULL) {
        uint32_t kept_count = keep_manifest(kept, manifest, &scl->cold.named);
        for (uint32_t i = 0; i < compactor->before_count; i++) {
            kept[kept_count++] = compactor->before[i];
        }
        qsort(kept, kept_count, sizeof *kept, compare_kept);
        const struct prune_body prune = {
            .manifest = scl->cold.named,
            .range_count = collect_ranges(compactor, kept, kept_count, ranges, PRUNE_RANGES_MAX),
        };
        buffer_clear(body);
        status = prune.range_count == 0 ? STATUS_EMPTY : prune_encode(body, &prune, ranges);
    }
    compactor->has_prune = status == STATUS_NO_MEMORY;
    free(kept);
    free(ranges);
    return status;
}

// ---- a job ----

static void job_release(struct compactor *compactor)
{
    compaction_free(compactor->compaction);
    compactor->compaction = NULL;
    plan_release(&compactor->plan);
    compactor->plan = (struct plan){.inputs = NULL};
    free(compactor->covers);
    compactor->covers = NULL;
    compactor->cover_count = 0;
}

static enum status job_begin(struct compactor *compactor, uint8_t target_level, bool drops_deletes)
{
    struct scl *scl = compactor->scl;
    const struct scl_key *key = scl_key_own(scl);
    CHECK(key != NULL);  // it is ready, so it has been granted
    const struct compaction_config config = {
        .builder =
            {
                .filter_key = table_filter_key(key->secret, capsule_name(scl->capsule)),
                .block_bytes = compactor->config.block_bytes,
                .table_bytes = compactor->config.table_bytes,
                .now_ms = scl_time_ms(scl),
            },
        .target_level = target_level,
        .run = target_level == 0 ? compactor->floor : 0,
        .floor = compactor->floor,
        .drops_deletes = drops_deletes,
    };
    compactor->predecessor = tree_manifest_hash(scl->cold.tree);
    enum status status = remember_before(compactor);
    if (status != STATUS_OK) {
        return status;
    }
    return compaction_new(&compactor->compaction, &config);
}

/* What was read since this enclave began, from a MANIFEST if there was one: in records. */
static uint64_t log_length(const struct scl *scl)
{
    uint64_t members = capsule_member_count(scl->capsule) - scl->start.member_count;
    return scl->counters.records_applied + TAIL_RECORDS_PER_MEMBER * members;
}

static enum status begin_flush(struct compactor *compactor)
{
    struct scl *scl = compactor->scl;
    const struct manifest *manifest = tree_manifest(scl->cold.tree);
    compactor->is_flush = true;
    compactor->flushed_bytes = scl->marked_bytes;
    compactor->flushed_tail = log_length(scl);
    compactor->floor = scl->joined_floor;
    compactor->time_ms = scl_time_ms(scl);
    struct source *source = &compactor->source;
    source->floor = compactor->floor;
    source->before = manifest->floor;
    source->has_begun = false;
    buffer_clear(&source->key);
    const struct compaction_source given = {.next = source_next, .context = source};

    enum status status = collect_covers(compactor);
    if (status == STATUS_OK) {
        // With no table below, nothing older can come back.
        status = job_begin(compactor, 0, manifest->table_count == 0);
    }
    if (status == STATUS_OK) {
        status = compaction_add_source(compactor->compaction, &given);
    }
    if (status == STATUS_OK) {
        compactor->stage = COMPACTOR_MERGING;
    }
    return status;
}

static enum status copy_covers(struct compactor *compactor, const struct manifest *manifest)
{
    compactor->covers = calloc(manifest->cover_count + 1u, sizeof *compactor->covers);
    if (compactor->covers == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < manifest->cover_count; i++) {
        compactor->covers[i] = manifest_cover_at(manifest, i);
    }
    compactor->cover_count = manifest->cover_count;
    return STATUS_OK;
}

/* STATUS_EMPTY: the plan asks for nothing. */
static enum status begin_merge(struct compactor *compactor)
{
    const struct manifest *manifest = tree_manifest(compactor->scl->cold.tree);
    struct plan *plan = &compactor->plan;
    enum status status =
        plan_make(plan, manifest, &compactor->config.plan, scl_time_ms(compactor->scl));
    if (status != STATUS_OK) {
        return status;
    }
    compactor->is_flush = false;
    compactor->floor = manifest->floor;
    compactor->time_ms = manifest->time_ms;
    status = copy_covers(compactor, manifest);
    if (status == STATUS_OK) {
        status = job_begin(compactor, plan->target_level, plan->drops_deletes);
    }
    if (status == STATUS_OK && !plan->is_move) {
        status = compaction_add_plan(compactor->compaction, manifest, plan);
    }
    if (status == STATUS_OK) {
        compactor->stage = COMPACTOR_MERGING;
    }
    return status;
}

/* Whether a MANIFEST of now would let others begin later in the log than the one in effect. */
static bool is_later_start(const struct compactor *compactor)
{
    const struct scl *scl = compactor->scl;
    struct bytes now = scl_snapshot_for(scl, scl->joined_floor);
    struct bytes before = tree_manifest(scl->cold.tree)->snapshot;
    return now.length > 0 &&
           (now.length != before.length || memcmp(now.at, before.at, now.length) != 0);
}

/*
 * Enough has won, or the log has grown so much: whoever begins reads all of it that tables do not
 * cover, also where a few keys were written over and over, where records are small and many, and
 * where leaders came and went and nobody wrote.
 */
static bool is_worth_a_flush(const struct compactor *compactor)
{
    const struct scl *scl = compactor->scl;
    uint64_t won_bytes = memtable_bytes(scl->memtable) - compactor->empty_bytes;
    uint64_t tail_bytes = scl->marked_bytes - compactor->flushed_bytes;
    uint64_t tail_records = log_length(scl) - compactor->flushed_tail;
    if (scl->joined_floor >= tree_floor(scl->cold.tree) &&
        tail_records >= compactor->config.tail_records && is_later_start(compactor)) {
        return true;
    }
    return scl->joined_floor > tree_floor(scl->cold.tree) &&
           (won_bytes >= compactor->config.flush_bytes ||
            (won_bytes > 0 && tail_bytes >= TAIL_FLUSHES * compactor->config.flush_bytes));
}

static enum status begin_job(struct compactor *compactor)
{
    struct scl *scl = compactor->scl;
    // Always from the MANIFEST in effect; and only what is evicted already is not flushed again.
    const struct capsule_sync *joined = capsule_sync_find(scl->capsule, &scl->joined);
    if (!scl->was_ready || scl->key_count == 0 || !scl_cold_is_current(scl) || joined == NULL ||
        !scl_tag_is_applied(scl, &joined->leader, joined->sequence)) {
        return STATUS_EMPTY;
    }
    drop_marks(scl);
    scl_cold_evict(scl, UINT32_MAX);
    enum status status =
        is_worth_a_flush(compactor) ? begin_flush(compactor) : begin_merge(compactor);
    if (status != STATUS_OK) {
        job_release(compactor);
    }
    return status;
}

/* The tables are written: seal the MANIFEST that names them. */
static enum status finish_job(struct compactor *compactor)
{
    const struct manifest *manifest = tree_manifest(compactor->scl->cold.tree);
    struct manifest_change change = {
        .floor = compactor->floor,
        .time_ms = compactor->time_ms < manifest->time_ms ? manifest->time_ms : compactor->time_ms,
        .predecessor = compactor->predecessor,
        .covers = compactor->covers,
        .cover_count = compactor->cover_count,
        .removed = compactor->plan.inputs,
        .removed_count = compactor->plan.input_count,
    };
    if (compactor->plan.is_move) {
        compactor->moved = manifest->tables[compactor->plan.inputs[0]];
        compactor->moved.level = compactor->plan.target_level;
        compactor->moved.run = 0;
        change.added = &compactor->moved;
        change.added_count = 1;
    } else {
        change.added = compaction_tables(compactor->compaction, &change.added_count);
    }
    change.snapshot = scl_snapshot_for(compactor->scl, compactor->floor);
    if (change.snapshot.length == 0) {
        change.snapshot = manifest->snapshot;
    }
    buffer_clear(&compactor->plain);
    enum status status = manifest_succeed(&compactor->plain, manifest, &change);
    if (status == STATUS_OK) {
        scl_seal_block(compactor->scl, RECORD_MANIFEST, buffer_bytes(&compactor->plain));
        compactor->stage = COMPACTOR_ENDING;
    }
    return status;
}

static void note_job(struct compactor *compactor)
{
    struct compaction_counters counters;
    compaction_count(compactor->compaction, &counters);
    compactor->counters.flushes += compactor->is_flush;
    compactor->counters.merges += !compactor->is_flush;
    compactor->counters.entries_written += counters.entries_written;
    compactor->counters.bytes_written += counters.bytes_written;
    compactor->counters.bytes_read += counters.bytes_read;
    log_event(compactor->config.log,
              "%s finished floor=%" PRIu64 " entries=%" PRIu64 " bytes=%" PRIu64,
              compactor->is_flush ? "flush" : "merge", compactor->floor, counters.entries_written,
              counters.bytes_written);
}

// ---- step by step ----

static enum status ask_for_blocks(struct compactor *compactor, uint64_t now_us)
{
    struct block_ref refs[NEED_MAX];
    uint32_t count = compaction_need(compactor->compaction, refs, NEED_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (scl_cold_fetch(compactor->scl, &refs[i], now_us) != STATUS_OK) {
            break;  // as many as fit; the rest at the next step
        }
    }
    return STATUS_EMPTY;
}

static enum status step_merging(struct compactor *compactor, uint64_t now_us)
{
    if (compactor->plan.is_move) {
        return finish_job(compactor);
    }
    if (compactor->scl->outbox.bytes > UNRECEIPTED_BYTES_MAX) {
        return STATUS_EMPTY;
    }
    enum status status = compaction_step(compactor->compaction, STEP_ENTRIES);
    switch (status) {
    case STATUS_GAP:
        return ask_for_blocks(compactor, now_us);
    case STATUS_FULL:
        scl_seal_block(compactor->scl, RECORD_TABLE, compaction_body(compactor->compaction));
        compactor->stage = COMPACTOR_SEALING;
        return STATUS_OK;
    case STATUS_EMPTY:
        return finish_job(compactor);
    default:
        return status;
    }
}

static enum status step_sealing(struct compactor *compactor)
{
    struct block_ref ref;
    if (!scl_seal_block_is_done(compactor->scl, &ref)) {
        return STATUS_EMPTY;
    }
    compactor->stage = COMPACTOR_MERGING;
    return compaction_sealed(compactor->compaction, &ref);
}

static enum status step_ending(struct compactor *compactor, uint64_t now_us)
{
    if (!scl_seal_block_is_done(compactor->scl, &compactor->manifest)) {
        return STATUS_EMPTY;
    }
    note_job(compactor);
    job_release(compactor);
    compactor->stage = COMPACTOR_NAMING;
    compactor->told_us = now_us;
    return STATUS_OK;
}

/*
 * Until the one in effect is another than that which the job began from: this one, or a later
 * compactor's.
 */
static enum status step_naming(struct compactor *compactor, uint64_t now_us)
{
    struct scl *scl = compactor->scl;
    struct hash installed = tree_manifest_hash(scl->cold.tree);
    if (scl_cold_is_current(scl) && !hash_equal(&installed, &compactor->predecessor)) {
        compactor->has_prune = hash_equal(&installed, &compactor->manifest.hash);
        compactor->stage = COMPACTOR_IDLE;
        return STATUS_OK;
    }
    if (now_us >= compactor->told_us + REPEAT_US) {
        compactor->told_us = now_us;
        scl_seal_tell_manifest(scl);
    }
    return STATUS_EMPTY;
}

enum status compactor_step(struct compactor *compactor, uint64_t now_us, uint64_t *wake_us)
{
    *wake_us = now_us + WAIT_US;
    if (compactor->trouble != STATUS_OK) {
        return compactor->trouble;
    }
    switch (compactor->stage) {
    case COMPACTOR_IDLE: {
        enum status status = begin_job(compactor);
        // Only what is received can change that.
        *wake_us = status == STATUS_EMPTY ? UINT64_MAX : *wake_us;
        return status;
    }
    case COMPACTOR_MERGING:
        return step_merging(compactor, now_us);
    case COMPACTOR_SEALING:
        return step_sealing(compactor);
    case COMPACTOR_ENDING:
        return step_ending(compactor, now_us);
    case COMPACTOR_NAMING:
        return step_naming(compactor, now_us);
    }
    return STATUS_EMPTY;
}

/* A block that was asked for. STATUS_STALE: not by the merge. */
static enum status on_block(void *context, const struct record *record, struct aead_key *key)
{
    struct compactor *compactor = context;
    if (compactor->compaction == NULL) {
        return STATUS_STALE;
    }
    enum status status = compaction_supply(compactor->compaction, record, key);
    if (status == STATUS_MALFORMED || status == STATUS_NO_MEMORY) {
        compactor->trouble = status;
    }
    return status;
}

// ---- the whole ----

enum status compactor_new(struct compactor **compactor, const struct compactor_config *config)
{
    struct compactor *made = calloc(1, sizeof *made);
    *compactor = NULL;
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    CHECK(config->scl->is_compactor);
    made->config = *config;
    if (made->config.flush_bytes == 0) {
        made->config.flush_bytes = COMPACTOR_FLUSH_BYTES;
    }
    if (made->config.tail_records == 0) {
        made->config.tail_records = COMPACTOR_TAIL_RECORDS;
    }
    made->scl = config->scl;
    made->empty_bytes = memtable_bytes(made->scl->memtable);
    made->source.memtable = made->scl->memtable;
    enum status status = memtable_reader_new(&made->source.reader, made->scl->memtable);
    if (status != STATUS_OK) {
        free(made);
        return status;
    }
    made->scl->cold.on_block = on_block;
    made->scl->cold.context = made;
    *compactor = made;
    return STATUS_OK;
}

void compactor_free(struct compactor *compactor)
{
    if (compactor == NULL) {
        return;
    }
    compactor->scl->cold.on_block = NULL;
    job_release(compactor);
    free(compactor->before);
    memtable_reader_free(compactor->source.reader);
    buffer_release(&compactor->source.key);
    buffer_release(&compactor->source.value);
    buffer_release(&compactor->plain);
    free(compactor);
}

void compactor_count(const struct compactor *compactor, struct compactor_counters *counters)
{
    *counters = compactor->counters;
}
