/* src/capsule/revoke.c */
#include "capsule/revoke.h"

#include "capsule/owner_internal.h"

enum status revoke_encode(struct buffer *body, const struct hash *capsule,
                          const struct writer_id *writer, const struct sign_key *owner)
{
    json_t *object =
        json_pack("{s:o, s:o}", "capsule", owner_json_from_hex(capsule->bytes, HASH_BYTES),
                  "writer", owner_json_from_hex(writer->bytes, WRITER_ID_BYTES));
    return owner_encode_json(body, RECORD_REVOKE, object, bytes_of(NULL, 0), owner);
}

enum status revoke_decode(struct writer_id *writer, struct bytes body,
                          const struct verify_key *owner, const struct hash *capsule)
{
    struct owner_body owner_body;
    json_t *object;
    enum status status = owner_decode_json(&object, &owner_body, RECORD_REVOKE, body, owner);
    if (status != STATUS_OK) {
        return status;
    }
    struct hash named;
    struct writer_id read;
    struct owner_json in = owner_json_over(object);
    owner_json_hex(&in, "capsule", named.bytes, HASH_BYTES);
    owner_json_hex(&in, "writer", read.bytes, WRITER_ID_BYTES);
    bool is_read = owner_json_done(&in) && owner_body.payload.length == 0;
    json_decref(object);
    if (!is_read) {
        return STATUS_MALFORMED;
    }
    if (!hash_equal(&named, capsule)) {
        return STATUS_FORGED;
    }
    *writer = read;
    return STATUS_OK;
}
