/* tests/host/running.h */
#ifndef TESTS_HOST_RUNNING_H
#define TESTS_HOST_RUNNING_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <jansson.h>

#include "base/buffer.h"
#include "host/host.h"
#include "tests/support/scratch.h"
#include "wire/frame.h"

/*
 * running: a host in a process of its own, over a state directory of its own, with fake
 * enclaves (tests/host/fake_enclave.h), and clients of its sockets that block. What goes wrong is a
 * CHECK. Waits end by a condition, or after two minutes by a CHECK.
 */
enum { RUNNING_WORKERS_MAX = 4, RUNNING_LOST_MS = 120000 };

struct running {
    char directory[SCRATCH_PATH_BYTES];
    char state[192];
    char programs[192];
    struct host_config config;  // to be changed before running_start()
    pid_t pid;                  // of the host; 0: not running
    uint16_t base_port;
    uint16_t worker_ports[RUNNING_WORKERS_MAX];
    uint16_t metrics_port;
    int control;  // a client of the control socket
};

/* Make the directories and what `paranoid init` makes. Two workers. */
void running_init(struct running *running);

/* Kill what still runs, and remove the directories. */
void running_release(struct running *running);

/* Start the host, wait for host.json, connect to the control socket. */
void running_start(struct running *running);

/* The same, until the leader and all workers are ready. */
void running_start_ready(struct running *running);

/* Wait for its end: what host_run() returned. */
enum status running_wait(struct running *running);

/* host_run() in this process: for what must fail at once. */
enum status running_try(struct running *running, char error[HOST_ERROR_BYTES_MAX]);

/* A TCP connection. */
int running_connect(uint16_t port);

/* Send all, receive exactly so many; running_read() returns fewer only at the end. */
void running_write(int fd, const void *bytes, size_t length);
size_t running_read(int fd, void *bytes, size_t length);

/* The body of a GET from the metrics port, NUL-terminated; free() it. `code` may be NULL. */
char *running_get(const struct running *running, const char *path, int *code);

/* /status; json_decref() it. */
json_t *running_status(const struct running *running);
json_t *running_enclave(json_t *status, const char *role, int index);

/* Wait until the metric (its whole name with labels) is at least `value`. */
void running_wait_metric(const struct running *running, const char *name, double value);

double running_metric(const struct running *running, const char *name);

/* To and from the control socket. The frame borrows from `buffer`. */
int running_control(const struct running *running);
void running_tell(int control, enum frame_kind kind, const struct writer_id *peer,
                  struct bytes body);
struct frame running_hear(int control, struct buffer *buffer);

/* Hear until a frame of this kind comes. */
struct frame running_hear_kind(int control, struct buffer *buffer, enum frame_kind kind);

#endif
