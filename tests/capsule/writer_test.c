/* tests/capsule/writer_test.c */

/*
 * Goal: an id says whose key it is and for what; ids have one order.
 * Method: fixed keys, and the definition computed by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "capsule/writer.h"
#include "crypto/crypto.h"

static const struct verify_key KEY = {.bytes = {1, 2, 3}};

static int setup(void **state)
{
    (void)state;
    crypto_init();
    return 0;
}

static void an_id_is_the_start_of_a_hash_that_names_its_purpose(void **state)
{
    (void)state;
    uint8_t message[18 + SIGN_PUBLIC_BYTES];
    memcpy(message, "paranoid writer v1", 18);
    memcpy(message + 18, KEY.bytes, sizeof KEY.bytes);
    struct hash hash = hash_of(message, sizeof message);
    struct writer_id id = writer_id_of(&KEY);
    assert_memory_equal(id.bytes, hash.bytes, WRITER_ID_BYTES);
}

static void a_store_and_a_writer_of_one_key_have_different_ids(void **state)
{
    (void)state;
    struct writer_id writer = writer_id_of(&KEY), store = writer_store_id_of(&KEY);
    assert_false(writer_id_equal(&writer, &store));
}

static void ids_are_ordered_as_big_endian_numbers(void **state)
{
    (void)state;
    struct writer_id low = {.bytes = {0, 0xff}}, high = {.bytes = {1, 0}}, zero = {.bytes = {0}};
    assert_true(writer_id_compare(&low, &high) < 0);
    assert_true(writer_id_compare(&high, &low) > 0);
    assert_int_equal(writer_id_compare(&low, &low), 0);
    assert_true(writer_id_is_zero(&zero));
    assert_false(writer_id_is_zero(&low));
    char text[WRITER_ID_TEXT_BYTES];
    writer_id_text(&low, text);
    assert_string_equal(text, "00ff0000000000000000000000000000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_the_start_of_a_hash_that_names_its_purpose),
        cmocka_unit_test(a_store_and_a_writer_of_one_key_have_different_ids),
        cmocka_unit_test(ids_are_ordered_as_big_endian_numbers),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
