/* src/enclave/sandbox.c */
#define _GNU_SOURCE  // unshare
#include "enclave/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"
#include "ring/wall.h"

// JavaScriptCore has aborted with 6 and died with 8; 10 were enough.
enum { FD_COUNT_MAX = 16 };

// Everything that would be another process, or share less than all with us, is no thread.
enum {
    THREAD_FLAGS = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
                   CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
};

/* ---- the filter ---- */

enum { LEADER = 1 << SANDBOX_LEADER, WORKER_JS = 1 << SANDBOX_WORKER_JS, ALL = LEADER | WORKER_JS };

/* A condition on one argument: that it has `value` under `mask`. */
struct condition {
    unsigned argument;
    scmp_datum_t mask;  // 0: no condition
    scmp_datum_t value;
};

// Arguments of type int fill half a register; what is in the other half is nobody's business.
#define INT_IS(argument, value)                  \
    {                                            \
        argument, 0xffffffffu, (uint32_t)(value) \
    }

/*
 * What a sealed process may ask of the kernel. Anything else ends the
 * process. `answer_errno` is not asked of the kernel at all: the call fails
 * with it, for calls that a library makes and can do without.
 */
static const struct rule {
    int call;
    unsigned roles;
    int answer_errno;
    struct condition conditions[2];
    const char *limits;  // the conditions, in words
    const char *reason;
} rules[] = {
    // Steady state: these four are all that a busy enclave uses.
    {SCMP_SYS(futex), ALL, 0, {{0}}, "", "threads wait for each other and for the wall's bells"},
    {SCMP_SYS(write),
     LEADER,
     0,
     {INT_IS(0, STDERR_FILENO)},
     "to stderr",
     "the message of a failed CHECK"},
    {SCMP_SYS(write),
     LEADER,
     0,
     {INT_IS(0, WALL_DATA_BELL_FD)},
     "to the data port's eventfd",
     "wakes the host"},
    {SCMP_SYS(write),
     LEADER,
     0,
     {INT_IS(0, WALL_STREAM_BELL_FD)},
     "to the stream port's eventfd",
     "wakes the host"},
    {SCMP_SYS(write),
     WORKER_JS,
     0,
     {{0}},
     "",
     "as in the leader; and the engine's own eventfds, whose numbers are its choice"},
    {SCMP_SYS(getpid), ALL, 0, {{0}}, "", "OpenSSL asks whether it was forked"},
    {SCMP_SYS(clock_gettime), ALL, 0, {{0}}, "", "time, where the vDSO cannot tell it"},
    {SCMP_SYS(gettimeofday), ALL, 0, {{0}}, "", "the same"},

    // Memory. Nothing is ever mapped from a file; only the engine makes code.
    {SCMP_SYS(mmap),
     LEADER,
     0,
     {INT_IS(4, -1), {2, PROT_EXEC, 0}},
     "no file, not executable",
     "malloc, stacks of threads"},
    {SCMP_SYS(mmap),
     WORKER_JS,
     0,
     {INT_IS(4, -1)},
     "no file",
     "malloc, stacks, the engine's heap and code"},
    {SCMP_SYS(mprotect),
     LEADER,
     0,
     {{2, PROT_EXEC, 0}},
     "not executable",
     "guard pages of stacks and of secrets, heaps of threads"},
    {SCMP_SYS(mprotect), WORKER_JS, 0, {{0}}, "", "as in the leader; and compiled JavaScript"},
    {SCMP_SYS(munmap), ALL, 0, {{0}}, "", "free"},
    {SCMP_SYS(mremap), ALL, 0, {{0}}, "", "realloc of large blocks"},
    {SCMP_SYS(madvise), ALL, 0, {{0}}, "", "unused pages go back; secrets stay out of core dumps"},
    {SCMP_SYS(brk), ALL, 0, {{0}}, "", "malloc"},
    {SCMP_SYS(mlock), ALL, 0, {{0}}, "", "secrets are never swapped out"},
    {SCMP_SYS(munlock), ALL, 0, {{0}}, "", "secrets are freed"},
    {SCMP_SYS(getrandom), ALL, 0, {{0}}, "", "keys and nonces"},

    // Threads.
    {SCMP_SYS(clone),
     ALL,
     0,
     {{0, ~(scmp_datum_t)0, THREAD_FLAGS}},
     "threads of this process",
     "pthread_create"},
    {SCMP_SYS(clone3),
     ALL,
     ENOSYS,
     {{0}},
     "fails with ENOSYS",
     "its flags lie in memory, out of the filter's sight: glibc then uses clone"},
    {SCMP_SYS(set_robust_list), ALL, 0, {{0}}, "", "every new thread does"},
    {SCMP_SYS(rseq), ALL, 0, {{0}}, "", "every new thread does"},
    {SCMP_SYS(gettid), ALL, 0, {{0}}, "", "a thread's own number"},
    {SCMP_SYS(sched_getaffinity), ALL, 0, {{0}}, "", "malloc counts processors for its arenas"},
    {SCMP_SYS(rt_sigprocmask), ALL, 0, {{0}}, "", "pthread_create, abort"},
    {SCMP_SYS(rt_sigaction), ALL, 0, {{0}}, "", "abort; the engine's suspension of threads"},
    {SCMP_SYS(rt_sigreturn), ALL, 0, {{0}}, "", "the end of a signal handler"},
    {SCMP_SYS(sigaltstack),
     ALL,
     0,
     {{0}},
     "",
     "the engine handles stack overflow on another stack; AddressSanitizer asks for it"},
    {SCMP_SYS(sched_yield), ALL, 0, {{0}}, "", "locks of the engine, and of AddressSanitizer"},
    {SCMP_SYS(restart_syscall),
     ALL,
     0,
     {{0}},
     "",
     "a timed wait goes on after the process was stopped and continued"},
    {SCMP_SYS(exit), ALL, 0, {{0}}, "", "the end of a thread"},
    {SCMP_SYS(exit_group), ALL, 0, {{0}}, "", "the end of the process"},

    // JavaScriptCore.
    {SCMP_SYS(rt_sigsuspend), WORKER_JS, 0, {{0}}, "", "a thread stopped for garbage collection"},
    {SCMP_SYS(sched_setscheduler),
     WORKER_JS,
     0,
     {{1, 0xffffffffu & ~(scmp_datum_t)SCHED_RESET_ON_FORK, SCHED_OTHER}},
     "SCHED_OTHER",
     "the engine's compiler threads"},
    {SCMP_SYS(membarrier), WORKER_JS, 0, {{0}}, "", "code is replaced under running threads"},
    {SCMP_SYS(prctl), WORKER_JS, 0, {INT_IS(0, PR_SET_NAME)}, "PR_SET_NAME", "names of threads"},
    {SCMP_SYS(clock_nanosleep), WORKER_JS, 0, {{0}}, "", "the watchdog; the engine's timers"},
    {SCMP_SYS(poll), WORKER_JS, 0, {{0}}, "", "the time limit's timer thread"},
    {SCMP_SYS(read), WORKER_JS, 0, {{0}}, "", "the engine's eventfds and /dev/urandom"},
    {SCMP_SYS(pread64), WORKER_JS, 0, {{0}}, "", "memory use, from the open statm"},
    {SCMP_SYS(newfstatat),
     WORKER_JS,
     ENOENT,
     {{0}},
     "fails with ENOENT",
     "ICU looks for newer time zone tables and does without"},
};

enum { RULE_COUNT = sizeof rules / sizeof *rules };

/* tgkill is allowed to this process alone, whose number is known only now. */
static const char *const TGKILL_LIMITS = "to this process";
static const char *const TGKILL_REASON = "abort; the engine suspends its threads";

static int filter_add(scmp_filter_ctx filter, const struct rule *rule)
{
    struct scmp_arg_cmp comparisons[2];
    unsigned count = 0;
    for (size_t i = 0; i < 2; i++) {
        const struct condition *condition = &rule->conditions[i];
        if (condition->mask != 0) {
            comparisons[count] = SCMP_CMP64(condition->argument, SCMP_CMP_MASKED_EQ,
                                            condition->mask, condition->value);
            count++;
        }
    }
    uint32_t action =
        rule->answer_errno == 0 ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO((uint32_t)rule->answer_errno);
    return seccomp_rule_add_array(filter, action, rule->call, count, comparisons);
}

/* 0, or the negative errno of the first step that failed. */
static int filter_fill(scmp_filter_ctx filter, enum sandbox_role role)
{
    // All threads, not only this one; and a call of another architecture is no way around.
    int result = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (result == 0) {
        result = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    }
    if (result == 0) {
        result =
            seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                             SCMP_A0_64(SCMP_CMP_MASKED_EQ, 0xffffffffu, (scmp_datum_t)getpid()));
    }
    for (size_t i = 0; i < RULE_COUNT && result == 0; i++) {
        if ((rules[i].roles & 1u << role) != 0) {
            result = filter_add(filter, &rules[i]);
        }
    }
    return result;
}

static enum status filter_install(enum sandbox_role role)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (filter == NULL) {
        return STATUS_IO;
    }
    int result = filter_fill(filter, role);
    if (result == 0) {
        result = seccomp_load(filter);
    }
    seccomp_release(filter);
    return result == 0 ? STATUS_OK : STATUS_IO;
}

static void print_rule(const char *call, const char *limits, const char *reason,
                       void (*print)(void *context, const char *row), void *context)
{
    char row[256];
    snprintf(row, sizeof row, "| %s | %s | %s |", call, limits, reason);
    print(context, row);
}

void sandbox_describe(enum sandbox_role role, void (*print)(void *context, const char *row),
                      void *context)
{
    for (size_t i = 0; i < RULE_COUNT; i++) {
        if ((rules[i].roles & 1u << role) != 0) {
            char *call = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, rules[i].call);
            CHECK(call != NULL);
            print_rule(call, rules[i].limits, rules[i].reason, print, context);
            free(call);
        }
    }
    print_rule("tgkill", TGKILL_LIMITS, TGKILL_REASON, print, context);
}

/* ---- capabilities and the file system ---- */

static int drop_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
    return (int)syscall(SYS_capset, &header, none);
}

/* The directory that is covered: the only one that every system with processes has. */
static const char *const NEW_ROOT = "/proc";

/*
 * Replace the root by an empty file system of one read-only directory. The
 * old root lies beneath it for a moment, at the same place, and is let go.
 * 0, or the errno of the step that failed.
 */
static int empty_root(void)
{
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", NEW_ROOT, "tmpfs", flags, "size=4k,nr_inodes=1,mode=0555") != 0 ||
        chdir(NEW_ROOT) != 0 || syscall(SYS_pivot_root, ".", ".") != 0 ||
        umount2(".", MNT_DETACH) != 0 || chdir("/") != 0 ||
        mount(NULL, "/", NULL, flags | MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) != 0) {
        return errno;
    }
    return 0;
}

/* Root and working directory belong to all threads, so what this one does is done for all. */
static void *jailer_run(void *context)
{
    struct sandbox *sandbox = context;
    while (sem_wait(&sandbox->go) != 0) {}
    sandbox->root_errno = empty_root();
    return NULL;  // and the last capabilities are gone
}

enum status sandbox_begin(struct sandbox *sandbox)
{
    *sandbox = (struct sandbox){.has_jailer = false};
    if (sem_init(&sandbox->go, 0, 0) != 0) {
        return STATUS_IO;
    }
    // Never trust that the host gave us mounts of our own: what comes later
    // would otherwise take the root away from the whole machine.
    if (unshare(CLONE_NEWNS) != 0) {
        sandbox->root_errno = errno;
    } else {
        sandbox->root_errno = pthread_create(&sandbox->jailer, NULL, jailer_run, sandbox);
        sandbox->has_jailer = sandbox->root_errno == 0;
    }
    if (drop_capabilities() != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return STATUS_IO;
    }
    return STATUS_OK;
}

/* ---- descriptors ---- */

static bool is_kept(int fd, const char *opened, enum sandbox_role role)
{
    if (fd == STDERR_FILENO || fd == WALL_DATA_BELL_FD || fd == WALL_STREAM_BELL_FD) {
        return true;
    }
    if (role != SANDBOX_WORKER_JS) {
        return false;
    }
    size_t length = strlen(opened);
    const size_t suffix = sizeof "/statm" - 1;
    return strcmp(opened, "/dev/urandom") == 0 || strcmp(opened, "anon_inode:[eventfd]") == 0 ||
           (strncmp(opened, "/proc/", 6) == 0 && length > suffix &&
            strcmp(opened + length - suffix, "/statm") == 0);
}

static enum status close_the_rest(enum sandbox_role role, struct sandbox_report *report)
{
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL) {
        return STATUS_IO;
    }
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        char opened[64] = "";  // longer names are cut, and none of ours
        int fd = entry->d_name[0] == '.' ? dirfd(directory) : (int)strtol(entry->d_name, NULL, 10);
        if (fd == dirfd(directory)) {
            continue;
        }
        ssize_t length = readlinkat(dirfd(directory), entry->d_name, opened, sizeof opened - 1);
        if (length >= 0 && is_kept(fd, opened, role)) {
            report->kept_fd_count++;
        } else {
            close(fd);
            report->closed_fd_count++;
        }
    }
    closedir(directory);
    return STATUS_OK;
}

static enum status set_limits(void)
{
    const struct rlimit no_core = {.rlim_cur = 0, .rlim_max = 0};
    const struct rlimit few_fds = {.rlim_cur = FD_COUNT_MAX, .rlim_max = FD_COUNT_MAX};
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || setrlimit(RLIMIT_CORE, &no_core) != 0 ||
        setrlimit(RLIMIT_NOFILE, &few_fds) != 0) {
        return STATUS_IO;
    }
    return STATUS_OK;
}

enum status sandbox_enter(struct sandbox *sandbox, enum sandbox_role role,
                          struct sandbox_report *report)
{
    *report = (struct sandbox_report){.is_root_empty = false};

    // Before the root goes, and /proc with it.
    enum status status = close_the_rest(role, report);
    if (sandbox->has_jailer) {
        sem_post(&sandbox->go);
        pthread_join(sandbox->jailer, NULL);
        sandbox->has_jailer = false;
        report->is_root_empty = sandbox->root_errno == 0;
    }
    report->root_errno = sandbox->root_errno;
    if (status == STATUS_OK) {
        status = set_limits();
    }
    if (status == STATUS_OK) {
        status = filter_install(role);
    }
    return status;
}

_Noreturn void sandbox_exit(int code)
{
    for (;;) {
        syscall(SYS_exit_group, code);
    }
}
