/* src/capsule/capsule_snapshot.c */
#include "capsule/capsule_snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/checked.h"
#include "base/encoder.h"
#include "capsule/capsule_internal.h"
#include "capsule/writer_internal.h"

/* The layout: docs/format/snapshot.md. */
#define SNAPSHOT_MAGIC 0x334e5350u

enum {
    KIND_WHOLE = 1,
    KIND_JOINED = 2,
    FLAG_CLOSED = 1,
    FLAG_LISTED = 2,
    FLAG_BEGUN = 4,
    FLAG_UNKNOWN = 8,
    FLAG_LEAPT = 16,
    FLAGS_ALL = 31,
    HEADER_BYTES = 40,
    SYNC_BYTES = 96 + BRANCH_HEAD_BYTES + 4,
    HEAD_BYTES = 40,
    BRANCH_BYTES = 32 + 1 + 1 + 2 + 8 + 40 + 32 + P256_PUBLIC_BYTES + HEAD_BYTES + 40 + 8 + 4 + 8 +
                   HEAD_BYTES + 8 + 8 + HEAD_BYTES + 8 + 8 + HEAD_BYTES,
    RANGE_BYTES = 16,
    RECENT_BYTES = 40,
    EXPECTED_BYTES = 48,
    LOCK_BYTES = 48,
    GONE_BYTES = 24,
};

/* ---- encoding ---- */

static void encode_head(struct encoder *out, const struct head *head)
{
    encoder_u64(out, head->sequence);
    encoder_bytes(out, head->hash.bytes, HASH_BYTES);
}

/* Whether records may still come that name a SYNC of their own choice as parent. */
static bool may_join(const struct capsule_member *member)
{
    return member->role != MEMBER_LEADER &&
           !(member->is_closed && member->head.sequence >= member->cut.sequence);
}

/* What the branch has joined where the snapshot lets it end. */
static uint64_t joined_epoch_of(const struct branch *branch, bool is_whole)
{
    bool ends_at_head = is_whole || branch->covered.sequence > branch->member.head.sequence;
    return ends_at_head ? branch->member.joined_epoch : branch->covered_joined_epoch;
}

/* The first SYNC to be listed. */
static size_t first_sync(const struct capsule *capsule, bool is_whole)
{
    size_t first = capsule->sync_count > CAPSULE_SNAPSHOT_SYNCS_KEPT
                       ? capsule->sync_count - CAPSULE_SNAPSHOT_SYNCS_KEPT
                       : 0;
    uint64_t oldest = UINT64_MAX;
    for (size_t i = 0; i < capsule->branch_count; i++) {
        const struct branch *branch = &capsule->branches[i];
        if (may_join(&branch->member) && joined_epoch_of(branch, is_whole) < oldest) {
            oldest = joined_epoch_of(branch, is_whole);
        }
        const struct branch_expectation *expected = branch_expectation(branch);
        if (expected != NULL && expected->sync < first) {
            first = expected->sync;
        }
    }
    while (first > 0 && capsule->syncs[first].epoch > oldest) {
        first--;
    }
    return first;
}

static enum status encode_header(struct buffer *target, const struct capsule *capsule, uint8_t kind,
                                 uint64_t forgotten_epoch)
{
    struct encoder out;
    struct bytes policy = capsule_policy_body(capsule);
    enum status status = encoder_begin(
        &out, target, HEADER_BYTES + 8 + 4 + policy.length + 8 + 8 + 8 + 2 * BRANCH_HEAD_BYTES);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_u32(&out, SNAPSHOT_MAGIC);
    encoder_u32(&out, kind);
    encoder_bytes(&out, capsule->genesis.capsule.bytes, HASH_BYTES);
    encoder_u64(&out, capsule->policy_version);
    encoder_run(&out, policy);
    encoder_u64(&out, forgotten_epoch);
    encoder_u64(&out, capsule->begun_term);
    encoder_u64(&out, capsule->revoke_epoch);
    writer_head_encode(&out, &capsule->manifest);
    writer_head_encode(&out, &capsule->manifest_before);
    encoder_finish(&out, target);
    return STATUS_OK;
}

static enum status encode_count(struct buffer *target, size_t count)
{
    struct encoder out;
    enum status status = encoder_begin(&out, target, 4);
    if (status == STATUS_OK) {
        encoder_u32(&out, (uint32_t)count);
        encoder_finish(&out, target);
    }
    return status;
}

static enum status encode_statements(struct buffer *target, const struct capsule *capsule)
{
    size_t bytes = 4;
    for (size_t i = 0; i < capsule->statement_count; i++) {
        bytes += 4 + capsule->statements[i]->bytes.length;
    }
    struct encoder out;
    enum status status = encoder_begin(&out, target, bytes);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_u32(&out, (uint32_t)capsule->statement_count);
    for (size_t i = 0; i < capsule->statement_count; i++) {
        struct bytes statement = buffer_bytes(&capsule->statements[i]->bytes);
        encoder_run(&out, statement);
    }
    encoder_finish(&out, target);
    return STATUS_OK;
}

static enum status encode_sync(struct buffer *target, const struct capsule_sync *sync)
{
    struct encoder out;
    enum status status = encoder_begin(&out, target, SYNC_BYTES);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_bytes(&out, sync->hash.bytes, HASH_BYTES);
    encoder_u64(&out, sync->epoch);
    encoder_u64(&out, sync->sequence);
    encoder_bytes(&out, sync->leader.bytes, WRITER_ID_BYTES);
    encoder_u64(&out, sync->term);
    encoder_u64(&out, sync->lamport);
    encoder_u64(&out, sync->floor);
    encoder_u64(&out, sync->time_ms);
    writer_head_encode(&out, &sync->manifest);
    encoder_u32(&out, sync->key_epoch);
    encoder_finish(&out, target);
    return STATUS_OK;
}

static enum status encode_branch(struct buffer *target, const struct capsule *capsule,
                                 const struct branch *branch)
{
    const struct capsule_member *member = &branch->member;
    bool is_unknown = branch->covered_joined_epoch == BRANCH_JOINED_UNKNOWN;
    // Below what is covered they show only whether the branch leads to what others have named.
    size_t recent_count =
        member->head.sequence > branch->covered.sequence ? branch->recent_count : 0;
    unsigned flags = (member->is_closed ? FLAG_CLOSED : 0u) |
                     (branch->is_listed_closed ? FLAG_LISTED : 0u) |
                     (branch->has_begun ? FLAG_BEGUN : 0u) | (is_unknown ? FLAG_UNKNOWN : 0u) |
                     (branch->has_leapt ? FLAG_LEAPT : 0u);
    struct encoder out;
    enum status status = encoder_begin(&out, target,
                                       BRANCH_BYTES + 4 + branch->pruned_count * RANGE_BYTES + 4 +
                                           recent_count * RECENT_BYTES + 4 +
                                           branch->expected_count * EXPECTED_BYTES);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_bytes(&out, member->key.bytes, sizeof member->key.bytes);
    encoder_u8(&out, (uint8_t)member->role);
    encoder_u8(&out, (uint8_t)flags);
    encoder_u16(&out, branch->statement);
    encoder_u64(&out, member->term);
    encoder_bytes(&out, member->admitted_by.bytes, HASH_BYTES);
    encoder_u64(&out, member->admitted_sequence);
    encoder_bytes(&out, member->evidence_hash.bytes, HASH_BYTES);
    encoder_bytes(&out, member->tls_key.bytes, P256_PUBLIC_BYTES);
    encode_head(&out, &member->head);
    encoder_bytes(&out, member->joined.bytes, HASH_BYTES);
    encoder_u64(&out, member->joined_epoch);
    encoder_u64(&out, member->joined_lamport);
    encoder_u32(&out, member->joined_key_epoch);
    encoder_u64(&out, member->revoked_epoch);
    encode_head(&out, &branch->covered);
    encoder_u64(&out, is_unknown ? 0 : branch->covered_joined_epoch);
    encoder_u64(&out, branch->term_sequence);
    encode_head(&out, &member->cut);
    encoder_u64(&out, branch->closed_term);
    encoder_u64(&out, branch->closed_sequence);
    encode_head(&out, &branch->manifest);
    encoder_u32(&out, (uint32_t)branch->pruned_count);
    for (size_t i = 0; i < branch->pruned_count; i++) {
        encoder_u64(&out, branch->pruned[i].from);
        encoder_u64(&out, branch->pruned[i].to);
    }
    encoder_u32(&out, (uint32_t)recent_count);
    for (size_t i = 0; i < recent_count; i++) {
        encoder_bytes(&out, branch->recent[i].hash.bytes, HASH_BYTES);
        encoder_u64(&out, branch->recent[i].joined_epoch);
    }
    encoder_u32(&out, (uint32_t)branch->expected_count);
    for (size_t i = 0; i < branch->expected_count; i++) {
        const struct branch_expectation *expected = &branch->expected[branch->expected_start + i];
        encode_head(&out, &expected->head);
        encoder_u64(&out, capsule->syncs[expected->sync].epoch);
    }
    encoder_finish(&out, target);
    return STATUS_OK;
}

/* The branch as it was when what is covered was its end. */
static struct branch joined_branch(const struct capsule *capsule, const struct branch *branch)
{
    struct branch joined = *branch;
    joined.recent_count = 0;
    if (branch->covered.sequence > branch->member.head.sequence) {
        return joined;  // not so far yet: it ends where it ends here
    }
    if (branch->member.role == MEMBER_LEADER) {
        // It lists itself nowhere; its end is certain by the caller's word.
        joined.covered = branch->member.is_closed ? branch->covered : branch->member.head;
        joined.covered_joined_epoch = branch->member.joined_epoch;
        return joined;
    }
    if (branch->manifest.sequence > branch->covered.sequence) {
        // Which one was the newest there is not known.
        joined.manifest = (struct head){.sequence = 0};
        joined.has_leapt = true;
    }
    joined.member.head = branch->covered;
    if (branch->member.joined_epoch != branch->covered_joined_epoch) {
        const struct capsule_sync *sync =
            capsule_sync_at_epoch(capsule, branch->covered_joined_epoch);
        joined.member.joined_epoch = branch->covered_joined_epoch;
        joined.member.joined = sync == NULL ? (struct hash){.bytes = {0}} : sync->hash;
        joined.member.joined_lamport = sync == NULL ? 0 : sync->lamport;
        joined.member.joined_key_epoch = sync == NULL ? CAPSULE_KEY_EPOCH_FIRST : sync->key_epoch;
    }
    return joined;
}

static enum status encode_more(struct buffer *target, const struct capsule *capsule,
                               const struct capsule_snapshot_more *more)
{
    struct encoder out;
    enum status status = encoder_begin(&out, target,
                                       4 + (size_t)more->function_count * BRANCH_HEAD_BYTES + 8 +
                                           4 + capsule->lock_count * LOCK_BYTES);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_u32(&out, more->function_count);
    for (uint32_t i = 0; i < more->function_count; i++) {
        writer_head_encode(&out, &more->functions[i]);
    }
    encoder_u64(&out, capsule->lock_term);
    encoder_u32(&out, (uint32_t)capsule->lock_count);
    for (size_t i = 0; i < capsule->lock_count; i++) {
        encoder_bytes(&out, capsule->locks[i].name.bytes, HASH_BYTES);
        encoder_u64(&out, capsule->locks[i].fence);
        encoder_u64(&out, capsule->locks[i].sequence);
    }
    encoder_finish(&out, target);
    return STATUS_OK;
}

/* The compactors of the MANIFESTs in use stay: later ones are compared with them. */
static bool is_in_use(const struct capsule *capsule, const struct branch *branch)
{
    return writer_id_equal(&capsule->manifest.writer, &branch->member.id) ||
           writer_id_equal(&capsule->manifest_before.writer, &branch->member.id);
}

static bool is_kept(const struct capsule *capsule, const struct branch *branch, bool is_whole,
                    const struct capsule_snapshot_more *more)
{
    return is_whole || may_join(&branch->member) || !branch->member.is_closed ||
           !branch->is_listed_closed || is_in_use(capsule, branch) || more->is_needed == NULL ||
           more->is_needed(more->context, &branch->member);
}

/* Those that were no longer kept before, and those that the snapshot leaves out. */
static enum status encode_gone(struct buffer *target, const struct capsule *capsule, bool is_whole,
                               const struct capsule_snapshot_more *more, uint32_t kept)
{
    struct encoder out;
    size_t count = capsule->gone_count + capsule->branch_count - kept;
    enum status status = encoder_begin(&out, target, 4 + count * GONE_BYTES);
    if (status != STATUS_OK) {
        return status;
    }
    encoder_u32(&out, (uint32_t)count);
    for (size_t i = 0; i < capsule->gone_count; i++) {
        encoder_bytes(&out, capsule->gone[i].id.bytes, WRITER_ID_BYTES);
        encoder_u64(&out, capsule->gone[i].cut);
    }
    for (size_t i = 0; i < capsule->branch_count; i++) {
        const struct branch *branch = &capsule->branches[i];
        if (!is_kept(capsule, branch, is_whole, more)) {
            encoder_bytes(&out, branch->member.id.bytes, WRITER_ID_BYTES);
            encoder_u64(&out, branch->member.cut.sequence);
        }
    }
    encoder_finish(&out, target);
    return STATUS_OK;
}

static enum status encode(struct buffer *target, const struct capsule *capsule, bool is_whole,
                          const struct capsule_snapshot_more *more)
{
    size_t before = target->length;
    size_t first = first_sync(capsule, is_whole);
    if (!is_whole && capsule->sync_count - first > CAPSULE_SNAPSHOT_SYNCS_MAX) {
        return STATUS_FULL;
    }
    uint64_t forgotten_epoch =
        first == 0 ? capsule->forgotten_epoch : capsule->syncs[first - 1].epoch;
    uint32_t kept = 0;
    for (size_t i = 0; i < capsule->branch_count; i++) {
        kept += is_kept(capsule, &capsule->branches[i], is_whole, more) ? 1 : 0;
    }
    enum status status =
        encode_header(target, capsule, is_whole ? KIND_WHOLE : KIND_JOINED, forgotten_epoch);
    if (status == STATUS_OK) {
        status = encode_statements(target, capsule);
    }
    if (status == STATUS_OK) {
        status = encode_count(target, capsule->sync_count - first);
    }
    for (size_t i = first; i < capsule->sync_count && status == STATUS_OK; i++) {
        status = encode_sync(target, &capsule->syncs[i]);
    }
    if (status == STATUS_OK) {
        status = encode_count(target, kept);
    }
    for (size_t i = 0; i < capsule->branch_count && status == STATUS_OK; i++) {
        const struct branch *branch = &capsule->branches[i];
        if (is_kept(capsule, branch, is_whole, more)) {
            struct branch joined = is_whole ? *branch : joined_branch(capsule, branch);
            status = encode_branch(target, capsule, &joined);
        }
    }
    if (status == STATUS_OK) {
        status = encode_gone(target, capsule, is_whole, more, kept);
    }
    if (status == STATUS_OK) {
        status = encode_more(target, capsule, more);
    }
    if (status != STATUS_OK) {
        target->length = before;
    }
    return status;
}

enum status capsule_snapshot_encode_whole(struct buffer *target, const struct capsule *capsule)
{
    static const struct capsule_snapshot_more none;
    return capsule->term == 0 ? STATUS_GAP : encode(target, capsule, true, &none);
}

enum status capsule_snapshot_encode_joined(struct buffer *target, const struct capsule *capsule,
                                           const struct capsule_snapshot_more *more)
{
    CHECK(more->function_count <= CAPSULE_SNAPSHOT_PLACES_MAX);
    if (capsule->is_overrun) {
        return STATUS_CLOSED;
    }
    if (capsule->term == 0 || capsule->begun_term != capsule->term) {
        return STATUS_GAP;
    }
    for (size_t i = 0; i < capsule->branch_count; i++) {
        const struct branch *branch = &capsule->branches[i];
        bool is_leader = branch->member.role == MEMBER_LEADER;
        if (!is_leader && branch->covered.sequence <= branch->member.head.sequence &&
            branch->covered_joined_epoch == BRANCH_JOINED_UNKNOWN) {
            return STATUS_GAP;
        }
    }
    return encode(target, capsule, false, more);
}

/* ---- decoding ---- */

static struct head decode_head(struct cursor *in)
{
    struct head head = {.sequence = cursor_u64(in)};
    cursor_copy(in, head.hash.bytes, HASH_BYTES);
    return head;
}

static enum status decode_header(struct capsule *capsule, struct cursor *in, bool *is_whole)
{
    uint32_t magic = cursor_u32(in);
    uint32_t kind = cursor_u32(in);
    struct hash name;
    cursor_copy(in, name.bytes, HASH_BYTES);
    uint64_t policy_version = cursor_u64(in);
    struct bytes policy = cursor_run(in);
    capsule->forgotten_epoch = cursor_u64(in);
    capsule->begun_term = cursor_u64(in);
    capsule->revoke_epoch = cursor_u64(in);
    capsule->manifest = writer_head_decode(in);
    capsule->manifest_before = writer_head_decode(in);
    *is_whole = kind == KIND_WHOLE;
    if (in->failed || magic != SNAPSHOT_MAGIC || (kind != KIND_WHOLE && kind != KIND_JOINED) ||
        !hash_equal(&name, &capsule->genesis.capsule)) {
        return STATUS_MALFORMED;
    }
    capsule->policy_version = 1;
    enum status status = policy.length == 0 ? STATUS_OK : capsule_term_keep_policy(capsule, policy);
    bool is_named =
        capsule->policy_version == policy_version && (policy_version == 1) == (policy.length == 0);
    return status == STATUS_OK && !is_named ? STATUS_MALFORMED : status;
}

/* What the owner says of the stores: believed for its signature alone, each different one once. */
static enum status decode_statements(struct capsule *capsule, struct cursor *in)
{
    uint32_t count = cursor_u32(in);
    for (uint32_t i = 0; i < count; i++) {
        struct bytes bytes = cursor_run(in);
        uint16_t statement = 0;
        enum status status =
            in->failed ? STATUS_MALFORMED : capsule_stores_add(capsule, bytes, &statement);
        if (status != STATUS_OK || statement != i + 1) {
            return status == STATUS_NO_MEMORY ? status : STATUS_MALFORMED;
        }
    }
    return in->failed ? STATUS_MALFORMED : STATUS_OK;
}

/* Epochs rise; time, lamport and floor do not fall. */
static bool follows(const struct capsule_sync *sync, const struct capsule_sync *previous)
{
    return sync->epoch > previous->epoch && sync->time_ms >= previous->time_ms &&
           sync->lamport >= previous->lamport && sync->floor >= previous->floor &&
           sync->term >= previous->term && sync->floor <= sync->lamport &&
           sync->key_epoch >= previous->key_epoch;
}

static enum status decode_syncs(struct capsule *capsule, struct cursor *in)
{
    uint32_t count = cursor_u32(in);
    if (in->failed || count > CAPSULE_SYNCS_MAX || count > in->left / SYNC_BYTES) {
        return STATUS_MALFORMED;
    }
    capsule->syncs = calloc(count == 0 ? 1 : count, sizeof *capsule->syncs);
    if (capsule->syncs == NULL) {
        return STATUS_NO_MEMORY;
    }
    capsule->sync_capacity = count == 0 ? 1 : count;
    struct capsule_sync previous = {.epoch = capsule->forgotten_epoch,
                                    .key_epoch = CAPSULE_KEY_EPOCH_FIRST};
    for (uint32_t i = 0; i < count; i++) {
        struct capsule_sync *sync = &capsule->syncs[i];
        cursor_copy(in, sync->hash.bytes, HASH_BYTES);
        sync->epoch = cursor_u64(in);
        sync->sequence = cursor_u64(in);
        cursor_copy(in, sync->leader.bytes, WRITER_ID_BYTES);
        sync->term = cursor_u64(in);
        sync->lamport = cursor_u64(in);
        sync->floor = cursor_u64(in);
        sync->time_ms = cursor_u64(in);
        sync->manifest = writer_head_decode(in);
        sync->key_epoch = cursor_u32(in);
        if (!follows(sync, &previous) || hash_is_zero(&sync->hash) ||
            capsule_sync_find(capsule, &sync->hash) != NULL) {
            return STATUS_MALFORMED;
        }
        enum status status = lookup_reserve(&capsule->sync_by_hash);
        if (status != STATUS_OK) {
            return status;
        }
        lookup_add(&capsule->sync_by_hash, sync->hash.bytes, i);
        capsule->sync_count++;
        previous = *sync;
    }
    return STATUS_OK;
}

/* Ranges of bodies that are gone, in order, none touching the next. */
static enum status decode_pruned(struct branch *branch, struct cursor *in)
{
    uint32_t count = cursor_u32(in);
    if (in->failed || count > BRANCH_PRUNED_MAX || count > in->left / RANGE_BYTES) {
        return STATUS_MALFORMED;
    }
    uint64_t previous = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct branch_range range = {.from = cursor_u64(in)};
        range.to = cursor_u64(in);
        if (range.from <= previous + (i > 0 ? 1 : 0) || range.to < range.from ||
            range.to > branch->covered.sequence) {
            return STATUS_MALFORMED;
        }
        enum status status = branch_reserve_pruned(branch, 1);
        if (status != STATUS_OK) {
            return status;
        }
        branch_prune(branch, range);
        previous = range.to;
    }
    return STATUS_OK;
}

/* The records above what is covered, up to the head. */
static enum status decode_recent(struct branch *branch, struct cursor *in)
{
    uint32_t count = cursor_u32(in);
    const struct head *head = &branch->member.head;
    if (in->failed || count > BRANCH_RECENT_MAX || count > in->left / RECENT_BYTES ||
        count > head->sequence ||
        (count > 0 && head->sequence - count < branch->covered.sequence)) {
        return STATUS_MALFORMED;
    }
    if (count == 0) {
        return STATUS_OK;
    }
    branch->recent = calloc(count, sizeof *branch->recent);
    if (branch->recent == NULL) {
        return STATUS_NO_MEMORY;
    }
    branch->recent_capacity = branch->recent_count = count;
    branch->recent_first = head->sequence - count + 1;
    for (uint32_t i = 0; i < count; i++) {
        cursor_copy(in, branch->recent[i].hash.bytes, HASH_BYTES);
        branch->recent[i].joined_epoch = cursor_u64(in);
    }
    return hash_equal(&branch->recent[count - 1].hash, &head->hash) ? STATUS_OK : STATUS_MALFORMED;
}

static enum status decode_expected(struct capsule *capsule, struct branch *branch,
                                   struct cursor *in)
{
    uint32_t count = cursor_u32(in);
    if (in->failed || count > BRANCH_EXPECTED_MAX || count > in->left / EXPECTED_BYTES) {
        return STATUS_MALFORMED;
    }
    uint64_t previous = branch->member.head.sequence + 1;
    for (uint32_t i = 0; i < count; i++) {
        struct head head = decode_head(in);
        uint64_t epoch = cursor_u64(in);
        const struct capsule_sync *sync = capsule_sync_at_epoch(capsule, epoch);
        if (sync == NULL || head.sequence < previous || head.sequence > branch->covered.sequence) {
            return STATUS_MALFORMED;
        }
        enum status status = branch_reserve_expectation(branch);
        if (status != STATUS_OK) {
            return status;
        }
        size_t position = (size_t)(sync - capsule->syncs);
        branch_expect(branch, &head, (uint32_t)position);
        capsule->syncs[position].unmet_count++;
        previous = head.sequence;
    }
    return STATUS_OK;
}

/* Whether what the branch says of the SYNC that it has joined can be. */
static bool join_is_sound(const struct capsule *capsule, const struct branch *branch)
{
    const struct capsule_member *member = &branch->member;
    if (hash_is_zero(&member->joined)) {
        return member->joined_epoch == 0 && member->joined_lamport == 0 &&
               member->joined_key_epoch == CAPSULE_KEY_EPOCH_FIRST;
    }
    const struct capsule_sync *sync = capsule_sync_find(capsule, &member->joined);
    if (sync == NULL) {
        // Named by a TERM, or of no more use to its branch: older than those kept, or the owner's
        // word of what the leader has yet to prove.
        return !may_join(member);
    }
    return sync->epoch == member->joined_epoch && ((sync->lamport == member->joined_lamport &&
                                                    sync->key_epoch == member->joined_key_epoch) ||
                                                   member->role == MEMBER_LEADER);
}

static bool branch_is_sound(const struct capsule *capsule, const struct branch *branch,
                            bool is_whole)
{
    const struct capsule_member *member = &branch->member;
    bool is_leader = member->role == MEMBER_LEADER;
    const struct head *head = &member->head;
    return (is_leader || member->role == MEMBER_WORKER || member->role == MEMBER_COMPACTOR) &&
           member->term > 0 && member->revoked_epoch <= capsule->revoke_epoch &&
           (!is_leader || member->revoked_epoch == 0) && writer_head_is_sound(head) &&
           writer_head_is_sound(&branch->covered) && writer_head_is_sound(&member->cut) &&
           (member->is_closed || member->cut.sequence == 0) &&
           member->is_closed == (branch->closed_term > 0) &&
           member->is_closed == (branch->closed_sequence > 0) &&
           (!member->is_closed || branch->closed_term > (is_leader ? member->term : 0)) &&
           (!branch->is_listed_closed || member->is_closed) &&
           (!member->is_closed || branch->covered.sequence == member->cut.sequence) &&
           writer_head_is_sound(&branch->manifest) && branch->manifest.sequence <= head->sequence &&
           (member->role == MEMBER_COMPACTOR || branch->manifest.sequence == 0) &&
           (!branch->has_begun || is_leader) && (is_leader == (branch->term_sequence > 0)) &&
           branch->term_sequence <= head->sequence &&
           (is_whole || branch->covered.sequence >= head->sequence) &&
           join_is_sound(capsule, branch);
}

static enum status decode_branch(struct capsule *capsule, struct cursor *in, bool is_whole)
{
    struct branch read = {.recent = NULL};
    struct capsule_member *member = &read.member;
    cursor_copy(in, member->key.bytes, sizeof member->key.bytes);
    member->role = (enum member_role)cursor_u8(in);
    uint8_t flags = cursor_u8(in);
    read.statement = cursor_u16(in);
    member->term = cursor_u64(in);
    cursor_copy(in, member->admitted_by.bytes, HASH_BYTES);
    member->admitted_sequence = cursor_u64(in);
    cursor_copy(in, member->evidence_hash.bytes, HASH_BYTES);
    cursor_copy(in, member->tls_key.bytes, P256_PUBLIC_BYTES);
    member->head = decode_head(in);
    cursor_copy(in, member->joined.bytes, HASH_BYTES);
    member->joined_epoch = cursor_u64(in);
    member->joined_lamport = cursor_u64(in);
    member->joined_key_epoch = cursor_u32(in);
    member->revoked_epoch = cursor_u64(in);
    read.covered = decode_head(in);
    read.covered_joined_epoch = cursor_u64(in);
    read.term_sequence = cursor_u64(in);
    member->cut = decode_head(in);
    read.closed_term = cursor_u64(in);
    read.closed_sequence = cursor_u64(in);
    read.manifest = decode_head(in);
    member->is_closed = (flags & FLAG_CLOSED) != 0;
    read.is_listed_closed = (flags & FLAG_LISTED) != 0;
    read.has_begun = (flags & FLAG_BEGUN) != 0;
    read.has_leapt = (flags & FLAG_LEAPT) != 0;
    if ((flags & FLAG_UNKNOWN) != 0) {
        read.covered_joined_epoch = BRANCH_JOINED_UNKNOWN;
    }
    member->id = writer_id_of(&member->key);
    if (in->failed || flags > FLAGS_ALL || read.statement > capsule->statement_count ||
        (read.statement > 0 && member->role != MEMBER_LEADER) ||
        !branch_is_sound(capsule, &read, is_whole) ||
        capsule_branch_find(capsule, &member->id) != NULL) {
        return STATUS_MALFORMED;
    }
    struct branch *branch;
    enum status status = capsule_branch_add(capsule, &branch, &member->id);
    if (status != STATUS_OK) {
        return status == STATUS_FULL ? STATUS_MALFORMED : status;
    }
    *branch = read;
    bool is_overrun = member->is_closed && member->head.sequence > member->cut.sequence;
    capsule->is_overrun = capsule->is_overrun || is_overrun;
    status = decode_pruned(branch, in);
    if (status == STATUS_OK) {
        status = decode_recent(branch, in);
    }
    if (status == STATUS_OK) {
        status = decode_expected(capsule, branch, in);
    }
    return status == STATUS_OK && !is_whole && branch->recent_count > 0 ? STATUS_MALFORMED : status;
}

/* Zeroes for none; else of a compactor whose branch goes so far. */
static bool manifest_is_known(const struct capsule *capsule, const struct branch_head *manifest)
{
    const struct branch *branch = capsule_branch_find(capsule, &manifest->writer);
    if (manifest->head.sequence == 0) {
        return writer_id_is_zero(&manifest->writer) && hash_is_zero(&manifest->head.hash);
    }
    return branch != NULL && branch->member.role == MEMBER_COMPACTOR &&
           manifest->head.sequence <= branch->covered.sequence;
}

/* One branch for each term, and the highest one is the leader's. */
static enum status find_leader(struct capsule *capsule)
{
    for (size_t i = 0; i < capsule->branch_count; i++) {
        const struct capsule_member *member = &capsule->branches[i].member;
        if (member->role != MEMBER_LEADER) {
            continue;
        }
        if (member->term == capsule->term) {
            return STATUS_MALFORMED;
        }
        if (member->term > capsule->term) {
            capsule->term = member->term;
            capsule->leader = i;
        }
    }
    if (!manifest_is_known(capsule, &capsule->manifest) ||
        !manifest_is_known(capsule, &capsule->manifest_before)) {
        return STATUS_MALFORMED;
    }
    const struct capsule_sync *newest = capsule_newest_sync(capsule);
    bool is_sound = capsule->term > 0 && capsule->begun_term <= capsule->term &&
                    (newest == NULL || newest->term <= capsule->term);
    return is_sound ? STATUS_OK : STATUS_MALFORMED;
}

static enum status decode_branches(struct capsule *capsule, struct cursor *in, bool is_whole)
{
    uint32_t count = cursor_u32(in);
    if (in->failed || count > CAPSULE_MEMBERS_MAX) {
        return STATUS_MALFORMED;
    }
    for (uint32_t i = 0; i < count; i++) {
        enum status status = decode_branch(capsule, in, is_whole);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return find_leader(capsule);
}

static enum status decode_gone(struct capsule *capsule, struct cursor *in)
{
    uint32_t count = cursor_u32(in);
    if (in->failed || count > CAPSULE_MEMBERS_MAX || count > in->left / GONE_BYTES) {
        return STATUS_MALFORMED;
    }
    capsule->gone = calloc((size_t)count + 1, sizeof *capsule->gone);
    if (capsule->gone == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct capsule_gone *gone = &capsule->gone[i];
        cursor_copy(in, gone->id.bytes, WRITER_ID_BYTES);
        gone->cut = cursor_u64(in);
        if (capsule_branch_find(capsule, &gone->id) != NULL ||
            capsule_gone_find(capsule, &gone->id) != NULL) {
            return STATUS_MALFORMED;
        }
        enum status status = lookup_reserve(&capsule->gone_by_id);
        if (status != STATUS_OK) {
            return status;
        }
        lookup_add(&capsule->gone_by_id, gone->id.bytes, i);
        capsule->gone_count++;
    }
    return STATUS_OK;
}

static enum status decode_functions(struct capsule_snapshot *snapshot, struct cursor *in)
{
    snapshot->function_count = cursor_u32(in);
    if (in->failed || snapshot->function_count > CAPSULE_SNAPSHOT_PLACES_MAX) {
        return STATUS_MALFORMED;
    }
    snapshot->functions = cursor_take(in, (size_t)snapshot->function_count * BRANCH_HEAD_BYTES);
    if (in->failed) {
        return STATUS_MALFORMED;
    }
    for (uint32_t i = 0; i < snapshot->function_count; i++) {
        struct branch_head place = capsule_snapshot_function(snapshot, i);
        if (place.head.sequence == 0 || !writer_head_is_sound(&place.head)) {
            return STATUS_MALFORMED;
        }
    }
    return STATUS_OK;
}

static enum status decode_locks(struct capsule *capsule, struct cursor *in)
{
    capsule->lock_term = cursor_u64(in);
    uint32_t count = cursor_u32(in);
    if (in->failed || capsule->lock_term > capsule->term || count > CAPSULE_LOCKS_MAX ||
        count > in->left / LOCK_BYTES) {
        return STATUS_MALFORMED;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct capsule_lock lock;
        cursor_copy(in, lock.name.bytes, HASH_BYTES);
        lock.fence = cursor_u64(in);
        lock.sequence = cursor_u64(in);
        enum status status = capsule_lock_restore(capsule, &lock);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return cursor_done(in) ? STATUS_OK : STATUS_MALFORMED;
}

struct branch_head capsule_snapshot_function(const struct capsule_snapshot *snapshot,
                                             uint32_t index)
{
    CHECK(index < snapshot->function_count);
    struct cursor in =
        cursor_over(snapshot->functions + (size_t)index * BRANCH_HEAD_BYTES, BRANCH_HEAD_BYTES);
    return writer_head_decode(&in);
}

enum status capsule_snapshot_restore(struct capsule **restored, struct capsule_snapshot *snapshot,
                                     struct bytes genesis_body, struct bytes bytes)
{
    struct capsule *capsule;
    *restored = NULL;
    enum status status = capsule_new(&capsule, genesis_body);
    if (status != STATUS_OK) {
        return status;
    }
    *snapshot = (struct capsule_snapshot){.is_whole = false};
    struct cursor in = cursor_over(bytes.at, bytes.length);
    status = decode_header(capsule, &in, &snapshot->is_whole);
    if (status == STATUS_OK) {
        status = decode_statements(capsule, &in);
    }
    if (status == STATUS_OK) {
        status = decode_syncs(capsule, &in);
    }
    if (status == STATUS_OK) {
        status = decode_branches(capsule, &in, snapshot->is_whole);
    }
    if (status == STATUS_OK) {
        status = decode_gone(capsule, &in);
    }
    if (status == STATUS_OK) {
        status = decode_functions(snapshot, &in);
    }
    if (status == STATUS_OK) {
        status = decode_locks(capsule, &in);
    }
    if (status != STATUS_OK) {
        capsule_free(capsule);
        return status;
    }
    while (capsule->joined_count < capsule->sync_count &&
           capsule->syncs[capsule->joined_count].unmet_count == 0) {
        capsule->joined_count++;
    }
    *restored = capsule;
    return STATUS_OK;
}
