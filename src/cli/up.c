/* src/cli/up.c */
#include "cli/up.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/app.h"
#include "cli/clock.h"
#include "cli/file.h"
#include "cli/hosting.h"
#include "cli/init.h"
#include "cli/measure.h"
#include "cli/report.h"
#include "cli/service.h"
#include "cli/tenure.h"

enum {
    UP_FAILURES_MAX = 3,  // terms in a row that came to nothing
    UP_SHOW_MS = 5000,    // between two words on a leader that takes over
};

struct up {
    const struct command_line *line;
    struct app app;
    struct tenure tenure;
    struct hosting hosting;
    uint64_t worker_count;
    uint64_t ready_count;
    bool is_announced;
    unsigned failures;
    int64_t shown_ms;  // when there last was something to say of the leader
    struct writer_id leader;
};

/* ---- before anything starts ---- */

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

static enum status prepare(struct up *up)
{
    enum status status = app_open(&up->app, up->line);
    if (status == STATUS_OK) {
        status = tenure_open(&up->tenure, &up->app);
    }
    if (status == STATUS_OK) {
        status = hosting_await_quiet(&up->app);
    }
    if (status == STATUS_OK) {
        status = init_simulated(&up->app);
    }
    if (status == STATUS_OK) {
        status = init_tls_root(&up->app);
    }
    return status == STATUS_OK ? tenure_prepare_policy(&up->tenure) : status;
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
                    up->worker_count, tenure_elapsed_ms(&up->tenure));
    } else {
        char text[WRITER_ID_TEXT_BYTES];
        writer_id_text(&frame->peer, text);
        report_note("worker %.8s ready, in place of one that ended", text);
    }
    if (!up->is_announced && up->ready_count >= up->worker_count) {
        announce(up);
    }
}

/* A takeover takes as long as the capsule has to tell, or until its stores have room. */
static void show_waiting(struct up *up)
{
    char directories[GENESIS_STORES_MAX][FILE_PATH_BYTES];
    int64_t now_ms = clock_now_ms();
    if (!tenure_is_given(&up->tenure)) {
        up->shown_ms = now_ms;
    }
    if (now_ms - up->shown_ms < UP_SHOW_MS) {
        return;
    }
    up->shown_ms = now_ms;
    report_note("the new leader takes over: %lld s; '%s/host/host.log' says what it does",
                tenure_elapsed_ms(&up->tenure) / 1000, up->app.directory);
    uint32_t count = app_stores(&up->app, directories);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t free_mib;
        if (file_room(directories[i], &free_mib) == STATUS_OK && free_mib == 0) {
            report_note("     the disk of '%s' is full: make room there, and it goes on",
                        directories[i]);
        }
    }
}

/* STATUS_OK: go on. STATUS_DENIED, STATUS_IO: it makes no sense to, or cannot; that was said. */
static enum status take_event(struct up *up, enum tenure_event event)
{
    switch (event) {
    case TENURE_NOTHING:
    case TENURE_OTHERS:
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
        return STATUS_CLOSED;
    case TENURE_STUCK:
        report_note(
            "     what was answered is in the stores; when that is mended, 'paranoid up' goes "
            "on from there");
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
        if (tenure_is_given(&up->tenure)) {
            report_note("the leader of term %" PRIu64
                        " ended before it led; '%s/host/host.log' says why",
                        up->tenure.term, up->app.directory);
        }
        enum status status = tenure_call(&up->tenure, &up->hosting.post);
        return status == STATUS_OK || status == STATUS_CLOSED ? status : STATUS_IO;
    }
    if (frame->kind == FRAME_READY) {
        note_ready(up, frame);
        return STATUS_OK;
    }
    return take_event(up, tenure_receive(&up->tenure, &up->hosting.post, frame));
}

/* Until a signal (STATUS_OK), or until it makes no sense to go on; that was said. */
static enum status run_app(struct up *up)
{
    while (true) {
        if (hosting_is_asked_to_stop(&up->hosting)) {
            return STATUS_OK;
        }
        struct frame frame;
        enum status status;
        while ((status = post_receive(&up->hosting.post, &frame, 0)) == STATUS_OK) {
            status = receive_frame(up, &frame);
            if (status != STATUS_OK) {
                break;
            }
        }
        if (status == STATUS_DENIED || status == STATUS_NO_MEMORY || status == STATUS_IO) {
            return status;
        }
        if (status != STATUS_TIMEOUT) {
            hosting_await_end(&up->hosting);
            return STATUS_CLOSED;
        }
        if (tenure_is_overdue(&up->tenure)) {
            report_note("the leader is silent; asking it again");
            status = tenure_call(&up->tenure, &up->hosting.post);
            if (status != STATUS_OK) {
                continue;
            }
        }
        show_waiting(up);
        hosting_wait(&up->hosting, 1000);
    }
}

static int run(const struct command_line *line)
{
    int result = COMMAND_COULD_NOT;
    struct up up = {
        .line = line,
        .worker_count = command_number(line, "workers", 2),
    };
    hosting_init(&up.hosting, &up.app);
    if (prepare(&up) != STATUS_OK) {
        goto done;
    }
    warn_of_programs(&up);
    if (hosting_start(&up.hosting, line) != STATUS_OK) {
        goto done;
    }
    enum status status = run_app(&up);
    if (status != STATUS_CLOSED) {
        report_note("stopping");
    }
    if (status == STATUS_OK) {
        result = COMMAND_OK;
    } else if (status == STATUS_DENIED) {
        result = COMMAND_NO;
    }

done:
    hosting_stop(&up.hosting);
    tenure_release(&up.tenure);
    app_release(&up.app);
    return result;
}

/* The host's options, and of those the last is none of the user's. */
const struct command up_command = {
    .name = "up",
    .arguments = "",
    .summary = "Run an app here: host, leader, workers and stores. Ctrl-C stops it cleanly.",
    .about =
        "The owner's key stays with this process; the host beside it gets host/ alone and writes\n"
        "host/host.log. An enclave that dies is started again; a leader gets a new term.",
    .options = hosting_options,
    .option_count = HOSTING_OPTION_COUNT,
    .status = "0 stopped as asked, 1 the leader is refused or refuses, 2 wrong usage, 3 could not",
    .example = "paranoid up --workers 4 --port 7700",
    .run = run,
};
