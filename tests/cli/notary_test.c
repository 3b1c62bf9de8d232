/* tests/cli/notary_test.c */

/*
 * Goal: every signature is verified, and of those that are wrong the first one is named.
 * Method: more records than the notary holds, with wrong ones at chosen places.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"
#include "cli/notary.h"
#include "crypto/crypto.h"
#include "tests/support/capsule_world.h"

enum { RECORD_COUNT = 10000 };  // the notary holds 4096 or so

struct fixture {
    struct capsule_world world;
    struct record good, bad;
    struct verify_key key;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    crypto_init();
    capsule_world_init(&f->world, 1, 1, 1, 0);
    capsule_world_start(&f->world);
    f->key = f->world.leader->public_key;
    const struct bytes bytes = capsule_world_record(&f->world, 0);
    CHECK(record_decode(&f->good, bytes.at, bytes.length) == STATUS_OK);
    f->bad = f->good;
    f->bad.signature.bytes[5] ^= 1;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    capsule_world_release(&f->world);
    free(f);
    return 0;
}

/* What it says of so many records, of which these are wrong. */
static size_t settle(const struct fixture *f, size_t count, const size_t *wrong, size_t wrong_count)
{
    struct notary *notary = notary_new();
    for (size_t i = 0; i < count; i++) {
        const struct record *record = &f->good;
        for (size_t j = 0; j < wrong_count; j++) {
            record = wrong[j] == i ? &f->bad : record;
        }
        notary_push(notary, record, &f->key, i);
    }
    size_t least = notary_settle(notary);
    assert_int_equal(notary_has_refused(notary), wrong_count > 0);
    assert_int_equal(notary_settle(notary), least);
    notary_free(notary);
    return least;
}

static void p2_right_ones_pass_however_many(void **state)
{
    const size_t counts[] = {0, 1, 63, 64, 65, 128, RECORD_COUNT};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        assert_true(settle(*state, counts[i], NULL, 0) == SIZE_MAX);
    }
}

static void p2_a_wrong_one_is_found_wherever_it_is(void **state)
{
    const size_t places[] = {0, 1, 63, 64, 65, 4095, 4096, 5000};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        assert_int_equal(settle(*state, 5001, &places[i], 1), places[i]);
    }
}

static void p2_of_several_the_first_is_named(void **state)
{
    const size_t wrong[] = {4000, 130, 4999, 131};
    assert_int_equal(settle(*state, 5000, wrong, 4), 130);
}

static void nothing_is_left_of_one_that_is_given_up(void **state)
{
    const struct fixture *f = *state;
    struct notary *notary = notary_new();
    for (size_t i = 0; i < 100; i++) {
        notary_push(notary, &f->good, &f->key, i);
    }
    notary_free(notary);
    notary_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(p2_right_ones_pass_however_many, setup, teardown),
        cmocka_unit_test_setup_teardown(p2_a_wrong_one_is_found_wherever_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(p2_of_several_the_first_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_left_of_one_that_is_given_up, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
