/* bench/e2e/request_bench.c */

/*
 * What a client of the real programs sees, everything included: TLS, HTTP, the host's proxy, the
 * rings, the sandbox, JavaScript, the store's disk. A fresh app with one worker of two lambda
 * threads, on this machine, as are the clients, which take their share of its cores.
 *
 *     over one kept connection   invoke a function that touches no state; one that reads a key;
 *                                one that puts a key; put and get by /kv: p50 and p99
 *     over 16 connections        invocations per second, puts per second
 *     a worker's start           from its spawn to its first answer to a new client: it is
 *                                killed, and the host starts another
 *
 * The programs are those of PARANOID_BIN (default: build/bin).
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "bench/e2e/running.h"
#include "crypto/crypto.h"

enum {
    WARM_UP_COUNT = 2000,
    SAMPLE_COUNT = 10000,
    DURABLE_SAMPLE_COUNT = 1000,
    CONNECTION_COUNT = 16,
    RATE_RUNS = 5,
    RATE_MS = 2000,
    START_COUNT = 7,
};

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void deploy(const struct running *bench, const char *name, const char *code)
{
    char path[RUNNING_PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s.js", bench->directory, name);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(code, file) >= 0 && fclose(file) == 0);
    const char *const words[] = {"paranoid", "deploy", path, "--app", bench->app, NULL};
    running_command(bench, words);
}

static void bench_start(struct running *bench)
{
    running_init(bench);
    running_up(bench);
    running_await(bench, "GET", "/healthz");
    deploy(bench, "plain", "exports.handler = (event) => ({ length: event.body.length });\n");
    deploy(bench, "reads", "exports.handler = (e, ctx) => ({ n: ctx.kv.getJSON('n') ?? 0 });\n");
    deploy(bench, "writes",
           "exports.handler = (event, ctx) => { ctx.kv.put('w', event.body); };\n");
    running_await(bench, "POST", "/function/reads");
}

/* ---- one connection ---- */

static void measure_latency(const struct running *bench, const char *what, const char *method,
                            const char *path, size_t count)
{
    static double samples[SAMPLE_COUNT];
    struct client *client = running_connect(bench);
    CHECK(client != NULL);
    for (size_t i = 0; i < WARM_UP_COUNT * count / SAMPLE_COUNT; i++) {
        CHECK(running_ask(bench, client, method, path, "a small body") / 100 == 2);
    }
    for (size_t i = 0; i < count; i++) {
        double begun_us = running_now_us();
        CHECK(running_ask(bench, client, method, path, "a small body") / 100 == 2);
        samples[i] = running_now_us() - begun_us;
    }
    client_close(client);
    qsort(samples, count, sizeof *samples, compare);
    printf("%-40s p50 %8.0f us  p99 %8.0f us\n", what, samples[count / 2],
           samples[count - count / 100 - 1]);
}

/* ---- many connections ---- */

struct runner {
    const struct running *bench;
    const char *method;
    const char *path;
    atomic_bool *is_over;
    size_t count;
};

static void *runner_run(void *context)
{
    struct runner *runner = context;
    struct client *client = running_connect(runner->bench);
    CHECK(client != NULL);
    while (!atomic_load(runner->is_over)) {
        CHECK(running_ask(runner->bench, client, runner->method, runner->path, "a small body") /
                  100 ==
              2);
        runner->count++;
    }
    client_close(client);
    return NULL;
}

static double rate_once(const struct running *bench, const char *method, const char *path)
{
    atomic_bool is_over = false;
    pthread_t threads[CONNECTION_COUNT];
    struct runner runners[CONNECTION_COUNT];
    size_t total = 0;
    double begun_us = running_now_us();
    for (size_t i = 0; i < CONNECTION_COUNT; i++) {
        runners[i] =
            (struct runner){.bench = bench, .method = method, .path = path, .is_over = &is_over};
        CHECK(pthread_create(&threads[i], NULL, runner_run, &runners[i]) == 0);
    }
    for (int i = 0; i < RATE_MS; i++) {
        running_pause_us(1000);
    }
    atomic_store(&is_over, true);
    for (size_t i = 0; i < CONNECTION_COUNT; i++) {
        pthread_join(threads[i], NULL);
        total += runners[i].count;
    }
    return (double)total / (running_now_us() - begun_us) * 1e6;
}

static void measure_rate(const struct running *bench, const char *what, const char *method,
                         const char *path)
{
    double samples[RATE_RUNS];
    for (size_t i = 0; i < RATE_RUNS; i++) {
        samples[i] = rate_once(bench, method, path);
    }
    running_print(what, samples, RATE_RUNS, "per second");
}

/* ---- a worker's start ---- */

/* When the host says that it started a process, in milliseconds since 1970; 0: it does not. */
static double spawned_ms(const struct running *bench, pid_t pid)
{
    char path[RUNNING_PATH_BYTES], line[1024], wanted[32];
    double found = 0;
    snprintf(path, sizeof path, "%s/host/host.log", bench->app);
    snprintf(wanted, sizeof wanted, " pid=%d ", (int)pid);
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strstr(line, "enclave started ") != NULL && strstr(line, wanted) != NULL) {
            found = strtod(line, NULL) * 1e3;
        }
    }
    fclose(file);
    return found;
}

static void measure_start(const struct running *bench)
{
    double from_spawn[START_COUNT], from_death[START_COUNT];
    for (size_t i = 0; i < START_COUNT; i++) {
        struct timespec now;
        pid_t old = running_pid(bench, "worker");
        CHECK(old > 0);
        double begun_us = running_now_us();
        kill(old, SIGKILL);
        // Seldom enough to leave it the processor.
        for (pid_t next = old; next == 0 || next == old; next = running_pid(bench, "worker")) {
            running_pause_us(2000);
        }
        running_await(bench, "POST", "/function/plain");
        CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
        from_death[i] = (running_now_us() - begun_us) / 1e3;
        from_spawn[i] = (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6 -
                        spawned_ms(bench, running_pid(bench, "worker"));
    }
    running_print("worker: from spawn to its first answer", from_spawn, START_COUNT, "ms");
    running_print("worker: from kill -9 to the next's answer", from_death, START_COUNT, "ms");
}

int main(void)
{
    struct running bench;
    signal(SIGPIPE, SIG_IGN);
    crypto_init();
    bench_start(&bench);
    measure_start(&bench);  // first: a start reads the whole history, and there is none yet
    measure_latency(&bench, "invoke, no state", "POST", "/function/plain", SAMPLE_COUNT);
    measure_latency(&bench, "invoke, one get", "POST", "/function/reads", SAMPLE_COUNT);
    measure_latency(&bench, "invoke, one put, durable", "POST", "/function/writes",
                    DURABLE_SAMPLE_COUNT);
    measure_latency(&bench, "put by /kv, durable", "PUT", "/kv/bench", DURABLE_SAMPLE_COUNT);
    measure_latency(&bench, "get by /kv", "GET", "/kv/bench", SAMPLE_COUNT);
    measure_rate(&bench, "16 connections: invoke, no state", "POST", "/function/plain");
    measure_rate(&bench, "16 connections: get by /kv", "GET", "/kv/bench");
    measure_rate(&bench, "16 connections: put by /kv, durable", "PUT", "/kv/bench");
    running_down(&bench);
    running_release(&bench);
    return 0;
}
