/* sim/main.c */

/* paranoid-sim: run scenarios, seed by seed. Started as 'paranoid sim'. */

#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/report.h"
#include "cli/simulate.h"
#include "crypto/crypto.h"
#include "sim/scenario.h"
#include "wire/frame.h"

enum { REPEAT_BYTES = 160 };
static const double progress_s = 2;

/* How to repeat the seed under way; read by the handler of a crash. */
static char repeat[REPEAT_BYTES];

struct totals {
    uint64_t seeds;
    uint64_t failures;
    uint64_t events;
    uint64_t puts;
    uint64_t durable;
    uint64_t time_us;
    uint64_t digest;
};

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* One of our own checks has failed, or memory was misused: the seed is what we know. */
static void on_crash(int number)
{
    static const char begin[] = "paranoid: the simulation ended in the middle; repeat it with\n  ";
    ssize_t written = write(STDERR_FILENO, begin, sizeof begin - 1);
    written = write(STDERR_FILENO, repeat, strlen(repeat));
    (void)written;
    signal(number, SIG_DFL);
    raise(number);
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

static void add(struct totals *totals, const struct scenario_result *result)
{
    totals->seeds++;
    totals->failures += result->has_failed;
    totals->events += result->event_count;
    totals->puts += result->put_count;
    totals->durable += result->durable_count;
    totals->time_us += result->time_us;
    totals->digest = totals->digest * 31 + result->trace_digest;
}

static void print_totals(FILE *target, const struct totals *totals, double seconds)
{
    fprintf(target,
            "%" PRIu64 " seeds, %" PRIu64 " failed; %" PRIu64 " puts, %" PRIu64
            " durable; %.0f s of virtual time in %.1f s; %.1f seeds/s, %.0f events/s\n",
            totals->seeds, totals->failures, totals->puts, totals->durable,
            (double)totals->time_us / 1e6, seconds, (double)totals->seeds / seconds,
            (double)totals->events / seconds);
}

static int run(const struct command_line *line)
{
    const struct log log = {.line = print_line};
    uint64_t first = command_number(line, "seed", 1);
    uint64_t count = command_number(line, "seeds", 1);
    struct totals totals = {.seeds = 0};
    struct scenario_config config = {
        .step_count = command_number(line, "steps", SCENARIO_STEPS),
        .worker_count = command_number(line, "workers", SCENARIO_WORKERS),
        .store_count = command_number(line, "stores", 1),
        .log = command_has(line, "log") ? &log : NULL,
        .on_event = command_has(line, "trace") ? print_event : NULL,
    };
    double begun_s = now_s(), told_s = begun_s;
    for (uint64_t i = 0; i < count; i++) {
        struct scenario_result result;
        config.seed = first + i;
        snprintf(repeat, sizeof repeat,
                 "paranoid sim --seed %" PRIu64 " --steps %" PRIu64 " --workers %" PRIu64 "\n",
                 config.seed, config.step_count, config.worker_count);
        scenario_run(&config, &result);
        add(&totals, &result);
        if (result.has_failed) {
            printf("seed %" PRIu64 ": %s\n  repeat: %s", config.seed, result.reason, repeat);
            fflush(stdout);
        }
        if (now_s() > told_s + progress_s) {
            told_s = now_s();
            print_totals(stderr, &totals, told_s - begun_s);
        }
    }
    print_totals(stdout, &totals, now_s() - begun_s);
    printf("trace %016" PRIx64 "\n", totals.digest);
    return totals.failures == 0 ? COMMAND_OK : COMMAND_NO;
}

int main(int argc, char *argv[])
{
    char error[COMMAND_ERROR_BYTES];
    struct command_line line;
    crypto_init();
    // A seed's memory is the next one's: to give it back and fault it in again took a fifth of the
    // time.
    mallopt(M_MMAP_THRESHOLD, INT_MAX);
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
    signal(SIGABRT, on_crash);
    signal(SIGSEGV, on_crash);
    if (command_parse(&line, &simulate_command, argc - 1, argv + 1, error) != STATUS_OK) {
        report_error("sim: %s; see 'paranoid help sim'", error);
        return COMMAND_USAGE;
    }
    if (command_has(&line, "help")) {
        command_help(&simulate_command, stdout);
        return COMMAND_OK;
    }
    return run(&line);
}
