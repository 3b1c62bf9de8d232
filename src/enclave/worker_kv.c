/* src/enclave/worker_kv.c */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "enclave/worker_internal.h"

/* The state as functions and HTTP see it: reads go to memtable and tables without a lock. */

/* Whether an entry is there for a reader: what has expired is not. */
static bool is_live(const struct worker_kv *kv, const struct memtable_entry *entry)
{
    bool is_expired = entry->expiry_ms != 0 && entry->expiry_ms <= scl_time_ms(kv->worker->scl);
    return !entry->is_tombstone && !is_expired;
}

/*
 * Until when something is waited for. An invocation waits no longer than it may last: the engine
 * cannot stop it meanwhile, and the watchdog would stop the worker.
 */
static uint64_t due_of(const struct worker_kv *kv, uint64_t wait_us)
{
    uint64_t due_us = enclave_now_us() + wait_us;
    return kv->due_us != 0 && kv->due_us < due_us ? kv->due_us : due_us;
}

/* A block of a table is needed: the opener's thread sends what the scl has to say. */
static void ask_for(struct worker *worker, const struct block_ref *need)
{
    pthread_mutex_lock(&worker->lock);
    // Too many under way: it is asked for again after the next change.
    enum status asked = scl_cold_fetch(worker->scl, need, enclave_now_us());
    pthread_mutex_unlock(&worker->lock);
    (void)asked;
    enum status status = worker_flush(worker);
    if (status != STATUS_OK) {
        worker_end(worker, "the wall is broken", status);
    }
}

/* Blocks come, tables change. `seen`: worker->changes before the look that missed something. */
static void await_change(struct worker *worker, uint64_t seen, uint64_t due_us)
{
    pthread_mutex_lock(&worker->lock);
    while (atomic_load(&worker->changes) == seen &&
           worker_wait(&worker->changed, &worker->lock, due_us)) {}
    pthread_mutex_unlock(&worker->lock);
}

/*
 * What is in the map, whatever this thread has written under locks. STATUS_GAP: a block was asked
 * for; nobody waited for it. What tables say is kept, so that the next one finds it in the
 * memtable.
 */
static enum status try_get(struct worker_kv *kv, struct bytes key, struct dependency *dependency,
                           struct buffer *value, struct memtable_version *version)
{
    struct worker *worker = kv->worker;
    struct memtable_entry entry;
    struct block_ref need;
    enum status status = scl_reader_get(kv->reader, key, &entry, &need);
    if (status == STATUS_OK) {
        // That a key is gone is read from a record, too.
        scl_depend(worker->scl, dependency, &entry.version);
        *version = entry.version;
        if (entry.version.sequence == 0) {
            pthread_mutex_lock(&worker->lock);
            scl_cold_keep(worker->scl, &entry, scl_reader_floor(kv->reader));
            pthread_mutex_unlock(&worker->lock);
        }
        status = is_live(kv, &entry) ? buffer_append(value, entry.value.at, entry.value.length)
                                     : STATUS_NOT_FOUND;
    }
    scl_reader_end(kv->reader);
    if (status == STATUS_GAP) {
        ask_for(worker, &need);
    }
    return status;
}

/* The same, waiting for blocks. STATUS_TIMEOUT. */
static enum status get_from_map(struct worker_kv *kv, struct bytes key,
                                struct dependency *dependency, struct buffer *value,
                                struct memtable_version *version)
{
    struct worker *worker = kv->worker;
    uint64_t due_us = due_of(kv, WORKER_COLD_US);
    uint64_t seen = atomic_load(&worker->changes);
    enum status status;
    while ((status = try_get(kv, key, dependency, value, version)) == STATUS_GAP) {
        if (enclave_now_us() >= due_us) {
            return STATUS_TIMEOUT;
        }
        await_change(worker, seen, due_us);
        seen = atomic_load(&worker->changes);
    }
    return status;
}

static bool is_there(const struct worker_kv *kv, const struct overlay_entry *entry)
{
    bool is_expired = entry->expiry_ms != 0 && entry->expiry_ms <= scl_time_ms(kv->worker->scl);
    return entry->kind == TUPLE_PUT && !is_expired;
}

enum status worker_kv_get(struct worker_kv *kv, struct bytes key, struct dependency *dependency,
                          struct buffer *value)
{
    const struct overlay_entry *written = worker_lock_find(kv, key);
    struct memtable_version version;
    if (written == NULL) {
        return get_from_map(kv, key, dependency, value, &version);
    }
    return is_there(kv, written) ? buffer_append(value, written->value.bytes, written->value.length)
                                 : STATUS_NOT_FOUND;
}

struct tuple worker_kv_tuple(const struct worker_kv *kv, enum tuple_kind kind, struct bytes key,
                             struct bytes value, uint64_t ttl_ms)
{
    return (struct tuple){
        .kind = kind,
        .expiry_ms = ttl_ms == 0 ? 0 : scl_time_ms(kv->worker->scl) + ttl_ms,
        .key = key,
        .value = value,
    };
}

/* With the lock. STATUS_FULL: there may be room later. */
static enum status try_put(struct worker *worker, const struct tuple *tuple,
                           struct dependency *dependency)
{
    enum status status = scl_put(worker->scl, tuple, dependency);
    if (status == STATUS_FULL && scl_store_trouble(worker->scl) != STATUS_OK) {
        status = STATUS_NO_SPACE;
    }
    pthread_cond_signal(&worker->work);
    return status;
}

enum status worker_kv_put(struct worker_kv *kv, enum tuple_kind kind, struct bytes key,
                          struct bytes value, uint64_t ttl_ms, struct dependency *dependency)
{
    struct worker *worker = kv->worker;
    const struct tuple tuple = worker_kv_tuple(kv, kind, key, value, ttl_ms);
    if (kv->lock_count > 0) {
        return overlay_put(&kv->locks[kv->lock_count - 1].written, &tuple);
    }
    uint64_t due_us = due_of(kv, WORKER_DURABLE_US);
    enum status status;
    pthread_mutex_lock(&worker->lock);
    while ((status = try_put(worker, &tuple, dependency)) == STATUS_FULL &&
           worker_wait(&worker->changed, &worker->lock, due_us)) {}
    pthread_mutex_unlock(&worker->lock);
    return status;
}

/* The key after the last one visited begins the next page. */
static enum status leave_cursor(struct buffer *next, struct bytes key)
{
    return buffer_append(next, key.at, key.length);
}

/* One step of a list: the next key, of the map or of what was written under locks. */
struct list_step {
    uint8_t key[TUPLE_KEY_BYTES_MAX];
    size_t key_bytes;
    struct buffer value;
    bool is_visited;  // else it is deleted or has expired
};

static enum status step_set(struct list_step *step, struct bytes key, struct bytes value,
                            bool is_visited)
{
    memcpy(step->key, key.at, key.length);
    step->key_bytes = key.length;
    step->is_visited = is_visited;
    return is_visited ? buffer_append(&step->value, value.at, value.length) : STATUS_OK;
}

/*
 * In one section: a visitor may take its time. STATUS_NOT_FOUND: there is no more. STATUS_GAP: a
 * block was asked for.
 */
static enum status list_next(struct worker_kv *kv, struct bytes from, bool is_after,
                             struct dependency *dependency, struct list_step *step)
{
    struct memtable_entry entry;
    struct block_ref need;
    const struct overlay_entry *written = worker_lock_seek(kv, from, is_after);
    enum status status = scl_reader_seek(kv->reader, from, is_after, &entry, &need);
    bool is_written =
        written != NULL &&
        (status == STATUS_NOT_FOUND ||
         (status == STATUS_OK && overlay_compare(buffer_bytes(&written->key), entry.key) <= 0));
    if (is_written) {
        status = step_set(step, buffer_bytes(&written->key), buffer_bytes(&written->value),
                          is_there(kv, written));
    } else if (status == STATUS_OK) {
        scl_depend(kv->worker->scl, dependency, &entry.version);
        status = step_set(step, entry.key, entry.value, is_live(kv, &entry));
    }
    scl_reader_end(kv->reader);
    if (status == STATUS_GAP) {
        ask_for(kv->worker, &need);
    }
    return status;
}

/* STATUS_GAP: `due_us` has passed, and a block is still on its way. */
static enum status list_until(struct worker_kv *kv, struct bytes prefix, size_t limit,
                              struct bytes cursor, struct dependency *dependency,
                              lambda_visit *visit, void *visitor, struct buffer *next,
                              uint64_t due_us)
{
    uint8_t last[TUPLE_KEY_BYTES_MAX];
    struct bytes from = cursor.length > 0 ? cursor : prefix;
    bool is_after = false;
    size_t count = 0;
    while (true) {
        struct list_step step = {.value = BUFFER_EMPTY};
        uint64_t seen = atomic_load(&kv->worker->changes);
        enum status status = list_next(kv, from, is_after, dependency, &step);
        if (status == STATUS_GAP && enclave_now_us() < due_us) {
            await_change(kv->worker, seen, due_us);
            continue;
        }
        if (status == STATUS_OK && !bytes_start_with(bytes_of(step.key, step.key_bytes), prefix)) {
            status = STATUS_NOT_FOUND;
        }
        if (status != STATUS_OK) {
            buffer_release(&step.value);
            return status == STATUS_NOT_FOUND ? STATUS_OK : status;
        }
        memcpy(last, step.key, step.key_bytes);
        from = bytes_of(last, step.key_bytes);
        is_after = true;
        if (step.is_visited && count == limit) {
            buffer_release(&step.value);
            return leave_cursor(next, from);
        }
        if (step.is_visited) {
            visit(visitor, from, buffer_bytes(&step.value));
            count++;
        }
        buffer_release(&step.value);
    }
}

enum status worker_kv_list(struct worker_kv *kv, struct bytes prefix, size_t limit,
                           struct bytes cursor, struct dependency *dependency, lambda_visit *visit,
                           void *visitor, struct buffer *next)
{
    enum status status = list_until(kv, prefix, limit, cursor, dependency, visit, visitor, next,
                                    due_of(kv, WORKER_COLD_US));
    return status == STATUS_GAP ? STATUS_TIMEOUT : status;
}

enum status worker_kv_sync(struct worker_kv *kv, const struct dependency *dependency)
{
    struct worker *worker = kv->worker;
    uint64_t due_us = due_of(kv, WORKER_DURABLE_US);
    enum status status = STATUS_OK;
    pthread_mutex_lock(&worker->lock);
    while (status == STATUS_OK && !scl_is_durable(worker->scl, dependency)) {
        if (scl_store_trouble(worker->scl) != STATUS_OK) {
            status = STATUS_NO_SPACE;
        } else if (!worker_wait(&worker->changed, &worker->lock, due_us)) {
            status = STATUS_TIMEOUT;
        }
    }
    pthread_mutex_unlock(&worker->lock);
    return status;
}

/* ---- over HTTP ---- */

static void etag_of(const struct memtable_version *version, char etag[WORKER_ETAG_BYTES])
{
    char writer[9];
    hex_encode(writer, version->writer.bytes, 4);
    snprintf(etag, WORKER_ETAG_BYTES, "%" PRIu64 "-%s", version->lamport, writer);
}

/* Whether the conditions of a request hold: for a write they are judged under a lock. */
static bool holds(const struct route *route, bool exists, const char *etag)
{
    const struct bytes tag = bytes_text(etag);
    bool matches = true;
    if (route->if_match.match != ROUTE_MATCH_NONE) {
        matches = exists && (route->if_match.match == ROUTE_MATCH_ANY ||
                             bytes_equal(route->if_match.tag, tag));
    }
    if (route->if_none_match.match != ROUTE_MATCH_NONE) {
        bool names_it = exists && (route->if_none_match.match == ROUTE_MATCH_ANY ||
                                   bytes_equal(route->if_none_match.tag, tag));
        matches = matches && !names_it;
    }
    return matches;
}

static void answer_get(struct worker_task *task, bool exists)
{
    if (!exists) {
        task->etag[0] = '\0';
        worker_serve_refuse(task, 404, "not_found", "no such key");
    } else if (!holds(&task->route, exists, task->etag)) {
        bool is_unchanged = task->route.if_none_match.match != ROUTE_MATCH_NONE;
        buffer_clear(&task->body);
        if (is_unchanged) {
            task->status = 304;
        } else {
            worker_serve_refuse(task, 412, "precondition_failed", "the key has another version");
        }
    } else {
        task->status = 200;
        task->content_type = "application/octet-stream";
    }
}

/* STATUS_FULL: not answered, there is no room for the write yet. */
static enum status answer_write(struct worker_kv *kv, struct worker_task *task)
{
    struct worker *worker = kv->worker;
    bool is_put = task->route.action == ROUTE_KV_PUT;
    const struct tuple tuple =
        worker_kv_tuple(kv, is_put ? TUPLE_PUT : TUPLE_DELETE, task->route.key,
                        is_put ? task->http->body : bytes_of(NULL, 0), task->route.ttl_ms);
    pthread_mutex_lock(&worker->lock);
    enum status status = try_put(worker, &tuple, &task->dependency);
    pthread_mutex_unlock(&worker->lock);
    if (status == STATUS_FULL) {
        return status;
    }
    task->etag[0] = '\0';
    if (status == STATUS_OK) {
        task->status = 204;
    } else if (status == STATUS_NO_SPACE) {
        worker_serve_refuse(task, 503, "no_space", "the store's disk is full");
    } else {
        worker_serve_refuse(task, 503, "busy", "too much waits for the store; try again");
    }
    return STATUS_OK;
}

struct key_list {
    struct buffer *body;
    bool is_begun;
    enum status status;
};

static void append_key(void *visitor, struct bytes key, struct bytes value)
{
    struct key_list *list = visitor;
    (void)value;
    if (list->status == STATUS_OK && list->is_begun) {
        list->status = buffer_append(list->body, ",", 1);
    }
    if (list->status == STATUS_OK) {
        list->status = response_append_json(list->body, key);
    }
    list->is_begun = true;
}

/* STATUS_GAP: not answered; the blocks that it needs are on their way, one after the other. */
static enum status answer_list(struct worker_kv *kv, struct worker_task *task)
{
    const struct route *route = &task->route;
    struct buffer next = BUFFER_EMPTY;
    struct key_list list = {.body = &task->body};
    enum status status = buffer_append(&task->body, "{\"keys\":[", 9);
    if (status == STATUS_OK) {
        status = list_until(kv, bytes_of(route->prefix, route->prefix_bytes), route->limit,
                            bytes_of(route->cursor, route->cursor_bytes), &task->dependency,
                            append_key, &list, &next, 0);
    }
    status = status == STATUS_OK ? list.status : status;
    if (status == STATUS_OK) {
        status = buffer_append(&task->body, "],\"cursor\":", 11);
    }
    if (status == STATUS_OK) {
        status = next.length > 0 ? response_append_json(&task->body, buffer_bytes(&next))
                                 : buffer_append(&task->body, "null", 4);
    }
    if (status == STATUS_OK) {
        status = buffer_append(&task->body, "}\n", 2);
    }
    buffer_release(&next);
    if (status == STATUS_GAP) {
        buffer_clear(&task->body);
        return status;
    }
    if (status == STATUS_OK) {
        task->status = 200;
        task->content_type = "application/json";
    } else {
        worker_serve_refuse(task, 500, "no_memory", "the list does not fit into memory");
    }
    return STATUS_OK;
}

/* ---- compare and set: by a lock, so that it holds across workers ---- */

enum { SWAP_BUCKET_BYTES = 2 };

/* Keys share 65,536 locks: each name of a lock takes memory at every member until the term ends. */
static enum status take_swap(struct worker_kv *kv, struct bytes key, uint32_t *hold)
{
    char name[2 * SWAP_BUCKET_BYTES + 1];
    const struct hash hash = hash_of(key.at, key.length);
    hex_encode(name, hash.bytes, SWAP_BUCKET_BYTES);
    return worker_lock_take(kv, "swap:", bytes_text(name), hold);
}

enum status worker_kv_version(struct worker_kv *kv, struct bytes key, struct dependency *dependency,
                              char etag[WORKER_ETAG_BYTES])
{
    struct memtable_version version;
    struct buffer value = BUFFER_EMPTY;
    enum status status = get_from_map(kv, key, dependency, &value, &version);
    if (status == STATUS_OK) {
        etag_of(&version, etag);
    } else {
        etag[0] = '\0';
    }
    buffer_release(&value);
    return status;
}

/* Under the lock `hold`: put what the conditions allow. */
static enum status finish_swap(struct worker_kv *kv, uint32_t hold, const struct tuple *tuple,
                               const struct dependency *dependency)
{
    enum status status = overlay_put(&kv->locks[kv->lock_count - 1].written, tuple);
    if (status != STATUS_OK) {
        worker_lock_abandon(kv, hold);
        return status;
    }
    return worker_lock_release(kv, hold, dependency);
}

enum status worker_kv_swap(struct worker_kv *kv, const struct tuple *tuple, struct bytes expected,
                           struct dependency *dependency, bool *is_done)
{
    char etag[WORKER_ETAG_BYTES];
    uint32_t hold;
    *is_done = false;
    enum status status = take_swap(kv, tuple->key, &hold);
    if (status != STATUS_OK) {
        return status;
    }
    status = worker_kv_version(kv, tuple->key, dependency, etag);
    bool is_known = status == STATUS_OK || status == STATUS_NOT_FOUND;
    if (!is_known || !bytes_equal(bytes_text(etag), expected)) {
        worker_lock_abandon(kv, hold);
        return is_known ? STATUS_OK : status;
    }
    status = finish_swap(kv, hold, tuple, dependency);
    *is_done = status == STATUS_OK;
    return status;
}

bool worker_kv_is_swap(const struct worker_task *task)
{
    bool is_write = task->route.action == ROUTE_KV_PUT || task->route.action == ROUTE_KV_DELETE;
    return is_write && (task->route.if_match.match != ROUTE_MATCH_NONE ||
                        task->route.if_none_match.match != ROUTE_MATCH_NONE);
}

static void refuse_swap(struct worker_task *task, enum status status, bool is_granted)
{
    if (status == STATUS_STALE) {
        worker_serve_refuse(task, 409, "lock_lost", "the lock was taken over; nothing was written");
    } else if (status == STATUS_TIMEOUT && is_granted) {
        worker_serve_refuse(task, 503, "lock_undecided",
                            "the leader does not answer; the write may or may not count");
    } else if (status == STATUS_TIMEOUT) {
        worker_serve_refuse(task, 503, "lock_timeout", "the lock was not granted in time");
    } else {
        worker_serve_refuse(task, 503, "lock_busy", "too many locks are waited for; try again");
    }
}

void worker_kv_serve_swap(struct worker_kv *kv, struct worker_task *task)
{
    bool is_put = task->route.action == ROUTE_KV_PUT;
    task->needs_receipts = true;
    if (is_put && task->http->body.length > TUPLE_VALUE_BYTES_MAX) {
        worker_serve_refuse(task, 413, "value_too_large", "a value has at most 1 MiB");
        return;
    }
    const struct tuple tuple =
        worker_kv_tuple(kv, is_put ? TUPLE_PUT : TUPLE_DELETE, task->route.key,
                        is_put ? task->http->body : bytes_of(NULL, 0), task->route.ttl_ms);
    char etag[WORKER_ETAG_BYTES];
    uint32_t hold;
    enum status status = take_swap(kv, task->route.key, &hold);
    if (status != STATUS_OK) {
        refuse_swap(task, status, false);
        return;
    }
    status = worker_kv_version(kv, task->route.key, &task->dependency, etag);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND) {
        worker_lock_abandon(kv, hold);
        worker_serve_refuse(task, 503, "busy",
                            "the key's present version cannot be read; try again");
        return;
    }
    bool exists = status == STATUS_OK;
    if (!holds(&task->route, exists, etag)) {
        worker_lock_abandon(kv, hold);
        worker_serve_refuse(task, 412, "precondition_failed", "the key has another version");
        return;
    }
    status = finish_swap(kv, hold, &tuple, &task->dependency);
    if (status == STATUS_OK) {
        task->status = 204;
    } else {
        refuse_swap(task, status, true);
    }
}

enum status worker_kv_serve(struct worker_kv *kv, struct worker_task *task)
{
    task->needs_receipts = true;
    if (task->route.action == ROUTE_KV_LIST) {
        return answer_list(kv, task);
    }
    if (task->route.action == ROUTE_KV_PUT && task->http->body.length > TUPLE_VALUE_BYTES_MAX) {
        worker_serve_refuse(task, 413, "value_too_large", "a value has at most 1 MiB");
        return STATUS_OK;
    }
    if (task->route.action != ROUTE_KV_GET) {
        return answer_write(kv, task);
    }
    struct memtable_version version;
    enum status status = try_get(kv, task->route.key, &task->dependency, &task->body, &version);
    if (status == STATUS_GAP) {
        return status;
    }
    bool exists = status == STATUS_OK;
    if (exists) {
        etag_of(&version, task->etag);
    }
    if (status == STATUS_NO_MEMORY) {
        worker_serve_refuse(task, 500, "no_memory", "the value does not fit into memory");
    } else {
        answer_get(task, exists);
    }
    return STATUS_OK;
}
