/* src/serve/percent.c */
#include "serve/percent.h"

static int digit_value(uint8_t digit)
{
    if ('0' <= digit && digit <= '9') {
        return digit - '0';
    }
    if ('a' <= digit && digit <= 'f') {
        return digit - 'a' + 10;
    }
    if ('A' <= digit && digit <= 'F') {
        return digit - 'A' + 10;
    }
    return -1;
}

/* `plus` is what a '+' stands for. */
static bool decode(uint8_t *target, size_t capacity, size_t *length, struct bytes text,
                   uint8_t plus)
{
    size_t written = 0;
    size_t i = 0;
    while (i < text.length) {
        uint8_t byte = text.at[i];
        size_t taken = 1;
        if (byte == '%') {
            if (text.length - i < 3) {
                return false;
            }
            int high = digit_value(text.at[i + 1]);
            int low = digit_value(text.at[i + 2]);
            if (high < 0 || low < 0) {
                return false;
            }
            byte = (uint8_t)(high << 4 | low);
            taken = 3;
        } else if (byte == '+') {
            byte = plus;
        }
        if (byte == 0 || written == capacity) {
            return false;
        }
        target[written] = byte;
        written++;
        i += taken;
    }
    *length = written;
    return true;
}

bool percent_decode(uint8_t *target, size_t capacity, size_t *length, struct bytes text)
{
    return decode(target, capacity, length, text, '+');
}

bool percent_decode_query(uint8_t *target, size_t capacity, size_t *length, struct bytes text)
{
    return decode(target, capacity, length, text, ' ');
}
