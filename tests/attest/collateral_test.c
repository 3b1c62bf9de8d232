/* tests/attest/collateral_test.c */

/*
 * Goal: a bundle gives back the documents that were put in, and nothing else is a bundle.
 * Method: round trips of every kind; cut, reordered, repeated and unknown documents.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "attest/collateral.h"

static void gives_back_what_was_put_in(void **state)
{
    (void)state;
    for (size_t kind = 0; kind < COLLATERAL_KIND_COUNT; kind++) {
        struct collateral collateral = {.documents = {{.at = NULL}}}, again;
        struct buffer bundle = BUFFER_EMPTY;
        collateral.documents[kind] = bytes_text("document");
        collateral.documents[COLLATERAL_KIND_COUNT - 1] = bytes_text("last");
        assert_int_equal(collateral_encode(&collateral, &bundle), STATUS_OK);
        assert_int_equal(collateral_decode(&again, buffer_bytes(&bundle)), STATUS_OK);
        for (size_t i = 0; i < COLLATERAL_KIND_COUNT; i++) {
            assert_true(bytes_equal(again.documents[i], collateral.documents[i]));
        }
        buffer_release(&bundle);
    }
}

static void nothing_is_a_bundle_without_documents(void **state)
{
    (void)state;
    struct collateral collateral;
    assert_int_equal(collateral_decode(&collateral, bytes_of(NULL, 0)), STATUS_OK);
    for (size_t i = 0; i < COLLATERAL_KIND_COUNT; i++) {
        assert_int_equal(collateral.documents[i].length, 0);
    }
}

static void a_cut_bundle_is_refused(void **state)
{
    (void)state;
    struct collateral collateral = {.documents = {{.at = NULL}}};
    struct buffer bundle = BUFFER_EMPTY;
    collateral.documents[COLLATERAL_ARK] = bytes_text("document");
    assert_int_equal(collateral_encode(&collateral, &bundle), STATUS_OK);
    for (size_t length = 1; length < bundle.length; length++) {
        enum status expected = length == 4 ? STATUS_OK : STATUS_MALFORMED;  // the magic alone
        assert_int_equal(collateral_decode(&collateral, bytes_of(bundle.bytes, length)), expected);
    }
    buffer_release(&bundle);
}

static void documents_ascend_are_known_and_hold_something(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
    } bundles[] = {
        {"PVB1\2\0\0\0\1\0\0\0a\1\0\0\0\1\0\0\0a", 22},  // descending
        {"PVB1\2\0\0\0\1\0\0\0a\2\0\0\0\1\0\0\0a", 22},  // twice
        {"PVB1\14\0\0\0\1\0\0\0a", 13},                  // a kind that has no number
        {"PVB1\2\0\0\0\0\0\0\0", 12},                    // empty
        {"PVB2\2\0\0\0\1\0\0\0a", 13},                   // another magic
    };
    for (size_t i = 0; i < sizeof bundles / sizeof *bundles; i++) {
        struct collateral collateral;
        struct bytes bytes = bytes_of(bundles[i].bytes, bundles[i].length);
        assert_int_equal(collateral_decode(&collateral, bytes), STATUS_MALFORMED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_back_what_was_put_in),
        cmocka_unit_test(nothing_is_a_bundle_without_documents),
        cmocka_unit_test(a_cut_bundle_is_refused),
        cmocka_unit_test(documents_ascend_are_known_and_hold_something),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
