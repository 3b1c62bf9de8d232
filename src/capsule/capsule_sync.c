/* src/capsule/capsule_sync.c */
#include "capsule/capsule_internal.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "capsule/receipt.h"

/* Stores are counted as bits: those that count now, and above them those that did before. */
_Static_assert(2 * GENESIS_STORES_MAX <= 32, "a mask has two bits for each store");

/* NULL: it is none of these. */
static const struct genesis_store *store_find(const struct stores *stores,
                                              const struct writer_id *id, uint32_t *mask)
{
    const struct genesis_store *now = genesis_store_find(&stores->now, id);
    const struct genesis_store *former =
        stores->has_former ? genesis_store_find(&stores->former, id) : NULL;
    *mask = now == NULL ? 0 : (uint32_t)1 << (now - stores->now.stores);
    if (former != NULL) {
        *mask |= (uint32_t)1 << (GENESIS_STORES_MAX + (former - stores->former.stores));
    }
    return now != NULL ? now : former;
}

static uint32_t mask_count(uint32_t mask)
{
    return (uint32_t)__builtin_popcount(mask & (((uint32_t)1 << GENESIS_STORES_MAX) - 1));
}

static uint32_t mask_count_former(uint32_t mask)
{
    return (uint32_t)__builtin_popcount(mask >> GENESIS_STORES_MAX);
}

/*
 * The next length-prefixed statement of a known store, its signature verified.
 * STATUS_EMPTY: there are no more.
 */
static enum status statement_next(struct capsule *capsule, const struct stores *stores,
                                  const struct record *record, struct cursor *in,
                                  enum receipt_kind kind, struct receipt *statement, uint32_t *mask)
{
    if (cursor_done(in)) {
        return STATUS_EMPTY;
    }
    struct bytes bytes = cursor_run(in);
    if (in->failed || receipt_decode(statement, bytes) != STATUS_OK) {
        return capsule_refuse(capsule, record, STATUS_MALFORMED, "it holds what is no receipt");
    }
    const struct genesis_store *store = store_find(stores, &statement->store, mask);
    if (store == NULL) {
        return capsule_refuse(capsule, record, STATUS_FORGED, "it rests on the unknown store %s",
                              capsule_digits_of(statement->store.bytes).text);
    }
    if (receipt_verify(statement, kind, &capsule->genesis.capsule, &store->key) != STATUS_OK) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "the signature of store '%s' does not verify", store->name);
    }
    return STATUS_OK;
}

/* Whether another record is here than the one named. */
static bool is_forked_at(const struct branch *branch, const struct head *named)
{
    struct hash here;
    return branch_hash_at(branch, named->sequence, &here) && !hash_equal(&here, &named->hash);
}

/*
 * Compare a head that the record names with what was named before. What a writer's own records say
 * does not matter (note_named()): if they say otherwise, it has forked. A leader does not fork: two
 * histories are two capsules.
 */
static enum status verify_head(struct capsule *capsule, const struct record *record,
                               const struct branch *branch, const struct head *named)
{
    struct capsule_digits writer = capsule_digits_of(branch->member.id.bytes);
    if (named->sequence < branch->covered.sequence) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "it puts the end of %s at %" PRIu64 ", below %" PRIu64
                              " named before",
                              writer.text, named->sequence, branch->covered.sequence);
    }
    bool is_decided =
        named->sequence == branch->covered.sequence || branch->member.role == MEMBER_LEADER;
    if (is_decided && is_forked_at(branch, named)) {
        return capsule_refuse(capsule, record, STATUS_FORKED,
                              "of record %s/%" PRIu64 " it names the hash %s, here it is another",
                              writer.text, named->sequence,
                              capsule_digits_of(named->hash.bytes).text);
    }
    return STATUS_OK;
}

/* What is named counts, whatever is here. */
static void note_named(struct capsule *capsule, struct branch *branch, const struct head *named)
{
    if (is_forked_at(branch, named)) {
        branch->member.forked_sequence = named->sequence;
        capsule->is_overrun = true;
    }
    branch_cover(branch, named);
}

// ---- SYNC ----

static enum status verify_progress(struct capsule *capsule, const struct branch *leader,
                                   const struct record *record, const struct sync_body *body)
{
    if (body->term != leader->member.term) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "it claims term %" PRIu64 ", its leader's is %" PRIu64, body->term,
                              leader->member.term);
    }
    static const struct capsule_sync none;
    const struct capsule_sync *previous = capsule_newest_sync(capsule);
    if (previous == NULL) {
        previous = &none;
    }
    if (record->epoch <= previous->epoch || body->time_ms < previous->time_ms ||
        body->lamport < previous->lamport || body->floor < previous->floor) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "its epoch %" PRIu64 " must be above %" PRIu64
                              ", and its time, lamport and floor not below those before",
                              record->epoch, previous->epoch);
    }
    if (body->floor > body->lamport) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "its floor %" PRIu64 " is above its lamport %" PRIu64, body->floor,
                              body->lamport);
    }
    return STATUS_OK;
}

/* The parents are the record before and the listed heads that exist, in order. */
static enum status verify_parents(struct capsule *capsule, const struct record *record,
                                  const struct sync_body *body)
{
    size_t next = record_previous_count(record);
    for (uint32_t i = 0; i < body->head_count; i++) {
        struct head head = sync_head_at(body, i).branch.head;
        if (head.sequence == 0) {
            continue;
        }
        if (next >= record->parent_count) {
            return capsule_refuse(capsule, record, STATUS_FORGED,
                                  "it has fewer parents than heads");
        }
        struct hash parent = record_parent(record, next);
        if (!hash_equal(&parent, &head.hash)) {
            return capsule_refuse(
                capsule, record, STATUS_FORGED, "its parent %zu is %s, its list says %s", next,
                capsule_digits_of(parent.bytes).text, capsule_digits_of(head.hash.bytes).text);
        }
        next++;
    }
    if (next != record->parent_count) {
        return capsule_refuse(capsule, record, STATUS_FORGED, "it has more parents than heads");
    }
    return STATUS_OK;
}

static enum status verify_listing(struct capsule *capsule, const struct branch *leader,
                                  const struct record *record, const struct sync_head *listed)
{
    struct capsule_digits writer = capsule_digits_of(listed->branch.writer.bytes);
    struct branch *branch = capsule_branch_find(capsule, &listed->branch.writer);
    if (branch == NULL) {
        return capsule_refuse(capsule, record, STATUS_FORGED, "it lists the unknown writer %s",
                              writer.text);
    }
    if (branch->examined_by == capsule->examination_count) {
        return capsule_refuse(capsule, record, STATUS_FORGED, "it lists %s twice", writer.text);
    }
    const struct head *head = &listed->branch.head;
    if (branch == leader && head->sequence >= record->sequence) {
        return capsule_refuse(capsule, record, STATUS_FORGED, "it lists itself");
    }
    bool says_closed = (listed->flags & SYNC_FLAG_CLOSED) != 0;
    const struct capsule_member *member = &branch->member;
    bool is_at_cut =
        member->cut.sequence == head->sequence && hash_equal(&member->cut.hash, &head->hash);
    if (branch->is_listed_closed || says_closed != member->is_closed ||
        (says_closed && !is_at_cut)) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "what it says of the end of %s is not what its CLOSE says",
                              writer.text);
    }
    enum status status = verify_head(capsule, record, branch, head);
    if (status != STATUS_OK) {
        return status;
    }
    status = branch_reserve_expectation(branch);
    if (status != STATUS_OK) {
        return capsule_refuse(capsule, record, status, "too many SYNCs wait for %s", writer.text);
    }
    branch->examined_by = capsule->examination_count;
    branch->examined_head = *head;
    branch->examined_stores = 0;
    return STATUS_OK;
}

static enum status verify_listings(struct capsule *capsule, const struct branch *leader,
                                   const struct record *record, const struct sync_body *body)
{
    capsule->examination_count++;
    for (uint32_t i = 0; i < body->head_count; i++) {
        struct sync_head listed = sync_head_at(body, i);
        enum status status = verify_listing(capsule, leader, record, &listed);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

/*
 * A store holds everything up to `held`: note it where that covers the listed head. One that names
 * another record there says nothing of this one: it may lie, and must not spoil what others prove.
 */
static void note_receipt(struct capsule *capsule, const struct branch_head *held, uint32_t mask)
{
    struct branch *branch = capsule_branch_find(capsule, &held->writer);
    if (branch == NULL || branch->examined_by != capsule->examination_count) {
        return;  // a store speaks of all branches, the SYNC of some
    }
    const struct head *listed = &branch->examined_head;
    bool is_other =
        held->head.sequence == listed->sequence && !hash_equal(&held->head.hash, &listed->hash);
    if (held->head.sequence >= listed->sequence && !is_other) {
        branch->examined_stores |= mask;
    }
}

static enum status note_receipts(struct capsule *capsule, const struct stores *stores,
                                 const struct record *record, const struct sync_body *body)
{
    struct cursor in = cursor_over(body->receipts.at, body->receipts.length);
    for (;;) {
        struct receipt receipt;
        uint32_t mask;
        enum status status =
            statement_next(capsule, stores, record, &in, RECEIPT_DURABLE, &receipt, &mask);
        if (status != STATUS_OK) {
            return status == STATUS_EMPTY ? STATUS_OK : status;
        }
        if (receipt.term > body->term) {
            return capsule_refuse(capsule, record, STATUS_FORGED,
                                  "it rests on a receipt of the later term %" PRIu64, receipt.term);
        }
        for (uint32_t i = 0; i < receipt.head_count; i++) {
            struct branch_head held = receipt_head(&receipt, i);
            note_receipt(capsule, &held, mask);
        }
    }
}

/* Every listed head is held by W stores. */
static enum status verify_receipts(struct capsule *capsule, const struct branch *leader,
                                   const struct record *record, const struct sync_body *body)
{
    const struct stores *stores = capsule_stores_of(capsule, leader);
    enum status status = note_receipts(capsule, stores, record, body);
    for (uint32_t i = 0; i < body->head_count && status == STATUS_OK; i++) {
        struct sync_head listed = sync_head_at(body, i);
        const struct branch *branch = capsule_branch_find(capsule, &listed.branch.writer);
        // What an earlier SYNC or a CLOSE named, receipts or fences have proven already.
        bool is_proven = listed.branch.head.sequence == branch->covered.sequence;
        uint32_t store_count = mask_count(branch->examined_stores);
        if (!is_proven && store_count < stores->now.receipt_count) {
            status = capsule_refuse(capsule, record, STATUS_FORGED,
                                    "receipts of %" PRIu32 " stores cover %s/%" PRIu64 ", %" PRIu32
                                    " must",
                                    store_count, capsule_digits_of(branch->member.id.bytes).text,
                                    listed.branch.head.sequence, stores->now.receipt_count);
        }
    }
    return status;
}

static enum status reserve_sync(struct capsule *capsule)
{
    if (capsule->sync_count >= CAPSULE_SYNCS_MAX) {
        return STATUS_FULL;
    }
    if (capsule->sync_count == capsule->sync_capacity) {
        size_t capacity = capsule->sync_capacity == 0 ? 64 : 2 * capsule->sync_capacity;
        struct capsule_sync *grown = realloc(capsule->syncs, capacity * sizeof *grown);
        if (grown == NULL) {
            return STATUS_NO_MEMORY;
        }
        capsule->syncs = grown;
        capsule->sync_capacity = capacity;
    }
    return lookup_reserve(&capsule->sync_by_hash);
}

static void apply_listing(struct capsule *capsule, const struct sync_head *listed,
                          struct capsule_sync *sync, uint32_t position)
{
    struct branch *branch = capsule_branch_find(capsule, &listed->branch.writer);
    const struct head *head = &listed->branch.head;
    if (head->sequence > branch->member.head.sequence) {
        branch_expect(branch, head, position);
        sync->unmet_count++;
    }
    note_named(capsule, branch, head);
    branch->is_listed_closed = (listed->flags & SYNC_FLAG_CLOSED) != 0;
}

enum status capsule_sync_apply(struct capsule *capsule, struct branch *leader,
                               const struct record *record)
{
    struct sync_body body;
    enum status status = sync_decode(&body, record->body);
    if (status != STATUS_OK) {
        return capsule_refuse(capsule, record, status, "its body is no SYNC");
    }
    status = verify_progress(capsule, leader, record, &body);
    if (status == STATUS_OK) {
        status = capsule_keys_verify_sync(capsule, record);
    }
    if (status == STATUS_OK) {
        status = verify_parents(capsule, record, &body);
    }
    if (status == STATUS_OK) {
        status = verify_listings(capsule, leader, record, &body);
    }
    if (status == STATUS_OK) {
        status = verify_receipts(capsule, leader, record, &body);
    }
    if (status == STATUS_OK) {
        status = capsule_prune_verify_manifest(capsule, record, &body.manifest);
    }
    if (status != STATUS_OK) {
        return status;
    }
    status = reserve_sync(capsule);
    if (status != STATUS_OK) {
        return capsule_refuse(capsule, record, status, "no room for another SYNC");
    }

    uint32_t position = (uint32_t)capsule->sync_count;
    uint32_t key_epoch = record->key_epoch == 0 ? capsule_key_epoch(capsule) : record->key_epoch;
    struct capsule_sync *sync = &capsule->syncs[position];
    *sync = (struct capsule_sync){
        .hash = record->hash,
        .epoch = record->epoch,
        .sequence = record->sequence,
        .leader = record->writer,
        .term = body.term,
        .lamport = body.lamport,
        .floor = body.floor,
        .time_ms = body.time_ms,
        .manifest = body.manifest,
        .key_epoch = key_epoch,
    };
    for (uint32_t i = 0; i < body.head_count; i++) {
        struct sync_head listed = sync_head_at(&body, i);
        apply_listing(capsule, &listed, sync, position);
    }
    capsule_prune_set_manifest(capsule, &body.manifest);
    capsule->sync_count++;
    lookup_add(&capsule->sync_by_hash, sync->hash.bytes, position);
    leader->member.joined = sync->hash;
    leader->member.joined_epoch = sync->epoch;
    leader->member.joined_lamport = sync->lamport;
    leader->member.joined_key_epoch = sync->key_epoch;
    return STATUS_OK;
}

// ---- CLOSE ----

/* Whether `fence` says where the branch ended, and the cut does not lie below. */
static enum status verify_fence(struct capsule *capsule, const struct record *record,
                                const struct sync_close *body, const struct receipt *fence)
{
    const struct head *cut = &body->cut.head;
    if (fence->term != body->term) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "it rests on a fence of term %" PRIu64, fence->term);
    }
    for (uint32_t i = 0; i < fence->head_count; i++) {
        struct branch_head held = receipt_head(fence, i);
        if (!writer_id_equal(&held.writer, &body->cut.writer)) {
            continue;
        }
        bool is_above = held.head.sequence > cut->sequence;
        bool is_other =
            held.head.sequence == cut->sequence && !hash_equal(&held.head.hash, &cut->hash);
        if (is_above || is_other) {
            return capsule_refuse(capsule, record, STATUS_FORGED,
                                  "a store's fence is at %" PRIu64 " (%s), its cut at %" PRIu64
                                  " (%s)",
                                  held.head.sequence, capsule_digits_of(held.head.hash.bytes).text,
                                  cut->sequence, capsule_digits_of(cut->hash.bytes).text);
        }
        return STATUS_OK;
    }
    // A new leader fences everything at once: a store that does not list a branch holds none of it.
    if (body->reason == SYNC_CLOSE_RESTART) {
        return STATUS_OK;
    }
    return capsule_refuse(capsule, record, STATUS_FORGED, "it rests on a fence of other branches");
}

/*
 * R stores take nothing more: any R and any W stores, less the f that may lie, have one in common.
 */
static enum status verify_fences(struct capsule *capsule, const struct branch *leader,
                                 const struct branch *target, const struct record *record,
                                 const struct sync_close *body)
{
    const struct stores *stores = capsule_stores_of(capsule, leader);
    struct cursor in = cursor_over(body->fences.at, body->fences.length);
    uint32_t fenced = 0;
    for (;;) {
        struct receipt fence;
        uint32_t mask;
        enum status status =
            statement_next(capsule, stores, record, &in, RECEIPT_FENCE, &fence, &mask);
        if (status == STATUS_EMPTY) {
            break;
        }
        if (status == STATUS_OK) {
            status = verify_fence(capsule, record, body, &fence);
        }
        if (status != STATUS_OK) {
            return status;
        }
        fenced |= mask;
    }
    uint32_t needed = genesis_answer_count(&stores->now);
    if (mask_count(fenced) < needed) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "%" PRIu32 " stores have fenced the branch, %" PRIu32 " must",
                              mask_count(fenced), needed);
    }
    // What a branch of an earlier term wrote may have counted by the stores before.
    if (stores->has_former && target->member.term < leader->member.term) {
        needed = genesis_answer_count(&stores->former);
        if (mask_count_former(fenced) < needed) {
            return capsule_refuse(capsule, record, STATUS_FORGED,
                                  "%" PRIu32
                                  " stores of the former set have fenced the branch, "
                                  "%" PRIu32 " must",
                                  mask_count_former(fenced), needed);
        }
    }
    return STATUS_OK;
}

static enum status verify_target(struct capsule *capsule, const struct branch *leader,
                                 const struct branch *target, const struct record *record,
                                 enum sync_close_reason reason)
{
    const struct capsule_member *member = &target->member;
    struct capsule_digits writer = capsule_digits_of(member->id.bytes);
    if (member->is_closed &&
        capsule_term_of_close(capsule, target) < capsule_term_authority(capsule, leader)) {
        // A leader in between closed it, and its CLOSE reached this replica but not R stores.
        capsule_term_void_closers(capsule, target);
        return capsule_refuse(capsule, record, STATUS_GAP,
                              "%s is closed here by one that this leader does not know of",
                              writer.text);
    }
    if (member->is_closed) {
        return capsule_refuse(capsule, record, STATUS_FORGED, "%s has been closed before",
                              writer.text);
    }
    if (member->role == MEMBER_LEADER && record->sequence != leader->term_sequence + 1) {
        return capsule_refuse(capsule, record, STATUS_DENIED,
                              "a leader closes one predecessor, right after its TERM");
    }
    if (member->role == MEMBER_LEADER && member->term >= leader->member.term) {
        return capsule_refuse(capsule, record, STATUS_DENIED,
                              "the leader %s is no predecessor of this one", writer.text);
    }
    if (member->role == MEMBER_LEADER && !stores_may_follow(capsule_stores_of(capsule, leader),
                                                            capsule_stores_of(capsule, target))) {
        return capsule_refuse(capsule, record, STATUS_DENIED,
                              "the stores of its term do not follow those of %s", writer.text);
    }
    if (reason == SYNC_CLOSE_REVOKED && member->revoked_epoch == 0) {
        return capsule_refuse(capsule, record, STATUS_FORGED, "the owner has not revoked %s",
                              writer.text);
    }
    return STATUS_OK;
}

enum status capsule_sync_apply_close(struct capsule *capsule, struct branch *leader,
                                     const struct record *record)
{
    struct sync_close body;
    enum status status = sync_close_decode(&body, record->body);
    if (status != STATUS_OK) {
        return capsule_refuse(capsule, record, status, "its body is no CLOSE");
    }
    if (body.term != leader->member.term) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "it claims term %" PRIu64 ", its leader's is %" PRIu64, body.term,
                              leader->member.term);
    }
    struct branch *target = capsule_branch_find(capsule, &body.cut.writer);
    if (target == NULL) {
        // A predecessor, perhaps, of whose TERM this replica has not heard.
        return capsule_refuse(capsule, record, STATUS_GAP, "it closes the unknown writer %s",
                              capsule_digits_of(body.cut.writer.bytes).text);
    }
    status = verify_target(capsule, leader, target, record, body.reason);
    if (status == STATUS_OK) {
        status = verify_head(capsule, record, target, &body.cut.head);
    }
    if (status == STATUS_OK) {
        status = verify_fences(capsule, leader, target, record, &body);
    }
    if (status != STATUS_OK) {
        return status;
    }
    target->member.is_closed = true;
    target->closed_term = body.term;
    target->closed_sequence = record->sequence;
    target->member.cut = body.cut.head;
    note_named(capsule, target, &body.cut.head);
    if (target->member.head.sequence > body.cut.head.sequence) {
        capsule->is_overrun = true;
    }
    return STATUS_OK;
}
