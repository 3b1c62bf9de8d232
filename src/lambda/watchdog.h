/* src/lambda/watchdog.h */
#ifndef LAMBDA_WATCHDOG_H
#define LAMBDA_WATCHDOG_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/*
 * watchdog: a thread that looks at invocations from outside, for those that
 * the engine's own time limit cannot interrupt (a sort of 60 million numbers,
 * one huge fill). It cannot stop a thread, so it stops the process: the host
 * keeps a spare. It sleeps while nothing runs.
 */
struct watchdog;

/* Of one engine. */
struct watchdog_seat;

enum watchdog_reason {
    WATCHDOG_TIME,
    WATCHDOG_MEMORY,
};

/* Runs on the watchdog's thread; if it returns, it is called again as long as there is reason. */
typedef void watchdog_stop(void *context, enum watchdog_reason reason);

enum {
    WATCHDOG_SEAT_COUNT_MAX = 64,
    WATCHDOG_EXIT_STATUS = 86,  // what the process ends with when `stop` is NULL
    // What a thread is granted beyond its time, to come to where the engine looks at the clock. CPU
    // time: on a busy machine a thread that is slow to come there runs wild no more than another.
    // The other bound is for a thread that waits, and takes none.
    WATCHDOG_GRACE_CPU_MS = 1000,
    WATCHDOG_GRACE_MS = 10 * 1000,
};

/* Start the thread. Before the process is sealed: it opens /proc/self/statm. */
MUST_CHECK enum status watchdog_new(struct watchdog **watchdog, watchdog_stop *stop, void *context);

/* After the engines that use it. */
void watchdog_free(struct watchdog *watchdog);

/* A seat of a watchdog, for its lifetime. NULL when all are taken. */
struct watchdog_seat *watchdog_seat(struct watchdog *watchdog);

/*
 * Watch the calling thread from now until watchdog_leave(): stop the process
 * when `time_ms` and the grace are over, or when it holds more than
 * `resident_bytes_max`.
 */
void watchdog_enter(struct watchdog_seat *seat, uint64_t time_ms, uint64_t resident_bytes_max);
void watchdog_leave(struct watchdog_seat *seat);

#endif
