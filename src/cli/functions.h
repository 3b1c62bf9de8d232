/* src/cli/functions.h */
#ifndef CLI_FUNCTIONS_H
#define CLI_FUNCTIONS_H

#include <stdbool.h>

#include "cli/command.h"

/* functions: what is deployed, read from the FUNCTION records of the app's store with the seed. */
extern const struct command functions_command;

/* Print the functions, or the names of the secrets. The exit status. */
int functions_list(const struct command_line *line, bool wants_secrets);

#endif
