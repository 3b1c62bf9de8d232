/* src/leader/takeover.c */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/encoder.h"
#include "capsule/function.h"
#include "capsule/keys.h"
#include "capsule/member.h"
#include "capsule/receipt.h"
#include "capsule/seal.h"
#include "capsule/tuple.h"
#include "leader/leader_internal.h"

/*
 * Taking over (DESIGN 6.10): a new leader fences the stores, loads what they
 * hold, closes every branch that earlier terms left open at the longest head that R stores have
 * signed, and joins them all in its first SYNC. One branch of a living term is closed the
 * same way when its enclave ends (6.4).
 */
enum {
    TAKEOVER_ASK_US = 1000 * 1000,           // an unanswered question is repeated
    TAKEOVER_SILENCE_US = 10 * 1000 * 1000,  // then a store does not answer
    TAKEOVER_LATE_US = 2 * 1000 * 1000,      // beyond R answers, others may come so much later
    TAKEOVER_FETCH_BYTES = 4 << 20,
};

static const struct writer_id everyone;

/* R: how many stores must answer, so that every durable record is among what they tell. */
static uint32_t answers_needed(const struct leader *leader)
{
    const struct genesis *genesis = capsule_genesis(leader->capsule);
    return genesis->store_count - genesis->receipt_count + 1 + genesis->tolerated_count;
}

static void closing_release(struct leader_closing *closing)
{
    buffer_release(&closing->fences);
    *closing = (struct leader_closing){.is_used = false};
}

void takeover_release(struct leader *leader)
{
    closing_release(&leader->all);
    for (size_t i = 0; i < LEADER_CLOSINGS_MAX; i++) {
        closing_release(&leader->closings[i]);
    }
    for (size_t i = 0; i < LEADER_RUN_MAX; i++) {
        buffer_release(&leader->run_bytes[i]);
    }
}

static enum status send_fence(struct leader *leader, struct leader_closing *closing,
                              uint64_t now_us)
{
    struct buffer body = BUFFER_EMPTY;
    closing->asked_us = now_us;
    enum status status =
        frame_fence_encode(&body, capsule_name(leader->capsule), leader->term, &closing->writer,
                           buffer_bytes(&leader->term_body), leader->key);
    if (status == STATUS_OK) {
        status = leader_send(leader, FRAME_FENCE, 0, &everyone, buffer_bytes(&body));
    }
    buffer_release(&body);
    return status;
}

static enum status send_fetch(struct leader *leader, const struct frame_fetch *fetch,
                              const struct writer_id *store, uint32_t *request)
{
    struct buffer body = BUFFER_EMPTY;
    *request = leader_next_request(leader);
    enum status status = frame_fetch_encode(&body, fetch);
    if (status == STATUS_OK) {
        status = leader_send(leader, FRAME_FETCH, *request, store, buffer_bytes(&body));
    }
    buffer_release(&body);
    return status;
}

enum status takeover_begin(struct leader *leader, uint64_t now_us)
{
    leader->stage = LEADER_FENCING;
    leader->all = (struct leader_closing){.is_used = true};
    log_event(leader->log, "term begins term=%" PRIu64, leader->term);
    return send_fence(leader, &leader->all, now_us);
}

/* The store whose log is loaded first: each attempt begins with another one. */
static const struct writer_id *load_store(const struct leader *leader)
{
    return &leader->all.answered[(leader->term + leader->load_attempts) % leader->all.answer_count];
}

static enum status send_load(struct leader *leader, uint64_t now_us)
{
    const struct frame_fetch fetch = {
        .from = leader->load_next, .to = UINT64_MAX, .max_bytes = TAKEOVER_FETCH_BYTES};
    leader->load_asked_us = now_us;
    return send_fetch(leader, &fetch, load_store(leader), &leader->load_request);
}

/* ---- fences ---- */

/* Keep a store's verified answer. False: it is no new answer. */
static bool keep_fence(struct leader *leader, struct leader_closing *closing,
                       const struct receipt *fence, struct bytes bytes)
{
    for (uint32_t i = 0; i < closing->answer_count; i++) {
        if (writer_id_equal(&closing->answered[i], &fence->store)) {
            return false;
        }
    }
    uint8_t prefix[4];
    struct encoder out = encoder_over(prefix, sizeof prefix);
    encoder_u32(&out, (uint32_t)bytes.length);
    if (buffer_reserve(&closing->fences, sizeof prefix + bytes.length) != STATUS_OK ||
        buffer_append(&closing->fences, prefix, sizeof prefix) != STATUS_OK ||
        buffer_append(&closing->fences, bytes.at, bytes.length) != STATUS_OK) {
        log_event(leader->log, "fence dropped for lack of memory");
        return false;
    }
    closing->answered[closing->answer_count++] = fence->store;
    return true;
}

static bool fence_lists(const struct receipt *fence, const struct writer_id *writer,
                        struct head *head)
{
    for (uint32_t i = 0; i < fence->head_count; i++) {
        struct branch_head listed = receipt_head(fence, i);
        if (writer_id_equal(&listed.writer, writer)) {
            *head = listed.head;
            return true;
        }
    }
    return false;
}

/* All R answers about one branch are here: its last record says how far its clock went. */
static enum status fetch_last(struct leader *leader, struct leader_closing *closing,
                              uint64_t now_us)
{
    closing->asked_us = now_us;
    const struct frame_fetch fetch = {
        .writer = closing->writer,
        .from = closing->cut.sequence,
        .to = closing->cut.sequence,
        .max_bytes = TAKEOVER_FETCH_BYTES,
    };
    return send_fetch(leader, &fetch, &closing->cut_store, &closing->fetch_request);
}

static enum status write_close(struct leader *leader, const struct writer_id *writer,
                               struct head cut, enum sync_close_reason reason, struct bytes fences,
                               uint64_t now_us)
{
    struct buffer body = BUFFER_EMPTY;
    const struct sync_close close = {
        .term = leader->term,
        .cut = {.writer = *writer, .head = cut},
        .reason = reason,
        .fences = fences,
    };
    enum status status = sync_close_encode(&body, &close);
    if (status == STATUS_OK) {
        status = leader_write(leader, RECORD_CLOSE, buffer_bytes(&body), NULL, 0, now_us);
    }
    buffer_release(&body);
    if (status == STATUS_OK) {
        char text[WRITER_ID_TEXT_BYTES];
        writer_id_text(writer, text);
        log_event(leader->log, "branch closed writer=%s cut=%" PRIu64 " reason=%d", text,
                  cut.sequence, (int)reason);
    }
    return status;
}

static enum status finish_closing(struct leader *leader, struct leader_closing *closing,
                                  uint64_t lamport, uint64_t now_us)
{
    const struct capsule_member *member = capsule_member_find(leader->capsule, &closing->writer);
    struct leader_peer *peer = leader_peer_of(leader, member);
    if (peer->closed_lamport < lamport) {
        peer->closed_lamport = lamport;
    }
    enum status status = lock_drop_writer(leader, &closing->writer, now_us);
    if (status != STATUS_OK) {
        return status;
    }
    channel_free(peer->channel);
    peer->channel = NULL;
    status = write_close(leader, &closing->writer, closing->cut, closing->reason,
                         buffer_bytes(&closing->fences), now_us);
    closing_release(closing);
    return status;
}

static enum status closing_receive_fence(struct leader *leader, struct leader_closing *closing,
                                         const struct receipt *fence, struct bytes bytes,
                                         uint64_t now_us)
{
    struct head head;
    if (!closing->is_used || closing->fetch_request != 0 ||
        !fence_lists(fence, &closing->writer, &head) ||
        !keep_fence(leader, closing, fence, bytes)) {
        return STATUS_OK;
    }
    if (closing->cut.sequence < head.sequence) {
        closing->cut = head;
        closing->cut_store = fence->store;
    }
    if (closing->answer_count < answers_needed(leader)) {
        return STATUS_OK;
    }
    return closing->cut.sequence == 0 ? finish_closing(leader, closing, 0, now_us)
                                      : fetch_last(leader, closing, now_us);
}

/* What is left of the branch that was rolled back, as a store signs (see below: a rollback). */
static void receive_denial(struct leader *leader, const struct receipt *fence, struct bytes bytes)
{
    struct leader_closing *asked = &leader->closings[0];
    struct head head;
    if (fence_lists(fence, &asked->writer, &head) &&
        head.sequence < leader->known_sync.head.sequence) {
        (void)keep_fence(leader, asked, fence, bytes);
    }
}

/* Load from an empty capsule on. */
static enum status begin_load(struct leader *leader, uint64_t now_us)
{
    leader->is_log_loaded = false;
    leader->awaits_cut = false;
    leader->load_next = 1;
    leader->load_skip = 0;
    return send_load(leader, now_us);
}

enum status takeover_receive_fenced(struct leader *leader, struct bytes bytes,
                                    struct leader_time time)
{
    struct receipt fence;
    if (leader->stage == LEADER_IDLE || receipt_decode(&fence, bytes) != STATUS_OK ||
        fence.term != leader->term) {
        return STATUS_OK;
    }
    const struct genesis *genesis = capsule_genesis(leader->capsule);
    const struct genesis_store *store = genesis_store_find(genesis, &fence.store);
    if (store == NULL ||
        receipt_verify(&fence, RECEIPT_FENCE, &genesis->capsule, &store->key) != STATUS_OK) {
        log_event(leader->log, "fence refused: no store of this capsule signed it");
        return STATUS_OK;
    }
    if (leader->stage == LEADER_FENCING || leader->stage == LEADER_LOADING) {
        // One that comes late may yet stand in for one that does not keep its word.
        bool is_new = keep_fence(leader, &leader->all, &fence, bytes);
        if (is_new && leader->stage == LEADER_FENCING &&
            leader->all.answer_count >= answers_needed(leader)) {
            leader->stage = LEADER_LOADING;
            return begin_load(leader, time.now_us);
        }
        return STATUS_OK;
    }
    if (leader->stage == LEADER_REFUSING) {
        receive_denial(leader, &fence, bytes);
        return STATUS_OK;
    }
    enum status status = STATUS_OK;
    for (size_t i = 0; i < LEADER_CLOSINGS_MAX && status == STATUS_OK; i++) {
        status = closing_receive_fence(leader, &leader->closings[i], &fence, bytes, time.now_us);
    }
    return status;
}

/* ---- loading ---- */

/* The plaintext of a sealed record of this capsule, appended to `plain`. */
static enum status open_sealed(struct leader *leader, const struct record *record,
                               struct buffer *plain)
{
    const struct capsule_member *member = capsule_member_find(leader->capsule, &record->writer);
    if (member == NULL) {
        return STATUS_NOT_FOUND;
    }
    struct secret *data_key =
        keys_data(leader->seed, capsule_name(leader->capsule), record->key_epoch);
    struct aead_key *body_key = seal_key_new(data_key, capsule_name(leader->capsule), &member->key);
    enum status status = seal_open(plain, record, body_key);
    aead_key_free(body_key);
    secret_free(data_key);
    return status;
}

static enum status load_function(struct leader *leader, const struct record *record)
{
    struct buffer plain = BUFFER_EMPTY;
    struct function_manifest manifest;
    struct bytes code;
    const struct genesis *genesis = capsule_genesis(leader->capsule);
    enum status status = open_sealed(leader, record, &plain);
    if (status == STATUS_OK) {
        status = function_decode(&manifest, &code, buffer_bytes(&plain), &genesis->owner,
                                 &genesis->capsule);
    }
    if (status == STATUS_OK) {
        admission_note_function(leader, &manifest);
        function_manifest_release(&manifest);
    }
    buffer_release(&plain);
    return status;
}

/*
 * How far the clock of a branch had gone at this record; 0 when it does not say. A pruned one lies
 * at or below a floor, and the SYNCs have gone beyond that.
 */
static uint64_t lamport_of(struct leader *leader, const struct record *record)
{
    uint64_t lamport = 0;
    struct eoe eoe;
    if (record->type == RECORD_EOE && sync_eoe_decode(&eoe, record->body) == STATUS_OK) {
        return eoe.lamport;
    }
    if (record->type == RECORD_DATA && !record->is_pruned) {
        struct buffer plain = BUFFER_EMPTY;
        enum status status = open_sealed(leader, record, &plain);
        if (status == STATUS_OK) {
            status = tuple_verify_batch(buffer_bytes(&plain), &lamport);
        }
        if (status != STATUS_OK) {
            log_event(leader->log, "record of a closed branch does not open: status=\"%s\"",
                      status_text(status));
            lamport = 0;
        }
        buffer_release(&plain);
    }
    return lamport;
}

/* A branch that was closed and never listed has yet to join a SYNC: ours. */
static enum status load_sync(struct leader *leader, const struct record *record)
{
    struct sync_body sync;
    enum status status = sync_decode(&sync, record->body);
    for (uint32_t i = 0; status == STATUS_OK && i < sync.head_count; i++) {
        struct sync_head head = sync_head_at(&sync, i);
        const struct capsule_member *member =
            capsule_member_find(leader->capsule, &head.branch.writer);
        leader_peer_of(leader, member)->is_listed_closed = (head.flags & SYNC_FLAG_CLOSED) != 0;
    }
    return status;
}

/* What a member of an earlier leader brought serves those of this one. */
static enum status load_member(struct leader *leader, const struct record *record)
{
    struct member_body member;
    return member_decode(&member, record->body) == STATUS_OK
               ? shelf_keep(&leader->shelf, member.evidence)
               : STATUS_OK;  // a pruned body
}

/* Whether all that speaks against this record is that its leader has ended, at a cut not known. */
static bool awaits_cut(const struct leader *leader, const struct record *record)
{
    const struct capsule_member *member = capsule_member_find(leader->capsule, &record->writer);
    return member != NULL && member->role == MEMBER_LEADER && !member->is_closed &&
           record->sequence == member->head.sequence + 1 &&
           record_verify(record, &member->key) == STATUS_OK;
}

static enum status load_one(struct leader *leader, const struct record *record, bool is_vouched)
{
    enum status status = is_vouched ? capsule_accept_vouched(leader->capsule, record)
                                    : capsule_accept(leader->capsule, record);
    if (status != STATUS_OK) {
        log_event(leader->log,
                  "stored record refused sequence=%" PRIu64 " type=%s status=\"%s\" reason=\"%s\"",
                  record->sequence, record_type_text(record->type), status_text(status),
                  capsule_reason(leader->capsule));
        leader->awaits_cut =
            leader->awaits_cut || (status == STATUS_GAP && awaits_cut(leader, record));
        // What a store holds it has verified itself: this one lies, or is damaged.
        return status == STATUS_NO_MEMORY ? status : STATUS_CLOSED;
    }
    status = leader_grow_peers(leader);
    if (status != STATUS_OK) {
        return status;
    }
    if (record->type == RECORD_FUNCTION) {
        return load_function(leader, record);
    }
    if (record->type == RECORD_SYNC) {
        return load_sync(leader, record);
    }
    if (record->type == RECORD_MEMBER) {
        return load_member(leader, record);
    }
    const struct capsule_member *member = capsule_member_find(leader->capsule, &record->writer);
    if (record->type != RECORD_DATA && record->type != RECORD_EOE) {
        return STATUS_OK;
    }
    // Lamports rise along a branch: its last record alone is of interest.
    struct leader_peer *peer = leader_peer_of(leader, member);
    buffer_clear(&peer->last_data);
    return buffer_append(&peer->last_data, record->whole.at, record->whole.length);
}

/* Accept the run gathered so far: one signature vouches for all of it. */
static enum status load_run(struct leader *leader)
{
    enum status status = STATUS_OK;
    size_t count = leader->run_count;
    leader->run_count = 0;
    bool is_vouched =
        count > 1 && capsule_verify_run(leader->capsule, leader->run, count) == STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = load_one(leader, &leader->run[i], is_vouched);
    }
    return status;
}

static enum status load_record(struct leader *leader, const struct record *record)
{
    const struct record *last = leader->run_count > 0 ? &leader->run[leader->run_count - 1] : NULL;
    bool goes_on = last != NULL && leader->run_count < LEADER_RUN_MAX &&
                   writer_id_equal(&last->writer, &record->writer) &&
                   record->sequence == last->sequence + 1;
    if (last != NULL && !goes_on) {
        enum status status = load_run(leader);
        if (status != STATUS_OK) {
            return status;
        }
    }
    struct buffer *bytes = &leader->run_bytes[leader->run_count];
    buffer_clear(bytes);
    enum status status = buffer_append(bytes, record->whole.at, record->whole.length);
    if (status == STATUS_OK) {
        status = record_decode_stored(&leader->run[leader->run_count], bytes->bytes, bytes->length);
        leader->run_count += status == STATUS_OK;
    }
    return status;
}

/* The last record of a branch that is being closed has come. */
static enum status closing_receive_record(struct leader *leader, struct leader_closing *closing,
                                          const struct record *record, uint64_t now_us)
{
    bool is_lost =
        record->is_pruned && !capsule_is_pruned(leader->capsule, &record->writer, record->sequence);
    if (is_lost || !writer_id_equal(&record->writer, &closing->writer) ||
        !hash_equal(&record->hash, &closing->cut.hash)) {
        return STATUS_OK;
    }
    return finish_closing(leader, closing, lamport_of(leader, record), now_us);
}

enum status takeover_receive_records(struct leader *leader, uint32_t request, struct bytes records,
                                     struct leader_time time)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK && records.length > 0) {
        struct record record;
        size_t length = record_length(records.at, records.length);
        if (length == 0 || length > records.length ||
            record_decode_stored(&record, records.at, length) != STATUS_OK) {
            log_event(leader->log, "fetched bytes are no record");
            return STATUS_OK;
        }
        records = bytes_of(records.at + length, records.length - length);
        if (leader->stage == LEADER_LOADING && request == leader->load_request) {
            leader->load_asked_us = time.now_us;
            status = load_record(leader, &record);
            if (status == STATUS_CLOSED && leader->is_log_loaded) {
                return STATUS_OK;  // it waits for another branch's
            }
            continue;
        }
        for (size_t i = 0; i < LEADER_CLOSINGS_MAX && status == STATUS_OK; i++) {
            struct leader_closing *closing = &leader->closings[i];
            if (closing->is_used && closing->fetch_request == request) {
                status = closing_receive_record(leader, closing, &record, time.now_us);
            }
        }
    }
    return status;
}

/* ---- the first records of a term ---- */

/* What loading has told of each branch, for the first SYNC. */
static void note_loaded(struct leader *leader)
{
    for (size_t i = 0; i < capsule_member_count(leader->capsule); i++) {
        struct leader_peer *peer = &leader->peers[i];
        struct record last;
        if (peer->last_data.length > 0 &&
            record_decode_stored(&last, peer->last_data.bytes, peer->last_data.length) ==
                STATUS_OK) {
            peer->closed_lamport = lamport_of(leader, &last);
        }
        buffer_release(&peer->last_data);
    }
}

/* The longest head of this branch that a store has signed, or that is here. */
static struct head longest_head(const struct leader *leader, const struct capsule_member *member)
{
    struct bytes fences = buffer_bytes(&leader->all.fences);
    struct cursor in = cursor_over(fences.at, fences.length);
    struct head longest = member->head;
    while (in.left > 0) {
        struct receipt fence;
        struct head head;
        uint32_t length = cursor_u32(&in);
        if (receipt_decode(&fence, cursor_bytes(&in, length)) == STATUS_OK &&
            fence_lists(&fence, &member->id, &head) && head.sequence > longest.sequence) {
            longest = head;
        }
    }
    return longest;
}

/* All of that role; of a leader, also what is not here yet: it may be accepted only then. */
static enum status close_open_branches(struct leader *leader, bool is_of_leaders, uint64_t now_us)
{
    enum status status = STATUS_OK;
    size_t count = capsule_member_count(leader->capsule);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        const struct capsule_member *member = capsule_member_at(leader->capsule, i);
        const struct writer_id writer = member->id;
        if (!member->is_closed && !writer_id_equal(&writer, &leader->id) &&
            (member->role == MEMBER_LEADER) == is_of_leaders) {
            status = write_close(leader, &writer, longest_head(leader, member), SYNC_CLOSE_RESTART,
                                 buffer_bytes(&leader->all.fences), now_us);
        }
    }
    return status;
}

/* P8: the owner has seen a SYNC that the stores no longer hold. */
static bool is_rolled_back(struct leader *leader)
{
    struct term term;
    const struct genesis *genesis = capsule_genesis(leader->capsule);
    enum status status =
        term_decode(&term, buffer_bytes(&leader->term_body), &genesis->owner, &genesis->capsule);
    return status != STATUS_OK ||
           (term.sync_epoch > 0 &&
            !capsule_includes_sync(leader->capsule, &term.sync, term.sync_epoch));
}

/* The last record of a branch tells how far its clock had gone, unless a PRUNE made it dispensable.
 */
static bool lacks_bodies(struct leader *leader)
{
    for (size_t i = 0; i < leader->peer_count; i++) {
        struct bytes bytes = buffer_bytes(&leader->peers[i].last_data);
        struct record last;
        if (bytes.length > 0 && record_decode_stored(&last, bytes.at, bytes.length) == STATUS_OK &&
            last.is_pruned && !capsule_is_pruned(leader->capsule, &last.writer, last.sequence)) {
            return true;
        }
    }
    return false;
}

static enum status give_up(struct leader *leader, enum status code, const char *text)
{
    log_event(leader->log, "term cannot begin: %s", text);
    enum status status = leader_answer(leader, &leader->seeder, 0, code, text);
    return status == STATUS_OK ? STATUS_CLOSED : status;
}

/*
 * TERM, and predecessors first: before, a leader may write nothing else. One that died between its
 * TERM and its first SYNC has left branches open that are older than its own.
 */
static enum status begin_branch(struct leader *leader, uint64_t now_us)
{
    enum status status = STATUS_OK;
    if (leader->has_begun) {
        return STATUS_OK;
    }
    leader->has_begun = true;
    if (capsule_member_count(leader->capsule) == 0) {
        status = leader_write(leader, RECORD_GENESIS, capsule_genesis_body(leader->capsule), NULL,
                              0, now_us);
    }
    if (status == STATUS_OK) {
        status =
            leader_write(leader, RECORD_TERM, buffer_bytes(&leader->term_body), NULL, 0, now_us);
    }
    return status == STATUS_OK ? close_open_branches(leader, true, now_us) : status;
}

static enum status write_first_records(struct leader *leader, struct leader_time time)
{
    enum status status = begin_branch(leader, time.now_us);
    if (status == STATUS_OK) {
        note_loaded(leader);
        status = close_open_branches(leader, false, time.now_us);
    }
    if (status == STATUS_OK && leader->policy_body.length > 0) {
        status = leader_write(leader, RECORD_POLICY, buffer_bytes(&leader->policy_body), NULL, 0,
                              time.now_us);
    }
    return status;
}

/* ---- a rollback ---- */

/* P8: the owner is told, and shown what the stores have signed. */
static enum status refuse_rolled_back(struct leader *leader)
{
    leader->stage = LEADER_REFUSING;
    return give_up(leader, STATUS_FORGED,
                   "the stores were rolled back: they lack a SYNC that the owner has seen");
}

/* Ask each store what it holds of the branch that is lacking. */
static enum status ask_for_denials(struct leader *leader, uint64_t now_us)
{
    struct leader_closing *asked = &leader->closings[0];
    leader->rollback_us = now_us;
    if (writer_id_is_zero(&leader->known_sync.writer)) {
        return refuse_rolled_back(leader);
    }
    leader->stage = LEADER_REFUSING;
    *asked = (struct leader_closing){.is_used = true, .writer = leader->known_sync.writer};
    return send_fence(leader, asked, now_us);
}

static bool has_heard_all(const struct leader *leader, const struct leader_closing *asked)
{
    return asked->answer_count == capsule_genesis(leader->capsule)->store_count;
}

/* R answers prove it; those of the others may come within a moment. */
static enum status tick_refusing(struct leader *leader, uint64_t now_us)
{
    struct leader_closing *asked = &leader->closings[0];
    uint64_t waited_us = now_us - leader->rollback_us;
    bool is_enough = asked->answer_count >= answers_needed(leader);
    if (has_heard_all(leader, asked) || waited_us >= TAKEOVER_SILENCE_US ||
        (is_enough && waited_us >= TAKEOVER_LATE_US)) {
        return refuse_rolled_back(leader);
    }
    return now_us < asked->asked_us + TAKEOVER_ASK_US ? STATUS_OK
                                                      : send_fence(leader, asked, now_us);
}

/*
 * A store that has not answered yet may hold what these lack. It is asked once more, for
 * everything: an answer about one branch must never be taken for one about all.
 */
static enum status await_holder(struct leader *leader, uint64_t now_us)
{
    leader->rollback_us = now_us;
    leader->rollback_answers = leader->all.answer_count;
    if (leader->has_begun || has_heard_all(leader, &leader->all)) {
        return ask_for_denials(leader, now_us);
    }
    log_event(leader->log, "a SYNC that the owner has seen is missing: waiting for other stores");
    return send_fence(leader, &leader->all, now_us);
}

static enum status tick_awaiting(struct leader *leader, uint64_t now_us)
{
    if (leader->all.answer_count > leader->rollback_answers) {
        leader->rollback_us = 0;
        enum status status = leader_forget(leader);
        return status == STATUS_OK ? begin_load(leader, now_us) : status;
    }
    return now_us < leader->rollback_us + TAKEOVER_LATE_US ? STATUS_OK
                                                           : ask_for_denials(leader, now_us);
}

static enum status take_over(struct leader *leader, struct leader_time time)
{
    if (lacks_bodies(leader)) {
        return give_up(leader, STATUS_DAMAGED,
                       "the store lacks bodies that no PRUNE names; run 'paranoid capsule verify'");
    }
    if (is_rolled_back(leader)) {
        return await_holder(leader, time.now_us);
    }
    enum status status = write_first_records(leader, time);
    if (status == STATUS_CLOSED) {
        return give_up(leader, STATUS_DENIED, "the first records of the term were refused");
    }
    leader->stage = LEADER_TAKING_OVER;
    return status;
}

/*
 * A receipt may have got lost long ago, or have been given to the leader before: let the stores say
 * again what they hold, as long as a cut waits for that.
 */
static enum status recall(struct leader *leader, uint64_t now_us)
{
    if (leader->recalled_us != 0 && now_us < leader->recalled_us + TAKEOVER_ASK_US) {
        return STATUS_OK;
    }
    static const uint8_t nonce[FRAME_NONCE_BYTES];  // receipts speak for themselves
    leader->recalled_us = now_us;
    return leader_send(leader, FRAME_RECALL, leader_next_request(leader), &everyone,
                       bytes_of(nonce, sizeof nonce));
}

/* The first SYNC waits for the cuts it names, and the role for that SYNC. */
static enum status finish_takeover(struct leader *leader, struct leader_time time)
{
    if (leader->takeover_sequence == 0) {
        if (epoch_lacks_cut(leader)) {
            return recall(leader, time.now_us);
        }
        enum status status = epoch_write_sync(leader, time);
        leader->takeover_sequence = leader_own_sequence(leader);
        return status == STATUS_CLOSED
                   ? give_up(leader, STATUS_DENIED, "the first records of the term were refused")
                   : status;
    }
    if (!leader_own_is_durable(leader, leader->takeover_sequence)) {
        return STATUS_OK;
    }
    leader->stage = LEADER_LEADING;
    leader->sync_us = time.now_us;
    enum status status = leader_send(leader, FRAME_READY, 0, &everyone, bytes_of(NULL, 0));
    return status == STATUS_OK ? news_tell(leader, time.now_us) : status;
}

/* Up to here at most a branch counts. */
static uint64_t target_of(const struct capsule_member *member, uint64_t sequence)
{
    bool is_cut = member != NULL && member->is_closed && member->cut.sequence < sequence;
    return is_cut ? member->cut.sequence : sequence;
}

/* A branch of which a store has signed to hold more than is here. */
struct want {
    struct writer_id writer;
    struct writer_id store;
    uint64_t from;
    uint64_t to;
};

/* Number `skip` of what the fences name and is not here. */
static bool find_signed_want(struct leader *leader, size_t *skip, struct want *want)
{
    struct bytes fences = buffer_bytes(&leader->all.fences);
    struct cursor in = cursor_over(fences.at, fences.length);
    while (in.left > 0) {
        struct receipt fence;
        uint32_t length = cursor_u32(&in);
        if (receipt_decode(&fence, cursor_bytes(&in, length)) != STATUS_OK) {
            return false;  // it was decoded when it came
        }
        for (uint32_t i = 0; i < fence.head_count; i++) {
            struct branch_head head = receipt_head(&fence, i);
            const struct capsule_member *member =
                capsule_member_find(leader->capsule, &head.writer);
            uint64_t held = member == NULL ? 0 : member->head.sequence;
            uint64_t target = target_of(member, head.head.sequence);
            if (held >= target || (*skip)-- > 0) {
                continue;
            }
            *want = (struct want){
                .writer = head.writer, .store = fence.store, .from = held + 1, .to = target};
            return true;
        }
    }
    return false;
}

/* The same of what SYNC and CLOSE records name: whoever has it. */
static bool find_named_want(struct leader *leader, size_t *skip, struct want *want)
{
    struct branch_head wanted;
    uint64_t from;
    size_t index = 0;
    while (capsule_missing(leader->capsule, &index, &wanted, &from) == STATUS_OK) {
        for (uint32_t i = 0; i < leader->all.answer_count; i++) {
            if ((*skip)-- > 0) {
                continue;
            }
            *want = (struct want){.writer = wanted.writer,
                                  .store = leader->all.answered[i],
                                  .from = from,
                                  .to = wanted.head.sequence};
            return true;
        }
    }
    return false;
}

static bool find_want(struct leader *leader, size_t skip, struct want *want)
{
    return find_signed_want(leader, &skip, want) || find_named_want(leader, &skip, want);
}

/* Whether that store's answer can be done without; then it is. */
static bool drop_fence(struct leader *leader, const struct writer_id *store)
{
    struct leader_closing *all = &leader->all;
    struct buffer fences = all->fences;
    struct cursor in = cursor_over(fences.bytes, fences.length);
    if (all->answer_count <= answers_needed(leader)) {
        return false;
    }
    all->fences = BUFFER_EMPTY;
    all->answer_count = 0;
    while (in.left > 0) {
        struct receipt fence;
        uint32_t length = cursor_u32(&in);
        struct bytes bytes = cursor_bytes(&in, length);
        if (receipt_decode(&fence, bytes) == STATUS_OK && !writer_id_equal(&fence.store, store)) {
            (void)keep_fence(leader, all, &fence, bytes);
        }
    }
    buffer_release(&fences);
    return all->answer_count >= answers_needed(leader);
}

/* Once more, beginning with the log of another store; or it is over. */
static enum status load_again(struct leader *leader, enum status code, const char *text,
                              uint64_t now_us)
{
    leader->load_attempts++;
    if (leader->has_begun || leader->load_attempts >= leader->all.answer_count) {
        return give_up(leader, code, text);
    }
    log_event(leader->log, "loading begins again: %s", text);
    enum status status = leader_forget(leader);
    return status == STATUS_OK ? begin_load(leader, now_us) : status;
}

/*
 * What other stores hold beyond the log that was loaded, branch by branch, until a whole round
 * leads to nothing. A log that holds records beyond a cut that another store knows of is of no use:
 * the store that knows of the most CLOSE records has none.
 */
static enum status load_rest(struct leader *leader, struct leader_time time)
{
    struct want want;
    if (find_want(leader, leader->load_skip, &want)) {
        const struct capsule_member *member = capsule_member_find(leader->capsule, &want.writer);
        const struct frame_fetch fetch = {
            .writer = want.writer,
            .from = want.from,
            .to = want.to,
            .max_bytes = TAKEOVER_FETCH_BYTES,
        };
        leader->load_writer = want.writer;
        leader->load_from = member == NULL ? (struct head){.sequence = 0} : member->head;
        leader->load_asked_us = time.now_us;
        return send_fetch(leader, &fetch, &want.store, &leader->load_request);
    }
    if (capsule_is_overrun(leader->capsule)) {
        return load_again(leader, STATUS_DAMAGED, "the stores hold records beyond a cut",
                          time.now_us);
    }
    if (leader->awaits_cut && !leader->has_begun && find_want(leader, 0, &want)) {
        // What an ended leader wrote beyond what is here is accepted once its cut is known. Nothing
        // else is a reason to write before all is here: a term that then ends has made leaders
        // void.
        enum status status = begin_branch(leader, time.now_us);
        leader->load_skip = 0;
        return status == STATUS_OK ? load_rest(leader, time)
               : status == STATUS_CLOSED
                   ? give_up(leader, STATUS_DENIED, "the first records of the term were refused")
                   : status;
    }
    if (find_want(leader, 0, &want)) {
        char writer[WRITER_ID_TEXT_BYTES], store[WRITER_ID_TEXT_BYTES];
        writer_id_text(&want.writer, writer);
        writer_id_text(&want.store, store);
        log_event(leader->log,
                  "records are missing writer=%s from=%" PRIu64 " to=%" PRIu64 " store=%s", writer,
                  want.from, want.to, store);
        leader->load_attempts -= drop_fence(leader, &want.store);
        return load_again(leader, STATUS_GAP, "the stores signed for more than they gave",
                          time.now_us);
    }
    return take_over(leader, time);
}

enum status takeover_receive_fetched(struct leader *leader, uint32_t request, struct bytes body,
                                     struct leader_time time)
{
    struct frame_fetched fetched;
    if (leader->stage != LEADER_LOADING || request != leader->load_request ||
        frame_fetched_decode(&fetched, body) != STATUS_OK) {
        return STATUS_OK;
    }
    if (!leader->is_log_loaded && fetched.is_end == 0) {
        leader->load_next = fetched.next;
        return send_load(leader, time.now_us);
    }
    enum status status = load_run(leader);
    if (status != STATUS_OK && status != STATUS_CLOSED) {
        return status;
    }
    if (leader->is_log_loaded) {
        const struct capsule_member *member =
            capsule_member_find(leader->capsule, &leader->load_writer);
        bool has_grown = member != NULL && member->head.sequence > leader->load_from.sequence;
        leader->load_skip = has_grown ? 0 : leader->load_skip + 1;
        return load_rest(leader, time);
    }
    if (status == STATUS_CLOSED) {
        return load_again(leader, STATUS_DAMAGED,
                          "a stored record does not verify; run 'paranoid capsule verify'",
                          time.now_us);
    }
    leader->is_log_loaded = true;
    return load_rest(leader, time);
}

static enum status tick_closing(struct leader *leader, struct leader_closing *closing,
                                uint64_t now_us)
{
    if (!closing->is_used || now_us < closing->asked_us + TAKEOVER_ASK_US) {
        return STATUS_OK;
    }
    return closing->fetch_request == 0 ? send_fence(leader, closing, now_us)
                                       : fetch_last(leader, closing, now_us);
}

enum status takeover_tick(struct leader *leader, struct leader_time time)
{
    enum status status = STATUS_OK;
    switch (leader->stage) {
    case LEADER_IDLE:
        break;
    case LEADER_FENCING:
        return tick_closing(leader, &leader->all, time.now_us);
    case LEADER_LOADING:
        if (leader->rollback_us != 0) {
            return tick_awaiting(leader, time.now_us);
        }
        if (time.now_us >= leader->load_asked_us + TAKEOVER_SILENCE_US) {
            return load_again(leader, STATUS_TIMEOUT, "the store does not answer", time.now_us);
        }
        break;
    case LEADER_REFUSING:
        return tick_refusing(leader, time.now_us);
    case LEADER_TAKING_OVER:
        return finish_takeover(leader, time);
    case LEADER_LEADING:
        for (size_t i = 0; i < LEADER_CLOSINGS_MAX && status == STATUS_OK; i++) {
            status = tick_closing(leader, &leader->closings[i], time.now_us);
        }
        if (status == STATUS_OK && epoch_lacks_cut(leader)) {
            status = recall(leader, time.now_us);
        }
        break;
    }
    return status;
}

enum status takeover_close(struct leader *leader, const struct writer_id *writer,
                           enum sync_close_reason reason, uint64_t now_us)
{
    struct leader_closing *unused = NULL;
    for (size_t i = 0; i < LEADER_CLOSINGS_MAX; i++) {
        struct leader_closing *closing = &leader->closings[i];
        if (!closing->is_used) {
            unused = closing;
        } else if (writer_id_equal(&closing->writer, writer)) {
            return STATUS_OK;
        }
    }
    if (unused == NULL) {
        return STATUS_OK;  // absent until there is room, or until the next term closes it
    }
    *unused = (struct leader_closing){.is_used = true, .writer = *writer, .reason = reason};
    enum status status = lock_drop_writer(leader, writer, now_us);
    return status == STATUS_OK ? send_fence(leader, unused, now_us) : status;
}

bool takeover_is_closing(struct leader *leader)
{
    for (size_t i = 0; i < LEADER_CLOSINGS_MAX; i++) {
        if (leader->closings[i].is_used) {
            return true;
        }
    }
    return epoch_lacks_cut(leader);
}
