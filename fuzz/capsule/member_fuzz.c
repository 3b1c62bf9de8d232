/* fuzz/capsule/member_fuzz.c */

/* A MEMBER that decodes encodes to the same bytes. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "capsule/member.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct bytes body = bytes_of(bytes, length);
    struct member_body member;
    if (member_decode(&member, body) == STATUS_OK) {
        struct buffer again = BUFFER_EMPTY;
        CHECK(member_encode(&again, &member) == STATUS_OK);
        CHECK(bytes_equal(buffer_bytes(&again), body));
        buffer_release(&again);
    }
    return 0;
}
