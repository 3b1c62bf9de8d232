/* bench/host/spawn_bench.c */

/*
 * How long from the decision to start an enclave program until its first
 * frame comes out of the wall: wall, namespaces, exec, dynamic linking,
 * attaching. The program is this one, which links what the host links; what
 * an enclave adds (its libraries, the sandbox, the engine) comes on top.
 */
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "host/spawn.h"

enum { ROUND_COUNT = 101, PATIENCE_MS = 10000 };

static int enclave_main(void)
{
    struct wall wall;
    if (wall_attach(&wall, WALL_GEOMETRY, 0) != STATUS_OK ||
        port_send(&wall.data, NULL, 0) != STATUS_OK) {
        return 1;
    }
    wall_release(&wall);
    return 0;
}

static double milliseconds_now(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static double start_once(bool *has_namespaces)
{
    char *const arguments[] = {"enclave", "started", NULL};
    struct wall wall;
    struct spawn spawn;
    struct buffer frame = BUFFER_EMPTY;
    double began = milliseconds_now();
    CHECK(wall_create(&wall, WALL_GEOMETRY) == STATUS_OK);
    CHECK(spawn_start(&spawn, "/proc/self/exe", arguments, &wall) == STATUS_OK);
    while (port_receive(&wall.data, &frame) == STATUS_EMPTY) {
        struct pollfd bell = {.fd = wall.data_bell_fd, .events = POLLIN};
        if (port_arm(&wall.data)) {
            CHECK(poll(&bell, 1, PATIENCE_MS) == 1);
            port_disarm(&wall.data);
        }
    }
    double took = milliseconds_now() - began;
    *has_namespaces = spawn.has_namespaces;
    spawn_release(&spawn);
    wall_release(&wall);
    buffer_release(&frame);
    return took;
}

static int by_size(const void *a, const void *b)
{
    const double *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "started") == 0) {
        return enclave_main();
    }
    double rounds[ROUND_COUNT];
    bool has_namespaces = false;
    for (int i = 0; i < ROUND_COUNT; i++) {
        rounds[i] = start_once(&has_namespaces);
    }
    qsort(rounds, ROUND_COUNT, sizeof *rounds, by_size);
    printf("spawn to first frame, %s namespaces  %.2f ms  (%.2f to %.2f, nine in ten below %.2f)\n",
           has_namespaces ? "with" : "without", rounds[ROUND_COUNT / 2], rounds[0],
           rounds[ROUND_COUNT - 1], rounds[ROUND_COUNT * 9 / 10]);
    return 0;
}
