/* src/tee/certificates.h */
#ifndef TEE_CERTIFICATES_H
#define TEE_CERTIFICATES_H

#include "attest/collateral.h"
#include "base/bytes.h"
#include "base/status.h"

/*
 * certificates: the table that the host of an SEV-SNP guest puts beside each report (AMD's GHCB
 * specification, 4.1.8.1): the chip's VCEK or the host's VLEK, and what signed it. Whoever runs the
 * machine wrote it; whether it is true, snp_verify() says.
 */

/*
 * Take the documents of the kinds that we know; others stay as they are. Borrows from `table`. An
 * empty table has none. STATUS_MALFORMED: it points outside itself, or has no end; nothing was
 * taken.
 */
MUST_CHECK enum status certificates_decode(struct collateral *collateral, struct bytes table);

#endif
