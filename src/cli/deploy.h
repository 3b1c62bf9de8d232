/* src/cli/deploy.h */
#ifndef CLI_DEPLOY_H
#define CLI_DEPLOY_H

#include <stdbool.h>

#include "base/bytes.h"
#include "capsule/function.h"
#include "cli/command.h"

/* deploy: publishes a function through the running leader, which proves itself first. */
extern const struct command deploy_command;
extern const struct command deploy_remove_command;  // undeploy

/* Whether it is UTF-8, and something. */
bool deploy_is_text(struct bytes code);

/* Sign a manifest with its code, or with nothing when it is removed, and have it published. */
int deploy_publish(const struct command_line *line, struct function_manifest *manifest,
                   struct bytes code);

#endif
