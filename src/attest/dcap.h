/* src/attest/dcap.h */
#ifndef ATTEST_DCAP_H
#define ATTEST_DCAP_H

#include <stdbool.h>
#include <stdint.h>

#include "attest/collateral.h"
#include "attest/tcb.h"
#include "attest/verdict.h"
#include "attest/x509.h"
#include "base/bytes.h"

/*
 * dcap: what SGX and TDX quotes have in common (Intel's Data Center Attestation Primitives): a
 * header and a body, signed by an attestation key; that key's hash in the report of a quoting
 * enclave (QE); that report, signed by the platform's PCK; the PCK's certificates up to Intel's
 * root; and Intel's statements about platform and QE.
 *
 * A call that says no has written the reason to the verdict.
 */
enum {
    DCAP_ENCLAVE_REPORT_BYTES = 384,
    DCAP_TD_REPORT_10_BYTES = 584,
    DCAP_TD_REPORT_15_BYTES = 648,
};

enum dcap_body {
    DCAP_BODY_ENCLAVE,  // an SGX enclave's report
    DCAP_BODY_TD_10,
    DCAP_BODY_TD_15,
};

/* A quote taken apart. Borrows. */
struct dcap_quote {
    uint16_t version;
    enum dcap_body body_type;
    struct bytes body;
    struct bytes signed_part;  // header to body
    struct bytes signature;    // r ‖ s
    struct bytes key;          // x ‖ y: the attestation key
    struct bytes qe_report;
    struct bytes qe_signature;
    struct bytes qe_data;
    struct bytes chain;  // PEM
};

/* An enclave's report, of a quote's body or of the QE. */
struct dcap_enclave {
    uint8_t misc_select[4];
    uint8_t attributes[16];
    uint8_t measurement[32];
    uint8_t signer[32];
    uint16_t product;
    uint16_t security_version;
    uint8_t report_data[64];
};

/*
 * Take a quote apart: version 3 of SGX, 4 and 5 of TDX, with nothing behind it but zeroes.
 * REASON_FORMAT; REASON_CHAIN: it carries no PCK chain. A quote that is refused has a body as far
 * as that could be found, and else an empty one.
 */
bool dcap_decode(struct verdict *verdict, struct dcap_quote *quote, struct bytes bytes);

/* The report in DCAP_ENCLAVE_REPORT_BYTES bytes: every value is one. */
void dcap_enclave_decode(struct dcap_enclave *enclave, struct bytes bytes);

/*
 * Judge what a quote rests on, up to the pinned root. With `collateral`, also the vendor's
 * statements, and then verdict->tcb_status is known; `module` is the TDX module of a TD's quote,
 * else NULL. Fills in verdict->platform.
 */
bool dcap_verify(struct verdict *verdict, const struct dcap_quote *quote,
                 const struct x509_pin *root, const struct collateral *collateral,
                 const struct tcb_module *module);

/* What a quote asks Intel's certification service for. */
struct dcap_query {
    bool is_tdx;
    bool is_processor_ca;  // else the PCK is of the Platform CA
    uint8_t fmspc[TCB_FMSPC_BYTES];
};

/* Read from a quote whose signatures nobody checked. False: it is none, or has no PCK chain. */
bool dcap_query_read(struct dcap_query *query, struct bytes bytes);

#endif
