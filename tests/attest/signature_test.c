/* tests/attest/signature_test.c */

/*
 * Goal: the code that judges vendors' signatures accepts what is valid and nothing else.
 * Method: the published cases of Wycheproof for the three suites, in DER and as r ‖ s; then keys
 * and suites that do not belong together.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "attest/signature.h"
#include "base/hex.h"
#include "crypto/crypto.h"
#include "tests/attest/cases.h"

static struct bytes hex_member(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    size_t length = json_string_length(value) / 2;
    uint8_t *bytes = malloc(length + 1);
    assert_non_null(bytes);
    assert_true(hex_decode(bytes, length, json_string_value(value), 2 * length));
    return bytes_of(bytes, length);
}

static void free_hex(struct bytes bytes)
{
    free((void *)(uintptr_t)bytes.at);
}

static EVP_PKEY *group_key(const json_t *group)
{
    struct bytes der = hex_member(group, "publicKeyDer");
    const uint8_t *at = der.at;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &at, (long)der.length);
    assert_non_null(key);
    free_hex(der);
    return key;
}

typedef bool verify_function(enum signature_suite suite, EVP_PKEY *key, struct bytes message,
                             struct bytes signature);

static void judge_group(const json_t *group, enum signature_suite suite, verify_function *verify,
                        size_t *count)
{
    EVP_PKEY *key = group_key(group);
    const json_t *tests = json_object_get(group, "tests");
    for (size_t i = 0; i < json_array_size(tests); i++) {
        const json_t *test = json_array_get(tests, i);
        struct bytes message = hex_member(test, "msg"), signature = hex_member(test, "sig");
        const char *result = json_string_value(json_object_get(test, "result"));
        bool is_valid = strcmp(result, "valid") == 0;
        if (verify(suite, key, message, signature) != is_valid) {
            fail_msg("case %lld is %s",
                     (long long)json_integer_value(json_object_get(test, "tcId")), result);
        }
        free_hex(message);
        free_hex(signature);
        (*count)++;
    }
    EVP_PKEY_free(key);
}

static void judge_file(const char *path, enum signature_suite suite, verify_function *verify)
{
    size_t count = 0;
    struct buffer text = cases_file(path);
    json_t *file = json_loadb((const char *)text.bytes, text.length, 0, NULL);
    const json_t *groups = json_object_get(file, "testGroups");
    for (size_t i = 0; i < json_array_size(groups); i++) {
        judge_group(json_array_get(groups, i), suite, verify, &count);
    }
    assert_int_equal(count, json_integer_value(json_object_get(file, "numberOfTests")));
    assert_true(count > 100);
    json_decref(file);
    buffer_release(&text);
}

static void wycheproofs_p256_signatures_get_their_verdicts(void **state)
{
    (void)state;
    judge_file("crypto/wycheproof/ecdsa_secp256r1_sha256_p1363_test.json", SIGNATURE_P256_SHA256,
               signature_verify_raw);
    judge_file("crypto/wycheproof/ecdsa_secp256r1_sha256_test.json", SIGNATURE_P256_SHA256,
               signature_verify);
}

static void wycheproofs_p384_signatures_get_their_verdicts(void **state)
{
    (void)state;
    judge_file("crypto/wycheproof/ecdsa_secp384r1_sha384_test.json", SIGNATURE_P384_SHA384,
               signature_verify);
}

static void wycheproofs_rsa_pss_signatures_get_their_verdicts(void **state)
{
    (void)state;
    judge_file("crypto/wycheproof/rsa_pss_4096_sha384_mgf1_48_test.json", SIGNATURE_RSA_PSS_SHA384,
               signature_verify);
}

static void a_key_of_another_suite_or_curve_verifies_nothing(void **state)
{
    (void)state;
    struct buffer text = cases_file("crypto/wycheproof/ecdsa_secp256k1_sha256_p1363_test.json");
    json_t *file = json_loadb((const char *)text.bytes, text.length, 0, NULL);
    const json_t *group = json_array_get(json_object_get(file, "testGroups"), 0);
    const json_t *tests = json_object_get(group, "tests");
    EVP_PKEY *key = group_key(group);
    for (size_t i = 0; i < json_array_size(tests); i++) {
        const json_t *test = json_array_get(tests, i);
        struct bytes message = hex_member(test, "msg"), signature = hex_member(test, "sig");
        assert_false(signature_verify_raw(SIGNATURE_P256_SHA256, key, message, signature));
        free_hex(message);
        free_hex(signature);
    }
    assert_false(signature_verify_raw(SIGNATURE_P256_SHA256, NULL, bytes_text("a"),
                                      bytes_text("0123456789abcdef0123456789abcdef"
                                                 "0123456789abcdef0123456789abcdef")));
    EVP_PKEY_free(key);
    json_decref(file);
    buffer_release(&text);
}

static void a_point_off_the_curve_is_no_key(void **state)
{
    (void)state;
    struct cases_one it;
    cases_load(&it, "sgx/automata-606a-platca");
    uint8_t point[64];
    memcpy(point, it.quote.bytes + 432 + 4 + 64, sizeof point);  // the attestation key
    EVP_PKEY *key = signature_key(SIGNATURE_P256_SHA256, bytes_of(point, sizeof point));
    assert_non_null(key);
    EVP_PKEY_free(key);
    point[63] ^= 1;
    assert_null(signature_key(SIGNATURE_P256_SHA256, bytes_of(point, sizeof point)));
    memset(point, 0, sizeof point);
    assert_null(signature_key(SIGNATURE_P256_SHA256, bytes_of(point, sizeof point)));
    assert_null(signature_key(SIGNATURE_P256_SHA256, bytes_of(point, 63)));
    assert_null(signature_key(SIGNATURE_P384_SHA384, bytes_of(point, sizeof point)));
    cases_release(&it);
}

static int setup(void **state)
{
    (void)state;
    crypto_init();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wycheproofs_p256_signatures_get_their_verdicts),
        cmocka_unit_test(wycheproofs_p384_signatures_get_their_verdicts),
        cmocka_unit_test(wycheproofs_rsa_pss_signatures_get_their_verdicts),
        cmocka_unit_test(a_key_of_another_suite_or_curve_verifies_nothing),
        cmocka_unit_test(a_point_off_the_curve_is_no_key),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
