/* src/capsule/term.c */
#include "capsule/term.h"

#include "base/check.h"
#include "base/cursor.h"
#include "base/encoder.h"
#include "capsule/owner_internal.h"

enum { LENGTH_BYTES = 4 };

static enum status payload_encode(struct buffer *payload, const struct term *term)
{
    struct encoder out;
    size_t length = term->stores.length + term->evidence.length;
    if (term->delegation.length > 0) {
        length += LENGTH_BYTES + term->delegation.length;
    }
    enum status status = encoder_begin(&out, payload, length);
    if (status != STATUS_OK) {
        return status;
    }
    if (term->delegation.length > 0) {
        encoder_run(&out, term->delegation);
    }
    encoder_bytes(&out, term->stores.at, term->stores.length);
    encoder_bytes(&out, term->evidence.at, term->evidence.length);
    encoder_finish(&out, payload);
    return STATUS_OK;
}

/* What only some terms say. */
static bool add_more(json_t *object, const struct term *term)
{
    bool is_added =
        term->lost_epoch == 0 ||
        (json_object_set_new(object, "lost", owner_json_from_hex(term->lost.bytes, HASH_BYTES)) ==
             0 &&
         json_object_set_new(object, "lost_epoch", owner_json_from_u64(term->lost_epoch)) == 0);
    return is_added &&
           (term->stores.length == 0 ||
            json_object_set_new(object, "stores", owner_json_from_u64(term->stores.length)) == 0);
}

enum status term_encode(struct buffer *body, const struct term *term, const struct sign_key *signer)
{
    CHECK(term->number >= 1);
    CHECK(term->lost_epoch == 0 || term->lost_epoch > term->sync_epoch);
    struct buffer payload = BUFFER_EMPTY;
    enum status status = payload_encode(&payload, term);
    if (status != STATUS_OK) {
        return status;
    }
    struct hash evidence = hash_of(term->evidence.at, term->evidence.length);
    json_t *object =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}",                                      //
                  "capsule", owner_json_from_hex(term->capsule.bytes, HASH_BYTES),       //
                  "evidence", owner_json_from_hex(evidence.bytes, HASH_BYTES),           //
                  "leader", owner_json_from_hex(term->leader.bytes, SIGN_PUBLIC_BYTES),  //
                  "sync", owner_json_from_hex(term->sync.bytes, HASH_BYTES),             //
                  "sync_epoch", owner_json_from_u64(term->sync_epoch),                   //
                  "version", owner_json_from_u64(term->number));
    if (object != NULL && !add_more(object, term)) {
        json_decref(object);
        object = NULL;
    }
    status = owner_encode_json(body, RECORD_TERM, object, buffer_bytes(&payload), signer);
    buffer_release(&payload);
    return status;
}

/* Whoever signed it: the owner, or a keeper that the owner's delegation in it names. */
static enum status term_open(json_t **object, struct term *term, struct bytes body,
                             const struct verify_key *owner, const struct hash *capsule)
{
    struct owner_body owner_body;
    enum status status = owner_decode_json(object, &owner_body, RECORD_TERM, body, owner);
    if (status == STATUS_OK) {
        term->evidence = owner_body.payload;
    }
    if (status != STATUS_FORGED) {
        return status;
    }
    status = owner_decode(&owner_body, body);
    if (status != STATUS_OK) {
        return status;
    }
    struct cursor in = cursor_over(owner_body.payload.at, owner_body.payload.length);
    term->delegation = cursor_run(&in);
    term->evidence = cursor_bytes(&in, in.left);
    if (!cursor_done(&in) ||
        delegation_decode(&term->keeper, term->delegation, owner, capsule) != STATUS_OK) {
        return STATUS_FORGED;
    }
    return owner_decode_json(object, &owner_body, RECORD_TERM, body, &term->keeper.keeper);
}

/* The owner's word on the stores stands before the evidence. */
static bool take_stores(struct term *term, uint64_t length)
{
    if (length == 0 || length > term->evidence.length) {
        return false;
    }
    term->stores = bytes_of(term->evidence.at, (size_t)length);
    term->evidence = bytes_of(term->evidence.at + length, term->evidence.length - (size_t)length);
    return true;
}

static bool is_within_delegation(const struct term *term)
{
    return term->delegation.length == 0 ||
           (term->keeper.first <= term->number && term->number <= term->keeper.last &&
            term->lost_epoch == 0);
}

enum status term_decode(struct term *term, struct bytes body, const struct verify_key *owner,
                        const struct hash *capsule)
{
    json_t *object;
    struct term decoded = {.number = 0};
    enum status status = term_open(&object, &decoded, body, owner, capsule);
    if (status != STATUS_OK) {
        return status;
    }
    struct hash evidence;
    struct owner_json in = owner_json_over(object);
    owner_json_hex(&in, "capsule", decoded.capsule.bytes, HASH_BYTES);
    owner_json_hex(&in, "evidence", evidence.bytes, HASH_BYTES);
    owner_json_hex(&in, "leader", decoded.leader.bytes, SIGN_PUBLIC_BYTES);
    owner_json_hex(&in, "sync", decoded.sync.bytes, HASH_BYTES);
    decoded.sync_epoch = owner_json_u64(&in, "sync_epoch");
    decoded.number = owner_json_u64(&in, "version");
    bool gives_up = json_object_get(object, "lost_epoch") != NULL;
    if (gives_up) {
        owner_json_hex(&in, "lost", decoded.lost.bytes, HASH_BYTES);
        decoded.lost_epoch = owner_json_u64(&in, "lost_epoch");
    }
    bool has_stores = json_object_get(object, "stores") != NULL;
    bool is_whole = !has_stores || take_stores(&decoded, owner_json_u64(&in, "stores"));
    bool is_read = owner_json_done(&in) && is_whole && decoded.number >= 1 &&
                   (!gives_up || decoded.lost_epoch > decoded.sync_epoch);
    json_decref(object);
    if (!is_read) {
        return STATUS_MALFORMED;
    }
    struct hash shown = hash_of(decoded.evidence.at, decoded.evidence.length);
    if (!hash_equal(&decoded.capsule, capsule) || !hash_equal(&shown, &evidence) ||
        !is_within_delegation(&decoded)) {
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
