/* tests/capsule/record_test.c */

/*
 * Goal: a record reads back as it was written, and no other bytes read as one.
 * Method: write one of each shape; cut, lengthen, flip, and bend each bound.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "capsule/record_internal.h"
#include "crypto/crypto.h"

enum { PARENT_COUNT = 3, TYPE_OFFSET = 4, RESERVED_OFFSET = 5, PARENT_COUNT_OFFSET = 6 };
enum { BODY_BYTES_OFFSET = 12, SEQUENCE_OFFSET = 16, BODY_OFFSET = 112 + 32 * PARENT_COUNT };

struct fixture {
    struct sign_key *key;
    struct verify_key public_key;
    struct hash parents[PARENT_COUNT];
    struct record_fields fields;
    struct buffer bytes;
    struct hash hash;
};

static int setup(void **state)
{
    static struct fixture f;
    static const uint8_t seed[SIGN_SEED_BYTES] = {9};
    crypto_init();
    f = (struct fixture){.key = sign_key_new_from_seed(seed)};
    f.public_key = sign_key_public(f.key);
    for (size_t i = 0; i < PARENT_COUNT; i++) {
        f.parents[i] = hash_of(&i, sizeof i);
    }
    f.fields = (struct record_fields){
        .type = RECORD_SYNC,
        .key_epoch = 3,
        .sequence = 1ull << 40,
        .epoch = 77,
        .writer = writer_id_of(&f.public_key),
        .capsule = hash_of("capsule", 7),
        .parents = f.parents,
        .parent_count = PARENT_COUNT,
    };
    assert_int_equal(record_encode(&f.bytes, &f.hash, &f.fields, bytes_text("body"), f.key),
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

static void reads_back_every_field(void **state)
{
    struct fixture *f = *state;
    struct record record;
    assert_int_equal(record_decode(&record, f->bytes.bytes, f->bytes.length), STATUS_OK);
    assert_int_equal(record.type, RECORD_SYNC);
    assert_int_equal(record.parent_count, PARENT_COUNT);
    assert_int_equal(record.key_epoch, 3);
    assert_true(record.sequence == 1ull << 40);
    assert_int_equal(record.epoch, 77);
    assert_true(writer_id_equal(&record.writer, &f->fields.writer));
    assert_true(hash_equal(&record.capsule, &f->fields.capsule));
    assert_true(bytes_equal(record.body, bytes_text("body")));
    assert_true(bytes_equal(record.whole, buffer_bytes(&f->bytes)));
    assert_int_equal(record.header.length, BODY_OFFSET);
    assert_true(hash_equal(&record.hash, &f->hash));
    for (size_t i = 0; i < PARENT_COUNT; i++) {
        struct hash parent = record_parent(&record, i);
        assert_true(hash_equal(&parent, &f->parents[i]));
    }
    assert_int_equal(record_verify(&record, &f->public_key), STATUS_OK);
}

static void p2_a_flipped_byte_is_seen_by_hash_or_signature(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < f->bytes.length; i++) {
        struct record record;
        f->bytes.bytes[i] ^= 0x10;
        enum status status = record_decode(&record, f->bytes.bytes, f->bytes.length);
        if (status == STATUS_OK) {
            status = record_verify(&record, &f->public_key);
        }
        assert_int_not_equal(status, STATUS_OK);
        f->bytes.bytes[i] ^= 0x10;
    }
}

static void refuses_a_record_cut_or_lengthened_anywhere(void **state)
{
    struct fixture *f = *state;
    struct record record;
    for (size_t length = 0; length < f->bytes.length; length++) {
        assert_int_equal(record_decode(&record, f->bytes.bytes, length), STATUS_MALFORMED);
    }
    assert_int_equal(buffer_append(&f->bytes, "", 1), STATUS_OK);
    assert_int_equal(record_decode(&record, f->bytes.bytes, f->bytes.length), STATUS_MALFORMED);
}

static void a_changed_body_is_forged(void **state)
{
    struct fixture *f = *state;
    struct record record;
    f->bytes.bytes[BODY_OFFSET] ^= 1;
    assert_int_equal(record_decode(&record, f->bytes.bytes, f->bytes.length), STATUS_FORGED);
}

static void refuses_each_impossible_header(void **state)
{
    struct fixture *f = *state;
    const struct {
        size_t offset;
        size_t width;
        uint8_t value;
    } bends[] = {
        {0, 1, 'Q'},
        {TYPE_OFFSET, 1, RECORD_TYPE_COUNT},
        {RESERVED_OFFSET, 1, 1},
        {PARENT_COUNT_OFFSET, 1, 0},  // a later record has a parent
        {PARENT_COUNT_OFFSET + 1, 1, 0xff},
        {BODY_BYTES_OFFSET + 3, 1, 0xff},
        {SEQUENCE_OFFSET, 8, 0},
        {TYPE_OFFSET, 1, RECORD_DATA},  // which has two parents at most
    };
    for (size_t i = 0; i < sizeof bends / sizeof *bends; i++) {
        struct buffer bent = BUFFER_EMPTY;
        struct record record;
        assert_int_equal(buffer_append(&bent, f->bytes.bytes, f->bytes.length), STATUS_OK);
        memset(bent.bytes + bends[i].offset, bends[i].value, bends[i].width);
        assert_int_equal(record_decode(&record, bent.bytes, bent.length), STATUS_MALFORMED);
        assert_int_equal(record_length(bent.bytes, bent.length), 0);
        buffer_release(&bent);
    }
}

static void tells_its_length_from_the_header_alone(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(record_length(f->bytes.bytes, RECORD_HEADER_BYTES), f->bytes.length);
    assert_int_equal(record_length(f->bytes.bytes, 10), 0);
}

static void another_key_did_not_sign(void **state)
{
    struct fixture *f = *state;
    static const uint8_t seed[SIGN_SEED_BYTES] = {10};
    struct sign_key *other = sign_key_new_from_seed(seed);
    struct verify_key other_public = sign_key_public(other);
    struct record record;
    assert_int_equal(record_decode(&record, f->bytes.bytes, f->bytes.length), STATUS_OK);
    assert_int_equal(record_verify(&record, &other_public), STATUS_FORGED);
    sign_key_free(other);
}

static void every_type_has_a_name(void **state)
{
    (void)state;
    for (unsigned i = 0; i < RECORD_TYPE_COUNT; i++) {
        assert_non_null(record_type_text((enum record_type)i));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

// ---- without its body ----

static void make_data(struct fixture *f)
{
    struct record_draft draft;
    f->fields.type = RECORD_DATA;
    f->fields.parent_count = 2;
    buffer_clear(&f->bytes);
    assert_int_equal(record_draft_begin(&draft, &f->bytes, &f->fields, 400), STATUS_OK);
    memset(draft.body, 7, 400);
    f->hash = record_draft_finish(&draft, f->key);
}

static void a_pruned_record_keeps_its_hash_and_its_signature(void **state)
{
    struct fixture *f = *state;
    struct record whole, pruned;
    struct buffer bytes = BUFFER_EMPTY;
    make_data(f);
    assert_int_equal(record_decode(&whole, f->bytes.bytes, f->bytes.length), STATUS_OK);
    assert_int_equal(record_prune(&bytes, &whole), STATUS_OK);
    assert_int_equal(bytes.length, f->bytes.length - 400);
    assert_int_equal(record_length(bytes.bytes, bytes.length), bytes.length);
    assert_int_equal(record_decode_stored(&pruned, bytes.bytes, bytes.length), STATUS_OK);
    assert_true(pruned.is_pruned);
    assert_int_equal(pruned.body.length, 0);
    assert_true(hash_equal(&pruned.hash, &f->hash));
    assert_true(hash_equal(&pruned.body_hash, &whole.body_hash));
    assert_int_equal(record_verify(&pruned, &f->public_key), STATUS_OK);
    assert_int_equal(record_decode_stored(&pruned, f->bytes.bytes, f->bytes.length), STATUS_OK);
    assert_false(pruned.is_pruned);
    buffer_release(&bytes);
}

static void p2_a_record_without_its_body_is_no_whole_one(void **state)
{
    struct fixture *f = *state;
    struct record whole, pruned;
    struct buffer bytes = BUFFER_EMPTY;
    make_data(f);
    assert_int_equal(record_decode(&whole, f->bytes.bytes, f->bytes.length), STATUS_OK);
    assert_int_equal(record_prune(&bytes, &whole), STATUS_OK);
    assert_int_equal(record_decode(&pruned, bytes.bytes, bytes.length), STATUS_MALFORMED);
    bytes.bytes[RESERVED_OFFSET] = 2;
    assert_int_equal(record_decode_stored(&pruned, bytes.bytes, bytes.length), STATUS_MALFORMED);
    bytes.bytes[RESERVED_OFFSET] = 1;
    bytes.bytes[TYPE_OFFSET] = RECORD_EOE;  // whose body every replica needs
    assert_int_equal(record_decode_stored(&pruned, bytes.bytes, bytes.length), STATUS_MALFORMED);
    buffer_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_back_every_field),
        TEST(a_pruned_record_keeps_its_hash_and_its_signature),
        TEST(p2_a_record_without_its_body_is_no_whole_one),
        TEST(p2_a_flipped_byte_is_seen_by_hash_or_signature),
        TEST(refuses_a_record_cut_or_lengthened_anywhere),
        TEST(a_changed_body_is_forged),
        TEST(refuses_each_impossible_header),
        TEST(tells_its_length_from_the_header_alone),
        TEST(another_key_did_not_sign),
        TEST(every_type_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
