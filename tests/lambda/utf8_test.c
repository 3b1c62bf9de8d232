/* tests/lambda/utf8_test.c */

/*
 * Goal: text survives the way into UTF-16 and back, and what is no text
 * becomes U+FFFD, in the number that the Unicode Standard recommends.
 * Method: known pairs, both ways; then one-way cases.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lambda/utf8.h"

enum { UNIT_COUNT_MAX = 16 };

struct pair {
    struct bytes text;
    uint16_t units[UNIT_COUNT_MAX];
    size_t count;
};

static void assert_decodes(const struct pair *pair)
{
    uint16_t units[UNIT_COUNT_MAX];
    assert_true(pair->text.length <= UNIT_COUNT_MAX);
    assert_int_equal(utf8_decode(units, pair->text), pair->count);
    assert_memory_equal(units, pair->units, pair->count * sizeof *units);
}

static void text_survives_both_ways(void **state)
{
    (void)state;
    const struct pair pairs[] = {
        {bytes_of("a\0\x7f", 3), {'a', 0, 0x7f}, 3},
        {bytes_of("\xc2\x80\xdf\xbf", 4), {0x80, 0x7ff}, 2},
        {bytes_of("\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf", 12),
         {0x800, 0xd7ff, 0xe000, 0xffff},
         4},
        {bytes_of("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 8), {0xd800, 0xdc00, 0xdbff, 0xdfff}, 4},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        assert_decodes(&pairs[i]);
        struct buffer back = BUFFER_EMPTY;
        bool is_well_formed = false;
        assert_int_equal(utf8_encode(&back, pairs[i].units, pairs[i].count, &is_well_formed),
                         STATUS_OK);
        assert_true(is_well_formed);
        assert_true(bytes_equal(buffer_bytes(&back), pairs[i].text));
        buffer_release(&back);
    }
}

static void each_maximal_wrong_part_becomes_one_replacement(void **state)
{
    (void)state;
    const struct pair pairs[] = {
        {bytes_of("\x80\xbf", 2), {0xfffd, 0xfffd}, 2},  // nothing to continue
        {bytes_of("\xc0\x80", 2), {0xfffd, 0xfffd}, 2},  // overlong
        {bytes_of("\xe0\x80\x80", 3), {0xfffd, 0xfffd, 0xfffd}, 3},
        {bytes_of("\xed\xa0\x80", 3), {0xfffd, 0xfffd, 0xfffd}, 3},  // a surrogate
        {bytes_of("\xf4\x90\x80\x80", 4), {0xfffd, 0xfffd, 0xfffd, 0xfffd}, 4},
        {bytes_of("\xf5\xff", 2), {0xfffd, 0xfffd}, 2},
        {bytes_of("\xe2\x82x", 3), {0xfffd, 'x'}, 2},  // cut short
        {bytes_of("\xf0\x9f\x98", 3), {0xfffd}, 1},
        {bytes_of("\xc3", 1), {0xfffd}, 1},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        assert_decodes(&pairs[i]);
    }
}

static void a_lone_surrogate_is_replaced_and_told(void **state)
{
    (void)state;
    static const uint16_t UNITS[] = {0xd800, 'a', 0xdc00, 0xd800, 0xd800, 0xdc00, 0xdbff};
    static const char EXPECTED[] =
        "\xef\xbf\xbd"
        "a\xef\xbf\xbd\xef\xbf\xbd\xf0\x90\x80\x80\xef\xbf\xbd";
    struct buffer text = BUFFER_EMPTY;
    bool is_well_formed = true;
    assert_int_equal(utf8_encode(&text, UNITS, 7, &is_well_formed), STATUS_OK);
    assert_false(is_well_formed);
    assert_true(bytes_equal(buffer_bytes(&text), bytes_text(EXPECTED)));
    buffer_release(&text);
}

static void plain_means_neither_nul_nor_high(void **state)
{
    (void)state;
    assert_true(utf8_is_plain(bytes_of(NULL, 0)));
    assert_true(utf8_is_plain(bytes_text("\x01 az\x7f")));
    assert_false(utf8_is_plain(bytes_of("a\0", 2)));
    assert_false(utf8_is_plain(bytes_text("a\x80")));
    assert_false(utf8_is_plain(bytes_text("\xff")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_survives_both_ways),
        cmocka_unit_test(each_maximal_wrong_part_becomes_one_replacement),
        cmocka_unit_test(a_lone_surrogate_is_replaced_and_told),
        cmocka_unit_test(plain_means_neither_nul_nor_high),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
