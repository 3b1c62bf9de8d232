/* src/wire/vouch.c */
#include "wire/vouch.h"

#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "base/encoder.h"
#include "crypto/certificate.h"

enum { VOUCH_FIXED_BYTES = 4 + WRITER_ID_BYTES + 6 * 4 };

static const uint8_t VOUCH_MAGIC[4] = {'P', 'V', 'O', '2'};

static bool is_sized(const struct vouch *vouch)
{
    bool is_whole =
        vouch->term_body.length > 0 && vouch->root.length > 0 && vouch->leader_evidence.length > 0;
    bool is_alone = vouch->term_body.length == 0 && vouch->root.length == 0 &&
                    vouch->leader_evidence.length == 0;
    return (is_whole || (is_alone && vouch->policy_body.length == 0)) &&
           vouch->policy_body.length <= VOUCH_POLICY_BYTES_MAX &&
           vouch->certificate.length <= CERTIFICATE_BYTES_MAX &&
           vouch->evidence.length <= VOUCH_EVIDENCE_BYTES_MAX &&
           vouch->term_body.length <= VOUCH_TERM_BYTES_MAX &&
           vouch->root.length <= CERTIFICATE_BYTES_MAX &&
           vouch->leader_evidence.length <= VOUCH_EVIDENCE_BYTES_MAX;
}

enum status vouch_encode(struct buffer *target, const struct vouch *vouch)
{
    CHECK(is_sized(vouch));
    struct encoder out;
    size_t length = VOUCH_FIXED_BYTES + vouch->certificate.length + vouch->evidence.length +
                    vouch->term_body.length + vouch->root.length + vouch->leader_evidence.length +
                    vouch->policy_body.length;
    enum status status = encoder_begin(&out, target, length);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_bytes(&out, VOUCH_MAGIC, sizeof VOUCH_MAGIC);
    encoder_bytes(&out, vouch->worker.bytes, WRITER_ID_BYTES);
    encoder_run(&out, vouch->certificate);
    encoder_run(&out, vouch->evidence);
    encoder_run(&out, vouch->term_body);
    encoder_run(&out, vouch->root);
    encoder_run(&out, vouch->leader_evidence);
    encoder_run(&out, vouch->policy_body);
    encoder_finish(&out, target);
    return STATUS_OK;
}

bool vouch_is(struct bytes bytes)
{
    return bytes_start_with(bytes, bytes_of(VOUCH_MAGIC, sizeof VOUCH_MAGIC));
}

enum status vouch_decode(struct vouch *vouch, struct bytes bytes)
{
    struct cursor in = cursor_over(bytes.at, bytes.length);
    struct vouch decoded;
    struct bytes magic = cursor_bytes(&in, sizeof VOUCH_MAGIC);
    cursor_copy(&in, decoded.worker.bytes, WRITER_ID_BYTES);
    decoded.certificate = cursor_run(&in);
    decoded.evidence = cursor_run(&in);
    decoded.term_body = cursor_run(&in);
    decoded.root = cursor_run(&in);
    decoded.leader_evidence = cursor_run(&in);
    decoded.policy_body = cursor_run(&in);

    if (!cursor_done(&in) || !bytes_equal(magic, bytes_of(VOUCH_MAGIC, sizeof VOUCH_MAGIC)) ||
        !is_sized(&decoded)) {
        return STATUS_MALFORMED;
    }
    *vouch = decoded;
    return STATUS_OK;
}

void vouch_worker_data(uint8_t target[HASH512_BYTES], struct bytes nonce,
                       const struct p256_public *tls_key)
{
    const struct bytes parts[] = {
        bytes_text("paranoid tls v1"),
        nonce,
        bytes_of(tls_key->bytes, sizeof tls_key->bytes),
    };
    hash512_of_parts(target, parts, sizeof parts / sizeof *parts);
}

void vouch_function_data(uint8_t target[HASH512_BYTES], struct bytes nonce, const struct hash *code,
                         const struct p256_public *tls_key)
{
    const struct hash nonce_hash = hash_of(nonce.at, nonce.length);
    const struct bytes parts[] = {
        bytes_text("paranoid function v1"),
        bytes_of(nonce_hash.bytes, HASH_BYTES),
        bytes_of(code->bytes, HASH_BYTES),
        bytes_of(tls_key->bytes, sizeof tls_key->bytes),
    };
    hash512_of_parts(target, parts, sizeof parts / sizeof *parts);
}

void vouch_leader_data(uint8_t target[HASH512_BYTES], const struct vouch_statement *statement)
{
    const struct hash nonce = hash_of(statement->nonce.at, statement->nonce.length);
    const struct hash root = hash_of(statement->root.at, statement->root.length);
    const struct bytes parts[] = {
        bytes_text("paranoid root v1"),
        bytes_of(nonce.bytes, HASH_BYTES),
        bytes_of(statement->capsule->bytes, HASH_BYTES),
        bytes_of(statement->leader->bytes, SIGN_PUBLIC_BYTES),
        bytes_of(root.bytes, HASH_BYTES),
        bytes_of(statement->worker->bytes, WRITER_ID_BYTES),
    };
    hash512_of_parts(target, parts, sizeof parts / sizeof *parts);
}
