/* src/serve/percent.h */
#ifndef SERVE_PERCENT_H
#define SERVE_PERCENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/*
 * Percent-encoding (RFC 3986), strict: every '%' is followed by two
 * hexadecimal digits, and no byte, plain or decoded, is NUL.
 */

/*
 * Decode `text` into `target`, which may be `text` itself: the result is never
 * longer. False, and `target` undefined: not strict, or over `capacity` bytes.
 */
bool percent_decode(uint8_t *target, size_t capacity, size_t *length, struct bytes text);

/* The same for a query, where '+' is a space, as in what HTML forms send. */
bool percent_decode_query(uint8_t *target, size_t capacity, size_t *length, struct bytes text);

#endif
