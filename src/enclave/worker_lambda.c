/* src/enclave/worker_lambda.c */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "enclave/worker_internal.h"

enum { LAMBDA_COMPILED_MAX = 256, LAMBDA_MESSAGE_BYTES = 512 };

/* One version of a function as this thread's engine has compiled it. */
struct compiled {
    struct worker_function *source;    // counted
    struct lambda_function *function;  // NULL: it is not JavaScript
    char message[LAMBDA_MESSAGE_BYTES];
};

/* What a lambda thread has. */
struct thread {
    struct worker_kv kv;
    struct lambda_engine *engine;
    struct compiled compiled[LAMBDA_COMPILED_MAX];
    size_t count;
    struct compiled replaced[LAMBDA_CALL_DEPTH_MAX];  // until the invocation under way ends
    size_t replaced_count;
    struct worker_task *task;  // the invocation under way
};

static void compiled_release(struct compiled *compiled)
{
    lambda_function_free(compiled->function);
    worker_functions_drop(compiled->source);
    *compiled = (struct compiled){.source = NULL};
}

/* Compile a version; takes the reference. */
static void compile(struct thread *thread, struct compiled *compiled,
                    struct worker_function *source)
{
    const struct lambda_source parts = {
        .name = source->manifest.name,
        .version = source->manifest.version,
        .code = buffer_bytes(&source->code),
        .limits = {.time_ms = source->manifest.time_ms,
                   .memory_bytes = source->manifest.memory_bytes,
                   .response_bytes = source->manifest.response_bytes},
        .owner = source,
    };
    *compiled = (struct compiled){.source = source};
    enum status status = lambda_function_new(thread->engine, &parts, &compiled->function,
                                             compiled->message, sizeof compiled->message);
    if (status != STATUS_OK && compiled->message[0] == '\0') {
        snprintf(compiled->message, sizeof compiled->message, "%s", status_text(status));
    }
}

/* The place for a name: its own, a free one, or one that is given up for it. */
static struct compiled *place_for(struct thread *thread, const char *name)
{
    for (size_t i = 0; i < thread->count; i++) {
        if (strcmp(thread->compiled[i].source->manifest.name, name) == 0) {
            return &thread->compiled[i];
        }
    }
    return thread->count < LAMBDA_COMPILED_MAX ? &thread->compiled[thread->count++] : NULL;
}

/* The newest version of a function, compiled. NULL: there is none. */
static struct compiled *compiled_find(struct thread *thread, struct bytes name)
{
    struct worker_function *newest = worker_functions_find(thread->kv.worker->functions, name);
    if (newest == NULL) {
        return NULL;
    }
    struct compiled *place = place_for(thread, newest->manifest.name);
    bool is_current = place != NULL && place->source == newest;
    bool is_stuck = place == NULL || (!is_current && place->source != NULL &&
                                      thread->replaced_count == LAMBDA_CALL_DEPTH_MAX);
    if (is_current || is_stuck) {
        worker_functions_drop(newest);
        return place;  // more names than places: not found; replaced too often at once: as it was
    }
    if (place->source != NULL) {
        // It may be running further down: it ends on the version it began with.
        thread->replaced[thread->replaced_count++] = *place;
    }
    compile(thread, place, newest);
    return place;
}

/* ---- what functions may ask ---- */

static bool may_touch(const struct lambda_function *function, struct bytes key)
{
    const struct worker_function *source = lambda_function_owner(function);
    const struct function_manifest *manifest = &source->manifest;
    for (uint32_t i = 0; i < manifest->prefix_count; i++) {
        if (bytes_start_with(key, bytes_text(manifest->prefixes[i]))) {
            return true;
        }
    }
    return manifest->prefix_count == 0;
}

static enum status call_get(void *context, const struct lambda_function *function, struct bytes key,
                            struct buffer *value)
{
    struct thread *thread = context;
    if (!may_touch(function, key)) {
        return STATUS_DENIED;
    }
    return worker_kv_get(&thread->kv, key, &thread->task->dependency, value);
}

/* A put or delete, and in which own record it will be. */
static enum status write(struct thread *thread, enum tuple_kind kind, struct bytes key,
                         struct bytes value, uint64_t ttl_ms)
{
    struct dependency written = {.count = 0};
    enum status status = worker_kv_put(&thread->kv, kind, key, value, ttl_ms, &written);
    worker_deed_note_written(thread->task, written.own_sequence);
    dependency_add_own(&thread->task->dependency, written.own_sequence);
    return status;
}

/* The same for what was written under a lock. */
static enum status note_lock(struct thread *thread, enum status status)
{
    if (status == STATUS_OK) {
        worker_deed_note_written(thread->task, thread->kv.lock_sequence);
    }
    return status;
}

static enum status call_put(void *context, const struct lambda_function *function, struct bytes key,
                            struct bytes value, uint64_t ttl_ms)
{
    struct thread *thread = context;
    if (!may_touch(function, key)) {
        return STATUS_DENIED;
    }
    return write(thread, TUPLE_PUT, key, value, ttl_ms);
}

static enum status call_delete(void *context, const struct lambda_function *function,
                               struct bytes key)
{
    struct thread *thread = context;
    if (!may_touch(function, key)) {
        return STATUS_DENIED;
    }
    return write(thread, TUPLE_DELETE, key, bytes_of(NULL, 0), 0);
}

static enum status call_list(void *context, const struct lambda_function *function,
                             struct bytes prefix, size_t limit, struct bytes cursor,
                             lambda_visit *visit, void *visitor, struct buffer *next)
{
    struct thread *thread = context;
    if (!may_touch(function, prefix)) {
        return STATUS_DENIED;
    }
    return worker_kv_list(&thread->kv, prefix, limit, cursor, &thread->task->dependency, visit,
                          visitor, next);
}

static enum status call_sync(void *context, const struct lambda_function *function)
{
    struct thread *thread = context;
    (void)function;
    return worker_kv_sync(&thread->kv, &thread->task->dependency);
}

static enum status call_lock(void *context, const struct lambda_function *function,
                             struct bytes name, uint32_t *hold)
{
    struct thread *thread = context;
    (void)function;
    return worker_lock_take(&thread->kv, "lock:", name, hold);
}

static enum status call_unlock(void *context, const struct lambda_function *function, uint32_t hold)
{
    struct thread *thread = context;
    (void)function;
    return note_lock(thread, worker_lock_release(&thread->kv, hold, &thread->task->dependency));
}

static void call_abandon(void *context, const struct lambda_function *function, uint32_t hold)
{
    struct thread *thread = context;
    (void)function;
    worker_lock_abandon(&thread->kv, hold);
}

static enum status call_version(void *context, const struct lambda_function *function,
                                struct bytes key, struct buffer *version)
{
    struct thread *thread = context;
    char etag[WORKER_ETAG_BYTES];
    if (!may_touch(function, key)) {
        return STATUS_DENIED;
    }
    enum status status = worker_kv_version(&thread->kv, key, &thread->task->dependency, etag);
    return status == STATUS_OK ? buffer_append(version, etag, strlen(etag)) : status;
}

static enum status call_swap(void *context, const struct lambda_function *function,
                             struct bytes key, struct bytes expected, struct bytes value,
                             uint64_t ttl_ms, bool *is_done)
{
    struct thread *thread = context;
    if (!may_touch(function, key)) {
        return STATUS_DENIED;
    }
    const struct tuple tuple = worker_kv_tuple(&thread->kv, TUPLE_PUT, key, value, ttl_ms);
    thread->kv.lock_sequence = 0;
    return note_lock(
        thread, worker_kv_swap(&thread->kv, &tuple, expected, &thread->task->dependency, is_done));
}

static enum status call_attest(void *context, const struct lambda_function *function,
                               struct bytes nonce, struct buffer *evidence)
{
    struct thread *thread = context;
    struct worker *worker = thread->kv.worker;
    const struct worker_function *source = lambda_function_owner(function);
    const struct p256_public tls_key = p256_key_public(worker->tls_key);
    struct worker_attest attest = {.nonce_bytes = nonce.length};
    memcpy(attest.nonce, nonce.at, nonce.length);
    vouch_function_data(attest.report_data, nonce, &source->manifest.code_hash, &tls_key);
    enum status status = worker_attest_wait(worker, &attest);
    if (status == STATUS_OK) {
        status = buffer_append(evidence, attest.vouch.bytes, attest.vouch.length);
    }
    worker_attest_release(worker, &attest);
    return status;
}

static enum status call_secret(void *context, const struct lambda_function *function,
                               struct bytes name, struct buffer *secret)
{
    struct thread *thread = context;
    (void)function;
    return worker_functions_secret(thread->kv.worker->functions, name, secret);
}

static void call_log(void *context, const struct lambda_function *function, enum lambda_level level,
                     struct bytes text)
{
    struct thread *thread = context;
    worker_log_add(thread->kv.worker->log, lambda_function_name(function), level, text);
}

static const struct lambda_function *call_find(void *context, struct bytes name)
{
    const struct compiled *compiled = compiled_find(context, name);
    return compiled == NULL ? NULL : compiled->function;
}

static const struct lambda_calls calls = {
    .get = call_get,
    .put = call_put,
    .delete = call_delete,
    .list = call_list,
    .sync = call_sync,
    .lock = call_lock,
    .unlock = call_unlock,
    .abandon = call_abandon,
    .version = call_version,
    .swap = call_swap,
    .attest = call_attest,
    .secret = call_secret,
    .log = call_log,
    .find = call_find,
};

/* ---- one invocation ---- */

/* The code of an outcome that is no answer, for the client. */
static const char *outcome_code(enum lambda_outcome outcome)
{
    switch (outcome) {
    case LAMBDA_OK:
        break;
    case LAMBDA_THREW:
        return "function_threw";
    case LAMBDA_TIMED_OUT:
        return "time_limit";
    case LAMBDA_OUT_OF_MEMORY:
        return "memory_limit";
    case LAMBDA_TOO_LARGE:
        return "response_limit";
    case LAMBDA_NO_HANDLER:
        return "no_handler";
    case LAMBDA_NEVER_SETTLED:
        return "never_settled";
    }
    return "internal";
}

/* What a function let through of a lock's own troubles is the caller's to know; NULL: none. */
static const char *lock_code(const struct lambda_result *result)
{
    static const char *const codes[] = {"lock_lost", "lock_timeout", "lock_undecided", "lock_busy"};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (result->outcome == LAMBDA_THREW &&
            bytes_equal(buffer_bytes(&result->code), bytes_text(codes[i]))) {
            return codes[i];
        }
    }
    return NULL;
}

static void take_result(struct thread *thread, struct worker_task *task)
{
    struct lambda_result *result = &task->result;
    if (result->outcome == LAMBDA_OK) {
        task->has_result = true;
        task->status = result->http_status;
        return;
    }
    atomic_fetch_add(&thread->kv.worker->invocation_errors, 1);
    // The owner's data may be in the message: it goes to the owner's log and, over TLS, to the
    // caller.
    const struct bytes text = result->message.length > 0
                                  ? buffer_bytes(&result->message)
                                  : bytes_text(lambda_outcome_text(result->outcome));
    char message[LAMBDA_MESSAGE_BYTES];
    snprintf(message, sizeof message, "%.*s", (int)text.length, (const char *)text.at);
    char name[FUNCTION_NAME_BYTES_MAX + 1];
    snprintf(name, sizeof name, "%.*s", (int)task->route.name.length,
             (const char *)task->route.name.at);
    worker_log_add(thread->kv.worker->log, name, LAMBDA_LEVEL_ERROR, text);
    const char *code = lock_code(result);
    if (code == NULL) {
        worker_serve_refuse(task, 500, outcome_code(result->outcome), message);
    } else {
        worker_serve_refuse(task, strcmp(code, "lock_lost") == 0 ? 409 : 503, code, message);
    }
}

static void invoke(struct thread *thread, struct worker_task *task)
{
    const struct compiled *compiled = compiled_find(thread, task->route.name);
    atomic_fetch_add(&thread->kv.worker->invocations, 1);
    if (compiled == NULL) {
        worker_serve_refuse(task, 404, "no_function", "no function of that name is published");
        return;
    }
    if (compiled->function == NULL) {
        worker_serve_refuse(task, 422, "not_javascript", compiled->message);
        return;
    }
    struct lambda_header headers[HTTP_HEADER_COUNT_MAX];
    const struct http_request *http = task->http;
    for (size_t i = 0; i < http->header_count; i++) {
        headers[i] =
            (struct lambda_header){.name = http->headers[i].name, .value = http->headers[i].value};
    }
    const struct lambda_event event = {
        .method = bytes_text(http_method_text(http->method)),
        .path = http->path,
        .query = http->query,
        .headers = headers,
        .header_count = http->header_count,
        .body = http->body,
    };
    const struct function_manifest *manifest = &compiled->source->manifest;
    // What a receipt names is durable, whatever the function asks for.
    task->needs_receipts = manifest->durability == FUNCTION_RECEIPT || worker_deed_is_wanted(task);
    task->ran.version = manifest->version;
    task->ran.code = manifest->code_hash;
    thread->task = task;
    thread->kv.due_us = enclave_now_us() + compiled->source->manifest.time_ms * 1000;
    lambda_invoke(thread->engine, compiled->function, &event, &calls, thread, &task->result);
    thread->task = NULL;
    worker_lock_abandon_all(&thread->kv);
    take_result(thread, task);
    while (thread->replaced_count > 0) {
        compiled_release(&thread->replaced[--thread->replaced_count]);
    }
}

void *worker_lambda_run(void *context)
{
    const struct worker_lambda *lambda = context;
    struct worker *worker = lambda->worker;
    struct thread *thread = calloc(1, sizeof *thread);
    if (thread == NULL || scl_reader_new(&thread->kv.reader, worker->scl) != STATUS_OK) {
        worker_end(worker, "a lambda thread cannot start", STATUS_NO_MEMORY);
    }
    thread->kv.worker = worker;
    thread->engine = lambda->engine;
    while (true) {
        struct worker_task *task;
        pthread_mutex_lock(&worker->queue_lock);
        while ((task = worker_list_take(&worker->queue)) == NULL) {
            pthread_cond_wait(&worker->queued, &worker->queue_lock);
        }
        pthread_mutex_unlock(&worker->queue_lock);

        if (worker_kv_is_swap(task)) {
            worker_kv_serve_swap(&thread->kv, task);
        } else {
            invoke(thread, task);
        }

        pthread_mutex_lock(&worker->queue_lock);
        worker_list_add(&worker->finished, task);
        pthread_mutex_unlock(&worker->queue_lock);
        port_wake(&worker->enclave->wall.stream);
    }
}
