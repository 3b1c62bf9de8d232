/* src/base/hex.c */
#include "base/hex.h"

void hex_encode(char *text, const void *bytes, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *source = bytes;
    for (size_t i = 0; i < length; i++) {
        text[2 * i] = digits[source[i] >> 4];
        text[2 * i + 1] = digits[source[i] & 15];
    }
    text[2 * length] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

bool hex_decode(void *bytes, size_t length, const char *text, size_t text_length)
{
    uint8_t *target = bytes;
    if (text_length % 2 != 0 || text_length / 2 != length) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        int high = hex_digit(text[2 * i]);
        int low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        target[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
