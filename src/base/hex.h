/* src/base/hex.h */
#ifndef BASE_HEX_H
#define BASE_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Write 2 * length lower-case digits and a NUL to `text`. */
void hex_encode(char *text, const void *bytes, size_t length);

/*
 * Read exactly `length` bytes from the first 2 * length characters of `text`,
 * which is `text_length` long. False, and `bytes` undefined, when the length
 * differs or a character is no hexadecimal digit.
 */
bool hex_decode(void *bytes, size_t length, const char *text, size_t text_length);

#endif
