/* fuzz/tee/certificates_fuzz.c */

/* Whatever a host writes as a table of certificates, what is taken from it lies inside. */
#include <stdint.h>

#include "base/check.h"
#include "tee/certificates.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct collateral collateral = {.documents = {{.at = NULL}}};
    if (certificates_decode(&collateral, bytes_of(bytes, length)) != STATUS_OK) {
        return 0;
    }
    for (size_t kind = 0; kind < COLLATERAL_KIND_COUNT; kind++) {
        struct bytes document = collateral.documents[kind];
        CHECK(document.length == 0 || (document.at >= bytes && document.length <= length &&
                                       (size_t)(document.at - bytes) <= length - document.length));
    }
    return 0;
}
