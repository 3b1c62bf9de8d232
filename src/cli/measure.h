/* src/cli/measure.h */
#ifndef CLI_MEASURE_H
#define CLI_MEASURE_H

#include "attest/policy.h"
#include "base/status.h"
#include "cli/app.h"
#include "cli/command.h"
#include "crypto/hash.h"

/*
 * measure: what the enclave programs are: the SHA-256 of their files, as a simulated TEE says it.
 */

/* The program of a role, beside the running program. Says on stderr why it failed. */
MUST_CHECK enum status measure_program(enum policy_role role, struct hash *measurement);

/* Let `policy` admit the leader's and the worker's programs as they are now, and no others. */
MUST_CHECK enum status measure_into(struct policy *policy);

/* Raise the policy's version above every one that may be known, and write policy.json. */
MUST_CHECK enum status measure_save(const struct app *app, struct policy *policy);

extern const struct command measure_command;  // policy update

#endif
