/* src/scl/scl_snapshot.c */
#include <stdlib.h>
#include <string.h>

#include "capsule/capsule_snapshot.h"
#include "capsule/function.h"
#include "scl/scl_internal.h"

/*
 * What a compactor puts into its MANIFESTs, so that others can start from them: a snapshot of the
 * capsule at a SYNC whose lamport the floor has reached. Floors follow behind SYNCs, so one is
 * taken at a SYNC and kept until the floor is there; then the next is taken.
 *
 * Invariants:
 *  1. A snapshot is taken right after its SYNC was accepted: the leader's branch ends with it
 *     (scl_snapshot_note_sync). A LOCK or a CLOSE that comes later is read again by whoever starts.
 *  2. None is given away before a floor of a joined SYNC has reached its lamport: whatever a branch
 *     says up to where the snapshot ends lies in the tables (scl_snapshot_for).
 *  3. No LOCK before it names a record behind it: whoever starts would read that record without
 *     the LOCK, know the fence as decided, and take the record for void (scl_tag_is_ahead).
 */

void scl_snapshot_release(struct scl_snapshots *snapshots)
{
    buffer_release(&snapshots->ready);
    buffer_release(&snapshots->candidate);
    free(snapshots->functions);
    *snapshots = (struct scl_snapshots){.functions = NULL};
}

// ---- functions ----

static struct scl_function *function_find(struct scl_snapshots *snapshots, const char *name)
{
    for (size_t i = 0; i < snapshots->function_count; i++) {
        if (strcmp(snapshots->functions[i].name, name) == 0) {
            return &snapshots->functions[i];
        }
    }
    return NULL;
}

static enum status function_note(struct scl_snapshots *snapshots,
                                 const struct function_manifest *manifest,
                                 const struct record *record)
{
    struct scl_function *function = function_find(snapshots, manifest->name);
    if (function != NULL && function->version >= manifest->version) {
        return STATUS_OK;
    }
    if (function == NULL) {
        struct scl_function *grown =
            reallocarray(snapshots->functions, snapshots->function_count + 1, sizeof *grown);
        if (grown == NULL) {
            return STATUS_NO_MEMORY;
        }
        snapshots->functions = grown;
        function = &grown[snapshots->function_count++];
    }
    *function = (struct scl_function){
        .version = manifest->version,
        .place = {.writer = record->writer,
                  .head = {.sequence = record->sequence, .hash = record->hash}},
    };
    memcpy(function->name, manifest->name, sizeof function->name);
    return STATUS_OK;
}

/* One that was removed is remembered too: only higher versions of it may follow. */
enum status scl_snapshot_note_function(struct scl *scl, const struct record *record,
                                       struct bytes plain)
{
    struct function_manifest manifest;
    struct bytes code;
    const struct genesis *genesis = capsule_genesis(scl->capsule);
    if (!scl->is_compactor) {
        return STATUS_OK;
    }
    enum status status =
        function_decode(&manifest, &code, plain, &genesis->owner, &genesis->capsule);
    if (status != STATUS_OK) {
        return status == STATUS_NO_MEMORY ? status : STATUS_OK;  // workers ignore it as well
    }
    status = function_note(&scl->snapshots, &manifest, record);
    function_manifest_release(&manifest);
    return status;
}

// ---- snapshots ----

/*
 * Compactors that have written anything: their tables have to be opened. Leaders whose FUNCTION
 * records are in force: these.
 */
static bool is_needed(void *context, const struct capsule_member *closed)
{
    const struct scl_snapshots *snapshots = context;
    if (closed->role != MEMBER_LEADER) {
        return closed->role == MEMBER_COMPACTOR && closed->cut.sequence > 0;
    }
    for (size_t i = 0; i < snapshots->function_count; i++) {
        if (writer_id_equal(&snapshots->functions[i].place.writer, &closed->id)) {
            return true;
        }
    }
    return false;
}

static enum status take(struct scl *scl, struct buffer *target)
{
    struct scl_snapshots *snapshots = &scl->snapshots;
    struct branch_head *places = calloc(snapshots->function_count + 1, sizeof *places);
    if (places == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (size_t i = 0; i < snapshots->function_count; i++) {
        places[i] = snapshots->functions[i].place;
    }
    const struct capsule_snapshot_more more = {
        .is_needed = is_needed,
        .context = snapshots,
        .functions = places,
        .function_count = (uint32_t)snapshots->function_count,
    };
    buffer_clear(target);
    enum status status = capsule_snapshot_encode_joined(target, scl->capsule, &more);
    free(places);
    return status;
}

void scl_snapshot_note_sync(struct scl *scl)
{
    struct scl_snapshots *snapshots = &scl->snapshots;
    if (!scl->is_compactor) {
        return;
    }
    if (snapshots->candidate.length > 0 && snapshots->candidate_lamport <= scl->joined_floor) {
        struct buffer before = snapshots->ready;
        snapshots->ready = snapshots->candidate;
        snapshots->ready_lamport = snapshots->candidate_lamport;
        snapshots->candidate = before;
        buffer_clear(&snapshots->candidate);
    }
    // One that cannot be taken now is taken at a later SYNC: MANIFESTs go on with an older one. Who
    // began from a MANIFEST and has not read all of its functions yet would leave them out, for
    // ever.
    if (snapshots->candidate.length == 0 && scl->start.function_count == 0 &&
        !scl_tag_is_ahead(scl) && take(scl, &snapshots->candidate) == STATUS_OK) {
        snapshots->candidate_lamport = capsule_newest_sync(scl->capsule)->lamport;
    }
}

enum status scl_snapshot_take_over(struct scl *scl, struct bytes snapshot, uint64_t lamport)
{
    buffer_clear(&scl->snapshots.ready);
    scl->snapshots.ready_lamport = lamport;
    return buffer_append(&scl->snapshots.ready, snapshot.at, snapshot.length);
}

struct bytes scl_snapshot_for(const struct scl *scl, uint64_t floor)
{
    const struct scl_snapshots *snapshots = &scl->snapshots;
    if (snapshots->candidate.length > 0 && snapshots->candidate_lamport <= floor) {
        return buffer_bytes(&snapshots->candidate);
    }
    return snapshots->ready_lamport <= floor ? buffer_bytes(&snapshots->ready) : bytes_of(NULL, 0);
}
