/* src/capsule/genesis.c */
#include "capsule/genesis.h"

#include <string.h>

#include "base/check.h"
#include "capsule/genesis_internal.h"

static const char GENESIS_SUITE[] = "paranoid-1";
enum { GENESIS_VERSION = 1 };

static bool name_is_valid(const char *name)
{
    return owner_name_is_valid(bytes_text(name), GENESIS_NAME_BYTES_MAX - 1);
}

/* Whether two stores share a key or a name: their receipts could not be told apart. */
static bool stores_are_distinct(const struct genesis *genesis)
{
    for (uint32_t i = 0; i < genesis->store_count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            const struct genesis_store *a = &genesis->stores[i];
            const struct genesis_store *b = &genesis->stores[j];
            if (verify_key_equal(&a->key, &b->key) || strcmp(a->name, b->name) == 0) {
                return false;
            }
        }
    }
    return true;
}

bool genesis_is_sound(const struct genesis *genesis)
{
    if (!name_is_valid(genesis->app) || genesis->store_count < 1 ||
        genesis->store_count > GENESIS_STORES_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < genesis->store_count; i++) {
        if (!name_is_valid(genesis->stores[i].name)) {
            return false;
        }
    }
    // R = N - W + 1 + f ≤ N means f < W.
    return stores_are_distinct(genesis) && genesis->receipt_count >= 1 &&
           genesis->receipt_count <= genesis->store_count &&
           genesis->tolerated_count < genesis->receipt_count;
}

json_t *genesis_stores_to_json(const struct genesis *genesis)
{
    json_t *stores = json_array();
    for (uint32_t i = 0; stores != NULL && i < genesis->store_count; i++) {
        const struct genesis_store *store = &genesis->stores[i];
        json_t *one = json_pack("{s:o, s:s}", "key",
                                owner_json_from_hex(store->key.bytes, sizeof store->key.bytes),
                                "name", store->name);
        if (json_array_append_new(stores, one) != 0) {
            json_decref(stores);
            stores = NULL;
        }
    }
    return stores;
}

enum status genesis_encode(struct buffer *body, const struct genesis *genesis, struct bytes policy,
                           const struct sign_key *owner)
{
    CHECK(genesis_is_sound(genesis));
    json_t *object = json_pack(
        "{s:s, s:o, s:i, s:o, s:s, s:i, s:i}", "app", genesis->app, "owner",
        owner_json_from_hex(genesis->owner.bytes, sizeof genesis->owner.bytes), "receipts",
        (int)genesis->receipt_count, "stores", genesis_stores_to_json(genesis), "suite",
        GENESIS_SUITE, "tolerated", (int)genesis->tolerated_count, "version", GENESIS_VERSION);
    return owner_encode_json(body, RECORD_GENESIS, object, policy, owner);
}

/* Copy a name that is short enough; an empty one is refused by genesis_is_sound(). */
static void name_copy(char target[GENESIS_NAME_BYTES_MAX], const char *name)
{
    size_t length = strlen(name);
    if (length < GENESIS_NAME_BYTES_MAX) {
        memcpy(target, name, length + 1);
    }
}

static bool store_from_json(struct genesis_store *store, json_t *object)
{
    struct owner_json in = owner_json_over(object);
    name_copy(store->name, owner_json_text(&in, "name"));
    owner_json_hex(&in, "key", store->key.bytes, sizeof store->key.bytes);
    store->id = writer_store_id_of(&store->key);
    return owner_json_done(&in);
}

bool genesis_stores_from_json(struct genesis *genesis, json_t *stores)
{
    size_t count = json_array_size(stores);  // 0 for what is no array
    if (count < 1 || count > GENESIS_STORES_MAX) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!store_from_json(&genesis->stores[i], json_array_get(stores, i))) {
            return false;
        }
    }
    genesis->store_count = (uint32_t)count;
    return true;
}

uint32_t genesis_count_from_json(struct owner_json *in, const char *name)
{
    uint64_t value = owner_json_u64(in, name);
    // None that is sound exceeds the number of stores.
    return value > GENESIS_STORES_MAX ? UINT32_MAX : (uint32_t)value;
}

static bool genesis_from_json(struct genesis *genesis, json_t *object)
{
    struct owner_json in = owner_json_over(object);
    name_copy(genesis->app, owner_json_text(&in, "app"));
    owner_json_hex(&in, "owner", genesis->owner.bytes, sizeof genesis->owner.bytes);
    genesis->receipt_count = genesis_count_from_json(&in, "receipts");
    genesis->tolerated_count = genesis_count_from_json(&in, "tolerated");
    const char *suite = owner_json_text(&in, "suite");
    uint64_t version = owner_json_u64(&in, "version");
    json_t *stores = owner_json_member(&in, "stores");
    return owner_json_done(&in) && strcmp(suite, GENESIS_SUITE) == 0 &&
           version == GENESIS_VERSION && genesis_stores_from_json(genesis, stores) &&
           genesis_is_sound(genesis);
}

enum status genesis_decode(struct genesis *genesis, struct bytes body)
{
    struct owner_body owner_body;
    struct genesis decoded = {.store_count = 0};
    enum status status = owner_decode(&owner_body, body);
    if (status != STATUS_OK) {
        return status;
    }
    // The key stands in the JSON itself: here alone, parsing comes before verifying.
    json_t *object = owner_json_parse(owner_body.json);
    bool is_read = genesis_from_json(&decoded, object);
    json_decref(object);
    if (!is_read) {
        return STATUS_MALFORMED;
    }
    status = owner_verify(&owner_body, RECORD_GENESIS, &decoded.owner);
    if (status != STATUS_OK) {
        return status;
    }
    decoded.capsule = hash_of(body.at, body.length);
    decoded.policy = owner_body.payload;
    *genesis = decoded;
    return STATUS_OK;
}

uint32_t genesis_answer_count(const struct genesis *genesis)
{
    return genesis->store_count - genesis->receipt_count + 1 + genesis->tolerated_count;
}

uint32_t genesis_refill_count(const struct genesis *genesis)
{
    uint32_t count = genesis_answer_count(genesis);
    uint32_t other_count = genesis->store_count - 1;
    count = count < genesis->receipt_count ? genesis->receipt_count : count;
    return count < other_count ? count : other_count;
}

const struct genesis_store *genesis_store_find(const struct genesis *genesis,
                                               const struct writer_id *id)
{
    for (uint32_t i = 0; i < genesis->store_count; i++) {
        if (writer_id_equal(&genesis->stores[i].id, id)) {
            return &genesis->stores[i];
        }
    }
    return NULL;
}
