/* src/capsule/term.c */
#include "capsule/term.h"

#include "base/check.h"
#include "capsule/owner_internal.h"

enum status term_encode(struct buffer *body, const struct term *term, const struct sign_key *owner)
{
    CHECK(term->number >= 1);
    struct hash evidence = hash_of(term->evidence.at, term->evidence.length);
    json_t *object =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}",                                      //
                  "capsule", owner_json_from_hex(term->capsule.bytes, HASH_BYTES),       //
                  "evidence", owner_json_from_hex(evidence.bytes, HASH_BYTES),           //
                  "leader", owner_json_from_hex(term->leader.bytes, SIGN_PUBLIC_BYTES),  //
                  "sync", owner_json_from_hex(term->sync.bytes, HASH_BYTES),             //
                  "sync_epoch", owner_json_from_u64(term->sync_epoch),                   //
                  "version", owner_json_from_u64(term->number));
    return owner_encode_json(body, RECORD_TERM, object, term->evidence, owner);
}

enum status term_decode(struct term *term, struct bytes body, const struct verify_key *owner,
                        const struct hash *capsule)
{
    struct owner_body owner_body;
    json_t *object;
    enum status status = owner_decode_json(&object, &owner_body, RECORD_TERM, body, owner);
    if (status != STATUS_OK) {
        return status;
    }
    struct term decoded = {.evidence = owner_body.payload};
    struct hash evidence;
    struct owner_json in = owner_json_over(object);
    owner_json_hex(&in, "capsule", decoded.capsule.bytes, HASH_BYTES);
    owner_json_hex(&in, "evidence", evidence.bytes, HASH_BYTES);
    owner_json_hex(&in, "leader", decoded.leader.bytes, SIGN_PUBLIC_BYTES);
    owner_json_hex(&in, "sync", decoded.sync.bytes, HASH_BYTES);
    decoded.sync_epoch = owner_json_u64(&in, "sync_epoch");
    decoded.number = owner_json_u64(&in, "version");
    bool is_read = owner_json_done(&in) && decoded.number >= 1;
    json_decref(object);
    if (!is_read) {
        return STATUS_MALFORMED;
    }
    struct hash shown = hash_of(decoded.evidence.at, decoded.evidence.length);
    if (!hash_equal(&decoded.capsule, capsule) || !hash_equal(&shown, &evidence)) {
        return STATUS_FORGED;
    }
    *term = decoded;
    return STATUS_OK;
}

enum status term_policy_encode(struct buffer *body, const struct hash *capsule, uint64_t version,
                               struct bytes policy, const struct sign_key *owner)
{
    CHECK(version >= 1);
    json_t *object =
        json_pack("{s:o, s:o}", "capsule", owner_json_from_hex(capsule->bytes, HASH_BYTES),
                  "version", owner_json_from_u64(version));
    return owner_encode_json(body, RECORD_POLICY, object, policy, owner);
}

enum status term_policy_decode(uint64_t *version, struct bytes *policy, struct bytes body,
                               const struct verify_key *owner, const struct hash *capsule)
{
    struct owner_body owner_body;
    json_t *object;
    enum status status = owner_decode_json(&object, &owner_body, RECORD_POLICY, body, owner);
    if (status != STATUS_OK) {
        return status;
    }
    struct hash named;
    struct owner_json in = owner_json_over(object);
    owner_json_hex(&in, "capsule", named.bytes, HASH_BYTES);
    uint64_t number = owner_json_u64(&in, "version");
    bool is_read = owner_json_done(&in) && number >= 1;
    json_decref(object);
    if (!is_read) {
        return STATUS_MALFORMED;
    }
    if (!hash_equal(&named, capsule)) {
        return STATUS_FORGED;
    }
    *version = number;
    *policy = owner_body.payload;
    return STATUS_OK;
}
