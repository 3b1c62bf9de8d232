/* src/cli/survey.c */
#include "cli/survey.h"

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
#include "capsule/seal.h"
#include "capsule/sync.h"
#include "capsule/term.h"
#include "cli/notary.h"
#include "store/disk.h"

enum {
    SURVEY_ENTRY_HEAD_BYTES = 8,  // before a record in its segment (docs/format/segment.md)
    SURVEY_KEYS = 64,             // of writers, kept
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

struct survey_state {
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

/* Arrays grow by half; an offline tool stops without memory. */
static void *grown(void *array, size_t count, size_t item_bytes)
{
    // At every power of two from 16 on.
    if (count != 0 && (count < 16 || (count & (count - 1)) != 0)) {
        return array;
    }
    size_t capacity = count < 16 ? 16 : 2 * count;
    void *moved = reallocarray(array, capacity, item_bytes);
    CHECK(moved != NULL);
    return moved;
}

static enum status refuse_record(struct survey *survey, enum status status,
                                 const struct record *record, const char *why)
{
    char writer[WRITER_ID_TEXT_BYTES];
    writer_id_text(&record->writer, writer);
    return refuse(survey, status,
                  "record %" PRIu64 " of writer %s (%s, segment-%08" PRIu32 ", offset %" PRIu64
                  "): %s",
                  record->sequence, writer, record_type_text(record->type),
                  survey->state->place.segment, survey->state->place.offset, why);
}

/* ---- what a record says, beyond what the capsule keeps ---- */

static enum status note_policy(struct survey *survey, struct bytes text)
{
    struct survey_state *state = survey->state;
    char error[POLICY_ERROR_BYTES_MAX];
    state->policies = grown(state->policies, state->policy_count, sizeof *state->policies);
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
    state->pending = grown(state->pending, state->pending_count, sizeof *state->pending);
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

/* ---- the walk ---- */

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
                    grown(survey->parents, survey->parent_count, sizeof *survey->parents);
                survey->parents[survey->parent_count++] = index_of(survey, &head.branch.writer);
            }
        }
    } else if (record->parent_count > record_previous_count(record)) {
        const struct hash joined = record_parent(record, record->parent_count - 1u);
        const struct capsule_sync *found = capsule_sync_find(survey->capsule, &joined);
        if (found != NULL) {
            survey->parents = grown(survey->parents, survey->parent_count, sizeof *survey->parents);
            survey->parents[survey->parent_count++] = index_of(survey, &found->leader);
        }
    }
    kept->parent_count = survey->parent_count - kept->parent_first;
}

static void keep_record(struct survey *survey, const struct record *record)
{
    survey->records = grown(survey->records, survey->record_count, sizeof *survey->records);
    survey->records[survey->record_count++] = (struct survey_record){
        .type = record->type,
        .writer_id = record->writer,
        .writer = SURVEY_STRANGER,
        .sequence = record->sequence,
        .epoch = record->epoch,
        .bytes = record->whole.length,
        .hash = record->hash,
        .is_pruned = record->is_pruned,
        .place = survey->state->place,
    };
    note_parents(survey, record);
}

static enum status visit(void *context, struct bytes bytes, const struct store_place *place)
{
    struct survey *survey = context;
    struct record record;
    survey->state->place = *place;
    if (notary_has_refused(survey->state->notary)) {
        return STATUS_FORGED;
    }
    enum status status = record_decode_stored(&record, bytes.at, bytes.length);
    if (status != STATUS_OK) {
        return refuse(survey, status,
                      "segment-%08" PRIu32 ", offset %" PRIu64 ": what lies there is no record: %s",
                      place->segment, place->offset, status_text(status));
    }
    // Its signature is verified beside: what is wrong with it is said at the end of the walk.
    const struct capsule_member *member = capsule_member_find(survey->capsule, &record.writer);
    if (member != NULL) {
        notary_push(survey->state->notary, &record, &member->key, survey->record_count);
        status = capsule_accept_vouched(survey->capsule, &record);
    } else {
        status = capsule_accept(survey->capsule, &record);
    }
    if (status != STATUS_OK) {
        return refuse_record(survey, status, &record, capsule_reason(survey->capsule));
    }
    keep_record(survey, &record);
    if (survey->visitor != NULL) {
        survey->visitor->record(survey->visitor->context, &record);
    }
    status = take_clear(survey, &record);
    if (record.is_pruned) {
        survey->pruned_count++;
    } else if (status == STATUS_OK && survey->seed != NULL && record_type_is_sealed(record.type)) {
        status = open_body(survey, &record);
    }
    if (status != STATUS_OK) {
        return survey->reason[0] != '\0'
                   ? status
                   : refuse_record(survey, status, &record, status_text(status));
    }
    if (survey->progress != NULL) {
        survey->progress(survey->context, survey, place);
    }
    return survey->record == NULL ? STATUS_OK : survey->record(survey->context, bytes);
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
                          "segment-%08" PRIu32 ", offset %" PRIu64 ": record %s/%" PRIu64
                          " has no body, and no PRUNE names it",
                          kept->place.segment, kept->place.offset, writer, kept->sequence);
        }
    }
    return STATUS_OK;
}

/* The first record that its writer did not sign; all that came after it is forgotten. */
static enum status verify_signatures(struct survey *survey)
{
    size_t index = notary_settle(survey->state->notary);
    if (index >= survey->record_count) {
        return STATUS_OK;  // none; or the last one, which was refused for something else too
    }
    const struct survey_record *kept = &survey->records[index];
    const struct record record = {
        .type = kept->type, .writer = kept->writer_id, .sequence = kept->sequence};
    survey->state->place = kept->place;
    survey->record_count = index;
    return refuse_record(survey, STATUS_FORGED, &record, "its signature does not verify");
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
    if (capsule_is_overrun(survey->capsule)) {
        return refuse(survey, STATUS_CLOSED, "a branch goes on beyond the cut of its CLOSE");
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
            grown(survey->evidence, survey->evidence_count, sizeof *survey->evidence);
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
                          "record %" PRIu64 " of writer %s (%s, segment-%08" PRIu32
                          ", offset %" PRIu64 "): its evidence is not admitted: %s: %s",
                          record->sequence, writer, record_type_text(record->type),
                          record->place.segment, record->place.offset,
                          verdict_sentence(verdict.reason), line);
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
                            const struct store_place *place)
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
                     name, survey->record_count);
        return;
    }
    (void)refuse(survey, STATUS_DAMAGED,
                 "record %zu of the store (%s, offset %" PRIu64
                 ") is not as it was written%s; the %zu before it are intact",
                 survey->record_count + 1, name, place->offset, claim, survey->record_count);
}

enum status survey_run(struct survey *survey, struct bytes genesis_body, const char *directory,
                       uint64_t now_s)
{
    struct disk_posix *posix = NULL;
    struct disk disk;
    survey->state = calloc(1, sizeof *survey->state);
    CHECK(survey->state != NULL);
    enum status status = capsule_new(&survey->capsule, genesis_body);
    if (status != STATUS_OK) {
        return refuse(survey, status, "the GENESIS body: %s", status_text(status));
    }
    status = note_policy(survey, capsule_policy(survey->capsule));
    if (status != STATUS_OK) {
        return status;
    }
    status = disk_posix_open_readonly(&posix, &disk, directory);
    if (status != STATUS_OK) {
        return refuse(survey, status, "cannot read directory '%s': %s", directory,
                      status_text(status));
    }
    struct store_place place = {.segment = 0};
    survey->state->notary = notary_new();
    status = store_walk(&disk, capsule_name(survey->capsule), visit, survey, &place);
    enum status signed_status = verify_signatures(survey);
    if (signed_status != STATUS_OK) {
        status = signed_status;
    }
    find_writers(survey);
    if (status == STATUS_NOT_FOUND) {
        (void)refuse(survey, status, "there is no segment in '%s'", directory);
    } else if (status == STATUS_DAMAGED && survey->reason[0] == '\0') {
        describe_damage(survey, &disk, &place);
    }
    disk_posix_close(posix);
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
        for (size_t i = 0; i < state->pending_count; i++) {
            buffer_release(&state->pending[i].evidence);
        }
        free(state->pending);
        free(state->policies);
        notary_free(state->notary);
        for (size_t i = 0; i < SURVEY_KEYS; i++) {
            aead_key_free(state->keys[i].key);
        }
        buffer_release(&state->plain);
        free(state);
    }
    free(survey->records);
    free(survey->parents);
    free(survey->evidence);
    capsule_free(survey->capsule);
    *survey = (struct survey){.record_count = 0};
}
