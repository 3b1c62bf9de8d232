/* src/cli/session.c */
#include "cli/session.h"

#include <stdio.h>

#include "attest/evidence.h"
#include "base/check.h"
#include "base/hex.h"

void session_init(struct session *session, const struct session_config *config)
{
    *session = (struct session){.config = *config, .state = SESSION_IDLE};
}

static void begin_again(struct session *session)
{
    join_judge_free(session->judge);
    channel_free(session->channel);
    session->judge = NULL;
    session->channel = NULL;
    session->state = SESSION_IDLE;
    buffer_clear(&session->evidence);
}

void session_release(struct session *session)
{
    begin_again(session);
    buffer_release(&session->evidence);
    buffer_release(&session->plain);
}

static enum status to_leader(enum frame_kind kind, struct bytes body, struct buffer *frame)
{
    return frame_encode(frame, kind, 0, &frame_to_leader, body);
}

enum status session_call(struct session *session, struct buffer *frame)
{
    struct buffer body = BUFFER_EMPTY;
    begin_again(session);
    enum status status = join_call(&body);
    if (status == STATUS_OK) {
        status = to_leader(FRAME_JOIN, buffer_bytes(&body), frame);
    }
    if (status == STATUS_OK) {
        session->state = SESSION_CALLED;
    }
    buffer_release(&body);
    return status;
}

/* The leader hears why, in words that hold no secret. */
static enum status refuse(struct session *session, struct buffer *reply)
{
    struct buffer body = BUFFER_EMPTY;
    begin_again(session);
    enum status status = join_refuse(&body, session->reason);
    if (status == STATUS_OK) {
        status = to_leader(FRAME_JOIN, buffer_bytes(&body), reply);
    }
    buffer_release(&body);
    return status == STATUS_OK ? STATUS_DENIED : status;
}

static enum status receive_apply(struct session *session, struct bytes message,
                                 struct buffer *reply)
{
    const struct session_config *config = &session->config;
    struct join_apply apply;
    struct buffer body = BUFFER_EMPTY;
    enum status status =
        join_judge_new(&session->judge, JOIN_PROVISION, message, config->delegation, config->owner,
                       config->random, &apply, &body);
    if (status == STATUS_NO_MEMORY) {
        goto done;
    }
    if (status != STATUS_OK) {
        snprintf(session->reason, sizeof session->reason, "its application is %s",
                 status_text(status));
        status = refuse(session, reply);
        goto done;
    }
    if (apply.role != MEMBER_LEADER || !hash_equal(&apply.capsule, &config->genesis->capsule)) {
        snprintf(session->reason, sizeof session->reason,
                 "it is no leader of this capsule: it applies as %s", member_role_text(apply.role));
        status = refuse(session, reply);
        goto done;
    }
    status = to_leader(FRAME_JOIN, buffer_bytes(&body), reply);
    if (status == STATUS_OK) {
        session->leader = apply.key;
        session->state = SESSION_CHALLENGED;
        status = STATUS_EMPTY;
    }

done:
    buffer_release(&body);
    return status;
}

static void describe_verdict(struct session *session)
{
    const struct verdict *verdict = &session->verdict;
    snprintf(session->reason, sizeof session->reason, "%s (%s)%s%s; %s",
             verdict_sentence(verdict->reason), verdict_code(verdict->reason),
             verdict->detail[0] != '\0' ? ": " : "", verdict->detail,
             verdict_remedy(verdict->reason));
}

static enum status receive_proof(struct session *session, struct bytes message, uint64_t now_s,
                                 struct buffer *reply)
{
    const struct policy *policy = session->config.policy;
    uint8_t report_data[JOIN_REPORT_DATA_BYTES];
    enum status status = join_judge_prove(session->judge, message, &session->evidence, report_data,
                                          &session->channel);
    if (status == STATUS_NO_MEMORY) {
        return status;
    }
    if (status == STATUS_STALE) {
        return STATUS_EMPTY;
    }
    if (status != STATUS_OK) {
        snprintf(session->reason, sizeof session->reason, "its proof is %s", status_text(status));
        return refuse(session, reply);
    }
    const struct evidence_roots roots = policy_roots(policy, vendor_pinned());
    const struct verdict genuine = evidence_verify(buffer_bytes(&session->evidence), now_s, &roots);
    session->verdict = policy_judge(policy, &genuine, report_data, POLICY_LEADER);
    if (!session->verdict.is_admitted) {
        describe_verdict(session);
        return refuse(session, reply);
    }
    session->state = SESSION_TRUSTED;
    return STATUS_OK;
}

static enum status receive_join(struct session *session, const struct frame *frame, uint64_t now_s,
                                struct buffer *reply)
{
    enum join_step step;
    struct bytes message;
    if (join_decode(&step, &message, frame->body) != STATUS_OK) {
        return STATUS_EMPTY;
    }
    if (step == JOIN_APPLY && session->state == SESSION_CALLED) {
        return receive_apply(session, message, reply);
    }
    if (step == JOIN_PROVE && session->state == SESSION_CHALLENGED) {
        return receive_proof(session, message, now_s, reply);
    }
    return STATUS_EMPTY;
}

static enum status receive_channel(struct session *session, const struct frame *frame,
                                   struct message_answer *answer)
{
    struct message message;
    if (session->state != SESSION_TRUSTED) {
        return STATUS_EMPTY;
    }
    buffer_clear(&session->plain);
    enum status status = channel_open(session->channel, &session->plain, frame->body);
    if (status == STATUS_OK) {
        status = message_decode(&message, buffer_bytes(&session->plain));
    }
    if (status == STATUS_NO_MEMORY) {
        return status;
    }
    if (status != STATUS_OK || message.kind != MESSAGE_ANSWER) {
        return STATUS_EMPTY;
    }
    *answer = message.answer;
    return STATUS_OK;
}

enum status session_receive(struct session *session, const struct frame *frame, uint64_t now_s,
                            struct buffer *reply, struct message_answer *answer)
{
    switch (frame->kind) {
    case FRAME_JOIN:
        return receive_join(session, frame, now_s, reply);
    case FRAME_CHANNEL:
        return receive_channel(session, frame, answer);
    case FRAME_REFUSED:
        begin_again(session);
        return STATUS_NOT_FOUND;
    default:
        return STATUS_EMPTY;
    }
}

enum status session_seal(struct session *session, struct bytes plain, struct buffer *frame)
{
    struct buffer sealed = BUFFER_EMPTY;
    CHECK(session->state == SESSION_TRUSTED);
    enum status status = channel_seal(session->channel, &sealed, plain);
    if (status == STATUS_OK) {
        status = to_leader(FRAME_CHANNEL, buffer_bytes(&sealed), frame);
    }
    buffer_release(&sealed);
    return status;
}
