/* tests/cli/client_test.c */

/*
 * Goal: a request goes out whole and its answer comes back, from whoever the root vouches for and
 * nobody else.
 * Method: a small TLS server in a thread, which answers one connection with canned bytes; a client
 * in a process that the server stops and continues while it waits.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/random.h"
#include "cli/client.h"
#include "crypto/certificate.h"
#include "crypto/crypto.h"
#include "tests/support/blocked.h"

// No wait here is meant to end by time.
enum { LOST_MS = 60000 };

struct server {
    int listener;
    uint16_t port;
    SSL_CTX *context;    // NULL: no TLS
    const char *answer;  // then the connection is closed
    size_t request_bytes;
    char request[4096];  // what was received, NUL-terminated
    pthread_t thread;
    pid_t stopped;  // the client, stopped and continued in each of its waits; 0: it is not
};

struct fixture {
    struct p256_key *root_key;
    struct p256_key *leaf_key;
    struct buffer root_pem;
    struct buffer leaf;
    struct server server;
};

static int setup(void **state)
{
    static struct fixture f;
    crypto_init();
    f = (struct fixture){.root_key = p256_key_new(), .leaf_key = p256_key_new()};
    struct buffer root = BUFFER_EMPTY;
    const struct p256_public leaf_public = p256_key_public(f.leaf_key);
    const struct certificate_claims claims = {
        .capsule = hash_of("capsule", 7),
        .not_before_s = (uint64_t)time(NULL) - 60,
        .not_after_s = (uint64_t)time(NULL) + 3600,
        .tee = "simulated",
    };
    assert_int_equal(certificate_root(&root, f.root_key, &claims.capsule), STATUS_OK);
    assert_int_equal(certificate_to_pem(&f.root_pem, buffer_bytes(&root)), STATUS_OK);
    assert_int_equal(certificate_leaf(&f.leaf, f.root_key, &leaf_public, &claims), STATUS_OK);
    buffer_release(&root);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    p256_key_free(f->root_key);
    p256_key_free(f->leaf_key);
    buffer_release(&f->root_pem);
    buffer_release(&f->leaf);
    return 0;
}

/* Once it waits. */
static void stop_and_continue(pid_t client)
{
    int how;
    blocked_await(client);
    assert_int_equal(kill(client, SIGSTOP), 0);
    assert_int_equal(waitpid(client, &how, WUNTRACED), client);
    assert_true(WIFSTOPPED(how));
    assert_int_equal(kill(client, SIGCONT), 0);
}

/* The whole request: the head, and `request_bytes` in all. */
static void receive(struct server *server, int fd, SSL *ssl)
{
    size_t length = 0;
    while (length < server->request_bytes) {
        char *at = server->request + length;
        size_t room = sizeof server->request - 1 - length;
        long got = ssl != NULL ? SSL_read(ssl, at, (int)room) : recv(fd, at, room, 0);
        if (got <= 0) {
            return;
        }
        length += (size_t)got;
    }
}

static void *serve(void *context)
{
    struct server *server = context;
    int fd = accept(server->listener, NULL, NULL);
    SSL *ssl = NULL;
    if (server->context != NULL) {
        ssl = SSL_new(server->context);
        SSL_set_fd(ssl, fd);
        if (server->stopped != 0) {
            stop_and_continue(server->stopped);
        }
        if (SSL_accept(ssl) != 1) {
            goto done;
        }
    }
    receive(server, fd, ssl);
    if (server->stopped != 0) {
        stop_and_continue(server->stopped);
    }
    if (ssl != NULL) {
        SSL_write(ssl, server->answer, (int)strlen(server->answer));
        SSL_shutdown(ssl);
    } else {
        send(fd, server->answer, strlen(server->answer), MSG_NOSIGNAL);
    }

done:
    SSL_free(ssl);
    close(fd);
    return NULL;
}

static void listen_for(struct fixture *f, bool is_tls, size_t request_bytes, const char *answer)
{
    struct server *server = &f->server;
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *server = (struct server){.answer = answer, .request_bytes = request_bytes};
    if (is_tls) {
        const uint8_t *der = f->leaf.bytes;
        X509 *certificate = d2i_X509(NULL, &der, (long)f->leaf.length);
        server->context = SSL_CTX_new(TLS_server_method());
        assert_int_equal(SSL_CTX_use_certificate(server->context, certificate), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(server->context, p256_key_openssl(f->leaf_key)), 1);
        X509_free(certificate);
    }
    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(server->listener, 1), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &length), 0);
    server->port = ntohs(address.sin_port);
}

static void start(struct fixture *f, bool is_tls, size_t request_bytes, const char *answer)
{
    listen_for(f, is_tls, request_bytes, answer);
    assert_int_equal(pthread_create(&f->server.thread, NULL, serve, &f->server), 0);
}

static void close_server(struct fixture *f)
{
    SSL_CTX_free(f->server.context);
    close(f->server.listener);
}

static void stop(struct fixture *f)
{
    pthread_join(f->server.thread, NULL);
    close_server(f);
}

static struct client_target target_of(const struct fixture *f, const char *host, bool is_tls)
{
    return (struct client_target){
        .host = host,
        .port = f->server.port,
        .root_pem = is_tls ? buffer_bytes(&f->root_pem) : bytes_of(NULL, 0),
        .timeout_ms = LOST_MS,
    };
}

static const struct client_request request = {
    .method = "POST", .target = "/function/f", .headers = "A: b\r\n", .body = {(uint8_t *)"hi", 2}};
static const char expected[] =
    "POST /function/f HTTP/1.1\r\nHost: localhost\r\nA: b\r\nContent-Length: 2\r\n\r\nhi";

static void asks_over_tls_and_gets_the_answer(void **state)
{
    struct fixture *f = *state;
    char error[CLIENT_ERROR_BYTES];
    struct client *client;
    struct client_response response;
    struct buffer der = BUFFER_EMPTY;
    start(f, true, sizeof expected - 1,
          "HTTP/1.1 200 OK\r\nX-Paranoid-Version: v\r\nContent-Length: 3\r\n\r\nyes");
    const struct client_target target = target_of(f, "localhost", true);
    assert_int_equal(client_open(&client, &target, error), STATUS_OK);
    assert_int_equal(client_certificate(client, &der), STATUS_OK);
    assert_true(bytes_equal(buffer_bytes(&der), buffer_bytes(&f->leaf)));
    assert_int_equal(client_ask(client, &request, &response, error), STATUS_OK);
    assert_int_equal(response.status, 200);
    assert_true(bytes_equal(buffer_bytes(&response.body), bytes_text("yes")));
    assert_true(bytes_equal(buffer_bytes(&response.version), bytes_text("v")));
    client_response_release(&response);
    client_close(client);
    buffer_release(&der);
    stop(f);
    assert_string_equal(f->server.request, expected);
}

static void refuses_a_certificate_of_another_root(void **state)
{
    struct fixture *f = *state;
    char error[CLIENT_ERROR_BYTES];
    struct client *client;
    struct buffer root = BUFFER_EMPTY, pem = BUFFER_EMPTY;
    struct p256_key *other = p256_key_new();
    const struct hash capsule = hash_of("capsule", 7);
    assert_int_equal(certificate_root(&root, other, &capsule), STATUS_OK);
    assert_int_equal(certificate_to_pem(&pem, buffer_bytes(&root)), STATUS_OK);
    start(f, true, 1, "");
    struct client_target target = target_of(f, "localhost", true);
    target.root_pem = buffer_bytes(&pem);
    assert_int_equal(client_open(&client, &target, error), STATUS_FORGED);
    assert_null(client);
    stop(f);
    assert_string_equal(f->server.request, "");
    p256_key_free(other);
    buffer_release(&root);
    buffer_release(&pem);
}

static void refuses_a_certificate_for_another_host(void **state)
{
    struct fixture *f = *state;
    char error[CLIENT_ERROR_BYTES];
    struct client *client;
    start(f, true, 1, "");
    // The same address, by a name that is not in the certificate.
    const struct client_target target = target_of(f, "127.1", true);
    assert_int_equal(client_open(&client, &target, error), STATUS_FORGED);
    stop(f);
}

static void an_answer_that_ends_early_is_none(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *answer;
        enum status status;
    } cases[] = {
        {"", STATUS_CLOSED},
        {"HTTP/1.1 200", STATUS_CLOSED},
        {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nyes", STATUS_CLOSED},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nyes", STATUS_MALFORMED},
        {"SSH-2.0-something\r\n\r\n", STATUS_MALFORMED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char error[CLIENT_ERROR_BYTES] = "";
        struct client *client;
        struct client_response response;
        start(f, false, sizeof expected - 1, cases[i].answer);
        const struct client_target target = target_of(f, "localhost", false);
        assert_int_equal(client_open(&client, &target, error), STATUS_OK);
        assert_int_equal(client_ask(client, &request, &response, error), cases[i].status);
        assert_true(error[0] != '\0');
        client_response_release(&response);
        client_close(client);
        stop(f);
    }
}

static void without_a_length_the_answer_lasts_to_the_end(void **state)
{
    struct fixture *f = *state;
    char error[CLIENT_ERROR_BYTES];
    struct client *client;
    struct client_response response;
    start(f, false, sizeof expected - 1, "HTTP/1.1 500 No\r\n\r\nall of it");
    const struct client_target target = target_of(f, "localhost", false);
    assert_int_equal(client_open(&client, &target, error), STATUS_OK);
    assert_int_equal(client_ask(client, &request, &response, error), STATUS_OK);
    assert_int_equal(response.status, 500);
    assert_true(bytes_equal(buffer_bytes(&response.body), bytes_text("all of it")));
    client_response_release(&response);
    client_close(client);
    stop(f);
}

/* In a process of its own: what client_ask() said. */
static enum status ask(const struct fixture *f, bool is_tls)
{
    char error[CLIENT_ERROR_BYTES];
    struct client *client;
    struct client_response response;
    const struct client_target target = target_of(f, "localhost", is_tls);
    enum status status = client_open(&client, &target, error);
    if (status == STATUS_OK) {
        status = client_ask(client, &request, &response, error);
    }
    return status;
}

static void one_that_was_stopped_goes_on_waiting(void **state)
{
    struct fixture *f = *state;
    for (int is_tls = 0; is_tls < 2; is_tls++) {
        int how;
        listen_for(f, is_tls, sizeof expected - 1, "HTTP/1.1 204 No Content\r\n\r\n");
        f->server.stopped = fork();
        assert_true(f->server.stopped >= 0);
        if (f->server.stopped == 0) {
            _exit((int)ask(f, is_tls));
        }
        serve(&f->server);
        assert_int_equal(waitpid(f->server.stopped, &how, 0), f->server.stopped);
        assert_true(WIFEXITED(how));
        assert_int_equal(WEXITSTATUS(how), STATUS_OK);
        close_server(f);
    }
}

static void nobody_listens(void **state)
{
    struct fixture *f = *state;
    char error[CLIENT_ERROR_BYTES] = "";
    struct client *client;
    start(f, false, 0, "");
    const struct client_target target = target_of(f, "localhost", false);
    assert_int_equal(client_open(&client, &target, error), STATUS_OK);
    client_close(client);
    stop(f);
    assert_int_equal(client_open(&client, &target, error), STATUS_NOT_FOUND);
    assert_non_null(strstr(error, "refused"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(asks_over_tls_and_gets_the_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_a_certificate_of_another_root, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_a_certificate_for_another_host, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_that_ends_early_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_length_the_answer_lasts_to_the_end, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(one_that_was_stopped_goes_on_waiting, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_listens, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
