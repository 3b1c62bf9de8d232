/* bench/lsm/federation.c */
#include "bench/lsm/federation.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/check.h"
#include "capsule/capsule.h"
#include "lsm/compaction.h"
#include "lsm/manifest.h"
#include "lsm/plan.h"
#include "lsm/tree.h"
#include "scl/memtable.h"
#include "store/server.h"
#include "tests/support/capsule_world.h"

enum {
    STEP_ENTRIES = 4096,
    NEED_MAX = 32,               // blocks fetched at once
    GROUP_BYTES = 256 << 10,     // of the compactor's: then the store begins
    QUEUED_BYTES_MAX = 4 << 20,  // then the compactor waits for the store
    RUN_COUNT_STOP = 12,         // then puts wait for the compactor
};

/* A memtable that is written, or that is being flushed. */
struct active {
    struct memtable *memtable;
    struct memtable_reader *reader;  // of the compactor's thread
    uint64_t last_lamport;
};

struct federation {
    const struct workload *workload;
    struct capsule_world world;
    struct capsule_world_writer *worker;
    struct capsule_world_writer *compactor;
    char path[300];
    struct disk_posix *posix;
    struct disk disk;
    struct store *store;
    struct server *server;

    // What waits for a commit; with `queue_lock`. A commit itself is made with `store_lock`: by
    // a put, or else by the store's own thread, which the compactor need not wait for.
    pthread_mutex_t queue_lock;
    pthread_cond_t queue_changed;
    pthread_t store_thread;
    bool store_must_work;
    bool store_must_end;
    pthread_mutex_t store_lock;
    struct buffer queue;  // frames, each behind its length
    struct buffer taken;
    uint64_t queued_count;
    uint64_t committed_count;

    // The worker's; a flush takes the memtable away.
    struct tuple_batch batch;
    struct buffer frame;
    struct active active;

    // Between the worker and the compactor's thread; with `lock`.
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    struct active frozen;  // waits to be flushed; no memtable: none
    uint32_t run_count;
    bool merges_all;
    bool has_ended;
    bool is_idle;

    // The compactor's thread's.
    struct buffer plain;
    struct manifest manifest;
    struct buffer compactor_frame;
    uint64_t written_bytes;
    uint64_t put_bytes;
    struct federation_merge_costs merge_costs;
    double store_cpu;  // the store's thread's

    struct tree *tree;
    struct federation_costs costs;
};

static void lock(pthread_mutex_t *mutex)
{
    CHECK(pthread_mutex_lock(mutex) == 0);
}

static void unlock(pthread_mutex_t *mutex)
{
    CHECK(pthread_mutex_unlock(mutex) == 0);
}

/* ---- the store ---- */

static void on_send(void *context, uint64_t client, struct bytes frame)
{
    (void)context;
    (void)client;
    (void)frame;
    CHECK(false && "no record is refused");
}

static void on_broadcast(void *context, struct bytes frame)
{
    (void)context;
    (void)frame;
}

/* With the store's lock: give it all that is queued, and make it durable. */
static void commit(struct federation *f)
{
    lock(&f->queue_lock);
    struct buffer taken = f->taken;
    f->taken = f->queue;
    f->queue = taken;
    uint64_t count = f->queued_count;
    unlock(&f->queue_lock);
    struct cursor in = cursor_over(f->taken.bytes, f->taken.length);
    while (in.left > 0) {
        uint32_t length = cursor_u32(&in);
        CHECK(server_receive(f->server, 1, cursor_bytes(&in, length)) == STATUS_OK);
    }
    CHECK(server_commit(f->server) == STATUS_OK);
    f->taken.length = 0;
    f->committed_count = count;
}

/* Returns the number that committed_count has to reach; `*bytes`: what is queued. */
static uint64_t enqueue(struct federation *f, const struct buffer *frame, size_t *bytes)
{
    uint32_t length = (uint32_t)frame->length;
    lock(&f->queue_lock);
    CHECK(buffer_append(&f->queue, &length, sizeof length) == STATUS_OK);
    CHECK(buffer_append(&f->queue, frame->bytes, frame->length) == STATUS_OK);
    uint64_t number = ++f->queued_count;
    *bytes = f->queue.length;
    unlock(&f->queue_lock);
    return number;
}

static void wake_store(struct federation *f)
{
    lock(&f->queue_lock);
    f->store_must_work = true;
    CHECK(pthread_cond_signal(&f->queue_changed) == 0);
    unlock(&f->queue_lock);
}

static void await_commit(struct federation *f, uint64_t number)
{
    lock(&f->store_lock);
    if (f->committed_count < number) {
        commit(f);
    }
    unlock(&f->store_lock);
}

static void *store_main(void *context)
{
    struct federation *f = context;
    lock(&f->queue_lock);
    while (!f->store_must_end) {
        if (!f->store_must_work) {
            CHECK(pthread_cond_wait(&f->queue_changed, &f->queue_lock) == 0);
            continue;
        }
        f->store_must_work = false;
        uint64_t number = f->queued_count;
        unlock(&f->queue_lock);
        double start = workload_cpu();
        await_commit(f, number);
        f->store_cpu += workload_cpu() - start;
        lock(&f->queue_lock);
    }
    unlock(&f->queue_lock);
    return NULL;
}

/* Append the bytes of one record to `target`. With the store's lock. */
static void fetch_locked(struct federation *f, const struct block_ref *ref, struct buffer *target)
{
    const struct frame_fetch ask = {
        .writer = ref->writer,
        .from = ref->sequence,
        .to = ref->sequence,
        .max_bytes = FRAME_BYTES_MAX,
    };
    size_t length = target->length;
    struct frame_fetched fetched;
    CHECK(store_read(f->store, &ask, target, &fetched) == STATUS_OK);
    CHECK(target->length - length == ref->record_bytes);
}

static void fetch(struct federation *f, const struct block_ref *ref, struct buffer *target)
{
    lock(&f->store_lock);
    fetch_locked(f, ref, target);
    unlock(&f->store_lock);
}

/* ---- records ---- */

/* The next record of `writer` in a frame of its own, which is replaced. */
static struct block_ref seal(struct federation *f, struct capsule_world_writer *writer,
                             enum record_type type, struct bytes plain, struct buffer *frame)
{
    static const struct writer_id nobody;
    uint8_t header[FRAME_HEADER_BYTES];
    const struct record_fields fields = {
        .type = type,
        .sequence = writer->head.sequence + 1,
        .key_epoch = CAPSULE_KEY_EPOCH_FIRST,
        .epoch = writer->joined_epoch + 1,
        .writer = writer->id,
        .capsule = f->world.name,
        .parents = &writer->head.hash,
        .parent_count = writer->head.sequence > 0 ? 1 : 0,
    };
    struct hash hash;
    frame->length = 0;  // ciphertext: nothing to wipe
    frame_header(header, FRAME_RECORD, 0, &nobody);
    CHECK(buffer_append(frame, header, sizeof header) == STATUS_OK);
    CHECK(seal_record(frame, &hash, &fields, plain, writer->body_key, writer->key) == STATUS_OK);
    writer->head = (struct head){.sequence = fields.sequence, .hash = hash};
    return (struct block_ref){
        .writer = writer->id,
        .sequence = fields.sequence,
        .hash = hash,
        .record_bytes = (uint32_t)(frame->length - FRAME_HEADER_BYTES),
    };
}

static struct block_ref append_table_record(struct federation *f, enum record_type type,
                                            struct bytes plain)
{
    double start = workload_cpu();
    struct block_ref ref = seal(f, f->compactor, type, plain, &f->compactor_frame);
    double sealed = workload_cpu();
    size_t queued_bytes;
    uint64_t number = enqueue(f, &f->compactor_frame, &queued_bytes);
    if (queued_bytes > QUEUED_BYTES_MAX || type == RECORD_MANIFEST) {
        await_commit(f, number);
    } else if (queued_bytes > GROUP_BYTES) {
        wake_store(f);
    }
    f->merge_costs.seal += sealed - start;
    f->merge_costs.keep += workload_cpu() - sealed;
    return ref;
}

/* ---- the compactor ---- */

struct flush {
    struct active *active;
    bool has_last;
    size_t key_length;
    uint8_t key[TUPLE_KEY_BYTES_MAX];
};

static enum status next_of_memtable(void *context, struct entry *entry)
{
    struct flush *flush = context;
    struct memtable_entry found;
    struct memtable_reader *reader = flush->active->reader;
    if (flush->has_last) {
        memtable_reader_end(reader);
    }
    // Nobody writes this memtable any more, so what is borrowed stays until the next call.
    memtable_reader_begin(reader);
    enum status status =
        memtable_seek(reader, bytes_of(flush->key, flush->key_length), flush->has_last, &found);
    flush->has_last = true;
    if (status != STATUS_OK) {
        memtable_reader_end(reader);
        return STATUS_EMPTY;
    }
    memcpy(flush->key, found.key.at, found.key.length);
    flush->key_length = found.key.length;
    *entry = (struct entry){
        .tuple = {.kind = found.is_tombstone ? TUPLE_DELETE : TUPLE_PUT,
                  .lamport = found.version.lamport,
                  .expiry_ms = found.expiry_ms,
                  .key = found.key,
                  .value = found.value},
        .writer = found.version.writer,
    };
    return STATUS_OK;
}

/* The records one behind the other, as a store answers questions that came together. */
static void fetch_all(struct federation *f, const struct block_ref *refs, uint32_t count,
                      struct buffer *target)
{
    lock(&f->store_lock);
    for (uint32_t i = 0; i < count; i++) {
        fetch_locked(f, &refs[i], target);
    }
    unlock(&f->store_lock);
}

static void supply_compaction(struct federation *f, struct compaction *compaction,
                              struct buffer *bytes)
{
    struct block_ref refs[NEED_MAX];
    struct federation_merge_costs *costs = &f->merge_costs;
    double start = workload_cpu();
    uint32_t count = compaction_need(compaction, refs, NEED_MAX);
    bytes->length = 0;
    fetch_all(f, refs, count, bytes);
    costs->fetch += workload_cpu() - start;
    const uint8_t *at = bytes->bytes;
    for (uint32_t i = 0; i < count; i++) {
        struct record record;
        double fetched = workload_cpu();
        CHECK(record_decode(&record, at, refs[i].record_bytes) == STATUS_OK);
        double verified = workload_cpu();
        CHECK(compaction_supply(compaction, &record, f->compactor->body_key) == STATUS_OK);
        costs->verify += verified - fetched;
        costs->open += workload_cpu() - verified;
        at += refs[i].record_bytes;
    }
}

static void run_compaction(struct federation *f, struct compaction *compaction)
{
    struct buffer bytes = BUFFER_EMPTY;
    enum status status = STATUS_OK;
    while (status != STATUS_EMPTY) {
        double start = workload_cpu();
        status = compaction_step(compaction, STEP_ENTRIES);
        f->merge_costs.merge += workload_cpu() - start;
        struct block_ref ref;
        if (status == STATUS_EMPTY) {
            break;
        }
        if (status == STATUS_GAP) {
            supply_compaction(f, compaction, &bytes);
        } else if (status == STATUS_FULL) {
            ref = append_table_record(f, RECORD_TABLE, compaction_body(compaction));
            CHECK(compaction_sealed(compaction, &ref) == STATUS_OK);
        } else {
            CHECK(status == STATUS_OK);
        }
    }
    buffer_release(&bytes);
}

static void install(struct federation *f, struct tree *tree)
{
    struct buffer bytes = BUFFER_EMPTY;
    struct hash hash = hash_of(f->plain.bytes, f->plain.length);
    CHECK(tree_adopt(tree, &hash, buffer_bytes(&f->plain)) == STATUS_OK);
    struct block_ref ref;
    while (tree_missing(tree, &ref, 1) > 0) {
        struct record record;
        bytes.length = 0;
        fetch(f, &ref, &bytes);
        CHECK(record_decode(&record, bytes.bytes, bytes.length) == STATUS_OK);
        CHECK(tree_supply(tree, &record, f->compactor->body_key) == STATUS_OK);
    }
    CHECK(tree_install(tree) == STATUS_OK);
    buffer_release(&bytes);
}

static uint32_t count_runs(const struct manifest *manifest)
{
    uint32_t first, runs = 0;
    uint32_t count = manifest_level(manifest, 0, &first);
    for (uint32_t i = 0; i < count; i++) {
        runs += i == 0 || manifest->tables[i].run != manifest->tables[i - 1].run;
    }
    return runs;
}

static void succeed(struct federation *f, struct manifest_change *change)
{
    struct buffer plain = BUFFER_EMPTY;
    CHECK(manifest_succeed(&plain, &f->manifest, change) == STATUS_OK);
    (void)append_table_record(f, RECORD_MANIFEST, buffer_bytes(&plain));
    manifest_release(&f->manifest);
    buffer_release(&f->plain);
    f->plain = plain;
    CHECK(manifest_decode(&f->manifest, buffer_bytes(&f->plain)) == STATUS_OK);
    install(f, f->tree);
}

static struct compaction *begin_compaction(struct federation *f, uint8_t target_level,
                                           uint64_t floor, bool drops_deletes)
{
    const struct compaction_config config = {
        .builder = {.filter_key = table_filter_key(f->world.data_key, &f->world.name),
                    .block_bytes = target_level == 0 ? f->workload->flush_block_bytes
                                                     : f->workload->block_bytes,
                    .table_bytes = f->workload->table_bytes},
        .target_level = target_level,
        .run = floor,
        .floor = floor,
        .drops_deletes = drops_deletes,
    };
    struct compaction *compaction;
    CHECK(compaction_new(&compaction, &config) == STATUS_OK);
    return compaction;
}

static void end_compaction(struct federation *f, struct compaction *compaction,
                           struct manifest_change *change)
{
    struct compaction_counters counters;
    compaction_count(compaction, &counters);
    f->written_bytes += counters.bytes_written;
    change->added = compaction_tables(compaction, &change->added_count);
    succeed(f, change);
    compaction_free(compaction);
}

static void flush_memtable(struct federation *f, struct active *frozen)
{
    static struct flush flush;
    flush = (struct flush){.active = frozen};
    const struct compaction_source source = {.next = next_of_memtable, .context = &flush};
    struct compaction *compaction = begin_compaction(f, 0, frozen->last_lamport, false);
    CHECK(compaction_add_source(compaction, &source) == STATUS_OK);
    run_compaction(f, compaction);
    struct manifest_change change = {.floor = frozen->last_lamport};
    end_compaction(f, compaction, &change);
    memtable_reader_free(frozen->reader);
    memtable_free(frozen->memtable);
}

static void run_plan(struct federation *f, const struct plan *plan)
{
    struct manifest_change change = {
        .floor = f->manifest.floor,
        .removed = plan->inputs,
        .removed_count = plan->input_count,
    };
    if (plan->is_move) {
        struct table moved = f->manifest.tables[plan->inputs[0]];
        moved.level = plan->target_level;
        moved.run = 0;
        change.added = &moved;
        change.added_count = 1;
        succeed(f, &change);
        return;
    }
    struct compaction *compaction =
        begin_compaction(f, plan->target_level, f->manifest.floor, plan->drops_deletes);
    CHECK(compaction_add_plan(compaction, &f->manifest, plan) == STATUS_OK);
    run_compaction(f, compaction);
    end_compaction(f, compaction, &change);
}

static bool merge_once(struct federation *f)
{
    struct plan plan = {.inputs = NULL};
    const struct plan_config config = {.level1_bytes = f->workload->level1_bytes};
    if (plan_make(&plan, &f->manifest, &config, 0) != STATUS_OK) {
        return false;
    }
    run_plan(f, &plan);
    plan_release(&plan);
    return true;
}

/* All tables into the deepest level that there is, or into level 1. */
static void merge_all(struct federation *f)
{
    uint32_t count = f->manifest.table_count;
    if (count == 0) {
        return;
    }
    uint8_t deepest = f->manifest.tables[count - 1].level;
    struct plan plan = {
        .inputs = calloc(count, sizeof *plan.inputs),
        .input_count = count,
        .target_level = deepest > 0 ? deepest : 1,
        .drops_deletes = true,
    };
    CHECK(plan.inputs != NULL);
    for (uint32_t i = 0; i < count; i++) {
        plan.inputs[i] = i;
    }
    run_plan(f, &plan);
    plan_release(&plan);
}

static void *compactor_main(void *context)
{
    struct federation *f = context;
    lock(&f->lock);
    while (!f->has_ended) {
        struct active frozen = f->frozen;
        bool merges_all = f->merges_all;
        unlock(&f->lock);
        bool has_worked = true;
        if (frozen.memtable != NULL) {
            flush_memtable(f, &frozen);
        } else if (merges_all) {
            merge_all(f);
        } else {
            has_worked = merge_once(f);
        }
        lock(&f->lock);
        if (frozen.memtable != NULL) {
            f->frozen.memtable = NULL;
        } else if (merges_all) {
            f->merges_all = false;
        }
        f->run_count = count_runs(&f->manifest);
        f->is_idle = !has_worked && f->frozen.memtable == NULL && !f->merges_all;
        CHECK(pthread_cond_broadcast(&f->changed) == 0);
        while (f->is_idle && !f->has_ended && f->frozen.memtable == NULL && !f->merges_all) {
            CHECK(pthread_cond_wait(&f->changed, &f->lock) == 0);
        }
    }
    unlock(&f->lock);
    return NULL;
}

/* ---- the worker ---- */

static void new_memtable(struct active *active)
{
    *active = (struct active){.memtable = NULL};
    CHECK(memtable_new(&active->memtable) == STATUS_OK);
    CHECK(memtable_reader_new(&active->reader, active->memtable) == STATUS_OK);
}

/* Hand the memtable to the compactor, when it has flushed the one before. */
static void freeze(struct federation *f)
{
    f->active.last_lamport = f->worker->lamport;
    lock(&f->lock);
    while (f->frozen.memtable != NULL || f->run_count >= RUN_COUNT_STOP) {
        CHECK(pthread_cond_wait(&f->changed, &f->lock) == 0);
    }
    f->frozen = f->active;
    f->is_idle = false;
    CHECK(pthread_cond_broadcast(&f->changed) == 0);
    unlock(&f->lock);
    new_memtable(&f->active);
}

static void apply_batch(struct federation *f)
{
    struct tuple_reader reader;
    struct tuple tuple;
    CHECK(tuple_reader_init(&reader, buffer_bytes(&f->batch.plain)) == STATUS_OK);
    while (tuple_reader_next(&reader, &tuple) == STATUS_OK) {
        const struct memtable_entry entry = {
            .key = tuple.key,
            .value = tuple.value,
            .version = {.lamport = tuple.lamport, .writer = f->worker->id},
        };
        CHECK(memtable_apply(f->active.memtable, &entry) == STATUS_OK);
        f->put_bytes += tuple.key.length + tuple.value.length;
    }
}

void federation_put(struct federation *f, const uint32_t *numbers, size_t count)
{
    tuple_batch_clear(&f->batch);
    for (size_t i = 0; i < count; i++) {
        char key[WORKLOAD_KEY_BYTES + 1];
        const struct tuple tuple = {
            .kind = TUPLE_PUT,
            .lamport = ++f->worker->lamport,
            .key = workload_key(key, numbers[i]),
            .value = workload_value(f->workload, numbers[i], f->worker->lamport),
        };
        CHECK(tuple_batch_add(&f->batch, &tuple) == STATUS_OK);
    }
    (void)seal(f, f->worker, RECORD_DATA, buffer_bytes(&f->batch.plain), &f->frame);
    size_t queued_bytes;
    uint64_t number = enqueue(f, &f->frame, &queued_bytes);
    apply_batch(f);
    await_commit(f, number);
    if (memtable_bytes(f->active.memtable) >= f->workload->memtable_bytes) {
        freeze(f);
    }
}

static void await_idle(struct federation *f)
{
    lock(&f->lock);
    while (!f->is_idle) {
        CHECK(pthread_cond_wait(&f->changed, &f->lock) == 0);
    }
    unlock(&f->lock);
}

void federation_settle(struct federation *f)
{
    if (memtable_count(f->active.memtable) > 0) {
        freeze(f);
    }
    await_idle(f);
}

uint64_t federation_compact(struct federation *f)
{
    lock(&f->lock);
    f->merges_all = true;
    f->is_idle = false;
    CHECK(pthread_cond_broadcast(&f->changed) == 0);
    unlock(&f->lock);
    await_idle(f);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < f->manifest.table_count; i++) {
        bytes += f->manifest.tables[i].record_bytes;
    }
    return bytes;
}

struct federation *federation_new(const struct workload *workload)
{
    struct federation *f = calloc(1, sizeof *f);
    CHECK(f != NULL);
    f->workload = workload;
    (void)snprintf(f->path, sizeof f->path, "%s/store", workload->directory);
    CHECK(mkdir(f->path, 0700) == 0);
    CHECK(disk_posix_open(&f->posix, &f->disk, f->path) == STATUS_OK);
    capsule_world_init(&f->world, 3, 1, 1, 0);
    capsule_world_start(&f->world);
    f->worker = capsule_world_admit(&f->world, MEMBER_WORKER);
    f->compactor = capsule_world_admit(&f->world, MEMBER_COMPACTOR);
    const struct store_config config = {
        .disk = &f->disk,
        .genesis = buffer_bytes(&f->world.genesis_body),
        .key = f->world.store_keys[0],
    };
    CHECK(store_open(&f->store, &config) == STATUS_OK);
    struct server_output output = {.send = on_send, .broadcast = on_broadcast, .context = f};
    CHECK(server_new(&f->server, f->store, &output) == STATUS_OK);
    static const struct writer_id nobody;
    CHECK(frame_encode(&f->frame, FRAME_RECORD, 0, &nobody, buffer_bytes(&f->world.log)) ==
          STATUS_OK);
    CHECK(server_receive(f->server, 1, buffer_bytes(&f->frame)) == STATUS_OK);
    CHECK(server_commit(f->server) == STATUS_OK);

    CHECK(pthread_mutex_init(&f->queue_lock, NULL) == 0);
    CHECK(pthread_cond_init(&f->queue_changed, NULL) == 0);
    CHECK(pthread_mutex_init(&f->store_lock, NULL) == 0);
    CHECK(pthread_mutex_init(&f->lock, NULL) == 0);
    CHECK(pthread_cond_init(&f->changed, NULL) == 0);
    new_memtable(&f->active);
    CHECK(tree_new(&f->tree, workload->cache_bytes) == STATUS_OK);
    const struct manifest_change change = {.floor = 0};
    CHECK(manifest_succeed(&f->plain, &f->manifest, &change) == STATUS_OK);
    CHECK(manifest_decode(&f->manifest, buffer_bytes(&f->plain)) == STATUS_OK);
    CHECK(pthread_create(&f->thread, NULL, compactor_main, f) == 0);
    CHECK(pthread_create(&f->store_thread, NULL, store_main, f) == 0);
    return f;
}

void federation_reopen(struct federation *f, uint64_t cache_bytes)
{
    tree_free(f->tree);
    CHECK(tree_new(&f->tree, cache_bytes) == STATUS_OK);
    install(f, f->tree);
    f->costs = (struct federation_costs){.blocks = 0};
}

void federation_free(struct federation *f)
{
    lock(&f->lock);
    f->has_ended = true;
    CHECK(pthread_cond_broadcast(&f->changed) == 0);
    unlock(&f->lock);
    CHECK(pthread_join(f->thread, NULL) == 0);
    lock(&f->queue_lock);
    f->store_must_end = true;
    CHECK(pthread_cond_signal(&f->queue_changed) == 0);
    unlock(&f->queue_lock);
    CHECK(pthread_join(f->store_thread, NULL) == 0);
    tree_free(f->tree);
    memtable_reader_free(f->active.reader);
    memtable_free(f->active.memtable);
    manifest_release(&f->manifest);
    buffer_release(&f->plain);
    buffer_release(&f->queue);
    buffer_release(&f->taken);
    buffer_release(&f->frame);
    buffer_release(&f->compactor_frame);
    tuple_batch_release(&f->batch);
    server_free(f->server);
    store_close(f->store);
    disk_posix_close(f->posix);
    capsule_world_release(&f->world);
    free(f);
}

/* ---- a reader ---- */

struct federation_reader {
    struct federation *federation;
    struct tree_reader *reader;
    struct aead_key *body_key;
    struct buffer bytes;
};

struct federation_reader *federation_reader_new(struct federation *f)
{
    struct federation_reader *reader = calloc(1, sizeof *reader);
    CHECK(reader != NULL);
    reader->federation = f;
    reader->body_key = seal_key_new(f->world.data_key, &f->world.name, &f->compactor->public_key);
    CHECK(tree_reader_new(&reader->reader, f->tree) == STATUS_OK);
    return reader;
}

void federation_reader_free(struct federation_reader *reader)
{
    tree_reader_free(reader->reader);
    aead_key_free(reader->body_key);
    buffer_release(&reader->bytes);
    free(reader);
}

static void supply(struct federation_reader *reader, const struct block_ref *ref)
{
    struct federation *f = reader->federation;
    struct record record;
    double start = workload_cpu();
    reader->bytes.length = 0;
    fetch(f, ref, &reader->bytes);
    double fetched = workload_cpu();
    CHECK(record_decode(&record, reader->bytes.bytes, reader->bytes.length) == STATUS_OK);
    double verified = workload_cpu();
    enum status status = tree_supply(f->tree, &record, reader->body_key);
    CHECK(status == STATUS_OK || status == STATUS_STALE);
    // Beside other readers a little is lost here: these are figures for a profile.
    f->costs.blocks++;
    f->costs.fetch += fetched - start;
    f->costs.verify += verified - fetched;
    f->costs.open += workload_cpu() - verified;
}

bool federation_get(struct federation_reader *reader, uint32_t number, uint8_t *target)
{
    char text[WORKLOAD_KEY_BYTES + 1];
    struct bytes key = workload_key(text, number);
    for (;;) {
        struct entry entry;
        struct block_ref need;
        tree_reader_begin(reader->reader);
        enum status status = tree_get(reader->reader, key, &entry, &need);
        if (status == STATUS_OK) {
            memcpy(target, entry.tuple.value.at, entry.tuple.value.length);
        }
        tree_reader_end(reader->reader);
        if (status != STATUS_GAP) {
            return status == STATUS_OK;
        }
        supply(reader, &need);
    }
}

uint64_t federation_scan(struct federation_reader *reader)
{
    uint8_t last[TUPLE_KEY_BYTES_MAX];
    struct bytes from = bytes_of(last, 0);
    uint64_t count = 0;
    struct entry entry;
    struct block_ref need;
    tree_reader_begin(reader->reader);
    enum status status = tree_seek(reader->reader, from, false, &entry, &need);
    while (status != STATUS_NOT_FOUND) {
        if (status == STATUS_GAP) {
            tree_reader_end(reader->reader);
            supply(reader, &need);
            tree_reader_begin(reader->reader);
            status = tree_seek(reader->reader, from, count > 0, &entry, &need);
            continue;
        }
        CHECK(entry.tuple.value.length == reader->federation->workload->value_bytes);
        count++;
        memcpy(last, entry.tuple.key.at, entry.tuple.key.length);
        from.length = entry.tuple.key.length;
        status = tree_next(reader->reader, &entry, &need);
    }
    tree_reader_end(reader->reader);
    return count;
}

void federation_count(struct federation *f, struct federation_costs *costs)
{
    struct tree_counters counters;
    tree_count(f->tree, &counters);
    *costs = f->costs;
    costs->merge = f->merge_costs;
    costs->merge.keep += f->store_cpu;
    costs->index_bytes = counters.index_bytes;
    costs->table_count = counters.table_count;
    costs->written_bytes = f->written_bytes;
    costs->put_bytes = f->put_bytes;
}
