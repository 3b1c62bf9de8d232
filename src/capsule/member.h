/* src/capsule/member.h */
#ifndef CAPSULE_MEMBER_H
#define CAPSULE_MEMBER_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/writer.h"
#include "crypto/certificate.h"

/*
 * MEMBER: the leader admits an enclave (clear body).
 *
 *     offset  bytes  field
 *          0     32  Ed25519 public key of the writer
 *         32      1  role: worker 2, compactor 3
 *         33      3  reserved, zero
 *         36      4  policy version the evidence was judged by
 *         40     32  starting SYNC (zero: none yet)
 *         72     65  TLS public key, P-256 uncompressed
 *        137      4  evidence_bytes, then evidence
 *         ..      4  collateral_bytes, then collateral
 */
enum member_role { MEMBER_LEADER = 1, MEMBER_WORKER = 2, MEMBER_COMPACTOR = 3 };

enum { MEMBER_EVIDENCE_BYTES_MAX = 64 << 10, MEMBER_COLLATERAL_BYTES_MAX = 256 << 10 };

struct member_body {
    struct verify_key key;
    enum member_role role;
    uint32_t policy_version;
    struct hash sync;
    struct p256_public tls_key;
    struct bytes evidence;    // borrowed
    struct bytes collateral;  // borrowed
};

MUST_CHECK enum status member_encode(struct buffer *body, const struct member_body *member);
MUST_CHECK enum status member_decode(struct member_body *member, struct bytes body);

/* "leader", "worker", "compactor". */
const char *member_role_text(enum member_role role);

#endif
