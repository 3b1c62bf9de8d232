/* tests/host/spawn_test.c */

/*
 * Goal: an enclave program starts with its wall, its few descriptors and its
 * namespaces, cannot outlive the host, and its end is known.
 * Method: the test is its own enclave program: started with an argument, it
 * plays that part and answers over the wall or by its exit status.
 */
#define _GNU_SOURCE  // pipe2
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "host/spawn.h"
#include "ring/wall.h"

extern char **environ;

static const struct wall_geometry small = {.data_bytes = 4096, .stream_bytes = 4096};

// Nothing here is meant to end by time.
enum { LOST_MS = 60000 };

/* ---- the program that is started ---- */

static int program_echo(void)
{
    struct wall wall;
    struct buffer frame = BUFFER_EMPTY;
    if (wall_attach(&wall, small, 0) != STATUS_OK) {
        return 2;
    }
    while (port_receive(&wall.data, &frame) == STATUS_EMPTY) {
        if (port_wait(&wall.data, LOST_MS) != STATUS_OK) {
            return 3;
        }
    }
    struct bytes part = buffer_bytes(&frame);
    int result = port_send(&wall.data, &part, 1) == STATUS_OK ? 0 : 4;
    buffer_release(&frame);
    wall_release(&wall);
    return result;
}

/* 0 when it was born as the header promises. */
static int program_look_around(bool has_namespaces)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL) {
        return 2;
    }
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        int fd = (int)strtol(entry->d_name, NULL, 10);
        if (entry->d_name[0] != '.' && fd != dirfd(directory)) {
            count++;
        }
    }
    closedir(directory);
    if (count != 6) {
        return 3;
    }
    if (strcmp(environ[0], "TZ=UTC") != 0 || environ[1] != NULL) {
        return 4;
    }
    if (has_namespaces && (getpid() != 1 || geteuid() != 0 || getppid() != 0)) {
        return 5;
    }
    sigset_t blocked;
    struct sigaction action;
    if (sigprocmask(SIG_BLOCK, NULL, &blocked) != 0 || sigismember(&blocked, SIGUSR1) != 0 ||
        sigaction(SIGPIPE, NULL, &action) != 0 || action.sa_handler != SIG_DFL) {
        return 6;
    }
    int signal_at_death = 0;
    if (prctl(PR_GET_PDEATHSIG, &signal_at_death, 0, 0, 0) != 0 || signal_at_death != SIGKILL) {
        return 7;
    }
    return 0;
}

/* Only the loopback device, and that is down. */
static int program_network(void)
{
    char line[256];
    int count = 0;
    FILE *devices = fopen("/proc/self/net/dev", "r");
    while (devices != NULL && fgets(line, sizeof line, devices) != NULL) {
        count++;
    }
    if (devices != NULL) {
        fclose(devices);
    }
    return count <= 3 ? 0 : 2;  // two lines of heading
}

static int program(char **arguments)
{
    const char *part = arguments[1];
    if (strcmp(part, "echo") == 0) {
        return program_echo();
    }
    if (strcmp(part, "look") == 0) {
        return program_look_around(strcmp(arguments[2], "1") == 0);
    }
    if (strcmp(part, "network") == 0) {
        return program_network();
    }
    if (strcmp(part, "complain") == 0) {
        fprintf(stderr, "check failed: something\n");
        return 9;
    }
    if (strcmp(part, "stay") == 0) {
        pause();
    }
    return 1;
}

/* ---- the tests ---- */

struct fixture {
    struct wall wall;
    struct spawn spawn;
};

static int setup(void **state)
{
    static struct fixture f;
    f.spawn = SPAWN_NONE;
    *state = &f;
    return wall_create(&f.wall, small) == STATUS_OK ? 0 : 1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    spawn_release(&f->spawn);
    wall_release(&f->wall);
    return 0;
}

static void start(struct fixture *f, char *part, char *detail)
{
    char *const arguments[] = {"enclave", part, detail, NULL};
    assert_int_equal(spawn_start(&f->spawn, "/proc/self/exe", arguments, &f->wall), STATUS_OK);
}

static void assert_exits(struct fixture *f, int code)
{
    int how = -1;
    assert_int_equal(spawn_wait(&f->spawn, LOST_MS, &how), STATUS_OK);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), code);
}

static void the_wall_works_across(void **state)
{
    struct fixture *f = *state;
    start(f, "echo", NULL);
    struct bytes part = bytes_text("through the wall");
    struct buffer frame = BUFFER_EMPTY;
    assert_int_equal(port_send(&f->wall.data, &part, 1), STATUS_OK);
    while (port_receive(&f->wall.data, &frame) == STATUS_EMPTY) {
        struct pollfd bell = {.fd = f->wall.data_bell_fd, .events = POLLIN};
        if (port_arm(&f->wall.data)) {
            assert_int_equal(poll(&bell, 1, LOST_MS), 1);
            port_disarm(&f->wall.data);
        }
    }
    assert_true(bytes_equal(buffer_bytes(&frame), part));
    buffer_release(&frame);
    assert_exits(f, 0);
}

static void it_is_born_with_what_the_header_says(void **state)
{
    struct fixture *f = *state;
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    signal(SIGPIPE, SIG_IGN);

    start(f, "stay", NULL);  // only to learn whether there are namespaces
    char *has_namespaces = f->spawn.has_namespaces ? "1" : "0";
    assert_int_equal(f->spawn.has_namespaces, f->spawn.refused_errno == 0);
    spawn_release(&f->spawn);
    start(f, "look", has_namespaces);
    assert_exits(f, 0);

    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

static void p10_it_has_no_network(void **state)
{
    struct fixture *f = *state;
    start(f, "network", NULL);
    if (!f->spawn.has_namespaces) {
        print_message("no namespaces here: %s\n", strerror(f->spawn.refused_errno));
        return;
    }
    assert_exits(f, 0);
}

static void what_it_complains_of_reaches_the_host(void **state)
{
    struct fixture *f = *state;
    start(f, "complain", NULL);
    assert_exits(f, 9);
    char text[64] = "";
    assert_true(read(f->spawn.message_fd, text, sizeof text - 1) > 0);
    assert_string_equal(text, "check failed: something\n");
    assert_int_equal(read(f->spawn.message_fd, text, sizeof text), 0);
}

static void killing_it_ends_it(void **state)
{
    struct fixture *f = *state;
    int how = -1;
    start(f, "stay", NULL);
    assert_int_equal(spawn_wait(&f->spawn, 0, &how), STATUS_TIMEOUT);
    spawn_kill(&f->spawn);
    assert_int_equal(spawn_wait(&f->spawn, LOST_MS, &how), STATUS_OK);
    assert_true(WIFSIGNALED(how));
    assert_int_equal(WTERMSIG(how), SIGKILL);
    spawn_kill(&f->spawn);
}

static void a_program_that_is_not_there_is_an_error(void **state)
{
    struct fixture *f = *state;
    char *const arguments[] = {"enclave", NULL};
    errno = 0;
    assert_int_equal(spawn_start(&f->spawn, "/nowhere/enclave", arguments, &f->wall), STATUS_IO);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(f->spawn.pid, -1);
    assert_int_equal(f->spawn.message_fd, -1);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);  // nothing left behind
    assert_int_equal(errno, ECHILD);
}

static void descriptors_at_the_targets_are_no_obstacle(void **state)
{
    struct fixture *f = *state;
    // The wall's descriptors in the wrong order, at the very numbers that are targets.
    int spares[3] = {fcntl(f->wall.fd, F_DUPFD, 100), fcntl(f->wall.data_bell_fd, F_DUPFD, 100),
                     fcntl(f->wall.stream_bell_fd, F_DUPFD, 100)};
    int before[3];
    for (int i = 0; i < 3; i++) {
        before[i] = fcntl(WALL_FD + i, F_DUPFD, 100);
    }
    struct wall shuffled = f->wall;
    shuffled.fd = WALL_STREAM_BELL_FD;
    shuffled.data_bell_fd = WALL_FD;
    shuffled.stream_bell_fd = WALL_DATA_BELL_FD;
    assert_int_equal(dup2(spares[0], shuffled.fd), shuffled.fd);
    assert_int_equal(dup2(spares[1], shuffled.data_bell_fd), shuffled.data_bell_fd);
    assert_int_equal(dup2(spares[2], shuffled.stream_bell_fd), shuffled.stream_bell_fd);

    char *const arguments[] = {"enclave", "echo", NULL};
    struct bytes part = bytes_text("x");
    assert_int_equal(port_send(&f->wall.data, &part, 1), STATUS_OK);
    assert_int_equal(spawn_start(&f->spawn, "/proc/self/exe", arguments, &shuffled), STATUS_OK);
    assert_exits(f, 0);
    for (int i = 0; i < 3; i++) {
        if (before[i] >= 0) {
            dup2(before[i], WALL_FD + i);
            close(before[i]);
        } else {
            close(WALL_FD + i);
        }
        close(spares[i]);
    }
}

static void p10_an_enclave_does_not_outlive_its_host(void **state)
{
    struct fixture *f = *state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t host = fork();
    assert_true(host >= 0);
    if (host == 0) {
        char *const arguments[] = {"enclave", "stay", NULL};
        struct spawn spawn;
        if (spawn_start(&spawn, "/proc/self/exe", arguments, &f->wall) != STATUS_OK ||
            write(ends[1], &spawn.pid, sizeof spawn.pid) != sizeof spawn.pid) {
            _exit(1);
        }
        raise(SIGKILL);
    }
    close(ends[1]);
    pid_t enclave = -1;
    assert_int_equal(read(ends[0], &enclave, sizeof enclave), sizeof enclave);
    close(ends[0]);
    int pidfd = (int)syscall(SYS_pidfd_open, enclave, 0);
    assert_true(pidfd >= 0 || errno == ESRCH);  // it may be over already
    if (pidfd >= 0) {
        struct pollfd ended = {.fd = pidfd, .events = POLLIN};
        assert_int_equal(poll(&ended, 1, LOST_MS), 1);
        close(pidfd);
    }
    assert_int_equal(waitpid(host, NULL, 0), host);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        return program(argv);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_wall_works_across, setup, teardown),
        cmocka_unit_test_setup_teardown(it_is_born_with_what_the_header_says, setup, teardown),
        cmocka_unit_test_setup_teardown(p10_it_has_no_network, setup, teardown),
        cmocka_unit_test_setup_teardown(what_it_complains_of_reaches_the_host, setup, teardown),
        cmocka_unit_test_setup_teardown(killing_it_ends_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_program_that_is_not_there_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(descriptors_at_the_targets_are_no_obstacle, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(p10_an_enclave_does_not_outlive_its_host, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
