/* src/capsule/receipt.h */
#ifndef CAPSULE_RECEIPT_H
#define CAPSULE_RECEIPT_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/writer.h"
#include "crypto/sign.h"

/*
 * What stores sign. A receipt says, once per group commit, of each branch that
 * grew: "of this writer I hold durably everything up to (sequence, hash)". A
 * fence says the same of branches from which the store will take nothing more
 * until the leader of this term signs a cut (DESIGN 6.4 closing, 6.10).
 *
 *     offset  bytes  field
 *          0     16  store id
 *         16      8  term the store obeys
 *         24      4  head_count, 0 to 8,192
 *         28    56n  (writer, sequence, hash)
 *         ..     64  Ed25519 over purpose ‖ capsule name ‖ SHA-256(everything before)
 *
 * Purposes: "paranoid receipt v1" and "paranoid fence v1": one is never taken for the other.
 */
enum { RECEIPT_HEADS_MAX = 8192 };
enum receipt_kind { RECEIPT_DURABLE, RECEIPT_FENCE };

struct receipt {
    struct writer_id store;
    uint64_t term;
    uint32_t head_count;
    const uint8_t *heads;  // borrowed
    struct signature signature;
    struct bytes signed_bytes;  // borrowed: everything before the signature
};

/* Append the encoded and signed statement to `target`. */
MUST_CHECK enum status receipt_encode(struct buffer *target, enum receipt_kind kind,
                                      const struct hash *capsule, uint64_t term,
                                      const struct branch_head *heads, uint32_t head_count,
                                      const struct sign_key *store_key);

MUST_CHECK enum status receipt_decode(struct receipt *receipt, struct bytes bytes);
struct branch_head receipt_head(const struct receipt *receipt, uint32_t index);

/* STATUS_FORGED: not this store's statement of this kind about this capsule. */
MUST_CHECK enum status receipt_verify(const struct receipt *receipt, enum receipt_kind kind,
                                      const struct hash *capsule,
                                      const struct verify_key *store_key);

/*
 * Fork proof: two signed records, one writer, one sequence, different hashes.
 * Body: u32 length, first record, u32 length, second record. Anyone who has
 * the writer's public key can check it; bodies are not needed to be opened.
 */
MUST_CHECK enum status receipt_fork_encode(struct buffer *target, struct bytes first,
                                           struct bytes second);
/* STATUS_OK: it proves that the holder of `key` forked. STATUS_MALFORMED, STATUS_FORGED. */
MUST_CHECK enum status receipt_fork_verify(struct bytes proof, const struct verify_key *key);

#endif
