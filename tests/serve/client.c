/* tests/serve/client.c */
#include "tests/serve/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/x509.h>

SSL_CTX *client_context_new(struct bytes root)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    assert_non_null(context);
    const unsigned char *at = root.at;
    X509 *certificate = d2i_X509(NULL, &at, (long)root.length);
    assert_non_null(certificate);
    assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate), 1);
    X509_free(certificate);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    return context;
}

void client_open(struct client *client, SSL_CTX *context, struct serve *serve, uint64_t connection,
                 uint64_t now_ms)
{
    *client = (struct client){.connection = connection};
    client->ssl = SSL_new(context);
    assert_non_null(client->ssl);
    SSL_set_bio(client->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(client->ssl);
    assert_int_equal(serve_open(serve, connection, now_ms), STATUS_OK);
}

void client_release(struct client *client)
{
    SSL_free(client->ssl);
    buffer_release(&client->plain);
}

void client_write(struct client *client, const void *text, size_t length)
{
    size_t written = 0;
    assert_int_equal(SSL_write_ex(client->ssl, text, length, &written), 1);
    assert_int_equal(written, length);
}

/* Let TLS take what has arrived. */
static void client_read(struct client *client)
{
    uint8_t piece[16 * 1024];
    size_t length;
    ERR_clear_error();
    while (SSL_read_ex(client->ssl, piece, sizeof piece, &length) == 1) {
        assert_int_equal(buffer_append(&client->plain, piece, length), STATUS_OK);
    }
    int error = SSL_get_error(client->ssl, 0);
    if (error == SSL_ERROR_SSL) {
        client->has_failed = true;
    }
}

void client_push(struct client *client, struct serve *serve, size_t step, uint64_t now_ms)
{
    char *at;
    size_t left = (size_t)BIO_get_mem_data(SSL_get_wbio(client->ssl), &at);
    while (left > 0 && !client->is_closed) {
        size_t length = left < step ? left : step;
        serve_receive(serve, client->connection, bytes_of(at, length), now_ms);
        at += length;
        left -= length;
    }
    (void)BIO_reset(SSL_get_wbio(client->ssl));
}

void client_pull(struct client *clients, size_t count, struct serve *serve, uint64_t now_ms)
{
    struct serve_output output;
    while (serve_output(serve, &output, 1000) == STATUS_OK) {
        for (size_t i = 0; i < count; i++) {
            struct client *client = &clients[i];
            if (client->connection != output.connection || client->is_closed) {
                continue;
            }
            if (output.kind == SERVE_OUTPUT_CLOSE) {
                client->is_closed = true;
            } else if (output.kind == SERVE_OUTPUT_TAKEN) {
                client->taken_bytes += output.taken_bytes;
            } else {
                size_t written;
                assert_int_equal(BIO_write_ex(SSL_get_rbio(client->ssl), output.bytes.at,
                                              output.bytes.length, &written),
                                 1);
                if (client->is_slow) {
                    client->unsent += written;
                } else {
                    serve_sent(serve, client->connection, written, now_ms);
                }
            }
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (clients[i].ssl != NULL) {
            client_read(&clients[i]);
        }
    }
}

void client_pump(struct client *client, struct serve *serve, uint64_t now_ms)
{
    do {
        client_pull(client, 1, serve, now_ms);
        client_push(client, serve, SIZE_MAX, now_ms);
        client_pull(client, 1, serve, now_ms);
    } while (BIO_pending(SSL_get_wbio(client->ssl)) > 0 && !client->is_closed);
}
