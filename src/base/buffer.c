/* src/base/buffer.c */
#include "base/buffer.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

enum { BUFFER_BYTES_MIN = 256 };

void buffer_wipe(void *bytes, size_t length)
{
    if (length > 0) {
        explicit_bzero(bytes, length);
    }
}

void buffer_release(struct buffer *buffer)
{
    buffer_wipe(buffer->bytes, buffer->length);
    free(buffer->bytes);
    *buffer = BUFFER_EMPTY;
}

enum status buffer_reserve(struct buffer *buffer, size_t extra)
{
    size_t needed;
    if (!checked_add(&needed, buffer->length, extra)) {
        return STATUS_NO_MEMORY;
    }
    if (needed <= buffer->capacity) {
        return STATUS_OK;
    }
    size_t capacity = buffer->capacity < BUFFER_BYTES_MIN ? BUFFER_BYTES_MIN : buffer->capacity;
    while (capacity < needed) {
        if (!checked_multiply(&capacity, capacity, 2)) {
            return STATUS_NO_MEMORY;
        }
    }
    // Not realloc(): it would leave the old bytes behind unwiped.
    uint8_t *bytes = malloc(capacity);
    if (bytes == NULL) {
        return STATUS_NO_MEMORY;
    }
    if (buffer->length > 0) {
        memcpy(bytes, buffer->bytes, buffer->length);
        buffer_wipe(buffer->bytes, buffer->length);
    }
    free(buffer->bytes);
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return STATUS_OK;
}

enum status buffer_append(struct buffer *buffer, const void *bytes, size_t length)
{
    enum status status = buffer_reserve(buffer, length);
    if (status != STATUS_OK) {
        return status;
    }
    if (length > 0) {
        memcpy(buffer->bytes + buffer->length, bytes, length);
        buffer->length += length;
    }
    return STATUS_OK;
}

void buffer_clear(struct buffer *buffer)
{
    buffer_wipe(buffer->bytes, buffer->length);
    buffer->length = 0;
}

void buffer_recycle(struct buffer *buffer, size_t kept_bytes_max)
{
    if (buffer->capacity > kept_bytes_max) {
        buffer_release(buffer);
    } else {
        buffer_clear(buffer);
    }
}

void buffer_consume(struct buffer *buffer, size_t length)
{
    if (length >= buffer->length) {
        buffer_clear(buffer);
        return;
    }
    memmove(buffer->bytes, buffer->bytes + length, buffer->length - length);
    buffer_wipe(buffer->bytes + buffer->length - length, length);
    buffer->length -= length;
}
