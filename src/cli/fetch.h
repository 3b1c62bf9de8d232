/* src/cli/fetch.h */
#ifndef CLI_FETCH_H
#define CLI_FETCH_H

#include "cli/command.h"

/* fetch: which collateral a piece of evidence needs, and where its vendor publishes that. */
extern const struct command fetch_command;  // attest fetch

#endif
