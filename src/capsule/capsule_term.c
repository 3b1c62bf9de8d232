/* src/capsule/capsule_term.c */
#include "capsule/capsule_internal.h"

#include <inttypes.h>
#include <string.h>

/*
 * A leader's branch, step by step:
 *
 *     unknown --capsule_term_accept()--> open --capsule_term_verify()--> begun
 *
 * Open, it may close its one predecessor, by the record after its TERM; every other record begins
 * it, and that waits until the predecessor's branch is complete. So leaders form a chain: each
 * counts up to where the next one cut it. Whoever is not in the chain of the highest term did not
 * come to lead (docs/design/0032-one-chain-of-leaders.md), and is void beyond its TERM.
 */

/* The leader of a term; NULL: not known, or no longer kept. */
static struct branch *leader_of(const struct capsule *capsule, uint64_t term)
{
    for (size_t i = 0; i < capsule->branch_count; i++) {
        struct branch *branch = &capsule->branches[i];
        if (branch->member.role == MEMBER_LEADER && branch->member.term == term) {
            return branch;
        }
    }
    return NULL;
}

enum status capsule_term_accept_genesis(struct capsule *capsule, const struct record *record)
{
    struct capsule_pending *pending = &capsule->pending;
    if (leader_of(capsule, 1) != NULL) {
        return capsule_refuse(capsule, record, STATUS_FORGED, "the GENESIS has another writer");
    }
    if (record->sequence != 1 || record->parent_count != 0 || record->epoch != 1) {
        return capsule_refuse(capsule, record, STATUS_FORGED, "a GENESIS comes first");
    }
    if (!bytes_equal(record->body, buffer_bytes(&capsule->genesis_body))) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "its body is not the one that gives the capsule its name");
    }
    // The same one with another signature is another: one of the two was bent on its way.
    if (pending->is_present && hash_equal(&pending->hash, &record->hash) &&
        memcmp(pending->signature.bytes, record->signature.bytes, SIGN_SIGNATURE_BYTES) == 0) {
        return capsule_refuse(capsule, record, STATUS_STALE, "already here");
    }
    // Whose it is, and whether the signature is right, only the TERM tells. Until
    // then another GENESIS record takes the place of this one.
    *pending = (struct capsule_pending){
        .is_present = true,
        .writer = record->writer,
        .hash = record->hash,
        .signature = record->signature,
    };
    return STATUS_OK;
}

/* The first term's follows the GENESIS, and vouches for it. */
static enum status verify_follows_genesis(struct capsule *capsule, const struct record *record,
                                          const struct verify_key *leader)
{
    const struct capsule_pending *pending = &capsule->pending;
    if (!pending->is_present || !writer_id_equal(&pending->writer, &record->writer)) {
        return capsule_refuse(capsule, record, STATUS_GAP, "the GENESIS of this leader is missing");
    }
    if (record->sequence != 2 || record->parent_count != 1) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "the first TERM follows the GENESIS alone");
    }
    struct hash parent = record_parent(record, 0);
    struct record genesis = {.hash = pending->hash, .signature = pending->signature};
    if (!hash_equal(&parent, &pending->hash) || record_verify(&genesis, leader) != STATUS_OK) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "the GENESIS %s here is not the one it follows",
                              capsule_digits_of(pending->hash.bytes).text);
    }
    return STATUS_OK;
}

/* Every other leader's branch begins with its TERM, also where the first was never heard of. */
static enum status verify_begins(struct capsule *capsule, const struct record *record)
{
    if (record->sequence != 1 || record->parent_count != 0) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "a later leader's branch begins with its TERM");
    }
    return STATUS_OK;
}

static enum status verify_number(struct capsule *capsule, const struct record *record,
                                 uint64_t number)
{
    // One of a lower term may be learnt of late, from the CLOSE of its successor: its TERM alone
    // says nothing.
    bool is_taken = false;
    for (size_t i = 0; i < capsule->branch_count && !is_taken; i++) {
        const struct capsule_member *member = &capsule->branches[i].member;
        is_taken = member->role == MEMBER_LEADER && member->term == number;
    }
    if (is_taken) {
        return capsule_refuse(capsule, record, STATUS_CLOSED, "term %" PRIu64 " has another leader",
                              number);
    }
    return STATUS_OK;
}

enum status capsule_term_accept(struct capsule *capsule, const struct record *record)
{
    struct term term;
    enum status status =
        term_decode(&term, record->body, &capsule->genesis.owner, &capsule->genesis.capsule);
    if (status != STATUS_OK) {
        return capsule_refuse(capsule, record, status, "the owner has not signed this term");
    }
    struct writer_id leader = writer_id_of(&term.leader);
    if (!writer_id_equal(&leader, &record->writer)) {
        return capsule_refuse(capsule, record, STATUS_FORGED, "it makes another writer the leader");
    }
    if (record_verify(record, &term.leader) != STATUS_OK) {
        return capsule_refuse(capsule, record, STATUS_FORGED, "its signature does not verify");
    }
    status = verify_number(capsule, record, term.number);
    if (status == STATUS_OK) {
        status = term.number == 1 ? verify_follows_genesis(capsule, record, &term.leader)
                                  : verify_begins(capsule, record);
    }
    if (status != STATUS_OK) {
        return status;
    }
    if (record->epoch <= term.sync_epoch) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "its epoch %" PRIu64 " is not above %" PRIu64
                              " of the SYNC that it names",
                              record->epoch, term.sync_epoch);
    }

    uint16_t statement;
    status = capsule_stores_add(capsule, term.stores, &statement);
    if (status != STATUS_OK) {
        return capsule_refuse(capsule, record, status,
                              "what it says of the stores is not the owner's word");
    }
    struct branch *branch;
    status = capsule_branch_add(capsule, &branch, &leader);
    if (status != STATUS_OK) {
        return capsule_refuse(capsule, record, status, "no room for another leader");
    }
    branch->statement = statement;
    branch->member.key = term.leader;
    branch->member.role = MEMBER_LEADER;
    branch->member.term = term.number;
    branch->member.admitted_by = record->hash;
    branch->member.admitted_sequence = record->sequence;
    branch->member.evidence_hash = hash_of(term.evidence.at, term.evidence.length);
    branch->member.until_s = term.delegation.length > 0 ? term.keeper.until_s : 0;
    branch->member.joined = term.sync;
    branch->member.joined_epoch = term.sync_epoch;
    branch->member.joined_key_epoch = CAPSULE_KEY_EPOCH_FIRST;
    branch->member.head = (struct head){.sequence = record->sequence, .hash = record->hash};
    branch->term_sequence = record->sequence;
    if (term.number > capsule->term) {
        capsule->term = term.number;
        capsule->leader = capsule->branch_count - 1;
    }
    if (term.number == 1) {
        capsule->pending.is_present = false;
    }
    return STATUS_OK;
}

/*
 * Up the chain: who closed this branch, who closed that one, and so on, up to `term`; the last one
 * found, or NULL: nobody closed it, or he is no longer kept. Closers' terms rise, so it ends.
 */
static struct branch *closer_up_to(const struct capsule *capsule, const struct branch *branch,
                                   uint64_t term)
{
    struct branch *last = NULL;
    while (branch->member.is_closed && branch->closed_term <= term) {
        struct branch *closer = leader_of(capsule, branch->closed_term);
        if (closer == NULL) {
            break;
        }
        branch = last = closer;
    }
    return last;
}

uint64_t capsule_term_of_close(const struct capsule *capsule, const struct branch *branch)
{
    const struct branch *last = closer_up_to(capsule, branch, UINT64_MAX);
    return last == NULL ? branch->closed_term : last->member.term;
}

uint64_t capsule_term_authority(const struct capsule *capsule, const struct branch *leader)
{
    return leader->member.is_closed ? capsule_term_of_close(capsule, leader) : leader->member.term;
}

static void make_void(struct capsule *capsule, struct branch *leader)
{
    if (leader->member.head.sequence > leader->term_sequence) {
        leader->member.is_void = true;
        capsule->is_overrun = true;
    }
}

void capsule_term_void_closers(struct capsule *capsule, const struct branch *closed)
{
    while (closed->member.is_closed) {
        struct branch *closer = leader_of(capsule, closed->closed_term);
        if (closer == NULL) {
            break;
        }
        make_void(capsule, closer);
        closed = closer;
    }
}

/* Whether this leader is one of those whose chain goes up to `later`, of a higher term. */
static bool is_in_chain(const struct capsule *capsule, const struct branch *earlier,
                        const struct branch *later)
{
    const struct branch *last = closer_up_to(capsule, earlier, later->member.term);
    // Who closed it may be no longer kept: then that was before all that can still be contradicted.
    const struct branch *end = last == NULL ? earlier : last;
    return last == later || (end->member.is_closed && end->closed_term < later->member.term);
}

/* Who is in no chain with this leader, of those before it, wrote what does not count. */
static void void_others(struct capsule *capsule, const struct branch *leader)
{
    for (size_t i = 0; i < capsule->branch_count; i++) {
        struct branch *other = &capsule->branches[i];
        if (other->member.role == MEMBER_LEADER && other->member.term < leader->member.term &&
            !is_in_chain(capsule, other, leader)) {
            make_void(capsule, other);
        }
    }
}

/* Whether all that `earlier` wrote and that counts is here. */
static enum status verify_complete(struct capsule *capsule, const struct branch *earlier,
                                   const struct branch *leader, const struct record *record)
{
    const struct capsule_member *member = &earlier->member;
    if (!is_in_chain(capsule, earlier, leader)) {
        // Of one that wrote nothing but its TERM nothing can count any more.
        if (member->head.sequence == earlier->term_sequence) {
            return STATUS_OK;
        }
        return capsule_refuse(capsule, record, STATUS_DENIED,
                              "the leader %s of term %" PRIu64 " has not been closed",
                              capsule_digits_of(member->id.bytes).text, member->term);
    }
    if (member->head.sequence < member->cut.sequence) {
        return capsule_refuse(capsule, record, STATUS_GAP,
                              "the branch of leader %s is at %" PRIu64 ", its cut is at %" PRIu64,
                              capsule_digits_of(member->id.bytes).text, member->head.sequence,
                              member->cut.sequence);
    }
    return STATUS_OK;
}

/* The owner knew this SYNC: a history without it has been rolled back. */
static enum status verify_not_rolled_back(struct capsule *capsule,
                                          const struct capsule_member *leader,
                                          const struct record *record)
{
    if (hash_is_zero(&leader->joined)) {
        return STATUS_OK;
    }
    if (!capsule_includes_sync(capsule, &leader->joined, leader->joined_epoch)) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "its TERM names SYNC %s of epoch %" PRIu64
                              ", which its predecessors did not write",
                              capsule_digits_of(leader->joined.bytes).text, leader->joined_epoch);
    }
    return STATUS_OK;
}

static enum status verify_may_begin(struct capsule *capsule, const struct branch *leader,
                                    const struct record *record)
{
    enum status answer = STATUS_OK;
    for (size_t i = 0; i < capsule->branch_count; i++) {
        const struct branch *other = &capsule->branches[i];
        if (other->member.role == MEMBER_LEADER && other->member.term < leader->member.term) {
            enum status status = verify_complete(capsule, other, leader, record);
            if (status == STATUS_GAP) {
                return status;  // what is missing of it may close those that seem to be outside
            }
            answer = status == STATUS_OK ? answer : status;
        }
    }
    if (answer != STATUS_OK) {
        return answer;
    }
    const struct capsule_sync *newest = capsule_newest_sync(capsule);
    if (leader->member.until_s != 0 && newest != NULL &&
        newest->time_ms / 1000 >= leader->member.until_s) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "the delegation of the keeper that signed its TERM has ended");
    }
    return verify_not_rolled_back(capsule, &leader->member, record);
}

bool capsule_term_is_begun_by(const struct capsule *capsule, const struct branch *leader,
                              const struct record *record)
{
    if (record->type != RECORD_CLOSE || record->sequence != leader->term_sequence + 1) {
        return true;
    }
    struct sync_close close;
    if (sync_close_decode(&close, record->body) != STATUS_OK) {
        return true;
    }
    // An unknown writer may be a predecessor of whose TERM this replica has not heard.
    const struct branch *target = capsule_branch_find(capsule, &close.cut.writer);
    return target != NULL && target->member.role != MEMBER_LEADER;
}

enum status capsule_term_verify(struct capsule *capsule, const struct branch *leader,
                                const struct record *record)
{
    const struct capsule_member *member = &leader->member;
    if (!capsule_term_is_begun_by(capsule, leader, record)) {
        if (record->epoch > member->joined_epoch) {
            return STATUS_OK;
        }
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "its epoch %" PRIu64 " is not above %" PRIu64, record->epoch,
                              member->joined_epoch);
    }
    if (!leader->has_begun) {
        enum status status = verify_may_begin(capsule, leader, record);
        if (status == STATUS_DENIED) {
            // It has closed its predecessor, and that chain holds all that counts.
            void_others(capsule, leader);
            status = STATUS_GAP;
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    const struct capsule_sync *newest = capsule_newest_sync(capsule);
    uint64_t epoch = newest == NULL ? 1 : newest->epoch + 1;
    if (record->type != RECORD_SYNC && record->epoch != epoch) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "its epoch is %" PRIu64 ", expected %" PRIu64, record->epoch, epoch);
    }
    return STATUS_OK;
}

enum status capsule_term_apply_member(struct capsule *capsule, struct branch *leader,
                                      const struct record *record)
{
    struct member_body body;
    enum status status = member_decode(&body, record->body);
    if (status != STATUS_OK) {
        return capsule_refuse(capsule, record, status, "its body is no MEMBER");
    }
    struct writer_id id = writer_id_of(&body.key);
    if (capsule_branch_find(capsule, &id) != NULL || capsule_gone_find(capsule, &id) != NULL) {
        return capsule_refuse(capsule, record, STATUS_FORGED, "it admits %s a second time",
                              capsule_digits_of(id.bytes).text);
    }
    if (body.policy_version != capsule->policy_version) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "it was judged by policy %" PRIu32 ", in force is %" PRIu64,
                              body.policy_version, capsule->policy_version);
    }
    const struct capsule_sync *sync = capsule_sync_find(capsule, &body.sync);
    if (sync == NULL && !hash_is_zero(&body.sync)) {
        return capsule_refuse(capsule, record, STATUS_FORGED, "it starts from the unknown SYNC %s",
                              capsule_digits_of(body.sync.bytes).text);
    }
    uint64_t term = leader->member.term;
    struct branch *branch;
    status = capsule_branch_add(capsule, &branch, &id);
    if (status != STATUS_OK) {
        return capsule_refuse(capsule, record, status, "no room for another member");
    }
    branch->member.key = body.key;
    branch->member.role = body.role;
    branch->member.term = term;
    branch->member.admitted_by = record->hash;
    branch->member.admitted_sequence = record->sequence;
    branch->member.evidence_hash = hash_of(body.evidence.at, body.evidence.length);
    branch->member.tls_key = body.tls_key;
    branch->member.joined = body.sync;
    branch->member.joined_epoch = sync == NULL ? 0 : sync->epoch;
    branch->member.joined_lamport = sync == NULL ? 0 : sync->lamport;
    branch->member.joined_key_epoch = sync == NULL ? CAPSULE_KEY_EPOCH_FIRST : sync->key_epoch;
    branch->covered_joined_epoch = branch->member.joined_epoch;
    return STATUS_OK;
}

enum status capsule_term_keep_policy(struct capsule *capsule, struct bytes body)
{
    struct buffer copy = BUFFER_EMPTY;
    uint64_t version;
    struct bytes policy;
    enum status status = buffer_append(&copy, body.at, body.length);
    if (status == STATUS_OK) {
        status = term_policy_decode(&version, &policy, buffer_bytes(&copy), &capsule->genesis.owner,
                                    &capsule->genesis.capsule);
    }
    if (status != STATUS_OK) {
        buffer_release(&copy);
        return status;
    }
    buffer_release(&capsule->policy_body);
    capsule->policy_body = copy;
    capsule->policy = policy;
    capsule->policy_version = version;
    return STATUS_OK;
}

enum status capsule_term_apply_policy(struct capsule *capsule, struct branch *leader,
                                      const struct record *record)
{
    (void)leader;
    uint64_t version;
    struct bytes policy;
    enum status status = term_policy_decode(&version, &policy, record->body,
                                            &capsule->genesis.owner, &capsule->genesis.capsule);
    if (status != STATUS_OK) {
        return capsule_refuse(capsule, record, status, "the owner has not signed this policy");
    }
    if (version <= capsule->policy_version) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "policy %" PRIu64 " is not newer than %" PRIu64, version,
                              capsule->policy_version);
    }
    status = capsule_term_keep_policy(capsule, record->body);
    return status == STATUS_OK ? STATUS_OK
                               : capsule_refuse(capsule, record, status, "no room for the policy");
}
