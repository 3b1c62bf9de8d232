/* fuzz/capsule/owner_fuzz.c */

/*
 * What the owner signs: GENESIS, TERM, POLICY, FUNCTION, REVOKE, and its words on keepers and
 * stores. The first byte chooses; then JSON up to a NUL, then the payload. Signed with a key of the
 * fuzzer's, so that the JSON is read; what is read encodes to something that
 * reads the same and encodes to the same bytes.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "capsule/function.h"
#include "capsule/genesis.h"
#include "capsule/revoke.h"
#include "capsule/stores.h"
#include "capsule/term.h"
#include "crypto/crypto.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static struct sign_key *owner;
static struct verify_key owner_public;
static const struct hash CAPSULE = {.bytes = {0xca}};

static void prepare(void)
{
    static const uint8_t seed[SIGN_SEED_BYTES] = {1};
    if (owner == NULL) {
        crypto_init();
        owner = sign_key_new_from_seed(seed);
        owner_public = sign_key_public(owner);
    }
}

/* Each reads `body`, and if that is right, writes to `again` what it read. */
static enum status again_genesis(struct buffer *again, struct bytes body)
{
    struct genesis genesis;
    enum status status = genesis_decode(&genesis, body);
    return status == STATUS_OK ? genesis_encode(again, &genesis, genesis.policy, owner) : status;
}

static enum status again_term(struct buffer *again, struct bytes body)
{
    struct term term;
    enum status status = term_decode(&term, body, &owner_public, &CAPSULE);
    return status == STATUS_OK ? term_encode(again, &term, owner) : status;
}

static enum status again_policy(struct buffer *again, struct bytes body)
{
    uint64_t version;
    struct bytes policy;
    enum status status = term_policy_decode(&version, &policy, body, &owner_public, &CAPSULE);
    return status == STATUS_OK ? term_policy_encode(again, &CAPSULE, version, policy, owner)
                               : status;
}

static enum status again_function(struct buffer *again, struct bytes body)
{
    struct function_manifest manifest;
    struct bytes code;
    enum status status = function_decode(&manifest, &code, body, &owner_public, &CAPSULE);
    if (status == STATUS_OK) {
        status = function_encode(again, &manifest, code, &CAPSULE, owner);
        function_manifest_release(&manifest);
    }
    return status;
}

static enum status again_revoke(struct buffer *again, struct bytes body)
{
    struct writer_id writer;
    enum status status = revoke_decode(&writer, body, &owner_public, &CAPSULE);
    return status == STATUS_OK ? revoke_encode(again, &CAPSULE, &writer, owner) : status;
}

static enum status again_delegation(struct buffer *again, struct bytes body)
{
    struct delegation delegation;
    enum status status = delegation_decode(&delegation, body, &owner_public, &CAPSULE);
    return status == STATUS_OK ? delegation_encode(again, &delegation, owner) : status;
}

static enum status again_stores(struct buffer *again, struct bytes body)
{
    struct genesis genesis = {.owner = owner_public, .capsule = CAPSULE};
    struct stores stores;
    enum status status = stores_decode(&stores, body, &genesis);
    return status == STATUS_OK ? stores_encode(again, &stores, owner) : status;
}

static const struct {
    enum record_type type;
    enum status (*again)(struct buffer *again, struct bytes body);
} KINDS[] = {
    {RECORD_GENESIS, again_genesis},
    {RECORD_TERM, again_term},
    {RECORD_POLICY, again_policy},
    {RECORD_FUNCTION, again_function},
    {RECORD_REVOKE, again_revoke},
    {(enum record_type)DELEGATION_TYPE, again_delegation},
    {(enum record_type)STORES_TYPE, again_stores},
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
    prepare();
    struct owner_body unsigned_body;
    if (owner_decode(&unsigned_body, bytes_of(bytes, length)) == STATUS_OK) {
        struct term term;
        CHECK(owner_verify(&unsigned_body, RECORD_TERM, &owner_public) == STATUS_FORGED);
        // Nor does it hold a delegation.
        CHECK(term_decode(&term, bytes_of(bytes, length), &owner_public, &CAPSULE) ==
              STATUS_FORGED);
    }
    if (length < 2) {
        return 0;
    }
    size_t kind = bytes[0] % (sizeof KINDS / sizeof *KINDS);
    const uint8_t *end = memchr(bytes + 1, 0, length - 1);
    size_t json_bytes = end == NULL ? length - 1 : (size_t)(end - bytes) - 1;
    struct bytes json = bytes_of(bytes + 1, json_bytes);
    struct bytes payload = bytes_of(bytes + 1 + json_bytes, length - 1 - json_bytes);
    if (json_bytes > OWNER_JSON_BYTES_MAX) {
        return 0;
    }
    struct buffer body = BUFFER_EMPTY, once = BUFFER_EMPTY, twice = BUFFER_EMPTY;
    CHECK(owner_encode(&body, KINDS[kind].type, json, payload, owner) == STATUS_OK);
    if (KINDS[kind].again(&once, buffer_bytes(&body)) == STATUS_OK) {
        CHECK(KINDS[kind].again(&twice, buffer_bytes(&once)) == STATUS_OK);
        CHECK(bytes_equal(buffer_bytes(&once), buffer_bytes(&twice)));
    }
    buffer_release(&body);
    buffer_release(&once);
    buffer_release(&twice);
    return 0;
}
