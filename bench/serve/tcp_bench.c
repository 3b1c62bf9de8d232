/* bench/serve/tcp_bench.c */

/*
 * Requests per second that one core serves, TLS and HTTP and real sockets
 * included, without any function behind: a loop over epoll around a serve on core 0,
 * and wrk with 16 kept connections on core 1.
 *
 * usage: serve_tcp_bench                 run wrk (if there is one) five times of two seconds
 *        serve_tcp_bench PORT ROOT.pem   only serve, until ended: for curl and openssl s_client
 *
 * The answer to any request is its own body, or else "hello".
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/check.h"
#include "crypto/crypto.h"
#include "serve/serve.h"

enum {
    CONNECTION_COUNT_MAX = 1024,  // descriptors are the connections' names
    RUN_COUNT = 5,
    WRK_CONNECTION_COUNT = 16,
    RECEIVE_BYTES = 64 * 1024,
};

struct host {
    struct serve *serve;
    int epoll;
    int listener;
    struct buffer unsent[CONNECTION_COUNT_MAX];
    bool is_closing[CONNECTION_COUNT_MAX];
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void pin(size_t core)
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(core, &cores);
    (void)sched_setaffinity(0, sizeof cores, &cores);  // one core is a result too
}

static struct serve *serve_make(const char *root_path)
{
    crypto_init();
    struct p256_key *root_key = p256_key_new();
    struct p256_key *leaf_key = p256_key_new();
    const struct p256_public leaf_public = p256_key_public(leaf_key);
    const struct hash capsule = {.bytes = {1}};
    const uint64_t now_s = (uint64_t)time(NULL);
    const struct certificate_claims claims = {
        .capsule = capsule,
        .not_before_s = now_s - 3600,
        .not_after_s = now_s + 24 * 3600,
        .tee = "simulated",
    };
    struct buffer root = BUFFER_EMPTY, leaf = BUFFER_EMPTY, pem = BUFFER_EMPTY;
    CHECK(certificate_root(&root, root_key, &capsule) == STATUS_OK);
    CHECK(certificate_leaf(&leaf, root_key, &leaf_public, &claims) == STATUS_OK);
    CHECK(certificate_to_pem(&pem, buffer_bytes(&root)) == STATUS_OK);
    if (root_path != NULL) {
        FILE *file = fopen(root_path, "w");
        CHECK(file != NULL);
        fwrite(pem.bytes, 1, pem.length, file);
        fclose(file);
    }
    struct serve *serve = NULL;
    const struct serve_config config = {
        .certificate = buffer_bytes(&leaf),
        .key = leaf_key,
        .limits = serve_limits_default(),
    };
    CHECK(serve_new(&serve, &config) == STATUS_OK);
    buffer_release(&root);
    buffer_release(&leaf);
    buffer_release(&pem);
    p256_key_free(root_key);
    p256_key_free(leaf_key);
    return serve;
}

static int listen_on(uint16_t *port)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK(listener >= 0);
    int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(*port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t address_bytes = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 512) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &address_bytes) != 0) {
        perror("cannot listen");
        exit(3);
    }
    *port = ntohs(address.sin_port);
    return listener;
}

static void forget(struct host *host, int socket)
{
    buffer_release(&host->unsent[socket]);
    host->is_closing[socket] = false;
    close(socket);
}

static void watch(struct host *host, int socket, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = socket};
    CHECK(epoll_ctl(host->epoll, operation, socket, &event) == 0);
}

static void host_accept(struct host *host)
{
    int socket;
    while ((socket = accept4(host->listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        int on = 1;
        setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (socket >= CONNECTION_COUNT_MAX ||
            serve_open(host->serve, (uint64_t)socket, now_ms()) != STATUS_OK) {
            close(socket);
            continue;
        }
        watch(host, socket, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static void host_send(struct host *host, int socket, struct bytes bytes)
{
    struct buffer *unsent = &host->unsent[socket];
    ssize_t sent = unsent->length > 0 ? 0 : send(socket, bytes.at, bytes.length, MSG_NOSIGNAL);
    sent = sent < 0 ? 0 : sent;
    size_t left = bytes.length - (size_t)sent;
    CHECK(buffer_append(unsent, bytes.at + sent, left) == STATUS_OK);
    if (left > 0) {
        watch(host, socket, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
    serve_sent(host->serve, (uint64_t)socket, (size_t)sent, now_ms());
}

static void host_send_rest(struct host *host, int socket)
{
    struct buffer *unsent = &host->unsent[socket];
    ssize_t sent = send(socket, unsent->bytes, unsent->length, MSG_NOSIGNAL);
    if (sent > 0) {
        buffer_consume(unsent, (size_t)sent);
        serve_sent(host->serve, (uint64_t)socket, (size_t)sent, now_ms());
    }
    if (unsent->length == 0) {
        watch(host, socket, EPOLL_CTL_MOD, EPOLLIN);
        if (host->is_closing[socket]) {
            shutdown(socket, SHUT_WR);
        }
    }
}

static void host_receive(struct host *host, int socket)
{
    static uint8_t bytes[RECEIVE_BYTES];
    ssize_t received = recv(socket, bytes, sizeof bytes, 0);
    if (received < 0 && errno == EAGAIN) {
        return;
    }
    if (received <= 0) {
        serve_close(host->serve, (uint64_t)socket);
        forget(host, socket);
        return;
    }
    if (!host->is_closing[socket]) {
        serve_receive(host->serve, (uint64_t)socket, bytes_of(bytes, (size_t)received), now_ms());
    }
}

static void host_answer(struct host *host)
{
    struct serve_request request;
    while (serve_request(host->serve, &request) == STATUS_OK) {
        const struct bytes body = request.http->body;
        const struct response response = {
            .status = 200,
            .content_type = bytes_text("text/plain"),
            .body = body.length > 0 ? body : bytes_text("hello"),
        };
        serve_respond(host->serve, request.id, &response, now_ms());
    }
}

static void host_output(struct host *host)
{
    struct serve_output output;
    while (serve_output(host->serve, &output, RECEIVE_BYTES) == STATUS_OK) {
        int socket = (int)output.connection;
        if (output.kind == SERVE_OUTPUT_DATA) {
            host_send(host, socket, output.bytes);
        } else if (output.kind == SERVE_OUTPUT_CLOSE) {
            // The client closes on its side, and recv() then tells.
            host->is_closing[socket] = true;
            if (host->unsent[socket].length == 0) {
                shutdown(socket, SHUT_WR);
            }
        }
    }
}

static _Noreturn void host_run(struct serve *serve, int listener)
{
    static struct host host;
    host.serve = serve;
    host.listener = listener;
    host.epoll = epoll_create1(0);
    CHECK(host.epoll >= 0);
    watch(&host, listener, EPOLL_CTL_ADD, EPOLLIN);
    for (;;) {
        struct epoll_event events[64];
        int count = epoll_wait(host.epoll, events, 64, 1000);
        for (int i = 0; i < count; i++) {
            int socket = events[i].data.fd;
            if (socket == listener) {
                host_accept(&host);
                continue;
            }
            if ((events[i].events & EPOLLOUT) != 0) {
                host_send_rest(&host, socket);
            }
            if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
                host_receive(&host, socket);
            }
        }
        host_answer(&host);
        host_output(&host);
        (void)serve_tick(serve, now_ms());
    }
}

static _Noreturn void wrk_exec(uint16_t port, int output)
{
    char connections[16], url[64];
    snprintf(connections, sizeof connections, "-c%d", WRK_CONNECTION_COUNT);
    snprintf(url, sizeof url, "https://127.0.0.1:%u/", (unsigned)port);
    pin(1);
    dup2(output, STDOUT_FILENO);
    close(output);
    execlp("wrk", "wrk", "-t1", connections, "-d2s", url, (char *)NULL);
    _exit(127);
}

/*
 * One run's requests per second; 0: there is no wrk, or it failed. `*count` grows by its requests.
 */
static double wrk_run(uint16_t port, double *count)
{
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        wrk_exec(port, ends[1]);
    }
    close(ends[1]);
    FILE *output = fdopen(ends[0], "r");
    CHECK(output != NULL);
    double rate = 0, requests = 0;
    char line[256];
    while (fgets(line, sizeof line, output) != NULL) {
        (void)sscanf(line, "Requests/sec: %lf", &rate);
        (void)sscanf(line, " %lf requests in", &requests);
    }
    fclose(output);
    waitpid(child, NULL, 0);
    *count += requests;
    return rate;
}

static double microseconds(struct timeval time)
{
    return (double)time.tv_sec * 1e6 + (double)time.tv_usec;
}

static int compare(const void *a, const void *b)
{
    const double *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

int main(int argc, char **argv)
{
    uint16_t port = argc == 3 ? (uint16_t)strtoul(argv[1], NULL, 10) : 0;
    struct serve *serve = serve_make(argc == 3 ? argv[2] : NULL);
    int listener = listen_on(&port);
    if (argc == 3) {
        host_run(serve, listener);
    }
    pid_t child = fork();
    if (child == 0) {
        pin(0);
        host_run(serve, listener);
    }
    close(listener);
    double rates[RUN_COUNT];
    double request_count = 0;
    for (size_t i = 0; i < RUN_COUNT; i++) {
        rates[i] = wrk_run(port, &request_count);
    }
    kill(child, SIGTERM);
    struct rusage used;
    CHECK(wait4(child, NULL, 0, &used) == child);
    serve_free(serve);
    qsort(rates, RUN_COUNT, sizeof *rates, compare);
    if (rates[0] == 0) {
        printf("serve: not measured: wrk is not installed, or failed\n");
        return 0;
    }
    printf("serve: %.0f requests/s (%.0f to %.0f), TLS 1.3, %d connections, one core\n",
           rates[RUN_COUNT / 2], rates[0], rates[RUN_COUNT - 1], WRK_CONNECTION_COUNT);
    // This is what the figure above would be of an undisturbed core.
    printf("serve: %.1f us of CPU per request, of which %.1f outside the kernel\n",
           (microseconds(used.ru_utime) + microseconds(used.ru_stime)) / request_count,
           microseconds(used.ru_utime) / request_count);
    return 0;
}
