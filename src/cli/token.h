/* src/cli/token.h */
#ifndef CLI_TOKEN_H
#define CLI_TOKEN_H

#include "cli/command.h"

extern const struct command token_command;

#endif
