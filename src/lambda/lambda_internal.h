/* src/lambda/lambda_internal.h */
#ifndef LAMBDA_LAMBDA_INTERNAL_H
#define LAMBDA_LAMBDA_INTERNAL_H

#include <JavaScriptCore/JavaScript.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "lambda/lambda.h"

/*
 * What lies where: prelude.js says in JavaScript what functions see. Beneath it are the natives
 * of lambda_native.c, lambda_kv.c, lambda_lock.c, lambda_enclave.c and lambda_answer.c, each a
 * JavaScript object whose private data says which native it is and whose function it belongs to, so
 * that a host call knows who asks. lambda_engine.c and lambda_function.c make and free what their
 * names say, lambda_limit.c stops what runs wild, lambda_value.c takes text and bytes in and out of
 * the engine.
 */

struct lambda_invocation {
    const struct lambda_event *event;
    const struct lambda_calls *calls;
    void *context;
    struct lambda_result *result;
    const struct lambda_limits *limits;
    uint64_t deadline_ns;
    uint64_t resident_bytes_max;
    bool is_settled;  // `result` holds an outcome
    bool is_stopped;  // by a limit: `result->outcome` says which, and stays
};

struct lambda_engine {
    JSContextGroupRef group;
    JSClassRef native_class;
    JSStringRef word_code;
    JSStringRef idle;  // a script that does nothing
    char *worker;
    int statm;
    struct watchdog_seat *seat;  // or NULL
    struct lambda_invocation *invocation;
};

struct lambda_function {
    struct lambda_engine *engine;
    char *name;
    uint64_t version;
    struct lambda_limits limits;
    void *owner;
    JSGlobalContextRef realm;
    JSObjectRef run;    // of prelude.js
    JSObjectRef enter;  // of prelude.js
    struct lambda_binding *bindings;
};

/* ---- lambda_limit.c ---- */

uint64_t lambda_limit_now_ns(void);

/* Refuses everything: what a stopped invocation hears. */
extern const struct lambda_calls lambda_limit_closed;

/* Arm the engine's time limit, once. */
void lambda_limit_arm(struct lambda_engine *engine);

/* From now the watchdog grants what is left of the invocation's time, and its grace. */
void lambda_limit_watch(struct lambda_engine *engine, const struct lambda_invocation *invocation);

/* ---- lambda_value.c ---- */

/* NULL only when there is no memory for it. */
JSStringRef lambda_value_string(struct bytes text);

JSValueRef lambda_value_of_text(JSContextRef context, struct bytes text);
JSValueRef lambda_value_of_bytes(JSContextRef context, struct bytes bytes, JSValueRef *exception);

/*
 * Append a string value as UTF-8. STATUS_NO_SPACE: longer than `bytes_max`. STATUS_MALFORMED: no
 * string, or it has a lone surrogate (then `target` has U+FFFD in its place).
 */
MUST_CHECK enum status lambda_value_append_text(struct buffer *target, JSContextRef context,
                                                JSValueRef value, size_t bytes_max);

/* Append what prelude.js hands down as content: a string, or a Uint8Array of its own. */
MUST_CHECK enum status lambda_value_append(struct buffer *target, JSContextRef context,
                                           JSValueRef value, size_t bytes_max);

/* ---- natives ---- */

/* One call of a native by prelude.js, which passes as many arguments as the native reads. */
struct lambda_call {
    const struct lambda_function *function;  // whose it is
    struct lambda_invocation *invocation;    // the one under way
    const char *what;                        // for errors, such as "kv.get"
    JSContextRef context;
    const JSValueRef *arguments;
    JSValueRef *exception;
};

struct lambda_native {
    const char *name;  // in prelude.js
    const char *what;
    JSValueRef (*run)(const struct lambda_call *call);
};

/* Each ends with an entry without a name. */
extern const struct lambda_native lambda_kv_natives[];
extern const struct lambda_native lambda_lock_natives[];
extern const struct lambda_native lambda_enclave_natives[];
extern const struct lambda_native lambda_answer_natives[];

/* What the engine calls for each of them. */
JSValueRef lambda_native_call(JSContextRef context, JSObjectRef object, JSObjectRef this_object,
                              size_t count, const JSValueRef arguments[], JSValueRef *exception);

/* An object with all natives, of this function's; frees with its bindings. NULL: no memory. */
JSObjectRef lambda_native_make(struct lambda_function *function);

/* Take a text of at most LAMBDA_KEY_BYTES_MAX. STATUS_MALFORMED: it is none, or too long. */
MUST_CHECK enum status lambda_native_take_key(const struct lambda_call *call, size_t argument,
                                              size_t bytes_min, struct buffer *key);

/*
 * Take what is to be put: the key, and from `content_at` on content, its length and ttl_ms. On any
 * but STATUS_OK it has thrown.
 */
MUST_CHECK enum status lambda_kv_take_put(const struct lambda_call *call, size_t key_at,
                                          size_t content_at, struct buffer *key,
                                          struct buffer *content, uint64_t *ttl_ms);

/* Throw an Error "<what>: <why>" with the property `code`. Both return undefined. */
JSValueRef lambda_native_throw(const struct lambda_call *call, const char *why, const char *code);
JSValueRef lambda_native_throw_status(const struct lambda_call *call, enum status status);

/* ---- lambda_answer.c ---- */

void lambda_answer_say(struct lambda_result *result, const char *message);

/* The invocation's outcome, unless a limit has stopped it. */
void lambda_answer_settle(struct lambda_invocation *invocation, enum lambda_outcome outcome,
                          const char *message);

#endif
