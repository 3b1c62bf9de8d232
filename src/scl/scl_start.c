/* src/scl/scl_start.c */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "capsule/capsule_snapshot.h"
#include "capsule/member.h"
#include "capsule/seal.h"
#include "scl/scl_internal.h"

/*
 * A start from a MANIFEST (DESIGN 6.7): what the tables say need not be read from the log.
 *
 *   WAITING ──scl_start()──► FETCHING ──MANIFEST and its writer's key──► restored
 *                                │ it cannot be used
 *                                └──► the whole log is read
 *
 * The leader names the MANIFEST by its hash, and an attested compactor wrote it, so what it says of
 * the capsule is believed. From there on records are verified as ever: the leader's branch and the
 * open branches, from where the snapshot ends.
 *
 * Invariants:
 *  1. Nothing was applied before: the map and the capsule begin together (restore).
 *  2. The snapshot is of a SYNC whose lamport is at or below the MANIFEST's floor (scl_snapshot.c):
 *     whatever lies before it in any branch lies in the tables.
 *  3. A tuple at or below that floor is not applied, and nobody reads before the tables are
 *     installed (scl_start_is_done): else a later loser would hide the tables' winner.
 */
enum { SCL_START_REPEAT_US = 500 * 1000 };

void scl_start_release(struct scl_start *start)
{
    buffer_release(&start->record);
    free(start->functions);
    *start = (struct scl_start){.stage = SCL_START_LOG};
}

enum status scl_start(struct scl *scl, const struct branch_head *manifest)
{
    if (scl->start.stage != SCL_START_WAITING) {
        return STATUS_STALE;
    }
    scl->start.stage = manifest->head.sequence == 0 ? SCL_START_LOG : SCL_START_FETCHING;
    scl->start.manifest = *manifest;
    return STATUS_OK;
}

bool scl_start_is_done(const struct scl *scl)
{
    const struct scl_start *start = &scl->start;
    for (size_t i = 0; i < scl->peer_count; i++) {
        if (scl->peers[i].must_probe) {
            return false;
        }
    }
    bool has_probed = start->has_probed || scl->is_compactor;
    return start->stage == SCL_START_LOG ||
           (has_probed && start->stage == SCL_START_RESTORED && start->function_count == 0 &&
            tree_floor(scl->cold.tree) >= start->floor);
}

// ---- asking ----

static void ask(struct scl *scl, const struct writer_id *writer, uint64_t sequence)
{
    const struct frame_fetch fetch = {
        .writer = *writer, .from = sequence, .to = sequence, .max_bytes = RECORD_BYTES_MAX};
    struct buffer body = BUFFER_EMPTY;
    scl->last_request = scl->last_request == UINT32_MAX ? 1 : scl->last_request + 1;
    if (frame_fetch_encode(&body, &fetch) == STATUS_OK &&
        scl_output_add(scl, FRAME_FETCH, scl->last_request, &scl_everyone, buffer_bytes(&body)) ==
            STATUS_OK) {
        scl->counters.fetches++;
    }
    buffer_release(&body);  // without memory it is asked for again later
}

uint64_t scl_start_tick(struct scl *scl, uint64_t now_us)
{
    struct scl_start *start = &scl->start;
    bool is_asking = start->stage == SCL_START_FETCHING ||
                     (start->stage == SCL_START_RESTORED && start->function_count > 0);
    if (!is_asking) {
        return UINT64_MAX;
    }
    if (start->asked_us != 0 && now_us < start->asked_us + SCL_START_REPEAT_US) {
        return start->asked_us + SCL_START_REPEAT_US;
    }
    start->asked_us = now_us;
    if (start->stage == SCL_START_FETCHING) {
        ask(scl, &start->manifest.writer, start->manifest.head.sequence);
        if (!start->has_key) {
            ask(scl, &start->manifest.writer, 0);
        }
    }
    for (uint32_t i = 0; i < start->function_count; i++) {
        ask(scl, &start->functions[i].writer, start->functions[i].head.sequence);
    }
    return now_us + SCL_START_REPEAT_US;
}

// ---- the MANIFEST ----

/*
 * No tuple of the branch up to where it was named has a greater one; UINT64_MAX: not known, since
 * no SYNC lists yet what a CLOSE has named.
 */
static uint64_t listed_lamport(const struct scl *scl, const struct capsule_member *member)
{
    const struct capsule_sync *newest = capsule_newest_sync(scl->capsule);
    bool is_listed = !member->is_closed || capsule_is_listed_closed(scl->capsule, member);
    return newest != NULL && is_listed ? newest->lamport : UINT64_MAX;
}

/* The peers of a capsule that begins where its snapshot ends. */
static enum status peers_restore(struct scl *scl)
{
    for (size_t i = 0; i < scl->peer_count; i++) {
        aead_key_free(scl->peers[i].body_key);
        free(scl->peers[i].marks);
    }
    free(scl->peers);
    scl->peers = NULL;
    scl->peer_capacity = scl->peer_count = 0;
    enum status status = scl_peers_reserve(scl);
    if (status != STATUS_OK) {
        return status;
    }
    scl->peer_count = capsule_member_count(scl->capsule);
    for (size_t i = 0; i < scl->peer_count; i++) {
        const struct capsule_member *member = capsule_member_at(scl->capsule, i);
        if (member->role != MEMBER_LEADER) {
            scl->peers[i].synced_sequence = capsule_covered_sequence(scl->capsule, member);
            scl->peers[i].synced_lamport = listed_lamport(scl, member);
        }
    }
    return STATUS_OK;
}

static enum status functions_restore(struct scl_start *start,
                                     const struct capsule_snapshot *snapshot)
{
    start->functions = calloc((size_t)snapshot->function_count + 1, sizeof *start->functions);
    if (start->functions == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < snapshot->function_count; i++) {
        start->functions[i] = capsule_snapshot_function(snapshot, i);
    }
    start->function_count = snapshot->function_count;
    return STATUS_OK;
}

/*
 * Begin from what the MANIFEST says. On failure but STATUS_NO_MEMORY the log can be read instead.
 */
static enum status restore(struct scl *scl, struct bytes plain)
{
    struct manifest manifest = {.floor = 0};
    struct capsule *capsule = NULL;
    struct capsule_snapshot snapshot;
    enum status status = manifest_decode(&manifest, plain);
    if (status == STATUS_OK && manifest.snapshot.length == 0) {
        status = STATUS_NOT_FOUND;
    }
    if (status == STATUS_OK) {
        status = capsule_snapshot_restore(&capsule, &snapshot, capsule_genesis_body(scl->capsule),
                                          manifest.snapshot);
    }
    const struct capsule_sync *newest = capsule == NULL ? NULL : capsule_newest_sync(capsule);
    if (status == STATUS_OK &&
        (snapshot.is_whole || newest == NULL || newest->lamport > manifest.floor ||
         memtable_count(scl->memtable) > 0 || scl->joined_epoch > 0)) {
        status = STATUS_DENIED;
    }
    if (status == STATUS_OK) {
        status = tree_adopt(scl->cold.tree, &scl->start.manifest.head.hash, plain);
    }
    if (status == STATUS_OK) {
        status = functions_restore(&scl->start, &snapshot);
    }
    if (status == STATUS_OK) {
        capsule_exchange(scl->capsule, capsule);
        newest = capsule_newest_sync(scl->capsule);
        status = durable_use(scl->durable, &capsule_stores(scl->capsule)->now);
    }
    if (status == STATUS_OK) {
        status = peers_restore(scl);
    }
    if (status == STATUS_OK && scl->is_compactor) {
        status = scl_snapshot_take_over(scl, manifest.snapshot, newest->lamport);
    }
    if (status == STATUS_OK) {
        scl->start.floor = manifest.floor;
        scl->start.member_count = capsule_member_count(scl->capsule);
        scl->cold.named = scl->start.manifest;
        scl->cold.named_floor = manifest.floor;
        scl->cold.adopting = scl->start.manifest.head.hash;
        scl->lock_leader = newest->leader;
        scl->lock_applied = newest->sequence;
        scl->is_log_done = true;
        scl->checked_us = 0;
        scl_unblock(scl);
    }
    capsule_free(capsule);
    manifest_release(&manifest);
    return status;
}

/* Both are here: open the MANIFEST. */
static enum status open_manifest(struct scl *scl)
{
    struct scl_start *start = &scl->start;
    struct record record;
    struct buffer plain = BUFFER_EMPTY;
    enum status status = record_decode_again(&record, start->record.bytes, start->record.length);
    const struct scl_key *key = status == STATUS_OK ? scl_key_find(scl, record.key_epoch) : NULL;
    if (key == NULL) {
        return STATUS_DENIED;
    }
    struct aead_key *body_key = seal_key_new(key->secret, capsule_name(scl->capsule), &start->key);
    status = seal_open(&plain, &record, body_key);
    aead_key_free(body_key);
    if (status == STATUS_OK) {
        status = restore(scl, buffer_bytes(&plain));
    }
    buffer_release(&plain);
    return status;
}

static enum status try_manifest(struct scl *scl)
{
    struct scl_start *start = &scl->start;
    if (!start->has_key || start->record.length == 0) {
        return STATUS_OK;
    }
    enum status status = open_manifest(scl);
    buffer_release(&start->record);
    if (status == STATUS_NO_MEMORY) {
        return status;
    }
    start->stage = status == STATUS_OK ? SCL_START_RESTORED : SCL_START_LOG;
    start->asked_us = 0;
    log_event(scl->log, "start manifest=%" PRIu64 " floor=%" PRIu64 " members=%zu status=\"%s\"",
              start->manifest.head.sequence, start->floor, capsule_member_count(scl->capsule),
              status_text(status));
    return STATUS_OK;
}

static enum status receive_fetching(struct scl *scl, const struct record *record)
{
    struct scl_start *start = &scl->start;
    struct member_body member;
    if (record->type == RECORD_MEMBER && member_decode(&member, record->body) == STATUS_OK) {
        // Its id is the hash of its key, so nobody need vouch for that.
        struct writer_id id = writer_id_of(&member.key);
        if (!start->has_key && writer_id_equal(&id, &start->manifest.writer)) {
            start->key = member.key;
            start->has_key = true;
            return try_manifest(scl);
        }
        return STATUS_NOT_FOUND;
    }
    if (record->type != RECORD_MANIFEST || record->is_pruned ||
        !hash_equal(&record->hash, &start->manifest.head.hash)) {
        return STATUS_NOT_FOUND;
    }
    buffer_clear(&start->record);
    enum status status = buffer_append(&start->record, record->whole.at, record->whole.length);
    return status == STATUS_OK ? try_manifest(scl) : status;
}

// ---- the functions ----

static enum status receive_function(struct scl *scl, const struct record *record)
{
    struct scl_start *start = &scl->start;
    for (uint32_t i = 0; i < start->function_count; i++) {
        if (!hash_equal(&start->functions[i].head.hash, &record->hash)) {
            continue;
        }
        struct buffer plain = BUFFER_EMPTY;
        struct aead_key *key = scl_open_key(scl, record);
        enum status status = key == NULL ? STATUS_DENIED : seal_open(&plain, record, key);
        if (status == STATUS_OK) {
            status = scl_snapshot_note_function(scl, record, buffer_bytes(&plain));
        }
        if (status == STATUS_OK) {
            scl->on_function(scl->context, buffer_bytes(&plain));
        } else {
            log_event(scl->log, "function does not open sequence=%" PRIu64 " status=\"%s\"",
                      record->sequence, status_text(status));
        }
        buffer_release(&plain);
        start->functions[i] = start->functions[--start->function_count];
        return status == STATUS_NO_MEMORY ? status : STATUS_OK;
    }
    return STATUS_NOT_FOUND;
}

enum status scl_start_receive(struct scl *scl, const struct record *record)
{
    if (scl->start.stage == SCL_START_FETCHING) {
        return receive_fetching(scl, record);
    }
    if (scl->start.stage == SCL_START_RESTORED && record->type == RECORD_FUNCTION) {
        return receive_function(scl, record);
    }
    return STATUS_NOT_FOUND;
}
