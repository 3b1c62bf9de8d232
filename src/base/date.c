/* src/base/date.c */
#include "base/date.h"

#include <stddef.h>
#include <stdio.h>

static const uint64_t SECONDS_PER_DAY = 24 * 60 * 60;
static const uint64_t LAST_S = 253402300799;  // 9999-12-31 23:59:59

static bool is_leap(uint32_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static uint32_t days_of_month(uint32_t year, uint32_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year) ? 1u : 0u);
}

/* The days from 1970-01-01 to the first of January of `year`. */
static uint32_t days_before_year(uint32_t year)
{
    uint32_t before = year - 1;
    uint32_t leap_days = before / 4 - before / 100 + before / 400 - 477;  // 477 up to 1969
    return (year - 1970) * 365 + leap_days;
}

bool date_to_unix(uint64_t *unix_s, const struct date *date)
{
    if (date->year < 1970 || date->year > 9999 || date->month < 1 || date->month > 12 ||
        date->day < 1 || date->day > days_of_month(date->year, date->month) || date->hour > 23 ||
        date->minute > 59 || date->second > 59) {
        return false;
    }
    uint64_t days = days_before_year(date->year) + date->day - 1;
    for (uint32_t month = 1; month < date->month; month++) {
        days += days_of_month(date->year, month);
    }
    *unix_s = days * SECONDS_PER_DAY + date->hour * 3600 + date->minute * 60 + date->second;
    return true;
}

/* Read `count` decimal digits from `at`, at most four. False: something else is there. */
static bool read_digits(uint32_t *number, const uint8_t *at, size_t count)
{
    *number = 0;
    for (size_t i = 0; i < count; i++) {
        if (at[i] < '0' || at[i] > '9') {
            return false;
        }
        *number = *number * 10 + (uint32_t)(at[i] - '0');
    }
    return true;
}

/* What follows the seconds: a fraction, and then Z or how far the clock is ahead of UTC. */
static bool read_zone(int64_t *ahead_s, struct bytes text)
{
    size_t at = 0;
    uint32_t hours, minutes;
    if (text.length > 1 && text.at[0] == '.') {
        for (at = 1; at < text.length && text.at[at] >= '0' && text.at[at] <= '9';) {
            at++;
        }
        if (at == 1) {
            return false;
        }
    }
    *ahead_s = 0;
    if (text.length == at + 1) {
        return text.at[at] == 'Z' || text.at[at] == 'z';
    }
    if (text.length != at + 6 || (text.at[at] != '+' && text.at[at] != '-') ||
        !read_digits(&hours, text.at + at + 1, 2) || text.at[at + 3] != ':' ||
        !read_digits(&minutes, text.at + at + 4, 2) || hours > 23 || minutes > 59) {
        return false;
    }
    *ahead_s = (text.at[at] == '+' ? 1 : -1) * (int64_t)(hours * 3600 + minutes * 60);
    return true;
}

bool date_parse(uint64_t *unix_s, struct bytes text)
{
    static const char form[] = "0000-00-00T00:00:00";
    struct date date;
    uint32_t *const fields[] = {&date.year, &date.month,  &date.day,
                                &date.hour, &date.minute, &date.second};
    size_t at = 0;
    uint64_t local_s;
    int64_t ahead_s;
    if (text.length < sizeof form) {
        return false;
    }
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        size_t count = i == 0 ? 4 : 2;
        if (!read_digits(fields[i], text.at + at, count)) {
            return false;
        }
        at += count;
        if (i + 1 < sizeof fields / sizeof *fields) {
            // RFC 3339 lets T and Z be small.
            if (text.at[at] != (uint8_t)form[at] && (form[at] != 'T' || text.at[at] != 't')) {
                return false;
            }
            at++;
        }
    }
    if (!date_to_unix(&local_s, &date) ||
        !read_zone(&ahead_s, bytes_of(text.at + at, text.length - at)) ||
        (int64_t)local_s < ahead_s) {
        return false;
    }
    *unix_s = (uint64_t)((int64_t)local_s - ahead_s);
    return true;
}

void date_text(char text[DATE_TEXT_BYTES], uint64_t unix_s)
{
    uint64_t known_s = unix_s < LAST_S ? unix_s : LAST_S;
    uint32_t days = (uint32_t)(known_s / SECONDS_PER_DAY);
    uint32_t rest = (uint32_t)(known_s % SECONDS_PER_DAY);
    uint32_t year = 1970 + days / 366;  // never too late, and few years too early
    while (year < 9999 && days_before_year(year + 1) <= days) {
        year++;
    }
    uint32_t day = days - days_before_year(year), month = 1;
    while (day >= days_of_month(year, month)) {
        day -= days_of_month(year, month);
        month++;
    }
    // Each is at most four or two digits; the masks say so to the compiler.
    snprintf(text, DATE_TEXT_BYTES, "%04u-%02u-%02uT%02u:%02u:%02uZ", year % 10000, month % 100,
             (day + 1) % 100, rest / 3600 % 100, rest / 60 % 60, rest % 60);
}
