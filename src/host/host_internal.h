/* src/host/host_internal.h */
#ifndef HOST_HOST_INTERNAL_H
#define HOST_HOST_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include <uv.h>

#include "base/buffer.h"
#include "host/control.h"
#include "host/depot.h"
#include "host/guest.h"
#include "host/home.h"
#include "host/host.h"
#include "host/metrics.h"
#include "host/program.h"
#include "host/proxy.h"
#include "host/route.h"
#include "host/witness.h"

/* An enclave's place, and the time of its next start. Its number is its end in the route. */
struct place {
    struct host *host;
    struct guest guest;
    uv_timer_t restart;
};

/* The leader, the workers, the compactor behind them. */
enum { PLACE_COUNT_MAX = 2 + HOST_WORKER_COUNT_MAX };

/* What host.c wires and report.c describes. */
struct host {
    const struct host_config *config;
    char *error;         // the caller's
    enum status status;  // what host_run() returns
    bool is_stopping;
    bool is_finished;

    uv_loop_t loop;
    uv_prepare_t before_sleep;
    uv_check_t after_sleep;
    uv_idle_t no_sleep;
    uv_signal_t signals[2];
    uv_timer_t stop_timer;

    struct home home;
    struct program leader_program;
    struct program worker_program;
    struct guest_events guest_events;
    struct place places[PLACE_COUNT_MAX];
    uint32_t place_count;
    uint64_t life_count;
    struct route route;
    struct witness *witness;
    struct depot *depot;
    struct proxy *proxy;
    struct control *control;
    struct metrics *metrics;
    struct buffer scratch;  // a body being made
    uint64_t client_malformed_count;
};

#endif
