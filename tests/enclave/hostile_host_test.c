/* tests/enclave/hostile_host_test.c */

/*
 * Goal: a hostile host stops the enclaves at most; it makes them neither crash, nor believe, nor
 * promise, nor tell anything (P1, P2, P4, P10).
 * Method: the real programs, and the test in the place of their host (hostile_world.h). After each
 * attack an enclave lives and is right, or has ended with an exit status; a signal, a sanitizer's
 * report and a failed CHECK fail the test, and so does a secret in anything that left an enclave.
 */
#define _GNU_SOURCE  // memmem
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/encoder.h"
#include "capsule/receipt.h"
#include "capsule/record.h"
#include "capsule/seal.h"
#include "capsule/term.h"
#include "tests/enclave/hostile_world.h"

static const struct writer_id everyone;
static const char *const key_path = "/kv/" HOSTILE_KEY;
static const char *const value = HOSTILE_VALUE;

// How long nothing must happen, and everything at once.
enum { QUIET_MS = 700, LOOP_MS = 4000 };
// How long a worker waits for receipts before it says that there are none.
enum { DURABLE_MS = 10000 };

static struct hostile_world world;

static int setup(void **state)
{
    (void)state;
    hostile_init(&world);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hostile_release(&world);
    return 0;
}

/* ---- what is right ---- */

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/*
 * The answer's status. What a worker needs from outside and does not get in seconds is a 503: a
 * machine that stood still is asked again.
 */
static unsigned ask(const char *method, const char *path, const char *body, struct buffer *answer)
{
    enum { TRY_COUNT_MAX = 5 };
    unsigned status = 503;
    for (unsigned i = 0; i < TRY_COUNT_MAX && status == 503; i++) {
        if (answer != NULL) {
            buffer_clear(answer);
        }
        status = hostile_http(&world, method, path, body, HOSTILE_LOST_MS, answer);
    }
    return status;
}

static void assert_put(void)
{
    assert_int_equal(ask("PUT", key_path, value, NULL), 204);
}

static void assert_reads(void)
{
    struct buffer body = BUFFER_EMPTY;
    assert_int_equal(ask("GET", key_path, "", &body), 200);
    assert_int_equal(body.length, strlen(value));
    assert_memory_equal(body.bytes, value, body.length);
    buffer_release(&body);
}

static void begin_leader(void)
{
    hostile_start(&world, HOSTILE_LEADER);
    hostile_call(&world);
    assert_true(hostile_wait_ready(&world, HOSTILE_LEADER));
}

static void begin(void)
{
    hostile_begin(&world);
    assert_put();
    assert_reads();
}

/* Nothing has happened: both live, read what was written, and write. */
static void assert_unmoved(void)
{
    hostile_drain(&world);
    for (size_t guest = 0; guest < HOSTILE_GUESTS; guest++) {
        hostile_assert_decent(&world, guest);
        assert_true(world.guests[guest].is_alive);
    }
    assert_reads();
    assert_put();
}

static bool never(struct hostile_world *unused, void *context)
{
    (void)unused;
    (void)context;
    return false;
}

/* Let everybody work for a while. */
static void run(int ms)
{
    assert_false(hostile_wait(&world, ms, never, NULL));
}

/* ---- what a host can make ---- */

static struct bytes noise(struct buffer *target, size_t length)
{
    buffer_clear(target);
    CHECK(buffer_reserve(target, length) == STATUS_OK);
    random_fill(&world.random, target->bytes, length);
    target->length = length;
    return buffer_bytes(target);
}

static void send_noise(size_t guest)
{
    static const size_t lengths[] = {0, 1, 8, 23, 24, 25, 33, 64, 100, 184, 1000, 70000};
    struct buffer bytes = BUFFER_EMPTY;
    size_t length = lengths[hostile_pick(&world, sizeof lengths / sizeof *lengths)];
    hostile_send_bytes(&world, guest, noise(&bytes, length));
    buffer_release(&bytes);
}

/* A right header over a body of dice. */
static void send_noise_of(size_t guest, enum frame_kind kind, size_t length)
{
    struct buffer body = BUFFER_EMPTY;
    struct writer_id peer;
    random_fill(&world.random, &peer, sizeof peer);
    const struct writer_id *peers[] = {&everyone, &peer, &world.guests[HOSTILE_LEADER].id,
                                       &world.guests[HOSTILE_WORKER].id};
    struct bytes bytes = noise(&body, length);
    if (kind == FRAME_JOIN && length > 0) {
        body.bytes[0] = (uint8_t)hostile_pick(&world, 5);
    }
    struct buffer frame = BUFFER_EMPTY;
    uint8_t header[FRAME_HEADER_BYTES];
    frame_header(header, kind, (uint32_t)hostile_pick(&world, 40), peers[hostile_pick(&world, 4)]);
    CHECK(buffer_append(&frame, header, sizeof header) == STATUS_OK);
    CHECK(buffer_append(&frame, bytes.at, bytes.length) == STATUS_OK);
    hostile_send_bytes(&world, guest, buffer_bytes(&frame));
    buffer_release(&frame);
    buffer_release(&body);
}

/*
 * STOP ends an enclave by right, and REFUSED may end a leader (DESIGN 6.1): these have their own
 * tests.
 */
static enum frame_kind pick_kind(void)
{
    enum frame_kind kind;
    do {
        kind = (enum frame_kind)hostile_pick(&world, 30);
    } while (kind == FRAME_STOP || kind == FRAME_REFUSED || kind == FRAME_GONE);
    return kind;
}

/* Something an enclave was told before, as it was or with one bit turned. */
static void replay(bool must_bend)
{
    if (world.heard_count == 0) {
        return;
    }
    size_t index = hostile_pick(&world, world.heard_count);
    size_t guest =
        hostile_pick(&world, 4) == 0 ? hostile_pick(&world, HOSTILE_GUESTS) : world.heard[index].to;
    struct buffer frame = BUFFER_EMPTY;
    const struct buffer *heard = &world.heard[index].frame;
    CHECK(buffer_append(&frame, heard->bytes, heard->length) == STATUS_OK);
    if (must_bend) {
        frame.bytes[hostile_pick(&world, frame.length)] ^= (uint8_t)(1u << hostile_pick(&world, 8));
    }
    bool is_stop = frame.bytes[0] == FRAME_STOP || frame.bytes[0] == FRAME_REFUSED ||
                   frame.bytes[0] == FRAME_GONE;
    if (!is_stop) {
        hostile_send_bytes(&world, guest, buffer_bytes(&frame));
    }
    buffer_release(&frame);
}

/* A record as only its writer may make it, signed by somebody else. */
static void send_forged_record(const struct sign_key *stranger, enum record_type type,
                               uint64_t sequence, bool is_of_other_capsule)
{
    struct buffer frame = BUFFER_EMPTY, body = BUFFER_EMPTY;
    struct hash hash;
    struct hash parents[3];
    const struct verify_key public_key = sign_key_public(stranger);
    const struct writer_id stranger_id = writer_id_of(&public_key);
    const struct writer_id writers[] = {world.guests[HOSTILE_LEADER].id,
                                        world.guests[HOSTILE_WORKER].id, stranger_id};
    random_fill(&world.random, parents, sizeof parents);
    const struct record_fields fields = {
        .type = type,
        .key_epoch = (uint32_t)hostile_pick(&world, 3),
        .sequence = sequence,
        .epoch = hostile_pick(&world, 10),
        .writer = writers[hostile_pick(&world, 3)],
        .capsule = is_of_other_capsule ? parents[2] : world.capsule,
        .parents = parents,
        .parent_count = (sequence > 1 ? 1 : 0) + hostile_pick(&world, 2),
    };
    bool is_genesis = type == RECORD_GENESIS;
    struct bytes content =
        is_genesis ? buffer_bytes(&world.genesis) : noise(&body, 16 + hostile_pick(&world, 300));
    uint8_t header[FRAME_HEADER_BYTES];
    frame_header(header, FRAME_RECORD, (uint32_t)hostile_pick(&world, 4), &everyone);
    CHECK(buffer_append(&frame, header, sizeof header) == STATUS_OK);
    if (record_type_is_sealed(type)) {
        struct secret *secret = secret_new_random(&world.random);
        struct aead_key *body_key = seal_key_new(secret, &world.capsule, &public_key);
        CHECK(seal_record(&frame, &hash, &fields, content, body_key, stranger) == STATUS_OK);
        aead_key_free(body_key);
        secret_free(secret);
    } else {
        CHECK(record_encode(&frame, &hash, &fields, content, stranger) == STATUS_OK);
    }
    hostile_send_bytes(&world, hostile_pick(&world, HOSTILE_GUESTS), buffer_bytes(&frame));
    buffer_release(&frame);
    buffer_release(&body);
}

enum forgery { FORGED_STORE, FORGED_SIGNATURE, FORGED_CAPSULE, FORGED_KIND, FORGERY_COUNT };

/* "I hold everything that the worker has written", said by nobody who may say so. */
static void send_forged_receipt(enum forgery forgery, uint64_t sequence)
{
    struct buffer receipt = BUFFER_EMPTY;
    struct hash capsule = world.capsule;
    struct sign_key *stranger = sign_key_new(&world.keys);
    struct head head = {.sequence = sequence};
    random_fill(&world.random, &head.hash, sizeof head.hash);
    const struct branch_head heads[] = {
        {.writer = world.guests[HOSTILE_LEADER].id, .head = head},
        {.writer = world.guests[HOSTILE_WORKER].id, .head = head},
    };
    if (forgery == FORGED_CAPSULE) {
        capsule.bytes[0] ^= 1;
    }
    CHECK(receipt_encode(&receipt, forgery == FORGED_KIND ? RECEIPT_FENCE : RECEIPT_DURABLE,
                         &capsule, world.term, heads, 2,
                         forgery == FORGED_STORE ? stranger : world.store_key) == STATUS_OK);
    if (forgery == FORGED_SIGNATURE) {
        receipt.bytes[receipt.length - 1] ^= 1;
    }
    for (size_t guest = 0; guest < HOSTILE_GUESTS; guest++) {
        hostile_send(&world, guest, FRAME_RECEIPT, 0, &everyone, buffer_bytes(&receipt));
    }
    sign_key_free(stranger);
    buffer_release(&receipt);
}

static void send_u32_stream(uint64_t connection, uint32_t number)
{
    uint8_t bytes[4];
    struct encoder out = encoder_over(bytes, sizeof bytes);
    encoder_u32(&out, number);
    hostile_send_stream(&world, connection, FRAME_STREAM_SENT, bytes_of(bytes, sizeof bytes));
}

static void send_stream_nonsense(void)
{
    struct buffer body = BUFFER_EMPTY;
    uint64_t connection = 1 + hostile_pick(&world, 4) * 1000000 + hostile_pick(&world, 20);
    size_t length = hostile_pick(&world, 3000);
    switch (hostile_pick(&world, 6)) {
    case 0:
        hostile_send_stream(&world, connection, FRAME_STREAM_OPEN, bytes_of(NULL, 0));
        break;
    case 1:
        hostile_send_stream(&world, connection, FRAME_STREAM_DATA, noise(&body, length + 1));
        break;
    case 2:
        hostile_send_stream(&world, connection, FRAME_STREAM_CLOSE, bytes_of(NULL, 0));
        break;
    case 3:
        send_u32_stream(connection, UINT32_MAX);
        break;
    case 4:
        hostile_send_stream(&world, connection, (enum frame_stream_event)hostile_pick(&world, 9),
                            noise(&body, length));
        break;
    default:
        send_u32_stream(connection, (uint32_t)hostile_pick(&world, 1000));
        break;
    }
    buffer_release(&body);
}

/* ---- the tests ---- */

static void p2_an_honest_host_is_served(void **state)
{
    (void)state;
    begin();
    assert_unmoved();
    assert_int_equal(ask("GET", "/evidence?nonce=0011", "", NULL), 200);
    for (size_t guest = 0; guest < HOSTILE_GUESTS; guest++) {
        hostile_send(&world, guest, FRAME_STOP, 0, &everyone, bytes_of(NULL, 0));
        assert_true(hostile_wait_end(&world, guest));
        assert_int_equal(world.guests[guest].how, 0);
    }
}

static void p10_a_first_frame_that_makes_no_sense_ends_the_program(void **state)
{
    (void)state;
    for (size_t guest = 0; guest < HOSTILE_GUESTS; guest++) {
        world.genesis.bytes[40] ^= 1;  // not what the capsule's name says
        hostile_start(&world, guest);
        world.genesis.bytes[40] ^= 1;
        assert_true(hostile_wait_end(&world, guest));
        hostile_assert_decent(&world, guest);
        const struct hash capsule = world.capsule;
        struct buffer genesis = world.genesis;
        world.genesis = BUFFER_EMPTY;
        noise(&world.genesis, 500);  // it is what the name says, and nothing else
        world.capsule = hash_of(world.genesis.bytes, world.genesis.length);
        hostile_start(&world, guest);
        assert_true(hostile_wait_end(&world, guest));
        hostile_assert_decent(&world, guest);
        buffer_release(&world.genesis);
        world.genesis = genesis;
        world.capsule = capsule;
    }
    // It was not read before the process was sealed.
    assert_true(hostile_has_said(&world, "worker ends: it cannot read the GENESIS"));
}

static void p2_frames_of_dice_change_nothing(void **state)
{
    (void)state;
    begin();
    for (unsigned i = 0; i < 3000; i++) {
        size_t guest = hostile_pick(&world, HOSTILE_GUESTS);
        if (i % 3 == 0) {
            // Not STOP by chance: the kind is the first byte, and the reserved ones are not zero.
            send_noise(guest);
        } else {
            send_noise_of(guest, pick_kind(), hostile_pick(&world, 600));
        }
    }
    assert_unmoved();
    for (enum frame_kind kind = FRAME_RECORD; kind < FRAME_STOP; kind++) {
        if (kind != FRAME_REFUSED && kind != FRAME_GONE) {
            send_noise_of(HOSTILE_LEADER, kind, FRAME_BYTES_MAX - FRAME_HEADER_BYTES);
            send_noise_of(HOSTILE_WORKER, kind, FRAME_BYTES_MAX - FRAME_HEADER_BYTES);
            hostile_drain(&world);
        }
    }
    assert_unmoved();
}

static void p2_what_was_said_before_changes_nothing(void **state)
{
    (void)state;
    begin();
    for (unsigned i = 0; i < 2000; i++) {
        replay(i % 2 == 0);
        if (i % 100 == 0) {
            hostile_drain(&world);
        }
    }
    run(QUIET_MS);
    assert_unmoved();
}

static void p2_forged_records_change_nothing(void **state)
{
    (void)state;
    begin();
    struct sign_key *stranger = sign_key_new(&world.keys);
    for (unsigned i = 0; i < 600; i++) {
        send_forged_record(stranger, (enum record_type)hostile_pick(&world, RECORD_TYPE_COUNT),
                           1 + hostile_pick(&world, 12), hostile_pick(&world, 8) == 0);
    }
    sign_key_free(stranger);
    run(QUIET_MS);
    assert_unmoved();
}

static bool drop_receipts(struct hostile_world *unused, size_t to, struct bytes frame)
{
    (void)unused;
    (void)to;
    return frame.at[0] == FRAME_RECEIPT;
}

static void p4_forged_receipts_release_no_answer(void **state)
{
    (void)state;
    begin();
    struct hostile_client client;
    const uint64_t begun_ms = now_ms();
    world.filter = drop_receipts;
    hostile_ask(&world, &client, "PUT", "/kv/other", "value");
    for (unsigned i = 0; i < 200; i++) {
        send_forged_receipt((enum forgery)(i % FORGERY_COUNT), 1 + hostile_pick(&world, 1000));
        send_forged_receipt((enum forgery)(i % FORGERY_COUNT), UINT64_MAX);
        replay(i % 2 == 0);
    }
    unsigned status = hostile_answer(&world, &client, QUIET_MS, NULL);
    world.filter = NULL;
    if (status == 0) {
        status = hostile_answer(&world, &client, HOSTILE_LOST_MS, NULL);
        assert_true(status == 204 || status == 503);
    } else {
        assert_int_equal(status, 503);
    }
    // That nobody has signed is said late, and by a machine that stood still.
    assert_true(status == 204 || now_ms() - begun_ms >= DURABLE_MS);
    hostile_client_release(&world, &client);
    assert_int_equal(ask("PUT", "/kv/other", value, NULL), 204);
    assert_unmoved();
}

static bool is_taken(struct hostile_world *unused, void *context)
{
    (void)unused;
    struct hostile_client *client = context;
    return BIO_pending(SSL_get_wbio(client->ssl)) == 0;
}

static void p4_writes_that_wait_for_receipts_keep_nobody_else_waiting(void **state)
{
    (void)state;
    // Room is for 67 of them. Each is kept for ten seconds: behind those without room, one after
    // the other, an answer would come after seven times that.
    enum { WRITE_COUNT = 75, WRITE_BYTES = 1000 * 1000, BEHIND_MS = 60000 };
    static char large[WRITE_BYTES + 1];
    static struct hostile_client clients[WRITE_COUNT];
    begin();
    memset(large, 'x', WRITE_BYTES);
    world.is_store_silent = true;
    for (size_t i = 0; i < WRITE_COUNT; i++) {
        hostile_ask(&world, &clients[i], "PUT", "/kv/large", large);
        assert_true(hostile_wait(&world, HOSTILE_LOST_MS, is_taken, &clients[i]));
    }
    assert_int_equal(hostile_http(&world, "GET", "/healthz", "", BEHIND_MS, NULL), 200);
    for (size_t i = 0; i < WRITE_COUNT; i++) {
        hostile_client_release(&world, &clients[i]);
    }
    world.is_store_silent = false;
    // 67 MB are sent anew and signed for: until one finds room, writes are told that there is
    // none.
    unsigned status = 0;
    for (size_t i = 0; i < WRITE_COUNT && status != 204; i++) {
        status = hostile_http(&world, "PUT", "/kv/other", value, HOSTILE_LOST_MS, NULL);
    }
    assert_int_equal(status, 204);
    assert_unmoved();
}

/* Everything that the handshake needs comes twice, and evidence before anybody asks. */
static bool repeat_joins(struct hostile_world *unused, size_t to, struct bytes frame)
{
    (void)unused;
    bool is_join =
        frame.at[0] == FRAME_JOIN || frame.at[0] == FRAME_CHANNEL || frame.at[0] == FRAME_EVIDENCE;
    if (to == HOSTILE_WORKER && is_join) {
        send_noise_of(to, FRAME_CHANNEL, 100);
        for (unsigned i = 0; i < 3; i++) {
            hostile_send_bytes(&world, to, frame);
        }
        return true;
    }
    return false;
}

static void p2_a_join_survives_frames_that_come_early_twice_or_from_nowhere(void **state)
{
    (void)state;
    struct bytes evidence = bytes_text("no evidence");
    begin_leader();
    world.filter = repeat_joins;
    hostile_start(&world, HOSTILE_WORKER);
    hostile_send(&world, HOSTILE_WORKER, FRAME_EVIDENCE, 0, &everyone, evidence);
    hostile_send(&world, HOSTILE_WORKER, FRAME_EVIDENCE, 1, &everyone, evidence);
    assert_true(hostile_wait_ready(&world, HOSTILE_WORKER));
    assert_put();
    struct buffer body = BUFFER_EMPTY;
    assert_int_equal(ask("GET", "/evidence?nonce=0011", "", &body), 200);
    assert_int_not_equal(body.length, evidence.length);
    buffer_release(&body);
    world.filter = NULL;
    assert_unmoved();
}

static bool bend_evidence(struct hostile_world *unused, size_t to, struct bytes frame)
{
    (void)unused;
    if (to == HOSTILE_WORKER && frame.at[0] == FRAME_EVIDENCE) {
        send_noise_of(to, FRAME_EVIDENCE, 500);
        hostile_send(&world, to, FRAME_EVIDENCE, 0, &everyone, bytes_text("no evidence"));
        return true;
    }
    return false;
}

static void p3_an_enclave_without_evidence_gets_no_key(void **state)
{
    (void)state;
    begin_leader();
    world.filter = bend_evidence;
    hostile_start(&world, HOSTILE_WORKER);
    assert_true(hostile_wait_end(&world, HOSTILE_WORKER));
    hostile_assert_decent(&world, HOSTILE_WORKER);
    assert_true(hostile_has_said(&world, "member refused"));
    assert_false(hostile_has_said(&world, "member admitted"));
    world.filter = NULL;
    hostile_start(&world, HOSTILE_WORKER);
    assert_true(hostile_wait_ready(&world, HOSTILE_WORKER));
    assert_put();
    assert_unmoved();
}

/* A line of an enclave's log has the one text, and after it the other. */
static bool has_said_after(const char *first, const char *second)
{
    const char *line = world.said.length == 0 ? NULL : (const char *)world.said.bytes;
    const char *end = line + world.said.length;
    while (line != NULL && line < end) {
        size_t length = (size_t)((const char *)memchr(line, '\n', (size_t)(end - line)) - line);
        const char *at = memmem(line, length, first, strlen(first));
        if (at != NULL &&
            memmem(at, length - (size_t)(at - line), second, strlen(second)) != NULL) {
            return true;
        }
        line += length + 1;
    }
    return false;
}

/*
 * Not a single letter beyond the handshake's steps, which carry no key: what the leader told
 * the worker from `heard` on.
 */
static void assert_told_nothing_sealed(size_t heard)
{
    assert_true(world.heard_count < HOSTILE_HEARD_MAX);  // so all of it is there
    for (; heard < world.heard_count; heard++) {
        if (world.heard[heard].to == HOSTILE_WORKER) {
            assert_int_not_equal(world.heard[heard].frame.bytes[0], FRAME_CHANNEL);
        }
    }
}

/*
 * The leader program refuses the worker program for this reason, in the log with what to do about
 * it, and in what the worker is told; no key has left, and no record names the worker.
 */
static void start_and_be_refused(const char *reason, enum reason remedy)
{
    size_t heard = world.heard_count;
    size_t member_count = capsule_member_count(store_capsule(world.store));
    hostile_start(&world, HOSTILE_WORKER);
    assert_true(hostile_wait_end(&world, HOSTILE_WORKER));
    hostile_assert_decent(&world, HOSTILE_WORKER);
    assert_true(has_said_after("member refused", reason));
    assert_true(has_said_after("member needs", verdict_remedy(remedy)));
    assert_true(has_said_after("not admitted", reason));
    assert_false(has_said_after("member admitted", ""));
    assert_told_nothing_sealed(heard);
    assert_int_equal(capsule_member_count(store_capsule(world.store)), member_count);
    assert_null(capsule_member_find(store_capsule(world.store), &world.guests[HOSTILE_WORKER].id));
    assert_true(world.guests[HOSTILE_LEADER].is_alive);
}

static void start_and_be_admitted(void)
{
    hostile_start(&world, HOSTILE_WORKER);
    assert_true(hostile_wait_ready(&world, HOSTILE_WORKER));
    assert_put();
    assert_unmoved();
}

static void p3_a_worker_in_debug_mode_gets_no_key(void **state)
{
    (void)state;
    begin_leader();
    world.is_debug = true;
    start_and_be_refused("reason=debug", REASON_DEBUG);
    world.is_debug = false;
    start_and_be_admitted();
}

/* The owner admits the leader by one policy, and has it record the next. */
static void begin_leader_with_next_policy(bool allows_simulated)
{
    static struct policy next;  // large
    struct buffer text = BUFFER_EMPTY;
    next = world.policy;
    next.version = 2;
    next.allow_simulated = allows_simulated;
    CHECK(policy_encode(&next, &text) == STATUS_OK);
    CHECK(term_policy_encode(&world.next_policy, &world.capsule, next.version, buffer_bytes(&text),
                             world.owner) == STATUS_OK);
    buffer_release(&text);
    begin_leader();
    assert_int_equal(capsule_policy_version(store_capsule(world.store)), 2);
}

static void p3_a_worker_in_a_simulated_tee_that_the_policy_forbids_gets_no_key(void **state)
{
    (void)state;
    begin_leader_with_next_policy(false);
    start_and_be_refused("reason=simulated_not_allowed", REASON_SIMULATED_NOT_ALLOWED);
}

static void p3_a_worker_that_the_next_policy_admits_is_served(void **state)
{
    (void)state;
    begin_leader_with_next_policy(true);
    start_and_be_admitted();
}

/* The worker asks for evidence of its join, and gets what was made for an earlier one. */
static bool repeat_evidence(struct hostile_world *unused, size_t to, struct bytes frame)
{
    (void)unused;
    if (to != HOSTILE_WORKER || frame.at[0] != FRAME_EVIDENCE) {
        return false;
    }
    for (size_t i = 0; i < world.heard_count; i++) {
        struct bytes heard = buffer_bytes(&world.heard[i].frame);
        if (world.heard[i].to == to && heard.at[0] == FRAME_EVIDENCE) {
            assert_false(bytes_equal(heard, frame));
            hostile_send_bytes(&world, to, heard);
            return true;
        }
    }
    fail_msg("no evidence to repeat");
    return false;
}

static void p3_a_worker_with_evidence_of_an_earlier_join_gets_no_key(void **state)
{
    (void)state;
    begin();  // a worker joins with good evidence
    spawn_kill(&world.guests[HOSTILE_WORKER].spawn);
    assert_true(hostile_wait_end(&world, HOSTILE_WORKER));
    buffer_clear(&world.said);
    hostile_send(&world, HOSTILE_LEADER, FRAME_GONE, 0, &world.guests[HOSTILE_WORKER].id,
                 bytes_of(NULL, 0));
    world.filter = repeat_evidence;
    start_and_be_refused("reason=report_data", REASON_REPORT_DATA);
    world.filter = NULL;
    start_and_be_admitted();
}

static void p10_streams_that_cannot_be_end_no_worker(void **state)
{
    (void)state;
    struct buffer bytes = BUFFER_EMPTY;
    enum { FIRST = 1000000, OPEN_COUNT = 5000, PIECE_BYTES = 60000 };
    begin();
    for (unsigned i = 0; i < 5000; i++) {
        send_stream_nonsense();
    }
    for (uint64_t i = 0; i < OPEN_COUNT; i++) {
        hostile_send_stream(&world, FIRST + i, FRAME_STREAM_OPEN, bytes_of(NULL, 0));
    }
    for (unsigned i = 0; i < 20; i++) {  // far beyond the window
        hostile_send_stream(&world, FIRST, FRAME_STREAM_DATA, noise(&bytes, PIECE_BYTES));
        send_u32_stream(FIRST + 1, UINT32_MAX);
    }
    hostile_drain(&world);
    for (uint64_t i = 0; i < OPEN_COUNT; i++) {
        hostile_send_stream(&world, FIRST + i, FRAME_STREAM_CLOSE, bytes_of(NULL, 0));
        hostile_send_stream(&world, FIRST + i, FRAME_STREAM_CLOSE, bytes_of(NULL, 0));
    }
    for (uint64_t block = 0; block < 4; block++) {  // those of the nonsense
        for (uint64_t i = 0; i < 20; i++) {
            hostile_send_stream(&world, 1 + block * 1000000 + i, FRAME_STREAM_CLOSE,
                                bytes_of(NULL, 0));
        }
    }
    world.connection_count = 100;
    buffer_release(&bytes);
    assert_unmoved();
}

/* ---- a new leader, and a store that is not what it should be ---- */

static void send_fetched(uint32_t request, uint64_t next, uint8_t is_end)
{
    struct buffer body = BUFFER_EMPTY;
    const struct frame_fetched fetched = {.next = next, .is_end = is_end};
    CHECK(frame_fetched_encode(&body, &fetched) == STATUS_OK);
    for (size_t guest = 0; guest < HOSTILE_GUESTS; guest++) {
        hostile_send(&world, guest, FRAME_FETCHED, request, &everyone, buffer_bytes(&body));
    }
    buffer_release(&body);
}

static uint32_t request_of(struct bytes frame)
{
    struct frame decoded;
    CHECK(frame_decode(&decoded, frame) == STATUS_OK);
    return decoded.request;
}

/* Answers to other questions come before the right one. */
static bool add_wrong_answers(struct hostile_world *unused, size_t to, struct bytes frame)
{
    (void)unused;
    if (to != HOSTILE_LEADER || (frame.at[0] != FRAME_RECORD && frame.at[0] != FRAME_FETCHED)) {
        return false;
    }
    struct buffer copy = BUFFER_EMPTY;
    CHECK(buffer_append(&copy, frame.at, frame.length) == STATUS_OK);
    copy.bytes[4] ^= 0x55;  // of its request number
    hostile_send_bytes(&world, to, buffer_bytes(&copy));
    buffer_release(&copy);
    send_fetched(request_of(frame) + 1, UINT64_MAX, 1);
    send_fetched(request_of(frame) - 1, 1, 1);
    send_noise_of(to, FRAME_RECORD, 400);
    return false;
}

static bool drop_records(struct hostile_world *unused, size_t to, struct bytes frame)
{
    (void)unused;
    return to == HOSTILE_LEADER && frame.at[0] == FRAME_RECORD && request_of(frame) != 0;
}

static bool bend_records(struct hostile_world *unused, size_t to, struct bytes frame)
{
    (void)unused;
    if (!drop_records(unused, to, frame)) {
        return false;
    }
    struct buffer copy = BUFFER_EMPTY;
    CHECK(buffer_append(&copy, frame.at, frame.length) == STATUS_OK);
    size_t span = copy.length - FRAME_HEADER_BYTES;
    copy.bytes[FRAME_HEADER_BYTES + hostile_pick(&world, span)] ^= 1;
    hostile_send_bytes(&world, to, buffer_bytes(&copy));
    buffer_release(&copy);
    return true;
}

static void new_leader(bool (*filter)(struct hostile_world *, size_t, struct bytes))
{
    world.filter = filter;
    world.answer = STATUS_EMPTY;
    hostile_start(&world, HOSTILE_LEADER);
    hostile_call(&world);
}

static void p9_a_new_leader_takes_no_answer_to_another_question(void **state)
{
    (void)state;
    begin();
    spawn_kill(&world.guests[HOSTILE_LEADER].spawn);
    assert_true(hostile_wait_end(&world, HOSTILE_LEADER));
    new_leader(add_wrong_answers);
    assert_true(hostile_wait_ready(&world, HOSTILE_LEADER));
    world.filter = NULL;
    // The old worker's branch was closed by the new term: another one finds what it wrote.
    assert_true(hostile_wait_end(&world, HOSTILE_WORKER));
    hostile_assert_decent(&world, HOSTILE_WORKER);
    hostile_start(&world, HOSTILE_WORKER);
    assert_true(hostile_wait_ready(&world, HOSTILE_WORKER));
    assert_reads();
    assert_unmoved();
}

static void p9_a_new_leader_does_not_lead_without_what_stores_signed_for(void **state)
{
    (void)state;
    begin();
    spawn_kill(&world.guests[HOSTILE_LEADER].spawn);
    assert_true(hostile_wait_end(&world, HOSTILE_LEADER));
    new_leader(drop_records);
    assert_true(hostile_wait_end(&world, HOSTILE_LEADER));
    hostile_assert_decent(&world, HOSTILE_LEADER);
    assert_int_equal(world.answer, STATUS_GAP);
    for (unsigned i = 0; i < 5; i++) {
        new_leader(bend_records);
        assert_true(hostile_wait_end(&world, HOSTILE_LEADER));
        hostile_assert_decent(&world, HOSTILE_LEADER);
        assert_int_not_equal(world.answer, STATUS_OK);
    }
    new_leader(NULL);
    assert_true(hostile_wait_ready(&world, HOSTILE_LEADER));
}

static void p4_a_worker_declared_gone_ends_and_its_writes_stay(void **state)
{
    (void)state;
    begin();
    const struct writer_id worker = world.guests[HOSTILE_WORKER].id;
    for (unsigned i = 0; i < 3; i++) {
        hostile_send(&world, HOSTILE_LEADER, FRAME_GONE, 0, &everyone, bytes_of(NULL, 0));
        hostile_send(&world, HOSTILE_LEADER, FRAME_GONE, 0, &world.guests[HOSTILE_LEADER].id,
                     bytes_of(NULL, 0));
        hostile_send(&world, HOSTILE_LEADER, FRAME_GONE, 0, &worker, bytes_of(NULL, 0));
    }
    assert_true(hostile_wait_end(&world, HOSTILE_WORKER));
    hostile_assert_decent(&world, HOSTILE_WORKER);
    hostile_start(&world, HOSTILE_WORKER);
    assert_true(hostile_wait_ready(&world, HOSTILE_WORKER));
    assert_unmoved();
}

static void p2_an_epoch_ends_on_the_leaders_word_alone(void **state)
{
    (void)state;
    begin();
    struct sign_key *stranger = sign_key_new(&world.keys);
    for (uint64_t epoch = 0; epoch < 20; epoch++) {
        struct buffer body = BUFFER_EMPTY;
        CHECK(frame_rts_encode(&body, &world.capsule, world.term, epoch == 19 ? UINT64_MAX : epoch,
                               stranger) == STATUS_OK);
        hostile_send(&world, HOSTILE_WORKER, FRAME_RTS, 0, &world.guests[HOSTILE_LEADER].id,
                     buffer_bytes(&body));
        buffer_release(&body);
    }
    sign_key_free(stranger);
    run(QUIET_MS);
    assert_unmoved();
}

static void p2_a_leader_told_that_it_was_refused_ends_by_itself(void **state)
{
    (void)state;
    begin();
    struct buffer body = BUFFER_EMPTY;
    const struct frame_refused full = {.status = STATUS_NO_SPACE, .text = bytes_text("full")};
    const struct frame_refused closed = {.status = STATUS_CLOSED, .text = bytes_text("closed")};
    CHECK(frame_refused_encode(&body, &full) == STATUS_OK);
    hostile_send(&world, HOSTILE_LEADER, FRAME_REFUSED, 0, &everyone, buffer_bytes(&body));
    hostile_send(&world, HOSTILE_WORKER, FRAME_REFUSED, 0, &everyone, buffer_bytes(&body));
    hostile_drain(&world);
    buffer_clear(&body);
    CHECK(frame_refused_encode(&body, &closed) == STATUS_OK);
    hostile_send(&world, HOSTILE_LEADER, FRAME_REFUSED, 0, &everyone, buffer_bytes(&body));
    hostile_send(&world, HOSTILE_WORKER, FRAME_REFUSED, 0, &everyone, buffer_bytes(&body));
    buffer_release(&body);
    assert_true(hostile_wait_end(&world, HOSTILE_LEADER));
    hostile_assert_decent(&world, HOSTILE_LEADER);
    assert_reads();  // invocations go on without a leader
}

/* ---- the shared memory ---- */

static uint8_t *near(const struct ring_side *side)
{
    uint8_t *ring = (uint8_t *)side->shared->words;
    return ring + (side->position - hostile_pick(&world, 3000)) % side->capacity_bytes;
}

/* One byte: in what was just sent or read; else anywhere, or where positions and bells lie. */
static void scribble(size_t guest, bool must_bend_positions)
{
    const struct wall *wall = &world.guests[guest].wall;
    uint8_t *memory = wall->memory;
    volatile uint8_t *target = NULL;
    switch (must_bend_positions ? hostile_pick(&world, 8) : 3 + hostile_pick(&world, 4)) {
    case 0:
        target = memory + hostile_pick(&world, wall->memory_bytes);
        break;
    case 1:
        target = memory + hostile_pick(&world, 4 * RING_LINE_BYTES);  // bells
        break;
    case 2:
        target = (uint8_t *)wall->data.in.side.shared + hostile_pick(&world, 8);  // a position
        break;
    case 3:
        target = near(&wall->data.in.side);
        break;
    case 4:
        target = near(&wall->stream.out.side);
        break;
    default:
        target = near(&wall->data.out.side);
        break;
    }
    *target = (uint8_t)hostile_pick(&world, 256);
}

static void scribble_for_a_while(size_t guest, bool must_bend_positions)
{
    world.guests[guest].is_scribbled = true;
    for (unsigned i = 0; i < 1500 && world.guests[guest].is_alive; i++) {
        replay(false);
        send_stream_nonsense();
        hostile_pump(&world);
        // Few at first: a broken ring ends it all.
        for (unsigned scribbles = i / 50; scribbles > 0; scribbles--) {
            scribble(guest, must_bend_positions);
        }
    }
}

static void p10_a_scribbled_wall_ends_an_enclave_at_most(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 6; round++) {
        size_t guest = round % HOSTILE_GUESTS;
        hostile_begin(&world);
        assert_put();
        struct hostile_client client;
        hostile_ask(&world, &client, "PUT", key_path, value);
        // The first rounds bend only frames on their way; positions end it all at once.
        scribble_for_a_while(guest, round >= 4);
        run(100);
        hostile_client_release(&world, &client);
        for (size_t i = 0; i < HOSTILE_GUESTS; i++) {
            hostile_assert_decent(&world, i);
            spawn_kill(&world.guests[i].spawn);
            world.guests[i].is_alive = false;
        }
    }
}

/* ---- everything at once ---- */

static void attack(const struct sign_key *stranger)
{
    size_t guest = hostile_pick(&world, HOSTILE_GUESTS);
    switch (hostile_pick(&world, 8)) {
    case 0:
        send_noise(guest);
        break;
    case 1:
        send_noise_of(guest, pick_kind(), hostile_pick(&world, 2000));
        break;
    case 2:
        replay(false);
        break;
    case 3:
        replay(true);
        break;
    case 4:
        send_forged_record(stranger, (enum record_type)hostile_pick(&world, RECORD_TYPE_COUNT),
                           1 + hostile_pick(&world, 30), false);
        break;
    case 5:
        send_forged_receipt((enum forgery)hostile_pick(&world, FORGERY_COUNT),
                            1 + hostile_pick(&world, 50));
        break;
    case 6:
        send_fetched((uint32_t)hostile_pick(&world, 50), hostile_pick(&world, 100),
                     (uint8_t)hostile_pick(&world, 2));
        break;
    default:
        send_stream_nonsense();
        break;
    }
}

static void p2_all_of_it_at_random_changes_nothing(void **state)
{
    (void)state;
    begin();
    struct sign_key *stranger = sign_key_new(&world.keys);
    world.connection_count = 1 << 20;  // apart from the nonsense's
    uint64_t end_ms = now_ms() + LOOP_MS;
    while (now_ms() < end_ms) {
        for (unsigned i = 0; i < 300; i++) {
            attack(stranger);
        }
        hostile_drain(&world);
        assert_put();
        assert_reads();
    }
    sign_key_free(stranger);
    assert_unmoved();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(p2_an_honest_host_is_served, setup, teardown),
        cmocka_unit_test_setup_teardown(p10_a_first_frame_that_makes_no_sense_ends_the_program,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(p2_frames_of_dice_change_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(p2_what_was_said_before_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(p2_forged_records_change_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(p4_forged_receipts_release_no_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(p4_writes_that_wait_for_receipts_keep_nobody_else_waiting,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            p2_a_join_survives_frames_that_come_early_twice_or_from_nowhere, setup, teardown),
        cmocka_unit_test_setup_teardown(p3_an_enclave_without_evidence_gets_no_key, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(p3_a_worker_in_debug_mode_gets_no_key, setup, teardown),
        cmocka_unit_test_setup_teardown(
            p3_a_worker_in_a_simulated_tee_that_the_policy_forbids_gets_no_key, setup, teardown),
        cmocka_unit_test_setup_teardown(p3_a_worker_that_the_next_policy_admits_is_served, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(p3_a_worker_with_evidence_of_an_earlier_join_gets_no_key,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(p10_streams_that_cannot_be_end_no_worker, setup, teardown),
        cmocka_unit_test_setup_teardown(p9_a_new_leader_takes_no_answer_to_another_question, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            p9_a_new_leader_does_not_lead_without_what_stores_signed_for, setup, teardown),
        cmocka_unit_test_setup_teardown(p4_a_worker_declared_gone_ends_and_its_writes_stay, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(p2_an_epoch_ends_on_the_leaders_word_alone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(p2_a_leader_told_that_it_was_refused_ends_by_itself, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(p10_a_scribbled_wall_ends_an_enclave_at_most, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(p2_all_of_it_at_random_changes_nothing, setup, teardown),
    };
    cmocka_set_test_filter(getenv("ONLY"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
