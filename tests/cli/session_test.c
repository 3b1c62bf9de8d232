/* tests/cli/session_test.c */

/*
 * Goal: the owner trusts a leader that proves itself by the policy, and no other; nothing is said
 * before; what it answers then is what it said.
 * Method: play the leader with the applicant's side of wire/join, on a simulated platform.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "attest/simulated.h"
#include "cli/session.h"
#include "crypto/crypto.h"

enum { NOW_S = 1800000000, DAY_S = 24 * 3600 };

struct fixture {
    struct random_seeded storage;
    struct random random;
    struct sign_key *owner;
    struct sign_key *vendor;
    struct sign_key *leader;
    struct simulated_platform *platform;
    struct buffer tcb;
    struct hash measurement;
    struct policy policy;
    struct genesis genesis;
    struct session session;
    struct join_applicant *applicant;
    struct channel *channel;  // the leader's end
    struct buffer to_owner;   // the leader's last frame
    struct buffer to_leader;  // the owner's
};

static int setup(void **state)
{
    static struct fixture f;
    crypto_init();
    f = (struct fixture){.session = {.state = SESSION_IDLE}};
    f.random = random_seeded(&f.storage, 11);
    f.owner = sign_key_new(&f.random);
    f.vendor = sign_key_new(&f.random);
    f.leader = sign_key_new(&f.random);
    const struct simulated_terms terms = {
        .tcb_level = 1, .not_before_s = NOW_S - DAY_S, .not_after_s = NOW_S + DAY_S};
    const struct simulated_tcb tcb = {
        .issued_s = NOW_S - DAY_S,
        .next_update_s = NOW_S + DAY_S,
        .levels = {{.tcb_level = 1, .status = TCB_UP_TO_DATE}},
        .level_count = 1,
    };
    f.platform = simulated_platform_new(&f.random, f.vendor, &terms);
    assert_int_equal(simulated_tcb_encode(&tcb, f.vendor, &f.tcb), STATUS_OK);
    f.measurement = hash_of("leader", 6);
    policy_init(&f.policy);
    f.policy.version = 1;
    f.policy.allow_simulated = true;
    f.policy.has_simulated_root = true;
    f.policy.simulated_root = sign_key_public(f.vendor);
    f.policy.measurements[POLICY_LEADER].values[0] =
        verdict_value_of(bytes_of(f.measurement.bytes, HASH_BYTES));
    f.policy.measurements[POLICY_LEADER].count = 1;
    f.genesis.owner = sign_key_public(f.owner);
    f.genesis.capsule = hash_of("capsule", 7);
    const struct session_config config = {
        .genesis = &f.genesis, .owner = f.owner, .policy = &f.policy, .random = &f.random};
    session_init(&f.session, &config);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    session_release(&f->session);
    join_applicant_free(f->applicant);
    channel_free(f->channel);
    simulated_platform_free(f->platform);
    sign_key_free(f->owner);
    sign_key_free(f->vendor);
    sign_key_free(f->leader);
    buffer_release(&f->tcb);
    buffer_release(&f->to_owner);
    buffer_release(&f->to_leader);
    return 0;
}

/* Hand the owner a frame of the leader's; its reply lies in f->to_leader. */
static enum status hand_over(struct fixture *f, enum frame_kind kind, struct bytes body,
                             struct message_answer *answer)
{
    const struct frame frame = {.kind = kind, .body = body};
    buffer_clear(&f->to_leader);
    return session_receive(&f->session, &frame, NOW_S, &f->to_leader, answer);
}

/* The body of the owner's last frame, which is addressed to whoever leads. */
static struct bytes body_for_leader(const struct fixture *f, enum frame_kind kind)
{
    struct frame frame;
    assert_int_equal(frame_decode(&frame, buffer_bytes(&f->to_leader)), STATUS_OK);
    assert_int_equal(frame.kind, kind);
    assert_true(writer_id_equal(&frame.peer, &frame_to_leader));
    return frame.body;
}

static struct bytes join_for_leader(const struct fixture *f, enum join_step expected)
{
    enum join_step step;
    struct bytes message;
    assert_int_equal(join_decode(&step, &message, body_for_leader(f, FRAME_JOIN)), STATUS_OK);
    assert_int_equal(step, expected);
    return message;
}

static enum status apply(struct fixture *f, enum member_role role, const struct hash *capsule)
{
    static const struct p256_public no_tls_key;
    const struct verify_key key = sign_key_public(f->leader);
    buffer_clear(&f->to_leader);
    assert_int_equal(session_call(&f->session, &f->to_leader), STATUS_OK);
    (void)join_for_leader(f, JOIN_CALL);
    buffer_clear(&f->to_owner);
    join_applicant_free(f->applicant);
    assert_int_equal(join_applicant_new(&f->applicant, JOIN_PROVISION, role, capsule, &key,
                                        &no_tls_key, &f->random, &f->to_owner),
                     STATUS_OK);
    return hand_over(f, FRAME_JOIN, buffer_bytes(&f->to_owner), NULL);
}

/* Prove with evidence for `report_data`, or for what the handshake asks when that is NULL. */
static enum status prove(struct fixture *f, const uint8_t *report_data, bool is_debug)
{
    uint8_t asked[JOIN_REPORT_DATA_BYTES], quote[SIMULATED_QUOTE_BYTES];
    uint64_t term;
    struct verify_key judge;
    struct buffer evidence = BUFFER_EMPTY;
    assert_int_equal(join_applicant_answer(f->applicant, join_for_leader(f, JOIN_ANSWER),
                                           &f->genesis.owner, &term, &judge, asked),
                     STATUS_OK);
    simulated_quote(f->platform, &f->measurement, report_data == NULL ? asked : report_data,
                    is_debug, quote);
    const struct evidence parts = {.tee = TEE_SIMULATED,
                                   .quote = bytes_of(quote, sizeof quote),
                                   .collateral = buffer_bytes(&f->tcb)};
    assert_int_equal(evidence_encode(&parts, &evidence), STATUS_OK);
    buffer_clear(&f->to_owner);
    channel_free(f->channel);
    assert_int_equal(
        join_applicant_prove(f->applicant, buffer_bytes(&evidence), &f->to_owner, &f->channel),
        STATUS_OK);
    buffer_release(&evidence);
    return hand_over(f, FRAME_JOIN, buffer_bytes(&f->to_owner), NULL);
}

static void p3_a_leader_that_proves_itself_is_trusted_and_heard(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(apply(f, MEMBER_LEADER, &f->genesis.capsule), STATUS_EMPTY);
    assert_int_equal(prove(f, NULL, false), STATUS_OK);
    assert_int_equal(f->session.state, SESSION_TRUSTED);
    const struct verify_key leader = sign_key_public(f->leader);
    assert_true(verify_key_equal(&f->session.leader, &leader));

    // What the owner seals, the leader opens.
    struct buffer plain = BUFFER_EMPTY, sealed = BUFFER_EMPTY;
    buffer_clear(&f->to_leader);
    assert_int_equal(session_seal(&f->session, bytes_text("seed"), &f->to_leader), STATUS_OK);
    assert_int_equal(channel_open(f->channel, &plain, body_for_leader(f, FRAME_CHANNEL)),
                     STATUS_OK);
    assert_true(bytes_equal(buffer_bytes(&plain), bytes_text("seed")));

    // And the other way.
    buffer_clear(&plain);
    const struct message_answer said = {
        .request = 7, .status = STATUS_DENIED, .text = bytes_text("no"), .sync_epoch = 3};
    struct message_answer heard;
    assert_int_equal(message_answer_encode(&plain, &said), STATUS_OK);
    assert_int_equal(channel_seal(f->channel, &sealed, buffer_bytes(&plain)), STATUS_OK);
    assert_int_equal(hand_over(f, FRAME_CHANNEL, buffer_bytes(&sealed), &heard), STATUS_OK);
    assert_int_equal(heard.request, 7);
    assert_int_equal(heard.status, STATUS_DENIED);
    assert_true(bytes_equal(heard.text, bytes_text("no")));

    // Once: the host may repeat what it likes.
    assert_int_equal(hand_over(f, FRAME_CHANNEL, buffer_bytes(&sealed), &heard), STATUS_EMPTY);
    buffer_release(&plain);
    buffer_release(&sealed);
}

/* The leader hears the reason, and the session is back at its start. */
static void expect_refusal(struct fixture *f, enum status status, const char *reason)
{
    assert_int_equal(status, STATUS_DENIED);
    assert_non_null(strstr(f->session.reason, reason));
    struct bytes message = join_for_leader(f, JOIN_REFUSED);
    assert_true(message.length > 0);
    assert_int_equal(f->session.state, SESSION_IDLE);
}

static void p3_another_program_is_refused_by_its_measurement(void **state)
{
    struct fixture *f = *state;
    f->measurement = hash_of("another", 7);
    assert_int_equal(apply(f, MEMBER_LEADER, &f->genesis.capsule), STATUS_EMPTY);
    expect_refusal(f, prove(f, NULL, false), "measurement");
}

static void p3_a_debugged_leader_is_refused(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(apply(f, MEMBER_LEADER, &f->genesis.capsule), STATUS_EMPTY);
    expect_refusal(f, prove(f, NULL, true), "debug");
}

static void p3_a_policy_without_simulated_tees_refuses_them(void **state)
{
    struct fixture *f = *state;
    f->policy.allow_simulated = false;
    assert_int_equal(apply(f, MEMBER_LEADER, &f->genesis.capsule), STATUS_EMPTY);
    expect_refusal(f, prove(f, NULL, false), "simulated");
}

static void p3_evidence_of_another_handshake_is_refused(void **state)
{
    struct fixture *f = *state;
    static const uint8_t earlier[JOIN_REPORT_DATA_BYTES] = {1, 2, 3};
    assert_int_equal(apply(f, MEMBER_LEADER, &f->genesis.capsule), STATUS_EMPTY);
    expect_refusal(f, prove(f, earlier, false), "report_data");
}

static void refuses_another_role_and_another_capsule(void **state)
{
    struct fixture *f = *state;
    const struct hash other = hash_of("other", 5);
    expect_refusal(f, apply(f, MEMBER_WORKER, &f->genesis.capsule), "worker");
    expect_refusal(f, apply(f, MEMBER_LEADER, &other), "no leader of this capsule");
}

static void drops_what_comes_out_of_turn(void **state)
{
    struct fixture *f = *state;
    const uint8_t noise[] = {JOIN_PROVE, 1, 2, 3};
    struct message_answer answer;
    assert_int_equal(hand_over(f, FRAME_JOIN, bytes_of(noise, sizeof noise), NULL), STATUS_EMPTY);
    assert_int_equal(hand_over(f, FRAME_CHANNEL, bytes_of(noise, sizeof noise), &answer),
                     STATUS_EMPTY);
    assert_int_equal(hand_over(f, FRAME_READY, bytes_of(NULL, 0), NULL), STATUS_EMPTY);
    assert_int_equal(f->to_leader.length, 0);
}

static void says_that_no_leader_is_there(void **state)
{
    struct fixture *f = *state;
    struct buffer body = BUFFER_EMPTY;
    const struct frame_refused refused = {.status = STATUS_NOT_FOUND};
    assert_int_equal(apply(f, MEMBER_LEADER, &f->genesis.capsule), STATUS_EMPTY);
    assert_int_equal(frame_refused_encode(&body, &refused), STATUS_OK);
    assert_int_equal(hand_over(f, FRAME_REFUSED, buffer_bytes(&body), NULL), STATUS_NOT_FOUND);
    assert_int_equal(f->session.state, SESSION_IDLE);
    buffer_release(&body);
}

int main(void)
{
#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(p3_a_leader_that_proves_itself_is_trusted_and_heard),
        WITH_FIXTURE(p3_another_program_is_refused_by_its_measurement),
        WITH_FIXTURE(p3_a_debugged_leader_is_refused),
        WITH_FIXTURE(p3_a_policy_without_simulated_tees_refuses_them),
        WITH_FIXTURE(p3_evidence_of_another_handshake_is_refused),
        WITH_FIXTURE(refuses_another_role_and_another_capsule),
        WITH_FIXTURE(drops_what_comes_out_of_turn),
        WITH_FIXTURE(says_that_no_leader_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
