/* src/host/depot.c */
#include "host/depot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/encoder.h"
#include "store/aside.h"
#include "store/post.h"
#include "wire/frame.h"

enum {
    DIRECTORY_BYTES_MAX = 4096,
    HOST_FD = 3,  // where the program finds its socket
    CHUNK_BYTES = 256 << 10,
    KEPT_BYTES = 8 << 20,    // of a queue's memory, once it is empty
    SOCKET_BYTES = 1 << 20,  // that the kernel keeps for a busy store
    DELAY_MS_MIN = 100,
    LIFE_MS_GOOD = 10000,  // whoever lived so long did not end early
};

/* One process of a store, and what is on its way to and from it. */
struct life {
    struct shelf *shelf;
    uv_process_t process;
    uv_pipe_t pipe;
    uv_write_t write;
    uv_shutdown_t shutdown;
    uint32_t handle_count;  // open ones
    struct buffer in;
    struct buffer out;      // gathered until the loop sleeps
    struct buffer written;  // under way
    bool is_writing;
    bool is_open;
    bool is_silent;  // nothing comes from it any more
    bool has_exited;
    int64_t exit_status;
    int signal;
    uint64_t started_ms;
    bool sets_aside;
    char said[ASIDE_WHY_BYTES_MAX + 1];  // last
};

/* A store's place. */
struct shelf {
    struct depot *depot;
    uint32_t index;
    struct writer_id id;
    const struct sign_key *key;
    char name[GENESIS_NAME_BYTES_MAX];
    char directory[DIRECTORY_BYTES_MAX];
    bool is_removed;
    struct life *life;  // NULL: none
    uv_timer_t restart;
    uint32_t quick_end_count;
    bool has_failed;
    bool is_damaged;
    char why[ASIDE_WHY_BYTES_MAX + 1];  // it is damaged
    uint64_t dropped_count;
    struct post_counters counters;
};

struct depot {
    uv_loop_t *loop;
    struct depot_events events;
    const struct log *log;
    char program[DIRECTORY_BYTES_MAX];
    struct buffer genesis;
    struct buffer stores;
    uv_prepare_t before_sleep;
    uv_timer_t stop;
    struct shelf shelves[DEPOT_PLACES_MAX];
    uint32_t count;
    struct stores sets;
    uint32_t turn;  // which one is asked next
    uint32_t handle_count;
    bool is_closing;
};

static void depot_free_if_closed(struct depot *depot)
{
    if (depot->is_closing && depot->handle_count == 0) {
        buffer_release(&depot->genesis);
        buffer_release(&depot->stores);
        free(depot);
    }
}

static void on_own_closed(uv_handle_t *handle)
{
    struct depot *depot = handle->data;
    depot->handle_count--;
    depot_free_if_closed(depot);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct shelf *shelf = handle->data;
    shelf->depot->handle_count--;
    depot_free_if_closed(shelf->depot);
}

/* A store's number as the client of another. */
static uint64_t client_of(const struct shelf *shelf)
{
    return DEPOT_CLIENT_MAX + shelf->index;
}

// ---- to a store ----

static void flush(struct life *life);

static void on_written(uv_write_t *write, int status)
{
    struct life *life = write->data;
    life->is_writing = false;
    buffer_recycle(&life->written, KEPT_BYTES);
    if (status == 0) {
        flush(life);
    }
}

static void on_shut_down(uv_shutdown_t *shutdown, int status)
{
    (void)shutdown;
    (void)status;
}

static void flush(struct life *life)
{
    if (life->is_writing || life->is_silent) {
        return;
    }
    if (life->out.length == 0) {
        if ((life->shelf->depot->is_closing || life->shelf->is_removed) &&
            uv_is_writable((uv_stream_t *)&life->pipe)) {
            (void)uv_shutdown(&life->shutdown, (uv_stream_t *)&life->pipe, on_shut_down);
        }
        return;
    }
    struct buffer written = life->written;
    life->written = life->out;
    life->out = written;
    uv_buf_t bytes = uv_buf_init((char *)life->written.bytes, (unsigned)life->written.length);
    life->write.data = life;
    life->is_writing =
        uv_write(&life->write, (uv_stream_t *)&life->pipe, &bytes, 1, on_written) == 0;
}

static bool put(struct shelf *shelf, enum post_kind kind, uint64_t client, struct bytes rest)
{
    struct life *life = shelf->life;
    if (shelf->is_removed) {
        return true;  // it lacks nothing any more
    }
    bool is_taken =
        life != NULL && !life->is_silent &&
        life->out.length + life->written.length + rest.length <= DEPOT_QUEUE_BYTES_MAX &&
        post_encode(&life->out, kind, client, rest) == STATUS_OK;
    shelf->dropped_count += !is_taken;
    return is_taken;
}

static void on_before_sleep(uv_prepare_t *prepare)
{
    struct depot *depot = prepare->data;
    for (uint32_t i = 0; i < depot->count; i++) {
        if (depot->shelves[i].life != NULL) {
            flush(depot->shelves[i].life);
        }
    }
}

// ---- from a store ----

/* Where this store's place is; depot->count when it is none. */
static uint32_t shelf_find(const struct depot *depot, const struct writer_id *id)
{
    uint32_t i = 0;
    while (i < depot->count && !writer_id_equal(&depot->shelves[i].id, id)) {
        i++;
    }
    return i;
}

/* To whoever asked: an enclave, or another store. */
static void take_answer(struct shelf *shelf, const struct post_message *message)
{
    struct depot *depot = shelf->depot;
    if (message->client < DEPOT_CLIENT_MAX) {
        depot->events.answer(depot->events.context, message->client, message->rest);
    } else if (message->client - DEPOT_CLIENT_MAX < depot->count) {
        struct shelf *asker = &depot->shelves[message->client - DEPOT_CLIENT_MAX];
        (void)put(asker, POST_FRAME, client_of(shelf), message->rest);
    }
}

static void take_broadcast(struct shelf *shelf, struct bytes frame)
{
    struct depot *depot = shelf->depot;
    depot->events.broadcast(depot->events.context, frame);
    for (uint32_t i = 0; i < depot->count; i++) {
        if (&depot->shelves[i] != shelf) {
            (void)put(&depot->shelves[i], POST_FRAME, client_of(shelf), frame);
        }
    }
}

static void take_question(struct shelf *shelf, struct bytes bytes)
{
    struct depot *depot = shelf->depot;
    struct frame frame;
    uint32_t asked = depot->count;
    if (frame_decode(&frame, bytes) == STATUS_OK) {
        asked = shelf_find(depot, &frame.peer);
    }
    if (asked < depot->count && asked != shelf->index) {
        (void)put(&depot->shelves[asked], POST_FRAME, client_of(shelf), bytes);
    }
}

static bool is_whole(const struct shelf *shelf)
{
    return !shelf->is_removed && shelf->life != NULL && shelf->life->is_open &&
           !shelf->is_damaged && !shelf->counters.is_refilling;
}

static bool can_be_refilled_by(const struct shelf *shelf, const struct genesis *set)
{
    const struct depot *depot = shelf->depot;
    uint32_t whole_count = 0;
    for (uint32_t i = 0; i < set->store_count; i++) {
        uint32_t other = shelf_find(depot, &set->stores[i].id);
        whole_count +=
            other < depot->count && other != shelf->index && is_whole(&depot->shelves[other]);
    }
    return whole_count > 0 && whole_count >= genesis_refill_count(set);
}

/*
 * Whether its siblings can give it again all that it held. One that is being added is whole, and
 * may have nothing yet: so those that counted before have to be able to, without it.
 */
static bool can_be_refilled(const struct shelf *shelf)
{
    const struct stores *sets = &shelf->depot->sets;
    return can_be_refilled_by(shelf, &sets->now) &&
           (!sets->has_former || can_be_refilled_by(shelf, &sets->former));
}

/* One that found damage while it served, and serves on: its next life begins empty. */
static void end_damaged(struct depot *depot)
{
    for (uint32_t i = 0; i < depot->count; i++) {
        struct shelf *shelf = &depot->shelves[i];
        if (shelf->is_damaged && shelf->life != NULL && shelf->life->is_open &&
            !shelf->life->sets_aside && can_be_refilled(shelf)) {
            uv_process_kill(&shelf->life->process, SIGTERM);
        }
    }
}

/* What is left of a store that ends is told, but to nobody any more when the depot closes. */
static void take_message(struct life *life, const struct post_message *message)
{
    struct shelf *shelf = life->shelf;
    struct depot *depot = shelf->depot;
    if (message->kind == POST_LOG) {
        (void)snprintf(life->said, sizeof life->said, "%.*s", (int)message->rest.length,
                       (const char *)message->rest.at);
        log_event(depot->log, "store=%u %s", shelf->index + 1, life->said);
        return;
    }
    if (depot->is_closing) {
        return;
    }
    switch (message->kind) {
    case POST_OPENED:
        life->is_open = true;
        shelf->has_failed = false;
        shelf->is_damaged = shelf->is_damaged && !life->sets_aside;
        break;
    case POST_FRAME:
        take_answer(shelf, message);
        break;
    case POST_BROADCAST:
        take_broadcast(shelf, message->rest);
        break;
    case POST_ASK:
        take_question(shelf, message->rest);
        break;
    case POST_COUNTERS:
        if (post_counters_decode(&shelf->counters, message->rest) != STATUS_OK) {
            log_event(depot->log, "store=%u says what is no number", shelf->index + 1);
        }
        end_damaged(depot);
        break;
    default:
        break;
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct life *life = handle->data;
    *buffer = uv_buf_init(NULL, 0);
    if (buffer_reserve(&life->in, CHUNK_BYTES) == STATUS_OK) {
        *buffer = uv_buf_init((char *)life->in.bytes + life->in.length, CHUNK_BYTES);
    }
}

// ---- its end, and its next life ----

static enum status life_start(struct shelf *shelf);

static void on_restart(uv_timer_t *timer)
{
    struct shelf *shelf = timer->data;
    if (shelf->depot->is_closing || shelf->is_removed || shelf->life != NULL) {
        return;
    }
    if (life_start(shelf) != STATUS_OK) {
        log_event(shelf->depot->log, "store=%u cannot be started cause=\"%s\"", shelf->index + 1,
                  strerror(errno));
        uv_timer_start(&shelf->restart, on_restart, DEPOT_DELAY_MS_MAX, 0);
    }
}

static void start_later(struct shelf *shelf)
{
    uint64_t delay_ms = shelf->quick_end_count == 0 ? 0 : DELAY_MS_MIN;
    for (uint32_t i = 1; i < shelf->quick_end_count && delay_ms < DEPOT_DELAY_MS_MAX; i++) {
        delay_ms *= 2;
    }
    delay_ms = delay_ms < DEPOT_DELAY_MS_MAX ? delay_ms : DEPOT_DELAY_MS_MAX;
    uv_timer_start(&shelf->restart, on_restart, delay_ms, 0);
}

/* When no process is left, nobody has to be ended. */
static void close_when_quiet(struct depot *depot)
{
    for (uint32_t i = 0; i < depot->count; i++) {
        if (depot->shelves[i].life != NULL) {
            return;
        }
    }
    uv_close((uv_handle_t *)&depot->stop, on_own_closed);
}

static void life_end(struct life *life)
{
    struct shelf *shelf = life->shelf;
    struct depot *depot = shelf->depot;
    char said[sizeof life->said];
    memcpy(said, life->said, sizeof said);
    int64_t exit_status = life->exit_status;
    int signal = life->signal;
    bool was_quick = uv_now(depot->loop) - life->started_ms < LIFE_MS_GOOD;
    shelf->life = NULL;
    buffer_release(&life->in);
    buffer_release(&life->out);
    buffer_release(&life->written);
    free(life);
    if (depot->is_closing) {
        close_when_quiet(depot);
        return;
    }
    log_event(depot->log, "store=%u ended status=%d signal=%d", shelf->index + 1, (int)exit_status,
              signal);
    if (shelf->is_removed) {
        return;
    }
    shelf->quick_end_count = was_quick ? shelf->quick_end_count + 1 : 0;
    start_later(shelf);
    if (signal == 0 && exit_status != 0) {
        shelf->has_failed = true;
        enum status status = exit_status <= STATUS_IO ? (enum status)exit_status : STATUS_IO;
        if (status == STATUS_DAMAGED) {
            shelf->is_damaged = true;
            memcpy(shelf->why, said, sizeof said);
        }
        depot->events.failed(depot->events.context, shelf->index, status, said);
    }
}

static void on_life_closed(uv_handle_t *handle)
{
    struct life *life = handle->data;
    life->handle_count--;
    life->shelf->depot->handle_count--;
    if (life->handle_count == 0) {
        life_end(life);
    }
}

static void life_close(struct life *life)
{
    if (life->is_silent && life->has_exited) {
        uv_close((uv_handle_t *)&life->process, on_life_closed);
        uv_close((uv_handle_t *)&life->pipe, on_life_closed);
    }
}

static void on_exit_status(uv_process_t *process, int64_t exit_status, int signal)
{
    struct life *life = process->data;
    life->has_exited = true;
    life->exit_status = exit_status;
    life->signal = signal;
    life_close(life);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    struct life *life = stream->data;
    (void)buffer;
    if (length < 0) {
        uv_read_stop(stream);
        life->is_silent = true;
        life_close(life);
        return;
    }
    life->in.length += (size_t)length;
    struct post_message message;
    size_t at = 0;
    enum status status;
    while ((status = post_decode(&message, buffer_bytes(&life->in), &at)) == STATUS_OK) {
        take_message(life, &message);
    }
    buffer_consume(&life->in, at);
    if (status == STATUS_MALFORMED) {
        uv_process_kill(&life->process, SIGKILL);
    }
}

/* The key and the GENESIS: what a store begins with. */
static bool put_begin(struct shelf *shelf)
{
    struct buffer rest = BUFFER_EMPTY;
    struct bytes genesis = buffer_bytes(&shelf->depot->genesis);
    struct bytes stores = buffer_bytes(&shelf->depot->stores);
    uint8_t length[4];
    struct encoder out = encoder_over(length, sizeof length);
    encoder_u32(&out, (uint32_t)stores.length);
    bool is_put = buffer_append(&rest, sign_key_seed(shelf->key), SIGN_SEED_BYTES) == STATUS_OK &&
                  buffer_append(&rest, length, sizeof length) == STATUS_OK &&
                  buffer_append(&rest, stores.at, stores.length) == STATUS_OK &&
                  buffer_append(&rest, genesis.at, genesis.length) == STATUS_OK &&
                  put(shelf, POST_BEGIN, 0, buffer_bytes(&rest));
    buffer_release(&rest);
    return is_put;
}

/* The directory is made anew when it has been lost. */
static enum status spawn(struct life *life, int fd)
{
    struct shelf *shelf = life->shelf;
    life->sets_aside = shelf->is_damaged && can_be_refilled(shelf);
    char *arguments[] = {shelf->depot->program, shelf->directory,
                         life->sets_aside ? shelf->why : NULL, NULL};
    uv_stdio_container_t stdio[HOST_FD + 1] = {
        {.flags = UV_IGNORE},
        {.flags = UV_IGNORE},
        {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
        [HOST_FD] = {.flags = UV_INHERIT_FD, .data.fd = fd},
    };
    const uv_process_options_t options = {
        .exit_cb = on_exit_status,
        .file = shelf->depot->program,
        .args = arguments,
        .stdio = stdio,
        .stdio_count = HOST_FD + 1,
    };
    if (mkdir(shelf->directory, 0700) != 0 && errno != EEXIST) {
        log_event(shelf->depot->log, "store=%u has no directory cause=\"%s\"", shelf->index + 1,
                  strerror(errno));
    }
    int cause = uv_spawn(shelf->depot->loop, &life->process, &options);
    errno = -cause;
    return cause == 0 ? STATUS_OK : STATUS_IO;
}

static enum status life_start(struct shelf *shelf)
{
    int fds[2];
    struct depot *depot = shelf->depot;
    struct life *life = calloc(1, sizeof *life);
    if (life == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
        free(life);
        return life == NULL ? STATUS_NO_MEMORY : STATUS_IO;
    }
    const int socket_bytes = SOCKET_BYTES;
    (void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &socket_bytes, sizeof socket_bytes);
    (void)setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &socket_bytes, sizeof socket_bytes);
    life->shelf = shelf;
    life->process.data = life;
    life->pipe.data = life;
    life->started_ms = uv_now(depot->loop);
    shelf->life = life;
    shelf->counters.is_refilling = true;  // until it says how it is
    CHECK(uv_pipe_init(depot->loop, &life->pipe, 0) == 0);
    CHECK(uv_pipe_open(&life->pipe, fds[0]) == 0);
    enum status status = spawn(life, fds[1]);
    int cause = errno;
    close(fds[1]);
    life->handle_count = 2;
    depot->handle_count += 2;
    if (status == STATUS_OK && put_begin(shelf) &&
        uv_read_start((uv_stream_t *)&life->pipe, on_alloc, on_read) == 0) {
        return STATUS_OK;
    }
    // The process's handle is there, whether or not there is a process.
    life->is_silent = true;
    if (status == STATUS_OK) {
        uv_process_kill(&life->process, SIGKILL);
        return STATUS_OK;
    }
    life->has_exited = true;
    life->exit_status = STATUS_IO;
    life_close(life);
    errno = cause;
    return status;
}

// ---- the whole ----

/* A store that answers; one that does not gets its turn when none does. */
static struct shelf *choose(struct depot *depot)
{
    for (uint32_t i = 0; i < depot->count; i++) {
        struct shelf *shelf = &depot->shelves[(depot->turn + i) % depot->count];
        const struct life *life = shelf->life;
        if (!shelf->is_removed && life != NULL && life->is_open &&
            life->out.length + life->written.length == 0) {
            return shelf;
        }
    }
    return &depot->shelves[depot->turn++ % depot->count];
}

enum status depot_put(struct depot *depot, uint64_t client, struct bytes bytes)
{
    struct frame frame;
    if (frame_decode(&frame, bytes) != STATUS_OK) {
        return STATUS_OK;
    }
    if (frame.kind == FRAME_FETCH) {
        uint32_t asked = shelf_find(depot, &frame.peer);
        bool is_there = asked < depot->count && !depot->shelves[asked].is_removed;
        struct shelf *shelf = is_there ? &depot->shelves[asked] : choose(depot);
        return put(shelf, POST_FRAME, client, bytes) ? STATUS_OK : STATUS_FULL;
    }
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < depot->count; i++) {
        if (!put(&depot->shelves[i], POST_FRAME, client, bytes)) {
            status = STATUS_FULL;
        }
    }
    return status;
}

struct depot_view depot_view(const struct depot *depot, uint32_t index)
{
    CHECK(index < depot->count);
    const struct shelf *shelf = &depot->shelves[index];
    return (struct depot_view){
        .name = shelf->name,
        .directory = shelf->directory,
        .is_removed = shelf->is_removed,
        .is_open = shelf->life != NULL && shelf->life->is_open,
        .has_failed = shelf->has_failed,
        .is_damaged = shelf->is_damaged,
        .pid = shelf->life != NULL ? shelf->life->process.pid : 0,
        .dropped_count = shelf->dropped_count,
        .counters = shelf->counters,
    };
}

uint32_t depot_count(const struct depot *depot)
{
    return depot->count;
}

static bool is_enough_of(const struct depot *depot, const struct genesis *set)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < set->store_count; i++) {
        uint32_t index = shelf_find(depot, &set->stores[i].id);
        count += index < depot->count && !depot->shelves[index].has_failed &&
                 !depot->shelves[index].is_removed;
    }
    return count >= set->receipt_count;
}

bool depot_is_enough(const struct depot *depot)
{
    return is_enough_of(depot, &depot->sets.now);
}

bool depot_was_enough(const struct depot *depot)
{
    return depot->sets.has_former && is_enough_of(depot, &depot->sets.former);
}

static void shelf_init(struct depot *depot, uint32_t index)
{
    struct shelf *shelf = &depot->shelves[index];
    shelf->depot = depot;
    shelf->index = index;
    CHECK(uv_timer_init(depot->loop, &shelf->restart) == 0);
    shelf->restart.data = shelf;
    depot->handle_count++;
    depot->count++;
}

static void shelf_use(struct shelf *shelf, const struct depot_place *place)
{
    const struct verify_key key = sign_key_public(place->key);
    shelf->id = writer_store_id_of(&key);
    shelf->key = place->key;
    CHECK(strlen(place->directory) < sizeof shelf->directory);
    CHECK(strlen(place->name) < sizeof shelf->name);
    memcpy(shelf->name, place->name, strlen(place->name) + 1);
    memcpy(shelf->directory, place->directory, strlen(place->directory) + 1);
    shelf->is_removed = false;
    shelf->quick_end_count = 0;
    shelf->has_failed = false;
    shelf->is_damaged = false;
    shelf->dropped_count = 0;
    shelf->counters = (struct post_counters){.is_refilling = false};
}

/*
 * One on which no store has been yet; or where one was, that was removed and has ended. What is
 * under way to that one by its number, nobody takes for an answer of his. NULL: none is free.
 */
static struct shelf *shelf_find_free(struct depot *depot)
{
    for (uint32_t i = 0; i < depot->count; i++) {
        if (depot->shelves[i].is_removed && depot->shelves[i].life == NULL) {
            return &depot->shelves[i];
        }
    }
    if (depot->count == DEPOT_PLACES_MAX) {
        return NULL;
    }
    shelf_init(depot, depot->count);
    return &depot->shelves[depot->count - 1];
}

enum status depot_open(struct depot **made, const struct depot_config *config)
{
    *made = NULL;
    struct depot *depot = calloc(1, sizeof *depot);
    if (depot == NULL ||
        buffer_append(&depot->genesis, config->genesis.at, config->genesis.length) != STATUS_OK ||
        buffer_append(&depot->stores, config->stores.at, config->stores.length) != STATUS_OK) {
        if (depot != NULL) {
            buffer_release(&depot->genesis);
        }
        free(depot);
        return STATUS_NO_MEMORY;
    }
    depot->loop = config->loop;
    depot->events = config->events;
    depot->log = config->log;
    depot->sets = *config->sets;
    CHECK(strlen(config->program) < sizeof depot->program);
    memcpy(depot->program, config->program, strlen(config->program) + 1);
    CHECK(uv_prepare_init(depot->loop, &depot->before_sleep) == 0);
    CHECK(uv_timer_init(depot->loop, &depot->stop) == 0);
    depot->before_sleep.data = depot;
    depot->stop.data = depot;
    depot->handle_count = 2;
    uv_prepare_start(&depot->before_sleep, on_before_sleep);
    for (uint32_t i = 0; i < config->count; i++) {
        shelf_init(depot, i);
        shelf_use(&depot->shelves[i], &config->places[i]);
    }
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < depot->count && status == STATUS_OK; i++) {
        status = life_start(&depot->shelves[i]);
    }
    if (status != STATUS_OK) {
        int cause = errno;
        depot_close(depot);
        errno = cause;
        return status;
    }
    *made = depot;
    return STATUS_OK;
}

/* What it has been told it still takes; then its socket closes, and it ends. */
static void shelf_remove(struct shelf *shelf)
{
    shelf->is_removed = true;
    uv_timer_stop(&shelf->restart);
    if (shelf->life != NULL) {
        flush(shelf->life);
    }
}

static bool is_among(const struct shelf *shelf, const struct depot_config *config)
{
    for (uint32_t i = 0; i < config->count; i++) {
        const struct verify_key key = sign_key_public(config->places[i].key);
        const struct writer_id id = writer_store_id_of(&key);
        if (writer_id_equal(&shelf->id, &id)) {
            return true;
        }
    }
    return false;
}

enum status depot_change(struct depot *depot, const struct depot_config *config)
{
    buffer_clear(&depot->stores);
    enum status status = buffer_append(&depot->stores, config->stores.at, config->stores.length);
    depot->sets = *config->sets;
    for (uint32_t i = 0; i < config->count && status == STATUS_OK; i++) {
        const struct verify_key key = sign_key_public(config->places[i].key);
        const struct writer_id id = writer_store_id_of(&key);
        if (shelf_find(depot, &id) < depot->count) {
            continue;
        }
        struct shelf *shelf = shelf_find_free(depot);
        if (shelf == NULL) {
            return STATUS_FULL;
        }
        shelf_use(shelf, &config->places[i]);
        status = life_start(shelf);
        if (status == STATUS_IO) {
            start_later(shelf);
        }
    }
    for (uint32_t i = 0; i < depot->count; i++) {
        if (!depot->shelves[i].is_removed && !is_among(&depot->shelves[i], config)) {
            shelf_remove(&depot->shelves[i]);
        }
    }
    return status;
}

static void on_stop_timeout(uv_timer_t *timer)
{
    struct depot *depot = timer->data;
    for (uint32_t i = 0; i < depot->count; i++) {
        if (depot->shelves[i].life != NULL && !depot->shelves[i].life->has_exited) {
            uv_process_kill(&depot->shelves[i].life->process, SIGKILL);
        }
    }
}

void depot_close(struct depot *depot)
{
    if (depot == NULL) {
        return;
    }
    depot->is_closing = true;
    uv_close((uv_handle_t *)&depot->before_sleep, on_own_closed);
    for (uint32_t i = 0; i < depot->count; i++) {
        uv_close((uv_handle_t *)&depot->shelves[i].restart, on_timer_closed);
        if (depot->shelves[i].life != NULL) {
            flush(depot->shelves[i].life);
        }
    }
    uv_timer_start(&depot->stop, on_stop_timeout, DEPOT_STOP_MS, 0);
    close_when_quiet(depot);
}
