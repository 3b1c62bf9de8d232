/* src/capsule/deed.c */
#include "capsule/deed.h"

#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "base/encoder.h"

enum { DEED_FIXED_BYTES = 288, DEED_WRITTEN_BYTES = 8 + HASH_BYTES, DEED_READ_BYTES = 64 };

static const uint8_t DEED_MAGIC[4] = {'P', 'D', 'E', '1'};
#define DEED_PURPOSE "paranoid deed v1"

static void fixed_encode(struct encoder *out, const struct deed *deed)
{
    encoder_bytes(out, DEED_MAGIC, sizeof DEED_MAGIC);
    encoder_bytes(out, deed->capsule.bytes, HASH_BYTES);
    encoder_bytes(out, deed->worker.bytes, SIGN_PUBLIC_BYTES);
    encoder_bytes(out, deed->evidence.bytes, HASH_BYTES);
    encoder_u64(out, deed->sync_epoch);
    encoder_u64(out, deed->sync_time_ms);
    encoder_bytes(out, deed->sync.bytes, HASH_BYTES);
    encoder_u64(out, deed->function_version);
    encoder_bytes(out, deed->code.bytes, HASH_BYTES);
    encoder_bytes(out, deed->target.bytes, HASH_BYTES);
    encoder_bytes(out, deed->input.bytes, HASH_BYTES);
    encoder_bytes(out, deed->output.bytes, HASH_BYTES);
    encoder_u16(out, deed->status);
    encoder_u8(out, deed->has_more_written);
    encoder_u8(out, deed->has_more_read);
}

enum status deed_encode(struct buffer *target, const struct deed *deed, const struct sign_key *key)
{
    const struct verify_key public_key = sign_key_public(key);
    CHECK(verify_key_equal(&public_key, &deed->worker));
    CHECK(deed->written_count <= DEED_WRITTEN_MAX && deed->read_count <= DEED_READ_MAX);
    const struct bytes name = bytes_text(deed->name);
    size_t length = DEED_FIXED_BYTES + 4 + name.length + 4 +
                    (size_t)deed->written_count * DEED_WRITTEN_BYTES + 4 +
                    (size_t)deed->read_count * DEED_READ_BYTES + SIGN_SIGNATURE_BYTES;
    struct encoder out;
    enum status status = encoder_begin(&out, target, length);
    if (status != STATUS_OK) {
        return status;
    }
    fixed_encode(&out, deed);
    encoder_run(&out, name);
    encoder_u32(&out, deed->written_count);
    for (uint32_t i = 0; i < deed->written_count; i++) {
        encoder_u64(&out, deed->written[i].sequence);
        encoder_bytes(&out, deed->written[i].hash.bytes, HASH_BYTES);
    }
    encoder_u32(&out, deed->read_count);
    for (uint32_t i = 0; i < deed->read_count; i++) {
        encoder_bytes(&out, deed->read[i].writer.bytes, WRITER_ID_BYTES);
        encoder_u64(&out, deed->read[i].sequence);
        encoder_u64(&out, deed->read[i].head.sequence);
        encoder_bytes(&out, deed->read[i].head.hash.bytes, HASH_BYTES);
    }
    const struct hash hash = hash_of(out.start, out.length);
    const struct signature signature =
        sign_make(key, DEED_PURPOSE, bytes_of(hash.bytes, HASH_BYTES));
    encoder_bytes(&out, signature.bytes, SIGN_SIGNATURE_BYTES);
    encoder_finish(&out, target);
    return STATUS_OK;
}

static void fixed_decode(struct deed *deed, struct cursor *in)
{
    cursor_copy(in, deed->capsule.bytes, HASH_BYTES);
    cursor_copy(in, deed->worker.bytes, SIGN_PUBLIC_BYTES);
    cursor_copy(in, deed->evidence.bytes, HASH_BYTES);
    deed->sync_epoch = cursor_u64(in);
    deed->sync_time_ms = cursor_u64(in);
    cursor_copy(in, deed->sync.bytes, HASH_BYTES);
    deed->function_version = cursor_u64(in);
    cursor_copy(in, deed->code.bytes, HASH_BYTES);
    cursor_copy(in, deed->target.bytes, HASH_BYTES);
    cursor_copy(in, deed->input.bytes, HASH_BYTES);
    cursor_copy(in, deed->output.bytes, HASH_BYTES);
    deed->status = cursor_u16(in);
}

static bool flag_decode(struct cursor *in)
{
    uint8_t flag = cursor_u8(in);
    in->failed = in->failed || flag > 1;
    return flag == 1;
}

static void name_decode(struct deed *deed, struct cursor *in)
{
    struct bytes name = cursor_run(in);
    if (in->failed || !function_name_is_valid(name)) {
        in->failed = true;
        return;
    }
    memcpy(deed->name, name.at, name.length);
    deed->name[name.length] = '\0';
}

/* Rising, so that one set of records has one form. */
static void written_decode(struct deed *deed, struct cursor *in)
{
    deed->written_count = cursor_u32(in);
    in->failed = in->failed || deed->written_count > DEED_WRITTEN_MAX;
    uint64_t last = 0;
    for (uint32_t i = 0; i < deed->written_count && !in->failed; i++) {
        deed->written[i].sequence = cursor_u64(in);
        cursor_copy(in, deed->written[i].hash.bytes, HASH_BYTES);
        in->failed = in->failed || deed->written[i].sequence <= last;
        last = deed->written[i].sequence;
    }
}

static void read_decode(struct deed *deed, struct cursor *in)
{
    deed->read_count = cursor_u32(in);
    in->failed = in->failed || deed->read_count > DEED_READ_MAX;
    for (uint32_t i = 0; i < deed->read_count && !in->failed; i++) {
        struct deed_read *read = &deed->read[i];
        cursor_copy(in, read->writer.bytes, WRITER_ID_BYTES);
        read->sequence = cursor_u64(in);
        read->head.sequence = cursor_u64(in);
        cursor_copy(in, read->head.hash.bytes, HASH_BYTES);
        in->failed = in->failed || read->sequence == 0 || read->head.sequence < read->sequence;
    }
}

enum status deed_decode(struct deed *deed, struct bytes bytes)
{
    struct cursor in = cursor_over(bytes.at, bytes.length);
    struct deed decoded = {.written_count = 0};
    struct bytes magic = cursor_bytes(&in, sizeof DEED_MAGIC);
    fixed_decode(&decoded, &in);
    decoded.has_more_written = flag_decode(&in);
    decoded.has_more_read = flag_decode(&in);
    name_decode(&decoded, &in);
    written_decode(&decoded, &in);
    read_decode(&decoded, &in);
    cursor_copy(&in, decoded.signature.bytes, SIGN_SIGNATURE_BYTES);

    if (!cursor_done(&in) || !bytes_equal(magic, bytes_of(DEED_MAGIC, sizeof DEED_MAGIC))) {
        return STATUS_MALFORMED;
    }
    decoded.hash = hash_of(bytes.at, bytes.length - SIGN_SIGNATURE_BYTES);
    *deed = decoded;
    return STATUS_OK;
}

enum status deed_verify(const struct deed *deed)
{
    return sign_verify(&deed->worker, DEED_PURPOSE, bytes_of(deed->hash.bytes, HASH_BYTES),
                       &deed->signature);
}

struct hash deed_target(struct bytes method, struct bytes path, struct bytes query)
{
    const struct bytes parts[] = {method, bytes_text(" "), path, bytes_text("?"), query};
    return hash_of_parts(parts, sizeof parts / sizeof *parts);
}
