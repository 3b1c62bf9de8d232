/* src/ring/ring.c */
#include "ring/ring.h"

#include <string.h>

#include "base/check.h"
#include "base/checked.h"

/*
 * Invariants, as long as the side is not broken:
 *
 *  1. A position is a multiple of 8. Kept by ring_push() and ring_pop(), which
 *     advance it by frame_span(), and by producer_refresh().
 *  2. The word at the producer's position is 0, and it and all from there to
 *     the consumer's position, once around, are the producer's to write. Kept
 *     by producer_find_room(), which asks for room for that word, too.
 *  3. Positions never wrap: 2^64 bytes is centuries.
 */

enum { FRAME_ALIGNMENT_BYTES = 8, LENGTH_BYTES = sizeof(uint32_t) };

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a lock in shared memory would be the host's to hold");
_Static_assert(offsetof(struct ring_shared, words) == 128, "enclave and host agree on the layout");

/* What a frame takes up in the ring. At most RING_FRAME_BYTES_MAX: no overflow. */
static size_t frame_span(size_t frame_bytes)
{
    return (LENGTH_BYTES + frame_bytes + FRAME_ALIGNMENT_BYTES - 1) &
           ~(size_t)(FRAME_ALIGNMENT_BYTES - 1);
}

static struct ring_side side_make(void *memory, size_t capacity_bytes)
{
    CHECK(memory != NULL);
    CHECK((uintptr_t)memory % RING_LINE_BYTES == 0);
    CHECK((capacity_bytes & (capacity_bytes - 1)) == 0);
    CHECK(RING_CAPACITY_BYTES_MIN <= capacity_bytes && capacity_bytes <= RING_CAPACITY_BYTES_MAX);
    return (struct ring_side){.shared = memory, .capacity_bytes = capacity_bytes};
}

static size_t side_offset(const struct ring_side *side, uint64_t position)
{
    return (size_t)position & (side->capacity_bytes - 1);
}

static enum status side_break(struct ring_side *side)
{
    side->is_broken = true;
    return STATUS_FORGED;
}

/* The word before the frame at `position`. */
static _Atomic uint32_t *side_word(const struct ring_side *side, uint64_t position)
{
    return &side->shared->words[side_offset(side, position) / LENGTH_BYTES];
}

/* Copy into the ring from `position` on, around its end. */
static void side_copy_in(const struct ring_side *side, uint64_t position, struct bytes part)
{
    uint8_t *ring_bytes = (uint8_t *)side->shared->words;
    size_t offset = side_offset(side, position);
    size_t before_end = side->capacity_bytes - offset;
    size_t head_bytes = part.length < before_end ? part.length : before_end;
    memcpy(ring_bytes + offset, part.at, head_bytes);
    memcpy(ring_bytes, part.at + head_bytes, part.length - head_bytes);
}

static void side_copy_out(const struct ring_side *side, uint64_t position, uint8_t *target,
                          size_t length)
{
    const uint8_t *ring_bytes = (const uint8_t *)side->shared->words;
    size_t offset = side_offset(side, position);
    size_t before_end = side->capacity_bytes - offset;
    size_t head_bytes = length < before_end ? length : before_end;
    memcpy(target, ring_bytes + offset, head_bytes);
    memcpy(target + head_bytes, ring_bytes, length - head_bytes);
}

size_t ring_footprint(size_t capacity_bytes)
{
    return sizeof(struct ring_shared) + capacity_bytes;
}

size_t ring_frame_bytes_max(size_t capacity_bytes)
{
    size_t room_bytes = capacity_bytes - FRAME_ALIGNMENT_BYTES - LENGTH_BYTES;
    return room_bytes < RING_FRAME_BYTES_MAX ? room_bytes : RING_FRAME_BYTES_MAX;
}

void ring_format(void *memory, size_t capacity_bytes)
{
    struct ring_side side = side_make(memory, capacity_bytes);
    atomic_init(&side.shared->popped, 0);
    atomic_init(&side.shared->words[0], 0);
}

void ring_producer_init(struct ring_producer *producer, void *memory, size_t capacity_bytes)
{
    *producer = (struct ring_producer){.side = side_make(memory, capacity_bytes)};
}

void ring_consumer_init(struct ring_consumer *consumer, void *memory, size_t capacity_bytes)
{
    *consumer = (struct ring_consumer){.side = side_make(memory, capacity_bytes)};
}

/*
 * Read the consumer's position. It may have moved on by at most what was
 * unread; one unsigned difference shows a step back as well: it is huge.
 */
static enum status producer_refresh(struct ring_producer *producer)
{
    struct ring_side *side = &producer->side;
    // Acquire: the consumer has finished copying out all that it counts as popped.
    uint64_t popped = atomic_load_explicit(&side->shared->popped, memory_order_acquire);
    uint64_t advance_bytes = popped - producer->popped;
    if (advance_bytes > side->position - producer->popped ||
        advance_bytes % FRAME_ALIGNMENT_BYTES != 0) {
        return side_break(side);
    }
    producer->popped = popped;
    return STATUS_OK;
}

/* Make sure of `room_bytes`, looking at the consumer's line only when the last look was too old. */
static enum status producer_find_room(struct ring_producer *producer, size_t room_bytes)
{
    const struct ring_side *side = &producer->side;
    if (side->capacity_bytes - (side->position - producer->popped) >= room_bytes) {
        return STATUS_OK;
    }
    enum status status = producer_refresh(producer);
    if (status != STATUS_OK) {
        return status;
    }
    size_t free_bytes = side->capacity_bytes - (side->position - producer->popped);
    return free_bytes >= room_bytes ? STATUS_OK : STATUS_FULL;
}

enum status ring_push(struct ring_producer *producer, const struct bytes *parts, size_t part_count)
{
    struct ring_side *side = &producer->side;
    if (side->is_broken) {
        return STATUS_FORGED;
    }
    size_t frame_bytes = 0;
    for (size_t i = 0; i < part_count; i++) {
        if (!checked_add(&frame_bytes, frame_bytes, parts[i].length)) {
            return STATUS_MALFORMED;
        }
    }
    if (frame_bytes > ring_frame_bytes_max(side->capacity_bytes)) {
        return STATUS_MALFORMED;
    }
    size_t span = frame_span(frame_bytes);
    enum status status = producer_find_room(producer, span + FRAME_ALIGNMENT_BYTES);
    if (status != STATUS_OK) {
        return status;
    }

    uint64_t at = side->position + LENGTH_BYTES;
    for (size_t i = 0; i < part_count; i++) {
        if (parts[i].length > 0) {
            side_copy_in(side, at, parts[i]);
            at += parts[i].length;
        }
    }
    // Relaxed: what counts is that it is there before the word that leads to it.
    atomic_store_explicit(side_word(side, side->position + span), 0, memory_order_relaxed);

    // Release: the frame is whole, and the next word 0, before this one says so.
    atomic_store_explicit(side_word(side, side->position), (uint32_t)frame_bytes + 1,
                          memory_order_release);
    side->position += span;
    return STATUS_OK;
}

enum status ring_pop(struct ring_consumer *consumer, struct buffer *frame)
{
    struct ring_side *side = &consumer->side;
    if (side->is_broken) {
        return STATUS_FORGED;
    }
    // Acquire: pairs with the release in ring_push(). Read once: a hostile
    // producer may rewrite it between a check and a use.
    uint32_t word = atomic_load_explicit(side_word(side, side->position), memory_order_acquire);
    if (word == 0) {
        return STATUS_EMPTY;
    }
    size_t frame_bytes = word - 1;
    if (frame_bytes > ring_frame_bytes_max(side->capacity_bytes)) {
        return side_break(side);
    }

    if (frame_bytes > frame->capacity) {
        struct buffer larger = BUFFER_EMPTY;
        enum status status = buffer_reserve(&larger, frame_bytes);
        if (status != STATUS_OK) {
            return status;
        }
        buffer_release(frame);
        *frame = larger;
    }
    // One copy, and nobody looks at the shared bytes again.
    if (frame_bytes > 0) {
        side_copy_out(side, side->position + LENGTH_BYTES, frame->bytes, frame_bytes);
    }
    frame->length = frame_bytes;
    side->position += frame_span(frame_bytes);

    // Release: the copy is complete before the producer may write there again.
    atomic_store_explicit(&side->shared->popped, side->position, memory_order_release);
    return STATUS_OK;
}

bool ring_is_ready(const struct ring_consumer *consumer)
{
    const struct ring_side *side = &consumer->side;
    // Relaxed: it only decides whether to call ring_pop(), which looks again.
    return side->is_broken ||
           atomic_load_explicit(side_word(side, side->position), memory_order_relaxed) != 0;
}
