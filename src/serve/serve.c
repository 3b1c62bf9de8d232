/* src/serve/serve.c */
#include "serve/serve.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "serve/tls.h"

/*
 * What stays true between calls:
 *
 *  1. A connection has at most one exchange that is being parsed (`current`),
 *     and a list of whole ones in the order they arrived (`oldest` to `newest`);
 *     the oldest one is not answered (connection_flush).
 *  2. An exchange is in exactly one place: free, current, or listed; or it was
 *     handed out and its connection is gone. Its id changes when it is freed (exchange_recycle).
 *  3. `input` and `unparsed` hold bytes only while the connection is held back
 *     (connection_is_reading), and never more than the window and one TLS record.
 *  4. A connection that has something for the host is on the ready list (connection_touch).
 *  5. A connection that is ending reads nothing more; closed, it has nothing more to encrypt.
 */

enum {
    SCRATCH_BYTES = 16 * 1024,                 // the plaintext of one TLS record
    SLICE_BYTES = 64 * 1024,                   // plaintext encrypted at a time
    KEPT_BYTES_MAX = 64 * 1024,                // memory that a buffer keeps for its next use
    TAKEN_BYTES_MIN = SERVE_WINDOW_BYTES / 2,  // worth telling the host
};

struct connection;

struct exchange {
    struct exchange *next;  // of the free list, or of the connection's
    struct exchange *next_untaken;
    struct connection *connection;  // NULL: gone
    struct http_parser *parser;
    uint64_t id;            // generation << 32 | index
    size_t buffered_bytes;  // counted in the serve's
    struct buffer answer;
    bool is_untaken;  // on the list for serve_request()
    bool is_taken;    // lent out until serve_respond()
    bool is_answered;
};

enum wait {
    WAIT_NOTHING,
    WAIT_HEAD,  // or for the handshake
    WAIT_BODY,
    WAIT_IDLE,
    WAIT_SENT,
};

struct connection {
    uint64_t id;
    struct connection *next_in_bucket;
    struct connection *ready_before, *ready_after;
    bool is_ready;
    struct tls *tls;
    bool has_handshake;

    struct buffer input;     // received, not yet decrypted
    struct buffer unparsed;  // decrypted, not yet parsed
    size_t untaken_bytes;    // received, and not yet reported as taken
    uint32_t taken_bytes;    // taken, and to be reported

    struct exchange *current;
    struct exchange *oldest, *newest;
    uint32_t exchange_count;
    bool has_continued;  // "100 Continue" was sent for the current one

    struct buffer plain;  // to be encrypted, from plain_done on
    size_t plain_done;
    struct buffer cipher;  // to be given to the host, from cipher_done on
    size_t cipher_done;
    size_t unsent_bytes;  // given, and not yet reported as sent

    bool is_ending;
    bool is_closed;

    enum wait wait;
    uint64_t deadline_ms;
};

struct serve {
    struct serve_limits limits;
    const struct log *log;
    struct tls_identity *identity;
    struct serve_ledger ledger;

    struct connection **buckets;
    size_t bucket_count;  // a power of two
    struct connection *ready_first, *ready_last;
    uint64_t wake_ms;  // no deadline is earlier

    struct exchange **exchanges;  // by index; made when first needed
    uint32_t exchange_count;
    uint32_t exchange_count_max;
    struct exchange *free_exchanges;
    struct exchange *untaken_first, *untaken_last;
    size_t buffered_bytes;

    struct buffer error_body;
    uint8_t scratch[SCRATCH_BYTES];
};

struct serve_limits serve_limits_default(void)
{
    return (struct serve_limits){
        .http = {.head_bytes_max = 16 * 1024, .body_bytes_max = 8 * 1024 * 1024},
        .buffered_bytes_max = 256 * 1024 * 1024,
        .connection_count_max = 1024,
        .pipeline_count_max = 16,
        .head_ms = 10 * 1000,
        .body_ms = 30 * 1000,
        .idle_ms = 60 * 1000,
        .stall_ms = 30 * 1000,
    };
}

/* ---- exchanges ---- */

static struct exchange *exchange_new(struct serve *serve)
{
    if (serve->exchange_count == serve->exchange_count_max) {
        return NULL;
    }
    struct exchange *exchange = calloc(1, sizeof *exchange);
    if (exchange == NULL) {
        return NULL;
    }
    exchange->parser = http_new(&serve->limits.http);
    if (exchange->parser == NULL) {
        free(exchange);
        return NULL;
    }
    exchange->id = UINT64_C(1) << 32 | serve->exchange_count;
    serve->exchanges[serve->exchange_count] = exchange;
    serve->exchange_count++;
    return exchange;
}

static void exchange_free(struct exchange *exchange)
{
    http_free(exchange->parser);
    buffer_release(&exchange->answer);
    free(exchange);
}

/* NULL: all are in use, or no memory. */
static struct exchange *exchange_take(struct serve *serve, struct connection *connection)
{
    struct exchange *exchange = serve->free_exchanges;
    if (exchange != NULL) {
        serve->free_exchanges = exchange->next;
    } else {
        exchange = exchange_new(serve);
    }
    if (exchange != NULL) {
        exchange->next = NULL;
        exchange->connection = connection;
    }
    return exchange;
}

static void exchange_recycle(struct serve *serve, struct exchange *exchange)
{
    CHECK(!exchange->is_untaken);

    serve->buffered_bytes -= exchange->buffered_bytes;
    exchange->buffered_bytes = 0;
    http_reset(exchange->parser);
    buffer_recycle(&exchange->answer, KEPT_BYTES_MAX);
    exchange->connection = NULL;
    exchange->is_taken = false;
    exchange->is_answered = false;
    exchange->id += UINT64_C(1) << 32;  // what still names the old one finds nothing
    exchange->next = serve->free_exchanges;
    serve->free_exchanges = exchange;
}

/* The connection lets go of a listed exchange. */
static void exchange_abandon(struct serve *serve, struct exchange *exchange)
{
    exchange->connection = NULL;
    if (!exchange->is_untaken && !exchange->is_taken) {
        exchange_recycle(serve, exchange);
    }
    // Else serve_request() or serve_respond() will come across it.
}

static struct exchange *exchange_find(struct serve *serve, uint64_t id)
{
    uint32_t index = (uint32_t)id;
    if (index >= serve->exchange_count || serve->exchanges[index]->id != id) {
        return NULL;
    }
    return serve->exchanges[index];
}

/* ---- connections ---- */

static struct connection **bucket_of(struct serve *serve, uint64_t id)
{
    // The host picks the names, so it can make one bucket long: it would slow down only itself.
    uint64_t mixed = id * UINT64_C(0x9e3779b97f4a7c15);
    return &serve->buckets[(mixed >> 32) & (serve->bucket_count - 1)];
}

static struct connection *connection_find(struct serve *serve, uint64_t id)
{
    struct connection *connection = *bucket_of(serve, id);
    while (connection != NULL && connection->id != id) {
        connection = connection->next_in_bucket;
    }
    return connection;
}

/* Put the connection on the ready list. */
static void connection_touch(struct serve *serve, struct connection *connection)
{
    if (connection->is_ready) {
        return;
    }
    connection->is_ready = true;
    connection->ready_before = serve->ready_last;
    connection->ready_after = NULL;
    if (serve->ready_last != NULL) {
        serve->ready_last->ready_after = connection;
    } else {
        serve->ready_first = connection;
    }
    serve->ready_last = connection;
}

static void connection_untouch(struct serve *serve, struct connection *connection)
{
    if (!connection->is_ready) {
        return;
    }
    struct connection *before = connection->ready_before;
    struct connection *after = connection->ready_after;
    *(before != NULL ? &before->ready_after : &serve->ready_first) = after;
    *(after != NULL ? &after->ready_before : &serve->ready_last) = before;
    connection->is_ready = false;
}

static void connection_free(struct connection *connection)
{
    tls_free(connection->tls);
    buffer_release(&connection->input);
    buffer_release(&connection->unparsed);
    buffer_release(&connection->plain);
    buffer_release(&connection->cipher);
    free(connection);
}

static void connection_abandon_exchanges(struct serve *serve, struct connection *connection)
{
    if (connection->current != NULL) {
        exchange_recycle(serve, connection->current);
        connection->current = NULL;
    }
    while (connection->oldest != NULL) {
        struct exchange *exchange = connection->oldest;
        connection->oldest = exchange->next;
        exchange_abandon(serve, exchange);
    }
    connection->newest = NULL;
    connection->exchange_count = 0;
}

/* Take the connection out of everything, and free it. */
static void connection_remove(struct serve *serve, struct connection *connection)
{
    struct connection **link = bucket_of(serve, connection->id);
    while (*link != connection) {
        link = &(*link)->next_in_bucket;
    }
    *link = connection->next_in_bucket;
    connection_untouch(serve, connection);
    connection_abandon_exchanges(serve, connection);
    connection_free(connection);
    serve->ledger.connection_count--;
}

/* Read nothing more; close when all that was answered has left. */
static void connection_end(struct serve *serve, struct connection *connection)
{
    connection->is_ending = true;
    if (connection->current != NULL) {
        exchange_recycle(serve, connection->current);
        connection->current = NULL;
    }
    buffer_release(&connection->input);
    buffer_release(&connection->unparsed);
    connection_touch(serve, connection);
}

/* TLS can carry nothing more, but its alert may be in `cipher`. */
static void connection_abort(struct serve *serve, struct connection *connection)
{
    connection_end(serve, connection);
    connection_abandon_exchanges(serve, connection);
    buffer_release(&connection->plain);
    connection->plain_done = 0;
    connection->is_closed = true;
}

/* Nothing more leaves, not even what was encrypted. */
static void connection_drop(struct serve *serve, struct connection *connection)
{
    connection_abort(serve, connection);
    buffer_release(&connection->cipher);
    connection->cipher_done = 0;
    connection->unsent_bytes = 0;
}

static size_t plain_left(const struct connection *connection)
{
    return connection->plain.length - connection->plain_done;
}

static size_t cipher_left(const struct connection *connection)
{
    return connection->cipher.length - connection->cipher_done;
}

static bool connection_is_reading(const struct serve *serve, const struct connection *connection)
{
    return !connection->is_ending &&
           connection->exchange_count < serve->limits.pipeline_count_max &&
           plain_left(connection) + cipher_left(connection) + connection->unsent_bytes <
               SERVE_WINDOW_BYTES;
}

/* ---- answers ---- */

static struct response_frame frame_of(const struct connection *connection,
                                      const struct exchange *exchange)
{
    const struct http_request *request = http_request(exchange->parser);
    return (struct response_frame){
        .is_head = http_has_head(exchange->parser) && request->method == HTTP_METHOD_HEAD,
        .is_http_1_0 = request->is_http_1_0,
        .closes = connection->is_ending && exchange == connection->newest,
    };
}

/* Encode to `target`, or in its place a 500. */
static enum status answer_encode(struct serve *serve, struct buffer *target,
                                 const struct response *response,
                                 const struct response_frame *frame)
{
    enum status status = response_encode(target, response, frame);
    if (status != STATUS_MALFORMED) {
        return status;
    }
    log_event(serve->log, "response refused status=%u headers=%zu", response->status,
              response->header_count);
    struct response error;
    status = response_error(&error, &serve->error_body, 500, "bad_response",
                            bytes_text("the answer has a bad status or header"));
    return status == STATUS_OK ? response_encode(target, &error, frame) : status;
}

static void connection_unlist_oldest(struct serve *serve, struct connection *connection)
{
    struct exchange *exchange = connection->oldest;
    connection->oldest = exchange->next;
    if (connection->oldest == NULL) {
        connection->newest = NULL;
    }
    connection->exchange_count--;
    exchange_recycle(serve, exchange);
}

/* Move the answers whose turn it is to `plain`. */
static enum status connection_flush(struct serve *serve, struct connection *connection)
{
    while (connection->oldest != NULL && connection->oldest->is_answered) {
        const struct buffer *answer = &connection->oldest->answer;
        enum status status = buffer_append(&connection->plain, answer->bytes, answer->length);
        if (status != STATUS_OK) {
            return status;
        }
        connection_unlist_oldest(serve, connection);
    }
    return STATUS_OK;
}

/* Answer a listed exchange. STATUS_NO_MEMORY: the connection cannot go on. */
static enum status connection_answer(struct serve *serve, struct connection *connection,
                                     struct exchange *exchange, const struct response *response)
{
    struct response_frame frame = frame_of(connection, exchange);
    bool is_its_turn = exchange == connection->oldest;
    struct buffer *target = is_its_turn ? &connection->plain : &exchange->answer;
    enum status status = answer_encode(serve, target, response, &frame);
    if (status != STATUS_OK) {
        return status;
    }
    serve->ledger.response_count++;
    connection_touch(serve, connection);
    if (!is_its_turn) {
        exchange->is_answered = true;
        return STATUS_OK;
    }
    connection_unlist_oldest(serve, connection);
    return connection_flush(serve, connection);
}

/* ---- requests ---- */

/* The current exchange has become whole, or is given up: it waits for its answer. */
static struct exchange *connection_list_current(struct connection *connection)
{
    struct exchange *exchange = connection->current;
    connection->current = NULL;
    connection->has_continued = false;
    connection->wait = WAIT_NOTHING;  // the next request has a time limit of its own
    if (connection->newest != NULL) {
        connection->newest->next = exchange;
    } else {
        connection->oldest = exchange;
    }
    connection->newest = exchange;
    connection->exchange_count++;
    return exchange;
}

/* Answer the current exchange ourselves, behind those before it, and read no more. */
static enum status connection_refuse(struct serve *serve, struct connection *connection,
                                     const struct http_refusal *refusal)
{
    struct http_refusal reason = *refusal;  // it may lie in the exchange, which may go
    struct exchange *exchange = connection_list_current(connection);
    connection_end(serve, connection);
    serve->ledger.refused_count++;

    struct response error;
    enum status status = response_error(&error, &serve->error_body, reason.status, reason.code,
                                        bytes_text(reason.message));
    if (status != STATUS_OK) {
        return status;
    }
    return connection_answer(serve, connection, exchange, &error);
}

static void connection_offer(struct serve *serve, struct connection *connection)
{
    struct exchange *exchange = connection_list_current(connection);
    serve->ledger.request_count++;
    exchange->is_untaken = true;
    exchange->next_untaken = NULL;
    if (serve->untaken_last != NULL) {
        serve->untaken_last->next_untaken = exchange;
    } else {
        serve->untaken_first = exchange;
    }
    serve->untaken_last = exchange;

    if (!http_request(exchange->parser)->keeps_alive) {
        connection_end(serve, connection);
    }
}

/* Count what the current exchange holds. False: it is too much for all of us. */
static bool connection_count_body(struct serve *serve, struct connection *connection)
{
    struct exchange *exchange = connection->current;
    size_t held = http_body_bytes(exchange->parser);
    serve->buffered_bytes += held - exchange->buffered_bytes;
    exchange->buffered_bytes = held;
    return serve->buffered_bytes <= serve->limits.buffered_bytes_max;
}

static const struct http_refusal refused_load = {
    503, "overloaded", "too many bytes of requests are waiting; try again later", NULL};
static const struct http_refusal refused_pace = {408, "timeout",
                                                 "the request did not arrive in time", NULL};

/* Parse one request's worth of `*plain` at most, and cut off what was used. */
static enum status connection_parse(struct serve *serve, struct connection *connection,
                                    struct bytes *plain)
{
    if (connection->current == NULL) {
        connection->current = exchange_take(serve, connection);
        if (connection->current == NULL) {
            return STATUS_NO_MEMORY;
        }
    }
    struct http_parser *parser = connection->current->parser;
    size_t used = 0;
    enum status status = http_feed(parser, *plain, &used);
    plain->at += used;
    plain->length -= used;

    if (status != STATUS_OK && status != STATUS_EMPTY) {
        return connection_refuse(serve, connection, http_refusal(parser));
    }
    if (!connection_count_body(serve, connection)) {
        return connection_refuse(serve, connection, &refused_load);
    }
    if (status == STATUS_OK) {
        connection_offer(serve, connection);
    }
    return STATUS_OK;
}

/* Parse while reading; keep what is left, which is none of `unparsed`'s own bytes. */
static enum status connection_parse_all(struct serve *serve, struct connection *connection,
                                        struct bytes plain)
{
    while (plain.length > 0 && connection_is_reading(serve, connection)) {
        enum status status = connection_parse(serve, connection, &plain);
        if (status != STATUS_OK) {
            return status;
        }
    }
    if (connection->is_ending) {
        return STATUS_OK;
    }
    return buffer_append(&connection->unparsed, plain.at, plain.length);
}

static enum status connection_parse_kept(struct serve *serve, struct connection *connection)
{
    struct buffer kept = connection->unparsed;
    connection->unparsed = BUFFER_EMPTY;
    enum status status = connection_parse_all(serve, connection, buffer_bytes(&kept));
    buffer_release(&kept);
    return status;
}

/* Decrypt one record's worth of `*input` and parse it. */
static enum status connection_decrypt(struct serve *serve, struct connection *connection,
                                      struct bytes *input)
{
    size_t before = input->length;
    size_t length = 0;
    enum status status = tls_read(connection->tls, input, serve->scratch, sizeof serve->scratch,
                                  &length, &connection->cipher);
    connection->taken_bytes += (uint32_t)(before - input->length);
    if (!connection->has_handshake && tls_is_ready(connection->tls)) {
        connection->has_handshake = true;
        serve->ledger.handshake_count++;
        serve->ledger.resumed_count += tls_is_resumed(connection->tls);
    }
    switch (status) {
    case STATUS_OK:
        return connection_parse_all(serve, connection, bytes_of(serve->scratch, length));
    case STATUS_EMPTY:
        return STATUS_OK;
    case STATUS_CLOSED:
        connection_end(serve, connection);
        return STATUS_OK;
    default:
        serve->ledger.tls_failure_count++;
        connection_abort(serve, connection);
        return STATUS_OK;
    }
}

/*
 * Take from `*input` until it is empty or the connection holds back. A call of
 * tls_read() has room for a whole record, so TLS keeps nothing that it could give without input.
 */
static enum status connection_read(struct serve *serve, struct connection *connection,
                                   struct bytes *input)
{
    while (connection_is_reading(serve, connection) &&
           (connection->unparsed.length > 0 || input->length > 0)) {
        enum status status = connection->unparsed.length > 0
                                 ? connection_parse_kept(serve, connection)
                                 : connection_decrypt(serve, connection, input);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

/* Read what was kept while the connection held back. */
static enum status connection_read_kept(struct serve *serve, struct connection *connection)
{
    if (connection->input.length == 0 && connection->unparsed.length == 0) {
        return STATUS_OK;
    }
    struct buffer kept = connection->input;
    connection->input = BUFFER_EMPTY;
    struct bytes input = buffer_bytes(&kept);
    enum status status = connection_read(serve, connection, &input);
    if (status == STATUS_OK && !connection->is_ending) {
        status = buffer_append(&connection->input, input.at, input.length);
    }
    buffer_release(&kept);
    return status;
}

static enum status connection_continue(struct connection *connection)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    // Behind the answers before it: a client takes what comes for the oldest request.
    if (connection->current == NULL || connection->has_continued ||
        connection->exchange_count > 0 || !http_awaits_continue(connection->current->parser)) {
        return STATUS_OK;
    }
    connection->has_continued = true;
    return buffer_append(&connection->plain, text, sizeof text - 1);
}

/* ---- time ---- */

static enum wait connection_wait(const struct connection *connection)
{
    // Less than that leaves at once, and the host may be slow to report it.
    if (plain_left(connection) + cipher_left(connection) + connection->unsent_bytes >=
        SERVE_REPORT_BYTES) {
        return WAIT_SENT;
    }
    if (connection->is_ending) {
        return WAIT_NOTHING;
    }
    if (!connection->has_handshake) {
        return WAIT_HEAD;
    }
    if (connection->current != NULL && http_has_begun(connection->current->parser)) {
        return http_has_head(connection->current->parser) ? WAIT_BODY : WAIT_HEAD;
    }
    return connection->exchange_count > 0 ? WAIT_NOTHING : WAIT_IDLE;
}

static uint64_t wait_ms(const struct serve *serve, enum wait wait)
{
    switch (wait) {
    case WAIT_HEAD:
        return serve->limits.head_ms;
    case WAIT_BODY:
        return serve->limits.body_ms;
    case WAIT_IDLE:
        return serve->limits.idle_ms;
    case WAIT_SENT:
        return serve->limits.stall_ms;
    default:
        return UINT64_MAX;
    }
}

/* A deadline begins when its kind of waiting does, and is not moved by a byte now and then. */
static void connection_arm(struct serve *serve, struct connection *connection, uint64_t now_ms)
{
    enum wait wait = connection_wait(connection);
    if (wait == connection->wait && wait != WAIT_NOTHING) {
        return;
    }
    connection->wait = wait;
    if (__builtin_add_overflow(now_ms, wait_ms(serve, wait), &connection->deadline_ms)) {
        connection->deadline_ms = UINT64_MAX;
    }
    if (connection->deadline_ms < serve->wake_ms) {
        serve->wake_ms = connection->deadline_ms;
    }
}

/* What every event ends with: go on as far as possible. `status` is the event's own. */
static void connection_settle(struct serve *serve, struct connection *connection,
                              enum status status, uint64_t now_ms)
{
    if (status == STATUS_OK && !connection->is_ending) {
        status = connection_read_kept(serve, connection);
    }
    if (status == STATUS_OK && !connection->is_ending) {
        status = connection_continue(connection);
    }
    if (status != STATUS_OK) {
        connection_drop(serve, connection);
    }
    if (plain_left(connection) + cipher_left(connection) > 0 ||
        connection->taken_bytes >= TAKEN_BYTES_MIN) {
        connection_touch(serve, connection);
    }
    connection_arm(serve, connection, now_ms);
}

static void connection_expire(struct serve *serve, struct connection *connection, uint64_t now_ms)
{
    serve->ledger.timeout_count++;
    enum status status = STATUS_OK;
    if (connection->wait == WAIT_IDLE) {
        connection_end(serve, connection);
    } else if (connection->wait == WAIT_SENT || !connection->has_handshake) {
        connection_drop(serve, connection);
    } else {
        status = connection_refuse(serve, connection, &refused_pace);
    }
    connection_settle(serve, connection, status, now_ms);
}

/* ---- what others call ---- */

static size_t power_of_two_from(size_t least)
{
    size_t power = 1;
    while (power < least) {
        power *= 2;
    }
    return power;
}

enum status serve_new(struct serve **serve, const struct serve_config *config)
{
    CHECK(config->limits.connection_count_max > 0 && config->limits.pipeline_count_max > 0);
    CHECK(config->limits.connection_count_max <= UINT16_MAX);
    CHECK(config->limits.pipeline_count_max <= UINT16_MAX);

    *serve = NULL;
    struct serve *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    made->limits = config->limits;
    made->log = config->log;
    made->wake_ms = UINT64_MAX;
    made->bucket_count = power_of_two_from(config->limits.connection_count_max);
    made->exchange_count_max =
        config->limits.connection_count_max * config->limits.pipeline_count_max;
    made->buckets = calloc(made->bucket_count, sizeof *made->buckets);
    made->exchanges = calloc(made->exchange_count_max, sizeof *made->exchanges);
    enum status status = STATUS_NO_MEMORY;
    if (made->buckets != NULL && made->exchanges != NULL) {
        status = tls_identity_new(&made->identity, config->certificate, config->key);
    }
    if (status != STATUS_OK) {
        serve_free(made);
        return status;
    }
    *serve = made;
    return STATUS_OK;
}

void serve_free(struct serve *serve)
{
    if (serve == NULL) {
        return;
    }
    for (size_t i = 0; serve->buckets != NULL && i < serve->bucket_count; i++) {
        while (serve->buckets[i] != NULL) {
            connection_remove(serve, serve->buckets[i]);
        }
    }
    for (uint32_t i = 0; i < serve->exchange_count; i++) {
        exchange_free(serve->exchanges[i]);
    }
    tls_identity_free(serve->identity);
    buffer_release(&serve->error_body);
    buffer_wipe(serve->scratch, sizeof serve->scratch);
    free(serve->buckets);
    free(serve->exchanges);
    free(serve);
}

enum status serve_renew(struct serve *serve, struct bytes certificate, struct p256_key *key)
{
    struct tls_identity *identity = NULL;
    enum status status = tls_identity_new(&identity, certificate, key);
    if (status == STATUS_OK) {
        tls_identity_free(serve->identity);
        serve->identity = identity;
    }
    return status;
}

enum status serve_open(struct serve *serve, uint64_t id, uint64_t now_ms)
{
    if (connection_find(serve, id) != NULL) {
        return STATUS_DENIED;
    }
    if (serve->ledger.connection_count == serve->limits.connection_count_max) {
        serve->ledger.not_opened_count++;
        return STATUS_FULL;
    }
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        return STATUS_NO_MEMORY;
    }
    connection->tls = tls_new(serve->identity);
    if (connection->tls == NULL) {
        free(connection);
        return STATUS_NO_MEMORY;
    }
    connection->id = id;
    struct connection **bucket = bucket_of(serve, id);
    connection->next_in_bucket = *bucket;
    *bucket = connection;
    serve->ledger.connection_count++;
    serve->ledger.opened_count++;
    connection_arm(serve, connection, now_ms);
    return STATUS_OK;
}

void serve_receive(struct serve *serve, uint64_t id, struct bytes bytes, uint64_t now_ms)
{
    struct connection *connection = connection_find(serve, id);
    if (connection == NULL || connection->is_ending) {
        return;
    }
    serve->ledger.received_bytes += bytes.length;
    if (bytes.length > SERVE_WINDOW_BYTES - connection->untaken_bytes) {
        log_event(serve->log, "connection dropped cause=window bytes=%zu", bytes.length);
        connection_drop(serve, connection);
        connection_arm(serve, connection, now_ms);
        return;
    }
    connection->untaken_bytes += bytes.length;

    enum status status = STATUS_OK;
    if (connection->input.length == 0) {
        status = connection_read(serve, connection, &bytes);
    }
    if (status == STATUS_OK && !connection->is_ending) {
        status = buffer_append(&connection->input, bytes.at, bytes.length);
    }
    connection_settle(serve, connection, status, now_ms);
}

void serve_sent(struct serve *serve, uint64_t id, size_t bytes, uint64_t now_ms)
{
    struct connection *connection = connection_find(serve, id);
    if (connection == NULL) {
        return;
    }
    // A host that claims more than it was given only fools itself.
    connection->unsent_bytes -= bytes < connection->unsent_bytes ? bytes : connection->unsent_bytes;
    connection->wait = WAIT_NOTHING;  // progress: the next stall is a new one
    connection_touch(serve, connection);
    connection_settle(serve, connection, STATUS_OK, now_ms);
}

void serve_close(struct serve *serve, uint64_t id)
{
    struct connection *connection = connection_find(serve, id);
    if (connection != NULL) {
        connection_remove(serve, connection);
    }
}

uint64_t serve_tick(struct serve *serve, uint64_t now_ms)
{
    if (now_ms < serve->wake_ms) {
        return serve->wake_ms;
    }
    // Every deadline again: arming only ever lowers this.
    serve->wake_ms = UINT64_MAX;
    for (size_t i = 0; i < serve->bucket_count; i++) {
        for (struct connection *at = serve->buckets[i]; at != NULL; at = at->next_in_bucket) {
            if (at->deadline_ms <= now_ms) {
                connection_expire(serve, at, now_ms);
            }
            if (at->deadline_ms < serve->wake_ms) {
                serve->wake_ms = at->deadline_ms;
            }
        }
    }
    return serve->wake_ms;
}

/* Encrypt the next slice of what waits. */
static void connection_encrypt(struct serve *serve, struct connection *connection)
{
    size_t left = plain_left(connection);
    size_t length = left < SLICE_BYTES ? left : SLICE_BYTES;
    struct bytes slice = bytes_of(connection->plain.bytes + connection->plain_done, length);
    if (tls_write(connection->tls, slice, &connection->cipher) != STATUS_OK) {
        connection_drop(serve, connection);
        return;
    }
    connection->plain_done += length;
    if (plain_left(connection) == 0) {
        buffer_recycle(&connection->plain, KEPT_BYTES_MAX);
        connection->plain_done = 0;
    }
}

/* Give the host the next bytes. */
static void connection_give(struct serve *serve, struct connection *connection,
                            struct serve_output *output, size_t bytes_max)
{
    size_t length = cipher_left(connection);
    size_t room = SERVE_WINDOW_BYTES - connection->unsent_bytes;
    length = length < room ? length : room;
    length = length < bytes_max ? length : bytes_max;
    *output = (struct serve_output){
        .kind = SERVE_OUTPUT_DATA,
        .connection = connection->id,
        .bytes = bytes_of(connection->cipher.bytes + connection->cipher_done, length),
    };
    connection->cipher_done += length;
    connection->unsent_bytes += length;
    serve->ledger.sent_bytes += length;
}

/*
 * One step of a ready connection's output. STATUS_EMPTY: it is ready no more, or made a step
 * inside.
 */
static enum status connection_output(struct serve *serve, struct connection *connection,
                                     struct serve_output *output, size_t bytes_max)
{
    if (connection->taken_bytes >= TAKEN_BYTES_MIN && !connection->is_ending) {
        *output = (struct serve_output){
            .kind = SERVE_OUTPUT_TAKEN,
            .connection = connection->id,
            .taken_bytes = connection->taken_bytes,
        };
        connection->untaken_bytes -= connection->taken_bytes;
        connection->taken_bytes = 0;
        return STATUS_OK;
    }
    bool has_window = connection->unsent_bytes < SERVE_WINDOW_BYTES;
    if (cipher_left(connection) > 0 && has_window) {
        connection_give(serve, connection, output, bytes_max);
        return STATUS_OK;
    }
    if (cipher_left(connection) > 0) {
        connection_untouch(serve, connection);
        return STATUS_EMPTY;
    }
    connection->cipher.length = 0;  // ciphertext: nothing to wipe
    connection->cipher_done = 0;
    if (plain_left(connection) > 0 && has_window) {
        connection_encrypt(serve, connection);
        return STATUS_EMPTY;
    }
    bool is_done =
        connection->is_ending && connection->exchange_count == 0 && plain_left(connection) == 0;
    if (is_done && !connection->is_closed) {
        tls_close(connection->tls, &connection->cipher);
        connection->is_closed = true;
        return STATUS_EMPTY;
    }
    if (is_done) {
        *output = (struct serve_output){
            .kind = SERVE_OUTPUT_CLOSE,
            .connection = connection->id,
        };
        connection_remove(serve, connection);
        return STATUS_OK;
    }
    buffer_recycle(&connection->cipher, KEPT_BYTES_MAX);  // a large answer has left
    connection_untouch(serve, connection);
    return STATUS_EMPTY;
}

enum status serve_output(struct serve *serve, struct serve_output *output, size_t bytes_max)
{
    CHECK(bytes_max > 0);

    while (serve->ready_first != NULL) {
        if (connection_output(serve, serve->ready_first, output, bytes_max) == STATUS_OK) {
            return STATUS_OK;
        }
    }
    return STATUS_EMPTY;
}

enum status serve_request(struct serve *serve, struct serve_request *request)
{
    while (serve->untaken_first != NULL) {
        struct exchange *exchange = serve->untaken_first;
        serve->untaken_first = exchange->next_untaken;
        if (serve->untaken_first == NULL) {
            serve->untaken_last = NULL;
        }
        exchange->is_untaken = false;
        if (exchange->connection == NULL) {
            exchange_recycle(serve, exchange);
            continue;
        }
        exchange->is_taken = true;
        *request = (struct serve_request){
            .id = exchange->id,
            .http = http_request(exchange->parser),
        };
        return STATUS_OK;
    }
    return STATUS_EMPTY;
}

void serve_respond(struct serve *serve, uint64_t id, const struct response *response,
                   uint64_t now_ms)
{
    struct exchange *exchange = exchange_find(serve, id);
    if (exchange == NULL || !exchange->is_taken) {
        return;
    }
    struct connection *connection = exchange->connection;
    if (connection == NULL) {
        exchange_recycle(serve, exchange);
        return;
    }
    exchange->is_taken = false;
    enum status status = connection_answer(serve, connection, exchange, response);
    connection_settle(serve, connection, status, now_ms);
}

const struct serve_ledger *serve_ledger(const struct serve *serve)
{
    return &serve->ledger;
}
