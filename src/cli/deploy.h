/* src/cli/deploy.h */
#ifndef CLI_DEPLOY_H
#define CLI_DEPLOY_H

#include "cli/command.h"

/* deploy: publishes a function through the running leader, which proves itself first. */
extern const struct command deploy_command;
extern const struct command deploy_remove_command;  // undeploy

#endif
