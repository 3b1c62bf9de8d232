/* src/scl/scl_receive.c */
#include <inttypes.h>

#include "scl/scl_internal.h"

void scl_receive_introduction(struct scl *scl, const struct record *record)
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

/* Others may wait for it; what is merely early may come again. */
static bool is_due(const struct scl *scl, const struct record *record,
                   const struct capsule_member *member)
{
    if (member == NULL) {
        return record->type == RECORD_GENESIS || record->type == RECORD_TERM;
    }
    return member->role == MEMBER_LEADER ||
           (record->sequence == member->head.sequence + 1 &&
            scl_open_may_apply(scl, scl_member_index(scl, member), member, record->sequence));
}

enum status scl_receive(struct scl *scl, const struct record *record)
{
    enum status begun = scl_start_receive(scl, record);
    if (begun == STATUS_OK || begun == STATUS_NO_MEMORY) {
        return begun;
    }
    if (record->type == RECORD_TABLE || record->type == RECORD_MANIFEST) {
        enum status status = scl_cold_receive(scl, record);
        if (status != STATUS_NOT_FOUND) {
            return status;
        }
    }
    const struct capsule_member *member = capsule_member_find(scl->capsule, &record->writer);
    scl_repair_follow(scl, member, record);
    if (writer_id_equal(&record->writer, &scl->id) ||
        (member != NULL && record->sequence <= member->head.sequence)) {
        return STATUS_STALE;
    }
    if (!hash_equal(&record->capsule, capsule_name(scl->capsule))) {
        return STATUS_DENIED;
    }
    if (holdback_is_tight(scl->holdback) && !is_due(scl, record, member)) {
        return STATUS_FULL;
    }
    enum status status = holdback_put(scl->holdback, record);
    if (status == STATUS_OK) {
        scl_receive_introduction(scl, record);
        scl->introductions_waiting = 0;
        scl->is_dirty = true;
    }
    return status;
}

static enum status receive_receipt(struct scl *scl, struct bytes receipt)
{
    enum status status = durable_receive(scl->durable, receipt);
    if (status == STATUS_OK) {
        scl_join_newest(scl);
        scl_tag_apply(scl);
    }
    return status;
}

static enum status receive_rts(struct scl *scl, struct bytes body)
{
    struct frame_rts rts;
    enum status status = frame_rts_decode(&rts, body);
    if (status != STATUS_OK) {
        return status;
    }
    const struct capsule_member *leader = capsule_leader(scl->capsule);
    if (leader == NULL || rts.term > capsule_term(scl->capsule)) {
        scl->is_doubtful = true;  // another leads, of whom this replica has not heard
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

static enum status receive_fetched(struct scl *scl, uint32_t request, struct bytes body)
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
        const struct capsule_member *member = capsule_member_find(scl->capsule, &fetch->writer);
        if (fetch->is_probe && fetched.is_end != 0 && member != NULL) {
            scl->peers[scl_member_index(scl, member)].must_probe = false;
        }
        fetch->request = 0;
        scl->is_answered = true;
        return STATUS_OK;
    }
    return STATUS_STALE;
}

static enum status receive_refused(struct scl *scl, struct bytes body)
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
    if (refused.status == STATUS_CLOSED && writer_id_equal(&refused.writer, &scl->id)) {
        scl->is_doubtful = true;
    }
    log_event(scl->log, "store refused sequence=%" PRIu64 " status=%" PRIu32, refused.sequence,
              refused.status);
    return STATUS_OK;
}

enum status scl_receive_frame(struct scl *scl, const struct frame *frame)
{
    switch (frame->kind) {
    case FRAME_RECEIPT:
        return receive_receipt(scl, frame->body);
    case FRAME_RTS:
        return receive_rts(scl, frame->body);
    case FRAME_FETCHED:
        return receive_fetched(scl, frame->request, frame->body);
    case FRAME_REFUSED:
        return receive_refused(scl, frame->body);
    default:
        return STATUS_OK;
    }
}
