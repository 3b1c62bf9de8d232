/* src/attest/policy_tee.h */
#ifndef ATTEST_POLICY_TEE_H
#define ATTEST_POLICY_TEE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attest/policy_floor.h"
#include "attest/policy_rtmr.h"
#include "attest/verdict.h"

/*
 * policy_tee: what a policy says of one kind of TEE alone, and of programs that are admitted by
 * their signer, so that the next version is admitted before it exists.
 */
enum {
    POLICY_TEE_SIGNER_COUNT_MAX = 16,
    POLICY_TEE_ADVISORY_COUNT_MAX = 32,
    POLICY_TEE_ADVISORY_BYTES = 24,  // "INTEL-SA-00615" and a NUL
};

/* What is not said here, the policy says for all. */
struct policy_tee {
    bool has_tcb_statuses;
    bool has_allow_debug;
    bool has_max_collateral_age;
    bool has_advisories;  // false: what the status accepts is accepted with its advisories
    uint32_t tcb_statuses;
    bool allow_debug;
    uint32_t max_collateral_age_days;
    char advisories[POLICY_TEE_ADVISORY_COUNT_MAX][POLICY_TEE_ADVISORY_BYTES];
    size_t advisory_count;
    struct policy_floor floor;  // SEV-SNP
    struct policy_rtmrs rtmrs;  // TDX
};

/* Programs of one signer: of one product, from a security version on. */
struct policy_tee_signer {
    enum tee tee;  // SGX or SEV-SNP: the others name no signer
    struct verdict_value signer;
    struct verdict_value product;
    uint32_t min_security_version;
};

struct policy_tee_signers {
    struct policy_tee_signer values[POLICY_TEE_SIGNER_COUNT_MAX];
    size_t count;
};

/*
 * Read the member "tees", an object with a member for each TEE, or one role's list of signers.
 * False: `error` (POLICY_ERROR_BYTES_MAX) says what is wrong. `tees` has one for each enum tee.
 */
bool policy_tee_read(struct policy_tee *tees, const json_t *value, char *error);
bool policy_tee_read_signers(struct policy_tee_signers *signers, const char *name,
                             const json_t *value, char *error);

/* New values, or NULL: no memory. An object without members: nothing was said. */
json_t *policy_tee_encode(const struct policy_tee *tees);
json_t *policy_tee_encode_signers(const struct policy_tee_signers *signers);

/* Whether a signer of the list stands for the program of this verdict. */
bool policy_tee_admits(const struct policy_tee_signers *signers, const struct verdict *verdict);

/*
 * Whether all advisories are accepted. False: `name` receives the first that is not, or "" when
 * there are too many to know them all.
 */
bool policy_tee_accepts_advisories(const struct policy_tee *tee, const struct verdict *verdict,
                                   char name[POLICY_TEE_ADVISORY_BYTES]);

#endif
