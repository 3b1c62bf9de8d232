/* src/serve/tls.c */
#include "serve/tls.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/check.h"

struct tls_identity {
    SSL_CTX *context;
    BIO_METHOD *method;
    size_t holder_count;  // whoever made it, and its streams: each needs the method to the end
};

struct tls {
    struct tls_identity *identity;
    SSL *ssl;
    // Where the stream's ends are during a call; between calls there is nothing at either.
    struct bytes *input;
    struct buffer *output;
    bool is_broken;
};

/* OpenSSL reads what the caller of tls_read() passed, in place. */
static int stream_read(BIO *bio, char *target, int capacity)
{
    struct tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (capacity <= 0) {
        return 0;
    }
    if (tls->input == NULL || tls->input->length == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t taken = tls->input->length < (size_t)capacity ? tls->input->length : (size_t)capacity;
    memcpy(target, tls->input->at, taken);
    tls->input->at += taken;
    tls->input->length -= taken;
    return (int)taken;
}

static int stream_write(BIO *bio, const char *source, int length)
{
    struct tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (length <= 0 || tls->output == NULL ||
        buffer_append(tls->output, source, (size_t)length) != STATUS_OK) {
        return -1;
    }
    return length;
}

static long stream_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *stream_method_new(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "stream");
    if (method != NULL) {
        BIO_meth_set_read(method, stream_read);
        BIO_meth_set_write(method, stream_write);
        BIO_meth_set_ctrl(method, stream_control);
    }
    return method;
}

/* A client may name no protocol; one that names some must name one of ours. */
static int protocol_select(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_bytes,
                           const unsigned char *offered, unsigned offered_bytes, void *context)
{
    static const unsigned char ours[] = "\x08http/1.1\x08http/1.0";
    (void)ssl;
    (void)context;
    unsigned char *match;
    if (SSL_select_next_proto(&match, chosen_bytes, ours, sizeof ours - 1, offered,
                              offered_bytes) != OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *chosen = match;
    return SSL_TLSEXT_ERR_OK;
}

static bool context_configure(SSL_CTX *context)
{
    SSL_CTX_set_alpn_select_cb(context, protocol_select, NULL);
    // Tickets hold the session; a cache would hold it a second time.
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_max_early_data(context, 0) == 1 && SSL_CTX_set_num_tickets(context, 1) == 1;
}

enum status tls_identity_new(struct tls_identity **identity, struct bytes certificate,
                             struct p256_key *key)
{
    *identity = NULL;
    ERR_clear_error();
    struct tls_identity *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    made->holder_count = 1;
    enum status status = STATUS_NO_MEMORY;
    if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1) {
        goto done;
    }
    made->method = stream_method_new();
    made->context = SSL_CTX_new(TLS_server_method());
    if (made->method == NULL || made->context == NULL || !context_configure(made->context)) {
        goto done;
    }
    status = STATUS_MALFORMED;
    if (certificate.length > CERTIFICATE_BYTES_MAX ||
        SSL_CTX_use_certificate_ASN1(made->context, (int)certificate.length, certificate.at) != 1) {
        goto done;
    }
    status = STATUS_FORGED;
    if (SSL_CTX_use_PrivateKey(made->context, p256_key_openssl(key)) != 1 ||
        SSL_CTX_check_private_key(made->context) != 1) {
        goto done;
    }
    *identity = made;
    made = NULL;
    status = STATUS_OK;

done:
    tls_identity_free(made);
    ERR_clear_error();
    return status;
}

void tls_identity_free(struct tls_identity *identity)
{
    if (identity == NULL || --identity->holder_count > 0) {
        return;
    }
    SSL_CTX_free(identity->context);
    BIO_meth_free(identity->method);
    free(identity);
}

struct tls *tls_new(struct tls_identity *identity)
{
    struct tls *tls = calloc(1, sizeof *tls);
    BIO *bio = BIO_new(identity->method);
    SSL *ssl = SSL_new(identity->context);
    if (tls == NULL || bio == NULL || ssl == NULL) {
        free(tls);
        BIO_free(bio);
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_accept_state(ssl);
    tls->ssl = ssl;
    tls->identity = identity;
    identity->holder_count++;
    return tls;
}

void tls_free(struct tls *tls)
{
    if (tls == NULL) {
        return;
    }
    SSL_free(tls->ssl);
    tls_identity_free(tls->identity);
    free(tls);
}

static void stream_attach(struct tls *tls, struct bytes *input, struct buffer *output)
{
    tls->input = input;
    tls->output = output;
    ERR_clear_error();  // an older error would be taken for this call's
}

static void stream_detach(struct tls *tls)
{
    tls->input = NULL;
    tls->output = NULL;
}

enum status tls_read(struct tls *tls, struct bytes *input, uint8_t *plaintext, size_t capacity,
                     size_t *length, struct buffer *output)
{
    if (tls->is_broken) {
        return STATUS_MALFORMED;
    }
    stream_attach(tls, input, output);
    int result = SSL_read_ex(tls->ssl, plaintext, capacity, length);
    int error = result == 1 ? SSL_ERROR_NONE : SSL_get_error(tls->ssl, result);
    stream_detach(tls);
    switch (error) {
    case SSL_ERROR_NONE:
        return STATUS_OK;
    case SSL_ERROR_WANT_READ:
        return STATUS_EMPTY;
    case SSL_ERROR_ZERO_RETURN:
        return STATUS_CLOSED;
    default:
        tls->is_broken = true;
        ERR_clear_error();
        return STATUS_MALFORMED;
    }
}

enum status tls_write(struct tls *tls, struct bytes plaintext, struct buffer *output)
{
    CHECK(SSL_is_init_finished(tls->ssl));

    if (tls->is_broken) {
        return STATUS_CLOSED;
    }
    enum status status = STATUS_OK;
    stream_attach(tls, NULL, output);
    while (plaintext.length > 0) {
        size_t written = 0;
        if (SSL_write_ex(tls->ssl, plaintext.at, plaintext.length, &written) != 1) {
            // Only our own end can fail here: it is out of memory.
            tls->is_broken = true;
            ERR_clear_error();
            status = STATUS_NO_MEMORY;
            break;
        }
        plaintext.at += written;
        plaintext.length -= written;
    }
    stream_detach(tls);
    return status;
}

void tls_close(struct tls *tls, struct buffer *output)
{
    if (tls->is_broken || !SSL_is_init_finished(tls->ssl)) {
        return;
    }
    stream_attach(tls, NULL, output);
    (void)SSL_shutdown(tls->ssl);  // 0: sent, and the peer's own is not waited for
    stream_detach(tls);
    ERR_clear_error();
    tls->is_broken = true;
}

bool tls_is_ready(const struct tls *tls)
{
    return SSL_is_init_finished(tls->ssl) != 0;
}

bool tls_is_resumed(const struct tls *tls)
{
    return SSL_session_reused(tls->ssl) != 0;
}
