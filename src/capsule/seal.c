/* src/capsule/seal.c */
#include "capsule/seal.h"

#include <string.h>

#include "base/check.h"
#include "capsule/record_internal.h"

enum {
    // A sealed record follows the record before, and at most one SYNC.
    SEAL_PARENTS_MAX = 2,
    SEAL_ASSOCIATED_BYTES_MAX = SEAL_ASSOCIATED_HEADER_BYTES + SEAL_PARENTS_MAX * HASH_BYTES,
};

struct associated {
    uint8_t bytes[SEAL_ASSOCIATED_BYTES_MAX];
    size_t length;
};

/* The header without the body hash, which is not known before the body is sealed. */
static struct associated associated_of(const uint8_t *header, size_t header_bytes)
{
    struct associated associated;
    size_t parent_bytes = header_bytes - RECORD_HEADER_BYTES;
    CHECK(parent_bytes <= SEAL_PARENTS_MAX * HASH_BYTES);
    memcpy(associated.bytes, header, SEAL_ASSOCIATED_HEADER_BYTES);
    memcpy(associated.bytes + SEAL_ASSOCIATED_HEADER_BYTES, header + RECORD_HEADER_BYTES,
           parent_bytes);
    associated.length = SEAL_ASSOCIATED_HEADER_BYTES + parent_bytes;
    return associated;
}

struct aead_key *seal_key_new(const struct secret *data_key, const struct hash *capsule,
                              const struct verify_key *writer)
{
    uint8_t context[HASH_BYTES + SIGN_PUBLIC_BYTES];
    memcpy(context, capsule->bytes, HASH_BYTES);
    memcpy(context + HASH_BYTES, writer->bytes, SIGN_PUBLIC_BYTES);
    struct secret *secret =
        secret_derive(data_key, "paranoid body v1", bytes_of(context, sizeof context));
    struct aead_key *key = aead_key_new(secret);
    secret_free(secret);
    return key;
}

enum status seal_record(struct buffer *target, struct hash *hash,
                        const struct record_fields *fields, struct bytes plain,
                        struct aead_key *body_key, const struct sign_key *key)
{
    CHECK(record_type_is_sealed(fields->type));
    CHECK(plain.length <= RECORD_BODY_BYTES_MAX - AEAD_TAG_BYTES);
    struct record_draft draft;
    enum status status = record_draft_begin(&draft, target, fields, plain.length + AEAD_TAG_BYTES);
    if (status != STATUS_OK) {
        return status;
    }
    struct associated associated = associated_of(draft.start, draft.header_bytes);
    // The nonce never repeats: the key belongs to this writer alone, which is
    // new at every start and uses each sequence once.
    aead_seal(body_key, fields->sequence, bytes_of(associated.bytes, associated.length), plain,
              draft.body);
    *hash = record_draft_finish(&draft, key);
    return STATUS_OK;
}

enum status seal_open(struct buffer *plain, const struct record *record, struct aead_key *body_key)
{
    if (!record_type_is_sealed(record->type) || record->body.length < AEAD_TAG_BYTES) {
        return STATUS_FORGED;
    }
    size_t plain_bytes = record->body.length - AEAD_TAG_BYTES;
    enum status status = buffer_reserve(plain, plain_bytes);
    if (status != STATUS_OK) {
        return status;
    }
    struct associated associated = associated_of(record->header.at, record->header.length);
    uint8_t nothing;
    uint8_t *opened = plain_bytes > 0 ? plain->bytes + plain->length : &nothing;
    status = aead_unseal(body_key, record->sequence, bytes_of(associated.bytes, associated.length),
                         record->body, opened);
    if (status == STATUS_OK) {
        plain->length += plain_bytes;
    }
    return status;
}
