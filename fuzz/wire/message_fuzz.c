/* fuzz/wire/message_fuzz.c */

/* A message: what decodes encodes to the same bytes. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "wire/message.h"

static enum status grant_encode(struct buffer *target, const struct message_grant *grant)
{
    static struct branch_head heads[MESSAGE_HEADS_MAX];
    for (uint32_t i = 0; i < grant->head_count; i++) {
        heads[i] = message_grant_head(grant, i);
    }
    return message_grant_encode(target, grant, heads);
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
    case MESSAGE_RENEW:
        return message_renew_encode(target, &message->renew);
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
