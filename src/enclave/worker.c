/* src/enclave/worker.c */
#include "enclave/worker.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "enclave/worker_internal.h"

void worker_list_init(struct worker_list *list)
{
    *list = (struct worker_list){.first = NULL};
    list->end = &list->first;
}

void worker_list_add(struct worker_list *list, struct worker_task *task)
{
    task->next = NULL;
    *list->end = task;
    list->end = &task->next;
    list->count++;
}

struct worker_task *worker_list_take(struct worker_list *list)
{
    struct worker_task *task = list->first;
    if (task != NULL) {
        list->first = task->next;
        if (list->first == NULL) {
            list->end = &list->first;
        }
        list->count--;
    }
    return task;
}

void worker_changed(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    atomic_fetch_add(&worker->changes, 1);
    pthread_cond_broadcast(&worker->changed);
    pthread_cond_signal(&worker->work);
    pthread_mutex_unlock(&worker->lock);
    if (atomic_load(&worker->serve_waits) > 0) {
        port_wake(&worker->enclave->wall.stream);
    }
}

enum status worker_flush(struct worker *worker)
{
    struct buffer frame = BUFFER_EMPTY;
    enum status status = STATUS_OK;
    while (status == STATUS_OK) {
        pthread_mutex_lock(&worker->lock);
        status = scl_output(worker->scl, &frame);
        pthread_mutex_unlock(&worker->lock);
        if (status == STATUS_OK) {
            status = enclave_send(worker->enclave, buffer_bytes(&frame));
            buffer_clear(&frame);
        }
    }
    buffer_release(&frame);
    return status == STATUS_EMPTY ? STATUS_OK : status;
}

void worker_end(struct worker *worker, const char *why, enum status status)
{
    log_event(&worker->enclave->log, "worker ends: %s status=\"%s\"", why, status_text(status));
    sandbox_exit(status == STATUS_OK ? EXIT_SUCCESS : EXIT_FAILURE);
}

bool worker_wait(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t due_us)
{
    if (due_us == UINT64_MAX) {
        return pthread_cond_wait(condition, lock) == 0;
    }
    const struct timespec due = {
        .tv_sec = (time_t)(due_us / 1000000),
        .tv_nsec = (long)(due_us % 1000000 * 1000),
    };
    return pthread_cond_timedwait(condition, lock, &due) == 0;
}

static void condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void on_function(void *context, struct bytes body)
{
    struct worker *worker = context;
    worker_functions_add(worker->functions, body, capsule_genesis(scl_capsule(worker->scl)),
                         &worker->enclave->log);
}

static void on_runaway(void *context, enum watchdog_reason reason)
{
    struct worker *worker = context;
    worker_end(worker,
               reason == WATCHDOG_TIME ? "a function could not be stopped in time"
                                       : "a function could not be kept within its memory",
               STATUS_TIMEOUT);
}

static enum status engines_new(struct worker *worker)
{
    char id[WRITER_ID_TEXT_BYTES];
    writer_id_text(&worker->enclave->id, id);
    enum status status = watchdog_new(&worker->watchdog, on_runaway, worker);
    uint32_t wanted = worker->enclave->lambda_threads;
    wanted = wanted < 1 ? 1 : wanted > WORKER_THREADS_MAX ? WORKER_THREADS_MAX : wanted;
    while (status == STATUS_OK && worker->engine_count < wanted) {
        struct lambda_engine **engine = &worker->engines[worker->engine_count];
        // One name per thread: a function may then take a key that contains ctx.worker for its own.
        char name[WRITER_ID_TEXT_BYTES + 16];
        snprintf(name, sizeof name, "%s-%" PRIu32, id, worker->engine_count);
        status = lambda_engine_new(engine, name, worker->watchdog);
        if (status == STATUS_OK) {
            status = worker->engine_count == 0 ? lambda_engine_warm_up(*engine)
                                               : lambda_engine_warm_up_further(*engine);
            worker->engine_count++;
        }
    }
    return status;
}

/*
 * What OpenSSL asks the system for when it makes its first context (the size of the machine's
 * memory, by way of glibc's qsort) it asks before the process is sealed.
 */
static enum status warm_up_tls(struct worker *worker)
{
    struct buffer certificate = BUFFER_EMPTY;
    struct serve *serve = NULL;
    enum status status = certificate_root(&certificate, worker->tls_key, &worker->enclave->capsule);
    const struct serve_config config = {
        .certificate = buffer_bytes(&certificate),
        .key = worker->tls_key,
        .limits = serve_limits_default(),
    };
    if (status == STATUS_OK) {
        status = serve_new(&serve, &config);
    }
    serve_free(serve);
    buffer_release(&certificate);
    return status;
}

static enum status parts_new(struct worker *worker, struct enclave *enclave)
{
    *worker = (struct worker){.enclave = enclave};
    pthread_mutex_init(&worker->lock, NULL);
    pthread_mutex_init(&worker->queue_lock, NULL);
    condition_init(&worker->work);
    condition_init(&worker->changed);
    condition_init(&worker->queued);
    worker_list_init(&worker->queue);
    worker_list_init(&worker->finished);
    worker->tls_key = p256_key_new();

    enum status status = worker_functions_new(&worker->functions);
    if (status == STATUS_OK) {
        status = worker_log_new(&worker->log);
    }
    if (status == STATUS_OK) {
        status = warm_up_tls(worker);
    }
    return status == STATUS_OK ? engines_new(worker) : status;
}

/* Of opened blocks: a quarter of what the memtable may take. */
static uint64_t cache_bytes(const struct enclave *enclave)
{
    uint64_t bytes = enclave->memtable_bytes / 4;
    return bytes < WORKER_CACHE_BYTES_MIN ? WORKER_CACHE_BYTES_MIN : bytes;
}

/* After the seal: the GENESIS is the host's word, and JSON. */
static enum status replica_new(struct worker *worker)
{
    const struct scl_config config = {
        .genesis = buffer_bytes(&worker->enclave->genesis),
        .key = worker->enclave->key,
        .log = &worker->enclave->log,
        .on_function = on_function,
        .context = worker,
        .memtable_bytes = worker->enclave->memtable_bytes,
        .cache_bytes = cache_bytes(worker->enclave),
        .waits_for_start = true,
    };
    return scl_new(&worker->scl, &config);
}

enum status worker_run(struct enclave *enclave)
{
    static struct worker worker;
    enum status status = parts_new(&worker, enclave);
    if (status == STATUS_OK) {
        status = enclave_seal(enclave, SANDBOX_WORKER);
    }
    if (status != STATUS_OK) {
        return status;
    }
    status = replica_new(&worker);
    if (status != STATUS_OK) {
        worker_end(&worker, "it cannot read the GENESIS", status);
    }
    worker_open_run(&worker);
    return STATUS_OK;
}
