/* src/host/control.c */
#include "host/control.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/cursor.h"

enum { BACKLOG = 16, LENGTH_BYTES = 4, CHUNK_BYTES = 64 << 10 };

struct client {
    uv_pipe_t pipe;
    struct control *control;
    uint32_t index;
    struct writer_id id;
    struct buffer received;  // at most a frame and a chunk
    size_t queued_bytes;
    bool is_closing;
};

/* A frame on its way out. */
struct outward {
    uv_write_t write;
    struct client *client;
    size_t length;
    uint8_t bytes[];
};

struct control {
    uv_pipe_t listener;
    struct random random;
    struct control_events events;
    struct client *clients[CONTROL_CLIENT_COUNT_MAX];
    uint64_t malformed_count;
    uint32_t open_handle_count;
    bool is_closing;
    char chunk[CHUNK_BYTES];
};

static void control_free_if_closed(struct control *control)
{
    if (control->is_closing && control->open_handle_count == 0) {
        free(control);
    }
}

static void on_client_closed(uv_handle_t *handle)
{
    struct client *client = handle->data;
    struct control *control = client->control;
    buffer_release(&client->received);
    free(client);
    control->open_handle_count--;
    control_free_if_closed(control);
}

static void client_close(struct client *client)
{
    struct control *control = client->control;
    if (client->is_closing) {
        return;
    }
    client->is_closing = true;
    control->clients[client->index] = NULL;
    uv_close((uv_handle_t *)&client->pipe, on_client_closed);
    if (!control->is_closing) {
        control->events.left(control->events.context, client->index);
    }
}

// ---- out ----

static void on_written(uv_write_t *write, int status)
{
    struct outward *outward = write->data;
    outward->client->queued_bytes -= outward->length;
    if (status < 0) {
        client_close(outward->client);
    }
    free(outward);
}

static void client_send(struct client *client, enum frame_kind kind, uint32_t request,
                        const struct writer_id *peer, struct bytes body)
{
    size_t frame_bytes = FRAME_HEADER_BYTES + body.length;
    size_t length = LENGTH_BYTES + frame_bytes;
    struct outward *outward = NULL;
    if (client->queued_bytes + length <= CONTROL_QUEUE_BYTES_MAX) {
        outward = malloc(sizeof *outward + length);
    }
    if (outward == NULL) {
        client_close(client);
        return;
    }
    for (size_t i = 0; i < LENGTH_BYTES; i++) {
        outward->bytes[i] = (uint8_t)(frame_bytes >> 8 * i);
    }
    frame_header(outward->bytes + LENGTH_BYTES, kind, request, peer);
    if (body.length > 0) {
        memcpy(outward->bytes + LENGTH_BYTES + FRAME_HEADER_BYTES, body.at, body.length);
    }
    outward->client = client;
    outward->length = length;
    outward->write.data = outward;
    uv_buf_t buffer = uv_buf_init((char *)outward->bytes, (unsigned)length);
    if (uv_write(&outward->write, (uv_stream_t *)&client->pipe, &buffer, 1, on_written) != 0) {
        free(outward);
        client_close(client);
        return;
    }
    client->queued_bytes += length;
}

void control_send(struct control *control, uint32_t client, enum frame_kind kind, uint32_t request,
                  const struct writer_id *peer, struct bytes body)
{
    CHECK(client < CONTROL_CLIENT_COUNT_MAX);
    if (control->clients[client] != NULL) {
        client_send(control->clients[client], kind, request, peer, body);
    }
}

void control_broadcast(struct control *control, enum frame_kind kind, const struct writer_id *peer,
                       struct bytes body)
{
    for (uint32_t i = 0; i < CONTROL_CLIENT_COUNT_MAX; i++) {
        control_send(control, i, kind, 0, peer, body);
    }
}

// ---- in ----

/* Show each whole frame. False: the client breaks the rules. */
static bool show_frames(struct client *client)
{
    struct control *control = client->control;
    struct cursor in = cursor_over(client->received.bytes, client->received.length);
    size_t shown = 0;
    while (!client->is_closing && in.left >= LENGTH_BYTES) {
        uint32_t length = cursor_u32(&in);
        if (length < FRAME_HEADER_BYTES || length > FRAME_BYTES_MAX) {
            return false;
        }
        if (in.left < length) {
            break;
        }
        control->events.frame(control->events.context, client->index, cursor_bytes(&in, length));
        shown += LENGTH_BYTES + length;
    }
    buffer_consume(&client->received, shown);
    return true;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct client *client = handle->data;
    *buffer = uv_buf_init(client->control->chunk, CHUNK_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    struct client *client = stream->data;
    if (length < 0 || buffer_append(&client->received, buffer->base, (size_t)length) != STATUS_OK) {
        client_close(client);
        return;
    }
    if (!show_frames(client)) {
        client->control->malformed_count++;
        client_close(client);
    }
}

/* A free place, or CONTROL_CLIENT_COUNT_MAX. */
static uint32_t find_place(const struct control *control)
{
    uint32_t place = 0;
    while (place < CONTROL_CLIENT_COUNT_MAX && control->clients[place] != NULL) {
        place++;
    }
    return place;
}

static void on_accept(uv_stream_t *stream, int status)
{
    struct control *control = stream->data;
    struct client *client = status == 0 ? calloc(1, sizeof *client) : NULL;
    if (client == NULL) {
        return;
    }
    CHECK(uv_pipe_init(stream->loop, &client->pipe, 0) == 0);
    control->open_handle_count++;
    client->pipe.data = client;
    client->control = control;
    client->index = find_place(control);
    if (uv_accept(stream, (uv_stream_t *)&client->pipe) != 0 ||
        client->index == CONTROL_CLIENT_COUNT_MAX ||
        uv_read_start((uv_stream_t *)&client->pipe, on_alloc, on_read) != 0) {
        client->is_closing = true;
        uv_close((uv_handle_t *)&client->pipe, on_client_closed);
        return;
    }
    random_fill(&control->random, client->id.bytes, sizeof client->id.bytes);
    control->clients[client->index] = client;
    control->events.joined(control->events.context, client->index, &client->id);
}

// ---- the whole ----

static void on_listener_closed(uv_handle_t *handle)
{
    struct control *control = handle->data;
    control->open_handle_count--;
    control_free_if_closed(control);
}

enum status control_open(struct control **made, uv_loop_t *loop, const char *path,
                         const struct random *random, const struct control_events *events,
                         int *cause)
{
    *made = NULL;
    *cause = UV_ENAMETOOLONG;
    struct sockaddr_un longest;
    if (strlen(path) >= sizeof longest.sun_path) {
        return STATUS_IO;
    }
    *cause = UV_ENOMEM;
    struct control *control = calloc(1, sizeof *control);
    if (control == NULL) {
        return STATUS_IO;
    }
    control->random = *random;
    control->events = *events;
    CHECK(uv_pipe_init(loop, &control->listener, 0) == 0);
    control->listener.data = control;
    control->open_handle_count = 1;

    (void)unlink(path);  // left by one that was killed
    mode_t before = umask(0177);
    *cause = uv_pipe_bind(&control->listener, path);
    umask(before);
    if (*cause == 0) {
        *cause = uv_listen((uv_stream_t *)&control->listener, BACKLOG, on_accept);
    }
    if (*cause != 0) {
        control_close(control);
        return STATUS_IO;
    }
    *made = control;
    return STATUS_OK;
}

void control_close(struct control *control)
{
    if (control == NULL) {
        return;
    }
    control->is_closing = true;
    for (uint32_t i = 0; i < CONTROL_CLIENT_COUNT_MAX; i++) {
        if (control->clients[i] != NULL) {
            client_close(control->clients[i]);
        }
    }
    // This removes the socket's file too.
    uv_close((uv_handle_t *)&control->listener, on_listener_closed);
}

uint64_t control_malformed_count(const struct control *control)
{
    return control->malformed_count;
}
