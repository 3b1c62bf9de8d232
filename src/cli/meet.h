/* src/cli/meet.h */
#ifndef CLI_MEET_H
#define CLI_MEET_H

#include "attest/policy.h"
#include "attest/verdict.h"
#include "base/bytes.h"
#include "crypto/certificate.h"
#include "crypto/hash.h"
#include "crypto/sign.h"

/*
 * meet: whether who answers is who the owner says, from nothing but the owner's key and policy.
 * Judges what a worker says of itself (wire/vouch.h):
 *
 *     owner ──TERM──► leader ──its fresh evidence──► the app's root ──► the certificate presented
 *                                                                   ▲
 *     policy ──────────────────────► the worker's fresh evidence ───┘  names its key
 *
 * A policy that is older than the app's goes by what the owner has said since of programs that
 * succeed others (attest/policy_succession.h).
 */
struct meet {
    const struct policy *policy;
    const struct verify_key *owner;  // NULL: `root` is trusted already, and nobody vouches for it
    const struct hash *capsule;      // NULL: any; only without an owner
    struct bytes root;               // DER; with an owner: empty, or what it has to be
    struct bytes nonce;
    struct bytes presented;   // the certificate of the connection, DER; empty: the one inside
    const struct hash *code;  // of the function that asked; NULL: a client did
    uint64_t now_s;
    const struct vendor_roots *vendors;
};

/* What was found, as far as it got. Borrows from the vouch. */
struct meet_result {
    struct verdict verdict;  // of the worker's evidence, or the refusal
    struct bytes root;       // DER
    struct certificate_claims claims;
    bool has_claims;
};

void meet_judge(struct meet_result *result, const struct meet *meet, struct bytes vouch);

#endif
