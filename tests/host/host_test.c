/* tests/host/host_test.c */

/*
 * Goal: the host starts enclaves, starts them again when they end, carries their frames to
 * each other, the store and the owner's command line, and stops cleanly.
 * Method: a real host process with fake enclaves and a real store; clients of its sockets; kill.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "capsule/member.h"
#include "tests/host/fake_enclave.h"
#include "tests/host/running.h"

static int setup(void **state)
{
    static struct running running;
    running_init(&running);
    *state = &running;
    return 0;
}

static int teardown(void **state)
{
    running_release(*state);
    return 0;
}

static pid_t pid_of(const struct running *running, const char *role, int index)
{
    json_t *status = running_status(running);
    pid_t pid =
        (pid_t)json_integer_value(json_object_get(running_enclave(status, role, index), "pid"));
    json_decref(status);
    return pid;
}

static void path_in(char path[256], const struct running *running, const char *name)
{
    (void)snprintf(path, 256, "%s/%s", running->state, name);
}

static void assert_echoes(uint16_t port)
{
    char answer[6] = "";
    int fd = running_connect(port);
    running_write(fd, "hello", 5);
    assert_int_equal(running_read(fd, answer, 5), 5);
    assert_string_equal(answer, "HELLO");
    close(fd);
}

static void stop(struct running *running)
{
    running_tell(running->control, FRAME_STOP, &(struct writer_id){.bytes = {0}},
                 bytes_of(NULL, 0));
    assert_int_equal(running_wait(running), STATUS_OK);
}

// ---- start and stop ----

static void the_leader_comes_first_and_the_workers_when_it_is_ready(void **state)
{
    struct running *running = *state;
    struct buffer buffer = BUFFER_EMPTY;
    running_start(running);

    struct frame frame = running_hear(running->control, &buffer);
    struct frame_hello hello;
    assert_int_equal(frame.kind, FRAME_HELLO);
    assert_int_equal(frame_hello_decode(&hello, frame.body), STATUS_OK);
    assert_int_equal(hello.role, MEMBER_LEADER);
    struct writer_id leader = writer_id_of(&hello.key);
    assert_true(writer_id_equal(&leader, &frame.peer));
    json_t *status = running_status(running);
    assert_string_equal(
        json_string_value(json_object_get(running_enclave(status, "worker", 0), "state")), "down");
    json_decref(status);

    running_tell(running->control, FRAME_JOIN, &frame_to_leader, bytes_text("lead"));
    frame = running_hear(running->control, &buffer);
    assert_int_equal(frame.kind, FRAME_JOIN);
    assert_int_equal(frame.request, 5);
    assert_true(writer_id_equal(&frame.peer, &leader));
    assert_true(bytes_equal(frame.body, bytes_text("LEAD")));
    frame = running_hear(running->control, &buffer);
    assert_int_equal(frame.kind, FRAME_READY);
    assert_true(writer_id_equal(&frame.peer, &leader));
    for (int i = 0; i < 2; i++) {
        frame = running_hear(running->control, &buffer);
        assert_int_equal(frame.kind, FRAME_READY);
        assert_false(writer_id_equal(&frame.peer, &leader));
    }
    assert_echoes(running->base_port);
    assert_echoes(running->worker_ports[0]);
    assert_echoes(running->worker_ports[1]);
    buffer_release(&buffer);
    stop(running);
}

static void who_comes_later_hears_who_is_there(void **state)
{
    struct running *running = *state;
    struct buffer buffer = BUFFER_EMPTY;
    running_start_ready(running);
    int late = running_control(running);
    assert_int_equal(running_hear(late, &buffer).kind, FRAME_HELLO);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(running_hear(late, &buffer).kind, FRAME_READY);
    }
    close(late);
    buffer_release(&buffer);
    stop(running);
}

static void a_command_or_a_signal_stops_it_cleanly(void **state)
{
    struct running *running = *state;
    char path[256];
    running_start_ready(running);
    path_in(path, running, HOST_FILE_SOCKET);
    struct stat file;
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
    pid_t worker = pid_of(running, "worker", 1);
    stop(running);
    assert_int_equal(access(path, F_OK), -1);
    path_in(path, running, HOST_FILE_STATUS);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(kill(worker, 0), -1);
    assert_int_equal(errno, ESRCH);

    close(running->control);
    running_start_ready(running);
    kill(running->pid, SIGTERM);
    assert_int_equal(running_wait(running), STATUS_OK);
}

static void a_second_host_on_the_same_directory_is_refused(void **state)
{
    struct running *running = *state;
    char error[HOST_ERROR_BYTES_MAX] = "";
    running_start(running);
    assert_int_equal(running_try(running, error), STATUS_DENIED);
    assert_non_null(strstr(error, "another one is running there"));
    assert_non_null(strstr(error, running->state));
    stop(running);
}

static void what_is_wrong_at_the_start_is_said(void **state)
{
    struct running *running = *state;
    char error[HOST_ERROR_BYTES_MAX] = "";
    char path[256];

    path_in(path, running, "store.key");
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(running_try(running, error), STATUS_MALFORMED);
    assert_non_null(strstr(error, "chmod 600"));
    assert_int_equal(chmod(path, 0600), 0);

    running->config.worker_program = "/nowhere/worker";
    assert_int_equal(running_try(running, error), STATUS_IO);
    assert_non_null(strstr(error, "/nowhere/worker"));
    running->config.worker_program = NULL;

    struct running other;
    running_init(&other);
    running_start(&other);
    running->config.base_port = (uint16_t)(other.base_port - 1);  // which is that of worker 0
    assert_int_equal(running_try(running, error), STATUS_IO);
    assert_non_null(strstr(error, "address already in use"));
    stop(&other);
    running_release(&other);

    // Each of these is to be had again somewhere else.
    static const struct {
        const char *name;
        const char *remedy;
    } lost[] = {
        {HOST_FILE_TCB, "'paranoid up' makes it anew"},
        {HOST_FILE_PLATFORM, "'paranoid up' makes another"},
        {"store.key", "put it back: nothing can take its place"},
        {HOST_FILE_GENESIS, "the app's own file 'genesis' is a copy"},
    };
    for (size_t i = 0; i < sizeof lost / sizeof *lost; i++) {
        path_in(path, running, lost[i].name);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(running_try(running, error), STATUS_NOT_FOUND);
        assert_non_null(strstr(error, lost[i].remedy));
    }
}

// ---- ends of enclaves ----

static void p9_a_killed_worker_comes_back_and_its_connections_are_closed(void **state)
{
    struct running *running = *state;
    struct buffer buffer = BUFFER_EMPTY;
    running_start_ready(running);
    int to_killed = running_connect(running->worker_ports[0]);
    int to_other = running_connect(running->worker_ports[1]);
    char answer[8] = "";
    running_write(to_killed, "a", 1);
    running_write(to_other, "b", 1);
    assert_int_equal(running_read(to_killed, answer, 1), 1);
    assert_int_equal(running_read(to_other, answer, 1), 1);

    pid_t before = pid_of(running, "worker", 0);
    kill(before, SIGKILL);
    assert_int_equal(running_read(to_killed, answer, 1), 0);
    running_hear_kind(running->control, &buffer, FRAME_READY);
    assert_true(pid_of(running, "worker", 0) != before);
    running_wait_metric(
        running, "paranoid_enclave_got_gone{role=\"leader\",index=\"0\",tee=\"simulated\"}", 1);
    assert_echoes(running->worker_ports[0]);
    running_write(to_other, "b", 1);
    assert_int_equal(running_read(to_other, answer, 1), 1);
    close(to_killed);
    close(to_other);
    buffer_release(&buffer);
    stop(running);
}

static void p9_when_the_leader_dies_its_workers_go_on(void **state)
{
    struct running *running = *state;
    struct buffer buffer = BUFFER_EMPTY;
    running_start_ready(running);
    pid_t leader = pid_of(running, "leader", 0);
    pid_t worker = pid_of(running, "worker", 0);
    int connection = running_connect(running->worker_ports[0]);
    char answer[8] = "";
    kill(leader, SIGKILL);
    running_hear_kind(running->control, &buffer, FRAME_HELLO);
    running_write(connection, "a", 1);
    assert_int_equal(running_read(connection, answer, 1), 1);
    running_tell(running->control, FRAME_JOIN, &frame_to_leader, bytes_text("lead"));
    running_hear_kind(running->control, &buffer, FRAME_READY);
    assert_true(pid_of(running, "leader", 0) != leader);
    assert_true(pid_of(running, "worker", 0) == worker);
    running_write(connection, "b", 1);
    assert_int_equal(running_read(connection, answer, 1), 1);
    // A worker that ends, as one does whose branch was closed, joins the new leader.
    kill(worker, SIGKILL);
    running_hear_kind(running->control, &buffer, FRAME_READY);
    assert_true(pid_of(running, "worker", 0) != worker);
    assert_echoes(running->worker_ports[0]);
    close(connection);
    buffer_release(&buffer);
    stop(running);
}

static void a_join_is_refused_while_no_leader_is_up(void **state)
{
    struct running *running = *state;
    struct buffer buffer = BUFFER_EMPTY;
    struct frame_refused refused;
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", running->programs, HOST_PROGRAM_LEADER);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/bin/false", path), 0);
    running_start(running);
    running_tell(running->control, FRAME_JOIN, &frame_to_leader, bytes_text("lead"));
    struct frame frame = running_hear(running->control, &buffer);
    assert_int_equal(frame.kind, FRAME_REFUSED);
    assert_int_equal(frame.request, 5);
    assert_int_equal(frame_refused_decode(&refused, frame.body), STATUS_OK);
    assert_int_equal(refused.status, STATUS_NOT_FOUND);
    running_wait_metric(
        running,
        "paranoid_host_enclave_starts_total{role=\"leader\",index=\"0\",tee=\"simulated\"}", 3);
    buffer_release(&buffer);
    stop(running);
}

// ---- frames ----

static void records_reach_store_and_workers_and_receipts_everyone(void **state)
{
    struct running *running = *state;
    running_start_ready(running);
    running_tell(running->control, FRAME_JOIN, &frame_to_leader, bytes_text("records"));
    running_wait_metric(running, "paranoid_store_records_total{store=\"store-1\"}", 2);
    const char *names[] = {
        "paranoid_enclave_got_receipt{role=\"leader\",index=\"0\",tee=\"simulated\"}",
        "paranoid_enclave_got_receipt{role=\"worker\",index=\"0\",tee=\"simulated\"}",
        "paranoid_enclave_got_receipt{role=\"worker\",index=\"1\",tee=\"simulated\"}",
        "paranoid_enclave_got_rts{role=\"worker\",index=\"0\",tee=\"simulated\"}",
        "paranoid_enclave_got_rts{role=\"worker\",index=\"1\",tee=\"simulated\"}",
        // Each fetches when it hears of a receipt: the leader gets no record but by that.
        "paranoid_enclave_got_fetched{role=\"leader\",index=\"0\",tee=\"simulated\"}",
        "paranoid_enclave_got_fetched{role=\"worker\",index=\"1\",tee=\"simulated\"}",
        "paranoid_enclave_got_record{role=\"leader\",index=\"0\",tee=\"simulated\"}",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        running_wait_metric(running, names[i], 1);
    }
    // From the leader, from the store, and from the other worker.
    running_wait_metric(
        running, "paranoid_enclave_got_record{role=\"worker\",index=\"0\",tee=\"simulated\"}", 3);
    running_wait_metric(
        running, "paranoid_enclave_got_record{role=\"worker\",index=\"1\",tee=\"simulated\"}", 3);
    // Whatever else it got, it got before this.
    running_tell(running->control, FRAME_JOIN, &frame_to_leader, bytes_text("and now?"));
    running_wait_metric(
        running, "paranoid_enclave_got_join{role=\"leader\",index=\"0\",tee=\"simulated\"}", 5);
    assert_int_equal(running_metric(running,
                                    "paranoid_enclave_got_record{role=\"leader\",index="
                                    "\"0\",tee=\"simulated\"}"),
                     1);
    assert_int_equal(running_metric(running,
                                    "paranoid_enclave_got_rts{role=\"leader\",index=\"0\","
                                    "tee=\"simulated\"}"),
                     0);
    stop(running);
}

static void p4_what_the_store_holds_is_there_after_a_kill(void **state)
{
    struct running *running = *state;
    running_start_ready(running);
    running_tell(running->control, FRAME_JOIN, &frame_to_leader, bytes_text("records"));
    running_wait_metric(
        running, "paranoid_enclave_got_receipt{role=\"worker\",index=\"0\",tee=\"simulated\"}", 1);
    kill(running->pid, SIGKILL);
    waitpid(running->pid, NULL, 0);
    running->pid = 0;
    close(running->control);

    char path[256];
    path_in(path, running, HOST_FILE_STATUS);
    assert_int_equal(unlink(path), 0);  // else the test would read the old one
    running_start(running);
    running_wait_metric(running, "paranoid_store_records_total{store=\"store-1\"}", 2);
    json_t *status = running_status(running);
    const json_t *store = json_array_get(json_object_get(status, "stores"), 0);
    assert_int_equal(json_integer_value(json_object_get(store, "records")), 2);
    assert_string_equal(json_string_value(json_object_get(store, "state")), "open");
    json_decref(status);
    stop(running);
}

static void nonsense_from_an_enclave_is_dropped_and_counted(void **state)
{
    struct running *running = *state;
    running_start_ready(running);
    running_tell(running->control, FRAME_JOIN, &frame_to_leader, bytes_text("nonsense"));
    running_wait_metric(running,
                        "paranoid_host_enclave_frames_malformed_total{role=\"leader\",index=\"0\","
                        "tee=\"simulated\"}",
                        7);
    running_tell(running->control, FRAME_JOIN, &frame_to_leader, bytes_text("all well?"));
    running_wait_metric(
        running, "paranoid_enclave_got_join{role=\"leader\",index=\"0\",tee=\"simulated\"}", 5);
    assert_int_equal(running_metric(running,
                                    "paranoid_host_enclave_frames_malformed_total{role="
                                    "\"leader\",index=\"0\",tee=\"simulated\"}"),
                     7);
    assert_echoes(running->base_port);
    stop(running);
}

static void nonsense_from_a_command_line_ends_only_that(void **state)
{
    struct running *running = *state;
    running_start_ready(running);
    int bad = running_control(running);
    running_write(bad, "\377\377\377\377 no such length", 19);
    char rest[4096];
    while (running_read(bad, rest, sizeof rest) == sizeof rest) {}
    close(bad);
    bad = running_control(running);
    running_tell(bad, FRAME_FENCE, &frame_to_leader, bytes_text("not for you to say"));
    running_wait_metric(running, "paranoid_host_control_frames_malformed_total", 2);
    close(bad);
    assert_echoes(running->base_port);
    stop(running);
}

// ---- what it says about itself ----

static void status_and_metrics_tell_what_is_there(void **state)
{
    struct running *running = *state;
    struct buffer buffer = BUFFER_EMPTY;
    int code = 0;
    running_start(running);
    running_hear_kind(running->control, &buffer, FRAME_HELLO);
    buffer_release(&buffer);
    char *text = running_get(running, "/healthz", &code);
    assert_int_equal(code, 503);
    free(text);
    running_tell(running->control, FRAME_JOIN, &frame_to_leader, bytes_text("lead"));
    running_wait_metric(
        running, "paranoid_host_enclave_ready{role=\"worker\",index=\"1\",tee=\"simulated\"}", 1);
    running_wait_metric(running,
                        "faas_invocations_total{role=\"worker\",index=\"1\",tee=\"simulated\"}", 1);
    text = running_get(running, "/nothing", &code);
    assert_int_equal(code, 404);
    free(text);

    json_t *status = running_status(running);
    assert_string_equal(json_string_value(json_object_get(status, "tee")), "simulated");
    const json_t *worker = running_enclave(status, "worker", 1);
    assert_int_equal(json_integer_value(json_object_get(worker, "port")), running->worker_ports[1]);
    assert_int_equal(strlen(json_string_value(json_object_get(worker, "writer"))), 32);
    assert_int_equal(strlen(json_string_value(json_object_get(worker, "measurement"))), 64);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(worker, "metrics"), "got_evidence")), 1);
    json_decref(status);
    stop(running);
}

int main(int argc, char **argv)
{
    (void)argc;
    if (fake_enclave_is_wanted(argv[0])) {
        return fake_enclave_run();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_leader_comes_first_and_the_workers_when_it_is_ready,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(who_comes_later_hears_who_is_there, setup, teardown),
        cmocka_unit_test_setup_teardown(a_command_or_a_signal_stops_it_cleanly, setup, teardown),
        cmocka_unit_test_setup_teardown(a_second_host_on_the_same_directory_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_wrong_at_the_start_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(
            p9_a_killed_worker_comes_back_and_its_connections_are_closed, setup, teardown),
        cmocka_unit_test_setup_teardown(p9_when_the_leader_dies_its_workers_go_on, setup, teardown),
        cmocka_unit_test_setup_teardown(a_join_is_refused_while_no_leader_is_up, setup, teardown),
        cmocka_unit_test_setup_teardown(records_reach_store_and_workers_and_receipts_everyone,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(p4_what_the_store_holds_is_there_after_a_kill, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(nonsense_from_an_enclave_is_dropped_and_counted, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(nonsense_from_a_command_line_ends_only_that, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(status_and_metrics_tell_what_is_there, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
