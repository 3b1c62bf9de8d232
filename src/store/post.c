/* src/store/post.c */
#include "store/post.h"

#include "base/check.h"
#include "base/cursor.h"
#include "base/encoder.h"

enum { LENGTH_BYTES = 4, COUNTERS_BYTES = 8 * 8 };

enum status post_encode(struct buffer *target, enum post_kind kind, uint64_t client,
                        struct bytes rest)
{
    if (rest.length > POST_BYTES_MAX - POST_HEADER_BYTES) {
        return STATUS_MALFORMED;
    }
    uint8_t header[POST_HEADER_BYTES];
    struct encoder out = encoder_over(header, sizeof header);
    encoder_u32(&out, (uint32_t)(POST_HEADER_BYTES - LENGTH_BYTES + rest.length));
    encoder_u8(&out, (uint8_t)kind);
    encoder_u64(&out, client);
    CHECK(!out.failed);
    enum status status = buffer_reserve(target, sizeof header + rest.length);
    if (status == STATUS_OK) {
        status = buffer_append(target, header, sizeof header);
    }
    return status == STATUS_OK ? buffer_append(target, rest.at, rest.length) : status;
}

enum status post_decode(struct post_message *message, struct bytes bytes, size_t *at)
{
    struct cursor in = cursor_over(bytes.at + *at, bytes.length - *at);
    if (in.left < LENGTH_BYTES) {
        return STATUS_EMPTY;
    }
    uint32_t length = cursor_u32(&in);
    if (length < POST_HEADER_BYTES - LENGTH_BYTES || length > POST_BYTES_MAX - LENGTH_BYTES) {
        return STATUS_MALFORMED;
    }
    if (in.left < length) {
        return STATUS_EMPTY;
    }
    uint8_t kind = cursor_u8(&in);
    if (kind < POST_BEGIN || kind >= POST_KIND_COUNT) {
        return STATUS_MALFORMED;
    }
    message->kind = (enum post_kind)kind;
    message->client = cursor_u64(&in);
    message->rest = cursor_bytes(&in, length - (POST_HEADER_BYTES - LENGTH_BYTES));
    *at += LENGTH_BYTES + length;
    return STATUS_OK;
}

enum status post_counters_encode(struct buffer *target, const struct post_counters *counters)
{
    uint8_t bytes[COUNTERS_BYTES];
    struct encoder out = encoder_over(bytes, sizeof bytes);
    encoder_u64(&out, counters->store.record_count);
    encoder_u64(&out, counters->store.record_bytes);
    encoder_u64(&out, counters->store.commit_count);
    encoder_u64(&out, counters->store.commit_us_total);
    encoder_u64(&out, counters->store.refused_count);
    encoder_u64(&out, counters->store.segment_count);
    encoder_u64(&out, counters->is_refilling);
    encoder_u64(&out, counters->aside_count);
    CHECK(!out.failed);
    return buffer_append(target, bytes, sizeof bytes);
}

enum status post_counters_decode(struct post_counters *counters, struct bytes rest)
{
    struct cursor in = cursor_over(rest.at, rest.length);
    counters->store.record_count = cursor_u64(&in);
    counters->store.record_bytes = cursor_u64(&in);
    counters->store.commit_count = cursor_u64(&in);
    counters->store.commit_us_total = cursor_u64(&in);
    counters->store.refused_count = cursor_u64(&in);
    counters->store.segment_count = cursor_u64(&in);
    uint64_t refilling = cursor_u64(&in);
    uint64_t aside_count = cursor_u64(&in);
    counters->is_refilling = refilling == 1;
    counters->aside_count = (uint32_t)aside_count;
    bool is_sound = refilling <= 1 && aside_count <= UINT32_MAX;
    return cursor_done(&in) && is_sound ? STATUS_OK : STATUS_MALFORMED;
}
