/* src/scl/scl_seal.c */
#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "capsule/seal.h"
#include "scl/scl_internal.h"

enum {
    SCL_GATHER_US = 1000,  // how long a batch gathers beside an unreceipted record
};

void scl_seal_settle(struct scl *scl, const struct capsule_member *own)
{
    while (scl->outbox.first != NULL && scl_is_held(scl, own, outbox_oldest(&scl->outbox))) {
        scl->newest_sequence = outbox_oldest(&scl->outbox);
        outbox_take_oldest(&scl->outbox, &scl->newest);
        scl->trouble = STATUS_OK;
    }
    if (scl->newest_sequence <= scl->peers[scl_member_index(scl, own)].synced_sequence) {
        buffer_release(&scl->newest);
    }
}

/*
 * Beside the own head, what only this replica may hold. What came just now is under way to the
 * stores, too: were it listed, n writers would list each other.
 */
static enum status eoe_body(struct scl *scl, uint64_t now_us, struct buffer *body)
{
    size_t count = capsule_member_count(scl->capsule);
    struct branch_head *heads = calloc(count, sizeof *heads);
    if (heads == NULL) {
        return STATUS_NO_MEMORY;
    }
    struct eoe eoe = {
        .epoch = scl->eoe_next,
        .lamport = scl->lamport,
        .sync = scl->joined,
    };
    for (size_t i = 0; i < count && eoe.head_count < SYNC_HEADS_MAX; i++) {
        const struct capsule_member *member = capsule_member_at(scl->capsule, i);
        bool is_listed = member->role != MEMBER_LEADER && !writer_id_equal(&member->id, &scl->id) &&
                         now_us >= scl->peers[i].progress_us + SCL_STALL_US &&
                         !scl_is_held(scl, member, member->head.sequence);
        if (is_listed) {
            heads[eoe.head_count++] =
                (struct branch_head){.writer = member->id, .head = member->head};
        }
    }
    enum status status = sync_eoe_encode(body, &eoe, heads);
    free(heads);
    return status;
}

static void job_fill_fields(struct scl *scl, struct scl_seal_job *job, enum record_type type,
                            const struct capsule_member *own)
{
    job->fields = (struct record_fields){
        .type = type,
        .sequence = scl->begun_sequence + 1,
        .epoch = scl->joined_epoch + 1,
        .writer = scl->id,
        .capsule = *capsule_name(scl->capsule),
        .parents = job->parents,
    };
    if (own->head.sequence > 0) {
        job->parents[job->fields.parent_count++] = own->head.hash;
    }
    if (scl->joined_epoch > own->joined_epoch) {
        job->parents[job->fields.parent_count++] = scl->joined;
    }
}

static enum status own_key_prepare(struct scl *scl)
{
    const struct scl_key *own = scl_key_own(scl);
    if (own == NULL) {
        return STATUS_GAP;
    }
    if (scl->own_body_key == NULL || scl->own_key_epoch != own->key_epoch) {
        aead_key_free(scl->own_body_key);
        const struct verify_key public_key = sign_key_public(scl->key);
        scl->own_body_key = seal_key_new(own->secret, capsule_name(scl->capsule), &public_key);
        scl->own_key_epoch = own->key_epoch;
    }
    return STATUS_OK;
}

/* Of a record whose body is sealed with the own data key. */
static enum status job_fill_sealed(struct scl *scl, struct scl_seal_job *job, enum record_type type,
                                   const struct capsule_member *own)
{
    enum status status = own_key_prepare(scl);
    if (status == STATUS_OK) {
        job_fill_fields(scl, job, type, own);
        job->fields.key_epoch = scl->own_key_epoch;
        job->body_key = scl->own_body_key;
    }
    return status;
}

static enum status begin_data(struct scl *scl, struct scl_seal_job *job,
                              const struct capsule_member *own)
{
    enum status status = job_fill_sealed(scl, job, RECORD_DATA, own);
    if (status != STATUS_OK) {
        return status;
    }
    job->batch = scl->batch;
    scl->batch = scl->spare;
    scl->spare = (struct tuple_batch){0};
    scl->gather_until_us = 0;
    return STATUS_OK;
}

/* What was written under a lock: a record of its own. */
static enum status begin_locked(struct scl *scl, struct scl_seal_job *job,
                                const struct capsule_member *own)
{
    enum status status = job_fill_sealed(scl, job, RECORD_DATA, own);
    if (status == STATUS_OK) {
        job->lock = scl_lock_begin(scl, &job->batch);
    }
    return status;
}

static enum status begin_eoe(struct scl *scl, struct scl_seal_job *job,
                             const struct capsule_member *own, uint64_t now_us)
{
    buffer_clear(&job->body);
    enum status status = eoe_body(scl, now_us, &job->body);
    if (status != STATUS_OK) {
        return status;
    }
    job_fill_fields(scl, job, RECORD_EOE, own);
    scl->eoe_answered = scl->eoe_next;
    scl->eoe_next = 0;
    return STATUS_OK;
}

/* What a compactor has to append. */
static enum status begin_block(struct scl *scl, struct scl_seal_job *job,
                               const struct capsule_member *own)
{
    enum status status = job_fill_sealed(scl, job, scl->block_type, own);
    if (status == STATUS_OK) {
        buffer_clear(&job->body);
        status = buffer_append(&job->body, scl->block_plain.at, scl->block_plain.length);
    }
    if (status == STATUS_OK) {
        scl->block_plain = bytes_of(NULL, 0);
    }
    return status;
}

void scl_seal_block(struct scl *scl, enum record_type type, struct bytes plain)
{
    CHECK(scl->is_compactor && scl->block_plain.length == 0);
    scl->block_type = type;
    scl->block_plain = plain;
    scl->has_sealed_block = false;
}

void scl_seal_tell_manifest(struct scl *scl)
{
    // Without memory it is told later.
    enum status status =
        scl_output_add(scl, FRAME_RECORD, 0, &frame_to_leader, buffer_bytes(&scl->manifest));
    (void)status;
}

bool scl_seal_block_is_done(const struct scl *scl, struct block_ref *ref)
{
    *ref = scl->sealed_block;
    return scl->has_sealed_block;
}

/* An epoch is ended by those who know the one before: without its SYNC we are absent. */
static bool must_answer_rts(const struct scl *scl)
{
    const struct capsule_sync *newest = capsule_newest_sync(scl->capsule);
    uint64_t next_epoch = newest == NULL ? 1 : newest->epoch + 1;
    return scl->eoe_asked > scl->eoe_answered && scl->eoe_asked <= next_epoch;
}

enum status scl_seal_begin(struct scl *scl, struct scl_seal_job *job, uint64_t now_us,
                           uint64_t *until_us)
{
    CHECK(!scl->is_sealing);
    const struct capsule_member *own = scl_own_member(scl);
    if (own == NULL) {
        return STATUS_EMPTY;
    }
    scl_seal_settle(scl, own);
    if (own->is_closed) {
        return STATUS_CLOSED;
    }
    if (!scl_has_begun(scl, own)) {
        return STATUS_EMPTY;
    }
    bool has_data = scl->batch.count > 0;
    bool must_answer = must_answer_rts(scl);
    // What was put before the RTS leaves first. What is put meanwhile has its place behind the
    // EOE, or a flood would keep it from leaving for ever.
    bool is_eoe = scl->eoe_next != 0 || (must_answer && !has_data && scl->lock_next == NULL);
    // So it is with what was written under a lock, of which the next in line has its place already.
    bool has_written = scl_lock_has_written(scl);
    if (!is_eoe && !has_data && scl->lock_next == NULL && has_written) {
        enum status status = scl_lock_reserve(scl);
        if (status != STATUS_OK) {
            return status;
        }
    }
    bool is_locked = !is_eoe && scl->lock_next != NULL;
    bool is_block = !is_eoe && !is_locked && !has_data && scl->block_plain.length > 0;
    if (!has_data && !is_eoe && !is_locked && !is_block) {
        return STATUS_EMPTY;
    }
    // A lone put leaves at once; beside an unreceipted record the batch gathers for a while,
    // for the store syncs both in one group anyway.
    if (!is_eoe && !is_locked && !is_block && !must_answer && !has_written &&
        scl->outbox.first != NULL && scl->batch.plain.length < TUPLE_BATCH_BYTES_MAX / 2) {
        if (scl->gather_until_us == 0) {
            scl->gather_until_us = now_us + SCL_GATHER_US;
        }
        if (now_us < scl->gather_until_us) {
            *until_us = scl->gather_until_us;
            return STATUS_FULL;
        }
    }
    if (is_eoe && scl->eoe_next == 0) {
        scl->eoe_next = scl->eoe_asked;
    }
    job->lock = NULL;
    enum status status = is_eoe      ? begin_eoe(scl, job, own, now_us)
                         : is_locked ? begin_locked(scl, job, own)
                         : is_block  ? begin_block(scl, job, own)
                                     : begin_data(scl, job, own);
    if (status != STATUS_OK) {
        return status == STATUS_GAP ? STATUS_EMPTY : status;
    }
    bool is_batch = !is_eoe && !is_locked;
    if (is_batch && must_answer) {
        scl->eoe_next = scl->eoe_asked;
    }
    if (is_batch && has_written && scl->lock_next == NULL) {
        status = scl_lock_reserve(scl);
        if (status != STATUS_OK) {
            return status;
        }
    }
    scl->begun_sequence++;
    scl->is_sealing = true;
    return STATUS_OK;
}

void scl_seal_run(const struct scl *scl, struct scl_seal_job *job)
{
    uint8_t header[FRAME_HEADER_BYTES];
    // Replicas read tables block by block, when somebody asks: they get the header alone.
    bool is_table = job->fields.type == RECORD_TABLE;
    frame_header(header, FRAME_RECORD, 0, is_table ? &frame_to_stores : &scl_everyone);
    job->frame = BUFFER_EMPTY;
    job->status = buffer_append(&job->frame, header, sizeof header);
    if (job->status != STATUS_OK) {
        return;
    }
    struct hash hash;
    if (job->fields.type == RECORD_DATA) {
        job->status = seal_record(&job->frame, &hash, &job->fields, buffer_bytes(&job->batch.plain),
                                  job->body_key, scl->key);
    } else if (record_type_is_sealed(job->fields.type)) {
        job->status = seal_record(&job->frame, &hash, &job->fields, buffer_bytes(&job->body),
                                  job->body_key, scl->key);
    } else {
        job->status =
            record_encode(&job->frame, &hash, &job->fields, buffer_bytes(&job->body), scl->key);
    }
    if (job->status == STATUS_OK) {
        // Decoded before it counts: its header is written and read on two paths.
        job->status = record_decode_again(&job->record, job->frame.bytes + sizeof header,
                                          job->frame.length - sizeof header);
    }
}

/* Whoever misses it finds the gap, and fetches the record. */
static enum status tell_header(struct scl *scl, const struct record *record)
{
    struct buffer pruned = BUFFER_EMPTY;
    enum status status = record_prune(&pruned, record);
    if (status == STATUS_OK) {
        status = scl_output_add(scl, FRAME_RECORD, 0, &frame_to_replicas, buffer_bytes(&pruned));
    }
    buffer_release(&pruned);
    return status;
}

enum status scl_seal_finish(struct scl *scl, struct scl_seal_job *job, uint64_t now_us,
                            struct bytes *frame)
{
    CHECK(scl->is_sealing);
    scl->is_sealing = false;
    if (job->status != STATUS_OK) {
        return job->status;
    }
    struct block_ref block = {
        .writer = scl->id,
        .sequence = job->record.sequence,
        .hash = job->record.hash,
        .record_bytes = (uint32_t)job->record.whole.length,
    };
    enum status status = capsule_accept_vouched(scl->capsule, &job->record);
    if (status != STATUS_OK) {
        log_event(scl->log, "own record refused sequence=%" PRIu64 " reason=\"%s\"",
                  job->record.sequence, capsule_reason(scl->capsule));
        return status;
    }
    status = outbox_add(&scl->outbox, job->record.sequence, &job->frame, now_us, frame);
    scl->newest_us = now_us;
    if (status != STATUS_OK) {
        return status;
    }
    if (job->fields.type == RECORD_TABLE) {
        status = tell_header(scl, &job->record);
        if (status != STATUS_OK) {
            return status;
        }
    }
    if (job->fields.type == RECORD_TABLE || job->fields.type == RECORD_MANIFEST) {
        scl->sealed_block = block;
        scl->has_sealed_block = true;
        buffer_clear(&job->body);
    }
    if (job->fields.type == RECORD_MANIFEST) {
        buffer_clear(&scl->manifest);
        status = buffer_append(&scl->manifest, job->record.whole.at, job->record.whole.length);
        if (status != STATUS_OK) {
            return status;
        }
    }
    bool is_for_leader = job->fields.type == RECORD_EOE || job->fields.type == RECORD_MANIFEST;
    if (is_for_leader) {
        status = scl_output_add(scl, FRAME_RECORD, 0, &frame_to_leader, job->record.whole);
    }

    if (job->lock != NULL) {
        status = scl_lock_finish(scl, job->lock, &job->record, &job->batch);
        tuple_batch_release(&job->batch);
    } else if (job->fields.type == RECORD_DATA) {
        tuple_batch_clear(&job->batch);
        tuple_batch_release(&scl->spare);
        scl->spare = job->batch;
        job->batch = (struct tuple_batch){0};
    }
    scl->counters.records_sealed++;
    return status;
}

void scl_seal_release(struct scl_seal_job *job)
{
    tuple_batch_release(&job->batch);
    buffer_release(&job->body);
    buffer_release(&job->frame);
}
