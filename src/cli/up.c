/* src/cli/up.c */
#include "cli/up.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/app.h"
#include "cli/hosting.h"
#include "cli/init.h"
#include "cli/measure.h"
#include "cli/post.h"
#include "cli/report.h"
#include "cli/service.h"
#include "cli/tenure.h"

enum {
    UP_QUIET_MS_MAX = 1500,       // until a host that was killed is gone
    UP_STEP_MS = 20,              // between two looks for the host's socket
    UP_START_MS_MAX = 15 * 1000,  // until the host listens
    UP_STOP_MS_MAX = 10 * 1000,   // until a host that was told to stop has ended
    UP_FAILURES_MAX = 3,          // terms in a row that came to nothing
};

struct up {
    const struct command_line *line;
    struct app app;
    struct tenure tenure;
    struct post post;
    pid_t host;
    int signal_fd;
    uint64_t worker_count;
    uint64_t ready_count;
    bool is_announced;
    unsigned failures;
    struct writer_id leader;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static long long elapsed_ms(const struct up *up)
{
    return (long long)(now_ms() - up->tenure.started_ms);
}

/* ---- before anything starts ---- */

/*
 * Whether the policy has to be published: it is not the one that the last leader took. Its version
 * is then above every one that was ever signed, so that no capsule refuses it as old.
 */
static enum status prepare_policy(struct up *up)
{
    struct buffer text = BUFFER_EMPTY, recorded = BUFFER_EMPTY;
    uint64_t signed_version;
    enum status status = app_read(&up->app, APP_POLICY, &text);
    if (status == STATUS_OK) {
        status = app_read(&up->app, APP_POLICY_RECORDED, &recorded);
    }
    if (status == STATUS_OK) {
        status = app_number(&up->app, APP_POLICY_VERSION, &signed_version);
    }
    if (status != STATUS_OK || bytes_equal(buffer_bytes(&text), buffer_bytes(&recorded))) {
        goto done;
    }
    if (up->tenure.policy->version <= signed_version) {
        up->tenure.policy->version = (uint32_t)signed_version + 1;
        buffer_clear(&text);
        status = policy_encode(up->tenure.policy, &text);
        if (status == STATUS_OK) {
            status = app_write(&up->app, APP_POLICY, buffer_bytes(&text), 0644);
        }
    }
    if (status == STATUS_OK) {
        status = app_raise(&up->app, APP_POLICY_VERSION, up->tenure.policy->version);
    }
    if (status == STATUS_OK) {
        report_note("policy %u is new, and is published with this term",
                    up->tenure.policy->version);
        up->tenure.policy_text = text;
        text = BUFFER_EMPTY;
    }

done:
    buffer_release(&text);
    buffer_release(&recorded);
    return status;
}

static bool admits_program(const struct policy *policy, enum policy_role role)
{
    struct hash measurement;
    if (measure_program(role, &measurement) != STATUS_OK) {
        return true;  // said already; the host says it again
    }
    const struct verdict_value value = verdict_value_of(bytes_of(measurement.bytes, HASH_BYTES));
    const struct policy_measurements *list = &policy->measurements[role];
    for (size_t i = 0; i < list->count; i++) {
        if (verdict_value_equal(&list->values[i], &value)) {
            return true;
        }
    }
    return false;
}

/*
 * Wait until no other host holds the state directory: one that was killed needs a moment to be
 * gone. The lock is the host's own (host/home.h), and given back at once.
 */
static enum status await_quiet(struct up *up)
{
    char path[FILE_PATH_BYTES];
    app_path(&up->app, APP_HOST, path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        report_error("cannot open '%s': %s", path, strerror(errno));
        return STATUS_IO;
    }
    int64_t due_ms = now_ms() + UP_QUIET_MS_MAX;
    bool is_quiet;
    while (!(is_quiet = flock(fd, LOCK_EX | LOCK_NB) == 0) && now_ms() < due_ms) {
        (void)poll(NULL, 0, UP_STEP_MS);
    }
    close(fd);
    if (!is_quiet) {
        report_error(
            "cannot start app '%s': it runs already; stop it with Ctrl-C where it was "
            "started",
            up->app.directory);
        return STATUS_DENIED;
    }
    return STATUS_OK;
}

static enum status prepare(struct up *up)
{
    enum status status = app_open(&up->app, up->line);
    if (status == STATUS_OK) {
        status = tenure_open(&up->tenure, &up->app);
    }
    if (status == STATUS_OK) {
        status = await_quiet(up);
    }
    if (status == STATUS_OK) {
        status = init_tcb(&up->app);
    }
    return status == STATUS_OK ? prepare_policy(up) : status;
}

static void warn_of_programs(const struct up *up)
{
    static const enum policy_role roles[] = {POLICY_LEADER, POLICY_WORKER, POLICY_COMPACTOR};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        if (!admits_program(up->tenure.policy, roles[i])) {
            report_note(
                "the %s's program is not one that policy.json admits; if you rebuilt it, "
                "stop and run 'paranoid policy update --app %s'",
                policy_role_text(roles[i]), up->app.directory);
        }
    }
}

/* ---- the host's life ---- */

/* Whether the host has ended; then it says so. */
static bool host_has_ended(struct up *up)
{
    int how;
    if (up->host < 0 || waitpid(up->host, &how, WNOHANG) != up->host) {
        return up->host < 0;
    }
    char last[HOSTING_LOG_LINE_BYTES];
    hosting_last_line(&up->app, last);
    if (WIFSIGNALED(how)) {
        report_error("the host was ended by signal %d; its log is %s/host/%s", WTERMSIG(how),
                     up->app.directory, HOSTING_LOG);
    } else if (WEXITSTATUS(how) != COMMAND_OK) {
        report_error("the host ended: %s; its log is %s/host/%s",
                     strncmp(last, "paranoid: ", 10) == 0 ? last + 10 : last, up->app.directory,
                     HOSTING_LOG);
    } else {
        report_error("the host has ended without being asked to; its log is %s/host/%s",
                     up->app.directory, HOSTING_LOG);
    }
    up->host = -1;
    return true;
}

/* Whether a signal asks to stop. */
static bool is_asked_to_stop(struct up *up)
{
    struct signalfd_siginfo info;
    bool asked = false;
    while (read(up->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        asked = asked || info.ssi_signo != SIGCHLD;
    }
    return asked;
}

static void wait_for_event(struct up *up, int timeout_ms)
{
    struct pollfd ready[] = {
        {.fd = up->signal_fd, .events = POLLIN},
        {.fd = up->post.fd, .events = POLLIN},
    };
    (void)poll(ready, 2, timeout_ms);
}

static enum status connect_host(struct up *up)
{
    while (true) {
        enum status status = post_open(&up->post, &up->app);
        if (status != STATUS_NOT_FOUND) {
            if (status != STATUS_OK) {
                report_error("cannot reach the host by '%s/host/host.sock': %s", up->app.directory,
                             errno == ENAMETOOLONG ? "the path is too long for a socket; use a "
                                                     "shorter or relative directory"
                                                   : strerror(errno));
            }
            return status;
        }
        if (host_has_ended(up) || is_asked_to_stop(up)) {
            return STATUS_CLOSED;
        }
        if (elapsed_ms(up) > UP_START_MS_MAX) {
            report_error("cannot reach the host: it does not listen; its log is %s/host/%s",
                         up->app.directory, HOSTING_LOG);
            return STATUS_TIMEOUT;
        }
        wait_for_event(up, UP_STEP_MS);
    }
}

static void stop_host(struct up *up)
{
    struct buffer frame = BUFFER_EMPTY;
    static const struct writer_id nobody;
    if (up->host < 0) {
        return;
    }
    bool is_told = up->post.fd >= 0 &&
                   frame_encode(&frame, FRAME_STOP, 0, &nobody, bytes_of(NULL, 0)) == STATUS_OK &&
                   post_send(&up->post, buffer_bytes(&frame)) == STATUS_OK;
    if (!is_told) {
        kill(up->host, SIGTERM);
    }
    buffer_release(&frame);
    post_close(&up->post);
    int64_t due_ms = now_ms() + UP_STOP_MS_MAX;
    while (waitpid(up->host, NULL, WNOHANG) == 0) {
        if (now_ms() > due_ms) {
            report_note("the host does not stop; ending it");
            kill(up->host, SIGKILL);
            waitpid(up->host, NULL, 0);
            break;
        }
        struct signalfd_siginfo info;
        wait_for_event(up, UP_STEP_MS);
        (void)!read(up->signal_fd, &info, sizeof info);
    }
    up->host = -1;
}

/* ---- progress ---- */

static void announce(struct up *up)
{
    json_t *ports = service_ports(&up->app);
    long long port = json_integer_value(json_object_get(ports, "base_port"));
    long long metrics = json_integer_value(json_object_get(ports, "metrics_port"));
    const char *tee = verdict_tee_text(up->tenure.session.verdict.tee);
    if (command_has(up->line, "json")) {
        json_t *result = json_pack(
            "{s:s, s:I, s:O, s:I, s:s, s:I}", "app", up->app.genesis.app, "port", (json_int_t)port,
            "worker_ports", json_object_get(ports, "worker_ports"), "metrics_port",
            (json_int_t)metrics, "tee", tee, "term", (json_int_t)up->tenure.term);
        json_dumpf(result, stdout, JSON_COMPACT | JSON_SORT_KEYS);
        putchar('\n');
        json_decref(result);
    } else {
        printf("ready: tee=%s, %" PRIu64 " workers\n", tee, up->worker_count);
        printf("  curl --cacert %s/%s https://localhost:%lld/function/NAME -d ''\n",
               up->app.directory, APP_TLS_ROOT, port);
        printf("  metrics: http://127.0.0.1:%lld/metrics\n", metrics);
    }
    fflush(stdout);
    json_decref(ports);
    up->is_announced = true;
}

static void note_ready(struct up *up, const struct frame *frame)
{
    if (writer_id_equal(&frame->peer, &up->leader)) {
        return;
    }
    up->ready_count++;
    if (!up->is_announced) {
        report_note("workers %" PRIu64 "/%" PRIu64 " ready (%lld ms)", up->ready_count,
                    up->worker_count, elapsed_ms(up));
    } else {
        char text[WRITER_ID_TEXT_BYTES];
        writer_id_text(&frame->peer, text);
        report_note("worker %.8s ready, in place of one that ended", text);
    }
    if (!up->is_announced && up->ready_count >= up->worker_count) {
        announce(up);
    }
}

/* STATUS_OK: go on. STATUS_DENIED: it makes no sense to; that was said. */
static enum status take_event(struct up *up, enum tenure_event event)
{
    switch (event) {
    case TENURE_NOTHING:
        break;
    case TENURE_LEADS:
        up->failures = 0;
        break;
    case TENURE_FAILED:
        // It ends now, and the host starts another, which gets the next term.
        return ++up->failures < UP_FAILURES_MAX ? STATUS_OK : STATUS_DENIED;
    case TENURE_ROLLED_BACK:
    case TENURE_REFUSED:
        return STATUS_DENIED;
    case TENURE_BROKEN:
        return STATUS_IO;
    }
    return STATUS_OK;
}

static enum status receive_frame(struct up *up, const struct frame *frame)
{
    if (frame->kind == FRAME_HELLO) {
        up->leader = frame->peer;
        if (up->is_announced) {
            report_note("a new leader has started: it gets the next term");
        }
        return tenure_call(&up->tenure, &up->post);
    }
    if (frame->kind == FRAME_READY) {
        note_ready(up, frame);
        return STATUS_OK;
    }
    return take_event(up, tenure_receive(&up->tenure, &up->post, frame));
}

/* Until a signal (STATUS_OK), or until it makes no sense to go on; that was said. */
static enum status run_app(struct up *up)
{
    while (true) {
        if (is_asked_to_stop(up)) {
            return STATUS_OK;
        }
        struct frame frame;
        enum status status;
        while ((status = post_receive(&up->post, &frame, 0)) == STATUS_OK) {
            status = receive_frame(up, &frame);
            if (status != STATUS_OK) {
                break;
            }
        }
        if (status == STATUS_DENIED || status == STATUS_NO_MEMORY) {
            return status;
        }
        if (status != STATUS_TIMEOUT) {
            // Its end follows: then there is more to say.
            int64_t due_ms = now_ms() + UP_STOP_MS_MAX;
            post_close(&up->post);
            while (!host_has_ended(up) && now_ms() < due_ms) {
                wait_for_event(up, UP_STEP_MS);
                (void)is_asked_to_stop(up);
            }
            return STATUS_CLOSED;
        }
        if (tenure_is_overdue(&up->tenure)) {
            report_note("the leader is silent; asking it again");
            status = tenure_call(&up->tenure, &up->post);
            if (status != STATUS_OK) {
                continue;
            }
        }
        wait_for_event(up, 1000);
    }
}

static int open_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int run(const struct command_line *line)
{
    int result = COMMAND_COULD_NOT;
    struct up up = {
        .line = line,
        .host = -1,
        .signal_fd = -1,
        .post = POST_CLOSED,
        .worker_count = command_number(line, "workers", 2),
    };
    if (prepare(&up) != STATUS_OK) {
        goto done;
    }
    warn_of_programs(&up);
    up.signal_fd = open_signals();
    if (hosting_start(&up.app, line, &up.host) != STATUS_OK || connect_host(&up) != STATUS_OK) {
        goto done;
    }
    enum status status = run_app(&up);
    if (status == STATUS_OK) {
        report_note("stopping");
        result = COMMAND_OK;
    } else if (status == STATUS_DENIED) {
        result = COMMAND_NO;
    }

done:
    stop_host(&up);
    post_close(&up.post);
    if (up.signal_fd >= 0) {
        close(up.signal_fd);
    }
    tenure_release(&up.tenure);
    app_release(&up.app);
    return result;
}

/* The host's options, and of those the last is none of the user's. */
const struct command up_command = {
    .name = "up",
    .arguments = "",
    .summary = "Run an app here: host, leader, workers and a store. Ctrl-C stops it cleanly.",
    .about =
        "The owner's key stays with this process; the host beside it gets host/ alone and writes\n"
        "host/host.log. An enclave that dies is started again; a leader gets a new term.",
    .options = hosting_options,
    .option_count = HOSTING_OPTION_COUNT,
    .status = "0 stopped as asked, 1 the leader is refused or refuses, 2 wrong usage, 3 could not",
    .example = "paranoid up --workers 4 --port 7700",
    .run = run,
};
