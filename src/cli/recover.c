/* src/cli/recover.c */
#include "cli/recover.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>

#include "cli/clock.h"
#include "cli/hosting.h"
#include "cli/init.h"
#include "cli/inspect_internal.h"
#include "cli/report.h"
#include "cli/tenure.h"

enum {
    RECOVER_LINE_BYTES = 1024,
    RECOVER_LISTEN_MS = 5 * 1000,     // a host that runs says at once which leader is there,
    RECOVER_READY_MS = 500,           // and with it whether that one leads
    RECOVER_STEP_MS = 250,            // between two looks
    RECOVER_PATIENCE_MS = 60 * 1000,  // for a leader to start
    RECOVER_SHOW_MS = 2 * 1000,       // between two signs of life
    RECOVER_FAILURES_MAX = 3,         // terms in a row that came to nothing
};

struct recovery {
    const struct command_line *line;
    struct inspection look;
    struct tenure tenure;
    struct hosting hosting;
    json_t *steps;  // what was said
    unsigned step_count;
    bool is_held;  // the newest SYNC that is known is among what the stores hold
    bool has_leader;
    bool is_ready;     // the host says that this leader leads
    bool is_anothers;  // another program has given the leader its term
    bool is_leading;   // it is ready by another's term, or has taken ours
    struct writer_id leader;
    unsigned failures;
    int64_t shown_ms;
};

/* One step: what was found or is done. */
static void say(struct recovery *it, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct recovery *it, const char *format, ...)
{
    char text[RECOVER_LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    json_array_append_new(it->steps, json_string(text));
    if (!command_has(it->line, "json")) {
        printf("%2u. %s\n", ++it->step_count, text);
        fflush(stdout);
    }
}

/* ---- looking ---- */

static void say_store(struct recovery *it, uint32_t index)
{
    const struct survey *survey = &it->look.survey;
    const struct survey_store *store = &survey->stores[index];
    const char *name = app_store(it->tenure.app, index)->name;
    size_t lacking = survey->record_count - store->held_count;
    if (store->status == STATUS_OK && lacking == 0) {
        say(it, "%s: %zu records, all well", name, store->held_count);
    } else if (store->status == STATUS_OK) {
        say(it, "%s: %zu records, all well; it lacks %zu, which the others will give it", name,
            store->held_count, lacking);
    } else if (store->status == STATUS_NOT_FOUND) {
        say(it, "%s: nothing is there; %s", name,
            survey->store_count > 1 ? "it begins anew, and the others give it what they hold"
                                    : "no other store holds what it held");
    } else {
        say(it, "%s: %s", name,
            store->reason[0] != '\0' ? store->reason : status_text(store->status));
    }
}

/* The files of the stores, as far as they can be read. */
static void look_at_stores(struct recovery *it)
{
    const struct known *known = &it->tenure.known;
    const struct survey *survey = &it->look.survey;
    enum status status = inspect_survey(&it->look);
    for (uint32_t i = 0; i < survey->store_count; i++) {
        say_store(it, i);
    }
    if (status != STATUS_OK && survey->reason[0] != '\0') {
        say(it, "the capsule as a whole: %s", survey->reason);
    }
    it->is_held = hash_is_zero(&known->sync.hash) ||
                  (survey->capsule != NULL &&
                   capsule_includes_sync(survey->capsule, &known->sync.hash, known->sync.epoch));
    const struct capsule_sync *newest =
        survey->capsule == NULL ? NULL : capsule_newest_sync(survey->capsule);
    uint64_t held = newest == NULL ? 0 : newest->epoch;
    if (hash_is_zero(&known->sync.hash)) {
        say(it, "no SYNC is known to this machine yet: there is nothing that could be missing");
    } else if (it->is_held) {
        say(it, "the newest SYNC known here, %" PRIu64 ", is there: nothing acknowledged is lost",
            known->sync.epoch);
    } else {
        say(it,
            "the newest SYNC known here is %" PRIu64 ", the newest that is there is %" PRIu64
            ": what epochs %" PRIu64 " to %" PRIu64 " wrote is missing",
            known->sync.epoch, held, held + 1, known->sync.epoch);
    }
}

/* ---- the leader ---- */

static void note_frame(struct recovery *it, const struct frame *frame)
{
    if (frame->kind == FRAME_HELLO) {
        it->leader = frame->peer;
        it->has_leader = true;
        it->is_ready = false;
    } else if (frame->kind == FRAME_READY && it->has_leader &&
               writer_id_equal(&frame->peer, &it->leader)) {
        it->is_ready = true;
    }
}

/*
 * What a host that runs says of its leader. All that has come is read, however late this process
 * gets to it. STATUS_CLOSED: the host went away.
 */
static enum status listen_to_host(struct recovery *it)
{
    int64_t due_ms = clock_now_ms() + RECOVER_LISTEN_MS;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !it->is_ready) {
        struct frame frame;
        int64_t left_ms = due_ms - clock_now_ms();
        status = post_receive(&it->hosting.post, &frame, left_ms > 0 ? (int)left_ms : 0);
        if (status == STATUS_OK) {
            note_frame(it, &frame);
        }
        if (status == STATUS_OK && frame.kind == FRAME_HELLO) {
            due_ms = clock_now_ms() + RECOVER_READY_MS;
        }
    }
    it->is_leading = it->is_ready;
    return status == STATUS_OK || status == STATUS_TIMEOUT ? STATUS_OK : STATUS_CLOSED;
}

static void show_waiting(struct recovery *it)
{
    if (clock_now_ms() - it->shown_ms >= RECOVER_SHOW_MS) {
        it->shown_ms = clock_now_ms();
        report_note("the new leader takes over: %lld s", tenure_elapsed_ms(&it->tenure) / 1000);
    }
}

/* 'paranoid up' was faster: its leader has said that it leads, or will, or the next says HELLO. */
static enum status take_others(struct recovery *it)
{
    if (++it->failures == RECOVER_FAILURES_MAX) {
        report_error("no leader comes to lead: '%s/" APP_HOST
                     "/host.log' says why; 'paranoid "
                     "status' shows the stores",
                     it->tenure.app->directory);
        return STATUS_DENIED;
    }
    it->is_anothers = true;
    it->is_leading = it->is_ready;
    report_note("another program has given the leader its term");
    return STATUS_OK;
}

/*
 * STATUS_OK: go on. STATUS_DENIED: refused, and STATUS_IO: it cannot; that was said. STATUS_CLOSED:
 * the host is gone.
 */
static enum status take_event(struct recovery *it, enum tenure_event event)
{
    struct tenure *tenure = &it->tenure;
    switch (event) {
    case TENURE_NOTHING:
        return STATUS_OK;
    case TENURE_LEADS:
        it->is_leading = true;
        return STATUS_OK;
    case TENURE_OTHERS:
        return take_others(it);
    case TENURE_FAILED:
        return ++it->failures < RECOVER_FAILURES_MAX ? STATUS_OK : STATUS_DENIED;
    case TENURE_ROLLED_BACK:
        if (command_has(it->line, "accept-loss") && !tenure->accepts_loss) {
            tenure->accepts_loss = true;  // the next leader gets such a term
            say(it, "the owner gives up epochs %" PRIu64 " to %" PRIu64 ", and signs that",
                tenure->loss_from.epoch + 1, tenure->known.sync.epoch);
            return STATUS_OK;
        }
        report_error("to go on without what epochs %" PRIu64 " to %" PRIu64
                     " wrote: 'paranoid recover --accept-loss %" PRIu64 "'",
                     tenure->loss_from.epoch + 1, tenure->known.sync.epoch,
                     tenure->known.sync.epoch);
        return STATUS_DENIED;
    case TENURE_REFUSED:
        return STATUS_DENIED;
    case TENURE_BROKEN:
        break;
    case TENURE_STUCK:
        return STATUS_IO;
    }
    return STATUS_CLOSED;
}

static enum status receive_frame(struct recovery *it, const struct frame *frame)
{
    if (frame->kind == FRAME_HELLO) {
        note_frame(it, frame);
        it->is_anothers = false;
        return tenure_call(&it->tenure, &it->hosting.post);
    }
    if (frame->kind == FRAME_READY) {
        note_frame(it, frame);
        it->is_leading = it->is_anothers && it->is_ready;
        return STATUS_OK;
    }
    return take_event(it, tenure_receive(&it->tenure, &it->hosting.post, frame));
}

/* Until a leader leads by our term, or there will be none. */
static enum status await_leading(struct recovery *it)
{
    int64_t due_ms = clock_now_ms() + RECOVER_PATIENCE_MS;
    enum status status = it->has_leader ? tenure_call(&it->tenure, &it->hosting.post) : STATUS_OK;
    it->shown_ms = clock_now_ms();
    while (status == STATUS_OK && !it->is_leading) {
        struct frame frame;
        status = post_receive(&it->hosting.post, &frame, RECOVER_STEP_MS);
        if (status == STATUS_OK) {
            status = receive_frame(it, &frame);
            continue;
        }
        bool is_stopped = it->hosting.signal_fd >= 0 && hosting_is_asked_to_stop(&it->hosting);
        bool is_waiting_in_vain = !it->has_leader && clock_now_ms() > due_ms;
        if (status != STATUS_TIMEOUT || is_stopped || is_waiting_in_vain) {
            return STATUS_CLOSED;
        }
        status = tenure_is_overdue(&it->tenure) ? tenure_call(&it->tenure, &it->hosting.post)
                                                : STATUS_OK;
        show_waiting(it);
    }
    return status;
}

/* ---- the whole ---- */

static int finish(struct recovery *it, int result)
{
    const struct tenure *tenure = &it->tenure;
    if (command_has(it->line, "json")) {
        json_t *object =
            json_pack("{s:s, s:O, s:b, s:b, s:b, s:I}", "app", tenure->app->genesis.app, "steps",
                      it->steps, "held", it->is_held, "leading", it->is_leading, "gave_up",
                      tenure->accepts_loss && it->is_leading, "term", (json_int_t)tenure->term);
        json_dumpf(object, stdout, JSON_COMPACT | JSON_SORT_KEYS);
        putchar('\n');
        json_decref(object);
    }
    return result;
}

static int recover_running(struct recovery *it)
{
    if (listen_to_host(it) != STATUS_OK) {
        report_error("the host has just ended; try again");
        return COMMAND_COULD_NOT;
    }
    if (it->is_leading) {
        say(it, "the app runs, and its leader leads: there is nothing to recover");
        return COMMAND_OK;
    }
    if (command_has(it->line, "explain")) {
        say(it, "the app runs without a leader: 'paranoid recover' gives the next one a term");
        return COMMAND_OK;
    }
    say(it, "the app runs without a leader: the next one gets a new term");
    enum status status = await_leading(it);
    return status == STATUS_OK       ? COMMAND_OK
           : status == STATUS_DENIED ? COMMAND_NO
                                     : COMMAND_COULD_NOT;
}

static int recover_stopped(struct recovery *it)
{
    bool will_be_refused = !it->is_held && !command_has(it->line, "accept-loss");
    say(it, "the app does not run; %s a host, %s",
        command_has(it->line, "explain") ? "'paranoid recover' would start" : "starting",
        will_be_refused ? "to have the stores sign what they hold: this is a rollback, and needs "
                          "a proof"
                        : "and a leader with a new term");
    if (command_has(it->line, "explain")) {
        return COMMAND_OK;
    }
    if (hosting_await_quiet(&it->look.app) != STATUS_OK ||
        init_simulated(&it->look.app) != STATUS_OK ||
        tenure_prepare_policy(&it->tenure) != STATUS_OK ||
        hosting_start(&it->hosting, it->line) != STATUS_OK) {
        return COMMAND_COULD_NOT;
    }
    enum status status = await_leading(it);
    if (status == STATUS_CLOSED) {
        hosting_await_end(&it->hosting);
    }
    return status == STATUS_OK       ? COMMAND_OK
           : status == STATUS_DENIED ? COMMAND_NO
                                     : COMMAND_COULD_NOT;
}

/* What is to be given up has to be named: nobody gives up what he does not know of. */
static bool names_loss(const struct recovery *it)
{
    uint64_t named = command_number(it->line, "accept-loss", 0);
    uint64_t known = it->tenure.known.sync.epoch;
    if (command_has(it->line, "accept-loss") && named != known) {
        report_error("cannot give up SYNC %" PRIu64 ": the newest that is known is %" PRIu64
                     "; 'paranoid recover --explain' says whether anything is lost",
                     named, known);
        return false;
    }
    return true;
}

static int run(const struct command_line *line)
{
    int result = COMMAND_COULD_NOT;
    struct recovery it = {.line = line, .steps = json_array()};
    hosting_init(&it.hosting, &it.look.app);
    if (inspect_open(&it.look, line, NULL) != STATUS_OK ||
        tenure_open(&it.tenure, &it.look.app) != STATUS_OK) {
        goto done;
    }
    if (!names_loss(&it)) {
        result = COMMAND_USAGE;
        goto done;
    }
    // A host that was killed leaves its files behind; only one that runs answers.
    it.look.is_running = post_open(&it.hosting.post, &it.look.app) == STATUS_OK;
    look_at_stores(&it);
    result = it.look.is_running ? recover_running(&it) : recover_stopped(&it);
    if (result == COMMAND_OK && it.is_anothers) {
        say(&it, "the leader leads, by a term that another program gave it");
    } else if (result == COMMAND_OK && it.tenure.is_leading) {
        say(&it, "term %" PRIu64 " leads from SYNC %" PRIu64 "%s", it.tenure.term,
            it.tenure.sync_epoch,
            it.look.is_running ? "" : ": the app is well; 'paranoid up' runs it");
    }
    result = finish(&it, result);

done:
    hosting_stop(&it.hosting);
    tenure_release(&it.tenure);
    inspect_close(&it.look);
    json_decref(it.steps);
    return result;
}

static const struct command_option options[] = {
    {.name = "explain", .text = "look and say what would be done, and change nothing"},
    {.name = "accept-loss",
     .value = "EPOCH",
     .text = "go on although the stores were rolled back: give up all up to SYNC EPOCH, for ever",
     .is_number = true,
     .minimum = 1,
     .maximum = INT64_MAX},
};

const struct command recover_command = {
    .name = "recover",
    .arguments = "",
    .summary = "Look at an app that does not go on, explain it, and start a new term and leader.",
    .about =
        "Reads what the stores' files hold, says what is well, damaged, missing or lost, and then\n"
        "has a leader take over from what R stores answer. Stores that lack a SYNC that this\n"
        "machine knows of were rolled back: that is refused, with a proof in the app's directory.\n"
        "Only the owner can go on without what is lost, and has to name it: everybody who reads\n"
        "the capsule sees that. Clients that have seen more are told so (409, version_lost).",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .status =
        "0 it leads, or there is nothing to do, 1 refused, with the reason, 2 wrong usage, 3 could "
        "not",
    .example = "paranoid recover --explain",
    .run = run,
};
