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
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/client.h"
#include "cli/service.h"
#include "crypto/crypto.h"

enum {
    WARM_UP_COUNT = 2000,
    SAMPLE_COUNT = 10000,
    DURABLE_SAMPLE_COUNT = 1000,
    CONNECTION_COUNT = 16,
    RATE_RUNS = 5,
    RATE_MS = 2000,
    START_COUNT = 7,
    READY_MS_MAX = 20 * 1000,
    PATH_BYTES = 512,
};

extern char **environ;

struct bench {
    char directory[64];
    char programs[256];
    pid_t up;
    struct command_value app_option;
    struct command_line line;
    struct service service;
};

static double now_us(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void pause_us(long us)
{
    const struct timespec time = {.tv_nsec = us * 1000};
    nanosleep(&time, NULL);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* ---- the programs ---- */

static pid_t start(const struct bench *bench, const char *const words[])
{
    char program[PATH_BYTES];
    pid_t pid;
    posix_spawn_file_actions_t actions;
    snprintf(program, sizeof program, "%s/paranoid", bench->programs);
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0) == 0);
    CHECK(posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0) == 0);
    // exec takes what it will not change as if it might.
    int result =
        posix_spawn(&pid, program, &actions, NULL, (char *const *)(uintptr_t)words, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (result != 0) {
        fprintf(stderr, "request_bench: cannot start '%s': %s\n", program, strerror(result));
        exit(3);
    }
    return pid;
}

static void run(const struct bench *bench, const char *const words[])
{
    int how;
    CHECK(waitpid(start(bench, words), &how, 0) > 0);
    if (!WIFEXITED(how) || WEXITSTATUS(how) != 0) {
        fprintf(stderr, "request_bench: paranoid %s failed\n", words[1]);
        exit(3);
    }
}

/* A connection to the worker, or NULL; silent, as there may be none yet. */
static struct client *try_connect(const struct bench *bench)
{
    char error[CLIENT_ERROR_BYTES];
    struct client *client = NULL;
    const json_t *ports = json_object_get(bench->service.ports, "worker_ports");
    const struct client_target target = {
        .host = "localhost",
        .port = (uint16_t)json_integer_value(json_array_get(ports, 0)),
        .root_pem = buffer_bytes(&bench->service.root_pem),
        .timeout_ms = CLIENT_TIMEOUT_MS,
    };
    return client_open(&client, &target, error) == STATUS_OK ? client : NULL;
}

/* The status of the answer; 0: there is none. */
static unsigned ask(const struct bench *bench, struct client *client, const char *method,
                    const char *path, const char *body)
{
    char error[CLIENT_ERROR_BYTES];
    const struct client_request request = {
        .method = method,
        .target = path,
        .headers = bench->service.authorization,
        .body = bytes_text(body),
    };
    struct client_response response;
    enum status status = client_ask(client, &request, &response, error);
    unsigned answer = status == STATUS_OK ? response.status : 0;
    client_response_release(&response);
    return answer;
}

/* Connect and ask once. */
static bool answers(const struct bench *bench, const char *method, const char *path)
{
    struct client *client = try_connect(bench);
    bool is_well = client != NULL && ask(bench, client, method, path, "") == 200;
    client_close(client);
    return is_well;
}

static void await_answer(const struct bench *bench, const char *method, const char *path)
{
    double due_us = now_us() + READY_MS_MAX * 1e3;
    while (!answers(bench, method, path)) {
        if (now_us() > due_us) {
            fprintf(stderr, "request_bench: no answer to %s\n", path);
            kill(bench->up, SIGTERM);
            exit(3);
        }
        pause_us(1000);
    }
}

static void deploy(const struct bench *bench, const char *name, const char *code)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s.js", bench->directory, name);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(code, file) >= 0 && fclose(file) == 0);
    const char *const words[] = {"paranoid", "deploy", path, "--app", bench->app_option.text, NULL};
    run(bench, words);
}

static void bench_start(struct bench *bench)
{
    static char app[PATH_BYTES / 2], status_file[PATH_BYTES];
    struct stat stat_of;
    const char *programs = getenv("PARANOID_BIN");
    *bench = (struct bench){.directory = "/tmp/paranoid-bench-XXXXXX"};
    snprintf(bench->programs, sizeof bench->programs, "%s",
             programs != NULL ? programs : "build/bin");
    CHECK(mkdtemp(bench->directory) != NULL);
    snprintf(app, sizeof app, "%s/app", bench->directory);
    snprintf(status_file, sizeof status_file, "%s/host/host.json", app);
    bench->app_option = (struct command_value){.name = "app", .text = app};
    bench->line.values[0] = bench->app_option;
    bench->line.value_count = 1;

    const char *const init[] = {"paranoid", "init", app, NULL};
    const char *const up[] = {"paranoid", "up",        "--app", app, "--workers",
                              "1",        "--threads", "2",     NULL};
    run(bench, init);
    bench->up = start(bench, up);
    double due_us = now_us() + READY_MS_MAX * 1e3;
    while (stat(status_file, &stat_of) != 0 && now_us() < due_us) {
        pause_us(1000);
    }
    CHECK(service_open(&bench->service, &bench->line) == STATUS_OK);
    await_answer(bench, "GET", "/healthz");
    deploy(bench, "plain", "exports.handler = (event) => ({ length: event.body.length });\n");
    deploy(bench, "reads", "exports.handler = (e, ctx) => ({ n: ctx.kv.getJSON('n') ?? 0 });\n");
    deploy(bench, "writes",
           "exports.handler = (event, ctx) => { ctx.kv.put('w', event.body); };\n");
    await_answer(bench, "POST", "/function/reads");
}

static void bench_end(struct bench *bench)
{
    const char *const words[] = {"rm", "-rf", bench->directory, NULL};
    pid_t pid;
    int how;
    kill(bench->up, SIGINT);
    CHECK(waitpid(bench->up, &how, 0) == bench->up);
    service_release(&bench->service);
    if (posix_spawnp(&pid, "rm", NULL, NULL, (char *const *)(uintptr_t)words, environ) == 0) {
        waitpid(pid, NULL, 0);
    }
}

/* ---- one connection ---- */

static void measure_latency(const struct bench *bench, const char *what, const char *method,
                            const char *path, size_t count)
{
    static double samples[SAMPLE_COUNT];
    struct client *client = try_connect(bench);
    CHECK(client != NULL);
    for (size_t i = 0; i < WARM_UP_COUNT * count / SAMPLE_COUNT; i++) {
        CHECK(ask(bench, client, method, path, "a small body") / 100 == 2);
    }
    for (size_t i = 0; i < count; i++) {
        double begun_us = now_us();
        CHECK(ask(bench, client, method, path, "a small body") / 100 == 2);
        samples[i] = now_us() - begun_us;
    }
    client_close(client);
    qsort(samples, count, sizeof *samples, compare);
    printf("%-40s p50 %8.0f us  p99 %8.0f us\n", what, samples[count / 2],
           samples[count - count / 100 - 1]);
}

/* ---- many connections ---- */

struct runner {
    const struct bench *bench;
    const char *method;
    const char *path;
    atomic_bool *is_over;
    size_t count;
};

static void *runner_run(void *context)
{
    struct runner *runner = context;
    struct client *client = try_connect(runner->bench);
    CHECK(client != NULL);
    while (!atomic_load(runner->is_over)) {
        CHECK(ask(runner->bench, client, runner->method, runner->path, "a small body") / 100 == 2);
        runner->count++;
    }
    client_close(client);
    return NULL;
}

static double rate_once(const struct bench *bench, const char *method, const char *path)
{
    atomic_bool is_over = false;
    pthread_t threads[CONNECTION_COUNT];
    struct runner runners[CONNECTION_COUNT];
    size_t total = 0;
    double begun_us = now_us();
    for (size_t i = 0; i < CONNECTION_COUNT; i++) {
        runners[i] =
            (struct runner){.bench = bench, .method = method, .path = path, .is_over = &is_over};
        CHECK(pthread_create(&threads[i], NULL, runner_run, &runners[i]) == 0);
    }
    for (int i = 0; i < RATE_MS; i++) {
        pause_us(1000);
    }
    atomic_store(&is_over, true);
    for (size_t i = 0; i < CONNECTION_COUNT; i++) {
        pthread_join(threads[i], NULL);
        total += runners[i].count;
    }
    return (double)total / (now_us() - begun_us) * 1e6;
}

static void print_spread(const char *what, double *samples, size_t count, const char *unit)
{
    qsort(samples, count, sizeof *samples, compare);
    printf("%-40s %8.0f %s (%.0f to %.0f in %zu runs)\n", what, samples[count / 2], unit,
           samples[0], samples[count - 1], count);
}

static void measure_rate(const struct bench *bench, const char *what, const char *method,
                         const char *path)
{
    double samples[RATE_RUNS];
    for (size_t i = 0; i < RATE_RUNS; i++) {
        samples[i] = rate_once(bench, method, path);
    }
    print_spread(what, samples, RATE_RUNS, "per second");
}

/* ---- a worker's start ---- */

/* The process of the worker that is ready; 0: there is none. */
static pid_t worker_pid(const struct bench *bench)
{
    pid_t pid = 0;
    json_t *status = service_host_page(bench->service.ports, "/status");
    size_t index;
    json_t *enclave;
    json_array_foreach(json_object_get(status, "enclaves"), index, enclave)
    {
        const char *role = json_string_value(json_object_get(enclave, "role"));
        const char *state = json_string_value(json_object_get(enclave, "state"));
        if (role != NULL && strcmp(role, "worker") == 0 && state != NULL &&
            strcmp(state, "ready") == 0) {
            pid = (pid_t)json_integer_value(json_object_get(enclave, "pid"));
        }
    }
    json_decref(status);
    return pid;
}

/* When the host says that it started a process, in milliseconds since 1970; 0: it does not. */
static double spawned_ms(const struct bench *bench, pid_t pid)
{
    char path[PATH_BYTES], line[1024], wanted[32];
    double found = 0;
    snprintf(path, sizeof path, "%s/host/host.log", bench->app_option.text);
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

static void measure_start(const struct bench *bench)
{
    double from_spawn[START_COUNT], from_death[START_COUNT];
    for (size_t i = 0; i < START_COUNT; i++) {
        struct timespec now;
        pid_t old = worker_pid(bench);
        CHECK(old > 0);
        double begun_us = now_us();
        kill(old, SIGKILL);
        // Seldom enough to leave it the processor.
        for (pid_t next = old; next == 0 || next == old; next = worker_pid(bench)) {
            pause_us(2000);
        }
        await_answer(bench, "POST", "/function/plain");
        CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
        from_death[i] = (now_us() - begun_us) / 1e3;
        from_spawn[i] = (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6 -
                        spawned_ms(bench, worker_pid(bench));
    }
    print_spread("worker: from spawn to its first answer", from_spawn, START_COUNT, "ms");
    print_spread("worker: from kill -9 to the next's answer", from_death, START_COUNT, "ms");
}

int main(void)
{
    struct bench bench;
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
    bench_end(&bench);
    return 0;
}
