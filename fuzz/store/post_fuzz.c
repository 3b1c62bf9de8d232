/* fuzz/store/post_fuzz.c */

/* What a host and a store's process say: each message that decodes encodes to the same bytes. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "store/post.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer again = BUFFER_EMPTY;
    struct post_message message;
    size_t at = 0;
    while (post_decode(&message, bytes_of(data, size), &at) == STATUS_OK) {
        CHECK(post_encode(&again, message.kind, message.client, message.rest) == STATUS_OK);
        CHECK(bytes_equal(buffer_bytes(&again), bytes_of(data, at)));
        struct post_counters counters;
        if (message.kind == POST_COUNTERS &&
            post_counters_decode(&counters, message.rest) == STATUS_OK) {
            struct buffer rest = BUFFER_EMPTY;
            CHECK(post_counters_encode(&rest, &counters) == STATUS_OK);
            CHECK(bytes_equal(buffer_bytes(&rest), message.rest));
            buffer_release(&rest);
        }
    }
    CHECK(at <= size);
    buffer_release(&again);
    return 0;
}
