/* tests/wire/message_test.c */

/*
 * Goal: each message comes out as it went in, at its bounds too; no other
 * length, kind or count is taken.
 * Method: encode, decode, compare every field; decode each truncation and one
 * byte more; write counts beyond their bounds over good ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/certificate.h"
#include "crypto/crypto.h"
#include "tests/wire/bodies.h"
#include "wire/message.h"

struct fixture {
    struct buffer bytes;
    struct message message;
    uint8_t secrets[MESSAGE_KEYS_MAX][SECRET_BYTES];
    struct message_grant grant;
    struct branch_head heads[MESSAGE_HEADS_MAX];
};

static int setup(void **state)
{
    static struct fixture f;
    memset(&f, 0, sizeof f);
    for (uint32_t i = 0; i < MESSAGE_KEYS_MAX; i++) {
        bodies_count(f.secrets[i], SECRET_BYTES, (uint8_t)i);
        f.grant.keys[i] = (struct message_key){.key_epoch = 1000 + i, .secret = f.secrets[i]};
    }
    for (uint32_t i = 0; i < MESSAGE_TOKENS_MAX; i++) {
        f.grant.tokens[i] = bodies_hash((uint8_t)(0x80 + i));
    }
    for (uint32_t i = 0; i < MESSAGE_HEADS_MAX; i++) {
        bodies_count(f.heads[i].writer.bytes, WRITER_ID_BYTES, (uint8_t)i);
        f.heads[i].head = (struct head){.sequence = i + 1, .hash = bodies_hash((uint8_t)(i + 7))};
    }
    f.grant.certificate = bytes_text("a leaf");
    f.grant.root = bytes_text("the root");
    f.grant.manifest = (struct branch_head){.writer = {.bytes = {0x30}},
                                            .head = {.sequence = 5, .hash = bodies_hash(0x40)}};
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    buffer_release(&f->bytes);
    return 0;
}

static enum status take(struct bytes bytes)
{
    static struct message message;
    return message_decode(&message, bytes);
}

static void grant_round_trips(struct fixture *f, uint32_t key_count, uint32_t token_count,
                              uint32_t head_count)
{
    f->grant.key_count = key_count;
    f->grant.token_count = token_count;
    f->grant.head_count = head_count;
    buffer_clear(&f->bytes);
    assert_int_equal(message_grant_encode(&f->bytes, &f->grant, f->heads), STATUS_OK);
    assert_int_equal(message_decode(&f->message, buffer_bytes(&f->bytes)), STATUS_OK);
    assert_int_equal(f->message.kind, MESSAGE_GRANT);

    const struct message_grant *grant = &f->message.grant;
    assert_int_equal(grant->key_count, key_count);
    for (uint32_t i = 0; i < key_count; i++) {
        assert_int_equal(grant->keys[i].key_epoch, 1000 + i);
        assert_memory_equal(grant->keys[i].secret, f->secrets[i], SECRET_BYTES);
    }
    bodies_assert_equal(grant->certificate, f->grant.certificate);
    bodies_assert_equal(grant->root, f->grant.root);
    assert_int_equal(grant->token_count, token_count);
    for (uint32_t i = 0; i < token_count; i++) {
        assert_true(hash_equal(&grant->tokens[i], &f->grant.tokens[i]));
    }
    assert_int_equal(grant->head_count, head_count);
    assert_int_equal(grant->manifest.head.sequence, f->grant.manifest.head.sequence);
    assert_true(hash_equal(&grant->manifest.head.hash, &f->grant.manifest.head.hash));
    assert_true(writer_id_equal(&grant->manifest.writer, &f->grant.manifest.writer));
    for (uint32_t i = 0; i < head_count; i++) {
        struct branch_head branch = message_grant_head(grant, i);
        assert_memory_equal(branch.writer.bytes, f->heads[i].writer.bytes, WRITER_ID_BYTES);
        assert_int_equal(branch.head.sequence, i + 1);
        assert_true(hash_equal(&branch.head.hash, &f->heads[i].head.hash));
    }
}

static void a_grant_comes_out_as_it_went_in(void **state)
{
    struct fixture *f = *state;
    grant_round_trips(f, 2, 1, 3);
    bodies_refuse_other_lengths(buffer_bytes(&f->bytes), take);
}

static void a_grant_may_be_empty_and_may_be_as_large_as_its_bounds(void **state)
{
    struct fixture *f = *state;
    grant_round_trips(f, MESSAGE_KEYS_MAX, MESSAGE_TOKENS_MAX, MESSAGE_HEADS_MAX);
    f->grant.certificate = f->grant.root = bytes_of(NULL, 0);
    grant_round_trips(f, 0, 0, 0);
}

enum { REST_MAX = 128 };

/* Bytes of a message of this kind with one u32 in it, and zeroes enough for that count. */
static enum status take_with_count(size_t offset, uint32_t count, size_t unit)
{
    size_t length = offset + 4 + count * unit + REST_MAX;
    uint8_t *bytes = calloc(1, length);
    assert_non_null(bytes);
    bytes[0] = MESSAGE_GRANT;
    for (int i = 0; i < 4; i++) {
        bytes[offset + (size_t)i] = (uint8_t)(count >> (8 * i));
    }
    enum status status = STATUS_MALFORMED;
    for (size_t rest = 0; rest <= REST_MAX && status != STATUS_OK; rest++) {
        status = take(bytes_of(bytes, offset + 4 + count * unit + rest));
    }
    free(bytes);
    return status;
}

static void counts_and_lengths_beyond_their_bounds_are_refused(void **state)
{
    (void)state;
    const struct {
        size_t offset;  // in a grant whose other counts are zero
        size_t unit;
        uint32_t max;
    } cases[] = {
        {1, 4 + SECRET_BYTES, MESSAGE_KEYS_MAX},
        {5, 1, CERTIFICATE_BYTES_MAX},
        {9, 1, CERTIFICATE_BYTES_MAX},
        {13, HASH_BYTES, MESSAGE_TOKENS_MAX},
        {17, BRANCH_HEAD_BYTES, MESSAGE_HEADS_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(take_with_count(cases[i].offset, cases[i].max, cases[i].unit), STATUS_OK);
        assert_int_equal(take_with_count(cases[i].offset, cases[i].max + 1, cases[i].unit),
                         STATUS_MALFORMED);
    }
}

static void counts_that_overflow_a_size_are_refused(void **state)
{
    (void)state;
    const size_t offsets[] = {1, 5, 9, 13, 17};
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        uint8_t bytes[128] = {MESSAGE_GRANT};
        memset(bytes + offsets[i], 0xff, 4);
        assert_int_equal(take(bytes_of(bytes, sizeof bytes)), STATUS_MALFORMED);
    }
}

static void a_seed_comes_out_as_it_went_in(void **state)
{
    struct fixture *f = *state;
    const struct message_seed sent = {
        .seed = f->secrets[5],
        .sync = {.head = {.sequence = 3, .hash = bodies_hash(0x50)}},
        .term_body = bytes_text("term"),
        .policy_body = bytes_text("policy"),
    };
    assert_int_equal(message_seed_encode(&f->bytes, &sent), STATUS_OK);
    assert_int_equal(message_decode(&f->message, buffer_bytes(&f->bytes)), STATUS_OK);
    assert_int_equal(f->message.kind, MESSAGE_SEED);
    assert_memory_equal(f->message.seed.seed, f->secrets[5], SECRET_BYTES);
    assert_int_equal(f->message.seed.sync.head.sequence, 3);
    assert_true(hash_equal(&f->message.seed.sync.head.hash, &sent.sync.head.hash));
    bodies_assert_equal(f->message.seed.term_body, sent.term_body);
    bodies_assert_equal(f->message.seed.policy_body, sent.policy_body);
    bodies_refuse_other_lengths(buffer_bytes(&f->bytes), take);
}

static void a_deploy_comes_out_as_it_went_in(void **state)
{
    struct fixture *f = *state;
    const struct message_deploy sent = {.request = 77, .function = bytes_text("function")};
    assert_int_equal(message_deploy_encode(&f->bytes, &sent), STATUS_OK);
    assert_int_equal(message_decode(&f->message, buffer_bytes(&f->bytes)), STATUS_OK);
    assert_int_equal(f->message.kind, MESSAGE_DEPLOY);
    assert_int_equal(f->message.deploy.request, 77);
    bodies_assert_equal(f->message.deploy.function, sent.function);
    bodies_refuse_other_lengths(buffer_bytes(&f->bytes), take);
}

static void an_answer_comes_out_as_it_went_in(void **state)
{
    struct fixture *f = *state;
    const struct message_answer sent = {
        .request = 77,
        .status = STATUS_DENIED,
        .text = bytes_text("the policy forbids it"),
        .term = 4,
        .sync_epoch = 12,
        .sync = bodies_hash(0x30),
        .statements = bytes_text("signed"),
    };
    assert_int_equal(message_answer_encode(&f->bytes, &sent), STATUS_OK);
    assert_int_equal(message_decode(&f->message, buffer_bytes(&f->bytes)), STATUS_OK);
    assert_int_equal(f->message.kind, MESSAGE_ANSWER);
    assert_int_equal(f->message.answer.request, 77);
    assert_int_equal(f->message.answer.status, STATUS_DENIED);
    bodies_assert_equal(f->message.answer.text, sent.text);
    assert_int_equal(f->message.answer.term, 4);
    assert_int_equal(f->message.answer.sync_epoch, 12);
    assert_true(hash_equal(&f->message.answer.sync, &sent.sync));
    bodies_assert_equal(f->message.answer.statements, sent.statements);
    bodies_refuse_other_lengths(buffer_bytes(&f->bytes), take);
}

static void an_answer_with_an_unknown_status_is_refused(void **state)
{
    (void)state;
    for (unsigned status = 0; status <= UINT8_MAX; status++) {
        uint8_t bytes[1 + 4 + 4 + 4 + 8 + 8 + HASH_BYTES + 4] = {MESSAGE_ANSWER};
        bytes[5] = (uint8_t)status;
        assert_int_equal(take(bytes_of(bytes, sizeof bytes)),
                         status <= STATUS_IO ? STATUS_OK : STATUS_MALFORMED);
    }
}

static void a_renewal_comes_out_as_it_went_in(void **state)
{
    struct fixture *f = *state;
    const struct message_renew request = {.certificate = bytes_of(NULL, 0)};
    assert_int_equal(message_renew_encode(&f->bytes, &request), STATUS_OK);
    assert_int_equal(message_decode(&f->message, buffer_bytes(&f->bytes)), STATUS_OK);
    assert_int_equal(f->message.kind, MESSAGE_RENEW);
    assert_int_equal(f->message.renew.certificate.length, 0);

    static const uint8_t largest[CERTIFICATE_BYTES_MAX + 1];
    const struct message_renew answer = {.certificate = bytes_of(largest, CERTIFICATE_BYTES_MAX)};
    buffer_clear(&f->bytes);
    assert_int_equal(message_renew_encode(&f->bytes, &answer), STATUS_OK);
    assert_int_equal(message_decode(&f->message, buffer_bytes(&f->bytes)), STATUS_OK);
    bodies_assert_equal(f->message.renew.certificate, answer.certificate);

    // One byte more, its length told rightly.
    assert_int_equal(buffer_append(&f->bytes, "", 1), STATUS_OK);
    f->bytes.bytes[1]++;
    assert_int_equal(take(buffer_bytes(&f->bytes)), STATUS_MALFORMED);
}

static void a_key_and_the_request_for_one_come_out_as_they_went_in(void **state)
{
    struct fixture *f = *state;
    const struct message_key request = {.key_epoch = 3};
    assert_int_equal(message_key_encode(&f->bytes, &request), STATUS_OK);
    assert_int_equal(message_decode(&f->message, buffer_bytes(&f->bytes)), STATUS_OK);
    assert_int_equal(f->message.kind, MESSAGE_KEY);
    assert_int_equal(f->message.key.key_epoch, 3);
    assert_null(f->message.key.secret);

    const struct message_key key = {.key_epoch = 4, .secret = f->secrets[2]};
    buffer_clear(&f->bytes);
    assert_int_equal(message_key_encode(&f->bytes, &key), STATUS_OK);
    bodies_refuse_other_lengths(buffer_bytes(&f->bytes), take);
    assert_int_equal(message_decode(&f->message, buffer_bytes(&f->bytes)), STATUS_OK);
    assert_int_equal(f->message.key.key_epoch, 4);
    assert_memory_equal(f->message.key.secret, f->secrets[2], SECRET_BYTES);

    // One byte less than a key, its length told rightly.
    f->bytes.length--;
    f->bytes.bytes[5]--;
    assert_int_equal(take(buffer_bytes(&f->bytes)), STATUS_MALFORMED);
}

static void what_the_owner_says_of_keys_comes_out_as_it_went_in(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(message_rotate_encode(&f->bytes, 77), STATUS_OK);
    assert_int_equal(message_decode(&f->message, buffer_bytes(&f->bytes)), STATUS_OK);
    assert_int_equal(f->message.kind, MESSAGE_ROTATE);
    assert_int_equal(f->message.rotate, 77);
    bodies_refuse_other_lengths(buffer_bytes(&f->bytes), take);

    const struct message_revoke sent = {.request = 78, .revocation = bytes_text("revocation")};
    buffer_clear(&f->bytes);
    assert_int_equal(message_revoke_encode(&f->bytes, &sent), STATUS_OK);
    assert_int_equal(message_decode(&f->message, buffer_bytes(&f->bytes)), STATUS_OK);
    assert_int_equal(f->message.kind, MESSAGE_REVOKE);
    assert_int_equal(f->message.revoke.request, 78);
    bodies_assert_equal(f->message.revoke.revocation, sent.revocation);
    bodies_refuse_other_lengths(buffer_bytes(&f->bytes), take);

    const struct message_policy policy = {.request = 79, .policy = bytes_text("policy")};
    buffer_clear(&f->bytes);
    assert_int_equal(message_policy_encode(&f->bytes, &policy), STATUS_OK);
    assert_int_equal(message_decode(&f->message, buffer_bytes(&f->bytes)), STATUS_OK);
    assert_int_equal(f->message.kind, MESSAGE_POLICY);
    assert_int_equal(f->message.policy.request, 79);
    bodies_assert_equal(f->message.policy.policy, policy.policy);
    bodies_refuse_other_lengths(buffer_bytes(&f->bytes), take);
}

static void a_short_renewal_is_refused_at_every_other_length(void **state)
{
    struct fixture *f = *state;
    const struct message_renew sent = {.certificate = bytes_text("a leaf")};
    assert_int_equal(message_renew_encode(&f->bytes, &sent), STATUS_OK);
    bodies_refuse_other_lengths(buffer_bytes(&f->bytes), take);
}

static void a_lock_that_is_asked_for_comes_out_as_it_went_in(void **state)
{
    struct fixture *f = *state;
    const struct message_lock_ask ask = {.request = 7, .name = bytes_text("lock:hits")};
    assert_int_equal(message_lock_ask_encode(&f->bytes, &ask), STATUS_OK);
    assert_int_equal(message_decode(&f->message, buffer_bytes(&f->bytes)), STATUS_OK);
    assert_int_equal(f->message.kind, MESSAGE_LOCK_ASK);
    assert_int_equal(f->message.lock_ask.request, 7);
    bodies_assert_equal(f->message.lock_ask.name, ask.name);
    bodies_refuse_other_lengths(buffer_bytes(&f->bytes), take);
    f->bytes.bytes[1] = 0;  // no request
    assert_int_equal(take(buffer_bytes(&f->bytes)), STATUS_MALFORMED);

    static const uint8_t name[MESSAGE_LOCK_NAME_BYTES_MAX];
    const struct message_lock_ask longest = {.request = 7, .name = bytes_of(name, sizeof name)};
    buffer_clear(&f->bytes);
    assert_int_equal(message_lock_ask_encode(&f->bytes, &longest), STATUS_OK);
    assert_int_equal(take(buffer_bytes(&f->bytes)), STATUS_OK);
    assert_int_equal(buffer_append(&f->bytes, "", 1), STATUS_OK);
    f->bytes.bytes[9]++;
    assert_int_equal(take(buffer_bytes(&f->bytes)), STATUS_MALFORMED);
    const uint8_t nameless[13] = {MESSAGE_LOCK_ASK, 7};
    assert_int_equal(take(bytes_of(nameless, sizeof nameless)), STATUS_MALFORMED);
}

static void a_lock_that_is_granted_comes_out_as_it_went_in(void **state)
{
    struct fixture *f = *state;
    const struct message_lock_grant sent = {.request = 7,
                                            .lock = bodies_hash(0x40),
                                            .fence = 9,
                                            .epoch = 3,
                                            .decided = 12,
                                            .head_count = 2};
    assert_int_equal(message_lock_grant_encode(&f->bytes, &sent, f->heads), STATUS_OK);
    assert_int_equal(message_decode(&f->message, buffer_bytes(&f->bytes)), STATUS_OK);
    const struct message_lock_grant *grant = &f->message.lock_grant;
    assert_int_equal(f->message.kind, MESSAGE_LOCK_GRANT);
    assert_int_equal(grant->request, 7);
    assert_true(hash_equal(&grant->lock, &sent.lock));
    assert_int_equal(grant->fence, 9);
    assert_int_equal(grant->epoch, 3);
    assert_int_equal(grant->decided, 12);
    assert_int_equal(grant->head_count, 2);
    assert_int_equal(message_lock_grant_head(grant, 1).head.sequence, 2);
    bodies_refuse_other_lengths(buffer_bytes(&f->bytes), take);
    f->bytes.bytes[1 + 8 + HASH_BYTES] = 0;  // no fence
    assert_int_equal(take(buffer_bytes(&f->bytes)), STATUS_MALFORMED);
}

static void a_lock_that_is_released_comes_out_as_it_went_in(void **state)
{
    struct fixture *f = *state;
    const struct message_lock_release sent = {
        .request = 7,
        .fence = 9,
        .record = {.sequence = 4, .hash = bodies_hash(0x50)},
        .head_count = 1,
    };
    assert_int_equal(message_lock_release_encode(&f->bytes, &sent, f->heads), STATUS_OK);
    assert_int_equal(message_decode(&f->message, buffer_bytes(&f->bytes)), STATUS_OK);
    const struct message_lock_release *release = &f->message.lock_release;
    assert_int_equal(f->message.kind, MESSAGE_LOCK_RELEASE);
    assert_int_equal(release->request, 7);
    assert_int_equal(release->fence, 9);
    assert_int_equal(release->record.sequence, 4);
    assert_true(hash_equal(&release->record.hash, &sent.record.hash));
    assert_int_equal(release->head_count, 1);
    assert_int_equal(message_lock_release_head(release, 0).head.sequence, 1);
    bodies_refuse_other_lengths(buffer_bytes(&f->bytes), take);
    f->bytes.bytes[9] = 0;  // a record, and no grant
    assert_int_equal(take(buffer_bytes(&f->bytes)), STATUS_MALFORMED);
    f->bytes.bytes[9] = 9;
    f->bytes.bytes[17] = 0;  // a hash of no record
    assert_int_equal(take(buffer_bytes(&f->bytes)), STATUS_MALFORMED);
}

static void what_became_of_a_lock_comes_out_as_it_went_in(void **state)
{
    struct fixture *f = *state;
    const struct message_lock_answer sent = {.request = 7, .status = STATUS_FULL, .sequence = 12};
    assert_int_equal(message_lock_answer_encode(&f->bytes, &sent), STATUS_OK);
    assert_int_equal(message_decode(&f->message, buffer_bytes(&f->bytes)), STATUS_OK);
    assert_int_equal(f->message.kind, MESSAGE_LOCK_ANSWER);
    assert_int_equal(f->message.lock_answer.request, 7);
    assert_int_equal(f->message.lock_answer.status, STATUS_FULL);
    assert_int_equal(f->message.lock_answer.sequence, 12);
    bodies_refuse_other_lengths(buffer_bytes(&f->bytes), take);
    f->bytes.bytes[9] = STATUS_IO + 1;
    assert_int_equal(take(buffer_bytes(&f->bytes)), STATUS_MALFORMED);
}

static void a_proposal_to_prune_comes_out_as_it_went_in(void **state)
{
    struct fixture *f = *state;
    const struct message_prune sent = {.body = bytes_text("the body of a PRUNE")};
    assert_int_equal(message_prune_encode(&f->bytes, &sent), STATUS_OK);
    assert_int_equal(message_decode(&f->message, buffer_bytes(&f->bytes)), STATUS_OK);
    assert_int_equal(f->message.kind, MESSAGE_PRUNE);
    assert_true(bytes_equal(f->message.prune.body, sent.body));
    bodies_refuse_other_lengths(buffer_bytes(&f->bytes), take);
}

static void what_vouches_for_a_worker_comes_out_as_it_went_in(void **state)
{
    struct fixture *f = *state;
    const struct message_vouch_ask ask = {
        .request = 7, .nonce = bytes_text("a nonce"), .evidence = bytes_text("evidence")};
    assert_int_equal(message_vouch_ask_encode(&f->bytes, &ask), STATUS_OK);
    assert_int_equal(message_decode(&f->message, buffer_bytes(&f->bytes)), STATUS_OK);
    assert_int_equal(f->message.kind, MESSAGE_VOUCH_ASK);
    assert_int_equal(f->message.vouch_ask.request, 7);
    assert_true(bytes_equal(f->message.vouch_ask.nonce, ask.nonce));
    assert_true(bytes_equal(f->message.vouch_ask.evidence, ask.evidence));
    bodies_refuse_other_lengths(buffer_bytes(&f->bytes), take);
    f->bytes.bytes[1] = 0;  // no number
    assert_int_equal(take(buffer_bytes(&f->bytes)), STATUS_MALFORMED);

    buffer_clear(&f->bytes);
    const struct message_vouch vouch = {.request = 7, .vouch = bytes_text("a vouch")};
    assert_int_equal(message_vouch_encode(&f->bytes, &vouch), STATUS_OK);
    assert_int_equal(message_decode(&f->message, buffer_bytes(&f->bytes)), STATUS_OK);
    assert_int_equal(f->message.kind, MESSAGE_VOUCH);
    assert_int_equal(f->message.vouch.request, 7);
    assert_true(bytes_equal(f->message.vouch.vouch, vouch.vouch));
    bodies_refuse_other_lengths(buffer_bytes(&f->bytes), take);
}

static void a_nonce_has_1_to_64_bytes(void **state)
{
    struct fixture *f = *state;
    static const uint8_t nonce[VOUCH_NONCE_BYTES_MAX];
    const struct message_vouch_ask ask = {.request = 1, .nonce = bytes_of(nonce, sizeof nonce)};
    assert_int_equal(message_vouch_ask_encode(&f->bytes, &ask), STATUS_OK);
    assert_int_equal(take(buffer_bytes(&f->bytes)), STATUS_OK);
    assert_int_equal(buffer_append(&f->bytes, "", 1), STATUS_OK);
    f->bytes.bytes[5]++;
    assert_int_equal(take(buffer_bytes(&f->bytes)), STATUS_MALFORMED);
    const uint8_t none[] = {MESSAGE_VOUCH_ASK, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    assert_int_equal(take(bytes_of(none, sizeof none)), STATUS_MALFORMED);
}

static void unknown_kinds_are_refused(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind <= UINT8_MAX; kind++) {
        // A length that a grant, an answer and a renewal of zeroes have.
        for (size_t length = 1; length < 128; length++) {
            const uint8_t bytes[128] = {(uint8_t)kind};
            if (kind < MESSAGE_GRANT || kind > MESSAGE_POLICY) {
                assert_int_equal(take(bytes_of(bytes, length)), STATUS_MALFORMED);
            }
        }
    }
}

static void what_fits_no_frame_is_neither_made_nor_taken(void **state)
{
    struct fixture *f = *state;
    uint8_t *function = calloc(1, MESSAGE_BYTES_MAX);
    assert_non_null(function);
    struct message_deploy deploy = {.function = bytes_of(function, MESSAGE_BYTES_MAX - 9)};
    assert_int_equal(message_deploy_encode(&f->bytes, &deploy), STATUS_OK);
    assert_int_equal(f->bytes.length, MESSAGE_BYTES_MAX);
    assert_int_equal(take(buffer_bytes(&f->bytes)), STATUS_OK);

    assert_int_equal(buffer_append(&f->bytes, "", 1), STATUS_OK);
    f->bytes.bytes[5]++;
    assert_int_equal(take(buffer_bytes(&f->bytes)), STATUS_MALFORMED);

    buffer_clear(&f->bytes);
    deploy.function.length++;
    assert_int_equal(message_deploy_encode(&f->bytes, &deploy), STATUS_MALFORMED);
    assert_int_equal(f->bytes.length, 0);
    free(function);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_grant_comes_out_as_it_went_in),
        TEST(a_grant_may_be_empty_and_may_be_as_large_as_its_bounds),
        TEST(counts_and_lengths_beyond_their_bounds_are_refused),
        TEST(counts_that_overflow_a_size_are_refused),
        TEST(a_seed_comes_out_as_it_went_in),
        TEST(a_deploy_comes_out_as_it_went_in),
        TEST(an_answer_comes_out_as_it_went_in),
        TEST(an_answer_with_an_unknown_status_is_refused),
        TEST(a_renewal_comes_out_as_it_went_in),
        TEST(a_lock_that_is_asked_for_comes_out_as_it_went_in),
        TEST(a_lock_that_is_granted_comes_out_as_it_went_in),
        TEST(a_lock_that_is_released_comes_out_as_it_went_in),
        TEST(a_proposal_to_prune_comes_out_as_it_went_in),
        TEST(what_became_of_a_lock_comes_out_as_it_went_in),
        TEST(a_key_and_the_request_for_one_come_out_as_they_went_in),
        TEST(what_the_owner_says_of_keys_comes_out_as_it_went_in),
        TEST(a_short_renewal_is_refused_at_every_other_length),
        TEST(what_vouches_for_a_worker_comes_out_as_it_went_in),
        TEST(a_nonce_has_1_to_64_bytes),
        TEST(unknown_kinds_are_refused),
        TEST(what_fits_no_frame_is_neither_made_nor_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
