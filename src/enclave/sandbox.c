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

enum {
    LEADER = 1 << SANDBOX_LEADER,
    WORKER_JS = 1 << SANDBOX_WORKER_JS,
    WORKER_PLAIN = 1 << SANDBOX_WORKER_PLAIN,
    WORKERS = WORKER_JS | WORKER_PLAIN,
    ALL = LEADER | WORKERS,
};

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
    const char *reason;
    const char *limits;  // in words, what follows; NULL: none
    struct condition conditions[2];
    bool is_for_this_process;  // the first argument is our process id, known only when sealing
    int answer_errno;
} rules[] = {
    // Steady state: these four are all that a busy enclave uses.
    {.call = SCMP_SYS(futex),
     .roles = ALL,
     .reason = "threads wait for each other and for the wall's bells"},
    {.call = SCMP_SYS(write),
     .roles = LEADER,
     .reason = "the message of a failed CHECK",
     .conditions = {INT_IS(0, STDERR_FILENO)},
     .limits = "to stderr"},
    {.call = SCMP_SYS(write),
     .roles = LEADER,
     .reason = "wakes the host",
     .conditions = {INT_IS(0, WALL_DATA_BELL_FD)},
     .limits = "to the data port's eventfd"},
    {.call = SCMP_SYS(write),
     .roles = LEADER,
     .reason = "wakes the host",
     .conditions = {INT_IS(0, WALL_STREAM_BELL_FD)},
     .limits = "to the stream port's eventfd"},
    {.call = SCMP_SYS(write),
     .roles = WORKERS,
     .reason = "as in the leader; and the engine's own eventfds, whose numbers are its choice"},
    {.call = SCMP_SYS(getpid), .roles = ALL, .reason = "OpenSSL asks whether it was forked"},
    {.call = SCMP_SYS(clock_gettime),
     .roles = ALL,
     .reason = "time, where the vDSO cannot tell it"},
    {.call = SCMP_SYS(gettimeofday), .roles = WORKERS, .reason = "the same, for ICU"},

    // Memory. Nothing is ever mapped from a file; only the engine makes code.
    {.call = SCMP_SYS(mmap),
     .roles = LEADER,
     .reason = "malloc, stacks of threads",
     .conditions = {INT_IS(4, -1), {2, PROT_EXEC, 0}},
     .limits = "no file, not executable"},
    {.call = SCMP_SYS(mmap),
     .roles = WORKER_JS,
     .reason = "malloc, stacks, the engine's heap and code",
     .conditions = {INT_IS(4, -1)},
     .limits = "no file"},
    {.call = SCMP_SYS(mmap),
     .roles = WORKER_PLAIN,
     .reason = "malloc, stacks, the engine's heap",
     .conditions = {INT_IS(4, -1), {2, PROT_EXEC, 0}},
     .limits = "no file, not executable"},
    {.call = SCMP_SYS(mprotect),
     .roles = LEADER | WORKER_PLAIN,
     .reason = "guard pages of stacks and of secrets, heaps of threads",
     .conditions = {{2, PROT_EXEC, 0}},
     .limits = "not executable"},
    {.call = SCMP_SYS(mprotect),
     .roles = WORKER_JS,
     .reason = "as in the leader; and compiled JavaScript"},
    {.call = SCMP_SYS(munmap), .roles = ALL, .reason = "free"},
    {.call = SCMP_SYS(mremap), .roles = ALL, .reason = "realloc of large blocks"},
    {.call = SCMP_SYS(madvise),
     .roles = ALL,
     .reason = "unused pages go back; secrets stay out of core dumps"},
    {.call = SCMP_SYS(brk), .roles = ALL, .reason = "malloc"},
    {.call = SCMP_SYS(mlock), .roles = ALL, .reason = "secrets are never swapped out"},
    {.call = SCMP_SYS(munlock), .roles = ALL, .reason = "secrets are freed"},
    {.call = SCMP_SYS(getrandom), .roles = ALL, .reason = "keys and nonces"},

    // Threads.
    {.call = SCMP_SYS(clone),
     .roles = ALL,
     .reason = "pthread_create",
     .conditions = {{0, ~(scmp_datum_t)0, THREAD_FLAGS}},
     .limits = "threads of this process"},
    {.call = SCMP_SYS(clone3),
     .roles = ALL,
     .reason = "its flags lie in memory, out of the filter's sight: glibc then uses clone",
     .answer_errno = ENOSYS,
     .limits = "fails with ENOSYS"},
    {.call = SCMP_SYS(set_robust_list), .roles = ALL, .reason = "every new thread does"},
    {.call = SCMP_SYS(rseq), .roles = ALL, .reason = "every new thread does"},
    {.call = SCMP_SYS(gettid), .roles = ALL, .reason = "a thread's own number"},
    {.call = SCMP_SYS(sched_getaffinity),
     .roles = ALL,
     .reason = "malloc counts processors for its arenas"},
    {.call = SCMP_SYS(rt_sigprocmask), .roles = ALL, .reason = "pthread_create, abort"},
    {.call = SCMP_SYS(rt_sigaction),
     .roles = ALL,
     .reason = "abort; the engine's suspension of threads"},
    {.call = SCMP_SYS(rt_sigreturn), .roles = ALL, .reason = "the end of a signal handler"},
    {.call = SCMP_SYS(tgkill),
     .roles = ALL,
     .reason = "abort; the engine suspends its threads",
     .is_for_this_process = true,
     .limits = "to this process"},
    {.call = SCMP_SYS(sigaltstack),
     .roles = ALL,
     .reason = "the engine handles stack overflow on another stack; AddressSanitizer asks for it"},
    {.call = SCMP_SYS(sched_yield),
     .roles = ALL,
     .reason = "locks of the engine, and of AddressSanitizer"},
    {.call = SCMP_SYS(restart_syscall),
     .roles = ALL,
     .reason = "a timed wait goes on after the process was stopped and continued"},
    {.call = SCMP_SYS(exit), .roles = ALL, .reason = "the end of a thread"},
    {.call = SCMP_SYS(exit_group), .roles = ALL, .reason = "the end of the process"},

    // JavaScriptCore.
    {.call = SCMP_SYS(rt_sigsuspend),
     .roles = WORKERS,
     .reason = "a thread stopped for garbage collection"},
    {.call = SCMP_SYS(sched_setscheduler),
     .roles = WORKER_JS,
     .reason = "the engine's compiler threads",
     .conditions = {{1, 0xffffffffu & ~(scmp_datum_t)SCHED_RESET_ON_FORK, SCHED_OTHER}},
     .limits = "SCHED_OTHER"},
    {.call = SCMP_SYS(membarrier),
     .roles = WORKER_JS,
     .reason = "code is replaced under running threads"},
    {.call = SCMP_SYS(prctl),
     .roles = WORKERS,
     .reason = "names of threads",
     .conditions = {INT_IS(0, PR_SET_NAME)},
     .limits = "PR_SET_NAME"},
    {.call = SCMP_SYS(clock_nanosleep),
     .roles = WORKERS,
     .reason = "the watchdog; the engine's timers"},
    {.call = SCMP_SYS(poll), .roles = WORKERS, .reason = "the time limit's timer thread"},
    {.call = SCMP_SYS(read), .roles = WORKERS, .reason = "the engine's eventfds and /dev/urandom"},
    {.call = SCMP_SYS(pread64), .roles = WORKERS, .reason = "memory use, from the open statm"},
    {.call = SCMP_SYS(newfstatat),
     .roles = WORKERS,
     .reason = "ICU looks for newer time zone tables and does without",
     .answer_errno = ENOENT,
     .limits = "fails with ENOENT"},
};

enum { RULE_COUNT = sizeof rules / sizeof *rules };

static int filter_add(scmp_filter_ctx filter, const struct rule *rule)
{
    struct scmp_arg_cmp comparisons[3];
    unsigned count = 0;
    if (rule->is_for_this_process) {
        comparisons[count] = SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, 0xffffffffu, (scmp_datum_t)getpid());
        count++;
    }
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

void sandbox_describe(enum sandbox_role role, void (*print)(void *context, const char *row),
                      void *context)
{
    for (size_t i = 0; i < RULE_COUNT; i++) {
        const struct rule *rule = &rules[i];
        if ((rule->roles & 1u << role) == 0) {
            continue;
        }
        char row[256];
        char *call = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, rule->call);
        CHECK(call != NULL);
        snprintf(row, sizeof row, "| %s | %s | %s |", call,
                 rule->limits != NULL ? rule->limits : "", rule->reason);
        free(call);
        print(context, row);
    }
}

/* ---- what glibc asks the system for once ---- */

enum { ARENA_BLOCK_COUNT = 16, ARENA_BLOCK_BYTES = 64 << 10 };

/*
 * When glibc first gives back memory of a thread's arena, it looks into
 * /proc/sys/vm/overcommit_memory, once for the process. After the seal that is its end.
 */
static void *arena_shrink(void *context)
{
    void *volatile blocks[ARENA_BLOCK_COUNT];  // seen from outside, so that none is left out
    for (size_t i = 0; i < ARENA_BLOCK_COUNT; i++) {
        blocks[i] = malloc(ARENA_BLOCK_BYTES);
    }
    for (size_t i = ARENA_BLOCK_COUNT; i > 0; i--) {
        free(blocks[i - 1]);
    }
    return context;
}

static enum status settle_allocator(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, arena_shrink, NULL) != 0) {
        return STATUS_IO;
    }
    pthread_join(thread, NULL);
    return STATUS_OK;
}

static int compare_bytes(const void *left, const void *right)
{
    return *(const uint8_t *)left - *(const uint8_t *)right;
}

/* Before glibc first sorts more than 1 KiB, it asks how much memory the machine has. */
static void settle_qsort(void)
{
    uint8_t bytes[2048] = {1};
    qsort(bytes, sizeof bytes, 1, compare_bytes);
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
    if (sem_init(&sandbox->go, 0, 0) != 0 || settle_allocator() != STATUS_OK) {
        return STATUS_IO;
    }
    settle_qsort();
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
    if (role == SANDBOX_LEADER) {
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
    report->is_filtered = status == STATUS_OK;
    return status;
}

_Noreturn void sandbox_exit(int code)
{
    for (;;) {
        syscall(SYS_exit_group, code);
    }
}
