/* tests/wire/format_doc_test.c */

/*
 * Goal: the examples in docs/format/ are what the code makes and takes.
 * Method: make each example from the values that its page states; compare it
 * with the hexadecimal digits of its fenced block; decode the page's bytes. A
 * block that no example here stands for fails too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/crypto.h"
#include "tests/support/page.h"
#include "tests/wire/bodies.h"
#include "wire/channel.h"
#include "wire/frame.h"
#include "wire/join.h"
#include "wire/message.h"
#include "wire/vouch.h"

/* What the pages call by name. */
static struct writer_id example_writer(void)
{
    struct writer_id writer;
    bodies_count(writer.bytes, sizeof writer.bytes, 0x80);
    return writer;
}

static struct hash example_capsule(void)
{
    return bodies_hash(0x40);
}

static void frame_of(struct buffer *target, enum frame_kind kind, uint32_t request,
                     struct buffer *body)
{
    struct writer_id writer = example_writer();
    assert_int_equal(frame_encode(target, kind, request, &writer, buffer_bytes(body)), STATUS_OK);
    buffer_release(body);
}

static void make_frame_rts(struct buffer *target)
{
    struct buffer body = BUFFER_EMPTY;
    struct sign_key *leader = bodies_sign_key(0x20);
    struct hash capsule = example_capsule();
    assert_int_equal(frame_rts_encode(&body, &capsule, 3, 9, leader), STATUS_OK);
    sign_key_free(leader);
    frame_of(target, FRAME_RTS, 0, &body);
}

static void make_frame_fetch(struct buffer *target)
{
    struct buffer body = BUFFER_EMPTY;
    const struct frame_fetch fetch = {
        .writer = example_writer(),
        .from = 5,
        .to = UINT64_MAX,
        .max_bytes = 65536,
        .has_bare_tables = true,
    };
    assert_int_equal(frame_fetch_encode(&body, &fetch), STATUS_OK);
    frame_of(target, FRAME_FETCH, 7, &body);
}

static void make_frame_fetched(struct buffer *target)
{
    struct buffer body = BUFFER_EMPTY;
    const struct frame_fetched fetched = {.writer = example_writer(), .next = 12, .is_end = 1};
    assert_int_equal(frame_fetched_encode(&body, &fetched), STATUS_OK);
    frame_of(target, FRAME_FETCHED, 7, &body);
}

static void make_frame_fence(struct buffer *target)
{
    struct buffer body = BUFFER_EMPTY;
    struct sign_key *leader = bodies_sign_key(0x20);
    struct hash capsule = example_capsule();
    struct writer_id writer = example_writer();
    const struct head cut = {.sequence = 11, .hash = bodies_hash(0x60)};
    assert_int_equal(
        frame_fence_encode(&body, &capsule, 3, &writer, &cut, bytes_text("TERM"), leader),
        STATUS_OK);
    sign_key_free(leader);
    frame_of(target, FRAME_FENCE, 0, &body);
}

static void make_frame_recalled(struct buffer *target)
{
    struct buffer body = BUFFER_EMPTY;
    struct sign_key *store = bodies_sign_key(0x20);
    struct hash capsule = example_capsule();
    struct frame_recalled recalled = {.is_refilling = 0};
    bodies_count(recalled.nonce, sizeof recalled.nonce, 0xb0);
    assert_int_equal(frame_recalled_encode(&body, &capsule, &recalled, store), STATUS_OK);
    sign_key_free(store);
    frame_of(target, FRAME_RECALLED, 7, &body);
}

static void make_frame_refused(struct buffer *target)
{
    struct buffer body = BUFFER_EMPTY;
    const struct frame_refused refused = {
        .status = STATUS_NO_SPACE,
        .sequence = 12,
        .writer = example_writer(),
        .text = bytes_text("the disk is full"),
    };
    assert_int_equal(frame_refused_encode(&body, &refused), STATUS_OK);
    frame_of(target, FRAME_REFUSED, 0, &body);
}

static void make_frame_start(struct buffer *target)
{
    struct buffer body = BUFFER_EMPTY;
    const struct frame_start start = {
        .role = MEMBER_WORKER,
        .lambda_threads = 4,
        .memtable_bytes = 64 << 20,
        .time_ms = 1700000000000,
        .capsule = example_capsule(),
        .genesis = bytes_text("GENESIS"),
    };
    assert_int_equal(frame_start_encode(&body, &start), STATUS_OK);
    frame_of(target, FRAME_START, 0, &body);
}

static void make_frame_hello(struct buffer *target)
{
    struct buffer body = BUFFER_EMPTY;
    struct frame_hello hello = {.role = MEMBER_WORKER};
    bodies_count(hello.key.bytes, sizeof hello.key.bytes, 0x90);
    assert_int_equal(frame_hello_encode(&body, &hello), STATUS_OK);
    frame_of(target, FRAME_HELLO, 0, &body);
}

static void make_frame_stream(struct buffer *target)
{
    struct buffer body = BUFFER_EMPTY;
    uint8_t prefix[FRAME_STREAM_PREFIX_BYTES];
    frame_stream_prefix(prefix, 21, FRAME_STREAM_DATA);
    assert_int_equal(buffer_append(&body, prefix, sizeof prefix), STATUS_OK);
    assert_int_equal(buffer_append(&body, "hello", 5), STATUS_OK);
    frame_of(target, FRAME_STREAM, 0, &body);
}

static enum status take_frame(struct bytes bytes)
{
    struct frame frame;
    enum status status = frame_decode(&frame, bytes);
    if (status != STATUS_OK) {
        return status;
    }
    switch (frame.kind) {
    case FRAME_RTS:
        return frame_rts_decode(&(struct frame_rts){0}, frame.body);
    case FRAME_FETCH:
        return frame_fetch_decode(&(struct frame_fetch){0}, frame.body);
    case FRAME_FETCHED:
        return frame_fetched_decode(&(struct frame_fetched){0}, frame.body);
    case FRAME_FENCE:
        return frame_fence_decode(&(struct frame_fence){0}, frame.body);
    case FRAME_RECALLED:
        return frame_recalled_decode(&(struct frame_recalled){0}, frame.body);
    case FRAME_REFUSED:
        return frame_refused_decode(&(struct frame_refused){0}, frame.body);
    case FRAME_START:
        return frame_start_decode(&(struct frame_start){0}, frame.body);
    case FRAME_HELLO:
        return frame_hello_decode(&(struct frame_hello){0}, frame.body);
    case FRAME_STREAM:
        return frame_stream_decode(&(struct frame_stream){0}, frame.body);
    default:
        return STATUS_MALFORMED;
    }
}

static struct channel *example_channel(uint8_t send_first, uint8_t receive_first)
{
    struct secret *send = bodies_secret(send_first);
    struct secret *receive = bodies_secret(receive_first);
    return channel_new(&send, &receive);
}

static void make_channel(struct buffer *target)
{
    struct channel *channel = example_channel(0x00, 0x20);
    assert_int_equal(channel_seal(channel, target, bytes_text("hello")), STATUS_OK);
    channel_free(channel);
}

static enum status take_channel(struct bytes bytes)
{
    struct channel *channel = example_channel(0x20, 0x00);
    struct buffer plain = BUFFER_EMPTY;
    enum status status = channel_open(channel, &plain, bytes);
    bodies_assert_equal(buffer_bytes(&plain), bytes_text("hello"));
    buffer_release(&plain);
    channel_free(channel);
    return status;
}

/* Counts up from where it stands: the pages state every byte that was drawn. */
static void counting_fill(void *context, void *bytes, size_t length)
{
    uint8_t *next = context;
    bodies_count(bytes, length, *next);
    *next = (uint8_t)(*next + length);
}

struct handshake {
    struct buffer apply;
    struct buffer answer;
    struct buffer prove;
    uint8_t report_data[JOIN_REPORT_DATA_BYTES];
};

static void handshake_run(struct handshake *run)
{
    uint8_t applicant_next = 0x00;
    uint8_t judge_next = 0x80;
    struct random applicant_random = {.fill = counting_fill, .context = &applicant_next};
    struct random judge_random = {.fill = counting_fill, .context = &judge_next};
    struct sign_key *owner = bodies_sign_key(0x10);
    struct verify_key owner_public = sign_key_public(owner);
    struct hash capsule = example_capsule();
    struct verify_key key;
    struct p256_public tls_key;
    bodies_count(key.bytes, sizeof key.bytes, 0x90);
    bodies_count(tls_key.bytes, sizeof tls_key.bytes, 0x04);

    *run = (struct handshake){.apply = BUFFER_EMPTY};
    struct join_applicant *applicant;
    struct join_judge *judge;
    struct join_apply apply;
    uint64_t term;
    struct verify_key leader;
    struct channel *channel;
    enum join_step step;
    struct bytes message;
    assert_int_equal(join_applicant_new(&applicant, JOIN_PROVISION, MEMBER_LEADER, &capsule, &key,
                                        &tls_key, &applicant_random, &run->apply),
                     STATUS_OK);
    assert_int_equal(join_decode(&step, &message, buffer_bytes(&run->apply)), STATUS_OK);
    assert_int_equal(join_judge_new(&judge, JOIN_PROVISION, message, bytes_of(NULL, 0), owner,
                                    &judge_random, &apply, &run->answer),
                     STATUS_OK);
    assert_int_equal(join_decode(&step, &message, buffer_bytes(&run->answer)), STATUS_OK);
    assert_int_equal(
        join_applicant_answer(applicant, message, &owner_public, &term, &leader, run->report_data),
        STATUS_OK);
    assert_int_equal(join_applicant_prove(applicant, bytes_text("evidence"), &run->prove, &channel),
                     STATUS_OK);
    channel_free(channel);
    join_applicant_free(applicant);
    join_judge_free(judge);
    sign_key_free(owner);
}

static void handshake_release(struct handshake *run)
{
    buffer_release(&run->apply);
    buffer_release(&run->answer);
    buffer_release(&run->prove);
}

static void make_join_apply(struct buffer *target)
{
    struct handshake run;
    handshake_run(&run);
    assert_int_equal(buffer_append(target, run.apply.bytes, run.apply.length), STATUS_OK);
    handshake_release(&run);
}

static void make_join_answer(struct buffer *target)
{
    struct handshake run;
    handshake_run(&run);
    assert_int_equal(buffer_append(target, run.answer.bytes, run.answer.length), STATUS_OK);
    handshake_release(&run);
}

static void make_join_prove(struct buffer *target)
{
    struct handshake run;
    handshake_run(&run);
    assert_int_equal(buffer_append(target, run.prove.bytes, run.prove.length), STATUS_OK);
    handshake_release(&run);
}

static void make_join_report_data(struct buffer *target)
{
    struct handshake run;
    handshake_run(&run);
    assert_int_equal(buffer_append(target, run.report_data, sizeof run.report_data), STATUS_OK);
    handshake_release(&run);
}

static void make_join_refused(struct buffer *target)
{
    assert_int_equal(join_refuse(target, "no such measurement"), STATUS_OK);
}

static enum status take_join(struct bytes bytes)
{
    enum join_step step;
    struct bytes message;
    return join_decode(&step, &message, bytes);
}

static enum status take_report_data(struct bytes bytes)
{
    return bytes.length == JOIN_REPORT_DATA_BYTES ? STATUS_OK : STATUS_MALFORMED;
}

static void make_message_grant(struct buffer *target)
{
    uint8_t secret[SECRET_BYTES];
    bodies_count(secret, sizeof secret, 0x00);
    const struct branch_head head = {
        .writer = example_writer(),
        .head = {.sequence = 12, .hash = bodies_hash(0xc0)},
    };
    const struct hash compactor = bodies_hash(0x90);
    struct branch_head manifest = {.head = {.sequence = 7, .hash = bodies_hash(0xe0)}};
    memcpy(manifest.writer.bytes, compactor.bytes, WRITER_ID_BYTES);
    const struct message_grant grant = {
        .key_count = 1,
        .keys = {{.key_epoch = 1, .secret = secret}},
        .certificate = bytes_text("leaf"),
        .root = bytes_text("root"),
        .token_count = 1,
        .tokens = {bodies_hash(0x60)},
        .head_count = 1,
        .manifest = manifest,
    };
    assert_int_equal(message_grant_encode(target, &grant, &head), STATUS_OK);
}

static void make_message_seed(struct buffer *target)
{
    uint8_t secret[SECRET_BYTES];
    bodies_count(secret, sizeof secret, 0x00);
    struct message_seed seed = {.seed = secret, .term_body = bytes_text("TERM")};
    bodies_count(seed.sync.writer.bytes, WRITER_ID_BYTES, 0x80);
    seed.sync.head = (struct head){.sequence = 12, .hash = bodies_hash(0xc0)};
    assert_int_equal(message_seed_encode(target, &seed), STATUS_OK);
}

static void make_message_deploy(struct buffer *target)
{
    const struct message_deploy deploy = {.request = 5, .function = bytes_text("FUNCTION")};
    assert_int_equal(message_deploy_encode(target, &deploy), STATUS_OK);
}

static void make_message_answer(struct buffer *target)
{
    const struct message_answer answer = {
        .request = 5,
        .status = STATUS_OK,
        .text = bytes_text("published"),
        .term = 3,
        .sync_epoch = 9,
        .sync = bodies_hash(0xc0),
        .statements = bytes_text("SIGN"),
    };
    assert_int_equal(message_answer_encode(target, &answer), STATUS_OK);
}

static void make_message_renew(struct buffer *target)
{
    const struct message_renew renew = {.certificate = bytes_text("leaf")};
    assert_int_equal(message_renew_encode(target, &renew), STATUS_OK);
}

static void make_message_key(struct buffer *target)
{
    uint8_t secret[SECRET_BYTES];
    bodies_count(secret, sizeof secret, 0x00);
    const struct message_key key = {.key_epoch = 2, .secret = secret};
    assert_int_equal(message_key_encode(target, &key), STATUS_OK);
}

static void make_message_rotate(struct buffer *target)
{
    assert_int_equal(message_rotate_encode(target, 5), STATUS_OK);
}

static void make_message_policy(struct buffer *target)
{
    const struct message_policy policy = {.request = 5, .policy = bytes_text("POLICY")};
    assert_int_equal(message_policy_encode(target, &policy), STATUS_OK);
}

static void make_message_revoke(struct buffer *target)
{
    const struct message_revoke revoke = {.request = 5, .revocation = bytes_text("REVOKE")};
    assert_int_equal(message_revoke_encode(target, &revoke), STATUS_OK);
}

static void make_message_lock_ask(struct buffer *target)
{
    const struct message_lock_ask ask = {.request = 5, .name = bytes_text("lock:hits")};
    assert_int_equal(message_lock_ask_encode(target, &ask), STATUS_OK);
}

static void make_message_lock_grant(struct buffer *target)
{
    const struct branch_head head = {
        .writer = example_writer(),
        .head = {.sequence = 12, .hash = bodies_hash(0xc0)},
    };
    const struct message_lock_grant grant = {.request = 5,
                                             .lock = bodies_hash(0x00),
                                             .fence = UINT64_C(1) << 32 | 2,
                                             .epoch = 9,
                                             .decided = 14,
                                             .head_count = 1};
    assert_int_equal(message_lock_grant_encode(target, &grant, &head), STATUS_OK);
}

static void make_message_lock_release(struct buffer *target)
{
    const struct message_lock_release release = {
        .request = 5,
        .fence = UINT64_C(1) << 32 | 2,
        .record = {.sequence = 3, .hash = bodies_hash(0xc0)},
    };
    assert_int_equal(message_lock_release_encode(target, &release, NULL), STATUS_OK);
}

static void make_message_lock_answer(struct buffer *target)
{
    const struct message_lock_answer answer = {.request = 5, .sequence = 15};
    assert_int_equal(message_lock_answer_encode(target, &answer), STATUS_OK);
}

static void make_message_vouch_ask(struct buffer *target)
{
    const struct message_vouch_ask ask = {
        .request = 5, .nonce = bytes_text("nonce"), .evidence = bytes_text("quote")};
    assert_int_equal(message_vouch_ask_encode(target, &ask), STATUS_OK);
}

static void make_message_vouch(struct buffer *target)
{
    const struct message_vouch vouch = {.request = 5, .vouch = bytes_text("PVO2")};
    assert_int_equal(message_vouch_encode(target, &vouch), STATUS_OK);
}

static void make_vouch(struct buffer *target)
{
    const struct vouch vouch = {
        .worker = example_writer(),
        .certificate = bytes_text("leaf"),
        .evidence = bytes_text("quote"),
        .term_body = bytes_text("TERM"),
        .root = bytes_text("root"),
        .leader_evidence = bytes_text("its quote"),
        .policy_body = bytes_text("POLICY"),
    };
    assert_int_equal(vouch_encode(target, &vouch), STATUS_OK);
}

static enum status take_vouch(struct bytes bytes)
{
    struct vouch vouch;
    return vouch_decode(&vouch, bytes);
}

static enum status take_message(struct bytes bytes)
{
    struct message message;
    return message_decode(&message, bytes);
}

static const struct example {
    const char *page;
    const char *tag;
    void (*make)(struct buffer *target);
    enum status (*take)(struct bytes bytes);
} examples[] = {
    {"format/frame.md", "hex frame rts", make_frame_rts, take_frame},
    {"format/frame.md", "hex frame fetch", make_frame_fetch, take_frame},
    {"format/frame.md", "hex frame fetched", make_frame_fetched, take_frame},
    {"format/frame.md", "hex frame recalled", make_frame_recalled, take_frame},
    {"format/frame.md", "hex frame fence", make_frame_fence, take_frame},
    {"format/frame.md", "hex frame refused", make_frame_refused, take_frame},
    {"format/frame.md", "hex frame start", make_frame_start, take_frame},
    {"format/frame.md", "hex frame hello", make_frame_hello, take_frame},
    {"format/frame.md", "hex frame stream", make_frame_stream, take_frame},
    {"format/channel.md", "hex channel", make_channel, take_channel},
    {"format/join.md", "hex join apply", make_join_apply, take_join},
    {"format/join.md", "hex join answer", make_join_answer, take_join},
    {"format/join.md", "hex join prove", make_join_prove, take_join},
    {"format/join.md", "hex join report data", make_join_report_data, take_report_data},
    {"format/join.md", "hex join refused", make_join_refused, take_join},
    {"format/message.md", "hex message grant", make_message_grant, take_message},
    {"format/message.md", "hex message seed", make_message_seed, take_message},
    {"format/message.md", "hex message deploy", make_message_deploy, take_message},
    {"format/message.md", "hex message answer", make_message_answer, take_message},
    {"format/message.md", "hex message renew", make_message_renew, take_message},
    {"format/message.md", "hex message key", make_message_key, take_message},
    {"format/message.md", "hex message rotate", make_message_rotate, take_message},
    {"format/message.md", "hex message revoke", make_message_revoke, take_message},
    {"format/message.md", "hex message policy", make_message_policy, take_message},
    {"format/message.md", "hex message lock ask", make_message_lock_ask, take_message},
    {"format/message.md", "hex message lock grant", make_message_lock_grant, take_message},
    {"format/message.md", "hex message lock release", make_message_lock_release, take_message},
    {"format/message.md", "hex message lock answer", make_message_lock_answer, take_message},
    {"format/message.md", "hex message vouch ask", make_message_vouch_ask, take_message},
    {"format/message.md", "hex message vouch", make_message_vouch, take_message},
    {"format/vouch.md", "hex vouch", make_vouch, take_vouch},
};
enum { EXAMPLE_COUNT = sizeof examples / sizeof *examples };

static void every_example_is_what_the_code_makes_and_takes(void **state)
{
    (void)state;
    for (size_t i = 0; i < EXAMPLE_COUNT; i++) {
        print_message("%s: %s\n", examples[i].page, examples[i].tag);
        struct buffer written = BUFFER_EMPTY;
        struct buffer made = BUFFER_EMPTY;
        page_hex(&written, examples[i].page, examples[i].tag);
        examples[i].make(&made);
        bodies_assert_equal(buffer_bytes(&written), buffer_bytes(&made));
        assert_int_equal(examples[i].take(buffer_bytes(&written)), STATUS_OK);
        buffer_release(&written);
        buffer_release(&made);
    }
}

static void every_block_of_the_pages_is_an_example_here(void **state)
{
    (void)state;
    const char *const pages[] = {"format/frame.md", "format/channel.md", "format/join.md",
                                 "format/message.md", "format/vouch.md"};
    size_t block_count = 0;
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        struct buffer page = BUFFER_EMPTY;
        page_read(&page, pages[i]);
        const char *at = (const char *)page.bytes;
        while ((at = strstr(at, "```hex ")) != NULL) {
            block_count++;
            at++;
        }
        buffer_release(&page);
    }
    assert_int_equal(block_count, EXAMPLE_COUNT);
}

int main(void)
{
    crypto_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_example_is_what_the_code_makes_and_takes),
        cmocka_unit_test(every_block_of_the_pages_is_an_example_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
