/* bench/e2e/running.h */
#ifndef BENCH_RUNNING_H
#define BENCH_RUNNING_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/client.h"
#include "cli/command.h"
#include "cli/service.h"

/*
 * running: an app that the real programs run, for the benchmarks of this folder. The programs are
 * those of PARANOID_BIN (default: build/bin). Whatever goes wrong ends the benchmark.
 */
enum { RUNNING_PATH_BYTES = 512 };

struct running {
    char directory[64];  // temporary; the app lies in it
    char app[RUNNING_PATH_BYTES / 2];
    char programs[256];
    pid_t up;
    struct command_value app_option;
    struct command_line line;
    struct service service;
};

/* A fresh app that does not run yet. */
void running_init(struct running *running);
/* Start it with one worker of two threads; on return the host listens, and that is all. */
void running_up(struct running *running);
/* Stop it cleanly. */
void running_down(struct running *running);
/* End each of its processes at once, as a power cut does. */
void running_kill(struct running *running);
/* Remove it. */
void running_release(struct running *running);

/* Run `paranoid` with these words, which end with NULL; it must succeed. */
void running_command(const struct running *running, const char *const words[]);

/* A connection to the worker, or NULL; silent, as there may be none yet. */
struct client *running_connect(const struct running *running);

/* The status of the answer; 0: there is none. */
unsigned running_ask(const struct running *running, struct client *client, const char *method,
                     const char *path, const char *body);

/* Connect and ask again and again, until the answer is 200. */
void running_await(const struct running *running, const char *method, const char *path);

/* The process that has this role ("leader", "worker") and is ready; 0: there is none. */
pid_t running_pid(const struct running *running, const char *role);
/* What the worker says of itself under this name (docs of GET /status); 0: nothing yet. */
uint64_t running_worker_metric(const struct running *running, const char *name);

double running_now_us(void);
void running_pause_us(long us);

/* "what  median unit (least to greatest in N runs)"; sorts `samples`. */
void running_print(const char *what, double *samples, size_t count, const char *unit);

#endif
