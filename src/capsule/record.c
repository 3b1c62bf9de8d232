/* src/capsule/record.c */
#include "capsule/record.h"

#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "base/encoder.h"
#include "capsule/record_internal.h"

static const uint32_t RECORD_MAGIC = 0x31524350;  // "PCR1"
static const char RECORD_PURPOSE[] = "paranoid record v1";

enum {
    RESERVED_OFFSET = 5,
    BODY_HASH_OFFSET = 80,
    // All but a SYNC follow the record before, and at most one SYNC.
    PARENTS_MAX_BUT_SYNC = 2,
};

/* The part of the header that says how long the record is, if it is one. */
struct shape {
    enum record_type type;
    uint16_t parent_count;
    uint32_t key_epoch;
    uint32_t body_bytes;
    uint64_t sequence;
    bool is_pruned;
    bool is_sound;
};

static bool shape_is_sound(const struct shape *shape, uint32_t magic)
{
    size_t previous_count = shape->sequence > 1 ? 1 : 0;
    size_t parents_max =
        shape->type == RECORD_SYNC ? RECORD_PARENTS_MAX : previous_count + PARENTS_MAX_BUT_SYNC - 1;
    return magic == RECORD_MAGIC && (unsigned)shape->type < RECORD_TYPE_COUNT &&
           (!shape->is_pruned || record_type_is_prunable(shape->type)) && shape->sequence >= 1 &&
           shape->parent_count >= previous_count && shape->parent_count <= parents_max &&
           shape->body_bytes <= RECORD_BODY_BYTES_MAX;
}

static struct shape shape_decode(struct cursor *in)
{
    struct shape shape = {.is_sound = false};
    uint32_t magic = cursor_u32(in);
    uint8_t type = cursor_u8(in);
    uint8_t reserved = cursor_u8(in);
    shape.type = (enum record_type)type;
    shape.parent_count = cursor_u16(in);
    shape.key_epoch = cursor_u32(in);
    shape.body_bytes = cursor_u32(in);
    shape.sequence = cursor_u64(in);
    shape.is_pruned = reserved == 1;
    shape.is_sound = !in->failed && reserved <= 1 && shape_is_sound(&shape, magic);
    return shape;
}

static size_t header_bytes_of(size_t parent_count)
{
    return RECORD_HEADER_BYTES + parent_count * HASH_BYTES;
}

size_t record_length(const uint8_t *bytes, size_t available)
{
    struct cursor in = cursor_over(bytes, available);
    struct shape shape = shape_decode(&in);
    if (!shape.is_sound) {
        return 0;
    }
    return header_bytes_of(shape.parent_count) + SIGN_SIGNATURE_BYTES +
           (shape.is_pruned ? 0 : shape.body_bytes);
}

/* The header as it was before the body was dropped. */
static struct hash hash_of_pruned(struct bytes header)
{
    static const uint8_t reserved = 0;
    const struct bytes parts[] = {
        bytes_of(header.at, RESERVED_OFFSET),
        bytes_of(&reserved, 1),
        bytes_of(header.at + RESERVED_OFFSET + 1, header.length - RESERVED_OFFSET - 1),
    };
    return hash_of_parts(parts, sizeof parts / sizeof *parts);
}

enum status record_decode_again(struct record *record, const uint8_t *bytes, size_t length)
{
    struct cursor in = cursor_over(bytes, length);
    struct record decoded = {.type = RECORD_GENESIS};

    struct shape shape = shape_decode(&in);
    if (!shape.is_sound) {
        return STATUS_MALFORMED;
    }
    decoded.type = shape.type;
    decoded.parent_count = shape.parent_count;
    decoded.key_epoch = shape.key_epoch;
    decoded.sequence = shape.sequence;
    decoded.epoch = cursor_u64(&in);
    cursor_copy(&in, decoded.writer.bytes, sizeof decoded.writer.bytes);
    cursor_copy(&in, decoded.capsule.bytes, sizeof decoded.capsule.bytes);
    cursor_copy(&in, decoded.body_hash.bytes, sizeof decoded.body_hash.bytes);
    decoded.parents = cursor_take(&in, (size_t)shape.parent_count * HASH_BYTES);
    decoded.is_pruned = shape.is_pruned;
    decoded.body = cursor_bytes(&in, shape.is_pruned ? 0 : shape.body_bytes);
    cursor_copy(&in, decoded.signature.bytes, sizeof decoded.signature.bytes);
    if (!cursor_done(&in)) {
        return STATUS_MALFORMED;  // shorter or longer than it claims
    }

    decoded.header = bytes_of(bytes, header_bytes_of(shape.parent_count));
    decoded.whole = bytes_of(bytes, length);
    decoded.hash = decoded.is_pruned ? hash_of_pruned(decoded.header)
                                     : hash_of(decoded.header.at, decoded.header.length);
    *record = decoded;
    return STATUS_OK;
}

enum status record_decode_stored(struct record *record, const uint8_t *bytes, size_t length)
{
    struct record decoded;
    enum status status = record_decode_again(&decoded, bytes, length);
    if (status != STATUS_OK) {
        return status;
    }
    struct hash body_hash = hash_of(decoded.body.at, decoded.body.length);
    if (!decoded.is_pruned && !hash_equal(&body_hash, &decoded.body_hash)) {
        return STATUS_FORGED;
    }
    *record = decoded;
    return STATUS_OK;
}

enum status record_decode(struct record *record, const uint8_t *bytes, size_t length)
{
    struct record decoded;
    enum status status = record_decode_stored(&decoded, bytes, length);
    if (status == STATUS_OK && decoded.is_pruned) {
        status = STATUS_MALFORMED;
    }
    if (status == STATUS_OK) {
        *record = decoded;
    }
    return status;
}

enum status record_prune(struct buffer *target, const struct record *record)
{
    CHECK(record_type_is_prunable(record->type));
    size_t start = target->length;
    size_t kept = record->header.length + SIGN_SIGNATURE_BYTES;
    enum status status = buffer_reserve(target, kept);
    if (status == STATUS_OK) {
        memcpy(target->bytes + start, record->header.at, record->header.length);
        target->bytes[start + RESERVED_OFFSET] = 1;
        memcpy(target->bytes + start + record->header.length, record->signature.bytes,
               SIGN_SIGNATURE_BYTES);
        target->length += kept;
    }
    return status;
}

struct hash record_parent(const struct record *record, size_t index)
{
    CHECK(index < record->parent_count);
    struct hash parent;
    memcpy(parent.bytes, record->parents + index * HASH_BYTES, HASH_BYTES);
    return parent;
}

enum status record_verify(const struct record *record, const struct verify_key *key)
{
    struct bytes hash = bytes_of(record->hash.bytes, sizeof record->hash.bytes);
    return sign_verify(key, RECORD_PURPOSE, hash, &record->signature);
}

enum status record_draft_begin(struct record_draft *draft, struct buffer *target,
                               const struct record_fields *fields, size_t body_bytes)
{
    CHECK(fields->parent_count <= RECORD_PARENTS_MAX && body_bytes <= RECORD_BODY_BYTES_MAX);
    struct shape shape = {
        .type = fields->type,
        .parent_count = (uint16_t)fields->parent_count,
        .key_epoch = fields->key_epoch,
        .body_bytes = (uint32_t)body_bytes,
        .sequence = fields->sequence,
    };
    // What nobody would decode is never signed.
    CHECK(shape_is_sound(&shape, RECORD_MAGIC));

    size_t header_bytes = header_bytes_of(fields->parent_count);
    enum status status = buffer_reserve(target, header_bytes + body_bytes + SIGN_SIGNATURE_BYTES);
    if (status != STATUS_OK) {
        return status;
    }
    uint8_t *start = target->bytes + target->length;
    struct encoder out = encoder_over(start, header_bytes);
    encoder_u32(&out, RECORD_MAGIC);
    encoder_u8(&out, (uint8_t)shape.type);
    encoder_u8(&out, 0);
    encoder_u16(&out, shape.parent_count);
    encoder_u32(&out, shape.key_epoch);
    encoder_u32(&out, shape.body_bytes);
    encoder_u64(&out, shape.sequence);
    encoder_u64(&out, fields->epoch);
    encoder_bytes(&out, fields->writer.bytes, sizeof fields->writer.bytes);
    encoder_bytes(&out, fields->capsule.bytes, sizeof fields->capsule.bytes);
    uint8_t *body_hash = encoder_reserve(&out, HASH_BYTES);
    CHECK(body_hash == start + BODY_HASH_OFFSET);
    for (size_t i = 0; i < fields->parent_count; i++) {
        encoder_bytes(&out, fields->parents[i].bytes, HASH_BYTES);
    }
    CHECK(!out.failed && out.length == header_bytes);

    *draft = (struct record_draft){
        .target = target,
        .start = start,
        .header_bytes = header_bytes,
        .body_bytes = body_bytes,
        .body = start + header_bytes,
    };
    return STATUS_OK;
}

struct hash record_draft_finish(struct record_draft *draft, const struct sign_key *key)
{
    struct hash body_hash = hash_of(draft->body, draft->body_bytes);
    memcpy(draft->start + BODY_HASH_OFFSET, body_hash.bytes, HASH_BYTES);

    struct hash hash = hash_of(draft->start, draft->header_bytes);
    struct signature signature =
        sign_make(key, RECORD_PURPOSE, bytes_of(hash.bytes, sizeof hash.bytes));
    memcpy(draft->body + draft->body_bytes, signature.bytes, sizeof signature.bytes);
    draft->target->length += draft->header_bytes + draft->body_bytes + SIGN_SIGNATURE_BYTES;
    return hash;
}

enum status record_encode(struct buffer *target, struct hash *hash,
                          const struct record_fields *fields, struct bytes body,
                          const struct sign_key *key)
{
    CHECK(!record_type_is_sealed(fields->type));
    struct record_draft draft;
    enum status status = record_draft_begin(&draft, target, fields, body.length);
    if (status != STATUS_OK) {
        return status;
    }
    if (body.length > 0) {
        memcpy(draft.body, body.at, body.length);
    }
    *hash = record_draft_finish(&draft, key);
    return STATUS_OK;
}

bool record_type_is_sealed(enum record_type type)
{
    return type == RECORD_DATA || type == RECORD_TABLE || type == RECORD_MANIFEST ||
           type == RECORD_FUNCTION;
}

bool record_type_is_prunable(enum record_type type)
{
    return type == RECORD_DATA || type == RECORD_TABLE || type == RECORD_MANIFEST;
}

const char *record_type_text(enum record_type type)
{
    static const char *const texts[RECORD_TYPE_COUNT] = {
        [RECORD_GENESIS] = "GENESIS",   [RECORD_MEMBER] = "MEMBER",     [RECORD_DATA] = "DATA",
        [RECORD_EOE] = "EOE",           [RECORD_SYNC] = "SYNC",         [RECORD_TABLE] = "TABLE",
        [RECORD_MANIFEST] = "MANIFEST", [RECORD_FUNCTION] = "FUNCTION", [RECORD_PRUNE] = "PRUNE",
        [RECORD_TERM] = "TERM",         [RECORD_POLICY] = "POLICY",     [RECORD_LOCK] = "LOCK",
        [RECORD_CLOSE] = "CLOSE",       [RECORD_REVOKE] = "REVOKE",
    };
    CHECK((unsigned)type < RECORD_TYPE_COUNT);
    return texts[type];
}
