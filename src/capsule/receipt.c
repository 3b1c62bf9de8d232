/* src/capsule/receipt.c */
#include "capsule/receipt.h"

#include "base/check.h"
#include "base/cursor.h"
#include "base/encoder.h"
#include "capsule/record.h"
#include "capsule/writer_internal.h"

enum { RECEIPT_FIXED_BYTES = 28, LENGTH_BYTES = 4 };

static const char *purpose_of(enum receipt_kind kind)
{
    return kind == RECEIPT_FENCE ? "paranoid fence v1" : "paranoid receipt v1";
}

/* What a store signs beside the purpose: capsule ‖ SHA-256(everything before). */
struct statement {
    uint8_t bytes[2 * HASH_BYTES];
};

static struct statement statement_of(const struct hash *capsule, struct bytes said)
{
    struct statement statement;
    struct hash hash = hash_of(said.at, said.length);
    struct encoder out = encoder_over(statement.bytes, sizeof statement.bytes);
    encoder_bytes(&out, capsule->bytes, HASH_BYTES);
    encoder_bytes(&out, hash.bytes, HASH_BYTES);
    return statement;
}

enum status receipt_encode(struct buffer *target, enum receipt_kind kind,
                           const struct hash *capsule, uint64_t term,
                           const struct branch_head *heads, uint32_t head_count,
                           const struct sign_key *store_key)
{
    CHECK(head_count <= RECEIPT_HEADS_MAX);
    size_t said_bytes = RECEIPT_FIXED_BYTES + (size_t)head_count * BRANCH_HEAD_BYTES;
    struct encoder out;
    enum status status = encoder_begin(&out, target, said_bytes + SIGN_SIGNATURE_BYTES);
    if (status != STATUS_OK) {
        return status;
    }
    struct verify_key public_key = sign_key_public(store_key);
    struct writer_id store = writer_store_id_of(&public_key);
    encoder_bytes(&out, store.bytes, sizeof store.bytes);
    encoder_u64(&out, term);
    encoder_u32(&out, head_count);
    for (uint32_t i = 0; i < head_count; i++) {
        CHECK(writer_head_is_sound(&heads[i].head));
        writer_head_encode(&out, &heads[i]);
    }
    struct statement statement = statement_of(capsule, bytes_of(out.start, out.length));
    struct signature signature =
        sign_make(store_key, purpose_of(kind), bytes_of(statement.bytes, sizeof statement.bytes));
    encoder_bytes(&out, signature.bytes, sizeof signature.bytes);
    encoder_finish(&out, target);
    return STATUS_OK;
}

enum status receipt_decode(struct receipt *receipt, struct bytes bytes)
{
    struct cursor in = cursor_over(bytes.at, bytes.length);
    struct receipt decoded;
    cursor_copy(&in, decoded.store.bytes, sizeof decoded.store.bytes);
    decoded.term = cursor_u64(&in);
    decoded.head_count = cursor_u32(&in);
    if (decoded.head_count > RECEIPT_HEADS_MAX) {
        return STATUS_MALFORMED;
    }
    size_t heads_bytes = (size_t)decoded.head_count * BRANCH_HEAD_BYTES;
    decoded.heads = cursor_take(&in, heads_bytes);
    cursor_copy(&in, decoded.signature.bytes, sizeof decoded.signature.bytes);
    if (!cursor_done(&in)) {
        return STATUS_MALFORMED;
    }
    for (uint32_t i = 0; i < decoded.head_count; i++) {
        struct branch_head branch = receipt_head(&decoded, i);
        if (!writer_head_is_sound(&branch.head)) {
            return STATUS_MALFORMED;
        }
    }
    decoded.signed_bytes = bytes_of(bytes.at, RECEIPT_FIXED_BYTES + heads_bytes);
    *receipt = decoded;
    return STATUS_OK;
}

struct branch_head receipt_head(const struct receipt *receipt, uint32_t index)
{
    CHECK(index < receipt->head_count);
    struct cursor in =
        cursor_over(receipt->heads + (size_t)index * BRANCH_HEAD_BYTES, BRANCH_HEAD_BYTES);
    return writer_head_decode(&in);
}

enum status receipt_verify(const struct receipt *receipt, enum receipt_kind kind,
                           const struct hash *capsule, const struct verify_key *store_key)
{
    struct writer_id store = writer_store_id_of(store_key);
    if (!writer_id_equal(&store, &receipt->store)) {
        return STATUS_FORGED;
    }
    struct statement statement = statement_of(capsule, receipt->signed_bytes);
    return sign_verify(store_key, purpose_of(kind),
                       bytes_of(statement.bytes, sizeof statement.bytes), &receipt->signature);
}

enum status receipt_fork_encode(struct buffer *target, struct bytes first, struct bytes second)
{
    CHECK(first.length <= RECORD_BYTES_MAX && second.length <= RECORD_BYTES_MAX);
    size_t needed = LENGTH_BYTES + first.length + LENGTH_BYTES + second.length;
    struct encoder out;
    enum status status = encoder_begin(&out, target, needed);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_run(&out, first);
    encoder_run(&out, second);
    encoder_finish(&out, target);
    return STATUS_OK;
}

enum status receipt_fork_verify(struct bytes proof, const struct verify_key *key)
{
    struct cursor in = cursor_over(proof.at, proof.length);
    struct bytes parts[2];
    struct record records[2];
    for (size_t i = 0; i < 2; i++) {
        parts[i] = cursor_run(&in);
    }
    if (!cursor_done(&in)) {
        return STATUS_MALFORMED;
    }
    struct writer_id writer = writer_id_of(key);
    for (size_t i = 0; i < 2; i++) {
        enum status status = record_decode(&records[i], parts[i].at, parts[i].length);
        if (status == STATUS_OK) {
            status = record_verify(&records[i], key);
        }
        if (status != STATUS_OK) {
            return status;
        }
        if (!writer_id_equal(&records[i].writer, &writer)) {
            return STATUS_FORGED;
        }
    }
    bool is_fork = records[0].sequence == records[1].sequence &&
                   hash_equal(&records[0].capsule, &records[1].capsule) &&
                   !hash_equal(&records[0].hash, &records[1].hash);
    return is_fork ? STATUS_OK : STATUS_FORGED;
}
