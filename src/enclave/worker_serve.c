/* src/enclave/worker_serve.c */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encoder.h"
#include "enclave/worker_internal.h"

enum {
    SERVE_CHUNK_BYTES = 64 * 1024,  // of one STREAM frame
    SERVE_HEADERS_MAX = RESPONSE_HEADER_COUNT_MAX,
};

static const struct writer_id everyone;

/* What the serve thread has. */
struct server {
    struct worker *worker;
    struct serve *serve;
    struct worker_kv kv;
    struct worker_list behind;  // wait until this replica reaches X-Paranoid-After
    struct worker_list full;    // writes for which there is no room yet, oldest first
    struct worker_list held;    // answered, wait for receipts
    struct worker_list asking;  // wait for evidence
    char worker_text[WRITER_ID_TEXT_BYTES];
};

static uint64_t now_ms(void)
{
    return enclave_now_us() / 1000;
}

/* ---- answers ---- */

void worker_serve_refuse(struct worker_task *task, unsigned status, const char *code,
                         const char *message)
{
    struct response response;
    buffer_clear(&task->body);
    task->has_result = false;
    task->status = status;
    task->content_type = "application/json";
    if (response_error(&response, &task->body, status, code, bytes_text(message)) != STATUS_OK) {
        buffer_clear(&task->body);
    }
}

static void task_free(struct worker_task *task)
{
    buffer_release(&task->body);
    lambda_result_release(&task->result);
    free(task);
}

static size_t add_header(struct response_header *headers, size_t count, const char *name,
                         const char *value)
{
    if (value != NULL && count < SERVE_HEADERS_MAX && value[0] != '\0') {
        headers[count++] =
            (struct response_header){.name = bytes_text(name), .value = bytes_text(value)};
    }
    return count;
}

/* A function's own headers; its content type has a place of its own. */
static size_t add_result_headers(struct response_header *headers, size_t count,
                                 const struct lambda_result *result, struct bytes *content_type)
{
    for (size_t i = 0; i < result->header_count && count < SERVE_HEADERS_MAX; i++) {
        const struct lambda_header *header = &result->headers[i];
        if (bytes_equal(header->name, bytes_text("content-type"))) {
            *content_type = header->value;
        } else {
            headers[count++] =
                (struct response_header){.name = header->name, .value = header->value};
        }
    }
    return count;
}

/* The version that the client has handed back; empty for none. */
static struct bytes after_of(const struct worker_task *task)
{
    struct bytes after;
    return http_find(task->http, "x-paranoid-after", &after) ? after : bytes_of(NULL, 0);
}

/* The text of the receipt that the request asks for, in `receipt`; NULL: none. */
static const char *make_receipt(struct server *server, const struct worker_task *task,
                                struct buffer *receipt)
{
    if (!task->has_result || !worker_deed_is_wanted(task)) {
        return NULL;
    }
    enum status status =
        worker_deed_make(server->worker, task, buffer_bytes(&task->result.body), receipt);
    if (status == STATUS_OK) {
        status = buffer_append(receipt, "", 1);
    }
    return status == STATUS_OK ? (const char *)receipt->bytes : NULL;
}

static void respond(struct server *server, struct worker_task *task)
{
    static char version[SCL_VERSION_BYTES_MAX];
    struct response_header headers[SERVE_HEADERS_MAX];
    char etag[68] = "";
    pthread_mutex_lock(&server->worker->lock);
    enum status status =
        scl_version(server->worker->scl, &task->dependency, after_of(task), version);
    pthread_mutex_unlock(&server->worker->lock);
    if (task->etag[0] != '\0') {
        snprintf(etag, sizeof etag, "\"%s\"", task->etag);
    }
    size_t count = add_header(headers, 0, "x-paranoid-worker", server->worker_text);
    // More open heads than fit into a token: the client goes without, and is told nothing false.
    count = add_header(headers, count, "x-paranoid-version", status == STATUS_OK ? version : "");
    count = add_header(headers, count, "etag", etag);
    count = add_header(headers, count, "allow", task->allow);
    struct buffer receipt = BUFFER_EMPTY;
    count = add_header(headers, count, "x-paranoid-receipt", make_receipt(server, task, &receipt));
    struct response response = {.status = task->status, .body = buffer_bytes(&task->body)};
    if (task->has_result) {
        count = add_result_headers(headers, count, &task->result, &response.content_type);
        response.body = buffer_bytes(&task->result.body);
    } else if (task->content_type != NULL) {
        response.content_type = bytes_text(task->content_type);
    }
    response.headers = headers;
    response.header_count = count;
    serve_respond(server->serve, task->request, &response, now_ms());
    buffer_release(&receipt);
    task_free(task);
}

/* The answer is there: it leaves when W stores hold what it rests on. */
static void finish(struct server *server, struct worker_task *task)
{
    if (!task->needs_receipts || dependency_is_empty(&task->dependency)) {
        respond(server, task);
        return;
    }
    task->deadline_us = enclave_now_us() + WORKER_DURABLE_US;
    atomic_fetch_add(&server->worker->serve_waits, 1);
    worker_list_add(&server->held, task);
}

static bool is_settled(struct server *server, struct worker_task *task, uint64_t now_us)
{
    struct worker *worker = server->worker;
    pthread_mutex_lock(&worker->lock);
    bool is_durable = scl_is_durable(worker->scl, &task->dependency);
    enum status trouble = scl_store_trouble(worker->scl);
    pthread_mutex_unlock(&worker->lock);
    if (is_durable) {
        return true;
    }
    if (trouble == STATUS_NO_SPACE) {
        worker_serve_refuse(task, 503, "no_space",
                            "the store's disk is full; the write may or may not be kept");
        return true;
    }
    if (now_us >= task->deadline_us) {
        worker_serve_refuse(task, 503, "not_durable",
                            "the store does not answer; the write may or may not be kept");
        return true;
    }
    return false;
}

static void settle_held(struct server *server)
{
    struct worker_list waiting = server->held;
    uint64_t now_us = enclave_now_us();
    if (waiting.count == 0) {
        return;
    }
    worker_list_init(&server->held);
    for (struct worker_task *task = waiting.first, *next; task != NULL; task = next) {
        next = task->next;
        if (is_settled(server, task, now_us)) {
            atomic_fetch_sub(&server->worker->serve_waits, 1);
            respond(server, task);
        } else {
            worker_list_add(&server->held, task);
        }
    }
}

/* ---- requests ---- */

static void ask_evidence(struct server *server, struct worker_task *task)
{
    struct worker *worker = server->worker;
    const struct p256_public public_key = p256_key_public(worker->tls_key);
    const struct bytes nonce = bytes_of(task->route.nonce, task->route.nonce_bytes);
    task->attest = calloc(1, sizeof *task->attest);
    if (task->attest == NULL) {
        worker_end(worker, "a request cannot be taken", STATUS_NO_MEMORY);
    }
    memcpy(task->attest->nonce, nonce.at, nonce.length);
    task->attest->nonce_bytes = nonce.length;
    vouch_worker_data(task->attest->report_data, nonce, &public_key);
    worker_attest_ask(worker, task->attest);
    atomic_fetch_add(&worker->serve_waits, 1);
    worker_list_add(&server->asking, task);
}

static void answer_evidence(struct server *server, struct worker_task *task, bool is_done)
{
    struct worker *worker = server->worker;
    atomic_fetch_sub(&worker->serve_waits, 1);
    if (is_done) {
        task->status = 200;
        task->content_type = "application/octet-stream";
        task->body = task->attest->vouch;
        task->attest->vouch = BUFFER_EMPTY;
    } else {
        worker_serve_refuse(task, 503, "no_evidence", "the platform gives no evidence");
    }
    worker_attest_release(worker, task->attest);
    free(task->attest);
    task->attest = NULL;
    respond(server, task);
}

static void settle_evidence(struct server *server)
{
    struct worker_list waiting = server->asking;
    uint64_t now_us = enclave_now_us();
    worker_list_init(&server->asking);
    for (struct worker_task *task = waiting.first, *next; task != NULL; task = next) {
        next = task->next;
        bool is_done = worker_attest_is_done(server->worker, task->attest);
        if (is_done || now_us >= task->attest->due_us) {
            answer_evidence(server, task, is_done);
        } else {
            worker_list_add(&server->asking, task);
        }
    }
}

static void answer_logs(struct server *server, struct worker_task *task)
{
    task->status = 200;
    task->content_type = "application/json";
    if (worker_log_json(server->worker->log, task->route.after, &task->body) != STATUS_OK) {
        worker_serve_refuse(task, 500, "no_memory", "the lines do not fit into memory");
    }
    respond(server, task);
}

static void answer_healthz(struct server *server, struct worker_task *task)
{
    char text[64];
    int length = snprintf(text, sizeof text, "{\"status\":\"ok\",\"tee\":\"%s\"}\n",
                          enclave_tee_text(server->worker->enclave));
    task->status = 200;
    task->content_type = "application/json";
    if (buffer_append(&task->body, text, (size_t)length) != STATUS_OK) {
        task->status = 503;
    }
    respond(server, task);
}

static void enqueue(struct server *server, struct worker_task *task)
{
    struct worker *worker = server->worker;
    pthread_mutex_lock(&worker->queue_lock);
    bool has_room = worker->queue.count < WORKER_QUEUE_MAX;
    if (has_room) {
        worker_list_add(&worker->queue, task);
        pthread_cond_signal(&worker->queued);
    }
    pthread_mutex_unlock(&worker->queue_lock);
    if (!has_room) {
        worker_serve_refuse(task, 429, "busy", "too many invocations wait; try again");
        respond(server, task);
    }
}

static void act_kv(struct server *server, struct worker_task *task)
{
    if (worker_kv_serve(&server->kv, task) == STATUS_OK) {
        finish(server, task);
    } else {
        task->deadline_us = enclave_now_us() + WORKER_DURABLE_US;
        atomic_fetch_add(&server->worker->serve_waits, 1);
        worker_list_add(&server->full, task);
    }
}

/* The oldest goes first: as long as there is no room for it, the others need not ask. */
static void settle_full(struct server *server)
{
    struct worker_task *task;
    while ((task = server->full.first) != NULL) {
        if (worker_kv_serve(&server->kv, task) != STATUS_OK) {
            if (enclave_now_us() < task->deadline_us) {
                return;
            }
            worker_serve_refuse(task, 503, "busy", "too much waits for the store; try again");
        }
        (void)worker_list_take(&server->full);
        atomic_fetch_sub(&server->worker->serve_waits, 1);
        finish(server, task);
    }
}

static void act(struct server *server, struct worker_task *task)
{
    switch (task->route.action) {
    case ROUTE_FUNCTION:
        enqueue(server, task);
        break;
    case ROUTE_EVIDENCE:
        ask_evidence(server, task);
        break;
    case ROUTE_HEALTHZ:
        answer_healthz(server, task);
        break;
    case ROUTE_LOGS:
        answer_logs(server, task);
        break;
    case ROUTE_KV_GET:
    case ROUTE_KV_PUT:
    case ROUTE_KV_DELETE:
    case ROUTE_KV_LIST:
        if (worker_kv_is_swap(task)) {
            enqueue(server, task);
        } else {
            act_kv(server, task);
        }
        break;
    }
}

/* Whether the route is open to everybody: evidence, health, and functions the owner made public. */
static bool is_public(struct server *server, const struct route *route)
{
    if (route->action == ROUTE_EVIDENCE || route->action == ROUTE_HEALTHZ) {
        return true;
    }
    if (route->action != ROUTE_FUNCTION) {
        return false;
    }
    struct worker_function *function =
        worker_functions_find(server->worker->functions, route->name);
    bool is_open = function != NULL && function->manifest.access == FUNCTION_PUBLIC;
    worker_functions_drop(function);
    return is_open;
}

/* P6: what the client has seen is here; else `*refusal` is set, or it waits (STATUS_GAP). */
static enum status reach(struct server *server, struct worker_task *task)
{
    struct bytes after;
    if (!http_find(task->http, "x-paranoid-after", &after)) {
        return STATUS_OK;
    }
    pthread_mutex_lock(&server->worker->lock);
    enum status status = scl_version_reaches(server->worker->scl, after);
    pthread_mutex_unlock(&server->worker->lock);
    return status;
}

static void refuse_version(struct server *server, struct worker_task *task, enum status status)
{
    if (status == STATUS_CLOSED) {
        worker_serve_refuse(task, 409, "version_lost",
                            "that version names a write that did not survive a crash");
    } else if (status == STATUS_GAP) {
        worker_serve_refuse(task, 503, "behind", "this worker has not seen that version yet");
    } else {
        worker_serve_refuse(task, 400, "bad_version", "X-Paranoid-After is no version of this app");
    }
    respond(server, task);
}

static void begin(struct server *server, const struct serve_request *request)
{
    struct http_refusal refusal;
    struct worker_task *task = calloc(1, sizeof *task);
    if (task == NULL) {
        worker_end(server->worker, "a request cannot be taken", STATUS_NO_MEMORY);
    }
    task->request = request->id;
    task->http = request->http;
    if (routes_resolve(&task->route, request->http, &refusal) != STATUS_OK) {
        worker_serve_refuse(task, refusal.status, refusal.code, refusal.message);
        task->allow = refusal.allow;
        respond(server, task);
        return;
    }
    if (!token_accepts(&server->worker->tokens, request->http->token) &&
        !is_public(server, &task->route)) {
        bool has_token = request->http->token.length > 0;
        worker_serve_refuse(
            task, has_token ? 403 : 401, has_token ? "forbidden" : "unauthorized",
            has_token ? "this token is not accepted" : "send 'Authorization: Bearer TOKEN'");
        respond(server, task);
        return;
    }
    enum status status = reach(server, task);
    if (status == STATUS_GAP) {
        task->deadline_us = enclave_now_us() + WORKER_BEHIND_US;
        atomic_fetch_add(&server->worker->serve_waits, 1);
        worker_list_add(&server->behind, task);
    } else if (status != STATUS_OK) {
        refuse_version(server, task, status);
    } else {
        act(server, task);
    }
}

static void settle_behind(struct server *server)
{
    struct worker_list waiting = server->behind;
    uint64_t now_us = enclave_now_us();
    worker_list_init(&server->behind);
    for (struct worker_task *task = waiting.first, *next; task != NULL; task = next) {
        next = task->next;
        enum status status = reach(server, task);
        if (status == STATUS_GAP && now_us < task->deadline_us) {
            worker_list_add(&server->behind, task);
            continue;
        }
        atomic_fetch_sub(&server->worker->serve_waits, 1);
        if (status == STATUS_OK) {
            act(server, task);
        } else {
            refuse_version(server, task, status);
        }
    }
}

/* ---- the stream port ---- */

static void send_stream(struct server *server, uint64_t connection, enum frame_stream_event event,
                        struct bytes bytes)
{
    uint8_t header[FRAME_HEADER_BYTES];
    uint8_t prefix[FRAME_STREAM_PREFIX_BYTES];
    struct port *port = &server->worker->enclave->wall.stream;
    frame_header(header, FRAME_STREAM, 0, &everyone);
    frame_stream_prefix(prefix, connection, event);
    const struct bytes parts[] = {bytes_of(header, sizeof header), bytes_of(prefix, sizeof prefix),
                                  bytes};
    enum status status;
    while ((status = port_send(port, parts, 3)) == STATUS_FULL) {
        enum status waited = port_wait_for_room(port, 100);
        (void)waited;  // a host that makes no room has stopped this worker, as it may
    }
    if (status != STATUS_OK) {
        worker_end(server->worker, "the wall is broken", status);
    }
}

static void send_output(struct server *server)
{
    struct serve_output output;
    while (serve_output(server->serve, &output, SERVE_CHUNK_BYTES) == STATUS_OK) {
        uint8_t taken[4];
        struct encoder out = encoder_over(taken, sizeof taken);
        switch (output.kind) {
        case SERVE_OUTPUT_DATA:
            send_stream(server, output.connection, FRAME_STREAM_DATA, output.bytes);
            break;
        case SERVE_OUTPUT_TAKEN:
            encoder_u32(&out, output.taken_bytes);
            send_stream(server, output.connection, FRAME_STREAM_SENT,
                        bytes_of(taken, sizeof taken));
            break;
        case SERVE_OUTPUT_CLOSE:
            send_stream(server, output.connection, FRAME_STREAM_CLOSE, bytes_of(NULL, 0));
            break;
        }
    }
}

static void receive_stream(struct server *server, const struct frame_stream *stream)
{
    struct cursor in = cursor_over(stream->bytes.at, stream->bytes.length);
    switch (stream->event) {
    case FRAME_STREAM_OPEN:
        if (serve_open(server->serve, stream->connection, now_ms()) != STATUS_OK) {
            send_stream(server, stream->connection, FRAME_STREAM_CLOSE, bytes_of(NULL, 0));
        }
        break;
    case FRAME_STREAM_DATA:
        serve_receive(server->serve, stream->connection, stream->bytes, now_ms());
        break;
    case FRAME_STREAM_SENT:
        serve_sent(server->serve, stream->connection, cursor_u32(&in), now_ms());
        break;
    case FRAME_STREAM_CLOSE:
        serve_close(server->serve, stream->connection);
        break;
    }
}

static void receive_all(struct server *server)
{
    struct buffer bytes = BUFFER_EMPTY;
    enum status status;
    while ((status = port_receive(&server->worker->enclave->wall.stream, &bytes)) == STATUS_OK) {
        struct frame frame;
        struct frame_stream stream;
        if (frame_decode(&frame, buffer_bytes(&bytes)) == STATUS_OK && frame.kind == FRAME_STREAM &&
            frame_stream_decode(&stream, frame.body) == STATUS_OK) {
            receive_stream(server, &stream);
        }
        buffer_clear(&bytes);
    }
    buffer_release(&bytes);
    if (status != STATUS_EMPTY) {
        worker_end(server->worker, "the wall is broken", status);
    }
}

static void take_finished(struct server *server)
{
    struct worker *worker = server->worker;
    pthread_mutex_lock(&worker->queue_lock);
    struct worker_list finished = worker->finished;
    worker_list_init(&worker->finished);
    pthread_mutex_unlock(&worker->queue_lock);
    for (struct worker_task *task = finished.first, *next; task != NULL; task = next) {
        next = task->next;
        finish(server, task);
    }
}

static void take_renewed(struct server *server)
{
    struct worker *worker = server->worker;
    struct buffer renewed = BUFFER_EMPTY;
    pthread_mutex_lock(&worker->lock);
    if (worker->renewed.length > 0) {
        renewed = worker->renewed;
        worker->renewed = BUFFER_EMPTY;
    }
    pthread_mutex_unlock(&worker->lock);
    if (renewed.length > 0 &&
        serve_renew(server->serve, buffer_bytes(&renewed), worker->tls_key) != STATUS_OK) {
        log_event(&worker->enclave->log, "the new certificate cannot be used");
    }
    buffer_release(&renewed);
}

static int timeout_ms(struct server *server)
{
    uint64_t tick_ms = serve_tick(server->serve, now_ms());
    bool waits = server->held.count > 0 || server->full.count > 0 || server->behind.count > 0 ||
                 server->asking.count > 0;
    uint64_t due_us = tick_ms == UINT64_MAX ? UINT64_MAX : tick_ms * 1000;
    uint64_t soon_us = enclave_now_us() + 250 * 1000;  // deadlines of what waits
    return enclave_timeout_ms(waits && soon_us < due_us ? soon_us : due_us, enclave_now_us());
}

static void server_init(struct server *server, struct worker *worker)
{
    *server = (struct server){.worker = worker, .kv = {.worker = worker}};
    worker_list_init(&server->behind);
    worker_list_init(&server->full);
    worker_list_init(&server->held);
    worker_list_init(&server->asking);
    writer_id_text(&worker->enclave->id, server->worker_text);
    const struct serve_config config = {
        .certificate = buffer_bytes(&worker->certificate),
        .key = worker->tls_key,
        .limits = serve_limits_default(),
        .log = &worker->enclave->log,
    };
    enum status status = scl_reader_new(&server->kv.reader, worker->scl);
    if (status == STATUS_OK) {
        status = serve_new(&server->serve, &config);
    }
    if (status != STATUS_OK) {
        worker_end(worker, "it cannot serve", status);
    }
}

/* Whether there was any. */
static bool begin_all(struct server *server)
{
    struct serve_request request;
    bool has_begun = false;
    while (serve_request(server->serve, &request) == STATUS_OK) {
        begin(server, &request);
        has_begun = true;
    }
    return has_begun;
}

void *worker_serve_run(void *context)
{
    static struct server server;
    server_init(&server, context);
    while (true) {
        receive_all(&server);
        take_renewed(&server);
        (void)begin_all(&server);
        take_finished(&server);
        settle_behind(&server);
        settle_full(&server);
        settle_evidence(&server);
        settle_held(&server);
        int timeout = timeout_ms(&server);
        send_output(&server);
        // An answer makes room for the next request of its connection, which may be here already.
        if (begin_all(&server)) {
            continue;
        }
        enum status status = port_wait(&server.worker->enclave->wall.stream, timeout);
        if (status != STATUS_OK && status != STATUS_TIMEOUT) {
            worker_end(server.worker, "the wall is broken", status);
        }
    }
}
