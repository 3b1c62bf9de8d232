/* src/wire/message.c */
#include "wire/message.h"

#include "base/check.h"
#include "base/cursor.h"
#include "base/encoder.h"
#include "crypto/certificate.h"

enum { RUN_PREFIX_BYTES = 4, KEY_BYTES = 4 + SECRET_BYTES };

/* An encoder over a new message of `length` bytes at the end of `target`, its kind written. */
static enum status message_begin(struct encoder *out, struct buffer *target, size_t length,
                                 enum message_kind kind)
{
    if (length > MESSAGE_BYTES_MAX) {
        return STATUS_MALFORMED;
    }
    enum status status = encoder_begin(out, target, length);
    if (status == STATUS_OK) {
        encoder_u8(out, (uint8_t)kind);
    }
    return status;
}

static void head_encode(struct encoder *out, const struct branch_head *head)
{
    encoder_bytes(out, head->writer.bytes, WRITER_ID_BYTES);
    encoder_u64(out, head->head.sequence);
    encoder_bytes(out, head->head.hash.bytes, HASH_BYTES);
}

static struct branch_head head_decode(struct cursor *in)
{
    struct branch_head head;
    cursor_copy(in, head.writer.bytes, WRITER_ID_BYTES);
    head.head.sequence = cursor_u64(in);
    cursor_copy(in, head.head.hash.bytes, HASH_BYTES);
    return head;
}

/* Heads are u32 count ‖ 56 bytes each. */
static void heads_encode(struct encoder *out, const struct branch_head *heads, uint32_t count)
{
    encoder_u32(out, count);
    for (uint32_t i = 0; i < count; i++) {
        head_encode(out, &heads[i]);
    }
}

static enum status heads_decode(const uint8_t **heads, uint32_t *count, struct cursor *in)
{
    *count = cursor_u32(in);
    if (*count > MESSAGE_HEADS_MAX) {
        return STATUS_MALFORMED;
    }
    *heads = cursor_take(in, (size_t)*count * BRANCH_HEAD_BYTES);
    return STATUS_OK;
}

static struct branch_head head_at(const uint8_t *heads, uint32_t index)
{
    struct cursor in = cursor_over(heads + (size_t)index * BRANCH_HEAD_BYTES, BRANCH_HEAD_BYTES);
    struct branch_head branch = head_decode(&in);
    CHECK(cursor_done(&in));
    return branch;
}

enum status message_grant_encode(struct buffer *target, const struct message_grant *grant,
                                 const struct branch_head *heads)
{
    CHECK(grant->key_count <= MESSAGE_KEYS_MAX);
    CHECK(grant->token_count <= MESSAGE_TOKENS_MAX);
    CHECK(grant->head_count <= MESSAGE_HEADS_MAX);
    CHECK(grant->certificate.length <= CERTIFICATE_BYTES_MAX);
    CHECK(grant->root.length <= CERTIFICATE_BYTES_MAX);

    size_t length = 1 + 4 + (size_t)grant->key_count * KEY_BYTES + RUN_PREFIX_BYTES +
                    grant->certificate.length + RUN_PREFIX_BYTES + grant->root.length + 4 +
                    (size_t)grant->token_count * HASH_BYTES + BRANCH_HEAD_BYTES + 4 +
                    (size_t)grant->head_count * BRANCH_HEAD_BYTES;
    struct encoder out;
    enum status status = message_begin(&out, target, length, MESSAGE_GRANT);
    if (status != STATUS_OK) {
        return status;
    }

    encoder_u32(&out, grant->key_count);
    for (uint32_t i = 0; i < grant->key_count; i++) {
        encoder_u32(&out, grant->keys[i].key_epoch);
        encoder_bytes(&out, grant->keys[i].secret, SECRET_BYTES);
    }
    encoder_run(&out, grant->certificate);
    encoder_run(&out, grant->root);
    encoder_u32(&out, grant->token_count);
    for (uint32_t i = 0; i < grant->token_count; i++) {
        encoder_bytes(&out, grant->tokens[i].bytes, HASH_BYTES);
    }
    heads_encode(&out, heads, grant->head_count);
    head_encode(&out, &grant->manifest);
    encoder_finish(&out, target);
    return STATUS_OK;
}

static enum status grant_decode(struct message_grant *grant, struct cursor *in)
{
    grant->key_count = cursor_u32(in);
    if (grant->key_count > MESSAGE_KEYS_MAX) {
        return STATUS_MALFORMED;
    }
    for (uint32_t i = 0; i < grant->key_count; i++) {
        grant->keys[i].key_epoch = cursor_u32(in);
        grant->keys[i].secret = cursor_take(in, SECRET_BYTES);
    }

    grant->certificate = cursor_run(in);
    grant->root = cursor_run(in);
    if (grant->certificate.length > CERTIFICATE_BYTES_MAX ||
        grant->root.length > CERTIFICATE_BYTES_MAX) {
        return STATUS_MALFORMED;
    }

    grant->token_count = cursor_u32(in);
    if (grant->token_count > MESSAGE_TOKENS_MAX) {
        return STATUS_MALFORMED;
    }
    for (uint32_t i = 0; i < grant->token_count; i++) {
        cursor_copy(in, grant->tokens[i].bytes, HASH_BYTES);
    }

    enum status status = heads_decode(&grant->heads, &grant->head_count, in);
    grant->manifest = head_decode(in);
    return status;
}

struct branch_head message_grant_head(const struct message_grant *grant, uint32_t index)
{
    CHECK(index < grant->head_count);
    return head_at(grant->heads, index);
}

enum status message_seed_encode(struct buffer *target, const struct message_seed *seed)
{
    struct encoder out;
    size_t length = 1 + SECRET_BYTES + BRANCH_HEAD_BYTES + RUN_PREFIX_BYTES +
                    seed->term_body.length + RUN_PREFIX_BYTES + seed->policy_body.length;
    enum status status = message_begin(&out, target, length, MESSAGE_SEED);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_bytes(&out, seed->seed, SECRET_BYTES);
    head_encode(&out, &seed->sync);
    encoder_run(&out, seed->term_body);
    encoder_run(&out, seed->policy_body);
    encoder_finish(&out, target);
    return STATUS_OK;
}

static void seed_decode(struct message_seed *seed, struct cursor *in)
{
    seed->seed = cursor_take(in, SECRET_BYTES);
    seed->sync = head_decode(in);
    seed->term_body = cursor_run(in);
    seed->policy_body = cursor_run(in);
}

enum status message_deploy_encode(struct buffer *target, const struct message_deploy *deploy)
{
    struct encoder out;
    size_t length = 1 + 4 + RUN_PREFIX_BYTES + deploy->function.length;
    enum status status = message_begin(&out, target, length, MESSAGE_DEPLOY);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_u32(&out, deploy->request);
    encoder_run(&out, deploy->function);
    encoder_finish(&out, target);
    return STATUS_OK;
}

static void deploy_decode(struct message_deploy *deploy, struct cursor *in)
{
    deploy->request = cursor_u32(in);
    deploy->function = cursor_run(in);
}

enum status message_answer_encode(struct buffer *target, const struct message_answer *answer)
{
    CHECK(answer->status <= STATUS_IO);
    struct encoder out;
    size_t length = 1 + 4 + 4 + RUN_PREFIX_BYTES + answer->text.length + 8 + 8 + HASH_BYTES +
                    RUN_PREFIX_BYTES + answer->statements.length;
    enum status status = message_begin(&out, target, length, MESSAGE_ANSWER);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_u32(&out, answer->request);
    encoder_u32(&out, answer->status);
    encoder_run(&out, answer->text);
    encoder_u64(&out, answer->term);
    encoder_u64(&out, answer->sync_epoch);
    encoder_bytes(&out, answer->sync.bytes, HASH_BYTES);
    encoder_run(&out, answer->statements);
    encoder_finish(&out, target);
    return STATUS_OK;
}

static enum status answer_decode(struct message_answer *answer, struct cursor *in)
{
    answer->request = cursor_u32(in);
    answer->status = cursor_u32(in);
    answer->text = cursor_run(in);
    answer->term = cursor_u64(in);
    answer->sync_epoch = cursor_u64(in);
    cursor_copy(in, answer->sync.bytes, HASH_BYTES);
    answer->statements = cursor_run(in);
    return answer->status <= STATUS_IO ? STATUS_OK : STATUS_MALFORMED;
}

enum status message_renew_encode(struct buffer *target, const struct message_renew *renew)
{
    CHECK(renew->certificate.length <= CERTIFICATE_BYTES_MAX);
    struct encoder out;
    size_t length = 1 + RUN_PREFIX_BYTES + renew->certificate.length;
    enum status status = message_begin(&out, target, length, MESSAGE_RENEW);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_run(&out, renew->certificate);
    encoder_finish(&out, target);
    return STATUS_OK;
}

enum status message_prune_encode(struct buffer *target, const struct message_prune *prune)
{
    struct encoder out;
    size_t length = 1 + RUN_PREFIX_BYTES + prune->body.length;
    enum status status = message_begin(&out, target, length, MESSAGE_PRUNE);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_run(&out, prune->body);
    encoder_finish(&out, target);
    return STATUS_OK;
}

enum status message_key_encode(struct buffer *target, const struct message_key *key)
{
    struct encoder out;
    const struct bytes secret = bytes_of(key->secret, key->secret == NULL ? 0 : SECRET_BYTES);
    enum status status =
        message_begin(&out, target, 1 + 4 + RUN_PREFIX_BYTES + secret.length, MESSAGE_KEY);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_u32(&out, key->key_epoch);
    encoder_run(&out, secret);
    encoder_finish(&out, target);
    return STATUS_OK;
}

static enum status key_decode(struct message_key *key, struct cursor *in)
{
    key->key_epoch = cursor_u32(in);
    struct bytes secret = cursor_run(in);
    key->secret = secret.length == 0 ? NULL : secret.at;
    return secret.length == 0 || secret.length == SECRET_BYTES ? STATUS_OK : STATUS_MALFORMED;
}

enum status message_rotate_encode(struct buffer *target, uint32_t request)
{
    struct encoder out;
    enum status status = message_begin(&out, target, 1 + 4, MESSAGE_ROTATE);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_u32(&out, request);
    encoder_finish(&out, target);
    return STATUS_OK;
}

/* What REVOKE and POLICY are: a request, and what the owner has signed. */
static enum status signed_encode(struct buffer *target, enum message_kind kind, uint32_t request,
                                 struct bytes body)
{
    struct encoder out;
    enum status status = message_begin(&out, target, 1 + 4 + RUN_PREFIX_BYTES + body.length, kind);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_u32(&out, request);
    encoder_run(&out, body);
    encoder_finish(&out, target);
    return STATUS_OK;
}

enum status message_revoke_encode(struct buffer *target, const struct message_revoke *revoke)
{
    return signed_encode(target, MESSAGE_REVOKE, revoke->request, revoke->revocation);
}

enum status message_policy_encode(struct buffer *target, const struct message_policy *policy)
{
    return signed_encode(target, MESSAGE_POLICY, policy->request, policy->policy);
}

static void revoke_decode(struct message_revoke *revoke, struct cursor *in)
{
    revoke->request = cursor_u32(in);
    revoke->revocation = cursor_run(in);
}

static void policy_decode(struct message_policy *policy, struct cursor *in)
{
    policy->request = cursor_u32(in);
    policy->policy = cursor_run(in);
}

static enum status renew_decode(struct message_renew *renew, struct cursor *in)
{
    renew->certificate = cursor_run(in);
    return renew->certificate.length <= CERTIFICATE_BYTES_MAX ? STATUS_OK : STATUS_MALFORMED;
}

enum status message_lock_ask_encode(struct buffer *target, const struct message_lock_ask *ask)
{
    CHECK(ask->request != 0);
    CHECK(ask->name.length >= 1 && ask->name.length <= MESSAGE_LOCK_NAME_BYTES_MAX);
    struct encoder out;
    size_t length = 1 + 8 + RUN_PREFIX_BYTES + ask->name.length;
    enum status status = message_begin(&out, target, length, MESSAGE_LOCK_ASK);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_u64(&out, ask->request);
    encoder_run(&out, ask->name);
    encoder_finish(&out, target);
    return STATUS_OK;
}

static enum status lock_ask_decode(struct message_lock_ask *ask, struct cursor *in)
{
    ask->request = cursor_u64(in);
    ask->name = cursor_run(in);
    bool is_name = ask->name.length >= 1 && ask->name.length <= MESSAGE_LOCK_NAME_BYTES_MAX;
    return ask->request != 0 && is_name ? STATUS_OK : STATUS_MALFORMED;
}

enum status message_lock_grant_encode(struct buffer *target, const struct message_lock_grant *grant,
                                      const struct branch_head *heads)
{
    CHECK(grant->request != 0 && grant->fence != 0);
    CHECK(grant->head_count <= MESSAGE_HEADS_MAX);
    struct encoder out;
    size_t length = 1 + 8 + HASH_BYTES + 3 * 8 + 4 + (size_t)grant->head_count * BRANCH_HEAD_BYTES;
    enum status status = message_begin(&out, target, length, MESSAGE_LOCK_GRANT);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_u64(&out, grant->request);
    encoder_bytes(&out, grant->lock.bytes, HASH_BYTES);
    encoder_u64(&out, grant->fence);
    encoder_u64(&out, grant->epoch);
    encoder_u64(&out, grant->decided);
    heads_encode(&out, heads, grant->head_count);
    encoder_finish(&out, target);
    return STATUS_OK;
}

static enum status lock_grant_decode(struct message_lock_grant *grant, struct cursor *in)
{
    grant->request = cursor_u64(in);
    cursor_copy(in, grant->lock.bytes, HASH_BYTES);
    grant->fence = cursor_u64(in);
    grant->epoch = cursor_u64(in);
    grant->decided = cursor_u64(in);
    if (grant->request == 0 || grant->fence == 0) {
        return STATUS_MALFORMED;
    }
    return heads_decode(&grant->heads, &grant->head_count, in);
}

struct branch_head message_lock_grant_head(const struct message_lock_grant *grant, uint32_t index)
{
    CHECK(index < grant->head_count);
    return head_at(grant->heads, index);
}

enum status message_lock_release_encode(struct buffer *target,
                                        const struct message_lock_release *release,
                                        const struct branch_head *heads)
{
    CHECK(release->request != 0);
    CHECK(release->head_count <= MESSAGE_HEADS_MAX);
    struct encoder out;
    size_t length = 1 + 3 * 8 + HASH_BYTES + 4 + (size_t)release->head_count * BRANCH_HEAD_BYTES;
    enum status status = message_begin(&out, target, length, MESSAGE_LOCK_RELEASE);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_u64(&out, release->request);
    encoder_u64(&out, release->fence);
    encoder_u64(&out, release->record.sequence);
    encoder_bytes(&out, release->record.hash.bytes, HASH_BYTES);
    heads_encode(&out, heads, release->head_count);
    encoder_finish(&out, target);
    return STATUS_OK;
}

static enum status lock_release_decode(struct message_lock_release *release, struct cursor *in)
{
    release->request = cursor_u64(in);
    release->fence = cursor_u64(in);
    release->record.sequence = cursor_u64(in);
    cursor_copy(in, release->record.hash.bytes, HASH_BYTES);
    bool has_record = release->record.sequence != 0;
    if (release->request == 0 || has_record == hash_is_zero(&release->record.hash) ||
        (has_record && release->fence == 0)) {
        return STATUS_MALFORMED;
    }
    return heads_decode(&release->heads, &release->head_count, in);
}

struct branch_head message_lock_release_head(const struct message_lock_release *release,
                                             uint32_t index)
{
    CHECK(index < release->head_count);
    return head_at(release->heads, index);
}

enum status message_lock_answer_encode(struct buffer *target,
                                       const struct message_lock_answer *answer)
{
    CHECK(answer->request != 0 && answer->status <= STATUS_IO);
    struct encoder out;
    enum status status = message_begin(&out, target, 1 + 8 + 4 + 8, MESSAGE_LOCK_ANSWER);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_u64(&out, answer->request);
    encoder_u32(&out, answer->status);
    encoder_u64(&out, answer->sequence);
    encoder_finish(&out, target);
    return STATUS_OK;
}

static enum status lock_answer_decode(struct message_lock_answer *answer, struct cursor *in)
{
    answer->request = cursor_u64(in);
    answer->status = cursor_u32(in);
    answer->sequence = cursor_u64(in);
    return answer->request != 0 && answer->status <= STATUS_IO ? STATUS_OK : STATUS_MALFORMED;
}

enum status message_vouch_ask_encode(struct buffer *target, const struct message_vouch_ask *ask)
{
    CHECK(ask->request != 0 && ask->nonce.length > 0);
    CHECK(ask->nonce.length <= VOUCH_NONCE_BYTES_MAX);
    CHECK(ask->evidence.length <= VOUCH_EVIDENCE_BYTES_MAX);
    struct encoder out;
    size_t length =
        1 + 4 + RUN_PREFIX_BYTES + ask->nonce.length + RUN_PREFIX_BYTES + ask->evidence.length;
    enum status status = message_begin(&out, target, length, MESSAGE_VOUCH_ASK);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_u32(&out, ask->request);
    encoder_run(&out, ask->nonce);
    encoder_run(&out, ask->evidence);
    encoder_finish(&out, target);
    return STATUS_OK;
}

static enum status vouch_ask_decode(struct message_vouch_ask *ask, struct cursor *in)
{
    ask->request = cursor_u32(in);
    ask->nonce = cursor_run(in);
    ask->evidence = cursor_run(in);
    bool is_sized = ask->nonce.length > 0 && ask->nonce.length <= VOUCH_NONCE_BYTES_MAX &&
                    ask->evidence.length <= VOUCH_EVIDENCE_BYTES_MAX;
    return ask->request != 0 && is_sized ? STATUS_OK : STATUS_MALFORMED;
}

enum status message_vouch_encode(struct buffer *target, const struct message_vouch *vouch)
{
    CHECK(vouch->request != 0 && vouch->vouch.length <= MESSAGE_VOUCH_BYTES_MAX);
    struct encoder out;
    size_t length = 1 + 4 + RUN_PREFIX_BYTES + vouch->vouch.length;
    enum status status = message_begin(&out, target, length, MESSAGE_VOUCH);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_u32(&out, vouch->request);
    encoder_run(&out, vouch->vouch);
    encoder_finish(&out, target);
    return STATUS_OK;
}

static enum status vouch_message_decode(struct message_vouch *vouch, struct cursor *in)
{
    vouch->request = cursor_u32(in);
    vouch->vouch = cursor_run(in);
    return vouch->request != 0 && vouch->vouch.length <= MESSAGE_VOUCH_BYTES_MAX ? STATUS_OK
                                                                                 : STATUS_MALFORMED;
}

static enum status fields_decode(struct message *message, uint8_t kind, struct cursor *in)
{
    switch (kind) {
    case MESSAGE_GRANT:
        return grant_decode(&message->grant, in);
    case MESSAGE_SEED:
        seed_decode(&message->seed, in);
        return STATUS_OK;
    case MESSAGE_DEPLOY:
        deploy_decode(&message->deploy, in);
        return STATUS_OK;
    case MESSAGE_ANSWER:
        return answer_decode(&message->answer, in);
    case MESSAGE_RENEW:
        return renew_decode(&message->renew, in);
    case MESSAGE_PRUNE:
        message->prune.body = cursor_run(in);
        return STATUS_OK;
    case MESSAGE_KEY:
        return key_decode(&message->key, in);
    case MESSAGE_ROTATE:
        message->rotate = cursor_u32(in);
        return STATUS_OK;
    case MESSAGE_REVOKE:
        revoke_decode(&message->revoke, in);
        return STATUS_OK;
    case MESSAGE_POLICY:
        policy_decode(&message->policy, in);
        return STATUS_OK;
    case MESSAGE_LOCK_ASK:
        return lock_ask_decode(&message->lock_ask, in);
    case MESSAGE_LOCK_GRANT:
        return lock_grant_decode(&message->lock_grant, in);
    case MESSAGE_LOCK_RELEASE:
        return lock_release_decode(&message->lock_release, in);
    case MESSAGE_LOCK_ANSWER:
        return lock_answer_decode(&message->lock_answer, in);
    case MESSAGE_VOUCH_ASK:
        return vouch_ask_decode(&message->vouch_ask, in);
    case MESSAGE_VOUCH:
        return vouch_message_decode(&message->vouch, in);
    default:
        return STATUS_MALFORMED;
    }
}

enum status message_decode(struct message *message, struct bytes bytes)
{
    struct cursor in = cursor_over(bytes.at, bytes.length);
    uint8_t kind = cursor_u8(&in);

    // The fields are borrowed pointers and hashes: the copy holds no secret to wipe.
    struct message decoded = {.kind = kind};
    enum status status = fields_decode(&decoded, kind, &in);
    if (status != STATUS_OK) {
        return status;
    }
    if (!cursor_done(&in) || bytes.length > MESSAGE_BYTES_MAX) {
        return STATUS_MALFORMED;
    }
    *message = decoded;
    return STATUS_OK;
}
