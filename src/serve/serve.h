/* src/serve/serve.h */
#ifndef SERVE_SERVE_H
#define SERVE_SERVE_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/status.h"
#include "crypto/certificate.h"
#include "serve/http.h"
#include "serve/response.h"
#include "wire/frame.h"

/*
 * serve: HTTP/1.1 over TLS 1.3 for many connections, sans-IO. The host moves
 * the bytes of TCP connections and is believed in nothing; a client's errors end
 * its own connection only.
 *
 *     events in     serve_open, serve_receive, serve_sent, serve_close, serve_tick
 *     events out    serve_output, until STATUS_EMPTY, after any call on a serve
 *     requests out  serve_request, until STATUS_EMPTY, after any event in and after the outputs:
 *                   what was answered may have let in the next request of its connection
 *     answers in    serve_respond, in any order; they leave in the order of the requests
 *
 * Both directions have a window. The host may be SERVE_WINDOW_BYTES ahead of what
 * SERVE_OUTPUT_TAKEN has reported, and is cut off beyond it; a connection holds
 * back its output when SERVE_WINDOW_BYTES of it have not been reported by
 * serve_sent(), and stops taking input while it does, or while it waits for
 * pipeline_count_max answers. Less than SERVE_REPORT_BYTES may stay unreported.
 *
 * One thread uses a serve. The bytes of a request may be read by any other until its answer.
 */
enum {
    SERVE_WINDOW_BYTES = FRAME_STREAM_WINDOW_BYTES,
    SERVE_REPORT_BYTES = FRAME_STREAM_REPORT_BYTES,
};

struct serve;

struct serve_limits {
    struct http_limits http;
    size_t buffered_bytes_max;  // bodies of requests, of all connections together
    uint32_t connection_count_max;
    uint32_t pipeline_count_max;  // requests of one connection that wait for their answers
    uint64_t head_ms;   // from the first byte of a request to the end of its head; for a handshake
    uint64_t body_ms;   // from there to the end of its body
    uint64_t idle_ms;   // between requests
    uint64_t stall_ms;  // for the peer to take any of what was sent
};

/* 16 KiB, 8 MiB, 256 MiB; 1024, 16; 10 s, 30 s, 60 s, 30 s. */
struct serve_limits serve_limits_default(void);

struct serve_config {
    struct bytes certificate;  // DER; borrowed for the call
    struct p256_key *key;      // likewise
    struct serve_limits limits;
    const struct log *log;  // outlives the serve; may be NULL
};

/*
 * STATUS_MALFORMED: the certificate cannot be read. STATUS_FORGED: the key is
 * not its key. STATUS_NO_MEMORY. Then `*serve` is NULL. Call crypto_init() before.
 */
MUST_CHECK enum status serve_new(struct serve **serve, const struct serve_config *config);
void serve_free(struct serve *serve);

/*
 * Show another certificate from now on, and draw another ticket key. Open
 * connections keep theirs. On failure, as in serve_new(), nothing changed.
 */
MUST_CHECK enum status serve_renew(struct serve *serve, struct bytes certificate,
                                   struct p256_key *key);

/*
 * A TCP connection was accepted; the host names it. STATUS_FULL,
 * STATUS_NO_MEMORY; STATUS_DENIED: the name is in use. Then tell the host to close it.
 */
MUST_CHECK enum status serve_open(struct serve *serve, uint64_t connection, uint64_t now_ms);

/*
 * Bytes arrived. They are used or copied. Here and below, a connection that is
 * not known (the host may not have heard of its end) is ignored.
 */
void serve_receive(struct serve *serve, uint64_t connection, struct bytes bytes, uint64_t now_ms);

/* So many bytes of SERVE_OUTPUT_DATA reached the socket. */
void serve_sent(struct serve *serve, uint64_t connection, size_t bytes, uint64_t now_ms);

/* The TCP connection is no more. No SERVE_OUTPUT_CLOSE follows. */
void serve_close(struct serve *serve, uint64_t connection);

/* Time passed. Returns when to call again at the latest; UINT64_MAX: no need. */
uint64_t serve_tick(struct serve *serve, uint64_t now_ms);

enum serve_output_kind {
    SERVE_OUTPUT_DATA,   // send `bytes`
    SERVE_OUTPUT_TAKEN,  // `taken_bytes` more of what was received are done with: SENT, outward
    SERVE_OUTPUT_CLOSE,  // after all data before it: shut down sending, read and drop
                         // what still comes for a moment (an early close would destroy the
                         // answer on its way), close; the connection's name is free again
};

struct serve_output {
    enum serve_output_kind kind;
    uint64_t connection;
    struct bytes bytes;  // at most `bytes_max`; borrowed until the next call on this serve
    uint32_t taken_bytes;
};

/* STATUS_EMPTY: nothing to do for the host now. */
MUST_CHECK enum status serve_output(struct serve *serve, struct serve_output *output,
                                    size_t bytes_max);

struct serve_request {
    uint64_t id;
    const struct http_request *http;  // borrowed until serve_respond() for this id
};

/*
 * Take the oldest request that nobody has taken. Each is to be answered once by
 * serve_respond(), also when its connection has died meanwhile: that ends the loan.
 */
MUST_CHECK enum status serve_request(struct serve *serve, struct serve_request *request);

/*
 * Answer a request. `response` is copied. One that cannot be encoded (see
 * response_encode()) leaves as a 500 "bad_response". An unknown id is ignored.
 */
void serve_respond(struct serve *serve, uint64_t id, const struct response *response,
                   uint64_t now_ms);

/* Counters since serve_new(), for metrics; connection_count is the present one. */
struct serve_ledger {
    uint64_t connection_count;
    uint64_t opened_count;
    uint64_t not_opened_count;  // over a limit
    uint64_t handshake_count;
    uint64_t resumed_count;
    uint64_t tls_failure_count;
    uint64_t request_count;
    uint64_t refused_count;  // answered here: malformed, too large, too slow
    uint64_t response_count;
    uint64_t timeout_count;
    uint64_t received_bytes;  // of TLS
    uint64_t sent_bytes;
};
const struct serve_ledger *serve_ledger(const struct serve *serve);

#endif
