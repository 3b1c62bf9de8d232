/* fuzz/wire/frame_fuzz.c */

/* A frame, and the body of its kind: what decodes encodes to the same bytes. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "crypto/crypto.h"
#include "wire/frame.h"

static void body_is(struct buffer *again, enum status status, struct bytes body)
{
    CHECK(status == STATUS_OK);
    CHECK(bytes_equal(buffer_bytes(again), body));
}

static void decode_rts(struct bytes body)
{
    struct frame_rts rts;
    if (frame_rts_decode(&rts, body) == STATUS_OK) {
        const struct verify_key stranger = {.bytes = {9}};
        CHECK(frame_rts_verify(&rts, &(struct hash){.bytes = {1}}, &stranger) != STATUS_OK);
    }
}

static void decode_fence(struct bytes body)
{
    struct frame_fence fence;
    if (frame_fence_decode(&fence, body) == STATUS_OK) {
        const struct verify_key stranger = {.bytes = {9}};
        CHECK(frame_fence_verify(&fence, &(struct hash){.bytes = {1}}, &stranger) != STATUS_OK);
    }
}

static void decode_recalled(struct bytes body)
{
    struct frame_recalled recalled;
    if (frame_recalled_decode(&recalled, body) == STATUS_OK) {
        const struct verify_key stranger = {.bytes = {9}};
        CHECK(frame_recalled_verify(&recalled, &(struct hash){.bytes = {1}}, &stranger) !=
              STATUS_OK);
    }
}

static void decode_stream(struct buffer *again, struct bytes body)
{
    struct frame_stream stream;
    if (frame_stream_decode(&stream, body) == STATUS_OK) {
        uint8_t prefix[FRAME_STREAM_PREFIX_BYTES];
        frame_stream_prefix(prefix, stream.connection, stream.event);
        CHECK(buffer_append(again, prefix, sizeof prefix) == STATUS_OK);
        body_is(again, buffer_append(again, stream.bytes.at, stream.bytes.length), body);
    }
}

static void decode_body(struct buffer *again, const struct frame *frame)
{
    struct frame_fetch fetch;
    struct frame_fetched fetched;
    struct frame_refused refused;
    struct frame_start start;
    struct frame_hello hello;

    switch (frame->kind) {
    case FRAME_RTS:
        decode_rts(frame->body);
        break;
    case FRAME_FENCE:
        decode_fence(frame->body);
        break;
    case FRAME_STREAM:
        decode_stream(again, frame->body);
        break;
    case FRAME_FETCH:
        if (frame_fetch_decode(&fetch, frame->body) == STATUS_OK) {
            body_is(again, frame_fetch_encode(again, &fetch), frame->body);
        }
        break;
    case FRAME_FETCHED:
        if (frame_fetched_decode(&fetched, frame->body) == STATUS_OK) {
            body_is(again, frame_fetched_encode(again, &fetched), frame->body);
        }
        break;
    case FRAME_RECALLED:
        decode_recalled(frame->body);
        break;
    case FRAME_REFUSED:
        if (frame_refused_decode(&refused, frame->body) == STATUS_OK) {
            body_is(again, frame_refused_encode(again, &refused), frame->body);
        }
        break;
    case FRAME_START:
        if (frame_start_decode(&start, frame->body) == STATUS_OK) {
            body_is(again, frame_start_encode(again, &start), frame->body);
        }
        break;
    case FRAME_HELLO:
        if (frame_hello_decode(&hello, frame->body) == STATUS_OK) {
            body_is(again, frame_hello_encode(again, &hello), frame->body);
        }
        break;
    default:  // read by other modules, or without fields
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    crypto_init();
    struct buffer again = BUFFER_EMPTY;
    struct frame frame;
    if (frame_decode(&frame, bytes_of(bytes, length)) == STATUS_OK) {
        enum status status =
            frame_encode(&again, frame.kind, frame.request, &frame.peer, frame.body);
        body_is(&again, status, bytes_of(bytes, length));
        buffer_clear(&again);
        decode_body(&again, &frame);
    }
    buffer_release(&again);
    return 0;
}
