/* src/host/metrics.c */
#include "host/metrics.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { BACKLOG = 64, CLIENT_MS_MAX = 5000, HEAD_BYTES_MAX = 256 };

struct client {
    uv_tcp_t tcp;
    uv_timer_t timer;  // nobody keeps a place for ever
    uv_write_t write;
    struct metrics *metrics;
    struct client *next;
    struct client *before;
    int open_handle_count;
    bool is_closing;
    bool is_answered;
    size_t length;
    char request[METRICS_REQUEST_BYTES_MAX];
    struct buffer answer;
};

struct metrics {
    uv_tcp_t listener;
    struct metrics_pages pages;
    struct client *clients;
    uint32_t client_count;
    uint32_t open_handle_count;  // the listener and the clients
    bool is_closing;
    uint16_t port;
};

static void metrics_free_if_closed(struct metrics *metrics)
{
    if (metrics->is_closing && metrics->open_handle_count == 0) {
        free(metrics);
    }
}

static void on_client_closed(uv_handle_t *handle)
{
    struct client *client = handle->data;
    struct metrics *metrics = client->metrics;
    client->open_handle_count--;
    if (client->open_handle_count == 0) {
        buffer_release(&client->answer);
        free(client);
        metrics->open_handle_count--;
        metrics_free_if_closed(metrics);
    }
}

static void client_close(struct client *client)
{
    struct metrics *metrics = client->metrics;
    if (client->is_closing) {
        return;
    }
    client->is_closing = true;
    if (client->before != NULL) {
        client->before->next = client->next;
    } else {
        metrics->clients = client->next;
    }
    if (client->next != NULL) {
        client->next->before = client->before;
    }
    metrics->client_count--;
    uv_close((uv_handle_t *)&client->tcp, on_client_closed);
    uv_close((uv_handle_t *)&client->timer, on_client_closed);
}

static void on_timeout(uv_timer_t *timer)
{
    client_close(timer->data);
}

static void on_written(uv_write_t *write, int status)
{
    (void)status;
    struct client *client = write->data;
    client_close(client);
}

static void answer(struct client *client, const char *status, const char *type, struct bytes body)
{
    char head[HEAD_BYTES_MAX];
    int length = snprintf(head, sizeof head,
                          "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                          "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
                          status, type, body.length);
    CHECK(0 < length && (size_t)length < sizeof head);
    client->is_answered = true;
    client->write.data = client;
    if (buffer_append(&client->answer, head, (size_t)length) != STATUS_OK ||
        buffer_append(&client->answer, body.at, body.length) != STATUS_OK) {
        client_close(client);
        return;
    }
    uv_buf_t buffer = uv_buf_init((char *)client->answer.bytes, (unsigned)client->answer.length);
    if (uv_write(&client->write, (uv_stream_t *)&client->tcp, &buffer, 1, on_written) != 0) {
        client_close(client);
    }
}

static void answer_text(struct client *client, const char *status, const char *text)
{
    answer(client, status, "text/plain; charset=utf-8", bytes_text(text));
}

/* "GET /path HTTP/1.1": cut out the path. NULL: something else. */
static const char *request_path(char *line)
{
    if (strncmp(line, "GET /", 5) != 0) {
        return NULL;
    }
    char *path = line + 4;
    size_t length = strcspn(path, " ?");
    if (path[length] == '\0') {
        return NULL;
    }
    path[length] = '\0';
    return path;
}

static void answer_request(struct client *client)
{
    const struct metrics_pages *pages = &client->metrics->pages;
    const char *path = request_path(client->request);
    if (path == NULL) {
        answer_text(client, "405 Method Not Allowed", "only GET is served here\n");
        return;
    }
    struct buffer body = BUFFER_EMPTY;
    const char *type = "text/plain";
    enum status status = pages->write(pages->context, path, &body, &type);
    if (status == STATUS_OK) {
        answer(client, "200 OK", type, buffer_bytes(&body));
    } else if (status == STATUS_NOT_FOUND) {
        answer_text(client, "404 Not Found", "try /metrics, /status or /healthz\n");
    } else {
        answer_text(client, "503 Service Unavailable", status_text(status));
    }
    buffer_release(&body);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct client *client = handle->data;
    // One less: a request is a string.
    size_t room = sizeof client->request - 1 - client->length;
    *buffer = uv_buf_init(client->request + client->length, (unsigned)room);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    (void)buffer;
    struct client *client = stream->data;
    if (length < 0) {  // also when there is no room left
        client_close(client);
        return;
    }
    client->length += (size_t)length;
    client->request[client->length] = '\0';
    if (strstr(client->request, "\r\n\r\n") != NULL && !client->is_answered) {
        uv_read_stop(stream);
        answer_request(client);
    }
}

static void on_accept(uv_stream_t *stream, int status)
{
    struct metrics *metrics = stream->data;
    struct client *client = status == 0 ? calloc(1, sizeof *client) : NULL;
    if (client == NULL) {
        return;
    }
    CHECK(uv_tcp_init(stream->loop, &client->tcp) == 0);
    CHECK(uv_timer_init(stream->loop, &client->timer) == 0);
    metrics->open_handle_count++;
    client->tcp.data = client;
    client->timer.data = client;
    client->open_handle_count = 2;
    client->metrics = metrics;
    client->next = metrics->clients;
    if (client->next != NULL) {
        client->next->before = client;
    }
    metrics->clients = client;
    metrics->client_count++;
    if (uv_accept(stream, (uv_stream_t *)&client->tcp) != 0 ||
        metrics->client_count > METRICS_CLIENT_COUNT_MAX ||
        uv_read_start((uv_stream_t *)&client->tcp, on_alloc, on_read) != 0) {
        client_close(client);
        return;
    }
    uv_timer_start(&client->timer, on_timeout, CLIENT_MS_MAX, 0);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct metrics *metrics = handle->data;
    metrics->open_handle_count--;
    metrics_free_if_closed(metrics);
}

enum status metrics_open(struct metrics **made, uv_loop_t *loop, uint16_t port,
                         const struct metrics_pages *pages, int *cause)
{
    *made = NULL;
    *cause = UV_ENOMEM;
    struct metrics *metrics = calloc(1, sizeof *metrics);
    if (metrics == NULL) {
        return STATUS_IO;
    }
    metrics->pages = *pages;
    CHECK(uv_tcp_init(loop, &metrics->listener) == 0);
    metrics->listener.data = metrics;
    metrics->open_handle_count = 1;

    struct sockaddr_in address;
    int length = sizeof address;
    *cause = uv_ip4_addr("127.0.0.1", port, &address);
    if (*cause == 0) {
        *cause = uv_tcp_bind(&metrics->listener, (const struct sockaddr *)&address, 0);
    }
    if (*cause == 0) {
        *cause = uv_listen((uv_stream_t *)&metrics->listener, BACKLOG, on_accept);
    }
    if (*cause == 0) {
        *cause = uv_tcp_getsockname(&metrics->listener, (struct sockaddr *)&address, &length);
    }
    if (*cause != 0) {
        metrics_close(metrics);
        return STATUS_IO;
    }
    metrics->port = ntohs(address.sin_port);
    *made = metrics;
    return STATUS_OK;
}

void metrics_close(struct metrics *metrics)
{
    if (metrics == NULL) {
        return;
    }
    metrics->is_closing = true;
    while (metrics->clients != NULL) {
        client_close(metrics->clients);
    }
    uv_close((uv_handle_t *)&metrics->listener, on_listener_closed);
}

uint16_t metrics_port(const struct metrics *metrics)
{
    return metrics->port;
}
