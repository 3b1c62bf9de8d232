/* src/cli/client.h */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"

/*
 * client: one HTTP/1.1 connection, over TLS 1.3 to a worker or in the clear to the
 * host's own numbers. The worker's certificate has to chain to the app's root: nothing else counts.
 */
enum {
    CLIENT_ERROR_BYTES = 256,
    CLIENT_TIMEOUT_MS = 60 * 1000,
    CLIENT_BODY_BYTES_MAX = 128 << 20,
};

struct client;

struct client_target {
    const char *host;  // a name or an address
    uint16_t port;
    struct bytes root_pem;  // what its certificate has to chain to; empty: no TLS
    bool is_stranger;       // TLS with whoever answers: the caller judges the certificate
    uint32_t timeout_ms;    // of each step
};

struct client_response {
    unsigned status;
    struct buffer version;  // X-Paranoid-Version; empty: none
    struct buffer receipt;  // X-Paranoid-Receipt; empty: none
    struct buffer body;
};

/*
 * STATUS_NOT_FOUND: nobody listens there. STATUS_FORGED: it is not who the root vouches for.
 * STATUS_IO. `error` says why. On failure *client is NULL.
 */
MUST_CHECK enum status client_open(struct client **client, const struct client_target *target,
                                   char error[CLIENT_ERROR_BYTES]);
void client_close(struct client *client);

/* The certificate the peer showed, as DER; empty without TLS. */
MUST_CHECK enum status client_certificate(const struct client *client, struct buffer *der);

struct client_request {
    const char *method;
    const char *target;   // path and query, encoded
    const char *headers;  // whole lines, each ended by CRLF; "" for none
    struct bytes body;
};

/*
 * One request and its response, which the caller releases whatever comes back. STATUS_TIMEOUT,
 * STATUS_CLOSED, STATUS_MALFORMED: the connection is of no more use; `error` says why.
 */
MUST_CHECK enum status client_ask(struct client *client, const struct client_request *request,
                                  struct client_response *response, char error[CLIENT_ERROR_BYTES]);
void client_response_release(struct client_response *response);

#endif
