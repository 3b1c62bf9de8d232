/* src/capsule/lock.c */
#include "capsule/lock.h"

#include "base/cursor.h"
#include "base/encoder.h"

bool lock_is_void(const struct lock_body *lock)
{
    return lock->record.head.sequence == 0;
}

enum status lock_encode(struct buffer *body, const struct lock_body *lock)
{
    struct encoder out;
    enum status status = encoder_begin(&out, body, LOCK_BODY_BYTES);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_u64(&out, lock->term);
    encoder_bytes(&out, lock->lock.bytes, HASH_BYTES);
    encoder_u64(&out, lock->fence);
    encoder_bytes(&out, lock->record.writer.bytes, WRITER_ID_BYTES);
    encoder_u64(&out, lock->record.head.sequence);
    encoder_bytes(&out, lock->record.head.hash.bytes, HASH_BYTES);
    encoder_finish(&out, body);
    return STATUS_OK;
}

enum status lock_decode(struct lock_body *lock, struct bytes body)
{
    struct cursor in = cursor_over(body.at, body.length);
    struct lock_body read;
    read.term = cursor_u64(&in);
    cursor_copy(&in, read.lock.bytes, HASH_BYTES);
    read.fence = cursor_u64(&in);
    cursor_copy(&in, read.record.writer.bytes, WRITER_ID_BYTES);
    read.record.head.sequence = cursor_u64(&in);
    cursor_copy(&in, read.record.head.hash.bytes, HASH_BYTES);
    if (!cursor_done(&in)) {
        return STATUS_MALFORMED;
    }
    static const struct writer_id none;
    bool has_writer = !writer_id_equal(&read.record.writer, &none);
    bool has_hash = !hash_is_zero(&read.record.head.hash);
    bool is_whole = has_writer == !lock_is_void(&read) && has_hash == !lock_is_void(&read);
    bool is_grant = lock_fence_term(read.fence) == read.term && (uint32_t)read.fence != 0;
    if (!is_whole || !is_grant) {
        return STATUS_MALFORMED;
    }
    *lock = read;
    return STATUS_OK;
}
