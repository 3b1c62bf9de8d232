/* tests/host/proxy_test.c */

/*
 * Goal: bytes of connections arrive whole and in order, at the worker they belong to; whoever is
 * slow slows down nobody else, and what is held for it is bounded.
 * Method: a real host whose fake workers echo in upper case and keep, by a CHECK of their own,
 * the host to its window; clients that read slowly, many, or much.
 */
#define _GNU_SOURCE  // clock_gettime
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "tests/host/fake_enclave.h"
#include "tests/host/running.h"

enum { CHUNK_BYTES = 64 << 10, MANY = 200 };

static int setup(void **state)
{
    static struct running running;
    running_init(&running);
    *state = &running;
    return 0;
}

static int setup_ready(void **state)
{
    setup(state);
    running_start_ready(*state);
    return 0;
}

static int teardown(void **state)
{
    struct running *running = *state;
    if (running->pid > 0) {
        running_tell(running->control, FRAME_STOP, &(struct writer_id){.bytes = {0}},
                     bytes_of(NULL, 0));
        assert_int_equal(running_wait(running), STATUS_OK);
    }
    running_release(running);
    return 0;
}

/* Byte `i` of what is sent, and of what has to come back. No short period: a shift shows. */
static uint8_t byte_sent(uint64_t i)
{
    uint64_t mixed = (i + 1) * 0x9e3779b97f4a7c15u;
    return (uint8_t)('a' + (mixed >> 40) % 26);
}

static uint8_t byte_due(uint64_t i)
{
    return (uint8_t)(byte_sent(i) - 'a' + 'A');
}

struct flood {
    int fd;
    uint64_t bytes;
};

static void *send_flood(void *context)
{
    const struct flood *flood = context;
    uint8_t chunk[CHUNK_BYTES];
    for (uint64_t sent = 0; sent < flood->bytes; sent += CHUNK_BYTES) {
        for (uint64_t i = 0; i < CHUNK_BYTES; i++) {
            chunk[i] = byte_sent(sent + i);
        }
        running_write(flood->fd, chunk, sizeof chunk);
    }
    return NULL;
}

static void read_flood(const struct flood *flood)
{
    uint8_t chunk[CHUNK_BYTES];
    for (uint64_t got = 0; got < flood->bytes; got += CHUNK_BYTES) {
        CHECK(running_read(flood->fd, chunk, sizeof chunk) == sizeof chunk);
        for (uint64_t i = 0; i < CHUNK_BYTES; i++) {
            CHECK(chunk[i] == byte_due(got + i));
        }
    }
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void much_goes_both_ways_and_arrives_whole(void **state)
{
    const struct running *running = *state;
    struct flood flood = {.fd = running_connect(running->base_port), .bytes = 64 << 20};
    pthread_t sender;
    double begin = now_s();
    assert_int_equal(pthread_create(&sender, NULL, send_flood, &flood), 0);
    read_flood(&flood);
    pthread_join(sender, NULL);
    print_message("64 MiB each way in %.2f s\n", now_s() - begin);
    close(flood.fd);
}

static void many_connections_are_balanced_and_keep_their_own_bytes(void **state)
{
    struct running *running = *state;
    int fds[MANY];
    for (int i = 0; i < MANY; i++) {
        fds[i] = running_connect(running->base_port);
    }
    for (int round = 0; round < 5; round++) {
        char text[32];
        for (int i = 0; i < MANY; i++) {
            int length = snprintf(text, sizeof text, "round%02d-client%03d", round, i);
            running_write(fds[i], text, (size_t)length);
        }
        for (int i = 0; i < MANY; i++) {
            char due[32];
            int length = snprintf(due, sizeof due, "ROUND%02d-CLIENT%03d", round, i);
            assert_int_equal(running_read(fds[i], text, (size_t)length), length);
            assert_memory_equal(text, due, (size_t)length);
        }
    }
    // Half of them were with the worker that is killed.
    json_t *status = running_status(running);
    assert_int_equal(json_integer_value(json_object_get(status, "connections")), MANY);
    json_t *worker = running_enclave(status, "worker", 0);
    kill((pid_t)json_integer_value(json_object_get(worker, "pid")), SIGKILL);
    json_decref(status);
    struct buffer buffer = BUFFER_EMPTY;
    running_hear_kind(running->control, &buffer, FRAME_READY);
    buffer_release(&buffer);
    int closed = 0;
    for (int i = 0; i < MANY; i++) {
        char byte = 0;
        closed += recv(fds[i], &byte, 1, MSG_DONTWAIT) == 0;
        close(fds[i]);
    }
    assert_int_equal(closed, MANY / 2);
}

/* Send until nothing moves any more: how much got in. */
static uint64_t stuff(int fd)
{
    uint64_t sent = 0;
    static const char chunk[CHUNK_BYTES] = {'x'};
    struct pollfd writable = {.fd = fd, .events = POLLOUT};
    while (poll(&writable, 1, 300) == 1) {
        ssize_t now = send(fd, chunk, sizeof chunk, MSG_DONTWAIT | MSG_NOSIGNAL);
        CHECK(now > 0);
        sent += (uint64_t)now;
    }
    return sent;
}

static void a_client_that_does_not_read_is_held_back_alone(void **state)
{
    const struct running *running = *state;
    int slow = running_connect(running->worker_ports[0]);
    int receive_bytes = 16 << 10;
    setsockopt(slow, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    uint64_t stuffed = stuff(slow);
    // Both kernels' buffers, both windows, and no more.
    assert_true(stuffed < 16 << 20);

    struct flood flood = {.fd = running_connect(running->worker_ports[0]), .bytes = 4 << 20};
    pthread_t sender;
    assert_int_equal(pthread_create(&sender, NULL, send_flood, &flood), 0);
    read_flood(&flood);
    pthread_join(sender, NULL);
    close(flood.fd);

    // And nothing of its own is lost.
    uint8_t *chunk = malloc(CHUNK_BYTES);
    uint64_t got = 0;
    while (got < stuffed) {
        uint64_t left = stuffed - got;
        size_t want = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;
        assert_int_equal(running_read(slow, chunk, want), want);
        got += want;
    }
    free(chunk);
    close(slow);
}

static void the_last_bytes_leave_when_the_worker_closes(void **state)
{
    const struct running *running = *state;
    for (int i = 0; i < 20; i++) {
        int fd = running_connect(running->base_port);
        uint8_t *text = malloc(CHUNK_BYTES);
        memset(text, 'y', CHUNK_BYTES);
        memcpy(text + CHUNK_BYTES - 4, "bye\n", 4);
        running_write(fd, text, CHUNK_BYTES);
        assert_int_equal(running_read(fd, text, CHUNK_BYTES), CHUNK_BYTES);
        assert_memory_equal(text + CHUNK_BYTES - 4, "BYE\n", 4);
        assert_int_equal(running_read(fd, text, 1), 0);
        free(text);
        close(fd);
    }
}

static void a_slow_client_gets_all_that_the_worker_sent_before_it_closed(void **state)
{
    const struct running *running = *state;
    int fd = running_connect(running->base_port);
    int receive_bytes = 16 << 10;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    running_write(fd, "flood\n", 6);
    uint8_t *chunk = malloc(CHUNK_BYTES);
    assert_int_equal(running_read(fd, chunk, 6), 6);
    uint64_t got = 0;
    size_t now;
    while ((now = running_read(fd, chunk, 4096)) > 0) {
        for (size_t i = 0; i < now; i++) {
            CHECK(chunk[i] == 'F');
        }
        got += now;
    }
    assert_int_equal(got, FAKE_ENCLAVE_FLOOD_BYTES);
    free(chunk);
    close(fd);
}

static void who_comes_before_a_worker_is_ready_waits(void **state)
{
    struct running *running = *state;
    struct buffer buffer = BUFFER_EMPTY;
    char answer[8] = "";
    running_start(running);
    int early = running_connect(running->base_port);
    int to_second = running_connect(running->worker_ports[1]);
    running_write(early, "early", 5);
    running_write(to_second, "2nd", 3);
    running_hear_kind(running->control, &buffer, FRAME_HELLO);
    running_tell(running->control, FRAME_JOIN, &frame_to_leader, bytes_text("lead"));
    assert_int_equal(running_read(early, answer, 5), 5);
    assert_string_equal(answer, "EARLY");
    assert_int_equal(running_read(to_second, answer, 3), 3);
    assert_memory_equal(answer, "2ND", 3);
    close(early);
    close(to_second);
    buffer_release(&buffer);
}

static void clients_that_vanish_leave_nothing_behind(void **state)
{
    const struct running *running = *state;
    for (int i = 0; i < 300; i++) {
        int fd = running_connect(running->base_port);
        running_write(fd, "gone", 4);
        if (i % 2 == 0) {
            const struct linger reset = {.l_onoff = 1};
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        }
        close(fd);
    }
    int connections = 1;
    double begin = now_s();
    while (connections > 0) {
        CHECK(now_s() - begin < RUNNING_LOST_MS / 1000.0);
        json_t *status = running_status(running);
        connections = (int)json_integer_value(json_object_get(status, "connections"));
        json_decref(status);
    }
}

static int compare_times(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

static void one_byte_goes_there_and_back(void **state)
{
    enum { ROUNDS = 2000 };
    const struct running *running = *state;
    static double times[ROUNDS];
    int fd = running_connect(running->base_port);
    for (int i = 0; i < ROUNDS; i++) {
        char byte = 'a';
        double begin = now_s();
        running_write(fd, &byte, 1);
        assert_int_equal(running_read(fd, &byte, 1), 1);
        times[i] = now_s() - begin;
        assert_int_equal(byte, 'A');
    }
    close(fd);
    qsort(times, ROUNDS, sizeof *times, compare_times);
    print_message("there and back: p50 %.0f us, p99 %.0f us\n", times[ROUNDS / 2] * 1e6,
                  times[ROUNDS * 99 / 100] * 1e6);
}

int main(int argc, char **argv)
{
    (void)argc;
    if (fake_enclave_is_wanted(argv[0])) {
        return fake_enclave_run();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(much_goes_both_ways_and_arrives_whole, setup_ready,
                                        teardown),
        cmocka_unit_test_setup_teardown(many_connections_are_balanced_and_keep_their_own_bytes,
                                        setup_ready, teardown),
        cmocka_unit_test_setup_teardown(a_client_that_does_not_read_is_held_back_alone, setup_ready,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_last_bytes_leave_when_the_worker_closes, setup_ready,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            a_slow_client_gets_all_that_the_worker_sent_before_it_closed, setup_ready, teardown),
        cmocka_unit_test_setup_teardown(who_comes_before_a_worker_is_ready_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(clients_that_vanish_leave_nothing_behind, setup_ready,
                                        teardown),
        cmocka_unit_test_setup_teardown(one_byte_goes_there_and_back, setup_ready, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
