/* tests/serve/client.h */
#ifndef TESTS_SERVE_CLIENT_H
#define TESTS_SERVE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "serve/serve.h"

/*
 * client: an OpenSSL client in memory, and the host between it and a serve.
 * It moves bytes on request, in pieces of a size, and reports them as sent.
 */
struct client {
    SSL *ssl;
    uint64_t connection;
    struct buffer plain;  // what the client has decrypted
    bool is_closed;       // the serve asked to close
    bool has_failed;      // TLS failed at the client
    size_t unsent;        // bytes that the host holds back, once it is slow
    bool is_slow;         // the host reports nothing as sent
    size_t taken_bytes;   // as reported by the serve
};

/* A TLS context for clients that trust `root` (DER) alone. */
SSL_CTX *client_context_new(struct bytes root);

void client_open(struct client *client, SSL_CTX *context, struct serve *serve, uint64_t connection,
                 uint64_t now_ms);
void client_release(struct client *client);

/* Encrypt; the bytes wait in the client until client_pump(). */
void client_write(struct client *client, const void *text, size_t length);

/* Move bytes both ways until nothing moves. Handshakes too. */
void client_pump(struct client *client, struct serve *serve, uint64_t now_ms);

/* Give the serve all of the client's waiting bytes, `step` at a time. */
void client_push(struct client *client, struct serve *serve, size_t step, uint64_t now_ms);

/* What the serve has for the host goes to the client whom it names; others are not there. */
void client_pull(struct client *clients, size_t count, struct serve *serve, uint64_t now_ms);

#endif
