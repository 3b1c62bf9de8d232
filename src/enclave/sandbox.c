/* src/enclave/sandbox.c */
#define _GNU_SOURCE  // unshare
#include "enclave/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
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
    WORKER = 1 << SANDBOX_WORKER,
    BOTH = LEADER | WORKER,
};

// AddressSanitizer asks for more, in the builds for tests that have it (CMakeLists.txt).
#ifdef SANDBOX_HAS_ADDRESS_SANITIZER
enum { SANITIZED = BOTH };
#else
enum { SANITIZED = 0 };
#endif

/* A condition on one argument: that it has `value` under `mask`. */
struct condition {
    unsigned argument;
    scmp_datum_t mask;  // 0: no condition
    scmp_datum_t value;
};

// Arguments of type int fill half a register; what is in the other half is nobody's business.
#define INT_IS_BUT_FOR(argument, flags, value)                            \
    {                                                                     \
        argument, 0xffffffffu & ~(scmp_datum_t)(flags), (uint32_t)(value) \
    }
#define INT_IS(argument, value) INT_IS_BUT_FOR(argument, 0, value)

#define NOT_EXECUTABLE  \
    {                   \
        2, PROT_EXEC, 0 \
    }

/*
 * What a sealed process may ask of the kernel. Anything else ends the
 * process. `answer_errno` is not asked of the kernel at all: the call fails
 * with it, for calls that a library makes and can do without.
 *
 * No rule is here on suspicion. Those of the engine were seen in a trace of the
 * programs (`is_traced`; p10_sandbox.bats sees them again); without any other, a
 * scenario of sandbox_test.c ends.
 */
static const struct rule {
    int call;
    unsigned roles;
    const char *reason;
    const char *limits;  // in words, what follows; NULL: none
    struct condition conditions[2];
    bool is_for_this_process;  // the first argument is our process id, known only when sealing
    int answer_errno;
    bool is_traced;
    bool is_sanitizers;  // of no table
} rules[] = {
    // Steady state: these are all that a busy leader uses, but for memory.
    {.call = SCMP_SYS(futex),
     .roles = BOTH,
     .reason = "sleeps until the wall's bell rings; locks",
     .conditions = {INT_IS_BUT_FOR(1, FUTEX_PRIVATE_FLAG, FUTEX_WAIT)},
     .limits = "FUTEX_WAIT"},
    {.call = SCMP_SYS(futex),
     .roles = BOTH,
     .reason = "wakes who sleeps",
     .conditions = {INT_IS_BUT_FOR(1, FUTEX_PRIVATE_FLAG, FUTEX_WAKE)},
     .limits = "FUTEX_WAKE"},
    {.call = SCMP_SYS(futex),
     .roles = WORKER,
     .reason = "conditions and semaphores",
     .conditions = {INT_IS_BUT_FOR(1, FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME,
                                   FUTEX_WAIT_BITSET)},
     .limits = "FUTEX_WAIT_BITSET"},
    {.call = SCMP_SYS(restart_syscall),
     .roles = BOTH,
     .reason = "a timed wait goes on after the process was stopped and continued"},
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
     .roles = WORKER,
     .reason = "as in the leader; and the engine's own eventfds, whose numbers are its choice"},
    {.call = SCMP_SYS(getpid), .roles = BOTH, .reason = "OpenSSL asks whether it was forked"},
    {.call = SCMP_SYS(clock_gettime),
     .roles = LEADER,
     .reason = "time, where the vDSO cannot tell it",
     .conditions = {{0, 0xfffffffeu, CLOCK_REALTIME}},
     .limits = "CLOCK_REALTIME, CLOCK_MONOTONIC"},
    {.call = SCMP_SYS(clock_gettime),
     .roles = WORKER,
     .reason = "as in the leader; and the CPU time of threads, for time limits"},
    {.call = SCMP_SYS(gettimeofday),
     .roles = WORKER,
     .reason = "the engine's allocator: time, where the vDSO cannot tell it"},

    // Memory. Nothing is ever mapped from a file. The engine's memory for code is all there
    // before the seal, so nothing turns executable after it.
    {.call = SCMP_SYS(mmap),
     .roles = BOTH,
     .reason = "malloc, secrets; a worker's threads and engine",
     .conditions = {INT_IS_BUT_FOR(3, MAP_NORESERVE | MAP_STACK | MAP_FIXED,
                                   MAP_PRIVATE | MAP_ANONYMOUS),
                    NOT_EXECUTABLE},
     .limits = "private, no file, not executable"},
    {.call = SCMP_SYS(mprotect),
     .roles = BOTH,
     .reason = "guard pages of secrets; a worker's threads",
     .conditions = {NOT_EXECUTABLE},
     .limits = "not executable"},
    {.call = SCMP_SYS(munmap), .roles = BOTH, .reason = "free"},
    {.call = SCMP_SYS(mremap),
     .roles = BOTH,
     .reason = "realloc of large blocks",
     .conditions = {INT_IS(3, MREMAP_MAYMOVE)},
     .limits = "MREMAP_MAYMOVE"},
    {.call = SCMP_SYS(brk), .roles = BOTH, .reason = "malloc"},
    {.call = SCMP_SYS(madvise),
     .roles = LEADER,
     .reason = "secrets stay out of core dumps",
     .conditions = {INT_IS(2, MADV_DONTDUMP)},
     .limits = "MADV_DONTDUMP"},
    {.call = SCMP_SYS(madvise),
     .roles = LEADER,
     .reason = "secrets are freed",
     .conditions = {INT_IS(2, MADV_DODUMP)},
     .limits = "MADV_DODUMP"},
    {.call = SCMP_SYS(madvise),
     .roles = LEADER,
     .reason = "unused pages go back, of a heap that malloc turns to when its own cannot grow",
     .conditions = {INT_IS(2, MADV_DONTNEED)},
     .limits = "MADV_DONTNEED"},
    {.call = SCMP_SYS(madvise),
     .roles = WORKER,
     .reason = "as in the leader; and the engine's heap, with whatever advice it has"},
    {.call = SCMP_SYS(mlock), .roles = BOTH, .reason = "secrets are never swapped out"},
    {.call = SCMP_SYS(munlock), .roles = BOTH, .reason = "secrets are freed"},
    {.call = SCMP_SYS(getrandom), .roles = BOTH, .reason = "keys and nonces"},

    // The end.
    {.call = SCMP_SYS(rt_sigprocmask), .roles = LEADER, .reason = "abort"},
    {.call = SCMP_SYS(rt_sigprocmask),
     .roles = WORKER,
     .reason = "abort, pthread_create, the engine's suspension of threads"},
    {.call = SCMP_SYS(gettid), .roles = LEADER, .reason = "abort"},
    {.call = SCMP_SYS(gettid), .roles = WORKER, .reason = "abort; the engine's new threads"},
    {.call = SCMP_SYS(tgkill),
     .roles = BOTH,
     .reason = "abort",
     .is_for_this_process = true,
     .conditions = {INT_IS(2, SIGABRT)},
     .limits = "SIGABRT to this process"},
    {.call = SCMP_SYS(exit_group), .roles = BOTH, .reason = "the end of the process"},

    // Threads: a worker's begin when it is ready, the engine's come and go.
    {.call = SCMP_SYS(clone),
     .roles = WORKER,
     .reason = "pthread_create",
     .conditions = {{0, ~(scmp_datum_t)0, THREAD_FLAGS}},
     .limits = "threads of this process"},
    {.call = SCMP_SYS(clone3),
     .roles = WORKER,
     .reason = "its flags lie in memory, out of the filter's sight: glibc then uses clone",
     .answer_errno = ENOSYS,
     .limits = "fails with ENOSYS"},
    {.call = SCMP_SYS(set_robust_list),
     .roles = WORKER,
     .reason = "every new thread tries; no robust mutex is used",
     .answer_errno = ENOSYS,
     .limits = "fails with ENOSYS"},
    {.call = SCMP_SYS(rseq),
     .roles = WORKER,
     .reason = "every new thread does; glibc ends the process where a later one cannot"},
    {.call = SCMP_SYS(sched_getaffinity),
     .roles = WORKER,
     .reason = "the engine asks for the stack of a new thread, and glibc for its processors too"},
    {.call = SCMP_SYS(exit), .roles = WORKER, .reason = "the end of a thread"},

    // JavaScriptCore.
    {.call = SCMP_SYS(tgkill),
     .roles = WORKER,
     .reason = "the engine suspends its threads, to collect garbage",
     .is_for_this_process = true,
     .conditions = {INT_IS(2, SIGUSR1)},
     .limits = "SIGUSR1 to this process",
     .is_traced = true},
    {.call = SCMP_SYS(rt_sigsuspend),
     .roles = WORKER,
     .reason = "a suspended thread waits",
     .is_traced = true},
    {.call = SCMP_SYS(rt_sigreturn),
     .roles = WORKER,
     .reason = "a suspended thread goes on",
     .is_traced = true},
    {.call = SCMP_SYS(sched_yield),
     .roles = WORKER,
     .reason = "the engine's locks",
     .is_traced = true},
    {.call = SCMP_SYS(sched_setscheduler),
     .roles = WORKER,
     .reason = "the engine's new threads ask for what they have",
     .answer_errno = EPERM,
     .limits = "fails with EPERM",
     .is_traced = true},
    {.call = SCMP_SYS(prctl),
     .roles = WORKER,
     .reason = "names of the engine's threads",
     .conditions = {INT_IS(0, PR_SET_NAME)},
     .answer_errno = EPERM,
     .limits = "PR_SET_NAME, fails with EPERM",
     .is_traced = true},
    {.call = SCMP_SYS(poll),
     .roles = WORKER,
     .reason = "the time limit's timer thread",
     .is_traced = true},
    {.call = SCMP_SYS(read),
     .roles = WORKER,
     .reason = "the engine's eventfds and /dev/urandom",
     .is_traced = true},
    {.call = SCMP_SYS(pread64),
     .roles = WORKER,
     .reason = "memory use, from the open statm",
     .is_traced = true},

    // In no release.
    {.call = SCMP_SYS(sigaltstack),
     .roles = SANITIZED,
     .reason = "AddressSanitizer asks for it before what does not return",
     .is_sanitizers = true},
    {.call = SCMP_SYS(madvise),
     .roles = SANITIZED & LEADER,
     .reason = "AddressSanitizer's shadow memory",
     .conditions = {INT_IS(2, MADV_NOHUGEPAGE)},
     .is_sanitizers = true},
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
        if ((rule->roles & 1u << role) == 0 || rule->is_sanitizers) {
            continue;
        }
        char row[256];
        char *call = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, rule->call);
        CHECK(call != NULL);
        snprintf(row, sizeof row, "| %s | %s | %s | %s |", call,
                 rule->limits != NULL ? rule->limits : "", rule->reason,
                 rule->is_traced ? "trace" : "strike");
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
    if (fd == STDERR_FILENO || fd == WALL_DATA_BELL_FD) {
        return true;
    }
    if (role == SANDBOX_LEADER) {
        return false;
    }
    if (fd == WALL_STREAM_BELL_FD) {
        return true;
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
