/* src/store/store.c */
#include "store/store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "capsule/capsule_snapshot.h"
#include "capsule/receipt.h"
#include "capsule/term.h"
#include "store/checkpoint.h"
#include "store/cuts.h"
#include "store/fence.h"
#include "store/journal.h"
#include "store/record_index.h"
#include "store/store_internal.h"

/*
 * Invariants:
 *  1. The log's order is an order in which the capsule accepts its records.
 *  2. Every record has been verified by its own signature before it is written (take()): whoever
 *     reads the log later can hold each record to account. A replay of one's own log needs one
 *     verification per branch: its newest record vouches for those before it.
 *  3. A receipt names only what was synced (store_commit()).
 *  4. What a fence says is on the disk before it is signed (store_fence()).
 *  5. A body is dropped only when the PRUNE that names it is on the disk (prune_some()), by
 *     replacing its whole segment; the checkpoint is forgotten before and written again after, so
 *     a crash in between costs a start that reads all segments, whichever of them were replaced.
 *  6. The checkpoint says what the log says up to the end of a sealed segment: taken when that was
 *     all there was (note_boundary()), and written when it had been verified (write_checkpoint()).
 *  7. The capsule in memory is what the log says without the records that its cuts cover
 *     (replay_one()): those came before a cut that this store had not heard of. What rested on
 *     them and can rest on what came later is here nevertheless: what shows that a leader is void
 *     is in the log before his records are cut (take()), and what it takes the place for is there
 *     a second time before the first one is cut (take_orphans()).
 *  8. A store that has lost its disk takes nothing until it knows again what it may have promised
 *     to leaders (store_append()), and fences nothing until it holds again what it may have signed
 *     for (store_fence()).
 */
struct store {
    const struct disk *disk;
    const struct sign_key *key;
    const struct log *log;
    struct random random;
    struct writer_id id;
    struct capsule *capsule;
    struct journal *journal;
    struct record_index index;
    struct fence fence;
    struct checkpoint boundary;  // to be written; segment_count is 0: there is none
    uint32_t replayed_segment;   // of the last record replayed
    uint32_t prune_next;         // segment to look at; beyond the sealed ones: nothing to do
    bool is_prune_due;           // a PRUNE was appended, and is not synced yet
    struct cuts cuts;
    struct cuts_place last_place;  // of the newest record in the log
    bool are_cuts_new;             // replaying found more that does not count
    struct orphan *orphans;        // owned; from read_log() to take_orphans()
    size_t orphan_count;
    size_t orphan_capacity;
    size_t void_count;  // leaders that are void, as the last record in the log has it
    bool is_refilling;
    bool is_waiting;
    uint64_t segment_bytes;
    struct buffer genesis_record;  // the first leader's, until its TERM vouches for it
    struct buffer scratch;
    struct branch_head shown_cut;  // some records that lead to it:
    uint64_t shown_from;           // the first of them,
    struct buffer shown;           // and their hashes
    struct branch_head *heads;     // head_capacity, for receipts and fences
    size_t head_capacity;
    struct store_counters counters;
    bool is_dead;
    bool is_damaged;
    struct stores told;  // when it was opened; version 0: nothing
};

/* A record in the log whose ancestors are missing where it lies. */
struct orphan {
    struct journal_place place;
    uint64_t sequence;
    struct cut cut;  // that covers it, and all of its writer that is not here at that place
};

enum { REFILL_BYTES = 9 };

const struct stores *store_stores(const struct store *store)
{
    const struct stores *read = capsule_stores(store->capsule);
    return read->version >= store->told.version ? read : &store->told;
}

/*
 * Capsule and disk may disagree from here on: stop before anything wrong is signed. Who found
 * damage has said where.
 */
static enum status die(struct store *store, enum status status, const char *what)
{
    store->is_dead = true;
    if (status == STATUS_DAMAGED) {
        store->is_damaged = true;
    } else {
        log_event(store->log, "store stopped cause=\"%s: %s\"", what, status_text(status));
    }
    return status == STATUS_NO_MEMORY ? STATUS_NO_MEMORY : STATUS_IO;
}

static uint64_t obeyed_term(const struct store *store)
{
    uint64_t term = capsule_term(store->capsule);
    return term > store->fence.term ? term : store->fence.term;
}

/* Note a record that the capsule has accepted and that lies at `place`. */
static enum status note(struct store *store, const struct record *record,
                        const struct journal_place *place, bool is_receipt_due)
{
    struct record_index_branch *branch = record_index_add(&store->index, &record->writer, place);
    if (branch == NULL) {
        return STATUS_NO_MEMORY;
    }
    CHECK(branch->count == record->sequence);
    branch->is_receipt_due = is_receipt_due;
    store->counters.record_count++;
    store->counters.record_bytes += record->whole.length;
    store->is_prune_due = store->is_prune_due || record->type == RECORD_PRUNE;
    return STATUS_OK;
}

/* Write a record that the capsule has accepted, where room was made for it. */
static enum status keep(struct store *store, const struct record *record)
{
    struct journal_place place;
    enum status status = journal_append(store->journal, record->whole, &place);
    if (status == STATUS_OK) {
        store->last_place = cuts_next(&store->last_place, place.segment);
        status = note(store, record, &place, true);
    }
    return status == STATUS_OK ? STATUS_OK : die(store, status, "cannot keep a record");
}

/* All records up to the end of this segment are accepted, and none of the next. */
static enum status note_boundary(struct store *store, uint32_t segment)
{
    // Orphans come to lie behind: no checkpoint may say that they were read.
    if (store->orphan_count > 0) {
        return STATUS_OK;
    }
    checkpoint_release(&store->boundary);
    // What lies beyond a cut is left out before anything is written down.
    if (capsule_is_overrun(store->capsule)) {
        return STATUS_OK;
    }
    store->boundary.segment_count = segment;
    store->boundary.record_count = store->counters.record_count;
    store->boundary.record_bytes = store->counters.record_bytes;
    return capsule_snapshot_encode_whole(&store->boundary.snapshot, store->capsule);
}

/* A full disk is no failure: more is read at the next start. */
static enum status write_checkpoint(struct store *store)
{
    if (store->boundary.segment_count == 0) {
        return STATUS_OK;
    }
    enum status status =
        record_index_seal(&store->index, store->disk, store->boundary.segment_count + 1,
                          capsule_name(store->capsule));
    if (status == STATUS_OK) {
        status = checkpoint_save(&store->boundary, store->disk);
    }
    checkpoint_release(&store->boundary);
    return status == STATUS_NO_SPACE ? STATUS_OK : status;
}

static enum status make_room(struct store *store, uint64_t bytes)
{
    uint32_t segment = journal_segment_count(store->journal);
    enum status status = journal_reserve(store->journal, bytes);
    if (status == STATUS_NO_SPACE) {
        return status;
    }
    if (status == STATUS_OK && journal_segment_count(store->journal) > segment) {
        status = note_boundary(store, segment);
        status = status == STATUS_OK ? write_checkpoint(store) : status;
    }
    return status == STATUS_OK ? STATUS_OK : die(store, status, "cannot make room");
}

// ---- records ----

/* Whether the record that the capsule has just refused has shown a leader to be void. */
static bool has_voided(struct store *store)
{
    size_t before = store->void_count;
    if (capsule_is_overrun(store->capsule)) {
        store->void_count = 0;
        for (size_t i = 0; i < capsule_member_count(store->capsule); i++) {
            store->void_count += capsule_member_at(store->capsule, i)->is_void;
        }
    }
    return store->void_count > before;
}

/*
 * Take the next record of a known writer. One that shows a leader to be void is taken when the log
 * is read again without that leader; it is written before, since what rested on him may have to
 * rest on it.
 */
static enum status take(struct store *store, const struct record *record)
{
    enum status status = make_room(store, segment_entry_bytes(record->whole.length));
    if (status == STATUS_OK) {
        status = capsule_accept(store->capsule, record);
    }
    if (status == STATUS_GAP && has_voided(store)) {
        struct journal_place place;
        enum status written = journal_append(store->journal, record->whole, &place);
        if (written != STATUS_OK) {
            return die(store, written, "cannot keep a record");
        }
        store->last_place = cuts_next(&store->last_place, place.segment);
        return STATUS_GAP;
    }
    return status == STATUS_OK ? keep(store, record) : status;
}

/* A record at a place that is taken: the very same, or proof of a fork. */
static enum status compare(struct store *store, const struct capsule_member *member,
                           const struct record *record, struct buffer *proof)
{
    struct journal_place place;
    enum status status =
        record_index_find(&store->index, store->disk, &record->writer, record->sequence, &place);
    CHECK(status != STATUS_NOT_FOUND);
    if (status == STATUS_DAMAGED) {
        log_event(store->log, "segment damaged cause=\"it does not hold what its index names\"");
        return die(store, status, "cannot read its index");
    }
    if (status != STATUS_OK) {
        return status;
    }
    // Another length, another record: a stranger's few bytes must not cost the reading of ours.
    if (record->whole.length != place.length && record_verify(record, &member->key) != STATUS_OK) {
        return STATUS_FORGED;
    }
    buffer_clear(&store->scratch);
    status = journal_load(store->journal, &place, &store->scratch);
    if (status != STATUS_OK) {
        return status == STATUS_DAMAGED ? die(store, status, "cannot read back") : status;
    }
    struct record here;
    status = record_decode_stored(&here, store->scratch.bytes, store->scratch.length);
    if (status != STATUS_OK) {
        return die(store, status, "what was read back is no record");
    }
    if (hash_equal(&here.hash, &record->hash)) {
        record_index_branch(&store->index, &record->writer)->is_receipt_due = true;
        return STATUS_STALE;
    }
    if (record_verify(record, &member->key) != STATUS_OK) {
        return STATUS_FORGED;
    }
    // Without the body that was pruned there is no proof for others.
    bool has_bodies = !here.is_pruned && !record->is_pruned;
    status = has_bodies ? receipt_fork_encode(proof, here.whole, record->whole) : STATUS_OK;
    return status == STATUS_OK ? STATUS_FORKED : status;
}

/* Whose the GENESIS is, and whether it is signed, only the TERM after it tells. */
static enum status take_genesis(struct store *store, const struct record *record)
{
    enum status status = capsule_accept(store->capsule, record);
    if (status != STATUS_OK) {
        return status;
    }
    buffer_clear(&store->genesis_record);
    return buffer_append(&store->genesis_record, record->whole.at, record->whole.length);
}

/* A leader's TERM; the first term's takes along the GENESIS. */
static enum status take_stranger(struct store *store, const struct record *record)
{
    bool has_genesis = record->sequence > 1;
    struct bytes genesis = has_genesis ? buffer_bytes(&store->genesis_record) : bytes_of(NULL, 0);
    if (has_genesis && genesis.length == 0) {
        return STATUS_GAP;
    }
    uint64_t bytes = segment_entry_bytes(record->whole.length);
    enum status status =
        make_room(store, bytes + (genesis.length > 0 ? segment_entry_bytes(genesis.length) : 0));
    if (status == STATUS_OK) {
        status = capsule_accept(store->capsule, record);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (genesis.length > 0) {
        struct record first;
        CHECK(record_decode(&first, genesis.at, genesis.length) == STATUS_OK);
        status = keep(store, &first);
        buffer_release(&store->genesis_record);
    }
    return status == STATUS_OK ? keep(store, record) : status;
}

/*
 * Whether a cut says how far this branch counts, so that it may be taken up to there in spite of a
 * fence. What the leader who fenced everything does not know of, and whatever rests on that, is no
 * cut for this store: it has told that leader what it holds.
 */
static bool has_cut(const struct store *store, const struct capsule_member *member)
{
    return member != NULL && member->is_closed &&
           capsule_close_term(store->capsule, member) >= store->fence.fenced_below;
}

/*
 * Whether nothing but what is shown to lead to its cut may be taken of this branch: whoever fenced
 * it was told how far it is here, and until SYNCs settle the cut, its leader may not come to lead.
 * Another record below, which a stolen key has signed, would then be what the next one is told of.
 */
static bool has_open_cut(const struct store *store, const struct capsule_member *member)
{
    return has_cut(store, member) && member->role != MEMBER_LEADER &&
           member->term < store->fence.fenced_below &&
           !capsule_is_close_settled(store->capsule, member);
}

/* Whether a record there is known to lead to the cut, and is this one; `hash` NULL: whichever. */
static bool is_shown(const struct store *store, const struct capsule_member *member,
                     uint64_t sequence, const struct hash *hash)
{
    uint64_t count = store->shown.length / HASH_BYTES;
    if (!writer_id_equal(&store->shown_cut.writer, &member->id) ||
        !hash_equal(&store->shown_cut.head.hash, &member->cut.hash) ||
        sequence < store->shown_from || sequence - store->shown_from >= count) {
        return false;
    }
    const uint8_t *shown = store->shown.bytes + (sequence - store->shown_from) * HASH_BYTES;
    return hash == NULL || memcmp(shown, hash->bytes, HASH_BYTES) == 0;
}

static enum status append(struct store *store, const struct record *record, struct buffer *proof)
{
    const struct capsule_member *member = capsule_member_find(store->capsule, &record->writer);
    bool is_ours = hash_equal(&record->capsule, capsule_name(store->capsule));

    if (is_ours && member != NULL && record->sequence <= member->head.sequence) {
        return compare(store, member, record, proof);
    }
    if (store->is_waiting) {
        return STATUS_GAP;
    }
    if (!has_cut(store, member) && fence_covers(&store->fence, record, member)) {
        return STATUS_GAP;
    }
    if (has_open_cut(store, member) && !is_shown(store, member, record->sequence, &record->hash)) {
        return STATUS_GAP;
    }
    // The PRUNE that names it has to be here first: without it, the body is asked for.
    if (record->is_pruned &&
        !capsule_is_pruned(store->capsule, &record->writer, record->sequence)) {
        return STATUS_GAP;
    }
    if (!is_ours || member != NULL) {
        return take(store, record);
    }
    if (record->type == RECORD_GENESIS) {
        return take_genesis(store, record);
    }
    return record->type == RECORD_TERM ? take_stranger(store, record) : STATUS_GAP;
}

enum status store_append(struct store *store, const struct record *record, struct buffer *proof)
{
    if (store->is_dead) {
        return STATUS_IO;
    }
    enum status status = append(store, record, proof);
    if (status != STATUS_OK && status != STATUS_STALE && status != STATUS_GAP) {
        store->counters.refused_count++;
    }
    return status;
}

// ---- replay ----

typedef enum status acceptance(struct capsule *capsule, const struct record *record);

/* Of this writer nothing counts beyond what is here, of what lies in the log so far. */
static struct cut cut_here(const struct store *store, const struct writer_id *writer)
{
    const struct capsule_member *member = capsule_member_find(store->capsule, writer);
    return (struct cut){
        .writer = *writer,
        .sequence = member == NULL ? 0 : member->head.sequence,
        .last = store->last_place,
    };
}

static enum status note_orphan(struct store *store, const struct record *record,
                               const struct journal_place *place)
{
    if (store->orphan_count == store->orphan_capacity) {
        size_t capacity = store->orphan_capacity == 0 ? 64 : 2 * store->orphan_capacity;
        struct orphan *orphans = reallocarray(store->orphans, capacity, sizeof *orphans);
        if (orphans == NULL) {
            return STATUS_NO_MEMORY;
        }
        store->orphans = orphans;
        store->orphan_capacity = capacity;
    }
    store->orphans[store->orphan_count++] = (struct orphan){
        .place = *place,
        .sequence = record->sequence,
        .cut = cut_here(store, &record->writer),
    };
    return STATUS_OK;
}

/*
 * A record of the log that the capsule refuses. Where something was cut, it may have rested on
 * that; and one that shows a leader to be void is there before he is left out. STATUS_DAMAGED:
 * neither.
 */
static enum status pass_over(struct store *store, enum status refusal, const struct record *record,
                             const struct journal_place *place)
{
    if (refusal == STATUS_GAP && has_voided(store)) {
        return STATUS_OK;
    }
    if (!cuts_reach(&store->cuts, &store->last_place)) {
        return STATUS_DAMAGED;
    }
    if (refusal == STATUS_GAP) {
        return note_orphan(store, record, place);
    }
    if (refusal == STATUS_STALE) {
        return STATUS_OK;
    }
    const struct cut cut = cut_here(store, &record->writer);
    store->are_cuts_new = true;
    return cuts_add(&store->cuts, &cut);
}

/*
 * Accept a record of the log, and note it. What a cut covers is passed over, and so is what rested
 * on it. STATUS_DAMAGED: the capsule refuses it.
 */
static enum status replay_one(struct store *store, acceptance *accept, const struct record *record,
                              const struct journal_place *place)
{
    const struct cuts_place before = store->last_place;
    const struct cuts_place here = cuts_next(&before, place->segment);
    store->last_place = here;
    if (cuts_cover(&store->cuts, record, &here)) {
        return STATUS_OK;
    }
    enum status status = accept(store->capsule, record);
    if (status == STATUS_OK) {
        return note(store, record, place, false);
    }
    if (status != STATUS_NO_MEMORY) {
        status = pass_over(store, status, record, place);
    }
    if (status != STATUS_OK) {
        store->last_place = before;
    }
    return status;
}

/* A record that a mark covers: verified but for its signature, which verify_heads() sees to. */
static enum status replay(void *context, struct bytes bytes, const struct journal_place *place)
{
    struct store *store = context;
    struct record record;
    if (store->replayed_segment != 0 && place->segment > store->replayed_segment) {
        enum status noted = note_boundary(store, place->segment - 1);
        if (noted != STATUS_OK) {
            return noted;
        }
    }
    store->replayed_segment = place->segment;
    if (record_decode_stored(&record, bytes.at, bytes.length) != STATUS_OK) {
        return STATUS_DAMAGED;
    }
    enum status status = replay_one(store, capsule_accept_vouched, &record, place);
    if (status == STATUS_DAMAGED) {
        log_event(store->log, "record in the log refused reason=\"%s\"",
                  capsule_reason(store->capsule));
    }
    return status;
}

/* The newest record of a branch vouches for all of it that was replayed. */
static enum status verify_heads(struct store *store)
{
    for (size_t i = 0; i < store->index.branch_count; i++) {
        const struct record_index_branch *branch = &store->index.branches[i];
        if (branch->first > branch->count) {
            continue;  // all of it lies under the checkpoint
        }
        const struct capsule_member *member = capsule_member_find(store->capsule, &branch->writer);
        struct journal_place place;
        buffer_clear(&store->scratch);
        enum status status =
            record_index_find(&store->index, store->disk, &branch->writer, branch->count, &place);
        if (status == STATUS_OK) {
            status = journal_load(store->journal, &place, &store->scratch);
        }
        if (status != STATUS_OK) {
            return status;
        }
        struct record record;
        if (member == NULL ||
            record_decode_stored(&record, store->scratch.bytes, store->scratch.length) !=
                STATUS_OK ||
            record_verify(&record, &member->key) != STATUS_OK) {
            log_event(store->log,
                      "segment damaged file=segment-%08u offset=%u cause=\"its signature does not "
                      "verify\"",
                      place.segment, place.offset);
            return STATUS_DAMAGED;
        }
    }
    return STATUS_OK;
}

/* The records of the tail, and where each starts in it. */
struct tail {
    struct record *records;
    struct journal_place *places;
    uint64_t *starts;
    size_t count;
    size_t capacity;
};

static bool tail_grow(struct tail *tail)
{
    size_t capacity = tail->capacity == 0 ? 64 : 2 * tail->capacity;
    struct record *records = reallocarray(tail->records, capacity, sizeof *records);
    tail->records = records != NULL ? records : tail->records;
    struct journal_place *places = reallocarray(tail->places, capacity, sizeof *places);
    tail->places = places != NULL ? places : tail->places;
    uint64_t *starts = reallocarray(tail->starts, capacity + 1, sizeof *starts);
    tail->starts = starts != NULL ? starts : tail->starts;
    if (records == NULL || places == NULL || starts == NULL) {
        return false;
    }
    tail->capacity = capacity;
    return true;
}

static void tail_release(struct tail *tail)
{
    free(tail->records);
    free(tail->places);
    free(tail->starts);
}

/* starts[count] is where the tail ends. Stops at what is no record. */
static enum status tail_read(struct store *store, struct tail *tail)
{
    uint64_t offset = 0;
    for (;;) {
        if (tail->count == tail->capacity && !tail_grow(tail)) {
            return STATUS_NO_MEMORY;
        }
        tail->starts[tail->count] = offset;
        struct bytes bytes;
        enum status status =
            journal_tail_next(store->journal, &offset, &bytes, &tail->places[tail->count]);
        tail->starts[tail->count] = status == STATUS_EMPTY ? offset : tail->starts[tail->count];
        if (status != STATUS_OK || record_decode_stored(&tail->records[tail->count], bytes.at,
                                                        bytes.length) != STATUS_OK) {
            return status == STATUS_EMPTY ? STATUS_OK : STATUS_DAMAGED;
        }
        tail->count++;
    }
}

/*
 * Judge the tail and settle it: all of it when it is whole; up to the first record that does not
 * fit when it is torn. A GENESIS whose TERM was torn off waits for it in memory, as at first.
 */
static enum status replay_tail(struct store *store)
{
    struct tail tail = {.records = NULL};
    enum status status = tail_read(store, &tail);
    size_t done = 0;
    size_t count = tail.count;
    if (count > 0 && tail.records[count - 1].type == RECORD_GENESIS) {
        count--;
    }
    while (status == STATUS_OK && done < count) {
        status = replay_one(store, capsule_accept, &tail.records[done], &tail.places[done]);
        done += status == STATUS_OK;
    }
    if (status == STATUS_OK && count < tail.count) {
        status = take_genesis(store, &tail.records[count]);
        status = status == STATUS_OK || status == STATUS_NO_MEMORY ? status : STATUS_DAMAGED;
    }
    if (status != STATUS_OK && (status != STATUS_DAMAGED || done == count)) {
        goto done;
    }
    status = STATUS_OK;
    if (done < count && !journal_tail_is_torn(store->journal)) {
        log_event(store->log, "segment damaged file=segment-%08u offset=%u cause=\"%s\"",
                  tail.places[done].segment, tail.places[done].offset,
                  capsule_reason(store->capsule));
        status = STATUS_DAMAGED;
    }
    if (status == STATUS_OK) {
        status = journal_settle(store->journal, tail.starts[done]);
    }
done:
    tail_release(&tail);
    return status;
}

// ---- the whole ----

/* Known to this store alone, so that no writer can make bytes that look like a mark. */
static void make_salt(uint8_t salt[SEGMENT_SALT_BYTES], const struct sign_key *key,
                      const struct hash *capsule)
{
    struct signature signature =
        sign_make(key, "paranoid segment salt v1", bytes_of(capsule->bytes, HASH_BYTES));
    struct hash hash = hash_of(signature.bytes, sizeof signature.bytes);
    memcpy(salt, hash.bytes, SEGMENT_SALT_BYTES);
}

/* Whether the sealed segments are as long as their indexes say: none was lost. */
static enum status verify_sealed(struct store *store)
{
    for (size_t i = 0; i < store->index.part_count; i++) {
        const struct segment_index *part = &store->index.parts[i];
        enum status status = journal_verify_sealed(store->disk, part->segment, part->end);
        if (status == STATUS_DAMAGED) {
            log_event(store->log, "segment damaged file=segment-%08u cause=\"it ends before %u\"",
                      part->segment, part->end);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

/* Go on from the checkpoint, if there is one that holds. STATUS_NOT_FOUND: read everything. */
static enum status restore(struct store *store)
{
    struct checkpoint checkpoint;
    struct capsule *capsule = NULL;
    struct capsule_snapshot snapshot;
    enum status status = checkpoint_load(&checkpoint, store->disk);
    if (status == STATUS_OK) {
        status = capsule_snapshot_restore(&capsule, &snapshot, capsule_genesis_body(store->capsule),
                                          buffer_bytes(&checkpoint.snapshot));
    }
    for (uint32_t i = 0; i < checkpoint.segment_count && status == STATUS_OK; i++) {
        status = record_index_take_up(&store->index, store->disk, capsule_name(store->capsule));
    }
    bool is_sound = status == STATUS_OK && snapshot.is_whole &&
                    record_index_count(&store->index) == checkpoint.record_count;
    if (is_sound) {
        capsule_free(store->capsule);
        store->capsule = capsule;
        store->counters.record_count = checkpoint.record_count;
        store->counters.record_bytes = checkpoint.record_bytes;
        store->last_place =
            (struct cuts_place){.segment = checkpoint.segment_count, .number = UINT32_MAX};
    } else {
        capsule_free(capsule);
        record_index_release(&store->index);
        bool is_ours = status == STATUS_IO || status == STATUS_NO_MEMORY;
        status = is_ours ? status : STATUS_NOT_FOUND;
    }
    checkpoint_release(&checkpoint);
    return status;
}

/* STATUS_GAP: it still has to wait, or does not count. */
static enum status take_orphan(struct store *store, const struct orphan *orphan)
{
    const struct capsule_member *member = capsule_member_find(store->capsule, &orphan->cut.writer);
    struct record record;
    if (member == NULL || orphan->sequence != member->head.sequence + 1) {
        return STATUS_GAP;
    }
    buffer_clear(&store->scratch);
    enum status status = journal_load(store->journal, &orphan->place, &store->scratch);
    if (status != STATUS_OK) {
        return status;
    }
    status = record_decode_stored(&record, store->scratch.bytes, store->scratch.length);
    status = status == STATUS_OK ? take(store, &record) : STATUS_DAMAGED;
    bool is_ours = status == STATUS_OK || status == STATUS_IO || status == STATUS_NO_MEMORY ||
                   status == STATUS_NO_SPACE || status == STATUS_DAMAGED;
    return is_ours ? status : STATUS_GAP;
}

/*
 * What has its ancestors now is taken once more, behind all else; where it lies it no longer
 * counts, and what still lacks them counts nowhere. W stores may have signed for it: the new copies
 * are durable before the old ones are cut.
 */
static enum status take_orphans(struct store *store)
{
    enum status status = STATUS_OK;
    bool has_grown = store->orphan_count > 0;
    while (has_grown && status == STATUS_OK) {
        has_grown = false;
        for (size_t i = 0; i < store->orphan_count && status == STATUS_OK; i++) {
            status = take_orphan(store, &store->orphans[i]);
            has_grown = has_grown || status == STATUS_OK;
            status = status == STATUS_GAP ? STATUS_OK : status;
        }
    }
    if (status == STATUS_OK && store->orphan_count > 0) {
        status = journal_sync(store->journal);
    }
    for (size_t i = 0; i < store->orphan_count && status == STATUS_OK; i++) {
        store->are_cuts_new = true;
        status = cuts_add(&store->cuts, &store->orphans[i].cut);
    }
    free(store->orphans);
    store->orphans = NULL;
    store->orphan_count = store->orphan_capacity = 0;
    return status;
}

static enum status save_new_cuts(struct store *store)
{
    if (!store->are_cuts_new) {
        return STATUS_OK;
    }
    store->are_cuts_new = false;
    return cuts_save(&store->cuts, store->disk, capsule_name(store->capsule));
}

/* Read the log: what it says is what this store knows. */
static enum status read_log(struct store *store)
{
    store->last_place = (struct cuts_place){.segment = 0};
    enum status status = restore(store);
    if (status == STATUS_OK) {
        status = verify_sealed(store);
    }
    if (status != STATUS_OK && status != STATUS_NOT_FOUND) {
        return status;
    }
    const struct hash name = *capsule_name(store->capsule);
    struct journal_config journal = {
        .first_segment = (uint32_t)store->index.part_count + 1,
        .disk = store->disk,
        .log = store->log,
        .segment_bytes = store->segment_bytes,
        .capsule = name,
    };
    make_salt(journal.salt, store->key, &name);
    store->replayed_segment = 0;
    store->void_count = 0;
    status = journal_open(&store->journal, &journal, replay, store);
    if (status == STATUS_OK) {
        status = verify_heads(store);
    }
    if (status == STATUS_OK) {
        status = save_new_cuts(store);
    }
    if (status == STATUS_OK) {
        status = write_checkpoint(store);
    }
    if (status == STATUS_OK) {
        status = replay_tail(store);
    }
    if (status == STATUS_OK) {
        status = take_orphans(store);
    }
    return status == STATUS_OK ? save_new_cuts(store) : status;
}

static enum status write_refill(const struct disk *disk, bool is_refilling)
{
    return disk->replace(disk->context, STORE_REFILL_FILE, is_refilling ? "refilling" : "whole    ",
                         REFILL_BYTES);
}

static enum status save_refill(struct store *store, bool is_refilling)
{
    enum status status = write_refill(store->disk, is_refilling);
    store->is_refilling = status == STATUS_OK ? is_refilling : store->is_refilling;
    return status;
}

enum status store_begin_refill(const struct disk *disk)
{
    return write_refill(disk, true);
}

enum status store_begin_whole(const struct disk *disk)
{
    return write_refill(disk, false);
}

/*
 * A log that is empty may have been lost, unless the file is there that says that it was whole.
 * Until its siblings have said what they hold, this store does not know what it has signed for.
 */
static enum status load_refill(struct store *store)
{
    char text[REFILL_BYTES];
    uint64_t bytes = 0;
    if (stores_count(store_stores(store)) == 1) {
        return STATUS_OK;
    }
    enum status status = store->disk->size(store->disk->context, STORE_REFILL_FILE, &bytes);
    if (status == STATUS_NOT_FOUND) {
        bool is_empty = record_index_count(&store->index) == 0 && store->genesis_record.length == 0;
        return is_empty ? save_refill(store, true) : STATUS_OK;
    }
    if (status == STATUS_OK && bytes != REFILL_BYTES) {
        return STATUS_DAMAGED;
    }
    if (status == STATUS_OK) {
        status = store->disk->read(store->disk->context, STORE_REFILL_FILE, 0, text, REFILL_BYTES);
    }
    store->is_refilling = status == STATUS_OK && memcmp(text, "refilling", REFILL_BYTES) == 0;
    return status;
}

static enum status open_on(struct store *store, const struct store_config *config)
{
    enum status status = capsule_new(&store->capsule, config->genesis);
    if (status != STATUS_OK) {
        return status;
    }
    struct verify_key public_key = sign_key_public(config->key);
    store->id = writer_store_id_of(&public_key);
    const struct genesis *genesis = capsule_genesis(store->capsule);
    if (config->stores.length > 0) {
        status = stores_decode(&store->told, config->stores, genesis);
    }
    if (status != STATUS_OK) {
        log_event(store->log, "store not opened cause=\"its word on the stores: %s\"",
                  status_text(status));
        return status;
    }
    if (genesis_store_find(genesis, &store->id) == NULL &&
        (store->told.version == 0 || stores_find(&store->told, &store->id) == NULL)) {
        log_event(store->log, "store not opened cause=\"its key is not among the stores\"");
        return STATUS_FORGED;
    }
    const struct hash name = *capsule_name(store->capsule);
    status = fence_load(&store->fence, config->disk, &name);
    if (status != STATUS_OK) {
        log_event(store->log, "store not opened file=fence cause=\"%s\"", status_text(status));
        return status;
    }
    status = cuts_load(&store->cuts, config->disk, &name);
    if (status != STATUS_OK) {
        log_event(store->log, "store not opened file=cuts cause=\"%s\"", status_text(status));
        return status;
    }
    store->segment_bytes = config->segment_bytes == 0 ? STORE_SEGMENT_BYTES : config->segment_bytes;
    status = read_log(store);
    if (status == STATUS_OK) {
        status = load_refill(store);
    }
    store->is_waiting = store->is_refilling;
    return status;
}

enum status store_open(struct store **opened, const struct store_config *config)
{
    *opened = NULL;
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL) {
        return STATUS_NO_MEMORY;
    }
    store->disk = config->disk;
    store->prune_next = 1;
    store->index.cuts = &store->cuts;
    store->key = config->key;
    store->log = config->log;
    store->random = config->random;
    enum status status = open_on(store, config);
    if (status != STATUS_OK) {
        store_close(store);
        return status;
    }
    *opened = store;
    return STATUS_OK;
}

void store_close(struct store *store)
{
    if (store == NULL) {
        return;
    }
    journal_close(store->journal);
    record_index_release(&store->index);
    fence_release(&store->fence);
    checkpoint_release(&store->boundary);
    cuts_release(&store->cuts);
    free(store->orphans);
    buffer_release(&store->genesis_record);
    buffer_release(&store->scratch);
    buffer_release(&store->shown);
    free(store->heads);
    capsule_free(store->capsule);
    free(store);
}

const struct capsule *store_capsule(const struct store *store)
{
    return store->capsule;
}

const struct writer_id *store_id(const struct store *store)
{
    return &store->id;
}

const struct sign_key *store_key(const struct store *store)
{
    return store->key;
}

const struct random *store_random(const struct store *store)
{
    return &store->random;
}

// ---- what is signed ----

static enum status reserve_heads(struct store *store, size_t count)
{
    if (count <= store->head_capacity) {
        return STATUS_OK;
    }
    struct branch_head *heads = reallocarray(store->heads, count, sizeof *heads);
    if (heads == NULL) {
        return STATUS_NO_MEMORY;
    }
    store->heads = heads;
    store->head_capacity = count;
    return STATUS_OK;
}

static enum status sync_journal(struct store *store)
{
    uint64_t begun_us = store->disk->now_us(store->disk->context);
    enum status status = journal_sync(store->journal);
    if (status != STATUS_OK) {
        // Not even "no space": what the capsule has accepted can no longer be taken back.
        (void)die(store, status, "cannot commit");
        return STATUS_IO;
    }
    if (store->is_prune_due) {
        store->is_prune_due = false;
        store->prune_next = 1;
    }
    store->counters.commit_count++;
    store->counters.commit_us_total += store->disk->now_us(store->disk->context) - begun_us;
    return STATUS_OK;
}

/* Up to where a branch counts here; its head: all of it does. */
static uint64_t counting_sequence(const struct capsule_member *member)
{
    uint64_t sequence = member->is_void ? member->admitted_sequence : member->head.sequence;
    if (member->is_closed && member->cut.sequence < sequence) {
        sequence = member->cut.sequence;
    }
    if (member->forked_sequence != 0 && member->forked_sequence - 1 < sequence) {
        sequence = member->forked_sequence - 1;
    }
    return sequence;
}

/* Of this writer nothing counts beyond that sequence, of what lies in the log so far. */
static enum status note_cut(struct store *store, const struct writer_id *writer, uint64_t sequence)
{
    const struct cut cut = {
        .writer = *writer,
        .sequence = sequence,
        .last = store->last_place,
    };
    return cuts_add(&store->cuts, &cut);
}

/* Read the log without what the cuts cover, which are new. */
static enum status read_again(struct store *store)
{
    struct capsule *capsule = NULL;
    enum status status = sync_journal(store);
    if (status == STATUS_OK) {
        status = checkpoint_forget(store->disk);
    }
    if (status == STATUS_OK) {
        status = cuts_save(&store->cuts, store->disk, capsule_name(store->capsule));
    }
    if (status == STATUS_OK) {
        status = capsule_new(&capsule, capsule_genesis_body(store->capsule));
    }
    if (status != STATUS_OK) {
        return die(store, status, "cannot leave out what does not count");
    }
    journal_close(store->journal);
    store->journal = NULL;
    record_index_release(&store->index);
    checkpoint_release(&store->boundary);
    capsule_free(store->capsule);
    store->capsule = capsule;
    uint64_t refused_count = store->counters.refused_count;
    store->counters = (struct store_counters){.refused_count = refused_count};
    status = read_log(store);
    if (status != STATUS_OK) {
        return die(store, status, "cannot read the log again");
    }
    log_event(store->log, "records that do not count are left out cuts=%" PRIu32,
              store->cuts.count);
    // What it has said of those branches no longer holds: it says all again.
    for (size_t i = 0; i < store->index.branch_count; i++) {
        store->index.branches[i].is_receipt_due = true;
    }
    return STATUS_OK;
}

/*
 * A CLOSE came whose cut lies below what was taken already, or a CLOSE or SYNC that names another
 * record. Note what does not count, and read the log again without it.
 */
static enum status leave_out_overrun(struct store *store)
{
    enum status status = STATUS_OK;
    bool is_any = false;
    for (size_t i = 0; i < capsule_member_count(store->capsule) && status == STATUS_OK; i++) {
        const struct capsule_member *member = capsule_member_at(store->capsule, i);
        uint64_t sequence = counting_sequence(member);
        if (sequence < member->head.sequence) {
            is_any = true;
            status = note_cut(store, &member->id, sequence);
        }
    }
    if (status != STATUS_OK) {
        return die(store, status, "cannot leave out what does not count");
    }
    return is_any ? read_again(store) : STATUS_OK;  // else a leader contradicts another
}

bool store_holds(struct store *store, const struct record *record)
{
    struct journal_place place;
    struct record here;
    buffer_clear(&store->scratch);
    return !store->is_dead &&
           record_index_find(&store->index, store->disk, &record->writer, record->sequence,
                             &place) == STATUS_OK &&
           journal_load(store->journal, &place, &store->scratch) == STATUS_OK &&
           record_decode_stored(&here, store->scratch.bytes, store->scratch.length) == STATUS_OK &&
           hash_equal(&here.hash, &record->hash);
}

bool store_needs_trail(const struct store *store, const struct capsule_member *member)
{
    return has_open_cut(store, member) && !is_shown(store, member, member->head.sequence + 1, NULL);
}

enum status store_show(struct store *store, const struct branch_head *cut, uint64_t from,
                       struct bytes hashes)
{
    buffer_clear(&store->shown);
    store->shown_cut = *cut;
    store->shown_from = from;
    return buffer_append(&store->shown, hashes.at, hashes.length);
}

enum status store_leave_out(struct store *store, const struct writer_id *writer, uint64_t sequence)
{
    if (store->is_dead) {
        return STATUS_IO;
    }
    const struct capsule_member *member = capsule_member_find(store->capsule, writer);
    // Who fenced this branch was told of all that is here, and may rest on it.
    const struct record other = {.writer = *writer, .sequence = sequence + 1};
    if (member == NULL ||
        (!has_cut(store, member) && fence_covers(&store->fence, &other, member))) {
        return STATUS_GAP;
    }
    enum status status = note_cut(store, writer, sequence);
    return status == STATUS_OK ? read_again(store)
                               : die(store, status, "cannot leave out what does not count");
}

enum status store_commit(struct store *store, struct buffer *receipt)
{
    if (store->is_dead) {
        return STATUS_IO;
    }
    if (capsule_is_overrun(store->capsule)) {
        enum status left_out = leave_out_overrun(store);
        if (left_out != STATUS_OK) {
            return left_out;
        }
    }
    struct record_index *index = &store->index;
    size_t due_count = 0;
    for (size_t i = 0; i < index->branch_count && due_count < RECEIPT_HEADS_MAX; i++) {
        due_count += index->branches[i].is_receipt_due ? 1 : 0;
    }
    if (due_count == 0) {
        return STATUS_EMPTY;
    }
    enum status status = reserve_heads(store, due_count);
    if (status == STATUS_OK) {
        status = sync_journal(store);
    }
    if (status != STATUS_OK) {
        return status;
    }
    size_t end = 0;
    for (size_t named = 0; named < due_count; end++) {
        const struct record_index_branch *branch = &index->branches[end];
        if (branch->is_receipt_due) {
            const struct capsule_member *member =
                capsule_member_find(store->capsule, &branch->writer);
            store->heads[named++] =
                (struct branch_head){.writer = branch->writer, .head = member->head};
        }
    }
    status = receipt_encode(receipt, RECEIPT_DURABLE, capsule_name(store->capsule),
                            obeyed_term(store), store->heads, (uint32_t)due_count, store->key);
    for (size_t i = 0; status == STATUS_OK && i < end; i++) {
        index->branches[i].is_receipt_due = false;
    }
    return status;
}

enum status store_recall(struct store *store, size_t *index, struct buffer *receipt)
{
    if (store->is_dead) {
        return STATUS_IO;
    }
    size_t left = store->index.branch_count - *index;
    uint32_t count = left < RECEIPT_HEADS_MAX ? (uint32_t)left : RECEIPT_HEADS_MAX;
    if (count == 0) {
        return STATUS_EMPTY;
    }
    enum status status = reserve_heads(store, count);
    if (status == STATUS_OK && *index == 0) {
        status = sync_journal(store);
    }
    if (status != STATUS_OK) {
        return status;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct record_index_branch *branch = &store->index.branches[*index + i];
        const struct capsule_member *member = capsule_member_find(store->capsule, &branch->writer);
        store->heads[i] = (struct branch_head){.writer = branch->writer, .head = member->head};
    }
    status = receipt_encode(receipt, RECEIPT_DURABLE, capsule_name(store->capsule),
                            obeyed_term(store), store->heads, count, store->key);
    *index += status == STATUS_OK ? count : 0;
    return status;
}

bool store_is_refilling(const struct store *store)
{
    return store->is_refilling;
}

bool store_is_damaged(const struct store *store)
{
    return store->is_damaged;
}

bool store_is_waiting(const struct store *store)
{
    return store->is_waiting;
}

void store_end_wait(struct store *store)
{
    store->is_waiting = false;
}

enum status store_end_refill(struct store *store)
{
    enum status status = save_refill(store, false);
    if (status == STATUS_IO) {
        return die(store, status, "cannot note that it is whole again");
    }
    if (status == STATUS_OK) {
        log_event(store->log, "store is whole again");
    }
    return status;
}

// ---- pruning ----

enum {
    PRUNE_SHARE = 8,         // a segment is rewritten when so much of it goes: 1/8
    PRUNED_BYTES_MAX = 240,  // of a record without its body: header, two parents, signature
    PRUNE_REWRITES = 4,      // at once: others wait meanwhile
};

/* A record as it is to stand: without its body when a PRUNE says so. */
static enum status prune_change(void *context, struct bytes bytes, struct buffer *kept)
{
    const struct store *store = context;
    struct record record;
    if (record_decode_again(&record, bytes.at, bytes.length) != STATUS_OK) {
        return STATUS_DAMAGED;
    }
    bool may_go = !record.is_pruned && record_type_is_prunable(record.type) &&
                  capsule_is_pruned(store->capsule, &record.writer, record.sequence);
    return may_go ? record_prune(kept, &record) : buffer_append(kept, bytes.at, bytes.length);
}

/* About how many bytes of a sealed segment may go. */
static enum status prune_weigh(struct store *store, const struct segment_index *part,
                               uint64_t *bytes)
{
    enum status status = STATUS_OK;
    *bytes = 0;
    for (uint32_t i = 0; i < part->branch_count && status == STATUS_OK; i++) {
        const struct segment_index_branch *branch = &part->branches[i];
        for (uint32_t nth = 0; nth < branch->count && status == STATUS_OK; nth++) {
            struct journal_place place;
            uint64_t sequence = branch->first + nth;
            if (!capsule_is_pruned(store->capsule, &branch->writer, sequence)) {
                continue;
            }
            status =
                record_index_find(&store->index, store->disk, &branch->writer, sequence, &place);
            if (status == STATUS_OK && place.length > PRUNED_BYTES_MAX) {
                *bytes += place.length - PRUNED_BYTES_MAX;
            }
        }
    }
    return status;
}

struct prune_walk {
    struct store *store;
    struct record_index_rewrite *rewrite;
};

static enum status walk_change(void *context, struct bytes record, struct buffer *kept)
{
    const struct prune_walk *walk = context;
    return prune_change(walk->store, record, kept);
}

static enum status walk_rewritten(void *context, struct bytes record,
                                  const struct journal_place *place)
{
    const struct prune_walk *walk = context;
    return record_index_rewrite_visit(walk->rewrite, record, place);
}

static enum status rewrite_segment(struct store *store, uint32_t segment)
{
    struct checkpoint checkpoint = CHECKPOINT_EMPTY;
    struct prune_walk walk = {.store = store};
    enum status found = checkpoint_load(&checkpoint, store->disk);
    enum status status =
        found == STATUS_OK || found == STATUS_NOT_FOUND ? checkpoint_forget(store->disk) : found;
    if (status == STATUS_OK) {
        status = record_index_rewrite_begin(&walk.rewrite, &store->index, segment);
    }
    if (status == STATUS_OK) {
        status = journal_rewrite(store->disk, segment, walk_change, walk_rewritten, &walk);
    }
    if (status == STATUS_OK) {
        status = record_index_rewrite_end(walk.rewrite, &store->index, store->disk,
                                          capsule_name(store->capsule));
    }
    if (status == STATUS_DAMAGED) {
        log_event(store->log, "segment damaged file=segment-%08u cause=\"cannot be pruned\"",
                  segment);
    }
    if (found == STATUS_OK && (status == STATUS_OK || status == STATUS_NO_SPACE)) {
        enum status saved = checkpoint_save(&checkpoint, store->disk);
        status = status == STATUS_OK ? saved : status;
    }
    record_index_rewrite_free(walk.rewrite);
    checkpoint_release(&checkpoint);
    return status;
}

/* Look at the next sealed segment, and free what PRUNEs let go. */
static enum status prune_one(struct store *store, int *rewrite_count)
{
    uint64_t bytes = 0;
    const struct segment_index *part = &store->index.parts[store->prune_next - 1];
    enum status status = prune_weigh(store, part, &bytes);
    if (status == STATUS_OK && bytes > 0 && bytes >= part->end / PRUNE_SHARE) {
        log_event(store->log, "segment pruned file=segment-%08u bytes=%llu", store->prune_next,
                  (unsigned long long)bytes);
        status = rewrite_segment(store, store->prune_next);
        (*rewrite_count)++;
    }
    store->prune_next++;
    return status;
}

/* A full disk is no failure: the next PRUNE looks again. */
static enum status prune_some(struct store *store)
{
    enum status status = STATUS_OK;
    int rewrite_count = 0;
    while (status == STATUS_OK && rewrite_count < PRUNE_REWRITES &&
           store->prune_next <= store->index.part_count) {
        status = prune_one(store, &rewrite_count);
    }
    return status == STATUS_NO_SPACE ? STATUS_OK : status;
}

enum status store_prepare(struct store *store)
{
    if (store->is_dead) {
        return STATUS_IO;
    }
    enum status status = journal_prepare(store->journal);
    if (status == STATUS_OK) {
        status = prune_some(store);
    }
    return status == STATUS_OK ? STATUS_OK : die(store, status, "cannot prepare");
}

/* Whether the one who asks, `leader`, leads the highest term that this store knows of. */
static enum status verify_asker(const struct store *store, const struct frame_fence *ask,
                                struct verify_key *leader)
{
    const struct genesis *genesis = capsule_genesis(store->capsule);
    struct term term;
    enum status status = term_decode(&term, ask->term_body, &genesis->owner, &genesis->capsule);
    if (status != STATUS_OK) {
        return status;
    }
    if (term.number != ask->term ||
        frame_fence_verify(ask, &genesis->capsule, &term.leader) != STATUS_OK) {
        return STATUS_FORGED;
    }
    if (term.number < obeyed_term(store)) {
        return STATUS_CLOSED;
    }
    *leader = term.leader;
    const struct capsule_member *accepted = capsule_leader(store->capsule);
    bool is_other_than_accepted = accepted != NULL && accepted->term == term.number &&
                                  !verify_key_equal(&accepted->key, leader);
    bool is_other_than_obeyed =
        store->fence.term == term.number && !verify_key_equal(&store->fence.leader, leader);
    return is_other_than_accepted || is_other_than_obeyed ? STATUS_CLOSED : STATUS_OK;
}

/*
 * The fence as it will be. Writers that a cut has closed need no mention any more, and one around
 * everybody of lower terms includes what earlier leaders asked for. Its own leader may have asked
 * for more since: handed on by siblings, the two come in any order.
 */
static enum status plan_fence(const struct store *store, const struct frame_fence *ask,
                              const struct verify_key *leader, struct fence *plan)
{
    bool is_all = writer_id_is_zero(&ask->writer);
    *plan = (struct fence){
        .term = ask->term,
        .leader = *leader,
        .fenced_below = is_all ? ask->term : store->fence.fenced_below,
    };
    enum status status = fence_add(plan, ask);
    for (uint32_t i = 0; i < store->fence.ask_count && status == STATUS_OK; i++) {
        const struct fence_ask *kept = &store->fence.asks[i];
        const struct capsule_member *member = capsule_member_find(store->capsule, &kept->writer);
        struct frame_fence again;
        CHECK(frame_fence_decode(&again, buffer_bytes(&kept->body)) == STATUS_OK);
        bool is_included = is_all && (member == NULL ? again.term : member->term) < ask->term;
        if (!is_included && (member == NULL || !member->is_closed)) {
            status = fence_add(plan, &again);
        }
    }
    return status;
}

/* Durable, and in force. */
static enum status obey(struct store *store, const struct frame_fence *ask,
                        const struct verify_key *leader)
{
    struct fence plan = FENCE_EMPTY;
    enum status status = plan_fence(store, ask, leader, &plan);
    if (status == STATUS_OK) {
        status = fence_save(&plan, store->disk, capsule_name(store->capsule));
    }
    if (status == STATUS_IO) {
        (void)die(store, status, "cannot save the fence");
    }
    if (status == STATUS_OK) {
        struct fence before = store->fence;
        store->fence = plan;
        plan = before;
    }
    fence_release(&plan);
    return status;
}

/*
 * Whether a leader of this term has to hear of a branch: one that may yet have to be closed, since
 * no CLOSE of it is settled. A leader without a SYNC has not come to lead: it need not be followed.
 */
static bool is_of_interest(const struct store *store, const struct capsule_member *member,
                           uint64_t term)
{
    const struct capsule *capsule = store->capsule;
    return member->term < term &&
           (!member->is_closed || !capsule_is_close_settled(capsule, member)) &&
           (member->role != MEMBER_LEADER || capsule_has_synced(capsule, member));
}

/* The ends of the branches concerned, into store->heads. */
static enum status list_fenced(struct store *store, const struct frame_fence *ask, uint32_t *count)
{
    *count = 0;
    size_t member_count = capsule_member_count(store->capsule);
    enum status status = reserve_heads(store, member_count + 1);
    if (status != STATUS_OK) {
        return status;
    }
    if (!writer_id_is_zero(&ask->writer)) {
        const struct capsule_member *member = capsule_member_find(store->capsule, &ask->writer);
        store->heads[0] = (struct branch_head){.writer = ask->writer};
        if (member != NULL) {
            store->heads[0].head = member->head;
        }
        *count = 1;
        return STATUS_OK;
    }
    // First the one that a new leader has to follow, unless another store names a later one.
    const struct capsule_sync *newest = capsule_newest_sync(store->capsule);
    const struct capsule_member *first =
        newest == NULL ? NULL : capsule_member_find(store->capsule, &newest->leader);
    if (first != NULL && is_of_interest(store, first, ask->term)) {
        store->heads[(*count)++] = (struct branch_head){.writer = first->id, .head = first->head};
    }
    for (size_t i = 0; i < member_count; i++) {
        const struct capsule_member *member = capsule_member_at(store->capsule, i);
        if (member != first && is_of_interest(store, member, ask->term)) {
            if (*count == RECEIPT_HEADS_MAX) {
                return STATUS_FULL;
            }
            store->heads[(*count)++] =
                (struct branch_head){.writer = member->id, .head = member->head};
        }
    }
    return STATUS_OK;
}

enum status store_fence(struct store *store, const struct frame_fence *ask, struct buffer *fence)
{
    if (store->is_dead) {
        return STATUS_IO;
    }
    if (store->is_refilling) {
        return STATUS_GAP;
    }
    uint32_t head_count = 0;
    struct verify_key leader;
    enum status status = verify_asker(store, ask, &leader);
    if (status == STATUS_OK) {
        status = list_fenced(store, ask, &head_count);
    }
    if (status == STATUS_OK) {
        status = sync_journal(store);
    }
    if (status == STATUS_OK) {
        status = obey(store, ask, &leader);
    }
    return status != STATUS_OK ? status
                               : receipt_encode(fence, RECEIPT_FENCE, capsule_name(store->capsule),
                                                ask->term, store->heads, head_count, store->key);
}

struct bytes store_fence_at(const struct store *store, uint32_t index)
{
    return index < store->fence.ask_count ? buffer_bytes(&store->fence.asks[index].body)
                                          : bytes_of(NULL, 0);
}

enum status store_adopt_fence(struct store *store, const struct frame_fence *ask)
{
    struct verify_key leader;
    if (store->is_dead) {
        return STATUS_IO;
    }
    enum status status = verify_asker(store, ask, &leader);
    if (status == STATUS_CLOSED) {
        return STATUS_OK;  // who leads now has fenced all that this one did
    }
    return status == STATUS_OK ? obey(store, ask, &leader) : status;
}

uint64_t store_term(const struct store *store)
{
    return obeyed_term(store);
}

// ---- reading ----

/* The leader of a term; NULL: it is not known. */
static const struct capsule_member *leader_of(const struct capsule *capsule, uint64_t term)
{
    for (size_t i = 0; i < capsule_member_count(capsule); i++) {
        const struct capsule_member *member = capsule_member_at(capsule, i);
        if (member->role == MEMBER_LEADER && member->term == term) {
            return member;
        }
    }
    return NULL;
}

/* What is asked for by description: the newest leader's branch, or what admitted a writer. */
static struct frame_fetch resolve(const struct store *store, const struct frame_fetch *fetch)
{
    struct frame_fetch resolved = *fetch;
    bool is_leader = writer_id_equal(&fetch->writer, &frame_to_leader);
    const struct capsule_member *member = is_leader
                                              ? capsule_leader(store->capsule)
                                              : capsule_member_find(store->capsule, &fetch->writer);
    if (member != NULL && fetch->to == 0) {
        resolved.from = resolved.to = member->admitted_sequence;
        member = leader_of(store->capsule, member->term);
    }
    if (member != NULL) {
        resolved.writer = member->id;
    }
    return resolved;
}

/* A TABLE without its body; any other record as it stands. */
static enum status load_bare(struct store *store, const struct journal_place *place,
                             struct buffer *records)
{
    struct record record;
    buffer_clear(&store->scratch);
    enum status status = journal_load(store->journal, place, &store->scratch);
    if (status == STATUS_OK) {
        status = record_decode_again(&record, store->scratch.bytes, store->scratch.length);
    }
    if (status != STATUS_OK) {
        return status;
    }
    return record.type == RECORD_TABLE && !record.is_pruned
               ? record_prune(records, &record)
               : buffer_append(records, record.whole.at, record.whole.length);
}

enum status store_read(struct store *store, const struct frame_fetch *asked, struct buffer *records,
                       struct frame_fetched *fetched)
{
    const struct frame_fetch resolved = resolve(store, asked);
    const struct frame_fetch *fetch = &resolved;
    struct record_index *index = &store->index;
    const struct record_index_branch *branch = record_index_branch(index, &fetch->writer);
    bool is_log = writer_id_is_zero(&fetch->writer);
    uint64_t count = is_log ? record_index_count(index) : branch != NULL ? branch->count : 0;
    uint64_t last = fetch->to < count ? fetch->to : count;
    uint64_t next = fetch->from == 0 ? 1 : fetch->from;
    size_t before = records->length;

    for (; next <= last; next++) {
        struct journal_place place;
        enum status status =
            is_log ? record_index_at(index, store->disk, next - 1, &place)
                   : record_index_find(index, store->disk, &fetch->writer, next, &place);
        bool is_first = records->length == before;
        if (status == STATUS_OK && !is_first &&
            records->length - before + place.length > fetch->max_bytes) {
            break;
        }
        if (status == STATUS_OK) {
            status = fetch->has_bare_tables ? load_bare(store, &place, records)
                                            : journal_load(store->journal, &place, records);
        }
        if (status != STATUS_OK) {
            records->length = before;
            store->is_damaged = store->is_damaged || status == STATUS_DAMAGED;
            return status;
        }
    }
    *fetched = (struct frame_fetched){
        .writer = asked->writer,
        .next = next,
        .is_end = next > count || asked->to == 0,
    };
    return STATUS_OK;
}

void store_count(const struct store *store, struct store_counters *counters)
{
    *counters = store->counters;
    counters->segment_count = journal_segment_count(store->journal);
}

struct walk {
    enum status (*visit)(void *context, struct bytes record, const struct store_place *place);
    void *context;
    struct cuts cuts;
    struct cuts_place place;
};

static enum status walk_visit(void *context, struct bytes bytes, const struct journal_place *at)
{
    struct walk *walk = context;
    struct record record;
    struct store_place place = {.segment = at->segment, .offset = at->offset};
    walk->place = cuts_next(&walk->place, at->segment);
    bool is_cut = walk->cuts.count > 0 &&
                  record_decode_stored(&record, bytes.at, bytes.length) == STATUS_OK &&
                  cuts_cover(&walk->cuts, &record, &walk->place);
    return is_cut ? STATUS_OK : walk->visit(walk->context, bytes, &place);
}

enum status store_walk(const struct disk *disk, const struct hash *capsule,
                       enum status (*visit)(void *context, struct bytes record,
                                            const struct store_place *place),
                       void *context, struct store_place *place)
{
    struct walk walk = {.visit = visit, .context = context};
    struct journal_place at = {.segment = 0};
    enum status status = cuts_load(&walk.cuts, disk, capsule);
    if (status == STATUS_OK) {
        status = journal_walk(disk, walk_visit, &walk, &at);
    }
    *place = (struct store_place){.segment = at.segment, .offset = at.offset};
    cuts_release(&walk.cuts);
    return status;
}
