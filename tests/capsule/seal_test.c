/* tests/capsule/seal_test.c */

/*
 * Goal: a sealed body opens only at its own place, under its own key, whole.
 * Method: seal one; then change what it is bound to, one thing at a time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "capsule/seal.h"
#include "crypto/crypto.h"

struct fixture {
    struct sign_key *key;
    struct verify_key public_key;
    struct secret *data_key;
    struct aead_key *body_key;
    struct hash parents[2];
    struct record_fields fields;
};

static int setup(void **state)
{
    static struct fixture f;
    static const uint8_t seed[SIGN_SEED_BYTES] = {9};
    crypto_init();
    f = (struct fixture){.key = sign_key_new_from_seed(seed)};
    f.public_key = sign_key_public(f.key);
    f.data_key = secret_new_copy(seed);
    f.parents[0] = hash_of("a", 1);
    f.parents[1] = hash_of("b", 1);
    f.fields = (struct record_fields){
        .type = RECORD_DATA,
        .sequence = 5,
        .epoch = 2,
        .writer = writer_id_of(&f.public_key),
        .capsule = hash_of("capsule", 7),
        .parents = f.parents,
        .parent_count = 2,
    };
    f.body_key = seal_key_new(f.data_key, &f.fields.capsule, &f.public_key);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    aead_key_free(f->body_key);
    secret_free(f->data_key);
    sign_key_free(f->key);
    return 0;
}

static void seal(struct fixture *f, struct buffer *bytes, struct record *record, struct bytes plain)
{
    struct hash hash;
    assert_int_equal(seal_record(bytes, &hash, &f->fields, plain, f->body_key, f->key), STATUS_OK);
    assert_int_equal(record_decode(record, bytes->bytes, bytes->length), STATUS_OK);
    assert_true(hash_equal(&hash, &record->hash));
    assert_int_equal(record_verify(record, &f->public_key), STATUS_OK);
}

static void opens_to_what_was_sealed(void **state)
{
    struct fixture *f = *state;
    const struct bytes plains[] = {bytes_text("secret"), bytes_of(NULL, 0)};
    for (size_t i = 0; i < 2; i++) {
        struct buffer bytes = BUFFER_EMPTY, plain = BUFFER_EMPTY;
        struct record record;
        seal(f, &bytes, &record, plains[i]);
        assert_int_equal(seal_open(&plain, &record, f->body_key), STATUS_OK);
        assert_true(bytes_equal(buffer_bytes(&plain), plains[i]));
        buffer_release(&plain);
        buffer_release(&bytes);
    }
}

static void p1_the_plaintext_is_not_in_the_record(void **state)
{
    struct fixture *f = *state;
    struct buffer bytes = BUFFER_EMPTY;
    struct record record;
    struct bytes plain = bytes_text("a rather secret value");
    seal(f, &bytes, &record, plain);
    for (size_t i = 0; i + plain.length <= bytes.length; i++) {
        assert_memory_not_equal(bytes.bytes + i, plain.at, plain.length);
    }
    buffer_release(&bytes);
}

static void p2_opens_at_no_other_place(void **state)
{
    struct fixture *f = *state;
    struct buffer bytes = BUFFER_EMPTY, plain = BUFFER_EMPTY;
    struct record record;
    seal(f, &bytes, &record, bytes_text("secret"));
    // Each byte of the header but the body's hash, and each of the parents.
    for (size_t i = 0; i < record.header.length; i++) {
        if (i >= SEAL_ASSOCIATED_HEADER_BYTES && i < RECORD_HEADER_BYTES) {
            continue;
        }
        bytes.bytes[i] ^= 1;
        assert_int_equal(seal_open(&plain, &record, f->body_key), STATUS_FORGED);
        bytes.bytes[i] ^= 1;
    }
    record.sequence++;
    assert_int_equal(seal_open(&plain, &record, f->body_key), STATUS_FORGED);
    assert_int_equal(plain.length, 0);
    buffer_release(&plain);
    buffer_release(&bytes);
}

static void p1_opens_under_no_other_key(void **state)
{
    struct fixture *f = *state;
    struct buffer bytes = BUFFER_EMPTY, plain = BUFFER_EMPTY;
    struct record record;
    seal(f, &bytes, &record, bytes_text("secret"));
    struct hash other_capsule = hash_of("other", 5);
    struct verify_key other_writer = {.bytes = {1}};
    static const uint8_t other_bytes[SECRET_BYTES] = {8};
    struct secret *other_data_key = secret_new_copy(other_bytes);
    struct aead_key *keys[] = {
        seal_key_new(f->data_key, &other_capsule, &f->public_key),
        seal_key_new(f->data_key, &f->fields.capsule, &other_writer),
        seal_key_new(other_data_key, &f->fields.capsule, &f->public_key),
    };
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(seal_open(&plain, &record, keys[i]), STATUS_FORGED);
        aead_key_free(keys[i]);
    }
    secret_free(other_data_key);
    buffer_release(&plain);
    buffer_release(&bytes);
}

static void refuses_a_body_shorter_than_a_tag_and_a_clear_one(void **state)
{
    struct fixture *f = *state;
    struct buffer bytes = BUFFER_EMPTY, plain = BUFFER_EMPTY;
    struct record record;
    seal(f, &bytes, &record, bytes_text("secret"));
    record.body.length = AEAD_TAG_BYTES - 1;
    assert_int_equal(seal_open(&plain, &record, f->body_key), STATUS_FORGED);
    record.body.length = AEAD_TAG_BYTES + 6;
    record.type = RECORD_EOE;
    assert_int_equal(seal_open(&plain, &record, f->body_key), STATUS_FORGED);
    buffer_release(&bytes);
    buffer_release(&plain);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(opens_to_what_was_sealed),
        TEST(p1_the_plaintext_is_not_in_the_record),
        TEST(p2_opens_at_no_other_place),
        TEST(p1_opens_under_no_other_key),
        TEST(refuses_a_body_shorter_than_a_tag_and_a_clear_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
