/* fuzz/attest/policy_fuzz.c */

/*
 * Hostile policy texts. One that is accepted has a canonical text, which is
 * accepted too and stays as it is; one that is refused says why.
 */
#include "attest/policy.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct policy policy, again;
    char error[POLICY_ERROR_BYTES_MAX];
    if (policy_parse(&policy, bytes_of(bytes, length), error) != STATUS_OK) {
        CHECK(error[0] != '\0');
        return 0;
    }
    struct buffer first = BUFFER_EMPTY, second = BUFFER_EMPTY;
    CHECK(policy_encode(&policy, &first) == STATUS_OK);
    CHECK(policy_parse(&again, buffer_bytes(&first), error) == STATUS_OK);
    CHECK(policy_encode(&again, &second) == STATUS_OK);
    CHECK(bytes_equal(buffer_bytes(&first), buffer_bytes(&second)));
    buffer_release(&first);
    buffer_release(&second);
    return 0;
}
