/* src/ring/port.c */
#include "ring/port.h"

#include <unistd.h>

#include "base/check.h"

_Static_assert(sizeof(struct port_shared) == 4 * RING_LINE_BYTES, "enclave and host agree");

/* Where the parts of a port lie in its memory. */
struct layout {
    struct port_shared *shared;
    void *to_enclave;
    void *to_host;
};

static struct layout layout_of(void *memory, size_t capacity_bytes)
{
    uint8_t *rings = (uint8_t *)memory + sizeof(struct port_shared);
    return (struct layout){
        .shared = memory,
        .to_enclave = rings,
        .to_host = rings + ring_footprint(capacity_bytes),
    };
}

size_t port_footprint(size_t capacity_bytes)
{
    return sizeof(struct port_shared) + 2 * ring_footprint(capacity_bytes);
}

void port_format(void *memory, size_t capacity_bytes)
{
    struct layout layout = layout_of(memory, capacity_bytes);
    *layout.shared = (struct port_shared){.host_wants_room = 0};
    ring_format(layout.to_enclave, capacity_bytes);
    ring_format(layout.to_host, capacity_bytes);
}

void port_init_host(struct port *port, void *memory, size_t capacity_bytes, int host_fd)
{
    struct layout layout = layout_of(memory, capacity_bytes);
    *port = (struct port){
        .wants_room = &layout.shared->host_wants_room,
        .peer_wants_room = &layout.shared->enclave_wants_room,
    };
    ring_producer_init(&port->out, layout.to_enclave, capacity_bytes);
    ring_consumer_init(&port->in, layout.to_host, capacity_bytes);
    bell_waiter_init(&port->waiter, &layout.shared->host_bell, 0);
    bell_waiter_init(&port->room_waiter, &layout.shared->host_bell, 0);
    bell_ringer_init(&port->self, &layout.shared->host_bell, host_fd);
    bell_ringer_init(&port->peer, &layout.shared->enclave_bell, BELL_FUTEX);
}

void port_init_enclave(struct port *port, void *memory, size_t capacity_bytes, int host_fd,
                       uint32_t spin_count)
{
    struct layout layout = layout_of(memory, capacity_bytes);
    *port = (struct port){
        .wants_room = &layout.shared->enclave_wants_room,
        .peer_wants_room = &layout.shared->host_wants_room,
    };
    ring_producer_init(&port->out, layout.to_host, capacity_bytes);
    ring_consumer_init(&port->in, layout.to_enclave, capacity_bytes);
    bell_waiter_init(&port->waiter, &layout.shared->enclave_bell, spin_count);
    bell_waiter_init(&port->room_waiter, &layout.shared->enclave_bell, spin_count);
    bell_ringer_init(&port->self, &layout.shared->enclave_bell, BELL_FUTEX);
    bell_ringer_init(&port->peer, &layout.shared->host_bell, host_fd);
}

enum status port_send(struct port *port, const struct bytes *parts, size_t part_count)
{
    enum status status = ring_push(&port->out, parts, part_count);
    if (status == STATUS_FULL) {
        // Dekker again (bell.c): say that we want room, fence, look again. The
        // peer makes room, fences (in port_receive()), looks whether we want some.
        atomic_store_explicit(port->wants_room, 1, memory_order_relaxed);
        atomic_thread_fence(memory_order_seq_cst);
        status = ring_push(&port->out, parts, part_count);
    }
    if (status == STATUS_OK) {
        bell_ring_if_awaited(&port->peer);
    }
    return status;
}

enum status port_receive(struct port *port, struct buffer *frame)
{
    enum status status = ring_pop(&port->in, frame);
    if (status == STATUS_EMPTY) {
        // Only here, not for every frame: as long as there are frames we come
        // back, and see the word sooner or later. Before sleeping we must see it.
        atomic_thread_fence(memory_order_seq_cst);
    }
    if (atomic_load_explicit(port->peer_wants_room, memory_order_relaxed) != 0 &&
        atomic_exchange(port->peer_wants_room, 0) != 0) {
        // Counted, because the peer may be awake now and sleep before it tries again.
        bell_ring(&port->peer);
    }
    return status;
}

static bool has_frame(const void *context)
{
    const struct port *port = context;
    return ring_is_ready(&port->in);
}

static bool may_have_room(const void *context)
{
    const struct port *port = context;
    // Acquire: the room was made before the word was cleared.
    return atomic_load_explicit(port->wants_room, memory_order_acquire) == 0;
}

enum status port_wait(struct port *port, int timeout_ms)
{
    CHECK(port->self.wake_fd == BELL_FUTEX);  // the host has port_arm()
    return bell_wait(&port->waiter, has_frame, port, timeout_ms);
}

enum status port_wait_for_room(struct port *port, int timeout_ms)
{
    CHECK(port->self.wake_fd == BELL_FUTEX);
    return bell_wait(&port->room_waiter, may_have_room, port, timeout_ms);
}

bool port_arm(struct port *port)
{
    CHECK(port->self.wake_fd != BELL_FUTEX);  // the enclave has port_wait()
    return bell_arm(&port->waiter, has_frame, port);
}

void port_disarm(struct port *port)
{
    uint64_t rings;
    ssize_t got = read(port->self.wake_fd, &rings, sizeof rings);
    (void)got;  // nothing to read is fine: we were woken for something else
    bell_accept(&port->waiter);
}

void port_wake(struct port *port)
{
    bell_ring(&port->self);
}
