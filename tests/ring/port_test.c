/* tests/ring/port_test.c */

/*
 * Goal: a port carries frames both ways between two threads and between two
 * processes; nobody who sleeps is forgotten, whether for a frame, for room or
 * for a wake from its own process; nothing an enclave reads from a wall can
 * lead it astray.
 * Method: both ends in one process first, then two threads that sleep as
 * often as possible (no spinning, rings of a few frames), then fork. A lost
 * wake-up shows as a wait that ends by its time-out, which fails the test.
 */
#define _GNU_SOURCE  // memfd_create
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/random.h"
#include "ring/port.h"
#include "ring/wall.h"

// No wait in these tests is meant to end by time. One that does has lost its wake-up.
enum { LOST_MS = 120000, SMALL_BYTES = 256, ROUND_COUNT = 20000 };

struct fixture {
    void *memory;
    int host_fd;
    struct port host;
    struct port enclave;
    struct buffer host_frame;
    struct buffer enclave_frame;
};

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){.host_frame = BUFFER_EMPTY, .enclave_frame = BUFFER_EMPTY};
    f.memory = aligned_alloc(RING_LINE_BYTES, port_footprint(SMALL_BYTES));
    f.host_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (f.memory == NULL || f.host_fd < 0) {
        return 1;
    }
    port_format(f.memory, SMALL_BYTES);
    port_init_host(&f.host, f.memory, SMALL_BYTES, f.host_fd);
    port_init_enclave(&f.enclave, f.memory, SMALL_BYTES, f.host_fd, 0);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    buffer_release(&f->host_frame);
    buffer_release(&f->enclave_frame);
    free(f->memory);
    close(f->host_fd);
    return 0;
}

static enum status send_number(struct port *port, uint64_t number)
{
    struct bytes part = bytes_of(&number, sizeof number);
    return port_send(port, &part, 1);
}

static uint64_t number_in(const struct buffer *frame)
{
    uint64_t number = UINT64_MAX;
    if (frame->length == sizeof number) {
        memcpy(&number, frame->bytes, sizeof number);
    }
    return number;
}

static bool is_readable(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, 0) == 1;
}

/* What a host thread does between frames. False when the wake-up was lost. */
static bool host_sleep(struct port *port, int fd)
{
    if (!port_arm(port)) {
        return true;
    }
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    int ready = poll(&poll_fd, 1, LOST_MS);
    port_disarm(port);
    return ready == 1;
}

static void frames_go_both_ways(void **state)
{
    struct fixture *f = *state;
    for (uint64_t number = 0; number < 100; number++) {
        assert_int_equal(send_number(&f->host, number), STATUS_OK);
        assert_int_equal(send_number(&f->enclave, ~number), STATUS_OK);
        assert_int_equal(port_receive(&f->enclave, &f->enclave_frame), STATUS_OK);
        assert_int_equal(port_receive(&f->host, &f->host_frame), STATUS_OK);
        assert_int_equal(number_in(&f->enclave_frame), number);
        assert_int_equal(number_in(&f->host_frame), ~number);
    }
    assert_int_equal(port_receive(&f->enclave, &f->enclave_frame), STATUS_EMPTY);
    assert_int_equal(port_receive(&f->host, &f->host_frame), STATUS_EMPTY);
}

static void nobody_enters_the_kernel_for_a_host_that_is_awake(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(send_number(&f->enclave, 1), STATUS_OK);
    assert_false(is_readable(f->host_fd));
    assert_int_equal(port_receive(&f->host, &f->host_frame), STATUS_OK);
    assert_true(port_arm(&f->host));
    assert_int_equal(send_number(&f->enclave, 2), STATUS_OK);
    assert_true(is_readable(f->host_fd));
    port_disarm(&f->host);
    assert_int_equal(send_number(&f->enclave, 3), STATUS_OK);
    assert_false(is_readable(f->host_fd));

    // Once it has looked, there is no second reason left over.
    while (port_receive(&f->host, &f->host_frame) == STATUS_OK) {}
    assert_true(port_arm(&f->host));
}

static void arming_with_a_frame_waiting_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(send_number(&f->enclave, 1), STATUS_OK);
    assert_false(port_arm(&f->host));
    assert_int_equal(port_receive(&f->host, &f->host_frame), STATUS_OK);
    assert_true(port_arm(&f->host));
}

static void a_wait_ends_by_time_when_nothing_comes(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(port_wait(&f->enclave, 0), STATUS_TIMEOUT);
    assert_int_equal(port_wait(&f->enclave, 5), STATUS_TIMEOUT);
    assert_int_equal(send_number(&f->host, 1), STATUS_OK);
    assert_int_equal(port_wait(&f->enclave, LOST_MS), STATUS_OK);
}

static void a_wake_before_the_wait_is_not_lost(void **state)
{
    struct fixture *f = *state;
    port_wake(&f->enclave);
    assert_int_equal(port_wait(&f->enclave, LOST_MS), STATUS_OK);
    assert_int_equal(port_wait(&f->enclave, 0), STATUS_TIMEOUT);
    port_wake(&f->host);
    assert_false(port_arm(&f->host));
    assert_true(port_arm(&f->host));
    port_wake(&f->host);
    assert_true(is_readable(f->host_fd));
}

static void a_sender_refused_for_want_of_room_is_told_of_it(void **state)
{
    struct fixture *f = *state;
    uint64_t sent = 0;
    while (send_number(&f->host, sent) == STATUS_OK) {
        sent++;
    }
    assert_int_equal(sent, SMALL_BYTES / 16 - 1);  // a word stays free: ring.h
    assert_true(port_arm(&f->host));
    assert_int_equal(port_receive(&f->enclave, &f->enclave_frame), STATUS_OK);
    assert_true(is_readable(f->host_fd));
    port_disarm(&f->host);
    assert_int_equal(send_number(&f->host, sent), STATUS_OK);

    // Told also when the room was made before it went to sleep.
    assert_int_equal(send_number(&f->host, sent), STATUS_FULL);
    assert_int_equal(port_receive(&f->enclave, &f->enclave_frame), STATUS_OK);
    assert_false(port_arm(&f->host));
    assert_true(port_arm(&f->host));

    while (send_number(&f->enclave, 0) == STATUS_OK) {}
    assert_int_equal(port_wait_for_room(&f->enclave, 0), STATUS_TIMEOUT);
    assert_int_equal(port_receive(&f->host, &f->host_frame), STATUS_OK);
    assert_int_equal(port_wait_for_room(&f->enclave, LOST_MS), STATUS_OK);
}

/* ---- two threads that sleep whenever they can ---- */

static void *echo_of_the_enclave(void *context)
{
    struct fixture *f = context;
    for (uint64_t number = 0; number < ROUND_COUNT; number++) {
        enum status status;
        while ((status = port_receive(&f->enclave, &f->enclave_frame)) == STATUS_EMPTY) {
            if (port_wait(&f->enclave, LOST_MS) != STATUS_OK) {
                return "the enclave's wake-up was lost";
            }
        }
        if (status != STATUS_OK || number_in(&f->enclave_frame) != number) {
            return "the enclave received something else";
        }
        if (send_number(&f->enclave, number) != STATUS_OK) {
            return "the enclave could not send";
        }
    }
    return NULL;
}

static void no_wake_up_is_lost_between_two_sleepers(void **state)
{
    struct fixture *f = *state;
    pthread_t enclave;
    assert_int_equal(pthread_create(&enclave, NULL, echo_of_the_enclave, f), 0);
    for (uint64_t number = 0; number < ROUND_COUNT; number++) {
        assert_int_equal(send_number(&f->host, number), STATUS_OK);
        while (port_receive(&f->host, &f->host_frame) == STATUS_EMPTY) {
            assert_true(host_sleep(&f->host, f->host_fd));
        }
        assert_int_equal(number_in(&f->host_frame), number);
    }
    void *complaint = NULL;
    pthread_join(enclave, &complaint);
    assert_null(complaint);
}

static void *flood_of_the_enclave(void *context)
{
    struct fixture *f = context;
    for (uint64_t number = 0; number < ROUND_COUNT;) {
        enum status status = send_number(&f->enclave, number);
        if (status == STATUS_OK) {
            number++;
        } else if (status != STATUS_FULL) {
            return "the enclave could not send";
        } else if (port_wait_for_room(&f->enclave, LOST_MS) != STATUS_OK) {
            return "the enclave was not told of room";
        }
    }
    return NULL;
}

static void *drain_of_the_enclave(void *context)
{
    struct fixture *f = context;
    for (uint64_t number = 0; number < ROUND_COUNT;) {
        enum status status = port_receive(&f->enclave, &f->enclave_frame);
        if (status == STATUS_OK) {
            if (number_in(&f->enclave_frame) != number) {
                return "the enclave received something else";
            }
            number++;
        } else if (status != STATUS_EMPTY) {
            return "the enclave could not receive";
        } else if (port_wait(&f->enclave, LOST_MS) != STATUS_OK) {
            return "the enclave's wake-up was lost";
        }
    }
    return NULL;
}

/* Two threads of the enclave on one bell, one for each direction; the host in one thread. */
static void full_rings_both_ways_lose_neither_frame_nor_wake_up(void **state)
{
    struct fixture *f = *state;
    pthread_t flood, drain;
    assert_int_equal(pthread_create(&flood, NULL, flood_of_the_enclave, f), 0);
    assert_int_equal(pthread_create(&drain, NULL, drain_of_the_enclave, f), 0);
    uint64_t sent = 0, received = 0;
    while (sent < ROUND_COUNT || received < ROUND_COUNT) {
        bool is_stuck = true;
        if (sent < ROUND_COUNT && send_number(&f->host, sent) == STATUS_OK) {
            sent++;
            is_stuck = false;
        }
        if (port_receive(&f->host, &f->host_frame) == STATUS_OK) {
            assert_int_equal(number_in(&f->host_frame), received);
            received++;
            is_stuck = false;
        }
        if (is_stuck) {
            assert_true(host_sleep(&f->host, f->host_fd));
        }
    }
    void *complaint = NULL;
    pthread_join(flood, &complaint);
    assert_null(complaint);
    pthread_join(drain, &complaint);
    assert_null(complaint);
}

struct notes {
    struct fixture *f;
    _Atomic uint64_t written;
};

static void *note_writer(void *context)
{
    struct notes *notes = context;
    for (int i = 0; i < ROUND_COUNT; i++) {
        atomic_fetch_add(&notes->written, 1);
        port_wake(&notes->f->enclave);
    }
    return NULL;
}

static void a_thread_of_the_own_process_wakes_the_one_that_waits(void **state)
{
    struct notes notes = {.f = *state, .written = 0};
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, note_writer, &notes), 0);
    while (atomic_load(&notes.written) < ROUND_COUNT) {
        assert_int_equal(port_wait(&notes.f->enclave, LOST_MS), STATUS_OK);
    }
    pthread_join(writer, NULL);
}

/* ---- a hostile host ---- */

static void p10_noise_in_the_shared_memory_neither_crashes_nor_hangs_the_enclave(void **state)
{
    struct fixture *f = *state;
    struct random_seeded storage;
    const char *text = getenv("SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : 8121;
    printf("SEED=%" PRIu64 "\n", seed);
    struct random random = random_seeded(&storage, seed);
    for (int round = 0; round < 5000; round++) {
        port_format(f->memory, SMALL_BYTES);
        port_init_enclave(&f->enclave, f->memory, SMALL_BYTES, f->host_fd, 0);
        for (int step = 0; step < 8; step++) {
            uint32_t noise[2];
            random_fill(&random, noise, sizeof noise);
            size_t at = noise[0] % port_footprint(SMALL_BYTES);
            ((uint8_t *)f->memory)[at] = (uint8_t)noise[1];
            (void)!send_number(&f->enclave, 1);
            (void)!port_receive(&f->enclave, &f->enclave_frame);
            (void)!port_wait(&f->enclave, 0);
            (void)!port_wait_for_room(&f->enclave, 0);
            port_wake(&f->enclave);
        }
    }
}

/* ---- two processes and a wall ---- */

static const struct wall_geometry small = {.data_bytes = 4096, .stream_bytes = 1024};

/* Put the wall's descriptors where an enclave finds them. */
static bool become_enclave(const struct wall *wall)
{
    int fds[] = {wall->fd, wall->data_bell_fd, wall->stream_bell_fd};
    for (size_t i = 0; i < 3; i++) {
        fds[i] = fcntl(fds[i], F_DUPFD, 100);  // out of the way of the targets
    }
    return dup2(fds[0], WALL_FD) == WALL_FD && dup2(fds[1], WALL_DATA_BELL_FD) >= 0 &&
           dup2(fds[2], WALL_STREAM_BELL_FD) >= 0;
}

/* Echo what comes on both ports until an empty frame comes. Exits with 0 when all went well. */
static _Noreturn void enclave_process(const struct wall *host_wall)
{
    struct wall wall;
    struct buffer frame = BUFFER_EMPTY;
    if (!become_enclave(host_wall) || wall_attach(&wall, small, BELL_SPIN_COUNT) != STATUS_OK ||
        fcntl(WALL_FD, F_GETFD) >= 0) {
        _exit(1);
    }
    struct port *ports[] = {&wall.data, &wall.stream};
    for (uint64_t turn = 0;; turn++) {
        struct port *port = ports[turn % 2];
        enum status status;
        while ((status = port_receive(port, &frame)) == STATUS_EMPTY) {
            if (port_wait(port, LOST_MS) != STATUS_OK) {
                _exit(2);
            }
        }
        if (status != STATUS_OK) {
            _exit(3);
        }
        if (frame.length == 0) {
            _exit(0);
        }
        struct bytes part = buffer_bytes(&frame);
        if (port_send(port, &part, 1) != STATUS_OK) {
            _exit(4);
        }
    }
}

static void two_processes_talk_through_a_wall(void **state)
{
    (void)state;
    struct wall wall;
    struct buffer frame = BUFFER_EMPTY;
    assert_int_equal(wall_create(&wall, small), STATUS_OK);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        enclave_process(&wall);
    }
    struct port *ports[] = {&wall.data, &wall.stream};
    int fds[] = {wall.data_bell_fd, wall.stream_bell_fd};
    for (uint64_t number = 0; number < 5000; number++) {
        struct port *port = ports[number % 2];
        assert_int_equal(send_number(port, number), STATUS_OK);
        while (port_receive(port, &frame) == STATUS_EMPTY) {
            assert_true(host_sleep(port, fds[number % 2]));
        }
        assert_int_equal(number_in(&frame), number);
    }
    assert_int_equal(port_send(&wall.data, NULL, 0), STATUS_OK);
    int how = -1;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
    buffer_release(&frame);
    wall_release(&wall);
    assert_int_equal(wall.fd, -1);
    wall_release(&wall);
}

/* In a child, because attaching wants the descriptors 3 to 5. */
static enum status attach_in_child(const struct wall *wall, struct wall_geometry geometry)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct wall attached;
        _exit(become_enclave(wall) ? (int)wall_attach(&attached, geometry, 0) : 99);
    }
    int how = -1;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    return (enum status)WEXITSTATUS(how);
}

static void p10_a_wall_that_could_shrink_or_has_another_size_is_refused(void **state)
{
    (void)state;
    struct wall wall;
    assert_int_equal(wall_create(&wall, small), STATUS_OK);
    assert_int_equal(attach_in_child(&wall, small), STATUS_OK);
    assert_int_not_equal(ftruncate(wall.fd, 4096), 0);

    struct wall_geometry other = {.data_bytes = 4096, .stream_bytes = 2048};
    assert_int_equal(attach_in_child(&wall, other), STATUS_FORGED);

    struct wall unsealed = wall;
    unsealed.fd = memfd_create("unsealed", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    assert_true(unsealed.fd >= 0);
    assert_int_equal(ftruncate(unsealed.fd, (off_t)wall.memory_bytes), 0);
    assert_int_equal(attach_in_child(&unsealed, small), STATUS_FORGED);
    assert_int_equal(fcntl(unsealed.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
    assert_int_equal(attach_in_child(&unsealed, small), STATUS_FORGED);
    assert_int_equal(fcntl(unsealed.fd, F_ADD_SEALS, F_SEAL_SEAL), 0);
    assert_int_equal(attach_in_child(&unsealed, small), STATUS_OK);
    close(unsealed.fd);

    struct wall pipe_instead = wall;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pipe_instead.fd = ends[0];
    assert_int_equal(attach_in_child(&pipe_instead, small), STATUS_FORGED);
    close(ends[0]);
    close(ends[1]);
    wall_release(&wall);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(frames_go_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_enters_the_kernel_for_a_host_that_is_awake, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(arming_with_a_frame_waiting_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wait_ends_by_time_when_nothing_comes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wake_before_the_wait_is_not_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sender_refused_for_want_of_room_is_told_of_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(no_wake_up_is_lost_between_two_sleepers, setup, teardown),
        cmocka_unit_test_setup_teardown(full_rings_both_ways_lose_neither_frame_nor_wake_up, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_thread_of_the_own_process_wakes_the_one_that_waits, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            p10_noise_in_the_shared_memory_neither_crashes_nor_hangs_the_enclave, setup, teardown),
        cmocka_unit_test(two_processes_talk_through_a_wall),
        cmocka_unit_test(p10_a_wall_that_could_shrink_or_has_another_size_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
