/* src/ring/wall.h */
#ifndef RING_WALL_H
#define RING_WALL_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "ring/port.h"

/*
 * wall: the memory that one host process and one enclave process share: a
 * data port (records, receipts, control) and a stream port (TCP bytes) in one
 * sealed memfd, and the two eventfds on which the host sleeps.
 *
 * The host creates a wall and starts the enclave with its descriptors at the
 * numbers below; the enclave attaches to them.
 */

enum {
    WALL_FD = 3,
    WALL_DATA_BELL_FD = 4,
    WALL_STREAM_BELL_FD = 5,
};

/* Bytes in each direction. Both sides pass the same; nothing is read from the shared memory. */
struct wall_geometry {
    size_t data_bytes;
    size_t stream_bytes;
};

/* Two of the largest frames in flight; and the receive buffers of a few dozen connections. */
enum { WALL_DATA_BYTES = 16 << 20, WALL_STREAM_BYTES = 2 << 20 };
#define WALL_GEOMETRY \
    ((struct wall_geometry){.data_bytes = WALL_DATA_BYTES, .stream_bytes = WALL_STREAM_BYTES})

struct wall {
    struct port data;
    struct port stream;
    void *memory;
    size_t memory_bytes;
    int fd;  // the memfd; -1 once the enclave has attached
    int data_bell_fd;
    int stream_bell_fd;
};

#define WALL_NONE ((struct wall){.fd = -1, .data_bell_fd = -1, .stream_bell_fd = -1})

/*
 * Host: create and format a wall. Its descriptors close on exec. On
 * STATUS_OK release it by wall_release(). STATUS_IO: errno says why;
 * `*wall` is WALL_NONE.
 */
MUST_CHECK enum status wall_create(struct wall *wall, struct wall_geometry geometry);

/*
 * Enclave: attach to the wall behind WALL_FD, WALL_DATA_BELL_FD and
 * WALL_STREAM_BELL_FD, and close WALL_FD. STATUS_FORGED: its size differs, or
 * somebody could still shrink it, and so end this process by a touch.
 * STATUS_IO: it cannot be mapped. `*wall` is then WALL_NONE and WALL_FD still open.
 */
MUST_CHECK enum status wall_attach(struct wall *wall, struct wall_geometry geometry,
                                   uint32_t spin_count);

/* Unmap and close. Releasing WALL_NONE does nothing; a released wall is WALL_NONE. */
void wall_release(struct wall *wall);

#endif
