/* tests/attest/pem_test.c */

/*
 * Goal: one block stands for one run of bytes: whatever could be read in two ways is refused, and
 * no single bit turns a block into words around it.
 * Method: blocks as they are written, with words around them, and all that is almost one.
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

static void lines_of_text_around_blocks_explain_them(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "# the chip's\n" BEGIN "YWJj\n" END "\n",
        "subject=/CN=SEV-VCEK\r\n\r\n  Serial: 0 (0x0)\r\n" BEGIN "YWJj\n" END "\r\n\r\n",
        "\n \n\t\n" BEGIN "YWJj\n" END "\n--\nBag Attributes: - none\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct buffer der = BUFFER_EMPTY;
        struct bytes rest = bytes_text(texts[i]);
        assert_true(pem_is_text(rest));
        assert_int_equal(next(&der, &rest), STATUS_OK);
        assert_true(bytes_equal(buffer_bytes(&der), bytes_text("abc")));
        assert_int_equal(next(&der, &rest), STATUS_EMPTY);
        buffer_release(&der);
    }
}

static void what_holds_no_block_is_no_text(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "\n", "0", "# words\n", ("words " BEGIN), "3081\n", "0\x82", "-----BEGIN"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_false(pem_is_text(bytes_text(texts[i])));
    }
}

static void no_bit_of_a_block_can_change(void **state)
{
    (void)state;
    char text[] = BEGIN "YWJj\n" END "\n" BEGIN "YWJj\n" END "\n";  // with the zero that ends it
    for (size_t bit = 0; bit < 8 * sizeof text; bit++) {
        struct buffer der = BUFFER_EMPTY;
        struct bytes rest = bytes_of(text, sizeof text);
        enum status status = STATUS_OK;
        size_t same_count = 0;
        text[bit / 8] ^= (char)(1 << bit % 8);
        while ((status = next(&der, &rest)) == STATUS_OK) {
            same_count += bytes_equal(buffer_bytes(&der), bytes_text("abc"));
        }
        if (status == STATUS_EMPTY && same_count == 2) {
            fail_msg("bit %zu of byte %zu can change", bit % 8, bit / 8);
        }
        text[bit / 8] ^= (char)(1 << bit % 8);
        buffer_release(&der);
    }
}

static void what_is_almost_a_block_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "certificate" BEGIN "YWJj\n" END,         // words before it on its line
        BEGIN "YWJj\n" END " words\n",            // or behind it
        "\x01\n" BEGIN "YWJj\n" END,              // no words
        "\xe2\x80\xa6\n" BEGIN "YWJj\n" END,      // nor ASCII
        "words",                                  // and nothing else
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
        enum status status = next(&der, &rest);
        status = status == STATUS_OK ? next(&der, &rest) : status;
        if (status != STATUS_MALFORMED) {
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
        cmocka_unit_test(lines_of_text_around_blocks_explain_them),
        cmocka_unit_test(what_holds_no_block_is_no_text),
        cmocka_unit_test(no_bit_of_a_block_can_change),
        cmocka_unit_test(what_is_almost_a_block_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
