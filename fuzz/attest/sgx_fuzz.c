/* fuzz/attest/sgx_fuzz.c */

/*
 * Hostile quotes of tee=sgx, with and without collateral. Nobody but Intel signs under Intel's
 * root, so none is genuine, and each refusal says why.
 */
#include "attest/sgx.h"
#include "attest/vendor.h"
#include "base/check.h"
#include "crypto/crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    crypto_init();
    const struct collateral collateral = {.documents = {{.at = NULL}}};
    const struct collateral *given[] = {NULL, &collateral};
    for (size_t i = 0; i < 2; i++) {
        struct verdict verdict = verdict_at(1800000000);
        sgx_verify(&verdict, bytes_of(bytes, length), given[i], &vendor_pinned()->intel);
        CHECK(verdict.reason != REASON_NONE);
        CHECK(verdict.detail[0] != '\0');
    }
    return 0;
}
