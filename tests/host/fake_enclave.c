/* tests/host/fake_enclave.c */
#include "tests/host/fake_enclave.h"

#include <ctype.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attest/evidence.h"
#include "base/buffer.h"
#include "base/check.h"
#include "base/random.h"
#include "crypto/crypto.h"
#include "ring/wall.h"
#include "tests/support/capsule_world.h"
#include "wire/frame.h"

enum { CONNECTIONS_MAX = 4096, KIND_COUNT = 32, CHUNK_BYTES = 64 << 10 };
enum { FLOOD_BYTES = FAKE_ENCLAVE_FLOOD_BYTES };

static const struct writer_id nobody = {.bytes = {0}};

/* The echo of one connection. */
struct echo {
    uint64_t connection;  // 0: free
    struct buffer bytes;
    size_t unreported;  // sent, and not yet known to have left
    uint32_t received;  // and not yet sent back
    uint32_t untaken;   // sent back, and not yet reported
    bool is_ending;     // to be closed when all of it is sent
};

struct fake {
    struct wall wall;
    struct verify_key key;
    struct writer_id id;
    uint8_t role;
    bool is_ready;
    uint64_t got[KIND_COUNT];
    struct echo echoes[CONNECTIONS_MAX];  // of the other thread
};

static void send_parts(struct port *port, const struct bytes *parts, size_t count)
{
    enum status status;
    while ((status = port_send(port, parts, count)) == STATUS_FULL) {
        CHECK(port_wait_for_room(port, -1) == STATUS_OK);
    }
    CHECK(status == STATUS_OK);
}

static void say(struct fake *fake, enum frame_kind kind, uint32_t request,
                const struct writer_id *peer, struct bytes body)
{
    uint8_t header[FRAME_HEADER_BYTES];
    frame_header(header, kind, request, peer);
    const struct bytes parts[] = {bytes_of(header, sizeof header), body};
    send_parts(&fake->wall.data, parts, 2);
}

static void make_upper(uint8_t *target, struct bytes source)
{
    for (size_t i = 0; i < source.length; i++) {
        target[i] = (uint8_t)toupper(source.at[i]);
    }
}

// ---- connections ----

static struct echo *echo_find(struct fake *fake, uint64_t connection)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        if (fake->echoes[i].connection == connection) {
            return &fake->echoes[i];
        }
    }
    return NULL;
}

static void say_stream(struct fake *fake, uint64_t connection, enum frame_stream_event event,
                       struct bytes bytes)
{
    uint8_t head[FRAME_HEADER_BYTES + FRAME_STREAM_PREFIX_BYTES];
    frame_header(head, FRAME_STREAM, 0, &nobody);
    frame_stream_prefix(head + FRAME_HEADER_BYTES, connection, event);
    const struct bytes parts[] = {bytes_of(head, sizeof head), bytes};
    send_parts(&fake->wall.stream, parts, 2);
}

static void echo_close(struct echo *echo)
{
    buffer_release(&echo->bytes);
    *echo = (struct echo){.bytes = BUFFER_EMPTY};
}

/* Send what the window has room for; then the host may send more too. */
static void echo_on(struct fake *fake, struct echo *echo)
{
    while (echo->bytes.length > 0 && echo->unreported < FRAME_STREAM_WINDOW_BYTES) {
        size_t length = FRAME_STREAM_WINDOW_BYTES - echo->unreported;
        length = length < echo->bytes.length ? length : echo->bytes.length;
        length = length < CHUNK_BYTES ? length : CHUNK_BYTES;
        say_stream(fake, echo->connection, FRAME_STREAM_DATA, bytes_of(echo->bytes.bytes, length));
        buffer_consume(&echo->bytes, length);
        echo->unreported += length;
        uint32_t taken = length < echo->received ? (uint32_t)length : echo->received;
        echo->received -= taken;
        echo->untaken += taken;
    }
    if (echo->untaken >= FRAME_STREAM_WINDOW_BYTES / 2 ||
        (echo->bytes.length == 0 && echo->untaken > 0)) {
        uint8_t count[] = {(uint8_t)echo->untaken, (uint8_t)(echo->untaken >> 8),
                           (uint8_t)(echo->untaken >> 16), (uint8_t)(echo->untaken >> 24)};
        say_stream(fake, echo->connection, FRAME_STREAM_SENT, bytes_of(count, sizeof count));
        echo->untaken = 0;
    }
    if (echo->is_ending && echo->bytes.length == 0) {
        say_stream(fake, echo->connection, FRAME_STREAM_CLOSE, bytes_of(NULL, 0));
        echo_close(echo);
    }
}

static bool ends_with(struct bytes bytes, const char *word)
{
    size_t length = strlen(word);
    return bytes.length >= length && memcmp(bytes.at + bytes.length - length, word, length) == 0;
}

static void take_data(struct fake *fake, struct echo *echo, struct bytes bytes)
{
    CHECK(echo->received + echo->untaken + bytes.length <= FRAME_STREAM_WINDOW_BYTES);
    echo->received += (uint32_t)bytes.length;
    CHECK(buffer_reserve(&echo->bytes, FLOOD_BYTES + bytes.length) == STATUS_OK);
    make_upper(echo->bytes.bytes + echo->bytes.length, bytes);
    echo->bytes.length += bytes.length;
    if (ends_with(bytes, "flood\n")) {
        memset(echo->bytes.bytes + echo->bytes.length, 'F', FLOOD_BYTES);
        echo->bytes.length += FLOOD_BYTES;
        echo->is_ending = true;
    }
    echo->is_ending = echo->is_ending || ends_with(bytes, "bye\n");
    echo_on(fake, echo);
}

static void take_stream(struct fake *fake, struct bytes bytes)
{
    struct frame frame;
    struct frame_stream stream;
    CHECK(frame_decode(&frame, bytes) == STATUS_OK);
    CHECK(frame_stream_decode(&stream, frame.body) == STATUS_OK);
    struct echo *echo = echo_find(fake, stream.event == FRAME_STREAM_OPEN ? 0 : stream.connection);
    if (echo == NULL) {
        return;
    }
    switch (stream.event) {
    case FRAME_STREAM_OPEN:
        echo->connection = stream.connection;
        break;
    case FRAME_STREAM_DATA:
        take_data(fake, echo, stream.bytes);
        break;
    case FRAME_STREAM_SENT:
        echo->unreported -= (size_t)stream.bytes.at[0] | (size_t)stream.bytes.at[1] << 8 |
                            (size_t)stream.bytes.at[2] << 16 | (size_t)stream.bytes.at[3] << 24;
        echo_on(fake, echo);
        break;
    case FRAME_STREAM_CLOSE:
        echo_close(echo);
        break;
    }
}

static void *run_stream(void *context)
{
    struct fake *fake = context;
    struct buffer frame = BUFFER_EMPTY;
    for (;;) {
        while (port_receive(&fake->wall.stream, &frame) == STATUS_OK) {
            take_stream(fake, buffer_bytes(&frame));
        }
        CHECK(port_wait(&fake->wall.stream, -1) == STATUS_OK);
    }
    return NULL;
}

// ---- frames ----

static void report(struct fake *fake)
{
    static const char *const names[KIND_COUNT] = {
        [FRAME_RECORD] = "got_record",   [FRAME_RECEIPT] = "got_receipt",
        [FRAME_JOIN] = "got_join",       [FRAME_RTS] = "got_rts",
        [FRAME_FETCHED] = "got_fetched", [FRAME_EVIDENCE] = "got_evidence",
        [FRAME_GONE] = "got_gone",       [FRAME_CHANNEL] = "got_channel"};
    char text[1024];
    int length = snprintf(text, sizeof text, "faas_invocations_total 1\n");
    for (size_t i = 0; i < KIND_COUNT; i++) {
        if (names[i] != NULL) {
            length += snprintf(text + length, sizeof text - (size_t)length, "%s %llu\n", names[i],
                               (unsigned long long)fake->got[i]);
        }
    }
    say(fake, FRAME_METRICS, 0, &nobody, bytes_of(text, (size_t)length));
}

static void hello(struct fake *fake, uint8_t role)
{
    const struct random random = random_kernel();
    struct buffer body = BUFFER_EMPTY;
    struct sign_key *key = sign_key_new(&random);
    fake->role = role;
    fake->key = sign_key_public(key);
    fake->id = writer_id_of(&fake->key);
    sign_key_free(key);
    const struct frame_hello hello = {.role = role, .key = fake->key};
    CHECK(frame_hello_encode(&body, &hello) == STATUS_OK);
    say(fake, FRAME_HELLO, 0, &nobody, buffer_bytes(&body));
    buffer_release(&body);
    if (role == MEMBER_WORKER) {
        say(fake, FRAME_JOIN, 0, &frame_to_leader, bytes_text("let me in"));
    }
}

static void send_records(struct fake *fake)
{
    struct capsule_world world;
    capsule_world_init(&world, FAKE_ENCLAVE_SEED, 1, 1, 0);
    capsule_world_start(&world);
    say(fake, FRAME_RECORD, 0, &nobody, buffer_bytes(&world.log));
    say(fake, FRAME_RTS, 0, &nobody, bytes_text("an epoch"));
    say(fake, FRAME_RECORD, 0, &frame_to_leader, bytes_text("to myself: dropped"));
    capsule_world_release(&world);
}

/* What a broken or hostile enclave could say. */
static void send_nonsense(struct fake *fake)
{
    const struct bytes short_frame = bytes_text("short");
    const struct bytes long_frame =
        bytes_text("\377 twenty-four bytes and more of an unknown kind");
    send_parts(&fake->wall.data, &short_frame, 1);
    send_parts(&fake->wall.data, &long_frame, 1);
    send_parts(&fake->wall.stream, &long_frame, 1);
    say(fake, FRAME_EVIDENCE, 0, &nobody, bytes_text("not 64 bytes"));
    say(fake, FRAME_METRICS, 0, &nobody, bytes_text("Not A Metric\n"));
    say(fake, FRAME_HELLO, 0, &nobody, bytes_text("again?"));
    say(fake, FRAME_STOP, 0, &nobody, bytes_of(NULL, 0));
    say(fake, FRAME_LOG, 0, &nobody, bytes_text("escape \033[2J sequence\n"));
}

static void take_join_as_leader(struct fake *fake, const struct frame *frame)
{
    uint8_t answer[256];
    CHECK(frame->body.length <= sizeof answer);
    make_upper(answer, frame->body);
    say(fake, FRAME_JOIN, frame->request, &frame->peer, bytes_of(answer, frame->body.length));
    if (bytes_equal(frame->body, bytes_text("records"))) {
        send_records(fake);
    } else if (bytes_equal(frame->body, bytes_text("nonsense"))) {
        send_nonsense(fake);
    } else if (bytes_equal(frame->body, bytes_text("exit"))) {
        fprintf(stderr, "last words\n");
        _exit(3);
    }
    if (!fake->is_ready) {
        fake->is_ready = true;
        say(fake, FRAME_READY, 0, &nobody, bytes_of(NULL, 0));
    }
}

static void take_evidence(struct fake *fake, const struct frame *frame)
{
    struct evidence evidence;
    CHECK(frame->request == 9);
    CHECK(evidence_decode(&evidence, frame->body) == STATUS_OK);
    CHECK(evidence.tee == TEE_SIMULATED);
    say(fake, FRAME_LOG, 0, &nobody, bytes_text("worker has evidence"));
    say(fake, FRAME_READY, 0, &nobody, bytes_of(NULL, 0));
}

static void fetch_all(struct fake *fake)
{
    struct buffer body = BUFFER_EMPTY;
    const struct frame_fetch fetch = {.from = 1, .to = UINT64_MAX, .max_bytes = 1 << 20};
    CHECK(frame_fetch_encode(&body, &fetch) == STATUS_OK);
    say(fake, FRAME_FETCH, 11, &nobody, buffer_bytes(&body));
    buffer_release(&body);
}

static void take_frame(struct fake *fake, struct bytes bytes)
{
    struct frame frame;
    struct frame_start start;
    CHECK(frame_decode(&frame, bytes) == STATUS_OK);
    fake->got[(size_t)frame.kind % KIND_COUNT]++;
    switch (frame.kind) {
    case FRAME_START:
        CHECK(frame_start_decode(&start, frame.body) == STATUS_OK);
        CHECK(start.lambda_threads == 2);
        hello(fake, start.role);
        break;
    case FRAME_JOIN:
        if (fake->role == MEMBER_LEADER) {
            take_join_as_leader(fake, &frame);
        } else {
            CHECK(bytes_equal(frame.body, bytes_text("LET ME IN")));
            uint8_t report_data[64] = "whatever";
            say(fake, FRAME_EVIDENCE, 9, &nobody, bytes_of(report_data, sizeof report_data));
        }
        break;
    case FRAME_EVIDENCE:
        take_evidence(fake, &frame);
        break;
    case FRAME_RECEIPT:
        fetch_all(fake);
        break;
    case FRAME_FETCHED:
        if (fake->role == MEMBER_WORKER) {
            say(fake, FRAME_RECORD, 0, &nobody, bytes_text("for store and workers"));
        }
        break;
    case FRAME_STOP:
        _exit(0);
    default:
        break;
    }
    report(fake);
}

bool fake_enclave_is_wanted(const char *program_name)
{
    return strstr(program_name, "/paranoid-enclave") != NULL;
}

int fake_enclave_run(void)
{
    static struct fake fake;
    struct buffer frame = BUFFER_EMPTY;
    pthread_t stream;
    crypto_init();
    CHECK(wall_attach(&fake.wall, WALL_GEOMETRY, 0) == STATUS_OK);
    CHECK(pthread_create(&stream, NULL, run_stream, &fake) == 0);
    for (;;) {
        while (port_receive(&fake.wall.data, &frame) == STATUS_OK) {
            take_frame(&fake, buffer_bytes(&frame));
        }
        CHECK(port_wait(&fake.wall.data, -1) == STATUS_OK);
    }
}
