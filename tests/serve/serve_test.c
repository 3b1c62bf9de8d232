/* tests/serve/serve_test.c */

/*
 * Goal: many clients are served over TLS 1.3 alone, each in the order it
 * asked, and none, nor the host, can do more than end its own connection.
 * Method: OpenSSL's own client in memory, the host played by hand, time by
 * numbers; what a client may do wrong, done.
 */
#define _GNU_SOURCE  // memmem()
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/certificate.h"
#include "crypto/crypto.h"
#include "serve/serve.h"
#include "tests/serve/client.h"

enum { START_MS = 1000000 };

static const struct hash capsule = {.bytes = {1, 2, 3}};

struct fixture {
    struct p256_key *root_key;
    struct p256_key *leaf_key;
    struct buffer root;
    struct buffer leaf;
    SSL_CTX *context;
    struct serve *serve;
    struct client client;
};

static void leaf_make(struct buffer *leaf, struct p256_key *root_key, struct p256_key *leaf_key)
{
    const struct p256_public public = p256_key_public(leaf_key);
    const struct certificate_claims claims = {
        .capsule = capsule,
        .not_before_s = 1577836800,  // 2020
        .not_after_s = 4070908800,   // 2099
        .tee = "simulated",
    };
    assert_int_equal(certificate_leaf(leaf, root_key, &public, &claims), STATUS_OK);
}

static struct serve_limits test_limits(void)
{
    struct serve_limits limits = serve_limits_default();
    limits.http.body_bytes_max = 1024 * 1024;
    limits.buffered_bytes_max = 2 * 1024 * 1024;
    limits.connection_count_max = 64;
    limits.pipeline_count_max = 4;
    return limits;
}

static int setup(void **state)
{
    crypto_init();
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->root_key = p256_key_new();
    f->leaf_key = p256_key_new();
    assert_int_equal(certificate_root(&f->root, f->root_key, &capsule), STATUS_OK);
    leaf_make(&f->leaf, f->root_key, f->leaf_key);
    const struct serve_config config = {
        .certificate = buffer_bytes(&f->leaf),
        .key = f->leaf_key,
        .limits = test_limits(),
    };
    assert_int_equal(serve_new(&f->serve, &config), STATUS_OK);
    f->context = client_context_new(buffer_bytes(&f->root));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    client_release(&f->client);
    serve_free(f->serve);
    SSL_CTX_free(f->context);
    p256_key_free(f->root_key);
    p256_key_free(f->leaf_key);
    buffer_release(&f->root);
    buffer_release(&f->leaf);
    free(f);
    return 0;
}

/* Open the fixture's client and finish its handshake. */
static void connect_client(struct fixture *f)
{
    client_open(&f->client, f->context, f->serve, 7, START_MS);
    (void)SSL_do_handshake(f->client.ssl);
    client_pump(&f->client, f->serve, START_MS);
    assert_true(SSL_is_init_finished(f->client.ssl));
}

static void say(struct fixture *f, const char *text)
{
    client_write(&f->client, text, strlen(text));
    client_pump(&f->client, f->serve, START_MS);
}

static uint64_t take(struct fixture *f, const char *path)
{
    struct serve_request request;
    assert_int_equal(serve_request(f->serve, &request), STATUS_OK);
    assert_int_equal(request.http->path.length, strlen(path));
    assert_memory_equal(request.http->path.at, path, strlen(path));
    return request.id;
}

static void answer(struct fixture *f, uint64_t id, const char *body)
{
    const struct response response = {.status = 200, .body = bytes_text(body)};
    serve_respond(f->serve, id, &response, START_MS);
}

static void assert_said(struct fixture *f, const char *text)
{
    client_pump(&f->client, f->serve, START_MS);
    if (!bytes_equal(buffer_bytes(&f->client.plain), bytes_text(text))) {
        fail_msg("expected:\n%s\ngot:\n%.*s", text, (int)f->client.plain.length,
                 (const char *)f->client.plain.bytes);
    }
    buffer_clear(&f->client.plain);
}

/* Whether what the client got begins with the status line of `status`. */
static void assert_status(struct fixture *f, const char *status)
{
    client_pump(&f->client, f->serve, START_MS);
    char line[64];
    int length = snprintf(line, sizeof line, "HTTP/1.1 %s ", status);
    assert_true(f->client.plain.length > (size_t)length);
    assert_memory_equal(f->client.plain.bytes, line, (size_t)length);
    buffer_clear(&f->client.plain);
}

static void assert_nothing_asked(struct fixture *f)
{
    struct serve_request request;
    assert_int_equal(serve_request(f->serve, &request), STATUS_EMPTY);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define OK(length, body) "HTTP/1.1 200 OK\r\nContent-Length: " length "\r\n\r\n" body
#define OK_CLOSE(length, body) \
    "HTTP/1.1 200 OK\r\nContent-Length: " length "\r\nConnection: close\r\n\r\n" body

static void serves_one_request_after_another(void **state)
{
    struct fixture *f = *state;
    connect_client(f);
    assert_string_equal(SSL_get_version(f->client.ssl), "TLSv1.3");
    for (int i = 0; i < 20; i++) {
        say(f, GET("/a"));
        answer(f, take(f, "/a"), "one");
        assert_said(f, OK("3", "one"));
    }
    assert_false(f->client.is_closed);
    const struct serve_ledger *ledger = serve_ledger(f->serve);
    assert_int_equal(ledger->handshake_count, 1);
    assert_int_equal(ledger->request_count, 20);
    assert_int_equal(ledger->response_count, 20);
    assert_true(ledger->sent_bytes > 0 && ledger->received_bytes > 0);
}

static void answers_leave_in_the_order_of_the_requests(void **state)
{
    struct fixture *f = *state;
    connect_client(f);
    say(f, GET("/a") GET("/b") GET("/c"));
    uint64_t a = take(f, "/a");
    uint64_t b = take(f, "/b");
    uint64_t c = take(f, "/c");
    answer(f, c, "C");
    answer(f, b, "BB");
    assert_said(f, "");
    answer(f, a, "AAA");
    assert_said(f, OK("3", "AAA") OK("2", "BB") OK("1", "C"));
}

static void holds_back_a_pipeline_over_its_bound(void **state)
{
    struct fixture *f = *state;
    connect_client(f);
    say(f, GET("/a") GET("/a") GET("/a") GET("/a") GET("/b") GET("/c"));
    uint64_t ids[4];
    for (size_t i = 0; i < 4; i++) {
        ids[i] = take(f, "/a");
    }
    assert_nothing_asked(f);
    say(f, GET("/d"));
    assert_nothing_asked(f);
    answer(f, ids[0], "");
    answer(f, take(f, "/b"), "");
    for (size_t i = 1; i < 4; i++) {
        answer(f, ids[i], "");
    }
    answer(f, take(f, "/c"), "");
    answer(f, take(f, "/d"), "");
    assert_nothing_asked(f);
    assert_said(
        f, OK("0", "") OK("0", "") OK("0", "") OK("0", "") OK("0", "") OK("0", "") OK("0", ""));
}

static void an_answer_is_taken_once(void **state)
{
    struct fixture *f = *state;
    connect_client(f);
    say(f, GET("/a"));
    uint64_t id = take(f, "/a");
    answer(f, id, "1");
    answer(f, id, "2");
    answer(f, UINT64_MAX, "3");
    say(f, GET("/b"));
    uint64_t next = take(f, "/b");
    answer(f, id, "4");
    answer(f, next, "5");
    assert_said(f, OK("1", "1") OK("1", "5"));
}

static void reads_bodies_in_chunks_and_by_length(void **state)
{
    struct fixture *f = *state;
    connect_client(f);
    static const char chunked[] =
        "PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
    static const char sized[] = "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello";
    static const char *const texts[] = {chunked, sized};
    for (size_t i = 0; i < 2; i++) {
        // A TLS record for each byte, and a TCP segment for each three.
        for (const char *at = texts[i]; *at != '\0'; at++) {
            client_write(&f->client, at, 1);
        }
        client_push(&f->client, f->serve, 3, START_MS);
        struct serve_request request;
        assert_int_equal(serve_request(f->serve, &request), STATUS_OK);
        assert_int_equal(request.http->body.length, 5);
        assert_memory_equal(request.http->body.at, "hello", 5);
        answer(f, request.id, "");
        assert_said(f, OK("0", ""));
    }
}

static void a_large_body_and_a_large_answer_pass_the_windows(void **state)
{
    struct fixture *f = *state;
    connect_client(f);
    enum { BODY_BYTES = 1024 * 1024 };
    char head[128];
    snprintf(head, sizeof head, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n",
             BODY_BYTES);
    uint8_t *body = malloc(BODY_BYTES);
    assert_non_null(body);
    for (size_t i = 0; i < BODY_BYTES; i++) {
        body[i] = (uint8_t)(i * 31 >> 7);
    }
    say(f, head);
    for (size_t sent = 0; sent < BODY_BYTES; sent += 64 * 1024) {
        client_write(&f->client, body + sent, 64 * 1024);
        client_pump(&f->client, f->serve, START_MS);
    }
    assert_true(f->client.taken_bytes > BODY_BYTES / 2);
    struct serve_request request;
    assert_int_equal(serve_request(f->serve, &request), STATUS_OK);
    assert_int_equal(request.http->body.length, BODY_BYTES);
    assert_memory_equal(request.http->body.at, body, BODY_BYTES);

    const struct response response = {.status = 200, .body = request.http->body};
    serve_respond(f->serve, request.id, &response, START_MS);
    client_pump(&f->client, f->serve, START_MS);
    assert_true(f->client.plain.length > BODY_BYTES);
    assert_memory_equal(f->client.plain.bytes + f->client.plain.length - BODY_BYTES, body,
                        BODY_BYTES);
    free(body);
}

static void holds_back_what_the_host_does_not_send(void **state)
{
    struct fixture *f = *state;
    connect_client(f);
    enum { BODY_BYTES = 2 * SERVE_WINDOW_BYTES };
    char *body = malloc(BODY_BYTES + 1);
    assert_non_null(body);
    memset(body, 'b', BODY_BYTES);
    body[BODY_BYTES] = '\0';

    f->client.is_slow = true;
    say(f, GET("/a"));
    answer(f, take(f, "/a"), body);
    client_pull(&f->client, 1, f->serve, START_MS);
    assert_int_equal(f->client.unsent, SERVE_WINDOW_BYTES);

    // Nor is more read.
    say(f, GET("/b"));
    assert_nothing_asked(f);

    f->client.is_slow = false;
    serve_sent(f->serve, f->client.connection, f->client.unsent, START_MS);
    client_pull(&f->client, 1, f->serve, START_MS);
    assert_true(f->client.plain.length > BODY_BYTES);
    buffer_clear(&f->client.plain);
    answer(f, take(f, "/b"), "");
    assert_said(f, OK("0", ""));
    free(body);
}

static void a_host_beyond_its_window_is_cut_off(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = calloc(1, SERVE_WINDOW_BYTES + 1);
    assert_non_null(bytes);
    // Within the window it is TLS that refuses zeroes; beyond it they are not looked at.
    for (size_t extra = 0; extra < 2; extra++) {
        client_open(&f->client, f->context, f->serve, 7, START_MS);
        serve_receive(f->serve, 7, bytes_of(bytes, SERVE_WINDOW_BYTES + extra), START_MS);
        client_pull(&f->client, 1, f->serve, START_MS);
        assert_true(f->client.is_closed);
        assert_int_equal(serve_ledger(f->serve)->tls_failure_count, 1);
        client_release(&f->client);
        f->client = (struct client){.ssl = NULL};
    }
    free(bytes);
}

static void says_continue_before_the_body(void **state)
{
    struct fixture *f = *state;
    connect_client(f);
    say(f, GET("/a") "POST /b HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
                     "Content-Length: 2\r\n\r\n");
    assert_said(f, "");
    answer(f, take(f, "/a"), "");
    assert_said(f, OK("0", "") "HTTP/1.1 100 Continue\r\n\r\n");
    say(f, "hi");
    answer(f, take(f, "/b"), "");
    assert_said(f, OK("0", ""));
}

static void head_has_no_body(void **state)
{
    struct fixture *f = *state;
    connect_client(f);
    say(f, "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n" GET("/b"));
    answer(f, take(f, "/a"), "body");
    answer(f, take(f, "/b"), "");
    assert_said(f, OK("4", "") OK("0", ""));
}

static void closes_when_asked(void **state)
{
    struct fixture *f = *state;
    connect_client(f);
    say(f, "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" GET("/b"));
    uint64_t id = take(f, "/a");
    assert_nothing_asked(f);
    assert_false(f->client.is_closed);
    answer(f, id, "bye");
    assert_said(f, OK_CLOSE("3", "bye"));
    assert_true(f->client.is_closed);
    // The end is part of what TLS protects.
    assert_int_equal(SSL_get_shutdown(f->client.ssl) & SSL_RECEIVED_SHUTDOWN,
                     SSL_RECEIVED_SHUTDOWN);
}

static void serves_http_1_0(void **state)
{
    struct fixture *f = *state;
    connect_client(f);
    say(f, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    answer(f, take(f, "/a"), "");
    assert_said(f, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n");
    say(f, "GET /b HTTP/1.0\r\n\r\n");
    answer(f, take(f, "/b"), "");
    assert_said(f, OK_CLOSE("0", ""));
    assert_true(f->client.is_closed);
}

static void refuses_behind_the_answers_before(void **state)
{
    struct fixture *f = *state;
    connect_client(f);
    say(f, GET("/a") "GET /../b HTTP/1.1\r\nHost: h\r\n\r\n" GET("/c"));
    uint64_t id = take(f, "/a");
    assert_nothing_asked(f);
    assert_said(f, "");
    answer(f, id, "");
    assert_said(f,
                OK("0", "") "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
                            "Content-Length: 107\r\nConnection: close\r\n\r\n"
                            "{\"error\":{\"code\":\"malformed_path\",\"message\":\"the path has a bad "
                            "escape, a NUL, or a '.' or '..' segment\"}}\n");
    assert_true(f->client.is_closed);
}

static void refuses_bodies_over_what_all_may_hold(void **state)
{
    struct fixture *f = *state;
    connect_client(f);
    char *body = calloc(1, 1000 * 1024);
    assert_non_null(body);
    for (int i = 0; i < 3; i++) {
        say(f, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1024000\r\n\r\n");
        for (int k = 0; k < 10 && !f->client.is_closed; k++) {
            client_write(&f->client, body, 100 * 1024);
            client_pump(&f->client, f->serve, START_MS);
        }
    }
    free(body);
    uint64_t first = take(f, "/a");
    uint64_t second = take(f, "/a");
    assert_nothing_asked(f);
    answer(f, first, "");
    answer(f, second, "");
    client_pump(&f->client, f->serve, START_MS);
    assert_true(f->client.is_closed);
    static const char refusal[] = "HTTP/1.1 503 ";
    struct bytes said = buffer_bytes(&f->client.plain);
    assert_non_null(memmem(said.at, said.length, refusal, sizeof refusal - 1));
}

static void an_answer_that_cannot_be_encoded_is_a_500(void **state)
{
    struct fixture *f = *state;
    connect_client(f);
    const struct response_header split = {bytes_text("X-A"), bytes_text("a\r\nX-B: b")};
    const struct response response = {.status = 200, .headers = &split, .header_count = 1};
    say(f, GET("/a"));
    serve_respond(f->serve, take(f, "/a"), &response, START_MS);
    assert_status(f, "500");
    assert_false(f->client.is_closed);
}

static void a_request_outlives_its_connection(void **state)
{
    struct fixture *f = *state;
    connect_client(f);
    say(f, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi" GET("/b"));
    struct serve_request request;
    assert_int_equal(serve_request(f->serve, &request), STATUS_OK);
    serve_close(f->serve, 7);
    assert_memory_equal(request.http->body.at, "hi", 2);
    assert_nothing_asked(f);  // nobody waits for /b any more
    answer(f, request.id, "");
    struct serve_output output;
    assert_int_equal(serve_output(f->serve, &output, 1000), STATUS_EMPTY);
    assert_int_equal(serve_ledger(f->serve)->connection_count, 0);
}

static void refuses_tls_1_2(void **state)
{
    struct fixture *f = *state;
    SSL_CTX_set_max_proto_version(f->context, TLS1_2_VERSION);
    client_open(&f->client, f->context, f->serve, 7, START_MS);
    (void)SSL_do_handshake(f->client.ssl);
    client_pump(&f->client, f->serve, START_MS);
    assert_true(f->client.has_failed);
    assert_true(f->client.is_closed);
    assert_int_equal(serve_ledger(f->serve)->tls_failure_count, 1);
}

static void speaks_http_1_only(void **state)
{
    struct fixture *f = *state;
    static const unsigned char both[] = "\x02h2\x08http/1.0\x08http/1.1";
    SSL_CTX_set_alpn_protos(f->context, both, sizeof both - 1);
    connect_client(f);
    const unsigned char *chosen;
    unsigned chosen_bytes;
    SSL_get0_alpn_selected(f->client.ssl, &chosen, &chosen_bytes);
    assert_int_equal(chosen_bytes, 8);
    assert_memory_equal(chosen, "http/1.1", 8);
    client_release(&f->client);

    SSL_CTX_set_alpn_protos(f->context, both, 3);
    client_open(&f->client, f->context, f->serve, 8, START_MS);
    (void)SSL_do_handshake(f->client.ssl);
    client_pump(&f->client, f->serve, START_MS);
    assert_true(f->client.has_failed);
    assert_true(f->client.is_closed);
}

static SSL_SESSION *kept_session;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(kept_session);
    kept_session = session;
    return 1;
}

static void resumes_a_session_without_early_data(void **state)
{
    struct fixture *f = *state;
    SSL_CTX_set_session_cache_mode(f->context, SSL_SESS_CACHE_CLIENT);
    SSL_CTX_sess_set_new_cb(f->context, keep_session);
    connect_client(f);
    assert_non_null(kept_session);
    assert_int_equal(SSL_SESSION_get_max_early_data(kept_session), 0);
    SSL_shutdown(f->client.ssl);
    client_pump(&f->client, f->serve, START_MS);
    assert_true(f->client.is_closed);
    client_release(&f->client);

    client_open(&f->client, f->context, f->serve, 8, START_MS);
    SSL_set_session(f->client.ssl, kept_session);
    (void)SSL_do_handshake(f->client.ssl);
    client_pump(&f->client, f->serve, START_MS);
    assert_int_equal(SSL_session_reused(f->client.ssl), 1);
    assert_int_equal(serve_ledger(f->serve)->resumed_count, 1);
    SSL_SESSION_free(kept_session);
    kept_session = NULL;
}

static void shows_a_new_certificate_to_new_connections(void **state)
{
    struct fixture *f = *state;
    connect_client(f);

    struct p256_key *key = p256_key_new();
    struct buffer leaf = BUFFER_EMPTY;
    leaf_make(&leaf, f->root_key, key);
    assert_int_equal(serve_renew(f->serve, buffer_bytes(&f->leaf), key), STATUS_FORGED);
    assert_int_equal(serve_renew(f->serve, bytes_text("no certificate"), key), STATUS_MALFORMED);
    assert_int_equal(serve_renew(f->serve, buffer_bytes(&leaf), key), STATUS_OK);

    say(f, GET("/a"));
    answer(f, take(f, "/a"), "");
    assert_said(f, OK("0", ""));
    client_release(&f->client);

    client_open(&f->client, f->context, f->serve, 8, START_MS);
    (void)SSL_do_handshake(f->client.ssl);
    client_pump(&f->client, f->serve, START_MS);
    X509 *shown = SSL_get1_peer_certificate(f->client.ssl);
    assert_non_null(shown);
    unsigned char *der = NULL;
    int der_bytes = i2d_X509(shown, &der);
    assert_int_equal(der_bytes, leaf.length);
    assert_memory_equal(der, leaf.bytes, leaf.length);
    OPENSSL_free(der);
    X509_free(shown);
    buffer_release(&leaf);
    p256_key_free(key);
}

static void garbage_ends_its_connection_only(void **state)
{
    struct fixture *f = *state;
    connect_client(f);
    assert_int_equal(serve_open(f->serve, 8, START_MS), STATUS_OK);
    serve_receive(f->serve, 8, bytes_text("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), START_MS);
    struct serve_output output;
    bool is_closed = false;
    while (serve_output(f->serve, &output, 1000) == STATUS_OK) {
        assert_int_equal(output.connection, 8);
        is_closed = output.kind == SERVE_OUTPUT_CLOSE;
    }
    assert_true(is_closed);

    // A record of the open connection, one bit changed on the way.
    say(f, GET("/a"));
    client_write(&f->client, GET("/b"), strlen(GET("/b")));
    char *at;
    long length = BIO_get_mem_data(SSL_get_wbio(f->client.ssl), &at);
    at[length - 1] = (char)(at[length - 1] ^ 1);
    client_pump(&f->client, f->serve, START_MS);
    assert_true(f->client.is_closed);
    assert_nothing_asked(f);
}

static void a_connection_may_die_at_every_byte(void **state)
{
    struct fixture *f = *state;
    // First, what a whole exchange looks like on the wire.
    connect_client(f);
    say(f, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi");
    answer(f, take(f, "/a"), "");
    client_release(&f->client);
    size_t wire_bytes = (size_t)serve_ledger(f->serve)->received_bytes;

    for (size_t cut = 0; cut < wire_bytes; cut += 7) {
        client_open(&f->client, f->context, f->serve, 100 + cut, START_MS);
        (void)SSL_do_handshake(f->client.ssl);
        size_t left = cut;
        bool has_written = false;
        while (left > 0 && !f->client.is_closed) {
            char *at;
            size_t length = (size_t)BIO_get_mem_data(SSL_get_wbio(f->client.ssl), &at);
            if (length == 0 && SSL_is_init_finished(f->client.ssl) && !has_written) {
                client_write(&f->client, "POST /a HTTP/1.1\r\n", 18);
                has_written = true;
                continue;
            }
            if (length == 0) {
                break;
            }
            length = length < left ? length : left;
            serve_receive(f->serve, 100 + cut, bytes_of(at, length), START_MS);
            char dropped[4096];
            (void)BIO_read(SSL_get_wbio(f->client.ssl), dropped, (int)length);
            left -= length;
            client_pull(&f->client, 1, f->serve, START_MS);
        }
        serve_close(f->serve, 100 + cut);
        client_release(&f->client);
    }
    f->client = (struct client){.ssl = NULL};
    assert_nothing_asked(f);
    assert_int_equal(serve_ledger(f->serve)->connection_count, 1);
}

static void a_slow_handshake_is_cut_off(void **state)
{
    struct fixture *f = *state;
    client_open(&f->client, f->context, f->serve, 7, START_MS);
    assert_int_equal(serve_tick(f->serve, START_MS), START_MS + 10000);
    serve_receive(f->serve, 7, bytes_text("\x16\x03"), START_MS + 9000);
    assert_int_equal(serve_tick(f->serve, START_MS + 9999), START_MS + 10000);
    client_pull(&f->client, 1, f->serve, START_MS);
    assert_false(f->client.is_closed);
    (void)serve_tick(f->serve, START_MS + 10000);
    client_pull(&f->client, 1, f->serve, START_MS);
    assert_true(f->client.is_closed);
}

static void slow_heads_and_bodies_get_a_408(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        uint64_t limit_ms;
    } cases[] = {
        {"GET /a HT", 10000},
        {"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhi", 30000},
    };
    for (size_t i = 0; i < 2; i++) {
        connect_client(f);
        say(f, cases[i].text);
        (void)serve_tick(f->serve, START_MS + cases[i].limit_ms - 1);
        assert_said(f, "");
        (void)serve_tick(f->serve, START_MS + cases[i].limit_ms);
        assert_status(f, "408");
        assert_true(f->client.is_closed);
        client_release(&f->client);
        f->client = (struct client){.ssl = NULL};
    }
    assert_int_equal(serve_ledger(f->serve)->timeout_count, 2);
}

static void a_byte_now_and_then_does_not_move_the_deadline(void **state)
{
    struct fixture *f = *state;
    connect_client(f);
    for (uint64_t second = 0; second < 10; second++) {
        client_write(&f->client, "G", 1);
        client_pump(&f->client, f->serve, START_MS + second * 1000);
        (void)serve_tick(f->serve, START_MS + second * 1000);
        assert_false(f->client.is_closed);
    }
    (void)serve_tick(f->serve, START_MS + 10000);
    assert_status(f, "408");
}

static void an_idle_connection_ends_quietly(void **state)
{
    struct fixture *f = *state;
    connect_client(f);
    say(f, GET("/a"));
    // While it waits for us it is not idle.
    (void)serve_tick(f->serve, START_MS + 1000000);
    assert_said(f, "");
    assert_false(f->client.is_closed);
    const struct response response = {.status = 204};
    serve_respond(f->serve, take(f, "/a"), &response, START_MS + 1000000);
    client_pump(&f->client, f->serve, START_MS + 1000000);
    assert_said(f, "HTTP/1.1 204 No Content\r\n\r\n");
    (void)serve_tick(f->serve, START_MS + 1059999);
    client_pump(&f->client, f->serve, START_MS + 1059999);
    assert_false(f->client.is_closed);
    (void)serve_tick(f->serve, START_MS + 1060000);
    assert_said(f, "");
    assert_true(f->client.is_closed);
}

/* More than the host may leave unreported. */
static void answer_much(struct fixture *f, uint64_t request)
{
    static uint8_t much[2 * SERVE_REPORT_BYTES];
    const struct response response = {.status = 200, .body = bytes_of(much, sizeof much)};
    serve_respond(f->serve, request, &response, START_MS);
}

static void a_small_answer_that_is_not_reported_holds_nobody_up(void **state)
{
    struct fixture *f = *state;
    connect_client(f);
    f->client.is_slow = true;
    say(f, GET("/a"));
    answer(f, take(f, "/a"), "x");
    client_pump(&f->client, f->serve, START_MS);
    (void)serve_tick(f->serve, START_MS + 59999);
    client_pump(&f->client, f->serve, START_MS);
    assert_false(f->client.is_closed);
    (void)serve_tick(f->serve, START_MS + 60000);
    client_pump(&f->client, f->serve, START_MS);
    assert_true(f->client.is_closed);
}

static void a_client_that_takes_nothing_is_cut_off(void **state)
{
    struct fixture *f = *state;
    connect_client(f);
    f->client.is_slow = true;
    say(f, GET("/a"));
    answer_much(f, take(f, "/a"));
    client_pump(&f->client, f->serve, START_MS);
    // One byte is enough to go on waiting.
    serve_sent(f->serve, f->client.connection, 1, START_MS + 20000);
    (void)serve_tick(f->serve, START_MS + 49999);
    client_pump(&f->client, f->serve, START_MS);
    assert_false(f->client.is_closed);
    (void)serve_tick(f->serve, START_MS + 50000);
    client_pump(&f->client, f->serve, START_MS);
    assert_true(f->client.is_closed);
}

static void many_connections_do_not_mix(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 64 };
    static struct client clients[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        client_open(&clients[i], f->context, f->serve, 1000 * i, START_MS);
        (void)SSL_do_handshake(clients[i].ssl);
    }
    assert_int_equal(serve_open(f->serve, 1, START_MS), STATUS_FULL);
    assert_int_equal(serve_open(f->serve, 1000, START_MS), STATUS_DENIED);
    for (size_t i = 0; i < COUNT; i++) {
        client_push(&clients[i], f->serve, 100, START_MS);
    }
    client_pull(clients, COUNT, f->serve, START_MS);
    for (size_t i = 0; i < COUNT; i++) {
        char text[64];
        snprintf(text, sizeof text, "GET /%zu HTTP/1.1\r\nHost: h\r\n\r\n", i);
        client_write(&clients[i], text, strlen(text));
        client_push(&clients[i], f->serve, 50, START_MS);
    }
    struct serve_request request;
    while (serve_request(f->serve, &request) == STATUS_OK) {
        const struct response echo = {.status = 200, .body = request.http->path};
        serve_respond(f->serve, request.id, &echo, START_MS);
    }
    client_pull(clients, COUNT, f->serve, START_MS);
    for (size_t i = 0; i < COUNT; i++) {
        char path[16];
        int length = snprintf(path, sizeof path, "\r\n\r\n/%zu", i);
        struct bytes said = buffer_bytes(&clients[i].plain);
        assert_true(said.length > (size_t)length);
        assert_memory_equal(said.at + said.length - (size_t)length, path, (size_t)length);
        client_release(&clients[i]);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(serves_one_request_after_another),
        TEST(answers_leave_in_the_order_of_the_requests),
        TEST(holds_back_a_pipeline_over_its_bound),
        TEST(an_answer_is_taken_once),
        TEST(reads_bodies_in_chunks_and_by_length),
        TEST(a_large_body_and_a_large_answer_pass_the_windows),
        TEST(holds_back_what_the_host_does_not_send),
        TEST(a_host_beyond_its_window_is_cut_off),
        TEST(says_continue_before_the_body),
        TEST(head_has_no_body),
        TEST(closes_when_asked),
        TEST(serves_http_1_0),
        TEST(refuses_behind_the_answers_before),
        TEST(refuses_bodies_over_what_all_may_hold),
        TEST(an_answer_that_cannot_be_encoded_is_a_500),
        TEST(a_request_outlives_its_connection),
        TEST(refuses_tls_1_2),
        TEST(speaks_http_1_only),
        TEST(resumes_a_session_without_early_data),
        TEST(shows_a_new_certificate_to_new_connections),
        TEST(garbage_ends_its_connection_only),
        TEST(a_connection_may_die_at_every_byte),
        TEST(a_slow_handshake_is_cut_off),
        TEST(slow_heads_and_bodies_get_a_408),
        TEST(a_byte_now_and_then_does_not_move_the_deadline),
        TEST(an_idle_connection_ends_quietly),
        TEST(a_small_answer_that_is_not_reported_holds_nobody_up),
        TEST(a_client_that_takes_nothing_is_cut_off),
        TEST(many_connections_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
