/* src/cli/recover.h */
#ifndef CLI_RECOVER_H
#define CLI_RECOVER_H

#include "cli/command.h"

/* recover: look at an app that does not go on, explain, and start a new term (DESIGN 6.10). */
extern const struct command recover_command;  // recover

#endif
