/* src/attest/collateral.h */
#ifndef ATTEST_COLLATERAL_H
#define ATTEST_COLLATERAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"

/*
 * collateral: what hardware vendors publish about their platforms, as a bundle of the documents
 * that they serve. It is input: whoever has it hands it over, nobody here fetches it. Layout:
 * docs/format/evidence.md.
 */

/* The values are part of the bundle's format. */
enum collateral_kind {
    COLLATERAL_PCK_CRL = 0,
    COLLATERAL_PCK_CRL_ISSUER_CHAIN = 1,
    COLLATERAL_ROOT_CA_CRL = 2,
    COLLATERAL_TCB_INFO = 3,
    COLLATERAL_TCB_INFO_ISSUER_CHAIN = 4,
    COLLATERAL_QE_IDENTITY = 5,
    COLLATERAL_QE_IDENTITY_ISSUER_CHAIN = 6,
    COLLATERAL_VCEK = 7,
    COLLATERAL_VLEK = 8,
    COLLATERAL_ASK = 9,  // or the ASVK, which signs VLEKs
    COLLATERAL_ARK = 10,
    COLLATERAL_AMD_CRL = 11,
    COLLATERAL_KIND_COUNT,
};

/* The documents there are; the others are empty. Borrows. */
struct collateral {
    struct bytes documents[COLLATERAL_KIND_COUNT];
};

/* "tcb_info": what a document is called, and its file but for the ending. Never NULL. */
const char *collateral_name(enum collateral_kind kind);

bool collateral_is_empty(const struct collateral *collateral);

/* Append the bundle. STATUS_NO_MEMORY: nothing was appended. */
MUST_CHECK enum status collateral_encode(const struct collateral *collateral,
                                         struct buffer *target);

/* Borrows from `bytes`. No bytes at all are a bundle without documents. STATUS_MALFORMED. */
MUST_CHECK enum status collateral_decode(struct collateral *collateral, struct bytes bytes);

#endif
