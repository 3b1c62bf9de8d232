/* src/capsule/stores.c */
#include "capsule/stores.h"

#include <string.h>

#include "base/check.h"
#include "capsule/genesis_internal.h"

_Static_assert((int)STORES_TYPE >= (int)RECORD_TYPE_COUNT, "it is signed as no record's body");

static json_t *former_to_json(const struct genesis *former)
{
    return json_pack("{s:i, s:o}", "receipts", (int)former->receipt_count, "stores",
                     genesis_stores_to_json(former));
}

enum status stores_encode(struct buffer *body, const struct stores *stores,
                          const struct sign_key *owner)
{
    CHECK(stores->version >= 1 && genesis_is_sound(&stores->now));
    json_t *object =
        json_pack("{s:o, s:i, s:o, s:o}", "capsule",
                  owner_json_from_hex(stores->now.capsule.bytes, HASH_BYTES), "receipts",
                  (int)stores->now.receipt_count, "stores", genesis_stores_to_json(&stores->now),
                  "version", owner_json_from_u64(stores->version));
    if (object != NULL && stores->has_former &&
        json_object_set_new(object, "former", former_to_json(&stores->former)) != 0) {
        json_decref(object);
        object = NULL;
    }
    return owner_encode_json(body, (enum record_type)STORES_TYPE, object, bytes_of(NULL, 0), owner);
}

static bool set_from_json(struct genesis *set, struct owner_json *in)
{
    set->receipt_count = genesis_count_from_json(in, "receipts");
    json_t *stores = owner_json_member(in, "stores");
    return genesis_stores_from_json(set, stores) && genesis_is_sound(set);
}

static bool stores_from_json(struct stores *stores, struct owner_json *in)
{
    stores->has_former = json_object_get(in->object, "former") != NULL;
    if (stores->has_former) {
        struct owner_json former = owner_json_over(owner_json_member(in, "former"));
        if (!set_from_json(&stores->former, &former) || !owner_json_done(&former)) {
            return false;
        }
    }
    stores->version = owner_json_u64(in, "version");
    return set_from_json(&stores->now, in) && owner_json_done(in) && stores->version >= 1;
}

/* The GENESIS without its stores, and without its policy, which it borrows. */
static struct genesis set_of(const struct genesis *genesis)
{
    struct genesis set = {
        .owner = genesis->owner,
        .tolerated_count = genesis->tolerated_count,
        .capsule = genesis->capsule,
    };
    memcpy(set.app, genesis->app, sizeof set.app);
    return set;
}

void stores_of_genesis(struct stores *stores, const struct genesis *genesis)
{
    *stores = (struct stores){.now = *genesis};
    stores->now.policy = bytes_of(NULL, 0);
}

enum status stores_decode(struct stores *stores, struct bytes body, const struct genesis *genesis)
{
    struct owner_body owner_body;
    json_t *object;
    enum status status = owner_decode_json(&object, &owner_body, (enum record_type)STORES_TYPE,
                                           body, &genesis->owner);
    if (status != STATUS_OK) {
        return status;
    }
    struct stores decoded = {.now = set_of(genesis), .former = set_of(genesis)};
    struct hash named;
    struct owner_json in = owner_json_over(object);
    owner_json_hex(&in, "capsule", named.bytes, HASH_BYTES);
    bool is_read = !in.failed && stores_from_json(&decoded, &in) && owner_body.payload.length == 0;
    json_decref(object);
    if (!is_read) {
        return STATUS_MALFORMED;
    }
    if (!hash_equal(&named, &genesis->capsule)) {
        return STATUS_FORGED;
    }
    *stores = decoded;
    return STATUS_OK;
}

enum status stores_of_term(struct stores *stores, const struct term *term,
                           const struct genesis *genesis)
{
    if (term->stores.length > 0) {
        return stores_decode(stores, term->stores, genesis);
    }
    stores_of_genesis(stores, genesis);
    return STATUS_OK;
}

const struct genesis_store *stores_find(const struct stores *stores, const struct writer_id *id)
{
    const struct genesis_store *found = genesis_store_find(&stores->now, id);
    return found != NULL || !stores->has_former ? found : genesis_store_find(&stores->former, id);
}

uint32_t stores_count(const struct stores *stores)
{
    uint32_t count = stores->now.store_count;
    for (uint32_t i = 0; stores->has_former && i < stores->former.store_count; i++) {
        count += genesis_store_find(&stores->now, &stores->former.stores[i].id) == NULL;
    }
    return count;
}

static bool is_answered(const struct genesis *set, const struct writer_id *answered,
                        uint32_t answered_count)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < answered_count; i++) {
        count += genesis_store_find(set, &answered[i]) != NULL;
    }
    return count >= genesis_answer_count(set);
}

bool stores_have_answered(const struct stores *stores, bool asks_former,
                          const struct writer_id *answered, uint32_t answered_count)
{
    return is_answered(&stores->now, answered, answered_count) &&
           (!asks_former || !stores->has_former ||
            is_answered(&stores->former, answered, answered_count));
}

bool stores_are_same(const struct genesis *a, const struct genesis *b)
{
    if (a->store_count != b->store_count || a->receipt_count != b->receipt_count) {
        return false;
    }
    for (uint32_t i = 0; i < a->store_count; i++) {
        if (genesis_store_find(b, &a->stores[i].id) == NULL) {
            return false;
        }
    }
    return true;
}

bool stores_may_follow(const struct stores *later, const struct stores *earlier)
{
    return later->version >= earlier->version &&
           (stores_are_same(&later->now, &earlier->now) ||
            (later->has_former && stores_are_same(&later->former, &earlier->now)));
}
