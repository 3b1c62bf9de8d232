#include "host/depot.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "store/disk.h"
#include "store/server.h"

enum { KEPT_BYTES = 8 << 20 };  // of a queue's memory, once it is empty

/*
 * A queue is one run of memory: for each item this, and its bytes. The two sides swap whole
 * queues, so that under the lock there is nothing but a copy to the end.
 */
enum item_kind { ITEM_FRAME, ITEM_BROADCAST, ITEM_LOG, ITEM_FAILED };

struct item {
    enum item_kind kind;
    uint64_t client;  // of ITEM_FRAME
    size_t length;
};

struct depot {
    struct depot_events events;
    const struct log *log;
    struct log store_log;
    struct disk_posix *posix;
    struct disk disk;
    struct store *store;
    struct server *server;
    uv_async_t wake_loop;
    pthread_t thread;

    pthread_mutex_t lock;     // for all below
    pthread_cond_t has_work;  // something came in, or is_closing
    pthread_cond_t has_room;  // the loop took what came out, or is_closing
    struct buffer in;
    struct buffer out;
    bool is_closing;
    bool has_failed;
    struct store_counters counters;

    struct buffer taken_in;   // the thread's
    struct buffer taken_out;  // the loop's
};

static bool item_append(struct buffer *queue, enum item_kind kind, uint64_t client,
                        struct bytes bytes)
{
    struct item item = {.kind = kind, .client = client, .length = bytes.length};
    if (buffer_reserve(queue, sizeof item + bytes.length) != STATUS_OK) {
        return false;
    }
    return buffer_append(queue, &item, sizeof item) == STATUS_OK &&
           buffer_append(queue, bytes.at, bytes.length) == STATUS_OK;
}

/* Take the item at `*at` and move behind it. False at the end. */
static bool item_next(const struct buffer *queue, size_t *at, struct item *item,
                      struct bytes *bytes)
{
    if (*at == queue->length) {
        return false;
    }
    memcpy(item, queue->bytes + *at, sizeof *item);
    *bytes = bytes_of(queue->bytes + *at + sizeof *item, item->length);
    *at += sizeof *item + item->length;
    return true;
}

static void swap(struct buffer *a, struct buffer *b)
{
    struct buffer kept = *a;
    *a = *b;
    *b = kept;
}

// ---- the store's thread ----

/* Give the loop something; wait for it when it has too much already. */
static void emit(struct depot *depot, enum item_kind kind, uint64_t client, struct bytes bytes)
{
    pthread_mutex_lock(&depot->lock);
    while (depot->out.length > DEPOT_OUT_BYTES_MAX && !depot->is_closing) {
        pthread_cond_wait(&depot->has_room, &depot->lock);
    }
    bool is_first = depot->out.length == 0;
    if (!depot->is_closing || kind == ITEM_LOG) {
        // Without memory it is lost, as any frame may be.
        (void)item_append(&depot->out, kind, client, bytes);
    }
    pthread_mutex_unlock(&depot->lock);
    if (is_first) {
        uv_async_send(&depot->wake_loop);
    }
}

static void on_send(void *context, uint64_t client, struct bytes frame)
{
    emit(context, ITEM_FRAME, client, frame);
}

static void on_broadcast(void *context, struct bytes frame)
{
    emit(context, ITEM_BROADCAST, 0, frame);
}

static void on_line(void *context, const char *text)
{
    emit(context, ITEM_LOG, 0, bytes_of(text, strlen(text) + 1));
}

/* Everything that was taken, and one commit. */
static enum status serve_taken(struct depot *depot)
{
    struct item item;
    struct bytes frame;
    size_t at = 0;
    while (item_next(&depot->taken_in, &at, &item, &frame)) {
        if (server_receive(depot->server, item.client, frame) == STATUS_IO) {
            return STATUS_IO;
        }
    }
    enum status status = server_commit(depot->server);
    return status == STATUS_IO ? status : STATUS_OK;
}

/* False when there is nothing and never will be. */
static bool take_in(struct depot *depot)
{
    pthread_mutex_lock(&depot->lock);
    while (depot->in.length == 0 && !depot->is_closing) {
        pthread_cond_wait(&depot->has_work, &depot->lock);
    }
    swap(&depot->in, &depot->taken_in);
    bool has_work = depot->taken_in.length > 0;
    pthread_mutex_unlock(&depot->lock);
    return has_work;
}

static void *run(void *context)
{
    struct depot *depot = context;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && take_in(depot)) {
        status = serve_taken(depot);
        buffer_recycle(&depot->taken_in, KEPT_BYTES);
        pthread_mutex_lock(&depot->lock);
        store_count(depot->store, &depot->counters);
        depot->has_failed = status != STATUS_OK;
        pthread_mutex_unlock(&depot->lock);
    }
    if (status != STATUS_OK) {
        emit(depot, ITEM_FAILED, 0, bytes_of(NULL, 0));
    }
    return NULL;
}

// ---- the loop's thread ----

static void deliver(struct depot *depot)
{
    pthread_mutex_lock(&depot->lock);
    swap(&depot->out, &depot->taken_out);
    pthread_cond_signal(&depot->has_room);
    pthread_mutex_unlock(&depot->lock);

    struct item item;
    struct bytes bytes;
    size_t at = 0;
    while (item_next(&depot->taken_out, &at, &item, &bytes)) {
        switch (item.kind) {
        case ITEM_FRAME:
            depot->events.answer(depot->events.context, item.client, bytes);
            break;
        case ITEM_BROADCAST:
            depot->events.broadcast(depot->events.context, bytes);
            break;
        case ITEM_LOG:
            log_event(depot->log, "%s", (const char *)bytes.at);
            break;
        case ITEM_FAILED:
            depot->events.failed(depot->events.context, STATUS_IO);
            break;
        }
    }
    buffer_recycle(&depot->taken_out, KEPT_BYTES);
}

static void on_wake(uv_async_t *async)
{
    deliver(async->data);
}

enum status depot_put(struct depot *depot, uint64_t client, struct bytes frame)
{
    pthread_mutex_lock(&depot->lock);
    bool is_first = depot->in.length == 0;
    bool is_taken = !depot->has_failed && !depot->is_closing &&
                    depot->in.length + sizeof(struct item) + frame.length <= DEPOT_IN_BYTES_MAX &&
                    item_append(&depot->in, ITEM_FRAME, client, frame);
    pthread_mutex_unlock(&depot->lock);
    if (is_taken && is_first) {
        pthread_cond_signal(&depot->has_work);
    }
    return is_taken ? STATUS_OK : STATUS_FULL;
}

void depot_count(struct depot *depot, struct store_counters *counters)
{
    pthread_mutex_lock(&depot->lock);
    *counters = depot->counters;
    pthread_mutex_unlock(&depot->lock);
}

static void depot_free(uv_handle_t *handle)
{
    struct depot *depot = handle->data;
    pthread_cond_destroy(&depot->has_room);
    pthread_cond_destroy(&depot->has_work);
    pthread_mutex_destroy(&depot->lock);
    buffer_release(&depot->in);
    buffer_release(&depot->out);
    buffer_release(&depot->taken_in);
    buffer_release(&depot->taken_out);
    free(depot);
}

/* What the store said, also about why it did not open; then all of it goes. */
static void depot_end(struct depot *depot)
{
    depot->events = (struct depot_events){.context = NULL};
    server_free(depot->server);
    store_close(depot->store);
    disk_posix_close(depot->posix);

    struct item item;
    struct bytes bytes;
    size_t at = 0;
    while (item_next(&depot->out, &at, &item, &bytes)) {
        if (item.kind == ITEM_LOG) {
            log_event(depot->log, "%s", (const char *)bytes.at);
        }
    }
    uv_close((uv_handle_t *)&depot->wake_loop, depot_free);
}

enum status depot_open(struct depot **made, const struct depot_config *config)
{
    *made = NULL;
    struct depot *depot = calloc(1, sizeof *depot);
    if (depot == NULL) {
        return STATUS_NO_MEMORY;
    }
    depot->events = config->events;
    depot->log = config->log;
    depot->store_log = (struct log){.line = on_line, .context = depot};
    pthread_mutex_init(&depot->lock, NULL);
    pthread_cond_init(&depot->has_work, NULL);
    pthread_cond_init(&depot->has_room, NULL);
    CHECK(uv_async_init(config->loop, &depot->wake_loop, on_wake) == 0);
    depot->wake_loop.data = depot;

    const struct server_output output = {
        .send = on_send, .broadcast = on_broadcast, .context = depot};
    enum status status = disk_posix_open(&depot->posix, &depot->disk, config->directory);
    if (status == STATUS_OK) {
        const struct store_config store = {
            .disk = &depot->disk,
            .genesis = config->genesis,
            .key = config->key,
            .log = &depot->store_log,
        };
        status = store_open(&depot->store, &store);
    }
    if (status == STATUS_OK) {
        store_count(depot->store, &depot->counters);
        status = server_new(&depot->server, depot->store, &output);
    }
    if (status == STATUS_OK && pthread_create(&depot->thread, NULL, run, depot) != 0) {
        status = STATUS_NO_MEMORY;
    }
    if (status != STATUS_OK) {
        depot_end(depot);
        return status;
    }
    *made = depot;
    return STATUS_OK;
}

void depot_close(struct depot *depot)
{
    if (depot == NULL) {
        return;
    }
    pthread_mutex_lock(&depot->lock);
    depot->is_closing = true;
    pthread_cond_broadcast(&depot->has_work);
    pthread_cond_broadcast(&depot->has_room);
    pthread_mutex_unlock(&depot->lock);
    pthread_join(depot->thread, NULL);
    depot_end(depot);
}
