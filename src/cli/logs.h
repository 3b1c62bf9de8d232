/* src/cli/logs.h */
#ifndef CLI_LOGS_H
#define CLI_LOGS_H

#include "cli/command.h"

/* logs: what functions say, fetched from the workers over HTTPS: no host reads it. */
extern const struct command logs_command;

#endif
