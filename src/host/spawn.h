/* src/host/spawn.h */
#ifndef HOST_SPAWN_H
#define HOST_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/status.h"
#include "ring/wall.h"

/*
 * spawn: starts an enclave program in namespaces of its own (user, process
 * ids, network, IPC, host name; the mounts the program takes for itself) and
 * hands it one side of a wall.
 *
 * The program is born with these descriptors and no others:
 *
 *     0, 1  /dev/null
 *     2     a pipe that the host reads. An enclave writes there the message
 *           of a failed CHECK, and what its libraries say before it is sealed
 *     3..5  the wall: WALL_FD, WALL_DATA_BELL_FD, WALL_STREAM_BELL_FD
 *
 * and with the environment TZ=UTC. It ends when the thread that started it
 * ends: start enclaves from a thread that lives as long as the host.
 */
struct spawn {
    pid_t pid;       // as the host sees it
    int pidfd;       // readable once the process has ended
    int message_fd;  // the host's end of the pipe, not blocking
    bool has_namespaces;
    int refused_errno;  // why the kernel gave none; 0 when it did
};

#define SPAWN_NONE ((struct spawn){.pid = -1, .pidfd = -1, .message_fd = -1})

/*
 * Start `program` (a path) with `arguments`, a NULL-terminated list that
 * begins with the program's name. The wall stays the caller's. Where the
 * kernel refuses namespaces (a chroot, a container that forbids them) the
 * program starts without, and `spawn` says so.
 * STATUS_IO: not started, errno says why; `*spawn` is SPAWN_NONE.
 */
MUST_CHECK enum status spawn_start(struct spawn *spawn, const char *program,
                                   char *const arguments[], const struct wall *wall);

/*
 * Wait for its end, at most `timeout_ms` (-1: for ever), and fetch it: `*how`
 * is as from waitpid(). STATUS_TIMEOUT: it still runs. Fetched once only.
 */
MUST_CHECK enum status spawn_wait(struct spawn *spawn, int timeout_ms, int *how);

/* End it at once. Harmless when it has ended. */
void spawn_kill(struct spawn *spawn);

/* End it, fetch its end if nobody did, close the descriptors. Then `*spawn` is SPAWN_NONE. */
void spawn_release(struct spawn *spawn);

#endif
