/* src/cli/init.h */
#ifndef CLI_INIT_H
#define CLI_INIT_H

#include "cli/app.h"
#include "cli/command.h"

/* init: makes an app: the owner's keys, the policy, GENESIS, and what the host gets. */

/*
 * Issue the simulated vendor's TCB info when there is none or it is older than 20 days: a
 * policy accepts it for 30. Says on stderr why it failed.
 */
MUST_CHECK enum status init_tcb(const struct app *app);

extern const struct command init_command;

#endif
