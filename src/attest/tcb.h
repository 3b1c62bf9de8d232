/* src/attest/tcb.h */
#ifndef ATTEST_TCB_H
#define ATTEST_TCB_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

#include "attest/verdict.h"
#include "base/bytes.h"

/*
 * tcb: Intel's signed statements about its platforms (TCB info, versions 2 and 3) and its quoting
 * enclaves (QE identity, version 2), as the Provisioning Certification Service serves them: JSON
 * whose exact bytes are signed.
 *
 * A call that says no has written the reason to the verdict. One that says yes has narrowed
 * verdict->valid_from_s and valid_until_s, lowered collateral_issued_s and added the advisories.
 */
enum {
    TCB_FMSPC_BYTES = 6,
    TCB_PCEID_BYTES = 2,
    TCB_COMPONENT_COUNT = 16,
    TCB_SIGNATURE_BYTES = 64,
    TCB_ENCLAVE_SIGNER_BYTES = 32,
    TCB_MODULE_SIGNER_BYTES = 48,
};

/* What a PCK certificate says of its platform. */
struct tcb_platform {
    uint8_t fmspc[TCB_FMSPC_BYTES];
    uint8_t pceid[TCB_PCEID_BYTES];
    uint8_t components[TCB_COMPONENT_COUNT];
    uint16_t pcesvn;
};

/* What a TD report says of the TDX module. */
struct tcb_module {
    uint8_t svn[TCB_COMPONENT_COUNT];  // 0: the module's, 1: its major version, 2 on: components
    uint8_t signer[TCB_MODULE_SIGNER_BYTES];
    uint8_t attributes[8];
};

/* What a report says of a quoting enclave. */
struct tcb_enclave {
    uint8_t misc_select[4];
    uint8_t attributes[16];
    uint8_t signer[TCB_ENCLAVE_SIGNER_BYTES];
    uint16_t product;
    uint16_t security_version;
};

/*
 * Whether the TCB info in `text`, which has to be signed by `key`, speaks of the platform, and
 * which status that has: the worse of the platform's and the module's. `module` is NULL for SGX.
 */
bool tcb_judge_platform(struct verdict *verdict, enum tcb_status *status, struct bytes text,
                        EVP_PKEY *key, const struct tcb_platform *platform,
                        const struct tcb_module *module);

/* The same for the QE identity, and the enclave that certified a quote's key. */
bool tcb_judge_enclave(struct verdict *verdict, enum tcb_status *status, struct bytes text,
                       EVP_PKEY *key, const struct tcb_enclave *enclave, bool is_tdx);

#endif
