/* src/ring/port.h */
#ifndef RING_PORT_H
#define RING_PORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "ring/bell.h"
#include "ring/ring.h"

/*
 * port: one end of a two-way road across the enclave wall: a ring in each
 * direction and the bells of both ends. Like the ring, it trusts nothing that
 * the other end writes.
 *
 * One thread sends and one thread receives; they may be two. Whoever sends
 * from several threads holds a lock of its own.
 *
 *     enclave                                   host
 *     while port_receive() is OK: use it        while port_receive() is OK: use it
 *     port_wait()                               if port_arm(): epoll_wait(), port_disarm()
 *
 * Receive until STATUS_EMPTY before going to sleep: that is also when a
 * sender that waits for room is told.
 */

/* The shared part that lies before the two rings. */
struct port_shared {
    struct bell_shared host_bell;     // the host waits on it
    struct bell_shared enclave_bell;  // the enclave waits on it
    // Set by an end that found its outward ring full, cleared by the end that made room.
    _Alignas(RING_LINE_BYTES) _Atomic uint32_t host_wants_room;
    _Alignas(RING_LINE_BYTES) _Atomic uint32_t enclave_wants_room;
};

/* The private part of an end. Plain; owns nothing. */
struct port {
    struct ring_producer out;
    struct ring_consumer in;
    _Atomic uint32_t *wants_room;       // our word, shared
    _Atomic uint32_t *peer_wants_room;  // the peer's word, shared
    struct bell_waiter waiter;          // of the thread that receives
    struct bell_waiter room_waiter;     // of the thread that sends
    struct bell_ringer self;
    struct bell_ringer peer;
};

/* Bytes of shared memory for a port with `capacity_bytes` in each direction. */
size_t port_footprint(size_t capacity_bytes);

/* Lay out an empty port, once, before either end attaches; see ring_format(). */
void port_format(void *memory, size_t capacity_bytes);

/*
 * Attach an end to freshly formatted memory. `host_fd` is the eventfd, not
 * blocking, on which the host sleeps; either end passes its own descriptor of
 * it, borrowed. `spin_count`: see bell_waiter_init().
 */
void port_init_host(struct port *port, void *memory, size_t capacity_bytes, int host_fd);
void port_init_enclave(struct port *port, void *memory, size_t capacity_bytes, int host_fd,
                       uint32_t spin_count);

/*
 * Send the parts as one frame and wake the peer if it sleeps. STATUS_FULL:
 * nothing was sent, and the own bell rings when there may be room again; hold
 * back until then. STATUS_MALFORMED, STATUS_FORGED: as ring_push().
 */
MUST_CHECK enum status port_send(struct port *port, const struct bytes *parts, size_t part_count);

/* Take the oldest frame: as ring_pop(). Wakes a peer that waits for room. */
MUST_CHECK enum status port_receive(struct port *port, struct buffer *frame);

/*
 * Enclave: wait for a frame, for room after STATUS_FULL, for port_wake(), or
 * for `timeout_ms` (-1: for ever). STATUS_OK: look again. STATUS_TIMEOUT.
 */
MUST_CHECK enum status port_wait(struct port *port, int timeout_ms);

/* Enclave: the same for a thread that only sends, and was told STATUS_FULL. */
MUST_CHECK enum status port_wait_for_room(struct port *port, int timeout_ms);

/*
 * Host: true when from now on the eventfd becomes readable for each reason to
 * look again; false when there is one already.
 */
bool port_arm(struct port *port);

/* Host: empty the eventfd after it woke us, and before looking again. */
void port_disarm(struct port *port);

/* From any thread of this end's process: let the thread in port_wait() or epoll look again. */
void port_wake(struct port *port);

#endif
