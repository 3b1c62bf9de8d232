/* src/cli/init.h */
#ifndef CLI_INIT_H
#define CLI_INIT_H

#include "cli/app.h"
#include "cli/command.h"

/* init: makes an app: the owner's keys, the policy, GENESIS, and what the host gets. */

/*
 * What the simulated TEE needs: its vendor's TCB info, issued when there is none or it is older
 * than 20 days, for a policy accepts it for 30; and a platform, another one when there is none.
 * Says on stderr why it failed.
 */
MUST_CHECK enum status init_simulated(const struct app *app);

/*
 * Write tls-root.pem when it is not there, or no certificate: the seed says what it says. Says why
 * it failed.
 */
MUST_CHECK enum status init_tls_root(const struct app *app);

extern const struct command init_command;

#endif
