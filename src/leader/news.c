/* src/leader/news.c */
#include "capsule/proof.h"
#include "leader/leader_internal.h"

/*
 * What shows the owner that a SYNC counts: W stores have signed to hold it. When the stores hold it
 * no more one day, the owner can prove that they once did (P8).
 */
enum {
    WARRANT_INTERVAL_US = 2 * 1000 * 1000,  // between two that the owner is told of unasked
    WARRANT_BYTES_MAX = 4 << 20,            // it travels in a message
};

enum status news_note_sync(struct leader *leader, const struct record *record)
{
    buffer_clear(&leader->sync_record);
    return buffer_append(&leader->sync_record, record->whole.at, record->whole.length);
}

/* Once W stores hold the newest SYNC, what shows it takes the place of what was here. */
static enum status refresh(struct leader *leader)
{
    struct buffer receipts = BUFFER_EMPTY, warrant = BUFFER_EMPTY;
    struct record record;
    enum status status = STATUS_OK;
    if (leader->sync_record.length == 0 || !leader_own_is_durable(leader, leader->sync_sequence)) {
        return STATUS_OK;
    }
    status = record_decode(&record, leader->sync_record.bytes, leader->sync_record.length);
    if (status == STATUS_OK) {
        const struct head head = {.sequence = record.sequence, .hash = record.hash};
        durable_collect_begin(leader->durable);
        status = durable_collect(leader->durable, &leader->id, &head, &receipts);
    }
    if (status == STATUS_GAP) {
        status = STATUS_OK;  // a store has lied: others will have signed, too
        goto done;
    }
    if (status == STATUS_OK) {
        status = proof_warrant_encode(&warrant, buffer_bytes(&leader->term_body),
                                      buffer_bytes(&leader->sync_record), buffer_bytes(&receipts));
    }
    if (status == STATUS_OK && warrant.length <= WARRANT_BYTES_MAX) {
        leader->warrant_epoch = record.epoch;
        leader->warrant_sync = record.hash;
        buffer_release(&leader->warrant);
        leader->warrant = warrant;
        warrant = BUFFER_EMPTY;
    }
    buffer_clear(&leader->sync_record);
done:
    buffer_release(&receipts);
    buffer_release(&warrant);
    return status;
}

enum status news_fill(struct leader *leader, struct message_answer *answer)
{
    enum status status = refresh(leader);
    answer->sync_epoch = leader->warrant_epoch;
    answer->sync = leader->warrant_sync;
    answer->statements = buffer_bytes(&leader->warrant);
    return status;
}

enum status news_tell(struct leader *leader, uint64_t now_us)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < LEADER_SESSIONS_MAX && status == STATUS_OK; i++) {
        if (leader->sessions[i].is_used && leader->sessions[i].is_told) {
            status = leader_answer(leader, &leader->sessions[i].peer, 0, STATUS_OK, "leading");
        }
    }
    leader->told_us = now_us;
    leader->told_epoch = leader->warrant_epoch;
    return status;
}

enum status news_tick(struct leader *leader, uint64_t now_us, uint64_t *wake_us)
{
    enum status status = refresh(leader);
    if (status != STATUS_OK || leader->warrant_epoch <= leader->told_epoch) {
        return status;
    }
    uint64_t due_us = leader->told_us + WARRANT_INTERVAL_US;
    if (now_us < due_us) {
        *wake_us = due_us < *wake_us ? due_us : *wake_us;
        return STATUS_OK;
    }
    return news_tell(leader, now_us);
}

void news_release(struct leader *leader)
{
    buffer_release(&leader->sync_record);
    buffer_release(&leader->warrant);
}
