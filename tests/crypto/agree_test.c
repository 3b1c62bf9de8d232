/* tests/crypto/agree_test.c */

/*
 * Goal: both sides reach one secret, the one RFC 7748 says, and no peer can
 * force a secret that others know.
 * Method: Wycheproof's x25519_test.json; where it leaves a choice
 * ("acceptable"), an all-zero result is refused and everything else taken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/agree.h"
#include "crypto/crypto.h"
#include "tests/crypto/vectors.h"

static void wycheproof_judge(const json_t *group, const json_t *test)
{
    (void)group;
    static const uint8_t zero[SECRET_BYTES];
    struct bytes public_bytes = vectors_hex(test, "public");
    struct bytes private_bytes = vectors_hex(test, "private");
    struct bytes expected = vectors_hex(test, "shared");
    struct agree_public peer;
    assert_int_equal(public_bytes.length, sizeof peer.bytes);
    assert_int_equal(private_bytes.length, 32);
    assert_int_equal(expected.length, SECRET_BYTES);
    memcpy(peer.bytes, public_bytes.at, sizeof peer.bytes);

    struct agree_key *own = agree_key_new_from_bytes(private_bytes.at);
    struct secret *shared = NULL;
    enum status status = agree_shared(&shared, own, &peer);
    if (memcmp(expected.at, zero, sizeof zero) == 0) {
        assert_int_equal(status, STATUS_FORGED);
        assert_null(shared);
    } else {
        assert_int_equal(status, STATUS_OK);
        assert_memory_equal(secret_bytes(shared), expected.at, SECRET_BYTES);
    }
    secret_free(shared);
    agree_key_free(own);
    vectors_free(public_bytes);
    vectors_free(private_bytes);
    vectors_free(expected);
}

static void agrees_with_wycheproof_and_refuses_zero(void **state)
{
    (void)state;
    vectors_each_wycheproof("crypto/wycheproof/x25519_test.json", wycheproof_judge);
}

static void both_sides_reach_the_same_secret(void **state)
{
    (void)state;
    struct random_seeded storage;
    struct random random = random_seeded(&storage, 3);
    struct agree_key *left = agree_key_new(&random);
    struct agree_key *right = agree_key_new(&random);
    struct agree_public left_public = agree_key_public(left);
    struct agree_public right_public = agree_key_public(right);
    struct secret *of_left = NULL;
    struct secret *of_right = NULL;
    assert_memory_not_equal(left_public.bytes, right_public.bytes, AGREE_PUBLIC_BYTES);
    assert_int_equal(agree_shared(&of_left, left, &right_public), STATUS_OK);
    assert_int_equal(agree_shared(&of_right, right, &left_public), STATUS_OK);
    assert_memory_equal(secret_bytes(of_left), secret_bytes(of_right), SECRET_BYTES);
    secret_free(of_left);
    secret_free(of_right);
    agree_key_free(left);
    agree_key_free(right);
    agree_key_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_wycheproof_and_refuses_zero),
        cmocka_unit_test(both_sides_reach_the_same_secret),
    };
    crypto_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
