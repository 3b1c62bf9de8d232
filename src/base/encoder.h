/* src/base/encoder.h */
#ifndef BASE_ENCODER_H
#define BASE_ENCODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"

/*
 * encoder: writes little-endian fields into memory of the caller's. Like the
 * cursor it fails once and stays failed: a field that does not fit is not
 * written, nor is any after it.
 */
struct encoder {
    uint8_t *start;  // borrowed
    size_t capacity;
    size_t length;  // bytes written
    bool failed;
};

struct encoder encoder_over(void *start, size_t capacity);

/*
 * Write `length` bytes behind the end of `target`, which has them from encoder_finish() on; nobody
 * else changes it in between. STATUS_NO_MEMORY: nothing changed.
 */
MUST_CHECK enum status encoder_begin(struct encoder *out, struct buffer *target, size_t length);

/* All of them are written: anything else is a mistake of ours. */
void encoder_finish(const struct encoder *out, struct buffer *target);

void encoder_u8(struct encoder *out, uint8_t value);
void encoder_u16(struct encoder *out, uint16_t value);
void encoder_u32(struct encoder *out, uint32_t value);
void encoder_u64(struct encoder *out, uint64_t value);
void encoder_varint(struct encoder *out, uint64_t value);
void encoder_bytes(struct encoder *out, const void *bytes, size_t length);

/* u32 length ‖ bytes. */
void encoder_run(struct encoder *out, struct bytes run);

/* Reserve `length` bytes to be filled by the caller. NULL when they do not fit. */
uint8_t *encoder_reserve(struct encoder *out, size_t length);

enum { ENCODER_VARINT_BYTES_MAX = 10 };

/* Bytes that encoder_varint() writes for `value`: 1 to 10. */
size_t encoder_varint_bytes(uint64_t value);

#endif
