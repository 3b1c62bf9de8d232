/* src/cli/simulate.h */
#ifndef CLI_SIMULATE_H
#define CLI_SIMULATE_H

#include "cli/command.h"

/*
 * simulate: what 'paranoid sim' takes. The simulator holds inside and outside in one process, so
 * it is a program of its own beside this one, paranoid-sim, which reads the same words.
 */
extern const struct command simulate_command;

#endif
