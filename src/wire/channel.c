/* src/wire/channel.c */
#include "wire/channel.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/cursor.h"
#include "base/encoder.h"
#include "crypto/aead.h"

_Static_assert(CHANNEL_OVERHEAD_BYTES == sizeof(uint64_t) + AEAD_TAG_BYTES, "counter and tag");

/*
 * Invariants:
 *  1. `sent` is the counter of the last message sealed. Only channel_seal() moves it, up by one
 *     for each message, and the keys are fresh with every handshake: no nonce is used twice.
 *  2. For each counter in (highest - CHANNEL_WINDOW_COUNT, highest], bit counter %
 *     CHANNEL_WINDOW_COUNT of `seen` says whether it was accepted. Only window_add() changes
 *     them, after the message opened.
 */
struct channel {
    struct aead_key *send;
    struct aead_key *receive;
    uint64_t sent;
    uint64_t highest;
    uint64_t seen[CHANNEL_WINDOW_COUNT / 64];
};

static uint64_t *window_word(struct channel *channel, uint64_t counter)
{
    return &channel->seen[counter % CHANNEL_WINDOW_COUNT / 64];
}

static bool window_allows(struct channel *channel, uint64_t counter)
{
    if (counter > channel->highest) {
        return true;
    }
    if (channel->highest - counter >= CHANNEL_WINDOW_COUNT) {
        return false;
    }
    return (*window_word(channel, counter) >> counter % 64 & 1) == 0;
}

static void window_add(struct channel *channel, uint64_t counter)
{
    if (counter > channel->highest) {
        // The bits of those that fall out of the window become those of the ones passed over.
        uint64_t passed = counter - channel->highest;
        if (passed > CHANNEL_WINDOW_COUNT) {
            passed = CHANNEL_WINDOW_COUNT;
        }
        for (uint64_t i = 0; i < passed; i++) {
            *window_word(channel, counter - i) &= ~(UINT64_C(1) << (counter - i) % 64);
        }
        channel->highest = counter;
    }
    *window_word(channel, counter) |= UINT64_C(1) << counter % 64;
}

struct channel *channel_new(struct secret **send, struct secret **receive)
{
    struct channel *channel = calloc(1, sizeof *channel);
    CHECK(channel != NULL);
    channel->send = aead_key_new(*send);
    channel->receive = aead_key_new(*receive);
    secret_free(*send);
    secret_free(*receive);
    *send = NULL;
    *receive = NULL;
    return channel;
}

void channel_free(struct channel *channel)
{
    if (channel == NULL) {
        return;
    }
    aead_key_free(channel->send);
    aead_key_free(channel->receive);
    free(channel);
}

enum status channel_seal(struct channel *channel, struct buffer *target, struct bytes plain)
{
    enum status status = buffer_reserve(target, plain.length + CHANNEL_OVERHEAD_BYTES);
    if (status != STATUS_OK) {
        return status;
    }
    CHECK(channel->sent < UINT64_MAX);
    channel->sent++;

    struct encoder out = encoder_over(target->bytes + target->length, sizeof channel->sent);
    encoder_u64(&out, channel->sent);
    aead_seal(channel->send, channel->sent, bytes_of(NULL, 0), plain, out.start + out.length);
    target->length += plain.length + CHANNEL_OVERHEAD_BYTES;
    return STATUS_OK;
}

enum status channel_open(struct channel *channel, struct buffer *plain, struct bytes sealed)
{
    struct cursor in = cursor_over(sealed.at, sealed.length);
    uint64_t counter = cursor_u64(&in);
    struct bytes body = cursor_bytes(&in, in.left);

    // The first message has counter 1.
    if (in.failed || body.length < AEAD_TAG_BYTES || counter == 0) {
        return STATUS_MALFORMED;
    }
    // Before it is opened: a flood of replays costs us no decryption.
    if (!window_allows(channel, counter)) {
        return STATUS_STALE;
    }

    size_t plain_bytes = body.length - AEAD_TAG_BYTES;
    enum status status = buffer_reserve(plain, body.length);
    if (status != STATUS_OK) {
        return status;
    }
    status = aead_unseal(channel->receive, counter, bytes_of(NULL, 0), body,
                         plain->bytes + plain->length);
    if (status != STATUS_OK) {
        return status;
    }
    plain->length += plain_bytes;
    window_add(channel, counter);
    return STATUS_OK;
}
