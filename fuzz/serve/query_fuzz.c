/* fuzz/serve/query_fuzz.c */

/* Every query ends, in fields within their bounds or in a refusal. */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "serve/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct bytes rest = bytes_of(bytes, length);
    struct query_field field;
    for (;;) {
        size_t before = rest.length;
        if (query_next(&field, &rest) != STATUS_OK) {
            return 0;
        }
        CHECK(rest.length < before);
        CHECK(0 < field.name_bytes && field.name_bytes <= QUERY_NAME_BYTES_MAX);
        CHECK(field.value_bytes <= QUERY_VALUE_BYTES_MAX);
        CHECK(memchr(field.name, 0, field.name_bytes) == NULL);
        CHECK(memchr(field.value, 0, field.value_bytes) == NULL);
    }
}
