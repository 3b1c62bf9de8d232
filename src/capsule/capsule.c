/* src/capsule/capsule.c */
#include "capsule/capsule.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hex.h"
#include "capsule/capsule_internal.h"
#include "crypto/aead.h"

enum status capsule_refuse(struct capsule *capsule, const struct record *record, enum status status,
                           const char *format, ...)
{
    char writer[WRITER_ID_TEXT_BYTES];
    writer_id_text(&record->writer, writer);
    int length = snprintf(capsule->reason, sizeof capsule->reason, "%s %s/%" PRIu64 ": ",
                          record_type_text(record->type), writer, record->sequence);
    CHECK(length > 0 && (size_t)length < sizeof capsule->reason);

    va_list arguments;
    va_start(arguments, format);
    vsnprintf(capsule->reason + length, sizeof capsule->reason - (size_t)length, format, arguments);
    va_end(arguments);
    return status;
}

struct capsule_digits capsule_digits_of(const void *bytes)
{
    struct capsule_digits digits;
    hex_encode(digits.text, bytes, (sizeof digits.text - 1) / 2);
    return digits;
}

const char *capsule_reason(const struct capsule *capsule)
{
    return capsule->reason;
}

// ---- the whole ----

enum status capsule_new(struct capsule **capsule, struct bytes genesis_body)
{
    *capsule = NULL;
    struct capsule *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    enum status status = buffer_append(&made->genesis_body, genesis_body.at, genesis_body.length);
    if (status == STATUS_OK) {
        status = genesis_decode(&made->genesis, buffer_bytes(&made->genesis_body));
    }
    if (status != STATUS_OK) {
        capsule_free(made);
        return status;
    }
    stores_of_genesis(&made->first_stores, &made->genesis);
    made->policy_version = 1;
    *capsule = made;
    return STATUS_OK;
}

void capsule_free(struct capsule *capsule)
{
    if (capsule == NULL) {
        return;
    }
    for (size_t i = 0; i < capsule->branch_count; i++) {
        branch_release(&capsule->branches[i]);
    }
    free(capsule->branches);
    capsule_stores_release(capsule);
    free(capsule->gone);
    lookup_release(&capsule->gone_by_id);
    free(capsule->syncs);
    capsule_lock_clear(capsule);
    lookup_release(&capsule->branch_by_id);
    lookup_release(&capsule->sync_by_hash);
    buffer_release(&capsule->policy_body);
    buffer_release(&capsule->genesis_body);
    free(capsule);
}

void capsule_exchange(struct capsule *a, struct capsule *b)
{
    CHECK(hash_equal(&a->genesis.capsule, &b->genesis.capsule));
    struct capsule kept = *a;
    *a = *b;
    *b = kept;
    // The GENESIS goes back: it borrows from its body.
    b->genesis = a->genesis;
    b->genesis_body = a->genesis_body;
    a->genesis = kept.genesis;
    a->genesis_body = kept.genesis_body;
}

const struct genesis *capsule_genesis(const struct capsule *capsule)
{
    return &capsule->genesis;
}

struct bytes capsule_genesis_body(const struct capsule *capsule)
{
    return buffer_bytes(&capsule->genesis_body);
}

const struct hash *capsule_name(const struct capsule *capsule)
{
    return &capsule->genesis.capsule;
}

uint64_t capsule_term(const struct capsule *capsule)
{
    return capsule->term;
}

uint64_t capsule_policy_version(const struct capsule *capsule)
{
    return capsule->policy_version;
}

struct bytes capsule_policy(const struct capsule *capsule)
{
    return capsule->policy_version == 1 ? capsule->genesis.policy : capsule->policy;
}

struct bytes capsule_policy_body(const struct capsule *capsule)
{
    return buffer_bytes(&capsule->policy_body);
}

uint32_t capsule_key_epoch(const struct capsule *capsule)
{
    const struct capsule_sync *newest = capsule_newest_sync(capsule);
    return newest == NULL ? CAPSULE_KEY_EPOCH_FIRST : newest->key_epoch;
}

bool capsule_must_rotate(const struct capsule *capsule)
{
    const struct capsule_sync *newest = capsule_newest_sync(capsule);
    return capsule->revoke_epoch > (newest == NULL ? 0 : newest->epoch);
}

bool capsule_is_overrun(const struct capsule *capsule)
{
    return capsule->is_overrun;
}

// ---- branches ----

struct branch *capsule_branch_find(const struct capsule *capsule, const struct writer_id *id)
{
    size_t probe = 0;
    for (;;) {
        uint32_t position = lookup_next(&capsule->branch_by_id, id->bytes, &probe);
        if (position == LOOKUP_NONE) {
            return NULL;
        }
        struct branch *branch = &capsule->branches[position];
        if (writer_id_equal(&branch->member.id, id)) {
            return branch;
        }
    }
}

const struct capsule_gone *capsule_gone_find(const struct capsule *capsule,
                                             const struct writer_id *id)
{
    size_t probe = 0;
    for (;;) {
        uint32_t position = lookup_next(&capsule->gone_by_id, id->bytes, &probe);
        if (position == LOOKUP_NONE) {
            return NULL;
        }
        if (writer_id_equal(&capsule->gone[position].id, id)) {
            return &capsule->gone[position];
        }
    }
}

size_t capsule_gone_count(const struct capsule *capsule)
{
    return capsule->gone_count;
}

const struct capsule_gone *capsule_gone_at(const struct capsule *capsule, size_t index)
{
    CHECK(index < capsule->gone_count);
    return &capsule->gone[index];
}

enum status capsule_branch_add(struct capsule *capsule, struct branch **branch,
                               const struct writer_id *id)
{
    if (capsule->branch_count >= CAPSULE_MEMBERS_MAX) {
        return STATUS_FULL;
    }
    if (capsule->branch_count == capsule->branch_capacity) {
        size_t capacity = capsule->branch_capacity == 0 ? 8 : 2 * capsule->branch_capacity;
        struct branch *grown = realloc(capsule->branches, capacity * sizeof *grown);
        if (grown == NULL) {
            return STATUS_NO_MEMORY;
        }
        capsule->branches = grown;
        capsule->branch_capacity = capacity;
    }
    enum status status = lookup_reserve(&capsule->branch_by_id);
    if (status != STATUS_OK) {
        return status;
    }
    *branch = &capsule->branches[capsule->branch_count];
    **branch = (struct branch){.member = {.id = *id}};
    lookup_add(&capsule->branch_by_id, id->bytes, (uint32_t)capsule->branch_count);
    capsule->branch_count++;
    return STATUS_OK;
}

static void count_joined(struct capsule *capsule)
{
    while (capsule->joined_count < capsule->sync_count &&
           capsule->syncs[capsule->joined_count].unmet_count == 0) {
        capsule->joined_count++;
    }
}

static void grow(struct capsule *capsule, struct branch *branch, const struct record *record)
{
    struct head head = {.sequence = record->sequence, .hash = record->hash};
    branch_grow(branch, &head);
    const struct branch_expectation *expected = branch_expectation(branch);
    while (expected != NULL && expected->head.sequence <= head.sequence) {
        capsule->syncs[expected->sync].unmet_count--;
        branch_meet(branch);
        expected = branch_expectation(branch);
    }
    count_joined(capsule);
}

const struct capsule_member *capsule_member_find(const struct capsule *capsule,
                                                 const struct writer_id *id)
{
    const struct branch *branch = capsule_branch_find(capsule, id);
    return branch == NULL ? NULL : &branch->member;
}

size_t capsule_member_count(const struct capsule *capsule)
{
    return capsule->branch_count;
}

const struct capsule_member *capsule_member_at(const struct capsule *capsule, size_t index)
{
    CHECK(index < capsule->branch_count);
    return &capsule->branches[index].member;
}

size_t capsule_member_index(const struct capsule *capsule, const struct capsule_member *member)
{
    // A member is the first field of its branch.
    _Static_assert(offsetof(struct branch, member) == 0, "a member is where its branch is");
    size_t index = (size_t)((const struct branch *)member - capsule->branches);
    CHECK(index < capsule->branch_count);
    return index;
}

bool capsule_is_listed_closed(const struct capsule *capsule, const struct capsule_member *member)
{
    return capsule->branches[capsule_member_index(capsule, member)].is_listed_closed;
}

uint64_t capsule_close_term(const struct capsule *capsule, const struct capsule_member *member)
{
    return capsule_term_of_close(capsule,
                                 &capsule->branches[capsule_member_index(capsule, member)]);
}

bool capsule_is_close_settled(const struct capsule *capsule, const struct capsule_member *member)
{
    const struct branch *branch = &capsule->branches[capsule_member_index(capsule, member)];
    for (size_t i = capsule->sync_count; i > 1; i--) {
        const struct capsule_sync *sync = &capsule->syncs[i - 2];
        // A leader writes the next one when W stores hold the last.
        if (writer_id_equal(&sync->leader, &capsule->syncs[i - 1].leader)) {
            return branch->closed_term < sync->term ||
                   (branch->closed_term == sync->term && branch->closed_sequence < sync->sequence);
        }
    }
    return false;
}

bool capsule_has_synced(const struct capsule *capsule, const struct capsule_member *leader)
{
    const struct capsule_sync *sync = capsule_sync_find(capsule, &leader->joined);
    return sync != NULL && writer_id_equal(&sync->leader, &leader->id);
}

struct head capsule_named_head(const struct capsule *capsule, const struct capsule_member *member)
{
    return capsule->branches[capsule_member_index(capsule, member)].covered;
}

bool capsule_hash_at(const struct capsule *capsule, const struct capsule_member *member,
                     uint64_t sequence, struct hash *hash)
{
    return branch_hash_at(&capsule->branches[capsule_member_index(capsule, member)], sequence,
                          hash);
}

uint64_t capsule_covered_sequence(const struct capsule *capsule,
                                  const struct capsule_member *member)
{
    return capsule_named_head(capsule, member).sequence;
}

const struct capsule_member *capsule_leader(const struct capsule *capsule)
{
    return capsule->term == 0 ? NULL : &capsule->branches[capsule->leader].member;
}

// ---- SYNCs ----

const struct capsule_sync *capsule_newest_sync(const struct capsule *capsule)
{
    return capsule->sync_count == 0 ? NULL : &capsule->syncs[capsule->sync_count - 1];
}

const struct capsule_sync *capsule_joined_sync(const struct capsule *capsule)
{
    return capsule->joined_count == 0 ? NULL : &capsule->syncs[capsule->joined_count - 1];
}

const struct capsule_sync *capsule_sync_find(const struct capsule *capsule, const struct hash *hash)
{
    size_t probe = 0;
    for (;;) {
        uint32_t position = lookup_next(&capsule->sync_by_hash, hash->bytes, &probe);
        if (position == LOOKUP_NONE) {
            return NULL;
        }
        const struct capsule_sync *sync = &capsule->syncs[position];
        if (hash_equal(&sync->hash, hash)) {
            return sync;
        }
    }
}

bool capsule_manifest_may_follow(const struct capsule *capsule, const struct branch_head *manifest)
{
    const struct branch *branch = capsule_branch_find(capsule, &manifest->writer);
    return branch != NULL && branch->member.role == MEMBER_COMPACTOR &&
           capsule_prune_moves_on(capsule, manifest, &branch->member);
}

bool capsule_may_prune(const struct capsule *capsule, const struct writer_id *writer, uint64_t from,
                       uint64_t to)
{
    return capsule_prune_refusal(capsule, writer, from, to) == NULL;
}

bool capsule_is_pruned(const struct capsule *capsule, const struct writer_id *writer,
                       uint64_t sequence)
{
    const struct branch *branch = capsule_branch_find(capsule, writer);
    return branch != NULL && branch_is_pruned(branch, sequence);
}

uint64_t capsule_pruned_end(const struct capsule *capsule, const struct writer_id *writer,
                            uint64_t sequence)
{
    const struct branch *branch = capsule_branch_find(capsule, writer);
    return branch == NULL ? sequence - 1 : branch_pruned_end(branch, sequence);
}

const struct capsule_sync *capsule_sync_at_epoch(const struct capsule *capsule, uint64_t epoch)
{
    size_t low = 0;
    size_t high = capsule->sync_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (capsule->syncs[middle].epoch < epoch) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool is_here = low < capsule->sync_count && capsule->syncs[low].epoch == epoch;
    return is_here ? &capsule->syncs[low] : NULL;
}

uint64_t capsule_epoch_after(const struct capsule *capsule, uint64_t term)
{
    size_t low = 0;
    size_t high = capsule->sync_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (capsule->syncs[middle].term <= term) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < capsule->sync_count ? capsule->syncs[low].epoch : UINT64_MAX;
}

bool capsule_includes_sync(const struct capsule *capsule, const struct hash *hash, uint64_t epoch)
{
    const struct capsule_sync *known = capsule_sync_find(capsule, hash);
    return known == NULL ? epoch <= capsule->forgotten_epoch : known->epoch == epoch;
}

enum status capsule_missing(const struct capsule *capsule, size_t *index,
                            struct branch_head *wanted, uint64_t *from)
{
    while (*index < capsule->branch_count) {
        const struct branch *branch = &capsule->branches[*index];
        (*index)++;
        if (branch->covered.sequence > branch->member.head.sequence) {
            *wanted = (struct branch_head){.writer = branch->member.id, .head = branch->covered};
            *from = branch->member.head.sequence + 1;
            return STATUS_OK;
        }
    }
    return STATUS_EMPTY;
}

// ---- what workers and compactors write ----

/* The SYNC that the record says its branch has joined since, or NULL. */
static enum status find_join(struct capsule *capsule, const struct branch *branch,
                             const struct record *record, const struct capsule_sync **join)
{
    *join = NULL;
    size_t previous_count = record_previous_count(record);
    if (record->parent_count == previous_count) {
        return STATUS_OK;
    }
    struct hash parent = record_parent(record, previous_count);
    const struct capsule_sync *sync = capsule_sync_find(capsule, &parent);
    if (sync == NULL) {
        return capsule_refuse(capsule, record, STATUS_GAP, "the SYNC %s it joined is missing",
                              capsule_digits_of(parent.bytes).text);
    }
    // A first record may name the SYNC that its MEMBER named.
    uint64_t oldest = branch->member.joined_epoch + (branch->member.head.sequence == 0 ? 0 : 1);
    if (sync->epoch < oldest) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "it joins epoch %" PRIu64 " after %" PRIu64, sync->epoch,
                              branch->member.joined_epoch);
    }
    enum status status = capsule_keys_verify_join(capsule, branch, record, sync);
    if (status == STATUS_OK) {
        *join = sync;
    }
    return status;
}

static enum status verify_epoch(struct capsule *capsule, const struct record *record,
                                uint64_t joined_epoch)
{
    if (record->epoch != joined_epoch + 1) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "its epoch is %" PRIu64 ", its branch has joined %" PRIu64,
                              record->epoch, joined_epoch);
    }
    return STATUS_OK;
}

static void join(struct branch *branch, const struct capsule_sync *sync)
{
    if (sync != NULL) {
        branch->member.joined = sync->hash;
        branch->member.joined_epoch = sync->epoch;
        branch->member.joined_lamport = sync->lamport;
        branch->member.joined_key_epoch = sync->key_epoch;
    }
}

/* DATA, TABLE, MANIFEST: what they hold is for those who have keys. */
static enum status apply_sealed(struct capsule *capsule, struct branch *branch,
                                const struct record *record)
{
    const struct capsule_sync *joined;
    enum status status = find_join(capsule, branch, record, &joined);
    if (status == STATUS_OK) {
        status = verify_epoch(capsule, record,
                              joined == NULL ? branch->member.joined_epoch : joined->epoch);
    }
    if (status == STATUS_OK) {
        status = capsule_keys_verify_sealed(
            capsule, record, joined == NULL ? branch->member.joined_key_epoch : joined->key_epoch);
    }
    if (status == STATUS_OK) {
        join(branch, joined);
    }
    return status;
}

static enum status apply_manifest(struct capsule *capsule, struct branch *branch,
                                  const struct record *record)
{
    enum status status = apply_sealed(capsule, branch, record);
    if (status == STATUS_OK) {
        branch->manifest = (struct head){.sequence = record->sequence, .hash = record->hash};
    }
    return status;
}

/* It answers for an epoch that the leader may have asked for: the next one. */
static enum status decode_eoe(struct capsule *capsule, const struct record *record, struct eoe *eoe)
{
    enum status status = sync_eoe_decode(eoe, record->body);
    if (status != STATUS_OK) {
        return capsule_refuse(capsule, record, status, "its body is no EOE");
    }
    const struct capsule_sync *newest = capsule_newest_sync(capsule);
    uint64_t newest_epoch = newest == NULL ? 0 : newest->epoch;
    if (eoe->epoch > newest_epoch + 1) {
        return capsule_refuse(capsule, record, STATUS_GAP,
                              "it ends epoch %" PRIu64 ", the newest SYNC here is %" PRIu64,
                              eoe->epoch, newest_epoch);
    }
    return STATUS_OK;
}

static enum status apply_eoe(struct capsule *capsule, struct branch *branch,
                             const struct record *record)
{
    struct eoe eoe;
    const struct capsule_sync *joined;
    enum status status = decode_eoe(capsule, record, &eoe);
    if (status == STATUS_OK) {
        status = find_join(capsule, branch, record, &joined);
    }
    if (status != STATUS_OK) {
        return status;
    }
    const struct hash *said = joined == NULL ? &branch->member.joined : &joined->hash;
    if (!hash_equal(&eoe.sync, said)) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "it says that its branch has joined %s, it has joined %s",
                              capsule_digits_of(eoe.sync.bytes).text,
                              capsule_digits_of(said->bytes).text);
    }
    status =
        verify_epoch(capsule, record, joined == NULL ? branch->member.joined_epoch : joined->epoch);
    if (status == STATUS_OK) {
        join(branch, joined);
    }
    return status;
}

/* After a leap the EOE itself must say what its branch has joined meanwhile. */
static enum status apply_leap(struct capsule *capsule, struct branch *branch,
                              const struct record *record)
{
    struct eoe eoe;
    const struct capsule_sync *parent;
    enum status status = decode_eoe(capsule, record, &eoe);
    if (status == STATUS_OK) {
        status = find_join(capsule, branch, record, &parent);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (hash_is_zero(&eoe.sync)) {
        return apply_eoe(capsule, branch, record);
    }
    const struct capsule_sync *said = capsule_sync_find(capsule, &eoe.sync);
    if (said == NULL) {
        return capsule_refuse(capsule, record, STATUS_GAP, "the SYNC %s it joined is missing",
                              capsule_digits_of(eoe.sync.bytes).text);
    }
    if (said->epoch < branch->member.joined_epoch || (parent != NULL && parent != said)) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "it says that its branch has joined epoch %" PRIu64
                              ", its parents and those before say another",
                              said->epoch);
    }
    status = verify_epoch(capsule, record, said->epoch);
    if (status == STATUS_OK) {
        status = capsule_keys_verify_join(capsule, branch, record, said);
    }
    if (status == STATUS_OK) {
        join(branch, said);
    }
    return status;
}

// ---- what leaders write ----

/* Its code is sealed: whoever has the key judges the owner's signature within. */
static enum status apply_function(struct capsule *capsule, struct branch *leader,
                                  const struct record *record)
{
    (void)leader;
    return capsule_keys_verify_sealed(capsule, record, capsule_key_epoch(capsule));
}

static enum status deny_late(struct capsule *capsule, struct branch *leader,
                             const struct record *record)
{
    (void)leader;
    return capsule_refuse(capsule, record, STATUS_DENIED,
                          "its place is at the beginning of a leader's branch");
}

// ---- accepting ----

enum {
    LEADER = 1 << MEMBER_LEADER,
    WORKER = 1 << MEMBER_WORKER,
    COMPACTOR = 1 << MEMBER_COMPACTOR
};

/* Who may sign what, and what becomes of it (DESIGN 5.1). */
static const struct rule {
    unsigned signers;
    enum status (*apply)(struct capsule *capsule, struct branch *branch,
                         const struct record *record);
} rules[RECORD_TYPE_COUNT] = {
    [RECORD_GENESIS] = {LEADER, deny_late},
    [RECORD_MEMBER] = {LEADER, capsule_term_apply_member},
    [RECORD_DATA] = {WORKER, apply_sealed},
    [RECORD_EOE] = {WORKER | COMPACTOR, apply_eoe},
    [RECORD_SYNC] = {LEADER, capsule_sync_apply},
    [RECORD_TABLE] = {COMPACTOR, apply_sealed},
    [RECORD_MANIFEST] = {COMPACTOR, apply_manifest},
    [RECORD_FUNCTION] = {LEADER, apply_function},
    [RECORD_PRUNE] = {LEADER, capsule_prune_apply},
    [RECORD_TERM] = {LEADER, deny_late},
    [RECORD_POLICY] = {LEADER, capsule_term_apply_policy},
    [RECORD_LOCK] = {LEADER, capsule_lock_apply},
    [RECORD_CLOSE] = {LEADER, capsule_sync_apply_close},
    [RECORD_REVOKE] = {LEADER, capsule_keys_apply_revoke},
};

enum proof { PROOF_SIGNATURE, PROOF_RUN, PROOF_LEAP };

/* Above the head, and the next one unless it may leap. */
static enum status verify_sequence(struct capsule *capsule, const struct branch *branch,
                                   const struct record *record, enum proof proof)
{
    const struct capsule_member *member = &branch->member;
    if (record->sequence <= member->head.sequence) {
        return capsule_refuse(capsule, record, STATUS_STALE, "the branch is at %" PRIu64,
                              member->head.sequence);
    }
    if (member->is_closed && record->sequence > member->cut.sequence) {
        return capsule_refuse(capsule, record, STATUS_CLOSED, "the branch was cut at %" PRIu64,
                              member->cut.sequence);
    }
    if (member->role == MEMBER_LEADER && member->term < capsule->term && !member->is_closed) {
        return capsule_refuse(capsule, record, STATUS_GAP,
                              "term %" PRIu64 " has ended, and the cut of its leader is not known",
                              member->term);
    }
    if (proof != PROOF_LEAP && record->sequence != member->head.sequence + 1) {
        return capsule_refuse(capsule, record, STATUS_GAP, "the branch is at %" PRIu64,
                              member->head.sequence);
    }
    return STATUS_OK;
}

/* A record at a place that is taken proves a fork, if its writer did sign it. */
static enum status refuse_other(struct capsule *capsule, const struct branch *branch,
                                const struct record *record, const char *what,
                                const struct hash *here, const struct hash *there)
{
    if (record_verify(record, &branch->member.key) != STATUS_OK) {
        return capsule_refuse(capsule, record, STATUS_FORGED, "its signature does not verify");
    }
    return capsule_refuse(capsule, record, STATUS_FORKED, "%s is %s, expected %s", what,
                          capsule_digits_of(there->bytes).text,
                          capsule_digits_of(here->bytes).text);
}

/* It follows the head, and is what a cut or an earlier SYNC says it must be. */
static enum status verify_chain(struct capsule *capsule, const struct branch *branch,
                                const struct record *record)
{
    const struct capsule_member *member = &branch->member;
    if (record->sequence == member->head.sequence + 1 && record->sequence > 1) {
        struct hash previous = record_parent(record, 0);
        if (!hash_equal(&previous, &member->head.hash)) {
            return refuse_other(capsule, branch, record, "its first parent", &member->head.hash,
                                &previous);
        }
    }
    if (member->is_closed && record->sequence == member->cut.sequence &&
        !hash_equal(&record->hash, &member->cut.hash)) {
        return refuse_other(capsule, branch, record, "its hash at the cut", &member->cut.hash,
                            &record->hash);
    }
    const struct branch_expectation *expected = branch_expectation(branch);
    if (expected != NULL && record->sequence == expected->head.sequence &&
        !hash_equal(&record->hash, &expected->head.hash)) {
        return refuse_other(capsule, branch, record, "its hash, where a SYNC names it,",
                            &expected->head.hash, &record->hash);
    }
    return STATUS_OK;
}

/* What the type demands of signer and form, whatever the content. */
static enum status verify_type(struct capsule *capsule, const struct branch *branch,
                               const struct record *record)
{
    enum member_role role = branch->member.role;
    if ((rules[record->type].signers & 1u << role) == 0) {
        return capsule_refuse(capsule, record, STATUS_DENIED, "a %s may not sign it",
                              member_role_text(role));
    }
    if (record_type_is_sealed(record->type) && !record->is_pruned &&
        record->body.length < AEAD_TAG_BYTES) {
        return capsule_refuse(capsule, record, STATUS_MALFORMED, "its body was never sealed");
    }
    bool may_name_keys = record_type_is_sealed(record->type) || record->type == RECORD_SYNC;
    if (!may_name_keys && record->key_epoch != 0) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "it names key epoch %" PRIu32 ", and nothing in it is sealed",
                              record->key_epoch);
    }
    if (role != MEMBER_LEADER) {
        return STATUS_OK;
    }
    if (record->type != RECORD_SYNC && record->parent_count != 1) {
        return capsule_refuse(capsule, record, STATUS_FORGED, "a leader joins by SYNC alone");
    }
    return capsule_term_verify(capsule, branch, record);
}

/* A record of a writer that nobody has admitted yet: a leader's beginning, or too early. */
static enum status accept_stranger(struct capsule *capsule, const struct record *record)
{
    const struct capsule_gone *gone = capsule_gone_find(capsule, &record->writer);
    if (gone != NULL) {
        return capsule_refuse(capsule, record,
                              record->sequence <= gone->cut ? STATUS_STALE : STATUS_CLOSED,
                              "the branch was cut at %" PRIu64, gone->cut);
    }
    switch (record->type) {
    case RECORD_GENESIS:
        return capsule_term_accept_genesis(capsule, record);
    case RECORD_TERM:
        return capsule_term_accept(capsule, record);
    default:
        return capsule_refuse(capsule, record, STATUS_GAP, "its writer is not known yet");
    }
}

static enum status verify_record(struct capsule *capsule, const struct branch *branch,
                                 const struct record *record, enum proof proof)
{
    enum status status = verify_sequence(capsule, branch, record, proof);
    if (status == STATUS_OK) {
        status = verify_chain(capsule, branch, record);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (proof != PROOF_RUN && record_verify(record, &branch->member.key) != STATUS_OK) {
        return capsule_refuse(capsule, record, STATUS_FORGED, "its signature does not verify");
    }
    status = verify_type(capsule, branch, record);
    if (status == STATUS_OK && branch->member.role == MEMBER_COMPACTOR) {
        status = capsule_prune_verify_place(capsule, record);
    }
    return status;
}

static enum status accept_record(struct capsule *capsule, const struct record *record,
                                 enum proof proof)
{
    if (!hash_equal(&record->capsule, &capsule->genesis.capsule)) {
        return capsule_refuse(capsule, record, STATUS_FORGED, "it belongs to capsule %s",
                              capsule_digits_of(record->capsule.bytes).text);
    }
    struct branch *branch = capsule_branch_find(capsule, &record->writer);
    if (branch == NULL) {
        return accept_stranger(capsule, record);
    }
    enum status status = verify_record(capsule, branch, record, proof);
    if (status != STATUS_OK) {
        return status;
    }
    status = branch_reserve(branch);
    if (status != STATUS_OK) {
        return capsule_refuse(capsule, record, status, "too many records without a SYNC");
    }
    size_t position = (size_t)(branch - capsule->branches);
    bool begins =
        branch->member.role == MEMBER_LEADER && capsule_term_is_begun_by(capsule, branch, record);
    status = proof == PROOF_LEAP ? apply_leap(capsule, branch, record)
                                 : rules[record->type].apply(capsule, branch, record);
    if (status != STATUS_OK) {
        return status;
    }
    branch = &capsule->branches[position];  // a MEMBER may have moved it
    if (begins && !branch->has_begun) {
        branch->has_begun = true;
        capsule->begun_term = branch->member.term;
    }
    grow(capsule, branch, record);
    return STATUS_OK;
}

enum status capsule_accept(struct capsule *capsule, const struct record *record)
{
    return accept_record(capsule, record, PROOF_SIGNATURE);
}

enum status capsule_accept_vouched(struct capsule *capsule, const struct record *record)
{
    return accept_record(capsule, record, PROOF_RUN);
}

enum status capsule_accept_leap(struct capsule *capsule, const struct record *record)
{
    if (record->type != RECORD_EOE) {
        return capsule_refuse(capsule, record, STATUS_DENIED, "only an EOE may be leapt to");
    }
    return accept_record(capsule, record, PROOF_LEAP);
}

enum status capsule_verify_run(struct capsule *capsule, const struct record *records, size_t count)
{
    CHECK(count >= 1);
    const struct record *last = &records[count - 1];
    const struct branch *branch = capsule_branch_find(capsule, &records[0].writer);
    if (branch == NULL) {
        return capsule_refuse(capsule, &records[0], STATUS_GAP, "its writer is not known yet");
    }
    enum status status = verify_sequence(capsule, branch, &records[0], PROOF_RUN);
    for (size_t i = 1; i < count && status == STATUS_OK; i++) {
        const struct record *record = &records[i];
        struct hash previous = {.bytes = {0}};
        if (record->parent_count > 0) {
            previous = record_parent(record, 0);
        }
        if (!writer_id_equal(&record->writer, &records[0].writer) ||
            record->sequence != records[i - 1].sequence + 1 ||
            !hash_equal(&previous, &records[i - 1].hash)) {
            status = capsule_refuse(capsule, record, STATUS_FORGED,
                                    "it does not follow the record before it in the run");
        }
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (record_verify(last, &branch->member.key) != STATUS_OK) {
        return capsule_refuse(capsule, last, STATUS_FORGED, "its signature does not verify");
    }
    struct hash first = {.bytes = {0}};
    if (records[0].sequence > 1) {
        first = record_parent(&records[0], 0);
    }
    if (!hash_equal(&first, &branch->member.head.hash)) {
        return capsule_refuse(capsule, &records[0], STATUS_FORKED,
                              "its first parent is %s, expected %s",
                              capsule_digits_of(first.bytes).text,
                              capsule_digits_of(branch->member.head.hash.bytes).text);
    }
    return STATUS_OK;
}
