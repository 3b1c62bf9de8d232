/* sim/federation_thief.c */

/*
 * Whoever has the keys of a member, its signing key and the data keys it was given, and writes on.
 */
#include "base/check.h"
#include "capsule/keys.h"
#include "capsule/seal.h"
#include "capsule/tuple.h"
#include "sim/federation_internal.h"

static void post_record(struct federation *f, struct bytes record)
{
    for (size_t i = 0; i < f->store_count; i++) {
        federation_post_body(f, PLACE_OWNER, PLACE_STORE + i, FRAME_RECORD, 0, &federation_everyone,
                             record);
    }
    for (size_t i = 0; i < f->worker_count; i++) {
        federation_post_body(f, PLACE_OWNER, PLACE_WORKER + i, FRAME_RECORD, 0,
                             &federation_everyone, record);
    }
}

static void seal_and_post(struct federation *f, const struct federation_worker *thief,
                          const struct record_fields *fields)
{
    struct tuple_batch batch = {.plain = BUFFER_EMPTY};
    struct buffer record = BUFFER_EMPTY;
    struct hash hash;
    const struct tuple tuple = {.kind = TUPLE_PUT,
                                .lamport = UINT64_C(1) << 20,
                                .key = bytes_text(FEDERATION_THIEF_KEY),
                                .value = bytes_text("stolen")};
    struct secret *data_key = keys_data(f->owner.seed, &f->capsule, thief->key_epoch);
    struct aead_key *body_key = seal_key_new(data_key, &f->capsule, &thief->public_key);
    CHECK(tuple_batch_add(&batch, &tuple) == STATUS_OK);
    CHECK(seal_record(&record, &hash, fields, buffer_bytes(&batch.plain), body_key, thief->key) ==
          STATUS_OK);
    post_record(f, buffer_bytes(&record));
    buffer_release(&record);
    tuple_batch_release(&batch);
    aead_key_free(body_key);
    secret_free(data_key);
}

/*
 * Where this store says that the branch ends: on from there, once as if nothing had happened, and
 * twice with the newest SYNC joined: under the old key, and under the name of the new one.
 */
static void write_on(struct federation *f, const struct federation_worker *thief,
                     const struct capsule *capsule, const struct capsule_member *member)
{
    const struct capsule_sync *newest = capsule_newest_sync(capsule);
    struct hash parents[2] = {member->head.hash};
    struct record_fields fields = {
        .type = RECORD_DATA,
        .key_epoch = member->joined_key_epoch,
        .sequence = member->head.sequence + 1,
        .epoch = member->joined_epoch + 1,
        .writer = thief->id,
        .capsule = f->capsule,
        .parents = parents,
        .parent_count = member->head.sequence > 0 ? 1 : 0,
    };
    seal_and_post(f, thief, &fields);
    if (newest == NULL || newest->epoch <= member->joined_epoch) {
        return;
    }
    fields.epoch = newest->epoch + 1;
    parents[fields.parent_count++] = newest->hash;
    seal_and_post(f, thief, &fields);
    fields.key_epoch = newest->key_epoch;
    seal_and_post(f, thief, &fields);
}

void federation_thief_write(struct federation *f, size_t worker)
{
    const struct federation_worker *thief = f->workers[worker];
    for (size_t i = 0; i < f->store_count && thief->key_epoch > 0; i++) {
        if (f->stores[i].store == NULL) {
            continue;
        }
        const struct capsule *capsule = store_capsule(f->stores[i].store);
        const struct capsule_member *member = capsule_member_find(capsule, &thief->id);
        if (member != NULL && member->is_closed) {
            write_on(f, thief, capsule, member);
        }
    }
}
