/* fuzz/wire/message_fuzz.c */

/* A message: what decodes encodes to the same bytes. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "wire/message.h"

static struct branch_head heads[MESSAGE_HEADS_MAX];

static enum status grant_encode(struct buffer *target, const struct message_grant *grant)
{
    for (uint32_t i = 0; i < grant->head_count; i++) {
        heads[i] = message_grant_head(grant, i);
    }
    return message_grant_encode(target, grant, heads);
}

static enum status lock_grant_encode(struct buffer *target, const struct message_lock_grant *grant)
{
    for (uint32_t i = 0; i < grant->head_count; i++) {
        heads[i] = message_lock_grant_head(grant, i);
    }
    return message_lock_grant_encode(target, grant, heads);
}

static enum status lock_release_encode(struct buffer *target,
                                       const struct message_lock_release *release)
{
    for (uint32_t i = 0; i < release->head_count; i++) {
        heads[i] = message_lock_release_head(release, i);
    }
    return message_lock_release_encode(target, release, heads);
}

static enum status encode(struct buffer *target, const struct message *message)
{
    switch (message->kind) {
    case MESSAGE_GRANT:
        return grant_encode(target, &message->grant);
    case MESSAGE_SEED:
        return message_seed_encode(target, &message->seed);
    case MESSAGE_DEPLOY:
        return message_deploy_encode(target, &message->deploy);
    case MESSAGE_ANSWER:
        return message_answer_encode(target, &message->answer);
    case MESSAGE_PRUNE:
        return message_prune_encode(target, &message->prune);
    case MESSAGE_RENEW:
        return message_renew_encode(target, &message->renew);
    case MESSAGE_KEY:
        return message_key_encode(target, &message->key);
    case MESSAGE_ROTATE:
        return message_rotate_encode(target, message->rotate);
    case MESSAGE_REVOKE:
        return message_revoke_encode(target, &message->revoke);
    case MESSAGE_POLICY:
        return message_policy_encode(target, &message->policy);
    case MESSAGE_LOCK_ASK:
        return message_lock_ask_encode(target, &message->lock_ask);
    case MESSAGE_LOCK_GRANT:
        return lock_grant_encode(target, &message->lock_grant);
    case MESSAGE_LOCK_RELEASE:
        return lock_release_encode(target, &message->lock_release);
    case MESSAGE_LOCK_ANSWER:
        return message_lock_answer_encode(target, &message->lock_answer);
    case MESSAGE_VOUCH_ASK:
        return message_vouch_ask_encode(target, &message->vouch_ask);
    case MESSAGE_VOUCH:
        return message_vouch_encode(target, &message->vouch);
    }
    abort();  // message_decode() took a kind that there is not
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct message message;
    if (message_decode(&message, bytes_of(bytes, length)) == STATUS_OK) {
        struct buffer again = BUFFER_EMPTY;
        CHECK(encode(&again, &message) == STATUS_OK);
        CHECK(bytes_equal(buffer_bytes(&again), bytes_of(bytes, length)));
        buffer_release(&again);
    }
    return 0;
}
