/* src/leader/shelf.h */
#ifndef LEADER_SHELF_H
#define LEADER_SHELF_H

#include "attest/evidence.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"

/*
 * shelf: the newest collateral that members in SGX and TDX brought, so that the next member is
 * admitted on a machine that cannot reach the vendor. It comes from MEMBER records, which stores
 * keep, and is judged anew each time: what lies here is believed no more than what a member brings.
 * (A bundle of SEV-SNP is of one chip, so its members bring their own.)
 */
struct shelf {
    struct buffer bundles[TEE_COUNT];  // empty: there is none
};

void shelf_release(struct shelf *shelf);

/* Keep the collateral of `evidence`, a container, instead of what lies there. STATUS_NO_MEMORY. */
MUST_CHECK enum status shelf_keep(struct shelf *shelf, struct bytes evidence);

/* Add the collateral to evidence that comes without. Any other stays as it is. STATUS_NO_MEMORY. */
MUST_CHECK enum status shelf_complete(const struct shelf *shelf, struct buffer *evidence);

#endif
