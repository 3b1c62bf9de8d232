/* fuzz/capsule/prune_fuzz.c */

/* A PRUNE that decodes encodes to the same bytes. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "capsule/prune.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static struct prune_range ranges[PRUNE_RANGES_MAX];
    struct buffer again = BUFFER_EMPTY;
    struct prune_body prune;
    if (prune_decode(&prune, bytes_of(bytes, length)) != STATUS_OK) {
        return 0;
    }
    for (uint32_t i = 0; i < prune.range_count; i++) {
        ranges[i] = prune_range_at(&prune, i);
    }
    CHECK(prune_encode(&again, &prune, ranges) == STATUS_OK);
    CHECK(bytes_equal(buffer_bytes(&again), bytes_of(bytes, length)));
    buffer_release(&again);
    return 0;
}
