/* src/attest/tdx.c */
#include "attest/tdx.h"

#include <string.h>

#include "attest/dcap.h"
#include "base/check.h"
#include "base/cursor.h"

enum { MEASUREMENT_BYTES = 48, ATTRIBUTES_BYTES = 8 };

struct td_report {
    struct tcb_module module;
    uint8_t attributes[ATTRIBUTES_BYTES];
    uint8_t measurement[MEASUREMENT_BYTES];
    uint8_t rtmrs[VERDICT_RTMR_COUNT][VERDICT_RTMR_BYTES];
    uint8_t report_data[VERDICT_REPORT_DATA_BYTES];
};

/*
 * A TD report, 1.0; 1.5 has TEE_TCB_SVN_2 (16) and MRSERVICETD (48) behind it.
 *
 *     offset  bytes  field
 *          0     16  TEE_TCB_SVN: of the module that started the TD
 *         16     48  MRSEAM
 *         64     48  MRSIGNERSEAM
 *        112      8  SEAM attributes
 *        120      8  TD attributes: the first byte is not zero when the TD can be debugged
 *        128      8  XFAM
 *        136     48  MRTD
 *        184     48  MRCONFIGID
 *        232     48  MROWNER
 *        280     48  MROWNERCONFIG
 *        328    192  RTMR 0 to 3
 *        520     64  report data
 */
static void report_decode(struct td_report *report, struct bytes bytes)
{
    struct cursor in = cursor_over(bytes.at, bytes.length);
    cursor_copy(&in, report->module.svn, sizeof report->module.svn);
    cursor_take(&in, MEASUREMENT_BYTES);
    cursor_copy(&in, report->module.signer, sizeof report->module.signer);
    cursor_copy(&in, report->module.attributes, sizeof report->module.attributes);
    cursor_copy(&in, report->attributes, sizeof report->attributes);
    cursor_take(&in, 8);
    cursor_copy(&in, report->measurement, sizeof report->measurement);
    cursor_take(&in, 3 * MEASUREMENT_BYTES);
    cursor_copy(&in, report->rtmrs, sizeof report->rtmrs);
    cursor_copy(&in, report->report_data, sizeof report->report_data);
    CHECK(!in.failed);
}

/* What the report claims. */
static void verdict_fill(struct verdict *verdict, const struct td_report *report)
{
    // Of the eight bits that make a TD untrusted only DEBUG has a meaning yet.
    verdict->is_debug = report->attributes[0] != 0;
    verdict->measurement =
        verdict_value_of(bytes_of(report->measurement, sizeof report->measurement));
    memcpy(verdict->rtmrs, report->rtmrs, sizeof verdict->rtmrs);
    memcpy(verdict->report_data, report->report_data, sizeof verdict->report_data);
}

void tdx_verify(struct verdict *verdict, struct bytes quote, const struct collateral *collateral,
                const struct x509_pin *root)
{
    struct dcap_quote parts;
    struct td_report report;
    bool is_read = dcap_decode(verdict, &parts, quote);
    bool has_report = parts.body.length > 0 && parts.body_type != DCAP_BODY_ENCLAVE;
    if (has_report) {
        report_decode(&report, parts.body);
        verdict_fill(verdict, &report);
    } else if (is_read) {
        verdict_refuse(verdict, REASON_FORMAT, "quote version %u is of tee=sgx", parts.version);
    }
    if (is_read && has_report && dcap_verify(verdict, &parts, root, collateral, &report.module)) {
        verdict->reason = REASON_NONE;
    }
}
