/* tests/base/date_test.c */

/*
 * Goal: a date has one Unix time, and what is no date has none.
 * Method: known pairs, both ways; the days around each leap day; texts that are almost dates.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/date.h"

static void dates_and_unix_times_are_the_same_both_ways(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t unix_s;
    } pairs[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1999-12-31T23:59:59Z", 946684799},
        {"2000-02-29T12:00:00Z", 951825600},
        {"2026-06-08T13:24:22Z", 1780925062},
        {"2100-03-01T00:00:00Z", 4107542400},
        {"2400-02-29T00:00:00Z", 13574563200},
        {"9999-12-31T23:59:59Z", 253402300799},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        uint64_t unix_s = 1;
        char text[DATE_TEXT_BYTES];
        assert_true(date_parse(&unix_s, bytes_text(pairs[i].text)));
        assert_int_equal(unix_s, pairs[i].unix_s);
        date_text(text, pairs[i].unix_s);
        assert_string_equal(text, pairs[i].text);
    }
}

static void every_day_follows_the_one_before(void **state)
{
    (void)state;
    for (uint64_t day = 0; day < 366 * 500; day++) {
        char text[DATE_TEXT_BYTES];
        uint64_t unix_s;
        date_text(text, day * 86400);
        assert_true(date_parse(&unix_s, bytes_text(text)));
        assert_int_equal(unix_s, day * 86400);
    }
}

static void a_fraction_and_an_offset_are_understood(void **state)
{
    (void)state;
    uint64_t unix_s;
    assert_true(date_parse(&unix_s, bytes_text("2026-06-08T15:24:22+02:00")));
    assert_int_equal(unix_s, 1780925062);
    assert_true(date_parse(&unix_s, bytes_text("2026-06-08T08:54:22.75-04:30")));
    assert_int_equal(unix_s, 1780925062);
    assert_true(date_parse(&unix_s, bytes_text("2026-06-08t13:24:22z")));
    assert_int_equal(unix_s, 1780925062);
}

static void what_is_no_date_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "2026",
        "2026-06-08T13:24:22",
        "2026-06-08T13:24:22Z ",
        "2026-06-08 13:24:22Z",
        "2026-06-08T13:24:22.Z",
        "2026-06-08T13:24:22+02:0",
        "2026-06-08T13:24:22+24:00",
        "2026-06-08T13:24:60Z",
        "2026-06-08T24:00:00Z",
        "2026-06-31T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+01:00",
        "+026-06-08T13:24:22Z",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        uint64_t unix_s = 77;
        if (date_parse(&unix_s, bytes_text(texts[i]))) {
            fail_msg("'%s' was taken for a date", texts[i]);
        }
        assert_int_equal(unix_s, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_and_unix_times_are_the_same_both_ways),
        cmocka_unit_test(every_day_follows_the_one_before),
        cmocka_unit_test(a_fraction_and_an_offset_are_understood),
        cmocka_unit_test(what_is_no_date_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
