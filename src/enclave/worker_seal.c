/* src/enclave/worker_seal.c */
#include "enclave/worker_internal.h"

static void seal_one(struct worker *worker, struct scl_seal_job *job)
{
    struct bytes frame;
    pthread_mutex_unlock(&worker->lock);
    scl_seal_run(worker->scl, job);
    pthread_mutex_lock(&worker->lock);
    enum status status = scl_seal_finish(worker->scl, job, enclave_now_us(), &frame);
    if (status == STATUS_OK) {
        worker_deed_note_sealed(worker, &job->record);
    }
    pthread_mutex_unlock(&worker->lock);
    if (status == STATUS_OK) {
        // Borrowed until this thread seals again: it is sent without the lock.
        status = enclave_send(worker->enclave, frame);
    }
    if (status == STATUS_OK) {
        status = worker_flush(worker);
    }
    if (status != STATUS_OK) {
        worker_end(worker, "a record could not be written", status);
    }
    pthread_mutex_lock(&worker->lock);
    pthread_cond_broadcast(&worker->changed);  // the batch has room again
}

/* Nothing to seal: what no receipt covers is repeated in time, and else this thread sleeps. */
static void rest(struct worker *worker)
{
    uint64_t wake_us = scl_tick(worker->scl, enclave_now_us());
    if (!scl_has_output(worker->scl)) {
        (void)worker_wait(&worker->work, &worker->lock, wake_us);
        return;
    }
    pthread_mutex_unlock(&worker->lock);
    enum status status = worker_flush(worker);
    if (status != STATUS_OK) {
        worker_end(worker, "the wall is broken", status);
    }
    pthread_mutex_lock(&worker->lock);
}

void *worker_seal_run(void *context)
{
    struct worker *worker = context;
    struct scl_seal_job job = {0};
    pthread_mutex_lock(&worker->lock);
    while (true) {
        uint64_t until_us;
        enum status status = scl_seal_begin(worker->scl, &job, enclave_now_us(), &until_us);
        switch (status) {
        case STATUS_OK:
            seal_one(worker, &job);
            break;
        case STATUS_EMPTY:
            rest(worker);
            break;
        case STATUS_FULL:
            (void)worker_wait(&worker->work, &worker->lock, until_us);
            break;
        default:
            pthread_mutex_unlock(&worker->lock);
            worker_end(worker, "its branch is closed", status);
        }
    }
}
