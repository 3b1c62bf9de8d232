/* tests/enclave/sandbox_test.c */

/*
 * Goal: a sealed process can do its work (threads, memory, hashes, random
 * bytes, its bells) and nothing else: each attempt at a file, a socket,
 * another program or another process ends it. And nothing is allowed for
 * nothing: without any one of its rules some work ends.
 * Method: one child per attempt, in a user namespace of its own where the
 * kernel grants one. The child seals itself, says so on its stderr pipe, and
 * tries; the parent looks how it ended. This program stands before two of
 * libseccomp's calls, to leave one rule out, or to have all calls that are
 * not listed answered instead of punished.
 */
#define _GNU_SOURCE  // unshare
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "attest/evidence.h"
#include "base/check.h"
#include "base/random.h"
#include "crypto/crypto.h"
#include "crypto/hash.h"
#include "crypto/p256.h"
#include "crypto/secret.h"
#include "enclave/sandbox.h"
#include "ring/bell.h"
#include "ring/wall.h"
#include "tests/support/blocked.h"
#include "tests/support/forge.h"

enum { SEALED_MARK = 'S', KEPT_OPEN_FD = 6, WORKED = 0, REFUSED = 50, HAPPENED = 60 };

// glibc's own, which AddressSanitizer does not stand before.
void *__libc_malloc(size_t bytes);
void *__libc_realloc(void *block, size_t bytes);
void __libc_free(void *block);

static pid_t test_pid;
static struct sandbox_report child_report;  // of the child, in the child

/* How a child ended, and whether it had sealed itself before. */
struct ending {
    bool was_sealed;
    int how;
    char message[256];  // what it wrote to stderr after the mark
};

/* ---- between the sandbox and libseccomp ---- */

enum { CALL_NUMBER_MAX = 512, UNLISTED_ERRNO = 4000, NONE = -1 };

static struct seam {
    int struck;    // the index of a rule that is left out, or NONE
    bool answers;  // what no rule allows fails with UNLISTED_ERRNO
    int rule_count;
    bool is_listed[CALL_NUMBER_MAX];
} seam = {.struck = NONE};

scmp_filter_ctx seccomp_init(uint32_t action)
{
    scmp_filter_ctx (*init)(uint32_t) = dlsym(RTLD_NEXT, "seccomp_init");
    CHECK(action == SCMP_ACT_KILL_PROCESS);
    return init(seam.answers ? SCMP_ACT_ERRNO(UNLISTED_ERRNO) : action);
}

int seccomp_rule_add_array(scmp_filter_ctx filter, uint32_t action, int call, unsigned count,
                           const struct scmp_arg_cmp *comparisons)
{
    int (*add)(scmp_filter_ctx, uint32_t, int, unsigned, const struct scmp_arg_cmp *) =
        dlsym(RTLD_NEXT, "seccomp_rule_add_array");
    CHECK(0 <= call && call < CALL_NUMBER_MAX);
    seam.is_listed[call] = true;
    return seam.rule_count++ == seam.struck ? 0 : add(filter, action, call, count, comparisons);
}

/* ---- a child that seals itself ---- */

// A thread of a library, from before the process was sealed. It waits as enclaves do, and stays.
static struct early {
    pthread_t thread;
    struct bell_shared asked, answered;
    int (*_Atomic work)(void);
    atomic_int result;  // 0: none yet
} early;

/* Many blocks, each too small to be mapped alone: freed from the end, the arena shrinks. */
static int use_many_blocks(void)
{
    enum { COUNT = 64, BYTES = 64 << 10 };
    void *volatile blocks[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        blocks[i] = __libc_malloc(BYTES);
    }
    for (size_t i = COUNT; i > 0; i--) {
        __libc_free(blocks[i - 1]);
    }
    return WORKED;
}

static bool has_work(const void *context)
{
    (void)context;
    return atomic_load(&early.work) != NULL;
}

static bool has_result(const void *context)
{
    (void)context;
    return atomic_load(&early.result) != 0;
}

static void wait_until(struct bell_shared *bell, bell_condition *is_true)
{
    struct bell_waiter waiter;
    bell_waiter_init(&waiter, bell, 0);
    while (!is_true(NULL)) {
        enum status status = bell_wait(&waiter, is_true, NULL, -1);
        CHECK(status == STATUS_OK);
    }
}

static void ring(struct bell_shared *bell)
{
    struct bell_ringer ringer;
    bell_ringer_init(&ringer, bell, BELL_FUTEX);
    bell_ring(&ringer);
}

static void *early_run(void *context)
{
    for (;;) {
        wait_until(&early.asked, has_work);
        int result = atomic_exchange(&early.work, NULL)();
        atomic_store(&early.result, 1 + result);
        ring(&early.answered);
    }
    return context;
}

static int in_early_thread(int (*work)(void))
{
    atomic_store(&early.result, 0);
    atomic_store(&early.work, work);
    ring(&early.asked);
    wait_until(&early.answered, has_result);
    return atomic_load(&early.result) - 1;
}

/* As spawn does. Without it (a kernel that refuses) root still gets its own mounts. */
static void enter_user_namespace(void)
{
    char map[32];
    snprintf(map, sizeof map, "0 %d 1", (int)geteuid());
    if (unshare(CLONE_NEWUSER) != 0) {
        return;
    }
    int fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, map, strlen(map)) < 0) {
        _exit(91);
    }
    close(fd);
}

static _Noreturn void child_run(enum sandbox_role role, int stderr_fd, int (*attempt)(void))
{
    static struct sandbox sandbox;
    enter_user_namespace();
    dup2(stderr_fd, STDERR_FILENO);
    int data_fd = fcntl(eventfd(0, EFD_NONBLOCK), F_DUPFD, 20);
    int stream_fd = fcntl(eventfd(0, EFD_NONBLOCK), F_DUPFD, 20);
    dup2(data_fd, WALL_DATA_BELL_FD);
    dup2(stream_fd, WALL_STREAM_BELL_FD);
    dup2(memfd_create("left open", 0), KEPT_OPEN_FD);
    // AddressSanitizer has kept glibc's malloc unused: the first thread to ask has the main arena,
    // and for the first other one that shrinks glibc opens a file.
    __libc_free(__libc_malloc(1));
    if (sandbox_begin(&sandbox) != STATUS_OK ||
        pthread_create(&early.thread, NULL, early_run, NULL) != 0 ||
        in_early_thread(use_many_blocks) != WORKED ||
        sandbox_enter(&sandbox, role, &child_report) != STATUS_OK) {
        _exit(90);
    }
    const char mark = SEALED_MARK;
    if (write(STDERR_FILENO, &mark, 1) != 1) {
        _exit(92);
    }
    sandbox_exit(attempt());
}

static struct ending seal_and(enum sandbox_role role, int (*attempt)(void))
{
    struct ending ending = {.was_sealed = false};
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        child_run(role, ends[1], attempt);
    }
    close(ends[1]);
    char text[sizeof ending.message] = "";
    size_t length = 0;
    ssize_t got;
    while (length < sizeof text - 1 &&
           (got = read(ends[0], text + length, sizeof text - 1 - length)) > 0) {
        length += (size_t)got;
    }
    close(ends[0]);
    assert_int_equal(waitpid(child, &ending.how, 0), child);
    ending.was_sealed = text[0] == SEALED_MARK;
    memcpy(ending.message, text + ending.was_sealed, sizeof text - 1);
    return ending;
}

static bool is_killed(int how)
{
    return WIFSIGNALED(how) && WTERMSIG(how) == SIGSYS;
}

static void assert_killed(enum sandbox_role role, int (*attempt)(void))
{
    struct ending ending = seal_and(role, attempt);
    assert_true(ending.was_sealed);
    assert_true(is_killed(ending.how));
}

static void assert_worked(const struct ending *ending)
{
    assert_string_equal(ending->message, "");
    assert_true(ending->was_sealed);
    assert_false(WIFSIGNALED(ending->how));
    assert_int_equal(WEXITSTATUS(ending->how), WORKED);
}

static void assert_works(enum sandbox_role role, int (*attempt)(void))
{
    struct ending ending = seal_and(role, attempt);
    assert_worked(&ending);
}

/* ---- threads ---- */

static void *thread_work(void *context)
{
    // Enough to make malloc give the thread an arena of its own, and grow it.
    for (size_t bytes = 16; bytes < 1 << 22; bytes *= 2) {
        char *block = malloc(bytes);
        block = realloc(block, bytes * 3);
        if (block == NULL) {
            return NULL;
        }
        memset(block, 1, bytes * 3);
        free(block);
    }
    return context;
}

/* The engine asks for the stack of each of its threads. */
static void *thread_run(void *context)
{
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) {
        return NULL;
    }
    pthread_attr_destroy(&attributes);
    return thread_work(context);
}

static int use_threads(void)
{
    pthread_t threads[4];
    int value = 0;
    for (size_t i = 0; i < 4; i++) {
        if (pthread_create(&threads[i], NULL, thread_run, &value) != 0) {
            return 1;
        }
    }
    for (size_t i = 0; i < 4; i++) {
        void *result = NULL;
        if (pthread_join(threads[i], &result) != 0 || result != &value) {
            return 2;
        }
    }
    return thread_work(&value) == &value ? WORKED : 3;
}

/* ---- what is forbidden ---- */

static int try_open(void)
{
    return open("/etc/passwd", O_RDONLY) >= 0 ? HAPPENED : REFUSED;
}

static int try_open_in_early_thread(void)
{
    return in_early_thread(try_open);
}

static int try_open_for_writing(void)
{
    return open("/tmp/paranoid", O_CREAT | O_RDWR, 0600) >= 0 ? HAPPENED : REFUSED;
}

static int try_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) >= 0 ? HAPPENED : REFUSED;
}

static int try_execve(void)
{
    char *const arguments[] = {"/bin/true", NULL};
    return execve("/bin/true", arguments, NULL);
}

static int try_ptrace(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? HAPPENED : REFUSED;
}

static int try_process_vm_readv(void)
{
    return syscall(SYS_process_vm_readv, getpid(), NULL, 0, NULL, 0, 0) >= 0 ? HAPPENED : REFUSED;
}

static int try_fork(void)
{
    return syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL) >= 0 ? HAPPENED : REFUSED;
}

static int try_vfork(void)
{
    return syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL, NULL, NULL, NULL) >= 0
               ? HAPPENED
               : REFUSED;
}

static int try_kill_parent(void)
{
    return kill(test_pid, 0) == 0 ? HAPPENED : REFUSED;
}

static int try_tgkill_other(void)
{
    return syscall(SYS_tgkill, getpid() + 1, getpid() + 1, SIGKILL) == 0 ? HAPPENED : REFUSED;
}

static int try_mmap_file(void)
{
    void *memory = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, STDERR_FILENO, 0);
    return memory != MAP_FAILED ? HAPPENED : REFUSED;
}

static int try_make_code(void)
{
    void *memory =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory != MAP_FAILED ? HAPPENED : REFUSED;
}

static int try_turn_executable(void)
{
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mprotect(memory, 4096, PROT_READ | PROT_EXEC) == 0 ? HAPPENED : REFUSED;
}

static int try_shared_memory(void)
{
    void *memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory != MAP_FAILED ? HAPPENED : REFUSED;
}

static int try_move_onto(void)
{
    static char page[2 * 4096];
    void *moved = mremap(page, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, page + 4096);
    return moved != MAP_FAILED ? HAPPENED : REFUSED;
}

static int try_priority_futex(void)
{
    static int word;
    return syscall(SYS_futex, &word, FUTEX_LOCK_PI, 0, NULL, NULL, 0) == 0 ? HAPPENED : REFUSED;
}

static int try_signal(void)
{
    return syscall(SYS_tgkill, getpid(), getpid(), SIGTERM) == 0 ? HAPPENED : REFUSED;
}

static int try_namespace(void)
{
    return unshare(CLONE_NEWUSER) == 0 ? HAPPENED : REFUSED;
}

static int try_dumpable(void)
{
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0 ? HAPPENED : REFUSED;
}

static int try_raise_limit(void)
{
    const struct rlimit limit = {.rlim_cur = 1024, .rlim_max = 1024};
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? HAPPENED : REFUSED;
}

static int try_seccomp(void)
{
    return syscall(SYS_seccomp, 0, 0, NULL) == 0 ? HAPPENED : REFUSED;
}

static int try_io_uring(void)
{
    return syscall(425, 8, NULL) >= 0 ? HAPPENED : REFUSED;
}

static int try_x32(void)
{
    return syscall(0x40000000 | SYS_getpid) >= 0 ? HAPPENED : REFUSED;
}

static int try_write_elsewhere(void)
{
    return write(1, "x", 1) == 1 ? HAPPENED : REFUSED;
}

static void p10_attempts_to_leave_end_either_role(void **state)
{
    (void)state;
    int (*const attempts[])(void) = {
        try_open,           try_open_for_writing, try_socket,    try_execve,
        try_ptrace,         try_process_vm_readv, try_fork,      try_vfork,
        try_kill_parent,    try_tgkill_other,     try_signal,    try_mmap_file,
        try_shared_memory,  try_move_onto,        try_make_code, try_turn_executable,
        try_priority_futex, try_namespace,        try_dumpable,  try_raise_limit,
        try_seccomp,        try_io_uring,         try_x32,       try_open_in_early_thread,
    };
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        assert_killed(SANDBOX_LEADER, attempts[i]);
        assert_killed(SANDBOX_WORKER, attempts[i]);
    }
    assert_killed(SANDBOX_LEADER, try_write_elsewhere);
    assert_killed(SANDBOX_LEADER, use_threads);
}

/*
 * Linux 6.13 and later let the trampolines of uprobes past every filter; from elsewhere
 * these two end the process with SIGILL.
 */
static bool is_past_filters(long call)
{
    return call == 335 || call == 336;
}

static int try_what_is_not_listed(void)
{
    for (long call = 0; call < CALL_NUMBER_MAX; call++) {
        if (!seam.is_listed[call] && !is_past_filters(call) &&
            (syscall(call, 0, 0, 0, 0, 0, 0) != -1 || errno != UNLISTED_ERRNO)) {
            fprintf(stderr, "call %ld", call);
            return HAPPENED;
        }
    }
    return WORKED;
}

static void p10_no_call_but_those_of_the_list_is_allowed(void **state)
{
    (void)state;
    seam.answers = true;
    struct ending leader = seal_and(SANDBOX_LEADER, try_what_is_not_listed);
    struct ending worker = seal_and(SANDBOX_WORKER, try_what_is_not_listed);
    seam.answers = false;
    assert_worked(&leader);
    assert_worked(&worker);
}

/* ---- what works ---- */

static int compare_ints(const void *left, const void *right)
{
    return *(const int *)left - *(const int *)right;
}

static int sort_many(void)
{
    static int numbers[1 << 12];
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        numbers[i] = (int)(i * 7919 % 4099);
    }
    qsort(numbers, sizeof numbers / sizeof *numbers, sizeof *numbers, compare_ints);
    return numbers[0] == 0 ? WORKED : 1;
}

static int grow_here(void)
{
    int value;
    return thread_work(&value) == &value ? WORKED : 1;
}

static int grow_in_early_thread(void)
{
    return grow_here() == WORKED ? in_early_thread(grow_here) : 1;
}

static int shrink_an_early_arena(void)
{
    return in_early_thread(use_many_blocks);
}

/* Blocks so large are mapped one by one, and grown where they are. */
static int grow_a_large_block(void)
{
    char *block = __libc_malloc(40u << 20);
    block = __libc_realloc(block, 80u << 20);
    bool has_grown = block != NULL;
    __libc_free(block);
    return has_grown ? WORKED : 1;
}

/* As if the kernel were an old one: glibc falls back to clone, which the filter sees through. */
static int use_clone3(void)
{
    uint64_t arguments[11] = {[4] = SIGCHLD};
    long child = syscall(SYS_clone3, arguments, sizeof arguments);
    return child == -1 && errno == ENOSYS ? WORKED : 1;
}

/* As glibc does where the vDSO has no clock that it can read. */
static int ask_for_time(void)
{
    struct timespec now;
    bool is_known = syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now) == 0 &&
                    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now) == 0;
    return is_known ? WORKED : 1;
}

static int ask_for_time_of_day(void)
{
    struct timeval now;
    return syscall(SYS_gettimeofday, &now, NULL) == 0 ? WORKED : 1;
}

static int wait_for_a_semaphore(void)
{
    sem_t never;
    const struct timespec long_ago = {.tv_sec = 1};
    sem_init(&never, 0, 0);
    return sem_timedwait(&never, &long_ago) == -1 && errno == ETIMEDOUT ? WORKED : 1;
}

/* As libsodium does for each secret; AddressSanitizer makes nothing of mlock(). */
static int lock_a_page(void)
{
    static char page[4096];
    syscall(SYS_mlock, page, sizeof page);
    syscall(SYS_munlock, page, sizeof page);
    return WORKED;  // where they fail, too: only being ended by them would be wrong
}

static int make_a_key(void)
{
    p256_key_free(p256_key_new());
    return WORKED;
}

static int use_crypto(void)
{
    // crypto_init() was called by the parent, before the process was sealed.
    struct hash hash = hash_of("abc", 3);
    struct random random = random_kernel();
    struct secret *secret = secret_new_random(&random);
    struct secret *derived = secret_derive(secret, "paranoid test v1", bytes_text("here"));
    bool same = crypto_equal(secret_bytes(secret), secret_bytes(derived), SECRET_BYTES);
    secret_free(derived);
    secret_free(secret);
    return hash.bytes[0] == 0xba && hash.bytes[1] == 0x78 && !same ? WORKED : 1;
}

static const enum tee hardware[] = {TEE_SGX, TEE_TDX, TEE_SEV_SNP};
enum { HARDWARE_COUNT = 3, FORGED_AT_S = 1800000000 };

// Made by another process, so that nothing of OpenSSL is warm here but what crypto_init() warms.
static struct forged {
    struct vendor_roots roots;
    size_t lengths[HARDWARE_COUNT];
    uint8_t evidence[HARDWARE_COUNT][32 * 1024];
} * forged;

static void forge_in_another_process(void)
{
    forged = mmap(NULL, sizeof *forged, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(forged != MAP_FAILED);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct forge *forge = forge_new();
        for (size_t i = 0; i < HARDWARE_COUNT; i++) {
            const struct forge_order order = forge_order_of(hardware[i], FORGED_AT_S);
            struct buffer evidence = BUFFER_EMPTY;
            forge_evidence(forge, &order, &evidence);
            CHECK(evidence.length <= sizeof forged->evidence[i]);
            memcpy(forged->evidence[i], evidence.bytes, evidence.length);
            forged->lengths[i] = evidence.length;
            buffer_release(&evidence);
        }
        forged->roots = *forge_roots(forge);
        forge_free(forge);
        _exit(0);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
}

/* As a leader does when a member in hardware joins. */
static int judge_hardware(void)
{
    const struct evidence_roots roots = {.vendors = &forged->roots};
    for (size_t i = 0; i < HARDWARE_COUNT; i++) {
        struct bytes evidence = bytes_of(forged->evidence[i], forged->lengths[i]);
        if (evidence_verify(evidence, FORGED_AT_S, &roots).reason != REASON_NONE) {
            return 1 + (int)i;
        }
    }
    return WORKED;
}

static int use_bells(void)
{
    static struct bell_shared shared;
    struct bell_waiter waiter;
    struct bell_ringer ringer;
    bell_waiter_init(&waiter, &shared, 10);
    bell_ringer_init(&ringer, &shared, WALL_DATA_BELL_FD);
    atomic_store(&shared.is_awaited, 1);
    bell_ring(&ringer);
    bell_ringer_init(&ringer, &shared, BELL_FUTEX);
    atomic_store(&shared.is_awaited, 1);
    bell_ring(&ringer);
    return waiter.seen == 0 ? WORKED : 1;
}

static int use_stream_bell(void)
{
    static struct bell_shared shared;
    struct bell_ringer ringer;
    bell_ringer_init(&ringer, &shared, WALL_STREAM_BELL_FD);
    atomic_store(&shared.is_awaited, 1);
    bell_ring(&ringer);
    return WORKED;
}

static bool never(const void *context)
{
    (void)context;
    return false;
}

static int wait_a_while(void)
{
    static struct bell_shared shared;
    struct bell_waiter waiter;
    bell_waiter_init(&waiter, &shared, 0);
    return bell_wait(&waiter, never, NULL, 10) == STATUS_TIMEOUT ? WORKED : 1;
}

static int wait_for_long(void)
{
    static struct bell_shared shared;
    struct bell_waiter waiter;
    bell_waiter_init(&waiter, &shared, 0);
    const char mark = 'w';
    if (write(STDERR_FILENO, &mark, 1) != 1) {
        return 1;
    }
    return bell_wait(&waiter, never, NULL, 600 * 1000) == STATUS_OK;
}

static int count_descriptors(void)
{
    return child_report.kept_fd_count == 2 && child_report.closed_fd_count > 0 ? WORKED : 1;
}

static void a_sealed_process_can_work(void **state)
{
    (void)state;
    const enum sandbox_role roles[] = {SANDBOX_LEADER, SANDBOX_WORKER};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        assert_works(roles[i], grow_in_early_thread);
        assert_works(roles[i], sort_many);
        assert_works(roles[i], use_crypto);
        assert_works(roles[i], use_bells);
    }
    assert_works(SANDBOX_WORKER, use_threads);
    assert_works(SANDBOX_WORKER, use_clone3);
    assert_works(SANDBOX_WORKER, use_stream_bell);
    forge_in_another_process();
    json_object_seed(0);  // as an enclave does before it is sealed
    assert_works(SANDBOX_LEADER, judge_hardware);
    munmap(forged, sizeof *forged);
}

static int look_for_another_file(void)
{
    const char byte = 'x';
    bool is_closed = write(KEPT_OPEN_FD, &byte, 1) == -1 && errno == EBADF;
    return is_closed ? WORKED : 1;
}

static void p10_descriptors_of_others_are_closed(void **state)
{
    (void)state;
    assert_works(SANDBOX_LEADER, count_descriptors);
    assert_works(SANDBOX_WORKER, look_for_another_file);
}

static int report_root(void)
{
    return child_report.is_root_empty ? WORKED : child_report.root_errno;
}

static bool are_mounts_granted(void)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        enter_user_namespace();
        _exit(unshare(CLONE_NEWNS) == 0 ? 0 : 1);
    }
    int how = -1;
    assert_int_equal(waitpid(child, &how, 0), child);
    return how == 0;
}

static void p10_the_root_is_empty(void **state)
{
    (void)state;
    if (!are_mounts_granted()) {
        print_message("this kernel grants us neither a user namespace nor mounts\n");
        skip();
    }
    struct ending ending = seal_and(SANDBOX_LEADER, report_root);
    assert_true(ending.was_sealed);
    assert_true(WIFEXITED(ending.how));
    assert_int_equal(WEXITSTATUS(ending.how), WORKED);
}

static int fail_a_check(void)
{
    const int one = 1;
    CHECK(one == 2);
    return HAPPENED;
}

static void a_failed_check_still_says_why(void **state)
{
    (void)state;
    struct ending ending = seal_and(SANDBOX_LEADER, fail_a_check);
    assert_true(ending.was_sealed);
    assert_true(WIFSIGNALED(ending.how));
    assert_int_equal(WTERMSIG(ending.how), SIGABRT);
    assert_non_null(strstr(ending.message, "check failed: one == 2"));
    assert_false(WCOREDUMP(ending.how));
}

/* ---- what each rule is for ---- */

/* Stop a child in a timed wait, and have it go on. How it ended: by SIGKILL, if it waits again. */
static int stop_in_a_wait(enum sandbox_role role)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        child_run(role, ends[1], wait_for_long);
    }
    close(ends[1]);
    char mark;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(read(ends[0], &mark, 1), 1);
    }
    blocked_await(child);
    int how;
    assert_int_equal(kill(child, SIGSTOP), 0);
    assert_int_equal(waitpid(child, &how, WUNTRACED), child);
    // Else it has ended by now: somebody stopped and continued this test, and all its children.
    if (WIFSTOPPED(how)) {
        assert_int_equal(kill(child, SIGCONT), 0);
        blocked_await(child);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &how, 0), child);
    }
    close(ends[0]);
    return how;
}

/* Work that ends without the rule for `call`, with these limits. */
static const struct need {
    const char *call;
    int (*attempt)(void);  // NULL: stop_in_a_wait()
    const char *limits;    // NULL: whatever they are
} needs[] = {
    {"futex", wait_a_while, "FUTEX_WAIT"},
    {"futex", use_bells, "FUTEX_WAKE"},
    {"futex", wait_for_a_semaphore, "FUTEX_WAIT_BITSET"},
    {"restart_syscall", NULL, NULL},
    {"write", fail_a_check, "to stderr"},
    {"write", use_bells, NULL},
    {"getpid", make_a_key, NULL},
    {"clock_gettime", ask_for_time, NULL},
    {"gettimeofday", ask_for_time_of_day, NULL},
    {"mmap", grow_a_large_block, NULL},
    {"mprotect", use_crypto, NULL},
    {"munmap", grow_a_large_block, NULL},
    {"mremap", grow_a_large_block, NULL},
    {"brk", use_many_blocks, NULL},
    {"madvise", shrink_an_early_arena, "MADV_DONTNEED"},
    {"madvise", use_crypto, NULL},
    {"mlock", lock_a_page, NULL},
    {"munlock", lock_a_page, NULL},
    {"getrandom", use_crypto, NULL},
    {"rt_sigprocmask", fail_a_check, NULL},
    {"gettid", fail_a_check, NULL},
    {"tgkill", fail_a_check, "SIGABRT to this process"},
    {"exit_group", use_many_blocks, NULL},
    {"clone", use_threads, NULL},
    {"clone3", use_threads, NULL},
    {"set_robust_list", use_threads, NULL},
    {"rseq", use_threads, NULL},
    {"sched_getaffinity", use_threads, NULL},
    {"exit", use_threads, NULL},
};

static int how_it_ends(enum sandbox_role role, int (*attempt)(void))
{
    return attempt == NULL ? stop_in_a_wait(role) : seal_and(role, attempt).how;
}

static bool is_well(int how, int (*attempt)(void))
{
    if (attempt == NULL || attempt == fail_a_check) {
        return WIFSIGNALED(how) && WTERMSIG(how) == (attempt == NULL ? SIGKILL : SIGABRT);
    }
    return WIFEXITED(how) && WEXITSTATUS(how) == WORKED;
}

struct striking {
    enum sandbox_role role;
    int rule;
    int struck_count;
};

/* | call | limits | reason | shown by | */
static void strike(void *context, const char *row)
{
    struct striking *striking = context;
    char call[64] = "", limits[64] = "";
    const char *end = strstr(row + 2, " |");
    snprintf(call, sizeof call, "%.*s", (int)(end - row - 2), row + 2);
    const char *at = end + 3;
    end = strstr(at, " |");
    snprintf(limits, sizeof limits, "%.*s", (int)(end - at), at);
    int rule = striking->rule++;
    if (strstr(row, "| trace |") != NULL) {
        return;
    }
    const struct need *need = NULL;
    for (size_t i = 0; i < sizeof needs / sizeof *needs && need == NULL; i++) {
        if (strcmp(needs[i].call, call) == 0 &&
            (needs[i].limits == NULL || strcmp(needs[i].limits, limits) == 0)) {
            need = &needs[i];
        }
    }
    if (need == NULL) {
        fail_msg("nothing here needs %s", row);
        return;
    }
    if (!is_well(how_it_ends(striking->role, need->attempt), need->attempt)) {
        fail_msg("what needs it does not work with it: %s", row);
    }
    seam.struck = rule;
    int how = how_it_ends(striking->role, need->attempt);
    seam.struck = NONE;
    if (!is_killed(how)) {
        fail_msg("what needs it works without it (%x): %s", (unsigned)how, row);
    }
    striking->struck_count++;
}

static void p10_without_any_rule_of_the_leader_some_work_ends(void **state)
{
    (void)state;
    struct striking striking = {.role = SANDBOX_LEADER};
    sandbox_describe(SANDBOX_LEADER, strike, &striking);
    assert_int_equal(striking.struck_count, striking.rule);
}

static void p10_without_any_rule_of_a_worker_but_the_engines_some_work_ends(void **state)
{
    (void)state;
    struct striking striking = {.role = SANDBOX_WORKER};
    sandbox_describe(SANDBOX_WORKER, strike, &striking);
    assert_true(0 < striking.struck_count && striking.struck_count < striking.rule);
}

/* ---- seen from outside ---- */

static void assert_thread_is_bare(pid_t child, const char *thread)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/task/%.16s/status", (int)child, thread);
    FILE *status = fopen(path, "r");
    assert_non_null(status);
    int seen = 0;
    while (fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, "CapPrm:", 7) == 0 || strncmp(line, "CapEff:", 7) == 0) {
            assert_non_null(strstr(line, "0000000000000000"));
            seen++;
        } else if (strncmp(line, "NoNewPrivs:", 11) == 0) {
            assert_non_null(strchr(line, '1'));
            seen++;
        } else if (strncmp(line, "Seccomp:", 8) == 0) {
            assert_non_null(strchr(line, '2'));
            seen++;
        }
    }
    fclose(status);
    assert_int_equal(seen, 4);
}

static void p10_no_thread_has_a_capability(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        child_run(SANDBOX_LEADER, ends[1], wait_for_long);
    }
    close(ends[1]);
    char marks[2];
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(read(ends[0], &marks[i], 1), 1);
    }
    size_t thread_count = 0;
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)child);
    DIR *tasks = opendir(path);
    assert_non_null(tasks);
    const struct dirent *task;
    while ((task = readdir(tasks)) != NULL) {
        if (task->d_name[0] != '.') {
            assert_thread_is_bare(child, task->d_name);
            thread_count++;
        }
    }
    closedir(tasks);
    assert_true(thread_count >= 2);
    kill(child, SIGKILL);
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(WTERMSIG(how), SIGKILL);
    close(ends[0]);
}

struct rows {
    size_t count;
    bool has_exec;
};

static void count_row(void *context, const char *row)
{
    struct rows *rows = context;
    rows->count++;
    assert_true(row[0] == '|' && row[strlen(row) - 1] == '|');
    rows->has_exec = rows->has_exec || strstr(row, "execve") != NULL;
}

static void the_filter_can_be_printed(void **state)
{
    (void)state;
    struct rows leader = {0}, worker = {0};
    sandbox_describe(SANDBOX_LEADER, count_row, &leader);
    sandbox_describe(SANDBOX_WORKER, count_row, &worker);
    assert_true(0 < leader.count && leader.count < worker.count);
    assert_false(leader.has_exec || worker.has_exec);
}

int main(void)
{
    test_pid = getpid();
    crypto_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sealed_process_can_work),
        cmocka_unit_test(p10_attempts_to_leave_end_either_role),
        cmocka_unit_test(p10_no_call_but_those_of_the_list_is_allowed),
        cmocka_unit_test(p10_without_any_rule_of_the_leader_some_work_ends),
        cmocka_unit_test(p10_without_any_rule_of_a_worker_but_the_engines_some_work_ends),
        cmocka_unit_test(p10_descriptors_of_others_are_closed),
        cmocka_unit_test(p10_the_root_is_empty),
        cmocka_unit_test(p10_no_thread_has_a_capability),
        cmocka_unit_test(a_failed_check_still_says_why),
        cmocka_unit_test(the_filter_can_be_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
