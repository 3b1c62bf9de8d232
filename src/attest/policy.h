/* src/attest/policy.h */
#ifndef ATTEST_POLICY_H
#define ATTEST_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attest/evidence.h"
#include "attest/policy_succession.h"
#include "attest/policy_tee.h"
#include "attest/verdict.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "crypto/certificate.h"
#include "crypto/sign.h"

/*
 * policy: whom the owner admits. A JSON text that the owner signs; what it does
 * not say is refused, and what it says that we do not know makes it invalid.
 * Members: docs/format/policy.md.
 *
 * jansson draws a seed from /dev/urandom at its first object: a process that
 * seals itself calls json_object_seed() before.
 */
enum policy_role {
    POLICY_LEADER,
    POLICY_WORKER,
    POLICY_COMPACTOR,
    POLICY_ROLE_COUNT,
};

enum {
    POLICY_BYTES_MAX = 64 * 1024,
    POLICY_MEASUREMENT_COUNT_MAX = 32,
    POLICY_PLATFORM_COUNT_MAX = 256,
    POLICY_MEASUREMENT_BYTES_MIN = 32,
    POLICY_MEASUREMENT_BYTES_MAX = 48,
    POLICY_COLLATERAL_AGE_DAYS_DEFAULT = 30,
    POLICY_COLLATERAL_AGE_DAYS_MAX = 3650,
    POLICY_ERROR_BYTES_MAX = 256,
};

struct policy_measurements {
    struct verdict_value values[POLICY_MEASUREMENT_COUNT_MAX];
    size_t count;  // 0: nobody is admitted in this role
};

/* Plain: a copy is a policy. About 55 KiB. */
struct policy {
    uint32_t version;  // the owner's number, 1 or more; only higher ones replace it
    bool allow_simulated;
    bool allow_debug;
    bool has_simulated_root;
    struct verify_key simulated_root;
    struct policy_measurements measurements[POLICY_ROLE_COUNT];
    struct policy_tee_signers signers[POLICY_ROLE_COUNT];  // admitted beside the measurements
    struct policy_successions successions;
    struct policy_tee tees[TEE_COUNT];
    uint32_t tcb_statuses;  // bit 1 << status for each accepted
    struct verdict_value platforms[POLICY_PLATFORM_COUNT_MAX];
    size_t platform_count;  // 0: every platform
    uint32_t max_collateral_age_days;
    bool has_retention;    // the owner lets bodies go that tables have made dispensable
    uint32_t retention_s;  // so long after
    struct certificate_host hosts[CERTIFICATE_HOST_COUNT_MAX];  // that workers' certificates name
    size_t host_count;
};

/* The strict defaults: admits nobody. Measurements are added by the caller. */
void policy_init(struct policy *policy);

/*
 * Read a policy. STATUS_MALFORMED: `error` says what is wrong with which
 * member, and what to do; `policy` is undefined. STATUS_NO_MEMORY.
 */
MUST_CHECK enum status policy_parse(struct policy *policy, struct bytes json,
                                    char error[POLICY_ERROR_BYTES_MAX]);

/* Append the canonical text: every member, sorted, indented, with a newline. STATUS_NO_MEMORY. */
MUST_CHECK enum status policy_encode(const struct policy *policy, struct buffer *json);

/*
 * The roots for evidence_verify(): the policy's, and those of the hardware's vendors, which are
 * vendor_pinned() in every program. Borrows both.
 */
struct evidence_roots policy_roots(const struct policy *policy, const struct vendor_roots *vendors);

/*
 * Whether a verdict of evidence_verify() is admitted in `role`, on a
 * connection for which the evidence had to name `report_data`. A verdict that
 * is a refusal is returned as it is. `is_admitted` is true exactly when the
 * reason is REASON_NONE.
 */
MUST_CHECK struct verdict policy_judge(const struct policy *policy, const struct verdict *verdict,
                                       const uint8_t report_data[VERDICT_REPORT_DATA_BYTES],
                                       enum policy_role role);

/* The same for the report data alone. */
MUST_CHECK struct verdict policy_judge_report_data(
    const struct verdict *verdict, const uint8_t report_data[VERDICT_REPORT_DATA_BYTES]);

/*
 * Until when the vendor's statements that a genuine verdict rests on count: one of them is no
 * longer in force then, or the oldest is older than the policy grants.
 */
uint64_t policy_collateral_until(const struct policy *policy, const struct verdict *verdict);

/* "leader", "worker", "compactor". Static storage, never NULL. */
const char *policy_role_text(enum policy_role role);

#endif
