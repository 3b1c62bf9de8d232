/* tests/lsm/compactor_branch.c */
#include "tests/lsm/compactor_branch.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "capsule/seal.h"
#include "capsule/writer.h"

void compactor_branch_init(struct compactor_branch *branch, uint8_t seed)
{
    uint8_t bytes[SIGN_SEED_BYTES];
    memset(bytes, seed, sizeof bytes);
    *branch = (struct compactor_branch){
        .data_key = secret_new_copy(bytes),
        .key = sign_key_new_from_seed(bytes),
        .capsule = hash_of("capsule", 7),
    };
    struct verify_key public_key = sign_key_public(branch->key);
    branch->writer = writer_id_of(&public_key);
    branch->body_key = seal_key_new(branch->data_key, &branch->capsule, &public_key);
}

void compactor_branch_release(struct compactor_branch *branch)
{
    for (size_t i = 0; i < branch->record_count; i++) {
        buffer_release(&branch->records[i]);
    }
    free(branch->records);
    aead_key_free(branch->body_key);
    sign_key_free(branch->key);
    secret_free(branch->data_key);
    *branch = (struct compactor_branch){.records = NULL};
}

static struct buffer *next_record(struct compactor_branch *branch)
{
    if (branch->record_count == branch->record_capacity) {
        branch->record_capacity = branch->record_capacity * 2 + 64;
        branch->records =
            realloc(branch->records, branch->record_capacity * sizeof *branch->records);
        CHECK(branch->records != NULL);
    }
    struct buffer *record = &branch->records[branch->record_count++];
    *record = BUFFER_EMPTY;
    return record;
}

struct block_ref compactor_branch_append(struct compactor_branch *branch, struct bytes plain)
{
    struct hash parent = branch->head;
    struct buffer *record = next_record(branch);
    const struct record_fields fields = {
        .type = RECORD_TABLE,
        .sequence = branch->record_count,
        .epoch = 1,
        .writer = branch->writer,
        .capsule = branch->capsule,
        .parents = &parent,
        .parent_count = branch->record_count > 1 ? 1 : 0,
    };
    CHECK(seal_record(record, &branch->head, &fields, plain, branch->body_key, branch->key) ==
          STATUS_OK);
    return (struct block_ref){
        .writer = branch->writer,
        .sequence = fields.sequence,
        .hash = branch->head,
        .record_bytes = (uint32_t)record->length,
    };
}

struct record compactor_branch_record(const struct compactor_branch *branch,
                                      const struct block_ref *ref)
{
    CHECK(ref->sequence >= 1 && ref->sequence <= branch->record_count);
    const struct buffer *bytes = &branch->records[ref->sequence - 1];
    struct record record;
    CHECK(record_decode(&record, bytes->bytes, bytes->length) == STATUS_OK);
    CHECK(hash_equal(&record.hash, &ref->hash) && bytes->length == ref->record_bytes);
    return record;
}
