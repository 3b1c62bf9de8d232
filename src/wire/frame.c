/* src/wire/frame.c */
#include "wire/frame.h"

#include <stdbool.h>

#include "base/check.h"
#include "base/cursor.h"
#include "base/encoder.h"
#include "capsule/member.h"

static const char rts_purpose[] = "paranoid rts v1";
static const char fence_purpose[] = "paranoid fence ask v2";
static const char recalled_purpose[] = "paranoid recalled v1";

const struct writer_id frame_to_leader = {
    .bytes = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
              0xff, 0xff},
};

const struct writer_id frame_to_stores = {
    .bytes = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
              0xff, 0xfe},
};

const struct writer_id frame_to_replicas = {
    .bytes = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
              0xff, 0xfd},
};

static bool kind_is_known(uint8_t kind)
{
    return (kind >= FRAME_RECORD && kind <= FRAME_RECALLED) ||
           (kind >= FRAME_START && kind <= FRAME_STORES);
}

static bool kind_has_body(uint8_t kind)
{
    return kind != FRAME_READY && kind != FRAME_GONE && kind != FRAME_STOP && kind != FRAME_STORES;
}

static bool role_is_known(uint8_t role)
{
    return role >= MEMBER_LEADER && role <= MEMBER_COMPACTOR;
}

enum status frame_decode(struct frame *frame, struct bytes bytes)
{
    struct cursor in = cursor_over(bytes.at, bytes.length);

    uint8_t kind = cursor_u8(&in);
    uint8_t reserved[3];
    cursor_copy(&in, reserved, sizeof reserved);
    uint32_t request = cursor_u32(&in);
    struct writer_id peer;
    cursor_copy(&in, peer.bytes, sizeof peer.bytes);
    struct bytes body = cursor_bytes(&in, in.left);

    if (in.failed || bytes.length > FRAME_BYTES_MAX) {
        return STATUS_MALFORMED;
    }
    if (!kind_is_known(kind) || (reserved[0] | reserved[1] | reserved[2]) != 0) {
        return STATUS_MALFORMED;
    }
    if (!kind_has_body(kind) && body.length != 0) {
        return STATUS_MALFORMED;
    }

    *frame = (struct frame){
        .kind = kind,
        .request = request,
        .peer = peer,
        .body = body,
    };
    return STATUS_OK;
}

void frame_header(uint8_t target[FRAME_HEADER_BYTES], enum frame_kind kind, uint32_t request,
                  const struct writer_id *peer)
{
    struct encoder out = encoder_over(target, FRAME_HEADER_BYTES);
    encoder_u8(&out, (uint8_t)kind);
    encoder_bytes(&out, (const uint8_t[3]){0}, 3);
    encoder_u32(&out, request);
    encoder_bytes(&out, peer->bytes, sizeof peer->bytes);
    CHECK(out.length == FRAME_HEADER_BYTES);
}

enum status frame_encode(struct buffer *target, enum frame_kind kind, uint32_t request,
                         const struct writer_id *peer, struct bytes body)
{
    if (body.length > FRAME_BYTES_MAX - FRAME_HEADER_BYTES) {
        return STATUS_MALFORMED;
    }
    struct encoder out;
    enum status status = encoder_begin(&out, target, FRAME_HEADER_BYTES + body.length);
    if (status != STATUS_OK) {
        return status;
    }
    frame_header(encoder_reserve(&out, FRAME_HEADER_BYTES), kind, request, peer);
    encoder_bytes(&out, body.at, body.length);
    encoder_finish(&out, target);
    return STATUS_OK;
}

enum { RTS_FIELDS_BYTES = 8 + 8, RTS_SIGNED_BYTES = HASH_BYTES + RTS_FIELDS_BYTES };

static void rts_fields(struct encoder *out, uint64_t term, uint64_t epoch)
{
    encoder_u64(out, term);
    encoder_u64(out, epoch);
}

static void rts_signed(uint8_t target[RTS_SIGNED_BYTES], const struct hash *capsule, uint64_t term,
                       uint64_t epoch)
{
    struct encoder out = encoder_over(target, RTS_SIGNED_BYTES);
    encoder_bytes(&out, capsule->bytes, sizeof capsule->bytes);
    rts_fields(&out, term, epoch);
    CHECK(out.length == RTS_SIGNED_BYTES);
}

enum status frame_rts_encode(struct buffer *target, const struct hash *capsule, uint64_t term,
                             uint64_t epoch, const struct sign_key *leader)
{
    struct encoder out;
    enum status status = encoder_begin(&out, target, RTS_FIELDS_BYTES + SIGN_SIGNATURE_BYTES);
    if (status != STATUS_OK) {
        return status;
    }
    uint8_t message[RTS_SIGNED_BYTES];
    rts_signed(message, capsule, term, epoch);
    struct signature signature = sign_make(leader, rts_purpose, bytes_of(message, sizeof message));

    rts_fields(&out, term, epoch);
    encoder_bytes(&out, signature.bytes, sizeof signature.bytes);
    encoder_finish(&out, target);
    return STATUS_OK;
}

enum status frame_rts_decode(struct frame_rts *rts, struct bytes body)
{
    struct cursor in = cursor_over(body.at, body.length);
    struct frame_rts decoded;

    decoded.term = cursor_u64(&in);
    decoded.epoch = cursor_u64(&in);
    cursor_copy(&in, decoded.signature.bytes, sizeof decoded.signature.bytes);

    if (!cursor_done(&in)) {
        return STATUS_MALFORMED;
    }
    *rts = decoded;
    return STATUS_OK;
}

enum status frame_rts_verify(const struct frame_rts *rts, const struct hash *capsule,
                             const struct verify_key *leader)
{
    uint8_t message[RTS_SIGNED_BYTES];
    rts_signed(message, capsule, rts->term, rts->epoch);
    return sign_verify(leader, rts_purpose, bytes_of(message, sizeof message), &rts->signature);
}

enum status frame_fetch_encode(struct buffer *target, const struct frame_fetch *fetch)
{
    struct encoder out;
    enum status status = encoder_begin(&out, target, WRITER_ID_BYTES + 8 + 8 + 4 + 1);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_bytes(&out, fetch->writer.bytes, sizeof fetch->writer.bytes);
    encoder_u64(&out, fetch->from);
    encoder_u64(&out, fetch->to);
    encoder_u32(&out, fetch->max_bytes);
    encoder_u8(&out, fetch->has_bare_tables);
    encoder_finish(&out, target);
    return STATUS_OK;
}

enum status frame_fetch_decode(struct frame_fetch *fetch, struct bytes body)
{
    struct cursor in = cursor_over(body.at, body.length);
    struct frame_fetch decoded;

    cursor_copy(&in, decoded.writer.bytes, sizeof decoded.writer.bytes);
    decoded.from = cursor_u64(&in);
    decoded.to = cursor_u64(&in);
    decoded.max_bytes = cursor_u32(&in);
    uint8_t has_bare_tables = cursor_u8(&in);
    decoded.has_bare_tables = has_bare_tables == 1;

    if (!cursor_done(&in) || has_bare_tables > 1) {
        return STATUS_MALFORMED;
    }
    *fetch = decoded;
    return STATUS_OK;
}

enum status frame_fetched_encode(struct buffer *target, const struct frame_fetched *fetched)
{
    CHECK(fetched->is_end <= 1);
    struct encoder out;
    enum status status = encoder_begin(&out, target, WRITER_ID_BYTES + 8 + 1);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_bytes(&out, fetched->writer.bytes, sizeof fetched->writer.bytes);
    encoder_u64(&out, fetched->next);
    encoder_u8(&out, fetched->is_end);
    encoder_finish(&out, target);
    return STATUS_OK;
}

enum status frame_fetched_decode(struct frame_fetched *fetched, struct bytes body)
{
    struct cursor in = cursor_over(body.at, body.length);
    struct frame_fetched decoded;

    cursor_copy(&in, decoded.writer.bytes, sizeof decoded.writer.bytes);
    decoded.next = cursor_u64(&in);
    decoded.is_end = cursor_u8(&in);

    if (!cursor_done(&in) || decoded.is_end > 1) {
        return STATUS_MALFORMED;
    }
    *fetched = decoded;
    return STATUS_OK;
}

enum {
    FENCE_FIXED_BYTES = 8 + WRITER_ID_BYTES + 8 + HASH_BYTES + 4,  // up to the TERM body
    FENCE_SIGNED_BYTES = 2 * HASH_BYTES,
};

static void fence_fixed(struct encoder *out, uint64_t term, const struct writer_id *writer,
                        const struct head *cut, struct bytes term_body)
{
    encoder_u64(out, term);
    encoder_bytes(out, writer->bytes, sizeof writer->bytes);
    encoder_u64(out, cut->sequence);
    encoder_bytes(out, cut->hash.bytes, sizeof cut->hash.bytes);
    encoder_u32(out, (uint32_t)term_body.length);
}

/* capsule ‖ SHA-256(fields before the signature) */
static void fence_signed(uint8_t target[FENCE_SIGNED_BYTES], const struct hash *capsule,
                         uint64_t term, const struct writer_id *writer, const struct head *cut,
                         struct bytes term_body)
{
    uint8_t fixed[FENCE_FIXED_BYTES];
    struct encoder fields = encoder_over(fixed, sizeof fixed);
    fence_fixed(&fields, term, writer, cut, term_body);
    const struct bytes parts[] = {bytes_of(fixed, fields.length), term_body};
    struct hash hash = hash_of_parts(parts, sizeof parts / sizeof *parts);

    struct encoder out = encoder_over(target, FENCE_SIGNED_BYTES);
    encoder_bytes(&out, capsule->bytes, sizeof capsule->bytes);
    encoder_bytes(&out, hash.bytes, sizeof hash.bytes);
    CHECK(out.length == FENCE_SIGNED_BYTES);
}

enum status frame_fence_encode(struct buffer *target, const struct hash *capsule, uint64_t term,
                               const struct writer_id *writer, const struct head *cut,
                               struct bytes term_body, const struct sign_key *leader)
{
    if (term_body.length > FRAME_BYTES_MAX) {
        return STATUS_MALFORMED;
    }
    struct encoder out;
    enum status status =
        encoder_begin(&out, target, FENCE_FIXED_BYTES + term_body.length + SIGN_SIGNATURE_BYTES);
    if (status != STATUS_OK) {
        return status;
    }
    uint8_t message[FENCE_SIGNED_BYTES];
    fence_signed(message, capsule, term, writer, cut, term_body);
    struct signature signature =
        sign_make(leader, fence_purpose, bytes_of(message, sizeof message));

    fence_fixed(&out, term, writer, cut, term_body);
    encoder_bytes(&out, term_body.at, term_body.length);
    encoder_bytes(&out, signature.bytes, sizeof signature.bytes);
    encoder_finish(&out, target);
    return STATUS_OK;
}

enum status frame_fence_decode(struct frame_fence *fence, struct bytes body)
{
    struct cursor in = cursor_over(body.at, body.length);
    struct frame_fence decoded = {.whole = body};

    decoded.term = cursor_u64(&in);
    cursor_copy(&in, decoded.writer.bytes, sizeof decoded.writer.bytes);
    decoded.cut.sequence = cursor_u64(&in);
    cursor_copy(&in, decoded.cut.hash.bytes, sizeof decoded.cut.hash.bytes);
    decoded.term_body = cursor_run(&in);
    cursor_copy(&in, decoded.signature.bytes, sizeof decoded.signature.bytes);

    bool has_cut = decoded.cut.sequence != 0 || !hash_is_zero(&decoded.cut.hash);
    bool is_cut_sound = decoded.cut.sequence != 0 && !writer_id_is_zero(&decoded.writer);
    if (!cursor_done(&in) || (has_cut && !is_cut_sound)) {
        return STATUS_MALFORMED;
    }
    *fence = decoded;
    return STATUS_OK;
}

enum status frame_fence_verify(const struct frame_fence *fence, const struct hash *capsule,
                               const struct verify_key *leader)
{
    uint8_t message[FENCE_SIGNED_BYTES];
    fence_signed(message, capsule, fence->term, &fence->writer, &fence->cut, fence->term_body);
    return sign_verify(leader, fence_purpose, bytes_of(message, sizeof message), &fence->signature);
}

enum { RECALLED_FIXED_BYTES = FRAME_NONCE_BYTES + 1 + HASH_BYTES };

static void recalled_fixed(struct encoder *out, const struct frame_recalled *recalled)
{
    encoder_bytes(out, recalled->nonce, sizeof recalled->nonce);
    encoder_u8(out, recalled->is_refilling);
    encoder_bytes(out, recalled->digest.bytes, sizeof recalled->digest.bytes);
}

/* capsule ‖ SHA-256(fields before the signature) */
static void recalled_signed(uint8_t target[2 * HASH_BYTES], const struct hash *capsule,
                            const struct frame_recalled *recalled)
{
    uint8_t fixed[RECALLED_FIXED_BYTES];
    struct encoder fields = encoder_over(fixed, sizeof fixed);
    recalled_fixed(&fields, recalled);
    struct hash hash = hash_of(fixed, sizeof fixed);
    struct encoder out = encoder_over(target, 2 * HASH_BYTES);
    encoder_bytes(&out, capsule->bytes, sizeof capsule->bytes);
    encoder_bytes(&out, hash.bytes, sizeof hash.bytes);
    CHECK(fields.length == sizeof fixed && out.length == 2 * HASH_BYTES);
}

enum status frame_recalled_encode(struct buffer *target, const struct hash *capsule,
                                  const struct frame_recalled *recalled,
                                  const struct sign_key *store)
{
    CHECK(recalled->is_refilling <= 1);
    struct encoder out;
    enum status status = encoder_begin(&out, target, RECALLED_FIXED_BYTES + SIGN_SIGNATURE_BYTES);
    if (status != STATUS_OK) {
        return status;
    }
    uint8_t message[2 * HASH_BYTES];
    recalled_signed(message, capsule, recalled);
    struct signature signature =
        sign_make(store, recalled_purpose, bytes_of(message, sizeof message));
    recalled_fixed(&out, recalled);
    encoder_bytes(&out, signature.bytes, sizeof signature.bytes);
    encoder_finish(&out, target);
    return STATUS_OK;
}

enum status frame_recalled_decode(struct frame_recalled *recalled, struct bytes body)
{
    struct cursor in = cursor_over(body.at, body.length);
    struct frame_recalled decoded;

    cursor_copy(&in, decoded.nonce, sizeof decoded.nonce);
    decoded.is_refilling = cursor_u8(&in);
    cursor_copy(&in, decoded.digest.bytes, sizeof decoded.digest.bytes);
    cursor_copy(&in, decoded.signature.bytes, sizeof decoded.signature.bytes);

    if (!cursor_done(&in) || decoded.is_refilling > 1) {
        return STATUS_MALFORMED;
    }
    *recalled = decoded;
    return STATUS_OK;
}

enum status frame_recalled_verify(const struct frame_recalled *recalled, const struct hash *capsule,
                                  const struct verify_key *store)
{
    uint8_t message[2 * HASH_BYTES];
    recalled_signed(message, capsule, recalled);
    return sign_verify(store, recalled_purpose, bytes_of(message, sizeof message),
                       &recalled->signature);
}

void frame_recalled_digest(struct hash *digest, struct bytes body)
{
    const struct bytes parts[] = {bytes_of(digest->bytes, HASH_BYTES), body};
    *digest = hash_of_parts(parts, sizeof parts / sizeof *parts);
}

enum status frame_refused_encode(struct buffer *target, const struct frame_refused *refused)
{
    CHECK(refused->status != STATUS_OK && refused->status <= STATUS_IO);
    struct encoder out;
    enum status status =
        encoder_begin(&out, target, 4 + 8 + WRITER_ID_BYTES + refused->text.length);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_u32(&out, refused->status);
    encoder_u64(&out, refused->sequence);
    encoder_bytes(&out, refused->writer.bytes, sizeof refused->writer.bytes);
    encoder_bytes(&out, refused->text.at, refused->text.length);
    encoder_finish(&out, target);
    return STATUS_OK;
}

enum status frame_refused_decode(struct frame_refused *refused, struct bytes body)
{
    struct cursor in = cursor_over(body.at, body.length);
    struct frame_refused decoded;

    decoded.status = cursor_u32(&in);
    decoded.sequence = cursor_u64(&in);
    cursor_copy(&in, decoded.writer.bytes, sizeof decoded.writer.bytes);
    decoded.text = cursor_bytes(&in, in.left);

    if (in.failed || decoded.status == STATUS_OK || decoded.status > STATUS_IO) {
        return STATUS_MALFORMED;
    }
    *refused = decoded;
    return STATUS_OK;
}

enum status frame_start_encode(struct buffer *target, const struct frame_start *start)
{
    CHECK(role_is_known(start->role));
    struct encoder out;
    enum status status =
        encoder_begin(&out, target, 1 + 4 + 8 + 8 + HASH_BYTES + start->genesis.length);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_u8(&out, start->role);
    encoder_u32(&out, start->lambda_threads);
    encoder_u64(&out, start->memtable_bytes);
    encoder_u64(&out, start->time_ms);
    encoder_bytes(&out, start->capsule.bytes, sizeof start->capsule.bytes);
    encoder_bytes(&out, start->genesis.at, start->genesis.length);
    encoder_finish(&out, target);
    return STATUS_OK;
}

enum status frame_start_decode(struct frame_start *start, struct bytes body)
{
    struct cursor in = cursor_over(body.at, body.length);
    struct frame_start decoded;

    decoded.role = cursor_u8(&in);
    decoded.lambda_threads = cursor_u32(&in);
    decoded.memtable_bytes = cursor_u64(&in);
    decoded.time_ms = cursor_u64(&in);
    cursor_copy(&in, decoded.capsule.bytes, sizeof decoded.capsule.bytes);
    decoded.genesis = cursor_bytes(&in, in.left);

    if (in.failed || !role_is_known(decoded.role)) {
        return STATUS_MALFORMED;
    }
    *start = decoded;
    return STATUS_OK;
}

enum status frame_hello_encode(struct buffer *target, const struct frame_hello *hello)
{
    CHECK(role_is_known(hello->role));
    struct encoder out;
    enum status status = encoder_begin(&out, target, 1 + SIGN_PUBLIC_BYTES);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_u8(&out, hello->role);
    encoder_bytes(&out, hello->key.bytes, sizeof hello->key.bytes);
    encoder_finish(&out, target);
    return STATUS_OK;
}

enum status frame_hello_decode(struct frame_hello *hello, struct bytes body)
{
    struct cursor in = cursor_over(body.at, body.length);
    struct frame_hello decoded;

    decoded.role = cursor_u8(&in);
    cursor_copy(&in, decoded.key.bytes, sizeof decoded.key.bytes);

    if (!cursor_done(&in) || !role_is_known(decoded.role)) {
        return STATUS_MALFORMED;
    }
    *hello = decoded;
    return STATUS_OK;
}

static bool stream_length_fits(uint8_t event, size_t length)
{
    switch (event) {
    case FRAME_STREAM_OPEN:
    case FRAME_STREAM_CLOSE:
        return length == 0;
    case FRAME_STREAM_DATA:
        return true;
    case FRAME_STREAM_SENT:
        return length == sizeof(uint32_t);
    default:
        return false;
    }
}

enum status frame_stream_decode(struct frame_stream *stream, struct bytes body)
{
    struct cursor in = cursor_over(body.at, body.length);

    uint64_t connection = cursor_u64(&in);
    uint8_t event = cursor_u8(&in);
    struct bytes bytes = cursor_bytes(&in, in.left);

    if (in.failed || !stream_length_fits(event, bytes.length)) {
        return STATUS_MALFORMED;
    }
    *stream = (struct frame_stream){.connection = connection, .event = event, .bytes = bytes};
    return STATUS_OK;
}

void frame_stream_prefix(uint8_t target[FRAME_STREAM_PREFIX_BYTES], uint64_t connection,
                         enum frame_stream_event event)
{
    struct encoder out = encoder_over(target, FRAME_STREAM_PREFIX_BYTES);
    encoder_u64(&out, connection);
    encoder_u8(&out, (uint8_t)event);
    CHECK(out.length == FRAME_STREAM_PREFIX_BYTES);
}
