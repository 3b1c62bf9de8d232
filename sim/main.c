/* sim/main.c */

/* paranoid-sim: run scenarios, seed by seed. Started as 'paranoid sim'. */

#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "cli/report.h"
#include "cli/simulate.h"
#include "crypto/crypto.h"
#include "sim/campaign.h"
#include "sim/curve.h"
#include "sim/minimiser.h"
#include "sim/scenario.h"
#include "wire/frame.h"

enum {
    MINIMISED_MAX = 3,  // of the failed seeds; the others come as they are
    CURVE_EPOCHS = 1,
};
static const double progress_s = 2;

struct totals {
    uint64_t seeds;
    uint64_t failures;
    uint64_t events;
    uint64_t puts;
    uint64_t durable;
    uint64_t increments;
    uint64_t time_us;
    uint64_t digest;
};

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* docs/simulation.md describes the columns. */
static void print_event(void *context, const struct federation_event *event)
{
    static const char *const kinds[] = {
        [0] = "-",
        [FRAME_RECORD] = "RECORD",
        [FRAME_RECEIPT] = "RECEIPT",
        [FRAME_JOIN] = "JOIN",
        [FRAME_CHANNEL] = "CHANNEL",
        [FRAME_RTS] = "RTS",
        [FRAME_FETCH] = "FETCH",
        [FRAME_FETCHED] = "FETCHED",
        [FRAME_FENCE] = "FENCE",
        [FRAME_FENCED] = "FENCED",
        [FRAME_REFUSED] = "REFUSED",
        [FRAME_RECALL] = "RECALL",
        [FRAME_EVIDENCE] = "EVIDENCE",
        [FRAME_GONE] = "GONE",
    };
    (void)context;
    char from[FEDERATION_PLACE_BYTES], to[FEDERATION_PLACE_BYTES];
    federation_place_name(event->from, from);
    federation_place_name(event->to, to);
    bool is_known = event->kind < sizeof kinds / sizeof *kinds && kinds[event->kind] != NULL;
    printf("%12" PRIu64 " %-9s %-11s %-11s %-8s %7zu %016" PRIx64 "\n", event->time_us, event->what,
           from, to, is_known ? kinds[event->kind] : "?", event->bytes, event->digest);
}

static void print_line(void *context, const char *text)
{
    (void)context;
    fprintf(stderr, "%s\n", text);
}

static void add(struct totals *totals, const struct scenario_config *config,
                const struct scenario_result *result)
{
    totals->seeds++;
    totals->failures += result->has_failed;
    totals->events += result->event_count;
    totals->puts += result->put_count;
    totals->durable += result->durable_count;
    totals->increments += result->increment_count;
    totals->time_us += result->time_us;
    // Seeds end in any order.
    totals->digest += result->trace_digest * (2 * config->seed + 1);
}

static void print_totals(FILE *target, const struct totals *totals, double seconds)
{
    fprintf(target,
            "%" PRIu64 " seeds, %" PRIu64 " failed; %" PRIu64 " puts, %" PRIu64 " durable, %" PRIu64
            " increments; %.0f s of virtual time in %.1f s; %.1f seeds/s, %.0f events/s\n",
            totals->seeds, totals->failures, totals->puts, totals->durable, totals->increments,
            (double)totals->time_us / 1e6, seconds, (double)totals->seeds / seconds,
            (double)totals->events / seconds);
}

/* ---- what is left out ---- */

/* "drop,clock". STATUS_MALFORMED: `error` says which is none. */
static enum status read_faults(uint64_t *faults, const char *text, char error[COMMAND_ERROR_BYTES])
{
    *faults = 0;
    while (*text != '\0') {
        size_t length = strcspn(text, ",");
        unsigned fault = 0;
        while (fault < SCENARIO_FAULTS &&
               (strlen(scenario_fault_name(fault)) != length ||
                strncmp(scenario_fault_name(fault), text, length) != 0)) {
            fault++;
        }
        if (fault == SCENARIO_FAULTS) {
            snprintf(error, COMMAND_ERROR_BYTES, "there is no fault '%.*s'", (int)length, text);
            return STATUS_MALFORMED;
        }
        *faults |= 1ull << fault;
        text += length + (text[length] == ',');
    }
    return STATUS_OK;
}

static void print_faults(uint64_t faults)
{
    const char *separator = "";
    for (unsigned fault = 0; fault < SCENARIO_FAULTS; fault++) {
        if ((faults >> fault) % 2 != 0) {
            printf("%s%s", separator, scenario_fault_name(fault));
            separator = ",";
        }
    }
}

static void print_repeat(const struct scenario_config *config)
{
    printf("  repeat: paranoid sim --seed %" PRIu64 " --steps %" PRIu64 " --workers %" PRIu64
           " --stores %" PRIu64 " --receipts %" PRIu64,
           config->seed, config->step_count, config->worker_count, config->store_count,
           config->receipt_count);
    if (config->tolerated_count > 0) {
        printf(" --tolerated %" PRIu64, config->tolerated_count);
    }
    if (config->without != 0) {
        printf(" --without ");
        print_faults(config->without);
    }
    printf("\n");
}

/* ---- the run ---- */

struct run {
    struct totals totals;
    json_t *failures;  // for --json; NULL without
    double begun_s;
    double told_s;
    double end_s;  // no seed begins later
    uint64_t minimised_max;
};

static void note_result(void *context, const struct scenario_config *config,
                        const struct scenario_result *result)
{
    (void)config;
    *(struct scenario_result *)context = *result;
}

/* In a process of its own: it may end in any way. */
static void run_alone(void *context, const struct scenario_config *config,
                      struct scenario_result *result)
{
    (void)context;
    struct campaign campaign = {.config = *config,
                                .seed_count = 1,
                                .job_count = 1,
                                .on_result = note_result,
                                .context = result};
    campaign.config.on_event = NULL;
    if (campaign_run(&campaign) != STATUS_OK) {
        *result = (struct scenario_result){.has_failed = false};
    }
}

static void on_result(void *context, const struct scenario_config *config,
                      const struct scenario_result *result)
{
    struct run *run = context;
    add(&run->totals, config, result);
    if (result->has_failed && run->failures != NULL) {
        json_t *failure =
            json_pack("{s:I, s:s}", "seed", (json_int_t)config->seed, "reason", result->reason);
        CHECK(failure != NULL && json_array_append_new(run->failures, failure) == 0);
    } else if (result->has_failed) {
        struct scenario_config smaller = *config;
        struct scenario_result smallest = *result;
        printf("seed %" PRIu64 ": %s\n", config->seed, result->reason);
        if (run->minimised_max > 0) {
            run->minimised_max--;
            minimiser_reduce(&smaller, &smallest, run_alone, NULL);
            printf("  minimised to the faults: ");
            print_faults(smallest.faults);
            printf("\n  there: %s\n", smallest.reason);
        }
        print_repeat(&smaller);
        fflush(stdout);
    }
    if (now_s() > run->told_s + progress_s) {
        run->told_s = now_s();
        print_totals(stderr, &run->totals, run->told_s - run->begun_s);
    }
}

static bool is_over(void *context)
{
    const struct run *run = context;
    return now_s() > run->end_s;
}

static void print_json(const struct run *run)
{
    char digest[17];
    snprintf(digest, sizeof digest, "%016" PRIx64, run->totals.digest);
    json_t *printed = json_pack(
        "{s:I, s:O, s:I, s:I, s:I, s:I, s:f, s:s}", "seeds", (json_int_t)run->totals.seeds,
        "failures", run->failures, "events", (json_int_t)run->totals.events, "puts",
        (json_int_t)run->totals.puts, "durable", (json_int_t)run->totals.durable, "virtual_us",
        (json_int_t)run->totals.time_us, "seconds", now_s() - run->begun_s, "trace", digest);
    CHECK(printed != NULL && json_dumpf(printed, stdout, JSON_COMPACT) == 0);
    printf("\n");
    json_decref(printed);
}

static int run_seeds(const struct command_line *line, uint64_t without)
{
    const struct log log = {.line = print_line};
    struct run run = {.begun_s = now_s(), .told_s = now_s()};
    run.end_s = run.begun_s + (double)command_number(line, "seconds", UINT32_MAX);
    uint64_t store_count = command_number(line, "stores", SCENARIO_STORES);
    const struct campaign campaign = {
        .config =
            {
                .seed = command_number(line, "seed", 1),
                .step_count = command_number(line, "steps", SCENARIO_STEPS),
                .worker_count = command_number(line, "workers", SCENARIO_WORKERS),
                .store_count = store_count,
                .receipt_count = command_number(line, "receipts", (store_count + 2) / 2),
                .tolerated_count = command_number(line, "tolerated", 0),
                .without = without,
                .log = command_has(line, "log") ? &log : NULL,
                .on_event = command_has(line, "trace") ? print_event : NULL,
            },
        .seed_count = command_number(line, "seeds", 1),
        .job_count = command_number(line, "jobs", 1),
        .is_over = is_over,
        .on_result = on_result,
        .context = &run,
    };
    run.failures = command_has(line, "json") ? json_array() : NULL;
    // Who looks at one life wants that one.
    bool is_watched = campaign.config.log != NULL || campaign.config.on_event != NULL;
    run.minimised_max = is_watched ? 0 : MINIMISED_MAX;
    if (campaign_run(&campaign) != STATUS_OK) {
        report_error("sim: cannot start a process");
        return COMMAND_COULD_NOT;
    }
    if (run.failures != NULL) {
        print_json(&run);
    } else {
        print_totals(stdout, &run.totals, now_s() - run.begun_s);
        printf("trace %016" PRIx64 "\n", run.totals.digest);
    }
    json_decref(run.failures);
    return run.totals.failures == 0 ? COMMAND_OK : COMMAND_NO;
}

/* docs/simulation.md shows it. */
static int run_curve(const struct command_line *line)
{
    static const size_t counts[] = {10, 30, 100, 300, 1000};
    uint64_t seed = command_number(line, "seed", 1);
    printf("%8s %10s %12s %14s %16s\n", "workers", "frames", "bytes", "frames/worker",
           "bytes/worker");
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct curve_point point = curve_measure(counts[i], CURVE_EPOCHS, seed);
        double frames = (double)point.frames / CURVE_EPOCHS;
        double bytes = (double)point.bytes / CURVE_EPOCHS;
        double workers = (double)point.worker_count;
        printf("%8zu %10.0f %12.0f %14.1f %16.0f\n", point.worker_count, frames, bytes,
               frames / workers, bytes / workers);
        fflush(stdout);
    }
    return COMMAND_OK;
}

/* docs/simulation.md shows it. */
static int run_reads(const struct command_line *line)
{
    static const size_t counts[] = {1, 2, 4, 8, 16};
    uint64_t seed = command_number(line, "seed", 1);
    printf("%8s %10s %14s %14s %12s\n", "workers", "reads/s", "reads/s/worker", "blocks/read",
           "frames/read");
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct curve_reads point = curve_measure_reads(counts[i], seed);
        double reads = (double)point.reads, seconds = (double)point.time_us / 1e6;
        printf("%8zu %10.0f %14.0f %14.2f %12.2f\n", point.worker_count, reads / seconds,
               reads / seconds / (double)point.worker_count, (double)point.blocks / reads,
               (double)point.frames / reads);
        fflush(stdout);
    }
    return COMMAND_OK;
}

int main(int argc, char *argv[])
{
    char error[COMMAND_ERROR_BYTES];
    struct command_line line;
    uint64_t without = 0;
    crypto_init();
    // A seed's memory is the next one's: to give it back and fault it in again took a fifth of the
    // time.
    mallopt(M_MMAP_THRESHOLD, INT_MAX);
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
    enum status status = command_parse(&line, &simulate_command, argc - 1, argv + 1, error);
    if (status == STATUS_OK) {
        status = read_faults(&without, command_text(&line, "without", ""), error);
    }
    if (status != STATUS_OK) {
        report_error("sim: %s; see 'paranoid help sim'", error);
        return COMMAND_USAGE;
    }
    if (command_has(&line, "help")) {
        command_help(&simulate_command, stdout);
        return COMMAND_OK;
    }
    if (command_has(&line, "reads")) {
        return run_reads(&line);
    }
    return command_has(&line, "curve") ? run_curve(&line) : run_seeds(&line, without);
}
