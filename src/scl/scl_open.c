/* src/scl/scl_open.c */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "capsule/seal.h"
#include "scl/scl_internal.h"

enum {
    SCL_RUN_BYTES_MAX = 8 << 20,
};

// DESIGN 5.1: no lamport may run ahead of what was joined by more than this.
#define SCL_LAMPORT_AHEAD_MAX (1ull << 40)

/* It comes back when it has to wait; one refused must not take a leader's place. */
static struct writer_id introduction_take_first(struct scl *scl)
{
    struct writer_id first = scl->introductions[0];
    scl->introduction_count--;
    memmove(scl->introductions, scl->introductions + 1,
            scl->introduction_count * sizeof *scl->introductions);
    return first;
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
    const struct scl_key *key = scl_key_find(scl, key_epoch);
    if (key == NULL) {
        return NULL;
    }
    aead_key_free(peer->body_key);
    peer->body_key = seal_key_new(key->secret, capsule_name(scl->capsule), &member->key);
    peer->key_epoch = key_epoch;
    return peer->body_key;
}

struct aead_key *scl_open_key(struct scl *scl, const struct record *record)
{
    const struct capsule_member *member = capsule_member_find(scl->capsule, &record->writer);
    return member == NULL
               ? NULL
               : peer_body_key(scl, scl_member_index(scl, member), member, record->key_epoch);
}

/* What tables hold is opened when somebody reads it. */
static bool is_opened(const struct record *record)
{
    return record_type_is_sealed(record->type) && record->type != RECORD_TABLE &&
           record->type != RECORD_MANIFEST && !record->is_pruned;
}

bool scl_open_may_apply(const struct scl *scl, size_t index, const struct capsule_member *member,
                        uint64_t sequence)
{
    bool is_certain = !scl->is_compactor || member->role != MEMBER_WORKER;
    bool is_ending = member->revoked_epoch != 0 && !member->is_closed;
    if (member->is_closed && sequence > member->cut.sequence) {
        return false;
    }
    return (is_certain && !is_ending) || sequence <= scl->peers[index].synced_sequence;
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
        if (!scl_open_may_apply(scl, index, member, sequence) ||
            job_add(scl, job, &member->id, sequence) != STATUS_OK) {
            break;
        }
        const struct record *record = &job->records[job->count - 1];
        run_bytes += record->whole.length;
        if (!is_opened(record)) {
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
        if (!is_opened(record)) {
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

void scl_open_apply(struct scl *scl, const struct branch_head *record, struct bytes plain,
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
                        .sequence = record->head.sequence},
        };
        // What lies at or below the floor of the tables they have decided (scl_cold.c, invariant
        // 3).
        if (tuple.lamport > tree_floor(scl->cold.tree) && tuple.lamport > scl->start.floor) {
            status = memtable_apply(scl->memtable, &entry);
            CHECK(status == STATUS_OK || status == STATUS_STALE);  // half a record must not stay
            scl_cold_evict(scl, SCL_EVICT_STEPS);
        }
        status = STATUS_OK;
        if (scl->lamport < tuple.lamport) {
            scl->lamport = tuple.lamport;
        }
        scl_note_expiry(scl, tuple.expiry_ms);
        scl->counters.tuples_applied++;
    }
    CHECK(status == STATUS_EMPTY);  // scl_open_run() has walked it
}

/*
 * A compactor keeps count of what its tables do not cover yet. STATUS_NO_MEMORY: nothing changed.
 */
static enum status marks_reserve(struct scl *scl, size_t index)
{
    struct scl_peer *peer = &scl->peers[index];
    if (peer->mark_count < peer->mark_capacity) {
        return STATUS_OK;
    }
    size_t capacity = peer->mark_capacity == 0 ? 16 : 2 * peer->mark_capacity;
    struct scl_mark *marks = realloc(peer->marks, capacity * sizeof *marks);
    if (marks == NULL) {
        return STATUS_NO_MEMORY;
    }
    peer->marks = marks;
    peer->mark_capacity = capacity;
    return STATUS_OK;
}

static void marks_add(struct scl *scl, size_t index, const struct record *record,
                      struct bytes plain)
{
    struct scl_peer *peer = &scl->peers[index];
    uint64_t lamport = 0;
    enum status status = tuple_verify_batch(plain, &lamport);
    CHECK(status == STATUS_OK && peer->mark_count < peer->mark_capacity);
    peer->marks[peer->mark_count++] =
        (struct scl_mark){.sequence = record->sequence, .lamport = lamport};
    scl->marked_bytes += record->whole.length;
}

/*
 * A DATA record whose body a PRUNE has dropped. Its tables say what it said; until they are here, a
 * replica that is still loading does not become ready, and one that was has to begin anew: its map
 * would lack what the record said.
 */
static void note_pruned(struct scl *scl, const struct record *record, size_t index)
{
    if (scl_cold_covers(scl, index, record->sequence)) {
        return;
    }
    scl->peers[index].pruned_sequence = record->sequence;
    scl->must_rejoin = scl->must_rejoin || scl->was_ready;
}

/* It may count at once, or wait for the LOCK that its tag needs. */
static enum status apply_data(struct scl *scl, const struct record *record, struct bytes plain,
                              const struct capsule_member *member)
{
    struct tuple_reader reader;
    size_t index = scl_member_index(scl, member);
    if (record->is_pruned) {
        note_pruned(scl, record, index);
        scl_tag_forget(scl, record);
        return STATUS_OK;
    }
    if (scl->is_compactor) {
        marks_add(scl, index, record, plain);
    }
    enum status status = tuple_reader_init(&reader, plain);
    if (status == STATUS_OK && reader.tag.fence != 0) {
        return scl_tag_note_record(scl, record, &reader.tag, plain);
    }
    const struct branch_head place = {.writer = record->writer,
                                      .head = {.sequence = record->sequence, .hash = record->hash}};
    scl_open_apply(scl, &place, plain, (uint32_t)index);
    return status;
}

static void note_close(struct scl *scl, const struct record *record)
{
    struct sync_close close;
    if (sync_close_decode(&close, record->body) == STATUS_OK) {
        scl_tag_note_close(scl, &close.cut.writer);
    }
}

/* The leader sends the keys when W stores hold this record. */
static void note_member(struct scl *scl, const struct record *record)
{
    if (scl->admitted_sequence == 0 && scl_own_member(scl) != NULL) {
        scl->admitted_by = record->writer;
        scl->admitted_sequence = record->sequence;
    }
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

/* A SYNC of this lamport lists the branch so far: the first that does counts. */
static void peer_note_listed(struct scl_peer *peer, const struct capsule_member *member,
                             uint64_t sequence, uint64_t lamport)
{
    if (member->head.sequence >= peer->synced_sequence) {
        peer->reached_sequence = peer->synced_sequence;
    }
    bool is_known = sequence < peer->synced_sequence ||
                    (sequence == peer->synced_sequence && peer->synced_lamport != UINT64_MAX);
    if (!is_known) {
        peer->synced_sequence = sequence;
        peer->synced_lamport = lamport;
    }
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
        if (member != NULL) {
            peer_note_listed(&scl->peers[scl_member_index(scl, member)], member,
                             head.branch.head.sequence, sync.lamport);
        }
    }
}

/* Accept one record of the run and do what it says. */
static enum status finish_one(struct scl *scl, const struct scl_open_job *job, size_t i)
{
    const struct record *record = &job->records[i];
    bool is_plausible = record->type != RECORD_DATA || record->is_pruned ||
                        is_lamport_plausible(scl, record, buffer_bytes(&job->plains[i]));
    if (!is_plausible) {
        return STATUS_FORGED;
    }
    enum status status = scl_peers_reserve(scl);
    if (status != STATUS_OK) {
        return status;
    }
    const struct capsule_member *member = capsule_member_find(scl->capsule, &record->writer);
    if (scl->is_compactor && record->type == RECORD_DATA && member != NULL) {
        status = marks_reserve(scl, scl_member_index(scl, member));
        if (status != STATUS_OK) {
            return status;
        }
    }
    status = job->is_introduction ? capsule_accept(scl->capsule, record)
                                  : capsule_accept_vouched(scl->capsule, record);
    if (status != STATUS_OK) {
        return status;
    }
    scl->peer_count = capsule_member_count(scl->capsule);
    scl->counters.records_applied++;
    member = capsule_member_find(scl->capsule, &record->writer);
    switch (record->type) {
    case RECORD_DATA:
        return apply_data(scl, record, buffer_bytes(&job->plains[i]), member);
    case RECORD_LOCK:
        status = scl_tag_note_lock(scl, record);
        break;
    case RECORD_TERM:
        status = durable_use(scl->durable, &capsule_stores(scl->capsule)->now);
        break;
    case RECORD_CLOSE:
        note_close(scl, record);
        break;
    case RECORD_MEMBER:
        note_member(scl, record);
        break;
    case RECORD_FUNCTION:
        scl->on_function(scl->context, buffer_bytes(&job->plains[i]));
        status = scl_snapshot_note_function(scl, record, buffer_bytes(&job->plains[i]));
        break;
    case RECORD_SYNC:
        note_sync(scl, record);
        scl_snapshot_note_sync(scl);
        break;
    default:
        break;
    }
    if (record->type != RECORD_EOE) {
        scl_unblock(scl);
        scl->may_lack = true;
    }
    return status;
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
        scl->peers[scl_member_index(scl, member)].progress_us = now_us;
    }
    scl->progress_us = now_us;
    scl->lost_us = SCL_LOST_US;
    scl->is_dirty = true;
}

/*
 * A leader came and went whose records reached this replica and no store: what it has closed, the
 * next leader, who knows nothing of it, closes again. A CLOSE of the present leader's whose
 * signature is right and that has no place here says so: this replica followed what did not last.
 */
static bool is_astray(const struct scl *scl, const struct scl_open_job *job, size_t refused)
{
    const struct capsule_member *leader = capsule_leader(scl->capsule);
    return job->status == STATUS_OK && !job->is_introduction && leader != NULL &&
           writer_id_equal(&job->records[0].writer, &leader->id) &&
           job->records[refused].type == RECORD_CLOSE;
}

/*
 * What a leader's CLOSE waits for is the predecessor that it names. Only a leader whose TERM the
 * owner has signed comes so far: one that is new is asked for at once.
 */
static void note_predecessor(struct scl *scl, const struct record *record)
{
    struct sync_close close;
    if (record->type == RECORD_CLOSE && sync_close_decode(&close, record->body) == STATUS_OK &&
        capsule_member_find(scl->capsule, &close.cut.writer) == NULL &&
        !writer_id_equal(&scl->predecessor, &close.cut.writer)) {
        scl->predecessor = close.cut.writer;
        scl->stranger_delay_us = 0;
        scl->checked_us = 0;
    }
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
        if (done < job->count) {
            note_predecessor(scl, &job->records[done]);
        }
        put_back(scl, job, done);
        const struct capsule_member *member =
            capsule_member_find(scl->capsule, &job->records[0].writer);
        if (member != NULL) {
            scl->peers[scl_member_index(scl, member)].is_blocked = true;
        } else {
            scl->introductions_waiting++;
        }
    } else if (status != STATUS_OK && status != STATUS_NO_MEMORY) {
        // A forged one of the run may have hidden the true one: only it is dropped for good.
        log_refusal(scl, &job->records[done < job->count ? done : job->count - 1], status);
    }
    bool must_end = status == STATUS_FORGED && is_astray(scl, job, done);
    bool is_begun = status == STATUS_OK || status == STATUS_GAP || status == STATUS_STALE;
    if (job->is_introduction && is_begun) {
        scl_receive_introduction(
            scl, &job->records[0]);  // a GENESIS, also one known, waits for its TERM
    }
    for (size_t i = 0; i < job->count; i++) {
        buffer_release(&job->bytes[i]);
        buffer_clear(&job->plains[i]);
    }
    job->count = 0;
    scl_join_newest(scl);
    scl_tag_apply(scl);

    const struct capsule_member *own = scl_own_member(scl);
    if (scl->must_rejoin) {
        log_event(scl->log, "a body that this map has not seen was pruned: it begins anew");
        return STATUS_CLOSED;
    }
    if (scl->is_forked) {
        log_event(scl->log, "a writer forked, and the other one counts: this map begins anew");
        return STATUS_CLOSED;
    }
    if (must_end || capsule_is_overrun(scl->capsule) || (own != NULL && own->is_closed)) {
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
