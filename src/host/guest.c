/* src/host/guest.c */
#include "host/guest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"

enum {
    TURN_FRAMES_MAX = 256,       // shown of one port before others have their turn
    FRAME_KEPT_BYTES = 1 << 20,  // of the buffer that frames are copied to
};

void guest_init(struct guest *guest, uv_loop_t *loop, enum member_role role, uint32_t index,
                struct program *program, const struct guest_events *events, const struct log *log)
{
    *guest = (struct guest){
        .role = role,
        .index = index,
        .program = program,
        .tee = "simulated",
        .events = events,
        .log = log,
        .loop = loop,
        .state = GUEST_DOWN,
        .wall = WALL_NONE,
        .spawn = SPAWN_NONE,
        .frame = BUFFER_EMPTY,
    };
}

void guest_release(struct guest *guest)
{
    CHECK(guest->state == GUEST_DOWN);
    buffer_release(&guest->frame);
}

uint64_t guest_delay_ms(uint32_t quick_end_count)
{
    uint64_t delay_ms = quick_end_count < 2 ? 0 : GUEST_DELAY_MS_MIN;
    for (uint32_t i = 2; i < quick_end_count && delay_ms < GUEST_DELAY_MS_MAX; i++) {
        delay_ms *= 2;
    }
    return delay_ms < GUEST_DELAY_MS_MAX ? delay_ms : GUEST_DELAY_MS_MAX;
}

// ---- what it says in words ----

void guest_say(const struct guest *guest, struct bytes text)
{
    char line[LOG_LINE_BYTES_MAX];
    size_t length = text.length < sizeof line ? text.length : sizeof line;
    for (size_t i = 0; i < length; i++) {
        bool is_printable = text.at[i] >= ' ' && text.at[i] <= '~';
        line[i] = is_printable ? (char)text.at[i] : '?';
    }
    log_event(guest->log, "enclave said role=%s index=%u pid=%d text=%.*s",
              member_role_text(guest->role), guest->index, (int)guest->spawn.pid, (int)length,
              line);
}

static void log_line(struct guest *guest)
{
    if (guest->line_bytes > 0) {
        guest_say(guest, bytes_of(guest->line, guest->line_bytes));
    }
    guest->line_bytes = 0;
}

/* False at its end. */
static bool read_messages(struct guest *guest)
{
    char text[4096];
    ssize_t got;
    while ((got = read(guest->spawn.message_fd, text, sizeof text)) > 0) {
        for (ssize_t i = 0; i < got; i++) {
            if (text[i] == '\n' || guest->line_bytes == sizeof guest->line) {
                log_line(guest);
            }
            if (text[i] != '\n') {
                guest->line[guest->line_bytes++] = text[i];
            }
        }
    }
    return got < 0 && (errno == EAGAIN || errno == EINTR);
}

static void on_message(uv_poll_t *poll, int status, int events)
{
    (void)events;
    struct guest *guest = poll->data;
    if (status < 0 || !read_messages(guest)) {
        uv_poll_stop(poll);
    }
}

// ---- its end ----

static void drop_waiting(struct guest *guest)
{
    while (guest->waiting != NULL) {
        struct guest_waiting *first = guest->waiting;
        guest->waiting = first->next;
        free(first);
    }
    guest->waiting_end = &guest->waiting;
    guest->waiting_bytes = 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct guest *guest = handle->data;
    guest->open_handle_count--;
    if (guest->open_handle_count > 0) {
        return;
    }
    wall_release(&guest->wall);
    spawn_release(&guest->spawn);
    drop_waiting(guest);
    guest->metrics.count = 0;
    guest->state = GUEST_DOWN;
    guest->events->ended(guest->events->context, guest);
}

static void close_handles(struct guest *guest)
{
    uv_poll_t *polls[] = {&guest->data_poll, &guest->stream_poll, &guest->end_poll,
                          &guest->message_poll};
    for (size_t i = 0; i < sizeof polls / sizeof *polls; i++) {
        uv_close((uv_handle_t *)polls[i], on_handle_closed);
    }
}

static void log_end(const struct guest *guest, pid_t pid, int how)
{
    bool is_signal = WIFSIGNALED(how);
    log_event(guest->log, "enclave ended role=%s index=%u pid=%d %s=%d lived_ms=%llu",
              member_role_text(guest->role), guest->index, (int)pid,
              is_signal ? "signal" : "status", is_signal ? WTERMSIG(how) : WEXITSTATUS(how),
              (unsigned long long)(uv_now(guest->loop) - guest->started_ms));
}

static void show_frames(struct guest *guest, struct port *port,
                        void (*show)(void *context, struct guest *guest, struct bytes frame),
                        int frames_max);

static void on_end(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct guest *guest = poll->data;
    pid_t pid = guest->spawn.pid;
    int how = 0;
    if (guest->is_ending) {
        return;
    }
    // What it said last is often why it ended. The rings hold so much and no more.
    show_frames(guest, &guest->wall.data, guest->events->frame, INT32_MAX);
    show_frames(guest, &guest->wall.stream, guest->events->stream, INT32_MAX);
    read_messages(guest);
    log_line(guest);
    if (spawn_wait(&guest->spawn, 0, &how) == STATUS_TIMEOUT) {
        return;
    }
    log_end(guest, pid, how);
    bool was_quick = uv_now(guest->loop) - guest->started_ms < GUEST_LIFE_MS_GOOD;
    guest->quick_end_count = was_quick ? guest->quick_end_count + 1 : 1;
    guest->is_ending = true;
    close_handles(guest);
}

void guest_kill(struct guest *guest)
{
    spawn_kill(&guest->spawn);
}

/* Whether frames go to and fro. */
static bool is_served(const struct guest *guest)
{
    return guest->state != GUEST_DOWN && !guest->is_ending && !guest->is_condemned;
}

/* It has broken what holds the two sides together: there is no way on. */
static void condemn(struct guest *guest, const char *why)
{
    guest->is_condemned = true;
    guest->counters.malformed++;
    log_event(guest->log, "enclave condemned role=%s index=%u reason=%s",
              member_role_text(guest->role), guest->index, why);
    spawn_kill(&guest->spawn);
}

// ---- what comes out of it ----

static void show_frames(struct guest *guest, struct port *port,
                        void (*show)(void *context, struct guest *guest, struct bytes frame),
                        int frames_max)
{
    for (int i = 0; i < frames_max && !guest->is_condemned; i++) {
        enum status status = port_receive(port, &guest->frame);
        if (status == STATUS_EMPTY) {
            return;
        }
        if (status != STATUS_OK) {
            condemn(guest, status_text(status));
            return;
        }
        guest->counters.frames_in++;
        guest->counters.bytes_in += guest->frame.length;
        show(guest->events->context, guest, buffer_bytes(&guest->frame));
    }
}

static void send_waiting(struct guest *guest)
{
    while (guest->waiting != NULL) {
        struct guest_waiting *first = guest->waiting;
        struct bytes part = bytes_of(first->bytes, first->length);
        enum status status = port_send(&guest->wall.data, &part, 1);
        if (status == STATUS_FULL) {
            return;
        }
        if (status != STATUS_OK) {
            condemn(guest, status_text(status));
            return;
        }
        guest->waiting = first->next;
        guest->waiting_bytes -= first->length;
        free(first);
    }
    guest->waiting_end = &guest->waiting;
}

void guest_turn(struct guest *guest)
{
    if (!is_served(guest)) {
        return;
    }
    guest->has_stream_room = true;
    show_frames(guest, &guest->wall.data, guest->events->frame, TURN_FRAMES_MAX);
    show_frames(guest, &guest->wall.stream, guest->events->stream, TURN_FRAMES_MAX);
    send_waiting(guest);
}

bool guest_arm(struct guest *guest)
{
    if (!is_served(guest)) {
        return true;
    }
    buffer_recycle(&guest->frame, FRAME_KEPT_BYTES);
    // Both, also when the first has something to do: its other reasons are told as well.
    bool is_data_armed = port_arm(&guest->wall.data);
    bool is_stream_armed = port_arm(&guest->wall.stream);
    return is_data_armed && is_stream_armed;
}

static void on_bell(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct guest *guest = poll->data;
    port_disarm(poll == &guest->data_poll ? &guest->wall.data : &guest->wall.stream);
}

// ---- what goes into it ----

static bool may_be_dropped(enum frame_kind kind)
{
    return kind == FRAME_RECORD || kind == FRAME_RECEIPT;
}

static void queue(struct guest *guest, enum frame_kind kind, const struct bytes parts[2])
{
    size_t length = parts[0].length + parts[1].length;
    size_t bytes_max =
        may_be_dropped(kind) ? GUEST_QUEUE_BYTES_MAX : 2 * (size_t)GUEST_QUEUE_BYTES_MAX;
    struct guest_waiting *waiting = NULL;
    if (guest->waiting_bytes + length <= bytes_max) {
        waiting = malloc(sizeof *waiting + length);
    }
    if (waiting == NULL) {
        guest->counters.dropped++;
        return;
    }
    waiting->next = NULL;
    waiting->length = length;
    memcpy(waiting->bytes, parts[0].at, parts[0].length);
    if (parts[1].length > 0) {
        memcpy(waiting->bytes + parts[0].length, parts[1].at, parts[1].length);
    }
    *guest->waiting_end = waiting;
    guest->waiting_end = &waiting->next;
    guest->waiting_bytes += length;
}

void guest_send(struct guest *guest, enum frame_kind kind, uint32_t request,
                const struct writer_id *peer, struct bytes body)
{
    if (!is_served(guest)) {
        return;
    }
    uint8_t header[FRAME_HEADER_BYTES];
    frame_header(header, kind, request, peer);
    struct bytes parts[] = {bytes_of(header, sizeof header), body};
    enum status status =
        guest->waiting == NULL ? port_send(&guest->wall.data, parts, 2) : STATUS_FULL;
    switch (status) {
    case STATUS_OK:
        break;
    case STATUS_FULL:
        queue(guest, kind, parts);
        break;
    case STATUS_MALFORMED:  // longer than the ring takes: as good as lost
        guest->counters.dropped++;
        return;
    default:
        condemn(guest, status_text(status));
        return;
    }
    guest->counters.frames_out++;
    guest->counters.bytes_out += sizeof header + body.length;
}

enum status guest_send_stream(struct guest *guest, const struct bytes *parts, size_t part_count)
{
    if (!is_served(guest)) {
        return STATUS_CLOSED;
    }
    if (!guest->has_stream_room) {
        return STATUS_FULL;
    }
    enum status status = port_send(&guest->wall.stream, parts, part_count);
    if (status == STATUS_FULL) {
        guest->has_stream_room = false;
        return STATUS_FULL;
    }
    if (status != STATUS_OK) {
        condemn(guest, status_text(status));
        return STATUS_CLOSED;
    }
    guest->counters.frames_out++;
    return STATUS_OK;
}

// ---- its life ----

static void open_poll(struct guest *guest, uv_poll_t *poll, int fd, uv_poll_cb callback)
{
    // These fail only for descriptors that cannot be polled, and ours all can.
    CHECK(uv_poll_init(guest->loop, poll, fd) == 0);
    poll->data = guest;
    guest->open_handle_count++;
    CHECK(uv_poll_start(poll, UV_READABLE, callback) == 0);
}

static void log_start(const struct guest *guest)
{
    char measurement[HASH_TEXT_BYTES];
    hash_text(&guest->measurement, measurement);
    log_event(guest->log,
              "enclave started role=%s index=%u pid=%d starts=%u tee=%s namespaces=%s "
              "measurement=%s",
              member_role_text(guest->role), guest->index, (int)guest->spawn.pid,
              guest->start_count, guest->tee, guest->spawn.has_namespaces ? "yes" : "no",
              measurement);
}

enum status guest_start(struct guest *guest, uint64_t life, const struct frame_start *start)
{
    CHECK(guest->state == GUEST_DOWN);
    struct buffer body = BUFFER_EMPTY;
    enum status status = frame_start_encode(&body, start);
    if (status == STATUS_OK) {
        status = program_measure(guest->program);
    }
    if (status == STATUS_OK) {
        status = wall_create(&guest->wall, WALL_GEOMETRY);
    }
    if (status == STATUS_OK) {
        // exec takes what it will not change as if it might.
        char *option = (char *)(uintptr_t)guest->program->option;
        char *const arguments[] = {guest->program->path, option, NULL};
        status = spawn_start(&guest->spawn, guest->program->path, arguments, &guest->wall);
    }
    if (status != STATUS_OK) {
        log_event(guest->log, "enclave not started role=%s index=%u program=%s reason=%s",
                  member_role_text(guest->role), guest->index, guest->program->path,
                  strerror(errno));
        guest->quick_end_count++;
        wall_release(&guest->wall);
        buffer_release(&body);
        return status;
    }
    guest->measurement = guest->program->measurement;
    guest->life = life;
    guest->id = (struct writer_id){.bytes = {0}};
    guest->started_ms = uv_now(guest->loop);
    guest->start_count++;
    guest->state = GUEST_RUNNING;
    guest->is_ending = false;
    guest->is_condemned = false;
    guest->has_stream_room = true;
    guest->waiting = NULL;
    guest->waiting_end = &guest->waiting;
    guest->waiting_bytes = 0;
    guest->line_bytes = 0;
    open_poll(guest, &guest->data_poll, guest->wall.data_bell_fd, on_bell);
    open_poll(guest, &guest->stream_poll, guest->wall.stream_bell_fd, on_bell);
    open_poll(guest, &guest->end_poll, guest->spawn.pidfd, on_end);
    open_poll(guest, &guest->message_poll, guest->spawn.message_fd, on_message);
    log_start(guest);

    const struct writer_id nobody = {.bytes = {0}};
    guest_send(guest, FRAME_START, 0, &nobody, buffer_bytes(&body));
    buffer_release(&body);
    return STATUS_OK;
}

enum status guest_know(struct guest *guest, const struct frame_hello *hello)
{
    if (guest->state != GUEST_RUNNING || hello->role != (uint8_t)guest->role) {
        return STATUS_DENIED;
    }
    guest->key = hello->key;
    guest->id = writer_id_of(&hello->key);
    guest->state = GUEST_KNOWN;
    return STATUS_OK;
}

enum status guest_ready(struct guest *guest)
{
    if (guest->state != GUEST_KNOWN) {
        return STATUS_DENIED;
    }
    guest->state = GUEST_READY;
    return STATUS_OK;
}

// ---- metrics ----

static bool is_name(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!(text[i] >= 'a' && text[i] <= 'z') && !(text[i] >= '0' && text[i] <= '9') &&
            text[i] != '_') {
            return false;
        }
    }
    return length > 0 && length <= GUEST_METRIC_NAME_BYTES_MAX;
}

/* Digits, with at most one point between them, and perhaps a sign. */
static bool is_decimal(const char *text, size_t length)
{
    size_t i = length > 0 && text[0] == '-' ? 1 : 0;
    size_t digit_count = 0;
    size_t point_count = 0;
    if (length > GUEST_METRIC_VALUE_BYTES_MAX) {
        return false;
    }
    for (; i < length; i++) {
        if (text[i] >= '0' && text[i] <= '9') {
            digit_count++;
        } else if (text[i] == '.' && digit_count > 0 && i + 1 < length) {
            point_count++;
        } else {
            return false;
        }
    }
    return digit_count > 0 && point_count <= 1;
}

static bool read_metric(struct guest_metric *metric, const char *line, size_t length)
{
    const char *space = memchr(line, ' ', length);
    if (space == NULL) {
        return false;
    }
    size_t name_bytes = (size_t)(space - line);
    size_t value_bytes = length - name_bytes - 1;
    if (!is_name(line, name_bytes) || !is_decimal(space + 1, value_bytes)) {
        return false;
    }
    *metric = (struct guest_metric){.name = ""};
    memcpy(metric->name, line, name_bytes);
    memcpy(metric->value, space + 1, value_bytes);
    return true;
}

enum status guest_read_metrics(struct guest_metrics *metrics, struct bytes body)
{
    struct guest_metrics read = {.count = 0};
    const char *at = (const char *)body.at;
    size_t left = body.length;
    while (left > 0) {
        const char *end = memchr(at, '\n', left);
        if (end == NULL || read.count == GUEST_METRIC_COUNT_MAX ||
            !read_metric(&read.items[read.count], at, (size_t)(end - at))) {
            return STATUS_MALFORMED;
        }
        read.count++;
        left -= (size_t)(end - at) + 1;
        at = end + 1;
    }
    *metrics = read;
    return STATUS_OK;
}
