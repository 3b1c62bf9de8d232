/* tests/cli/meet_test.c */

/*
 * Goal: whoever answers is believed only when every link from the owner to the certificate holds,
 * and each that is missing is named.
 * Method: an owner, a leader, its root and two workers made by hand, in simulated TEEs; one vouch
 * that is good; then one thing at a time is another's, or somebody's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attest/simulated.h"
#include "capsule/term.h"
#include "cli/meet.h"
#include "crypto/crypto.h"
#include "wire/vouch.h"

enum { NOW_S = 1800000000 };

/* One enclave, and what says who it is. */
struct party {
    struct sign_key *key;
    struct verify_key public_key;
    struct writer_id id;
    struct p256_key *tls_key;
    struct p256_public tls_public;
    struct buffer certificate;
};

struct fixture {
    struct random_seeded seeded;
    struct random random;
    struct sign_key *owner, *other_owner, *vendor;
    struct verify_key owner_public, other_public;
    struct simulated_platform *platform;
    struct buffer tcb;
    struct policy policy;
    struct hash capsule, other_capsule, leader_program, worker_program;
    struct p256_key *root_key, *other_root_key;
    struct buffer root, other_root, term, policy_body;
    struct party leader, worker, other;
    struct vouch vouch;
    struct buffer worker_evidence, leader_evidence;
    struct meet meet;
    struct meet_result result;
};

static void party_init(struct fixture *f, struct party *party)
{
    party->key = sign_key_new(&f->random);
    party->public_key = sign_key_public(party->key);
    party->id = writer_id_of(&party->public_key);
    party->tls_key = p256_key_new();
    party->tls_public = p256_key_public(party->tls_key);
}

/* The app's root, or another, says that this key is this party's. */
static void certify(struct fixture *f, struct party *party, struct p256_key *root)
{
    struct certificate_claims claims = {
        .capsule = f->capsule,
        .not_before_s = NOW_S - 100,
        .not_after_s = NOW_S + 100,
        .tee = "simulated",
    };
    memcpy(claims.writer_id, party->id.bytes, sizeof claims.writer_id);
    assert_int_equal(certificate_leaf(&party->certificate, root, &party->tls_public, &claims),
                     STATUS_OK);
}

static void party_release(struct party *party)
{
    sign_key_free(party->key);
    p256_key_free(party->tls_key);
    buffer_release(&party->certificate);
}

static void make_evidence(struct fixture *f, const struct hash *program, const uint8_t *report_data,
                          struct buffer *target)
{
    uint8_t quote[SIMULATED_QUOTE_BYTES];
    simulated_quote(f->platform, program, report_data, false, quote);
    const struct evidence evidence = {
        .tee = TEE_SIMULATED,
        .quote = bytes_of(quote, sizeof quote),
        .collateral = buffer_bytes(&f->tcb),
    };
    buffer_clear(target);
    assert_int_equal(evidence_encode(&evidence, target), STATUS_OK);
}

static void leader_says(struct fixture *f, const char *nonce, const struct writer_id *worker)
{
    uint8_t report_data[HASH512_BYTES];
    const struct vouch_statement statement = {
        .nonce = bytes_text(nonce),
        .capsule = &f->capsule,
        .leader = &f->leader.public_key,
        .root = f->vouch.root,
        .worker = worker,
    };
    vouch_leader_data(report_data, &statement);
    make_evidence(f, &f->leader_program, report_data, &f->leader_evidence);
    f->vouch.leader_evidence = buffer_bytes(&f->leader_evidence);
}

static void worker_says(struct fixture *f, const char *nonce, const struct p256_public *key)
{
    uint8_t report_data[HASH512_BYTES];
    vouch_worker_data(report_data, bytes_text(nonce), key);
    make_evidence(f, &f->worker_program, report_data, &f->worker_evidence);
    f->vouch.evidence = buffer_bytes(&f->worker_evidence);
}

static void make_term(struct fixture *f, const struct sign_key *owner)
{
    const struct term term = {
        .capsule = f->capsule,
        .number = 1,
        .leader = f->leader.public_key,
        .evidence = bytes_text("evidence of its start"),
    };
    buffer_clear(&f->term);
    assert_int_equal(term_encode(&f->term, &term, owner), STATUS_OK);
    f->vouch.term_body = buffer_bytes(&f->term);
}

static void make_policy(struct fixture *f)
{
    policy_init(&f->policy);
    f->policy.version = 1;
    f->policy.allow_simulated = true;
    f->policy.has_simulated_root = true;
    f->policy.simulated_root = sign_key_public(f->vendor);
    struct policy_measurements *leader = &f->policy.measurements[POLICY_LEADER];
    struct policy_measurements *worker = &f->policy.measurements[POLICY_WORKER];
    leader->values[leader->count++] =
        verdict_value_of(bytes_of(f->leader_program.bytes, HASH_BYTES));
    worker->values[worker->count++] =
        verdict_value_of(bytes_of(f->worker_program.bytes, HASH_BYTES));
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->random = random_seeded(&f->seeded, 5);
    f->owner = sign_key_new(&f->random);
    f->other_owner = sign_key_new(&f->random);
    f->vendor = sign_key_new(&f->random);
    f->owner_public = sign_key_public(f->owner);
    f->other_public = sign_key_public(f->other_owner);
    f->capsule = hash_of("capsule", 7);
    f->other_capsule = hash_of("another", 7);
    f->leader_program = hash_of("leader", 6);
    f->worker_program = hash_of("worker", 6);
    const struct simulated_terms terms = {
        .tcb_level = 1, .not_before_s = NOW_S - 100, .not_after_s = NOW_S + 100};
    const struct simulated_tcb tcb = {
        .issued_s = NOW_S - 100,
        .next_update_s = NOW_S + 100,
        .levels = {{.tcb_level = 1, .status = TCB_UP_TO_DATE}},
        .level_count = 1,
    };
    f->platform = simulated_platform_new(&f->random, f->vendor, &terms);
    assert_int_equal(simulated_tcb_encode(&tcb, f->vendor, &f->tcb), STATUS_OK);
    make_policy(f);
    f->root_key = p256_key_new();
    f->other_root_key = p256_key_new();
    assert_int_equal(certificate_root(&f->root, f->root_key, &f->capsule), STATUS_OK);
    assert_int_equal(certificate_root(&f->other_root, f->other_root_key, &f->capsule), STATUS_OK);
    party_init(f, &f->leader);
    party_init(f, &f->worker);
    party_init(f, &f->other);
    certify(f, &f->worker, f->root_key);
    certify(f, &f->other, f->root_key);

    f->vouch.worker = f->worker.id;
    f->vouch.certificate = buffer_bytes(&f->worker.certificate);
    f->vouch.root = buffer_bytes(&f->root);
    make_term(f, f->owner);
    leader_says(f, "nonce", &f->worker.id);
    worker_says(f, "nonce", &f->worker.tls_public);
    f->meet = (struct meet){
        .policy = &f->policy,
        .owner = &f->owner_public,
        .capsule = &f->capsule,
        .nonce = bytes_text("nonce"),
        .presented = buffer_bytes(&f->worker.certificate),
        .now_s = NOW_S,
        .vendors = vendor_pinned(),
    };
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    party_release(&f->leader);
    party_release(&f->worker);
    party_release(&f->other);
    sign_key_free(f->owner);
    sign_key_free(f->other_owner);
    sign_key_free(f->vendor);
    p256_key_free(f->root_key);
    p256_key_free(f->other_root_key);
    simulated_platform_free(f->platform);
    buffer_release(&f->tcb);
    buffer_release(&f->root);
    buffer_release(&f->other_root);
    buffer_release(&f->term);
    buffer_release(&f->policy_body);
    buffer_release(&f->worker_evidence);
    buffer_release(&f->leader_evidence);
    free(f);
    return 0;
}

static void assert_judged(struct fixture *f, enum reason reason)
{
    struct buffer bytes = BUFFER_EMPTY;
    assert_int_equal(vouch_encode(&bytes, &f->vouch), STATUS_OK);
    meet_judge(&f->result, &f->meet, buffer_bytes(&bytes));
    if (f->result.verdict.reason != reason) {
        fail_msg("expected '%s', judged '%s': %s", verdict_code(reason),
                 verdict_code(f->result.verdict.reason), f->result.verdict.detail);
    }
    assert_int_equal(f->result.verdict.is_admitted, reason == REASON_NONE);
    buffer_release(&bytes);
}

static void p3_every_link_holds(void **state)
{
    struct fixture *f = *state;
    assert_judged(f, REASON_NONE);
    assert_true(f->result.has_claims);
    f->meet.presented = bytes_of(NULL, 0);  // of a file: the one inside counts
    assert_judged(f, REASON_NONE);
    f->meet.root = buffer_bytes(&f->root);
    assert_judged(f, REASON_NONE);
}

static void p3_the_owner_has_to_have_signed_the_term_for_this_capsule(void **state)
{
    struct fixture *f = *state;
    f->meet.owner = &f->other_public;
    assert_judged(f, REASON_OWNER);
    f->meet.owner = &f->owner_public;
    make_term(f, f->other_owner);
    assert_judged(f, REASON_OWNER);
    make_term(f, f->owner);
    f->meet.capsule = &f->other_capsule;
    assert_judged(f, REASON_OWNER);
}

static void p3_the_leader_speaks_for_this_worker_root_and_nonce_alone(void **state)
{
    struct fixture *f = *state;
    leader_says(f, "old nonce", &f->worker.id);
    assert_judged(f, REASON_REPORT_DATA);
    leader_says(f, "nonce", &f->other.id);
    assert_judged(f, REASON_REPORT_DATA);
    leader_says(f, "nonce", &f->worker.id);
    f->vouch.root = buffer_bytes(&f->other_root);
    assert_judged(f, REASON_REPORT_DATA);
    // Another enclave with the leader's program, of whoever started it, has no TERM.
    f->vouch.root = buffer_bytes(&f->root);
    const struct verify_key right = f->leader.public_key;
    f->leader.public_key = f->other.public_key;
    leader_says(f, "nonce", &f->worker.id);
    f->leader.public_key = right;
    assert_judged(f, REASON_REPORT_DATA);
}

static void p3_without_a_leader_nobody_is_vouched_for(void **state)
{
    struct fixture *f = *state;
    f->vouch.root = f->vouch.term_body = f->vouch.leader_evidence = bytes_of(NULL, 0);
    assert_judged(f, REASON_LEADER);
    // Who trusts the root already asks for less.
    f->meet.owner = NULL;
    f->meet.root = buffer_bytes(&f->root);
    assert_judged(f, REASON_NONE);
    f->meet.root = buffer_bytes(&f->other_root);
    assert_judged(f, REASON_CERTIFICATE);
}

static void p3_the_certificate_presented_is_the_roots_and_the_workers(void **state)
{
    struct fixture *f = *state;
    f->meet.presented = buffer_bytes(&f->other.certificate);  // of a member, but not of this one
    assert_judged(f, REASON_CERTIFICATE);
    f->meet.presented = buffer_bytes(&f->root);
    assert_judged(f, REASON_CERTIFICATE);
    f->meet.presented = buffer_bytes(&f->worker.certificate);
    f->meet.root = buffer_bytes(&f->other_root);  // the one at hand
    assert_judged(f, REASON_CERTIFICATE);
    f->meet.root = bytes_of(NULL, 0);
    certify(f, &f->worker, f->other_root_key);
    f->meet.presented = buffer_bytes(&f->worker.certificate);
    assert_judged(f, REASON_CERTIFICATE);
}

static void p3_the_workers_evidence_names_the_key_of_the_connection(void **state)
{
    struct fixture *f = *state;
    worker_says(f, "nonce", &f->other.tls_public);
    assert_judged(f, REASON_REPORT_DATA);
    worker_says(f, "old nonce", &f->worker.tls_public);
    assert_judged(f, REASON_REPORT_DATA);
    // What a function may ask for does not pass for the server's.
    uint8_t report_data[HASH512_BYTES];
    const struct hash code = hash_of("code", 4);
    vouch_function_data(report_data, bytes_text("nonce"), &code, &f->worker.tls_public);
    make_evidence(f, &f->worker_program, report_data, &f->worker_evidence);
    f->vouch.evidence = buffer_bytes(&f->worker_evidence);
    assert_judged(f, REASON_REPORT_DATA);
    f->meet.code = &code;
    assert_judged(f, REASON_NONE);
}

static void p3_the_policy_decides_about_both_programs(void **state)
{
    struct fixture *f = *state;
    const struct hash leader = f->leader_program;
    f->leader_program = f->worker_program;
    leader_says(f, "nonce", &f->worker.id);
    assert_judged(f, REASON_MEASUREMENT);
    f->leader_program = leader;
    leader_says(f, "nonce", &f->worker.id);
    f->worker_program = leader;
    worker_says(f, "nonce", &f->worker.tls_public);
    assert_judged(f, REASON_MEASUREMENT);
    f->policy.allow_simulated = false;
    assert_judged(f, REASON_SIMULATED_NOT_ALLOWED);
}

/* The owner's word since: in a policy of this version, the second program succeeds the first. */
static void owner_says(struct fixture *f, uint32_t version, const struct sign_key *owner,
                       const struct hash *older, const struct hash *newer)
{
    struct policy said = f->policy;
    struct buffer text = BUFFER_EMPTY;
    said.version = version;
    said.successions = (struct policy_successions){.count = 1};
    said.successions.values[0] = (struct policy_succession){
        .older = verdict_value_of(bytes_of(older->bytes, HASH_BYTES)),
        .newer = verdict_value_of(bytes_of(newer->bytes, HASH_BYTES)),
    };
    buffer_clear(&f->policy_body);
    assert_int_equal(policy_encode(&said, &text), STATUS_OK);
    assert_int_equal(
        term_policy_encode(&f->policy_body, &f->capsule, version, buffer_bytes(&text), owner),
        STATUS_OK);
    f->vouch.policy_body = buffer_bytes(&f->policy_body);
    buffer_release(&text);
}

static void p3_an_older_policy_goes_by_what_the_owner_said_since_of_successors(void **state)
{
    struct fixture *f = *state;
    const struct hash old = f->worker_program;
    static const struct hash next = {.bytes = {0x77}}, other = {.bytes = {0x78}};
    f->worker_program = next;
    worker_says(f, "nonce", &f->worker.tls_public);
    assert_judged(f, REASON_MEASUREMENT);
    owner_says(f, 2, f->owner, &old, &next);
    assert_judged(f, REASON_NONE);
    assert_int_equal(f->policy.measurements[POLICY_WORKER].count, 1);

    owner_says(f, 2, f->other_owner, &old, &next);
    assert_judged(f, REASON_MEASUREMENT);
    owner_says(f, 2, f->owner, &other, &next);
    assert_judged(f, REASON_MEASUREMENT);
    owner_says(f, 2, f->owner, &next, &old);
    assert_judged(f, REASON_MEASUREMENT);
    owner_says(f, 2, f->owner, &f->leader_program, &next);  // in another role
    assert_judged(f, REASON_MEASUREMENT);

    owner_says(f, 2, f->owner, &old, &next);
    f->policy.version = 2;  // the one at hand is not older
    assert_judged(f, REASON_MEASUREMENT);
    f->policy.version = 1;
    assert_judged(f, REASON_NONE);
    f->meet.owner = NULL;  // nobody knows whose word it is
    f->meet.root = buffer_bytes(&f->root);
    assert_judged(f, REASON_MEASUREMENT);
}

static void what_is_no_vouch_is_refused(void **state)
{
    struct fixture *f = *state;
    meet_judge(&f->result, &f->meet, bytes_text("<html>"));
    assert_int_equal(f->result.verdict.reason, REASON_FORMAT);
    assert_false(f->result.verdict.is_admitted);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    crypto_init();
    const struct CMUnitTest tests[] = {
        TEST(p3_every_link_holds),
        TEST(p3_the_owner_has_to_have_signed_the_term_for_this_capsule),
        TEST(p3_the_leader_speaks_for_this_worker_root_and_nonce_alone),
        TEST(p3_without_a_leader_nobody_is_vouched_for),
        TEST(p3_the_certificate_presented_is_the_roots_and_the_workers),
        TEST(p3_the_workers_evidence_names_the_key_of_the_connection),
        TEST(p3_the_policy_decides_about_both_programs),
        TEST(p3_an_older_policy_goes_by_what_the_owner_said_since_of_successors),
        TEST(what_is_no_vouch_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
