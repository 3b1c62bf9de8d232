/* tests/crypto/aead_test.c */

/*
 * Goal: what is sealed is what RFC 8439 says, and nothing that was changed is
 * ever unsealed, nor shown.
 * Method: Wycheproof's chacha20_poly1305_test.json, both ways; then each bit
 * of a small message flipped; one key used for many messages, failures between.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/aead.h"
#include "crypto/crypto.h"
#include "tests/crypto/vectors.h"

enum { NONCE_BYTES = 12, MESSAGE_BYTES = 100 };

static const uint8_t key_bytes[SECRET_BYTES] = {1, 2, 3};

static struct aead_key *key_new(const uint8_t *bytes)
{
    struct secret *secret = secret_new_copy(bytes);
    struct aead_key *key = aead_key_new(secret);
    secret_free(secret);
    return key;
}

static int is_all(const uint8_t *bytes, size_t length, uint8_t value)
{
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != value) {
            return 0;
        }
    }
    return 1;
}

static void wycheproof_judge(const json_t *group, const json_t *test)
{
    if (json_integer_value(json_object_get(group, "ivSize")) != 8 * NONCE_BYTES) {
        return;  // the type holds no such nonce
    }
    struct bytes secret = vectors_hex(test, "key");
    struct bytes nonce = vectors_hex(test, "iv");
    struct bytes associated = vectors_hex(test, "aad");
    struct bytes plain = vectors_hex(test, "msg");
    struct bytes cipher = vectors_hex(test, "ct");
    struct bytes tag = vectors_hex(test, "tag");
    int is_valid = strcmp(vectors_text(test, "result"), "valid") == 0;
    assert_int_equal(secret.length, SECRET_BYTES);
    assert_int_equal(tag.length, AEAD_TAG_BYTES);
    assert_int_equal(cipher.length, plain.length);

    size_t sealed_bytes = plain.length + AEAD_TAG_BYTES;
    uint8_t *sealed = malloc(sealed_bytes);
    uint8_t *ours = malloc(sealed_bytes);
    uint8_t *opened = malloc(sealed_bytes);
    memcpy(sealed, cipher.at, cipher.length);
    memcpy(sealed + cipher.length, tag.at, tag.length);
    memset(opened, 0xaa, sealed_bytes);

    struct aead_key *key = key_new(secret.at);
    enum status status =
        aead_unseal_nonce(key, nonce.at, associated, bytes_of(sealed, sealed_bytes), opened);
    aead_seal_nonce(key, nonce.at, associated, plain, ours);
    if (is_valid) {
        assert_int_equal(status, STATUS_OK);
        assert_memory_equal(opened, plain.at, plain.length);
        assert_memory_equal(ours, sealed, sealed_bytes);
    } else {
        assert_int_equal(status, STATUS_FORGED);
        assert_true(is_all(opened, plain.length, 0));
        assert_memory_not_equal(ours, sealed, sealed_bytes);
    }
    assert_true(is_all(opened + plain.length, AEAD_TAG_BYTES, 0xaa));

    aead_key_free(key);
    free(sealed);
    free(ours);
    free(opened);
    vectors_free(secret);
    vectors_free(nonce);
    vectors_free(associated);
    vectors_free(plain);
    vectors_free(cipher);
    vectors_free(tag);
}

static void p2_seals_and_judges_as_wycheproof_published(void **state)
{
    (void)state;
    vectors_each_wycheproof("crypto/wycheproof/chacha20_poly1305_test.json", wycheproof_judge);
}

static void p2_refuses_every_flipped_bit_and_shows_zeroes(void **state)
{
    (void)state;
    uint8_t plain[MESSAGE_BYTES], sealed[MESSAGE_BYTES + AEAD_TAG_BYTES], opened[MESSAGE_BYTES];
    struct bytes associated = bytes_text("header");
    struct aead_key *key = key_new(key_bytes);
    memset(plain, 'p', sizeof plain);
    aead_seal(key, 5, associated, bytes_of(plain, sizeof plain), sealed);

    for (size_t bit = 0; bit < 8 * sizeof sealed; bit++) {
        sealed[bit / 8] = (uint8_t)(sealed[bit / 8] ^ (1u << bit % 8));
        memset(opened, 0xaa, sizeof opened);
        assert_int_equal(aead_unseal(key, 5, associated, bytes_of(sealed, sizeof sealed), opened),
                         STATUS_FORGED);
        assert_true(is_all(opened, sizeof opened, 0));
        sealed[bit / 8] = (uint8_t)(sealed[bit / 8] ^ (1u << bit % 8));
    }
    // A key that has seen forgeries still opens the genuine.
    assert_int_equal(aead_unseal(key, 5, associated, bytes_of(sealed, sizeof sealed), opened),
                     STATUS_OK);
    assert_memory_equal(opened, plain, sizeof plain);
    aead_key_free(key);
}

static void p2_refuses_another_nonce_header_or_length(void **state)
{
    (void)state;
    uint8_t sealed[MESSAGE_BYTES + AEAD_TAG_BYTES], opened[MESSAGE_BYTES + 1];
    static const uint8_t plain[MESSAGE_BYTES];
    struct bytes associated = bytes_text("header");
    struct bytes whole = bytes_of(sealed, sizeof sealed);
    struct aead_key *key = key_new(key_bytes);
    aead_seal(key, 1ull << 40, associated, bytes_of(plain, sizeof plain), sealed);

    assert_int_equal(aead_unseal(key, 1ull << 41, associated, whole, opened), STATUS_FORGED);
    assert_int_equal(aead_unseal(key, 1ull << 40, bytes_text("Header"), whole, opened),
                     STATUS_FORGED);
    assert_int_equal(aead_unseal(key, 1ull << 40, bytes_of(NULL, 0), whole, opened), STATUS_FORGED);
    for (size_t length = 0; length < sizeof sealed; length++) {
        assert_int_equal(aead_unseal(key, 1ull << 40, associated, bytes_of(sealed, length), opened),
                         STATUS_FORGED);
    }
    assert_int_equal(aead_unseal(key, 1ull << 40, associated, whole, opened), STATUS_OK);
    aead_key_free(key);
}

static void a_number_is_the_nonce_after_four_zero_bytes(void **state)
{
    (void)state;
    static const uint8_t nonce[NONCE_BYTES] = {0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1};
    uint8_t by_number[4 + AEAD_TAG_BYTES], by_bytes[4 + AEAD_TAG_BYTES];
    struct aead_key *key = key_new(key_bytes);
    aead_seal(key, 0x0102030405060708, bytes_of(NULL, 0), bytes_text("text"), by_number);
    aead_seal_nonce(key, nonce, bytes_of(NULL, 0), bytes_text("text"), by_bytes);
    assert_memory_equal(by_number, by_bytes, sizeof by_bytes);
    aead_key_free(key);
}

static void seals_and_unseals_in_place_and_the_empty_message(void **state)
{
    (void)state;
    uint8_t text[4 + AEAD_TAG_BYTES] = "text";
    struct aead_key *key = key_new(key_bytes);
    aead_seal(key, 1, bytes_of(NULL, 0), bytes_of(text, 4), text);
    assert_memory_not_equal(text, "text", 4);
    assert_int_equal(aead_unseal(key, 1, bytes_of(NULL, 0), bytes_of(text, sizeof text), text),
                     STATUS_OK);
    assert_memory_equal(text, "text", 4);

    aead_seal(key, 2, bytes_of(NULL, 0), bytes_of(NULL, 0), text);
    assert_int_equal(aead_unseal(key, 2, bytes_of(NULL, 0), bytes_of(text, AEAD_TAG_BYTES), NULL),
                     STATUS_OK);
    aead_key_free(key);
    aead_key_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p2_seals_and_judges_as_wycheproof_published),
        cmocka_unit_test(p2_refuses_every_flipped_bit_and_shows_zeroes),
        cmocka_unit_test(p2_refuses_another_nonce_header_or_length),
        cmocka_unit_test(a_number_is_the_nonce_after_four_zero_bytes),
        cmocka_unit_test(seals_and_unseals_in_place_and_the_empty_message),
    };
    crypto_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
