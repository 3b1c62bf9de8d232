/* src/cli/client.c */
#include "cli/client.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/client_head.h"

enum { CLIENT_STEP_BYTES = 64 * 1024 };

struct client {
    int fd;
    SSL_CTX *context;  // NULL: no TLS
    SSL *ssl;
    char host[256];
    uint16_t port;
};

static void say(char error[CLIENT_ERROR_BYTES], const char *text)
{
    snprintf(error, CLIENT_ERROR_BYTES, "%s", text);
}

/*
 * Where a socket has a time limit, the kernel does not go on with a call that waited while the
 * process was stopped and continued (signal(7)): each is made again, with its time anew.
 */

/* ---- the socket ---- */

static bool is_connected(int fd, const struct addrinfo *to)
{
    int result;
    do {
        result = connect(fd, to->ai_addr, to->ai_addrlen);
    } while (result != 0 && errno == EINTR);
    return result == 0;
}

static bool set_timeouts(int fd, uint32_t timeout_ms)
{
    const struct timeval limit = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    int one = 1;
    return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0 &&
           setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0;
}

static enum status connect_to(struct client *client, const struct client_target *target,
                              char error[CLIENT_ERROR_BYTES])
{
    char port[8];
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    snprintf(port, sizeof port, "%u", target->port);
    int failed = getaddrinfo(target->host, port, &hints, &found);
    if (failed != 0) {
        say(error, gai_strerror(failed));
        return STATUS_NOT_FOUND;
    }
    int cause = ECONNREFUSED;
    for (const struct addrinfo *at = found; at != NULL && client->fd < 0; at = at->ai_next) {
        int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && set_timeouts(fd, target->timeout_ms) && is_connected(fd, at)) {
            client->fd = fd;
        } else {
            cause = errno;
            if (fd >= 0) {
                close(fd);
            }
        }
    }
    freeaddrinfo(found);
    if (client->fd < 0) {
        say(error, strerror(cause));
        return cause == ECONNREFUSED ? STATUS_NOT_FOUND : STATUS_IO;
    }
    return STATUS_OK;
}

/* ---- TLS ---- */

static bool trust_root(SSL_CTX *context, struct bytes pem)
{
    BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.length);
    X509 *root = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
    bool is_trusted =
        root != NULL && X509_STORE_add_cert(SSL_CTX_get_cert_store(context), root) == 1;
    X509_free(root);
    BIO_free(bio);
    return is_trusted;
}

static void say_why_not(struct client *client, char error[CLIENT_ERROR_BYTES])
{
    long verified = SSL_get_verify_result(client->ssl);
    unsigned long code = ERR_peek_last_error();
    const char *text = verified != X509_V_OK ? X509_verify_cert_error_string(verified)
                       : code != 0           ? ERR_reason_error_string(code)
                                             : "the connection ended";
    say(error, text == NULL ? "the handshake failed" : text);
}

static bool expect_host(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *parameters = SSL_get0_param(ssl);
    return X509_VERIFY_PARAM_set1_ip_asc(parameters, host) == 1 ||
           (SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1);
}

static enum status start_tls(struct client *client, const struct client_target *target,
                             char error[CLIENT_ERROR_BYTES])
{
    ERR_clear_error();
    client->context = SSL_CTX_new(TLS_client_method());
    if (client->context == NULL ||
        SSL_CTX_set_min_proto_version(client->context, TLS1_3_VERSION) != 1) {
        say(error, "OpenSSL gives no TLS 1.3");
        return STATUS_IO;
    }
    if (!target->is_stranger && !trust_root(client->context, target->root_pem)) {
        say(error, "the root certificate cannot be read");
        return STATUS_MALFORMED;
    }
    SSL_CTX_set_verify(client->context, target->is_stranger ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                       NULL);
    client->ssl = SSL_new(client->context);
    if (client->ssl == NULL || !expect_host(client->ssl, target->host) ||
        SSL_set_fd(client->ssl, client->fd) != 1) {
        say(error, "OpenSSL has no memory");
        return STATUS_NO_MEMORY;
    }
    int connected;
    do {
        errno = 0;
        connected = SSL_connect(client->ssl);
    } while (connected != 1 && errno == EINTR);
    if (connected != 1) {
        say_why_not(client, error);
        return SSL_get_verify_result(client->ssl) != X509_V_OK ? STATUS_FORGED : STATUS_CLOSED;
    }
    return STATUS_OK;
}

enum status client_open(struct client **client, const struct client_target *target,
                        char error[CLIENT_ERROR_BYTES])
{
    struct client *opened = calloc(1, sizeof *opened);
    CHECK(opened != NULL);
    opened->fd = -1;
    opened->port = target->port;
    snprintf(opened->host, sizeof opened->host, "%s", target->host);
    enum status status = connect_to(opened, target, error);
    if (status == STATUS_OK && (target->root_pem.length > 0 || target->is_stranger)) {
        status = start_tls(opened, target, error);
    }
    if (status != STATUS_OK) {
        client_close(opened);
        opened = NULL;
    }
    *client = opened;
    return status;
}

void client_close(struct client *client)
{
    if (client == NULL) {
        return;
    }
    if (client->ssl != NULL) {
        SSL_shutdown(client->ssl);
    }
    SSL_free(client->ssl);
    SSL_CTX_free(client->context);
    if (client->fd >= 0) {
        close(client->fd);
    }
    free(client);
}

enum status client_certificate(const struct client *client, struct buffer *der)
{
    uint8_t *bytes = NULL;
    X509 *certificate = client->ssl == NULL ? NULL : SSL_get0_peer_certificate(client->ssl);
    if (certificate == NULL) {
        return STATUS_OK;
    }
    int length = i2d_X509(certificate, &bytes);
    enum status status = length < 0 ? STATUS_MALFORMED : buffer_append(der, bytes, (size_t)length);
    OPENSSL_free(bytes);
    return status;
}

/* ---- bytes ---- */

static bool send_all(struct client *client, struct bytes bytes)
{
    while (bytes.length > 0) {
        size_t put = 0;
        if (client->ssl != NULL) {
            errno = 0;
            if (SSL_write_ex(client->ssl, bytes.at, bytes.length, &put) != 1 && errno != EINTR) {
                return false;
            }
        } else {
            ssize_t sent = send(client->fd, bytes.at, bytes.length, MSG_NOSIGNAL);
            if (sent < 0 && errno != EINTR) {
                return false;
            }
            put = sent < 0 ? 0 : (size_t)sent;
        }
        bytes = bytes_of(bytes.at + put, bytes.length - put);
    }
    return true;
}

/* STATUS_EMPTY: the peer has said all. */
static enum status receive_some(struct client *client, struct buffer *target)
{
    enum status status = buffer_reserve(target, CLIENT_STEP_BYTES);
    if (status != STATUS_OK) {
        return status;
    }
    uint8_t *at = target->bytes + target->length;
    size_t got = 0;
    if (client->ssl != NULL) {
        int read;
        do {
            errno = 0;
            read = SSL_read_ex(client->ssl, at, CLIENT_STEP_BYTES, &got);
        } while (read != 1 && errno == EINTR);
        if (read != 1) {
            int cause = SSL_get_error(client->ssl, read);
            return cause == SSL_ERROR_ZERO_RETURN                    ? STATUS_EMPTY
                   : cause == SSL_ERROR_WANT_READ || errno == EAGAIN ? STATUS_TIMEOUT
                                                                     : STATUS_CLOSED;
        }
    } else {
        ssize_t read;
        do {
            read = recv(client->fd, at, CLIENT_STEP_BYTES, 0);
        } while (read < 0 && errno == EINTR);
        if (read <= 0) {
            return read == 0 ? STATUS_EMPTY : errno == EAGAIN ? STATUS_TIMEOUT : STATUS_CLOSED;
        }
        got = (size_t)read;
    }
    target->length += got;
    return STATUS_OK;
}

/* ---- a request ---- */

static enum status send_request(struct client *client, const struct client_request *request)
{
    // What has a body says how long it is; so does what might have one.
    bool has_body = request->body.length > 0 || strcmp(request->method, "POST") == 0 ||
                    strcmp(request->method, "PUT") == 0;
    char length[64] = "";
    if (has_body) {
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", request->body.length);
    }
    struct buffer head = BUFFER_EMPTY;
    const char *parts[] = {request->method,       " ",          request->target,
                           " HTTP/1.1\r\nHost: ", client->host, "\r\n",
                           request->headers,      length,       "\r\n"};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && status == STATUS_OK; i++) {
        status = buffer_append(&head, parts[i], strlen(parts[i]));
    }
    if (status == STATUS_OK &&
        (!send_all(client, buffer_bytes(&head)) || !send_all(client, request->body))) {
        status = STATUS_CLOSED;
    }
    buffer_release(&head);
    return status;
}

static enum status receive_head(struct client *client, struct buffer *received,
                                struct client_head *head)
{
    enum status status;
    while ((status = client_head_parse(head, buffer_bytes(received))) == STATUS_EMPTY) {
        status = receive_some(client, received);
        if (status != STATUS_OK) {
            return status == STATUS_EMPTY ? STATUS_CLOSED : status;
        }
    }
    return status;
}

static enum status receive_body(struct client *client, struct buffer *body,
                                const struct client_head *head)
{
    bool has_none = head->status == 204 || head->status == 304;
    uint64_t length = has_none ? 0 : head->has_length ? head->content_length : UINT64_MAX;
    if (head->has_length && length > CLIENT_BODY_BYTES_MAX) {
        return STATUS_FULL;
    }
    while (body->length < length) {
        if (body->length > CLIENT_BODY_BYTES_MAX) {
            return STATUS_FULL;
        }
        enum status status = receive_some(client, body);
        if (status == STATUS_EMPTY && length == UINT64_MAX) {
            return STATUS_OK;
        }
        if (status != STATUS_OK) {
            return status == STATUS_EMPTY ? STATUS_CLOSED : status;
        }
    }
    return body->length == length ? STATUS_OK : STATUS_MALFORMED;
}

enum status client_ask(struct client *client, const struct client_request *request,
                       struct client_response *response, char error[CLIENT_ERROR_BYTES])
{
    struct client_head head;
    struct bytes version, receipt;
    *response = (struct client_response){.status = 0};
    ERR_clear_error();
    enum status status = send_request(client, request);
    if (status == STATUS_OK) {
        status = receive_head(client, &response->body, &head);
    }
    if (status == STATUS_OK) {
        response->status = head.status;
        if (client_head_field(&head, "x-paranoid-version", &version)) {
            status = buffer_append(&response->version, version.at, version.length);
        }
        if (status == STATUS_OK && client_head_field(&head, "x-paranoid-receipt", &receipt)) {
            status = buffer_append(&response->receipt, receipt.at, receipt.length);
        }
        buffer_consume(&response->body, head.head_bytes);
    }
    if (status == STATUS_OK) {
        status = receive_body(client, &response->body, &head);
    }
    if (status != STATUS_OK) {
        say(error, status == STATUS_CLOSED      ? "the connection ended before the answer did"
                   : status == STATUS_TIMEOUT   ? "no answer came in time"
                   : status == STATUS_MALFORMED ? "the answer is no HTTP/1.1"
                   : status == STATUS_FULL      ? "the answer is longer than 128 MiB"
                                                : status_text(status));
    }
    return status;
}

void client_response_release(struct client_response *response)
{
    buffer_release(&response->version);
    buffer_release(&response->receipt);
    buffer_release(&response->body);
}
