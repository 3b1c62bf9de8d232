/* src/cli/keeper.c */
#include "cli/keeper.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/random.h"
#include "capsule/delegation.h"
#include "cli/app.h"
#include "cli/clock.h"
#include "cli/known.h"
#include "cli/report.h"
#include "cli/signals.h"
#include "cli/tenure.h"
#include "crypto/crypto.h"

enum {
    KEEPER_TERMS = 1000,
    KEEPER_DAYS = 30,
    KEEPER_DAY_S = 24 * 3600,
    KEEPER_KNOCK_MS = 500,     // between two tries to reach a host
    KEEPER_PATIENCE_MS = 250,  // the owner, if there, gives the term
    KEEPER_WARRANT_BYTES_MAX = 8 << 20,
};

/* ---- the owner makes one ---- */

static enum status make_directory(const char *directory, const char *name)
{
    char path[FILE_PATH_BYTES];
    snprintf(path, sizeof path, "%s%s%s", directory, name[0] == '\0' ? "" : "/", name);
    if (mkdir(path, 0700) != 0) {
        report_error("cannot make '%s': %s; %s", path, strerror(errno), file_remedy(errno));
        return STATUS_IO;
    }
    return STATUS_OK;
}

static enum status copy_file(const struct app *from, const struct app *to, const char *name,
                             mode_t mode, bool is_needed)
{
    char path[FILE_PATH_BYTES];
    struct buffer bytes = BUFFER_EMPTY;
    app_path(from, name, path);
    enum status status = file_read(&bytes, path, KEEPER_WARRANT_BYTES_MAX);
    if (status == STATUS_OK) {
        status = app_write(to, name, buffer_bytes(&bytes), mode);
    } else if (status == STATUS_NOT_FOUND && !is_needed) {
        status = STATUS_OK;
    } else {
        report_error("cannot read '%s': %s", path, file_reason(status));
    }
    buffer_wipe(bytes.bytes, bytes.length);
    buffer_release(&bytes);
    return status;
}

static enum status copy_files(const struct app *from, const struct app *to)
{
    static const struct {
        const char *name;
        mode_t mode;
        bool is_needed;
    } files[] = {
        {APP_GENESIS, 0644, true},      {APP_POLICY, 0644, true},     {APP_TLS_ROOT, 0644, true},
        {APP_CAPSULE_NAME, 0644, true}, {APP_SEED, 0600, true},       {APP_TERM, 0600, false},
        {APP_SYNC, 0600, false},        {KNOWN_WARRANT, 0600, false}, {APP_STORES, 0644, false},
    };
    enum status status = STATUS_OK;
    for (size_t i = 0; i < sizeof files / sizeof *files && status == STATUS_OK; i++) {
        status = copy_file(from, to, files[i].name, files[i].mode, files[i].is_needed);
    }
    return status;
}

/* A keeper beside the host, on its machine: it reaches the host through a link. */
static enum status link_host(const struct app *from, const struct app *to)
{
    char host[FILE_PATH_BYTES], link[FILE_PATH_BYTES], path[PATH_MAX];
    app_path(from, APP_HOST, host);
    app_path(to, APP_HOST, link);
    if (realpath(host, path) == NULL || symlink(path, link) != 0) {
        report_error("cannot link '%s' to '%s': %s", link, host, strerror(errno));
        return STATUS_IO;
    }
    return STATUS_OK;
}

static enum status sign_delegation(const struct app *app, const struct app *to,
                                   const struct command_line *line, struct delegation *delegation)
{
    struct random random = random_kernel();
    uint8_t secret[SECRET_BYTES];
    struct sign_key *owner = NULL;
    struct buffer body = BUFFER_EMPTY;
    char name[sizeof "owner/keeper-" + DELEGATION_NAME_BYTES_MAX];
    uint64_t term;
    enum status status = app_number(app, APP_TERM, &term);
    if (status == STATUS_OK) {
        status = app_key(app, APP_OWNER_KEY, &owner);
    }
    if (status != STATUS_OK) {
        return status;
    }
    random_fill(&random, secret, sizeof secret);
    struct sign_key *key = sign_key_new_from_seed(secret);
    delegation->capsule = app->genesis.capsule;
    delegation->keeper = sign_key_public(key);
    delegation->first = term + 1;
    delegation->last = term + command_number(line, "terms", KEEPER_TERMS);
    delegation->until_s =
        (uint64_t)time(NULL) + command_number(line, "days", KEEPER_DAYS) * KEEPER_DAY_S;
    snprintf(name, sizeof name, "owner/keeper-%s", delegation->name);
    status = delegation_encode(&body, delegation, owner);
    if (status == STATUS_OK) {
        status = app_write_secret(to, KEEPER_KEY, secret);
    }
    if (status == STATUS_OK) {
        status = app_write(to, KEEPER_DELEGATION, buffer_bytes(&body), 0600);
    }
    if (status == STATUS_OK) {
        status = app_write(app, name, buffer_bytes(&body), 0600);
    }
    buffer_wipe(secret, sizeof secret);
    buffer_release(&body);
    sign_key_free(key);
    sign_key_free(owner);
    return status;
}

static bool read_name(const char *name, struct delegation *delegation)
{
    size_t length = strlen(name);
    bool is_sound =
        0 < length && length < sizeof delegation->name &&
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == length;
    if (is_sound) {
        snprintf(delegation->name, sizeof delegation->name, "%s", name);
    } else {
        report_error("cannot use '%s' as a keeper's name: 1 to %d letters, digits, '-' and '_'",
                     name, (int)sizeof delegation->name - 1);
    }
    return is_sound;
}

static int run_grant(const struct command_line *line)
{
    struct app app, to = {.genesis_body = BUFFER_EMPTY};
    struct delegation delegation = {.first = 0};
    const char *directory = command_argument(line, 0, NULL);
    if (!read_name(command_text(line, "name", "keeper"), &delegation)) {
        return COMMAND_USAGE;
    }
    snprintf(to.directory, sizeof to.directory, "%s", directory);
    enum status status = app_open(&app, line);
    if (status == STATUS_OK) {
        status = make_directory(directory, "");
    }
    if (status == STATUS_OK) {
        status = make_directory(directory, "owner");
    }
    if (status == STATUS_OK) {
        status = copy_files(&app, &to);
    }
    if (status == STATUS_OK) {
        status = link_host(&app, &to);
    }
    if (status == STATUS_OK) {
        status = sign_delegation(&app, &to, line, &delegation);
    }
    if (status == STATUS_OK && command_has(line, "json")) {
        printf("{\"first\":%" PRIu64 ",\"last\":%" PRIu64 ",\"name\":\"%s\",\"until_s\":%" PRIu64
               "}\n",
               delegation.first, delegation.last, delegation.name, delegation.until_s);
    } else if (status == STATUS_OK) {
        printf("keeper '%s' may sign terms %" PRIu64 " to %" PRIu64
               "; it holds the master seed, and not the owner's key\n"
               "  paranoid keeper --app %s\n",
               delegation.name, delegation.first, delegation.last, directory);
    }
    app_release(&app);
    return status == STATUS_OK ? COMMAND_OK : COMMAND_COULD_NOT;
}

static int run_revoke(const struct command_line *line)
{
    struct app app;
    struct delegation delegation = {.first = 0};
    struct buffer body = BUFFER_EMPTY;
    uint64_t term;
    char name[sizeof "owner/keeper-" + DELEGATION_NAME_BYTES_MAX];
    if (!read_name(command_argument(line, 0, ""), &delegation)) {
        return COMMAND_USAGE;
    }
    snprintf(name, sizeof name, "owner/keeper-%s", delegation.name);
    char path[FILE_PATH_BYTES];
    enum status status = app_open(&app, line);
    if (status == STATUS_OK) {
        app_path(&app, name, path);
        status = file_read(&body, path, KEEPER_WARRANT_BYTES_MAX);
        if (status != STATUS_OK) {
            report_error("cannot revoke keeper '%s': '%s': %s; there is one for each that was made",
                         delegation.name, path, file_reason(status));
        }
    }
    if (status == STATUS_OK) {
        status = delegation_decode(&delegation, buffer_bytes(&body), &app.genesis.owner,
                                   &app.genesis.capsule);
    }
    if (status == STATUS_OK) {
        status = app_number(&app, APP_TERM, &term);
    }
    // Terms only rise: one above its last ends the delegation, wherever it is known.
    if (status == STATUS_OK && term < delegation.last) {
        status = app_raise(&app, APP_TERM, delegation.last);
    }
    if (status == STATUS_OK && command_has(line, "json")) {
        printf("{\"last\":%" PRIu64 ",\"name\":\"%s\",\"revoked\":true}\n", delegation.last,
               delegation.name);
    }
    if (status == STATUS_OK) {
        report_note("the owner's next term is above %" PRIu64
                    ", and ends what keeper '%s' may do: start the app again to begin it.\n"
                    "A keeper that is not trusted any more still knows the master seed.",
                    delegation.last, delegation.name);
    }
    buffer_release(&body);
    app_release(&app);
    return status == STATUS_OK ? COMMAND_OK : COMMAND_COULD_NOT;
}

/* ---- the keeper at work ---- */

struct keeper {
    struct app app;
    struct tenure tenure;
    struct post post;
    int signal_fd;
    bool has_leader;  // one that has yet to get a term
    int64_t call_ms;  // when it is called, unless it leads by then
    struct writer_id leader;
};

static bool is_asked_to_stop(struct keeper *keeper, int timeout_ms)
{
    struct pollfd ready[] = {
        {.fd = keeper->signal_fd, .events = POLLIN},
        {.fd = keeper->post.fd, .events = POLLIN},
    };
    (void)poll(ready, 2, timeout_ms);
    return (ready[0].revents & POLLIN) != 0;
}

/* STATUS_OK: go on. STATUS_DENIED: it may not, or the owner has to decide; that was said. */
static enum status take_event(enum tenure_event event)
{
    switch (event) {
    case TENURE_NOTHING:
    case TENURE_LEADS:
    case TENURE_OTHERS:
    case TENURE_FAILED:  // the host starts another
        return STATUS_OK;
    case TENURE_ROLLED_BACK:
    case TENURE_REFUSED:
        return STATUS_DENIED;
    case TENURE_BROKEN:
    case TENURE_STUCK:  // the next leader may find it mended
        break;
    }
    return STATUS_CLOSED;
}

static enum status receive_frame(struct keeper *keeper, const struct frame *frame)
{
    if (frame->kind == FRAME_HELLO) {
        keeper->leader = frame->peer;
        keeper->has_leader = true;
        keeper->call_ms = clock_now_ms() + KEEPER_PATIENCE_MS;
        return STATUS_OK;
    }
    if (frame->kind == FRAME_READY) {
        keeper->has_leader = keeper->has_leader && !writer_id_equal(&frame->peer, &keeper->leader);
        return STATUS_OK;
    }
    return take_event(tenure_receive(&keeper->tenure, &keeper->post, frame));
}

static bool has_ended(const struct keeper *keeper)
{
    const struct delegation *delegation = &keeper->tenure.keeper;
    uint64_t term;
    if ((uint64_t)time(NULL) >= delegation->until_s ||
        (app_number(&keeper->app, APP_TERM, &term) == STATUS_OK && term >= delegation->last)) {
        report_error(
            "keeper '%s' may not give terms any more: its delegation has ended; the owner "
            "can give another with 'paranoid keeper grant'",
            delegation->name);
        return true;
    }
    return false;
}

static enum status call_if_due(struct keeper *keeper)
{
    bool is_due = keeper->has_leader && clock_now_ms() >= keeper->call_ms;
    if (!is_due && !tenure_is_overdue(&keeper->tenure)) {
        return STATUS_OK;
    }
    keeper->has_leader = false;
    if (has_ended(keeper)) {
        return STATUS_DENIED;
    }
    report_note("a leader without a term: giving it one");
    return tenure_call(&keeper->tenure, &keeper->post);
}

/* While one host runs. STATUS_OK: asked to stop. STATUS_CLOSED: the host is gone. */
static enum status watch_host(struct keeper *keeper)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK) {
        struct frame frame;
        while (status == STATUS_OK &&
               (status = post_receive(&keeper->post, &frame, 0)) == STATUS_OK) {
            status = receive_frame(keeper, &frame);
        }
        status = status == STATUS_TIMEOUT ? call_if_due(keeper) : status;
        if (status == STATUS_OK && is_asked_to_stop(keeper, keeper->has_leader ? 50 : 1000)) {
            return STATUS_OK;
        }
    }
    return status == STATUS_DENIED ? status : STATUS_CLOSED;
}

static enum status watch(struct keeper *keeper)
{
    bool is_noted = false;
    while (true) {
        if (post_open(&keeper->post, &keeper->app) == STATUS_OK) {
            report_note("watching '%s/host'", keeper->app.directory);
            keeper->has_leader = false;
            enum status status = watch_host(keeper);
            post_close(&keeper->post);
            if (status != STATUS_CLOSED) {
                return status;
            }
            is_noted = false;
        }
        if (!is_noted) {
            report_note("no host runs there; waiting for one");
            is_noted = true;
        }
        if (is_asked_to_stop(keeper, KEEPER_KNOCK_MS)) {
            return STATUS_OK;
        }
    }
}

static int run(const struct command_line *line)
{
    int result = COMMAND_COULD_NOT;
    struct keeper keeper = {.post = POST_CLOSED, .signal_fd = -1};
    enum status status = app_open(&keeper.app, line);
    if (status == STATUS_OK) {
        status = tenure_open_as_keeper(&keeper.tenure, &keeper.app);
    }
    if (status == STATUS_OK && !has_ended(&keeper)) {
        keeper.signal_fd = signals_open(false);
        status = watch(&keeper);
        result = status == STATUS_OK ? COMMAND_OK : COMMAND_NO;
    }
    if (keeper.signal_fd >= 0) {
        close(keeper.signal_fd);
    }
    tenure_release(&keeper.tenure);
    app_release(&keeper.app);
    return result;
}

const struct command keeper_command = {
    .name = "keeper",
    .arguments = "",
    .summary = "Keep an app: give the next leader a term when one has died, in the owner's place.",
    .about =
        "--app names what 'paranoid keeper grant' has made. The keeper holds the master seed and "
        "a\n"
        "key that may sign terms, some number of them, for some time, and nothing else: run it\n"
        "where you trust the machine with your data. It judges each leader's evidence by the\n"
        "owner's policy, as it was when the keeper was made. Ctrl-C stops it.",
    .status =
        "0 stopped as asked, 1 it may not, or the owner has to decide, 2 wrong usage, 3 could not",
    .example = "paranoid keeper --app ./keeper",
    .run = run,
};

static const struct command_option grant_options[] = {
    {.name = "name", .value = "NAME", .text = "its name in the capsule (default: keeper)"},
    {.name = "terms",
     .value = "N",
     .text = "so many terms from the next one on (default: 1000)",
     .is_number = true,
     .minimum = 1,
     .maximum = 1 << 20},
    {.name = "days",
     .value = "D",
     .text = "for so many days from now (default: 30)",
     .is_number = true,
     .minimum = 1,
     .maximum = 3650},
};

const struct command keeper_grant_command = {
    .name = "keeper grant",
    .arguments = "DIR",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Make a keeper in DIR: a key of its own, the owner's delegation, and the seed.",
    .about =
        "Whoever has DIR has the master seed, and so every key of the app's data; the owner's key\n"
        "is not in it. Each term that the keeper signs carries the delegation: 'paranoid capsule\n"
        "log' shows its name.",
    .options = grant_options,
    .option_count = sizeof grant_options / sizeof *grant_options,
    .example = "paranoid keeper grant ./keeper --days 7",
    .run = run_grant,
};

const struct command keeper_revoke_command = {
    .name = "keeper revoke",
    .arguments = "NAME",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "End what a keeper may do, with the owner's next term.",
    .example = "paranoid keeper revoke keeper",
    .run = run_revoke,
};
