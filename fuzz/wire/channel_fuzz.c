/* fuzz/wire/channel_fuzz.c */

/*
 * What arrives at one end of a channel: runs of u16 length ‖ sealed message.
 * Nothing opens twice, and what is refused leaves no byte behind.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/cursor.h"
#include "crypto/crypto.h"
#include "wire/channel.h"

static void arrive(struct channel *channel, struct buffer *plain, struct bytes sealed)
{
    size_t plain_bytes = plain->length;
    if (channel_open(channel, plain, sealed) == STATUS_OK) {
        CHECK(plain->length == plain_bytes + sealed.length - CHANNEL_OVERHEAD_BYTES);
        plain_bytes = plain->length;
        CHECK(channel_open(channel, plain, sealed) == STATUS_STALE);
    }
    CHECK(plain->length == plain_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    crypto_init();
    const uint8_t zeroes[SECRET_BYTES] = {0};
    struct secret *send = secret_new_copy(zeroes);
    struct secret *receive = secret_new_copy(zeroes);
    struct channel *channel = channel_new(&send, &receive);
    struct buffer plain = BUFFER_EMPTY;

    struct cursor in = cursor_over(bytes, length);
    while (in.left > 0 && !in.failed) {
        uint16_t sealed_bytes = cursor_u16(&in);
        struct bytes sealed = cursor_bytes(&in, sealed_bytes);
        if (!in.failed) {
            arrive(channel, &plain, sealed);
        }
    }
    buffer_release(&plain);
    channel_free(channel);
    return 0;
}
