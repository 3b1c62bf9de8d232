/* src/cli/show.h */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include "cli/command.h"

/* show: what the host says about the running app: its enclaves and their numbers. */
extern const struct command show_command;  // status

#endif
