/* src/lsm/compaction.c */
#include "lsm/compaction.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "capsule/seal.h"
#include "lsm/block.h"
#include "lsm/table_index.h"

/*
 * One input. Of tables, it holds the index of the one that it reads, the block, and those behind it
 * that came already; the head is its next entry, whose value lies in the block.
 */
struct run {
    struct table *tables;  // copies; none: a source
    uint32_t table_count;
    uint32_t table;             // the one being read
    struct table_index *index;  // of it; NULL: needed
    uint32_t block;             // the one being read
    // Of it, and of those behind it in this table; NULL: not here.
    struct block *contents[COMPACTION_AHEAD];
    uint32_t place;  // of the head in it
    struct compaction_source source;
    struct entry head;
    uint8_t key[TUPLE_KEY_BYTES_MAX];  // the head's
    bool has_head;
    bool has_ended;
};

struct compaction {
    struct compaction_config config;
    struct run **runs;
    uint32_t run_count;
    struct table_builder *builder;
    bool is_finishing;  // the builder's table has all its entries
    struct table *tables;
    uint32_t table_count;
    struct compaction_counters counters;
};

static void release_table(struct table *table)
{
    void *keys = (void *)(uintptr_t)table->first_key.at;
    buffer_wipe(keys, table->first_key.length + table->last_key.length);
    free(keys);
    *table = (struct table){.level = 0};
}

/* A copy whose keys are its own, one behind the other. */
static enum status copy_table(struct table *target, const struct table *source)
{
    struct bytes first = source->first_key, last = source->last_key;
    uint8_t *keys = malloc(first.length + last.length);
    if (keys == NULL) {
        return STATUS_NO_MEMORY;
    }
    memcpy(keys, first.at, first.length);
    memcpy(keys + first.length, last.at, last.length);
    *target = *source;
    target->first_key = bytes_of(keys, first.length);
    target->last_key = bytes_of(keys + first.length, last.length);
    return STATUS_OK;
}

static void run_free(struct run *run)
{
    if (run == NULL) {
        return;
    }
    for (uint32_t i = 0; i < run->table_count; i++) {
        release_table(&run->tables[i]);
    }
    free(run->tables);
    table_index_free(run->index);
    for (uint32_t i = 0; i < COMPACTION_AHEAD; i++) {
        block_free(run->contents[i]);
    }
    buffer_wipe(run, sizeof *run);
    free(run);
}

enum status compaction_new(struct compaction **compaction, const struct compaction_config *config)
{
    *compaction = NULL;
    struct compaction *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    made->config = *config;
    if (config->target_level == 0 && config->builder.block_bytes == 0) {
        made->config.builder.block_bytes = TABLE_FLUSH_BLOCK_BYTES;
    }
    enum status status = table_builder_new(&made->builder, &made->config.builder);
    if (status != STATUS_OK) {
        free(made);
        return status;
    }
    *compaction = made;
    return STATUS_OK;
}

void compaction_free(struct compaction *compaction)
{
    if (compaction == NULL) {
        return;
    }
    for (uint32_t i = 0; i < compaction->run_count; i++) {
        run_free(compaction->runs[i]);
    }
    free(compaction->runs);
    for (uint32_t i = 0; i < compaction->table_count; i++) {
        release_table(&compaction->tables[i]);
    }
    free(compaction->tables);
    table_builder_free(compaction->builder);
    free(compaction);
}

/* Takes over the run. */
static enum status add_run(struct compaction *compaction, struct run *run)
{
    size_t bytes = (compaction->run_count + 1) * sizeof(struct run *);
    struct run **runs = realloc(compaction->runs, bytes);
    if (runs == NULL) {
        run_free(run);
        return STATUS_NO_MEMORY;
    }
    runs[compaction->run_count++] = run;
    compaction->runs = runs;
    return STATUS_OK;
}

enum status compaction_add_run(struct compaction *compaction, const struct table *tables,
                               uint32_t table_count)
{
    CHECK(table_count > 0);
    struct run *run = calloc(1, sizeof *run);
    if (run == NULL) {
        return STATUS_NO_MEMORY;
    }
    run->tables = calloc(table_count, sizeof *run->tables);
    enum status status = run->tables != NULL ? STATUS_OK : STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < table_count && status == STATUS_OK; i++) {
        status = copy_table(&run->tables[i], &tables[i]);
        run->table_count += status == STATUS_OK;
    }
    if (status != STATUS_OK) {
        run_free(run);
        return status;
    }
    return add_run(compaction, run);
}

enum status compaction_add_source(struct compaction *compaction,
                                  const struct compaction_source *source)
{
    struct run *run = calloc(1, sizeof *run);
    if (run == NULL) {
        return STATUS_NO_MEMORY;
    }
    run->source = *source;
    return add_run(compaction, run);
}

/* Whether `next` goes on in the run of the table before it. */
static bool is_same_run(const struct table *table, const struct table *next)
{
    return next->level == table->level && next->run == table->run;
}

enum status compaction_add_plan(struct compaction *compaction, const struct manifest *manifest,
                                const struct plan *plan)
{
    struct table *tables = calloc(plan->input_count, sizeof *tables);
    if (tables == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < plan->input_count; i++) {
        tables[i] = manifest->tables[plan->inputs[i]];
    }
    enum status status = STATUS_OK;
    uint32_t begin = 0;
    for (uint32_t end = 1; end <= plan->input_count && status == STATUS_OK; end++) {
        if (end == plan->input_count || !is_same_run(&tables[end - 1], &tables[end])) {
            status = compaction_add_run(compaction, &tables[begin], end - begin);
            begin = end;
        }
    }
    free(tables);
    return status;
}

/* ---- inputs ---- */

static void set_head(struct run *run, const struct entry *entry, struct bytes key)
{
    run->head = *entry;
    run->head.tuple.key = key;
    run->has_head = true;
}

static enum status fill_from_source(struct run *run)
{
    struct entry entry;
    enum status status = run->source.next(run->source.context, &entry);
    if (status == STATUS_EMPTY) {
        run->has_ended = true;
        return STATUS_OK;
    }
    if (status != STATUS_OK) {
        return status;
    }
    CHECK(entry_is_sound(&entry));
    memcpy(run->key, entry.tuple.key.at, entry.tuple.key.length);
    set_head(run, &entry, bytes_of(run->key, entry.tuple.key.length));
    return STATUS_OK;
}

/* STATUS_GAP: something is needed first. */
static enum status fill_from_tables(struct run *run)
{
    if (run->table == run->table_count) {
        run->has_ended = true;
        return STATUS_OK;
    }
    const struct block *content = run->contents[0];
    if (content == NULL) {
        return STATUS_GAP;
    }
    struct entry entry;
    block_entry_at(content, run->place, &entry);
    struct block_key key = block_key_at(content, run->place);
    set_head(run, &entry, block_key_copy(&key, run->key));
    return STATUS_OK;
}

static enum status fill_heads(struct compaction *compaction)
{
    enum status result = STATUS_OK;
    for (uint32_t i = 0; i < compaction->run_count; i++) {
        struct run *run = compaction->runs[i];
        if (run->has_head || run->has_ended) {
            continue;
        }
        enum status status = run->tables != NULL ? fill_from_tables(run) : fill_from_source(run);
        // Gaps last: the caller hears of them when nothing else stands in the way.
        if (status != STATUS_OK && (result == STATUS_OK || result == STATUS_GAP)) {
            result = status;
        }
        if (run->has_head && run->head.tuple.lamport > compaction->config.floor) {
            return STATUS_MALFORMED;
        }
    }
    return result;
}

/* The block was read: go on with the next one. */
static void leave_block(struct run *run)
{
    block_free(run->contents[0]);
    memmove(&run->contents[0], &run->contents[1], sizeof run->contents - sizeof run->contents[0]);
    run->contents[COMPACTION_AHEAD - 1] = NULL;
    run->place = 0;
    run->block++;
    if (run->block == table_index_count(run->index)) {
        table_index_free(run->index);
        run->index = NULL;
        run->block = 0;
        run->table++;
    }
}

static void drop_head(struct compaction *compaction, struct run *run)
{
    run->has_head = false;
    compaction->counters.entries_read++;
    if (run->tables != NULL && ++run->place == block_count(run->contents[0])) {
        leave_block(run);
    }
}

/* Whether the run cannot go on. */
static bool run_waits(const struct run *run)
{
    return run->tables != NULL && !run->has_ended && run->contents[0] == NULL &&
           run->table < run->table_count;
}

/* How many records it may take at once. */
static uint32_t run_window(const struct run *run)
{
    if (run->index == NULL) {
        return 1;
    }
    uint32_t left = table_index_count(run->index) - run->block;
    return left < COMPACTION_AHEAD ? left : COMPACTION_AHEAD;
}

/* One of them. False: it is here. */
static bool run_need(const struct run *run, uint32_t nth, struct block_ref *ref)
{
    if (run->contents[nth] != NULL) {
        return false;
    }
    *ref = run->index == NULL ? run->tables[run->table].index
                              : table_index_ref(run->index, run->block + nth);
    return true;
}

uint32_t compaction_need(const struct compaction *compaction, struct block_ref *refs,
                         uint32_t count)
{
    uint32_t found = 0;
    // What every run waits for comes before what any of them will need later.
    for (uint32_t nth = 0; nth < COMPACTION_AHEAD; nth++) {
        for (uint32_t i = 0; i < compaction->run_count && found < count; i++) {
            const struct run *run = compaction->runs[i];
            found += run_waits(run) && nth < run_window(run) && run_need(run, nth, &refs[found]);
        }
    }
    return found;
}

static enum status take_plain(struct run *run, uint32_t nth, struct buffer *plain)
{
    if (run->index == NULL) {
        return table_index_decode(&run->index, &run->tables[run->table], buffer_bytes(plain));
    }
    struct block *content;
    enum status status = block_decode(&content, plain);
    if (status == STATUS_OK) {
        status = table_index_verify(run->index, run->block + nth, content);
        if (status != STATUS_OK) {
            block_free(content);
            return status;
        }
        run->contents[nth] = content;
    }
    return status;
}

/* What the record is to the run. False: nothing that it lacks. */
static bool run_find(const struct run *run, const struct record *record, struct block_ref *ref,
                     uint32_t *nth)
{
    if (run->tables == NULL || run->has_ended || run->table == run->table_count) {
        return false;
    }
    uint32_t window = run_window(run);
    for (uint32_t i = 0; i < window; i++) {
        if (run_need(run, i, ref) && ref->sequence == record->sequence &&
            writer_id_equal(&ref->writer, &record->writer)) {
            *nth = i;
            return true;
        }
    }
    return false;
}

enum status compaction_supply(struct compaction *compaction, const struct record *record,
                              struct aead_key *body_key)
{
    struct run *run = NULL;
    struct block_ref ref;
    uint32_t nth = 0;
    for (uint32_t i = 0; i < compaction->run_count && run == NULL; i++) {
        if (run_find(compaction->runs[i], record, &ref, &nth)) {
            run = compaction->runs[i];
        }
    }
    if (run == NULL) {
        return STATUS_STALE;
    }
    if (!hash_equal(&ref.hash, &record->hash) || record->type != RECORD_TABLE) {
        return STATUS_FORGED;
    }
    struct buffer plain = BUFFER_EMPTY;
    enum status status = seal_open(&plain, record, body_key);
    if (status == STATUS_OK) {
        status = take_plain(run, nth, &plain);
        compaction->counters.bytes_read += record->whole.length;
    }
    buffer_release(&plain);
    return status;
}

/* ---- the merge ---- */

/* The run whose head comes next: of the lowest key the highest version. NULL: all have ended. */
static struct run *next_run(const struct compaction *compaction)
{
    struct run *next = NULL;
    for (uint32_t i = 0; i < compaction->run_count; i++) {
        struct run *run = compaction->runs[i];
        if (!run->has_head) {
            continue;
        }
        int order = next == NULL ? -1 : bytes_compare(run->head.tuple.key, next->head.tuple.key);
        if (order < 0 || (order == 0 && entry_is_newer(&run->head, &next->head))) {
            next = run;
        }
    }
    return next;
}

static struct entry judged(const struct compaction *compaction, const struct entry *entry)
{
    struct entry result = *entry;
    uint64_t expiry_ms = entry->tuple.expiry_ms;
    if (expiry_ms != 0 && expiry_ms <= compaction->config.builder.now_ms) {
        result.tuple.kind = TUPLE_DELETE;
        result.tuple.expiry_ms = 0;
        result.tuple.value = bytes_of(NULL, 0);
    }
    return result;
}

/* The head of `winner` was dealt with; the others' entries of that key have lost. */
static void drop_key(struct compaction *compaction, struct run *winner)
{
    for (uint32_t i = 0; i < compaction->run_count; i++) {
        struct run *run = compaction->runs[i];
        if (run != winner && run->has_head &&
            bytes_equal(run->head.tuple.key, winner->head.tuple.key)) {
            drop_head(compaction, run);
        }
    }
    drop_head(compaction, winner);
}

static enum status finish_table(struct compaction *compaction)
{
    enum status status = table_builder_finish(compaction->builder);
    compaction->is_finishing = status == STATUS_OK;
    return status;
}

/* Merge one key. STATUS_EMPTY: there is none left. */
static enum status merge_key(struct compaction *compaction)
{
    struct run *winner = next_run(compaction);
    if (winner == NULL) {
        return table_builder_is_empty(compaction->builder) ? STATUS_EMPTY
                                                           : finish_table(compaction);
    }
    struct entry entry = judged(compaction, &winner->head);
    if (entry.tuple.kind != TUPLE_DELETE || !compaction->config.drops_deletes) {
        enum status status = table_builder_add(compaction->builder, &entry);
        struct bytes body;
        if (status == STATUS_FULL && table_builder_body(compaction->builder, &body) != STATUS_OK) {
            return finish_table(compaction);
        }
        if (status != STATUS_OK) {
            return status;
        }
        compaction->counters.entries_written++;
    }
    drop_key(compaction, winner);
    return STATUS_OK;
}

static enum status collect_table(struct compaction *compaction)
{
    size_t bytes = (compaction->table_count + 1) * sizeof *compaction->tables;
    struct table *tables = realloc(compaction->tables, bytes);
    if (tables == NULL) {
        return STATUS_NO_MEMORY;
    }
    compaction->tables = tables;
    struct table result = table_builder_result(compaction->builder);
    struct table *table = &tables[compaction->table_count];
    enum status status = copy_table(table, &result);
    if (status == STATUS_OK) {
        table->level = compaction->config.target_level;
        table->run = table->level == 0 ? compaction->config.run : 0;
        compaction->table_count++;
        compaction->is_finishing = false;
    }
    return status;
}

enum status compaction_step(struct compaction *compaction, uint32_t entry_count_max)
{
    struct bytes body;
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < entry_count_max && status == STATUS_OK; i++) {
        if (table_builder_body(compaction->builder, &body) == STATUS_OK) {
            return STATUS_FULL;
        }
        if (compaction->is_finishing) {
            status = collect_table(compaction);
        }
        if (status == STATUS_OK) {
            status = fill_heads(compaction);
        }
        if (status == STATUS_OK) {
            status = merge_key(compaction);
        }
    }
    return status;
}

struct bytes compaction_body(const struct compaction *compaction)
{
    struct bytes body;
    CHECK(table_builder_body(compaction->builder, &body) == STATUS_OK);
    return body;
}

enum status compaction_sealed(struct compaction *compaction, const struct block_ref *ref)
{
    enum status status = table_builder_sealed(compaction->builder, ref);
    if (status == STATUS_OK) {
        compaction->counters.bytes_written += ref->record_bytes;
    }
    return status;
}

const struct table *compaction_tables(const struct compaction *compaction, uint32_t *count)
{
    *count = compaction->table_count;
    return compaction->tables;
}

void compaction_count(const struct compaction *compaction, struct compaction_counters *counters)
{
    *counters = compaction->counters;
}
