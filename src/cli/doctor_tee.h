/* src/cli/doctor_tee.h */
#ifndef CLI_DOCTOR_TEE_H
#define CLI_DOCTOR_TEE_H

#include "attest/policy.h"
#include "cli/app.h"
#include "cli/findings.h"

/* Which TEE this machine has, and by which interface it is asked. */
void doctor_tee_machine(struct findings *findings);

/*
 * Make evidence of each role as `up` would, simulated and (where there is any) of hardware, and
 * judge it by the policy: what would be refused, why, and until when the vendor's statements hold.
 */
void doctor_tee_admission(struct findings *findings, const struct app *app,
                          const struct policy *policy);

#endif
