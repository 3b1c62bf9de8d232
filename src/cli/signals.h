/* src/cli/signals.h */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

#include <stdbool.h>

/*
 * signals: those that ask a command to stop (SIGINT, SIGTERM, SIGHUP), and those of its children
 * where it has any, to be read from a descriptor that does not block; the caller closes it.
 * -1: there is none, errno says why.
 */
int signals_open(bool has_children);

#endif
