/* src/attest/sgx.c */
#include "attest/sgx.h"

#include <string.h>

#include "attest/dcap.h"

enum { ATTRIBUTE_DEBUG = 0x02 };

/* What the report claims. */
static void verdict_fill(struct verdict *verdict, const struct dcap_enclave *enclave)
{
    const uint8_t product[] = {(uint8_t)enclave->product, (uint8_t)(enclave->product >> 8)};
    verdict->is_debug = (enclave->attributes[0] & ATTRIBUTE_DEBUG) != 0;
    verdict->measurement =
        verdict_value_of(bytes_of(enclave->measurement, sizeof enclave->measurement));
    verdict->signer = verdict_value_of(bytes_of(enclave->signer, sizeof enclave->signer));
    verdict->product = verdict_value_of(bytes_of(product, sizeof product));
    verdict->security_version = enclave->security_version;
    memcpy(verdict->report_data, enclave->report_data, sizeof verdict->report_data);
}

void sgx_verify(struct verdict *verdict, struct bytes quote, const struct collateral *collateral,
                const struct x509_pin *root)
{
    struct dcap_quote parts;
    struct dcap_enclave enclave;
    bool is_read = dcap_decode(verdict, &parts, quote);
    bool has_report = parts.body.length > 0 && parts.body_type == DCAP_BODY_ENCLAVE;
    if (has_report) {
        dcap_enclave_decode(&enclave, parts.body);
        verdict_fill(verdict, &enclave);
    } else if (is_read) {
        verdict_refuse(verdict, REASON_FORMAT, "quote version %u is of tee=tdx", parts.version);
    }
    if (is_read && has_report && dcap_verify(verdict, &parts, root, collateral, NULL)) {
        verdict->reason = REASON_NONE;
    }
}
