/* src/base/buffer.h */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

/*
 * buffer: bytes that grow. Owns its memory. Because a buffer may have held a
 * plaintext, releasing and growing wipe what they leave behind.
 */
struct buffer {
    uint8_t *bytes;
    size_t length;
    size_t capacity;
};

#define BUFFER_EMPTY ((struct buffer){.bytes = NULL})

/* Wipe and free. Releasing the empty buffer does nothing; a released one is empty. */
void buffer_release(struct buffer *buffer);

/* Make room for `extra` bytes beyond the length. STATUS_NO_MEMORY: nothing changed. */
MUST_CHECK enum status buffer_reserve(struct buffer *buffer, size_t extra);

MUST_CHECK enum status buffer_append(struct buffer *buffer, const void *bytes, size_t length);

/* Set the length to 0 and keep the memory for the next use. */
void buffer_clear(struct buffer *buffer);

/* The same, but keep no more than `kept_bytes_max`: for buffers that are used again and again. */
void buffer_recycle(struct buffer *buffer, size_t kept_bytes_max);

/* Drop the first `length` bytes (at most all) and move the rest to the front. */
void buffer_consume(struct buffer *buffer, size_t length);

/* Overwrite in a way that the compiler does not remove. */
void buffer_wipe(void *bytes, size_t length);

static inline struct bytes buffer_bytes(const struct buffer *buffer)
{
    return bytes_of(buffer->bytes, buffer->length);
}

#endif
