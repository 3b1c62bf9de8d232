/* tests/wire/bodies.c */
#include "tests/wire/bodies.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

void bodies_count(void *target, size_t length, uint8_t first)
{
    uint8_t *bytes = target;
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)(first + i);
    }
}

struct hash bodies_hash(uint8_t first)
{
    struct hash hash;
    bodies_count(hash.bytes, sizeof hash.bytes, first);
    return hash;
}

struct sign_key *bodies_sign_key(uint8_t first)
{
    uint8_t seed[SIGN_SEED_BYTES];
    bodies_count(seed, sizeof seed, first);
    return sign_key_new_from_seed(seed);
}

struct secret *bodies_secret(uint8_t first)
{
    uint8_t bytes[SECRET_BYTES];
    bodies_count(bytes, sizeof bytes, first);
    return secret_new_copy(bytes);
}

/* In an allocation of exactly this length: a read beyond it is seen. */
static enum status decode_exactly(struct bytes source, size_t length, bodies_decode decode)
{
    uint8_t *exact = malloc(length);
    assert_true(exact != NULL || length == 0);
    for (size_t i = 0; i < length; i++) {
        exact[i] = i < source.length ? source.at[i] : 0;
    }
    enum status status = decode(bytes_of(exact, length));
    free(exact);
    return status;
}

void bodies_refuse_shorter_than(struct bytes whole, size_t shortest, bodies_decode decode)
{
    for (size_t length = 0; length < shortest; length++) {
        assert_int_equal(decode_exactly(whole, length, decode), STATUS_MALFORMED);
    }
    assert_int_equal(decode_exactly(whole, shortest, decode), STATUS_OK);
    assert_int_equal(decode_exactly(whole, whole.length, decode), STATUS_OK);
}

void bodies_refuse_other_lengths(struct bytes whole, bodies_decode decode)
{
    bodies_refuse_shorter_than(whole, whole.length, decode);
    assert_int_equal(decode_exactly(whole, whole.length + 1, decode), STATUS_MALFORMED);
}

void bodies_assert_equal(struct bytes actual, struct bytes expected)
{
    assert_int_equal(actual.length, expected.length);
    if (actual.length > 0) {
        assert_memory_equal(actual.at, expected.at, expected.length);
    }
}
