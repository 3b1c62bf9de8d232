/* src/attest/evidence.h */
#ifndef ATTEST_EVIDENCE_H
#define ATTEST_EVIDENCE_H

#include <stdint.h>

#include "attest/vendor.h"
#include "attest/verdict.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "crypto/sign.h"

/*
 * evidence: what a TEE says about an enclave, with the vendor's statements
 * (collateral) that it is to be judged by. One container for all TEEs; each
 * TEE's file knows what lies in it. Layout: docs/format/evidence.md.
 *
 * Verification needs no network, no file and no clock: whoever has the bytes,
 * the roots and a time reaches the same verdict, years later too.
 */
enum {
    EVIDENCE_HEADER_BYTES = 16,
    EVIDENCE_QUOTE_BYTES_MAX = 64 * 1024,        // twice what Linux hands out
    EVIDENCE_COLLATERAL_BYTES_MAX = 256 * 1024,  // certificate chains, revocation lists, TCB info
    EVIDENCE_BYTES_MAX =
        EVIDENCE_HEADER_BYTES + EVIDENCE_QUOTE_BYTES_MAX + EVIDENCE_COLLATERAL_BYTES_MAX,
};

struct evidence {
    enum tee tee;
    struct bytes quote;       // borrowed
    struct bytes collateral;  // borrowed; may be empty
};

/* The vendors trusted. A root that merely lies beside the evidence proves nothing. */
struct evidence_roots {
    const struct verify_key *simulated;  // borrowed; NULL: simulated TEEs are refused
    const struct vendor_roots *vendors;  // borrowed; NULL: all others are
};

/* Append the container. Quote and collateral respect the bounds above. STATUS_NO_MEMORY. */
MUST_CHECK enum status evidence_encode(const struct evidence *evidence, struct buffer *target);

/* Borrows from `bytes`. STATUS_MALFORMED: no container, or of a TEE that has no number. */
MUST_CHECK enum status evidence_decode(struct evidence *evidence, struct bytes bytes);

/*
 * Whether the hostile `bytes` are genuine evidence at `now_s` (Unix time) under
 * `roots`. Signatures, bindings, certificates, collateral and dates decide;
 * TCB status, debug mode and measurement are reported, and are for
 * policy_judge() to accept. REASON_NONE: it is genuine, and not yet admitted.
 */
MUST_CHECK struct verdict evidence_verify(struct bytes bytes, uint64_t now_s,
                                          const struct evidence_roots *roots);

/*
 * The same for evidence without its container, and, for SGX and TDX, without collateral: quote and
 * certificates alone decide, the TCB status is unknown, and so is what was revoked since.
 */
MUST_CHECK struct verdict evidence_verify_parts(const struct evidence *evidence, uint64_t now_s,
                                                const struct evidence_roots *roots);
MUST_CHECK struct verdict evidence_verify_quote(const struct evidence *evidence, uint64_t now_s,
                                                const struct evidence_roots *roots);

#endif
