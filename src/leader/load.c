/* src/leader/load.c */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "capsule/capsule_snapshot.h"
#include "capsule/function.h"
#include "capsule/keys.h"
#include "capsule/member.h"
#include "capsule/receipt.h"
#include "capsule/seal.h"
#include "capsule/term.h"
#include "leader/leader_internal.h"
#include "lsm/manifest.h"

/*
 * What earlier terms left, from the R stores that have fenced everything for this one, by asking
 * for one thing after another (docs/design/0032-one-chain-of-leaders.md):
 *
 *   LEADERS   the TERM of the leader that each of them names first; the newest is the predecessor
 *   SEEK      back along the predecessor's branch to its last SYNC, which names a MANIFEST
 *   KEY       the MEMBER that admitted the writer of that MANIFEST
 *   MANIFEST  in it a snapshot, from which the capsule goes on; without one it begins empty
 *   WANTS     what is newer, branch by branch: first the predecessor and who came before it, so
 *             that each cut is known; then the others up to the longest head that a store signed;
 *             the functions in force
 *
 * Nothing is written meanwhile. What does not verify is not taken; when what a store has signed for
 * does not come, loading begins again without that store or, when there is none to spare, is over.
 * When a writer has forked, and what was loaded of it does not lead to what a SYNC or CLOSE names,
 * it begins again with care: of a branch a store is asked twice for what leads there, and what
 * comes is loaded the second time, when its hashes have shown that it does (capsule/trail.h).
 *
 * Invariants:
 *  1. A leader whose SYNC W stores hold is in the predecessor's chain: one of any R stores has
 *     told.
 *  2. Who is not known when the chain is here was admitted by no leader that counts.
 */
enum {
    LOAD_FETCH_BYTES = 4 << 20,
    LOAD_SILENCE_US = 10 * 1000 * 1000,  // then a store does not answer
    LOAD_SEEK_RECORDS = 16,              // then four times as many
};

void load_release(struct leader *leader)
{
    struct leader_load *load = &leader->load;
    for (size_t i = 0; i < LEADER_RUN_MAX; i++) {
        buffer_release(&load->run_bytes[i]);
    }
    buffer_release(&load->sync);
    free(load->chain);
    free(load->functions);
    free(load->evidence);
    *load = (struct leader_load){.step = LOAD_LEADERS};
}

static struct cursor fences_of(const struct leader *leader)
{
    struct bytes fences = buffer_bytes(&leader->all.fences);
    return cursor_over(fences.at, fences.length);
}

struct head load_longest_head(const struct leader *leader, const struct capsule_member *member)
{
    struct cursor in = fences_of(leader);
    struct head longest = member->head;
    struct receipt fence;
    while (closing_next_fence(&in, &fence)) {
        struct head head;
        if (closing_fence_lists(&fence, &member->id, &head) && head.sequence > longest.sequence) {
            longest = head;
        }
    }
    return longest;
}

/* ---- asking ---- */

/* What is asked for: records `from` to `to` of a writer; `to` 0: what admitted it. */
struct want {
    struct writer_id writer;
    struct writer_id store;
    uint64_t from;
    uint64_t to;
};

static enum status ask(struct leader *leader, const struct want *want, uint64_t now_us)
{
    const struct frame_fetch fetch = {
        .writer = want->writer,
        .from = want->from,
        .to = want->to,
        .max_bytes = LOAD_FETCH_BYTES,
        .has_bare_tables = true,
    };
    leader->load.asked_us = now_us;
    leader->load.is_found = false;
    return leader_fetch(leader, &fetch, &want->store, &leader->load.request);
}

/* Fence number `index`; false: there are no more. */
static bool fence_at(const struct leader *leader, uint32_t index, struct receipt *fence)
{
    struct cursor in = fences_of(leader);
    for (uint32_t i = 0; closing_next_fence(&in, fence); i++) {
        if (i == index) {
            return true;
        }
    }
    return false;
}

static bool is_answered_without(const struct leader *leader, const struct writer_id *store)
{
    struct leader_closing others = {.is_used = true};
    for (uint32_t i = 0; i < leader->all.answer_count; i++) {
        if (!writer_id_equal(&leader->all.answered[i], store)) {
            others.answered[others.answer_count++] = leader->all.answered[i];
        }
    }
    return leader_is_answered(leader, &others);
}

/* Whether that store's answer can be done without; then it is. */
static bool drop_fence(struct leader *leader, const struct writer_id *store)
{
    if (!is_answered_without(leader, store)) {
        return false;
    }
    closing_drop_fence(leader, &leader->all, store);
    return leader_is_answered(leader, &leader->all);
}

static enum status next_leader(struct leader *leader, struct leader_time time);

enum status load_begin(struct leader *leader, struct leader_time time)
{
    uint32_t attempts = leader->load.attempts;
    bool is_careful = leader->load.is_careful || leader->load.is_forked;
    load_release(leader);
    leader->load.attempts = attempts;
    leader->load.is_careful = is_careful;
    return next_leader(leader, time);
}

/* Once more, from the beginning; or it is over. */
static enum status begin_again(struct leader *leader, enum status code, const char *text,
                               struct leader_time time)
{
    leader->load.attempts++;
    if (leader->load.attempts >= leader->all.answer_count + 1) {
        return takeover_give_up(leader, code, text);
    }
    log_event(leader->log, "loading begins again: %s", text);
    enum status status = leader_forget(leader);
    return status == STATUS_OK ? load_begin(leader, time) : status;
}

/* With care. Nobody is to blame: who gave what was loaded first may have held it in good faith. */
static enum status begin_carefully(struct leader *leader, struct leader_time time)
{
    log_event(leader->log, "loading begins again: a writer has forked");
    enum status status = leader_forget(leader);
    return status == STATUS_OK ? load_begin(leader, time) : status;
}

/* This store does not give what it has signed for: without it, if it can be spared. */
static enum status begin_without(struct leader *leader, const struct writer_id *store,
                                 enum status code, const char *text, struct leader_time time)
{
    leader->load.attempts -= drop_fence(leader, store);
    return begin_again(leader, code, text, time);
}

/* ---- the predecessor ---- */

/*
 * The first branch that a store names is that of a leader, if it knows of any SYNC. So if what
 * admitted it is a TERM, it is to be followed, unless another store names one of a later term.
 */
static enum status receive_leader(struct leader *leader, const struct record *record)
{
    struct leader_load *load = &leader->load;
    const struct genesis *genesis = capsule_genesis(leader->capsule);
    struct receipt fence;
    struct term term;
    if (!fence_at(leader, load->place, &fence) || fence.head_count == 0) {
        return STATUS_OK;
    }
    struct branch_head named = receipt_head(&fence, 0);
    if (record->type != RECORD_TERM) {
        load->is_found = load->is_found || record->type == RECORD_MEMBER;
        return STATUS_OK;
    }
    if (term_decode(&term, record->body, &genesis->owner, &genesis->capsule) != STATUS_OK) {
        return STATUS_OK;
    }
    struct writer_id id = writer_id_of(&term.leader);
    bool is_named = writer_id_equal(&id, &named.writer);
    load->is_found = load->is_found || is_named;
    if (is_named && term.number > load->predecessor_term) {
        load->predecessor = id;
        load->predecessor_key = term.leader;
        load->predecessor_term = term.number;
        load->predecessor_head = named.head;
        load->predecessor_store = fence.store;
    }
    return STATUS_OK;
}

static enum status ask_seek(struct leader *leader, uint64_t now_us)
{
    struct leader_load *load = &leader->load;
    uint64_t count = load->seek_end < load->seek_records ? load->seek_end : load->seek_records;
    const struct want want = {
        .writer = load->predecessor,
        .store = load->predecessor_store,
        .from = load->seek_end - count + 1,
        .to = load->seek_end,
    };
    load->seek_from = want.from;
    return ask(leader, &want, now_us);
}

static enum status next_want(struct leader *leader, struct leader_time time);

/* Ask about the next fence; after the last, the predecessor is known. */
static enum status next_leader(struct leader *leader, struct leader_time time)
{
    struct leader_load *load = &leader->load;
    struct receipt fence;
    for (; fence_at(leader, load->place, &fence); load->place++) {
        if (fence.head_count > 0) {
            const struct want want = {.writer = receipt_head(&fence, 0).writer,
                                      .store = fence.store};
            return ask(leader, &want, time.now_us);
        }
    }
    load->place = 0;
    if (load->predecessor_term == 0) {
        load->step = LOAD_WANTS;
        return next_want(leader, time);
    }
    log_event(leader->log, "predecessor term=%" PRIu64 " sequence=%" PRIu64, load->predecessor_term,
              load->predecessor_head.sequence);
    load->chain = malloc(sizeof *load->chain);
    if (load->chain == NULL) {
        return STATUS_NO_MEMORY;
    }
    load->chain[load->chain_count++] = load->predecessor;
    load->step = LOAD_SEEK;
    load->seek_end = load->predecessor_head.sequence;
    load->seek_records = LOAD_SEEK_RECORDS;
    return ask_seek(leader, time.now_us);
}

static enum status end_leader(struct leader *leader, struct leader_time time)
{
    struct receipt fence;
    if (!leader->load.is_found && fence_at(leader, leader->load.place, &fence)) {
        return begin_without(leader, &fence.store, STATUS_GAP,
                             "a store names a branch that it does not give", time);
    }
    leader->load.place++;
    return next_leader(leader, time);
}

/* ---- the MANIFEST ---- */

/* The last SYNC among those asked for stays. */
static enum status receive_seek(struct leader *leader, const struct record *record)
{
    struct leader_load *load = &leader->load;
    if (record->type != RECORD_SYNC || !writer_id_equal(&record->writer, &load->predecessor) ||
        record_verify(record, &load->predecessor_key) != STATUS_OK) {
        return STATUS_OK;
    }
    buffer_clear(&load->sync);
    return buffer_append(&load->sync, record->body.at, record->body.length);
}

static enum status ask_manifest(struct leader *leader, uint64_t now_us)
{
    struct leader_load *load = &leader->load;
    const struct branch_head *manifest = &load->manifest;
    bool is_key = load->step == LOAD_KEY;
    const struct want want = {
        .writer = manifest->writer,
        .store = leader->all.answered[load->place],
        .from = is_key ? 0 : manifest->head.sequence,
        .to = is_key ? 0 : manifest->head.sequence,
    };
    return ask(leader, &want, now_us);
}

static enum status end_seek(struct leader *leader, struct leader_time time)
{
    struct leader_load *load = &leader->load;
    struct sync_body sync;
    if (load->sync.length == 0 && load->seek_from > 1) {
        load->seek_end = load->seek_from - 1;
        load->seek_records *= 4;
        return ask_seek(leader, time.now_us);
    }
    if (load->sync.length == 0 || sync_decode(&sync, buffer_bytes(&load->sync)) != STATUS_OK) {
        return begin_without(leader, &load->predecessor_store, STATUS_GAP,
                             "a store names a leader whose SYNC it does not give", time);
    }
    load->manifest = sync.manifest;
    // Once a start from it has failed, all is read.
    bool is_named = sync.manifest.head.sequence > 0 && load->attempts == 0;
    load->step = is_named ? LOAD_KEY : LOAD_WANTS;
    return is_named ? ask_manifest(leader, time.now_us) : next_want(leader, time);
}

static enum status receive_key(struct leader *leader, const struct record *record)
{
    struct leader_load *load = &leader->load;
    struct member_body member;
    if (record->type != RECORD_MEMBER || member_decode(&member, record->body) != STATUS_OK) {
        return STATUS_OK;
    }
    // Its id is the hash of its key, so nobody need vouch for that.
    struct writer_id id = writer_id_of(&member.key);
    if (writer_id_equal(&id, &load->manifest.writer)) {
        load->manifest_key = member.key;
        load->is_found = true;
    }
    return STATUS_OK;
}

/*
 * What the snapshot says beside the capsule's state: functions; and whose evidence may be of use.
 */
static enum status note_restored(struct leader *leader, const struct capsule_snapshot *snapshot)
{
    struct leader_load *load = &leader->load;
    size_t member_count = capsule_member_count(leader->capsule);
    load->functions = calloc((size_t)snapshot->function_count + 1, sizeof *load->functions);
    load->evidence = calloc(member_count + 1, sizeof *load->evidence);
    if (load->functions == NULL || load->evidence == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < snapshot->function_count; i++) {
        load->functions[load->function_count++] = capsule_snapshot_function(snapshot, i);
    }
    for (size_t i = 0; i < member_count; i++) {
        const struct capsule_member *member = capsule_member_at(leader->capsule, i);
        if (member->role != MEMBER_LEADER && !member->is_closed) {
            load->evidence[load->evidence_count++] = member->id;
        }
    }
    return leader_grow_peers(leader);
}

/*
 * Go on from the snapshot in a MANIFEST. On failure but STATUS_NO_MEMORY all can be read instead.
 */
static enum status restore(struct leader *leader, struct bytes plain)
{
    struct manifest manifest = {.floor = 0};
    struct capsule *capsule = NULL;
    struct capsule_snapshot snapshot;
    enum status status = manifest_decode(&manifest, plain);
    if (status == STATUS_OK && manifest.snapshot.length == 0) {
        status = STATUS_NOT_FOUND;
    }
    if (status == STATUS_OK) {
        status = capsule_snapshot_restore(&capsule, &snapshot,
                                          capsule_genesis_body(leader->capsule), manifest.snapshot);
    }
    if (status == STATUS_OK && snapshot.is_whole) {
        status = STATUS_DENIED;
    }
    if (status == STATUS_OK) {
        capsule_exchange(leader->capsule, capsule);
        status = note_restored(leader, &snapshot);
    }
    capsule_free(capsule);
    manifest_release(&manifest);
    return status;
}

static enum status receive_manifest(struct leader *leader, const struct record *record)
{
    struct leader_load *load = &leader->load;
    if (record->type != RECORD_MANIFEST || record->is_pruned || load->is_found ||
        !hash_equal(&record->hash, &load->manifest.head.hash)) {
        return STATUS_OK;
    }
    struct buffer plain = BUFFER_EMPTY;
    enum status status = leader_unseal_of(leader, record, &load->manifest_key, &plain);
    if (status == STATUS_OK) {
        status = restore(leader, buffer_bytes(&plain));
    }
    buffer_release(&plain);
    load->is_found = true;
    log_event(leader->log, "start manifest=%" PRIu64 " members=%zu status=\"%s\"",
              load->manifest.head.sequence, capsule_member_count(leader->capsule),
              status_text(status));
    return status == STATUS_NO_MEMORY ? status : STATUS_OK;
}

/* The key, then the MANIFEST, from any of the stores; without either, all is read. */
static enum status end_manifest(struct leader *leader, struct leader_time time)
{
    struct leader_load *load = &leader->load;
    if (load->is_found) {
        load->place = 0;
        load->step = load->step == LOAD_KEY ? LOAD_MANIFEST : LOAD_WANTS;
    } else if (++load->place >= leader->all.answer_count) {
        log_event(leader->log, "the MANIFEST in effect is not to be had: all is read");
        load->place = 0;
        load->step = LOAD_WANTS;
    }
    return load->step == LOAD_WANTS ? next_want(leader, time) : ask_manifest(leader, time.now_us);
}

/* ---- records ---- */

static enum status load_function(struct leader *leader, const struct record *record)
{
    struct buffer plain = BUFFER_EMPTY;
    struct function_manifest manifest;
    struct bytes code;
    const struct genesis *genesis = capsule_genesis(leader->capsule);
    enum status status = leader_unseal(leader, record, &plain);
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

/* What a member of an earlier leader brought serves those of this one. */
static enum status load_member(struct leader *leader, const struct record *record)
{
    struct member_body member;
    return member_decode(&member, record->body) == STATUS_OK
               ? shelf_keep(&leader->shelf, member.evidence)
               : STATUS_OK;  // a pruned body
}

/* Lamports rise along a branch: its last record alone is of interest. */
static enum status keep_last(struct leader *leader, const struct record *record)
{
    const struct capsule_member *member = capsule_member_find(leader->capsule, &record->writer);
    struct leader_peer *peer = leader_peer_of(leader, member);
    buffer_clear(&peer->last_data);
    return buffer_append(&peer->last_data, record->whole.at, record->whole.length);
}

/*
 * A leader's CLOSE that waits, right after its TERM: it names its predecessor, who is of the chain
 * as well.
 */
static enum status note_predecessor(struct leader *leader, const struct record *record)
{
    struct leader_load *load = &leader->load;
    const struct capsule_member *closer = capsule_member_find(leader->capsule, &record->writer);
    struct sync_close close;
    if (record->type != RECORD_CLOSE || closer == NULL ||
        record->sequence != closer->admitted_sequence + 1 ||
        sync_close_decode(&close, record->body) != STATUS_OK) {
        return STATUS_OK;
    }
    for (size_t i = 0; i < load->chain_count; i++) {
        if (writer_id_equal(&load->chain[i], &close.cut.writer)) {
            return STATUS_OK;
        }
    }
    struct writer_id *chain = reallocarray(load->chain, load->chain_count + 1, sizeof *chain);
    if (chain == NULL) {
        return STATUS_NO_MEMORY;
    }
    load->chain = chain;
    load->chain[load->chain_count++] = close.cut.writer;
    load->is_found = true;
    return STATUS_OK;
}

/* STATUS_CLOSED: not taken, nor can what follows it be. */
static enum status load_one(struct leader *leader, const struct record *record, bool is_vouched)
{
    enum status status = is_vouched ? capsule_accept_vouched(leader->capsule, record)
                                    : capsule_accept(leader->capsule, record);
    if (status == STATUS_GAP) {
        status = note_predecessor(leader, record);
        return status == STATUS_OK ? STATUS_CLOSED : status;  // it waits for another branch
    }
    if (status == STATUS_NO_MEMORY) {
        return status;
    }
    if (status != STATUS_OK) {
        log_event(leader->log,
                  "stored record refused sequence=%" PRIu64 " type=%s status=\"%s\" reason=\"%s\"",
                  record->sequence, record_type_text(record->type), status_text(status),
                  capsule_reason(leader->capsule));
        leader->load.is_refused = true;
        leader->load.is_forked = leader->load.is_forked || status == STATUS_FORKED;
        return STATUS_CLOSED;
    }
    leader->load.is_found = true;
    status = leader_grow_peers(leader);
    if (status != STATUS_OK) {
        return status;
    }
    switch (record->type) {
    case RECORD_FUNCTION:
        return load_function(leader, record);
    case RECORD_MEMBER:
        return load_member(leader, record);
    case RECORD_DATA:
    case RECORD_EOE:
        return keep_last(leader, record);
    default:
        return STATUS_OK;
    }
}

/* Accept the run gathered so far: one signature vouches for all of it. */
static enum status load_run(struct leader *leader)
{
    struct leader_load *load = &leader->load;
    enum status status = STATUS_OK;
    size_t count = load->run_count;
    load->run_count = 0;
    bool is_vouched =
        count > 1 && capsule_verify_run(leader->capsule, load->run, count) == STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = load_one(leader, &load->run[i], is_vouched);
    }
    return status == STATUS_CLOSED ? STATUS_OK : status;
}

static enum status load_record(struct leader *leader, const struct record *record)
{
    struct leader_load *load = &leader->load;
    const struct record *last = load->run_count > 0 ? &load->run[load->run_count - 1] : NULL;
    bool goes_on = last != NULL && load->run_count < LEADER_RUN_MAX &&
                   writer_id_equal(&last->writer, &record->writer) &&
                   record->sequence == last->sequence + 1;
    if (last != NULL && !goes_on) {
        enum status status = load_run(leader);
        if (status != STATUS_OK) {
            return status;
        }
    }
    struct buffer *bytes = &load->run_bytes[load->run_count];
    buffer_clear(bytes);
    enum status status = buffer_append(bytes, record->whole.at, record->whole.length);
    if (status == STATUS_OK) {
        status = record_decode_stored(&load->run[load->run_count], bytes->bytes, bytes->length);
        load->run_count += status == STATUS_OK;
    }
    return status;
}

/* ---- wants ---- */

/* Up to here at most a branch counts. */
static uint64_t target_of(const struct capsule_member *member, uint64_t sequence)
{
    return member->is_closed && member->cut.sequence < sequence ? member->cut.sequence : sequence;
}

/* The same question to one store after another. */
static bool spread(struct leader *leader, size_t *skip, struct want *want)
{
    if (*skip >= leader->all.answer_count) {
        *skip -= leader->all.answer_count;
        return false;
    }
    want->store = leader->all.answered[*skip];
    return true;
}

/* How far a leader of the chain is to be here. */
static uint64_t chain_target(const struct leader *leader, size_t place,
                             const struct capsule_member *member)
{
    if (place == 0) {
        return member == NULL ? leader->load.predecessor_head.sequence
                              : load_longest_head(leader, member).sequence;
    }
    if (member == NULL) {
        return 2;
    }
    return member->is_closed ? member->cut.sequence : member->head.sequence;
}

/*
 * The oldest leader of the chain that is not whole yet. Of one whose first two records are not
 * here, these alone: they say who came before it, or that it is the first.
 */
static bool find_chain_want(struct leader *leader, size_t *skip, struct want *want)
{
    for (size_t i = leader->load.chain_count; i-- > 0;) {
        const struct writer_id *writer = &leader->load.chain[i];
        const struct capsule_member *member = capsule_member_find(leader->capsule, writer);
        uint64_t held = member == NULL ? 0 : member->head.sequence;
        uint64_t target = chain_target(leader, i, member);
        if (held >= target) {
            continue;
        }
        *want = (struct want){
            .writer = *writer, .from = held + 1, .to = held < 2 && target > 2 ? 2 : target};
        if (spread(leader, skip, want)) {
            return true;
        }
    }
    return false;
}

/* Whether all that leaders have written and that counts is here. */
static bool is_chain_here(struct leader *leader)
{
    struct want want;
    size_t skip = 0;
    struct branch_head missing;
    uint64_t from;
    size_t index = 0;
    if (find_chain_want(leader, &skip, &want)) {
        return false;
    }
    while (capsule_missing(leader->capsule, &index, &missing, &from) == STATUS_OK) {
        if (capsule_member_find(leader->capsule, &missing.writer)->role == MEMBER_LEADER) {
            return false;
        }
    }
    return true;
}

/* What SYNC and CLOSE records name: whoever has it. */
static bool find_named_want(struct leader *leader, bool is_of_leaders, size_t *skip,
                            struct want *want)
{
    struct branch_head wanted;
    uint64_t from;
    size_t index = 0;
    while (capsule_missing(leader->capsule, &index, &wanted, &from) == STATUS_OK) {
        const struct capsule_member *member = capsule_member_find(leader->capsule, &wanted.writer);
        *want = (struct want){.writer = wanted.writer, .from = from, .to = wanted.head.sequence};
        if ((member->role == MEMBER_LEADER) == is_of_leaders && spread(leader, skip, want)) {
            return true;
        }
    }
    return false;
}

/* Number `skip` of what the fences name of known writers and is not here. */
static bool find_signed_want(struct leader *leader, size_t *skip, struct want *want)
{
    struct cursor in = fences_of(leader);
    struct receipt fence;
    while (closing_next_fence(&in, &fence)) {
        for (uint32_t i = 0; i < fence.head_count; i++) {
            struct branch_head head = receipt_head(&fence, i);
            const struct capsule_member *member =
                capsule_member_find(leader->capsule, &head.writer);
            if (member == NULL || member->role == MEMBER_LEADER) {
                continue;
            }
            uint64_t target = target_of(member, head.head.sequence);
            if (member->head.sequence >= target || (*skip)-- > 0) {
                continue;
            }
            *want = (struct want){.writer = head.writer,
                                  .store = fence.store,
                                  .from = member->head.sequence + 1,
                                  .to = target};
            return true;
        }
    }
    return false;
}

/* A branch that was closed and never listed has yet to join a SYNC: how far had its clock gone? */
static bool find_last_want(struct leader *leader, size_t *skip, struct want *want)
{
    for (size_t i = 0; i < leader->peer_count; i++) {
        const struct capsule_member *member = capsule_member_at(leader->capsule, i);
        if (member->role != MEMBER_WORKER || !member->is_closed || member->cut.sequence == 0 ||
            capsule_is_listed_closed(leader->capsule, member) ||
            leader->peers[i].last_data.length > 0) {
            continue;
        }
        *want = (struct want){
            .writer = member->id, .from = member->cut.sequence, .to = member->cut.sequence};
        if (spread(leader, skip, want)) {
            return true;
        }
    }
    return false;
}

static bool find_function_want(struct leader *leader, size_t *skip, struct want *want)
{
    const struct leader_load *load = &leader->load;
    for (uint32_t i = 0; i < load->function_count; i++) {
        const struct branch_head *place = &load->functions[i];
        *want = (struct want){
            .writer = place->writer, .from = place->head.sequence, .to = place->head.sequence};
        if (spread(leader, skip, want)) {
            return true;
        }
    }
    return false;
}

static bool find_want(struct leader *leader, size_t skip, struct want *want)
{
    if (!is_chain_here(leader)) {
        return find_chain_want(leader, &skip, want) || find_named_want(leader, true, &skip, want);
    }
    return find_signed_want(leader, &skip, want) || find_named_want(leader, false, &skip, want) ||
           find_last_want(leader, &skip, want) || find_function_want(leader, &skip, want);
}

/* Evidence is worth asking for, not waiting for. */
static bool find_evidence_want(struct leader *leader, struct want *want)
{
    struct leader_load *load = &leader->load;
    if (load->evidence_count == 0) {
        return false;
    }
    *want = (struct want){.writer = load->evidence[--load->evidence_count],
                          .store = leader->all.answered[0]};
    return true;
}

/* With care: first the hashes of what leads to the named head. */
static void begin_trail(struct leader *leader, struct want *want)
{
    struct leader_load *load = &leader->load;
    const struct capsule_member *member = capsule_member_find(leader->capsule, &want->writer);
    load->trail.next = 0;
    if (!load->is_careful || member == NULL || member->role == MEMBER_LEADER) {
        return;
    }
    const struct branch_head named = {.writer = want->writer,
                                      .head = capsule_named_head(leader->capsule, member)};
    if (named.head.sequence > member->head.sequence && want->from > member->head.sequence) {
        trail_begin(&load->trail, &named, want->from);
        want->to = named.head.sequence;
        load->trail_store = want->store;
        load->trail_asked = want->from;
    }
}

/* What came of it: the next part, the same again to be loaded, or another store is asked. */
static enum status end_trail(struct leader *leader, struct leader_time time)
{
    struct leader_load *load = &leader->load;
    struct want want = {.writer = load->trail.named.writer,
                        .store = load->trail_store,
                        .from = load->trail.next,
                        .to = load->trail.named.head.sequence};
    if (trail_has_led(&load->trail)) {
        const struct capsule_member *member = capsule_member_find(leader->capsule, &want.writer);
        want.from = member->head.sequence + 1;
        load->trail.next = 0;
        return ask(leader, &want, time.now_us);
    }
    if (load->trail.next > load->trail_asked && load->trail.next <= want.to) {
        load->trail_asked = load->trail.next;
        return ask(leader, &want, time.now_us);
    }
    load->trail.next = 0;
    load->skip++;
    return next_want(leader, time);
}

/*
 * Stores that hold different records of an open branch: of those that hold what was loaded and
 * those that hold another, one of the fewer. A CLOSE rests on R that hold the same, as far as each
 * goes: of any W that hold what was acknowledged one is among them.
 */
static bool find_other(struct leader *leader, const struct capsule_member *member,
                       struct writer_id *store)
{
    struct cursor in = fences_of(leader);
    struct receipt fence;
    struct head head;
    struct hash here;
    uint32_t same_count = 0, other_count = 0;
    struct writer_id same, other;
    while (closing_next_fence(&in, &fence)) {
        if (!closing_fence_lists(&fence, &member->id, &head) ||
            !capsule_hash_at(leader->capsule, member, head.sequence, &here)) {
            continue;
        }
        if (hash_equal(&head.hash, &here)) {
            same = fence.store;
            same_count++;
        } else {
            other = fence.store;
            other_count++;
        }
    }
    if (other_count > 0) {
        *store = other_count > same_count && same_count > 0 ? same : other;
    }
    return other_count > 0;
}

static bool find_fork(struct leader *leader, struct writer_id *store)
{
    for (size_t i = 0; i < capsule_member_count(leader->capsule); i++) {
        const struct capsule_member *member = capsule_member_at(leader->capsule, i);
        if (!member->is_closed && member->role != MEMBER_LEADER &&
            find_other(leader, member, store)) {
            return true;
        }
    }
    return false;
}

/* Ask for the next thing that is not here, until a whole round of questions leads to nothing. */
static enum status next_want(struct leader *leader, struct leader_time time)
{
    struct leader_load *load = &leader->load;
    struct want want;
    if (find_want(leader, load->skip, &want)) {
        begin_trail(leader, &want);
        return ask(leader, &want, time.now_us);
    }
    if (load->is_forked && !load->is_careful) {
        return begin_carefully(leader, time);
    }
    if (find_want(leader, 0, &want)) {
        char writer[WRITER_ID_TEXT_BYTES], store[WRITER_ID_TEXT_BYTES];
        writer_id_text(&want.writer, writer);
        writer_id_text(&want.store, store);
        log_event(leader->log,
                  "records are missing writer=%s from=%" PRIu64 " to=%" PRIu64 " store=%s", writer,
                  want.from, want.to, store);
        // The chain alone shows a rollback, and what it names may have gone with what was lost.
        if (is_chain_here(leader) && takeover_is_rolled_back(leader)) {
            return takeover_await_holder(leader, time.now_us);
        }
        // What a store holds it has verified itself: this one lies, or is damaged.
        return load->is_refused
                   ? begin_without(leader, &want.store, STATUS_DAMAGED,
                                   "a stored record does not verify; run 'paranoid capsule verify'",
                                   time)
                   : begin_without(leader, &want.store, STATUS_GAP,
                                   "the stores signed for more than they gave", time);
    }
    if (find_evidence_want(leader, &want)) {
        return ask(leader, &want, time.now_us);
    }
    if (capsule_is_overrun(leader->capsule)) {
        return begin_again(leader, STATUS_DAMAGED, "the stores hold records beyond a cut", time);
    }
    struct writer_id store;
    if (find_fork(leader, &store)) {
        return begin_without(leader, &store, STATUS_FORKED,
                             "the stores hold different records of a branch", time);
    }
    log_event(leader->log, "loaded records=%" PRIu64 " members=%zu", load->record_count,
              capsule_member_count(leader->capsule));
    return takeover_write(leader, time);
}

/* Records that are not to be accepted, since they were before the snapshot. */
static enum status receive_old(struct leader *leader, const struct record *record, bool *is_old)
{
    struct leader_load *load = &leader->load;
    const struct capsule_member *member = capsule_member_find(leader->capsule, &record->writer);
    *is_old = member != NULL && record->sequence <= member->head.sequence;
    if (!*is_old) {
        return STATUS_OK;
    }
    for (uint32_t i = 0; i < load->function_count; i++) {
        if (hash_equal(&load->functions[i].head.hash, &record->hash)) {
            load->functions[i] = load->functions[--load->function_count];
            load->is_found = true;
            return load_function(leader, record);
        }
    }
    if (member->is_closed && hash_equal(&member->cut.hash, &record->hash)) {
        load->is_found = true;
        return keep_last(leader, record);
    }
    return record->type == RECORD_MEMBER ? load_member(leader, record) : STATUS_OK;
}

static enum status receive_wanted(struct leader *leader, const struct record *record)
{
    bool is_old;
    if (leader->load.trail.next != 0) {
        (void)trail_follow(&leader->load.trail, record);
        return STATUS_OK;
    }
    enum status status = receive_old(leader, record, &is_old);
    return status == STATUS_OK && !is_old ? load_record(leader, record) : status;
}

/* A whole answer is here: what comes next follows from what it has led to. */
static enum status end_wanted(struct leader *leader, struct leader_time time)
{
    if (leader->load.trail.next != 0) {
        return end_trail(leader, time);
    }
    enum status status = load_run(leader);
    if (status != STATUS_OK) {
        return status;
    }
    leader->load.skip = leader->load.is_found ? 0 : leader->load.skip + 1;
    return next_want(leader, time);
}

enum status load_receive_record(struct leader *leader, const struct record *record,
                                struct leader_time time)
{
    leader->load.asked_us = time.now_us;
    leader->load.record_count++;
    switch (leader->load.step) {
    case LOAD_LEADERS:
        return receive_leader(leader, record);
    case LOAD_SEEK:
        return receive_seek(leader, record);
    case LOAD_KEY:
        return receive_key(leader, record);
    case LOAD_MANIFEST:
        return receive_manifest(leader, record);
    case LOAD_WANTS:
        return receive_wanted(leader, record);
    }
    return STATUS_OK;
}

enum status load_receive_fetched(struct leader *leader, struct leader_time time)
{
    switch (leader->load.step) {
    case LOAD_LEADERS:
        return end_leader(leader, time);
    case LOAD_SEEK:
        return end_seek(leader, time);
    case LOAD_KEY:
    case LOAD_MANIFEST:
        return end_manifest(leader, time);
    case LOAD_WANTS:
        return end_wanted(leader, time);
    }
    return STATUS_OK;
}

enum status load_tick(struct leader *leader, struct leader_time time)
{
    return time.now_us >= leader->load.asked_us + LOAD_SILENCE_US
               ? begin_again(leader, STATUS_TIMEOUT, "the store does not answer", time)
               : STATUS_OK;
}
