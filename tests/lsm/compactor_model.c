/* tests/lsm/compactor_model.c */
#include "tests/lsm/compactor_model.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

enum { WRITER_COUNT = 3, STEP_ENTRIES = 50 };

uint64_t compactor_model_random(struct compactor_model *model)
{
    uint64_t z = (model->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void adopt_manifest(struct compactor_model *model, struct buffer *plain)
{
    manifest_release(&model->manifest);
    buffer_release(&model->plain);
    model->plain = *plain;
    model->hash = hash_of(plain->bytes, plain->length);
    CHECK(manifest_decode(&model->manifest, buffer_bytes(&model->plain)) == STATUS_OK);
}

void compactor_model_init(struct compactor_model *model,
                          const struct compactor_model_config *config, uint64_t seed)
{
    CHECK(config->key_count <= COMPACTOR_MODEL_KEYS_MAX);
    *model = (struct compactor_model){.config = *config, .random = seed, .now_ms = 1000};
    compactor_branch_init(&model->branch, (uint8_t)seed);
    struct buffer plain = BUFFER_EMPTY;
    const struct manifest_change change = {.floor = 0};
    CHECK(manifest_succeed(&plain, &model->manifest, &change) == STATUS_OK);
    adopt_manifest(model, &plain);
}

void compactor_model_release(struct compactor_model *model)
{
    manifest_release(&model->manifest);
    buffer_release(&model->plain);
    compactor_branch_release(&model->branch);
}

struct bytes compactor_model_key(uint32_t index, uint8_t *target)
{
    // Some keys begin others, and most share much.
    int length = snprintf((char *)target, TUPLE_KEY_BYTES_MAX, "user/%04u%s", index,
                          index % 7 == 0 ? "/profile" : "");
    return bytes_of(target, (size_t)length);
}

void compactor_model_fill(uint8_t *target, uint32_t seed, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++) {
        target[i] = (uint8_t)(seed * 31 + i);
    }
}

void compactor_model_write(struct compactor_model *model)
{
    uint64_t draw = compactor_model_random(model);
    struct compactor_model_value *value = &model->values[draw % model->config.key_count];
    uint64_t kind = (draw >> 32) % 10;
    *value = (struct compactor_model_value){
        .lamport = ++model->lamport,
        .is_delete = kind < 2,
        .is_known = true,
    };
    memset(value->writer.bytes, (int)(1 + (draw >> 40) % WRITER_COUNT), WRITER_ID_BYTES);
    if (!value->is_delete) {
        value->expiry_ms = kind == 9 ? model->now_ms + (draw >> 48) % 100 + 1 : 0;
        value->value_seed = (uint32_t)draw;
        value->value_length = (uint32_t)((draw >> 20) % (model->config.value_bytes_max + 1));
    }
}

/* Walks over what is not flushed yet. */
struct memtable_walk {
    struct compactor_model *model;
    uint32_t index;
    uint8_t key[TUPLE_KEY_BYTES_MAX];
    uint8_t value[TUPLE_VALUE_BYTES_MAX];
};

static enum status next_unflushed(void *context, struct entry *entry)
{
    struct memtable_walk *walk = context;
    struct compactor_model *model = walk->model;
    while (walk->index < model->config.key_count &&
           (!model->values[walk->index].is_known || model->values[walk->index].is_flushed)) {
        walk->index++;
    }
    if (walk->index == model->config.key_count) {
        return STATUS_EMPTY;
    }
    struct compactor_model_value *value = &model->values[walk->index];
    compactor_model_fill(walk->value, value->value_seed, value->value_length);
    *entry = (struct entry){
        .tuple = {.kind = value->is_delete ? TUPLE_DELETE : TUPLE_PUT,
                  .lamport = value->lamport,
                  .expiry_ms = value->expiry_ms,
                  .key = compactor_model_key(walk->index, walk->key),
                  .value = bytes_of(walk->value, value->value_length)},
        .writer = value->writer,
    };
    value->is_flushed = true;
    walk->index++;
    return STATUS_OK;
}

static void run_compaction(struct compactor_model *model, struct compaction *compaction)
{
    enum status status;
    while ((status = compaction_step(compaction, STEP_ENTRIES)) != STATUS_EMPTY) {
        struct block_ref refs[4];
        if (status == STATUS_GAP) {
            uint32_t count = compaction_need(compaction, refs, 4);
            CHECK(count > 0);
            for (uint32_t i = 0; i < count; i++) {
                struct record record = compactor_branch_record(&model->branch, &refs[i]);
                CHECK(compaction_supply(compaction, &record, model->branch.body_key) == STATUS_OK);
            }
        } else if (status == STATUS_FULL) {
            struct block_ref ref =
                compactor_branch_append(&model->branch, compaction_body(compaction));
            CHECK(compaction_sealed(compaction, &ref) == STATUS_OK);
        } else {
            CHECK(status == STATUS_OK);
        }
    }
}

static struct compaction_config config_of(const struct compactor_model *model)
{
    return (struct compaction_config){
        .builder = {.filter_key = table_filter_key(model->branch.data_key, &model->branch.capsule),
                    .block_bytes = model->config.block_bytes,
                    .table_bytes = model->config.table_bytes,
                    .now_ms = model->now_ms},
        .floor = model->lamport,
    };
}

static void succeed(struct compactor_model *model, struct compaction *compaction,
                    struct manifest_change *change)
{
    struct compaction_counters counters;
    compaction_count(compaction, &counters);
    model->merged_bytes += counters.bytes_written;
    change->added = compaction_tables(compaction, &change->added_count);
    change->time_ms = model->now_ms;
    change->predecessor = model->hash;
    struct buffer plain = BUFFER_EMPTY;
    CHECK(manifest_succeed(&plain, &model->manifest, change) == STATUS_OK);
    adopt_manifest(model, &plain);
}

void compactor_model_flush(struct compactor_model *model)
{
    static struct memtable_walk walk;
    walk = (struct memtable_walk){.model = model};
    struct compaction_config config = config_of(model);
    config.run = model->lamport;
    const struct compaction_source source = {.next = next_unflushed, .context = &walk};
    struct compaction *compaction;
    CHECK(compaction_new(&compaction, &config) == STATUS_OK);
    CHECK(compaction_add_source(compaction, &source) == STATUS_OK);
    run_compaction(model, compaction);
    struct manifest_change change = {.floor = model->lamport};
    uint64_t before = model->merged_bytes;
    succeed(model, compaction, &change);
    model->flushed_bytes += model->merged_bytes - before;
    compaction_free(compaction);
}

bool compactor_model_merge(struct compactor_model *model)
{
    struct plan plan;
    enum status status = plan_make(&plan, &model->manifest, &model->config.plan, model->now_ms);
    if (status == STATUS_EMPTY) {
        return false;
    }
    CHECK(status == STATUS_OK);
    struct manifest_change change = {
        .floor = model->manifest.floor,
        .removed = plan.inputs,
        .removed_count = plan.input_count,
    };
    struct compaction_config config = config_of(model);
    config.target_level = plan.target_level;
    config.drops_deletes = plan.drops_deletes;
    struct compaction *compaction;
    CHECK(compaction_new(&compaction, &config) == STATUS_OK);
    if (plan.is_move) {
        struct table moved = model->manifest.tables[plan.inputs[0]];
        moved.level = plan.target_level;
        moved.run = 0;
        change.added = &moved;
        change.added_count = 1;
        change.time_ms = model->now_ms;
        change.predecessor = model->hash;
        struct buffer plain = BUFFER_EMPTY;
        CHECK(manifest_succeed(&plain, &model->manifest, &change) == STATUS_OK);
        adopt_manifest(model, &plain);
    } else {
        CHECK(compaction_add_plan(compaction, &model->manifest, &plan) == STATUS_OK);
        run_compaction(model, compaction);
        succeed(model, compaction, &change);
    }
    compaction_free(compaction);
    plan_release(&plan);
    return true;
}

void compactor_model_supply(struct compactor_model *model, struct tree *tree,
                            const struct block_ref *ref)
{
    struct record record = compactor_branch_record(&model->branch, ref);
    CHECK(tree_supply(tree, &record, model->branch.body_key) == STATUS_OK);
}

void compactor_model_install(struct compactor_model *model, struct tree *tree)
{
    CHECK(tree_adopt(tree, &model->hash, buffer_bytes(&model->plain)) == STATUS_OK);
    struct block_ref ref;
    while (tree_missing(tree, &ref, 1) > 0) {
        CHECK(tree_install(tree) == STATUS_GAP);
        compactor_model_supply(model, tree, &ref);
    }
    CHECK(tree_install(tree) == STATUS_OK);
}
