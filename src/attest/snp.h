/* src/attest/snp.h */
#ifndef ATTEST_SNP_H
#define ATTEST_SNP_H

#include <stdbool.h>
#include <stdint.h>

#include "attest/collateral.h"
#include "attest/vendor.h"
#include "attest/verdict.h"
#include "base/bytes.h"

/*
 * snp: a guest's attestation report of SEV-SNP (AMD publication 56860), versions 2 to 5, signed by
 * a chip's VCEK or a provider's VLEK, of Milan, Genoa and Turin. Measurement: of the initial
 * image; signer: the digest of the ID key, when the guest was started with an ID block; product:
 * FAMILY_ID ‖ IMAGE_ID; security version: GUEST_SVN; platform: the chip id.
 */
enum { SNP_REPORT_BYTES = 1184, SNP_TCB_BYTES = 8, SNP_CHIP_BYTES = 64 };

/*
 * Fill in the verdict for evidence_verify(), at verdict->judged_at_s. The certificates are part of
 * the collateral; the list of what AMD revoked may be absent. SNP has no TCB status: the
 * certificate is of the very TCB that the report names.
 */
void snp_verify(struct verdict *verdict, struct bytes report, const struct collateral *collateral,
                const struct x509_pin roots[VENDOR_PRODUCT_COUNT]);

/* What a report asks AMD's key service for. */
struct snp_query {
    bool is_vlek;
    bool has_product;
    enum vendor_product product;  // since version 3
    uint8_t chip[SNP_CHIP_BYTES];
    uint8_t tcb[SNP_TCB_BYTES];
};

/* Read from a report, signed or not. False: it is none. */
bool snp_query_read(struct snp_query *query, struct bytes report);

#endif
