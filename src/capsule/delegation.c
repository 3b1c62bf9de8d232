/* src/capsule/delegation.c */
#include "capsule/delegation.h"

#include <stdio.h>

#include "base/check.h"
#include "capsule/owner_internal.h"

_Static_assert((int)DELEGATION_TYPE >= (int)RECORD_TYPE_COUNT, "it is signed as no record's body");

enum status delegation_encode(struct buffer *body, const struct delegation *delegation,
                              const struct sign_key *owner)
{
    CHECK(1 <= delegation->first && delegation->first <= delegation->last);
    json_t *object =
        json_pack("{s:o, s:o, s:o, s:o, s:s, s:o}",                                            //
                  "capsule", owner_json_from_hex(delegation->capsule.bytes, HASH_BYTES),       //
                  "first", owner_json_from_u64(delegation->first),                             //
                  "keeper", owner_json_from_hex(delegation->keeper.bytes, SIGN_PUBLIC_BYTES),  //
                  "last", owner_json_from_u64(delegation->last),                               //
                  "name", delegation->name,                                                    //
                  "until_s", owner_json_from_u64(delegation->until_s));
    return owner_encode_json(body, (enum record_type)DELEGATION_TYPE, object, bytes_of(NULL, 0),
                             owner);
}

enum status delegation_decode(struct delegation *delegation, struct bytes body,
                              const struct verify_key *owner, const struct hash *capsule)
{
    struct owner_body owner_body;
    json_t *object;
    enum status status =
        owner_decode_json(&object, &owner_body, (enum record_type)DELEGATION_TYPE, body, owner);
    if (status != STATUS_OK) {
        return status;
    }
    struct delegation decoded = {.first = 0};
    struct owner_json in = owner_json_over(object);
    owner_json_hex(&in, "capsule", decoded.capsule.bytes, HASH_BYTES);
    decoded.first = owner_json_u64(&in, "first");
    owner_json_hex(&in, "keeper", decoded.keeper.bytes, SIGN_PUBLIC_BYTES);
    decoded.last = owner_json_u64(&in, "last");
    const char *name = owner_json_text(&in, "name");
    bool is_named = owner_name_is_valid(bytes_text(name), sizeof decoded.name - 1);
    if (is_named) {
        snprintf(decoded.name, sizeof decoded.name, "%s", name);
    }
    decoded.until_s = owner_json_u64(&in, "until_s");
    bool is_read = owner_json_done(&in) && is_named && 1 <= decoded.first &&
                   decoded.first <= decoded.last && owner_body.payload.length == 0;
    json_decref(object);
    if (!is_read) {
        return STATUS_MALFORMED;
    }
    if (!hash_equal(&decoded.capsule, capsule)) {
        return STATUS_FORGED;
    }
    *delegation = decoded;
    return STATUS_OK;
}
