/* tests/crypto/hash_test.c */

/*
 * Goal: SHA-256, SHA-512 and HMAC are what the standards say, however the
 * input is cut and whichever thread asks.
 * Method: the examples of FIPS 180-4 (NIST's "abc" and 448-bit messages),
 * Wycheproof's hmac_sha256_test.json, RFC 4231 for HMAC-SHA-512; then the same
 * input cut in every place, and by several threads at once.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/hex.h"
#include "crypto/crypto.h"
#include "crypto/hash.h"
#include "crypto/hash512.h"
#include "tests/crypto/vectors.h"

enum { THREAD_COUNT = 4, ROUND_COUNT = 200 };

static const char LONG_TEXT[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
static const char LONG_HASH[] = "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1";

static void assert_hash(struct hash hash, const char *expected)
{
    char text[HASH_TEXT_BYTES];
    hash_text(&hash, text);
    assert_string_equal(text, expected);
}

static void assert_hash512(const uint8_t *hash, const char *expected)
{
    char text[2 * HASH512_BYTES + 1];
    hex_encode(text, hash, HASH512_BYTES);
    assert_string_equal(text, expected);
}

static void sha256_gives_the_examples_of_the_standard(void **state)
{
    (void)state;
    assert_hash(hash_of(NULL, 0),
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_hash(hash_of("abc", 3),
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_hash(hash_of(LONG_TEXT, strlen(LONG_TEXT)), LONG_HASH);
}

static void sha512_gives_the_example_of_the_standard(void **state)
{
    (void)state;
    uint8_t hash[HASH512_BYTES];
    const struct bytes parts[] = {bytes_text("a"), bytes_of(NULL, 0), bytes_text("bc")};
    hash512_of_parts(hash, parts, 3);
    assert_hash512(hash,
                   "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                   "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

static void a_cut_anywhere_changes_nothing(void **state)
{
    (void)state;
    size_t length = strlen(LONG_TEXT);
    for (size_t cut = 0; cut <= length; cut++) {
        const struct bytes parts[] = {
            bytes_of(LONG_TEXT, cut),
            bytes_of(LONG_TEXT + cut, length - cut),
        };
        assert_hash(hash_of_parts(parts, 2), LONG_HASH);
    }
}

static void *hash_in_thread(void *argument)
{
    size_t *wrong_count = argument;
    struct hash first = hash_of(LONG_TEXT, strlen(LONG_TEXT));
    for (int i = 0; i < ROUND_COUNT; i++) {
        struct hash again = hash_of(LONG_TEXT, strlen(LONG_TEXT));
        *wrong_count += !hash_equal(&first, &again);
    }
    char text[HASH_TEXT_BYTES];
    hash_text(&first, text);
    *wrong_count += strcmp(text, LONG_HASH) != 0;
    return NULL;
}

static void threads_hash_without_disturbing_each_other(void **state)
{
    (void)state;
    pthread_t threads[THREAD_COUNT];
    size_t wrong_counts[THREAD_COUNT] = {0};
    for (size_t i = 0; i < THREAD_COUNT; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, hash_in_thread, &wrong_counts[i]), 0);
    }
    for (size_t i = 0; i < THREAD_COUNT; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(wrong_counts[i], 0);
    }
}

static void wycheproof_judge(const json_t *group, const json_t *test)
{
    struct bytes key = vectors_hex(test, "key");
    struct bytes message = vectors_hex(test, "msg");
    struct bytes tag = vectors_hex(test, "tag");
    size_t tag_bytes = (size_t)json_integer_value(json_object_get(group, "tagSize")) / 8;
    int is_valid = strcmp(vectors_text(test, "result"), "valid") == 0;

    struct hash mac = hash_mac(key, message);
    assert_true(tag_bytes <= sizeof mac.bytes);
    assert_int_equal(tag.length, tag_bytes);
    assert_int_equal(memcmp(mac.bytes, tag.at, tag_bytes) == 0, is_valid);
    vectors_free(key);
    vectors_free(message);
    vectors_free(tag);
}

static void hmac_sha256_agrees_with_wycheproof(void **state)
{
    (void)state;
    vectors_each_wycheproof("crypto/wycheproof/hmac_sha256_test.json", wycheproof_judge);
}

static void hmac_takes_an_empty_key_and_an_empty_message(void **state)
{
    (void)state;
    // An empty key is padded with zeroes, so it equals a key of one zero (RFC 2104).
    struct hash of_empty = hash_mac(bytes_of(NULL, 0), bytes_of(NULL, 0));
    struct hash of_zero = hash_mac(bytes_of("", 1), bytes_of(NULL, 0));
    assert_true(hash_equal(&of_empty, &of_zero));
    assert_hash(of_empty, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void hmac_sha512_gives_rfc_4231s_second_case(void **state)
{
    (void)state;
    uint8_t mac[HASH512_BYTES];
    hash512_mac(mac, bytes_text("Jefe"), bytes_text("what do ya want for nothing?"));
    assert_hash512(mac,
                   "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
                   "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737");
}

static void knows_equal_from_unequal_and_zero(void **state)
{
    (void)state;
    struct hash zero = {.bytes = {0}};
    struct hash last = {.bytes = {[HASH_BYTES - 1] = 1}};
    struct hash same = last;
    assert_true(hash_is_zero(&zero));
    assert_false(hash_is_zero(&last));
    assert_true(hash_equal(&last, &same));
    assert_false(hash_equal(&zero, &last));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_gives_the_examples_of_the_standard),
        cmocka_unit_test(sha512_gives_the_example_of_the_standard),
        cmocka_unit_test(a_cut_anywhere_changes_nothing),
        cmocka_unit_test(threads_hash_without_disturbing_each_other),
        cmocka_unit_test(hmac_sha256_agrees_with_wycheproof),
        cmocka_unit_test(hmac_takes_an_empty_key_and_an_empty_message),
        cmocka_unit_test(hmac_sha512_gives_rfc_4231s_second_case),
        cmocka_unit_test(knows_equal_from_unequal_and_zero),
    };
    crypto_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
