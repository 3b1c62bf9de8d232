/* src/base/bytes.h */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A borrowed run of bytes. `at` may be NULL when `length` is 0. */
struct bytes {
    const uint8_t *at;
    size_t length;
};

static inline struct bytes bytes_of(const void *at, size_t length)
{
    return (struct bytes){.at = at, .length = length};
}

/* The characters of a string, without its end. */
static inline struct bytes bytes_text(const char *text)
{
    return bytes_of(text, strlen(text));
}

/* Whether two public runs are the same. Secrets are compared only by crypto_equal(). */
static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.at, b.at, a.length) == 0);
}

/* Order by content, shorter first where one begins the other: <0, 0, >0. */
static inline int bytes_compare(struct bytes a, struct bytes b)
{
    size_t shorter = a.length < b.length ? a.length : b.length;
    int order = shorter == 0 ? 0 : memcmp(a.at, b.at, shorter);
    if (order != 0) {
        return order;
    }
    return a.length < b.length ? -1 : a.length > b.length ? 1 : 0;
}

static inline bool bytes_start_with(struct bytes whole, struct bytes prefix)
{
    return whole.length >= prefix.length && bytes_equal(bytes_of(whole.at, prefix.length), prefix);
}

#endif
