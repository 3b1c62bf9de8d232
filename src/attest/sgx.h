/* src/attest/sgx.h */
#ifndef ATTEST_SGX_H
#define ATTEST_SGX_H

#include "attest/collateral.h"
#include "attest/verdict.h"
#include "attest/x509.h"
#include "base/bytes.h"

/*
 * sgx: an SGX enclave's quote (DCAP, version 3). Measurement: MRENCLAVE; signer: MRSIGNER; product
 * and security version: ISVPRODID (little endian) and ISVSVN; platform: the PPID.
 */

/*
 * Fill in the verdict for evidence_verify(), at verdict->judged_at_s. `collateral` NULL: the
 * vendor's statements are left aside, and with them everything that was revoked since.
 */
void sgx_verify(struct verdict *verdict, struct bytes quote, const struct collateral *collateral,
                const struct x509_pin *root);

#endif
