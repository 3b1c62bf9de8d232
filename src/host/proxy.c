/* src/host/proxy.c */
#include "host/proxy.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"

enum {
    BACKLOG = 1024,
    CHUNK_BYTES = 64 << 10,
};

static const uint32_t NOBODY = UINT32_MAX;  // no worker, or no connection

/*
 * What happens to a connection, and where:
 *
 *   HELD     accepted, no worker yet              on_accept()
 *   OPEN     a worker has it                      assign()
 *   DRAINING the worker closed it: what it sent leaves, then the sending side is shut down,
 *            what still comes is dropped          receive_close(), on_shutdown()
 *   CLOSING  its handles are being closed         connection_close()
 */
enum connection_state { HELD, OPEN, DRAINING, CLOSING };

struct connection {
    uv_tcp_t tcp;
    uv_timer_t timer;  // of HELD and DRAINING
    uv_shutdown_t shutdown;
    struct proxy *proxy;
    enum connection_state state;
    int open_handle_count;
    uint32_t slot;
    uint64_t id;           // as the worker knows it
    uint32_t only_worker;  // of the port it came by, or NOBODY
    uint32_t worker;       // NOBODY while HELD
    bool is_reading;
    bool has_ended;  // the client sends no more
    bool is_shut;    // nor does the worker, and all it sent has left

    // Owed to the worker, in this order, and sent when its ring has room.
    bool owes_open;
    struct buffer owed_data;  // at most CHUNK_BYTES
    uint32_t owed_sent;       // bytes that reached the socket
    bool owes_close;
    bool is_owing;  // it is in its worker's list

    uint32_t untaken_bytes;  // read from the socket and not reported as taken
    size_t unsent_bytes;     // from the worker, and not yet in the socket

    struct connection *next_owing;
    struct connection *next;  // of the same worker, or HELD
    struct connection *before;
};

/* Bytes on their way to a socket that did not take them at once. */
struct outward {
    uv_write_t write;
    struct connection *connection;
    uint32_t length;
    uint8_t bytes[];
};

struct listener {
    uv_tcp_t tcp;
    struct proxy *proxy;
    uint32_t worker;  // NOBODY: all
    uint16_t port;
};

struct worker {
    bool is_ready;
    struct connection *connections;
    struct connection *owing;  // in the order in which they came to owe
    struct connection **owing_end;
};

/* A place in the table of connections. */
struct slot {
    struct connection *connection;  // NULL: free
    uint32_t generation;            // the upper half of the id: an old id finds nothing
    uint32_t next_free;
};

struct proxy {
    struct proxy_config config;
    struct proxy_counters counters;
    struct listener listeners[1 + PROXY_WORKER_COUNT_MAX];
    uint32_t listener_count;
    uint32_t open_handle_count;  // listeners and connections
    bool is_closing;
    struct worker workers[PROXY_WORKER_COUNT_MAX];
    uint32_t next_worker;
    struct connection *held;
    struct slot *slots;
    uint32_t slot_count;
    uint32_t first_free;
    char chunk[CHUNK_BYTES];  // what was just read from whichever socket
};

// ---- the table of connections ----

/* False: there are too many. */
static bool slot_take(struct proxy *proxy, struct connection *connection)
{
    if (proxy->first_free == NOBODY) {
        uint32_t count = proxy->slot_count == 0 ? 64 : 2 * proxy->slot_count;
        if (count > PROXY_CONNECTION_COUNT_MAX) {
            return false;
        }
        struct slot *slots = reallocarray(proxy->slots, count, sizeof *slots);
        if (slots == NULL) {
            return false;
        }
        for (uint32_t i = proxy->slot_count; i < count; i++) {
            slots[i] = (struct slot){.next_free = i + 1 < count ? i + 1 : NOBODY};
        }
        proxy->first_free = proxy->slot_count;
        proxy->slots = slots;
        proxy->slot_count = count;
    }
    connection->slot = proxy->first_free;
    struct slot *slot = &proxy->slots[connection->slot];
    proxy->first_free = slot->next_free;
    slot->connection = connection;
    slot->generation++;
    connection->id = (uint64_t)slot->generation << 32 | connection->slot;
    return true;
}

static void slot_give_back(struct proxy *proxy, const struct connection *connection)
{
    struct slot *slot = &proxy->slots[connection->slot];
    slot->connection = NULL;
    slot->next_free = proxy->first_free;
    proxy->first_free = connection->slot;
}

/* The connection that `worker` calls `id`; NULL: it has none of that name, perhaps no more. */
static struct connection *find(struct proxy *proxy, uint32_t worker, uint64_t id)
{
    uint32_t slot = (uint32_t)id;
    if (slot >= proxy->slot_count || proxy->slots[slot].connection == NULL) {
        return NULL;
    }
    struct connection *connection = proxy->slots[slot].connection;
    return connection->id == id && connection->worker == worker ? connection : NULL;
}

static struct connection **list_of(struct connection *connection)
{
    struct proxy *proxy = connection->proxy;
    return connection->worker == NOBODY ? &proxy->held
                                        : &proxy->workers[connection->worker].connections;
}

static void list_add(struct connection *connection)
{
    struct connection **list = list_of(connection);
    connection->next = *list;
    connection->before = NULL;
    if (*list != NULL) {
        (*list)->before = connection;
    }
    *list = connection;
}

static void list_remove(struct connection *connection)
{
    if (connection->before != NULL) {
        connection->before->next = connection->next;
    } else {
        *list_of(connection) = connection->next;
    }
    if (connection->next != NULL) {
        connection->next->before = connection->before;
    }
}

// ---- its end ----

static void proxy_free_if_closed(struct proxy *proxy)
{
    if (proxy->is_closing && proxy->open_handle_count == 0) {
        free(proxy->slots);
        free(proxy);
    }
}

static void on_connection_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    struct proxy *proxy = connection->proxy;
    connection->open_handle_count--;
    if (connection->open_handle_count == 0) {
        buffer_release(&connection->owed_data);
        free(connection);
        proxy->open_handle_count--;
        proxy_free_if_closed(proxy);
    }
}

static void owing_remove(struct connection *connection)
{
    struct worker *worker = &connection->proxy->workers[connection->worker];
    struct connection **link = &worker->owing;
    while (*link != connection) {
        link = &(*link)->next_owing;
    }
    *link = connection->next_owing;
    if (connection->next_owing == NULL) {
        worker->owing_end = link;
    }
    connection->is_owing = false;
}

/* Nothing of it is left to the worker or the client. */
static void connection_close(struct connection *connection)
{
    if (connection->state == CLOSING) {
        return;
    }
    struct proxy *proxy = connection->proxy;
    if (connection->is_owing) {
        owing_remove(connection);
    }
    list_remove(connection);
    slot_give_back(proxy, connection);
    proxy->counters.connections_open--;
    connection->state = CLOSING;
    uv_close((uv_handle_t *)&connection->tcp, on_connection_closed);
    uv_close((uv_handle_t *)&connection->timer, on_connection_closed);
}

// ---- to the worker ----

static void owe(struct connection *connection)
{
    if (!connection->is_owing) {
        struct worker *worker = &connection->proxy->workers[connection->worker];
        connection->is_owing = true;
        connection->next_owing = NULL;
        *worker->owing_end = connection;
        worker->owing_end = &connection->next_owing;
    }
}

static enum status send_event(const struct connection *connection, enum frame_stream_event event,
                              struct bytes bytes)
{
    const struct proxy_config *config = &connection->proxy->config;
    static const struct writer_id nobody;
    uint8_t head[FRAME_HEADER_BYTES + FRAME_STREAM_PREFIX_BYTES];
    frame_header(head, FRAME_STREAM, 0, &nobody);
    frame_stream_prefix(head + FRAME_HEADER_BYTES, connection->id, event);
    const struct bytes parts[] = {bytes_of(head, sizeof head), bytes};
    return config->send(config->context, connection->worker, parts, 2);
}

static enum status send_sent(const struct connection *connection)
{
    uint8_t count[4];
    for (int i = 0; i < 4; i++) {
        count[i] = (uint8_t)(connection->owed_sent >> 8 * i);
    }
    return send_event(connection, FRAME_STREAM_SENT, bytes_of(count, sizeof count));
}

static void read_on(struct connection *connection);

/* STATUS_FULL: something is still owed. */
static enum status pay(struct connection *connection)
{
    const struct bytes nothing = bytes_of(NULL, 0);
    enum status status = STATUS_OK;
    if (connection->owes_open) {
        status = send_event(connection, FRAME_STREAM_OPEN, nothing);
        connection->owes_open = status == STATUS_FULL;
    }
    if (status == STATUS_OK && connection->owed_data.length > 0) {
        status = send_event(connection, FRAME_STREAM_DATA, buffer_bytes(&connection->owed_data));
        if (status == STATUS_OK) {
            buffer_recycle(&connection->owed_data, 0);
        }
    }
    if (status == STATUS_OK && connection->owed_sent > 0) {
        status = send_sent(connection);
        connection->owed_sent = status == STATUS_OK ? 0 : connection->owed_sent;
    }
    if (status == STATUS_OK && connection->owes_close) {
        status = send_event(connection, FRAME_STREAM_CLOSE, nothing);
    }
    return status;
}

static void turn_worker(struct worker *worker)
{
    while (worker->owing != NULL) {
        struct connection *connection = worker->owing;
        if (pay(connection) != STATUS_OK) {
            return;  // full; or gone, and then all its connections end soon
        }
        if (connection->owes_close) {
            connection_close(connection);
        } else {
            owing_remove(connection);
            read_on(connection);
        }
    }
}

void proxy_turn(struct proxy *proxy)
{
    for (uint32_t i = 0; i < proxy->config.worker_count; i++) {
        turn_worker(&proxy->workers[i]);
    }
}

// ---- from the client ----

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct connection *connection = handle->data;
    size_t length = CHUNK_BYTES;
    if (connection->state == OPEN) {
        size_t window = FRAME_STREAM_WINDOW_BYTES - connection->untaken_bytes;
        length = window < length ? window : length;
    }
    *buffer = uv_buf_init(connection->proxy->chunk, (unsigned)length);
}

static void stop_reading(struct connection *connection)
{
    uv_read_stop((uv_stream_t *)&connection->tcp);
    connection->is_reading = false;
}

/* The client has ended it. What was read before goes to the worker first. */
static void end_by_client(struct connection *connection)
{
    stop_reading(connection);
    if (connection->state == OPEN) {
        connection->owes_close = true;
        owe(connection);
    } else {
        connection_close(connection);
    }
}

/* Nothing is owed before it: read_on() would not have read. */
static void receive_chunk(struct connection *connection, struct bytes chunk)
{
    connection->proxy->counters.bytes_in += chunk.length;
    connection->untaken_bytes += (uint32_t)chunk.length;
    enum status status = send_event(connection, FRAME_STREAM_DATA, chunk);
    if (status == STATUS_FULL) {
        if (buffer_append(&connection->owed_data, chunk.at, chunk.length) != STATUS_OK) {
            connection_close(connection);
            return;
        }
        owe(connection);
        stop_reading(connection);
    } else if (connection->untaken_bytes == FRAME_STREAM_WINDOW_BYTES) {
        stop_reading(connection);
    }
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    struct connection *connection = stream->data;
    if (length == UV_EOF && connection->state == DRAINING && !connection->is_shut) {
        connection->has_ended = true;  // it may well wait for what is left
        stop_reading(connection);
    } else if (length < 0) {
        end_by_client(connection);
    } else if (length > 0 && connection->state == OPEN) {
        receive_chunk(connection, bytes_of(buffer->base, (size_t)length));
    }
}

/* Read if that is possible now; and if it is not, whoever makes it so calls again. */
static void read_on(struct connection *connection)
{
    bool is_possible =
        connection->state == DRAINING || (connection->state == OPEN && !connection->owes_close &&
                                          connection->owed_data.length == 0 &&
                                          connection->untaken_bytes < FRAME_STREAM_WINDOW_BYTES);
    if (is_possible && !connection->is_reading) {
        connection->is_reading = true;
        if (uv_read_start((uv_stream_t *)&connection->tcp, on_alloc, on_read) != 0) {
            connection_close(connection);
        }
    }
}

// ---- from the worker, to the client ----

static void on_timeout(uv_timer_t *timer)
{
    struct connection *connection = timer->data;
    if (connection->state == HELD) {
        connection->proxy->counters.connections_turned_away++;
    }
    connection_close(connection);
}

static void on_shutdown(uv_shutdown_t *shutdown, int status)
{
    struct connection *connection = shutdown->data;
    if (connection->state != DRAINING) {
        return;
    }
    if (status < 0 || connection->has_ended) {
        connection_close(connection);
        return;
    }
    connection->is_shut = true;
    // Closed at once, the last bytes could be destroyed by a reset on their way.
    uv_timer_start(&connection->timer, on_timeout, PROXY_LINGER_MS, 0);
}

static void receive_close(struct connection *connection)
{
    // Nothing is owed any more to a worker that has forgotten it.
    if (connection->is_owing) {
        owing_remove(connection);
    }
    connection->state = DRAINING;
    connection->shutdown.data = connection;
    uv_timer_start(&connection->timer, on_timeout, PROXY_DRAIN_MS, 0);
    if (uv_shutdown(&connection->shutdown, (uv_stream_t *)&connection->tcp, on_shutdown) != 0) {
        connection_close(connection);
        return;
    }
    read_on(connection);
}

static void count_sent(struct connection *connection, size_t length)
{
    connection->proxy->counters.bytes_out += length;
    connection->unsent_bytes -= length;
    if (connection->state == OPEN) {
        connection->owed_sent += (uint32_t)length;
        // Less goes with the next DATA: a report of its own would wake the worker for nothing.
        if (connection->owed_sent >= FRAME_STREAM_REPORT_BYTES) {
            owe(connection);
        }
    }
}

static void on_written(uv_write_t *write, int status)
{
    struct outward *outward = write->data;
    struct connection *connection = outward->connection;
    if (connection->state != CLOSING) {
        if (status < 0) {
            end_by_client(connection);
        } else {
            count_sent(connection, outward->length);
        }
    }
    free(outward);
}

/* What the socket does not take now. False: it is no use any more. */
static bool write_later(struct connection *connection, struct bytes bytes)
{
    struct outward *outward = malloc(sizeof *outward + bytes.length);
    if (outward == NULL) {
        return false;
    }
    outward->connection = connection;
    outward->length = (uint32_t)bytes.length;
    outward->write.data = outward;
    memcpy(outward->bytes, bytes.at, bytes.length);
    uv_buf_t buffer = uv_buf_init((char *)outward->bytes, outward->length);
    if (uv_write(&outward->write, (uv_stream_t *)&connection->tcp, &buffer, 1, on_written) != 0) {
        free(outward);
        return false;
    }
    return true;
}

static void receive_data(struct connection *connection, struct bytes bytes)
{
    // What it may send without a report, reports on their way included.
    size_t unreported = connection->unsent_bytes + connection->owed_sent;
    if (bytes.length > FRAME_STREAM_WINDOW_BYTES - unreported) {
        connection->proxy->counters.malformed++;
        connection->owes_close = true;
        owe(connection);
        return;
    }
    connection->unsent_bytes += bytes.length;
    if (connection->unsent_bytes == bytes.length) {
        uv_buf_t buffer = uv_buf_init((char *)(uintptr_t)bytes.at, (unsigned)bytes.length);
        int sent = uv_try_write((uv_stream_t *)&connection->tcp, &buffer, 1);
        if (sent < 0 && sent != UV_EAGAIN) {
            end_by_client(connection);
            return;
        }
        if (sent > 0) {
            count_sent(connection, (size_t)sent);
            bytes = bytes_of(bytes.at + sent, bytes.length - (size_t)sent);
        }
    }
    if (bytes.length > 0 && !write_later(connection, bytes)) {
        end_by_client(connection);
    }
}

static void receive_sent(struct connection *connection, struct bytes count)
{
    uint32_t taken = 0;
    for (size_t i = 0; i < count.length; i++) {
        taken |= (uint32_t)count.at[i] << 8 * i;
    }
    if (taken > connection->untaken_bytes) {
        connection->proxy->counters.malformed++;
        return;
    }
    connection->untaken_bytes -= taken;
    read_on(connection);
}

void proxy_receive(struct proxy *proxy, uint32_t worker, struct bytes bytes)
{
    struct frame frame;
    struct frame_stream stream;
    if (frame_decode(&frame, bytes) != STATUS_OK || frame.kind != FRAME_STREAM ||
        frame_stream_decode(&stream, frame.body) != STATUS_OK ||
        stream.event == FRAME_STREAM_OPEN) {
        proxy->counters.malformed++;
        return;
    }
    struct connection *connection = find(proxy, worker, stream.connection);
    if (connection == NULL || connection->state != OPEN || connection->owes_close) {
        return;  // it may not have heard yet that the client is gone
    }
    if (stream.event == FRAME_STREAM_DATA) {
        receive_data(connection, stream.bytes);
    } else if (stream.event == FRAME_STREAM_SENT) {
        receive_sent(connection, stream.bytes);
    } else {
        receive_close(connection);
    }
}

// ---- workers and new connections ----

/* A worker for a connection; NOBODY: none is ready. */
static uint32_t choose(struct proxy *proxy, uint32_t only_worker)
{
    if (only_worker != NOBODY) {
        return proxy->workers[only_worker].is_ready ? only_worker : NOBODY;
    }
    for (uint32_t i = 0; i < proxy->config.worker_count; i++) {
        uint32_t worker = (proxy->next_worker + i) % proxy->config.worker_count;
        if (proxy->workers[worker].is_ready) {
            proxy->next_worker = worker + 1;
            return worker;
        }
    }
    return NOBODY;
}

static void assign(struct connection *connection, uint32_t worker)
{
    uv_timer_stop(&connection->timer);
    list_remove(connection);
    connection->worker = worker;
    connection->state = OPEN;
    list_add(connection);
    connection->owes_open = true;
    if (pay(connection) != STATUS_OK) {
        owe(connection);
    }
    read_on(connection);
}

static void assign_held(struct proxy *proxy)
{
    struct connection *next;
    for (struct connection *connection = proxy->held; connection != NULL; connection = next) {
        next = connection->next;
        uint32_t worker = choose(proxy, connection->only_worker);
        if (worker != NOBODY) {
            assign(connection, worker);
        }
    }
}

void proxy_worker_ready(struct proxy *proxy, uint32_t worker)
{
    CHECK(worker < proxy->config.worker_count);
    proxy->workers[worker].is_ready = true;
    assign_held(proxy);
}

void proxy_worker_gone(struct proxy *proxy, uint32_t worker)
{
    CHECK(worker < proxy->config.worker_count);
    proxy->workers[worker].is_ready = false;
    // Emptied in one go: to take one by one out of this list is slow.
    for (struct connection *owing = proxy->workers[worker].owing; owing != NULL;
         owing = owing->next_owing) {
        owing->is_owing = false;
    }
    proxy->workers[worker].owing = NULL;
    proxy->workers[worker].owing_end = &proxy->workers[worker].owing;
    while (proxy->workers[worker].connections != NULL) {
        connection_close(proxy->workers[worker].connections);
    }
}

/* Accept and close at once: what cannot be served had better know. */
static void on_stranger_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;
    struct proxy *proxy = connection->proxy;
    free(connection);
    proxy->open_handle_count--;
    proxy_free_if_closed(proxy);
}

static void on_accept(uv_stream_t *stream, int status)
{
    struct listener *listener = stream->data;
    struct proxy *proxy = listener->proxy;
    struct connection *connection = status == 0 ? calloc(1, sizeof *connection) : NULL;
    if (connection == NULL) {
        return;
    }
    CHECK(uv_tcp_init(proxy->config.loop, &connection->tcp) == 0);
    proxy->open_handle_count++;
    connection->tcp.data = connection;
    connection->proxy = proxy;
    connection->only_worker = listener->worker;
    connection->worker = NOBODY;
    if (uv_accept(stream, (uv_stream_t *)&connection->tcp) != 0 || !slot_take(proxy, connection)) {
        proxy->counters.connections_turned_away++;
        uv_close((uv_handle_t *)&connection->tcp, on_stranger_closed);
        return;
    }
    CHECK(uv_timer_init(proxy->config.loop, &connection->timer) == 0);
    connection->timer.data = connection;
    connection->open_handle_count = 2;
    connection->state = HELD;
    list_add(connection);
    proxy->counters.connections_open++;
    proxy->counters.connections_ever++;
    uv_tcp_nodelay(&connection->tcp, 1);  // without it an answer is only later

    uint32_t worker = choose(proxy, connection->only_worker);
    if (worker != NOBODY) {
        assign(connection, worker);
    } else {
        uv_timer_start(&connection->timer, on_timeout, PROXY_HOLD_MS, 0);
    }
}

// ---- the whole ----

static void on_listener_closed(uv_handle_t *handle)
{
    struct listener *listener = handle->data;
    listener->proxy->open_handle_count--;
    proxy_free_if_closed(listener->proxy);
}

/* 0, or what uv says. */
static int listener_open(struct listener *listener, uint16_t port)
{
    struct sockaddr_in address;
    struct sockaddr_in bound;
    int length = sizeof bound;
    CHECK(uv_tcp_init(listener->proxy->config.loop, &listener->tcp) == 0);
    listener->tcp.data = listener;
    listener->proxy->open_handle_count++;
    int cause = uv_ip4_addr("127.0.0.1", port, &address);
    if (cause == 0) {
        cause = uv_tcp_bind(&listener->tcp, (const struct sockaddr *)&address, 0);
    }
    if (cause == 0) {
        cause = uv_listen((uv_stream_t *)&listener->tcp, BACKLOG, on_accept);
    }
    if (cause == 0) {
        cause = uv_tcp_getsockname(&listener->tcp, (struct sockaddr *)&bound, &length);
    }
    if (cause == 0) {
        listener->port = ntohs(bound.sin_port);
    }
    return cause;
}

enum status proxy_open(struct proxy **made, const struct proxy_config *config, uint16_t *port,
                       int *cause)
{
    CHECK(0 < config->worker_count && config->worker_count <= PROXY_WORKER_COUNT_MAX);
    *made = NULL;
    *cause = UV_ENOMEM;
    *port = config->base_port;
    struct proxy *proxy = calloc(1, sizeof *proxy);
    if (proxy == NULL) {
        return STATUS_IO;
    }
    proxy->config = *config;
    proxy->first_free = NOBODY;
    for (uint32_t i = 0; i < config->worker_count; i++) {
        proxy->workers[i].owing_end = &proxy->workers[i].owing;
    }
    for (uint32_t i = 0; i <= config->worker_count; i++) {
        struct listener *listener = &proxy->listeners[i];
        listener->proxy = proxy;
        listener->worker = i == 0 ? NOBODY : i - 1;
        *port = config->base_port == 0 ? 0 : (uint16_t)(config->base_port + i);
        proxy->listener_count++;
        *cause = listener_open(listener, *port);
        if (*cause != 0) {
            proxy_close(proxy);
            return STATUS_IO;
        }
    }
    *made = proxy;
    return STATUS_OK;
}

void proxy_stop(struct proxy *proxy)
{
    for (uint32_t i = 0; i < proxy->listener_count; i++) {
        uv_close((uv_handle_t *)&proxy->listeners[i].tcp, on_listener_closed);
    }
    proxy->listener_count = 0;
}

void proxy_close(struct proxy *proxy)
{
    if (proxy == NULL) {
        return;
    }
    proxy->is_closing = true;
    proxy_stop(proxy);
    for (uint32_t i = 0; i < proxy->slot_count; i++) {
        if (proxy->slots[i].connection != NULL) {
            connection_close(proxy->slots[i].connection);
        }
    }
    proxy_free_if_closed(proxy);
}

uint16_t proxy_base_port(const struct proxy *proxy)
{
    return proxy->listeners[0].port;
}

uint16_t proxy_worker_port(const struct proxy *proxy, uint32_t worker)
{
    CHECK(worker < proxy->config.worker_count);
    return proxy->listeners[1 + worker].port;
}

const struct proxy_counters *proxy_count(const struct proxy *proxy)
{
    return &proxy->counters;
}
