/* src/base/date.h */
#ifndef BASE_DATE_H
#define BASE_DATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

/* date: Unix times as people and vendors write them, in UTC, without a time zone's file. */
enum { DATE_TEXT_BYTES = 21 };

/* A day of the Gregorian calendar and a time of day. Months and days are counted from 1. */
struct date {
    uint32_t year;  // 1970 to 9999
    uint32_t month;
    uint32_t day;
    uint32_t hour;
    uint32_t minute;
    uint32_t second;  // 0 to 59: a leap second has no Unix time
};

/* False, and `*unix_s` as it was: there is no such day or time. */
bool date_to_unix(uint64_t *unix_s, const struct date *date);

/*
 * RFC 3339, as "2026-06-08T11:32:35Z": also with a fraction, which is dropped, with an offset such
 * as +02:00, and with a small t and z; nothing around it. False: `*unix_s` is as it was.
 */
bool date_parse(uint64_t *unix_s, struct bytes text);

/* Write such a text and a NUL. A time after the year 9999 is written as its last second. */
void date_text(char text[DATE_TEXT_BYTES], uint64_t unix_s);

#endif
