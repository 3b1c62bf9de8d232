/* tests/support/forge.h */
#ifndef TESTS_SUPPORT_FORGE_H
#define TESTS_SUPPORT_FORGE_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

#include "attest/vendor.h"
#include "attest/verdict.h"
#include "base/buffer.h"

/*
 * forge: both hardware vendors, for tests. It makes fresh evidence of every TEE in the vendors' own
 * formats, with whatever measurement and report data is asked, under roots of its own: sound, or
 * with one flaw. A program that trusts the vendors' roots trusts none of it.
 */
struct forge;

struct forge *forge_new(void);
void forge_free(struct forge *forge);
const struct vendor_roots *forge_roots(const struct forge *forge);

/* What is wrong with it. */
enum forge_flaw {
    FORGE_SOUND,

    // SGX and TDX: certificates and lists.
    FORGE_PCK_EXPIRED,
    FORGE_PCK_REVOKED,
    FORGE_PCK_UNKNOWN_CRITICAL,  // it has a critical extension that nobody knows
    FORGE_PCK_MISNAMED,
    FORGE_PCK_OF_ANOTHER_KEY,  // another key than the CA's signed it
    FORGE_CA_EXPIRED,
    FORGE_CA_MISNAMED,
    FORGE_CA_REVOKED,
    FORGE_CA_NO_AUTHORITY,
    FORGE_CA_MAY_NOT_CERTIFY,  // its key usage lacks that
    FORGE_CA_MAY_NOT_LIST,     // what is revoked
    FORGE_SIGNER_REVOKED,
    FORGE_SIGNER_MISNAMED,
    FORGE_SIGNER_OF_THE_CA,  // not the root certified the key of statements
    FORGE_SIGNER_EXPIRED,
    FORGE_CRL_EXPIRED,  // of AMD too
    FORGE_CRL_FROM_TOMORROW,
    FORGE_CRL_OF_ANOTHER_KEY,
    FORGE_CRL_OF_ANOTHER_ISSUER,
    FORGE_CRL_OF_CHANGES,  // it lists only what changed
    FORGE_ROOT_CRL_EXPIRED,
    FORGE_ROOT_CRL_OF_ANOTHER_KEY,

    // SGX and TDX: the rest.
    FORGE_KEY_NOT_BOUND,       // the QE vouches for another attestation key
    FORGE_KEY_BOUND_AND_MORE,  // and for something behind it
    FORGE_KEY_OF_ANOTHER_TYPE,
    FORGE_QUOTE_OF_ANOTHER_VENDOR,
    FORGE_QUOTE_WITH_ANOTHER_CERTIFICATION,
    FORGE_QUOTE_OF_ANOTHER_KEY,  // the attestation key did not sign it
    FORGE_QE_REPORT_OF_ANOTHER_KEY,
    FORGE_QE_IDENTITY_EXPIRED,
    FORGE_QE_IDENTITY_OF_ANOTHER_KEY,
    FORGE_QE_OF_ANOTHER_SIGNER,
    FORGE_QE_IN_DEBUG_MODE,
    FORGE_TCB_INFO_OF_ANOTHER_PLATFORM,
    FORGE_TCB_INFO_OF_ANOTHER_TEE,
    FORGE_TCB_INFO_FROM_TOMORROW,
    FORGE_PCE_BELOW_LEVELS,
    FORGE_MODULE_BELOW_LEVELS,  // a flaw of major version 0 alone: others have their own levels
    FORGE_MODULE_OF_ANOTHER_SIGNER,
    FORGE_MODULE_UNKNOWN,  // of a major version that the TCB info does not list

    // SEV-SNP.
    FORGE_VCEK_OF_ANOTHER_TCB,
    FORGE_VCEK_OF_ANOTHER_CHIP,
    FORGE_VCEK_EXPIRED,
    FORGE_REPORT_OF_ANOTHER_CPU,
    FORGE_REPORT_WITH_MASKED_CHIP,  // no flaw: a host may hide it
    FORGE_REPORT_OF_ANOTHER_KEY,    // it names a VLEK, and a VCEK signed it
    FORGE_REPORT_UNSIGNED,          // it names no key
    FORGE_REPORT_OF_ANOTHER_ALGORITHM,
    FORGE_REPORT_WITH_UNKNOWN_FLAGS,
    FORGE_REPORT_WITH_AUTHOR_KEY,       // no flaw
    FORGE_REPORT_WITHOUT_RESERVED_ONE,  // the bit of the policy that is always set
    FORGE_REPORT_OF_A_LONGER_CHIP,      // of Turin: not zero behind its eight bytes
    FORGE_VCEK_OF_ANOTHER_BOOT_LOADER,  // below: the lowest byte of its TCB
    FORGE_VCEK_WITHOUT_CHIP,
    FORGE_ASK_OF_ANOTHER_PRODUCT,
    FORGE_ASK_REVOKED,
};

/* What to make. */
struct forge_order {
    enum tee tee;
    uint16_t version;  // of the quote or report
    uint64_t now_s;    // all is in force from a day before to 29 days after
    uint8_t measurement[48];
    uint8_t report_data[VERDICT_REPORT_DATA_BYTES];
    bool is_debug;
    enum forge_flaw flaw;

    // SGX and TDX: the statuses of the levels that platform, QE and module reach. NULL: below all.
    const char *platform_status;
    const char *qe_status;
    const char *module_status;
    uint8_t module_version;  // TEE_TCB_SVN[1]; 0: the platform's level judges the module
    bool is_flat;            // SGX: TCB info of version 2
    bool is_processor;       // the PCK is of the Processor CA, not of the Platform CA

    // SEV-SNP.
    enum vendor_product product;
    bool is_vlek;
    bool has_crl;
    uint8_t cpu_model;  // 0: the product's most common one
};

/* A sound one of this TEE, in the newest version, all UpToDate, with a measurement of zeroes. */
struct forge_order forge_order_of(enum tee tee, uint64_t now_s);

/* Append quote or report, and the bundle of its collateral. */
void forge_make(struct forge *forge, const struct forge_order *order, struct buffer *quote,
                struct buffer *bundle);

/* Append both in a container of evidence. */
void forge_evidence(struct forge *forge, const struct forge_order *order, struct buffer *evidence);

/* Append a statement as Intel serves it, {"name":content,"signature":"…"}, of this P-256 key. */
void forge_statement(struct buffer *target, EVP_PKEY *signer, const char *name,
                     struct bytes content);

#endif
