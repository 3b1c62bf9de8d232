/* src/scl/scl_version.c */
#include <string.h>

#include "scl/scl_internal.h"
#include "scl/version.h"

/* What a token names of a writer; false: nothing. */
static bool named_by(struct bytes token, const uint8_t writer[VERSION_ID_BYTES],
                     struct version_head *head)
{
    struct version version;
    enum status status = version_decode(&version, token);
    while (status == STATUS_OK && (status = version_next(&version, head)) == STATUS_OK) {
        if (memcmp(writer, head->writer, VERSION_ID_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

/* How far this replica names a branch by itself. */
static uint64_t known_sequence(const struct scl *scl, size_t index,
                               const struct dependency *dependency)
{
    const struct capsule_member *member = capsule_member_at(scl->capsule, index);
    if (member->role == MEMBER_LEADER) {
        // What its LOCKs have made count: they were held before they were applied.
        return writer_id_equal(&member->id, &scl->lock_leader) ? scl->lock_applied : 0;
    }
    if (dependency->has_overflowed) {
        return member->head.sequence;
    }
    uint64_t claimed = durable_claimed(scl->durable, &member->id);
    uint64_t synced = scl->peers[index].synced_sequence;
    uint64_t sequence = claimed < synced ? synced : claimed;
    uint64_t rested = dependency_on(dependency, (uint32_t)index);
    if (writer_id_equal(&member->id, &scl->id) && rested < dependency->own_sequence) {
        rested = dependency->own_sequence;
    }
    return sequence < rested ? rested : sequence;
}

/* How far a token names this branch. */
static uint64_t named_sequence(const struct scl *scl, size_t index,
                               const struct dependency *dependency, struct bytes after)
{
    const struct capsule_member *member = capsule_member_at(scl->capsule, index);
    uint64_t sequence = known_sequence(scl, index, dependency);
    struct version_head seen;
    if (named_by(after, member->id.bytes, &seen) && sequence < seen.sequence) {
        sequence = seen.sequence;
    }
    return sequence > member->head.sequence ? member->head.sequence : sequence;
}

/* The head of the branch at `sequence`, as a token names it. */
static struct version_head name_head(const struct scl *scl, const struct capsule_member *member,
                                     uint64_t sequence)
{
    struct version_head named = {.sequence = sequence, .has_hash = member->role != MEMBER_LEADER};
    struct hash here;
    memcpy(named.writer, member->id.bytes, VERSION_ID_BYTES);
    if (named.has_hash && !capsule_hash_at(scl->capsule, member, sequence, &here)) {
        // It lies below what has been named since: that is held as well.
        struct head later = capsule_named_head(scl->capsule, member);
        later = later.sequence > member->head.sequence ? member->head : later;
        named.sequence = later.sequence;
        here = later.hash;
    }
    if (named.has_hash) {
        memcpy(named.hash, here.bytes, VERSION_HASH_BYTES);
    }
    return named;
}

/*
 * Whether what is here of an open branch, or of one that is closed not below this head, leads to
 * it. STATUS_CLOSED: the branch is here as it counts, and it does not.
 */
static enum status leads_to(const struct scl *scl, const struct capsule_member *member,
                            const struct version_head *head)
{
    const struct branch_head wanted = {.writer = member->id, .head = {.sequence = head->sequence}};
    struct hash here;
    if (!scl_has_reached(scl, &wanted)) {
        return STATUS_GAP;
    }
    // What lies below what was named and reached is known no more, and leads there.
    bool is_other = head->has_hash &&
                    capsule_hash_at(scl->capsule, member, head->sequence, &here) &&
                    memcmp(here.bytes, head->hash, VERSION_HASH_BYTES) != 0;
    if (!is_other) {
        return STATUS_OK;
    }
    bool is_whole = member->is_closed && member->head.sequence >= member->cut.sequence;
    return is_whole ? STATUS_CLOSED : STATUS_GAP;
}

/* `has_ended`: all that was written in the token's term or before, and counts, is known here. */
static enum status reaches_head(const struct scl *scl, const struct version_head *head,
                                bool has_ended)
{
    for (size_t i = 0; i < capsule_member_count(scl->capsule); i++) {
        const struct capsule_member *member = capsule_member_at(scl->capsule, i);
        if (memcmp(member->id.bytes, head->writer, VERSION_ID_BYTES) != 0) {
            continue;
        }
        bool is_beyond = member->is_closed && head->sequence > member->cut.sequence;
        return is_beyond ? STATUS_CLOSED : leads_to(scl, member, head);
    }
    for (size_t i = 0; i < capsule_gone_count(scl->capsule); i++) {
        const struct capsule_gone *gone = capsule_gone_at(scl->capsule, i);
        if (memcmp(gone->id.bytes, head->writer, VERSION_ID_BYTES) == 0) {
            return head->sequence > gone->cut ? STATUS_CLOSED : STATUS_OK;
        }
    }
    return has_ended ? STATUS_CLOSED : STATUS_GAP;
}

/*
 * What `after` names, and the joined epoch covers here: who answered before may not have known what
 * its SYNC lists (joined_sequence), and only a later epoch takes the place of a head.
 */
static enum status add_seen(const struct scl *scl, struct bytes after,
                            char text[SCL_VERSION_BYTES_MAX])
{
    struct version version;
    struct version_head head, named;
    if (version_decode(&version, after) != STATUS_OK || version.epoch != scl->joined_epoch) {
        return STATUS_OK;
    }
    while (version_next(&version, &head) == STATUS_OK) {
        if (named_by(bytes_text(text), head.writer, &named) ||
            reaches_head(scl, &head, true) != STATUS_OK) {
            continue;
        }
        enum status status = version_add(text, SCL_VERSION_BYTES_MAX, &head);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

enum status scl_version(const struct scl *scl, const struct dependency *dependency,
                        struct bytes after, char text[SCL_VERSION_BYTES_MAX])
{
    struct version version = {.term = capsule_term(scl->capsule), .epoch = scl->joined_epoch};
    memcpy(version.capsule, capsule_name(scl->capsule)->bytes, VERSION_ID_BYTES);
    enum status status = version_begin(text, SCL_VERSION_BYTES_MAX, &version);
    for (size_t i = 0; i < scl->peer_count && status == STATUS_OK; i++) {
        const struct capsule_member *member = capsule_member_at(scl->capsule, i);
        if (member->head.sequence <= scl->peers[i].joined_sequence) {
            continue;
        }
        uint64_t sequence = named_sequence(scl, i, dependency, after);
        if (sequence > scl->peers[i].joined_sequence) {
            const struct version_head head = name_head(scl, member, sequence);
            status = version_add(text, SCL_VERSION_BYTES_MAX, &head);
        }
    }
    return status == STATUS_OK ? add_seen(scl, after, text) : status;
}

enum status scl_version_reaches(const struct scl *scl, struct bytes token)
{
    struct version version;
    struct version_head head;
    enum status status = version_decode(&version, token);
    if (status != STATUS_OK) {
        return status;
    }
    if (memcmp(version.capsule, capsule_name(scl->capsule)->bytes, VERSION_ID_BYTES) != 0) {
        return STATUS_DENIED;
    }
    // Where a later leader has written a SYNC, the token names another: the owner has given it up.
    if (version.epoch >= capsule_epoch_after(scl->capsule, version.term)) {
        return STATUS_CLOSED;
    }
    const struct capsule_sync *joined = capsule_joined_sync(scl->capsule);
    bool has_ended = joined != NULL && joined->term > version.term;
    enum status answer = STATUS_OK;
    if (version.term > capsule_term(scl->capsule) || version.epoch > scl->joined_epoch) {
        answer = STATUS_GAP;
    }
    while ((status = version_next(&version, &head)) == STATUS_OK) {
        status = reaches_head(scl, &head, has_ended);
        if (status == STATUS_CLOSED) {
            return status;
        }
        answer = status == STATUS_OK ? answer : status;
    }
    return status == STATUS_EMPTY ? answer : status;
}
