/* src/cli/functions.h */
#ifndef CLI_FUNCTIONS_H
#define CLI_FUNCTIONS_H

#include "cli/command.h"

/* functions: what is deployed, read from the FUNCTION records of the app's store with the seed. */
extern const struct command functions_command;

#endif
