/* src/store/post.h */
#ifndef STORE_POST_H
#define STORE_POST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "store/store.h"

/*
 * post: what a host and a store's process say to each other over their socket, one message after
 * the other. Integers are little endian.
 *
 *     offset  bytes  field
 *          0      4  bytes that follow this field, at least 9, at most POST_BYTES_MAX
 *          4      1  kind
 *          5      8  client
 *         13         the rest, by kind:
 *
 *     BEGIN      host: the seed of the store's key (32 bytes); the length (4) of the owner's word
 *                on the stores, and that (capsule/stores.h); the GENESIS body. It comes first
 *     OPENED     store: it has read what it holds, and serves
 *     FRAME      host: a frame from `client`; store: an answer to that client
 *     BROADCAST  store: a frame to everyone, its sibling stores included
 *     ASK        store: a frame to the sibling whose id is the frame's peer; the answer comes as a
 *                FRAME
 *     LOG        store: a log line
 *     COUNTERS   store: struct post_counters, eight integers of 8 bytes
 *
 * `client` is zero but in a FRAME.
 */
enum post_kind {
    POST_BEGIN = 1,
    POST_OPENED,
    POST_FRAME,
    POST_BROADCAST,
    POST_ASK,
    POST_LOG,
    POST_COUNTERS,
    POST_KIND_COUNT,
};

enum {
    POST_HEADER_BYTES = 13,
    POST_BYTES_MAX = POST_HEADER_BYTES + FRAME_BYTES_MAX,
};

struct post_message {
    enum post_kind kind;
    uint64_t client;
    struct bytes rest;  // borrowed
};

/* Append one. STATUS_MALFORMED: too long. */
MUST_CHECK enum status post_encode(struct buffer *target, enum post_kind kind, uint64_t client,
                                   struct bytes rest);

/*
 * Decode the message that starts at `*at`, and move behind it. STATUS_EMPTY: it is not whole yet.
 * STATUS_MALFORMED: it never will be.
 */
MUST_CHECK enum status post_decode(struct post_message *message, struct bytes bytes, size_t *at);

/* How a store is. */
struct post_counters {
    struct store_counters store;
    bool is_refilling;
    uint32_t aside_count;  // how often what it held was set aside (store/aside.h)
};

MUST_CHECK enum status post_counters_encode(struct buffer *target,
                                            const struct post_counters *counters);
MUST_CHECK enum status post_counters_decode(struct post_counters *counters, struct bytes rest);

#endif
