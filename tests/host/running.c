/* tests/host/running.c */
#include "tests/host/running.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "attest/simulated.h"
#include "base/check.h"
#include "base/random.h"
#include "tests/host/fake_enclave.h"
#include "tests/support/capsule_world.h"

static void log_to_stderr(void *context, const char *text)
{
    (void)context;
    if (getenv("HOST_TEST_LOG") != NULL) {
        fprintf(stderr, "%s\n", text);
    }
}

static const struct log test_log = {.line = log_to_stderr};

static void put_file(const struct running *running, const char *name, const void *bytes,
                     size_t length)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", running->state, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0);
    CHECK(write(fd, bytes, length) == (ssize_t)length);
    close(fd);
}

/* The simulated vendor's part. */
static void put_platform(const struct running *running)
{
    const struct random random = random_kernel();
    struct sign_key *vendor = sign_key_new(&random);
    const struct simulated_terms terms = {.tcb_level = 1, .not_after_s = UINT32_MAX};
    struct simulated_platform *platform = simulated_platform_new(&random, vendor, &terms);
    uint8_t bytes[SIMULATED_PLATFORM_BYTES];
    simulated_platform_encode(platform, bytes);
    put_file(running, HOST_FILE_PLATFORM, bytes, sizeof bytes);

    struct buffer tcb = BUFFER_EMPTY;
    const struct simulated_tcb statement = {
        .next_update_s = UINT32_MAX,
        .levels = {{.tcb_level = 1, .status = TCB_UP_TO_DATE}},
        .level_count = 1,
    };
    CHECK(simulated_tcb_encode(&statement, vendor, &tcb) == STATUS_OK);
    put_file(running, HOST_FILE_TCB, tcb.bytes, tcb.length);
    buffer_release(&tcb);
    simulated_platform_free(platform);
    sign_key_free(vendor);
}

static void put_program(const struct running *running, const char *name)
{
    char self[512];
    char path[512];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(length > 0);
    self[length] = '\0';
    (void)snprintf(path, sizeof path, "%s/%s", running->programs, name);
    CHECK(symlink(self, path) == 0);
}

/* The real one, beside the tests. */
static void put_store_program(const struct running *running)
{
    char real[512];
    char path[512];
    const char *programs = getenv("PARANOID_BIN");
    CHECK(programs != NULL);
    (void)snprintf(real, sizeof real, "%s/%s", programs, HOST_PROGRAM_STORE);
    (void)snprintf(path, sizeof path, "%s/%s", running->programs, HOST_PROGRAM_STORE);
    CHECK(access(real, X_OK) == 0);
    CHECK(symlink(real, path) == 0);
}

void running_init(struct running *running)
{
    char path[256];
    struct capsule_world world;
    *running = (struct running){.control = -1};
    scratch_make(running->directory, "host");
    (void)snprintf(running->state, sizeof running->state, "%s/state", running->directory);
    (void)snprintf(running->programs, sizeof running->programs, "%s/programs", running->directory);
    (void)snprintf(path, sizeof path, "%s/%s", running->state, "capsule");
    CHECK(mkdir(running->state, 0700) == 0 && mkdir(running->programs, 0700) == 0 &&
          mkdir(path, 0700) == 0);

    capsule_world_init(&world, FAKE_ENCLAVE_SEED, 1, 1, 0);
    put_file(running, HOST_FILE_GENESIS, world.genesis_body.bytes, world.genesis_body.length);
    put_file(running, "store.key", sign_key_seed(world.store_keys[0]), SIGN_SEED_BYTES);
    capsule_world_release(&world);
    put_platform(running);
    put_program(running, HOST_PROGRAM_LEADER);
    put_program(running, HOST_PROGRAM_WORKER);
    put_store_program(running);
    running->config = (struct host_config){
        .state_directory = running->state,
        .program_directory = running->programs,
        .worker_count = 2,
        .lambda_threads = 2,
        .log = &test_log,
    };
}

void running_release(struct running *running)
{
    if (running->control >= 0) {
        close(running->control);
    }
    if (running->pid > 0) {
        kill(running->pid, SIGKILL);
        waitpid(running->pid, NULL, 0);
    }
    scratch_remove(running->directory);
}

/* Waits between two looks at a condition, at most RUNNING_LOST_MS together. */
struct patience {
    int waited_ms;
};

static void wait_more(struct patience *patience)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    CHECK(patience->waited_ms < RUNNING_LOST_MS);
    nanosleep(&pause, NULL);
    patience->waited_ms += 5;
}

static void read_host_json(struct running *running)
{
    char path[256];
    struct patience patience = {0};
    (void)snprintf(path, sizeof path, "%s/%s", running->state, HOST_FILE_STATUS);
    while (access(path, R_OK) != 0) {
        CHECK(waitpid(running->pid, NULL, WNOHANG) == 0);
        wait_more(&patience);
    }
    json_t *host = json_load_file(path, 0, NULL);
    CHECK(host != NULL);
    running->base_port = (uint16_t)json_integer_value(json_object_get(host, "base_port"));
    running->metrics_port = (uint16_t)json_integer_value(json_object_get(host, "metrics_port"));
    const json_t *ports = json_object_get(host, "worker_ports");
    CHECK(json_array_size(ports) == running->config.worker_count);
    for (size_t i = 0; i < json_array_size(ports); i++) {
        running->worker_ports[i] = (uint16_t)json_integer_value(json_array_get(ports, i));
    }
    CHECK(json_integer_value(json_object_get(host, "pid")) == running->pid);
    json_decref(host);
}

enum status running_try(struct running *running, char error[HOST_ERROR_BYTES_MAX])
{
    return host_run(&running->config, error);
}

void running_start(struct running *running)
{
    running->pid = fork();
    CHECK(running->pid >= 0);
    if (running->pid == 0) {
        // A test that fails by a CHECK takes its host along.
        CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
        char error[HOST_ERROR_BYTES_MAX] = "";
        enum status status = host_run(&running->config, error);
        if (status != STATUS_OK) {
            fprintf(stderr, "%s\n", error);
        }
        exit((int)status);  // with a look for leaks
    }
    read_host_json(running);
    running->control = running_control(running);
}

void running_start_ready(struct running *running)
{
    struct buffer buffer = BUFFER_EMPTY;
    running_start(running);
    running_hear_kind(running->control, &buffer, FRAME_HELLO);
    running_tell(running->control, FRAME_JOIN, &frame_to_leader, bytes_text("lead"));
    for (uint32_t i = 0; i < 1 + running->config.worker_count; i++) {
        running_hear_kind(running->control, &buffer, FRAME_READY);
    }
    buffer_release(&buffer);
}

enum status running_wait(struct running *running)
{
    int how = -1;
    struct patience patience = {0};
    while (waitpid(running->pid, &how, WNOHANG) == 0) {
        wait_more(&patience);
    }
    running->pid = 0;
    CHECK(WIFEXITED(how));
    return (enum status)WEXITSTATUS(how);
}

// ---- sockets ----

static void wait_for(int fd, short events)
{
    struct pollfd ready = {.fd = fd, .events = events};
    CHECK(poll(&ready, 1, RUNNING_LOST_MS) == 1);
}

int running_connect(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr = {htonl(INADDR_LOOPBACK)},
    };
    CHECK(fd >= 0);
    CHECK(connect(fd, (const struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

void running_write(int fd, const void *bytes, size_t length)
{
    const char *at = bytes;
    while (length > 0) {
        wait_for(fd, POLLOUT);
        ssize_t sent = send(fd, at, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN) {
            continue;
        }
        CHECK(sent > 0);
        at += sent;
        length -= (size_t)sent;
    }
}

size_t running_read(int fd, void *bytes, size_t length)
{
    char *at = bytes;
    size_t left = length;
    while (left > 0) {
        wait_for(fd, POLLIN);
        ssize_t got = recv(fd, at, left, 0);
        if (got <= 0) {
            break;
        }
        at += got;
        left -= (size_t)got;
    }
    return length - left;
}

// ---- HTTP ----

enum { ANSWER_BYTES_MAX = 1 << 20 };

/* The whole answer, however long it is. False: the connection ended before. */
static bool get_once(const struct running *running, const char *path, char *answer)
{
    char request[256];
    int fd = running_connect(running->metrics_port);
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    running_write(fd, request, (size_t)length);
    size_t got = running_read(fd, answer, ANSWER_BYTES_MAX - 1);
    answer[got] = '\0';
    close(fd);
    const char *body = strstr(answer, "\r\n\r\n");
    const char *body_bytes = strstr(answer, "Content-Length: ");
    return body != NULL && body_bytes != NULL && body_bytes < body &&
           strlen(body + 4) == strtoul(body_bytes + 16, NULL, 10);
}

char *running_get(const struct running *running, const char *path, int *code)
{
    struct patience patience = {0};
    char *answer = malloc(ANSWER_BYTES_MAX);
    CHECK(answer != NULL);
    // Whoever stands still for some seconds is hung up on.
    while (!get_once(running, path, answer)) {
        wait_more(&patience);
    }
    CHECK(strncmp(answer, "HTTP/1.1 ", 9) == 0);
    if (code != NULL) {
        *code = (int)strtol(answer + 9, NULL, 10);
    }
    const char *body = strstr(answer, "\r\n\r\n") + 4;
    memmove(answer, body, strlen(body) + 1);
    return answer;
}

json_t *running_status(const struct running *running)
{
    char *text = running_get(running, "/status", NULL);
    json_t *status = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    CHECK(status != NULL);
    free(text);
    return status;
}

json_t *running_enclave(json_t *status, const char *role, int index)
{
    json_t *found = NULL;
    const json_t *enclaves = json_object_get(status, "enclaves");
    for (size_t i = 0; i < json_array_size(enclaves); i++) {
        json_t *enclave = json_array_get(enclaves, i);
        if (strcmp(json_string_value(json_object_get(enclave, "role")), role) == 0 &&
            json_integer_value(json_object_get(enclave, "index")) == index) {
            found = enclave;
        }
    }
    CHECK(found != NULL);
    return found;
}

/* The value on the line that begins with `name` and a space; -1: there is none. */
static double metric_value(const char *text, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = text; line != NULL && *line != '\0';) {
        if (strncmp(line, name, length) == 0 && line[length] == ' ') {
            return strtod(line + length + 1, NULL);
        }
        line = strchr(line, '\n');
        line = line == NULL ? NULL : line + 1;
    }
    return -1;
}

double running_metric(const struct running *running, const char *name)
{
    char *text = running_get(running, "/metrics", NULL);
    double value = metric_value(text, name);
    free(text);
    return value;
}

void running_wait_metric(const struct running *running, const char *name, double value)
{
    struct patience patience = {0};
    while (running_metric(running, name) < value) {
        wait_more(&patience);
    }
}

// ---- the control socket ----

int running_control(const struct running *running)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", running->state,
                          HOST_FILE_SOCKET);
    CHECK(length < (int)sizeof address.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK(connect(fd, (const struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

void running_tell(int control, enum frame_kind kind, const struct writer_id *peer,
                  struct bytes body)
{
    uint32_t length = (uint32_t)(FRAME_HEADER_BYTES + body.length);
    uint8_t head[4 + FRAME_HEADER_BYTES] = {(uint8_t)length, (uint8_t)(length >> 8),
                                            (uint8_t)(length >> 16), (uint8_t)(length >> 24)};
    frame_header(head + 4, kind, 5, peer);
    running_write(control, head, sizeof head);
    running_write(control, body.at, body.length);
}

struct frame running_hear(int control, struct buffer *buffer)
{
    uint8_t head[4];
    struct frame frame;
    CHECK(running_read(control, head, sizeof head) == sizeof head);
    size_t length = (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16;
    buffer_clear(buffer);
    CHECK(buffer_reserve(buffer, length) == STATUS_OK);
    CHECK(running_read(control, buffer->bytes, length) == length);
    buffer->length = length;
    CHECK(frame_decode(&frame, buffer_bytes(buffer)) == STATUS_OK);
    return frame;
}

struct frame running_hear_kind(int control, struct buffer *buffer, enum frame_kind kind)
{
    struct frame frame;
    do {
        frame = running_hear(control, buffer);
    } while (frame.kind != kind);
    return frame;
}
