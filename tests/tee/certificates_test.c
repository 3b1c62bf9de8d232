/* tests/tee/certificates_test.c */

/*
 * Goal: a host's table of certificates gives what it holds and nothing beyond its own bytes.
 * Method: tables by hand, cut at every length and with every offset and length of an entry.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tee/certificates.h"

// Entries of a VCEK, of something unknown, and the end; then "key" and "junk".
static const uint8_t TABLE[] = {
    0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9,  //
    0x3b, 0xe8, 0xac, 0xcd, 72,   0,    0,    0,    3,    0,    0,    0,     //
    1,    1,    1,    1,    1,    1,    1,    1,    1,    1,    1,    1,     //
    1,    1,    1,    1,    75,   0,    0,    0,    4,    0,    0,    0,     //
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,     //
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,     //
    'k',  'e',  'y',  'j',  'u',  'n',  'k',
};
enum { OFFSET_AT = 16, LENGTH_AT = 20 };

static void known_documents_are_found_and_others_left_alone(void **state)
{
    (void)state;
    struct collateral collateral = {.documents = {[COLLATERAL_ARK] = bytes_text("mine")}};
    assert_int_equal(certificates_decode(&collateral, bytes_of(TABLE, sizeof TABLE)), STATUS_OK);
    assert_true(bytes_equal(collateral.documents[COLLATERAL_VCEK], bytes_text("key")));
    assert_true(bytes_equal(collateral.documents[COLLATERAL_ARK], bytes_text("mine")));
    assert_int_equal(collateral.documents[COLLATERAL_VLEK].length, 0);
    assert_int_equal(certificates_decode(&collateral, bytes_of(NULL, 0)), STATUS_OK);
}

static void a_table_without_an_end_or_that_points_outside_is_refused(void **state)
{
    (void)state;
    struct collateral collateral = {.documents = {{.at = NULL}}};
    for (size_t length = 1; length < sizeof TABLE; length++) {
        assert_int_equal(certificates_decode(&collateral, bytes_of(TABLE, length)),
                         STATUS_MALFORMED);
    }
    static const uint32_t numbers[] = {sizeof TABLE + 1, 1u << 31, UINT32_MAX, UINT32_MAX - 71};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        for (size_t at = OFFSET_AT; at <= LENGTH_AT; at += 4) {
            uint8_t table[sizeof TABLE];
            memcpy(table, TABLE, sizeof table);
            for (size_t byte = 0; byte < 4; byte++) {
                table[at + byte] = (uint8_t)(numbers[i] >> 8 * byte);
            }
            assert_int_equal(certificates_decode(&collateral, bytes_of(table, sizeof table)),
                             STATUS_MALFORMED);
        }
    }
    uint8_t endless[24 * 80];
    memset(endless, 1, sizeof endless);
    for (size_t entry = 0; entry < sizeof endless; entry += 24) {
        memset(endless + entry + OFFSET_AT, 0, 8);
    }
    assert_int_equal(certificates_decode(&collateral, bytes_of(endless, sizeof endless)),
                     STATUS_MALFORMED);
    assert_int_equal(collateral.documents[COLLATERAL_VCEK].length, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_documents_are_found_and_others_left_alone),
        cmocka_unit_test(a_table_without_an_end_or_that_points_outside_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
