/* src/cli/notary.c */
#include "cli/notary.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"

enum {
    NOTARY_THREADS_MAX = 16,
    NOTARY_BATCH = 64,    // signatures at a time: 3 ms of work for one wake-up
    NOTARY_BATCHES = 64,  // that wait or are worked on
};

struct job {
    struct record record;  // its hash and signature alone
    struct verify_key key;
    size_t index;
};

struct batch {
    struct job jobs[NOTARY_BATCH];
    size_t count;
};

struct notary {
    pthread_t threads[NOTARY_THREADS_MAX];
    size_t thread_count;    // that run
    struct batch *batches;  // a ring; the one at `pushed` is its caller's, being filled
    pthread_mutex_t lock;   // over what follows
    pthread_cond_t has_work;
    pthread_cond_t has_room;
    size_t pushed, taken;  // batches ever
    bool is_ending;
    _Atomic size_t refused;  // the least index
};

static void refuse(struct notary *notary, size_t index)
{
    size_t least = atomic_load(&notary->refused);
    while (index < least && !atomic_compare_exchange_weak(&notary->refused, &least, index)) {
        // `least` is now what another thread has found.
    }
}

static void verify_batch(struct notary *notary, const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct job *job = &batch->jobs[i];
        if (record_verify(&job->record, &job->key) != STATUS_OK) {
            refuse(notary, job->index);
        }
    }
}

/* A copy of the next batch, so that its place is free. False: there is none, and none will come. */
static bool take_batch(struct notary *notary, struct batch *batch)
{
    pthread_mutex_lock(&notary->lock);
    while (notary->taken == notary->pushed && !notary->is_ending) {
        pthread_cond_wait(&notary->has_work, &notary->lock);
    }
    bool is_taken = notary->taken < notary->pushed;
    if (is_taken) {
        *batch = notary->batches[notary->taken++ % NOTARY_BATCHES];
        pthread_cond_signal(&notary->has_room);
    }
    pthread_mutex_unlock(&notary->lock);
    return is_taken;
}

static void *work(void *context)
{
    struct notary *notary = context;
    struct batch batch;
    while (take_batch(notary, &batch)) {
        verify_batch(notary, &batch);
    }
    return NULL;
}

struct notary *notary_new(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct notary *notary = calloc(1, sizeof *notary);
    CHECK(notary != NULL);
    notary->batches = calloc(NOTARY_BATCHES, sizeof *notary->batches);
    CHECK(notary->batches != NULL);
    atomic_store(&notary->refused, SIZE_MAX);
    CHECK(pthread_mutex_init(&notary->lock, NULL) == 0);
    CHECK(pthread_cond_init(&notary->has_work, NULL) == 0);
    CHECK(pthread_cond_init(&notary->has_room, NULL) == 0);
    size_t wanted = processors < 1                    ? 1
                    : processors > NOTARY_THREADS_MAX ? NOTARY_THREADS_MAX
                                                      : (size_t)processors;
    while (notary->thread_count < wanted &&
           pthread_create(&notary->threads[notary->thread_count], NULL, work, notary) == 0) {
        notary->thread_count++;
    }
    return notary;
}

/* The batch that was being filled is whole; the next one is its caller's when it has room. */
static void push_batch(struct notary *notary)
{
    if (notary->thread_count == 0) {  // none could be started: it is done here
        verify_batch(notary, &notary->batches[0]);
        notary->batches[0].count = 0;
        return;
    }
    pthread_mutex_lock(&notary->lock);
    notary->pushed++;
    pthread_cond_signal(&notary->has_work);
    while (notary->pushed - notary->taken == NOTARY_BATCHES) {
        pthread_cond_wait(&notary->has_room, &notary->lock);
    }
    notary->batches[notary->pushed % NOTARY_BATCHES].count = 0;
    pthread_mutex_unlock(&notary->lock);
}

void notary_push(struct notary *notary, const struct record *record, const struct verify_key *key,
                 size_t index)
{
    CHECK(!notary->is_ending);
    struct batch *batch = &notary->batches[notary->pushed % NOTARY_BATCHES];
    batch->jobs[batch->count++] = (struct job){
        .record = {.hash = record->hash, .signature = record->signature},
        .key = *key,
        .index = index,
    };
    if (batch->count == NOTARY_BATCH) {
        push_batch(notary);
    }
}

bool notary_has_refused(struct notary *notary)
{
    return atomic_load(&notary->refused) != SIZE_MAX;
}

size_t notary_settle(struct notary *notary)
{
    if (!notary->is_ending) {
        push_batch(notary);
        pthread_mutex_lock(&notary->lock);
        notary->is_ending = true;
        pthread_cond_broadcast(&notary->has_work);
        pthread_mutex_unlock(&notary->lock);
        for (size_t i = 0; i < notary->thread_count; i++) {
            CHECK(pthread_join(notary->threads[i], NULL) == 0);
        }
    }
    return atomic_load(&notary->refused);
}

void notary_free(struct notary *notary)
{
    if (notary == NULL) {
        return;
    }
    (void)notary_settle(notary);
    pthread_cond_destroy(&notary->has_room);
    pthread_cond_destroy(&notary->has_work);
    pthread_mutex_destroy(&notary->lock);
    free(notary->batches);
    free(notary);
}
