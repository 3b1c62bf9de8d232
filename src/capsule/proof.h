/* src/capsule/proof.h */
#ifndef CAPSULE_PROOF_H
#define CAPSULE_PROOF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/genesis.h"
#include "capsule/record.h"
#include "capsule/stores.h"
#include "capsule/term.h"
#include "capsule/writer.h"

/*
 * proof: misbehaviour that anybody can check, from one file and nothing else (P8,
 * docs/format/proof.md).
 *
 *     offset  bytes  field
 *          0      4  magic "PPR1"
 *          4      1  kind: 1 fork, 2 rollback
 *   fork:
 *          5     32  public key of the writer
 *         37         two records (capsule/receipt.h)
 *   rollback, each behind its u32 length:
 *                    GENESIS body, which names owner and stores
 *                    warrant: the SYNC that was held, as below
 *                    fences: what stores said later, each behind its u32 length
 *
 * A warrant shows that a SYNC was held by W stores, each part behind its u32 length: the TERM body
 * of its leader, the SYNC record, and receipts of W stores that name that leader's branch up to
 * the SYNC or further. A rollback is proved when R stores, asked by the leader of a later term,
 * have signed that they hold less of that branch. A store that signed both has contradicted itself.
 */
enum proof_kind { PROOF_FORK = 1, PROOF_ROLLBACK = 2 };

struct proof_warrant {
    struct term term;                       // of the leader that wrote the SYNC
    struct stores stores;                   // that counted in that term
    struct record sync;                     // the record; verified
    uint64_t terms[GENESIS_STORES_MAX];     // of each of those: the term it obeyed
    struct head heads[GENESIS_STORES_MAX];  // what it signed to hold; sequence 0: nothing here
};

/* Append. `receipts` are length-prefixed. */
MUST_CHECK enum status proof_warrant_encode(struct buffer *target, struct bytes term_body,
                                            struct bytes sync_record, struct bytes receipts);

/*
 * STATUS_OK: the owner made that leader, it signed that SYNC, and W stores have signed to hold it.
 * `warrant` borrows from `bytes`. STATUS_MALFORMED, STATUS_FORGED.
 */
MUST_CHECK enum status proof_warrant_verify(struct proof_warrant *warrant, struct bytes bytes,
                                            const struct genesis *genesis);

/* Append a proof. STATUS_NO_MEMORY. */
MUST_CHECK enum status proof_fork_encode(struct buffer *target, const struct verify_key *writer,
                                         struct bytes records);
MUST_CHECK enum status proof_rollback_encode(struct buffer *target, struct bytes genesis_body,
                                             struct bytes warrant, struct bytes fences);

/* What a proof proves. Borrows from its bytes. */
struct proof {
    enum proof_kind kind;
    struct hash capsule;
    struct writer_id writer;  // who forked; or the leader whose branch was rolled back
    uint64_t sequence;        // of the two records; or of the SYNC

    // Of a rollback.
    struct genesis genesis;
    struct proof_warrant warrant;
    uint64_t term;  // of the leader that asked later
    bool has_denied[GENESIS_STORES_MAX];
    struct head denied[GENESIS_STORES_MAX];  // what is left there, as the store signed
    uint32_t denied_count;
    bool is_blamed[GENESIS_STORES_MAX];  // it signed both
    uint32_t blamed_count;               // at least one
};

/*
 * STATUS_OK: it holds. STATUS_MALFORMED: it is no proof; STATUS_FORGED: it proves nothing: a
 * signature, a number or a hash disagrees.
 */
MUST_CHECK enum status proof_verify(struct proof *proof, struct bytes bytes);

#endif
