/* src/scl/scl.c */
#include "scl/scl.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hex.h"
#include "capsule/seal.h"
#include "scl/durable.h"
#include "scl/holdback.h"
#include "scl/outbox.h"

enum {
    SCL_KEYS_MAX = 64,
    SCL_FETCHES_MAX = 8,
    SCL_INTRODUCTIONS_MAX = 16,
    SCL_GATHER_US = 1000,                // how long a batch gathers beside an unreceipted record
    SCL_STALL_US = 50 * 1000,            // no progress for so long: ask for what is missing
    SCL_LOST_US = 1000 * 1000,           // with records that wait for what nobody names
    SCL_LOST_US_MAX = 64 * 1000 * 1000,  // so often at most is the log read again for nothing
    SCL_FETCH_TIMEOUT_US = 2000 * 1000,
    SCL_FETCH_BYTES = 4 << 20,
    SCL_TIME_US =
        10 * 1000 * 1000,  // DESIGN 6.5: how often a SYNC tells the time to keys that expire
    SCL_UNRECEIPTED_BYTES_MAX = 64 << 20,
    SCL_RUN_BYTES_MAX = 8 << 20,
    SCL_PREFIX_BYTES = 4,  // of ids in session tokens
};

// DESIGN 5.1: no lamport may run ahead of what was joined by more than this.
#define SCL_LAMPORT_AHEAD_MAX (1ull << 40)

/* A zero id: every worker and store; in a FETCH, the whole log. */
static const struct writer_id everyone;

struct scl_key {
    uint32_t key_epoch;
    struct secret *secret;
};

/* What this replica keeps of the member with the same index in the capsule. */
struct scl_peer {
    struct aead_key *body_key;  // for key_epoch; NULL until needed
    uint32_t key_epoch;
    bool is_blocked;           // its next record waits for a leader's record
    uint64_t progress_us;      // when one of its records was applied last
    uint64_t synced_sequence;  // as the newest SYNC lists it
    uint64_t joined_sequence;  // as the joined SYNC lists it, or less
};

struct scl_fetch {
    uint32_t request;  // 0: free
    bool is_log;       // the whole log in the store's order, at the start
    struct writer_id writer;
    uint64_t deadline_us;
};

struct scl_frame {
    struct scl_frame *next;
    struct buffer bytes;
};

struct scl {
    struct capsule *capsule;
    struct memtable *memtable;
    struct durable *durable;
    struct holdback *holdback;
    const struct sign_key *key;
    struct writer_id id;
    const struct log *log;
    void (*on_function)(void *context, struct bytes body);
    void *context;

    struct scl_key keys[SCL_KEYS_MAX];
    size_t key_count;
    struct scl_peer *peers;
    size_t peer_count;
    size_t peer_capacity;

    // The own branch.
    uint64_t lamport;
    struct tuple_batch batch;  // will be record begun_sequence + 1
    struct tuple_batch spare;  // its memory takes turns with the batch's
    uint64_t begun_sequence;   // the last sequence given to a job
    uint64_t eoe_next;         // 0, or the next record is the EOE of this epoch: puts go behind it
    uint64_t gather_until_us;  // 0: the batch has not been looked at
    bool is_sealing;
    uint64_t eoe_asked;
    uint64_t eoe_answered;
    struct aead_key *own_body_key;
    uint32_t own_key_epoch;
    struct outbox outbox;
    enum status trouble;

    // The SYNC that this replica has joined and that W stores hold.
    struct hash joined;
    uint64_t joined_epoch;
    _Atomic uint64_t joined_time_ms;
    uint64_t expiry_ms;    // the latest of any key: until then SYNCs must tell the time
    uint64_t timed_epoch;  // the epoch joined when timed_us was taken
    uint64_t timed_us;

    // Catching up.
    struct branch_head *required;
    size_t required_count;
    uint64_t log_next;
    bool is_log_done;
    bool is_dirty;  // something may be applicable
    size_t scan;    // where the search for it goes on
    struct writer_id introductions[SCL_INTRODUCTIONS_MAX];
    size_t introduction_count;
    size_t introductions_waiting;  // so many in a row wait for another's record
    bool may_lack;                 // the leader has named heads that may not be here
    uint64_t progress_us;          // when a record was applied last, or the log read again
    uint64_t lost_us;              // after so long without progress it is
    uint64_t checked_us;           // when what is missing was asked for last
    struct scl_fetch fetches[SCL_FETCHES_MAX];
    uint32_t last_request;

    struct scl_frame *output;
    struct scl_frame **output_end;
    struct scl_counters counters;
};

enum status scl_new(struct scl **scl, const struct scl_config *config)
{
    struct scl *made = calloc(1, sizeof *made);
    *scl = NULL;
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    made->key = config->key;
    const struct verify_key public_key = sign_key_public(config->key);
    made->id = writer_id_of(&public_key);
    made->log = config->log;
    made->on_function = config->on_function;
    made->context = config->context;
    outbox_init(&made->outbox);
    made->output_end = &made->output;
    made->log_next = 1;
    made->lost_us = SCL_LOST_US;

    enum status status = capsule_new(&made->capsule, config->genesis);
    if (status == STATUS_OK) {
        status = durable_new(&made->durable, capsule_genesis(made->capsule));
    }
    if (status == STATUS_OK) {
        status = holdback_new(&made->holdback);
    }
    if (status == STATUS_OK) {
        status = memtable_new(&made->memtable);
    }
    if (status != STATUS_OK) {
        scl_free(made);
        return status;
    }
    *scl = made;
    return STATUS_OK;
}

static void output_drop_first(struct scl *scl)
{
    struct scl_frame *first = scl->output;
    scl->output = first->next;
    if (scl->output == NULL) {
        scl->output_end = &scl->output;
    }
    buffer_release(&first->bytes);
    free(first);
}

void scl_free(struct scl *scl)
{
    if (scl == NULL) {
        return;
    }
    outbox_release(&scl->outbox);
    while (scl->output != NULL) {
        output_drop_first(scl);
    }
    for (size_t i = 0; i < scl->peer_count; i++) {
        aead_key_free(scl->peers[i].body_key);
    }
    for (size_t i = 0; i < scl->key_count; i++) {
        secret_free(scl->keys[i].secret);
    }
    aead_key_free(scl->own_body_key);
    tuple_batch_release(&scl->batch);
    tuple_batch_release(&scl->spare);
    free(scl->peers);
    free(scl->required);
    memtable_free(scl->memtable);
    holdback_free(scl->holdback);
    durable_free(scl->durable);
    capsule_free(scl->capsule);
    free(scl);
}

const struct capsule *scl_capsule(const struct scl *scl)
{
    return scl->capsule;
}

struct memtable *scl_memtable(struct scl *scl)
{
    return scl->memtable;
}

/* What waited may go on now. */
static void unblock(struct scl *scl)
{
    for (size_t i = 0; i < scl->peer_count; i++) {
        scl->peers[i].is_blocked = false;
    }
    scl->introductions_waiting = 0;
    scl->is_dirty = true;
}

enum status scl_add_key(struct scl *scl, uint32_t key_epoch, const uint8_t secret[SECRET_BYTES])
{
    if (scl->key_count == SCL_KEYS_MAX) {
        return STATUS_FULL;
    }
    scl->keys[scl->key_count++] =
        (struct scl_key){.key_epoch = key_epoch, .secret = secret_new_copy(secret)};
    unblock(scl);
    return STATUS_OK;
}

static const struct scl_key *key_find(const struct scl *scl, uint32_t key_epoch)
{
    for (size_t i = 0; i < scl->key_count; i++) {
        if (scl->keys[i].key_epoch == key_epoch) {
            return &scl->keys[i];
        }
    }
    return NULL;
}

static const struct scl_key *key_newest(const struct scl *scl)
{
    const struct scl_key *newest = NULL;
    for (size_t i = 0; i < scl->key_count; i++) {
        if (newest == NULL || scl->keys[i].key_epoch > newest->key_epoch) {
            newest = &scl->keys[i];
        }
    }
    return newest;
}

enum status scl_require(struct scl *scl, const struct branch_head *head)
{
    struct branch_head *required =
        realloc(scl->required, (scl->required_count + 1) * sizeof *required);
    if (required == NULL) {
        return STATUS_NO_MEMORY;
    }
    scl->required = required;
    scl->required[scl->required_count++] = *head;
    return STATUS_OK;
}

/* Whether the SYNC that the own MEMBER names is joined: before, the own branch cannot begin. */
static bool has_begun(const struct scl *scl, const struct capsule_member *own)
{
    return scl->joined_epoch >= own->joined_epoch;
}

static bool has_reached(const struct scl *scl, const struct branch_head *wanted)
{
    const struct capsule_member *member = capsule_member_find(scl->capsule, &wanted->writer);
    return member != NULL && member->head.sequence >= wanted->head.sequence;
}

bool scl_is_ready(const struct scl *scl)
{
    const struct capsule_member *own = capsule_member_find(scl->capsule, &scl->id);
    if (!scl->is_log_done || own == NULL || !has_begun(scl, own)) {
        return false;
    }
    for (size_t i = 0; i < scl->required_count; i++) {
        if (!has_reached(scl, &scl->required[i])) {
            return false;
        }
    }
    return true;
}

static const struct capsule_member *own_member(const struct scl *scl)
{
    return capsule_member_find(scl->capsule, &scl->id);
}

static size_t member_index(const struct scl *scl, const struct capsule_member *member)
{
    return capsule_member_index(scl->capsule, member);
}

/* Room for one member more than there are: made before a record is accepted that adds it. */
static enum status peers_reserve(struct scl *scl)
{
    size_t count = capsule_member_count(scl->capsule) + 1;
    if (count <= scl->peer_capacity) {
        return STATUS_OK;
    }
    size_t capacity = count < 8 ? 8 : 2 * count;
    struct scl_peer *peers = realloc(scl->peers, capacity * sizeof *peers);
    if (peers == NULL) {
        return STATUS_NO_MEMORY;
    }
    memset(peers + scl->peer_capacity, 0, (capacity - scl->peer_capacity) * sizeof *peers);
    scl->peers = peers;
    scl->peer_capacity = capacity;
    return STATUS_OK;
}

static enum status output_add(struct scl *scl, enum frame_kind kind, uint32_t request,
                              const struct writer_id *peer, struct bytes body)
{
    struct scl_frame *frame = calloc(1, sizeof *frame);
    if (frame == NULL) {
        return STATUS_NO_MEMORY;
    }
    enum status status = frame_encode(&frame->bytes, kind, request, peer, body);
    if (status != STATUS_OK) {
        buffer_release(&frame->bytes);
        free(frame);
        return status;
    }
    *scl->output_end = frame;
    scl->output_end = &frame->next;
    return STATUS_OK;
}

bool scl_has_output(const struct scl *scl)
{
    return scl->output != NULL;
}

enum status scl_output(struct scl *scl, struct buffer *frame)
{
    if (scl->output == NULL) {
        return STATUS_EMPTY;
    }
    enum status status = buffer_append(frame, scl->output->bytes.bytes, scl->output->bytes.length);
    if (status == STATUS_OK) {
        output_drop_first(scl);
    }
    return status;
}

/*
 * Whether W stores hold this branch up to `sequence`: by a SYNC, which rests on their receipts,
 * or by receipts that came since.
 */
static bool is_held(struct scl *scl, const struct capsule_member *member, uint64_t sequence)
{
    return sequence <= scl->peers[member_index(scl, member)].synced_sequence ||
           durable_covers(scl->durable, &member->id, sequence);
}

/*
 * Join the newest SYNC whose ancestors are all applied and which W stores hold: a SYNC that a
 * crash could still lose must not become a parent.
 */
static void join_newest(struct scl *scl)
{
    const struct capsule_sync *sync = capsule_joined_sync(scl->capsule);
    const struct capsule_member *own = own_member(scl);
    if (sync == NULL || own == NULL || sync->epoch < own->joined_epoch) {
        return;
    }
    if (sync->epoch > scl->joined_epoch && sync->epoch > own->joined_epoch &&
        !durable_covers(scl->durable, &sync->leader, sync->sequence)) {
        // The one that the own MEMBER names was held before the leader admitted us.
        sync = capsule_sync_find(scl->capsule, &own->joined);
    }
    if (sync == NULL || sync->epoch <= scl->joined_epoch) {
        return;
    }
    scl->joined = sync->hash;
    scl->joined_epoch = sync->epoch;
    atomic_store_explicit(&scl->joined_time_ms, sync->time_ms, memory_order_relaxed);
    if (scl->lamport < sync->lamport) {
        scl->lamport = sync->lamport;
    }
    // What an older SYNC listed is not kept: until the newest is joined, less is claimed.
    for (size_t i = 0; sync == capsule_newest_sync(scl->capsule) && i < scl->peer_count; i++) {
        scl->peers[i].joined_sequence = scl->peers[i].synced_sequence;
    }
}

/* Keys that expire need SYNCs to tell them the time. */
static void note_expiry(struct scl *scl, uint64_t expiry_ms)
{
    if (scl->expiry_ms < expiry_ms) {
        scl->expiry_ms = expiry_ms;
    }
}

/* ---- the way of a put ---- */

/* The sequence of the record that the open batch will be. */
static uint64_t batch_sequence(const struct scl *scl)
{
    return scl->begun_sequence + (scl->eoe_next == 0 ? 1 : 2);
}

void scl_depend(const struct scl *scl, struct dependency *dependency,
                const struct memtable_version *version)
{
    if (writer_id_equal(&version->writer, &scl->id)) {
        dependency_add_own(dependency, version->sequence);
    } else {
        dependency_add(dependency, version->origin, version->sequence);
    }
}

enum status scl_put(struct scl *scl, const struct tuple *tuple, struct dependency *dependency)
{
    const struct capsule_member *own = own_member(scl);
    if (own == NULL || own->is_closed) {
        return STATUS_CLOSED;
    }
    if (scl->outbox.bytes + scl->batch.plain.length > SCL_UNRECEIPTED_BYTES_MAX) {
        return STATUS_FULL;
    }
    struct tuple stamped = *tuple;
    stamped.lamport = scl->lamport + 1;
    enum status status = tuple_batch_add(&scl->batch, &stamped);
    if (status != STATUS_OK) {
        return status;
    }
    scl->lamport = stamped.lamport;
    note_expiry(scl, stamped.expiry_ms);

    uint32_t origin = (uint32_t)member_index(scl, own);
    const struct memtable_entry entry = {
        .key = stamped.key,
        .value = stamped.value,
        .expiry_ms = stamped.expiry_ms,
        .is_tombstone = stamped.kind == TUPLE_DELETE,
        .version = {.lamport = stamped.lamport,
                    .writer = scl->id,
                    .origin = origin,
                    .sequence = batch_sequence(scl)},
    };
    status = memtable_apply(scl->memtable, &entry);
    // Its lamport is above every one this map has seen, so it cannot lose. Without memory the
    // tuple is in the batch and not in the map: stop, rather than answer from a map that differs.
    CHECK(status == STATUS_OK);
    scl_depend(scl, dependency, &entry.version);
    scl->counters.tuples_put++;
    return STATUS_OK;
}

/* Forget own records that W stores hold. */
static void outbox_settle(struct scl *scl, const struct capsule_member *own)
{
    while (scl->outbox.first != NULL && is_held(scl, own, outbox_oldest(&scl->outbox))) {
        outbox_drop_oldest(&scl->outbox);
        scl->trouble = STATUS_OK;
    }
}

static enum status eoe_body(struct scl *scl, struct buffer *body)
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
                         member->head.sequence > scl->peers[i].synced_sequence;
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
    const struct scl_key *newest = key_newest(scl);
    if (newest == NULL) {
        return STATUS_GAP;
    }
    if (scl->own_body_key == NULL || scl->own_key_epoch != newest->key_epoch) {
        aead_key_free(scl->own_body_key);
        const struct verify_key public_key = sign_key_public(scl->key);
        scl->own_body_key = seal_key_new(newest->secret, capsule_name(scl->capsule), &public_key);
        scl->own_key_epoch = newest->key_epoch;
    }
    return STATUS_OK;
}

static enum status begin_data(struct scl *scl, struct scl_seal_job *job,
                              const struct capsule_member *own)
{
    enum status status = own_key_prepare(scl);
    if (status != STATUS_OK) {
        return status;
    }
    job_fill_fields(scl, job, RECORD_DATA, own);
    job->fields.key_epoch = scl->own_key_epoch;
    job->body_key = scl->own_body_key;
    job->batch = scl->batch;
    scl->batch = scl->spare;
    scl->spare = (struct tuple_batch){0};
    scl->gather_until_us = 0;
    return STATUS_OK;
}

static enum status begin_eoe(struct scl *scl, struct scl_seal_job *job,
                             const struct capsule_member *own)
{
    buffer_clear(&job->body);
    enum status status = eoe_body(scl, &job->body);
    if (status != STATUS_OK) {
        return status;
    }
    job_fill_fields(scl, job, RECORD_EOE, own);
    scl->eoe_answered = scl->eoe_next;
    scl->eoe_next = 0;
    return STATUS_OK;
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
    const struct capsule_member *own = own_member(scl);
    if (own == NULL) {
        return STATUS_EMPTY;
    }
    outbox_settle(scl, own);
    if (own->is_closed) {
        return STATUS_CLOSED;
    }
    if (!has_begun(scl, own)) {
        return STATUS_EMPTY;
    }
    bool has_data = scl->batch.count > 0;
    bool must_answer = must_answer_rts(scl);
    // What was put before the RTS leaves first. What is put meanwhile has its place behind the
    // EOE, or a flood would keep it from leaving for ever.
    bool is_eoe = scl->eoe_next != 0 || (must_answer && !has_data);
    if (!has_data && !is_eoe) {
        return STATUS_EMPTY;
    }
    // A lone put leaves at once; beside an unreceipted record the batch gathers for a while,
    // for the store syncs both in one group anyway.
    if (!is_eoe && !must_answer && scl->outbox.first != NULL &&
        scl->batch.plain.length < TUPLE_BATCH_BYTES_MAX / 2) {
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
    enum status status = is_eoe ? begin_eoe(scl, job, own) : begin_data(scl, job, own);
    if (status != STATUS_OK) {
        return status == STATUS_GAP ? STATUS_EMPTY : status;
    }
    if (!is_eoe && must_answer) {
        scl->eoe_next = scl->eoe_asked;
    }
    scl->begun_sequence++;
    scl->is_sealing = true;
    return STATUS_OK;
}

void scl_seal_run(const struct scl *scl, struct scl_seal_job *job)
{
    uint8_t header[FRAME_HEADER_BYTES];
    frame_header(header, FRAME_RECORD, 0, &everyone);
    job->frame = BUFFER_EMPTY;
    job->status = buffer_append(&job->frame, header, sizeof header);
    if (job->status != STATUS_OK) {
        return;
    }
    struct hash hash;
    if (job->fields.type == RECORD_DATA) {
        job->status = seal_record(&job->frame, &hash, &job->fields, buffer_bytes(&job->batch.plain),
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

enum status scl_seal_finish(struct scl *scl, struct scl_seal_job *job, uint64_t now_us,
                            struct bytes *frame)
{
    CHECK(scl->is_sealing);
    scl->is_sealing = false;
    if (job->status != STATUS_OK) {
        return job->status;
    }
    enum status status = capsule_accept_vouched(scl->capsule, &job->record);
    if (status != STATUS_OK) {
        log_event(scl->log, "own record refused sequence=%" PRIu64 " reason=\"%s\"",
                  job->record.sequence, capsule_reason(scl->capsule));
        return status;
    }
    status = outbox_add(&scl->outbox, job->record.sequence, &job->frame, now_us, frame);
    if (status != STATUS_OK) {
        return status;
    }
    if (job->fields.type == RECORD_EOE) {
        status = output_add(scl, FRAME_RECORD, 0, &frame_to_leader, job->record.whole);
    }

    if (job->fields.type == RECORD_DATA) {
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

/* ---- the way of a record received ---- */

/* A leader is known by its first records: these go to the capsule whole. */
static void introduction_note(struct scl *scl, const struct record *record)
{
    bool is_first = record->type == RECORD_GENESIS || record->type == RECORD_TERM;
    if (!is_first || capsule_member_find(scl->capsule, &record->writer) != NULL) {
        return;
    }
    for (size_t i = 0; i < scl->introduction_count; i++) {
        if (writer_id_equal(&scl->introductions[i], &record->writer)) {
            return;
        }
    }
    if (scl->introduction_count < SCL_INTRODUCTIONS_MAX) {
        scl->introductions[scl->introduction_count++] = record->writer;
    }
}

/* It comes back when it has to wait; one refused must not take a leader's place. */
static struct writer_id introduction_take_first(struct scl *scl)
{
    struct writer_id first = scl->introductions[0];
    scl->introduction_count--;
    memmove(scl->introductions, scl->introductions + 1,
            scl->introduction_count * sizeof *scl->introductions);
    return first;
}

enum status scl_receive(struct scl *scl, const struct record *record)
{
    const struct capsule_member *member = capsule_member_find(scl->capsule, &record->writer);
    if (writer_id_equal(&record->writer, &scl->id) ||
        (member != NULL && record->sequence <= member->head.sequence)) {
        return STATUS_STALE;
    }
    if (!hash_equal(&record->capsule, capsule_name(scl->capsule))) {
        return STATUS_DENIED;
    }
    enum status status = holdback_put(scl->holdback, record);
    if (status == STATUS_OK) {
        introduction_note(scl, record);
        scl->introductions_waiting = 0;
        scl->is_dirty = true;
    }
    return status;
}

static enum status job_add(struct scl *scl, struct scl_open_job *job,
                           const struct writer_id *writer, uint64_t sequence)
{
    struct buffer *bytes = &job->bytes[job->count];
    enum status status = holdback_take(scl->holdback, writer, sequence, bytes);
    if (status != STATUS_OK) {
        return status;
    }
    // It was decoded when it came; its bytes are ours since.
    status = record_decode_again(&job->records[job->count], bytes->bytes, bytes->length);
    CHECK(status == STATUS_OK);
    job->count++;
    return STATUS_OK;
}

static enum status begin_introduction(struct scl *scl, struct scl_open_job *job)
{
    while (scl->introduction_count > 0) {
        struct writer_id writer = introduction_take_first(scl);
        bool is_known = capsule_member_find(scl->capsule, &writer) != NULL;
        for (uint64_t sequence = 1; sequence <= 2 && !is_known; sequence++) {
            if (job_add(scl, job, &writer, sequence) == STATUS_OK) {
                job->is_introduction = true;
                return STATUS_OK;
            }
        }
    }
    return STATUS_EMPTY;
}

/* The key that opens this member's bodies of that key epoch; NULL: not ours to read (yet). */
static struct aead_key *peer_body_key(struct scl *scl, size_t index,
                                      const struct capsule_member *member, uint32_t key_epoch)
{
    struct scl_peer *peer = &scl->peers[index];
    if (peer->body_key != NULL && peer->key_epoch == key_epoch) {
        return peer->body_key;
    }
    const struct scl_key *key = key_find(scl, key_epoch);
    if (key == NULL) {
        return NULL;
    }
    aead_key_free(peer->body_key);
    peer->body_key = seal_key_new(key->secret, capsule_name(scl->capsule), &member->key);
    peer->key_epoch = key_epoch;
    return peer->body_key;
}

static enum status begin_run(struct scl *scl, struct scl_open_job *job, size_t index)
{
    const struct capsule_member *member = capsule_member_at(scl->capsule, index);
    size_t run_bytes = 0;
    job->body_key = NULL;
    job->key = member->key;
    uint32_t key_epoch = 0;
    while (job->count < SCL_RUN_RECORDS_MAX && run_bytes < SCL_RUN_BYTES_MAX) {
        uint64_t sequence = member->head.sequence + 1 + job->count;
        if (job_add(scl, job, &member->id, sequence) != STATUS_OK) {
            break;
        }
        const struct record *record = &job->records[job->count - 1];
        run_bytes += record->whole.length;
        if (!record_type_is_sealed(record->type)) {
            continue;
        }
        if (job->body_key == NULL) {
            job->body_key = peer_body_key(scl, index, member, record->key_epoch);
            key_epoch = record->key_epoch;
        }
        if (job->body_key == NULL && job->count == 1 && scl->key_count > 0) {
            // A key epoch nobody told of: forged, or told of soon. Its signature decides.
            break;
        }
        if (job->body_key == NULL || record->key_epoch != key_epoch) {
            // Another key: the next run's business; without one it waits for the leader.
            scl->peers[index].is_blocked = job->count == 1;
            enum status status = holdback_put(scl->holdback, record);
            job->count--;
            buffer_release(&job->bytes[job->count]);
            if (status != STATUS_OK) {
                return status;
            }
            break;
        }
    }
    return job->count > 0 ? STATUS_OK : STATUS_EMPTY;
}

enum status scl_open_begin(struct scl *scl, struct scl_open_job *job)
{
    job->count = 0;
    job->is_introduction = false;
    if (!scl->is_dirty) {
        return STATUS_EMPTY;
    }
    if (scl->introductions_waiting < scl->introduction_count &&
        begin_introduction(scl, job) == STATUS_OK) {
        return STATUS_OK;
    }
    if (holdback_count(scl->holdback) > 0) {
        size_t count = scl->peer_count;
        for (size_t step = 0; step < count; step++) {
            size_t index = (scl->scan + step) % count;
            if (scl->peers[index].is_blocked) {
                continue;
            }
            enum status status = begin_run(scl, job, index);
            if (status != STATUS_EMPTY) {
                scl->scan = index;
                return status;
            }
        }
    }
    scl->is_dirty = false;
    return STATUS_EMPTY;
}

static enum status run_verify(const struct scl_open_job *job)
{
    for (size_t i = 1; i < job->count; i++) {
        struct hash parent = job->records[i].parent_count > 0 ? record_parent(&job->records[i], 0)
                                                              : (struct hash){{0}};
        if (!hash_equal(&parent, &job->records[i - 1].hash)) {
            return STATUS_FORGED;
        }
    }
    return record_verify(&job->records[job->count - 1], &job->key);
}

void scl_open_run(struct scl_open_job *job)
{
    job->status = STATUS_OK;
    if (job->is_introduction) {
        return;  // capsule_accept() finds the key inside
    }
    job->status = run_verify(job);
    for (size_t i = 0; i < job->count && job->status == STATUS_OK; i++) {
        const struct record *record = &job->records[i];
        if (!record_type_is_sealed(record->type)) {
            continue;
        }
        if (job->body_key == NULL) {
            job->status = STATUS_GAP;  // genuine: it waits for the key
            return;
        }
        buffer_clear(&job->plains[i]);
        job->status = seal_open(&job->plains[i], record, job->body_key);
        uint64_t last_lamport;
        if (job->status == STATUS_OK && record->type == RECORD_DATA) {
            job->status = tuple_verify_batch(buffer_bytes(&job->plains[i]), &last_lamport);
        }
    }
}

static enum status apply_tuples(struct scl *scl, const struct record *record, struct bytes plain,
                                uint32_t origin)
{
    struct tuple_reader reader;
    struct tuple tuple;
    enum status status = tuple_reader_init(&reader, plain);
    while (status == STATUS_OK && (status = tuple_reader_next(&reader, &tuple)) == STATUS_OK) {
        const struct memtable_entry entry = {
            .key = tuple.key,
            .value = tuple.value,
            .expiry_ms = tuple.expiry_ms,
            .is_tombstone = tuple.kind == TUPLE_DELETE,
            .version = {.lamport = tuple.lamport,
                        .writer = record->writer,
                        .origin = origin,
                        .sequence = record->sequence},
        };
        status = memtable_apply(scl->memtable, &entry);
        CHECK(status == STATUS_OK || status == STATUS_STALE);  // half a record must not stay
        status = STATUS_OK;
        if (scl->lamport < tuple.lamport) {
            scl->lamport = tuple.lamport;
        }
        note_expiry(scl, tuple.expiry_ms);
        scl->counters.tuples_applied++;
    }
    return status == STATUS_EMPTY ? STATUS_OK : status;
}

/* The lamport that a branch has joined with this record: its SYNC parent comes last. */
static uint64_t joined_lamport(const struct scl *scl, const struct record *record)
{
    const struct capsule_member *member = capsule_member_find(scl->capsule, &record->writer);
    const struct capsule_sync *sync = NULL;
    if (record->parent_count > 0) {
        struct hash parent = record_parent(record, record->parent_count - 1);
        sync = capsule_sync_find(scl->capsule, &parent);
    }
    if (sync != NULL) {
        return sync->lamport;
    }
    return member == NULL ? 0 : member->joined_lamport;
}

/* Judged by what its own branch has joined, so that every replica judges alike. */
static bool is_lamport_plausible(const struct scl *scl, const struct record *record,
                                 struct bytes plain)
{
    uint64_t last_lamport;
    return tuple_verify_batch(plain, &last_lamport) == STATUS_OK &&
           last_lamport <= joined_lamport(scl, record) + SCL_LAMPORT_AHEAD_MAX;
}

static void note_sync(struct scl *scl, const struct record *record)
{
    struct sync_body sync;
    if (sync_decode(&sync, record->body) != STATUS_OK) {
        return;  // the capsule has accepted it, so it decodes
    }
    for (uint32_t i = 0; i < sync.head_count; i++) {
        struct sync_head head = sync_head_at(&sync, i);
        const struct capsule_member *member =
            capsule_member_find(scl->capsule, &head.branch.writer);
        struct scl_peer *peer = member == NULL ? NULL : &scl->peers[member_index(scl, member)];
        if (peer != NULL && peer->synced_sequence < head.branch.head.sequence) {
            peer->synced_sequence = head.branch.head.sequence;
        }
    }
}

/* Accept one record of the run and do what it says. */
static enum status finish_one(struct scl *scl, const struct scl_open_job *job, size_t i)
{
    const struct record *record = &job->records[i];
    bool is_plausible = record->type != RECORD_DATA ||
                        is_lamport_plausible(scl, record, buffer_bytes(&job->plains[i]));
    if (!is_plausible) {
        return STATUS_FORGED;
    }
    enum status status = peers_reserve(scl);
    if (status != STATUS_OK) {
        return status;
    }
    status = job->is_introduction ? capsule_accept(scl->capsule, record)
                                  : capsule_accept_vouched(scl->capsule, record);
    if (status != STATUS_OK) {
        return status;
    }
    scl->peer_count = capsule_member_count(scl->capsule);
    scl->counters.records_applied++;
    const struct capsule_member *member = capsule_member_find(scl->capsule, &record->writer);
    switch (record->type) {
    case RECORD_DATA:
        return apply_tuples(scl, record, buffer_bytes(&job->plains[i]),
                            (uint32_t)member_index(scl, member));
    case RECORD_FUNCTION:
        scl->on_function(scl->context, buffer_bytes(&job->plains[i]));
        break;
    case RECORD_SYNC:
        note_sync(scl, record);
        break;
    default:
        break;
    }
    if (record->type != RECORD_EOE) {
        unblock(scl);
        scl->may_lack = true;
    }
    return STATUS_OK;
}

/* What could not be accepted yet goes back to where it came from. */
static void put_back(struct scl *scl, const struct scl_open_job *job, size_t from)
{
    for (size_t i = from; i < job->count; i++) {
        if (holdback_put(scl->holdback, &job->records[i]) != STATUS_OK) {
            return;  // fetched again when its turn comes
        }
    }
}

static void log_refusal(struct scl *scl, const struct record *record, enum status status)
{
    char writer[WRITER_ID_TEXT_BYTES];
    writer_id_text(&record->writer, writer);
    scl->counters.records_refused++;
    log_event(scl->log,
              "record refused writer=%s sequence=%" PRIu64 " type=%s status=\"%s\" reason=\"%s\"",
              writer, record->sequence, record_type_text(record->type), status_text(status),
              capsule_reason(scl->capsule));
}

static void note_progress(struct scl *scl, const struct writer_id *writer, uint64_t now_us)
{
    const struct capsule_member *member = capsule_member_find(scl->capsule, writer);
    if (member != NULL) {
        scl->peers[member_index(scl, member)].progress_us = now_us;
    }
    scl->progress_us = now_us;
    scl->lost_us = SCL_LOST_US;
    scl->is_dirty = true;
}

enum status scl_open_finish(struct scl *scl, struct scl_open_job *job, uint64_t now_us)
{
    enum status status = job->status;
    size_t done = 0;
    while (status == STATUS_OK && done < job->count) {
        status = finish_one(scl, job, done);
        done += status == STATUS_OK;
    }
    if (done > 0) {
        note_progress(scl, &job->records[0].writer, now_us);
    }
    if (status == STATUS_GAP) {
        put_back(scl, job, done);
        const struct capsule_member *member =
            capsule_member_find(scl->capsule, &job->records[0].writer);
        if (member != NULL) {
            scl->peers[member_index(scl, member)].is_blocked = true;
        } else {
            scl->introductions_waiting++;
        }
    } else if (status != STATUS_OK && status != STATUS_NO_MEMORY) {
        // A forged one of the run may have hidden the true one: only it is dropped for good.
        log_refusal(scl, &job->records[done < job->count ? done : job->count - 1], status);
    }
    bool is_begun = status == STATUS_OK || status == STATUS_GAP || status == STATUS_STALE;
    if (job->is_introduction && is_begun) {
        introduction_note(scl, &job->records[0]);  // a GENESIS, also one known, waits for its TERM
    }
    for (size_t i = 0; i < job->count; i++) {
        buffer_release(&job->bytes[i]);
        buffer_clear(&job->plains[i]);
    }
    job->count = 0;
    join_newest(scl);

    const struct capsule_member *own = own_member(scl);
    if (capsule_is_overrun(scl->capsule) || (own != NULL && own->is_closed)) {
        return STATUS_CLOSED;
    }
    return status == STATUS_NO_MEMORY ? status : STATUS_OK;
}

void scl_open_release(struct scl_open_job *job)
{
    for (size_t i = 0; i < SCL_RUN_RECORDS_MAX; i++) {
        buffer_release(&job->bytes[i]);
        buffer_release(&job->plains[i]);
    }
}

/* ---- other frames ---- */

enum status scl_receive_receipt(struct scl *scl, struct bytes receipt)
{
    enum status status = durable_receive(scl->durable, receipt);
    if (status == STATUS_OK) {
        join_newest(scl);
    }
    return status;
}

enum status scl_receive_rts(struct scl *scl, struct bytes body)
{
    struct frame_rts rts;
    enum status status = frame_rts_decode(&rts, body);
    if (status != STATUS_OK) {
        return status;
    }
    const struct capsule_member *leader = capsule_leader(scl->capsule);
    if (leader == NULL || rts.term > capsule_term(scl->capsule)) {
        return STATUS_GAP;
    }
    if (rts.term < capsule_term(scl->capsule) || rts.epoch <= scl->eoe_asked) {
        return STATUS_STALE;
    }
    status = frame_rts_verify(&rts, capsule_name(scl->capsule), &leader->key);
    if (status == STATUS_OK) {
        scl->eoe_asked = rts.epoch;
    }
    return status;
}

enum status scl_receive_fetched(struct scl *scl, uint32_t request, struct bytes body)
{
    struct frame_fetched fetched;
    enum status status = frame_fetched_decode(&fetched, body);
    if (status != STATUS_OK) {
        return status;
    }
    for (size_t i = 0; i < SCL_FETCHES_MAX; i++) {
        struct scl_fetch *fetch = &scl->fetches[i];
        if (request == 0 || fetch->request != request) {
            continue;
        }
        if (fetch->is_log) {
            scl->is_log_done = fetched.is_end != 0;
            if (fetched.next > scl->log_next) {
                scl->log_next = fetched.next;
            }
        }
        fetch->request = 0;
        return STATUS_OK;
    }
    return STATUS_STALE;
}

enum status scl_receive_refused(struct scl *scl, struct bytes body)
{
    struct frame_refused refused;
    enum status status = frame_refused_decode(&refused, body);
    if (status != STATUS_OK) {
        return status;
    }
    // The host's word: it can only make answers fail sooner than their time-out would.
    if (refused.status == STATUS_NO_SPACE) {
        scl->trouble = STATUS_NO_SPACE;
    }
    log_event(scl->log, "store refused sequence=%" PRIu64 " status=%" PRIu32, refused.sequence,
              refused.status);
    return STATUS_OK;
}

enum status scl_store_trouble(const struct scl *scl)
{
    return scl->trouble;
}

static bool is_being_fetched(const struct scl *scl, const struct writer_id *writer)
{
    for (size_t i = 0; i < SCL_FETCHES_MAX; i++) {
        if (scl->fetches[i].request != 0 && !scl->fetches[i].is_log &&
            writer_id_equal(&scl->fetches[i].writer, writer)) {
            return true;
        }
    }
    return false;
}

static void fetch_ask(struct scl *scl, const struct writer_id *writer, uint64_t from, uint64_t to,
                      bool is_log, uint64_t now_us)
{
    for (size_t i = 0; i < SCL_FETCHES_MAX; i++) {
        struct scl_fetch *fetch = &scl->fetches[i];
        if (fetch->request != 0) {
            continue;
        }
        const struct frame_fetch ask = {
            .writer = *writer, .from = from, .to = to, .max_bytes = SCL_FETCH_BYTES};
        struct buffer body = BUFFER_EMPTY;
        scl->last_request = scl->last_request == UINT32_MAX ? 1 : scl->last_request + 1;
        if (frame_fetch_encode(&body, &ask) == STATUS_OK &&
            output_add(scl, FRAME_FETCH, scl->last_request, &everyone, buffer_bytes(&body)) ==
                STATUS_OK) {
            *fetch = (struct scl_fetch){.request = scl->last_request,
                                        .is_log = is_log,
                                        .writer = *writer,
                                        .deadline_us = now_us + SCL_FETCH_TIMEOUT_US};
            scl->counters.fetches++;
        }
        buffer_release(&body);
        return;
    }
}

/* A branch that still grows is not stalled: what it lacks may be under way. */
static void fetch_branch(struct scl *scl, const struct writer_id *writer, uint64_t to,
                         uint64_t now_us)
{
    const struct capsule_member *member = capsule_member_find(scl->capsule, writer);
    uint64_t from = member == NULL ? 1 : member->head.sequence + 1;
    bool is_growing =
        member != NULL && now_us < scl->peers[member_index(scl, member)].progress_us + SCL_STALL_US;
    if (from <= to && !is_growing && !is_being_fetched(scl, writer) &&
        !holdback_has(scl->holdback, writer, from)) {
        fetch_ask(scl, writer, from, to, false, now_us);
    }
}

/* Ask for what keeps this replica from going on: SYNC heads, GRANT heads, holes before held
 * records. */
static void fetch_missing(struct scl *scl, uint64_t now_us)
{
    struct branch_head wanted;
    uint64_t from;
    size_t place = 0;
    scl->may_lack = false;
    while (capsule_missing(scl->capsule, &place, &wanted, &from) == STATUS_OK) {
        fetch_branch(scl, &wanted.writer, wanted.head.sequence, now_us);
        scl->may_lack = true;
    }
    for (size_t i = 0; i < scl->required_count; i++) {
        if (!has_reached(scl, &scl->required[i])) {
            fetch_branch(scl, &scl->required[i].writer, scl->required[i].head.sequence, now_us);
        }
    }
    struct writer_id writer;
    uint64_t sequence;
    place = 0;
    while (holdback_next(scl->holdback, &place, &writer, &sequence) == STATUS_OK) {
        const struct capsule_member *member = capsule_member_find(scl->capsule, &writer);
        if (member != NULL && sequence <= member->head.sequence) {
            holdback_drop(scl->holdback, &writer, member->head.sequence);
        } else {
            fetch_branch(scl, &writer, sequence - 1, now_us);
        }
    }
    // What holds back everyone else is a record of the leader's.
    const struct capsule_member *leader = capsule_leader(scl->capsule);
    if (leader != NULL && holdback_count(scl->holdback) > 0) {
        fetch_branch(scl, &leader->id, UINT64_MAX, now_us);
    }
}

/*
 * Part of an answer got lost, or a leader came and went unseen: what is held waits for
 * records whose writer nobody names here. Only a store's log tells.
 */
static void read_log_again(struct scl *scl, uint64_t now_us)
{
    scl->log_next = 1;
    scl->is_log_done = false;
    scl->progress_us = now_us;
    scl->lost_us = scl->lost_us < SCL_LOST_US_MAX / 2 ? 2 * scl->lost_us : SCL_LOST_US_MAX;
}

static bool is_behind(const struct scl *scl)
{
    const struct capsule_sync *newest = capsule_newest_sync(scl->capsule);
    const struct capsule_sync *joined = capsule_joined_sync(scl->capsule);
    return holdback_count(scl->holdback) > 0 || newest != joined || scl->may_lack ||
           (scl->is_log_done && !scl_is_ready(scl));
}

static void repeat_unreceipted(struct scl *scl, uint64_t now_us)
{
    size_t place = 0;
    struct bytes frame;
    while (outbox_repeat(&scl->outbox, &place, now_us, &frame) == STATUS_OK) {
        const struct bytes record =
            bytes_of(frame.at + FRAME_HEADER_BYTES, frame.length - FRAME_HEADER_BYTES);
        if (output_add(scl, FRAME_RECORD, 0, &everyone, record) != STATUS_OK) {
            return;
        }
    }
}

/*
 * While keys are to expire and no SYNC comes, end the epoch unasked: the leader sees a record that
 * no SYNC lists, and writes one. Returns when to look again.
 */
static uint64_t tick_expiry(struct scl *scl, uint64_t now_us)
{
    if (scl->expiry_ms <= scl_time_ms(scl)) {
        return UINT64_MAX;
    }
    if (scl->timed_epoch != scl->joined_epoch || scl->timed_us == 0) {
        scl->timed_epoch = scl->joined_epoch;
        scl->timed_us = now_us;
    }
    const struct capsule_sync *newest = capsule_newest_sync(scl->capsule);
    if (now_us >= scl->timed_us + SCL_TIME_US && newest != NULL) {
        scl->eoe_asked = newest->epoch + 1;
        scl->timed_us = now_us;
    }
    return scl->timed_us + SCL_TIME_US;
}

uint64_t scl_tick(struct scl *scl, uint64_t now_us)
{
    bool is_fetching_log = false;
    scl->progress_us = scl->progress_us == 0 ? now_us : scl->progress_us;
    for (size_t i = 0; i < SCL_FETCHES_MAX; i++) {
        struct scl_fetch *fetch = &scl->fetches[i];
        if (fetch->request != 0 && fetch->deadline_us <= now_us) {
            fetch->request = 0;
        }
        is_fetching_log = is_fetching_log || (fetch->request != 0 && fetch->is_log);
    }
    if (!scl->is_log_done && !is_fetching_log) {
        fetch_ask(scl, &everyone, scl->log_next, UINT64_MAX, true, now_us);
    }
    if (scl->is_log_done && is_behind(scl) && now_us >= scl->checked_us + SCL_STALL_US) {
        scl->checked_us = now_us;
        unblock(scl);
        fetch_missing(scl, now_us);
        if (holdback_count(scl->holdback) > 0 && now_us >= scl->progress_us + scl->lost_us) {
            read_log_again(scl, now_us);
        }
    }
    repeat_unreceipted(scl, now_us);
    uint64_t wake_us = tick_expiry(scl, now_us);
    if (scl->outbox.first != NULL && wake_us > now_us + OUTBOX_REPEAT_US) {
        wake_us = now_us + OUTBOX_REPEAT_US;
    }
    if ((!scl->is_log_done || is_behind(scl)) && wake_us > now_us + SCL_STALL_US) {
        wake_us = now_us + SCL_STALL_US;
    }
    return wake_us;
}

/* ---- reading ---- */

bool scl_is_durable(struct scl *scl, const struct dependency *dependency)
{
    const struct capsule_member *own = own_member(scl);
    if (own != NULL && !is_held(scl, own, dependency->own_sequence)) {
        return false;
    }
    if (dependency->has_overflowed) {
        for (size_t i = 0; i < capsule_member_count(scl->capsule); i++) {
            const struct capsule_member *member = capsule_member_at(scl->capsule, i);
            if (!is_held(scl, member, member->head.sequence)) {
                return false;
            }
        }
    }
    for (uint32_t i = 0; i < dependency->count; i++) {
        const struct capsule_member *member =
            capsule_member_at(scl->capsule, dependency->items[i].member);
        if (!is_held(scl, member, dependency->items[i].sequence)) {
            return false;
        }
    }
    return true;
}

uint64_t scl_time_ms(const struct scl *scl)
{
    return atomic_load_explicit(&scl->joined_time_ms, memory_order_relaxed);
}

enum status scl_version(const struct scl *scl, char text[SCL_VERSION_BYTES_MAX])
{
    char prefix[2 * SCL_PREFIX_BYTES + 1];
    hex_encode(prefix, capsule_name(scl->capsule)->bytes, SCL_PREFIX_BYTES);
    int length = snprintf(text, SCL_VERSION_BYTES_MAX, "%s.%" PRIu64 ".%" PRIu64, prefix,
                          capsule_term(scl->capsule), scl->joined_epoch);
    for (size_t i = 0; i < scl->peer_count; i++) {
        const struct capsule_member *member = capsule_member_at(scl->capsule, i);
        uint64_t sequence = member->head.sequence;
        if (member->role == MEMBER_LEADER || sequence <= scl->peers[i].joined_sequence) {
            continue;
        }
        hex_encode(prefix, member->id.bytes, SCL_PREFIX_BYTES);
        length += snprintf(text + length, SCL_VERSION_BYTES_MAX - (size_t)length, ".%s-%" PRIu64,
                           prefix, sequence);
        if (length >= SCL_VERSION_BYTES_MAX) {
            return STATUS_FULL;
        }
    }
    return STATUS_OK;
}

/* Read decimal digits. False: none, or too many. */
static bool read_number(struct bytes *text, uint64_t *number)
{
    size_t digits = 0;
    *number = 0;
    while (digits < text->length && text->at[digits] >= '0' && text->at[digits] <= '9') {
        if (digits == 18) {
            return false;
        }
        *number = *number * 10 + (uint64_t)(text->at[digits] - '0');
        digits++;
    }
    *text = bytes_of(text->at + digits, text->length - digits);
    return digits > 0;
}

static bool read_prefix(struct bytes *text, uint8_t prefix[SCL_PREFIX_BYTES])
{
    if (text->length < 2 * SCL_PREFIX_BYTES ||
        !hex_decode(prefix, SCL_PREFIX_BYTES, (const char *)text->at, 2 * SCL_PREFIX_BYTES)) {
        return false;
    }
    *text = bytes_of(text->at + 2 * SCL_PREFIX_BYTES, text->length - 2 * SCL_PREFIX_BYTES);
    return true;
}

static bool read_mark(struct bytes *text, char mark)
{
    if (text->length == 0 || text->at[0] != (uint8_t)mark) {
        return false;
    }
    *text = bytes_of(text->at + 1, text->length - 1);
    return true;
}

static enum status reaches_head(const struct scl *scl, const uint8_t prefix[SCL_PREFIX_BYTES],
                                uint64_t sequence)
{
    for (size_t i = 0; i < capsule_member_count(scl->capsule); i++) {
        const struct capsule_member *member = capsule_member_at(scl->capsule, i);
        if (memcmp(member->id.bytes, prefix, SCL_PREFIX_BYTES) != 0) {
            continue;
        }
        if (member->is_closed && sequence > member->cut.sequence) {
            return STATUS_CLOSED;
        }
        return member->head.sequence >= sequence ? STATUS_OK : STATUS_GAP;
    }
    return STATUS_GAP;
}

enum status scl_reaches(const struct scl *scl, struct bytes version)
{
    uint8_t prefix[SCL_PREFIX_BYTES];
    uint64_t term, epoch;
    bool is_whole = read_prefix(&version, prefix) && read_mark(&version, '.') &&
                    read_number(&version, &term) && read_mark(&version, '.') &&
                    read_number(&version, &epoch);
    if (!is_whole) {
        return STATUS_MALFORMED;
    }
    if (memcmp(prefix, capsule_name(scl->capsule)->bytes, SCL_PREFIX_BYTES) != 0) {
        return STATUS_DENIED;
    }
    enum status answer = STATUS_OK;
    if (term > capsule_term(scl->capsule) || epoch > scl->joined_epoch) {
        answer = STATUS_GAP;
    }
    while (version.length > 0) {
        uint64_t sequence;
        is_whole = read_mark(&version, '.') && read_prefix(&version, prefix) &&
                   read_mark(&version, '-') && read_number(&version, &sequence);
        if (!is_whole) {
            return STATUS_MALFORMED;
        }
        enum status status = reaches_head(scl, prefix, sequence);
        if (status == STATUS_CLOSED) {
            return status;
        }
        if (status != STATUS_OK) {
            answer = status;
        }
    }
    return answer;
}

void scl_count(const struct scl *scl, struct scl_counters *counters)
{
    *counters = scl->counters;
    const struct capsule_sync *newest = capsule_newest_sync(scl->capsule);
    counters->receipts_verified = durable_verified_count(scl->durable);
    counters->joined_epoch = scl->joined_epoch;
    counters->newest_epoch = newest == NULL ? 0 : newest->epoch;
    counters->lamport = scl->lamport;
    counters->unreceipted_bytes = scl->outbox.bytes;
    counters->keys = memtable_count(scl->memtable);
    counters->key_bytes = memtable_bytes(scl->memtable);
}
