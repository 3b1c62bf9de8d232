/* src/lambda/lambda.c */
#include "lambda/lambda.h"

#include "base/check.h"
#include "lambda/lambda_internal.h"
#include "lambda/resident.h"

// Exported by the library, declared in none of its public headers.
extern void JSSynchronousGarbageCollectForDebugging(JSContextRef context);

const char *lambda_code(enum status status)
{
    switch (status) {
    case STATUS_OK:
        return "ok";
    case STATUS_NOT_FOUND:
        return "not_found";
    case STATUS_DENIED:
        return "denied";
    case STATUS_GAP:
        return "behind";
    case STATUS_FULL:
    case STATUS_EMPTY:
        return "busy";
    case STATUS_MALFORMED:
        return "invalid";
    case STATUS_CLOSED:
    case STATUS_STALE:
        return "closed";
    case STATUS_NO_SPACE:
        return "no_space";
    case STATUS_NO_MEMORY:
        return "no_memory";
    case STATUS_TIMEOUT:
        return "timeout";
    case STATUS_FORGED:
    case STATUS_FORKED:
    case STATUS_DAMAGED:
        return "damaged";
    case STATUS_IO:
        return "unavailable";
    }
    return "unavailable";
}

const char *lambda_outcome_text(enum lambda_outcome outcome)
{
    switch (outcome) {
    case LAMBDA_OK:
        return "ok";
    case LAMBDA_THREW:
        return "threw an error";
    case LAMBDA_TIMED_OUT:
        return "ran longer than its time limit";
    case LAMBDA_OUT_OF_MEMORY:
        return "took more memory than its limit";
    case LAMBDA_TOO_LARGE:
        return "answered more than its limit";
    case LAMBDA_NO_HANDLER:
        return "has no handler";
    case LAMBDA_NEVER_SETTLED:
        return "returned a promise that never settles";
    }
    return "unknown outcome";
}

void lambda_result_release(struct lambda_result *result)
{
    buffer_release(&result->head);
    buffer_release(&result->body);
    buffer_release(&result->message);
    buffer_release(&result->code);
    *result = LAMBDA_RESULT_EMPTY;
}

static void result_clear(struct lambda_result *result)
{
    buffer_clear(&result->head);
    buffer_clear(&result->body);
    buffer_clear(&result->message);
    buffer_clear(&result->code);
    result->header_count = 0;
    result->http_status = 0;
}

// A script that was stopped may leave the order to stop behind, and the engine does not survive
// to meet it while it makes a realm: run something that does nothing until nothing stops it.
static void clean_up(struct lambda_engine *engine, const struct lambda_function *function)
{
    enum { ATTEMPT_COUNT_MAX = 1000 };
    int attempts = 0;
    while (JSEvaluateScript(function->realm, engine->idle, NULL, NULL, 1, NULL) == NULL) {
        CHECK(++attempts < ATTEMPT_COUNT_MAX);
    }
    // What it held is not to count against the next.
    JSSynchronousGarbageCollectForDebugging(function->realm);
}

void lambda_invoke(struct lambda_engine *engine, const struct lambda_function *function,
                   const struct lambda_event *event, const struct lambda_calls *calls,
                   void *context, struct lambda_result *result)
{
    CHECK(engine->invocation == NULL);
    CHECK(function->engine == engine);
    result_clear(result);

    const struct lambda_limits *limits = &function->limits;
    uint64_t resident = resident_bytes(engine->statm);
    struct lambda_invocation invocation = {
        .event = event,
        .calls = calls,
        .context = context,
        .result = result,
        .limits = limits,
        .deadline_ns = lambda_limit_now_ns() + limits->time_ms * 1000000u,
        .resident_bytes_max = resident + limits->memory_bytes,
    };
    engine->invocation = &invocation;
    lambda_limit_watch(engine, &invocation);

    const JSValueRef arguments[] = {
        lambda_value_of_text(function->realm, event->method),
        lambda_value_of_text(function->realm, event->path),
        lambda_value_of_text(function->realm, event->query),
    };
    JSValueRef exception = NULL;
    JSObjectCallAsFunction(function->realm, function->run, NULL, 3, arguments, &exception);

    if (engine->seat != NULL) {
        watchdog_leave(engine->seat);
    }
    if (!invocation.is_stopped && exception != NULL) {
        // The prelude catches what a function throws, unless there is no stack left to do it.
        lambda_answer_settle(&invocation, LAMBDA_THREW, "ran out of stack");
    }
    if (invocation.is_stopped) {
        clean_up(engine, function);
        lambda_answer_say(result, lambda_outcome_text(result->outcome));
    } else if (!invocation.is_settled) {
        lambda_answer_settle(&invocation, LAMBDA_NEVER_SETTLED,
                             lambda_outcome_text(LAMBDA_NEVER_SETTLED));
    }
    engine->invocation = NULL;
}
