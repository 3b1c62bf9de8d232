/* fuzz/capsule/lock_fuzz.c */

/* A LOCK body that decodes encodes to the same bytes. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "capsule/lock.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct lock_body lock;
    struct bytes body = bytes_of(bytes, length);
    if (lock_decode(&lock, body) == STATUS_OK) {
        struct buffer again = BUFFER_EMPTY;
        CHECK(lock_encode(&again, &lock) == STATUS_OK);
        CHECK(bytes_equal(buffer_bytes(&again), body));
        buffer_release(&again);
    }
    return 0;
}
