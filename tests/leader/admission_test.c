/* tests/leader/admission_test.c */

/*
 * Goal: a leader gives keys to nobody who has not proved itself, says why it refuses, and obeys
 * nobody but the owner.
 * Method: one leader, and everybody it speaks to in one hand (leader_world); each test bends one
 * thing that is said, and looks at what the leader sends and records.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "tests/support/leader_world.h"

static int setup(void **state)
{
    struct leader_world *world = malloc(sizeof *world);
    assert_non_null(world);
    leader_world_init(world, 11);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    leader_world_release(*state);
    free(*state);
    return 0;
}

/* Refused with this reason, without a key and without a record. */
static void assert_refused(struct leader_world *world, const struct leader_world_joiner *joiner,
                           const char *reason)
{
    if (strstr(joiner->refusal, reason) == NULL) {
        print_message("expected '%s', refused with '%s'\n", reason, joiner->refusal);
    }
    assert_non_null(strstr(joiner->refusal, reason));
    assert_int_equal(joiner->channel_frame_count, 0);
    assert_int_equal(world->record_counts[RECORD_MEMBER], 0);
    assert_null(capsule_member_find(leader_capsule(world->leader), &joiner->id));
    assert_int_equal(world->status, STATUS_OK);
}

/* Join as an honest worker would, with whatever the world says by now, and be refused. */
static void join_and_be_refused(struct leader_world *world, const char *reason)
{
    struct leader_world_joiner joiner;
    leader_world_joiner_init(world, &joiner);
    leader_world_join(world, &joiner, MEMBER_WORKER, &world->capsule);
    assert_refused(world, &joiner, reason);
    world->joiner = NULL;
    leader_world_joiner_release(&joiner);
}

static void begin_and_lead(struct leader_world *world)
{
    leader_world_begin(world);
    leader_world_lead(world, 1);
    assert_true(leader_is_leading(world->leader));
}

static struct simulated_tcb good_tcb(const struct leader_world *world)
{
    struct simulated_tcb tcb;
    const struct verify_key root = sign_key_public(world->vendor);
    CHECK(simulated_tcb_decode(&tcb, buffer_bytes(&world->tcb), &root) == STATUS_OK);
    return tcb;
}

// ---- enclaves ----

static void p2_admits_honest_evidence_once_its_member_is_held(void **state)
{
    struct leader_world *world = *state;
    struct leader_world_joiner joiner;
    begin_and_lead(world);
    leader_world_joiner_init(world, &joiner);
    world->is_store_silent = true;
    leader_world_join(world, &joiner, MEMBER_WORKER, &world->capsule);
    leader_world_run(world, 5000000);
    assert_int_equal(joiner.channel_frame_count, 0);

    world->is_store_silent = false;
    leader_world_run(world, 1000000);
    assert_true(joiner.is_granted);
    assert_int_equal(world->record_counts[RECORD_MEMBER], 1);
    assert_string_equal(joiner.refusal, "");
    leader_world_joiner_release(&joiner);
}

static void p2_refuses_another_measurement(void **state)
{
    struct leader_world *world = *state;
    begin_and_lead(world);
    world->evidence.measurement = hash_of("another program", 15);
    join_and_be_refused(world, "reason=measurement");
}

static void p2_refuses_evidence_of_an_earlier_join(void **state)
{
    struct leader_world *world = *state;
    struct leader_world_joiner earlier;
    begin_and_lead(world);
    leader_world_joiner_init(world, &earlier);
    world->is_store_silent = true;
    leader_world_join(world, &earlier, MEMBER_WORKER, &world->capsule);
    world->evidence.report_data = earlier.report_data;
    struct leader_world_joiner joiner;
    leader_world_joiner_init(world, &joiner);
    leader_world_join(world, &joiner, MEMBER_WORKER, &world->capsule);
    assert_refused(world, &joiner, "reason=report_data");
    leader_world_joiner_release(&joiner);
    leader_world_joiner_release(&earlier);
}

static void p2_refuses_a_proof_of_an_earlier_join(void **state)
{
    struct leader_world *world = *state;
    struct leader_world_joiner earlier, joiner;
    begin_and_lead(world);
    leader_world_joiner_init(world, &earlier);
    leader_world_join(world, &earlier, MEMBER_WORKER, &world->capsule);
    assert_true(earlier.is_granted);
    size_t member_count = world->record_counts[RECORD_MEMBER];

    // The host answers a new APPLY's challenge with the sealed proof it saw before.
    const struct p256_public tls_key = p256_key_public(earlier.tls_key);
    struct buffer message = BUFFER_EMPTY;
    leader_world_joiner_init(world, &joiner);
    assert_int_equal(
        join_applicant_new(&joiner.applicant, JOIN_MEMBER, MEMBER_WORKER, &world->capsule,
                           &joiner.public_key, &tls_key, &world->random, &message),
        STATUS_OK);
    world->joiner = NULL;
    leader_world_send(world, FRAME_JOIN, 0, &joiner.id, buffer_bytes(&message));
    world->joiner = &joiner;
    leader_world_send(world, FRAME_JOIN, 0, &joiner.id, buffer_bytes(&earlier.proof));
    assert_non_null(strstr(joiner.refusal, "reason=signature"));
    assert_int_equal(joiner.channel_frame_count, 0);
    assert_int_equal(world->record_counts[RECORD_MEMBER], member_count);
    buffer_release(&message);
    leader_world_joiner_release(&joiner);
    leader_world_joiner_release(&earlier);
}

static void p2_refuses_debug_mode(void **state)
{
    struct leader_world *world = *state;
    begin_and_lead(world);
    world->evidence.is_debug = true;
    join_and_be_refused(world, "reason=debug");
}

static void p2_refuses_a_simulated_tee_unless_the_policy_asks_for_it(void **state)
{
    struct leader_world *world = *state;
    world->policy.allow_simulated = false;
    begin_and_lead(world);
    join_and_be_refused(world, "reason=simulated_not_allowed");
}

/* What the vendor says of platforms. */
static void join_with_tcb_and_be_refused(struct leader_world *world,
                                         const struct simulated_tcb *tcb, const char *reason)
{
    struct buffer bytes = BUFFER_EMPTY;
    begin_and_lead(world);
    assert_int_equal(simulated_tcb_encode(tcb, world->vendor, &bytes), STATUS_OK);
    world->evidence.tcb = buffer_bytes(&bytes);
    join_and_be_refused(world, reason);
    buffer_release(&bytes);
}

static void p2_refuses_a_tcb_level_that_the_policy_does_not_accept(void **state)
{
    struct leader_world *world = *state;
    struct simulated_tcb tcb = good_tcb(world);
    tcb.levels[0].status = TCB_OUT_OF_DATE;
    join_with_tcb_and_be_refused(world, &tcb, "reason=tcb_status");
}

static void p2_refuses_a_platform_below_every_level(void **state)
{
    struct leader_world *world = *state;
    struct simulated_tcb tcb = good_tcb(world);
    tcb.levels[0].tcb_level = 9;
    join_with_tcb_and_be_refused(world, &tcb, "reason=collateral");
}

static void p2_refuses_a_tcb_that_the_vendor_did_not_sign(void **state)
{
    struct leader_world *world = *state;
    struct buffer bytes = BUFFER_EMPTY;
    struct simulated_tcb tcb = good_tcb(world);
    begin_and_lead(world);
    assert_int_equal(simulated_tcb_encode(&tcb, world->store_key, &bytes), STATUS_OK);
    world->evidence.tcb = buffer_bytes(&bytes);
    join_and_be_refused(world, "reason=collateral");
    world->evidence.tcb = bytes_of(NULL, 0);
    join_and_be_refused(world, "reason=collateral");
    buffer_release(&bytes);
}

static void p2_refuses_a_revoked_platform(void **state)
{
    struct leader_world *world = *state;
    struct simulated_tcb tcb = good_tcb(world);
    memcpy(tcb.revoked[0], simulated_platform_id(world->platform), SIMULATED_PLATFORM_ID_BYTES);
    tcb.revoked_count = 1;
    join_with_tcb_and_be_refused(world, &tcb, "reason=revoked");
}

static void p2_refuses_a_platform_of_another_vendor(void **state)
{
    struct leader_world *world = *state;
    const struct simulated_terms terms = {
        .tcb_level = 1, .not_before_s = 1699000000, .not_after_s = 1800000000};
    struct simulated_platform *other =
        simulated_platform_new(&world->random, world->store_key, &terms);
    begin_and_lead(world);
    world->evidence.platform = other;
    join_and_be_refused(world, "reason=chain");
    simulated_platform_free(other);
}

static void p2_refuses_a_platform_that_the_policy_does_not_pin(void **state)
{
    struct leader_world *world = *state;
    const uint8_t other[SIMULATED_PLATFORM_ID_BYTES] = {7};
    world->policy.platforms[0] = verdict_value_of(bytes_of(other, sizeof other));
    world->policy.platform_count = 1;
    begin_and_lead(world);
    join_and_be_refused(world, "reason=platform");
}

static void p2_refuses_a_role_that_it_does_not_admit(void **state)
{
    struct leader_world *world = *state;
    begin_and_lead(world);
    struct leader_world_joiner joiner;
    leader_world_joiner_init(world, &joiner);
    leader_world_join(world, &joiner, MEMBER_LEADER, &world->capsule);
    assert_refused(world, &joiner, "reason=policy");
    leader_world_joiner_release(&joiner);
}

static void p2_each_role_has_measurements_of_its_own(void **state)
{
    struct leader_world *world = *state;
    struct leader_world_joiner joiner;
    const struct hash other = hash_of("another program", 15);
    world->policy.measurements[POLICY_COMPACTOR].values[0] =
        verdict_value_of(bytes_of(other.bytes, HASH_BYTES));
    begin_and_lead(world);
    leader_world_joiner_init(world, &joiner);
    leader_world_join(world, &joiner, MEMBER_COMPACTOR, &world->capsule);
    assert_refused(world, &joiner, "reason=measurement");
    leader_world_joiner_release(&joiner);
    leader_world_joiner_init(world, &joiner);
    leader_world_join(world, &joiner, MEMBER_WORKER, &world->capsule);
    assert_true(joiner.is_granted);
    leader_world_joiner_release(&joiner);
}

static void p2_refuses_who_comes_for_another_capsule(void **state)
{
    struct leader_world *world = *state;
    struct leader_world_joiner joiner;
    const struct hash other = hash_of("another", 7);
    begin_and_lead(world);
    leader_world_joiner_init(world, &joiner);
    leader_world_join(world, &joiner, MEMBER_WORKER, &other);
    assert_refused(world, &joiner, "reason=policy");
    leader_world_joiner_release(&joiner);
}

static void p2_refuses_a_key_that_is_a_member_already(void **state)
{
    struct leader_world *world = *state;
    struct leader_world_joiner joiner;
    begin_and_lead(world);
    leader_world_joiner_init(world, &joiner);
    leader_world_join(world, &joiner, MEMBER_WORKER, &world->capsule);
    assert_true(joiner.is_granted);
    size_t frame_count = joiner.channel_frame_count;
    leader_world_join(world, &joiner, MEMBER_WORKER, &world->capsule);
    assert_non_null(strstr(joiner.refusal, "reason=policy"));
    assert_int_equal(joiner.channel_frame_count, frame_count);
    assert_int_equal(world->record_counts[RECORD_MEMBER], 1);
    leader_world_joiner_release(&joiner);
}

static void refuses_everyone_before_it_leads(void **state)
{
    struct leader_world *world = *state;
    leader_world_begin(world);
    join_and_be_refused(world, "reason=busy");
    world->is_store_silent = true;
    leader_world_lead(world, 1);
    assert_false(leader_is_leading(world->leader));
    join_and_be_refused(world, "reason=busy");
}

static void forgets_a_handshake_that_takes_too_long(void **state)
{
    struct leader_world *world = *state;
    begin_and_lead(world);
    // 64 applicants that never prove themselves: the next is told to come again.
    for (size_t i = 0; i < 65; i++) {
        struct leader_world_joiner joiner;
        struct buffer message = BUFFER_EMPTY;
        leader_world_joiner_init(world, &joiner);
        const struct p256_public tls_key = p256_key_public(joiner.tls_key);
        assert_int_equal(
            join_applicant_new(&joiner.applicant, JOIN_MEMBER, MEMBER_WORKER, &world->capsule,
                               &joiner.public_key, &tls_key, &world->random, &message),
            STATUS_OK);
        world->joiner = i == 64 ? &joiner : NULL;
        leader_world_send(world, FRAME_JOIN, 0, &joiner.id, buffer_bytes(&message));
        if (i == 64) {
            assert_refused(world, &joiner, "reason=busy");
        }
        buffer_release(&message);
        leader_world_joiner_release(&joiner);
    }
    leader_world_run(world, 11000000);
    struct leader_world_joiner joiner;
    leader_world_joiner_init(world, &joiner);
    leader_world_join(world, &joiner, MEMBER_WORKER, &world->capsule);
    assert_true(joiner.is_granted);
    leader_world_joiner_release(&joiner);
}

static void a_member_gets_a_new_certificate_for_the_asking(void **state)
{
    struct leader_world *world = *state;
    struct leader_world_joiner joiner;
    begin_and_lead(world);
    leader_world_joiner_init(world, &joiner);
    leader_world_join(world, &joiner, MEMBER_WORKER, &world->capsule);
    assert_true(joiner.is_granted);
    size_t frame_count = joiner.channel_frame_count;

    struct buffer plain = BUFFER_EMPTY, sealed = BUFFER_EMPTY;
    const struct message_renew renew = {.certificate = bytes_of(NULL, 0)};
    assert_int_equal(message_renew_encode(&plain, &renew), STATUS_OK);
    assert_int_equal(channel_seal(joiner.channel, &sealed, buffer_bytes(&plain)), STATUS_OK);
    leader_world_send(world, FRAME_CHANNEL, 0, &joiner.id, buffer_bytes(&sealed));
    assert_int_equal(joiner.channel_frame_count, frame_count + 1);
    assert_true(joiner.certificate.length > 0);
    // The same frame again is a replay.
    leader_world_send(world, FRAME_CHANNEL, 0, &joiner.id, buffer_bytes(&sealed));
    assert_int_equal(joiner.channel_frame_count, frame_count + 1);
    buffer_release(&plain);
    buffer_release(&sealed);
    leader_world_joiner_release(&joiner);
}

// ---- the owner ----

static void p2_refuses_a_judge_that_is_not_the_owner(void **state)
{
    struct leader_world *world = *state;
    leader_world_begin(world);
    world->judge_key = world->vendor;
    leader_world_call(world);
    assert_null(world->session);
    assert_int_equal(world->status, STATUS_OK);

    world->judge_key = world->owner;
    leader_world_lead(world, 1);
    assert_true(leader_is_leading(world->leader));
}

static void refuses_a_term_that_names_another_leader(void **state)
{
    struct leader_world *world = *state;
    const struct verify_key other = sign_key_public(world->vendor);
    leader_world_begin(world);
    leader_world_call(world);
    leader_world_seed(world, 1, &other);
    assert_int_equal(world->answer, STATUS_FORGED);
    assert_int_equal(world->record_counts[RECORD_TERM], 0);

    leader_world_seed(world, 1, &world->leader_public);
    assert_true(leader_is_leading(world->leader));
}

static void takes_a_seed_once(void **state)
{
    struct leader_world *world = *state;
    begin_and_lead(world);
    leader_world_seed(world, 2, &world->leader_public);
    assert_int_equal(world->answer, STATUS_STALE);
    assert_string_equal(world->answer_text, "this leader has a term");
    assert_int_equal(world->record_counts[RECORD_TERM], 1);
    assert_true(leader_is_leading(world->leader));
}

static void ends_when_its_term_is_not_above_the_last(void **state)
{
    struct leader_world *world = *state;
    begin_and_lead(world);
    for (uint64_t number = 1; number <= 3; number++) {
        leader_world_restart(world);
        leader_world_lead(world, number == 3 ? 1 : number);
        assert_int_equal(leader_is_leading(world->leader), number == 2);
        assert_int_equal(world->status, number == 2 ? STATUS_OK : STATUS_CLOSED);
    }
    assert_int_equal(world->answer, STATUS_DENIED);
    assert_int_equal(world->record_counts[RECORD_TERM], 2);
}

static void p8_ends_when_the_stores_lack_a_sync_that_the_owner_has_seen(void **state)
{
    struct leader_world *world = *state;
    begin_and_lead(world);
    assert_true(world->sync.epoch > 0);
    leader_world_restart(world);
    buffer_clear(&world->stored);
    world->head_count = 0;
    leader_world_lead(world, 2);
    assert_int_equal(world->status, STATUS_CLOSED);
    assert_int_equal(world->answer, STATUS_FORGED);
    assert_int_equal(world->record_counts[RECORD_TERM], 1);
}

static void p8_ends_when_the_stores_give_less_than_they_signed(void **state)
{
    struct leader_world *world = *state;
    begin_and_lead(world);
    leader_world_restart(world);
    buffer_clear(&world->stored);
    leader_world_lead(world, 2);
    assert_int_equal(world->status, STATUS_CLOSED);
    assert_int_equal(world->answer, STATUS_GAP);
    assert_int_equal(world->record_counts[RECORD_TERM], 1);
}

static void publishes_nothing_before_it_leads(void **state)
{
    struct leader_world *world = *state;
    leader_world_begin(world);
    leader_world_call(world);
    leader_world_deploy(world, "hello", 1, world->owner);
    assert_int_equal(world->answer, STATUS_DENIED);
    assert_int_equal(world->record_counts[RECORD_FUNCTION], 0);
}

static void p3_publishes_only_what_the_owner_signed(void **state)
{
    struct leader_world *world = *state;
    begin_and_lead(world);
    leader_world_deploy(world, "hello", 1, world->vendor);
    assert_int_equal(world->answer, STATUS_FORGED);
    assert_int_equal(world->record_counts[RECORD_FUNCTION], 0);
}

static void publishes_only_higher_versions_also_after_a_restart(void **state)
{
    struct leader_world *world = *state;
    const struct {
        const char *name;
        uint64_t version;
        enum status answer;
    } steps[] = {
        {"hello", 2, STATUS_OK}, {"hello", 2, STATUS_STALE}, {"hello", 1, STATUS_STALE},
        {"hell", 1, STATUS_OK},  {"hello", 3, STATUS_OK},
    };
    begin_and_lead(world);
    size_t published = 0;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        leader_world_deploy(world, steps[i].name, steps[i].version, world->owner);
        assert_int_equal(world->answer, steps[i].answer);
        published += steps[i].answer == STATUS_OK;
        assert_int_equal(world->record_counts[RECORD_FUNCTION], published);
    }
    leader_world_restart(world);
    leader_world_lead(world, 2);
    assert_true(leader_is_leading(world->leader));
    leader_world_deploy(world, "hello", 3, world->owner);
    assert_int_equal(world->answer, STATUS_STALE);
    leader_world_deploy(world, "hello", 4, world->owner);
    assert_int_equal(world->answer, STATUS_OK);
}

static void removes_only_what_was_published(void **state)
{
    struct leader_world *world = *state;
    begin_and_lead(world);
    leader_world_undeploy(world, "hello", 1);
    assert_int_equal(world->answer, STATUS_NOT_FOUND);
    assert_int_equal(world->record_counts[RECORD_FUNCTION], 0);
    leader_world_deploy(world, "hello", 1, world->owner);
    leader_world_undeploy(world, "hello", 2);
    assert_int_equal(world->answer, STATUS_OK);
    assert_int_equal(world->record_counts[RECORD_FUNCTION], 2);
}

static void p4_tells_the_owner_of_a_function_when_stores_hold_it(void **state)
{
    struct leader_world *world = *state;
    begin_and_lead(world);
    size_t answer_count = world->answer_count;
    world->is_store_silent = true;
    leader_world_deploy(world, "hello", 1, world->owner);
    leader_world_run(world, 1000000);
    assert_int_equal(world->answer_count, answer_count);
    world->is_store_silent = false;
    leader_world_run(world, 1000000);
    assert_int_equal(world->answer_count, answer_count + 1);
    assert_int_equal(world->answer, STATUS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(p2_admits_honest_evidence_once_its_member_is_held),
        TEST(p2_refuses_another_measurement),
        TEST(p2_refuses_evidence_of_an_earlier_join),
        TEST(p2_refuses_a_proof_of_an_earlier_join),
        TEST(p2_refuses_debug_mode),
        TEST(p2_refuses_a_simulated_tee_unless_the_policy_asks_for_it),
        TEST(p2_refuses_a_tcb_level_that_the_policy_does_not_accept),
        TEST(p2_refuses_a_platform_below_every_level),
        TEST(p2_refuses_a_tcb_that_the_vendor_did_not_sign),
        TEST(p2_refuses_a_revoked_platform),
        TEST(p2_refuses_a_platform_of_another_vendor),
        TEST(p2_refuses_a_platform_that_the_policy_does_not_pin),
        TEST(p2_refuses_a_role_that_it_does_not_admit),
        TEST(p2_each_role_has_measurements_of_its_own),
        TEST(p2_refuses_who_comes_for_another_capsule),
        TEST(p2_refuses_a_key_that_is_a_member_already),
        TEST(refuses_everyone_before_it_leads),
        TEST(forgets_a_handshake_that_takes_too_long),
        TEST(a_member_gets_a_new_certificate_for_the_asking),
        TEST(p2_refuses_a_judge_that_is_not_the_owner),
        TEST(refuses_a_term_that_names_another_leader),
        TEST(takes_a_seed_once),
        TEST(ends_when_its_term_is_not_above_the_last),
        TEST(p8_ends_when_the_stores_lack_a_sync_that_the_owner_has_seen),
        TEST(p8_ends_when_the_stores_give_less_than_they_signed),
        TEST(publishes_nothing_before_it_leads),
        TEST(p3_publishes_only_what_the_owner_signed),
        TEST(publishes_only_higher_versions_also_after_a_restart),
        TEST(removes_only_what_was_published),
        TEST(p4_tells_the_owner_of_a_function_when_stores_hold_it),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
