/* tests/capsule/receipt_test.c */

/*
 * Goal: a receipt is one store's word about one capsule, of one kind; a fork
 * proof convinces whoever has the key, and only of a fork.
 * Method: round trip and bend; for proofs, pairs of records that are no fork.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "capsule/receipt.h"
#include "capsule/record.h"
#include "crypto/crypto.h"

static const struct branch_head HEADS[] = {
    {.writer = {.bytes = {1}}, .head = {.sequence = 5, .hash = {.bytes = {9}}}},
    {.writer = {.bytes = {2}}, .head = {.sequence = 0}},
};

struct fixture {
    struct sign_key *key;
    struct verify_key public_key;
    struct hash capsule;
    struct buffer bytes;
};

static int setup(void **state)
{
    static struct fixture f;
    static const uint8_t seed[SIGN_SEED_BYTES] = {3};
    crypto_init();
    f = (struct fixture){.key = sign_key_new_from_seed(seed)};
    f.public_key = sign_key_public(f.key);
    f.capsule = hash_of("capsule", 7);
    assert_int_equal(receipt_encode(&f.bytes, RECEIPT_DURABLE, &f.capsule, 6, HEADS, 2, f.key),
                     STATUS_OK);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    buffer_release(&f->bytes);
    sign_key_free(f->key);
    return 0;
}

static void a_receipt_reads_back(void **state)
{
    struct fixture *f = *state;
    struct receipt receipt;
    assert_int_equal(receipt_decode(&receipt, buffer_bytes(&f->bytes)), STATUS_OK);
    struct writer_id store = writer_store_id_of(&f->public_key);
    assert_true(writer_id_equal(&receipt.store, &store));
    assert_int_equal(receipt.term, 6);
    assert_int_equal(receipt.head_count, 2);
    assert_int_equal(receipt_head(&receipt, 0).head.sequence, 5);
    assert_int_equal(receipt_head(&receipt, 1).writer.bytes[0], 2);
    assert_int_equal(receipt_verify(&receipt, RECEIPT_DURABLE, &f->capsule, &f->public_key),
                     STATUS_OK);
}

static void p2_a_receipt_is_no_fence_and_of_no_other_capsule_or_store(void **state)
{
    struct fixture *f = *state;
    struct receipt receipt;
    struct hash other = hash_of("other", 5);
    struct verify_key other_key = f->public_key;
    other_key.bytes[1] ^= 1;
    assert_int_equal(receipt_decode(&receipt, buffer_bytes(&f->bytes)), STATUS_OK);
    assert_int_equal(receipt_verify(&receipt, RECEIPT_FENCE, &f->capsule, &f->public_key),
                     STATUS_FORGED);
    assert_int_equal(receipt_verify(&receipt, RECEIPT_DURABLE, &other, &f->public_key),
                     STATUS_FORGED);
    assert_int_equal(receipt_verify(&receipt, RECEIPT_DURABLE, &f->capsule, &other_key),
                     STATUS_FORGED);
}

static void p2_no_flipped_or_missing_byte_is_accepted(void **state)
{
    struct fixture *f = *state;
    struct receipt receipt;
    for (size_t i = 0; i < f->bytes.length; i++) {
        assert_int_equal(receipt_decode(&receipt, bytes_of(f->bytes.bytes, i)), STATUS_MALFORMED);
        f->bytes.bytes[i] ^= 4;
        enum status status = receipt_decode(&receipt, buffer_bytes(&f->bytes));
        if (status == STATUS_OK) {
            status = receipt_verify(&receipt, RECEIPT_DURABLE, &f->capsule, &f->public_key);
        }
        assert_int_not_equal(status, STATUS_OK);
        f->bytes.bytes[i] ^= 4;
    }
}

// ---- fork proofs ----

static struct buffer record_make(const struct fixture *f, uint64_t sequence, const char *body)
{
    struct buffer bytes = BUFFER_EMPTY;
    struct hash hash, parent = hash_of("before", 6);
    struct record_fields fields = {
        .type = RECORD_EOE,
        .sequence = sequence,
        .writer = writer_id_of(&f->public_key),
        .capsule = f->capsule,
        .parents = &parent,
        .parent_count = 1,
    };
    assert_int_equal(record_encode(&bytes, &hash, &fields, bytes_text(body), f->key), STATUS_OK);
    return bytes;
}

static enum status prove(const struct fixture *f, struct buffer one, struct buffer two)
{
    struct buffer proof = BUFFER_EMPTY;
    assert_int_equal(receipt_fork_encode(&proof, buffer_bytes(&one), buffer_bytes(&two)),
                     STATUS_OK);
    enum status status = receipt_fork_verify(buffer_bytes(&proof), &f->public_key);
    for (size_t length = 0; length < proof.length; length++) {
        assert_int_equal(receipt_fork_verify(bytes_of(proof.bytes, length), &f->public_key),
                         STATUS_MALFORMED);
    }
    struct verify_key other = f->public_key;
    other.bytes[0] ^= 1;
    assert_int_not_equal(receipt_fork_verify(buffer_bytes(&proof), &other), STATUS_OK);
    buffer_release(&proof);
    buffer_release(&one);
    buffer_release(&two);
    return status;
}

static void p8_two_records_in_one_place_prove_a_fork(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(prove(f, record_make(f, 3, "one"), record_make(f, 3, "two")), STATUS_OK);
}

static void p8_no_fork_is_proven_by_less(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(prove(f, record_make(f, 3, "one"), record_make(f, 3, "one")), STATUS_FORGED);
    assert_int_equal(prove(f, record_make(f, 3, "one"), record_make(f, 4, "two")), STATUS_FORGED);
    struct buffer bent = record_make(f, 3, "two");
    bent.bytes[bent.length - 1] ^= 1;
    assert_int_equal(prove(f, record_make(f, 3, "one"), bent), STATUS_FORGED);
    struct fixture elsewhere = *f;
    elsewhere.capsule = hash_of("other", 5);
    assert_int_equal(prove(f, record_make(f, 3, "one"), record_make(&elsewhere, 3, "two")),
                     STATUS_FORGED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_receipt_reads_back),
        TEST(p2_a_receipt_is_no_fence_and_of_no_other_capsule_or_store),
        TEST(p2_no_flipped_or_missing_byte_is_accepted),
        TEST(p8_two_records_in_one_place_prove_a_fork),
        TEST(p8_no_fork_is_proven_by_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
