/* tests/attest/pem_test.c */

/*
 * Goal: one text stands for one run of bytes: whatever could be read in two ways is refused.
 * Method: blocks as they are written, and all that is almost one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "attest/pem.h"

#define BEGIN "-----BEGIN CERTIFICATE-----\n"
#define END "-----END CERTIFICATE-----"

static enum status next(struct buffer *der, struct bytes *rest)
{
    return pem_next(der, rest, "CERTIFICATE");
}

static void blocks_are_read_one_after_the_other(void **state)
{
    (void)state;
    struct buffer der = BUFFER_EMPTY;
    struct bytes rest = bytes_text("\r\n" BEGIN "YWJj\r\nZGU=\n" END "\n" BEGIN "YQ==" END);
    assert_true(pem_is_text(rest));
    assert_int_equal(next(&der, &rest), STATUS_OK);
    assert_true(bytes_equal(buffer_bytes(&der), bytes_text("abcde")));
    assert_int_equal(next(&der, &rest), STATUS_OK);
    assert_true(bytes_equal(buffer_bytes(&der), bytes_text("a")));
    assert_int_equal(next(&der, &rest), STATUS_EMPTY);
    buffer_release(&der);
}

static void zeroes_end_a_text(void **state)
{
    (void)state;
    struct buffer der = BUFFER_EMPTY;
    struct bytes rest = bytes_of(BEGIN "YWJj\n" END "\n\0\0", sizeof BEGIN "YWJj\n" END "\n\0\0");
    assert_int_equal(next(&der, &rest), STATUS_OK);
    assert_int_equal(next(&der, &rest), STATUS_EMPTY);
    buffer_release(&der);
}

static void what_is_almost_a_block_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "certificate\n" BEGIN "YWJj\n" END,       // words before it
        BEGIN END,                                // nothing in it
        BEGIN "YWJj",                             // no end
        BEGIN "YWJj\n-----END X509 CRL-----",     // another's end
        "-----BEGIN X509 CRL-----\nYWJj\n" END,   // another's begin
        "-----BEGIN CERTIFICATE-----YWJj\n" END,  // no line of its own
        BEGIN "YWJ\n" END,                        // a sign is missing
        BEGIN "YWI\n" END,                        // padding is missing
        BEGIN "YWJ=\n" END,                       // a bit left over
        BEGIN "YR==\n" END,                       // four bits left over
        BEGIN "Y===\n" END,                       // no whole byte
        BEGIN "Y=Q=\n" END,                       // padding inside
        BEGIN "YQ==YWJj\n" END,                   // something behind the padding
        BEGIN "YW Jj\n" END,                      // a blank
        BEGIN "YWJj\n-" END,                      // a dash too many
        BEGIN "YW\tJj\n" END,
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct buffer der = BUFFER_EMPTY;
        struct bytes rest = bytes_text(texts[i]);
        if (next(&der, &rest) != STATUS_MALFORMED) {
            fail_msg("text %zu was read", i);
        }
        buffer_release(&der);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_read_one_after_the_other),
        cmocka_unit_test(zeroes_end_a_text),
        cmocka_unit_test(what_is_almost_a_block_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
