/* tests/crypto/sign_test.c */

/*
 * Goal: sign_verify() accepts what RFC 8032 says is a signature and refuses
 * the edge cases on which implementations differ, always by the same rules.
 * Method: Wycheproof's ed25519_test.json, and C2SP CCTV's ed25519vectors.json
 * (914 combinations of low-order and non-canonical points). Of CCTV's rules we
 * hold libsodium's: the equation without the cofactor, so any low-order
 * residue is refused; small-order A and R refused; A and R canonical.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/crypto.h"
#include "crypto/sign.h"
#include "tests/crypto/vectors.h"

static const uint8_t seed[SIGN_SEED_BYTES] = {7};

static enum status verify_bytes(struct bytes key, struct bytes message, struct bytes signature)
{
    struct verify_key verify_key;
    struct signature fixed;
    assert_int_equal(key.length, sizeof verify_key.bytes);
    if (signature.length != sizeof fixed.bytes) {
        return STATUS_FORGED;  // the type does not hold it
    }
    memcpy(verify_key.bytes, key.at, key.length);
    memcpy(fixed.bytes, signature.at, signature.length);
    return sign_verify(&verify_key, "", message, &fixed);
}

static void wycheproof_judge(const json_t *group, const json_t *test)
{
    struct bytes key = vectors_hex(json_object_get(group, "publicKey"), "pk");
    struct bytes message = vectors_hex(test, "msg");
    struct bytes signature = vectors_hex(test, "sig");
    int is_valid = strcmp(vectors_text(test, "result"), "valid") == 0;
    assert_int_equal(verify_bytes(key, message, signature), is_valid ? STATUS_OK : STATUS_FORGED);
    vectors_free(key);
    vectors_free(message);
    vectors_free(signature);
}

static void p2_judges_wycheproof_signatures_as_published(void **state)
{
    (void)state;
    vectors_each_wycheproof("crypto/wycheproof/ed25519_test.json", wycheproof_judge);
}

static void p2_judges_edge_cases_by_libsodiums_rules(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "low_order_A", "low_order_R", "low_order_residue", "non_canonical_A", "non_canonical_R",
    };
    json_t *tests = vectors_load("crypto/cctv/ed25519vectors.json");
    size_t accepted = 0;
    for (size_t i = 0; i < json_array_size(tests); i++) {
        const json_t *test = json_array_get(tests, i);
        enum status expected = STATUS_OK;
        for (size_t j = 0; j < sizeof refused / sizeof *refused; j++) {
            if (vectors_have_flag(test, "flags", refused[j])) {
                expected = STATUS_FORGED;
            }
        }
        struct bytes key = vectors_hex(test, "key");
        struct bytes signature = vectors_hex(test, "sig");
        struct bytes message = bytes_text(vectors_text(test, "msg"));
        enum status status = verify_bytes(key, message, signature);
        if (status != expected) {
            fail_msg("vector %d: got %d", (int)i, status);
        }
        accepted += status == STATUS_OK;
        vectors_free(key);
        vectors_free(signature);
    }
    assert_int_equal(json_array_size(tests), 914);
    assert_true(accepted > 0);
    json_decref(tests);
}

static void verifies_what_it_signed_at_any_length(void **state)
{
    (void)state;
    static uint8_t message[1000];
    struct sign_key *key = sign_key_new_from_seed(seed);
    struct verify_key public_key = sign_key_public(key);
    // Below, at and above the length that still fits the stack with its purpose.
    const size_t lengths[] = {0, 1, 32, 251, 252, 253, sizeof message};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct bytes run = bytes_of(message, lengths[i]);
        struct signature signature = sign_make(key, "test", run);
        assert_int_equal(sign_verify(&public_key, "test", run, &signature), STATUS_OK);
    }
    sign_key_free(key);
}

static void p2_a_signature_for_one_purpose_serves_no_other(void **state)
{
    (void)state;
    struct sign_key *key = sign_key_new_from_seed(seed);
    struct verify_key public_key = sign_key_public(key);
    struct bytes message = bytes_text("message");
    struct signature signature = sign_make(key, "one", message);
    assert_int_equal(sign_verify(&public_key, "one", message, &signature), STATUS_OK);
    assert_int_equal(sign_verify(&public_key, "two", message, &signature), STATUS_FORGED);
    assert_int_equal(sign_verify(&public_key, "one", bytes_text("Message"), &signature),
                     STATUS_FORGED);
    sign_key_free(key);
}

static void a_key_is_made_again_from_its_seed(void **state)
{
    (void)state;
    struct random_seeded storage;
    struct random random = random_seeded(&storage, 1);
    struct sign_key *key = sign_key_new(&random);
    struct sign_key *other = sign_key_new(&random);
    struct sign_key *again = sign_key_new_from_seed(sign_key_seed(key));
    struct verify_key key_public = sign_key_public(key);
    struct verify_key other_public = sign_key_public(other);
    struct verify_key again_public = sign_key_public(again);
    assert_true(verify_key_equal(&key_public, &again_public));
    assert_false(verify_key_equal(&key_public, &other_public));
    sign_key_free(key);
    sign_key_free(other);
    sign_key_free(again);
    sign_key_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p2_judges_wycheproof_signatures_as_published),
        cmocka_unit_test(p2_judges_edge_cases_by_libsodiums_rules),
        cmocka_unit_test(verifies_what_it_signed_at_any_length),
        cmocka_unit_test(p2_a_signature_for_one_purpose_serves_no_other),
        cmocka_unit_test(a_key_is_made_again_from_its_seed),
    };
    crypto_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
