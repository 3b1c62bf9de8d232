/* src/host/spawn.c */
#define _GNU_SOURCE  // clone, pipe2
#include "host/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"

enum {
    NAMESPACES = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
    STACK_BYTES = 64 << 10,
    FD_COUNT = WALL_STREAM_BELL_FD + 1,  // descriptors of an enclave, from 0 on
    SPARE_FD = 64,                       // above all targets
};

_Static_assert((int)SPARE_FD > (int)FD_COUNT, "a source is never overwritten before it is used");

/*
 * What the child needs. It borrows the parent's memory until it executes
 * (CLONE_VM | CLONE_VFORK: copying the page tables of a grown host would cost
 * more than all the rest), so it calls nothing that has state, and reports
 * through `failed_errno`.
 */
struct birth {
    const char *program;
    char *const *arguments;
    int fds[FD_COUNT];  // what the child finds at 0, 1, 2, …
    int host_pidfd;
    bool has_namespaces;
    char id_map[32];
    int failed_errno;
};

// The child leaves this stack without returning from it, and AddressSanitizer's
// marks would lie there when the memory is used again.
#define ON_CHILD_STACK __attribute__((no_sanitize_address))

ON_CHILD_STACK static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    size_t length = strlen(text);
    bool is_written = write(fd, text, length) == (ssize_t)length;
    close(fd);
    return is_written;
}

/* Root inside, and outside still who we were. */
ON_CHILD_STACK static bool map_ids(const struct birth *birth)
{
    return write_file("/proc/self/setgroups", "deny") &&
           write_file("/proc/self/uid_map", birth->id_map) &&
           write_file("/proc/self/gid_map", birth->id_map + strlen(birth->id_map) + 1);
}

/*
 * The host's handlers are not in the new program, and what it ignores should not be ignored there.
 */
ON_CHILD_STACK static void reset_signals(void)
{
    for (int number = 1; number < NSIG; number++) {
        signal(number, SIG_DFL);  // two cannot be set, and need not
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* End with the host, also when that has ended before the kernel heard of it. */
ON_CHILD_STACK static bool follow_host(const struct birth *birth)
{
    struct pollfd host = {.fd = birth->host_pidfd, .events = POLLIN};
    return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && poll(&host, 1, 0) == 0;
}

ON_CHILD_STACK static bool place_fds(const struct birth *birth)
{
    int spares[FD_COUNT];
    for (int i = 0; i < FD_COUNT; i++) {
        spares[i] = fcntl(birth->fds[i], F_DUPFD, SPARE_FD);
        if (spares[i] < 0) {
            return false;
        }
    }
    for (int i = 0; i < FD_COUNT; i++) {
        if (dup2(spares[i], i) != i) {
            return false;
        }
    }
    return syscall(SYS_close_range, FD_COUNT, ~0u, 0) == 0;
}

ON_CHILD_STACK static int child_run(void *context)
{
    struct birth *birth = context;
    char *const environment[] = {"TZ=UTC", NULL};
    reset_signals();
    if ((!birth->has_namespaces || map_ids(birth)) && follow_host(birth) && place_fds(birth)) {
        execve(birth->program, birth->arguments, environment);
    }
    birth->failed_errno = errno != 0 ? errno : ESRCH;
    _exit(127);
}

/* The two maps one after the other, because the child had better not print. */
static void fill_id_map(struct birth *birth)
{
    int length = snprintf(birth->id_map, sizeof birth->id_map, "0 %u 1", geteuid());
    CHECK(length > 0 && (size_t)length < sizeof birth->id_map / 2);
    snprintf(birth->id_map + length + 1, sizeof birth->id_map / 2, "0 %u 1", getegid());
}

/* The new process's number, or -1. */
static pid_t birth_clone(struct birth *birth, uint8_t *stack, int *pidfd)
{
    int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;
    if (birth->has_namespaces) {
        flags |= NAMESPACES;
    }
    birth->failed_errno = 0;

    // No handler of ours may run in the child: it would act on our memory.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = clone(child_run, stack + STACK_BYTES, flags, birth, pidfd);
    int cause = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = cause;
    return pid;
}

/* Clone, and learn whether the program was executed: the parent runs on only after that. */
static bool birth_give(struct birth *birth, uint8_t *stack, struct spawn *spawn)
{
    int pidfd = -1;
    pid_t pid = birth_clone(birth, stack, &pidfd);
    if (pid < 0) {
        return false;
    }
    if (birth->failed_errno != 0) {
        waitpid(pid, NULL, 0);
        close(pidfd);
        errno = birth->failed_errno;
        return false;
    }
    spawn->pid = pid;
    spawn->pidfd = pidfd;
    spawn->has_namespaces = birth->has_namespaces;
    return true;
}

enum status spawn_start(struct spawn *spawn, const char *program, char *const arguments[],
                        const struct wall *wall)
{
    enum status status = STATUS_IO;
    *spawn = SPAWN_NONE;
    int message_fds[2] = {-1, -1};
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    int host_pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    uint8_t *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (null_fd < 0 || host_pidfd < 0 || stack == MAP_FAILED ||
        pipe2(message_fds, O_CLOEXEC) != 0 || fcntl(message_fds[0], F_SETFL, O_NONBLOCK) != 0) {
        goto done;
    }
    struct birth birth = {
        .program = program,
        .arguments = arguments,
        .fds = {null_fd, null_fd,
                message_fds[1], [WALL_FD] = wall->fd, [WALL_DATA_BELL_FD] = wall->data_bell_fd,
                [WALL_STREAM_BELL_FD] = wall->stream_bell_fd},
        .host_pidfd = host_pidfd,
        .has_namespaces = true,
    };
    fill_id_map(&birth);
    if (!birth_give(&birth, stack, spawn)) {
        // Whatever the reason, it is tried once more without: if it was not
        // the namespaces, it fails again, and with the same errno.
        spawn->refused_errno = errno;
        birth.has_namespaces = false;
        if (!birth_give(&birth, stack, spawn)) {
            goto done;
        }
    }
    spawn->message_fd = message_fds[0];
    message_fds[0] = -1;
    status = STATUS_OK;

done:;
    int cause = errno;
    int fds[] = {null_fd, host_pidfd, message_fds[0], message_fds[1]};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    if (stack != MAP_FAILED) {
        munmap(stack, STACK_BYTES);
    }
    if (status != STATUS_OK) {
        *spawn = SPAWN_NONE;
    }
    errno = cause;
    return status;
}

enum status spawn_wait(struct spawn *spawn, int timeout_ms, int *how)
{
    struct pollfd ended = {.fd = spawn->pidfd, .events = POLLIN};
    int ready = poll(&ended, 1, timeout_ms);
    if (ready == 0 || (ready < 0 && errno == EINTR)) {
        return STATUS_TIMEOUT;
    }
    if (ready < 0 || waitpid(spawn->pid, how, 0) != spawn->pid) {
        return STATUS_IO;
    }
    spawn->pid = -1;
    return STATUS_OK;
}

void spawn_kill(struct spawn *spawn)
{
    if (spawn->pidfd >= 0) {
        // By descriptor: the number may be somebody else's by now.
        syscall(SYS_pidfd_send_signal, spawn->pidfd, SIGKILL, NULL, 0);
    }
}

void spawn_release(struct spawn *spawn)
{
    spawn_kill(spawn);
    if (spawn->pid > 0) {
        waitpid(spawn->pid, NULL, 0);
    }
    if (spawn->pidfd >= 0) {
        close(spawn->pidfd);
    }
    if (spawn->message_fd >= 0) {
        close(spawn->message_fd);
    }
    *spawn = SPAWN_NONE;
}
