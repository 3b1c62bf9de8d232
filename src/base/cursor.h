/* src/base/cursor.h */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/*
 * cursor: reads little-endian fields from hostile bytes. It fails once and
 * stays failed: after a read beyond the end every further read gives zero (or
 * NULL), so that a decoder reads like its format and tests `failed` at its end.
 */
struct cursor {
    const uint8_t *at;
    size_t left;
    bool failed;
};

struct cursor cursor_over(const void *bytes, size_t length);

uint8_t cursor_u8(struct cursor *in);
uint16_t cursor_u16(struct cursor *in);
uint32_t cursor_u32(struct cursor *in);
uint64_t cursor_u64(struct cursor *in);

/* LEB128, at most 10 bytes. An overlong form fails: one value has one encoding. */
uint64_t cursor_varint(struct cursor *in);

/* Borrow the next `length` bytes. NULL when there are fewer (or on failure); never NULL else. */
const uint8_t *cursor_take(struct cursor *in, size_t length);

/* The same as a run; empty on failure. */
struct bytes cursor_bytes(struct cursor *in, size_t length);

/* The same with the length before it: u32 length ‖ bytes. */
struct bytes cursor_run(struct cursor *in);

/* Copy the next `length` bytes to `target`; zeroes on failure. */
void cursor_copy(struct cursor *in, void *target, size_t length);

/* Whether everything was read and nothing failed: what a decoder asks at its end. */
bool cursor_done(const struct cursor *in);

#endif
