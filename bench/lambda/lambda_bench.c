/* bench/lambda/lambda_bench.c */

/*
 * What an invocation costs, host calls aside: a handler that answers a small
 * object, warm; the same asynchronous, and reading its event; and what a
 * function costs before its first invocation. All of it with the JIT and, in a second process,
 * without: some TEEs cannot turn pages executable.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "lambda/lambda.h"

enum { WARM_UP_COUNT = 20000, SAMPLE_COUNT = 20000, COLD_COUNT = 50 };

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double now_us(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void print_spread(const char *what, double *samples, size_t count)
{
    qsort(samples, count, sizeof *samples, compare);
    printf("%-28s p50 %8.2f us  p99 %8.2f us\n", what, samples[count / 2],
           samples[count - count / 100 - 1]);
}

static struct lambda_function *compile(struct lambda_engine *engine, const char *code)
{
    const struct lambda_source source = {.name = "bench", .code = bytes_text(code)};
    struct lambda_function *function = NULL;
    char message[256];
    CHECK(lambda_function_new(engine, &source, &function, message, sizeof message) == STATUS_OK);
    return function;
}

static void invoke(struct lambda_engine *engine, const struct lambda_function *function,
                   struct lambda_result *result)
{
    static const struct lambda_calls NO_CALLS = {.get = NULL};
    const struct lambda_header headers[] = {
        {bytes_text("host"), bytes_text("localhost:8443")},
        {bytes_text("user-agent"), bytes_text("curl/7.88.1")},
        {bytes_text("accept"), bytes_text("*/*")},
        {bytes_text("content-type"), bytes_text("application/json")},
    };
    const struct lambda_event event = {
        .method = bytes_text("POST"),
        .path = bytes_text("/function/bench"),
        .query = bytes_text("a=1&b=2"),
        .headers = headers,
        .header_count = 4,
        .body = bytes_text("{\"n\":41}"),
    };
    lambda_invoke(engine, function, &event, &NO_CALLS, NULL, result);
    CHECK(result->outcome == LAMBDA_OK);
}

static void measure_warm(struct lambda_engine *engine, const char *what, const char *code)
{
    static double samples[SAMPLE_COUNT];
    struct lambda_result result = LAMBDA_RESULT_EMPTY;
    struct lambda_function *function = compile(engine, code);
    for (int i = 0; i < WARM_UP_COUNT; i++) {
        invoke(engine, function, &result);
    }
    for (int i = 0; i < SAMPLE_COUNT; i++) {
        double start = now_us();
        invoke(engine, function, &result);
        samples[i] = now_us() - start;
    }
    print_spread(what, samples, SAMPLE_COUNT);
    lambda_function_free(function);
    lambda_result_release(&result);
}

static void measure_cold(struct lambda_engine *engine)
{
    static double compilations[COLD_COUNT];
    static double invocations[COLD_COUNT];
    struct lambda_result result = LAMBDA_RESULT_EMPTY;
    for (int i = 0; i < COLD_COUNT; i++) {
        double start = now_us();
        struct lambda_function *function = compile(engine, "exports.handler = () => ({ n: 42 })");
        double middle = now_us();
        invoke(engine, function, &result);
        compilations[i] = middle - start;
        invocations[i] = now_us() - middle;
        lambda_function_free(function);
    }
    print_spread("compile a function", compilations, COLD_COUNT);
    print_spread("its first invocation", invocations, COLD_COUNT);
    lambda_result_release(&result);
}

int main(int count, char **words)
{
    const bool has_jit = count == 1;
    CHECK(setenv("TZ", "UTC", 1) == 0 && lambda_engine_begin(has_jit) == STATUS_OK);
    printf("%s\n", has_jit ? "with JIT" : "without JIT");
    struct watchdog *watchdog = NULL;
    struct lambda_engine *engine = NULL;
    CHECK(watchdog_new(&watchdog, NULL, NULL) == STATUS_OK);
    CHECK(lambda_engine_new(&engine, "bench", watchdog) == STATUS_OK);
    double start = now_us();
    CHECK(lambda_engine_warm_up(engine) == STATUS_OK);
    printf("%-28s     %8.0f us\n", "warm-up", now_us() - start);
    measure_warm(engine, "warm, small object", "exports.handler = () => ({ n: 42 })");
    measure_warm(engine, "warm, async",
                 "exports.handler = async () => { await 1; return { n: 42 } }");
    measure_warm(engine, "warm, reads its event",
                 "exports.handler = (event) => ({ n: event.json().n + 1, q: event.query.a,"
                 " a: event.headers.accept })");
    measure_warm(engine, "warm, fib(15)",
                 "const fib = (n) => n < 2 ? n : fib(n - 1) + fib(n - 2);"
                 " exports.handler = () => ({ n: fib(15) })");
    measure_cold(engine);
    lambda_engine_free(engine);
    watchdog_free(watchdog);
    fflush(stdout);
    if (has_jit) {
        char program[] = "/proc/self/exe", option[] = "--jit=off";
        char *const again[] = {words[0], option, NULL};
        execv(program, again);
        CHECK(false);  // it has just run
    }
    return 0;
}
