/* tests/scl/actors_test.c */

/*
 * Goal: the actors of a worker share one scl under one lock as its header says: sealing, opening
 * and reading go on beside each other, and nothing is lost.
 * Method: real threads with the locking of the enclave's (worker_open.c, worker_seal.c,
 * worker_kv.c) and without its JavaScript: an opener that is given the records of a
 * capsule_world, a sealer whose records a store signs for at once, and clients that put, read
 * and wait for receipts. Under ThreadSanitizer this is what finds a race.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/check.h"
#include "scl/scl.h"
#include "tests/support/capsule_world.h"

enum { CLIENT_COUNT = 2, PUT_COUNT = 2000, OTHER_COUNT = 1500, SYNC_EVERY = 50 };

struct actors {
    struct capsule_world world;
    struct capsule_world_writer *own, *other;
    struct scl *scl;
    struct log log;
    pthread_mutex_t lock;    // around the scl
    pthread_cond_t work;     // the sealer waits
    pthread_cond_t changed;  // clients wait
    atomic_bool must_end;
    atomic_size_t lost_count;  // own writes that were not read back
};

static void drop_line(void *context, const char *text)
{
    (void)context;
    (void)text;
}

static void ignore_function(void *context, struct bytes body)
{
    (void)context;
    (void)body;
}

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void wait_a_moment(pthread_cond_t *condition, pthread_mutex_t *lock)
{
    struct timespec due;
    clock_gettime(CLOCK_REALTIME, &due);
    due.tv_nsec += 2 * 1000 * 1000;
    due.tv_sec += due.tv_nsec / 1000000000;
    due.tv_nsec %= 1000000000;
    (void)pthread_cond_timedwait(condition, lock, &due);
}

/* Answers what is asked for with the end of the log; the rest is not needed here. */
static void take_output(struct actors *actors)
{
    struct buffer bytes = BUFFER_EMPTY;
    struct frame frame;
    enum status status = STATUS_OK;
    while (status == STATUS_OK) {
        pthread_mutex_lock(&actors->lock);
        buffer_clear(&bytes);
        status = scl_output(actors->scl, &bytes);
        pthread_mutex_unlock(&actors->lock);
        if (status == STATUS_OK && frame_decode(&frame, buffer_bytes(&bytes)) == STATUS_OK &&
            frame.kind == FRAME_FETCH) {
            struct buffer body = BUFFER_EMPTY;
            const struct frame_fetched fetched = {.next = actors->world.record_count + 1,
                                                  .is_end = 1};
            CHECK(frame_fetched_encode(&body, &fetched) == STATUS_OK);
            pthread_mutex_lock(&actors->lock);
            const struct frame answer = {
                .kind = FRAME_FETCHED, .request = frame.request, .body = buffer_bytes(&body)};
            status = scl_receive_frame(actors->scl, &answer);
            pthread_mutex_unlock(&actors->lock);
            buffer_release(&body);
            status = status == STATUS_STALE ? STATUS_OK : status;
        }
    }
    buffer_release(&bytes);
}

/* ---- the opener ---- */

static void open_all(struct actors *actors, struct scl_open_job *job)
{
    pthread_mutex_lock(&actors->lock);
    while (scl_open_begin(actors->scl, job) == STATUS_OK) {
        pthread_mutex_unlock(&actors->lock);
        scl_open_run(job);
        pthread_mutex_lock(&actors->lock);
        CHECK(scl_open_finish(actors->scl, job, now_us()) == STATUS_OK);
    }
    (void)scl_tick(actors->scl, now_us());
    pthread_cond_broadcast(&actors->changed);
    pthread_cond_signal(&actors->work);
    pthread_mutex_unlock(&actors->lock);
}

static void *opener_run(void *context)
{
    struct actors *actors = context;
    struct scl_open_job *job = calloc(1, sizeof *job);
    CHECK(job != NULL);
    for (size_t i = 0; i < actors->world.record_count; i++) {
        struct record record;
        // Pairs change places: every second one has to be held back.
        size_t turned = i ^ 1;
        size_t index = turned < actors->world.record_count ? turned : i;
        struct bytes bytes = capsule_world_record(&actors->world, index);
        CHECK(record_decode(&record, bytes.at, bytes.length) == STATUS_OK);
        pthread_mutex_lock(&actors->lock);
        enum status status = scl_receive(actors->scl, &record);
        pthread_mutex_unlock(&actors->lock);
        CHECK(status == STATUS_OK || status == STATUS_STALE);
        open_all(actors, job);
        take_output(actors);
    }
    while (!atomic_load(&actors->must_end)) {
        open_all(actors, job);
        take_output(actors);
        pthread_mutex_lock(&actors->lock);
        wait_a_moment(&actors->work, &actors->lock);
        pthread_mutex_unlock(&actors->lock);
    }
    scl_open_release(job);
    free(job);
    return NULL;
}

/* ---- the sealer, and the store that signs for what it wrote ---- */

static void sign_for(struct actors *actors, const struct record *record)
{
    struct buffer bytes = BUFFER_EMPTY;
    const struct branch_head head = {.writer = record->writer,
                                     .head = {.sequence = record->sequence, .hash = record->hash}};
    CHECK(receipt_encode(&bytes, RECEIPT_DURABLE, &actors->world.name, 1, &head, 1,
                         actors->world.store_keys[0]) == STATUS_OK);
    pthread_mutex_lock(&actors->lock);
    const struct frame receipt = {.kind = FRAME_RECEIPT, .body = buffer_bytes(&bytes)};
    CHECK(scl_receive_frame(actors->scl, &receipt) == STATUS_OK);
    pthread_cond_broadcast(&actors->changed);
    pthread_mutex_unlock(&actors->lock);
    buffer_release(&bytes);
}

static void seal_one(struct actors *actors, struct scl_seal_job *job)
{
    struct bytes frame;
    struct record record;
    pthread_mutex_unlock(&actors->lock);
    scl_seal_run(actors->scl, job);
    pthread_mutex_lock(&actors->lock);
    CHECK(scl_seal_finish(actors->scl, job, now_us(), &frame) == STATUS_OK);
    pthread_mutex_unlock(&actors->lock);
    // Borrowed until this thread seals again: it is read without the lock.
    CHECK(record_decode(&record, frame.at + FRAME_HEADER_BYTES,
                        frame.length - FRAME_HEADER_BYTES) == STATUS_OK);
    sign_for(actors, &record);
    take_output(actors);
    pthread_mutex_lock(&actors->lock);
}

static void *sealer_run(void *context)
{
    struct actors *actors = context;
    struct scl_seal_job job = {0};
    pthread_mutex_lock(&actors->lock);
    while (!atomic_load(&actors->must_end)) {
        uint64_t until_us;
        enum status status = scl_seal_begin(actors->scl, &job, now_us(), &until_us);
        if (status == STATUS_OK) {
            seal_one(actors, &job);
        } else {
            CHECK(status == STATUS_EMPTY || status == STATUS_FULL);
            wait_a_moment(&actors->work, &actors->lock);
        }
    }
    pthread_mutex_unlock(&actors->lock);
    scl_seal_release(&job);
    return NULL;
}

/* ---- clients ---- */

struct client {
    struct actors *actors;
    unsigned number;
    pthread_t thread;
};

static struct dependency put(struct actors *actors, const char *key, const char *value)
{
    struct dependency dependency = {0};
    const struct tuple tuple = {.kind = TUPLE_PUT,
                                .expiry_ms = scl_time_ms(actors->scl) + 1000000,
                                .key = bytes_text(key),
                                .value = bytes_text(value)};
    enum status status;
    pthread_mutex_lock(&actors->lock);
    while ((status = scl_put(actors->scl, &tuple, &dependency)) != STATUS_OK) {
        CHECK(status == STATUS_FULL || status == STATUS_CLOSED);  // not admitted yet, or no room
        wait_a_moment(&actors->changed, &actors->lock);
    }
    pthread_cond_signal(&actors->work);
    pthread_mutex_unlock(&actors->lock);
    return dependency;
}

/* Whether the key has this value; without the lock. */
static bool reads(struct actors *actors, struct memtable_reader *reader, const char *key,
                  const char *value, struct dependency *dependency)
{
    struct memtable_entry entry;
    memtable_reader_begin(reader);
    bool is_right = memtable_get(reader, bytes_text(key), &entry) == STATUS_OK &&
                    bytes_equal(entry.value, bytes_text(value));
    if (is_right) {
        scl_depend(actors->scl, dependency, &entry.version);
    }
    memtable_reader_end(reader);
    return is_right;
}

static void wait_durable(struct actors *actors, const struct dependency *dependency)
{
    pthread_mutex_lock(&actors->lock);
    while (!scl_is_durable(actors->scl, dependency)) {
        wait_a_moment(&actors->changed, &actors->lock);
    }
    pthread_mutex_unlock(&actors->lock);
}

static void *client_run(void *context)
{
    const struct client *client = context;
    struct actors *actors = client->actors;
    struct memtable_reader *reader;
    CHECK(memtable_reader_new(&reader, scl_memtable(actors->scl)) == STATUS_OK);
    for (unsigned i = 0; i < PUT_COUNT; i++) {
        char key[32], value[32];
        struct memtable_entry entry;
        snprintf(key, sizeof key, "own-%u-%u", client->number, i % 20);
        snprintf(value, sizeof value, "%u", i);
        struct dependency dependency = put(actors, key, value);
        if (!reads(actors, reader, key, value, &dependency)) {
            atomic_fetch_add(&actors->lost_count, 1);
        }
        memtable_reader_begin(reader);
        bool is_found = memtable_seek(reader, bytes_text("own"), i % 2 == 0, &entry) == STATUS_OK;
        memtable_reader_end(reader);
        if (!is_found) {
            atomic_fetch_add(&actors->lost_count, 1);
        }
        if (i % 10 == 0) {
            wait_durable(actors, &dependency);
        }
    }
    memtable_reader_free(reader);
    return NULL;
}

/* ---- the test ---- */

static void make_world(struct actors *actors)
{
    capsule_world_init(&actors->world, 5, 1, 1, 0);
    capsule_world_start(&actors->world);
    actors->own = capsule_world_admit(&actors->world, MEMBER_WORKER);
    actors->other = capsule_world_admit(&actors->world, MEMBER_WORKER);
    for (unsigned i = 0; i < OTHER_COUNT; i++) {
        char key[32];
        snprintf(key, sizeof key, "other-%u", i % 30);
        capsule_world_put(&actors->world, actors->other, key, key);
        if (i % SYNC_EVERY == SYNC_EVERY - 1) {
            capsule_world_eoe(&actors->world, actors->other);
            capsule_world_sync(&actors->world);
        }
    }
}

static void start_scl(struct actors *actors)
{
    actors->log = (struct log){.line = drop_line};
    const struct scl_config config = {
        .genesis = buffer_bytes(&actors->world.genesis_body),
        .key = actors->own->key,
        .log = &actors->log,
        .on_function = ignore_function,
    };
    assert_int_equal(scl_new(&actors->scl, &config), STATUS_OK);
    assert_int_equal(scl_add_key(actors->scl, 1, secret_bytes(actors->world.data_key)), STATUS_OK);
    pthread_mutex_init(&actors->lock, NULL);
    pthread_cond_init(&actors->work, NULL);
    pthread_cond_init(&actors->changed, NULL);
}

static bool has_all(struct actors *actors)
{
    struct scl_counters counters;
    pthread_mutex_lock(&actors->lock);
    scl_count(actors->scl, &counters);
    pthread_mutex_unlock(&actors->lock);
    return counters.records_applied == actors->world.record_count;
}

static void p5_actors_beside_each_other_lose_nothing(void **state)
{
    (void)state;
    static struct actors actors;
    struct client clients[CLIENT_COUNT];
    pthread_t opener, sealer;
    make_world(&actors);
    start_scl(&actors);
    CHECK(pthread_create(&opener, NULL, opener_run, &actors) == 0);
    CHECK(pthread_create(&sealer, NULL, sealer_run, &actors) == 0);
    for (unsigned i = 0; i < CLIENT_COUNT; i++) {
        clients[i] = (struct client){.actors = &actors, .number = i};
        CHECK(pthread_create(&clients[i].thread, NULL, client_run, &clients[i]) == 0);
    }
    for (unsigned i = 0; i < CLIENT_COUNT; i++) {
        pthread_join(clients[i].thread, NULL);
    }
    while (!has_all(&actors)) {
        pthread_mutex_lock(&actors.lock);
        wait_a_moment(&actors.changed, &actors.lock);
        pthread_mutex_unlock(&actors.lock);
    }
    atomic_store(&actors.must_end, true);
    pthread_join(opener, NULL);
    pthread_join(sealer, NULL);

    assert_int_equal(atomic_load(&actors.lost_count), 0);
    struct scl_counters counters;
    scl_count(actors.scl, &counters);
    assert_int_equal(counters.tuples_put, CLIENT_COUNT * PUT_COUNT);
    assert_int_equal(counters.records_refused, 0);
    scl_free(actors.scl);
    capsule_world_release(&actors.world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p5_actors_beside_each_other_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
