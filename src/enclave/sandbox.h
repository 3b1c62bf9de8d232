/* src/enclave/sandbox.h */
#ifndef ENCLAVE_SANDBOX_H
#define ENCLAVE_SANDBOX_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>

#include "base/status.h"

/*
 * sandbox: how an enclave program locks itself in (promise P10). Afterwards
 * it has an empty file system, no capability, no descriptor but its own
 * few, and a list of system calls beyond which the kernel ends it.
 *
 * Two steps, because libraries start threads and open files in between:
 * a thread keeps the capabilities it was born with, so they are dropped
 * before there are threads, and one thread keeps them for what comes last.
 *
 *     sandbox_begin()     first thing in main(), while there is one thread
 *     …                   attach to the wall, warm up the libraries
 *     sandbox_enter()     from the same thread, before the first foreign byte is interpreted
 *
 *     sandbox_exit()      the way out of a sealed program
 */

enum sandbox_role {
    SANDBOX_LEADER,  // leader, compactor: one thread, no code but our own
    SANDBOX_WORKER,  // with JavaScriptCore: threads that come and go, signals between them
};

/* What the kernel granted, for status, metrics and `doctor`. */
struct sandbox_report {
    bool is_root_empty;
    int root_errno;       // why not; 0 when it is
    int closed_fd_count;  // descriptors that were open and are not ours to have
    int kept_fd_count;
    bool is_filtered;  // the list of system calls is in force
};

/* Between the two steps. Plain, but not to be moved. */
struct sandbox {
    bool has_jailer;
    pthread_t jailer;  // the thread that still has the capabilities
    sem_t go;
    int root_errno;
};

/*
 * Leave the host's mounts for a copy of our own, drop every capability, and
 * rule out new privileges. STATUS_IO: capabilities could not be dropped, or no
 * thread could be started.
 */
MUST_CHECK enum status sandbox_begin(struct sandbox *sandbox);

/*
 * Seal: empty the root, close what is not ours (kept are stderr and the
 * data port's eventfd; for a worker also the stream port's, /dev/urandom, its
 * own statm and JavaScriptCore's eventfds), forbid core dumps and tracing, allow
 * 16 descriptors, install the filter for all threads. The report is written in
 * any case. STATUS_IO: not sealed; the program must not go on.
 */
MUST_CHECK enum status sandbox_enter(struct sandbox *sandbox, enum sandbox_role role,
                                     struct sandbox_report *report);

/*
 * Leave. Not exit() nor _exit(): what libraries and sanitizers do then is not
 * allowed any more (the leak checker, for one, clones a process that traces us).
 */
_Noreturn void sandbox_exit(int code);

/* Print the filter of a role as the rows of a Markdown table: call, limits, reason, shown by. */
void sandbox_describe(enum sandbox_role role, void (*print)(void *context, const char *row),
                      void *context);

#endif
