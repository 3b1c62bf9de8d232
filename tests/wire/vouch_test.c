/* tests/wire/vouch_test.c */

/*
 * Goal: a vouch comes out as it went in and no other bytes are one; what evidence has to carry
 * changes with everything that it binds.
 * Method: encode, decode, compare; each truncation, one byte more; change one input at a time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/crypto.h"
#include "tests/wire/bodies.h"
#include "wire/vouch.h"

static enum status take(struct bytes bytes)
{
    struct vouch vouch;
    return vouch_decode(&vouch, bytes);
}

static struct vouch whole(void)
{
    struct vouch vouch = {
        .certificate = bytes_text("a leaf"),
        .evidence = bytes_text("the worker's evidence"),
        .term_body = bytes_text("a TERM"),
        .root = bytes_text("the root"),
        .leader_evidence = bytes_text("the leader's evidence"),
        .policy_body = bytes_text("a POLICY"),
    };
    bodies_count(vouch.worker.bytes, WRITER_ID_BYTES, 0x70);
    return vouch;
}

static void comes_out_as_it_went_in(void **state)
{
    (void)state;
    struct buffer bytes = BUFFER_EMPTY;
    struct vouch sent = whole(), taken;
    assert_int_equal(vouch_encode(&bytes, &sent), STATUS_OK);
    assert_int_equal(vouch_decode(&taken, buffer_bytes(&bytes)), STATUS_OK);
    assert_memory_equal(taken.worker.bytes, sent.worker.bytes, WRITER_ID_BYTES);
    bodies_assert_equal(taken.certificate, sent.certificate);
    bodies_assert_equal(taken.evidence, sent.evidence);
    bodies_assert_equal(taken.term_body, sent.term_body);
    bodies_assert_equal(taken.root, sent.root);
    bodies_assert_equal(taken.leader_evidence, sent.leader_evidence);
    bodies_assert_equal(taken.policy_body, sent.policy_body);
    bodies_refuse_other_lengths(buffer_bytes(&bytes), take);
    bytes.bytes[0] ^= 1;
    assert_int_equal(take(buffer_bytes(&bytes)), STATUS_MALFORMED);
    buffer_release(&bytes);
}

static void the_leader_says_all_or_nothing(void **state)
{
    (void)state;
    struct vouch alone = {.evidence = bytes_text("evidence")};
    struct buffer bytes = BUFFER_EMPTY;
    assert_int_equal(vouch_encode(&bytes, &alone), STATUS_OK);
    assert_int_equal(take(buffer_bytes(&bytes)), STATUS_OK);

    // A root, or a POLICY, without a TERM and evidence of the leader's: nobody said so.
    assert_int_equal(buffer_append(&bytes, "", 1), STATUS_OK);
    const size_t lengths_at[] = {bytes.length - 1 - 12, bytes.length - 1 - 4};
    for (size_t i = 0; i < sizeof lengths_at / sizeof *lengths_at; i++) {
        size_t behind = bytes.length - lengths_at[i] - 5;
        bytes.bytes[lengths_at[i]] = 1;
        memmove(bytes.bytes + lengths_at[i] + 5, bytes.bytes + lengths_at[i] + 4, behind);
        assert_int_equal(take(buffer_bytes(&bytes)), STATUS_MALFORMED);
        memmove(bytes.bytes + lengths_at[i] + 4, bytes.bytes + lengths_at[i] + 5, behind);
        bytes.bytes[lengths_at[i]] = 0;
    }
    buffer_release(&bytes);
}

static void what_evidence_carries_changes_with_all_that_it_binds(void **state)
{
    (void)state;
    enum { VARIANTS = 11 };
    uint8_t data[VARIANTS][HASH512_BYTES];
    struct hash capsule = bodies_hash(1), other = bodies_hash(2);
    struct verify_key leader = {{3}}, other_leader = {{4}};
    struct writer_id worker = {{5}}, other_worker = {{6}};
    struct p256_public key = {{7}}, other_key = {{8}};
    struct vouch_statement said[6];
    for (size_t i = 0; i < 6; i++) {
        said[i] = (struct vouch_statement){.nonce = bytes_text("n"),
                                           .capsule = &capsule,
                                           .leader = &leader,
                                           .root = bytes_text("root"),
                                           .worker = &worker};
    }
    said[1].nonce = bytes_text("m");
    said[2].capsule = &other;
    said[3].leader = &other_leader;
    said[4].root = bytes_text("toor");
    said[5].worker = &other_worker;
    for (size_t i = 0; i < 6; i++) {
        vouch_leader_data(data[i], &said[i]);
    }
    vouch_worker_data(data[6], bytes_text("n"), &key);
    vouch_worker_data(data[7], bytes_text("n"), &other_key);
    vouch_function_data(data[8], bytes_text("n"), &capsule, &key);
    vouch_function_data(data[9], bytes_text("n"), &other, &key);
    vouch_function_data(data[10], bytes_text("m"), &capsule, &key);
    for (size_t i = 0; i < VARIANTS; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_memory_not_equal(data[i], data[j], HASH512_BYTES);
        }
    }
}

int main(void)
{
    crypto_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_out_as_it_went_in),
        cmocka_unit_test(the_leader_says_all_or_nothing),
        cmocka_unit_test(what_evidence_carries_changes_with_all_that_it_binds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
