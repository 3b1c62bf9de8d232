/* src/wire/channel.h */
#ifndef WIRE_CHANNEL_H
#define WIRE_CHANNEL_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "crypto/secret.h"

/*
 * channel: messages sealed between two ends that ran the handshake of
 * wire/join.h, over a network that drops, repeats and reorders. Each
 * direction has its own key; the 64-bit counter is the nonce and travels in the
 * clear, authenticated; a counter is accepted once, within a window of 1,024.
 *
 * Body of a CHANNEL frame: counter 8, from 1 ‖ sealed message. It is addressed by the
 * frame's peer field, which is not authenticated: a wrong one does not open.
 */
enum { CHANNEL_WINDOW_COUNT = 1024, CHANNEL_OVERHEAD_BYTES = 8 + 16 };

struct channel;

/* Takes both secrets and sets them to NULL. Never NULL: without memory the program stops. */
struct channel *channel_new(struct secret **send, struct secret **receive);
void channel_free(struct channel *channel);

/* Append counter and sealed `plain` to `target`. STATUS_NO_MEMORY: nothing was sealed. */
MUST_CHECK enum status channel_seal(struct channel *channel, struct buffer *target,
                                    struct bytes plain);

/*
 * Append the plaintext to `plain`. STATUS_MALFORMED; STATUS_FORGED: does not
 * open; STATUS_STALE: this counter was seen, or lies below the window;
 * STATUS_NO_MEMORY. On any but STATUS_OK `plain` and the window are as they were.
 */
MUST_CHECK enum status channel_open(struct channel *channel, struct buffer *plain,
                                    struct bytes sealed);

#endif
