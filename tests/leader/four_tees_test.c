/* tests/leader/four_tees_test.c */

/*
 * Goal: one app admits members of four kinds of TEE side by side, by one policy; each is refused
 * when its line of the policy is gone; and a leader that trusts the vendors' own roots, as the
 * programs do, admits none whose vendor is ours.
 * Method: the whole join handshake in the leader's world. Each member asks the interface that its
 * machine has (Gramine or configfs-tsm, by fakes) for evidence of the report data of its handshake.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "attest/evidence.h"
#include "tee/machine.h"
#include "tests/support/fake_tee.h"
#include "tests/support/leader_world.h"
#include "wire/vouch.h"

static const enum tee hardware[] = {TEE_SGX, TEE_TDX, TEE_SEV_SNP};
enum { HARDWARE_COUNT = sizeof hardware / sizeof *hardware, MEASUREMENT_BYTE = 0xa0 };

struct fixture {
    struct leader_world world;
    struct forge *forge;
    struct fake_tee fake;  // of the machine that the next member runs on
    struct files files;
    bool has_no_network;  // so it comes without collateral
    bool is_upgraded;     // it runs the next version of its program
};

/* What `tee` says of its program: another value for each. */
static struct verdict_value measurement_of(enum tee tee)
{
    uint8_t bytes[48];
    memset(bytes, MEASUREMENT_BYTE + (int)tee, sizeof bytes);
    return verdict_value_of(bytes_of(bytes, tee == TEE_SGX ? 32 : 48));
}

/* What the host of a member does, or a member in Gramine itself. */
static void make(void *context, const uint8_t *report_data, struct buffer *target)
{
    static const struct machine_roots roots = {.gramine = "/fake/sgx", .tsm = "/fake/tsm"};
    struct fixture *f = context;
    struct machine machine;
    struct buffer bundle = BUFFER_EMPTY;
    struct collateral documents = {.documents = {{.at = NULL}}};
    machine_look(&machine, &f->files, &roots);
    assert_int_equal(machine.tee, f->fake.order.tee);
    if (!f->has_no_network) {
        fake_tee_collateral(&f->fake, &bundle);
        assert_int_equal(collateral_decode(&documents, buffer_bytes(&bundle)), STATUS_OK);
    }
    assert_int_equal(machine_evidence(&machine, report_data, &documents, target), STATUS_OK);
    buffer_release(&bundle);
}

/* The next member runs in this TEE. */
static void run_in(struct fixture *f, enum tee tee)
{
    fake_tee_release(&f->fake);
    f->world.evidence.make = NULL;
    if (tee != TEE_SIMULATED) {
        fake_tee_init(&f->fake, f->forge, tee, leader_world_start_s(),
                      tee == TEE_SGX ? "/fake/sgx" : "/fake/tsm");
        memset(f->fake.order.measurement, MEASUREMENT_BYTE + (int)tee,
               sizeof f->fake.order.measurement);
        f->fake.order.measurement[0] ^= f->is_upgraded;
        f->files = fake_tee_files(&f->fake);
        f->world.evidence.make = make;
    }
    f->world.evidence.context = f;
}

static struct forge *forge;  // of all tests: AMD's key takes seconds to make

static int setup_forge(void **state)
{
    (void)state;
    forge = forge_new();
    // AMD's root is known once it has made something.
    struct forge_order order = forge_order_of(TEE_SEV_SNP, leader_world_start_s());
    struct buffer evidence = BUFFER_EMPTY;
    forge_evidence(forge, &order, &evidence);
    buffer_release(&evidence);
    return 0;
}

static int teardown_forge(void **state)
{
    (void)state;
    forge_free(forge);
    return 0;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    leader_world_init(&f->world, 17);
    f->forge = forge;
    f->world.vendors = forge_roots(f->forge);
    struct policy_measurements *worker = &f->world.policy.measurements[POLICY_WORKER];
    for (size_t i = 0; i < HARDWARE_COUNT; i++) {
        worker->values[worker->count++] = measurement_of(hardware[i]);
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    leader_world_release(&f->world);
    fake_tee_release(&f->fake);
    free(f);
    return 0;
}

static void begin(struct fixture *f)
{
    f->world.evidence.make = NULL;  // the leader itself runs in a simulated TEE
    leader_world_begin(&f->world);
    leader_world_lead(&f->world, 1);
    assert_true(leader_is_leading(f->world.leader));
}

static void join(struct fixture *f, struct leader_world_joiner *joiner)
{
    leader_world_joiner_init(&f->world, joiner);
    leader_world_join(&f->world, joiner, MEMBER_WORKER, &f->world.capsule);
    leader_world_run(&f->world, 1000000);
}

static void leave(struct fixture *f, struct leader_world_joiner *joiner)
{
    f->world.joiner = NULL;
    leader_world_joiner_release(joiner);
}

static void assert_admitted(struct fixture *f, enum tee tee)
{
    struct leader_world_joiner joiner;
    run_in(f, tee);
    join(f, &joiner);
    if (!joiner.is_granted) {
        fail_msg("tee %s is refused: %s", verdict_tee_text(tee), joiner.refusal);
    }
    assert_non_null(capsule_member_find(leader_capsule(f->world.leader), &joiner.id));
    leave(f, &joiner);
}

static void assert_refused(struct fixture *f, enum tee tee, const char *reason)
{
    struct leader_world_joiner joiner;
    run_in(f, tee);
    join(f, &joiner);
    assert_false(joiner.is_granted);
    if (strstr(joiner.refusal, reason) == NULL) {
        fail_msg("tee %s: expected '%s', refused with '%s'", verdict_tee_text(tee), reason,
                 joiner.refusal);
    }
    assert_null(capsule_member_find(leader_capsule(f->world.leader), &joiner.id));
    leave(f, &joiner);
}

static void p2_one_policy_admits_members_of_four_tees_side_by_side(void **state)
{
    struct fixture *f = *state;
    begin(f);
    assert_admitted(f, TEE_SGX);
    assert_admitted(f, TEE_TDX);
    assert_admitted(f, TEE_SEV_SNP);
    assert_admitted(f, TEE_SIMULATED);
}

static void p2_each_is_refused_when_its_line_of_the_policy_is_gone(void **state)
{
    struct fixture *f = *state;
    struct policy_measurements *worker = &f->world.policy.measurements[POLICY_WORKER];
    worker->count = 1;  // the simulated one
    begin(f);
    for (size_t i = 0; i < HARDWARE_COUNT; i++) {
        assert_refused(f, hardware[i], "reason=measurement");
    }
    assert_admitted(f, TEE_SIMULATED);
}

static void p2_a_simulated_member_is_refused_where_hardware_is_admitted(void **state)
{
    struct fixture *f = *state;
    f->world.policy.allow_simulated = false;
    begin(f);
    assert_admitted(f, TEE_TDX);
    assert_refused(f, TEE_SIMULATED, "reason=simulated_not_allowed");
}

static void p2_a_leader_that_trusts_the_vendors_own_roots_admits_none_of_ours(void **state)
{
    struct fixture *f = *state;
    f->world.vendors = vendor_pinned();
    begin(f);
    for (size_t i = 0; i < HARDWARE_COUNT; i++) {
        assert_refused(f, hardware[i], "reason=chain");
    }
}

static void p2_what_the_policy_says_of_one_tee_counts_for_that_tee(void **state)
{
    struct fixture *f = *state;
    struct policy_tee *tdx = &f->world.policy.tees[TEE_TDX];
    tdx->has_advisories = true;  // and none is accepted
    begin(f);
    assert_refused(f, TEE_TDX, "reason=advisory");
    assert_admitted(f, TEE_SGX);
}

/* The policy names the first measurement alone, and a signer of programs from that version on. */
static void trust_signer(struct fixture *f, uint32_t min_security_version)
{
    uint8_t signer[32];
    const uint8_t product[] = {1, 0};
    memset(signer, 0x51, sizeof signer);
    f->world.policy.measurements[POLICY_WORKER].count = 1;
    f->world.policy.signers[POLICY_WORKER] = (struct policy_tee_signers){
        .values = {{
            .tee = TEE_SGX,
            .signer = verdict_value_of(bytes_of(signer, sizeof signer)),
            .product = verdict_value_of(bytes_of(product, sizeof product)),
            .min_security_version = min_security_version,
        }},
        .count = 1,
    };
}

static void p2_a_program_is_admitted_by_its_signer_from_a_version_on(void **state)
{
    struct fixture *f = *state;
    trust_signer(f, 1);
    begin(f);
    assert_admitted(f, TEE_SGX);
    assert_refused(f, TEE_TDX, "reason=measurement");
}

static void p2_a_program_below_the_version_of_its_signer_is_refused(void **state)
{
    struct fixture *f = *state;
    trust_signer(f, 2);
    begin(f);
    assert_refused(f, TEE_SGX, "reason=measurement");
}

static void p3_members_of_a_program_and_its_successor_serve_side_by_side(void **state)
{
    struct fixture *f = *state;
    struct policy_measurements *worker = &f->world.policy.measurements[POLICY_WORKER];
    struct verdict_value newer = measurement_of(TEE_TDX);
    newer.bytes[0] ^= 1;
    worker->values[worker->count++] = newer;
    f->world.policy.successions = (struct policy_successions){
        .values = {{.older = measurement_of(TEE_TDX), .newer = newer}},
        .count = 1,
    };
    begin(f);
    assert_admitted(f, TEE_TDX);
    f->is_upgraded = true;
    assert_admitted(f, TEE_TDX);
    f->is_upgraded = false;
    assert_admitted(f, TEE_TDX);
}

static void p2_a_member_without_network_is_admitted_by_what_another_brought(void **state)
{
    struct fixture *f = *state;
    begin(f);
    f->has_no_network = true;
    assert_refused(f, TEE_SGX, "reason=collateral");
    assert_refused(f, TEE_TDX, "reason=collateral");
    f->has_no_network = false;
    assert_admitted(f, TEE_SGX);
    f->has_no_network = true;
    assert_admitted(f, TEE_SGX);
    assert_refused(f, TEE_TDX, "reason=collateral");  // that of SGX says nothing of it
    f->has_no_network = false;
    assert_admitted(f, TEE_TDX);
    f->has_no_network = true;
    assert_admitted(f, TEE_TDX);
    assert_admitted(f, TEE_SGX);
}

/* A client of a member without network judges worker and leader with what the leader keeps. */
static void p3_who_vouches_adds_the_collateral_that_the_evidence_lacks(void **state)
{
    struct fixture *f = *state;
    struct leader_world_joiner joiner;
    struct vouch vouch;
    struct buffer evidence = BUFFER_EMPTY, plain = BUFFER_EMPTY, sealed = BUFFER_EMPTY;
    const struct evidence_roots roots = {.vendors = f->world.vendors};
    const uint8_t report_data[HASH512_BYTES] = {1, 2, 3};
    begin(f);
    assert_admitted(f, TEE_SGX);
    f->has_no_network = true;
    run_in(f, TEE_SGX);
    join(f, &joiner);
    assert_true(joiner.is_granted);
    make(f, report_data, &evidence);
    assert_int_equal(
        evidence_verify(buffer_bytes(&evidence), leader_world_start_s(), &roots).reason,
        REASON_COLLATERAL);

    const struct message_vouch_ask ask = {
        .request = 1, .nonce = bytes_text("nonce"), .evidence = buffer_bytes(&evidence)};
    assert_int_equal(message_vouch_ask_encode(&plain, &ask), STATUS_OK);
    assert_int_equal(channel_seal(joiner.channel, &sealed, buffer_bytes(&plain)), STATUS_OK);
    leader_world_send(&f->world, FRAME_CHANNEL, 0, &joiner.id, buffer_bytes(&sealed));
    assert_int_equal(joiner.message.kind, MESSAGE_VOUCH);
    assert_int_equal(vouch_decode(&vouch, joiner.message.vouch.vouch), STATUS_OK);
    const struct verdict worker = evidence_verify(vouch.evidence, leader_world_start_s(), &roots);
    assert_int_equal(worker.reason, REASON_NONE);
    assert_memory_equal(worker.report_data, report_data, sizeof report_data);
    assert_int_equal(evidence_verify(vouch.leader_evidence, leader_world_start_s(), &roots).reason,
                     REASON_NONE);
    leave(f, &joiner);
    buffer_release(&evidence);
    buffer_release(&plain);
    buffer_release(&sealed);
}

static void p2_what_was_brought_serves_the_members_of_the_next_leader(void **state)
{
    struct fixture *f = *state;
    begin(f);
    assert_admitted(f, TEE_SGX);
    f->world.evidence.make = NULL;
    leader_world_restart(&f->world);
    leader_world_lead(&f->world, 2);
    assert_true(leader_is_leading(f->world.leader));
    f->has_no_network = true;
    assert_admitted(f, TEE_SGX);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(p2_one_policy_admits_members_of_four_tees_side_by_side),
        TEST(p2_each_is_refused_when_its_line_of_the_policy_is_gone),
        TEST(p2_a_simulated_member_is_refused_where_hardware_is_admitted),
        TEST(p2_a_leader_that_trusts_the_vendors_own_roots_admits_none_of_ours),
        TEST(p2_what_the_policy_says_of_one_tee_counts_for_that_tee),
        TEST(p2_a_program_is_admitted_by_its_signer_from_a_version_on),
        TEST(p2_a_program_below_the_version_of_its_signer_is_refused),
        TEST(p3_members_of_a_program_and_its_successor_serve_side_by_side),
        TEST(p2_a_member_without_network_is_admitted_by_what_another_brought),
        TEST(p3_who_vouches_adds_the_collateral_that_the_evidence_lacks),
        TEST(p2_what_was_brought_serves_the_members_of_the_next_leader),
    };
    return cmocka_run_group_tests(tests, setup_forge, teardown_forge);
}
