/* fuzz/capsule/receipt_fuzz.c */

/*
 * A receipt that decodes encodes to the same bytes, but for store and
 * signature of another; and no bytes are a stranger's receipt or prove that he forked.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "capsule/receipt.h"
#include "crypto/crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static void encode_again(const struct receipt *receipt, struct bytes bytes,
                         const struct hash *capsule, const struct sign_key *key)
{
    static struct branch_head heads[RECEIPT_HEADS_MAX];
    struct buffer again = BUFFER_EMPTY;
    for (uint32_t i = 0; i < receipt->head_count; i++) {
        heads[i] = receipt_head(receipt, i);
    }
    CHECK(receipt_encode(&again, RECEIPT_DURABLE, capsule, receipt->term, heads,
                         receipt->head_count, key) == STATUS_OK);
    size_t compared = bytes.length - WRITER_ID_BYTES - SIGN_SIGNATURE_BYTES;
    CHECK(again.length == bytes.length);
    CHECK(memcmp(again.bytes + WRITER_ID_BYTES, bytes.at + WRITER_ID_BYTES, compared) == 0);
    buffer_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    static struct sign_key *key;
    static const uint8_t seed[SIGN_SEED_BYTES] = {1};
    static const struct hash capsule = {.bytes = {0xca}};
    if (key == NULL) {
        crypto_init();
        key = sign_key_new_from_seed(seed);
    }
    struct verify_key stranger = sign_key_public(key);
    struct bytes whole = bytes_of(bytes, length);
    struct receipt receipt;
    if (receipt_decode(&receipt, whole) == STATUS_OK) {
        CHECK(receipt_verify(&receipt, RECEIPT_DURABLE, &capsule, &stranger) == STATUS_FORGED);
        encode_again(&receipt, whole, &capsule, key);
    }
    CHECK(receipt_fork_verify(whole, &stranger) != STATUS_OK);
    return 0;
}
