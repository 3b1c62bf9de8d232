/* src/host/proxy.h */
#ifndef HOST_PROXY_H
#define HOST_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/bytes.h"
#include "base/status.h"
#include "wire/frame.h"

/*
 * proxy: moves the bytes of TCP connections to and from the workers, as STREAM
 * frames, and never looks at them. The first port balances new connections
 * round robin over the workers that are ready; each of the others leads to one worker.
 *
 * Neither side can make it hold much: a socket is not read while its worker's ring is full or
 * the worker has FRAME_STREAM_WINDOW_BYTES that it has not reported as taken; a worker that
 * sends more than that beyond what was reported to it loses the connection.
 *
 * A connection for which no worker is ready waits PROXY_HOLD_MS and is then closed.
 */
enum {
    PROXY_WORKER_COUNT_MAX = 64,
    PROXY_CONNECTION_COUNT_MAX = 16384,
    PROXY_HOLD_MS = 10000,
    PROXY_DRAIN_MS = 30000,  // for a client to take what is left, after the worker closed
    PROXY_LINGER_MS = 1000,  // and to close in turn
};

struct proxy;

struct proxy_config {
    uv_loop_t *loop;
    uint32_t worker_count;
    uint16_t base_port;  // 0: any free ones
    /*
     * Send a frame to a worker: STATUS_OK; STATUS_FULL: try again at the next turn; STATUS_CLOSED.
     */
    enum status (*send)(void *context, uint32_t worker, const struct bytes *parts,
                        size_t part_count);
    void *context;
};

struct proxy_counters {
    uint64_t connections_open;
    uint64_t connections_ever;
    uint64_t connections_turned_away;  // too many, or nobody was ready in time
    uint64_t bytes_in;                 // from clients
    uint64_t bytes_out;
    uint64_t malformed;  // frames of workers that meant nothing
};

/*
 * Bind the ports. STATUS_IO: `*port` could not be bound, uv_strerror(*cause) says why.
 */
MUST_CHECK enum status proxy_open(struct proxy **proxy, const struct proxy_config *config,
                                  uint16_t *port, int *cause);

/* Accept no more; those that are open go on. */
void proxy_stop(struct proxy *proxy);

/* Close everything. The loop has to run on until its handles have closed. NULL: nothing. */
void proxy_close(struct proxy *proxy);

uint16_t proxy_base_port(const struct proxy *proxy);
uint16_t proxy_worker_port(const struct proxy *proxy, uint32_t worker);

/* The worker takes connections from now on; it is gone, and its connections are closed. */
void proxy_worker_ready(struct proxy *proxy, uint32_t worker);
void proxy_worker_gone(struct proxy *proxy, uint32_t worker);

/* A STREAM frame from a worker. */
void proxy_receive(struct proxy *proxy, uint32_t worker, struct bytes frame);

/* Once per turn of the loop, after the frames: send the workers what is owed to them. */
void proxy_turn(struct proxy *proxy);

const struct proxy_counters *proxy_count(const struct proxy *proxy);

#endif
