/* src/scl/scl_version.c */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "scl/scl_internal.h"

enum {
    SCL_PREFIX_BYTES = 4,  // of ids
};

/* Read decimal digits. False: none, or too many. */
static bool read_number(struct bytes *text, uint64_t *number)
{
    size_t digits = 0;
    *number = 0;
    while (digits < text->length && text->at[digits] >= '0' && text->at[digits] <= '9') {
        if (digits == 18) {
            return false;
        }
        *number = *number * 10 + (uint64_t)(text->at[digits] - '0');
        digits++;
    }
    *text = bytes_of(text->at + digits, text->length - digits);
    return digits > 0;
}

static bool read_prefix(struct bytes *text, uint8_t prefix[SCL_PREFIX_BYTES])
{
    if (text->length < 2 * SCL_PREFIX_BYTES ||
        !hex_decode(prefix, SCL_PREFIX_BYTES, (const char *)text->at, 2 * SCL_PREFIX_BYTES)) {
        return false;
    }
    *text = bytes_of(text->at + 2 * SCL_PREFIX_BYTES, text->length - 2 * SCL_PREFIX_BYTES);
    return true;
}

static bool read_mark(struct bytes *text, char mark)
{
    if (text->length == 0 || text->at[0] != (uint8_t)mark) {
        return false;
    }
    *text = bytes_of(text->at + 1, text->length - 1);
    return true;
}

/* One "<writer prefix>-<sequence>", which a '.' precedes. */
static bool read_head(struct bytes *text, uint8_t prefix[SCL_PREFIX_BYTES], uint64_t *sequence)
{
    return read_mark(text, '.') && read_prefix(text, prefix) && read_mark(text, '-') &&
           read_number(text, sequence);
}

/* "<capsule prefix>.<term>.<joined epoch>" */
static bool read_begin(struct bytes *text, uint8_t prefix[SCL_PREFIX_BYTES], uint64_t *term,
                       uint64_t *epoch)
{
    return read_prefix(text, prefix) && read_mark(text, '.') && read_number(text, term) &&
           read_mark(text, '.') && read_number(text, epoch);
}

/* The sequence that a token names for a writer; 0: none. */
static uint64_t named_by(struct bytes version, const uint8_t writer[SCL_PREFIX_BYTES])
{
    uint8_t prefix[SCL_PREFIX_BYTES];
    uint64_t term, epoch, sequence;
    bool is_whole = read_begin(&version, prefix, &term, &epoch);
    while (is_whole && version.length > 0) {
        is_whole = read_head(&version, prefix, &sequence);
        if (is_whole && memcmp(writer, prefix, SCL_PREFIX_BYTES) == 0) {
            return sequence;
        }
    }
    return 0;
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
    uint64_t seen = named_by(after, member->id.bytes);
    sequence = sequence < seen ? seen : sequence;
    return sequence > member->head.sequence ? member->head.sequence : sequence;
}

static enum status add_head(char text[SCL_VERSION_BYTES_MAX], int *length,
                            const uint8_t writer[SCL_PREFIX_BYTES], uint64_t sequence)
{
    char prefix[2 * SCL_PREFIX_BYTES + 1];
    hex_encode(prefix, writer, SCL_PREFIX_BYTES);
    *length += snprintf(text + *length, SCL_VERSION_BYTES_MAX - (size_t)*length, ".%s-%" PRIu64,
                        prefix, sequence);
    return *length >= SCL_VERSION_BYTES_MAX ? STATUS_FULL : STATUS_OK;
}

/* `has_ended`: all that was written in the token's term or before, and counts, is known here. */
static enum status reaches_head(const struct scl *scl, const uint8_t prefix[SCL_PREFIX_BYTES],
                                uint64_t sequence, bool has_ended)
{
    for (size_t i = 0; i < capsule_member_count(scl->capsule); i++) {
        const struct capsule_member *member = capsule_member_at(scl->capsule, i);
        if (memcmp(member->id.bytes, prefix, SCL_PREFIX_BYTES) != 0) {
            continue;
        }
        if (member->is_closed && sequence > member->cut.sequence) {
            return STATUS_CLOSED;
        }
        const struct branch_head wanted = {.writer = member->id, .head = {.sequence = sequence}};
        return scl_has_reached(scl, &wanted) ? STATUS_OK : STATUS_GAP;
    }
    for (size_t i = 0; i < capsule_gone_count(scl->capsule); i++) {
        const struct capsule_gone *gone = capsule_gone_at(scl->capsule, i);
        if (memcmp(gone->id.bytes, prefix, SCL_PREFIX_BYTES) == 0) {
            return sequence > gone->cut ? STATUS_CLOSED : STATUS_OK;
        }
    }
    return has_ended ? STATUS_CLOSED : STATUS_GAP;
}

/*
 * What `after` names, and the joined epoch covers here: who answered before may not have known what
 * its SYNC lists (joined_sequence), and only a later epoch takes the place of a head.
 */
static enum status add_seen(const struct scl *scl, struct bytes after,
                            char text[SCL_VERSION_BYTES_MAX], int *length)
{
    uint8_t prefix[SCL_PREFIX_BYTES];
    uint64_t term, epoch, sequence;
    if (!read_begin(&after, prefix, &term, &epoch) || epoch != scl->joined_epoch) {
        return STATUS_OK;
    }
    while (after.length > 0 && read_head(&after, prefix, &sequence)) {
        bool is_named = named_by(bytes_text(text), prefix) > 0;
        if (is_named || reaches_head(scl, prefix, sequence, true) != STATUS_OK) {
            continue;
        }
        enum status status = add_head(text, length, prefix, sequence);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

enum status scl_version(const struct scl *scl, const struct dependency *dependency,
                        struct bytes after, char text[SCL_VERSION_BYTES_MAX])
{
    char prefix[2 * SCL_PREFIX_BYTES + 1];
    hex_encode(prefix, capsule_name(scl->capsule)->bytes, SCL_PREFIX_BYTES);
    int length = snprintf(text, SCL_VERSION_BYTES_MAX, "%s.%" PRIu64 ".%" PRIu64, prefix,
                          capsule_term(scl->capsule), scl->joined_epoch);
    for (size_t i = 0; i < scl->peer_count; i++) {
        const struct capsule_member *member = capsule_member_at(scl->capsule, i);
        if (member->head.sequence <= scl->peers[i].joined_sequence) {
            continue;
        }
        uint64_t sequence = named_sequence(scl, i, dependency, after);
        if (sequence <= scl->peers[i].joined_sequence) {
            continue;
        }
        enum status status = add_head(text, &length, member->id.bytes, sequence);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return add_seen(scl, after, text, &length);
}

enum status scl_version_reaches(const struct scl *scl, struct bytes version)
{
    uint8_t prefix[SCL_PREFIX_BYTES];
    uint64_t term, epoch;
    if (!read_begin(&version, prefix, &term, &epoch)) {
        return STATUS_MALFORMED;
    }
    if (memcmp(prefix, capsule_name(scl->capsule)->bytes, SCL_PREFIX_BYTES) != 0) {
        return STATUS_DENIED;
    }
    // Where a later leader has written a SYNC, the token names another: the owner has given it up.
    if (epoch >= capsule_epoch_after(scl->capsule, term)) {
        return STATUS_CLOSED;
    }
    const struct capsule_sync *joined = capsule_joined_sync(scl->capsule);
    bool has_ended = joined != NULL && joined->term > term;
    enum status answer = STATUS_OK;
    if (term > capsule_term(scl->capsule) || epoch > scl->joined_epoch) {
        answer = STATUS_GAP;
    }
    while (version.length > 0) {
        uint64_t sequence;
        if (!read_head(&version, prefix, &sequence)) {
            return STATUS_MALFORMED;
        }
        enum status status = reaches_head(scl, prefix, sequence, has_ended);
        if (status == STATUS_CLOSED) {
            return status;
        }
        if (status != STATUS_OK) {
            answer = status;
        }
    }
    return answer;
}
