/* src/cli/succession.h */
#ifndef CLI_SUCCESSION_H
#define CLI_SUCCESSION_H

#include "cli/command.h"

/*
 * succession: an upgrade in three steps. `policy succeed A B` states that B succeeds A and admits
 * both; members of both serve side by side; `policy retire A` admits A no longer.
 */
extern const struct command succession_succeed_command;  // policy succeed
extern const struct command succession_retire_command;   // policy retire

#endif
