/* src/cli/hosting.h */
#ifndef CLI_HOSTING_H
#define CLI_HOSTING_H

#include <sys/types.h>

#include "base/status.h"
#include "cli/app.h"
#include "cli/command.h"

/*
 * hosting: the untrusted side as a process of its own: `paranoid up` starts `paranoid host`, which
 * is told the path of host/ and nothing of the owner's.
 */
enum { HOSTING_LOG_LINE_BYTES = 1024 };

/* What it writes to, in host/. */
#define HOSTING_LOG "host.log"

/* Start it as `line` of `paranoid up` says. STATUS_IO: said on stderr. */
MUST_CHECK enum status hosting_start(const struct app *app, const struct command_line *line,
                                     pid_t *pid);

/* The last line that the host wrote; "" for none. */
void hosting_last_line(const struct app *app, char text[HOSTING_LOG_LINE_BYTES]);

/* Options of up that the host gets as they are. */
extern const struct command_option hosting_options[];
enum { HOSTING_OPTION_COUNT = 8 };

extern const struct command hosting_command;  // host

#endif
