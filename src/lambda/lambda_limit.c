/* src/lambda/lambda_limit.c */
#include <time.h>

#include "base/check.h"
#include "lambda/lambda_internal.h"
#include "lambda/resident.h"

/*
 * Stopping: JavaScriptCore's own time limit is armed at TICK_SECONDS and armed again whenever it
 * fires; on_tick() tests the invocation's own limits and ends the script when one is passed. The
 * engine starts that limit anew whenever a script is entered from outside, which a chain of
 * promise jobs does at every job. The native `drain` therefore runs the jobs while the script that
 * made them is still entered, and the limit holds over all of them.
 */

// Exported by the library, declared in none of its public headers.
typedef bool should_terminate(JSContextRef context, void *argument);
extern void JSContextGroupSetExecutionTimeLimit(JSContextGroupRef group, double seconds,
                                                should_terminate *callback, void *argument);

/*
 * Where it fires again before the engine has done with the last time, an assertion of the engine's
 * can fail (VMTraps::requestThreadStopIfNeeded() in 2.50), and the process ends. So the tick is
 * longer than a thread is kept waiting on a busy machine.
 */
static const double TICK_SECONDS = 0.025;

enum {
    // What the watchdog grants beyond a function's own limit.
    WATCHDOG_MEMORY_BYTES = 256 << 20,
};

uint64_t lambda_limit_now_ns(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static enum status closed_get(void *context, const struct lambda_function *function,
                              struct bytes key, struct buffer *value)
{
    (void)context, (void)function, (void)key, (void)value;
    return STATUS_CLOSED;
}

static enum status closed_put(void *context, const struct lambda_function *function,
                              struct bytes key, struct bytes value, uint64_t ttl_ms)
{
    (void)context, (void)function, (void)key, (void)value, (void)ttl_ms;
    return STATUS_CLOSED;
}

static enum status closed_delete(void *context, const struct lambda_function *function,
                                 struct bytes key)
{
    (void)context, (void)function, (void)key;
    return STATUS_CLOSED;
}

static enum status closed_list(void *context, const struct lambda_function *function,
                               struct bytes prefix, size_t limit, struct bytes cursor,
                               lambda_visit *visit, void *visitor, struct buffer *next)
{
    (void)context, (void)function, (void)prefix, (void)limit, (void)cursor;
    (void)visit, (void)visitor, (void)next;
    return STATUS_CLOSED;
}

static enum status closed_sync(void *context, const struct lambda_function *function)
{
    (void)context, (void)function;
    return STATUS_CLOSED;
}

static enum status closed_lock(void *context, const struct lambda_function *function,
                               struct bytes name, uint32_t *hold)
{
    (void)context, (void)function, (void)name, (void)hold;
    return STATUS_CLOSED;
}

static enum status closed_unlock(void *context, const struct lambda_function *function,
                                 uint32_t hold)
{
    (void)context, (void)function, (void)hold;
    return STATUS_CLOSED;
}

static void closed_abandon(void *context, const struct lambda_function *function, uint32_t hold)
{
    (void)context, (void)function, (void)hold;
}

static enum status closed_swap(void *context, const struct lambda_function *function,
                               struct bytes key, struct bytes expected, struct bytes value,
                               uint64_t ttl_ms, bool *is_done)
{
    (void)context, (void)function, (void)key, (void)expected, (void)value;
    (void)ttl_ms, (void)is_done;
    return STATUS_CLOSED;
}

static void closed_log(void *context, const struct lambda_function *function,
                       enum lambda_level level, struct bytes text)
{
    (void)context, (void)function, (void)level, (void)text;
}

static const struct lambda_function *closed_find(void *context, struct bytes name)
{
    (void)context, (void)name;
    return NULL;
}

// Promise jobs may outlive the order to stop by a little: the host hears nothing of them.
const struct lambda_calls lambda_limit_closed = {
    .get = closed_get,
    .put = closed_put,
    .delete = closed_delete,
    .list = closed_list,
    .sync = closed_sync,
    .lock = closed_lock,
    .unlock = closed_unlock,
    .abandon = closed_abandon,
    .version = closed_get,
    .swap = closed_swap,
    .attest = closed_get,
    .secret = closed_get,
    .log = closed_log,
    .find = closed_find,
};

static void stop(struct lambda_invocation *invocation, enum lambda_outcome outcome)
{
    invocation->is_stopped = true;
    invocation->result->outcome = outcome;
    invocation->calls = &lambda_limit_closed;
}

static bool on_tick(JSContextRef context, void *argument)
{
    (void)context;
    struct lambda_engine *engine = argument;
    JSContextGroupSetExecutionTimeLimit(engine->group, TICK_SECONDS, on_tick, engine);

    struct lambda_invocation *invocation = engine->invocation;
    if (invocation == NULL) {
        return false;
    }
    if (!invocation->is_stopped) {
        if (lambda_limit_now_ns() > invocation->deadline_ns) {
            stop(invocation, LAMBDA_TIMED_OUT);
        } else if (resident_bytes(engine->statm) > invocation->resident_bytes_max) {
            stop(invocation, LAMBDA_OUT_OF_MEMORY);
        }
    }
    return invocation->is_stopped;
}

void lambda_limit_arm(struct lambda_engine *engine)
{
    JSContextGroupSetExecutionTimeLimit(engine->group, TICK_SECONDS, on_tick, engine);
}

void lambda_limit_watch(struct lambda_engine *engine, const struct lambda_invocation *invocation)
{
    if (engine->seat == NULL) {
        return;
    }
    uint64_t now = lambda_limit_now_ns();
    uint64_t left_ns = invocation->deadline_ns > now ? invocation->deadline_ns - now : 0;
    watchdog_enter(engine->seat, left_ns / 1000000,
                   invocation->resident_bytes_max + WATCHDOG_MEMORY_BYTES);
}
