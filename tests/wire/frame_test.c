/* tests/wire/frame_test.c */

/*
 * Goal: a frame and each of its bodies come out as they went in; no other
 * length, kind or bound is taken; what a leader signed is refused with any
 * field changed.
 * Method: encode, decode, compare every field; decode each truncation and one
 * byte more; flip each byte of what is signed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/crypto.h"
#include "tests/wire/bodies.h"
#include "wire/frame.h"

struct fixture {
    struct buffer body;
    struct sign_key *leader;
    struct verify_key leader_public;
    struct hash capsule;
    struct writer_id writer;
};

static int setup(void **state)
{
    static struct fixture f;
    f.body = BUFFER_EMPTY;
    f.leader = bodies_sign_key(0x10);
    f.leader_public = sign_key_public(f.leader);
    f.capsule = bodies_hash(0x40);
    bodies_count(f.writer.bytes, sizeof f.writer.bytes, 0x80);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    buffer_release(&f->body);
    sign_key_free(f->leader);
    return 0;
}

static void a_frame_comes_out_as_it_went_in(void **state)
{
    struct fixture *f = *state;
    struct bytes body = bytes_text("a sealed body");
    assert_int_equal(frame_encode(&f->body, FRAME_CHANNEL, 0x01020304, &f->writer, body),
                     STATUS_OK);
    assert_int_equal(f->body.length, FRAME_HEADER_BYTES + body.length);

    struct frame frame;
    assert_int_equal(frame_decode(&frame, buffer_bytes(&f->body)), STATUS_OK);
    assert_int_equal(frame.kind, FRAME_CHANNEL);
    assert_int_equal(frame.request, 0x01020304);
    assert_true(memcmp(frame.peer.bytes, f->writer.bytes, WRITER_ID_BYTES) == 0);
    bodies_assert_equal(frame.body, body);
    assert_ptr_equal(frame.body.at, f->body.bytes + FRAME_HEADER_BYTES);
}

static void a_header_alone_is_that_of_the_whole_frame(void **state)
{
    struct fixture *f = *state;
    uint8_t header[FRAME_HEADER_BYTES];
    frame_header(header, FRAME_RTS, 7, &frame_to_leader);
    assert_int_equal(frame_encode(&f->body, FRAME_RTS, 7, &frame_to_leader, bytes_of(NULL, 0)),
                     STATUS_OK);
    bodies_assert_equal(bytes_of(header, sizeof header), buffer_bytes(&f->body));
    for (size_t i = 0; i < WRITER_ID_BYTES; i++) {
        assert_int_equal(header[8 + i], 0xff);
    }
}

static enum status frame_take(struct bytes bytes)
{
    struct frame frame;
    return frame_decode(&frame, bytes);
}

static void a_frame_shorter_than_its_header_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(frame_encode(&f->body, FRAME_LOG, 0, &f->writer, bytes_text("line")),
                     STATUS_OK);
    bodies_refuse_shorter_than(buffer_bytes(&f->body), FRAME_HEADER_BYTES, frame_take);
}

static void only_the_listed_kinds_are_taken(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind <= UINT8_MAX; kind++) {
        const uint8_t header[FRAME_HEADER_BYTES] = {(uint8_t)kind};
        bool is_listed = (kind >= 1 && kind <= 12) || (kind >= 16 && kind <= 25);
        assert_int_equal(frame_take(bytes_of(header, sizeof header)),
                         is_listed ? STATUS_OK : STATUS_MALFORMED);
    }
}

static void reserved_bytes_have_to_be_zero(void **state)
{
    (void)state;
    for (size_t i = 1; i <= 3; i++) {
        uint8_t header[FRAME_HEADER_BYTES] = {FRAME_RECORD};
        header[i] = 0x80;
        assert_int_equal(frame_take(bytes_of(header, sizeof header)), STATUS_MALFORMED);
    }
}

static void kinds_without_a_body_are_refused_with_one(void **state)
{
    (void)state;
    const uint8_t kinds[] = {FRAME_READY, FRAME_GONE, FRAME_STOP, FRAME_STORES};
    for (size_t i = 0; i < sizeof kinds; i++) {
        const uint8_t frame[FRAME_HEADER_BYTES + 1] = {kinds[i]};
        assert_int_equal(frame_take(bytes_of(frame, FRAME_HEADER_BYTES)), STATUS_OK);
        assert_int_equal(frame_take(bytes_of(frame, sizeof frame)), STATUS_MALFORMED);
    }
}

static void a_frame_above_the_bound_is_neither_made_nor_taken(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = calloc(1, FRAME_BYTES_MAX + 1);
    assert_non_null(bytes);
    bytes[0] = FRAME_RECORD;
    assert_int_equal(frame_take(bytes_of(bytes, FRAME_BYTES_MAX)), STATUS_OK);
    assert_int_equal(frame_take(bytes_of(bytes, FRAME_BYTES_MAX + 1)), STATUS_MALFORMED);

    size_t body_bytes_max = FRAME_BYTES_MAX - FRAME_HEADER_BYTES;
    assert_int_equal(
        frame_encode(&f->body, FRAME_RECORD, 0, &f->writer, bytes_of(bytes, body_bytes_max + 1)),
        STATUS_MALFORMED);
    assert_int_equal(f->body.length, 0);
    assert_int_equal(
        frame_encode(&f->body, FRAME_RECORD, 0, &f->writer, bytes_of(bytes, body_bytes_max)),
        STATUS_OK);
    assert_int_equal(f->body.length, FRAME_BYTES_MAX);
    free(bytes);
}

static enum status rts_take(struct bytes body)
{
    struct frame_rts rts;
    return frame_rts_decode(&rts, body);
}

static void an_rts_comes_out_as_the_leader_signed_it(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(frame_rts_encode(&f->body, &f->capsule, 3, 0x0102030405060708, f->leader),
                     STATUS_OK);
    struct frame_rts rts;
    assert_int_equal(frame_rts_decode(&rts, buffer_bytes(&f->body)), STATUS_OK);
    assert_int_equal(rts.term, 3);
    assert_int_equal(rts.epoch, 0x0102030405060708);
    assert_int_equal(frame_rts_verify(&rts, &f->capsule, &f->leader_public), STATUS_OK);
    bodies_refuse_other_lengths(buffer_bytes(&f->body), rts_take);
}

static void p2_an_rts_with_any_byte_changed_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(frame_rts_encode(&f->body, &f->capsule, 3, 9, f->leader), STATUS_OK);
    struct frame_rts rts;
    for (size_t i = 0; i < f->body.length; i++) {
        f->body.bytes[i] ^= 0x04;
        assert_int_equal(frame_rts_decode(&rts, buffer_bytes(&f->body)), STATUS_OK);
        assert_int_equal(frame_rts_verify(&rts, &f->capsule, &f->leader_public), STATUS_FORGED);
        f->body.bytes[i] ^= 0x04;
    }
    assert_int_equal(frame_rts_decode(&rts, buffer_bytes(&f->body)), STATUS_OK);
    struct hash other = bodies_hash(0x41);
    assert_int_equal(frame_rts_verify(&rts, &other, &f->leader_public), STATUS_FORGED);
    struct sign_key *stranger = bodies_sign_key(0x11);
    struct verify_key stranger_public = sign_key_public(stranger);
    assert_int_equal(frame_rts_verify(&rts, &f->capsule, &stranger_public), STATUS_FORGED);
    sign_key_free(stranger);
}

static enum status fetch_take(struct bytes body)
{
    struct frame_fetch fetch;
    return frame_fetch_decode(&fetch, body);
}

static void a_fetch_comes_out_as_it_went_in(void **state)
{
    struct fixture *f = *state;
    const struct frame_fetch sent = {
        .writer = f->writer,
        .from = 5,
        .to = UINT64_MAX,
        .max_bytes = 1 << 20,
        .has_bare_tables = true,
    };
    assert_int_equal(frame_fetch_encode(&f->body, &sent), STATUS_OK);
    struct frame_fetch received;
    assert_int_equal(frame_fetch_decode(&received, buffer_bytes(&f->body)), STATUS_OK);
    assert_memory_equal(received.writer.bytes, sent.writer.bytes, WRITER_ID_BYTES);
    assert_true(received.from == 5 && received.to == UINT64_MAX);
    assert_int_equal(received.max_bytes, 1 << 20);
    assert_true(received.has_bare_tables);
    bodies_refuse_other_lengths(buffer_bytes(&f->body), fetch_take);
    f->body.bytes[f->body.length - 1] = 2;
    assert_int_equal(fetch_take(buffer_bytes(&f->body)), STATUS_MALFORMED);
}

static enum status fetched_take(struct bytes body)
{
    struct frame_fetched fetched;
    return frame_fetched_decode(&fetched, body);
}

static void a_fetched_comes_out_as_it_went_in(void **state)
{
    struct fixture *f = *state;
    const struct frame_fetched sent = {.writer = f->writer, .next = 17, .is_end = 1};
    assert_int_equal(frame_fetched_encode(&f->body, &sent), STATUS_OK);
    struct frame_fetched received;
    assert_int_equal(frame_fetched_decode(&received, buffer_bytes(&f->body)), STATUS_OK);
    assert_memory_equal(received.writer.bytes, sent.writer.bytes, WRITER_ID_BYTES);
    assert_int_equal(received.next, 17);
    assert_int_equal(received.is_end, 1);
    bodies_refuse_other_lengths(buffer_bytes(&f->body), fetched_take);

    f->body.bytes[f->body.length - 1] = 2;  // an end is 0 or 1
    assert_int_equal(fetched_take(buffer_bytes(&f->body)), STATUS_MALFORMED);
}

static enum status fence_take(struct bytes body)
{
    struct frame_fence fence;
    return frame_fence_decode(&fence, body);
}

static void a_fence_comes_out_as_the_leader_signed_it(void **state)
{
    struct fixture *f = *state;
    struct bytes term_body = bytes_text("signed by the owner");
    const struct head cut = {.sequence = 9, .hash = bodies_hash(0x51)};
    assert_int_equal(
        frame_fence_encode(&f->body, &f->capsule, 4, &f->writer, &cut, term_body, f->leader),
        STATUS_OK);
    struct frame_fence fence;
    assert_int_equal(frame_fence_decode(&fence, buffer_bytes(&f->body)), STATUS_OK);
    assert_int_equal(fence.term, 4);
    assert_memory_equal(fence.writer.bytes, f->writer.bytes, WRITER_ID_BYTES);
    assert_int_equal(fence.cut.sequence, 9);
    assert_memory_equal(fence.cut.hash.bytes, cut.hash.bytes, HASH_BYTES);
    bodies_assert_equal(fence.term_body, term_body);
    assert_int_equal(frame_fence_verify(&fence, &f->capsule, &f->leader_public), STATUS_OK);
    bodies_refuse_other_lengths(buffer_bytes(&f->body), fence_take);
}

static void p2_a_fence_with_any_byte_changed_is_refused(void **state)
{
    struct fixture *f = *state;
    const struct head cut = {.sequence = 9, .hash = bodies_hash(0x51)};
    assert_int_equal(frame_fence_encode(&f->body, &f->capsule, 4, &f->writer, &cut,
                                        bytes_text("term"), f->leader),
                     STATUS_OK);
    struct frame_fence fence;
    for (size_t i = 0; i < f->body.length; i++) {
        f->body.bytes[i] ^= 0x04;
        enum status status = frame_fence_decode(&fence, buffer_bytes(&f->body));
        if (status == STATUS_OK) {
            status = frame_fence_verify(&fence, &f->capsule, &f->leader_public);
        }
        // A changed length of the TERM body does not parse.
        assert_int_equal(status, i >= 64 && i < 68 ? STATUS_MALFORMED : STATUS_FORGED);
        f->body.bytes[i] ^= 0x04;
    }
    assert_int_equal(frame_fence_decode(&fence, buffer_bytes(&f->body)), STATUS_OK);
    struct hash other = bodies_hash(0x41);
    assert_int_equal(frame_fence_verify(&fence, &other, &f->leader_public), STATUS_FORGED);
}

/* Of everybody there is no cut; and a hash is that of some record. */
static void a_fence_with_a_cut_of_nobody_or_nothing_is_refused(void **state)
{
    struct fixture *f = *state;
    const struct writer_id everyone = {{0}};
    const struct head cuts[] = {
        {.sequence = 9, .hash = bodies_hash(0x51)},
        {.sequence = 0, .hash = bodies_hash(0x51)},
    };
    for (size_t i = 0; i < 2; i++) {
        buffer_clear(&f->body);
        assert_int_equal(
            frame_fence_encode(&f->body, &f->capsule, 4, i == 0 ? &everyone : &f->writer, &cuts[i],
                               bytes_text("term"), f->leader),
            STATUS_OK);
        assert_int_equal(fence_take(buffer_bytes(&f->body)), STATUS_MALFORMED);
    }
}

static enum status recalled_take(struct bytes body)
{
    struct frame_recalled recalled;
    return frame_recalled_decode(&recalled, body);
}

static void p4_a_recalled_with_any_byte_changed_is_refused(void **state)
{
    struct fixture *f = *state;
    struct frame_recalled sent = {.is_refilling = 1}, received;
    bodies_count(sent.nonce, sizeof sent.nonce, 0x30);
    frame_recalled_digest(&sent.digest, bytes_text("one"));
    frame_recalled_digest(&sent.digest, bytes_text("two"));
    assert_int_equal(frame_recalled_encode(&f->body, &f->capsule, &sent, f->leader), STATUS_OK);
    assert_int_equal(frame_recalled_decode(&received, buffer_bytes(&f->body)), STATUS_OK);
    assert_memory_equal(received.nonce, sent.nonce, sizeof sent.nonce);
    assert_int_equal(received.is_refilling, 1);
    assert_memory_equal(received.digest.bytes, sent.digest.bytes, HASH_BYTES);
    assert_int_equal(frame_recalled_verify(&received, &f->capsule, &f->leader_public), STATUS_OK);
    bodies_refuse_other_lengths(buffer_bytes(&f->body), recalled_take);
    for (size_t i = 0; i < f->body.length; i++) {
        f->body.bytes[i] ^= 1;
        enum status status = frame_recalled_decode(&received, buffer_bytes(&f->body));
        if (status == STATUS_OK) {
            status = frame_recalled_verify(&received, &f->capsule, &f->leader_public);
        }
        assert_int_not_equal(status, STATUS_OK);
        f->body.bytes[i] ^= 1;
    }
    // The order of what was said counts.
    struct hash other = {{0}};
    frame_recalled_digest(&other, bytes_text("two"));
    frame_recalled_digest(&other, bytes_text("one"));
    assert_memory_not_equal(other.bytes, sent.digest.bytes, HASH_BYTES);
}

static void a_fence_that_fits_no_frame_is_not_made(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = calloc(1, FRAME_BYTES_MAX + 1);
    assert_non_null(bytes);
    assert_int_equal(
        frame_fence_encode(&f->body, &f->capsule, 4, &f->writer, &(struct head){.sequence = 0},
                           bytes_of(bytes, FRAME_BYTES_MAX + 1), f->leader),
        STATUS_MALFORMED);
    assert_int_equal(f->body.length, 0);
    free(bytes);
}

static enum status refused_take(struct bytes body)
{
    struct frame_refused refused;
    return frame_refused_decode(&refused, body);
}

static void a_refusal_comes_out_as_it_went_in(void **state)
{
    struct fixture *f = *state;
    const struct frame_refused sent = {
        .status = STATUS_NO_SPACE,
        .sequence = 12,
        .writer = {.bytes = {1, 2, 3}},
        .text = bytes_text("the disk is full"),
    };
    assert_int_equal(frame_refused_encode(&f->body, &sent), STATUS_OK);
    struct frame_refused received;
    assert_int_equal(frame_refused_decode(&received, buffer_bytes(&f->body)), STATUS_OK);
    assert_int_equal(received.status, STATUS_NO_SPACE);
    assert_int_equal(received.sequence, 12);
    assert_true(writer_id_equal(&received.writer, &sent.writer));
    bodies_assert_equal(received.text, sent.text);
    bodies_refuse_shorter_than(buffer_bytes(&f->body), 28, refused_take);
}

static void a_refusal_names_a_status_that_is_a_failure(void **state)
{
    (void)state;
    for (unsigned status = 0; status <= UINT8_MAX; status++) {
        const uint8_t body[28] = {(uint8_t)status};
        bool is_failure = status != STATUS_OK && status <= STATUS_IO;
        assert_int_equal(refused_take(bytes_of(body, sizeof body)),
                         is_failure ? STATUS_OK : STATUS_MALFORMED);
    }
}

static enum status start_take(struct bytes body)
{
    struct frame_start start;
    return frame_start_decode(&start, body);
}

static void a_start_comes_out_as_it_went_in(void **state)
{
    struct fixture *f = *state;
    const struct frame_start sent = {
        .role = 2,
        .lambda_threads = 4,
        .memtable_bytes = 1ull << 33,
        .time_ms = 1700000000000,
        .capsule = f->capsule,
        .genesis = bytes_text("genesis"),
    };
    assert_int_equal(frame_start_encode(&f->body, &sent), STATUS_OK);
    struct frame_start received;
    assert_int_equal(frame_start_decode(&received, buffer_bytes(&f->body)), STATUS_OK);
    assert_int_equal(received.role, 2);
    assert_int_equal(received.lambda_threads, 4);
    assert_true(received.memtable_bytes == 1ull << 33);
    assert_int_equal(received.time_ms, 1700000000000);
    assert_true(hash_equal(&received.capsule, &f->capsule));
    bodies_assert_equal(received.genesis, sent.genesis);
    bodies_refuse_shorter_than(buffer_bytes(&f->body), 53, start_take);
}

static enum status hello_take(struct bytes body)
{
    struct frame_hello hello;
    return frame_hello_decode(&hello, body);
}

static void a_hello_comes_out_as_it_went_in(void **state)
{
    struct fixture *f = *state;
    const struct frame_hello sent = {.role = 1, .key = f->leader_public};
    assert_int_equal(frame_hello_encode(&f->body, &sent), STATUS_OK);
    struct frame_hello received;
    assert_int_equal(frame_hello_decode(&received, buffer_bytes(&f->body)), STATUS_OK);
    assert_int_equal(received.role, 1);
    assert_true(verify_key_equal(&received.key, &f->leader_public));
    bodies_refuse_other_lengths(buffer_bytes(&f->body), hello_take);
}

static void roles_are_leader_worker_and_compactor(void **state)
{
    (void)state;
    for (unsigned role = 0; role <= UINT8_MAX; role++) {
        enum status expected = role >= 1 && role <= 3 ? STATUS_OK : STATUS_MALFORMED;
        const uint8_t hello[33] = {(uint8_t)role};
        assert_int_equal(hello_take(bytes_of(hello, sizeof hello)), expected);
        const uint8_t start[53] = {(uint8_t)role};
        assert_int_equal(start_take(bytes_of(start, sizeof start)), expected);
    }
}

static enum status stream_take(struct bytes body)
{
    struct frame_stream stream;
    return frame_stream_decode(&stream, body);
}

static void stream_bytes_come_out_after_their_prefix(void **state)
{
    struct fixture *f = *state;
    uint8_t prefix[FRAME_STREAM_PREFIX_BYTES];
    frame_stream_prefix(prefix, 0x1122334455667788, FRAME_STREAM_DATA);
    struct bytes data = bytes_text("GET / HTTP/1.1\r\n");
    assert_int_equal(buffer_append(&f->body, prefix, sizeof prefix), STATUS_OK);
    assert_int_equal(buffer_append(&f->body, data.at, data.length), STATUS_OK);

    struct frame_stream stream;
    assert_int_equal(frame_stream_decode(&stream, buffer_bytes(&f->body)), STATUS_OK);
    assert_int_equal(stream.connection, 0x1122334455667788);
    assert_int_equal(stream.event, FRAME_STREAM_DATA);
    bodies_assert_equal(stream.bytes, data);
    bodies_refuse_shorter_than(buffer_bytes(&f->body), FRAME_STREAM_PREFIX_BYTES, stream_take);
}

static void stream_events_carry_only_what_they_may(void **state)
{
    (void)state;
    for (unsigned event = 0; event <= UINT8_MAX; event++) {
        for (size_t extra = 0; extra <= 5; extra++) {
            uint8_t body[FRAME_STREAM_PREFIX_BYTES + 5] = {0};
            body[8] = (uint8_t)event;
            bool fits = (event == FRAME_STREAM_OPEN && extra == 0) || event == FRAME_STREAM_DATA ||
                        (event == FRAME_STREAM_CLOSE && extra == 0) ||
                        (event == FRAME_STREAM_SENT && extra == 4);
            assert_int_equal(stream_take(bytes_of(body, FRAME_STREAM_PREFIX_BYTES + extra)),
                             fits ? STATUS_OK : STATUS_MALFORMED);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    crypto_init();
    const struct CMUnitTest tests[] = {
        TEST(a_frame_comes_out_as_it_went_in),
        TEST(a_header_alone_is_that_of_the_whole_frame),
        TEST(a_frame_shorter_than_its_header_is_refused),
        TEST(only_the_listed_kinds_are_taken),
        TEST(reserved_bytes_have_to_be_zero),
        TEST(kinds_without_a_body_are_refused_with_one),
        TEST(a_frame_above_the_bound_is_neither_made_nor_taken),
        TEST(an_rts_comes_out_as_the_leader_signed_it),
        TEST(p2_an_rts_with_any_byte_changed_is_refused),
        TEST(a_fetch_comes_out_as_it_went_in),
        TEST(a_fetched_comes_out_as_it_went_in),
        TEST(p4_a_recalled_with_any_byte_changed_is_refused),
        TEST(a_fence_comes_out_as_the_leader_signed_it),
        TEST(p2_a_fence_with_any_byte_changed_is_refused),
        TEST(a_fence_with_a_cut_of_nobody_or_nothing_is_refused),
        TEST(a_fence_that_fits_no_frame_is_not_made),
        TEST(a_refusal_comes_out_as_it_went_in),
        TEST(a_refusal_names_a_status_that_is_a_failure),
        TEST(a_start_comes_out_as_it_went_in),
        TEST(a_hello_comes_out_as_it_went_in),
        TEST(roles_are_leader_worker_and_compactor),
        TEST(stream_bytes_come_out_after_their_prefix),
        TEST(stream_events_carry_only_what_they_may),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
