/* src/wire/join.c */
#include "wire/join.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "base/encoder.h"
#include "capsule/term.h"
#include "crypto/hash512.h"

enum {
    JOIN_VERSION = 1,
    STEP_BYTES = 1,
    APPLY_BYTES = 1 + 1 + HASH_BYTES + AGREE_PUBLIC_BYTES + JOIN_NONCE_BYTES + SIGN_PUBLIC_BYTES +
                  P256_PUBLIC_BYTES,
    ANSWER_FIXED_BYTES = AGREE_PUBLIC_BYTES + JOIN_NONCE_BYTES + 4 + SIGN_SIGNATURE_BYTES,
    PROVE_BYTES_MAX = MEMBER_EVIDENCE_BYTES_MAX + CHANNEL_OVERHEAD_BYTES,
};

// A label separates everything made in one use of the handshake from the other's.
struct label_texts {
    const char *applicant;
    const char *judge;
    const char *member;
};

static const struct label_texts *label_texts(enum join_label label)
{
    static const struct label_texts texts[] = {
        [JOIN_MEMBER] = {.applicant = "paranoid join v1 applicant",
                         .judge = "paranoid join v1 judge",
                         .member = "paranoid join v1 member"},
        [JOIN_PROVISION] = {.applicant = "paranoid provision v1 applicant",
                            .judge = "paranoid provision v1 judge",
                            .member = "paranoid provision v1 member"},
    };
    CHECK(label == JOIN_MEMBER || label == JOIN_PROVISION);
    return &texts[label];
}

/*
 * A side of the handshake moves forward only:
 *
 *     applicant  AWAITS_ANSWER  -- join_applicant_answer() -->  AWAITS_EVIDENCE
 *                               -- join_applicant_prove() -->  OVER
 *     judge      AWAITS_PROOF   -- join_judge_prove() -->  OVER
 *
 * and to OVER when a message of the peer's is refused. What comes out of turn is STATUS_STALE.
 */
enum join_state { AWAITS_ANSWER, AWAITS_EVIDENCE, AWAITS_PROOF, OVER };

struct join_applicant {
    enum join_state state;
    const struct label_texts *texts;
    struct hash capsule;
    struct agree_key *agree;     // until the answer
    uint8_t apply[APPLY_BYTES];  // message 1, for the transcript
    struct channel *channel;     // from the answer until the proof
};

struct join_judge {
    enum join_state state;
    struct channel *channel;  // until the proof
    uint8_t report_data[JOIN_REPORT_DATA_BYTES];
};

static struct hash transcript_hash(struct bytes apply, struct bytes answer)
{
    const struct bytes parts[] = {apply, answer};
    return hash_of_parts(parts, sizeof parts / sizeof *parts);
}

static void report_data_make(uint8_t target[JOIN_REPORT_DATA_BYTES],
                             const struct label_texts *texts, const struct hash *transcript)
{
    const struct bytes parts[] = {
        bytes_text(texts->member),
        bytes_of(transcript->bytes, sizeof transcript->bytes),
    };
    hash512_of_parts(target, parts, sizeof parts / sizeof *parts);
}

/* The side whose purpose is `send` talks with the key that the other receives with. */
static struct channel *channel_derive(const struct secret *shared, const char *send,
                                      const char *receive, const struct hash *transcript)
{
    struct bytes context = bytes_of(transcript->bytes, sizeof transcript->bytes);
    struct secret *send_key = secret_derive(shared, send, context);
    struct secret *receive_key = secret_derive(shared, receive, context);
    return channel_new(&send_key, &receive_key);
}

static bool is_printable(struct bytes text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (text.at[i] < ' ' || text.at[i] > '~') {
            return false;
        }
    }
    return true;
}

enum status join_decode(enum join_step *step, struct bytes *message, struct bytes body)
{
    struct cursor in = cursor_over(body.at, body.length);
    uint8_t number = cursor_u8(&in);
    struct bytes rest = cursor_bytes(&in, in.left);
    bool is_sized = false;

    switch (number) {
    case JOIN_CALL:
        is_sized = rest.length == 0;
        break;
    case JOIN_APPLY:
        is_sized = rest.length == APPLY_BYTES;
        break;
    case JOIN_ANSWER:
        is_sized = rest.length >= ANSWER_FIXED_BYTES;
        break;
    case JOIN_PROVE:
        is_sized = rest.length >= CHANNEL_OVERHEAD_BYTES && rest.length <= PROVE_BYTES_MAX;
        break;
    case JOIN_REFUSED:
        is_sized = rest.length <= JOIN_REASON_BYTES_MAX && is_printable(rest);
        break;
    default:
        break;
    }
    if (in.failed || !is_sized) {
        return STATUS_MALFORMED;
    }
    *step = number;
    *message = rest;
    return STATUS_OK;
}

/* Append a step and room for its message; `message` is to be filled. */
static enum status step_append(struct buffer *target, enum join_step step, size_t message_bytes,
                               struct encoder *message)
{
    enum status status = buffer_reserve(target, STEP_BYTES + message_bytes);
    if (status != STATUS_OK) {
        return status;
    }
    target->bytes[target->length] = (uint8_t)step;
    *message = encoder_over(target->bytes + target->length + STEP_BYTES, message_bytes);
    target->length += STEP_BYTES + message_bytes;
    return STATUS_OK;
}

static void apply_encode(uint8_t target[APPLY_BYTES], const struct join_apply *apply)
{
    struct encoder out = encoder_over(target, APPLY_BYTES);
    encoder_u8(&out, JOIN_VERSION);
    encoder_u8(&out, (uint8_t)apply->role);
    encoder_bytes(&out, apply->capsule.bytes, HASH_BYTES);
    encoder_bytes(&out, apply->agree.bytes, AGREE_PUBLIC_BYTES);
    encoder_bytes(&out, apply->nonce, JOIN_NONCE_BYTES);
    encoder_bytes(&out, apply->key.bytes, SIGN_PUBLIC_BYTES);
    encoder_bytes(&out, apply->tls_key.bytes, P256_PUBLIC_BYTES);
    CHECK(!out.failed && out.length == APPLY_BYTES);
}

static enum status apply_decode(struct join_apply *apply, struct bytes message)
{
    struct cursor in = cursor_over(message.at, message.length);
    struct join_apply decoded;

    uint8_t version = cursor_u8(&in);
    uint8_t role = cursor_u8(&in);
    cursor_copy(&in, decoded.capsule.bytes, HASH_BYTES);
    cursor_copy(&in, decoded.agree.bytes, AGREE_PUBLIC_BYTES);
    cursor_copy(&in, decoded.nonce, JOIN_NONCE_BYTES);
    cursor_copy(&in, decoded.key.bytes, SIGN_PUBLIC_BYTES);
    cursor_copy(&in, decoded.tls_key.bytes, P256_PUBLIC_BYTES);

    if (!cursor_done(&in) || version != JOIN_VERSION) {
        return STATUS_MALFORMED;
    }
    if (role < MEMBER_LEADER || role > MEMBER_COMPACTOR) {
        return STATUS_MALFORMED;
    }
    decoded.role = role;
    *apply = decoded;
    return STATUS_OK;
}

struct answer {
    struct agree_public agree;
    struct bytes term_body;  // borrowed
    struct signature signature;
    struct bytes unsigned_bytes;  // borrowed: everything before the signature
};

static enum status answer_decode(struct answer *answer, struct bytes message)
{
    struct cursor in = cursor_over(message.at, message.length);

    cursor_copy(&in, answer->agree.bytes, AGREE_PUBLIC_BYTES);
    cursor_take(&in, JOIN_NONCE_BYTES);  // freshness: it counts in the transcript alone
    answer->term_body = cursor_run(&in);
    cursor_copy(&in, answer->signature.bytes, SIGN_SIGNATURE_BYTES);

    if (!cursor_done(&in)) {
        return STATUS_MALFORMED;
    }
    answer->unsigned_bytes = bytes_of(message.at, message.length - SIGN_SIGNATURE_BYTES);
    return STATUS_OK;
}

enum status join_applicant_new(struct join_applicant **applicant, enum join_label label,
                               enum member_role role, const struct hash *capsule,
                               const struct verify_key *key, const struct p256_public *tls_key,
                               const struct random *random, struct buffer *target)
{
    *applicant = NULL;
    struct join_applicant *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    made->state = AWAITS_ANSWER;
    made->texts = label_texts(label);
    made->capsule = *capsule;
    made->agree = agree_key_new(random);

    struct join_apply apply = {
        .role = role,
        .capsule = *capsule,
        .agree = agree_key_public(made->agree),
        .key = *key,
        .tls_key = *tls_key,
    };
    random_fill(random, apply.nonce, sizeof apply.nonce);
    apply_encode(made->apply, &apply);

    struct encoder out;
    enum status status = step_append(target, JOIN_APPLY, APPLY_BYTES, &out);
    if (status != STATUS_OK) {
        join_applicant_free(made);
        return status;
    }
    encoder_bytes(&out, made->apply, APPLY_BYTES);
    *applicant = made;
    return STATUS_OK;
}

void join_applicant_free(struct join_applicant *applicant)
{
    if (applicant == NULL) {
        return;
    }
    agree_key_free(applicant->agree);
    channel_free(applicant->channel);
    free(applicant);
}

/* Who has to have signed the answer: the owner, or the leader whom the owner's TERM names. */
static enum status answer_judge(struct verify_key *judge, uint64_t *term,
                                const struct join_applicant *applicant, const struct answer *answer,
                                const struct verify_key *owner)
{
    if (applicant->texts == label_texts(JOIN_PROVISION)) {
        *judge = *owner;
        *term = 0;
        if (answer->term_body.length == 0) {
            return STATUS_OK;
        }
        struct delegation delegation;
        enum status status =
            delegation_decode(&delegation, answer->term_body, owner, &applicant->capsule);
        if (status == STATUS_OK) {
            *judge = delegation.keeper;
        }
        return status;
    }
    struct term decoded;
    enum status status = term_decode(&decoded, answer->term_body, owner, &applicant->capsule);
    if (status != STATUS_OK) {
        return status;
    }
    *judge = decoded.leader;
    *term = decoded.number;
    return STATUS_OK;
}

enum status join_applicant_answer(struct join_applicant *applicant, struct bytes message,
                                  const struct verify_key *owner, uint64_t *term,
                                  struct verify_key *leader,
                                  uint8_t report_data[JOIN_REPORT_DATA_BYTES])
{
    if (applicant->state != AWAITS_ANSWER) {
        return STATUS_STALE;
    }
    applicant->state = OVER;
    struct bytes apply = bytes_of(applicant->apply, APPLY_BYTES);
    struct secret *shared = NULL;

    struct answer answer;
    enum status status = answer_decode(&answer, message);
    if (status != STATUS_OK) {
        goto done;
    }
    uint64_t judge_term;
    struct verify_key judge;
    status = answer_judge(&judge, &judge_term, applicant, &answer, owner);
    if (status != STATUS_OK) {
        goto done;
    }
    struct hash signed_hash = transcript_hash(apply, answer.unsigned_bytes);
    status = sign_verify(&judge, applicant->texts->judge, bytes_of(signed_hash.bytes, HASH_BYTES),
                         &answer.signature);
    if (status != STATUS_OK) {
        goto done;
    }
    status = agree_shared(&shared, applicant->agree, &answer.agree);
    if (status != STATUS_OK) {
        goto done;
    }

    struct hash transcript = transcript_hash(apply, message);
    applicant->channel =
        channel_derive(shared, applicant->texts->applicant, applicant->texts->judge, &transcript);
    applicant->state = AWAITS_EVIDENCE;
    report_data_make(report_data, applicant->texts, &transcript);
    *term = judge_term;
    *leader = judge;

done:
    secret_free(shared);
    agree_key_free(applicant->agree);
    applicant->agree = NULL;
    return status;
}

enum status join_applicant_prove(struct join_applicant *applicant, struct bytes evidence,
                                 struct buffer *target, struct channel **channel)
{
    *channel = NULL;
    if (applicant->state != AWAITS_EVIDENCE) {
        return STATUS_STALE;
    }
    if (evidence.length > MEMBER_EVIDENCE_BYTES_MAX) {
        return STATUS_MALFORMED;  // the host's: it may try again
    }
    // Room for both first, so that nothing of `target` has to be taken back.
    enum status status =
        buffer_reserve(target, STEP_BYTES + CHANNEL_OVERHEAD_BYTES + evidence.length);
    if (status != STATUS_OK) {
        return status;
    }
    struct encoder none;
    status = step_append(target, JOIN_PROVE, 0, &none);
    CHECK(status == STATUS_OK);
    status = channel_seal(applicant->channel, target, evidence);
    CHECK(status == STATUS_OK);

    *channel = applicant->channel;
    applicant->channel = NULL;
    applicant->state = OVER;
    return STATUS_OK;
}

/* Append message 2, signed; `transcript` receives T. */
static enum status answer_append(struct buffer *target, struct hash *transcript,
                                 const struct label_texts *texts, struct bytes apply,
                                 const struct agree_public *agree, struct bytes term_body,
                                 const struct sign_key *key, const struct random *random)
{
    CHECK(term_body.length <= UINT32_MAX);
    struct encoder out;
    enum status status =
        step_append(target, JOIN_ANSWER, ANSWER_FIXED_BYTES + term_body.length, &out);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_bytes(&out, agree->bytes, AGREE_PUBLIC_BYTES);
    random_fill(random, encoder_reserve(&out, JOIN_NONCE_BYTES), JOIN_NONCE_BYTES);
    encoder_run(&out, term_body);

    struct hash signed_hash = transcript_hash(apply, bytes_of(out.start, out.length));
    struct signature signature =
        sign_make(key, texts->judge, bytes_of(signed_hash.bytes, HASH_BYTES));
    encoder_bytes(&out, signature.bytes, SIGN_SIGNATURE_BYTES);
    CHECK(!out.failed && out.length == out.capacity);
    *transcript = transcript_hash(apply, bytes_of(out.start, out.length));
    return STATUS_OK;
}

enum status join_judge_new(struct join_judge **judge, enum join_label label, struct bytes message,
                           struct bytes term_body, const struct sign_key *key,
                           const struct random *random, struct join_apply *apply,
                           struct buffer *target)
{
    const struct label_texts *texts = label_texts(label);
    CHECK(label == JOIN_PROVISION || term_body.length > 0);
    *judge = NULL;

    struct join_apply decoded;
    enum status status = apply_decode(&decoded, message);
    if (status != STATUS_OK) {
        return status;
    }
    struct join_judge *made = NULL;
    struct secret *shared = NULL;
    struct agree_key *agree = agree_key_new(random);
    struct agree_public agree_public = agree_key_public(agree);
    status = agree_shared(&shared, agree, &decoded.agree);
    if (status != STATUS_OK) {
        goto done;
    }
    made = calloc(1, sizeof *made);
    if (made == NULL) {
        status = STATUS_NO_MEMORY;
        goto done;
    }
    struct hash transcript;
    status =
        answer_append(target, &transcript, texts, message, &agree_public, term_body, key, random);
    if (status != STATUS_OK) {
        goto done;
    }

    made->state = AWAITS_PROOF;
    made->channel = channel_derive(shared, texts->judge, texts->applicant, &transcript);
    report_data_make(made->report_data, texts, &transcript);
    *apply = decoded;
    *judge = made;
    made = NULL;

done:
    join_judge_free(made);
    secret_free(shared);
    agree_key_free(agree);
    return status;
}

void join_judge_free(struct join_judge *judge)
{
    if (judge == NULL) {
        return;
    }
    channel_free(judge->channel);
    free(judge);
}

enum status join_judge_prove(struct join_judge *judge, struct bytes message,
                             struct buffer *evidence, uint8_t report_data[JOIN_REPORT_DATA_BYTES],
                             struct channel **channel)
{
    *channel = NULL;
    if (judge->state != AWAITS_PROOF) {
        return STATUS_STALE;
    }
    judge->state = OVER;
    if (message.length > PROVE_BYTES_MAX) {
        return STATUS_MALFORMED;
    }
    enum status status = channel_open(judge->channel, evidence, message);
    if (status != STATUS_OK) {
        return status;
    }
    memcpy(report_data, judge->report_data, JOIN_REPORT_DATA_BYTES);
    *channel = judge->channel;
    judge->channel = NULL;
    return STATUS_OK;
}

enum status join_call(struct buffer *target)
{
    struct encoder none;
    return step_append(target, JOIN_CALL, 0, &none);
}

enum status join_refuse(struct buffer *target, const char *reason)
{
    size_t length = strnlen(reason, JOIN_REASON_BYTES_MAX);
    struct encoder out;
    enum status status = step_append(target, JOIN_REFUSED, length, &out);
    if (status != STATUS_OK) {
        return status;
    }
    // A reason may quote what a stranger sent: it must not forge lines in the reader's log.
    for (size_t i = 0; i < length; i++) {
        bool is_plain = is_printable(bytes_of(&reason[i], 1));
        encoder_u8(&out, is_plain ? (uint8_t)reason[i] : '?');
    }
    return STATUS_OK;
}
