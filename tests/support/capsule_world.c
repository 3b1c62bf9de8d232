/* tests/support/capsule_world.c */
#include "tests/support/capsule_world.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/encoder.h"
#include "capsule/revoke.h"
#include "crypto/crypto.h"

static void must(const struct capsule_world *world, enum status status)
{
    if (status != STATUS_OK) {
        fprintf(stderr, "capsule_world: %s: %s\n", status_text(status),
                world->capsule == NULL ? "" : capsule_reason(world->capsule));
    }
    CHECK(status == STATUS_OK);
}

static void init_world(struct capsule_world *world, uint64_t seed, uint32_t store_count,
                       uint32_t receipt_count, uint32_t tolerated_count, struct bytes policy,
                       struct bytes evidence)
{
    crypto_init();
    *world = (struct capsule_world){.time_ms = 1700000000000, .evidence = evidence};
    world->random = random_seeded(&world->seeded, seed);
    world->owner = sign_key_new(&world->random);
    world->data_key = secret_new_random(&world->random);

    struct genesis *genesis = &world->genesis;
    genesis->owner = sign_key_public(world->owner);
    genesis->store_count = store_count;
    genesis->receipt_count = receipt_count;
    genesis->tolerated_count = tolerated_count;
    snprintf(genesis->app, sizeof genesis->app, "world");
    for (uint32_t i = 0; i < store_count; i++) {
        world->store_keys[i] = sign_key_new(&world->random);
        genesis->stores[i].key = sign_key_public(world->store_keys[i]);
        snprintf(genesis->stores[i].name, sizeof genesis->stores[i].name, "store-%u", i + 1);
    }
    must(world, genesis_encode(&world->genesis_body, genesis, policy, world->owner));
    must(world, genesis_decode(genesis, buffer_bytes(&world->genesis_body)));
    world->name = genesis->capsule;
    must(world, capsule_new(&world->capsule, buffer_bytes(&world->genesis_body)));
}

void capsule_world_init(struct capsule_world *world, uint64_t seed, uint32_t store_count,
                        uint32_t receipt_count, uint32_t tolerated_count)
{
    init_world(world, seed, store_count, receipt_count, tolerated_count, bytes_text("{}"),
               bytes_text("evidence of an enclave"));
}

void capsule_world_init_attested(struct capsule_world *world, uint64_t seed, uint32_t store_count,
                                 struct bytes policy, struct bytes evidence)
{
    init_world(world, seed, store_count, store_count, 0, policy, evidence);
}

void capsule_world_release(struct capsule_world *world)
{
    for (size_t i = 0; i < world->writer_count; i++) {
        sign_key_free(world->writers[i].key);
        aead_key_free(world->writers[i].body_key);
    }
    for (uint32_t i = 0; i < GENESIS_STORES_MAX; i++) {
        sign_key_free(world->store_keys[i]);
    }
    sign_key_free(world->owner);
    secret_free(world->data_key);
    capsule_free(world->capsule);
    buffer_release(&world->genesis_body);
    buffer_release(&world->log);
    buffer_release(&world->tried);
}

struct bytes capsule_world_record(const struct capsule_world *world, size_t index)
{
    CHECK(index < world->record_count);
    return bytes_of(world->log.bytes + world->offsets[index],
                    world->offsets[index + 1] - world->offsets[index]);
}

enum status capsule_world_feed(struct capsule *capsule, struct bytes bytes)
{
    struct record record;
    enum status status = record_decode(&record, bytes.at, bytes.length);
    return status == STATUS_OK ? capsule_accept(capsule, &record) : status;
}

struct capsule_world_writer *capsule_world_stranger(struct capsule_world *world,
                                                    enum member_role role)
{
    CHECK(world->writer_count < CAPSULE_WORLD_WRITERS_MAX);
    struct capsule_world_writer *writer = &world->writers[world->writer_count++];
    *writer = (struct capsule_world_writer){.role = role, .key = sign_key_new(&world->random)};
    writer->public_key = sign_key_public(writer->key);
    writer->id = writer_id_of(&writer->public_key);
    writer->body_key = seal_key_new(world->data_key, &world->name, &writer->public_key);
    return writer;
}

// ---- drafts ----

void capsule_world_draft(struct capsule_world *world, struct capsule_world_draft *draft,
                         struct capsule_world_writer *writer, enum record_type type)
{
    *draft = (struct capsule_world_draft){
        .writer = writer,
        .key = writer->key,
        .fields =
            {
                .type = type,
                .sequence = writer->head.sequence + 1,
                .epoch =
                    (writer->role == MEMBER_LEADER ? world->sync_epoch : writer->joined_epoch) + 1,
                .writer = writer->id,
                .capsule = world->name,
            },
    };
    if (writer->head.sequence > 0) {
        draft->parents[draft->fields.parent_count++] = writer->head.hash;
    }
    if (writer->names_join && writer->role != MEMBER_LEADER) {
        draft->parents[draft->fields.parent_count++] = writer->joined;
    }
    if (record_type_is_sealed(type)) {
        const struct capsule_sync *joined = capsule_sync_find(world->capsule, &writer->joined);
        draft->fields.key_epoch = writer->role == MEMBER_LEADER ? capsule_key_epoch(world->capsule)
                                  : joined == NULL              ? CAPSULE_KEY_EPOCH_FIRST
                                                                : joined->key_epoch;
    }
}

void capsule_world_build(struct capsule_world *world, struct capsule_world_draft *draft)
{
    struct hash hash;
    draft->fields.parents = draft->parents;
    buffer_clear(&world->tried);
    if (record_type_is_sealed(draft->fields.type)) {
        must(world, seal_record(&world->tried, &hash, &draft->fields, buffer_bytes(&draft->body),
                                draft->writer->body_key, draft->key));
    } else {
        must(world, record_encode(&world->tried, &hash, &draft->fields, buffer_bytes(&draft->body),
                                  draft->key));
    }
    buffer_release(&draft->body);
}

enum status capsule_world_try(struct capsule_world *world, struct capsule_world_draft *draft)
{
    capsule_world_build(world, draft);
    struct record record;
    must(world, record_decode(&record, world->tried.bytes, world->tried.length));
    enum status status = capsule_accept(world->capsule, &record);
    if (status != STATUS_OK) {
        return status;
    }
    struct capsule_world_writer *writer = draft->writer;
    writer->head = (struct head){.sequence = record.sequence, .hash = record.hash};
    writer->names_join = false;
    CHECK(world->record_count < CAPSULE_WORLD_RECORDS_MAX);
    must(world, buffer_append(&world->log, world->tried.bytes, world->tried.length));
    world->record_count++;
    world->offsets[world->record_count] = world->log.length;
    return STATUS_OK;
}

// ---- true records ----

static void append(struct capsule_world *world, struct capsule_world_draft *draft)
{
    must(world, capsule_world_try(world, draft));
}

static void append_term(struct capsule_world *world, uint64_t number)
{
    struct capsule_world_draft draft;
    struct term term = {
        .capsule = world->name,
        .number = number,
        .leader = world->leader->public_key,
        .sync = world->sync,
        .sync_epoch = world->sync_epoch,
        .evidence = world->evidence,
        .stores = world->term_stores,
    };
    world->leader->term = number;
    capsule_world_draft(world, &draft, world->leader, RECORD_TERM);
    must(world, term_encode(&draft.body, &term, world->owner));
    append(world, &draft);
}

void capsule_world_start(struct capsule_world *world)
{
    struct capsule_world_draft draft;
    world->leader = capsule_world_stranger(world, MEMBER_LEADER);
    capsule_world_draft(world, &draft, world->leader, RECORD_GENESIS);
    must(world, buffer_append(&draft.body, world->genesis_body.bytes, world->genesis_body.length));
    append(world, &draft);
    append_term(world, 1);
}

void capsule_world_restart(struct capsule_world *world)
{
    uint64_t number = world->leader->term + 1;
    world->leader = capsule_world_stranger(world, MEMBER_LEADER);
    append_term(world, number);
}

struct capsule_world_writer *capsule_world_admit(struct capsule_world *world, enum member_role role)
{
    struct capsule_world_draft draft;
    struct capsule_world_writer *writer = capsule_world_stranger(world, role);
    struct member_body member = {
        .key = writer->public_key,
        .role = role,
        .policy_version = (uint32_t)capsule_policy_version(world->capsule),
        .sync = world->sync,
        .evidence = world->evidence,
        .collateral = bytes_text("collateral"),
    };
    random_fill(&world->random, member.tls_key.bytes, sizeof member.tls_key.bytes);
    member.tls_key.bytes[0] = 4;
    capsule_world_draft(world, &draft, world->leader, RECORD_MEMBER);
    must(world, member_encode(&draft.body, &member));
    append(world, &draft);
    const struct capsule_sync *sync = capsule_newest_sync(world->capsule);
    if (sync != NULL) {
        writer->joined = sync->hash;
        writer->joined_epoch = sync->epoch;
        writer->joined_lamport = sync->lamport;
        writer->lamport = sync->lamport;
    }
    return writer;
}

void capsule_world_tuple(struct capsule_world *world, struct capsule_world_writer *writer,
                         struct buffer *plain, const char *key, const char *value)
{
    struct tuple_batch batch = {.plain = BUFFER_EMPTY};
    writer->lamport++;
    struct tuple tuple = {
        .kind = TUPLE_PUT,
        .lamport = writer->lamport,
        .key = bytes_text(key),
        .value = bytes_text(value),
    };
    must(world, tuple_batch_add(&batch, &tuple));
    must(world, buffer_append(plain, batch.plain.bytes, batch.plain.length));
    tuple_batch_release(&batch);
}

void capsule_world_put(struct capsule_world *world, struct capsule_world_writer *writer,
                       const char *key, const char *value)
{
    struct capsule_world_draft draft;
    capsule_world_draft(world, &draft, writer, RECORD_DATA);
    capsule_world_tuple(world, writer, &draft.body, key, value);
    append(world, &draft);
}

void capsule_world_eoe(struct capsule_world *world, struct capsule_world_writer *writer)
{
    struct capsule_world_draft draft;
    struct eoe eoe = {
        .epoch = world->sync_epoch + 1,
        .lamport = writer->lamport,
        .sync = writer->joined,
    };
    capsule_world_draft(world, &draft, writer, RECORD_EOE);
    must(world, sync_eoe_encode(&draft.body, &eoe, NULL));
    append(world, &draft);
}

struct branch_head capsule_world_compact(struct capsule_world *world,
                                         struct capsule_world_writer *compactor)
{
    struct capsule_world_draft draft;
    capsule_world_draft(world, &draft, compactor, RECORD_TABLE);
    must(world, buffer_append(&draft.body, "table", 5));
    append(world, &draft);
    capsule_world_draft(world, &draft, compactor, RECORD_MANIFEST);
    must(world, buffer_append(&draft.body, "manifest", 8));
    append(world, &draft);
    return (struct branch_head){.writer = compactor->id, .head = compactor->head};
}

// ---- SYNC and CLOSE ----

void capsule_world_state(struct capsule_world *world, struct buffer *target, uint32_t index,
                         enum receipt_kind kind, uint64_t term, const struct branch_head *heads,
                         uint32_t head_count)
{
    struct buffer statement = BUFFER_EMPTY;
    must(world, receipt_encode(&statement, kind, &world->name, term, heads, head_count,
                               world->store_keys[index]));
    uint8_t length[4];
    struct encoder out = encoder_over(length, sizeof length);
    encoder_u32(&out, (uint32_t)statement.length);
    must(world, buffer_append(target, length, sizeof length));
    must(world, buffer_append(target, statement.bytes, statement.length));
    buffer_release(&statement);
}

void capsule_world_plan_sync(struct capsule_world *world, struct capsule_world_sync_plan *plan)
{
    struct branch_head held[CAPSULE_WORLD_WRITERS_MAX];
    uint32_t count = 0;
    world->time_ms += 500;
    *plan = (struct capsule_world_sync_plan){
        .body = {.term = world->leader->term, .time_ms = world->time_ms},
    };
    const struct capsule_sync *newest = capsule_newest_sync(world->capsule);
    if (newest != NULL) {
        plan->body.manifest = newest->manifest;
    }
    bool has_floor = false;
    for (size_t i = 0; i < world->writer_count; i++) {
        const struct capsule_world_writer *writer = &world->writers[i];
        bool is_member = capsule_member_find(world->capsule, &writer->id) != NULL;
        bool is_old_leader = writer->role == MEMBER_LEADER && !writer->is_closed;
        if (writer->lamport > plan->body.lamport) {
            plan->body.lamport = writer->lamport;
        }
        if (!is_member || is_old_leader || writer->is_listed_closed) {
            continue;
        }
        if (!writer->is_closed && (!has_floor || writer->joined_lamport < plan->body.floor)) {
            plan->body.floor = writer->joined_lamport;
            has_floor = true;
        }
        held[count] = (struct branch_head){.writer = writer->id, .head = writer->head};
        plan->heads[count] = (struct sync_head){
            .branch = held[count],
            .flags = writer->is_closed ? SYNC_FLAG_CLOSED : 0,
        };
        count++;
    }
    plan->body.head_count = count;
    for (uint32_t i = 0; i < world->genesis.receipt_count; i++) {
        capsule_world_state(world, &plan->receipts, i, RECEIPT_DURABLE, world->leader->term, held,
                            count);
    }
}

enum status capsule_world_try_sync(struct capsule_world *world,
                                   struct capsule_world_sync_plan *plan)
{
    struct capsule_world_draft draft;
    capsule_world_draft(world, &draft, world->leader, RECORD_SYNC);
    draft.fields.key_epoch = plan->key_epoch;
    for (uint32_t i = 0; i < plan->body.head_count; i++) {
        if (plan->heads[i].branch.head.sequence > 0) {
            CHECK(draft.fields.parent_count < CAPSULE_WORLD_PARENTS_MAX);
            draft.parents[draft.fields.parent_count++] = plan->heads[i].branch.head.hash;
        }
    }
    plan->body.receipts = buffer_bytes(&plan->receipts);
    must(world, sync_encode(&draft.body, &plan->body, plan->heads));
    enum status status = capsule_world_try(world, &draft);
    buffer_release(&plan->receipts);
    if (status != STATUS_OK) {
        return status;
    }
    world->sync_epoch = draft.fields.epoch;
    world->sync = world->leader->head.hash;
    for (size_t i = 0; i < world->writer_count; i++) {
        struct capsule_world_writer *writer = &world->writers[i];
        writer->is_listed_closed = writer->is_closed;
        writer->joined = world->sync;
        writer->joined_epoch = world->sync_epoch;
        writer->joined_lamport = plan->body.lamport;
        writer->names_join = true;
        if (writer->lamport < plan->body.lamport) {
            writer->lamport = plan->body.lamport;
        }
    }
    return STATUS_OK;
}

void capsule_world_sync(struct capsule_world *world)
{
    struct capsule_world_sync_plan plan;
    capsule_world_plan_sync(world, &plan);
    must(world, capsule_world_try_sync(world, &plan));
}

void capsule_world_rotate(struct capsule_world *world, struct secret *data_key)
{
    struct capsule_world_sync_plan plan;
    capsule_world_plan_sync(world, &plan);
    plan.key_epoch = capsule_key_epoch(world->capsule) + 1;
    must(world, capsule_world_try_sync(world, &plan));
    secret_free(world->data_key);
    world->data_key = data_key;
    for (size_t i = 0; i < world->writer_count; i++) {
        struct capsule_world_writer *writer = &world->writers[i];
        aead_key_free(writer->body_key);
        writer->body_key = seal_key_new(data_key, &world->name, &writer->public_key);
    }
}

void capsule_world_revoke(struct capsule_world *world, const struct capsule_world_writer *writer)
{
    struct capsule_world_draft draft;
    capsule_world_draft(world, &draft, world->leader, RECORD_REVOKE);
    must(world, revoke_encode(&draft.body, &world->name, &writer->id, world->owner));
    append(world, &draft);
}

void capsule_world_plan_close(struct capsule_world *world, struct capsule_world_close_plan *plan,
                              const struct capsule_world_writer *writer)
{
    const struct genesis *genesis = &world->genesis;
    struct branch_head head = {.writer = writer->id, .head = writer->head};
    *plan = (struct capsule_world_close_plan){
        .body = {.term = world->leader->term, .cut = head, .reason = SYNC_CLOSE_EXITED},
    };
    uint32_t needed = genesis->store_count - genesis->receipt_count + 1 + genesis->tolerated_count;
    for (uint32_t i = 0; i < needed; i++) {
        capsule_world_state(world, &plan->fences, i, RECEIPT_FENCE, world->leader->term, &head, 1);
    }
}

enum status capsule_world_try_close(struct capsule_world *world,
                                    struct capsule_world_close_plan *plan)
{
    struct capsule_world_draft draft;
    capsule_world_draft(world, &draft, world->leader, RECORD_CLOSE);
    plan->body.fences = buffer_bytes(&plan->fences);
    must(world, sync_close_encode(&draft.body, &plan->body));
    buffer_release(&plan->fences);
    enum status status = capsule_world_try(world, &draft);
    for (size_t i = 0; i < world->writer_count && status == STATUS_OK; i++) {
        struct capsule_world_writer *writer = &world->writers[i];
        if (writer_id_equal(&writer->id, &plan->body.cut.writer)) {
            writer->is_closed = true;
            writer->head = plan->body.cut.head;
        }
    }
    return status;
}

void capsule_world_close(struct capsule_world *world, struct capsule_world_writer *writer)
{
    struct capsule_world_close_plan plan;
    capsule_world_plan_close(world, &plan, writer);
    must(world, capsule_world_try_close(world, &plan));
}
