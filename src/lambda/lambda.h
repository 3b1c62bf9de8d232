/* src/lambda/lambda.h */
#ifndef LAMBDA_LAMBDA_H
#define LAMBDA_LAMBDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "lambda/watchdog.h"

/*
 * lambda: runs the owner's JavaScript functions.
 *
 * An engine is one JavaScript virtual machine. It is used by one thread at a
 * time; each lambda thread has its own. Functions belong to the engine that
 * compiled them, each with a realm of its own, whose globals and intrinsics
 * are frozen. The top level of a function runs anew at every invocation, so an
 * invocation leaves nothing behind for the next but what it put into the
 * store. `eval` and `Function` work, within the frozen realm.
 *
 * A function is the owner's and may be wrong, but is not the provider's: the
 * limits guard against mistakes, the engine's memory safety against the rest.
 * Whatever a function does, lambda_invoke() returns and the engine stays
 * usable, with one exception: a native operation that neither ends nor can be
 * interrupted is left to the watchdog, which stops the process.
 */

enum {
    LAMBDA_KEY_BYTES_MAX = 1024,
    LAMBDA_VALUE_BYTES_MAX = 1 << 20,
    LAMBDA_LIST_LIMIT_MAX = 1000,
    LAMBDA_NONCE_BYTES_MAX = 64,
    LAMBDA_CALL_DEPTH_MAX = 8,
    LAMBDA_HEADER_COUNT_MAX = 64,
    LAMBDA_HEADER_BYTES_MAX = 16 * 1024,  // names and values of one response together
    LAMBDA_LOG_BYTES_MAX = 4096,          // one log line; longer ones are cut
};

struct lambda_engine;
struct lambda_function;

enum lambda_level {
    LAMBDA_LEVEL_DEBUG,
    LAMBDA_LEVEL_INFO,
    LAMBDA_LEVEL_WARN,
    LAMBDA_LEVEL_ERROR,
};

/* Takes one entry of a list; both runs are borrowed for the call. */
typedef void lambda_visit(void *visitor, struct bytes key, struct bytes value);

/*
 * What a function may ask of its host. `context` is the one given to
 * lambda_invoke(); `function` is the function that asks, which under ctx.call
 * is not always the one invoked: the callee judges its key prefixes by it.
 * Keys are valid UTF-8 of 1 to LAMBDA_KEY_BYTES_MAX bytes, prefixes of 0 to as
 * many, values at most LAMBDA_VALUE_BYTES_MAX. Called on the invoking thread.
 * A callback must not enter the engine.
 *
 * STATUS_OK; STATUS_NOT_FOUND where a key may be absent; any other status
 * becomes a JavaScript exception with the property `code` of lambda_code().
 */
struct lambda_calls {
    // Append the value to `value`, which is empty.
    enum status (*get)(void *context, const struct lambda_function *function, struct bytes key,
                       struct buffer *value);
    // `ttl_ms` 0: for ever.
    enum status (*put)(void *context, const struct lambda_function *function, struct bytes key,
                       struct bytes value, uint64_t ttl_ms);
    enum status (*delete)(void *context, const struct lambda_function *function, struct bytes key);
    // Visit at most `limit` entries in key order, beginning at `cursor` (empty: at the start).
    // Append the cursor of the rest to `next`, which is empty; leave it empty at the end.
    enum status (*list)(void *context, const struct lambda_function *function, struct bytes prefix,
                        size_t limit, struct bytes cursor, lambda_visit *visit, void *visitor,
                        struct buffer *next);
    // Wait until all that this invocation wrote and read is durable. Ends by itself: the
    // watchdog looks away meanwhile. Counts towards the time limit.
    enum status (*sync)(void *context, const struct lambda_function *function);
    // Take a lock; `*hold` is its number. From then on what is put is kept apart, in the lock taken
    // last, and read by this invocation alone. Waits for so long at most, as sync does. What is
    // held when lambda_invoke() returns is the caller's to abandon.
    // STATUS_TIMEOUT; STATUS_STALE: this invocation holds it already; STATUS_FULL.
    enum status (*lock)(void *context, const struct lambda_function *function, struct bytes name,
                        uint32_t *hold);
    // Let go of it: what was put counts, all or nothing. Waits until that is decided.
    // STATUS_STALE: it never will count. STATUS_TIMEOUT: undecided.
    enum status (*unlock)(void *context, const struct lambda_function *function, uint32_t hold);
    // Let go of it and forget what was put.
    void (*abandon)(void *context, const struct lambda_function *function, uint32_t hold);
    // Append the version of a key's value.
    enum status (*version)(void *context, const struct lambda_function *function, struct bytes key,
                           struct buffer *version);
    // Put, if the key has this version (empty: is absent), under a lock of its own. `*is_done`:
    // whether it had. STATUS_TIMEOUT, STATUS_FULL as of lock; STATUS_STALE as of unlock.
    enum status (*swap)(void *context, const struct lambda_function *function, struct bytes key,
                        struct bytes expected, struct bytes value, uint64_t ttl_ms, bool *is_done);
    // Append fresh evidence of the enclave that names this function's code, over 1 to
    // LAMBDA_NONCE_BYTES_MAX bytes. Waits, as sync does.
    enum status (*attest)(void *context, const struct lambda_function *function, struct bytes nonce,
                          struct buffer *evidence);
    // Append the owner's secret of that name, which is UTF-8.
    enum status (*secret)(void *context, const struct lambda_function *function, struct bytes name,
                          struct buffer *secret);
    void (*log)(void *context, const struct lambda_function *function, enum lambda_level level,
                struct bytes text);
    // The function of that name, of the same app and engine; it stays alive until
    // lambda_invoke() returns. NULL: there is none.
    const struct lambda_function *(*find)(void *context, struct bytes name);
};

/* The stable word for a status that a host call refused with, such as "denied". */
const char *lambda_code(enum status status);

/*
 * Settle how the engines of this process run: before the first of them, and while there is one
 * thread. Without JIT, functions are interpreted and no page ever turns executable.
 */
MUST_CHECK enum status lambda_engine_begin(bool has_jit);

/*
 * Make an engine. `worker` is what functions see as ctx.worker (copied): no two engines of an app
 * have the same, so no two invocations that see the same ever run at once.
 * `watchdog` is borrowed, outlives the engine, and may be NULL: then nothing
 * stops what cannot be interrupted.
 */
MUST_CHECK enum status lambda_engine_new(struct lambda_engine **engine, const char *worker,
                                         struct watchdog *watchdog);

/* Its functions are freed first. */
void lambda_engine_free(struct lambda_engine *engine);

/*
 * Make the engine open and load all that it will ever need from the system.
 * Once for the first engine, before the process is sealed, after the caller set TZ=UTC.
 * STATUS_IO: something is missing here that a running engine needs.
 */
MUST_CHECK enum status lambda_engine_warm_up(struct lambda_engine *engine);

/* The same for a further engine of a process that has warmed one up: half the work is done. */
MUST_CHECK enum status lambda_engine_warm_up_further(struct lambda_engine *engine);

/* 0 means the default. */
struct lambda_limits {
    uint64_t time_ms;         // default 5000
    uint64_t memory_bytes;    // above what the process holds at the start; default 128 MiB
    uint64_t response_bytes;  // default 4 MiB
};

struct lambda_source {
    const char *name;  // copied
    uint64_t version;
    struct bytes code;  // UTF-8
    struct lambda_limits limits;
    void *owner;  // the caller's; lambda_function_owner() gives it back
};

/*
 * Compile a function. Nothing of it runs yet. STATUS_MALFORMED: it is not
 * JavaScript; `message` (of `message_bytes`, always terminated) says why and
 * in which line. STATUS_NO_MEMORY.
 */
MUST_CHECK enum status lambda_function_new(struct lambda_engine *engine,
                                           const struct lambda_source *source,
                                           struct lambda_function **function, char *message,
                                           size_t message_bytes);

/* Never during an invocation of its engine. */
void lambda_function_free(struct lambda_function *function);

const char *lambda_function_name(const struct lambda_function *function);
void *lambda_function_owner(const struct lambda_function *function);

struct lambda_header {
    struct bytes name;
    struct bytes value;
};

/* All borrowed until lambda_invoke() returns. */
struct lambda_event {
    struct bytes method;
    struct bytes path;
    struct bytes query;  // as it stood in the request, without the '?'
    const struct lambda_header *headers;
    size_t header_count;
    struct bytes body;
};

enum lambda_outcome {
    LAMBDA_OK,
    LAMBDA_THREW,          // or answered with something that is no response
    LAMBDA_TIMED_OUT,      // the time limit
    LAMBDA_OUT_OF_MEMORY,  // the memory limit
    LAMBDA_TOO_LARGE,      // the response limit
    LAMBDA_NO_HANDLER,     // no exports.handler, and no old script either
    LAMBDA_NEVER_SETTLED,  // a promise that nothing can settle any more
};

/* A lower-case phrase. Static storage. */
const char *lambda_outcome_text(enum lambda_outcome outcome);

/*
 * The answer. Owned by the caller: start with LAMBDA_RESULT_EMPTY, pass it to
 * any number of invocations, release it. Its memory is reused.
 */
struct lambda_result {
    enum lambda_outcome outcome;
    // Filled when LAMBDA_OK.
    uint32_t http_status;
    struct lambda_header headers[LAMBDA_HEADER_COUNT_MAX];  // names in lower case; into `head`
    size_t header_count;                                    // includes content-type, if any
    struct buffer head;
    struct buffer body;
    // Filled otherwise: for the owner's log, may contain the owner's data.
    struct buffer message;
    struct buffer code;  // of LAMBDA_THREW: the error's own, such as "lock_lost"; may be empty
};

#define LAMBDA_RESULT_EMPTY ((struct lambda_result){.outcome = LAMBDA_OK})

void lambda_result_release(struct lambda_result *result);

/*
 * Run `function` (of this engine) once and wait for its answer. A string
 * answers as text/plain, bytes as application/octet-stream, other values as
 * application/json, undefined as 204; an object with an integer `status`
 * answers { status, headers, body }.
 */
void lambda_invoke(struct lambda_engine *engine, const struct lambda_function *function,
                   const struct lambda_event *event, const struct lambda_calls *calls,
                   void *context, struct lambda_result *result);

#endif
