/* src/wire/vouch.h */
#ifndef WIRE_VOUCH_H
#define WIRE_VOUCH_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/writer.h"
#include "crypto/hash.h"
#include "crypto/hash512.h"
#include "crypto/p256.h"
#include "crypto/sign.h"

/*
 * vouch: what a worker answers to GET /evidence?nonce= (docs/format/vouch.md): its own fresh
 * evidence, and what leads from the owner's key to the app's TLS root: the owner's TERM names the
 * leader, the leader's fresh evidence names the root. Whoever knows the owner and the policy needs
 * nothing else to trust the connection that it came by.
 *
 *     offset  bytes  field
 *          0      4  magic "PVO2"
 *          4     16  writer id of the worker
 *         20      4  certificate_bytes, then the worker's TLS certificate, DER
 *         ..      4  evidence_bytes, then the worker's evidence
 *         ..      4  term_bytes, then the TERM body; 0: the leader did not answer
 *         ..      4  root_bytes, then the app's root certificate, DER; 0 likewise
 *         ..      4  leader_evidence_bytes, then the leader's evidence; 0 likewise
 *         ..      4  policy_bytes, then the POLICY body in force; 0: the GENESIS's is, or likewise
 */
enum {
    VOUCH_NONCE_BYTES_MAX = 64,
    VOUCH_EVIDENCE_BYTES_MAX = 512 << 10,
    VOUCH_TERM_BYTES_MAX = 1 << 20,
    VOUCH_POLICY_BYTES_MAX = 128 << 10,
};

struct vouch {
    struct writer_id worker;
    struct bytes certificate;  // all borrowed
    struct bytes evidence;
    struct bytes term_body;
    struct bytes root;
    struct bytes leader_evidence;
    struct bytes policy_body;  // by which the owner's newer word is known
};

/* Append. Lengths respect the bounds above (CHECK). STATUS_NO_MEMORY. */
MUST_CHECK enum status vouch_encode(struct buffer *target, const struct vouch *vouch);

/* Whether they begin as a vouch does. */
bool vouch_is(struct bytes bytes);

/* Borrows. STATUS_MALFORMED: also when only a part of the leader's is there. */
MUST_CHECK enum status vouch_decode(struct vouch *vouch, struct bytes bytes);

/* What the worker's evidence has to carry: SHA-512("paranoid tls v1" ‖ nonce ‖ TLS public key). */
void vouch_worker_data(uint8_t target[HASH512_BYTES], struct bytes nonce,
                       const struct p256_public *tls_key);

/*
 * What it carries instead for a function that asks (ctx.attest): SHA-512("paranoid function v1" ‖
 * SHA-256(nonce) ‖ SHA-256 of the function's code ‖ TLS public key).
 */
void vouch_function_data(uint8_t target[HASH512_BYTES], struct bytes nonce, const struct hash *code,
                         const struct p256_public *tls_key);

/* What the leader says of itself and of the member that asked, which is open at that time. */
struct vouch_statement {
    struct bytes nonce;
    const struct hash *capsule;
    const struct verify_key *leader;  // its writer's key: the one in the TERM
    struct bytes root;                // DER
    const struct writer_id *worker;
};

/*
 * SHA-512("paranoid root v1" ‖ SHA-256(nonce) ‖ capsule ‖ leader ‖ SHA-256(root) ‖ worker).
 */
void vouch_leader_data(uint8_t target[HASH512_BYTES], const struct vouch_statement *statement);

#endif
