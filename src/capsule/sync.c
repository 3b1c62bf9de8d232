/* src/capsule/sync.c */
#include "capsule/sync.h"

#include "base/check.h"
#include "base/cursor.h"
#include "base/encoder.h"
#include "capsule/writer_internal.h"

enum {
    EOE_FIXED_BYTES = 52,
    SYNC_FIXED_BYTES = 92,
    SYNC_HEAD_BYTES = BRANCH_HEAD_BYTES + 8,
    CLOSE_FIXED_BYTES = 72,
    LENGTH_BYTES = 4,
};

// ---- EOE ----

enum status sync_eoe_encode(struct buffer *body, const struct eoe *eoe,
                            const struct branch_head *heads)
{
    CHECK(eoe->head_count <= SYNC_HEADS_MAX);
    size_t needed = EOE_FIXED_BYTES + (size_t)eoe->head_count * BRANCH_HEAD_BYTES;
    struct encoder out;
    enum status status = encoder_begin(&out, body, needed);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_u64(&out, eoe->epoch);
    encoder_u64(&out, eoe->lamport);
    encoder_bytes(&out, eoe->sync.bytes, sizeof eoe->sync.bytes);
    encoder_u32(&out, eoe->head_count);
    for (uint32_t i = 0; i < eoe->head_count; i++) {
        CHECK(writer_head_is_sound(&heads[i].head));
        writer_head_encode(&out, &heads[i]);
    }
    encoder_finish(&out, body);
    return STATUS_OK;
}

enum status sync_eoe_decode(struct eoe *eoe, struct bytes body)
{
    struct cursor in = cursor_over(body.at, body.length);
    struct eoe decoded;
    decoded.epoch = cursor_u64(&in);
    decoded.lamport = cursor_u64(&in);
    cursor_copy(&in, decoded.sync.bytes, sizeof decoded.sync.bytes);
    decoded.head_count = cursor_u32(&in);
    if (decoded.head_count > SYNC_HEADS_MAX) {
        return STATUS_MALFORMED;
    }
    decoded.heads = cursor_take(&in, (size_t)decoded.head_count * BRANCH_HEAD_BYTES);
    if (!cursor_done(&in)) {
        return STATUS_MALFORMED;
    }
    for (uint32_t i = 0; i < decoded.head_count; i++) {
        struct branch_head branch = sync_eoe_head(&decoded, i);
        if (!writer_head_is_sound(&branch.head)) {
            return STATUS_MALFORMED;
        }
    }
    *eoe = decoded;
    return STATUS_OK;
}

struct branch_head sync_eoe_head(const struct eoe *eoe, uint32_t index)
{
    CHECK(index < eoe->head_count);
    struct cursor in =
        cursor_over(eoe->heads + (size_t)index * BRANCH_HEAD_BYTES, BRANCH_HEAD_BYTES);
    return writer_head_decode(&in);
}

// ---- SYNC ----

static bool head_is_sound(const struct sync_head *head)
{
    return writer_head_is_sound(&head->branch.head) &&
           (head->flags & ~(uint64_t)(SYNC_FLAG_CLOSED | SYNC_FLAG_ABSENT)) == 0;
}

/* All of it is zero, or none. */
static bool manifest_is_sound(const struct branch_head *manifest)
{
    return writer_head_is_sound(&manifest->head) &&
           writer_id_is_zero(&manifest->writer) == (manifest->head.sequence == 0);
}

enum status sync_encode(struct buffer *body, const struct sync_body *sync,
                        const struct sync_head *heads)
{
    CHECK(sync->head_count <= SYNC_HEADS_MAX && sync->receipts.length <= UINT32_MAX);
    CHECK(manifest_is_sound(&sync->manifest));
    size_t needed = SYNC_FIXED_BYTES + (size_t)sync->head_count * SYNC_HEAD_BYTES + LENGTH_BYTES +
                    sync->receipts.length;
    struct encoder out;
    enum status status = encoder_begin(&out, body, needed);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_u64(&out, sync->term);
    encoder_u64(&out, sync->time_ms);
    encoder_u64(&out, sync->lamport);
    encoder_u64(&out, sync->floor);
    writer_head_encode(&out, &sync->manifest);
    encoder_u32(&out, sync->head_count);
    for (uint32_t i = 0; i < sync->head_count; i++) {
        CHECK(head_is_sound(&heads[i]));
        writer_head_encode(&out, &heads[i].branch);
        encoder_u64(&out, heads[i].flags);
    }
    encoder_run(&out, sync->receipts);
    encoder_finish(&out, body);
    return STATUS_OK;
}

enum status sync_decode(struct sync_body *sync, struct bytes body)
{
    struct cursor in = cursor_over(body.at, body.length);
    struct sync_body decoded;
    decoded.term = cursor_u64(&in);
    decoded.time_ms = cursor_u64(&in);
    decoded.lamport = cursor_u64(&in);
    decoded.floor = cursor_u64(&in);
    decoded.manifest = writer_head_decode(&in);
    decoded.head_count = cursor_u32(&in);
    if (decoded.head_count > SYNC_HEADS_MAX || !manifest_is_sound(&decoded.manifest)) {
        return STATUS_MALFORMED;
    }
    decoded.heads = cursor_take(&in, (size_t)decoded.head_count * SYNC_HEAD_BYTES);
    decoded.receipts = cursor_run(&in);
    if (!cursor_done(&in)) {
        return STATUS_MALFORMED;
    }
    for (uint32_t i = 0; i < decoded.head_count; i++) {
        struct sync_head head = sync_head_at(&decoded, i);
        if (!head_is_sound(&head)) {
            return STATUS_MALFORMED;
        }
    }
    *sync = decoded;
    return STATUS_OK;
}

struct sync_head sync_head_at(const struct sync_body *sync, uint32_t index)
{
    CHECK(index < sync->head_count);
    struct cursor in = cursor_over(sync->heads + (size_t)index * SYNC_HEAD_BYTES, SYNC_HEAD_BYTES);
    struct sync_head head;
    head.branch = writer_head_decode(&in);
    head.flags = cursor_u64(&in);
    return head;
}

// ---- CLOSE ----

static bool close_is_sound(const struct sync_close *close)
{
    return writer_head_is_sound(&close->cut.head) && close->reason >= SYNC_CLOSE_RESTART &&
           close->reason <= SYNC_CLOSE_REVOKED;
}

enum status sync_close_encode(struct buffer *body, const struct sync_close *close)
{
    CHECK(close_is_sound(close) && close->fences.length <= UINT32_MAX);
    size_t needed = CLOSE_FIXED_BYTES + close->fences.length;
    struct encoder out;
    enum status status = encoder_begin(&out, body, needed);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_u64(&out, close->term);
    writer_head_encode(&out, &close->cut);
    encoder_u32(&out, (uint32_t)close->reason);
    encoder_run(&out, close->fences);
    encoder_finish(&out, body);
    return STATUS_OK;
}

enum status sync_close_decode(struct sync_close *close, struct bytes body)
{
    struct cursor in = cursor_over(body.at, body.length);
    struct sync_close decoded;
    decoded.term = cursor_u64(&in);
    decoded.cut = writer_head_decode(&in);
    uint32_t reason = cursor_u32(&in);
    decoded.reason = (enum sync_close_reason)reason;
    decoded.fences = cursor_run(&in);
    if (!cursor_done(&in) || !close_is_sound(&decoded)) {
        return STATUS_MALFORMED;
    }
    *close = decoded;
    return STATUS_OK;
}
