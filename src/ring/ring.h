/* src/ring/ring.h */
#ifndef RING_RING_H
#define RING_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"

/*
 * ring: frames of any size, in order, through shared memory: one thread
 * pushing, one thread popping.
 *
 * The two sides may sit on opposite sides of the enclave wall, so neither
 * believes the other. Each keeps its own position and the geometry in private
 * memory; the consumer's position and the length of a frame are input, read
 * once, and an impossible one is STATUS_FORGED, from then on for ever: nobody
 * knows any more where a frame begins. A hostile peer can stop the ring, or
 * fill it with rubbish. It cannot make this side touch memory outside it.
 *
 * No call blocks or enters the kernel.
 *
 * In the ring a frame is a 4-byte word, its length + 1 (in this machine's
 * order: both sides run on it), and its bytes, filled up to a multiple of 8,
 * so that a word never lies across the wrap. A word of 0 says that no frame is
 * there yet: the producer writes it behind a frame before it writes the
 * frame's own. So the consumer watches the very line that the frame arrives
 * in, and a short frame crosses with one transfer between processors instead
 * of two. "abc" pushed first, and then an empty frame:
 *
 *     0  04 00 00 00 61 62 63 ..     8  01 00 00 00 .. .. .. ..     16  00 00 00 00
 */

enum {
    RING_LINE_BYTES = 128,  // two cache lines: processors fetch them in pairs
    RING_FRAME_BYTES_MAX = 8 << 20,
    RING_CAPACITY_BYTES_MIN = 128,
    RING_CAPACITY_BYTES_MAX = 1 << 30,
};

/* The shared part. Its layout is an ABI between enclave and host. */
struct ring_shared {
    // Bytes ever popped, whole frames only. Written by the consumer alone.
    _Alignas(RING_LINE_BYTES) _Atomic uint64_t popped;
    // Written by the producer alone.
    _Alignas(RING_LINE_BYTES) _Atomic uint32_t words[];
};

/* What either side knows by itself. Plain, so the caller decides where it lives. */
struct ring_side {
    struct ring_shared *shared;  // borrowed
    size_t capacity_bytes;       // a power of two
    uint64_t position;           // bytes this side has ever pushed or popped
    bool is_broken;              // the peer has shown something impossible
};

/* Two types for two roles: passing the wrong one does not compile. */
struct ring_producer {
    struct ring_side side;
    uint64_t popped;  // the consumer's last position read, and found possible
};
struct ring_consumer {
    struct ring_side side;
};

/* Bytes of shared memory that a ring with `capacity_bytes` for frames occupies. */
size_t ring_footprint(size_t capacity_bytes);

/* The longest frame of such a ring: RING_FRAME_BYTES_MAX, or less in a small one. */
size_t ring_frame_bytes_max(size_t capacity_bytes);

/*
 * Lay out an empty ring in `memory`, once, before either side attaches.
 * `memory` is aligned to RING_LINE_BYTES and ring_footprint() bytes long; it
 * stays the caller's, and must outlive both sides. Only a few words are
 * written, lest every page be touched: what else is there is shown to the peer.
 */
void ring_format(void *memory, size_t capacity_bytes);

/*
 * Attach one side to freshly formatted memory. Each side knows the capacity
 * from its own configuration; it is never read from the shared memory. A side
 * owns nothing, so there is nothing to release.
 */
void ring_producer_init(struct ring_producer *producer, void *memory, size_t capacity_bytes);
void ring_consumer_init(struct ring_consumer *consumer, void *memory, size_t capacity_bytes);

/*
 * Copy the parts, one after the other, into the ring as one frame.
 * STATUS_FULL: no room yet, nothing was written. STATUS_MALFORMED: longer than
 * ring_frame_bytes_max(). STATUS_FORGED: the consumer's position is impossible.
 */
MUST_CHECK enum status ring_push(struct ring_producer *producer, const struct bytes *parts,
                                 size_t part_count);

/*
 * Copy the oldest frame to `frame`, in place of what it held. (That is
 * overwritten and not wiped: the peer has seen it.) The content is as
 * trustworthy as the peer: authenticate the copy before acting on it. Memory
 * is allocated only for a frame longer than all before it in this buffer.
 * STATUS_EMPTY, STATUS_FORGED, STATUS_NO_MEMORY: the content is untouched.
 */
MUST_CHECK enum status ring_pop(struct ring_consumer *consumer, struct buffer *frame);

/* Whether ring_pop() would have something else than STATUS_EMPTY to say. */
bool ring_is_ready(const struct ring_consumer *consumer);

#endif
