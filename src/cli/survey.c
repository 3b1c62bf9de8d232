/* src/cli/survey.c */
#include "cli/survey.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/evidence.h"
#include "attest/policy.h"
#include "base/check.h"
#include "base/cursor.h"
#include "capsule/keys.h"
#include "capsule/receipt.h"
#include "capsule/revoke.h"
#include "capsule/seal.h"
#include "capsule/sync.h"
#include "capsule/term.h"
#include "cli/array.h"
#include "cli/export_file.h"
#include "cli/notary.h"
#include "store/disk.h"

enum {
    SURVEY_ENTRY_HEAD_BYTES = 8,  // before a record in its segment (docs/format/segment.md)
    SURVEY_KEYS = 64,             // of writers, kept
    SURVEY_PASSES_MAX = 64,       // each after the first knows of something that does not count
};

/* Evidence on its way: judged when the time and the policy that count for it are known. */
struct pending {
    struct buffer evidence;
    uint32_t writer;
    enum member_role role;
    size_t record;
    size_t policy;      // index of the policy in force
    uint64_t time_s;    // of the last SYNC before it; 0: none
    uint64_t next_s;    // of the first SYNC after it; 0: none
    size_t own_policy;  // of a leader: the one it published itself; SIZE_MAX: none
};

/* What opens the bodies of one writer. */
struct body_key {
    struct writer_id writer;
    uint32_t key_epoch;
    struct aead_key *key;
};

/* A record that was read, by writer and sequence. */
struct known {
    struct writer_id writer;
    uint64_t sequence;
    size_t record;
};

/* From here on nothing is believed to this store. */
struct stop {
    enum status status;  // STATUS_OK: none
    struct store_place place;
    char reason[SURVEY_REASON_BYTES];
};

struct survey_state {
    // Kept from pass to pass.
    struct stop stops[GENESIS_STORES_MAX];
    struct branch_head *cuts;  // beyond them nothing counts
    size_t cut_count;

    uint32_t store;       // being walked
    struct known *known;  // of the stores walked before, in order
    size_t known_count;
    size_t *bare;  // records that this store has without their bodies
    size_t bare_count;
    struct pending *pending;
    size_t pending_count;
    struct policy *policies;  // in the order in which they came into force
    size_t policy_count;
    uint64_t last_sync_s;
    struct store_place place;
    struct buffer plain;
    struct notary *notary;
    struct body_key keys[SURVEY_KEYS];
    size_t key_count;  // ever made
};

static enum status refuse(struct survey *survey, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum status refuse(struct survey *survey, enum status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(survey->reason, sizeof survey->reason, format, arguments);
    va_end(arguments);
    return status;
}

/* Where in a store's files, or in an exported file, something lies. */
struct place_text {
    char text[64];
};

static struct place_text text_of(const struct store_place *place)
{
    struct place_text result;
    if (place->segment == EXPORT_FILE_SEGMENT) {
        snprintf(result.text, sizeof result.text, "offset %" PRIu64, place->offset);
    } else {
        snprintf(result.text, sizeof result.text, "segment-%08" PRIu32 ", offset %" PRIu64,
                 place->segment, place->offset);
    }
    return result;
}

static enum status refuse_record(struct survey *survey, enum status status,
                                 const struct record *record, const char *why)
{
    char writer[WRITER_ID_TEXT_BYTES];
    writer_id_text(&record->writer, writer);
    return refuse(survey, status, "record %" PRIu64 " of writer %s (%s, %s): %s", record->sequence,
                  writer, record_type_text(record->type), text_of(&survey->state->place).text, why);
}

/* ---- what a record says, beyond what the capsule keeps ---- */

static enum status note_policy(struct survey *survey, struct bytes text)
{
    struct survey_state *state = survey->state;
    char error[POLICY_ERROR_BYTES_MAX];
    state->policies = array_grown(state->policies, state->policy_count, sizeof *state->policies);
    enum status status = policy_parse(&state->policies[state->policy_count], text, error);
    if (status != STATUS_OK) {
        return refuse(survey, status, "a policy of the owner's cannot be used: %s", error);
    }
    state->policy_count++;
    return STATUS_OK;
}

static enum status note_evidence(struct survey *survey, uint32_t writer, enum member_role role,
                                 struct bytes evidence)
{
    struct survey_state *state = survey->state;
    state->pending = array_grown(state->pending, state->pending_count, sizeof *state->pending);
    struct pending *pending = &state->pending[state->pending_count];
    *pending = (struct pending){
        .writer = writer,
        .role = role,
        .record = survey->record_count - 1,
        .policy = state->policy_count - 1,
        .time_s = state->last_sync_s,
        .own_policy = SIZE_MAX,
    };
    enum status status = buffer_append(&pending->evidence, evidence.at, evidence.length);
    state->pending_count += status == STATUS_OK ? 1 : 0;
    return status;
}

static uint32_t index_of(const struct survey *survey, const struct writer_id *id)
{
    const struct capsule_member *member = capsule_member_find(survey->capsule, id);
    return member == NULL ? SURVEY_STRANGER
                          : (uint32_t)capsule_member_index(survey->capsule, member);
}

/* A leader that published a policy was itself judged by it: the owner used what he had. */
static enum status take_policy(struct survey *survey, const struct record *record)
{
    uint64_t version;
    struct bytes text;
    const struct genesis *genesis = capsule_genesis(survey->capsule);
    enum status status =
        term_policy_decode(&version, &text, record->body, &genesis->owner, &genesis->capsule);
    if (status == STATUS_OK) {
        status = note_policy(survey, text);
    }
    uint32_t writer = index_of(survey, &record->writer);
    for (size_t i = 0; i < survey->state->pending_count; i++) {
        struct pending *pending = &survey->state->pending[i];
        if (pending->writer == writer && pending->own_policy == SIZE_MAX) {
            pending->own_policy = survey->state->policy_count - 1;
        }
    }
    return status;
}

static void note_time(struct survey_state *state, uint64_t time_s)
{
    state->last_sync_s = time_s;
    for (size_t i = state->pending_count; i > 0 && state->pending[i - 1].next_s == 0; i--) {
        state->pending[i - 1].next_s = time_s;
    }
}

static void note_term(struct survey *survey, const struct term *term)
{
    survey->terms = array_grown(survey->terms, survey->term_count, sizeof *survey->terms);
    struct survey_term *kept = &survey->terms[survey->term_count++];
    *kept = (struct survey_term){
        .record = survey->record_count - 1,
        .number = term->number,
        .sync_epoch = term->sync_epoch,
        .lost_epoch = term->lost_epoch,
    };
    memcpy(kept->keeper, term->keeper.name, sizeof kept->keeper);
}

static enum status take_clear(struct survey *survey, const struct record *record)
{
    const struct genesis *genesis = capsule_genesis(survey->capsule);
    struct term term;
    struct member_body member;
    struct sync_body sync;
    enum status status;
    switch (record->type) {
    case RECORD_TERM:
        status = term_decode(&term, record->body, &genesis->owner, &genesis->capsule);
        if (status == STATUS_OK) {
            note_term(survey, &term);
        }
        return status == STATUS_OK ? note_evidence(survey, index_of(survey, &record->writer),
                                                   MEMBER_LEADER, term.evidence)
                                   : status;
    case RECORD_MEMBER:
        status = member_decode(&member, record->body);
        if (status == STATUS_OK) {
            const struct writer_id id = writer_id_of(&member.key);
            status = note_evidence(survey, index_of(survey, &id), member.role, member.evidence);
        }
        return status;
    case RECORD_SYNC:
        status = sync_decode(&sync, record->body);
        if (status == STATUS_OK) {
            note_time(survey->state, sync.time_ms / 1000);
        }
        return status;
    case RECORD_POLICY:
        return take_policy(survey, record);
    default:
        return STATUS_OK;
    }
}

/* ---- with keys ---- */

static enum status read_data(struct survey *survey, const struct record *record)
{
    struct tuple_reader reader;
    struct tuple tuple;
    enum status status = tuple_reader_init(&reader, buffer_bytes(&survey->state->plain));
    while (status == STATUS_OK) {
        status = tuple_reader_next(&reader, &tuple);
        survey->tuple_count += status == STATUS_OK ? 1 : 0;
        if (status == STATUS_OK && survey->visitor != NULL) {
            survey->visitor->tuple(survey->visitor->context, record, &reader.tag, &tuple);
        }
    }
    return status == STATUS_EMPTY
               ? STATUS_OK
               : refuse_record(survey, status, record, "its tuples are malformed");
}

static enum status read_function(struct survey *survey, const struct record *record)
{
    const struct genesis *genesis = capsule_genesis(survey->capsule);
    struct function_manifest manifest;
    struct bytes code;
    enum status status = function_decode(&manifest, &code, buffer_bytes(&survey->state->plain),
                                         &genesis->owner, &genesis->capsule);
    if (status != STATUS_OK) {
        return refuse_record(survey, status, record, "its function is not the owner's");
    }
    if (survey->function != NULL) {
        survey->function(survey->context, &manifest, code);
    }
    function_manifest_release(&manifest);
    return STATUS_OK;
}

/* Its writer's key, derived once: guarded memory costs more than opening a small body. */
static struct aead_key *body_key_of(struct survey *survey, const struct record *record)
{
    struct survey_state *state = survey->state;
    for (size_t i = 0; i < SURVEY_KEYS; i++) {
        const struct body_key *known = &state->keys[i];
        if (known->key != NULL && known->key_epoch == record->key_epoch &&
            writer_id_equal(&known->writer, &record->writer)) {
            return known->key;
        }
    }
    const struct capsule_member *member = capsule_member_find(survey->capsule, &record->writer);
    const struct hash *name = capsule_name(survey->capsule);
    struct secret *data_key = keys_data(survey->seed, name, record->key_epoch);
    struct body_key *made = &state->keys[state->key_count++ % SURVEY_KEYS];  // the oldest goes
    aead_key_free(made->key);
    *made = (struct body_key){.writer = record->writer,
                              .key_epoch = record->key_epoch,
                              .key = seal_key_new(data_key, name, &member->key)};
    secret_free(data_key);
    return made->key;
}

static enum status open_body(struct survey *survey, const struct record *record)
{
    buffer_clear(&survey->state->plain);
    enum status status = seal_open(&survey->state->plain, record, body_key_of(survey, record));
    if (status != STATUS_OK) {
        return refuse_record(survey, status, record, "its body does not open with the seed's keys");
    }
    survey->opened_count++;
    if (record->type == RECORD_DATA) {
        return read_data(survey, record);
    }
    return record->type == RECORD_FUNCTION ? read_function(survey, record) : STATUS_OK;
}

/* ---- what is kept ---- */

/* The writer of a parent: a SYNC names it in its body, others follow their own or the SYNC. */
static void note_parents(struct survey *survey, const struct record *record)
{
    struct survey_record *kept = &survey->records[survey->record_count - 1];
    struct sync_body sync;
    kept->parent_first = survey->parent_count;
    if (record->type == RECORD_SYNC && sync_decode(&sync, record->body) == STATUS_OK) {
        for (uint32_t i = 0; i < sync.head_count; i++) {
            const struct sync_head head = sync_head_at(&sync, i);
            if (head.branch.head.sequence > 0) {
                survey->parents =
                    array_grown(survey->parents, survey->parent_count, sizeof *survey->parents);
                survey->parents[survey->parent_count++] = index_of(survey, &head.branch.writer);
            }
        }
    } else if (record->parent_count > record_previous_count(record)) {
        const struct hash joined = record_parent(record, record->parent_count - 1u);
        const struct capsule_sync *found = capsule_sync_find(survey->capsule, &joined);
        if (found != NULL) {
            survey->parents =
                array_grown(survey->parents, survey->parent_count, sizeof *survey->parents);
            survey->parents[survey->parent_count++] = index_of(survey, &found->leader);
        }
    }
    kept->parent_count = survey->parent_count - kept->parent_first;
}

/* Whom it admits, throws out or closes. */
static void note_about(const struct survey *survey, struct survey_record *kept,
                       const struct record *record)
{
    const struct genesis *genesis = capsule_genesis(survey->capsule);
    struct member_body member;
    struct sync_close close;
    struct writer_id revoked;
    if (record->type == RECORD_MEMBER && member_decode(&member, record->body) == STATUS_OK) {
        kept->about = writer_id_of(&member.key);
    } else if (record->type == RECORD_REVOKE &&
               revoke_decode(&revoked, record->body, &genesis->owner, &genesis->capsule) ==
                   STATUS_OK) {
        kept->about = revoked;
    } else if (record->type == RECORD_CLOSE &&
               sync_close_decode(&close, record->body) == STATUS_OK) {
        kept->about = close.cut.writer;
        kept->cut = close.cut.head.sequence;
        kept->reason = close.reason;
    }
}

static void keep_record(struct survey *survey, const struct record *record)
{
    survey->records = array_grown(survey->records, survey->record_count, sizeof *survey->records);
    survey->records[survey->record_count++] = (struct survey_record){
        .type = record->type,
        .writer_id = record->writer,
        .writer = SURVEY_STRANGER,
        .sequence = record->sequence,
        .epoch = record->epoch,
        .bytes = record->whole.length,
        .hash = record->hash,
        .is_pruned = record->is_pruned,
        .key_epoch = record->key_epoch,
        .store = survey->state->store,
        .place = survey->state->place,
        .holder_count = 1,
        .signature = record->signature,
    };
    survey->stores[survey->state->store].held_count++;
    note_about(survey, &survey->records[survey->record_count - 1], record);
    note_parents(survey, record);
}

/* ---- what another store holds too ---- */

static int compare_known(const void *left, const void *right)
{
    const struct known *a = left, *b = right;
    int order = writer_id_compare(&a->writer, &b->writer);
    return order != 0 ? order : (a->sequence > b->sequence) - (a->sequence < b->sequence);
}

/* All that was read up to now can be found. */
static void know_all(struct survey *survey)
{
    struct survey_state *state = survey->state;
    state->known = reallocarray(state->known, survey->record_count + 1, sizeof *state->known);
    CHECK(state->known != NULL);
    for (size_t i = state->known_count; i < survey->record_count; i++) {
        const struct survey_record *record = &survey->records[i];
        state->known[i] =
            (struct known){.writer = record->writer_id, .sequence = record->sequence, .record = i};
    }
    state->known_count = survey->record_count;
    qsort(state->known, state->known_count, sizeof *state->known, compare_known);
}

/* What an earlier store holds in this place; NULL: nothing. */
static struct survey_record *find_known(const struct survey *survey, const struct record *record)
{
    const struct survey_state *state = survey->state;
    const struct known wanted = {.writer = record->writer, .sequence = record->sequence};
    const struct known *known = state->known_count == 0
                                    ? NULL
                                    : bsearch(&wanted, state->known, state->known_count,
                                              sizeof *state->known, compare_known);
    return known == NULL ? NULL : &survey->records[known->record];
}

/* Two records of one place, each signed: proof for others, if both are whole. */
/* The bytes of a record that was read before. */
static enum status read_again(const struct survey *survey, const struct survey_record *kept,
                              struct buffer *target)
{
    char name[32];
    struct disk_posix *posix = NULL;
    struct disk disk;
    const char *path = survey->stores[kept->store].directory;
    enum status status = buffer_reserve(target, kept->bytes);
    if (status == STATUS_OK && kept->place.segment == EXPORT_FILE_SEGMENT) {
        return export_file_read(path, &kept->place, target->bytes, kept->bytes);
    }
    if (status == STATUS_OK) {
        status = disk_posix_open_readonly(&posix, &disk, path);
    }
    if (status == STATUS_OK) {
        snprintf(name, sizeof name, "segment-%08" PRIu32, kept->place.segment);
        status = disk.read(disk.context, name, kept->place.offset + SURVEY_ENTRY_HEAD_BYTES,
                           target->bytes, kept->bytes);
    }
    disk_posix_close(posix);
    return status;
}

static enum status prove_fork(struct survey *survey, const struct survey_record *kept,
                              const struct record *record)
{
    char why[SURVEY_REASON_BYTES / 2];
    struct buffer other = BUFFER_EMPTY;
    enum status status = read_again(survey, kept, &other);
    if (status == STATUS_OK && !kept->is_pruned && !record->is_pruned) {
        buffer_clear(&survey->fork);
        status =
            receipt_fork_encode(&survey->fork, bytes_of(other.bytes, kept->bytes), record->whole);
    }
    buffer_release(&other);
    if (status != STATUS_OK) {
        return status;
    }
    snprintf(
        why, sizeof why,
        "its writer signed another one in the same place, which '%.200s' holds (%s): it forked",
        survey->stores[kept->store].directory, text_of(&kept->place).text);
    return refuse_record(survey, STATUS_FORKED, record, why);
}

/* The body that an earlier store no longer has. */
static enum status take_body(struct survey *survey, struct survey_record *kept,
                             const struct record *record)
{
    kept->is_pruned = false;
    survey->pruned_count--;
    return survey->seed != NULL && record_type_is_sealed(record->type) ? open_body(survey, record)
                                                                       : STATUS_OK;
}

static enum status compare(struct survey *survey, struct survey_record *kept,
                           const struct record *record)
{
    struct survey_state *state = survey->state;
    const struct signature signature = record->signature;
    const struct capsule_member *member = capsule_member_find(survey->capsule, &record->writer);
    bool is_same = hash_equal(&kept->hash, &record->hash);
    // The very same signature has been verified with the one that is kept.
    if ((!is_same || memcmp(&kept->signature, &signature, sizeof signature) != 0) &&
        (member == NULL || record_verify(record, &member->key) != STATUS_OK)) {
        return refuse_record(survey, STATUS_FORGED, record, "its signature does not verify");
    }
    if (!is_same) {
        return prove_fork(survey, kept, record);
    }
    kept->holder_count++;
    survey->stores[state->store].held_count++;
    if (kept->is_pruned && !record->is_pruned) {
        return take_body(survey, kept, record);
    }
    if (record->is_pruned && !kept->is_pruned) {
        state->bare = array_grown(state->bare, state->bare_count, sizeof *state->bare);
        state->bare[state->bare_count++] = (size_t)(kept - survey->records);
    }
    return STATUS_OK;
}

/* Whether this record counts for nothing, as a CLOSE that comes later says, or came already. */
static bool is_beyond(const struct survey *survey, const struct record *record)
{
    const struct survey_state *state = survey->state;
    const struct capsule_member *member = capsule_member_find(survey->capsule, &record->writer);
    if (member != NULL && member->is_closed && record->sequence > member->cut.sequence) {
        return true;
    }
    for (size_t i = 0; i < state->cut_count; i++) {
        if (record->sequence > state->cuts[i].head.sequence &&
            writer_id_equal(&record->writer, &state->cuts[i].writer)) {
            return true;
        }
    }
    return false;
}

/* ---- the walk ---- */

static enum status take(struct survey *survey, const struct record *record)
{
    // Its signature is verified beside: what is wrong with it is said at the end of the walk.
    const struct capsule_member *member = capsule_member_find(survey->capsule, &record->writer);
    enum status status;
    if (member != NULL) {
        notary_push(survey->state->notary, record, &member->key, survey->record_count);
        status = capsule_accept_vouched(survey->capsule, record);
    } else {
        status = capsule_accept(survey->capsule, record);
    }
    if (status != STATUS_OK) {
        return refuse_record(survey, status, record, capsule_reason(survey->capsule));
    }
    keep_record(survey, record);
    if (survey->visitor != NULL) {
        survey->visitor->record(survey->visitor->context, record);
    }
    status = take_clear(survey, record);
    if (record->is_pruned) {
        survey->pruned_count++;
    } else if (status == STATUS_OK && survey->seed != NULL && record_type_is_sealed(record->type)) {
        status = open_body(survey, record);
    }
    if (status != STATUS_OK) {
        return survey->reason[0] != '\0'
                   ? status
                   : refuse_record(survey, status, record, status_text(status));
    }
    return survey->record == NULL ? STATUS_OK : survey->record(survey->context, record->whole);
}

/* STATUS_EMPTY: from here on nothing is believed. */
static enum status visit(void *context, struct bytes bytes, const struct store_place *place)
{
    struct survey *survey = context;
    struct survey_state *state = survey->state;
    const struct stop *stop = &state->stops[state->store];
    struct record record;
    state->place = *place;
    if (notary_has_refused(state->notary)) {
        return STATUS_FORGED;
    }
    if (stop->status != STATUS_OK && stop->place.segment == place->segment &&
        stop->place.offset == place->offset) {
        return STATUS_EMPTY;
    }
    enum status status = record_decode_stored(&record, bytes.at, bytes.length);
    if (status != STATUS_OK) {
        return refuse(survey, status, "%s: what lies there is no record: %s", text_of(place).text,
                      status_text(status));
    }
    struct survey_record *kept = find_known(survey, &record);
    if (kept != NULL) {
        status = compare(survey, kept, &record);
    } else if (is_beyond(survey, &record)) {
        survey->beyond_count++;
    } else {
        status = take(survey, &record);
    }
    if (status == STATUS_OK && survey->progress != NULL) {
        survey->progress(survey->context, survey, place);
    }
    return status;
}

/* ---- after the walk ---- */

/* A body that is gone without a PRUNE that names it has been lost, not pruned. */
static enum status verify_pruned(struct survey *survey)
{
    char writer[WRITER_ID_TEXT_BYTES];
    for (size_t i = 0; i < survey->record_count; i++) {
        const struct survey_record *kept = &survey->records[i];
        if (kept->is_pruned &&
            !capsule_is_pruned(survey->capsule, &kept->writer_id, kept->sequence)) {
            writer_id_text(&kept->writer_id, writer);
            return refuse(survey, STATUS_DAMAGED,
                          "%s: record %s/%" PRIu64 " has no body, and no PRUNE names it",
                          text_of(&kept->place).text, writer, kept->sequence);
        }
    }
    return STATUS_OK;
}

/* The first record that its writer did not sign: its store is believed up to there. */
static bool stop_at_forged(struct survey *survey)
{
    size_t index = notary_settle(survey->state->notary);
    if (index >= survey->record_count) {
        return false;  // none; or the last one, which was refused for something else too
    }
    const struct survey_record *kept = &survey->records[index];
    struct stop *stop = &survey->state->stops[kept->store];
    const struct record record = {
        .type = kept->type, .writer = kept->writer_id, .sequence = kept->sequence};
    survey->state->place = kept->place;
    *stop = (struct stop){.status = STATUS_FORGED, .place = kept->place};
    (void)refuse_record(survey, STATUS_FORGED, &record, "its signature does not verify");
    memcpy(stop->reason, survey->reason, sizeof stop->reason);
    return true;
}

/* What was read beyond a cut before the CLOSE was. Whether there is anything new. */
static bool note_cuts(struct survey *survey)
{
    struct survey_state *state = survey->state;
    size_t before = state->cut_count;
    for (size_t i = 0; i < capsule_member_count(survey->capsule); i++) {
        const struct capsule_member *member = capsule_member_at(survey->capsule, i);
        struct branch_head cut = {.writer = member->id, .head = member->cut};
        if (member->is_void) {
            cut.head.sequence = member->admitted_sequence;
        } else if (!member->is_closed || member->head.sequence <= member->cut.sequence) {
            continue;
        }
        state->cuts = array_grown(state->cuts, state->cut_count, sizeof *state->cuts);
        state->cuts[state->cut_count++] = cut;
    }
    return state->cut_count > before;
}

/* Everything that a SYNC or a CLOSE named is here. */
static enum status verify_complete(struct survey *survey)
{
    size_t index = 0;
    struct branch_head wanted;
    uint64_t from;
    char writer[WRITER_ID_TEXT_BYTES];
    if (capsule_missing(survey->capsule, &index, &wanted, &from) == STATUS_OK) {
        writer_id_text(&wanted.writer, writer);
        return refuse(survey, STATUS_GAP,
                      "records %" PRIu64 " to %" PRIu64
                      " of writer %s are missing: a SYNC or a "
                      "CLOSE names them",
                      from, wanted.head.sequence, writer);
    }
    const struct capsule_sync *newest = capsule_newest_sync(survey->capsule);
    if (newest != NULL && newest->unmet_count != 0) {
        return refuse(survey, STATUS_GAP,
                      "%" PRIu32 " heads that SYNC %" PRIu64 " names have not been reached",
                      newest->unmet_count, newest->epoch);
    }
    return STATUS_OK;
}

static enum policy_role role_of(enum member_role role)
{
    return role == MEMBER_LEADER   ? POLICY_LEADER
           : role == MEMBER_WORKER ? POLICY_WORKER
                                   : POLICY_COMPACTOR;
}

/*
 * Judge by one policy, for the time when it counted. The report data named a handshake of which
 * only the two ends know the transcript, so here the evidence's own stands in for it.
 */
static struct verdict judge_at(const struct pending *pending, const struct policy *policy,
                               uint64_t time_s)
{
    const struct evidence_roots roots = policy_roots(policy, vendor_pinned());
    const struct verdict genuine =
        evidence_verify(buffer_bytes(&pending->evidence), time_s, &roots);
    return policy_judge(policy, &genuine, genuine.report_data, role_of(pending->role));
}

/*
 * The capsule tells the time by its SYNCs: this was judged between two of them, so what counts is
 * the first instant there at which the vendor's statements had been made: each refusal names a
 * later one, or none.
 */
static struct verdict judge(const struct pending *pending, const struct policy *policy,
                            uint64_t now_s)
{
    uint64_t latest_s = pending->next_s != 0 ? pending->next_s : now_s;
    uint64_t earliest_s = pending->time_s != 0 ? pending->time_s : latest_s;
    struct verdict verdict = judge_at(pending, policy, earliest_s);
    while (!verdict.is_admitted && verdict.judged_at_s < verdict.valid_from_s &&
           verdict.valid_from_s <= latest_s) {
        verdict = judge_at(pending, policy, verdict.valid_from_s);
    }
    return verdict;
}

static enum status judge_all(struct survey *survey, uint64_t now_s)
{
    struct survey_state *state = survey->state;
    for (size_t i = 0; i < state->pending_count; i++) {
        const struct pending *pending = &state->pending[i];
        struct verdict verdict = judge(pending, &state->policies[pending->policy], now_s);
        if (!verdict.is_admitted && pending->own_policy != SIZE_MAX) {
            verdict = judge(pending, &state->policies[pending->own_policy], now_s);
        }
        survey->evidence =
            array_grown(survey->evidence, survey->evidence_count, sizeof *survey->evidence);
        survey->evidence[survey->evidence_count++] = (struct survey_evidence){
            .writer = pending->writer,
            .role = pending->role,
            .verdict = verdict,
            .record = pending->record,
        };
        if (!verdict.is_admitted) {
            const struct survey_record *record = &survey->records[pending->record];
            char line[VERDICT_LINE_BYTES_MAX], writer[WRITER_ID_TEXT_BYTES];
            verdict_line(&verdict, line);
            writer_id_text(&record->writer_id, writer);
            return refuse(survey, STATUS_DENIED,
                          "record %" PRIu64
                          " of writer %s (%s, %s): its evidence is not admitted: %s: %s",
                          record->sequence, writer, record_type_text(record->type),
                          text_of(&record->place).text, verdict_sentence(verdict.reason), line);
        }
    }
    return STATUS_OK;
}

/* A GENESIS comes before the TERM that says who wrote it, so writers are looked up at the end. */
static void find_writers(struct survey *survey)
{
    for (size_t i = 0; i < survey->record_count; i++) {
        survey->records[i].writer = index_of(survey, &survey->records[i].writer_id);
    }
}

/* What lies at the place of the damage, if it can still be told: what its header claims. */
static void describe_damage(struct survey *survey, const struct disk *disk,
                            const struct store_place *place, size_t held_count)
{
    char name[32], claim[128] = "";
    uint8_t header[RECORD_HEADER_BYTES];
    snprintf(name, sizeof name, "segment-%08" PRIu32, place->segment);
    if (disk->read(disk->context, name, place->offset + SURVEY_ENTRY_HEAD_BYTES, header,
                   sizeof header) == STATUS_OK) {
        struct cursor in = cursor_over(header, sizeof header);
        struct writer_id writer;
        char text[WRITER_ID_TEXT_BYTES];
        const uint8_t *magic = cursor_take(&in, 4);
        uint8_t type = cursor_u8(&in);
        cursor_take(&in, 11);
        uint64_t sequence = cursor_u64(&in);
        cursor_take(&in, 8);
        cursor_copy(&in, writer.bytes, sizeof writer.bytes);
        if (memcmp(magic, "PCR1", 4) == 0 && type < RECORD_TYPE_COUNT) {
            writer_id_text(&writer, text);
            snprintf(claim, sizeof claim, "; it says it is record %" PRIu64 " of writer %s (%s)",
                     sequence, text, record_type_text((enum record_type)type));
        }
    }
    if (place->offset == 0) {
        (void)refuse(survey, STATUS_DAMAGED,
                     "the header of %s is not as it was written; the %zu records before it are "
                     "intact",
                     name, held_count);
        return;
    }
    (void)refuse(survey, STATUS_DAMAGED,
                 "record %zu of the store (%s, offset %" PRIu64
                 ") is not as it was written%s; the %zu before it are intact",
                 held_count + 1, name, place->offset, claim, held_count);
}

/* ---- passes ---- */

/* What this store has no bodies of, a PRUNE names. */
static enum status verify_bare(struct survey *survey)
{
    struct survey_state *state = survey->state;
    for (size_t i = 0; i < state->bare_count; i++) {
        const struct survey_record *kept = &survey->records[state->bare[i]];
        if (!capsule_is_pruned(survey->capsule, &kept->writer_id, kept->sequence)) {
            char writer[WRITER_ID_TEXT_BYTES];
            writer_id_text(&kept->writer_id, writer);
            return refuse(survey, STATUS_DAMAGED,
                          "record %" PRIu64 " of writer %s has no body here, and no PRUNE names it",
                          kept->sequence, writer);
        }
    }
    return STATUS_OK;
}

static enum status walk_directory(struct survey *survey, struct survey_store *store)
{
    struct disk_posix *posix = NULL;
    struct disk disk;
    struct store_place place = {.segment = 0};
    enum status status = disk_posix_open_readonly(&posix, &disk, store->directory);
    if (status != STATUS_OK) {
        return refuse(survey, status, "cannot read directory '%s': %s", store->directory,
                      status == STATUS_IO ? strerror(errno) : status_text(status));
    }
    status = store_walk(&disk, capsule_name(survey->capsule), visit, survey, &place);
    if (status == STATUS_NOT_FOUND && survey->reason[0] == '\0') {
        (void)refuse(survey, status,
                     "'%s' holds no record: it is no store's directory (an app's host/capsule is "
                     "one), or the app has never run",
                     store->directory);
    } else if (status == STATUS_DAMAGED && survey->reason[0] == '\0') {
        describe_damage(survey, &disk, &place, store->held_count);
    }
    disk_posix_close(posix);
    return status;
}

static enum status walk_file(struct survey *survey, const struct survey_store *store)
{
    struct store_place place;
    enum status status = export_file_walk(store->directory, visit, survey, &place);
    if (survey->reason[0] != '\0' || status == STATUS_OK || status == STATUS_EMPTY) {
        return status;
    }
    return status == STATUS_DAMAGED
               ? refuse(survey, status, "offset %" PRIu64 ": what lies there is no whole record",
                        place.offset)
               : refuse(survey, status, "cannot read '%s': %s", store->directory,
                        status == STATUS_NOT_FOUND ? "it is empty" : status_text(status));
}

static void walk_store(struct survey *survey, uint32_t index)
{
    struct survey_state *state = survey->state;
    struct survey_store *store = &survey->stores[index];
    state->store = index;
    survey->walked_count = index + 1;
    state->bare_count = 0;
    store->held_count = 0;
    survey->reason[0] = '\0';
    store->status =
        export_file_is(store->directory) ? walk_file(survey, store) : walk_directory(survey, store);
    if (store->status == STATUS_OK) {
        store->status = verify_bare(survey);
    } else if (store->status == STATUS_EMPTY) {
        store->status = state->stops[index].status;
        (void)refuse(survey, store->status, "%s", state->stops[index].reason);
    }
    memcpy(store->reason, survey->reason, sizeof store->reason);
    survey->reason[0] = '\0';
    know_all(survey);
}

static void forget(struct survey *survey)
{
    struct survey_state *state = survey->state;
    for (size_t i = 0; i < state->pending_count; i++) {
        buffer_release(&state->pending[i].evidence);
    }
    notary_free(state->notary);
    state->notary = NULL;
    state->known_count = state->pending_count = state->policy_count = 0;
    state->last_sync_s = 0;
    survey->record_count = survey->parent_count = survey->evidence_count = survey->term_count = 0;
    survey->tuple_count = survey->opened_count = survey->pruned_count = survey->beyond_count = 0;
    capsule_free(survey->capsule);
    survey->capsule = NULL;
}

/* Read all stores once. */
static enum status pass(struct survey *survey, struct bytes genesis_body)
{
    forget(survey);
    enum status status = capsule_new(&survey->capsule, genesis_body);
    if (status != STATUS_OK) {
        return refuse(survey, status, "the GENESIS body: %s", status_text(status));
    }
    status = note_policy(survey, capsule_policy(survey->capsule));
    if (status != STATUS_OK) {
        return status;
    }
    if (survey->begin != NULL) {
        survey->begin(survey->context);
    }
    if (survey->visitor != NULL) {
        survey->visitor->begin(survey->visitor->context);
    }
    survey->state->notary = notary_new();
    for (uint32_t i = 0; i < survey->store_count; i++) {
        walk_store(survey, i);
    }
    return STATUS_OK;
}

/* R of those that count; and of those before as long as they have to answer, whoever is missing. */
static uint32_t needed_count(const struct survey *survey)
{
    const struct stores *stores = capsule_stores(survey->capsule);
    uint32_t needed = genesis_answer_count(&stores->now);
    if (stores->has_former) {
        const struct genesis *sets[] = {&stores->now, &stores->former};
        for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
            uint32_t spared = sets[i]->store_count - genesis_answer_count(sets[i]);
            uint32_t count = survey->store_count > spared ? survey->store_count - spared : 1;
            needed = count > needed ? count : needed;
        }
    }
    return needed;
}

/*
 * Whether enough stores could be read for the whole: of W that hold what was acknowledged, one of
 * any N-W+1+f is one, and true. One store alone is judged by itself.
 */
static enum status judge_stores(struct survey *survey)
{
    const struct survey_store *worst = NULL;
    uint32_t needed = needed_count(survey);
    uint32_t whole_count = 0;
    for (uint32_t i = 0; i < survey->store_count; i++) {
        const struct survey_store *store = &survey->stores[i];
        bool is_worse = worst == NULL || store->status == STATUS_FORKED ||
                        (worst->status == STATUS_NOT_FOUND && store->status != STATUS_OK);
        worst = store->status != STATUS_OK && is_worse ? store : worst;
        whole_count += store->status == STATUS_OK;
    }
    if (worst == NULL ||
        (worst->status != STATUS_FORKED && survey->store_count > 1 && whole_count >= needed)) {
        return STATUS_OK;
    }
    if (survey->store_count == 1 || worst->status == STATUS_NOT_FOUND) {
        return refuse(survey, worst->status, "%s", worst->reason);
    }
    return refuse(survey, worst->status,
                  "%" PRIu32 " of %" PRIu32 " stores can be read whole, and %" PRIu32
                  " are needed to miss nothing; '%.200s': %.400s",
                  whole_count, survey->store_count, needed, worst->directory, worst->reason);
}

enum status survey_run(struct survey *survey, struct bytes genesis_body,
                       const char *const *directories, uint32_t count, uint64_t now_s)
{
    CHECK(count <= GENESIS_STORES_MAX);
    survey->state = calloc(1, sizeof *survey->state);
    CHECK(survey->state != NULL);
    for (; survey->store_count < count; survey->store_count++) {
        survey->stores[survey->store_count].directory = directories[survey->store_count];
    }
    enum status status = STATUS_OK;
    bool is_settled = false;
    for (int i = 0; i < SURVEY_PASSES_MAX && !is_settled && status == STATUS_OK; i++) {
        status = pass(survey, genesis_body);
        is_settled =
            status != STATUS_OK || (!stop_at_forged(survey) &&
                                    !(capsule_is_overrun(survey->capsule) && note_cuts(survey)));
    }
    if (status != STATUS_OK) {
        return status;
    }
    find_writers(survey);
    status = judge_stores(survey);
    if (status == STATUS_OK) {
        status = verify_complete(survey);
    }
    if (status == STATUS_OK) {
        status = verify_pruned(survey);
    }
    return status == STATUS_OK ? judge_all(survey, now_s) : status;
}

void survey_release(struct survey *survey)
{
    struct survey_state *state = survey->state;
    if (state != NULL) {
        forget(survey);
        free(state->pending);
        free(state->policies);
        free(state->cuts);
        free(state->known);
        free(state->bare);
        for (size_t i = 0; i < SURVEY_KEYS; i++) {
            aead_key_free(state->keys[i].key);
        }
        buffer_release(&state->plain);
        free(state);
    }
    free(survey->records);
    free(survey->parents);
    free(survey->evidence);
    buffer_release(&survey->fork);
    free(survey->terms);
    capsule_free(survey->capsule);
    *survey = (struct survey){.record_count = 0};
}
