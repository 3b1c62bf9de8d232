/* src/leader/closing.c */
#include <inttypes.h>
#include <string.h>

#include "base/encoder.h"
#include "capsule/receipt.h"
#include "capsule/seal.h"
#include "capsule/tuple.h"
#include "leader/leader_internal.h"

/*
 * Ends of branches (DESIGN 6.4): stores are asked to take nothing more, R of them answer with what
 * they hold, the longest head among that is the cut. A new leader closes all branches so, around
 * everything (takeover.c); a living one each branch whose enclave has ended:
 *
 *   closing_begin() ──R fences──► its last records are fetched ──► the cut is proposed, and the
 *   records are sent to all, until W stores have said in a fence that they hold them ──► CLOSE
 *
 * Invariants:
 *  1. A CLOSE names what W stores hold: whoever leads next finds it, with N - W stores lost. Only
 *     of a branch that its writer forked W may never come to hold it, before a CLOSE says what
 *     counts: when a store shows that, or W answer and do not come to it.
 *  2. It rests on the fences of R stores none of which holds another record where the cut leads.
 *     Of any W that hold what was acknowledged one is among them: it lies below the cut.
 *  3. A leader proposes one cut for a branch, when it has itself what perhaps one store alone
 *     holds below it. So that store may be lost, and what was said of the cut stays true.
 */
enum { CLOSING_VAIN_MAX = 20 };  // proposals, LEADER_ASK_US apart, that W stores do not follow

void closing_release(struct leader_closing *closing)
{
    buffer_release(&closing->fences);
    buffer_release(&closing->tail);
    *closing = (struct leader_closing){.is_used = false};
}

enum status closing_fence(struct leader *leader, struct leader_closing *closing, uint64_t now_us)
{
    static const struct writer_id everyone;
    struct buffer body = BUFFER_EMPTY;
    closing->asked_us = now_us;
    const struct head none = {.sequence = 0};
    const struct head *cut = closing->is_proposed ? &closing->cut : &none;
    enum status status =
        frame_fence_encode(&body, capsule_name(leader->capsule), leader->term, &closing->writer,
                           cut, buffer_bytes(&leader->term_body), leader->key);
    if (status == STATUS_OK) {
        status = leader_send(leader, FRAME_FENCE, 0, &everyone, buffer_bytes(&body));
    }
    buffer_release(&body);
    return status;
}

bool closing_keep_fence(struct leader *leader, struct leader_closing *closing,
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

void closing_drop_fence(struct leader *leader, struct leader_closing *closing,
                        const struct writer_id *store)
{
    struct buffer fences = closing->fences;
    struct cursor in = cursor_over(fences.bytes, fences.length);
    closing->fences = BUFFER_EMPTY;
    closing->answer_count = 0;
    while (in.left > 0) {
        struct receipt fence;
        struct bytes bytes = cursor_run(&in);
        if (receipt_decode(&fence, bytes) == STATUS_OK && !writer_id_equal(&fence.store, store)) {
            (void)closing_keep_fence(leader, closing, &fence, bytes);
        }
    }
    buffer_release(&fences);
}

bool closing_next_fence(struct cursor *fences, struct receipt *fence)
{
    if (fences->left == 0) {
        return false;
    }
    // It was decoded when it came.
    return receipt_decode(fence, cursor_run(fences)) == STATUS_OK;
}

bool closing_fence_lists(const struct receipt *fence, const struct writer_id *writer,
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

enum status closing_write(struct leader *leader, const struct writer_id *writer, struct head cut,
                          enum sync_close_reason reason, struct bytes fences, uint64_t now_us)
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

uint64_t closing_lamport(struct leader *leader, const struct record *record)
{
    uint64_t lamport = 0;
    struct eoe eoe;
    if (record->type == RECORD_EOE && sync_eoe_decode(&eoe, record->body) == STATUS_OK) {
        return eoe.lamport;
    }
    if (record->type == RECORD_DATA && !record->is_pruned) {
        struct buffer plain = BUFFER_EMPTY;
        enum status status = leader_unseal(leader, record, &plain);
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

/* ---- one branch of a living term ---- */

/* The first record that W stores may lack: all who answered, or a SYNC, have those before it. */
static uint64_t tail_begin(struct leader *leader, const struct leader_closing *closing)
{
    const struct capsule_member *member = capsule_member_find(leader->capsule, &closing->writer);
    uint64_t before_cut = closing->cut.sequence - 1, least = before_cut;
    struct cursor in = cursor_over(closing->fences.bytes, closing->fences.length);
    struct receipt fence;
    struct head head;
    while (closing_next_fence(&in, &fence)) {
        if (closing_fence_lists(&fence, &closing->writer, &head) && head.sequence < least) {
            least = head.sequence;
        }
    }
    uint64_t listed = leader_peer_of(leader, member)->listed.sequence;
    listed = listed < before_cut ? listed : before_cut;
    return (listed < least ? least : listed) + 1;
}

/* The very last one says how far the clock of the branch went. */
static enum status fetch_tail(struct leader *leader, struct leader_closing *closing,
                              uint64_t now_us)
{
    closing->asked_us = now_us;
    closing->fetch_from = closing->next;
    const struct frame_fetch fetch = {
        .writer = closing->writer,
        .from = closing->next,
        .to = closing->cut.sequence,
        .max_bytes = RECORD_BYTES_MAX,
    };
    return leader_fetch(leader, &fetch, &closing->cut_store, &closing->fetch_request);
}

static enum status finish(struct leader *leader, struct leader_closing *closing, uint64_t now_us)
{
    const struct capsule_member *member = capsule_member_find(leader->capsule, &closing->writer);
    struct leader_peer *peer = leader_peer_of(leader, member);
    if (peer->closed_lamport < closing->lamport) {
        peer->closed_lamport = closing->lamport;
    }
    enum status status = lock_drop_writer(leader, &closing->writer, now_us);
    if (status != STATUS_OK) {
        return status;
    }
    channel_free(peer->channel);
    peer->channel = NULL;
    status = closing_write(leader, &closing->writer, closing->cut, closing->reason,
                           buffer_bytes(&closing->fences), now_us);
    closing_release(closing);
    return status;
}

static enum status send_tail(struct leader *leader, struct bytes tail)
{
    static const struct writer_id everyone;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && tail.length > 0) {
        size_t length = record_length(tail.at, tail.length);
        status = leader_send(leader, FRAME_RECORD, 0, &everyone, bytes_of(tail.at, length));
        tail = bytes_of(tail.at + length, tail.length - length);
    }
    return status;
}

/*
 * The records first: with the FENCE a store takes what it had refused, and answers that it has.
 * What it said before does not count: it may have lost its disk since.
 */
static enum status propose(struct leader *leader, struct leader_closing *closing, uint64_t now_us)
{
    closing->word_count = 0;
    enum status status = send_tail(leader, buffer_bytes(&closing->tail));
    return status == STATUS_OK ? closing_fence(leader, closing, now_us) : status;
}

static uint32_t receipts_needed(const struct leader *leader)
{
    return leader->stores.now.receipt_count;
}

static bool is_held(const struct leader *leader, const struct leader_closing *closing)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < closing->word_count; i++) {
        count += closing->words[i].is_holder;
    }
    return count >= receipts_needed(leader);
}

/* What this store says, since it was fenced, of how far it holds the branch. */
static void note_word(struct leader_closing *closing, const struct writer_id *store,
                      const struct head *head)
{
    bool is_other =
        head->sequence == closing->cut.sequence && !hash_equal(&head->hash, &closing->cut.hash);
    uint32_t i = 0;
    while (i < closing->word_count && !writer_id_equal(&closing->words[i].store, store)) {
        i++;
    }
    closing->word_count += i == closing->word_count;
    closing->words[i] = (struct closing_word){
        .store = *store, .is_holder = head->sequence >= closing->cut.sequence && !is_other};
}

/* R stores have answered: the cut is known, and who has it already. */
static enum status decide_cut(struct leader *leader, struct leader_closing *closing,
                              uint64_t now_us)
{
    struct cursor in = cursor_over(closing->fences.bytes, closing->fences.length);
    struct receipt fence;
    struct head head;
    if (closing->cut.sequence == 0) {
        return finish(leader, closing, now_us);
    }
    while (closing_next_fence(&in, &fence)) {
        if (closing_fence_lists(&fence, &closing->writer, &head)) {
            note_word(closing, &fence.store, &head);
        }
    }
    closing->next = tail_begin(leader, closing);
    return fetch_tail(leader, closing, now_us);
}

static bool is_among_others(const struct leader_closing *closing, const struct writer_id *store)
{
    for (uint32_t i = 0; i < closing->other_count; i++) {
        if (writer_id_equal(&closing->others[i], store)) {
            return true;
        }
    }
    return false;
}

static enum status receive_fence(struct leader *leader, struct leader_closing *closing,
                                 const struct receipt *fence, const struct head *head,
                                 struct bytes bytes, uint64_t now_us)
{
    if (closing->fetch_request != 0) {
        note_word(closing, &fence->store, head);
        return closing->is_proposed && is_held(leader, closing) ? finish(leader, closing, now_us)
                                                                : STATUS_OK;
    }
    if (!closing_keep_fence(leader, closing, fence, bytes)) {
        return STATUS_OK;
    }
    if (closing->cut.sequence < head->sequence) {
        closing->cut = *head;
        closing->cut_store = fence->store;
    }
    return leader_is_answered(leader, closing) ? decide_cut(leader, closing, now_us) : STATUS_OK;
}

enum status closing_receive_fence(struct leader *leader, const struct receipt *fence,
                                  struct bytes bytes, uint64_t now_us)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < LEADER_CLOSINGS_MAX && status == STATUS_OK; i++) {
        struct leader_closing *closing = &leader->closings[i];
        struct head head;
        if (closing->is_used && closing_fence_lists(fence, &closing->writer, &head) &&
            !is_among_others(closing, &fence->store)) {
            status = receive_fence(leader, closing, fence, &head, bytes, now_us);
        }
    }
    return status;
}

/* Whether a fence names another record than this one, or than the one before it; `store`: whose. */
static bool find_other(const struct leader_closing *closing, const struct record *record,
                       struct writer_id *store)
{
    struct cursor in = cursor_over(closing->fences.bytes, closing->fences.length);
    struct receipt fence;
    struct head head;
    while (closing_next_fence(&in, &fence)) {
        if (!closing_fence_lists(&fence, &closing->writer, &head) || head.sequence == 0 ||
            (head.sequence != record->sequence && head.sequence + 1 != record->sequence)) {
            continue;
        }
        const struct hash here =
            head.sequence == record->sequence ? record->hash : record_parent(record, 0);
        if (!hash_equal(&head.hash, &here)) {
            *store = fence.store;
            return true;
        }
    }
    return false;
}

/*
 * The writer has forked the branch: a store that holds another record says nothing of what was
 * acknowledged below this cut. R others have to. False: they have not answered yet.
 */
static bool drop_others(struct leader *leader, struct leader_closing *closing,
                        const struct record *record)
{
    struct writer_id store;
    while (find_other(closing, record, &store)) {
        log_event(leader->log, "a store holds another record sequence=%" PRIu64, record->sequence);
        closing_drop_fence(leader, closing, &store);
        closing->others[closing->other_count++] = store;
    }
    return leader_is_answered(leader, closing);
}

/* The next one of the tail; what does not follow the one before it is none of it. */
static enum status take(struct leader *leader, struct leader_closing *closing,
                        const struct record *record, uint64_t now_us)
{
    static const struct hash none;
    const struct hash parent = record->parent_count > 0 ? record_parent(record, 0) : none;
    bool is_pruned = record->is_pruned;
    bool is_next =
        record->sequence == closing->next &&
        (hash_equal(&closing->last, &none) || hash_equal(&closing->last, &parent)) &&
        (!is_pruned || capsule_is_pruned(leader->capsule, &record->writer, record->sequence));
    if (!is_next) {
        return STATUS_OK;
    }
    if (!drop_others(leader, closing, record)) {
        buffer_clear(&closing->tail);
        closing->last = none;
        closing->fetch_request = 0;
        closing->word_count = 0;
        return closing_fence(leader, closing, now_us);
    }
    enum status status = STATUS_OK;
    if (!is_pruned && closing->tail.length + record->whole.length <= LEADER_TAIL_BYTES_MAX) {
        status = buffer_append(&closing->tail, record->whole.at, record->whole.length);
    }
    closing->last = record->hash;
    closing->next++;
    if (status != STATUS_OK || !hash_equal(&record->hash, &closing->cut.hash)) {
        return status;
    }
    closing->is_proposed = true;
    closing->lamport = closing_lamport(leader, record);
    return is_held(leader, closing) ? finish(leader, closing, now_us)
                                    : propose(leader, closing, now_us);
}

enum status closing_receive_record(struct leader *leader, uint32_t request,
                                   const struct record *record, uint64_t now_us)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < LEADER_CLOSINGS_MAX && status == STATUS_OK; i++) {
        struct leader_closing *closing = &leader->closings[i];
        if (closing->is_used && closing->fetch_request == request &&
            writer_id_equal(&record->writer, &closing->writer)) {
            status = take(leader, closing, record, now_us);
        }
    }
    return status;
}

/*
 * The store that named the cut does not give its record: a frame was lost, or the store has been
 * rolled back since, or lies. All are asked once more; or all but that one, where R hold others.
 */
static enum status begin_again(struct leader *leader, struct leader_closing *closing,
                               uint64_t now_us)
{
    struct leader_closing again = {
        .is_used = true, .writer = closing->writer, .reason = closing->reason};
    if (!closing->is_one_left_out &&
        stores_have_answered(&leader->stores, false, closing->others, closing->other_count)) {
        again.others[again.other_count++] = closing->cut_store;
        again.is_one_left_out = true;
    }
    closing_release(closing);
    *closing = again;
    return closing_fence(leader, closing, now_us);
}

/*
 * Too few fences came: those that did no longer count, a store may have lost its disk since, and
 * its promise with it. Or a part of what was asked for: more than one answer holds. Or too few
 * stores have taken what was proposed.
 */
static enum status ask_again(struct leader *leader, struct leader_closing *closing, uint64_t now_us)
{
    if (closing->is_proposed) {
        closing->vain_count += closing->word_count >= receipts_needed(leader);
        return closing->vain_count < CLOSING_VAIN_MAX ? propose(leader, closing, now_us)
                                                      : finish(leader, closing, now_us);
    }
    if (closing->fetch_request == 0) {
        return begin_again(leader, closing, now_us);
    }
    bool has_grown = closing->fetch_from < closing->next && closing->next <= closing->cut.sequence;
    return has_grown ? fetch_tail(leader, closing, now_us) : begin_again(leader, closing, now_us);
}

enum status closing_tick(struct leader *leader, uint64_t now_us)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < LEADER_CLOSINGS_MAX && status == STATUS_OK; i++) {
        struct leader_closing *closing = &leader->closings[i];
        if (closing->is_used && now_us >= closing->asked_us + LEADER_ASK_US) {
            status = ask_again(leader, closing, now_us);
        }
    }
    return status;
}

enum status closing_begin(struct leader *leader, const struct writer_id *writer,
                          enum sync_close_reason reason, uint64_t now_us)
{
    struct leader_closing *unused = NULL;
    for (size_t i = 0; i < LEADER_CLOSINGS_MAX; i++) {
        struct leader_closing *closing = &leader->closings[i];
        if (!closing->is_used) {
            unused = closing;
        } else if (writer_id_equal(&closing->writer, writer)) {
            // A store that holds another record in its place does not come to the cut.
            return closing->is_proposed && reason == SYNC_CLOSE_FORKED
                       ? finish(leader, closing, now_us)
                       : STATUS_OK;
        }
    }
    if (unused == NULL) {
        return STATUS_OK;  // absent until there is room, or until the next term closes it
    }
    *unused = (struct leader_closing){.is_used = true, .writer = *writer, .reason = reason};
    enum status status = lock_drop_writer(leader, writer, now_us);
    return status == STATUS_OK ? closing_fence(leader, unused, now_us) : status;
}

bool closing_is_under_way(struct leader *leader)
{
    for (size_t i = 0; i < LEADER_CLOSINGS_MAX; i++) {
        if (leader->closings[i].is_used) {
            return true;
        }
    }
    return epoch_lacks_cut(leader);
}
