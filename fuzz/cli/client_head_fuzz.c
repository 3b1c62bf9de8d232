/* fuzz/cli/client_head_fuzz.c */

/* A response's head lies within its bytes, and each of its fields within the head. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "cli/client_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct client_head head;
    struct bytes value;
    if (client_head_parse(&head, bytes_of(bytes, length)) != STATUS_OK) {
        return 0;
    }
    CHECK(head.head_bytes <= length && 100 <= head.status && head.status <= 599);
    CHECK(head.fields.length <= head.head_bytes);
    bool has_length = client_head_field(&head, "content-length", &value);
    CHECK(has_length == head.has_length);
    CHECK(!has_length || (value.at >= bytes && value.at + value.length <= bytes + length));
    return 0;
}
