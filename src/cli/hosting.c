/* src/cli/hosting.c */
#define _GNU_SOURCE  // close_range, struct ucred
#include "cli/hosting.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/clock.h"
#include "cli/report.h"
#include "cli/signals.h"
#include "host/host.h"

enum {
    HOSTING_WORKERS = 2,
    HOSTING_THREADS = 2,
    HOSTING_MEMORY_MIB = 512,
    HOSTING_WORDS_MAX = 32,
    HOSTING_TAIL_BYTES = 4096,
    HOSTING_LOG_LINE_BYTES = 1024,
    HOSTING_QUIET_MS_MAX = 1500,       // until a host that was killed is gone
    HOSTING_STEP_MS = 2,               // between two looks
    HOSTING_START_MS_MAX = 15 * 1000,  // until the host listens
    HOSTING_STOP_MS_MAX = 10 * 1000,   // until a host that was told to stop has ended
};

/* What it writes to, in host/. */
#define HOSTING_LOG "host.log"

/* Those of `host`, which are those of `up` and the one that only the program itself gives. */
const struct command_option hosting_options[] = {
    {.name = "workers",
     .letter = 'w',
     .value = "N",
     .text = "worker enclaves (default: 2)",
     .is_number = true,
     .minimum = 1,
     .maximum = HOST_WORKER_COUNT_MAX},
    {.name = "threads",
     .letter = 't',
     .value = "T",
     .text = "lambda threads of each (default: 2)",
     .is_number = true,
     .minimum = 1,
     .maximum = HOST_LAMBDA_THREADS_MAX},
    {.name = "memory",
     .letter = 'm',
     .value = "MIB",
     .text = "of the state, what each worker keeps in memory (default: 512)",
     .is_number = true,
     .minimum = 1,
     .maximum = 1 << 20},
    {.name = "port",
     .letter = 'p',
     .value = "P",
     .text = "P for all workers, P+1.. for each (default: free ones)",
     .is_number = true,
     .minimum = 0,
     .maximum = 65000},
    {.name = "worker-program",
     .value = "FILE",
     .text = "run FILE as worker; the leader judges it as any other"},
    {.name = "jit",
     .value = "ON",
     .text =
         "off: workers interpret JavaScript; slower, and nothing turns executable (default: on)"},
    {.name = "tee",
     .value = "KIND",
     .text = "simulated, or hardware: the TEE of this machine (default: simulated)"},
    {.name = "debug-enclave", .text = "let the simulated TEE say that enclaves can be debugged"},
    {.name = "state", .value = "DIR", .text = "the host's state directory"},
};

/* ---- the owner's side: starting it ---- */

/* Lock what a host that runs has locked. One that was killed needs a moment to be gone. */
static enum status await_lock(const struct app *app, int fd)
{
    int64_t due_ms = clock_now_ms() + HOSTING_QUIET_MS_MAX;
    bool is_quiet;
    while (!(is_quiet = flock(fd, LOCK_EX | LOCK_NB) == 0) && clock_now_ms() < due_ms) {
        (void)poll(NULL, 0, HOSTING_STEP_MS);
    }
    if (!is_quiet) {
        report_error(
            "cannot start app '%s': it runs already; stop it with Ctrl-C where it was "
            "started",
            app->directory);
        return STATUS_DENIED;
    }
    return STATUS_OK;
}

/*
 * Its log, emptied. Whoever has it open holds the lock: the host and its stores, which inherit it.
 * So of two that are started at once one alone starts a host.
 */
static enum status open_log(const struct app *app, int *fd)
{
    char log[FILE_PATH_BYTES];
    app_path(app, APP_HOST "/" HOSTING_LOG, log);
    *fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (*fd < 0) {
        report_error("cannot write '%s': %s; %s", log, strerror(errno), file_remedy(errno));
        return STATUS_IO;
    }
    enum status status = await_lock(app, *fd);
    if (status == STATUS_OK && ftruncate(*fd, 0) != 0) {
        report_error("cannot empty '%s': %s; %s", log, strerror(errno), file_remedy(errno));
        status = STATUS_IO;
    }
    if (status != STATUS_OK) {
        close(*fd);
        *fd = -1;
    }
    return status;
}

/* The child after fork: only async-signal-safe calls, and then another program. */
static _Noreturn void become_host(int log_fd, pid_t parent, char *const words[])
{
    sigset_t none;
    sigemptyset(&none);
    int null = open("/dev/null", O_RDWR);
    // It ends with the owner's program, and a terminal's Ctrl-C is for that one alone.
    bool is_ready = null >= 0 && prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == parent &&
                    setpgid(0, 0) == 0 && sigprocmask(SIG_SETMASK, &none, NULL) == 0 &&
                    dup2(null, STDIN_FILENO) >= 0 && dup2(log_fd, STDOUT_FILENO) >= 0 &&
                    dup2(log_fd, STDERR_FILENO) >= 0 && close_range(3, ~0U, 0) == 0;
    if (is_ready) {
        execv("/proc/self/exe", words);
    }
    _exit(COMMAND_COULD_NOT);
}

static enum status spawn(struct hosting *hosting, const struct command_line *line)
{
    const struct app *app = hosting->app;
    char state[FILE_PATH_BYTES];
    char name[] = "paranoid", verb[] = "host", end[] = "--";
    char named[HOSTING_WORDS_MAX][64];
    char *words[HOSTING_WORDS_MAX] = {name, verb};
    size_t count = 2;
    app_path(app, APP_HOST, state);
    for (size_t i = 0; i < HOSTING_OPTION_COUNT; i++) {
        const struct command_option *option = &hosting_options[i];
        if (command_has(line, option->name)) {
            snprintf(named[count], sizeof named[count], "--%s", option->name);
            words[count] = named[count];
            count++;
            if (option->value != NULL) {
                // exec takes what it will not change as if it might.
                words[count++] = (char *)(uintptr_t)command_text(line, option->name, "");
            }
        }
    }
    char state_option[] = "--state";
    words[count++] = state_option;
    words[count++] = state;
    words[count++] = end;
    words[count] = NULL;

    int log_fd;
    enum status status = open_log(app, &log_fd);
    if (status != STATUS_OK) {
        return status;
    }
    pid_t parent = getpid();
    hosting->pid = fork();
    if (hosting->pid == 0) {
        become_host(log_fd, parent, words);
    }
    close(log_fd);
    if (hosting->pid < 0) {
        report_error("cannot start the host: %s", strerror(errno));
        return STATUS_IO;
    }
    return STATUS_OK;
}

/* The last line that the host wrote; "" for none. */
static void last_line(const struct app *app, char text[HOSTING_LOG_LINE_BYTES])
{
    char path[FILE_PATH_BYTES];
    char tail[HOSTING_TAIL_BYTES + 1];
    app_path(app, APP_HOST "/" HOSTING_LOG, path);
    text[0] = '\0';
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    off_t end = lseek(fd, 0, SEEK_END);
    off_t start = end > HOSTING_TAIL_BYTES ? end - HOSTING_TAIL_BYTES : 0;
    ssize_t length = pread(fd, tail, HOSTING_TAIL_BYTES, start);
    close(fd);
    while (length > 0 && tail[length - 1] == '\n') {
        length--;
    }
    if (length <= 0) {
        return;
    }
    tail[length] = '\0';
    const char *line = strrchr(tail, '\n');
    snprintf(text, HOSTING_LOG_LINE_BYTES, "%.*s", HOSTING_LOG_LINE_BYTES - 1,
             line == NULL ? tail : line + 1);
}

/* ---- its life, as the one who started it sees it ---- */

void hosting_init(struct hosting *hosting, const struct app *app)
{
    *hosting = (struct hosting){.app = app, .pid = -1, .post = POST_CLOSED, .signal_fd = -1};
}

enum status hosting_await_quiet(const struct app *app)
{
    char path[FILE_PATH_BYTES];
    app_path(app, APP_HOST, path);
    // The lock is the host's own (host/home.h), and given back at once.
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        report_error(
            "cannot open '%s': %s; %s", path, strerror(errno),
            errno == ENOENT ? "put it back, with the stores that lie in it" : file_remedy(errno));
        return STATUS_IO;
    }
    enum status status = await_lock(app, fd);
    close(fd);
    return status;
}

/* Whether the host has ended; then it says so. */
static bool has_ended(struct hosting *hosting)
{
    int how;
    const char *directory = hosting->app->directory;
    if (hosting->pid < 0 || waitpid(hosting->pid, &how, WNOHANG) != hosting->pid) {
        return hosting->pid < 0;
    }
    char last[HOSTING_LOG_LINE_BYTES];
    last_line(hosting->app, last);
    if (WIFSIGNALED(how)) {
        report_error("the host was ended by signal %d; its log is %s/host/%s", WTERMSIG(how),
                     directory, HOSTING_LOG);
    } else if (WEXITSTATUS(how) != COMMAND_OK) {
        report_error("the host ended: %s; its log is %s/host/%s",
                     strncmp(last, "paranoid: ", 10) == 0 ? last + 10 : last, directory,
                     HOSTING_LOG);
    } else {
        report_error("the host has ended without being asked to; its log is %s/host/%s", directory,
                     HOSTING_LOG);
    }
    hosting->pid = -1;
    return true;
}

bool hosting_is_asked_to_stop(struct hosting *hosting)
{
    struct signalfd_siginfo info;
    bool asked = false;
    while (read(hosting->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        asked = asked || info.ssi_signo != SIGCHLD;
    }
    return asked;
}

void hosting_wait(struct hosting *hosting, int timeout_ms)
{
    struct pollfd ready[] = {
        {.fd = hosting->signal_fd, .events = POLLIN},
        {.fd = hosting->post.fd, .events = POLLIN},
    };
    (void)poll(ready, 2, timeout_ms);
}

/* Of two that are started at once the one listens to which the other connects. */
static bool is_ours(const struct hosting *hosting)
{
    struct ucred peer = {.pid = -1};
    socklen_t length = sizeof peer;
    return getsockopt(hosting->post.fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
           peer.pid == hosting->pid;
}

static enum status connect_to(struct hosting *hosting)
{
    int64_t due_ms = clock_now_ms() + HOSTING_START_MS_MAX;
    const char *directory = hosting->app->directory;
    while (true) {
        enum status status = post_open(&hosting->post, hosting->app);
        if (status == STATUS_OK && !is_ours(hosting)) {
            post_close(&hosting->post);  // ours ends, and says why
            status = STATUS_NOT_FOUND;
        }
        if (status != STATUS_NOT_FOUND) {
            if (status != STATUS_OK) {
                report_error("cannot reach the host by '%s/host/host.sock': %s", directory,
                             errno == ENAMETOOLONG ? "the path is too long for a socket; use a "
                                                     "shorter or relative directory"
                                                   : strerror(errno));
            }
            return status;
        }
        if (has_ended(hosting) || hosting_is_asked_to_stop(hosting)) {
            return STATUS_CLOSED;
        }
        if (clock_now_ms() > due_ms) {
            report_error("cannot reach the host: it does not listen; its log is %s/host/%s",
                         directory, HOSTING_LOG);
            return STATUS_TIMEOUT;
        }
        hosting_wait(hosting, HOSTING_STEP_MS);
    }
}

enum status hosting_start(struct hosting *hosting, const struct command_line *line)
{
    hosting->signal_fd = signals_open(true);
    enum status status = app_give_stores(hosting->app);
    if (status == STATUS_OK) {
        status = spawn(hosting, line);
    }
    return status == STATUS_OK ? connect_to(hosting) : status;
}

void hosting_await_end(struct hosting *hosting)
{
    int64_t due_ms = clock_now_ms() + HOSTING_STOP_MS_MAX;
    post_close(&hosting->post);
    while (!has_ended(hosting) && clock_now_ms() < due_ms) {
        hosting_wait(hosting, HOSTING_STEP_MS);
        (void)hosting_is_asked_to_stop(hosting);
    }
}

static void end_host(struct hosting *hosting)
{
    struct buffer frame = BUFFER_EMPTY;
    static const struct writer_id nobody;
    bool is_told = hosting->post.fd >= 0 &&
                   frame_encode(&frame, FRAME_STOP, 0, &nobody, bytes_of(NULL, 0)) == STATUS_OK &&
                   post_send(&hosting->post, buffer_bytes(&frame)) == STATUS_OK;
    if (!is_told) {
        kill(hosting->pid, SIGTERM);
    }
    buffer_release(&frame);
    post_close(&hosting->post);
    int64_t due_ms = clock_now_ms() + HOSTING_STOP_MS_MAX;
    while (waitpid(hosting->pid, NULL, WNOHANG) == 0) {
        if (clock_now_ms() > due_ms) {
            report_note("the host does not stop; ending it");
            kill(hosting->pid, SIGKILL);
            waitpid(hosting->pid, NULL, 0);
            break;
        }
        hosting_wait(hosting, HOSTING_STEP_MS);
        (void)hosting_is_asked_to_stop(hosting);
    }
    hosting->pid = -1;
}

void hosting_stop(struct hosting *hosting)
{
    if (hosting->pid >= 0) {
        end_host(hosting);
    }
    post_close(&hosting->post);
    if (hosting->signal_fd >= 0) {
        close(hosting->signal_fd);
        hosting->signal_fd = -1;
    }
}

/* ---- the host itself ---- */

static void write_line(void *context, const char *text)
{
    struct timespec now;
    (void)context;
    clock_gettime(CLOCK_REALTIME, &now);
    fprintf(stderr, "%lld.%03ld %s\n", (long long)now.tv_sec, now.tv_nsec / 1000000, text);
}

static int run(const struct command_line *line)
{
    char programs[FILE_PATH_BYTES], error[HOST_ERROR_BYTES_MAX] = "";
    const struct log log = {.line = write_line};
    const char *state = command_text(line, "state", NULL);
    if (state == NULL) {
        report_error("cannot start the host: --state DIR is missing; 'paranoid up' gives it");
        return COMMAND_USAGE;
    }
    const char *tee = command_text(line, "tee", "simulated");
    if (strcmp(tee, "simulated") != 0 && strcmp(tee, "hardware") != 0) {
        report_error("cannot use '%s' as a TEE: say --tee simulated or --tee hardware", tee);
        return COMMAND_USAGE;
    }
    const char *jit = command_text(line, "jit", "on");
    if (strcmp(jit, "on") != 0 && strcmp(jit, "off") != 0) {
        report_error("cannot use '%s' as --jit: say on or off", jit);
        return COMMAND_USAGE;
    }
    if (app_program_directory(programs) != STATUS_OK) {
        return COMMAND_COULD_NOT;
    }
    const struct host_config config = {
        .state_directory = state,
        .program_directory = programs,
        .worker_program = command_text(line, "worker-program", NULL),
        .worker_count = (uint32_t)command_number(line, "workers", HOSTING_WORKERS),
        .lambda_threads = (uint32_t)command_number(line, "threads", HOSTING_THREADS),
        .memtable_bytes = command_number(line, "memory", HOSTING_MEMORY_MIB) << 20,
        .base_port = (uint16_t)command_number(line, "port", 0),
        .is_jit_off = strcmp(jit, "off") == 0,
        .is_hardware = strcmp(tee, "hardware") == 0,
        .is_debug_enclave = command_has(line, "debug-enclave"),
        .log = &log,
    };
    if (host_run(&config, error) != STATUS_OK) {
        report_error("%s", error);
        return COMMAND_COULD_NOT;
    }
    return COMMAND_OK;
}

const struct command hosting_command = {
    .name = "host",
    .arguments = "",
    .summary = "Run the untrusted host alone; a keeper, or the owner, gives its leader a term.",
    .about =
        "'paranoid up' starts it by itself. Alone it needs nothing of the owner's but host/, and\n"
        "'paranoid keeper' gives its leaders their terms.",
    .options = hosting_options,
    .option_count = sizeof hosting_options / sizeof *hosting_options,
    .example = "paranoid host --state ./paranoid-app/host --workers 4",
    .run = run,
};
