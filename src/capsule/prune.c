/* src/capsule/prune.c */
#include "capsule/prune.h"

#include "base/check.h"
#include "base/cursor.h"
#include "base/encoder.h"
#include "capsule/writer_internal.h"

enum { PRUNE_FIXED_BYTES = 68, PRUNE_RANGE_BYTES = 32 };

/* Behind the range before it, if any, and apart from it: else both would be one. */
static bool range_follows(const struct prune_range *before, const struct prune_range *range)
{
    if (range->from == 0 || range->from > range->to || writer_id_is_zero(&range->writer)) {
        return false;
    }
    int order = before == NULL ? 1 : writer_id_compare(&range->writer, &before->writer);
    return order > 0 || (order == 0 && range->from > before->to && range->from - before->to > 1);
}

static bool manifest_is_sound(const struct branch_head *manifest)
{
    return manifest->head.sequence > 0 && writer_head_is_sound(&manifest->head) &&
           !writer_id_is_zero(&manifest->writer);
}

enum status prune_encode(struct buffer *body, const struct prune_body *prune,
                         const struct prune_range *ranges)
{
    CHECK(0 < prune->range_count && prune->range_count <= PRUNE_RANGES_MAX);
    CHECK(manifest_is_sound(&prune->manifest));
    struct encoder out;
    enum status status = encoder_begin(
        &out, body, PRUNE_FIXED_BYTES + (size_t)prune->range_count * PRUNE_RANGE_BYTES);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_u64(&out, prune->term);
    writer_head_encode(&out, &prune->manifest);
    encoder_u32(&out, prune->range_count);
    for (uint32_t i = 0; i < prune->range_count; i++) {
        CHECK(range_follows(i == 0 ? NULL : &ranges[i - 1], &ranges[i]));
        encoder_bytes(&out, ranges[i].writer.bytes, WRITER_ID_BYTES);
        encoder_u64(&out, ranges[i].from);
        encoder_u64(&out, ranges[i].to);
    }
    encoder_finish(&out, body);
    return STATUS_OK;
}

enum status prune_decode(struct prune_body *prune, struct bytes body)
{
    struct cursor in = cursor_over(body.at, body.length);
    struct prune_body decoded;
    decoded.term = cursor_u64(&in);
    decoded.manifest = writer_head_decode(&in);
    decoded.range_count = cursor_u32(&in);
    if (decoded.range_count == 0 || decoded.range_count > PRUNE_RANGES_MAX) {
        return STATUS_MALFORMED;
    }
    decoded.ranges = cursor_take(&in, (size_t)decoded.range_count * PRUNE_RANGE_BYTES);
    if (!cursor_done(&in) || !manifest_is_sound(&decoded.manifest)) {
        return STATUS_MALFORMED;
    }
    struct prune_range before = {.from = 0};
    for (uint32_t i = 0; i < decoded.range_count; i++) {
        struct prune_range range = prune_range_at(&decoded, i);
        if (!range_follows(i == 0 ? NULL : &before, &range)) {
            return STATUS_MALFORMED;
        }
        before = range;
    }
    *prune = decoded;
    return STATUS_OK;
}

struct prune_range prune_range_at(const struct prune_body *prune, uint32_t index)
{
    CHECK(index < prune->range_count);
    struct cursor in =
        cursor_over(prune->ranges + (size_t)index * PRUNE_RANGE_BYTES, PRUNE_RANGE_BYTES);
    struct prune_range range;
    cursor_copy(&in, range.writer.bytes, WRITER_ID_BYTES);
    range.from = cursor_u64(&in);
    range.to = cursor_u64(&in);
    return range;
}
