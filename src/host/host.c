/* src/host/host.c */
#include "host/host.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/random.h"
#include "crypto/crypto.h"
#include "host/host_internal.h"
#include "host/report.h"

_Static_assert((int)HOST_WORKER_COUNT_MAX + 1 == (int)ROUTE_WORKER_COUNT_MAX, "each has an end");
_Static_assert((int)HOST_WORKER_COUNT_MAX == (int)PROXY_WORKER_COUNT_MAX, "each has a port");
_Static_assert((int)CONTROL_CLIENT_COUNT_MAX == (int)ROUTE_CLIENT_COUNT_MAX, "each has an end");

enum { STOP_MS = 2000 };

static const struct writer_id nobody = {.bytes = {0}};

static uint32_t end_of(const struct host *host, const struct guest *guest)
{
    switch (guest->role) {
    case MEMBER_LEADER:
        return ROUTE_LEADER;
    case MEMBER_WORKER:
        return ROUTE_WORKER_FIRST + guest->index;
    case MEMBER_COMPACTOR:
        break;
    }
    return ROUTE_WORKER_FIRST + host->config->worker_count;
}

static struct guest *guest_at(struct host *host, uint32_t end)
{
    return &host->places[end].guest;
}

static struct guest *leader_of(struct host *host)
{
    return guest_at(host, ROUTE_LEADER);
}

// ---- the end ----

/* Close everything; the loop ends when all of it is closed. */
static void finish(struct host *host)
{
    if (host->is_finished) {
        return;
    }
    host->is_finished = true;
    depot_close(host->depot);  // commits what it has
    proxy_close(host->proxy);
    control_close(host->control);
    metrics_close(host->metrics);
    witness_close(host->witness);
    for (uint32_t i = 0; i < host->place_count; i++) {
        uv_close((uv_handle_t *)&host->places[i].restart, NULL);
    }
    uv_handle_t *handles[] = {(uv_handle_t *)&host->before_sleep, (uv_handle_t *)&host->after_sleep,
                              (uv_handle_t *)&host->no_sleep,     (uv_handle_t *)&host->signals[0],
                              (uv_handle_t *)&host->signals[1],   (uv_handle_t *)&host->stop_timer};
    for (size_t i = 0; i < sizeof handles / sizeof *handles; i++) {
        uv_close(handles[i], NULL);
    }
}

static void finish_if_stopped(struct host *host)
{
    for (uint32_t i = 0; i < host->place_count; i++) {
        if (host->places[i].guest.state != GUEST_DOWN) {
            return;
        }
    }
    finish(host);
}

static void kill_all(struct host *host)
{
    for (uint32_t i = 0; i < host->place_count; i++) {
        guest_kill(&host->places[i].guest);
    }
}

static void kill_joining(struct host *host)
{
    for (uint32_t i = ROUTE_WORKER_FIRST; i < host->place_count; i++) {
        if (host->places[i].guest.state != GUEST_READY) {
            guest_kill(&host->places[i].guest);
        }
    }
}

static void on_stop_timeout(uv_timer_t *timer)
{
    kill_all(timer->data);
}

static void stop(struct host *host, const char *reason)
{
    if (host->is_stopping) {
        return;
    }
    log_event(host->config->log, "host stops reason=%s", reason);
    host->is_stopping = true;
    proxy_stop(host->proxy);
    for (uint32_t i = 0; i < host->place_count; i++) {
        uv_timer_stop(&host->places[i].restart);
        guest_send(&host->places[i].guest, FRAME_STOP, 0, &nobody, bytes_of(NULL, 0));
    }
    uv_timer_start(&host->stop_timer, on_stop_timeout, STOP_MS, 0);
    finish_if_stopped(host);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct host *host = handle->data;
    if (host->is_stopping) {
        kill_all(host);  // somebody is in a hurry
    } else {
        stop(host, number == SIGINT ? "SIGINT" : "SIGTERM");
    }
}

// ---- lives of enclaves ----

static uint64_t unix_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void on_restart(uv_timer_t *timer);

static void start_later(struct place *place)
{
    uint64_t delay_ms = guest_delay_ms(place->guest.quick_end_count);
    uv_timer_start(&place->restart, on_restart, delay_ms, 0);
}

static enum status start(struct place *place)
{
    struct host *host = place->host;
    const struct frame_start start = {
        .role = (uint8_t)place->guest.role,
        .lambda_threads = host->config->lambda_threads,
        .memtable_bytes = host->config->memtable_bytes,
        .time_ms = unix_ms(),
        .capsule = host->home.capsule,
        .genesis = buffer_bytes(&host->home.genesis),
    };
    return guest_start(&place->guest, ++host->life_count, &start);
}

static void on_restart(uv_timer_t *timer)
{
    struct place *place = timer->data;
    bool is_wanted =
        place->guest.role == MEMBER_LEADER || leader_of(place->host)->state == GUEST_READY;
    if (is_wanted && place->guest.state == GUEST_DOWN && start(place) != STATUS_OK) {
        start_later(place);
    }
}

/* There is somebody to admit them. */
static void start_workers(struct host *host)
{
    for (uint32_t i = ROUTE_WORKER_FIRST; i < host->place_count; i++) {
        struct place *place = &host->places[i];
        if (place->guest.state == GUEST_DOWN) {
            place->guest.quick_end_count = 0;
            start_later(place);
        }
    }
}

static void on_ended(void *context, struct guest *guest)
{
    struct host *host = context;
    uint32_t end = end_of(host, guest);
    route_remove(&host->route, end);
    if (guest->role == MEMBER_LEADER) {
        // Those whom it has admitted go on until its successor closes their branches, and then end
        // by themselves; the others can only begin anew.
        kill_joining(host);
    } else {
        if (guest->role == MEMBER_WORKER) {
            proxy_worker_gone(host->proxy, guest->index);
        }
        if (!writer_id_is_zero(&guest->id)) {
            guest_send(leader_of(host), FRAME_GONE, 0, &guest->id, bytes_of(NULL, 0));
        }
    }
    if (host->is_stopping) {
        finish_if_stopped(host);
    } else {
        start_later(&host->places[end]);
    }
}

// ---- frames from enclaves ----

static void send_to_workers(struct host *host, uint32_t source, const struct frame *frame)
{
    for (uint32_t end = ROUTE_WORKER_FIRST; end < host->place_count; end++) {
        if (end != source && route_is_there(&host->route, end)) {
            guest_send(guest_at(host, end), frame->kind, frame->request, &host->route.ids[source],
                       frame->body);
        }
    }
}

static void send_to_end(struct host *host, uint32_t source, uint32_t end, const struct frame *frame)
{
    const struct writer_id *id = &host->route.ids[source];
    if (end >= ROUTE_CLIENT_FIRST) {
        control_send(host->control, end - ROUTE_CLIENT_FIRST, frame->kind, frame->request, id,
                     frame->body);
    } else {
        guest_send(guest_at(host, end), frame->kind, frame->request, id, frame->body);
    }
}

/* What does not get there, its sender repeats or a sibling store has. */
static void send_to_store(struct host *host, const struct guest *guest, struct bytes bytes)
{
    (void)!depot_put(host->depot, guest->life, bytes);
}

static enum status encode_hello(struct host *host, const struct guest *guest)
{
    const struct frame_hello hello = {.role = (uint8_t)guest->role, .key = guest->key};
    buffer_clear(&host->scratch);
    return frame_hello_encode(&host->scratch, &hello);
}

static enum status take_hello(struct host *host, struct guest *guest, const struct frame *frame)
{
    struct frame_hello hello;
    enum status status = frame_hello_decode(&hello, frame->body);
    if (status == STATUS_OK) {
        status = guest_know(guest, &hello);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (route_add(&host->route, end_of(host, guest), &guest->id) != STATUS_OK) {
        guest_kill(guest);  // it has another one's key
        return STATUS_DENIED;
    }
    if (guest->role == MEMBER_LEADER) {
        control_broadcast(host->control, FRAME_HELLO, &guest->id, frame->body);
    }
    return STATUS_OK;
}

static enum status take_ready(struct host *host, struct guest *guest)
{
    enum status status = guest_ready(guest);
    if (status != STATUS_OK) {
        return status;
    }
    log_event(host->config->log, "enclave ready role=%s index=%u pid=%d ms=%llu",
              member_role_text(guest->role), guest->index, (int)guest->spawn.pid,
              (unsigned long long)(uv_now(&host->loop) - guest->started_ms));
    if (guest->role != MEMBER_COMPACTOR) {
        control_broadcast(host->control, FRAME_READY, &guest->id, bytes_of(NULL, 0));
    }
    if (guest->role == MEMBER_LEADER) {
        if (!host->is_stopping) {
            start_workers(host);
        }
    } else if (guest->role == MEMBER_WORKER) {
        proxy_worker_ready(host->proxy, guest->index);
    }
    return STATUS_OK;
}

/* By now another may live in that place. */
static void on_evidence(void *context, const struct witness_question *question,
                        struct bytes evidence)
{
    struct host *host = context;
    struct guest *guest = guest_at(host, question->end);
    if (guest->life == question->life && guest->state != GUEST_DOWN) {
        guest_send(guest, FRAME_EVIDENCE, question->request, &nobody, evidence);
    }
}

static enum status give_evidence(struct host *host, struct guest *guest, const struct frame *frame)
{
    const struct witness_question question = {
        .end = end_of(host, guest),
        .request = frame->request,
        .life = guest->life,
    };
    enum status status =
        witness_ask(host->witness, &question, &guest->measurement, frame->body, &guest->tee);
    if (status == STATUS_FULL) {
        log_event(host->config->log, "no evidence role=%s index=%u cause=\"too many ask\"",
                  member_role_text(guest->role), guest->index);
        return STATUS_OK;
    }
    return status;
}

static enum status take_own(struct host *host, struct guest *guest, const struct frame *frame)
{
    switch (frame->kind) {
    case FRAME_HELLO:
        return take_hello(host, guest, frame);
    case FRAME_READY:
        return take_ready(host, guest);
    case FRAME_EVIDENCE:
        return give_evidence(host, guest, frame);
    case FRAME_METRICS:
        return guest_read_metrics(&guest->metrics, frame->body);
    case FRAME_LOG:
        guest_say(guest, frame->body);
        return STATUS_OK;
    default:
        return STATUS_MALFORMED;
    }
}

static void on_frame(void *context, struct guest *guest, struct bytes bytes)
{
    struct host *host = context;
    struct frame frame;
    uint32_t source = end_of(host, guest);
    uint32_t end = ROUTE_END_COUNT;
    enum route_action action = ROUTE_DROP;
    if (frame_decode(&frame, bytes) == STATUS_OK) {
        action = route_frame(&host->route, source, &frame, &end);
    }
    switch (action) {
    case ROUTE_TO_STORE_AND_WORKERS:
        send_to_store(host, guest, bytes);
        send_to_workers(host, source, &frame);
        break;
    case ROUTE_TO_STORE:
        send_to_store(host, guest, bytes);
        break;
    case ROUTE_TO_WORKERS:
        send_to_workers(host, source, &frame);
        break;
    case ROUTE_TO_END:
        send_to_end(host, source, end, &frame);
        break;
    case ROUTE_TO_HOST:
        if (take_own(host, guest, &frame) != STATUS_OK) {
            guest->counters.malformed++;
        }
        break;
    case ROUTE_TO_NO_LEADER:
    case ROUTE_DROP:
        guest->counters.malformed++;
        break;
    }
}

static void on_stream(void *context, struct guest *guest, struct bytes frame)
{
    struct host *host = context;
    if (guest->role != MEMBER_WORKER) {
        guest->counters.malformed++;
    } else {
        proxy_receive(host->proxy, guest->index, frame);
    }
}

static enum status send_stream(void *context, uint32_t worker, const struct bytes *parts,
                               size_t part_count)
{
    struct host *host = context;
    return guest_send_stream(guest_at(host, ROUTE_WORKER_FIRST + worker), parts, part_count);
}

// ---- frames from the store ----

static void forward(struct guest *guest, struct bytes bytes)
{
    struct frame frame;
    if (frame_decode(&frame, bytes) == STATUS_OK) {
        guest_send(guest, frame.kind, frame.request, &frame.peer, frame.body);
    }
}

static void on_store_answer(void *context, uint64_t client, struct bytes bytes)
{
    struct host *host = context;
    for (uint32_t i = 0; i < host->place_count; i++) {
        if (host->places[i].guest.life == client) {
            forward(&host->places[i].guest, bytes);
        }
    }
}

static void on_store_broadcast(void *context, struct bytes bytes)
{
    struct host *host = context;
    for (uint32_t i = 0; i < host->place_count; i++) {
        if (route_is_there(&host->route, i)) {
            forward(&host->places[i].guest, bytes);
        }
    }
}

/*
 * The others go on, as long as they are enough for a receipt. A leader that leads while the stores
 * change needs those before; the next one needs those that are to count.
 */
static void on_store_failed(void *context, uint32_t index, enum status status, const char *why)
{
    struct host *host = context;
    bool is_enough = depot_is_enough(host->depot) ||
                     (leader_of(host)->state == GUEST_READY && depot_was_enough(host->depot));
    if (host->is_stopping || is_enough) {
        return;
    }
    host->status = status;
    const struct depot_view view = depot_view(host->depot, index);
    const char *directory = view.directory;
    if (status == STATUS_DAMAGED) {
        (void)snprintf(
            host->error, HOST_ERROR_BYTES_MAX,
            "cannot open the store in '%.256s': %.256s; too few other stores can give it "
            "again: put back a copy of that directory ('paranoid capsule log DIR' shows "
            "what can still be read of it)",
            directory, why);
    } else {
        (void)snprintf(
            host->error, HOST_ERROR_BYTES_MAX,
            "cannot go on with the store in '%.256s': %s: %.256s; look at its disk, then "
            "start the host again",
            directory, status_text(status), why);
    }
    stop(host, "store");
}

// ---- the owner's command line ----

/* Those that count, and those that did before, while they have to answer. */
static void list_stores(const struct host *host, struct depot_config *config)
{
    config->stores = buffer_bytes(&host->home.stores_word);
    config->sets = &host->home.stores;
    for (const struct home_store *place = host->home.places; place != NULL; place = place->next) {
        if (place->is_wanted) {
            config->places[config->count++] = (struct depot_place){
                .name = place->store.name, .directory = place->directory, .key = place->key};
        }
    }
}

/* What cannot be done is logged; the owner sees by the stores that run what was. */
static void change_stores(struct host *host, bool ends_leader)
{
    char error[HOST_ERROR_BYTES_MAX] = "";
    struct depot_config config = {.count = 0};
    enum status status = home_read_stores(&host->home, host->config->state_directory, error);
    if (status == STATUS_OK) {
        list_stores(host, &config);
        status = depot_change(host->depot, &config);
    }
    log_event(host->config->log, "stores read again version=%llu count=%u status=\"%s\" %s",
              (unsigned long long)host->home.stores.version, config.count, status_text(status),
              error);
    if (status == STATUS_OK && ends_leader) {
        guest_send(leader_of(host), FRAME_STOP, 0, &nobody, bytes_of(NULL, 0));
    }
}

static void on_client_joined(void *context, uint32_t client, const struct writer_id *id)
{
    struct host *host = context;
    const struct guest *leader = leader_of(host);
    // Sixteen random bytes are nobody else's.
    CHECK(route_add(&host->route, ROUTE_CLIENT_FIRST + client, id) == STATUS_OK);
    if (route_is_there(&host->route, ROUTE_LEADER) && encode_hello(host, leader) == STATUS_OK) {
        control_send(host->control, client, FRAME_HELLO, 0, &leader->id,
                     buffer_bytes(&host->scratch));
    }
    for (uint32_t i = 0; i < host->place_count; i++) {
        const struct guest *guest = &host->places[i].guest;
        if (guest->state == GUEST_READY && guest->role != MEMBER_COMPACTOR) {
            control_send(host->control, client, FRAME_READY, 0, &guest->id, bytes_of(NULL, 0));
        }
    }
}

static void refuse_without_leader(struct host *host, uint32_t client, uint32_t request)
{
    const struct frame_refused refused = {
        .status = STATUS_NOT_FOUND,
        .text = bytes_text("no leader is up"),
    };
    buffer_clear(&host->scratch);
    if (frame_refused_encode(&host->scratch, &refused) == STATUS_OK) {
        control_send(host->control, client, FRAME_REFUSED, request, &nobody,
                     buffer_bytes(&host->scratch));
    }
}

static void on_client_frame(void *context, uint32_t client, struct bytes bytes)
{
    struct host *host = context;
    struct frame frame;
    uint32_t source = ROUTE_CLIENT_FIRST + client;
    uint32_t end = ROUTE_END_COUNT;
    enum route_action action = ROUTE_DROP;
    if (frame_decode(&frame, bytes) == STATUS_OK) {
        action = route_frame(&host->route, source, &frame, &end);
    }
    switch (action) {
    case ROUTE_TO_END:
        send_to_end(host, source, end, &frame);
        break;
    case ROUTE_TO_NO_LEADER:
        refuse_without_leader(host, client, frame.request);
        break;
    case ROUTE_TO_HOST:
        if (frame.kind == FRAME_STORES) {
            change_stores(host, frame.request == 1);
        } else {
            stop(host, "command");
        }
        break;
    default:
        host->client_malformed_count++;
        break;
    }
}

static void on_client_left(void *context, uint32_t client)
{
    struct host *host = context;
    route_remove(&host->route, ROUTE_CLIENT_FIRST + client);
}

// ---- the loop ----

static void on_no_sleep(uv_idle_t *idle)
{
    (void)idle;  // that it runs is what keeps the loop from sleeping
}

/* The bells ring only for those who said that they sleep. */
static void on_before_sleep(uv_prepare_t *prepare)
{
    struct host *host = prepare->data;
    bool is_armed = true;
    for (uint32_t i = 0; i < host->place_count; i++) {
        is_armed = guest_arm(&host->places[i].guest) && is_armed;
    }
    if (is_armed) {
        uv_idle_stop(&host->no_sleep);
    } else {
        uv_idle_start(&host->no_sleep, on_no_sleep);
    }
}

static void on_after_sleep(uv_check_t *check)
{
    struct host *host = check->data;
    for (uint32_t i = 0; i < host->place_count; i++) {
        guest_turn(&host->places[i].guest);
    }
    proxy_turn(host->proxy);
}

// ---- the beginning ----

static enum status fail(struct host *host, enum status status, const char *what, const char *why)
{
    (void)snprintf(host->error, HOST_ERROR_BYTES_MAX, "cannot %s: %s", what, why);
    return status;
}

static enum status fail_to_listen(struct host *host, uint16_t port, int cause)
{
    char what[64];
    (void)snprintf(what, sizeof what, "listen on 127.0.0.1:%u", port);
    (void)snprintf(host->error, HOST_ERROR_BYTES_MAX, "cannot %s: %s; choose another with --port",
                   what, uv_strerror(cause));
    return STATUS_IO;
}

static enum status find_program(struct host *host, struct program *program, const char *name,
                                const char *path)
{
    enum status status = STATUS_OK;
    if (path != NULL) {
        int length = snprintf(program->path, sizeof program->path, "%s", path);
        status = length < (int)sizeof program->path ? STATUS_OK : STATUS_IO;
        errno = ENAMETOOLONG;
    } else {
        int length = snprintf(program->path, sizeof program->path, "%s/%s",
                              host->config->program_directory, name);
        status = length < (int)sizeof program->path ? STATUS_OK : STATUS_IO;
        errno = ENAMETOOLONG;
    }
    if (status == STATUS_OK) {
        status = program_measure(program);
    }
    if (status != STATUS_OK) {
        (void)snprintf(host->error, HOST_ERROR_BYTES_MAX,
                       "cannot use enclave program '%.256s': %s; is paranoid installed whole?",
                       program->path, strerror(errno));
    }
    return status;
}

static enum status find_programs(struct host *host)
{
    enum status status = find_program(host, &host->leader_program, HOST_PROGRAM_LEADER, NULL);
    host->worker_program.option = host->config->is_jit_off ? "--jit=off" : NULL;
    return status != STATUS_OK ? status
                               : find_program(host, &host->worker_program, HOST_PROGRAM_WORKER,
                                              host->config->worker_program);
}

static enum status open_stores(struct host *host)
{
    static const char *const why = "is paranoid installed whole?";
    char program[HOME_PATH_BYTES_MAX];
    struct depot_config config = {
        .loop = &host->loop,
        .program = program,
        .genesis = buffer_bytes(&host->home.genesis),
        .events = {.answer = on_store_answer,
                   .broadcast = on_store_broadcast,
                   .failed = on_store_failed,
                   .context = host},
        .log = host->config->log,
    };
    enum status status = home_path(program, host->config->program_directory, HOST_PROGRAM_STORE);
    errno = ENAMETOOLONG;
    if (status == STATUS_OK) {
        list_stores(host, &config);
        status = depot_open(&host->depot, &config);
    }
    if (status != STATUS_OK) {
        (void)snprintf(host->error, HOST_ERROR_BYTES_MAX, "cannot start store '%.256s': %s; %s",
                       program, strerror(errno), why);
    }
    return status;
}

static enum status open_proxy(struct host *host)
{
    const struct proxy_config config = {
        .loop = &host->loop,
        .worker_count = host->config->worker_count,
        .base_port = host->config->base_port,
        .send = send_stream,
        .context = host,
    };
    uint16_t port;
    int cause;
    enum status status = proxy_open(&host->proxy, &config, &port, &cause);
    return status == STATUS_OK ? STATUS_OK : fail_to_listen(host, port, cause);
}

static enum status open_metrics(struct host *host)
{
    const struct metrics_pages pages = {.write = report_page, .context = host};
    uint16_t port = host->config->base_port;
    if (port != 0) {
        port = (uint16_t)(port + 1 + host->config->worker_count);
    }
    int cause;
    enum status status = metrics_open(&host->metrics, &host->loop, port, &pages, &cause);
    return status == STATUS_OK ? STATUS_OK : fail_to_listen(host, port, cause);
}

static enum status open_control(struct host *host)
{
    char path[HOME_PATH_BYTES_MAX];
    const struct random random = random_kernel();
    const struct control_events events = {
        .joined = on_client_joined,
        .frame = on_client_frame,
        .left = on_client_left,
        .context = host,
    };
    int cause = UV_ENAMETOOLONG;
    enum status status = home_path(path, host->config->state_directory, HOST_FILE_SOCKET);
    if (status == STATUS_OK) {
        status = control_open(&host->control, &host->loop, path, &random, &events, &cause);
    }
    if (status != STATUS_OK) {
        (void)snprintf(host->error, HOST_ERROR_BYTES_MAX, "cannot make socket '%s/%s': %s%s",
                       host->config->state_directory, HOST_FILE_SOCKET, uv_strerror(cause),
                       cause == UV_ENAMETOOLONG ? "; use a directory with a shorter path" : "");
    }
    return status;
}

static enum status open_witness(struct host *host)
{
    const struct witness_config config = {
        .loop = &host->loop,
        .home = &host->home,
        .state_directory = host->config->state_directory,
        .is_hardware = host->config->is_hardware,
        .is_debug = host->config->is_debug_enclave,
        .log = host->config->log,
        .done = on_evidence,
        .context = host,
    };
    return witness_open(&host->witness, &config, host->error);
}

static void init_loop(struct host *host)
{
    const int numbers[] = {SIGINT, SIGTERM};
    CHECK(uv_prepare_init(&host->loop, &host->before_sleep) == 0);
    CHECK(uv_check_init(&host->loop, &host->after_sleep) == 0);
    CHECK(uv_idle_init(&host->loop, &host->no_sleep) == 0);
    CHECK(uv_timer_init(&host->loop, &host->stop_timer) == 0);
    for (size_t i = 0; i < 2; i++) {
        CHECK(uv_signal_init(&host->loop, &host->signals[i]) == 0);
        host->signals[i].data = host;
        uv_signal_start(&host->signals[i], on_signal, numbers[i]);
    }
    host->before_sleep.data = host;
    host->after_sleep.data = host;
    host->stop_timer.data = host;
}

static void init_place(struct host *host, enum member_role role, uint32_t index)
{
    struct place *place = &host->places[host->place_count++];
    place->host = host;
    guest_init(&place->guest, &host->loop, role, index,
               role == MEMBER_WORKER ? &host->worker_program : &host->leader_program,
               &host->guest_events, host->config->log);
    place->guest.tee = witness_tee(host->witness);
    CHECK(uv_timer_init(&host->loop, &place->restart) == 0);
    place->restart.data = place;
}

static void init_places(struct host *host)
{
    host->guest_events = (struct guest_events){
        .frame = on_frame,
        .stream = on_stream,
        .ended = on_ended,
        .context = host,
    };
    // In the order of their ends.
    init_place(host, MEMBER_LEADER, 0);
    for (uint32_t i = 0; i < host->config->worker_count; i++) {
        init_place(host, MEMBER_WORKER, i);
    }
    init_place(host, MEMBER_COMPACTOR, 0);
}

static enum status open_all(struct host *host)
{
    enum status status = home_open(&host->home, host->config->state_directory, host->error);
    if (status == STATUS_OK) {
        status = find_programs(host);
    }
    if (status == STATUS_OK) {
        status = open_witness(host);
    }
    if (status == STATUS_OK) {
        status = open_stores(host);
    }
    if (status == STATUS_OK) {
        status = open_proxy(host);
    }
    if (status == STATUS_OK) {
        status = open_metrics(host);
    }
    if (status == STATUS_OK) {
        status = open_control(host);
    }
    return status;
}

static enum status start_all(struct host *host)
{
    uv_update_time(&host->loop);
    if (start(&host->places[ROUTE_LEADER]) != STATUS_OK) {
        return fail(host, STATUS_IO, "start the leader enclave", "the log says more");
    }
    buffer_clear(&host->scratch);
    if (report_host(host, &host->scratch) != STATUS_OK ||
        home_write(host->config->state_directory, HOST_FILE_STATUS, buffer_bytes(&host->scratch)) !=
            STATUS_OK) {
        return fail(host, STATUS_IO, "write '" HOST_FILE_STATUS "'", strerror(errno));
    }
    uv_prepare_start(&host->before_sleep, on_before_sleep);
    uv_check_start(&host->after_sleep, on_after_sleep);
    log_event(host->config->log, "host started port=%u metrics_port=%u workers=%u tee=%s",
              proxy_base_port(host->proxy), metrics_port(host->metrics), host->config->worker_count,
              witness_tee(host->witness));
    return STATUS_OK;
}

static void remove_status(const struct host *host)
{
    char path[HOME_PATH_BYTES_MAX];
    if (home_path(path, host->config->state_directory, HOST_FILE_STATUS) == STATUS_OK) {
        (void)unlink(path);
    }
}

enum status host_run(const struct host_config *config, char error[HOST_ERROR_BYTES_MAX])
{
    CHECK(0 < config->worker_count && config->worker_count <= HOST_WORKER_COUNT_MAX);
    CHECK(0 < config->lambda_threads && config->lambda_threads <= HOST_LAMBDA_THREADS_MAX);
    CHECK(config->base_port + 1 + config->worker_count <= UINT16_MAX);
    crypto_init();
    struct host *host = calloc(1, sizeof *host);
    if (host == NULL) {
        (void)snprintf(error, HOST_ERROR_BYTES_MAX, "cannot start host: no memory");
        return STATUS_NO_MEMORY;
    }
    host->config = config;
    host->error = error;
    host->home = HOME_NONE;
    CHECK(uv_loop_init(&host->loop) == 0);

    // A client that hangs up is an error of a write, and not the end of the host.
    struct sigaction before;
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, &before);

    init_loop(host);
    host->status = open_all(host);
    bool has_home = host->home.lock_fd >= 0;
    if (host->status == STATUS_OK) {
        init_places(host);
        host->status = start_all(host);
        if (host->status != STATUS_OK) {
            kill_all(host);
            host->is_stopping = true;
            finish_if_stopped(host);
        }
    } else {
        finish(host);
    }
    uv_run(&host->loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&host->loop) == 0);

    if (has_home) {
        remove_status(host);
    }
    for (uint32_t i = 0; i < host->place_count; i++) {
        guest_release(&host->places[i].guest);
    }
    buffer_release(&host->scratch);
    home_close(&host->home);
    sigaction(SIGPIPE, &before, NULL);
    enum status status = host->status;
    log_event(config->log, "host ended status=%s",
              status == STATUS_OK ? "ok" : status_text(status));
    free(host);
    return status;
}
