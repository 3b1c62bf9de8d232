/* src/capsule/tuple.c */
#include "capsule/tuple.h"

#include "base/check.h"
#include "base/checked.h"
#include "base/encoder.h"

enum {
    FLAG_EXPIRY = 1,
    TAG_BYTES = HASH_BYTES + 8,
    TUPLE_HEADER_BYTES = 8,
    EXPIRY_BYTES = 8,
    COUNT_OFFSET = 8,
};

// Beside the count: a tag follows.
static const uint32_t COUNT_TAGGED = UINT32_C(1) << 31;

static bool sizes_are_sound(enum tuple_kind kind, size_t key_bytes, size_t value_bytes)
{
    return key_bytes >= 1 && key_bytes <= TUPLE_KEY_BYTES_MAX &&
           value_bytes <= TUPLE_VALUE_BYTES_MAX && (kind == TUPLE_PUT || value_bytes == 0);
}

static bool is_sound(const struct tuple *tuple)
{
    return (tuple->kind == TUPLE_PUT || tuple->kind == TUPLE_DELETE) &&
           sizes_are_sound(tuple->kind, tuple->key.length, tuple->value.length) &&
           (tuple->kind == TUPLE_PUT || tuple->expiry_ms == 0);
}

static void count_write(struct tuple_batch *batch)
{
    struct encoder out = encoder_over(batch->plain.bytes + COUNT_OFFSET, sizeof batch->count);
    encoder_u32(&out, batch->count | (batch->tag.fence != 0 ? COUNT_TAGGED : 0));
}

enum status tuple_batch_add(struct tuple_batch *batch, const struct tuple *tuple)
{
    CHECK(is_sound(tuple) && tuple->lamport > batch->last_lamport);
    bool is_first = batch->count == 0;
    uint64_t delta = is_first ? 0 : tuple->lamport - batch->last_lamport;
    bool has_expiry = tuple->expiry_ms != 0;
    bool is_tagged = batch->tag.fence != 0;

    size_t header_bytes = TUPLE_BATCH_HEADER_BYTES + (size_t)(is_tagged ? TAG_BYTES : 0);
    size_t needed = (is_first ? header_bytes : 0) + TUPLE_HEADER_BYTES +
                    encoder_varint_bytes(delta) + (size_t)(has_expiry ? EXPIRY_BYTES : 0) +
                    tuple->key.length + tuple->value.length;
    if (needed > TUPLE_BATCH_BYTES_MAX - batch->plain.length) {
        return STATUS_FULL;
    }
    struct encoder out;
    enum status status = encoder_begin(&out, &batch->plain, needed);
    if (status != STATUS_OK) {
        return status;
    }
    if (is_first) {
        encoder_u64(&out, tuple->lamport);
        encoder_u32(&out, 0);  // the count, below
        if (is_tagged) {
            encoder_bytes(&out, batch->tag.lock.bytes, HASH_BYTES);
            encoder_u64(&out, batch->tag.fence);
        }
    }
    encoder_u8(&out, (uint8_t)tuple->kind);
    encoder_u8(&out, has_expiry ? FLAG_EXPIRY : 0);
    encoder_u16(&out, (uint16_t)tuple->key.length);
    encoder_u32(&out, (uint32_t)tuple->value.length);
    encoder_varint(&out, delta);
    if (has_expiry) {
        encoder_u64(&out, tuple->expiry_ms);
    }
    encoder_bytes(&out, tuple->key.at, tuple->key.length);
    encoder_bytes(&out, tuple->value.at, tuple->value.length);
    encoder_finish(&out, &batch->plain);

    batch->last_lamport = tuple->lamport;
    batch->count++;
    count_write(batch);
    return STATUS_OK;
}

void tuple_batch_clear(struct tuple_batch *batch)
{
    struct buffer plain = batch->plain;
    buffer_clear(&plain);
    *batch = (struct tuple_batch){.plain = plain};
}

void tuple_batch_release(struct tuple_batch *batch)
{
    buffer_release(&batch->plain);
    *batch = (struct tuple_batch){.plain = BUFFER_EMPTY};
}

enum status tuple_reader_init(struct tuple_reader *reader, struct bytes plain)
{
    struct cursor in = cursor_over(plain.at, plain.length);
    uint64_t first_lamport = cursor_u64(&in);
    uint32_t count = cursor_u32(&in);
    bool is_tagged = (count & COUNT_TAGGED) != 0;
    struct tuple_tag tag = {.fence = 0};
    count &= ~COUNT_TAGGED;
    if (is_tagged) {
        cursor_copy(&in, tag.lock.bytes, HASH_BYTES);
        tag.fence = cursor_u64(&in);
    }
    // A fence of 0 would be a second way to say "no tag".
    if (in.failed || is_tagged != (tag.fence != 0) || plain.length > TUPLE_BATCH_BYTES_MAX ||
        first_lamport == 0 || count == 0) {
        return STATUS_MALFORMED;
    }
    *reader = (struct tuple_reader){
        .in = in,
        .lamport = first_lamport,
        .left = count,
        .is_first = true,
        .tag = tag,
    };
    return STATUS_OK;
}

enum status tuple_reader_next(struct tuple_reader *reader, struct tuple *tuple)
{
    struct cursor *in = &reader->in;
    if (reader->left == 0) {
        return cursor_done(in) ? STATUS_EMPTY : STATUS_MALFORMED;
    }
    uint8_t kind = cursor_u8(in);
    uint8_t flags = cursor_u8(in);
    uint16_t key_bytes = cursor_u16(in);
    uint32_t value_bytes = cursor_u32(in);
    uint64_t delta = cursor_varint(in);
    bool has_expiry = flags == FLAG_EXPIRY;
    uint64_t expiry_ms = has_expiry ? cursor_u64(in) : 0;
    struct tuple read = {
        .kind = (enum tuple_kind)kind,
        .expiry_ms = expiry_ms,
        .key = cursor_bytes(in, key_bytes),
    };
    read.value = cursor_bytes(in, value_bytes);

    // An expiry of 0 would be a second way to say "never".
    bool flags_are_sound = flags == 0 || (has_expiry && expiry_ms != 0);
    bool delta_is_sound = reader->is_first == (delta == 0);
    if (in->failed || !flags_are_sound || !delta_is_sound || !is_sound(&read) ||
        !checked_add_u64(&read.lamport, reader->lamport, delta)) {
        in->failed = true;
        return STATUS_MALFORMED;
    }
    reader->lamport = read.lamport;
    reader->left--;
    reader->is_first = false;
    *tuple = read;
    return STATUS_OK;
}

enum status tuple_verify_batch(struct bytes plain, uint64_t *last_lamport)
{
    struct tuple_reader reader;
    enum status status = tuple_reader_init(&reader, plain);
    struct tuple tuple;
    while (status == STATUS_OK) {
        status = tuple_reader_next(&reader, &tuple);
    }
    if (status != STATUS_EMPTY) {
        return status;
    }
    *last_lamport = reader.lamport;
    return STATUS_OK;
}
