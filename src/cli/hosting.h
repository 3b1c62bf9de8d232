/* src/cli/hosting.h */
#ifndef CLI_HOSTING_H
#define CLI_HOSTING_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/status.h"
#include "cli/app.h"
#include "cli/command.h"
#include "cli/post.h"

/*
 * hosting: the untrusted side as a process of its own: `paranoid up` starts `paranoid host`, which
 * is told the path of host/ and nothing of the owner's, and ends with it. What it writes goes to
 * host/host.log. What goes wrong is said on stderr.
 */
struct hosting {
    const struct app *app;  // borrowed
    pid_t pid;              // below 0: it does not run
    struct post post;       // frames to and from it
    int signal_fd;          // whether somebody asks us to stop
};

void hosting_init(struct hosting *hosting, const struct app *app);

/*
 * Wait until no other host holds the state directory: one that was killed needs a moment to be
 * gone. STATUS_DENIED: one runs.
 */
MUST_CHECK enum status hosting_await_quiet(const struct app *app);

/*
 * Start it with those of the options below that are on `line`, and connect. From here on signals
 * wait for hosting_is_asked_to_stop(). STATUS_CLOSED: it ended, or we are to stop.
 */
MUST_CHECK enum status hosting_start(struct hosting *hosting, const struct command_line *line);

/* Stop it, if it runs, and let go of everything. */
void hosting_stop(struct hosting *hosting);

/* Until a frame or a signal is here, or time has passed. */
void hosting_wait(struct hosting *hosting, int timeout_ms);

/* Whether a signal asks to stop. */
bool hosting_is_asked_to_stop(struct hosting *hosting);

/* It no longer speaks to us: wait for its end, and say how it ended. */
void hosting_await_end(struct hosting *hosting);

/* Options of up that the host gets as they are. */
extern const struct command_option hosting_options[];
enum { HOSTING_OPTION_COUNT = 8 };

extern const struct command hosting_command;  // host

#endif
