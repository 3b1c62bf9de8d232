/* tests/capsule/member_test.c */

/*
 * Goal: a MEMBER reads back; other lengths, roles and reserved bytes are refused.
 * Method: round trip, cut, bend.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "capsule/member.h"

static int setup(void **state)
{
    static struct buffer body;
    struct member_body member = {
        .key = {.bytes = {1}},
        .role = MEMBER_COMPACTOR,
        .policy_version = 6,
        .sync = {.bytes = {2}},
        .tls_key = {.bytes = {4, 3}},
        .evidence = bytes_text("evidence"),
        .collateral = bytes_text("collateral"),
    };
    body = BUFFER_EMPTY;
    assert_int_equal(member_encode(&body, &member), STATUS_OK);
    *state = &body;
    return 0;
}

static int teardown(void **state)
{
    buffer_release(*state);
    return 0;
}

static void reads_back_every_field(void **state)
{
    struct buffer *body = *state;
    struct member_body member;
    assert_int_equal(member_decode(&member, buffer_bytes(body)), STATUS_OK);
    assert_int_equal(member.key.bytes[0], 1);
    assert_int_equal(member.role, MEMBER_COMPACTOR);
    assert_int_equal(member.policy_version, 6);
    assert_int_equal(member.sync.bytes[0], 2);
    assert_int_equal(member.tls_key.bytes[1], 3);
    assert_true(bytes_equal(member.evidence, bytes_text("evidence")));
    assert_true(bytes_equal(member.collateral, bytes_text("collateral")));
}

static void refuses_a_body_cut_or_lengthened_anywhere(void **state)
{
    struct buffer *body = *state;
    struct member_body member;
    for (size_t length = 0; length < body->length; length++) {
        assert_int_equal(member_decode(&member, bytes_of(body->bytes, length)), STATUS_MALFORMED);
    }
    assert_int_equal(buffer_append(body, "", 1), STATUS_OK);
    assert_int_equal(member_decode(&member, buffer_bytes(body)), STATUS_MALFORMED);
}

static void refuses_a_leader_another_role_and_reserved_bytes(void **state)
{
    struct buffer *body = *state;
    struct member_body member;
    const uint8_t roles[] = {0, MEMBER_LEADER, 4, 0xff};
    for (size_t i = 0; i < sizeof roles; i++) {
        body->bytes[32] = roles[i];
        assert_int_equal(member_decode(&member, buffer_bytes(body)), STATUS_MALFORMED);
    }
    body->bytes[32] = MEMBER_WORKER;
    for (size_t i = 33; i < 36; i++) {
        body->bytes[i] = 1;
        assert_int_equal(member_decode(&member, buffer_bytes(body)), STATUS_MALFORMED);
        body->bytes[i] = 0;
    }
    assert_int_equal(member_decode(&member, buffer_bytes(body)), STATUS_OK);
}

static void takes_evidence_up_to_its_bound(void **state)
{
    (void)state;
    static uint8_t much[MEMBER_EVIDENCE_BYTES_MAX];
    struct member_body member = {
        .role = MEMBER_WORKER,
        .evidence = bytes_of(much, sizeof much),
    };
    struct buffer body = BUFFER_EMPTY;
    assert_int_equal(member_encode(&body, &member), STATUS_OK);
    assert_int_equal(member_decode(&member, buffer_bytes(&body)), STATUS_OK);
    // One byte more, taken from the length of the collateral behind it.
    body.bytes[137]++;
    assert_int_equal(buffer_append(&body, "", 1), STATUS_OK);
    assert_int_equal(member_decode(&member, buffer_bytes(&body)), STATUS_MALFORMED);
    buffer_release(&body);
}

static void roles_have_names(void **state)
{
    (void)state;
    assert_string_equal(member_role_text(MEMBER_LEADER), "leader");
    assert_string_equal(member_role_text(MEMBER_WORKER), "worker");
    assert_string_equal(member_role_text(MEMBER_COMPACTOR), "compactor");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_back_every_field),
        TEST(refuses_a_body_cut_or_lengthened_anywhere),
        TEST(refuses_a_leader_another_role_and_reserved_bytes),
        TEST(takes_evidence_up_to_its_bound),
        TEST(roles_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
