/* tests/leader/policy_test.c */

/*
 * Goal: a policy that the owner sends to a running leader decides from then on who joins, is
 * recorded before the owner is told, and leaves those who are members already.
 * Method: one leader and enclaves that apply (leader_world); each policy that must not count is
 * sent too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "capsule/term.h"
#include "tests/support/leader_world.h"

enum { REQUEST = 9 };

static const struct hash program_b = {.bytes = {0xb0}};

struct fixture {
    struct leader_world world;
    struct leader_world_joiner worker;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    leader_world_init(&f->world, 3);
    leader_world_begin(&f->world);
    leader_world_lead(&f->world, 1);
    leader_world_joiner_init(&f->world, &f->worker);
    leader_world_join(&f->world, &f->worker, MEMBER_WORKER, &f->world.capsule);
    assert_true(f->worker.is_granted);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    leader_world_joiner_release(&f->worker);
    leader_world_release(&f->world);
    free(f);
    return 0;
}

static const struct capsule *capsule_of(const struct fixture *f)
{
    return leader_capsule(f->world.leader);
}

/* Send a policy of this version. */
static void send(struct fixture *f, uint64_t version, struct bytes json,
                 const struct sign_key *signer)
{
    struct buffer body = BUFFER_EMPTY, plain = BUFFER_EMPTY;
    CHECK(term_policy_encode(&body, &f->world.capsule, version, json, signer) == STATUS_OK);
    const struct message_policy message = {.request = REQUEST, .policy = buffer_bytes(&body)};
    CHECK(message_policy_encode(&plain, &message) == STATUS_OK);
    leader_world_say(&f->world, buffer_bytes(&plain));
    buffer_release(&body);
    buffer_release(&plain);
}

/* The world's policy, with this program as the only worker's. */
static void send_with_worker(struct fixture *f, uint32_t version, const struct hash *program)
{
    struct policy policy = f->world.policy;
    struct buffer json = BUFFER_EMPTY;
    policy.version = version;
    policy.measurements[POLICY_WORKER].values[0] =
        verdict_value_of(bytes_of(program->bytes, HASH_BYTES));
    CHECK(policy_encode(&policy, &json) == STATUS_OK);
    send(f, version, buffer_bytes(&json), f->world.owner);
    buffer_release(&json);
}

/* Whether an enclave of this program is admitted now. */
static bool is_admitted(struct fixture *f, const struct hash *program)
{
    struct leader_world_joiner other;
    f->world.evidence.measurement = *program;
    leader_world_joiner_init(&f->world, &other);
    leader_world_join(&f->world, &other, MEMBER_WORKER, &f->world.capsule);
    bool is_granted = other.is_granted;
    if (!is_granted) {
        assert_non_null(strstr(other.refusal, "measurement"));
    }
    leader_world_joiner_release(&other);
    return is_granted;
}

static void a_policy_that_arrives_decides_who_joins_from_then_on(void **state)
{
    struct fixture *f = *state;
    const struct hash program_a = f->world.evidence.measurement;
    size_t answers = f->world.request_count;
    assert_false(is_admitted(f, &program_b));
    send_with_worker(f, 2, &program_b);
    leader_world_run(&f->world, 100000);
    assert_int_equal(f->world.request_count, answers + 1);
    assert_int_equal(f->world.answer, STATUS_OK);
    assert_int_equal(capsule_policy_version(capsule_of(f)), 2);
    assert_true(is_admitted(f, &program_b));
    assert_false(is_admitted(f, &program_a));
    assert_false(capsule_member_find(capsule_of(f), &f->worker.id)->is_closed);

    send_with_worker(f, 3, &program_a);
    assert_true(is_admitted(f, &program_a));
    assert_false(is_admitted(f, &program_b));
}

static void the_owner_is_told_when_the_stores_hold_it(void **state)
{
    struct fixture *f = *state;
    size_t answers = f->world.request_count;
    f->world.is_store_deaf_to_leader = true;
    send_with_worker(f, 2, &program_b);
    leader_world_run(&f->world, 2000000);
    assert_int_equal(f->world.request_count, answers);
    assert_false(is_admitted(f, &f->world.evidence.measurement));
    f->world.is_store_deaf_to_leader = false;
    leader_world_run(&f->world, 500000);
    assert_int_equal(f->world.request_count, answers + 1);
    assert_int_equal(f->world.answer, STATUS_OK);
}

static void a_policy_outlives_its_leader(void **state)
{
    struct fixture *f = *state;
    send_with_worker(f, 2, &program_b);
    leader_world_run(&f->world, 100000);
    const struct hash program_a = f->world.evidence.measurement;
    leader_world_restart(&f->world);
    leader_world_lead(&f->world, 2);
    assert_int_equal(capsule_policy_version(capsule_of(f)), 2);
    assert_true(is_admitted(f, &program_b));
    assert_false(is_admitted(f, &program_a));
}

static void what_the_owner_did_not_say_now_is_refused(void **state)
{
    struct fixture *f = *state;
    struct buffer json = BUFFER_EMPTY;
    CHECK(policy_encode(&f->world.policy, &json) == STATUS_OK);
    const struct {
        uint64_t version;
        struct bytes json;
        const struct sign_key *signer;
        enum status status;
    } cases[] = {
        {1, buffer_bytes(&json), f->world.owner, STATUS_STALE},
        {2, buffer_bytes(&json), f->world.vendor, STATUS_FORGED},
        {2, bytes_text("{\"version\": 2}"), f->world.owner, STATUS_MALFORMED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t answers = f->world.request_count;
        send(f, cases[i].version, cases[i].json, cases[i].signer);
        assert_int_equal(f->world.request_count, answers + 1);
        assert_int_equal(f->world.answer, cases[i].status);
        assert_int_equal(capsule_policy_version(capsule_of(f)), 1);
    }
    buffer_release(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_policy_that_arrives_decides_who_joins_from_then_on, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_owner_is_told_when_the_stores_hold_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_policy_outlives_its_leader, setup, teardown),
        cmocka_unit_test_setup_teardown(what_the_owner_did_not_say_now_is_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
