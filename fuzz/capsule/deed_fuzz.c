/* fuzz/capsule/deed_fuzz.c */

/* A receipt for people: what decodes has one form, and only its key's signature verifies. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "capsule/deed.h"
#include "crypto/crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static const uint8_t seed[SIGN_SEED_BYTES] = {1};
    static struct sign_key *key;
    struct deed deed;
    if (key == NULL) {
        crypto_init();
        key = sign_key_new_from_seed(seed);
    }
    if (deed_decode(&deed, bytes_of(bytes, length)) == STATUS_OK) {
        const struct verify_key own = sign_key_public(key);
        struct buffer again = BUFFER_EMPTY;
        (void)!deed_verify(&deed);
        deed.worker = own;
        CHECK(deed_encode(&again, &deed, key) == STATUS_OK);
        CHECK(again.length == length);
        // All but the worker's key and the signature.
        CHECK(bytes_equal(bytes_of(again.bytes, 36), bytes_of(bytes, 36)));
        CHECK(bytes_equal(bytes_of(again.bytes + 68, length - 68 - SIGN_SIGNATURE_BYTES),
                          bytes_of(bytes + 68, length - 68 - SIGN_SIGNATURE_BYTES)));
        buffer_release(&again);
    }
    return 0;
}
