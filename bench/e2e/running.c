/* bench/e2e/running.c */
#include "bench/e2e/running.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

enum { READY_MS_MAX = 120 * 1000, KILLED_MAX = 16 };

extern char **environ;

double running_now_us(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

void running_pause_us(long us)
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

void running_print(const char *what, double *samples, size_t count, const char *unit)
{
    qsort(samples, count, sizeof *samples, compare);
    printf("%-40s %8.0f %s (%.0f to %.0f in %zu runs)\n", what, samples[count / 2], unit,
           samples[0], samples[count - 1], count);
}

/* ---- the programs ---- */

static pid_t start(const struct running *running, const char *const words[])
{
    char program[RUNNING_PATH_BYTES];
    pid_t pid;
    posix_spawn_file_actions_t actions;
    snprintf(program, sizeof program, "%s/paranoid", running->programs);
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0) == 0);
    CHECK(posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0) == 0);
    // exec takes what it will not change as if it might.
    int result =
        posix_spawn(&pid, program, &actions, NULL, (char *const *)(uintptr_t)words, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (result != 0) {
        fprintf(stderr, "bench: cannot start '%s': %s\n", program, strerror(result));
        exit(3);
    }
    return pid;
}

void running_command(const struct running *running, const char *const words[])
{
    int how;
    CHECK(waitpid(start(running, words), &how, 0) > 0);
    if (!WIFEXITED(how) || WEXITSTATUS(how) != 0) {
        fprintf(stderr, "bench: paranoid %s failed\n", words[1]);
        exit(3);
    }
}

void running_init(struct running *running)
{
    const char *programs = getenv("PARANOID_BIN");
    *running = (struct running){.directory = "/tmp/paranoid-bench-XXXXXX"};
    snprintf(running->programs, sizeof running->programs, "%s",
             programs != NULL ? programs : "build/bin");
    CHECK(mkdtemp(running->directory) != NULL);
    snprintf(running->app, sizeof running->app, "%s/app", running->directory);
    running->app_option = (struct command_value){.name = "app", .text = running->app};
    running->line.values[0] = running->app_option;
    running->line.value_count = 1;
    const char *const init[] = {"paranoid", "init", running->app, NULL};
    running_command(running, init);
}

static void path_of_ports(const struct running *running, char path[RUNNING_PATH_BYTES])
{
    snprintf(path, RUNNING_PATH_BYTES, "%s/host/host.json", running->app);
}

void running_up(struct running *running)
{
    char status_file[RUNNING_PATH_BYTES];
    struct stat stat_of;
    const char *const up[] = {"paranoid", "up",        "--app", running->app, "--workers",
                              "1",        "--threads", "2",     NULL};
    path_of_ports(running, status_file);
    running->up = start(running, up);
    double due_us = running_now_us() + READY_MS_MAX * 1e3;
    while (stat(status_file, &stat_of) != 0 && running_now_us() < due_us) {
        running_pause_us(1000);
    }
    CHECK(service_open(&running->service, &running->line) == STATUS_OK);
}

void running_down(struct running *running)
{
    int how;
    kill(running->up, SIGINT);
    CHECK(waitpid(running->up, &how, 0) == running->up);
    service_release(&running->service);
}

/* ---- its sudden end ---- */

struct killed {
    int fds[KILLED_MAX];
    size_t count;
};

static void kill_one(struct killed *killed, pid_t pid)
{
    CHECK(pid > 1 && killed->count < KILLED_MAX);
    int fd = pidfd_open(pid, 0);
    if (fd >= 0) {
        (void)pidfd_send_signal(fd, SIGKILL, NULL, 0);
        killed->fds[killed->count++] = fd;
    }
}

/* Kill what a list in GET /status names. */
static void kill_listed(struct killed *killed, const json_t *status, const char *list)
{
    size_t index;
    json_t *process;
    json_array_foreach(json_object_get(status, list), index, process)
    {
        pid_t pid = (pid_t)json_integer_value(json_object_get(process, "pid"));
        if (pid > 1) {
            kill_one(killed, pid);
        }
    }
}

/* Until they are gone, and their locks with them. */
static void await_killed(struct killed *killed)
{
    for (size_t i = 0; i < killed->count; i++) {
        struct pollfd end = {.fd = killed->fds[i], .events = POLLIN};
        CHECK(poll(&end, 1, READY_MS_MAX) == 1);
        close(killed->fds[i]);
    }
}

void running_kill(struct running *running)
{
    struct killed killed = {.count = 0};
    char path[RUNNING_PATH_BYTES];
    int how;
    json_t *status = service_host_page(running->service.ports, "/status");
    CHECK(status != NULL);
    kill_one(&killed, running->up);
    kill_one(&killed, (pid_t)json_integer_value(json_object_get(running->service.ports, "pid")));
    kill_listed(&killed, status, "stores");
    kill_listed(&killed, status, "enclaves");
    CHECK(waitpid(running->up, &how, 0) == running->up);
    await_killed(&killed);
    json_decref(status);
    service_release(&running->service);
    // It would speak of ports that nobody listens at.
    path_of_ports(running, path);
    unlink(path);
}

void running_release(struct running *running)
{
    const char *const words[] = {"rm", "-rf", running->directory, NULL};
    pid_t pid;
    if (posix_spawnp(&pid, "rm", NULL, NULL, (char *const *)(uintptr_t)words, environ) == 0) {
        waitpid(pid, NULL, 0);
    }
}

/* ---- its answers ---- */

struct client *running_connect(const struct running *running)
{
    char error[CLIENT_ERROR_BYTES];
    struct client *client = NULL;
    const json_t *ports = json_object_get(running->service.ports, "worker_ports");
    const struct client_target target = {
        .host = "localhost",
        .port = (uint16_t)json_integer_value(json_array_get(ports, 0)),
        .root_pem = buffer_bytes(&running->service.root_pem),
        .timeout_ms = CLIENT_TIMEOUT_MS,
    };
    return client_open(&client, &target, error) == STATUS_OK ? client : NULL;
}

unsigned running_ask(const struct running *running, struct client *client, const char *method,
                     const char *path, const char *body)
{
    char error[CLIENT_ERROR_BYTES];
    const struct client_request request = {
        .method = method,
        .target = path,
        .headers = running->service.authorization,
        .body = bytes_text(body),
    };
    struct client_response response;
    enum status status = client_ask(client, &request, &response, error);
    unsigned answer = status == STATUS_OK ? response.status : 0;
    client_response_release(&response);
    return answer;
}

/* Connect and ask once. */
static bool answers(const struct running *running, const char *method, const char *path)
{
    struct client *client = running_connect(running);
    bool is_well = client != NULL && running_ask(running, client, method, path, "") == 200;
    client_close(client);
    return is_well;
}

void running_await(const struct running *running, const char *method, const char *path)
{
    double due_us = running_now_us() + READY_MS_MAX * 1e3;
    while (!answers(running, method, path)) {
        if (running_now_us() > due_us) {
            fprintf(stderr, "bench: no answer to %s\n", path);
            kill(running->up, SIGTERM);
            exit(3);
        }
        running_pause_us(1000);
    }
}

/* Of GET /status: the one that has this role and is ready; NULL: there is none. */
static const json_t *find_ready(const json_t *status, const char *role)
{
    size_t index;
    const json_t *enclave;
    json_array_foreach(json_object_get(status, "enclaves"), index, enclave)
    {
        const char *its_role = json_string_value(json_object_get(enclave, "role"));
        const char *state = json_string_value(json_object_get(enclave, "state"));
        if (its_role != NULL && strcmp(its_role, role) == 0 && state != NULL &&
            strcmp(state, "ready") == 0) {
            return enclave;
        }
    }
    return NULL;
}

pid_t running_pid(const struct running *running, const char *role)
{
    json_t *status = service_host_page(running->service.ports, "/status");
    pid_t pid = (pid_t)json_integer_value(json_object_get(find_ready(status, role), "pid"));
    json_decref(status);
    return pid;
}

uint64_t running_worker_metric(const struct running *running, const char *name)
{
    json_t *status = service_host_page(running->service.ports, "/status");
    const json_t *metrics = json_object_get(find_ready(status, "worker"), "metrics");
    uint64_t value = (uint64_t)json_integer_value(json_object_get(metrics, name));
    json_decref(status);
    return value;
}
