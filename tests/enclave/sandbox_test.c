/* tests/enclave/sandbox_test.c */

/*
 * Goal: a sealed process can do its work (threads, memory, hashes, random
 * bytes, its bells) and nothing else: each attempt at a file, a socket,
 * another program or another process ends it.
 * Method: one child per attempt, in a user namespace of its own where the
 * kernel grants one. The child seals itself, says so on its stderr pipe, and
 * tries; the parent looks how it ended.
 */
#define _GNU_SOURCE  // unshare
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
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
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "attest/evidence.h"
#include "base/check.h"
#include "base/random.h"
#include "crypto/crypto.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "enclave/sandbox.h"
#include "ring/bell.h"
#include "ring/wall.h"
#include "tests/support/forge.h"

enum { SEALED_MARK = 'S', KEPT_OPEN_FD = 6, WORKED = 0, REFUSED = 50, HAPPENED = 60 };

static pid_t test_pid;
static struct sandbox_report child_report;  // of the child, in the child

/* How a child ended, and whether it had sealed itself before. */
struct ending {
    bool was_sealed;
    int how;
    char message[256];  // what it wrote to stderr after the mark
};

// A thread of a library, from before the process was sealed.
static pthread_t early_thread;
static sem_t early_go;

static void *early_run(void *context)
{
    (void)context;
    sem_wait(&early_go);
    return open("/etc/passwd", O_RDONLY) >= 0 ? &early_go : NULL;
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
    if (sandbox_begin(&sandbox) != STATUS_OK || sem_init(&early_go, 0, 0) != 0 ||
        pthread_create(&early_thread, NULL, early_run, NULL) != 0 ||
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

static void assert_killed(enum sandbox_role role, int (*attempt)(void))
{
    struct ending ending = seal_and(role, attempt);
    assert_true(ending.was_sealed);
    assert_true(WIFSIGNALED(ending.how));
    assert_int_equal(WTERMSIG(ending.how), SIGSYS);
}

static void assert_works(enum sandbox_role role, int (*attempt)(void))
{
    struct ending ending = seal_and(role, attempt);
    assert_string_equal(ending.message, "");
    assert_true(ending.was_sealed);
    assert_false(WIFSIGNALED(ending.how));
    assert_int_equal(WEXITSTATUS(ending.how), WORKED);
}

/* ---- what is forbidden ---- */

static int try_open(void)
{
    return open("/etc/passwd", O_RDONLY) >= 0 ? HAPPENED : REFUSED;
}

static int try_open_in_early_thread(void)
{
    sem_post(&early_go);
    void *result = NULL;
    pthread_join(early_thread, &result);
    return result != NULL ? HAPPENED : REFUSED;
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
        try_open,        try_open_for_writing,     try_socket,    try_execve,
        try_ptrace,      try_process_vm_readv,     try_fork,      try_vfork,
        try_kill_parent, try_tgkill_other,         try_mmap_file, try_namespace,
        try_dumpable,    try_raise_limit,          try_seccomp,   try_io_uring,
        try_x32,         try_open_in_early_thread,
    };
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        assert_killed(SANDBOX_LEADER, attempts[i]);
        assert_killed(SANDBOX_WORKER_JS, attempts[i]);
    }
}

static void p10_only_the_engine_makes_code(void **state)
{
    (void)state;
    assert_killed(SANDBOX_LEADER, try_make_code);
    assert_killed(SANDBOX_LEADER, try_turn_executable);
    assert_killed(SANDBOX_LEADER, try_write_elsewhere);
    assert_killed(SANDBOX_WORKER_PLAIN, try_make_code);
    assert_killed(SANDBOX_WORKER_PLAIN, try_turn_executable);
    struct ending ending = seal_and(SANDBOX_WORKER_JS, try_make_code);
    assert_true(WIFEXITED(ending.how));
    assert_int_equal(WEXITSTATUS(ending.how), HAPPENED);
}

/* ---- what works ---- */

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

/* Many blocks, each too small to be mapped alone: freed from the end, the arena shrinks. */
static void *thread_shrink(void *context)
{
    enum { COUNT = 64, BYTES = 64 << 10 };
    void *volatile blocks[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        blocks[i] = malloc(BYTES);
    }
    for (size_t i = COUNT; i > 0; i--) {
        free(blocks[i - 1]);
    }
    return context;
}

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

static int shrink_an_arena(void)
{
    pthread_t thread;
    bool has_run =
        pthread_create(&thread, NULL, thread_shrink, NULL) == 0 && pthread_join(thread, NULL) == 0;
    return has_run ? WORKED : 1;
}

static int use_threads(void)
{
    pthread_t threads[4];
    int value = 0;
    for (size_t i = 0; i < 4; i++) {
        if (pthread_create(&threads[i], NULL, thread_work, &value) != 0) {
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

/* Blocks so large are mapped one by one, and grown where they are. */
static int grow_a_large_block(void)
{
    char *block = malloc(40u << 20);
    block = realloc(block, 80u << 20);
    bool has_grown = block != NULL;
    free(block);
    return has_grown ? WORKED : 1;
}

/* As if the kernel were an old one: glibc falls back to clone, which the filter sees through. */
static int use_clone3(void)
{
    uint64_t arguments[11] = {[4] = SIGCHLD};
    long child = syscall(SYS_clone3, arguments, sizeof arguments);
    return child == -1 && errno == ENOSYS ? WORKED : 1;
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
    bell_ringer_init(&ringer, &shared, WALL_STREAM_BELL_FD);
    atomic_store(&shared.is_awaited, 1);
    bell_ring(&ringer);
    bell_ringer_init(&ringer, &shared, BELL_FUTEX);
    bell_ring(&ringer);
    return waiter.seen == 0 ? WORKED : 1;
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
    const char mark = 'w';
    if (write(STDERR_FILENO, &mark, 1) != 1) {
        return 1;
    }
    return bell_wait(&waiter, never, NULL, 300) == STATUS_TIMEOUT ? WORKED : 2;
}

static int count_descriptors(void)
{
    return child_report.kept_fd_count == 3 && child_report.closed_fd_count > 0 ? WORKED : 1;
}

static void a_sealed_process_can_work(void **state)
{
    (void)state;
    const enum sandbox_role roles[] = {SANDBOX_LEADER, SANDBOX_WORKER_JS, SANDBOX_WORKER_PLAIN};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        assert_works(roles[i], use_threads);
        assert_works(roles[i], grow_a_large_block);
        assert_works(roles[i], shrink_an_arena);
        assert_works(roles[i], sort_many);
        assert_works(roles[i], use_clone3);
        assert_works(roles[i], use_crypto);
        assert_works(roles[i], use_bells);
    }
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
    assert_works(SANDBOX_WORKER_JS, look_for_another_file);
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

static void a_wait_survives_a_stop(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        child_run(SANDBOX_LEADER, ends[1], wait_a_while);
    }
    close(ends[1]);
    char marks[2];
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(read(ends[0], &marks[i], 1), 1);
    }
    int how;
    assert_int_equal(kill(child, SIGSTOP), 0);
    assert_int_equal(waitpid(child, &how, WUNTRACED), child);
    assert_true(WIFSTOPPED(how));
    assert_int_equal(kill(child, SIGCONT), 0);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), WORKED);
    close(ends[0]);
}

/* ---- seen from outside ---- */

static int stay(void)
{
    static struct bell_shared shared;
    struct bell_waiter waiter;
    bell_waiter_init(&waiter, &shared, 0);
    const char mark = 'w';
    if (write(STDERR_FILENO, &mark, 1) != 1) {
        return 1;
    }
    return bell_wait(&waiter, never, NULL, 60000) == STATUS_OK;
}

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
        child_run(SANDBOX_LEADER, ends[1], stay);
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
    sandbox_describe(SANDBOX_WORKER_JS, count_row, &worker);
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
        cmocka_unit_test(p10_only_the_engine_makes_code),
        cmocka_unit_test(p10_descriptors_of_others_are_closed),
        cmocka_unit_test(p10_the_root_is_empty),
        cmocka_unit_test(p10_no_thread_has_a_capability),
        cmocka_unit_test(a_failed_check_still_says_why),
        cmocka_unit_test(a_wait_survives_a_stop),
        cmocka_unit_test(the_filter_can_be_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
