/* src/lambda/utf8.h */
#ifndef LAMBDA_UTF8_H
#define LAMBDA_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"

/*
 * utf8: between the bytes of requests and stores and the UTF-16 of JavaScript.
 * Whatever is ill-formed becomes U+FFFD, one for each maximal wrong part, as
 * browsers do it; the flag says that it happened.
 */

/* Whether there is neither a byte above 0x7f nor a NUL. */
bool utf8_is_plain(struct bytes text);

/*
 * Decode `text` to `units`, which has room for `text.length` units, never more
 * than that being needed. The count of units written.
 */
size_t utf8_decode(uint16_t *units, struct bytes text);

/*
 * Append the encoding of `units` to `target`. `*is_well_formed` tells whether
 * there was no lone surrogate. STATUS_NO_MEMORY: `target` may hold a part.
 */
MUST_CHECK enum status utf8_encode(struct buffer *target, const uint16_t *units, size_t count,
                                   bool *is_well_formed);

#endif
