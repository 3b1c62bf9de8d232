/* src/serve/tls.h */
#ifndef SERVE_TLS_H
#define SERVE_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "crypto/certificate.h"

/*
 * tls: the server's side of TLS 1.3 over byte streams, by OpenSSL. No other
 * version, no early data, no client certificates; the application protocols are
 * http/1.1 and http/1.0. Session tickets are sealed under a key that OpenSSL draws for each
 * identity and that never leaves the process.
 *
 * Errors end the one stream they happen on. Nothing is read from files.
 */

/* What the server shows: a certificate and its key. Streams keep the one they began with. */
struct tls_identity;

/*
 * `certificate` is one DER certificate; `key` is its key, and may be freed
 * afterwards. STATUS_MALFORMED: the certificate cannot be read. STATUS_FORGED:
 * the key is not the certificate's. STATUS_NO_MEMORY. Then `*identity` is NULL.
 */
MUST_CHECK enum status tls_identity_new(struct tls_identity **identity, struct bytes certificate,
                                        struct p256_key *key);
void tls_identity_free(struct tls_identity *identity);

struct tls;

/* NULL: no memory. The identity may be freed before the stream. */
struct tls *tls_new(struct tls_identity *identity);
void tls_free(struct tls *tls);

/*
 * Read plaintext out of `input`, received bytes that begin where the last call
 * stopped; what was taken is cut off `*input`, also on a failure. Answers of the
 * protocol itself are appended to `output`.
 *
 * STATUS_OK: `*length` bytes, 1 to `capacity`; there may be more, call again.
 * STATUS_EMPTY: all of the input is taken. STATUS_CLOSED: the peer has said that
 * no more will come. STATUS_MALFORMED: the peer broke the protocol; `output` has the alert.
 */
MUST_CHECK enum status tls_read(struct tls *tls, struct bytes *input, uint8_t *plaintext,
                                size_t capacity, size_t *length, struct buffer *output);

/* Encrypt all of `plaintext` to `output`, after the handshake. STATUS_NO_MEMORY, STATUS_CLOSED. */
MUST_CHECK enum status tls_write(struct tls *tls, struct bytes plaintext, struct buffer *output);

/* Append the closing alert, if the stream can still carry one. */
void tls_close(struct tls *tls, struct buffer *output);

/* Whether the handshake is done; whether it resumed an earlier session. */
bool tls_is_ready(const struct tls *tls);
bool tls_is_resumed(const struct tls *tls);

#endif
