/* src/host/guest.h */
#ifndef HOST_GUEST_H
#define HOST_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/status.h"
#include "capsule/member.h"
#include "capsule/writer.h"
#include "host/program.h"
#include "host/spawn.h"
#include "ring/wall.h"
#include "wire/frame.h"

/*
 * guest: an enclave as its host sees it: a place (role and index) in which one process
 * after the other lives, and the frames that go to and fro. Runs in a libuv loop; one thread.
 *
 * What comes out of an enclave is shown to `events` frame by frame. What goes in waits here
 * when the ring is full, at most GUEST_QUEUE_BYTES_MAX: beyond that, records and receipts are
 * dropped (an enclave fetches them later), and the rest at twice as much.
 *
 *     DOWN ──guest_start()──► RUNNING ──guest_know()──► KNOWN ──guest_ready()──► READY
 *       ▲                        │                        │                        │
 *       └──────ended event───────┴────────────────────────┴────────────────────────┘
 */
enum guest_state { GUEST_DOWN, GUEST_RUNNING, GUEST_KNOWN, GUEST_READY };

enum {
    GUEST_QUEUE_BYTES_MAX = 64 << 20,
    GUEST_METRIC_COUNT_MAX = 128,
    GUEST_METRIC_NAME_BYTES_MAX = 64,
    GUEST_METRIC_VALUE_BYTES_MAX = 32,
    GUEST_DELAY_MS_MIN = 100,  // before the second start in a row
    GUEST_DELAY_MS_MAX = 5000,
    GUEST_LIFE_MS_GOOD = 30000,  // whoever lived so long did not end early
};

struct guest;

struct guest_events {
    void (*frame)(void *context, struct guest *guest, struct bytes frame);   // by the data port
    void (*stream)(void *context, struct guest *guest, struct bytes frame);  // by the stream port
    /* The process has ended, and everything it left was shown. `guest` is DOWN. */
    void (*ended)(void *context, struct guest *guest);
    void *context;
};

/* One number that an enclave says about itself, in the form it was sent. */
struct guest_metric {
    char name[GUEST_METRIC_NAME_BYTES_MAX + 1];
    char value[GUEST_METRIC_VALUE_BYTES_MAX + 1];
};

struct guest_metrics {
    size_t count;
    struct guest_metric items[GUEST_METRIC_COUNT_MAX];
};

struct guest_counters {
    uint64_t frames_in;
    uint64_t frames_out;
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t dropped;    // no room for them
    uint64_t malformed;  // came out of it, and meant nothing
};

/* A frame that waits for room. */
struct guest_waiting {
    struct guest_waiting *next;
    size_t length;
    uint8_t bytes[];
};

/*
 * Plain to read for the rest of this layer. Others change `metrics`, `quick_end_count` and
 * `counters.malformed` alone.
 */
struct guest {
    // What stays from process to process.
    enum member_role role;
    uint32_t index;  // among those of its role
    struct program *program;
    const struct guest_events *events;
    const struct log *log;
    uv_loop_t *loop;
    uint32_t start_count;
    uint32_t quick_end_count;  // in a row; see guest_delay_ms()
    struct guest_counters counters;

    // The present one.
    enum guest_state state;
    uint64_t life;  // its number, never used again; what the store knows it by
    struct writer_id id;
    struct verify_key key;
    uint64_t started_ms;
    struct wall wall;
    struct spawn spawn;
    struct hash measurement;
    const char *tee;  // what its evidence says it runs in; static storage
    struct guest_metrics metrics;
    bool is_ending;
    bool is_condemned;     // killed for what it did to the wall
    bool has_stream_room;  // unless the stream port said STATUS_FULL since the last turn
    struct guest_waiting *waiting;
    struct guest_waiting **waiting_end;
    size_t waiting_bytes;
    struct buffer frame;  // the one being shown
    char line[LOG_LINE_BYTES_MAX / 2];
    size_t line_bytes;
    uv_poll_t data_poll;
    uv_poll_t stream_poll;
    uv_poll_t end_poll;
    uv_poll_t message_poll;
    int open_handle_count;
};

/* `program`, `events` and `log` are borrowed until guest_release(). */
void guest_init(struct guest *guest, uv_loop_t *loop, enum member_role role, uint32_t index,
                struct program *program, const struct guest_events *events, const struct log *log);

/* Of a guest that is DOWN. */
void guest_release(struct guest *guest);

/* Start a process in a place that is DOWN. STATUS_IO: it did not start; it was logged. */
MUST_CHECK enum status guest_start(struct guest *guest, uint64_t life,
                                   const struct frame_start *start);

/* End the process at once; the ended event follows. Harmless when it is DOWN. */
void guest_kill(struct guest *guest);

/* It has said who it is. STATUS_DENIED: it said so before, or claims another role. */
MUST_CHECK enum status guest_know(struct guest *guest, const struct frame_hello *hello);

/* It has taken up its role. STATUS_DENIED: it is not KNOWN. */
MUST_CHECK enum status guest_ready(struct guest *guest);

/* Hand it a frame, now or when there is room. One that is DOWN gets nothing. */
void guest_send(struct guest *guest, enum frame_kind kind, uint32_t request,
                const struct writer_id *peer, struct bytes body);

/*
 * Hand it a frame by the stream port. STATUS_FULL: not now; look again at the next turn at the
 * earliest. STATUS_CLOSED: it is DOWN.
 */
MUST_CHECK enum status guest_send_stream(struct guest *guest, const struct bytes *parts,
                                         size_t part_count);

/* Show a bounded number of the frames that came, and send of those that wait. */
void guest_turn(struct guest *guest);

/* Before the loop sleeps: true when it will be woken for whatever happens here. */
bool guest_arm(struct guest *guest);

/* How long to wait before the next start, when so many lives in a row ended early. */
uint64_t guest_delay_ms(uint32_t quick_end_count);

/* Log what it said, whatever bytes that may be. */
void guest_say(const struct guest *guest, struct bytes text);

/*
 * Read the body of a METRICS frame: lines "name value\n", names [a-z0-9_]{1,64}, values decimal.
 * STATUS_MALFORMED: anything else, or too many; `metrics` is then as before.
 */
MUST_CHECK enum status guest_read_metrics(struct guest_metrics *metrics, struct bytes body);

#endif
