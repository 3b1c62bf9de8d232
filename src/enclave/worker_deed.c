/* src/enclave/worker_deed.c */
#include <string.h>

#include "base/base64.h"
#include "capsule/deed.h"
#include "enclave/worker_internal.h"

/*
 * Receipts for people: what an invocation was asked, answered and wrote, under this worker's own
 * key (capsule/deed.h).
 */

void worker_deed_note_sealed(struct worker *worker, const struct record *record)
{
    worker->sealed[record->sequence % WORKER_SEALED_MAX] =
        (struct head){.sequence = record->sequence, .hash = record->hash};
}

void worker_deed_note_written(struct worker_task *task, uint64_t sequence)
{
    struct worker_ran *ran = &task->ran;
    if (sequence == 0) {
        return;
    }
    uint32_t place = ran->written_count;
    while (place > 0 && ran->written[place - 1] > sequence) {
        place--;
    }
    if (place > 0 && ran->written[place - 1] == sequence) {
        return;
    }
    if (ran->written_count == DEED_WRITTEN_MAX) {
        ran->has_more = true;
        return;
    }
    memmove(&ran->written[place + 1], &ran->written[place],
            (ran->written_count - place) * sizeof ran->written[0]);
    ran->written[place] = sequence;
    ran->written_count++;
}

bool worker_deed_is_wanted(const struct worker_task *task)
{
    struct bytes wish;
    return task->route.action == ROUTE_FUNCTION &&
           http_find(task->http, "x-paranoid-receipt", &wish) && bytes_equal(wish, bytes_text("1"));
}

/*
 * With the lock. A record so old that its hash is no longer at hand goes unnamed, and is said to.
 */
static void name_written(struct deed *deed, const struct worker *worker,
                         const struct worker_ran *ran)
{
    deed->has_more_written = ran->has_more;
    for (uint32_t i = 0; i < ran->written_count; i++) {
        const struct head *sealed = &worker->sealed[ran->written[i] % WORKER_SEALED_MAX];
        if (sealed->sequence == ran->written[i]) {
            deed->written[deed->written_count++] = *sealed;
        } else {
            deed->has_more_written = true;
        }
    }
}

/* A branch as far as it was here: its head stands for all that precedes it. */
static void add_read(struct deed *deed, const struct capsule_member *member, uint64_t sequence)
{
    if (deed->read_count == DEED_READ_MAX || member == NULL || member->head.sequence < sequence) {
        deed->has_more_read = true;
        return;
    }
    deed->read[deed->read_count++] =
        (struct deed_read){.writer = member->id, .sequence = sequence, .head = member->head};
}

/* With the lock. Of the own branch, what others wrote here before. */
static void name_read(struct deed *deed, const struct worker *worker,
                      const struct dependency *dependency, const struct worker_ran *ran)
{
    const struct capsule *capsule = scl_capsule(worker->scl);
    const uint64_t written = ran->written_count == 0 ? 0 : ran->written[ran->written_count - 1];
    deed->has_more_read = dependency->has_overflowed;
    for (uint32_t i = 0; i < dependency->count; i++) {
        add_read(deed, capsule_member_at(capsule, dependency->items[i].member),
                 dependency->items[i].sequence);
    }
    if (dependency->own_sequence > written) {
        add_read(deed, capsule_member_find(capsule, &worker->enclave->id),
                 dependency->own_sequence);
    }
}

/* With the lock. */
static void name_worker(struct deed *deed, const struct worker *worker)
{
    const struct capsule *capsule = scl_capsule(worker->scl);
    const struct capsule_member *self = capsule_member_find(capsule, &worker->enclave->id);
    const struct capsule_sync *sync = capsule_joined_sync(capsule);
    deed->capsule = *capsule_name(capsule);
    deed->worker = worker->enclave->public_key;
    deed->evidence = self == NULL ? (struct hash){{0}} : self->evidence_hash;
    if (sync != NULL) {
        deed->sync_epoch = sync->epoch;
        deed->sync_time_ms = sync->time_ms;
        deed->sync = sync->hash;
    }
}

enum status worker_deed_make(struct worker *worker, const struct worker_task *task,
                             struct bytes output, struct buffer *text)
{
    const struct http_request *http = task->http;
    struct buffer bytes = BUFFER_EMPTY;
    struct deed deed = {
        .function_version = task->ran.version,
        .code = task->ran.code,
        .target = deed_target(bytes_text(http_method_text(http->method)), http->path, http->query),
        .input = hash_of(http->body.at, http->body.length),
        .output = hash_of(output.at, output.length),
        .status = (uint16_t)task->status,
    };
    memcpy(deed.name, task->route.name.at, task->route.name.length);
    pthread_mutex_lock(&worker->lock);
    name_worker(&deed, worker);
    name_written(&deed, worker, &task->ran);
    name_read(&deed, worker, &task->dependency, &task->ran);
    pthread_mutex_unlock(&worker->lock);
    enum status status = deed_encode(&bytes, &deed, worker->enclave->key);
    if (status == STATUS_OK) {
        status = base64_encode(text, buffer_bytes(&bytes));
    }
    buffer_release(&bytes);
    return status;
}
