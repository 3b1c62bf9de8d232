/* bench/ring/ring_bench.c */

/*
 * Two processes on two processors: how long a message takes there and back,
 * and how many go one way, through a port, a pipe and a UNIX socket, in the
 * same run. Prints the median of five rounds and their range, and how many
 * times the port is better. "sleeping" is a port whose host end waits in
 * poll() for every frame, as a host with nothing else to do would.
 *
 * The ratios are what counts: the distance of two virtual processors changes
 * fourfold between minutes.
 */
#define _GNU_SOURCE  // sched_setaffinity
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "ring/port.h"
#include "ring/wall.h"

enum { ROUND_COUNT = 5, MESSAGE_BYTES_MAX = 1024 };

/* One end of what is measured. */
struct end {
    void (*send)(struct end *end, const void *message, size_t length);
    void (*receive)(struct end *end, void *message, size_t length);
    struct port *port;
    struct buffer frame;
    uint32_t host_spin_count;
    int read_fd;
    int write_fd;
};

static void fd_send(struct end *end, const void *message, size_t length)
{
    CHECK(write(end->write_fd, message, length) == (ssize_t)length);
}

static void fd_receive(struct end *end, void *message, size_t length)
{
    size_t have = 0;
    while (have < length) {
        ssize_t got = read(end->read_fd, (uint8_t *)message + have, length - have);
        CHECK(got > 0);
        have += (size_t)got;
    }
}

static void host_sleep(struct end *end)
{
    struct pollfd bell = {.fd = end->port->self.wake_fd, .events = POLLIN};
    for (uint32_t i = 0; i < end->host_spin_count; i++) {
        if (ring_is_ready(&end->port->in)) {
            return;
        }
        __builtin_ia32_pause();
    }
    if (port_arm(end->port)) {
        CHECK(poll(&bell, 1, -1) == 1);
        port_disarm(end->port);
    }
}

static void host_send(struct end *end, const void *message, size_t length)
{
    struct bytes part = bytes_of(message, length);
    enum status status;
    while ((status = port_send(end->port, &part, 1)) == STATUS_FULL) {
        host_sleep(end);
    }
    CHECK(status == STATUS_OK);
}

static void host_receive(struct end *end, void *message, size_t length)
{
    enum status status;
    while ((status = port_receive(end->port, &end->frame)) == STATUS_EMPTY) {
        host_sleep(end);
    }
    CHECK(status == STATUS_OK && end->frame.length == length);
    memcpy(message, end->frame.bytes, length);
}

static void enclave_send(struct end *end, const void *message, size_t length)
{
    struct bytes part = bytes_of(message, length);
    enum status status;
    while ((status = port_send(end->port, &part, 1)) == STATUS_FULL) {
        CHECK(port_wait_for_room(end->port, -1) == STATUS_OK);
    }
    CHECK(status == STATUS_OK);
}

static void enclave_receive(struct end *end, void *message, size_t length)
{
    enum status status;
    while ((status = port_receive(end->port, &end->frame)) == STATUS_EMPTY) {
        CHECK(port_wait(end->port, -1) == STATUS_OK);
    }
    CHECK(status == STATUS_OK && end->frame.length == length);
    memcpy(message, end->frame.bytes, length);
}

static double seconds_now(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void run_on(size_t processor)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    // Where there is only one, the figures are those of one.
    (void)!sched_setaffinity(0, sizeof set, &set);
}

/* What the child does for one measurement: echo, or take all and answer once. */
static void answer(struct end *end, size_t length, uint64_t count, bool is_stream)
{
    static uint8_t message[MESSAGE_BYTES_MAX];
    for (uint64_t i = 0; i < count; i++) {
        end->receive(end, message, length);
        if (!is_stream || i == count - 1) {
            end->send(end, message, length);
        }
    }
}

/* Seconds per message. */
static double ask(struct end *end, size_t length, uint64_t count, bool is_stream)
{
    static uint8_t message[MESSAGE_BYTES_MAX];
    double began = seconds_now();
    for (uint64_t i = 0; i < count; i++) {
        end->send(end, message, length);
        if (!is_stream || i == count - 1) {
            end->receive(end, message, length);
        }
    }
    return (seconds_now() - began) / (double)count;
}

static int by_size(const void *a, const void *b)
{
    const double *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

struct result {
    double median, least, most;  // seconds per message
};

static struct result measure(struct end *ours, struct end *theirs, size_t length, uint64_t count,
                             bool is_stream)
{
    double rounds[ROUND_COUNT];
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        run_on(1);
        for (int i = 0; i < ROUND_COUNT + 1; i++) {
            answer(theirs, length, count, is_stream);
        }
        _exit(0);
    }
    run_on(0);
    (void)ask(ours, length, count, is_stream);  // touch everything once
    for (int i = 0; i < ROUND_COUNT; i++) {
        rounds[i] = ask(ours, length, count, is_stream);
    }
    CHECK(waitpid(child, NULL, 0) == child);
    qsort(rounds, ROUND_COUNT, sizeof *rounds, by_size);
    return (struct result){rounds[ROUND_COUNT / 2], rounds[0], rounds[ROUND_COUNT - 1]};
}

static struct result measure_port(uint32_t spin_count, size_t length, uint64_t count,
                                  bool is_stream)
{
    struct wall wall;
    struct port enclave;
    CHECK(wall_create(&wall, WALL_GEOMETRY) == STATUS_OK);
    port_init_enclave(&enclave, wall.memory, WALL_DATA_BYTES, wall.data_bell_fd, spin_count);
    struct end ours = {.send = host_send,
                       .receive = host_receive,
                       .port = &wall.data,
                       .host_spin_count = spin_count};
    struct end theirs = {.send = enclave_send, .receive = enclave_receive, .port = &enclave};
    struct result result = measure(&ours, &theirs, length, count, is_stream);
    buffer_release(&ours.frame);
    wall_release(&wall);
    return result;
}

static struct result measure_fds(const int to_them[2], const int to_us[2], size_t length,
                                 uint64_t count, bool is_stream)
{
    struct end ours = {
        .send = fd_send, .receive = fd_receive, .write_fd = to_them[1], .read_fd = to_us[0]};
    struct end theirs = {
        .send = fd_send, .receive = fd_receive, .write_fd = to_us[1], .read_fd = to_them[0]};
    return measure(&ours, &theirs, length, count, is_stream);
}

static struct result measure_pipe(size_t length, uint64_t count, bool is_stream)
{
    int to_them[2], to_us[2];
    CHECK(pipe(to_them) == 0 && pipe(to_us) == 0);
    struct result result = measure_fds(to_them, to_us, length, count, is_stream);
    for (int i = 0; i < 2; i++) {
        close(to_them[i]);
        close(to_us[i]);
    }
    return result;
}

static struct result measure_socket(size_t length, uint64_t count, bool is_stream)
{
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    // pair[0] is ours, pair[1] theirs; both directions go through both.
    const int to_them[2] = {pair[1], pair[0]};
    const int to_us[2] = {pair[0], pair[1]};
    struct result result = measure_fds(to_them, to_us, length, count, is_stream);
    close(pair[0]);
    close(pair[1]);
    return result;
}

static void print_round_trip(const char *name, size_t length, struct result r, double port)
{
    printf("round trip %4zu B  %-14s %8.2f us  (%.2f to %.2f)  %6.1fx the port's\n", length, name,
           r.median * 1e6, r.least * 1e6, r.most * 1e6, r.median / port);
}

static void print_stream(const char *name, size_t length, struct result r, double port)
{
    printf("one way    %4zu B  %-14s %8.2f M/s (%.2f to %.2f)  1/%.1f of the port's\n", length,
           name, 1e-6 / r.median, 1e-6 / r.most, 1e-6 / r.least, r.median / port);
}

int main(void)
{
    const size_t lengths[] = {64, MESSAGE_BYTES_MAX};
    for (size_t i = 0; i < 2; i++) {
        size_t length = lengths[i];
        struct result port = measure_port(BELL_SPIN_COUNT, length, 200000, false);
        print_round_trip("port", length, port, port.median);
        print_round_trip("port, sleeping", length, measure_port(0, length, 3000, false),
                         port.median);
        print_round_trip("pipe", length, measure_pipe(length, 3000, false), port.median);
        print_round_trip("UNIX socket", length, measure_socket(length, 3000, false), port.median);
        port = measure_port(BELL_SPIN_COUNT, length, 1000000, true);
        print_stream("port", length, port, port.median);
        print_stream("pipe", length, measure_pipe(length, 200000, true), port.median);
        print_stream("UNIX socket", length, measure_socket(length, 200000, true), port.median);
    }
    return 0;
}
