/* fuzz/capsule/record_fuzz.c */

/* A record that decodes encodes to the same bytes, but for the signature of another. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "capsule/record_internal.h"
#include "crypto/crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

enum { BODY_HASH_OFFSET = 80 };

static struct sign_key *stranger(void)
{
    static struct sign_key *key;
    static const uint8_t seed[SIGN_SEED_BYTES] = {1};
    if (key == NULL) {
        crypto_init();
        key = sign_key_new_from_seed(seed);
    }
    return key;
}

/* A body and its hash rarely agree by chance: let them. */
static void let_body_hash_agree(uint8_t *bytes, size_t length)
{
    size_t tail = SIGN_SIGNATURE_BYTES;
    size_t parents = length < RECORD_HEADER_BYTES ? 0 : (size_t)(bytes[6] | bytes[7] << 8);
    size_t header = RECORD_HEADER_BYTES + parents * HASH_BYTES;
    if (length >= header + tail) {
        struct hash hash = hash_of(bytes + header, length - header - tail);
        memcpy(bytes + BODY_HASH_OFFSET, hash.bytes, HASH_BYTES);
    }
}

static void encode_again(const struct record *record, struct sign_key *key)
{
    static struct hash parents[RECORD_PARENTS_MAX];
    for (size_t i = 0; i < record->parent_count; i++) {
        parents[i] = record_parent(record, i);
    }
    struct record_fields fields = {
        .type = record->type,
        .key_epoch = record->key_epoch,
        .sequence = record->sequence,
        .epoch = record->epoch,
        .writer = record->writer,
        .capsule = record->capsule,
        .parents = parents,
        .parent_count = record->parent_count,
    };
    struct buffer again = BUFFER_EMPTY;
    struct record_draft draft;
    CHECK(record_draft_begin(&draft, &again, &fields, record->body.length) == STATUS_OK);
    if (record->body.length > 0) {
        memcpy(draft.body, record->body.at, record->body.length);
    }
    struct hash hash = record_draft_finish(&draft, key);
    CHECK(hash_equal(&hash, &record->hash));
    CHECK(again.length == record->whole.length);
    CHECK(memcmp(again.bytes, record->whole.at, again.length - SIGN_SIGNATURE_BYTES) == 0);
    buffer_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    struct sign_key *key = stranger();
    struct buffer copy = BUFFER_EMPTY;
    CHECK(buffer_append(&copy, bytes, length) == STATUS_OK);
    let_body_hash_agree(copy.bytes, copy.length);

    struct record record;
    if (record_decode(&record, copy.bytes, copy.length) == STATUS_OK) {
        CHECK(record_length(copy.bytes, copy.length) == copy.length);
        encode_again(&record, key);
    }
    if (record_decode_stored(&record, copy.bytes, copy.length) == STATUS_OK && record.is_pruned) {
        struct buffer again = BUFFER_EMPTY;
        CHECK(record_prune(&again, &record) == STATUS_OK);
        CHECK(bytes_equal(buffer_bytes(&again), buffer_bytes(&copy)));
        buffer_release(&again);
    }
    buffer_release(&copy);
    return 0;
}
