/* fuzz/attest/evidence_fuzz.c */

/*
 * Hostile evidence, under the root that signed the corpus. What decodes
 * encodes to the same bytes; what verifies was not altered, so nothing but the
 * corpus does.
 */
#include "attest/evidence.h"
#include "attest/simulated.h"
#include "base/check.h"
#include "crypto/crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

// The vendor of docs/format/evidence.md.
static const struct verify_key root = {{0xbc, 0xf8, 0xbd, 0x26, 0x90, 0x35, 0x19, 0x04,
                                        0xce, 0x97, 0xcf, 0xee, 0xc1, 0xd7, 0xef, 0xfd,
                                        0x2b, 0x99, 0x37, 0xf2, 0x65, 0x8d, 0xbd, 0xa4,
                                        0xb8, 0x8a, 0xe5, 0x35, 0x2d, 0x2d, 0x06, 0xb0}};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    crypto_init();
    struct bytes input = bytes_of(bytes, length);
    const struct evidence_roots roots = {.simulated = &root, .vendors = vendor_pinned()};
    struct verdict verdict = evidence_verify(input, 1800000000, &roots);
    CHECK(!verdict.is_admitted);
    CHECK((verdict.reason == REASON_NONE) == (verdict.detail[0] == '\0'));

    struct evidence evidence;
    if (evidence_decode(&evidence, input) == STATUS_OK) {
        struct buffer again = BUFFER_EMPTY;
        CHECK(evidence_encode(&evidence, &again) == STATUS_OK);
        CHECK(bytes_equal(input, buffer_bytes(&again)));
        buffer_release(&again);
    } else {
        CHECK(verdict.reason == REASON_FORMAT);
    }

    // The other formats of this file, with no container around them.
    struct simulated_tcb tcb;
    struct simulated_platform *platform = NULL;
    CHECK(simulated_tcb_decode(&tcb, input, &root) != STATUS_OK ||
          tcb.level_count <= SIMULATED_LEVEL_COUNT_MAX);
    CHECK((simulated_platform_decode(&platform, input) == STATUS_OK) == (platform != NULL));
    simulated_platform_free(platform);
    return 0;
}
