/* src/leader/takeover.c */
#include <inttypes.h>

#include "capsule/receipt.h"
#include "capsule/term.h"
#include "leader/leader_internal.h"

/*
 * Taking over (DESIGN 6.10, docs/design/0032-one-chain-of-leaders.md): a new leader fences the
 * stores; loads what R of them hold (load.c); then writes its TERM, the CLOSE of its predecessor
 * and of every branch that earlier terms left open, each at the longest head that a store has
 * signed, and joins them all in its first SYNC. Once W stores hold that, it leads.
 *
 * Before all is loaded it writes nothing; before its first SYNC nothing of it counts for its
 * successors. So it may give up, or die, at any step.
 */
enum {
    TAKEOVER_RECALL_US = 1000 * 1000,
    TAKEOVER_SILENCE_US = 10 * 1000 * 1000,   // then a store does not answer
    TAKEOVER_LATE_US = 2 * 1000 * 1000,       // beyond R answers, others may come so much later
    TAKEOVER_PATIENCE_US = 20 * 1000 * 1000,  // then what is lacking may be lost: a new term
};

static const struct writer_id everyone;

void takeover_release(struct leader *leader)
{
    closing_release(&leader->all);
    for (size_t i = 0; i < LEADER_CLOSINGS_MAX; i++) {
        closing_release(&leader->closings[i]);
    }
    load_release(leader);
}

enum status takeover_begin(struct leader *leader, uint64_t now_us)
{
    leader->stage = LEADER_FENCING;
    leader->all = (struct leader_closing){.is_used = true};
    log_event(leader->log, "term begins term=%" PRIu64, leader->term);
    return closing_fence(leader, &leader->all, now_us);
}

enum status takeover_give_up(struct leader *leader, enum status code, const char *text)
{
    log_event(leader->log, "term cannot begin: %s", text);
    enum status status = leader_answer(leader, &leader->seeder, 0, code, text);
    return status == STATUS_OK ? STATUS_CLOSED : status;
}

/* What is left of the branch that was rolled back, as a store signs (see below: a rollback). */
static void receive_denial(struct leader *leader, const struct receipt *fence, struct bytes bytes)
{
    struct leader_closing *asked = &leader->closings[0];
    struct head head;
    if (closing_fence_lists(fence, &asked->writer, &head) &&
        head.sequence < leader->known_sync.head.sequence) {
        (void)closing_keep_fence(leader, asked, fence, bytes);
    }
}

enum status takeover_receive_fenced(struct leader *leader, struct bytes bytes,
                                    struct leader_time time)
{
    struct receipt fence;
    if (leader->stage == LEADER_IDLE || receipt_decode(&fence, bytes) != STATUS_OK ||
        fence.term != leader->term) {
        return STATUS_OK;
    }
    // Those before have a say in what earlier terms left, and in nothing else.
    const struct genesis_store *store = leader->stage == LEADER_LEADING
                                            ? genesis_store_find(&leader->stores.now, &fence.store)
                                            : stores_find(&leader->stores, &fence.store);
    if (store == NULL || receipt_verify(&fence, RECEIPT_FENCE, capsule_name(leader->capsule),
                                        &store->key) != STATUS_OK) {
        log_event(leader->log, "fence refused: no store of this capsule signed it");
        return STATUS_OK;
    }
    if (leader->stage == LEADER_REFUSING) {
        receive_denial(leader, &fence, bytes);
        return STATUS_OK;
    }
    if (leader->stage != LEADER_FENCING && leader->stage != LEADER_LOADING) {
        return closing_receive_fence(leader, &fence, bytes, time.now_us);
    }
    // One that comes late may yet stand in for one that does not keep its word.
    bool is_new = closing_keep_fence(leader, &leader->all, &fence, bytes);
    if (is_new && leader->stage == LEADER_FENCING && leader_is_answered(leader, &leader->all)) {
        leader->stage = LEADER_LOADING;
        return load_begin(leader, time);
    }
    return STATUS_OK;
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
            peer->closed_lamport = closing_lamport(leader, &last);
        }
        buffer_release(&peer->last_data);
    }
}

static enum status write_term(struct leader *leader, uint64_t now_us)
{
    enum status status = STATUS_OK;
    // Of two that write a GENESIS each, neither would be heard where the other one was.
    if (leader->term == 1) {
        status = leader_write(leader, RECORD_GENESIS, capsule_genesis_body(leader->capsule), NULL,
                              0, now_us);
    }
    return status == STATUS_OK ? leader_write(leader, RECORD_TERM, buffer_bytes(&leader->term_body),
                                              NULL, 0, now_us)
                               : status;
}

/* Of the leader's chain its predecessor alone is open; any other leader did not come to lead. */
static enum status close_open_branches(struct leader *leader, uint64_t now_us)
{
    enum status status = STATUS_OK;
    size_t count = capsule_member_count(leader->capsule);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        const struct capsule_member *member = capsule_member_at(leader->capsule, i);
        const struct writer_id writer = member->id;
        if (!member->is_closed && member->role != MEMBER_LEADER) {
            status = closing_write(leader, &writer, load_longest_head(leader, member),
                                   SYNC_CLOSE_RESTART, buffer_bytes(&leader->all.fences), now_us);
        }
    }
    return status;
}

static enum status write_first_records(struct leader *leader, uint64_t now_us)
{
    const struct capsule_member *predecessor =
        capsule_member_find(leader->capsule, &leader->load.predecessor);
    const struct head cut =
        predecessor == NULL ? (struct head){0} : load_longest_head(leader, predecessor);
    enum status status = write_term(leader, now_us);
    if (status == STATUS_OK && predecessor != NULL) {
        status = closing_write(leader, &leader->load.predecessor, cut, SYNC_CLOSE_RESTART,
                               buffer_bytes(&leader->all.fences), now_us);
    }
    if (status == STATUS_OK) {
        status = close_open_branches(leader, now_us);
    }
    if (status == STATUS_OK && leader->policy_body.length > 0) {
        status = leader_write(leader, RECORD_POLICY, buffer_bytes(&leader->policy_body), NULL, 0,
                              now_us);
    }
    return status;
}

bool takeover_is_rolled_back(struct leader *leader)
{
    struct term term;
    const struct genesis *genesis = capsule_genesis(leader->capsule);
    enum status status =
        term_decode(&term, buffer_bytes(&leader->term_body), &genesis->owner, &genesis->capsule);
    return status != STATUS_OK ||
           (term.sync_epoch > 0 &&
            !capsule_includes_sync(leader->capsule, &term.sync, term.sync_epoch));
}

/*
 * The last record of a branch tells how far its clock had gone, unless a PRUNE made it dispensable.
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

/* ---- a rollback ---- */

/* P8: the owner is told, and shown what the stores have signed. */
static enum status refuse_rolled_back(struct leader *leader)
{
    leader->stage = LEADER_REFUSING;
    return takeover_give_up(
        leader, STATUS_FORGED,
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
    return closing_fence(leader, asked, now_us);
}

static bool has_heard_all(const struct leader *leader, const struct leader_closing *asked)
{
    return asked->answer_count == stores_count(&leader->stores);
}

/* R answers prove it; those of the others may come within a moment. */
static enum status tick_refusing(struct leader *leader, uint64_t now_us)
{
    struct leader_closing *asked = &leader->closings[0];
    uint64_t waited_us = now_us - leader->rollback_us;
    bool is_enough = leader_is_answered(leader, asked);
    if (has_heard_all(leader, asked) || waited_us >= TAKEOVER_SILENCE_US ||
        (is_enough && waited_us >= TAKEOVER_LATE_US)) {
        return refuse_rolled_back(leader);
    }
    return now_us < asked->asked_us + LEADER_ASK_US ? STATUS_OK
                                                    : closing_fence(leader, asked, now_us);
}

/*
 * A store that has not answered yet may hold what these lack. It is asked once more, for
 * everything: an answer about one branch must never be taken for one about all.
 */
enum status takeover_await_holder(struct leader *leader, uint64_t now_us)
{
    leader->rollback_us = now_us;
    leader->rollback_answers = leader->all.answer_count;
    if (has_heard_all(leader, &leader->all)) {
        return ask_for_denials(leader, now_us);
    }
    log_event(leader->log, "a SYNC that the owner has seen is missing: waiting for other stores");
    return closing_fence(leader, &leader->all, now_us);
}

static enum status tick_awaiting(struct leader *leader, struct leader_time time)
{
    if (leader->all.answer_count > leader->rollback_answers) {
        leader->rollback_us = 0;
        enum status status = leader_forget(leader);
        return status == STATUS_OK ? load_begin(leader, time) : status;
    }
    return time.now_us < leader->rollback_us + TAKEOVER_LATE_US
               ? STATUS_OK
               : ask_for_denials(leader, time.now_us);
}

enum status takeover_write(struct leader *leader, struct leader_time time)
{
    if (lacks_bodies(leader)) {
        return takeover_give_up(
            leader, STATUS_DAMAGED,
            "the store lacks bodies that no PRUNE names; run 'paranoid capsule verify'");
    }
    if (takeover_is_rolled_back(leader)) {
        return takeover_await_holder(leader, time.now_us);
    }
    note_loaded(leader);
    enum status status = write_first_records(leader, time.now_us);
    if (status == STATUS_CLOSED) {
        return takeover_give_up(leader, STATUS_DENIED,
                                "the first records of the term were refused");
    }
    leader->stage = LEADER_TAKING_OVER;
    leader->taking_over_us = time.now_us;
    return status;
}

/*
 * A receipt may have got lost long ago, or have been given to the leader before: let the stores say
 * again what they hold, as long as a cut waits for that.
 */
static enum status recall(struct leader *leader, uint64_t now_us)
{
    if (leader->recalled_us != 0 && now_us < leader->recalled_us + TAKEOVER_RECALL_US) {
        return STATUS_OK;
    }
    static const uint8_t nonce[FRAME_NONCE_BYTES];  // receipts speak for themselves
    leader->recalled_us = now_us;
    return leader_send(leader, FRAME_RECALL, leader_next_request(leader), &everyone,
                       bytes_of(nonce, sizeof nonce));
}

/*
 * Where other stores count than before: whether W of them lack some of what those held. Branches
 * that ended long ago are in no SYNC to come, so that nobody else would notice.
 */
static bool lacks_history(struct leader *leader)
{
    const struct capsule *capsule = leader->capsule;
    if (!leader->stores.has_former) {
        return false;
    }
    for (size_t i = 0; i < capsule_member_count(capsule); i++) {
        const struct capsule_member *member = capsule_member_at(capsule, i);
        if (member->is_closed && !member->is_void &&
            !durable_covers(leader->durable, &member->id, member->cut.sequence)) {
            return true;
        }
    }
    for (size_t i = 0; i < capsule_gone_count(capsule); i++) {
        const struct capsule_gone *gone = capsule_gone_at(capsule, i);
        if (!durable_covers(leader->durable, &gone->id, gone->cut)) {
            return true;
        }
    }
    return false;
}

/* The first SYNC waits for the cuts it names, and the role for that SYNC. */
static enum status finish(struct leader *leader, struct leader_time time)
{
    bool is_written = leader->takeover_sequence != 0;
    if (is_written && leader_own_is_durable(leader, leader->takeover_sequence)) {
        leader->stage = LEADER_LEADING;
        leader->sync_us = time.now_us;
        enum status status = leader_send(leader, FRAME_READY, 0, &everyone, bytes_of(NULL, 0));
        return status == STATUS_OK ? news_tell(leader, time.now_us) : status;
    }
    if (time.now_us >= leader->taking_over_us + TAKEOVER_PATIENCE_US) {
        return takeover_give_up(leader, STATUS_TIMEOUT,
                                "too few stores hold what earlier terms left");
    }
    if (is_written) {
        return STATUS_OK;
    }
    if (epoch_lacks_cut(leader) || lacks_history(leader)) {
        return recall(leader, time.now_us);
    }
    enum status status = epoch_write_sync(leader, time);
    leader->takeover_sequence = leader_own_sequence(leader);
    return status == STATUS_CLOSED
               ? takeover_give_up(leader, STATUS_DENIED, "the first SYNC of the term was refused")
               : status;
}

enum status takeover_tick(struct leader *leader, struct leader_time time)
{
    switch (leader->stage) {
    case LEADER_IDLE:
        return STATUS_OK;
    case LEADER_FENCING:
        return time.now_us >= leader->all.asked_us + LEADER_ASK_US
                   ? closing_fence(leader, &leader->all, time.now_us)
                   : STATUS_OK;
    case LEADER_LOADING:
        return leader->rollback_us != 0 ? tick_awaiting(leader, time) : load_tick(leader, time);
    case LEADER_REFUSING:
        return tick_refusing(leader, time.now_us);
    case LEADER_TAKING_OVER:
        return finish(leader, time);
    case LEADER_LEADING:
        break;
    }
    enum status status = closing_tick(leader, time.now_us);
    if (status == STATUS_OK && epoch_lacks_cut(leader)) {
        status = recall(leader, time.now_us);
    }
    return status;
}
