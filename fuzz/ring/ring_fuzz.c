/* fuzz/ring/ring_fuzz.c */

/*
 * The fuzzer is the hostile peer: its bytes are one image of the shared
 * memory after the other, and between two images each side works. No image
 * may lead a side out of the memory, or to a frame longer than the ring.
 *
 * An image is the consumer's position, one byte in units of 8 bytes above
 * the last, and then the words.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "ring/ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

enum { CAPACITY_BYTES = 128 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct ring_shared *shared = aligned_alloc(RING_LINE_BYTES, ring_footprint(CAPACITY_BYTES));
    CHECK(shared != NULL);
    ring_format(shared, CAPACITY_BYTES);
    struct ring_producer producer;
    struct ring_consumer consumer;
    ring_producer_init(&producer, shared, CAPACITY_BYTES);
    ring_consumer_init(&consumer, shared, CAPACITY_BYTES);
    struct buffer frame = BUFFER_EMPTY;

    struct cursor in = cursor_over(bytes, length);
    while (in.left > 0) {
        shared->popped += (uint64_t)(int8_t)cursor_u8(&in) * 8;
        size_t image_bytes = in.left < CAPACITY_BYTES ? in.left : CAPACITY_BYTES;
        cursor_copy(&in, (uint8_t *)shared->words, image_bytes);

        struct bytes parts[] = {bytes_of(bytes, length % 7), bytes_of(bytes, length % 101)};
        (void)!ring_push(&producer, parts, 2);
        for (int i = 0; i < 4 && ring_pop(&consumer, &frame) == STATUS_OK; i++) {
            CHECK(frame.length <= ring_frame_bytes_max(CAPACITY_BYTES));
        }
    }
    buffer_release(&frame);
    free(shared);
    return 0;
}
