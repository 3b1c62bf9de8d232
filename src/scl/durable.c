/* src/scl/durable.c */
#include "scl/durable.h"

#include <stdlib.h>
#include <string.h>

#include "base/encoder.h"
#include "capsule/receipt.h"
#include "capsule/stores.h"

enum { DURABLE_BRANCHES_MAX = 1 << 16, DURABLE_SLOTS_MIN = 64 };

/* A receipt as it came, shared by the branches it speaks of. */
struct durable_receipt {
    uint32_t reference_count;
    bool is_verified;
    bool is_collected;
    struct durable_receipt *next_collected;
    struct buffer bytes;
};

struct durable_claim {
    uint64_t sequence;
    struct durable_receipt *receipt;  // NULL: none
};

/* One branch: per store the newest verified claim, and a newer one not looked at yet. */
struct durable_branch {
    struct writer_id writer;
    struct durable_claim *verified;  // store_count of them
    struct durable_claim *claimed;
};

struct durable {
    struct genesis genesis;
    struct durable_branch *branches;
    size_t branch_count;
    size_t branch_capacity;
    uint32_t *slots;  // open addressing: branch index + 1; a power of two, at most half full
    size_t slot_count;
    struct durable_receipt *collected;
    uint64_t verified_count;
};

static void receipt_drop(struct durable_receipt *receipt)
{
    if (receipt != NULL && --receipt->reference_count == 0) {
        buffer_release(&receipt->bytes);
        free(receipt);
    }
}

static void claim_set(struct durable_claim *claim, uint64_t sequence,
                      struct durable_receipt *receipt)
{
    if (receipt != NULL) {
        receipt->reference_count++;
    }
    receipt_drop(claim->receipt);
    *claim = (struct durable_claim){.sequence = sequence, .receipt = receipt};
}

static void claims_drop(struct durable_claim *claims, uint32_t store_count)
{
    for (uint32_t i = 0; claims != NULL && i < 2 * store_count; i++) {
        receipt_drop(claims[i].receipt);
    }
    free(claims);
}

// Ids are hashes already: any eight bytes spread well.
static size_t id_slot(const struct writer_id *id, size_t slot_count)
{
    uint64_t word;
    memcpy(&word, id->bytes, sizeof word);
    return (size_t)word & (slot_count - 1);
}

static struct durable_branch *branch_find(const struct durable *durable,
                                          const struct writer_id *writer)
{
    size_t slot = id_slot(writer, durable->slot_count);
    while (durable->slots[slot] != 0) {
        struct durable_branch *branch = &durable->branches[durable->slots[slot] - 1];
        if (writer_id_equal(&branch->writer, writer)) {
            return branch;
        }
        slot = (slot + 1) & (durable->slot_count - 1);
    }
    return NULL;
}

static void slots_insert(uint32_t *slots, size_t slot_count, const struct writer_id *writer,
                         size_t index)
{
    size_t slot = id_slot(writer, slot_count);
    while (slots[slot] != 0) {
        slot = (slot + 1) & (slot_count - 1);
    }
    slots[slot] = (uint32_t)index + 1;
}

static enum status slots_grow(struct durable *durable)
{
    size_t slot_count = durable->slot_count * 2;
    uint32_t *slots = calloc(slot_count, sizeof *slots);
    if (slots == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (size_t i = 0; i < durable->branch_count; i++) {
        slots_insert(slots, slot_count, &durable->branches[i].writer, i);
    }
    free(durable->slots);
    durable->slots = slots;
    durable->slot_count = slot_count;
    return STATUS_OK;
}

static enum status branch_add(struct durable *durable, const struct writer_id *writer)
{
    if (durable->branch_count == DURABLE_BRANCHES_MAX) {
        return STATUS_FULL;
    }
    if (durable->branch_count == durable->branch_capacity) {
        size_t capacity = durable->branch_capacity == 0 ? 16 : durable->branch_capacity * 2;
        struct durable_branch *branches = realloc(durable->branches, capacity * sizeof *branches);
        if (branches == NULL) {
            return STATUS_NO_MEMORY;
        }
        durable->branches = branches;
        durable->branch_capacity = capacity;
    }
    if (2 * (durable->branch_count + 1) > durable->slot_count) {
        enum status status = slots_grow(durable);
        if (status != STATUS_OK) {
            return status;
        }
    }
    struct durable_claim *claims = calloc(2 * (size_t)durable->genesis.store_count, sizeof *claims);
    if (claims == NULL) {
        return STATUS_NO_MEMORY;
    }
    durable->branches[durable->branch_count] = (struct durable_branch){
        .writer = *writer,
        .verified = claims,
        .claimed = claims + durable->genesis.store_count,
    };
    slots_insert(durable->slots, durable->slot_count, writer, durable->branch_count);
    durable->branch_count++;
    return STATUS_OK;
}

enum status durable_new(struct durable **durable, const struct genesis *genesis)
{
    struct durable *made = calloc(1, sizeof *made);
    uint32_t *slots = calloc(DURABLE_SLOTS_MIN, sizeof *slots);
    if (made == NULL || slots == NULL) {
        free(made);
        free(slots);
        *durable = NULL;
        return STATUS_NO_MEMORY;
    }
    made->genesis = *genesis;
    made->genesis.policy = bytes_of(NULL, 0);
    made->slots = slots;
    made->slot_count = DURABLE_SLOTS_MIN;
    *durable = made;
    return STATUS_OK;
}

void durable_free(struct durable *durable)
{
    if (durable == NULL) {
        return;
    }
    durable_collect_begin(durable);
    for (size_t i = 0; i < durable->branch_count; i++) {
        claims_drop(durable->branches[i].verified, durable->genesis.store_count);
    }
    free(durable->branches);
    free(durable->slots);
    free(durable);
}

/* The same claims, each at its store's place among `stores`. */
static struct durable_claim *claims_for(const struct durable *durable,
                                        const struct durable_branch *branch,
                                        const struct genesis *stores)
{
    struct durable_claim *claims = calloc(2 * (size_t)stores->store_count, sizeof *claims);
    for (uint32_t i = 0; claims != NULL && i < durable->genesis.store_count; i++) {
        const struct genesis_store *kept =
            genesis_store_find(stores, &durable->genesis.stores[i].id);
        if (kept != NULL) {
            size_t place = (size_t)(kept - stores->stores);
            claim_set(&claims[place], branch->verified[i].sequence, branch->verified[i].receipt);
            claim_set(&claims[stores->store_count + place], branch->claimed[i].sequence,
                      branch->claimed[i].receipt);
        }
    }
    return claims;
}

enum status durable_use(struct durable *durable, const struct genesis *stores)
{
    if (stores_are_same(&durable->genesis, stores)) {
        return STATUS_OK;
    }
    struct durable_claim **claims = calloc(durable->branch_count + 1, sizeof(*claims));
    bool is_made = claims != NULL;
    for (size_t i = 0; is_made && i < durable->branch_count; i++) {
        claims[i] = claims_for(durable, &durable->branches[i], stores);
        is_made = claims[i] != NULL;
    }
    for (size_t i = 0; claims != NULL && i < durable->branch_count; i++) {
        if (is_made) {
            claims_drop(durable->branches[i].verified, durable->genesis.store_count);
            durable->branches[i].verified = claims[i];
            durable->branches[i].claimed = claims[i] + stores->store_count;
        } else {
            claims_drop(claims[i], stores->store_count);
        }
    }
    free(claims);
    if (!is_made) {
        return STATUS_NO_MEMORY;
    }
    durable->genesis = *stores;
    durable->genesis.policy = bytes_of(NULL, 0);
    return STATUS_OK;
}

static enum status receipt_check(struct durable *durable, struct durable_receipt *kept)
{
    if (kept->is_verified) {
        return STATUS_OK;
    }
    struct receipt receipt;
    enum status status = receipt_decode(&receipt, buffer_bytes(&kept->bytes));
    if (status != STATUS_OK) {
        return status;
    }
    const struct genesis_store *store = genesis_store_find(&durable->genesis, &receipt.store);
    if (store == NULL) {
        return STATUS_DENIED;
    }
    status = receipt_verify(&receipt, RECEIPT_DURABLE, &durable->genesis.capsule, &store->key);
    if (status == STATUS_OK) {
        kept->is_verified = true;
        durable->verified_count++;
    }
    return status;
}

/* Turn a claim into a verified one; a false one is dropped. */
static void claim_settle(struct durable *durable, struct durable_branch *branch, uint32_t store)
{
    struct durable_claim *claim = &branch->claimed[store];
    if (claim->receipt == NULL) {
        return;
    }
    if (receipt_check(durable, claim->receipt) == STATUS_OK) {
        claim_set(&branch->verified[store], claim->sequence, claim->receipt);
    }
    claim_set(claim, 0, NULL);
}

static enum status keep_claims(struct durable *durable, const struct receipt *receipt,
                               struct durable_receipt *kept)
{
    const struct genesis_store *from = genesis_store_find(&durable->genesis, &receipt->store);
    if (from == NULL) {
        return STATUS_DENIED;
    }
    size_t store = (size_t)(from - durable->genesis.stores);
    for (uint32_t i = 0; i < receipt->head_count; i++) {
        struct branch_head head = receipt_head(receipt, i);
        struct durable_branch *branch = branch_find(durable, &head.writer);
        if (branch == NULL) {
            // Room is made for a writer only on a store's verified word, or the host
            // could fill this memory with names.
            enum status status = receipt_check(durable, kept);
            if (status == STATUS_OK) {
                status = branch_add(durable, &head.writer);
            }
            if (status != STATUS_OK) {
                return status;
            }
            branch = branch_find(durable, &head.writer);
        }
        struct durable_claim *claim = &branch->claimed[store];
        if (claim->receipt != NULL && head.head.sequence > branch->verified[store].sequence &&
            head.head.sequence <= claim->sequence) {
            // A false claim must not keep a true one from being heard.
            claim_settle(durable, branch, (uint32_t)store);
        }
        if (head.head.sequence > claim->sequence &&
            head.head.sequence > branch->verified[store].sequence) {
            claim_set(&branch->claimed[store], head.head.sequence, kept);
        }
    }
    return STATUS_OK;
}

enum status durable_receive(struct durable *durable, struct bytes receipt)
{
    struct receipt decoded;
    enum status status = receipt_decode(&decoded, receipt);
    if (status != STATUS_OK) {
        return status;
    }
    struct durable_receipt *kept = calloc(1, sizeof *kept);
    if (kept == NULL) {
        return STATUS_NO_MEMORY;
    }
    kept->reference_count = 1;
    status = buffer_append(&kept->bytes, receipt.at, receipt.length);
    if (status == STATUS_OK) {
        status = keep_claims(durable, &decoded, kept);
    }
    receipt_drop(kept);
    return status;
}

bool durable_covers(struct durable *durable, const struct writer_id *writer, uint64_t sequence)
{
    if (sequence == 0) {
        return true;
    }
    struct durable_branch *branch = branch_find(durable, writer);
    if (branch == NULL) {
        return false;
    }
    const struct genesis *genesis = &durable->genesis;
    uint32_t holding_count = 0;
    for (uint32_t i = 0; i < genesis->store_count; i++) {
        holding_count += branch->verified[i].sequence >= sequence;
    }
    for (uint32_t i = 0; i < genesis->store_count && holding_count < genesis->receipt_count; i++) {
        if (branch->verified[i].sequence < sequence && branch->claimed[i].sequence >= sequence) {
            claim_settle(durable, branch, i);
            holding_count += branch->verified[i].sequence >= sequence;
        }
    }
    return holding_count >= genesis->receipt_count;
}

static uint64_t claimed_by(const struct durable_branch *branch, uint32_t store)
{
    uint64_t verified = branch->verified[store].sequence, claimed = branch->claimed[store].sequence;
    return verified > claimed ? verified : claimed;
}

uint64_t durable_claimed(const struct durable *durable, const struct writer_id *writer)
{
    const struct durable_branch *branch = branch_find(durable, writer);
    const struct genesis *genesis = &durable->genesis;
    uint64_t sequence = 0;
    // The greatest claim that W stores make.
    for (uint32_t i = 0; branch != NULL && i < genesis->store_count; i++) {
        uint64_t claim = claimed_by(branch, i);
        uint32_t claim_count = 0;
        for (uint32_t store = 0; store < genesis->store_count; store++) {
            claim_count += claimed_by(branch, store) >= claim;
        }
        if (claim_count >= genesis->receipt_count && claim > sequence) {
            sequence = claim;
        }
    }
    return sequence;
}

void durable_collect_begin(struct durable *durable)
{
    while (durable->collected != NULL) {
        struct durable_receipt *receipt = durable->collected;
        durable->collected = receipt->next_collected;
        receipt->next_collected = NULL;
        receipt->is_collected = false;
        receipt_drop(receipt);
    }
}

static enum status receipt_collect(struct durable *durable, struct durable_receipt *receipt,
                                   struct buffer *target)
{
    if (receipt->is_collected) {
        return STATUS_OK;
    }
    uint8_t prefix[4];
    struct encoder out = encoder_over(prefix, sizeof prefix);
    encoder_u32(&out, (uint32_t)receipt->bytes.length);
    enum status status = buffer_reserve(target, sizeof prefix + receipt->bytes.length);
    if (status == STATUS_OK) {
        status = buffer_append(target, prefix, sizeof prefix);
    }
    if (status == STATUS_OK) {
        status = buffer_append(target, receipt->bytes.bytes, receipt->bytes.length);
    }
    if (status == STATUS_OK) {
        receipt->is_collected = true;
        receipt->reference_count++;
        receipt->next_collected = durable->collected;
        durable->collected = receipt;
    }
    return status;
}

/* Whether this store has signed for it, as far as is known; verifies what it needs. */
static bool is_held_by(struct durable *durable, struct durable_branch *branch, uint32_t store,
                       const struct head *head)
{
    const struct durable_claim *verified = &branch->verified[store];
    if (verified->sequence < head->sequence && branch->claimed[store].sequence >= head->sequence) {
        claim_settle(durable, branch, store);
    }
    struct receipt receipt;
    if (verified->receipt == NULL || verified->sequence != head->sequence ||
        receipt_decode(&receipt, buffer_bytes(&verified->receipt->bytes)) != STATUS_OK) {
        return verified->receipt != NULL && verified->sequence > head->sequence;
    }
    for (uint32_t i = 0; i < receipt.head_count; i++) {
        struct branch_head named = receipt_head(&receipt, i);
        if (writer_id_equal(&named.writer, &branch->writer)) {
            return hash_equal(&named.head.hash, &head->hash);
        }
    }
    return false;
}

enum status durable_collect(struct durable *durable, const struct writer_id *writer,
                            const struct head *head, struct buffer *target)
{
    struct durable_receipt *receipts[GENESIS_STORES_MAX];
    struct durable_branch *branch = branch_find(durable, writer);
    const struct genesis *genesis = &durable->genesis;
    uint32_t needed = head->sequence == 0 ? 0 : genesis->receipt_count, count = 0;
    for (uint32_t i = 0; branch != NULL && i < genesis->store_count && count < needed; i++) {
        if (is_held_by(durable, branch, i, head)) {
            receipts[count++] = branch->verified[i].receipt;
        }
    }
    enum status status = count < needed ? STATUS_GAP : STATUS_OK;
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        status = receipt_collect(durable, receipts[i], target);
    }
    return status;
}

uint64_t durable_verified_count(const struct durable *durable)
{
    return durable->verified_count;
}
