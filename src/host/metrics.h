/* src/host/metrics.h */
#ifndef HOST_METRICS_H
#define HOST_METRICS_H

#include <stdint.h>

#include <uv.h>

#include "base/buffer.h"
#include "base/status.h"

/*
 * metrics: a small HTTP server for numbers: one GET for each connection, answered from a page that
 * the caller writes. Nothing secret is known here, and nothing can be changed.
 */
struct metrics;

enum { METRICS_REQUEST_BYTES_MAX = 8 << 10, METRICS_CLIENT_COUNT_MAX = 64 };

struct metrics_pages {
    /*
     * Append the page at `path` to `body` and set its media type. STATUS_NOT_FOUND: there is none,
     * 404. Any other status: 503, with its text.
     */
    enum status (*write)(void *context, const char *path, struct buffer *body, const char **type);
    void *context;
};

/* Listen on 127.0.0.1. Port 0: any free one. STATUS_IO: uv_strerror(*cause) says why. */
MUST_CHECK enum status metrics_open(struct metrics **metrics, uv_loop_t *loop, uint16_t port,
                                    const struct metrics_pages *pages, int *cause);

/* The loop has to run on until its handles have closed. NULL: nothing. */
void metrics_close(struct metrics *metrics);

uint16_t metrics_port(const struct metrics *metrics);

#endif
