/* src/cli/judge.h */
#ifndef CLI_JUDGE_H
#define CLI_JUDGE_H

#include "cli/command.h"

/* judge: what evidence is worth, by the owner's policy, with the reason and the remedy. */

extern const struct command judge_command;  // attest verify

#endif
