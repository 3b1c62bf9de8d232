/* src/leader/vouching.c */
#include "leader/leader_internal.h"

#include "wire/vouch.h"

/*
 * The leader speaks for a member before a client of that member: fresh evidence over the client's
 * nonce that names the app's TLS root, the leader's key and the member (wire/vouch.h). It does so
 * for members that are open at that time, and for nobody else.
 */

static void vouching_drop(struct leader_vouching *vouching)
{
    buffer_release(&vouching->evidence);
    *vouching = (struct leader_vouching){.is_used = false};
}

void vouching_release(struct leader *leader)
{
    for (size_t i = 0; i < LEADER_VOUCHINGS_MAX; i++) {
        vouching_drop(&leader->vouchings[i]);
    }
}

/* The member's own place (it asks for one thing at a time), a free one, or the oldest. */
static struct leader_vouching *vouching_place(struct leader *leader, const struct writer_id *member)
{
    struct leader_vouching *place = &leader->vouchings[0];
    for (size_t i = 0; i < LEADER_VOUCHINGS_MAX; i++) {
        struct leader_vouching *vouching = &leader->vouchings[i];
        if (vouching->is_used && writer_id_equal(&vouching->member, member)) {
            return vouching;
        }
        bool is_better = !vouching->is_used || vouching->order < place->order;
        place = place->is_used && is_better ? vouching : place;
    }
    return place;
}

enum status vouching_receive_ask(struct leader *leader, const struct capsule_member *member,
                                 const struct message_vouch_ask *ask)
{
    if (member->is_closed || member->revoked_epoch != 0 || leader->stage != LEADER_LEADING) {
        return STATUS_OK;
    }
    struct leader_vouching *vouching = vouching_place(leader, &member->id);
    vouching_drop(vouching);
    enum status status = buffer_append(&vouching->evidence, ask->evidence.at, ask->evidence.length);
    if (status == STATUS_OK) {
        status = shelf_complete(&leader->shelf, &vouching->evidence);
    }
    if (status != STATUS_OK) {
        vouching_drop(vouching);
        return status;
    }
    vouching->is_used = true;
    vouching->member = member->id;
    vouching->request = ask->request;
    vouching->order = ++leader->vouching_order;
    vouching->evidence_request = leader_next_request(leader);

    uint8_t report_data[HASH512_BYTES];
    const struct vouch_statement statement = {
        .nonce = ask->nonce,
        .capsule = capsule_name(leader->capsule),
        .leader = &leader->public_key,
        .root = buffer_bytes(&leader->root),
        .worker = &member->id,
    };
    vouch_leader_data(report_data, &statement);
    return leader_send(leader, FRAME_EVIDENCE, vouching->evidence_request, &member->id,
                       bytes_of(report_data, sizeof report_data));
}

static enum status answer(struct leader *leader, const struct leader_vouching *vouching,
                          const struct buffer *own)
{
    const struct capsule_member *member = capsule_member_find(leader->capsule, &vouching->member);
    struct channel *channel =
        member == NULL || member->is_closed ? NULL : leader_peer_of(leader, member)->channel;
    const struct vouch vouch = {
        .worker = vouching->member,
        .evidence = buffer_bytes(&vouching->evidence),
        .term_body = buffer_bytes(&leader->term_body),
        .root = buffer_bytes(&leader->root),
        .leader_evidence = buffer_bytes(own),
        .policy_body = capsule_policy_body(leader->capsule),
    };
    bool is_sized = vouch.evidence.length <= VOUCH_EVIDENCE_BYTES_MAX &&
                    vouch.leader_evidence.length > 0 &&
                    vouch.leader_evidence.length <= VOUCH_EVIDENCE_BYTES_MAX &&
                    vouch.term_body.length <= VOUCH_TERM_BYTES_MAX &&
                    vouch.policy_body.length <= VOUCH_POLICY_BYTES_MAX;
    if (channel == NULL || !is_sized) {
        return STATUS_OK;
    }
    struct buffer encoded = BUFFER_EMPTY, plain = BUFFER_EMPTY;
    enum status status = vouch_encode(&encoded, &vouch);
    if (status == STATUS_OK) {
        const struct message_vouch message = {
            .request = vouching->request,
            .vouch = buffer_bytes(&encoded),
        };
        status = message_vouch_encode(&plain, &message);
    }
    if (status == STATUS_OK) {
        status = leader_send_sealed(leader, channel, &vouching->member, buffer_bytes(&plain));
    }
    buffer_release(&encoded);
    buffer_release(&plain);
    return status;
}

enum status vouching_receive_evidence(struct leader *leader, const struct frame *frame)
{
    for (size_t i = 0; i < LEADER_VOUCHINGS_MAX; i++) {
        struct leader_vouching *vouching = &leader->vouchings[i];
        if (!vouching->is_used || frame->request != vouching->evidence_request) {
            continue;
        }
        struct buffer own = BUFFER_EMPTY;
        enum status status = buffer_append(&own, frame->body.at, frame->body.length);
        if (status == STATUS_OK) {
            status = shelf_complete(&leader->shelf, &own);
        }
        if (status == STATUS_OK) {
            status = answer(leader, vouching, &own);
        }
        buffer_release(&own);
        vouching_drop(vouching);
        return status;
    }
    return STATUS_OK;
}
