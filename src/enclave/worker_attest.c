/* src/enclave/worker_attest.c */
#include <string.h>

#include "enclave/worker_internal.h"
#include "wire/vouch.h"

/*
 * Evidence on demand (wire/vouch.h): the host gives this enclave's own, the leader adds what leads
 * to the owner. One after the other, by the opener: both ask something of the platform.
 *
 *     WAITS ──host is asked──► HOST ──evidence──► LEADER ──vouch, or too late──► DONE
 *     any of them ──deadline──► the asker forgets it
 */

void worker_attest_ask(struct worker *worker, struct worker_attest *attest)
{
    attest->next = NULL;
    attest->state = ATTEST_WAITS;
    attest->due_us = enclave_now_us() + WORKER_ATTEST_US;
    pthread_mutex_lock(&worker->lock);
    struct worker_attest **place = &worker->attests;
    while (*place != NULL) {
        place = &(*place)->next;
    }
    *place = attest;
    pthread_mutex_unlock(&worker->lock);
    port_wake(&worker->enclave->wall.data);
}

bool worker_attest_is_done(struct worker *worker, const struct worker_attest *attest)
{
    pthread_mutex_lock(&worker->lock);
    bool is_done = attest->state == ATTEST_DONE;
    pthread_mutex_unlock(&worker->lock);
    return is_done;
}

/* With the lock. */
static void drop(struct worker *worker, const struct worker_attest *attest)
{
    struct worker_attest **place = &worker->attests;
    while (*place != NULL && *place != attest) {
        place = &(*place)->next;
    }
    if (*place != NULL) {
        *place = attest->next;
    }
}

void worker_attest_release(struct worker *worker, struct worker_attest *attest)
{
    pthread_mutex_lock(&worker->lock);
    drop(worker, attest);
    pthread_mutex_unlock(&worker->lock);
    port_wake(&worker->enclave->wall.data);  // the next one may begin
    buffer_release(&attest->vouch);
}

enum status worker_attest_wait(struct worker *worker, struct worker_attest *attest)
{
    worker_attest_ask(worker, attest);
    pthread_mutex_lock(&worker->lock);
    while (attest->state != ATTEST_DONE &&
           worker_wait(&worker->changed, &worker->lock, attest->due_us)) {}
    enum status status = attest->state == ATTEST_DONE ? STATUS_OK : STATUS_TIMEOUT;
    pthread_mutex_unlock(&worker->lock);
    return status;
}

/* With the lock. Without `theirs` the leader has not answered: the evidence stands alone. */
static enum status finish(struct worker *worker, struct worker_attest *attest,
                          const struct vouch *theirs)
{
    struct vouch vouch = {.evidence = buffer_bytes(&attest->vouch)};
    struct buffer encoded = BUFFER_EMPTY;
    if (theirs != NULL) {
        vouch = *theirs;
    }
    vouch.worker = worker->enclave->id;
    vouch.certificate = buffer_bytes(&worker->certificate);
    enum status status = vouch_encode(&encoded, &vouch);
    if (status == STATUS_OK) {
        buffer_release(&attest->vouch);
        attest->vouch = encoded;
        attest->state = ATTEST_DONE;
        drop(worker, attest);
    }
    return status;
}

/* With the lock: the one that was asked for with this number, or NULL. */
static struct worker_attest *under_way(struct worker *worker, enum worker_attest_state state,
                                       uint32_t request)
{
    struct worker_attest *first = worker->attests;
    bool is_meant = first != NULL && first->state == state && first->request == request;
    return is_meant ? first : NULL;
}

enum status worker_attest_receive_evidence(struct worker *worker, const struct frame *frame,
                                           struct buffer *plain)
{
    enum status status = STATUS_EMPTY;
    pthread_mutex_lock(&worker->lock);
    struct worker_attest *attest = under_way(worker, ATTEST_HOST, frame->request);
    if (attest != NULL && frame->body.length <= VOUCH_EVIDENCE_BYTES_MAX) {
        status = buffer_append(&attest->vouch, frame->body.at, frame->body.length);
        attest->state = ATTEST_LEADER;
        attest->leader_us = enclave_now_us() + WORKER_ATTEST_LEADER_US;
    }
    if (status == STATUS_OK) {
        const struct message_vouch_ask ask = {
            .request = attest->request,
            .nonce = bytes_of(attest->nonce, attest->nonce_bytes),
            .evidence = frame->body,
        };
        status = message_vouch_ask_encode(plain, &ask);
    }
    pthread_mutex_unlock(&worker->lock);
    return status;
}

enum status worker_attest_receive_vouch(struct worker *worker, const struct message_vouch *message)
{
    struct vouch vouch;
    enum status status = STATUS_OK;
    if (vouch_decode(&vouch, message->vouch) != STATUS_OK) {
        return STATUS_OK;
    }
    pthread_mutex_lock(&worker->lock);
    struct worker_attest *attest = under_way(worker, ATTEST_LEADER, message->request);
    if (attest != NULL) {
        status = finish(worker, attest, &vouch);
    }
    pthread_mutex_unlock(&worker->lock);
    return status;
}

enum status worker_attest_tick(struct worker *worker, uint64_t now_us, uint64_t *wake_us,
                               bool *has_news)
{
    enum status status = STATUS_OK;
    uint8_t report_data[HASH512_BYTES];
    uint32_t request = 0;
    *wake_us = UINT64_MAX;
    pthread_mutex_lock(&worker->lock);
    struct worker_attest *first = worker->attests;
    if (first != NULL && first->state == ATTEST_LEADER && now_us >= first->leader_us) {
        status = finish(worker, first, NULL);
        *has_news = true;
        first = worker->attests;
    }
    if (first != NULL && first->state == ATTEST_WAITS) {
        first->state = ATTEST_HOST;
        first->request = request = ++worker->attest_request;
        memcpy(report_data, first->report_data, sizeof report_data);
    } else if (first != NULL && first->state == ATTEST_LEADER) {
        *wake_us = first->leader_us;
    }
    pthread_mutex_unlock(&worker->lock);
    if (status == STATUS_OK && request != 0) {
        status = enclave_ask_evidence(worker->enclave, request, report_data);
    }
    return status;
}
