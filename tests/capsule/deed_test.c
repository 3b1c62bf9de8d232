/* tests/capsule/deed_test.c */

/*
 * Goal: a receipt comes out as it went in, and no bit of it can be another.
 * Method: encode, decode, compare; flip each bit, cut at each length, add a byte; go beyond each
 * bound.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "capsule/deed.h"
#include "crypto/crypto.h"

static struct sign_key *make_key(void)
{
    uint8_t seed[SIGN_SEED_BYTES];
    memset(seed, 7, sizeof seed);
    return sign_key_new_from_seed(seed);
}

static struct hash hash_named(const char *text)
{
    return hash_of(text, strlen(text));
}

static struct deed make_deed(const struct sign_key *key, uint32_t written_count,
                             uint32_t read_count)
{
    struct deed deed = {
        .capsule = hash_named("capsule"),
        .worker = sign_key_public(key),
        .evidence = hash_named("evidence"),
        .sync_epoch = 5,
        .sync_time_ms = 1700000000000,
        .sync = hash_named("sync"),
        .function_version = 9,
        .code = hash_named("code"),
        .target = hash_named("target"),
        .input = hash_named("input"),
        .output = hash_named("output"),
        .status = 201,
        .has_more_written = true,
        .name = "orders",
        .written_count = written_count,
        .read_count = read_count,
    };
    for (uint32_t i = 0; i < written_count; i++) {
        deed.written[i] = (struct head){.sequence = 10 + i, .hash = hash_named("written")};
    }
    for (uint32_t i = 0; i < read_count; i++) {
        deed.read[i].writer.bytes[0] = (uint8_t)i;
        deed.read[i].sequence = 1 + i;
        deed.read[i].head = (struct head){.sequence = 3 + i, .hash = hash_named("read")};
    }
    return deed;
}

static void comes_out_as_it_went_in(void **state)
{
    (void)state;
    struct sign_key *key = make_key();
    for (uint32_t count = 0; count <= DEED_WRITTEN_MAX; count += DEED_WRITTEN_MAX / 2) {
        struct buffer bytes = BUFFER_EMPTY;
        const struct deed sent = make_deed(key, count, DEED_READ_MAX - count);
        struct deed taken;
        assert_int_equal(deed_encode(&bytes, &sent, key), STATUS_OK);
        assert_true(bytes.length <= DEED_BYTES_MAX);
        assert_int_equal(deed_decode(&taken, buffer_bytes(&bytes)), STATUS_OK);
        assert_int_equal(deed_verify(&taken), STATUS_OK);
        taken.signature = sent.signature;
        taken.hash = sent.hash;
        assert_memory_equal(&taken, &sent, offsetof(struct deed, signature));
        buffer_release(&bytes);
    }
    sign_key_free(key);
}

static enum status judge(struct bytes bytes)
{
    struct deed deed;
    enum status status = deed_decode(&deed, bytes);
    return status == STATUS_OK ? deed_verify(&deed) : status;
}

static void p2_no_bit_can_be_another(void **state)
{
    (void)state;
    struct sign_key *key = make_key();
    struct buffer bytes = BUFFER_EMPTY;
    const struct deed deed = make_deed(key, 2, 2);
    assert_int_equal(deed_encode(&bytes, &deed, key), STATUS_OK);
    assert_int_equal(judge(buffer_bytes(&bytes)), STATUS_OK);
    for (size_t bit = 0; bit < 8 * bytes.length; bit++) {
        bytes.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(judge(buffer_bytes(&bytes)), STATUS_OK);
        bytes.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t length = 0; length < bytes.length; length++) {
        assert_int_equal(judge(bytes_of(bytes.bytes, length)), STATUS_MALFORMED);
    }
    assert_int_equal(buffer_append(&bytes, "", 1), STATUS_OK);
    assert_int_equal(judge(buffer_bytes(&bytes)), STATUS_MALFORMED);
    buffer_release(&bytes);
    sign_key_free(key);
}

static void records_rise_and_names_are_names(void **state)
{
    (void)state;
    struct sign_key *key = make_key();
    struct deed deed = make_deed(key, 2, 0);
    struct buffer bytes = BUFFER_EMPTY;
    deed.written[1].sequence = deed.written[0].sequence;
    assert_int_equal(deed_encode(&bytes, &deed, key), STATUS_OK);
    assert_int_equal(judge(buffer_bytes(&bytes)), STATUS_MALFORMED);

    buffer_clear(&bytes);
    deed = make_deed(key, 0, 0);
    deed.name[0] = '/';
    assert_int_equal(deed_encode(&bytes, &deed, key), STATUS_OK);
    assert_int_equal(judge(buffer_bytes(&bytes)), STATUS_MALFORMED);
    buffer_release(&bytes);
    sign_key_free(key);
}

static void what_was_read_was_here(void **state)
{
    (void)state;
    struct sign_key *key = make_key();
    struct buffer bytes = BUFFER_EMPTY;
    struct deed deed = make_deed(key, 0, 1);
    deed.read[0].sequence = deed.read[0].head.sequence;
    assert_int_equal(deed_encode(&bytes, &deed, key), STATUS_OK);
    assert_int_equal(judge(buffer_bytes(&bytes)), STATUS_OK);
    buffer_clear(&bytes);
    deed.read[0].sequence++;
    assert_int_equal(deed_encode(&bytes, &deed, key), STATUS_OK);
    assert_int_equal(judge(buffer_bytes(&bytes)), STATUS_MALFORMED);
    buffer_release(&bytes);
    sign_key_free(key);
}

static void the_target_tells_methods_paths_and_queries_apart(void **state)
{
    (void)state;
    const struct hash all[] = {
        deed_target(bytes_text("GET"), bytes_text("/function/f"), bytes_text("")),
        deed_target(bytes_text("POST"), bytes_text("/function/f"), bytes_text("")),
        deed_target(bytes_text("GET"), bytes_text("/function/g"), bytes_text("")),
        deed_target(bytes_text("GET"), bytes_text("/function/f"), bytes_text("a=1")),
    };
    for (size_t i = 0; i < 4; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_false(hash_equal(&all[i], &all[j]));
        }
    }
}

int main(void)
{
    crypto_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_out_as_it_went_in),
        cmocka_unit_test(p2_no_bit_can_be_another),
        cmocka_unit_test(records_rise_and_names_are_names),
        cmocka_unit_test(what_was_read_was_here),
        cmocka_unit_test(the_target_tells_methods_paths_and_queries_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
