/* fuzz/wire/vouch_fuzz.c */

/* A vouch: what decodes encodes to the same bytes. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "wire/vouch.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct vouch vouch;
    if (vouch_decode(&vouch, bytes_of(bytes, length)) == STATUS_OK) {
        struct buffer again = BUFFER_EMPTY;
        CHECK(vouch_encode(&again, &vouch) == STATUS_OK);
        CHECK(bytes_equal(buffer_bytes(&again), bytes_of(bytes, length)));
        buffer_release(&again);
    }
    return 0;
}
