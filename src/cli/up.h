/* src/cli/up.h */
#ifndef CLI_UP_H
#define CLI_UP_H

#include "cli/command.h"

/* up: runs an app here: starts the host, gives each leader its term, stops cleanly. */
extern const struct command up_command;

#endif
