/* tests/enclave/hostile_world.c */
#define _GNU_SOURCE  // memmem
#include "tests/enclave/hostile_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "attest/evidence.h"
#include "base/check.h"
#include "base/cursor.h"
#include "base/encoder.h"
#include "capsule/keys.h"
#include "capsule/term.h"
#include "crypto/crypto.h"
#include "wire/message.h"

enum { SPOKEN_BYTES_MAX = 64 << 20, PROGRAM_PATH_BYTES = 512 };

static const struct writer_id everyone;
static const struct writer_id owner_peer = {.bytes = {0x0e}};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Bells are among what a test may alter: nobody waits for one, the rings are looked at. */
static void nap(void)
{
    const struct timespec moment = {.tv_nsec = 200 * 1000};
    nanosleep(&moment, NULL);
}

uint64_t hostile_pick(struct hostile_world *world, uint64_t below)
{
    uint64_t word;
    random_fill(&world->random, &word, sizeof word);
    return below == 0 ? 0 : word % below;
}

static void keep(struct buffer *target, struct bytes bytes)
{
    if (target->length + bytes.length <= SPOKEN_BYTES_MAX) {
        CHECK(buffer_append(target, bytes.at, bytes.length) == STATUS_OK);
    }
}

/* ---- into an enclave ---- */

static void enqueue(struct hostile_guest *guest, bool is_stream, struct bytes frame)
{
    if (!guest->is_alive || guest->is_wall_broken) {
        return;
    }
    struct hostile_waiting *waiting = calloc(1, sizeof *waiting);
    CHECK(waiting != NULL);
    waiting->is_stream = is_stream;
    CHECK(buffer_append(&waiting->frame, frame.at, frame.length) == STATUS_OK);
    *guest->end = waiting;
    guest->end = &waiting->next;
}

static void waiting_drop_first(struct hostile_guest *guest)
{
    struct hostile_waiting *first = guest->first;
    guest->first = first->next;
    if (guest->first == NULL) {
        guest->end = &guest->first;
    }
    buffer_release(&first->frame);
    free(first);
}

static bool flush(struct hostile_guest *guest)
{
    bool has_moved = false;
    while (guest->first != NULL) {
        struct port *port = guest->first->is_stream ? &guest->wall.stream : &guest->wall.data;
        struct bytes part = buffer_bytes(&guest->first->frame);
        enum status status = port_send(port, &part, 1);
        if (status == STATUS_FULL) {
            break;
        }
        guest->is_wall_broken = guest->is_wall_broken || status == STATUS_FORGED;
        waiting_drop_first(guest);
        has_moved = true;
    }
    return has_moved;
}

void hostile_send_bytes(struct hostile_world *world, size_t guest, struct bytes frame)
{
    enqueue(&world->guests[guest], false, frame);
}

void hostile_send(struct hostile_world *world, size_t guest, enum frame_kind kind, uint32_t request,
                  const struct writer_id *peer, struct bytes body)
{
    struct buffer frame = BUFFER_EMPTY;
    CHECK(frame_encode(&frame, kind, request, peer, body) == STATUS_OK);
    hostile_send_bytes(world, guest, buffer_bytes(&frame));
    buffer_release(&frame);
}

void hostile_send_stream(struct hostile_world *world, uint64_t connection,
                         enum frame_stream_event event, struct bytes bytes)
{
    struct buffer body = BUFFER_EMPTY, frame = BUFFER_EMPTY;
    uint8_t prefix[FRAME_STREAM_PREFIX_BYTES];
    frame_stream_prefix(prefix, connection, event);
    CHECK(buffer_append(&body, prefix, sizeof prefix) == STATUS_OK);
    CHECK(buffer_append(&body, bytes.at, bytes.length) == STATUS_OK);
    CHECK(frame_encode(&frame, FRAME_STREAM, 0, &everyone, buffer_bytes(&body)) == STATUS_OK);
    enqueue(&world->guests[HOSTILE_WORKER], true, buffer_bytes(&frame));
    buffer_release(&body);
    buffer_release(&frame);
}

/* What an honest host hands on, if the test lets it. */
static void hand(struct hostile_world *world, size_t to, struct bytes frame)
{
    if (world->filter != NULL && !world->is_in_filter) {
        world->is_in_filter = true;
        bool is_taken = world->filter(world, to, frame);
        world->is_in_filter = false;
        if (is_taken) {
            return;
        }
    }
    if (world->heard_count < HOSTILE_HEARD_MAX) {
        world->heard[world->heard_count].to = to;
        CHECK(buffer_append(&world->heard[world->heard_count].frame, frame.at, frame.length) ==
              STATUS_OK);
        world->heard_count++;
    }
    hostile_send_bytes(world, to, frame);
}

static void hand_body(struct hostile_world *world, size_t to, enum frame_kind kind,
                      uint32_t request, const struct writer_id *peer, struct bytes body)
{
    struct buffer frame = BUFFER_EMPTY;
    CHECK(frame_encode(&frame, kind, request, peer, body) == STATUS_OK);
    hand(world, to, buffer_bytes(&frame));
    buffer_release(&frame);
}

/* ---- the owner ---- */

static void give_term(struct hostile_world *world, struct bytes evidence)
{
    struct buffer body = BUFFER_EMPTY, plain = BUFFER_EMPTY, sealed = BUFFER_EMPTY;
    world->term++;
    const struct term term = {
        .capsule = world->capsule,
        .number = world->term,
        .leader = world->apply.key,
        .sync = world->sync,
        .sync_epoch = world->sync_epoch,
        .evidence = evidence,
    };
    CHECK(term_encode(&body, &term, world->owner) == STATUS_OK);
    const struct message_seed seed = {.seed = secret_bytes(world->seed),
                                      .term_body = buffer_bytes(&body),
                                      .policy_body = buffer_bytes(&world->next_policy)};
    CHECK(message_seed_encode(&plain, &seed) == STATUS_OK);
    CHECK(channel_seal(world->session, &sealed, buffer_bytes(&plain)) == STATUS_OK);
    hand_body(world, HOSTILE_LEADER, FRAME_CHANNEL, 0, &owner_peer, buffer_bytes(&sealed));
    buffer_release(&body);
    buffer_release(&plain);
    buffer_release(&sealed);
}

static void owner_receive_proof(struct hostile_world *world, struct bytes message)
{
    struct buffer evidence = BUFFER_EMPTY;
    uint8_t report_data[JOIN_REPORT_DATA_BYTES];
    const struct evidence_roots roots = policy_roots(&world->policy, vendor_pinned());
    channel_free(world->session);
    world->session = NULL;
    bool is_proof =
        world->judge != NULL && join_judge_prove(world->judge, message, &evidence, report_data,
                                                 &world->session) == STATUS_OK;
    if (is_proof) {
        const struct verdict genuine =
            evidence_verify(buffer_bytes(&evidence), (uint64_t)time(NULL), &roots);
        const struct verdict verdict =
            policy_judge(&world->policy, &genuine, report_data, POLICY_LEADER);
        if (verdict.is_admitted) {
            give_term(world, buffer_bytes(&evidence));
        }
    }
    buffer_release(&evidence);
}

static void owner_receive_answer(struct hostile_world *world, struct bytes body)
{
    struct buffer plain = BUFFER_EMPTY;
    struct message message;
    if (world->session != NULL && channel_open(world->session, &plain, body) == STATUS_OK &&
        message_decode(&message, buffer_bytes(&plain)) == STATUS_OK &&
        message.kind == MESSAGE_ANSWER) {
        world->answer = (enum status)message.answer.status;
        world->answer_count++;
        world->sync = message.answer.sync;
        world->sync_epoch = message.answer.sync_epoch;
    }
    buffer_release(&plain);
}

static void owner_receive_join(struct hostile_world *world, struct bytes body)
{
    enum join_step step;
    struct bytes message;
    struct buffer target = BUFFER_EMPTY;
    if (join_decode(&step, &message, body) != STATUS_OK) {
        return;
    }
    if (step == JOIN_APPLY) {
        join_judge_free(world->judge);
        world->judge = NULL;
        if (join_judge_new(&world->judge, JOIN_PROVISION, message, bytes_of(NULL, 0), world->owner,
                           &world->keys, &world->apply, &target) == STATUS_OK) {
            hand_body(world, HOSTILE_LEADER, FRAME_JOIN, 0, &owner_peer, buffer_bytes(&target));
        }
        buffer_release(&target);
    } else if (step == JOIN_PROVE) {
        owner_receive_proof(world, message);
    }
}

void hostile_call(struct hostile_world *world)
{
    struct buffer call = BUFFER_EMPTY;
    CHECK(join_call(&call) == STATUS_OK);
    hand_body(world, HOSTILE_LEADER, FRAME_JOIN, 0, &owner_peer, buffer_bytes(&call));
    buffer_release(&call);
}

/* ---- the store ---- */

static void store_send(void *context, uint64_t client, struct bytes frame)
{
    hand(context, (size_t)client, frame);
}

static void store_broadcast(void *context, struct bytes frame)
{
    for (size_t i = 0; i < HOSTILE_GUESTS; i++) {
        hand(context, i, frame);
    }
}

/* ---- the host ---- */

static void answer_evidence(struct hostile_world *world, size_t from, const struct frame *frame)
{
    uint8_t quote[SIMULATED_QUOTE_BYTES];
    struct buffer bytes = BUFFER_EMPTY;
    if (frame->body.length != VERDICT_REPORT_DATA_BYTES) {
        return;
    }
    simulated_quote(world->platform, &world->measurement, frame->body.at, world->is_debug, quote);
    const struct evidence evidence = {
        .tee = TEE_SIMULATED,
        .quote = bytes_of(quote, sizeof quote),
        .collateral = buffer_bytes(&world->tcb),
    };
    CHECK(evidence_encode(&evidence, &bytes) == STATUS_OK);
    hand_body(world, from, FRAME_EVIDENCE, frame->request, &everyone, buffer_bytes(&bytes));
    buffer_release(&bytes);
}

static void receive_hello(struct hostile_guest *guest, struct bytes body)
{
    struct frame_hello hello;
    if (frame_hello_decode(&hello, body) == STATUS_OK) {
        guest->key = hello.key;
        guest->id = writer_id_of(&hello.key);
    } else {
        assert_true(guest->is_scribbled);
    }
}

static void receive_log(struct hostile_world *world, size_t from, struct bytes line)
{
    keep(&world->said, line);
    keep(&world->said, bytes_text("\n"));
    if (getenv("LOG") != NULL) {
        fprintf(stderr, "%zu: %.*s\n", from, (int)line.length, (const char *)line.at);
    }
}

static void route_letter(struct hostile_world *world, size_t from, const struct frame *frame)
{
    const struct writer_id *source = &world->guests[from].id;
    if (writer_id_equal(&frame->peer, &owner_peer)) {
        if (frame->kind == FRAME_JOIN) {
            owner_receive_join(world, frame->body);
        } else {
            owner_receive_answer(world, frame->body);
        }
        return;
    }
    size_t to = writer_id_equal(&frame->peer, &frame_to_leader) ? HOSTILE_LEADER : HOSTILE_WORKER;
    if (to == HOSTILE_LEADER || writer_id_equal(&frame->peer, &world->guests[to].id)) {
        hand_body(world, to, frame->kind, 0, source, frame->body);
    }
}

static void route(struct hostile_world *world, size_t from, struct bytes bytes)
{
    struct frame frame;
    struct hostile_guest *guest = &world->guests[from];
    if (frame_decode(&frame, bytes) != STATUS_OK) {
        assert_true(guest->is_scribbled);  // else an enclave sent nonsense
        return;
    }
    switch (frame.kind) {
    case FRAME_HELLO:
        receive_hello(guest, frame.body);
        return;
    case FRAME_READY:
        guest->is_ready = true;
        return;
    case FRAME_LOG:
        receive_log(world, from, frame.body);
        return;
    case FRAME_METRICS:
        return;
    case FRAME_EVIDENCE:
        answer_evidence(world, from, &frame);
        return;
    case FRAME_JOIN:
    case FRAME_CHANNEL:
        route_letter(world, from, &frame);
        return;
    case FRAME_RECORD:
        if (writer_id_equal(&frame.peer, &frame_to_leader)) {
            hand(world, HOSTILE_LEADER, bytes);
            return;
        }
        break;
    default:
        break;
    }
    bool is_for_store = (frame.kind == FRAME_RECORD && !world->is_store_silent) ||
                        frame.kind == FRAME_FETCH || frame.kind == FRAME_FENCE ||
                        frame.kind == FRAME_RECALL;
    if (is_for_store) {
        CHECK(server_receive(world->server, from, bytes) == STATUS_OK);
        world->must_commit = true;
    }
    if (frame.kind == FRAME_RECORD || frame.kind == FRAME_RTS) {
        hand(world, HOSTILE_WORKER, bytes);
    }
}

static void client_receive(struct hostile_world *world, const struct frame_stream *stream)
{
    struct hostile_client *client = world->client;
    uint8_t taken[4];
    struct encoder out = encoder_over(taken, sizeof taken);
    if (client == NULL || client->connection != stream->connection) {
        return;
    }
    struct cursor in = cursor_over(stream->bytes.at, stream->bytes.length);
    if (stream->event == FRAME_STREAM_CLOSE) {
        client->is_closed = true;
    } else if (stream->event == FRAME_STREAM_SENT) {
        client->on_the_way -= cursor_u32(&in);
    } else if (stream->event == FRAME_STREAM_DATA) {
        int written =
            BIO_write(SSL_get_rbio(client->ssl), stream->bytes.at, (int)stream->bytes.length);
        CHECK(written == (int)stream->bytes.length);
        encoder_u32(&out, (uint32_t)written);
        hostile_send_stream(world, client->connection, FRAME_STREAM_SENT,
                            bytes_of(taken, sizeof taken));
    }
}

/* All frames that wait in one direction. */
static bool receive_port(struct hostile_world *world, size_t from, struct port *port)
{
    struct hostile_guest *guest = &world->guests[from];
    struct buffer bytes = BUFFER_EMPTY;
    struct frame frame;
    struct frame_stream stream;
    bool has_moved = false;
    enum status status;
    while ((status = port_receive(port, &bytes)) == STATUS_OK) {
        has_moved = true;
        keep(&world->spoken, buffer_bytes(&bytes));
        if (port == &guest->wall.data) {
            route(world, from, buffer_bytes(&bytes));
        } else if (frame_decode(&frame, buffer_bytes(&bytes)) == STATUS_OK &&
                   frame_stream_decode(&stream, frame.body) == STATUS_OK) {
            client_receive(world, &stream);
        }
    }
    guest->is_wall_broken = guest->is_wall_broken || status == STATUS_FORGED;
    buffer_release(&bytes);
    return has_moved;
}

static void read_messages(struct hostile_guest *guest)
{
    char text[4096];
    ssize_t got;
    while ((got = read(guest->spawn.message_fd, text, sizeof text)) > 0) {
        keep(&guest->messages, bytes_of(text, (size_t)got));
        if (getenv("LOG") != NULL) {
            fprintf(stderr, "%.*s", (int)got, text);
        }
    }
}

static void look_for_end(struct hostile_guest *guest)
{
    if (guest->is_alive && spawn_wait(&guest->spawn, 0, &guest->how) == STATUS_OK) {
        read_messages(guest);
        guest->is_alive = false;
        guest->is_ready = false;
    }
}

static bool pump_client(struct hostile_world *world)
{
    struct hostile_client *client = world->client;
    if (client == NULL || client->is_closed) {
        return false;
    }
    uint8_t piece[4096];
    size_t length;
    ERR_clear_error();
    while (SSL_read_ex(client->ssl, piece, sizeof piece, &length) == 1) {
        keep(&client->plain, bytes_of(piece, length));
    }
    uint8_t sent[32 * 1024];
    int left = 0;
    if (client->on_the_way + sizeof sent <= FRAME_STREAM_WINDOW_BYTES) {
        left = BIO_read(SSL_get_wbio(client->ssl), sent, sizeof sent);
    }
    if (left > 0) {
        client->on_the_way += (size_t)left;
        hostile_send_stream(world, client->connection, FRAME_STREAM_DATA,
                            bytes_of(sent, (size_t)left));
    }
    return left > 0;
}

bool hostile_pump(struct hostile_world *world)
{
    bool has_moved = false;
    for (size_t i = 0; i < HOSTILE_GUESTS; i++) {
        struct hostile_guest *guest = &world->guests[i];
        if (!guest->is_alive) {
            continue;
        }
        look_for_end(guest);  // before its last words are read: then they are all there
        has_moved = receive_port(world, i, &guest->wall.data) || has_moved;
        has_moved = receive_port(world, i, &guest->wall.stream) || has_moved;
        if (guest->is_alive) {
            read_messages(guest);
        }
    }
    if (world->must_commit) {
        world->must_commit = false;
        CHECK(server_commit(world->server) == STATUS_OK);
    }
    has_moved = pump_client(world) || has_moved;
    for (size_t i = 0; i < HOSTILE_GUESTS; i++) {
        struct hostile_guest *guest = &world->guests[i];
        while (guest->first != NULL && (!guest->is_alive || guest->is_wall_broken)) {
            waiting_drop_first(guest);
        }
        has_moved = flush(guest) || has_moved;
    }
    return has_moved;
}

bool hostile_wait(struct hostile_world *world, int ms, hostile_condition *condition, void *context)
{
    uint64_t end_ms = now_ms() + (uint64_t)ms;
    while (!condition(world, context)) {
        if (now_ms() >= end_ms) {
            return false;
        }
        if (!hostile_pump(world)) {
            nap();
        }
    }
    return true;
}

static bool is_ready_or_dead(struct hostile_world *world, void *context)
{
    const struct hostile_guest *guest = &world->guests[*(size_t *)context];
    return guest->is_ready || !guest->is_alive;
}

bool hostile_wait_ready(struct hostile_world *world, size_t guest)
{
    return hostile_wait(world, HOSTILE_LOST_MS, is_ready_or_dead, &guest) &&
           world->guests[guest].is_ready;
}

static bool has_ended(struct hostile_world *world, void *context)
{
    return !world->guests[*(size_t *)context].is_alive;
}

bool hostile_wait_end(struct hostile_world *world, size_t guest)
{
    return hostile_wait(world, HOSTILE_LOST_MS, has_ended, &guest);
}

static bool is_drained(struct hostile_world *world, void *context)
{
    (void)context;
    for (size_t i = 0; i < HOSTILE_GUESTS; i++) {
        if (world->guests[i].first != NULL) {
            return false;
        }
    }
    return true;
}

void hostile_drain(struct hostile_world *world)
{
    assert_true(hostile_wait(world, HOSTILE_LOST_MS, is_drained, NULL));
}

/* ---- HTTPS ---- */

void hostile_ask(struct hostile_world *world, struct hostile_client *client, const char *method,
                 const char *path, const char *body)
{
    char head[1024];
    size_t body_bytes = strlen(body);
    *client = (struct hostile_client){.connection = ++world->connection_count};
    client->ssl = SSL_new(world->tls);
    CHECK(client->ssl != NULL);
    SSL_set_bio(client->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(client->ssl);
    world->client = client;
    hostile_send_stream(world, client->connection, FRAME_STREAM_OPEN, bytes_of(NULL, 0));
    snprintf(head, sizeof head,
             "%s %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"
             "Content-Length: %zu\r\n\r\n",
             method, path, world->token, body_bytes);
    uint64_t end_ms = now_ms() + HOSTILE_LOST_MS;
    while (SSL_do_handshake(client->ssl) != 1 && !client->is_closed && now_ms() < end_ms &&
           world->guests[HOSTILE_WORKER].is_alive) {
        if (!hostile_pump(world)) {
            nap();
        }
    }
    if (SSL_is_init_finished(client->ssl)) {
        CHECK(SSL_write(client->ssl, head, (int)strlen(head)) == (int)strlen(head));
        if (body[0] != '\0') {
            CHECK(SSL_write(client->ssl, body, (int)body_bytes) == (int)body_bytes);
        }
    }
}

/* The whole answer is here. */
static bool has_answer(struct hostile_world *world, void *context)
{
    struct hostile_client *client = context;
    if (!world->guests[HOSTILE_WORKER].is_alive || client->is_closed) {
        return true;
    }
    if (client->plain.length == 0) {
        return false;
    }
    const char *text = (const char *)client->plain.bytes;
    const char *body = memmem(text, client->plain.length, "\r\n\r\n", 4);
    const char *length = memmem(text, client->plain.length, "ontent-length: ", 15);
    size_t expected = length == NULL ? 0 : strtoul(length + 15, NULL, 10);
    return body != NULL && client->plain.length >= (size_t)(body + 4 - text) + expected;
}

unsigned hostile_answer(struct hostile_world *world, struct hostile_client *client, int ms,
                        struct buffer *answer)
{
    if (!hostile_wait(world, ms, has_answer, client) || client->plain.length < 12) {
        return 0;
    }
    const char *text = (const char *)client->plain.bytes;
    const char *body = memmem(text, client->plain.length, "\r\n\r\n", 4);
    if (answer != NULL && body != NULL) {
        size_t head_bytes = (size_t)(body + 4 - text);
        CHECK(buffer_append(answer, body + 4, client->plain.length - head_bytes) == STATUS_OK);
    }
    return (unsigned)strtoul(text + 9, NULL, 10);
}

void hostile_client_release(struct hostile_world *world, struct hostile_client *client)
{
    hostile_send_stream(world, client->connection, FRAME_STREAM_CLOSE, bytes_of(NULL, 0));
    SSL_free(client->ssl);
    buffer_release(&client->plain);
    world->client = NULL;
}

unsigned hostile_http(struct hostile_world *world, const char *method, const char *path,
                      const char *body, int ms, struct buffer *answer)
{
    struct hostile_client client;
    hostile_ask(world, &client, method, path, body);
    unsigned status = hostile_answer(world, &client, ms, answer);
    hostile_client_release(world, &client);
    return status;
}

/* ---- birth and end ---- */

static void make_machine(struct hostile_world *world)
{
    uint64_t now_s = (uint64_t)time(NULL);
    const struct simulated_terms terms = {
        .tcb_level = 1, .not_before_s = now_s - 86400, .not_after_s = now_s + 86400};
    const struct simulated_tcb tcb = {
        .issued_s = now_s - 3600,
        .next_update_s = now_s + 86400,
        .levels = {{.tcb_level = 1, .status = TCB_UP_TO_DATE}},
        .level_count = 1,
    };
    world->platform = simulated_platform_new(&world->keys, world->vendor, &terms);
    CHECK(simulated_tcb_encode(&tcb, world->vendor, &world->tcb) == STATUS_OK);
    world->measurement = hash_of("program", 7);
    policy_init(&world->policy);
    world->policy.version = 1;
    world->policy.allow_simulated = true;
    world->policy.has_simulated_root = true;
    world->policy.simulated_root = sign_key_public(world->vendor);
    for (size_t role = 0; role < POLICY_ROLE_COUNT; role++) {
        world->policy.measurements[role].values[0] =
            verdict_value_of(bytes_of(world->measurement.bytes, HASH_BYTES));
        world->policy.measurements[role].count = 1;
    }
}

static void make_genesis(struct hostile_world *world)
{
    struct genesis genesis = {.store_count = 1, .receipt_count = 1};
    struct buffer policy = BUFFER_EMPTY;
    snprintf(genesis.app, sizeof genesis.app, "hostile");
    snprintf(genesis.stores[0].name, sizeof genesis.stores[0].name, "store-1");
    genesis.owner = sign_key_public(world->owner);
    genesis.stores[0].key = sign_key_public(world->store_key);
    CHECK(policy_encode(&world->policy, &policy) == STATUS_OK);
    CHECK(genesis_encode(&world->genesis, &genesis, buffer_bytes(&policy), world->owner) ==
          STATUS_OK);
    world->capsule = hash_of(world->genesis.bytes, world->genesis.length);
    buffer_release(&policy);
}

static void make_store(struct hostile_world *world)
{
    world->disk = disk_fake_new();
    world->store_disk = disk_fake_disk(world->disk);
    const struct store_config config = {
        .disk = &world->store_disk,
        .genesis = buffer_bytes(&world->genesis),
        .key = world->store_key,
        .log = &world->log,
        .random = world->random,
        .segment_bytes = 16 << 20,
    };
    const struct server_output output = {
        .send = store_send, .broadcast = store_broadcast, .context = world};
    CHECK(store_open(&world->store, &config) == STATUS_OK);
    CHECK(server_new(&world->server, world->store, &output) == STATUS_OK);
}

/* A client that trusts what the owner's seed says, and nothing else. */
static void make_client(struct hostile_world *world)
{
    struct buffer root = BUFFER_EMPTY;
    struct p256_key *root_key = keys_tls_root(world->seed);
    CHECK(certificate_root(&root, root_key, &world->capsule) == STATUS_OK);
    world->tls = SSL_CTX_new(TLS_client_method());
    const unsigned char *at = root.bytes;
    X509 *certificate = d2i_X509(NULL, &at, (long)root.length);
    CHECK(certificate != NULL);
    CHECK(X509_STORE_add_cert(SSL_CTX_get_cert_store(world->tls), certificate) == 1);
    X509_free(certificate);
    SSL_CTX_set_verify(world->tls, SSL_VERIFY_PEER, NULL);
    keys_token(world->seed, &world->capsule, world->token);
    p256_key_free(root_key);
    buffer_release(&root);
}

void hostile_init(struct hostile_world *world)
{
    const char *seed = getenv("SEED");
    *world = (struct hostile_world){.answer = STATUS_EMPTY};
    crypto_init();
    world->seed_number = seed == NULL ? (unsigned long long)now_ms() : strtoull(seed, NULL, 10);
    print_message("SEED=%llu\n", world->seed_number);
    world->random = random_seeded(&world->seeded, world->seed_number);
    world->keys = random_kernel();
    for (size_t i = 0; i < HOSTILE_GUESTS; i++) {
        world->guests[i] = (struct hostile_guest){.wall = WALL_NONE, .spawn = SPAWN_NONE};
        world->guests[i].end = &world->guests[i].first;
    }
    world->owner = sign_key_new(&world->keys);
    world->seed = secret_new_random(&world->keys);
    world->vendor = sign_key_new(&world->keys);
    world->store_key = sign_key_new(&world->keys);
    make_machine(world);
    make_genesis(world);
    make_store(world);
    make_client(world);
}

static void guest_release(struct hostile_guest *guest)
{
    while (guest->first != NULL) {
        waiting_drop_first(guest);
    }
    spawn_release(&guest->spawn);
    wall_release(&guest->wall);
    buffer_release(&guest->messages);
    guest->is_alive = guest->is_ready = guest->is_wall_broken = guest->is_scribbled = false;
}

void hostile_start(struct hostile_world *world, size_t index)
{
    struct hostile_guest *guest = &world->guests[index];
    char program[PROGRAM_PATH_BYTES];
    const char *folder = getenv("PARANOID_BIN");
    const char *name = index == HOSTILE_LEADER ? "paranoid-enclave" : "paranoid-enclave-js";
    assert_non_null(folder);
    snprintf(program, sizeof program, "%s/%s", folder, name);
    char *const arguments[] = {program, NULL};
    guest_release(guest);
    CHECK(wall_create(&guest->wall, WALL_GEOMETRY) == STATUS_OK);
    assert_int_equal(spawn_start(&guest->spawn, program, arguments, &guest->wall), STATUS_OK);
    guest->is_alive = true;

    struct buffer body = BUFFER_EMPTY;
    const struct frame_start start = {
        .role = index == HOSTILE_LEADER ? MEMBER_LEADER : MEMBER_WORKER,
        .lambda_threads = 2,
        .time_ms = (uint64_t)time(NULL) * 1000,
        .capsule = world->capsule,
        .genesis = buffer_bytes(&world->genesis),
    };
    CHECK(frame_start_encode(&body, &start) == STATUS_OK);
    hostile_send(world, index, FRAME_START, 0, &everyone, buffer_bytes(&body));
    buffer_release(&body);
}

void hostile_begin(struct hostile_world *world)
{
    hostile_start(world, HOSTILE_LEADER);
    hostile_call(world);
    assert_true(hostile_wait_ready(world, HOSTILE_LEADER));
    hostile_start(world, HOSTILE_WORKER);
    assert_true(hostile_wait_ready(world, HOSTILE_WORKER));
}

bool hostile_has_said(const struct hostile_world *world, const char *text)
{
    return world->said.length > 0 &&
           memmem(world->said.bytes, world->said.length, text, strlen(text)) != NULL;
}

void hostile_assert_decent(struct hostile_world *world, size_t index)
{
    static const char *const reports[] = {"Sanitizer", "runtime error", "check failed"};
    struct hostile_guest *guest = &world->guests[index];
    hostile_pump(world);
    if (!guest->is_alive && WIFSIGNALED(guest->how)) {
        fail_msg("guest %zu ended by signal %d: %.*s", index, WTERMSIG(guest->how),
                 (int)guest->messages.length, (const char *)guest->messages.bytes);
    }
    for (size_t i = 0; i < sizeof reports / sizeof *reports && guest->messages.length > 0; i++) {
        if (memmem(guest->messages.bytes, guest->messages.length, reports[i], strlen(reports[i])) !=
            NULL) {
            fail_msg("guest %zu: %.*s", index, (int)guest->messages.length,
                     (const char *)guest->messages.bytes);
        }
    }
}

static bool occurs(struct bytes secret, struct bytes where)
{
    return where.length > 0 && memmem(where.at, where.length, secret.at, secret.length) != NULL;
}

/* P1: in nothing that left an enclave, nor in the memory it shares, is there a secret. */
static void assert_nothing_leaked(struct hostile_world *world)
{
    struct secret *data_key = keys_data(world->seed, &world->capsule, 1);
    const struct bytes secrets[] = {
        bytes_of(secret_bytes(world->seed), SECRET_BYTES),
        bytes_of(secret_bytes(data_key), SECRET_BYTES),
        bytes_text(world->token),
        bytes_text(HOSTILE_VALUE),
        bytes_text(HOSTILE_KEY),
    };
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
        assert_false(occurs(secrets[i], buffer_bytes(&world->spoken)));
        assert_false(occurs(secrets[i], buffer_bytes(&world->said)));
        for (size_t guest = 0; guest < HOSTILE_GUESTS; guest++) {
            const struct wall *wall = &world->guests[guest].wall;
            assert_false(occurs(secrets[i], buffer_bytes(&world->guests[guest].messages)));
            assert_false(occurs(secrets[i], bytes_of(wall->memory, wall->memory_bytes)));
        }
    }
    secret_free(data_key);
}

void hostile_release(struct hostile_world *world)
{
    world->client = NULL;  // a test that failed has left it on its stack
    for (size_t i = 0; i < HOSTILE_GUESTS; i++) {
        if (world->guests[i].wall.memory != NULL) {
            hostile_assert_decent(world, i);
        }
    }
    assert_nothing_leaked(world);
    for (size_t i = 0; i < HOSTILE_GUESTS; i++) {
        guest_release(&world->guests[i]);
    }
    for (size_t i = 0; i < world->heard_count; i++) {
        buffer_release(&world->heard[i].frame);
    }
    server_free(world->server);
    store_close(world->store);
    disk_fake_free(world->disk);
    join_judge_free(world->judge);
    channel_free(world->session);
    simulated_platform_free(world->platform);
    SSL_CTX_free(world->tls);
    sign_key_free(world->owner);
    sign_key_free(world->vendor);
    sign_key_free(world->store_key);
    secret_free(world->seed);
    buffer_release(&world->tcb);
    buffer_release(&world->genesis);
    buffer_release(&world->next_policy);
    buffer_release(&world->said);
    buffer_release(&world->spoken);
}
