/* src/base/checked.h */
#ifndef BASE_CHECKED_H
#define BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Arithmetic on sizes that come from input. Each returns true and writes the
 * result, or returns false on overflow and leaves it alone.
 */
static inline bool checked_add(size_t *sum, size_t a, size_t b)
{
    size_t result;
    if (__builtin_add_overflow(a, b, &result)) {
        return false;
    }
    *sum = result;
    return true;
}

static inline bool checked_multiply(size_t *product, size_t a, size_t b)
{
    size_t result;
    if (__builtin_mul_overflow(a, b, &result)) {
        return false;
    }
    *product = result;
    return true;
}

static inline bool checked_add_u64(uint64_t *sum, uint64_t a, uint64_t b)
{
    uint64_t result;
    if (__builtin_add_overflow(a, b, &result)) {
        return false;
    }
    *sum = result;
    return true;
}

#endif
