/* fuzz/attest/collateral_fuzz.c */

/* Hostile bundles. What decodes encodes to the same bytes, unless it was nothing. */
#include "attest/collateral.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct collateral collateral;
    struct bytes input = bytes_of(bytes, length);
    if (length > 0 && collateral_decode(&collateral, input) == STATUS_OK) {
        struct buffer again = BUFFER_EMPTY;
        CHECK(collateral_encode(&collateral, &again) == STATUS_OK);
        CHECK(bytes_equal(input, buffer_bytes(&again)));
        buffer_release(&again);
    }
    return 0;
}
