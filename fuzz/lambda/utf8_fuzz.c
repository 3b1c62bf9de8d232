/* fuzz/lambda/utf8_fuzz.c */

/*
 * Whatever the bytes, decoding stays within its room; what it gives encodes
 * without a lone surrogate, and decodes to itself.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "lambda/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    uint16_t *units = malloc((length + 1) * sizeof *units);
    CHECK(units != NULL);
    size_t count = utf8_decode(units, bytes_of(bytes, length));
    CHECK(count <= length);

    struct buffer text = BUFFER_EMPTY;
    bool is_well_formed = false;
    CHECK(utf8_encode(&text, units, count, &is_well_formed) == STATUS_OK);
    CHECK(is_well_formed);

    uint16_t *again = malloc((text.length + 1) * sizeof *again);
    CHECK(again != NULL);
    CHECK(utf8_decode(again, buffer_bytes(&text)) == count);
    CHECK(count == 0 || memcmp(again, units, count * sizeof *units) == 0);
    free(again);
    free(units);
    buffer_release(&text);
    return 0;
}
