/* tests/base/check_test.c */

/*
 * Goal: a CHECK that holds does nothing; one that does not names itself and
 * stops the program, in every build.
 * Method: a child process breaks one, and its parent reads what it said.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"

static void a_check_that_holds_does_nothing(void **state)
{
    (void)state;
    CHECK(1 + 1 == 2);
}

static void a_broken_check_names_itself_and_aborts(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);  // cmocka's would report it as a failed test
        dup2(ends[1], STDERR_FILENO);
        CHECK(1 + 1 == 3);
        _exit(0);
    }
    close(ends[1]);
    FILE *said = fdopen(ends[0], "r");
    char line[256] = "";
    assert_non_null(fgets(line, sizeof line, said));
    fclose(said);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(line, "1 + 1 == 3"));
    assert_non_null(strstr(line, "check_test.c:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_check_that_holds_does_nothing),
        cmocka_unit_test(a_broken_check_names_itself_and_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
