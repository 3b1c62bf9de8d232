/* fuzz/attest/snp_fuzz.c */

/*
 * Hostile reports and certificates: the input is a report, and what follows its 1184 bytes stands
 * for each certificate in turn. Nobody but AMD signs under AMD's roots, so none is genuine.
 */
#include "attest/snp.h"
#include "base/check.h"
#include "crypto/crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    crypto_init();
    size_t report_bytes = length < SNP_REPORT_BYTES ? length : SNP_REPORT_BYTES;
    struct bytes report = bytes_of(bytes, report_bytes);
    struct bytes rest = bytes_of(bytes + report_bytes, length - report_bytes);
    struct collateral collateral = {.documents = {{.at = NULL}}};
    collateral.documents[COLLATERAL_VCEK] = rest;
    collateral.documents[COLLATERAL_VLEK] = rest;
    struct verdict verdict = verdict_at(1800000000);
    snp_verify(&verdict, report, &collateral, vendor_pinned()->amd);
    CHECK(verdict.reason != REASON_NONE);
    CHECK(verdict.detail[0] != '\0');

    struct snp_query query;
    CHECK(snp_query_read(&query, bytes_of(bytes, length)) || length < SNP_REPORT_BYTES);
    return 0;
}
