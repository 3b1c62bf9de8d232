/* src/attest/tdx.h */
#ifndef ATTEST_TDX_H
#define ATTEST_TDX_H

#include "attest/collateral.h"
#include "attest/verdict.h"
#include "attest/x509.h"
#include "base/bytes.h"

/*
 * tdx: a trust domain's quote (DCAP, versions 4 and 5, with TD reports 1.0 and 1.5). Measurement:
 * MRTD, of the initial image alone; what was loaded later is in the RTMRs, which a policy may name.
 * A TD has no signer. Platform: the PPID.
 */

/* As sgx_verify(). */
void tdx_verify(struct verdict *verdict, struct bytes quote, const struct collateral *collateral,
                const struct x509_pin *root);

#endif
