/* src/enclave/worker_lock.c */
#include <string.h>

#include "enclave/worker_internal.h"

/*
 * A thread that holds locks writes into the one taken last, and reads through all of them. Names
 * of locks and what is asked of the leader are sealed by the opener, whom this wakes.
 */

static struct worker_lock *find_hold(struct worker_kv *kv, uint32_t hold)
{
    for (size_t i = 0; i < kv->lock_count; i++) {
        if (kv->locks[i].hold == hold) {
            return &kv->locks[i];
        }
    }
    return NULL;
}

/* Forget the hold. What was not sealed was never written. */
static void drop(struct worker_kv *kv, struct worker_lock *held)
{
    struct worker *worker = kv->worker;
    pthread_mutex_lock(&worker->lock);
    scl_lock_drop(worker->scl, &held->lock);
    pthread_mutex_unlock(&worker->lock);
    port_wake(&worker->enclave->wall.data);
    buffer_release(&held->name);
    overlay_release(&held->written);
    size_t after = kv->lock_count - 1 - (size_t)(held - kv->locks);
    memmove(held, held + 1, after * sizeof *held);
    kv->lock_count--;
}

/* With the lock. */
static enum status wait_for_grant(struct worker *worker, struct scl_lock *lock)
{
    uint64_t due_us = enclave_now_us() + WORKER_LOCK_US;
    enum status status;
    while ((status = scl_lock_poll(worker->scl, lock)) == STATUS_GAP) {
        if (!worker_wait(&worker->changed, &worker->lock, due_us)) {
            return STATUS_TIMEOUT;
        }
    }
    return status;
}

enum status worker_lock_take(struct worker_kv *kv, const char *prefix, struct bytes name,
                             uint32_t *hold)
{
    struct worker *worker = kv->worker;
    if (kv->lock_count == WORKER_LOCKS_MAX) {
        return STATUS_FULL;
    }
    struct worker_lock *held = &kv->locks[kv->lock_count];
    *held = (struct worker_lock){.hold = ++kv->hold};
    enum status status = buffer_append(&held->name, prefix, strlen(prefix));
    if (status == STATUS_OK) {
        status = buffer_append(&held->name, name.at, name.length);
    }
    for (size_t i = 0; i < kv->lock_count && status == STATUS_OK; i++) {
        bool is_held = bytes_equal(buffer_bytes(&kv->locks[i].name), buffer_bytes(&held->name));
        status = is_held ? STATUS_STALE : STATUS_OK;
    }
    if (status != STATUS_OK) {
        buffer_release(&held->name);
        return status;
    }
    kv->lock_count++;
    pthread_mutex_lock(&worker->lock);
    status = scl_lock_new(worker->scl, buffer_bytes(&held->name), &held->lock);
    if (status == STATUS_OK) {
        port_wake(&worker->enclave->wall.data);
        status = wait_for_grant(worker, held->lock);
    }
    pthread_mutex_unlock(&worker->lock);
    if (status != STATUS_OK) {
        drop(kv, held);
        return status;
    }
    *hold = held->hold;
    return STATUS_OK;
}

enum status worker_lock_release(struct worker_kv *kv, uint32_t hold,
                                const struct dependency *dependency)
{
    struct worker *worker = kv->worker;
    struct worker_lock *held = find_hold(kv, hold);
    if (held == NULL) {
        return STATUS_CLOSED;
    }
    uint64_t due_us = enclave_now_us() + WORKER_DURABLE_US;
    enum status status;
    pthread_mutex_lock(&worker->lock);
    scl_lock_seal(held->lock, &held->written, dependency);
    pthread_cond_signal(&worker->work);
    port_wake(&worker->enclave->wall.data);
    while ((status = scl_lock_fate(held->lock)) == STATUS_GAP) {
        if (!worker_wait(&worker->changed, &worker->lock, due_us)) {
            status = STATUS_TIMEOUT;
            break;
        }
    }
    kv->lock_sequence = status == STATUS_OK ? scl_lock_sequence(held->lock) : 0;
    pthread_mutex_unlock(&worker->lock);
    drop(kv, held);
    return status;
}

void worker_lock_abandon(struct worker_kv *kv, uint32_t hold)
{
    struct worker_lock *held = find_hold(kv, hold);
    if (held != NULL) {
        drop(kv, held);
    }
}

void worker_lock_abandon_all(struct worker_kv *kv)
{
    while (kv->lock_count > 0) {
        drop(kv, &kv->locks[kv->lock_count - 1]);
    }
}

const struct overlay_entry *worker_lock_find(const struct worker_kv *kv, struct bytes key)
{
    for (size_t i = kv->lock_count; i > 0; i--) {
        const struct overlay_entry *entry = overlay_find(&kv->locks[i - 1].written, key);
        if (entry != NULL) {
            return entry;
        }
    }
    return NULL;
}

const struct overlay_entry *worker_lock_seek(const struct worker_kv *kv, struct bytes from,
                                             bool is_after)
{
    const struct overlay_entry *first = NULL;
    for (size_t i = 0; i < kv->lock_count; i++) {
        const struct overlay_entry *entry = overlay_seek(&kv->locks[i].written, from, is_after);
        // Of two with one key the later lock's is seen.
        if (entry != NULL && (first == NULL || overlay_compare(buffer_bytes(&entry->key),
                                                               buffer_bytes(&first->key)) <= 0)) {
            first = entry;
        }
    }
    return first;
}
