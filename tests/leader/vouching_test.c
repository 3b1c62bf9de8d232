/* tests/leader/vouching_test.c */

/*
 * Goal: a leader vouches for its open members over a client's nonce, in evidence of its own, and
 * for nobody else.
 * Method: one leader and one worker (leader_world); the worker asks, is closed, and asks again; the
 * answer is judged as a client would judge it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attest/evidence.h"
#include "capsule/term.h"
#include "crypto/certificate.h"
#include "tests/leader/one_worker.h"
#include "wire/vouch.h"

static void ask(struct one_worker *f, uint32_t request, const char *nonce)
{
    struct buffer plain = BUFFER_EMPTY;
    const struct message_vouch_ask message = {
        .request = request,
        .nonce = bytes_text(nonce),
        .evidence = bytes_text("evidence of the worker"),
    };
    assert_int_equal(message_vouch_ask_encode(&plain, &message), STATUS_OK);
    one_worker_say(f, &plain);
}

/* Whether the answer's evidence of the leader carries what it has to for these. */
static bool carries(struct one_worker *f, const struct vouch *vouch, const char *nonce,
                    const struct writer_id *worker)
{
    uint8_t report_data[HASH512_BYTES];
    const struct verify_key vendor = sign_key_public(f->world.vendor);
    const struct evidence_roots roots = {.simulated = &vendor};
    const struct vouch_statement statement = {
        .nonce = bytes_text(nonce),
        .capsule = &f->world.capsule,
        .leader = &f->world.leader_public,
        .root = vouch->root,
        .worker = worker,
    };
    vouch_leader_data(report_data, &statement);
    const struct verdict verdict =
        evidence_verify(vouch->leader_evidence, leader_world_start_s(), &roots);
    assert_int_equal(verdict.reason, REASON_NONE);
    return memcmp(verdict.report_data, report_data, sizeof report_data) == 0;
}

static void p3_an_open_member_is_vouched_for(void **state)
{
    struct one_worker *f = *state;
    struct vouch vouch;
    struct term term;
    struct p256_public root;
    const struct verify_key owner = sign_key_public(f->world.owner);
    ask(f, 9, "a nonce");
    assert_int_equal(f->worker.message.kind, MESSAGE_VOUCH);
    assert_int_equal(f->worker.message.vouch.request, 9);
    assert_int_equal(vouch_decode(&vouch, f->worker.message.vouch.vouch), STATUS_OK);

    assert_memory_equal(vouch.worker.bytes, f->worker.id.bytes, WRITER_ID_BYTES);
    assert_true(bytes_equal(vouch.evidence, bytes_text("evidence of the worker")));
    assert_int_equal(term_decode(&term, vouch.term_body, &owner, &f->world.capsule), STATUS_OK);
    assert_true(verify_key_equal(&term.leader, &f->world.leader_public));
    assert_int_equal(certificate_public(&root, vouch.root), STATUS_OK);

    assert_true(carries(f, &vouch, "a nonce", &f->worker.id));
    assert_false(carries(f, &vouch, "another nonce", &f->worker.id));
    assert_false(carries(f, &vouch, "a nonce", &f->world.leader_id));
}

static void each_question_gets_its_own_answer(void **state)
{
    struct one_worker *f = *state;
    struct vouch vouch;
    for (uint32_t request = 1; request <= 200; request++) {
        char nonce[16];
        snprintf(nonce, sizeof nonce, "nonce %u", request);
        ask(f, request, nonce);
        assert_int_equal(f->worker.message.vouch.request, request);
        assert_int_equal(vouch_decode(&vouch, f->worker.message.vouch.vouch), STATUS_OK);
        assert_true(carries(f, &vouch, nonce, &f->worker.id));
    }
}

static void p11_a_closed_member_is_vouched_for_by_nobody(void **state)
{
    struct one_worker *f = *state;
    ask(f, 1, "a nonce");
    size_t frame_count = f->worker.channel_frame_count;
    leader_world_send(&f->world, FRAME_GONE, 0, &f->worker.id, bytes_of(NULL, 0));
    leader_world_run(&f->world, 2000000);
    const struct capsule_member *member =
        capsule_member_find(leader_capsule(f->world.leader), &f->worker.id);
    assert_true(member->is_closed);
    ask(f, 2, "a nonce");
    leader_world_run(&f->world, 100000);
    assert_int_equal(f->worker.channel_frame_count, frame_count);
    assert_int_equal(f->world.status, STATUS_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, one_worker_setup, one_worker_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(p3_an_open_member_is_vouched_for),
        TEST(each_question_gets_its_own_answer),
        TEST(p11_a_closed_member_is_vouched_for_by_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
