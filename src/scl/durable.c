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
    struct head head;
    struct durable_receipt *receipt;  // NULL: none
};

/*
 * What one store says of one branch. Of the claims that name what is not here yet the first is
 * kept until the branch has come to it, and beside it the newest: however far a replica lags behind
 * the stores, some claim is always compared next.
 */
struct durable_claims {
    struct durable_claim verified;  // the newest
    struct durable_claim claimed;   // a newer one, whose signature nobody has looked at yet
    struct durable_claim early;     // the first beyond the end of the branch here
    struct durable_claim late;      // and the newest
};

struct durable_branch {
    struct writer_id writer;
    struct durable_claims *stores;  // store_count of them
};

struct durable {
    struct genesis genesis;
    const struct capsule *capsule;  // or NULL: numbers alone are compared
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

static void claim_set(struct durable_claim *claim, const struct head *head,
                      struct durable_receipt *receipt)
{
    receipt->reference_count++;
    receipt_drop(claim->receipt);
    *claim = (struct durable_claim){.head = *head, .receipt = receipt};
}

static void claim_clear(struct durable_claim *claim)
{
    receipt_drop(claim->receipt);
    *claim = (struct durable_claim){.receipt = NULL};
}

static void claim_move(struct durable_claim *to, struct durable_claim *from)
{
    receipt_drop(to->receipt);
    *to = *from;
    *from = (struct durable_claim){.receipt = NULL};
}

static void claims_drop(struct durable_claims *stores, uint32_t store_count)
{
    for (uint32_t i = 0; stores != NULL && i < store_count; i++) {
        claim_clear(&stores[i].verified);
        claim_clear(&stores[i].claimed);
        claim_clear(&stores[i].early);
        claim_clear(&stores[i].late);
    }
    free(stores);
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
    struct durable_claims *stores = calloc(durable->genesis.store_count, sizeof *stores);
    if (stores == NULL) {
        return STATUS_NO_MEMORY;
    }
    durable->branches[durable->branch_count] =
        (struct durable_branch){.writer = *writer, .stores = stores};
    slots_insert(durable->slots, durable->slot_count, writer, durable->branch_count);
    durable->branch_count++;
    return STATUS_OK;
}

enum status durable_new(struct durable **durable, const struct genesis *genesis,
                        const struct capsule *capsule)
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
    made->capsule = capsule;
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
        claims_drop(durable->branches[i].stores, durable->genesis.store_count);
    }
    free(durable->branches);
    free(durable->slots);
    free(durable);
}

/* What stores that still count have claimed goes to their places among `stores`. */
static void claims_move(const struct durable *durable, struct durable_claims *to,
                        struct durable_claims *from, const struct genesis *stores)
{
    for (uint32_t i = 0; i < durable->genesis.store_count; i++) {
        const struct genesis_store *kept =
            genesis_store_find(stores, &durable->genesis.stores[i].id);
        if (kept != NULL) {
            to[kept - stores->stores] = from[i];
            from[i] = (struct durable_claims){.verified = {.receipt = NULL}};
        }
    }
}

enum status durable_use(struct durable *durable, const struct genesis *stores)
{
    if (stores_are_same(&durable->genesis, stores)) {
        return STATUS_OK;
    }
    struct durable_claims **claims = calloc(durable->branch_count + 1, sizeof(*claims));
    bool is_made = claims != NULL;
    for (size_t i = 0; is_made && i < durable->branch_count; i++) {
        claims[i] = calloc(stores->store_count, sizeof *claims[i]);
        is_made = claims[i] != NULL;
    }
    for (size_t i = 0; claims != NULL && i < durable->branch_count; i++) {
        struct durable_branch *branch = &durable->branches[i];
        if (is_made) {
            claims_move(durable, claims[i], branch->stores, stores);
            claims_drop(branch->stores, durable->genesis.store_count);
            branch->stores = claims[i];
        } else {
            free(claims[i]);
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
static void claim_settle(struct durable *durable, struct durable_claims *claims)
{
    if (claims->claimed.receipt == NULL) {
        return;
    }
    if (receipt_check(durable, claims->claimed.receipt) == STATUS_OK) {
        claim_move(&claims->verified, &claims->claimed);
    }
    claim_clear(&claims->claimed);
}

enum claim_place {
    CLAIM_HERE,   // it names a record of the branch that is here
    CLAIM_OTHER,  // it does not: nothing says that what is here leads to it
    CLAIM_AHEAD,  // it names one beyond the end
};

static enum claim_place claim_place(const struct durable *durable, const struct writer_id *writer,
                                    const struct head *head)
{
    if (durable->capsule == NULL) {
        return CLAIM_HERE;
    }
    const struct capsule_member *member = capsule_member_find(durable->capsule, writer);
    if (member == NULL) {
        return CLAIM_AHEAD;
    }
    // A leader does not fork: two histories are two capsules.
    if (member->role == MEMBER_LEADER) {
        return CLAIM_HERE;
    }
    struct hash here;
    if (head->sequence > member->head.sequence) {
        return CLAIM_AHEAD;
    }
    bool is_here = capsule_hash_at(durable->capsule, member, head->sequence, &here) &&
                   hash_equal(&here, &head->hash);
    return is_here ? CLAIM_HERE : CLAIM_OTHER;
}

static void keep_here(struct durable *durable, struct durable_claims *claims,
                      const struct head *head, struct durable_receipt *kept)
{
    if (head->sequence > claims->verified.head.sequence &&
        head->sequence <= claims->claimed.head.sequence) {
        // A false claim must not keep a true one from being heard.
        claim_settle(durable, claims);
    }
    if (head->sequence > claims->verified.head.sequence &&
        head->sequence > claims->claimed.head.sequence) {
        claim_set(&claims->claimed, head, kept);
    }
}

static bool claim_says(const struct durable_claim *claim, const struct head *head)
{
    return claim->receipt != NULL && claim->head.sequence == head->sequence &&
           hash_equal(&claim->head.hash, &head->hash);
}

static void keep_ahead(struct durable *durable, struct durable_claims *claims,
                       const struct head *head, struct durable_receipt *kept)
{
    struct durable_claim *early = &claims->early, *late = &claims->late;
    if (claim_says(early, head) || claim_says(late, head)) {
        return;
    }
    if (early->receipt == NULL) {
        claim_set(early, head, kept);
    } else if (head->sequence < early->head.sequence) {
        if (late->receipt == NULL) {
            claim_move(late, early);
        }
        claim_set(early, head, kept);
    } else if (late->receipt == NULL || head->sequence > late->head.sequence ||
               receipt_check(durable, late->receipt) != STATUS_OK) {
        claim_set(late, head, kept);
    }
}

/* The branch may have come to what stores have named. */
static void claims_advance(struct durable *durable, const struct durable_branch *branch)
{
    for (uint32_t i = 0; i < durable->genesis.store_count; i++) {
        struct durable_claims *claims = &branch->stores[i];
        while (claims->early.receipt != NULL) {
            enum claim_place place = claim_place(durable, &branch->writer, &claims->early.head);
            if (place == CLAIM_AHEAD) {
                break;
            }
            if (place == CLAIM_HERE) {
                keep_here(durable, claims, &claims->early.head, claims->early.receipt);
            }
            claim_clear(&claims->early);
            claim_move(&claims->early, &claims->late);
        }
    }
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
        claims_advance(durable, branch);
        switch (claim_place(durable, &head.writer, &head.head)) {
        case CLAIM_HERE:
            keep_here(durable, &branch->stores[store], &head.head, kept);
            break;
        case CLAIM_AHEAD:
            keep_ahead(durable, &branch->stores[store], &head.head, kept);
            break;
        case CLAIM_OTHER:
            break;
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
    claims_advance(durable, branch);
    for (uint32_t i = 0; i < genesis->store_count; i++) {
        holding_count += branch->stores[i].verified.head.sequence >= sequence;
    }
    for (uint32_t i = 0; i < genesis->store_count && holding_count < genesis->receipt_count; i++) {
        struct durable_claims *claims = &branch->stores[i];
        if (claims->verified.head.sequence < sequence &&
            claims->claimed.head.sequence >= sequence) {
            claim_settle(durable, claims);
            holding_count += claims->verified.head.sequence >= sequence;
        }
    }
    return holding_count >= genesis->receipt_count;
}

static uint64_t claimed_by(const struct durable_claims *claims)
{
    uint64_t verified = claims->verified.head.sequence, claimed = claims->claimed.head.sequence;
    return verified > claimed ? verified : claimed;
}

uint64_t durable_claimed(struct durable *durable, const struct writer_id *writer)
{
    const struct durable_branch *branch = branch_find(durable, writer);
    const struct genesis *genesis = &durable->genesis;
    uint64_t sequence = 0;
    if (branch == NULL) {
        return 0;
    }
    claims_advance(durable, branch);
    // The greatest claim that W stores make.
    for (uint32_t i = 0; i < genesis->store_count; i++) {
        uint64_t claim = claimed_by(&branch->stores[i]);
        uint32_t claim_count = 0;
        for (uint32_t store = 0; store < genesis->store_count; store++) {
            claim_count += claimed_by(&branch->stores[store]) >= claim;
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
static bool is_held_by(struct durable *durable, struct durable_claims *claims,
                       const struct head *head)
{
    const struct durable_claim *verified = &claims->verified;
    if (verified->head.sequence < head->sequence &&
        claims->claimed.head.sequence >= head->sequence) {
        claim_settle(durable, claims);
    }
    return verified->head.sequence > head->sequence || claim_says(verified, head);
}

enum status durable_collect(struct durable *durable, const struct writer_id *writer,
                            const struct head *head, struct buffer *target)
{
    struct durable_receipt *receipts[GENESIS_STORES_MAX];
    struct durable_branch *branch = branch_find(durable, writer);
    const struct genesis *genesis = &durable->genesis;
    uint32_t needed = head->sequence == 0 ? 0 : genesis->receipt_count, count = 0;
    for (uint32_t i = 0; branch != NULL && i < genesis->store_count && count < needed; i++) {
        if (is_held_by(durable, &branch->stores[i], head)) {
            receipts[count++] = branch->stores[i].verified.receipt;
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
