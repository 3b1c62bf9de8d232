/* tests/lambda/watchdog_test.c */

/*
 * Goal: whatever cannot be interrupted ends with the process, and nothing else
 * does.
 * Method: hold a seat past its bounds and see the stop called; let it end a
 * child, which is forked before any thread or engine exists.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lambda/lambda.h"
#include "tests/support/cpu_time.h"

static void wait_ms(long ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static uint64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    assert_int_equal(clock_gettime(clock, &now), 0);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct stops {
    _Atomic int counts[2];  // by reason
};

static void count_stop(void *context, enum watchdog_reason reason)
{
    struct stops *stops = context;
    atomic_fetch_add(&stops->counts[reason], 1);
}

// By a thread that runs on.
static void wait_for(_Atomic int *count)
{
    while (atomic_load(count) == 0) {
        cpu_time_take(1);
    }
}

// What `run` ends its process with.
static int exit_status_of(void (*run)(uint64_t), uint64_t argument)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        run(argument);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void run_uninterruptible(uint64_t count)
{
    // Seconds within one native call.
    char code[96];
    snprintf(code, sizeof code,
             "exports.handler = () => new Float64Array(%" PRIu64 ").sort().length", count);
    static const struct lambda_calls NO_CALLS = {.get = NULL};
    const struct lambda_source source = {
        .name = "sorts",
        .code = bytes_text(code),
        .limits = {.time_ms = 500, .memory_bytes = 1ull << 33},
    };
    const struct lambda_event event = {.method = bytes_text("GET")};
    struct watchdog *watchdog = NULL;
    struct lambda_engine *engine = NULL;
    struct lambda_function *function = NULL;
    struct lambda_result result = LAMBDA_RESULT_EMPTY;
    char message[256];
    if (setenv("TZ", "UTC", 1) != 0 || lambda_engine_begin(true) != STATUS_OK ||
        watchdog_new(&watchdog, NULL, NULL) != STATUS_OK ||
        lambda_engine_new(&engine, "w", watchdog) != STATUS_OK ||
        lambda_function_new(engine, &source, &function, message, sizeof message) != STATUS_OK) {
        _exit(1);
    }
    lambda_invoke(engine, function, &event, &NO_CALLS, NULL, &result);
    _exit(result.outcome == LAMBDA_TIMED_OUT ? 2 : 3);
}

static void run_past_deadline(uint64_t time_ms)
{
    struct watchdog *watchdog = NULL;
    if (watchdog_new(&watchdog, NULL, NULL) != STATUS_OK) {
        _exit(1);
    }
    watchdog_enter(watchdog_seat(watchdog), time_ms, UINT64_MAX);
    wait_ms(60000);
}

static void ends_the_process_past_the_deadline(void **state)
{
    (void)state;
    assert_int_equal(exit_status_of(run_past_deadline, 10), WATCHDOG_EXIT_STATUS);
}

struct watched {
    struct stops stops;
    struct watchdog *watchdog;
    struct watchdog_seat *seat;
};

static int setup(void **state)
{
    static struct watched f;
    f = (struct watched){.watchdog = NULL};
    assert_int_equal(watchdog_new(&f.watchdog, count_stop, &f.stops), STATUS_OK);
    f.seat = watchdog_seat(f.watchdog);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct watched *f = *state;
    watchdog_free(f->watchdog);
    return 0;
}

static void says_that_time_is_up(void **state)
{
    struct watched *f = *state;
    watchdog_enter(f->seat, 20, UINT64_MAX);
    wait_for(&f->stops.counts[WATCHDOG_TIME]);
    watchdog_leave(f->seat);
    assert_int_equal(atomic_load(&f->stops.counts[WATCHDOG_MEMORY]), 0);
}

static void grants_cpu_time_beyond_the_deadline(void **state)
{
    struct watched *f = *state;
    // A machine that stood still took more than is granted, of time or of CPU time: that says
    // nothing, and it is done again.
    int stop_count;
    bool is_granted;
    do {
        atomic_store(&f->stops.counts[WATCHDOG_TIME], 0);
        uint64_t begun_ms = clock_ms(CLOCK_MONOTONIC);
        uint64_t begun_cpu_ms = clock_ms(CLOCK_THREAD_CPUTIME_ID);
        // Of the time that a thread does not run, however long it was ready to, nothing counts.
        watchdog_enter(f->seat, 1, UINT64_MAX);
        wait_ms(WATCHDOG_GRACE_CPU_MS + 500);
        cpu_time_take(WATCHDOG_GRACE_CPU_MS / 2);
        watchdog_leave(f->seat);
        stop_count = atomic_load(&f->stops.counts[WATCHDOG_TIME]);
        is_granted = clock_ms(CLOCK_MONOTONIC) - begun_ms < WATCHDOG_GRACE_MS &&
                     clock_ms(CLOCK_THREAD_CPUTIME_ID) - begun_cpu_ms < WATCHDOG_GRACE_CPU_MS;
    } while (!is_granted);
    assert_int_equal(stop_count, 0);
}

static void says_that_memory_is_up(void **state)
{
    struct watched *f = *state;
    watchdog_enter(f->seat, 60000, 1);
    wait_for(&f->stops.counts[WATCHDOG_MEMORY]);
    watchdog_leave(f->seat);
    assert_int_equal(atomic_load(&f->stops.counts[WATCHDOG_TIME]), 0);
}

static void wakes_for_an_invocation_after_a_long_rest(void **state)
{
    struct watched *f = *state;
    watchdog_enter(f->seat, 1, UINT64_MAX);
    watchdog_leave(f->seat);
    // Longer than it looks around without work before it sleeps; if it is slower than that on
    // this machine, the test is only easier.
    wait_ms(1500);
    watchdog_enter(f->seat, 1, UINT64_MAX);
    wait_for(&f->stops.counts[WATCHDOG_TIME]);
    watchdog_leave(f->seat);
}

static void has_a_bounded_number_of_seats(void **state)
{
    (void)state;
    struct watchdog *watchdog = NULL;
    assert_int_equal(watchdog_new(&watchdog, NULL, NULL), STATUS_OK);
    for (int i = 0; i < WATCHDOG_SEAT_COUNT_MAX; i++) {
        assert_non_null(watchdog_seat(watchdog));
    }
    assert_null(watchdog_seat(watchdog));
    struct lambda_engine *engine = NULL;
    assert_int_equal(lambda_engine_new(&engine, "w", watchdog), STATUS_FULL);
    assert_null(engine);
    watchdog_free(watchdog);
}

static void ends_the_process_when_a_native_call_cannot_be_interrupted(void **state)
{
    (void)state;
    // A fast machine may be done before the watchdog steps in: then it gets more to sort. One that
    // stands still before it sorts is interrupted there: then it is asked again.
    enum { TRY_COUNT_MAX = 8 };
    const uint64_t count_max = 240000000;
    uint64_t count = 60000000;
    int how = 0;
    for (int i = 0; how != WATCHDOG_EXIT_STATUS && i < TRY_COUNT_MAX; i++) {
        how = exit_status_of(run_uninterruptible, count);
        count = count < count_max ? 2 * count : count_max;
    }
    assert_int_equal(how, WATCHDOG_EXIT_STATUS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        // The two that fork come first: before this process has another thread.
        cmocka_unit_test(ends_the_process_when_a_native_call_cannot_be_interrupted),
        cmocka_unit_test(ends_the_process_past_the_deadline),
        cmocka_unit_test_setup_teardown(says_that_time_is_up, setup, teardown),
        cmocka_unit_test_setup_teardown(grants_cpu_time_beyond_the_deadline, setup, teardown),
        cmocka_unit_test_setup_teardown(says_that_memory_is_up, setup, teardown),
        cmocka_unit_test_setup_teardown(wakes_for_an_invocation_after_a_long_rest, setup, teardown),
        cmocka_unit_test(has_a_bounded_number_of_seats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
