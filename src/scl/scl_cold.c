/* src/scl/scl_cold.c */
#include "capsule/seal.h"
#include "scl/scl_internal.h"

#include <inttypes.h>

/*
 * CapsuleDB as a replica sees it (DESIGN 6.7): which MANIFEST is in effect, the blocks that are on
 * their way, and what the memtable need not hold.
 *
 * Invariants:
 *  1. A MANIFEST is adopted when a SYNC that this replica has joined names it, and only one whose
 *     floor lies between that of the tables before and that of the SYNC (receive_manifest). So
 *     every tuple at or below its floor was applied here, or lies in its tables.
 *  2. Only what lies at or below the floor of the installed tables is evicted (scl_cold_evict).
 *  3. A tuple at or below that floor is not applied: the tables have decided (scl_open.c).
 *  4. What was read from tables is kept only while they are the ones in effect (scl_cold_keep).
 *  5. No block is used before its hash was compared with the one that the MANIFEST, or an index
 *     that it names, tells (tree_supply).
 */
enum {
    SCL_COLD_REPEAT_US = 500 * 1000,         // an answer got lost: ask again
    SCL_COLD_GIVE_UP_US = 10 * 1000 * 1000,  // whoever wanted the block has gone
    SCL_COLD_INDEXES = 8,                    // of a MANIFEST, asked for at once
    SCL_COLD_SPARE_BYTES = 1 << 20,          // beyond twice the bound: what an empty memtable takes
};

// ---- fetching ----

static struct scl_block *block_find(struct scl *scl, const struct writer_id *writer,
                                    uint64_t sequence)
{
    for (size_t i = 0; i < SCL_BLOCKS_MAX; i++) {
        struct scl_block *block = &scl->cold.blocks[i];
        if (block->is_wanted && block->ref.sequence == sequence &&
            writer_id_equal(&block->ref.writer, writer)) {
            return block;
        }
    }
    return NULL;
}

static void block_ask(struct scl *scl, struct scl_block *block, uint64_t now_us)
{
    const struct frame_fetch ask = {
        .writer = block->ref.writer,
        .from = block->ref.sequence,
        .to = block->ref.sequence,
        .max_bytes = RECORD_BYTES_MAX,
    };
    struct buffer body = BUFFER_EMPTY;
    scl->last_request = scl->last_request == UINT32_MAX ? 1 : scl->last_request + 1;
    if (frame_fetch_encode(&body, &ask) == STATUS_OK &&
        scl_output_add(scl, FRAME_FETCH, scl->last_request, &scl_everyone, buffer_bytes(&body)) ==
            STATUS_OK) {
        scl->counters.block_fetches++;
    }
    block->asked_us = now_us;  // without memory it is asked for again later
    buffer_release(&body);
}

enum status scl_cold_fetch(struct scl *scl, const struct block_ref *ref, uint64_t now_us)
{
    struct scl_block *block = block_find(scl, &ref->writer, ref->sequence);
    if (block != NULL) {
        block->wanted_us = now_us;
        return STATUS_OK;
    }
    for (size_t i = 0; i < SCL_BLOCKS_MAX; i++) {
        block = &scl->cold.blocks[i];
        if (!block->is_wanted) {
            *block = (struct scl_block){.is_wanted = true, .ref = *ref, .wanted_us = now_us};
            block_ask(scl, block, now_us);
            return STATUS_OK;
        }
    }
    return STATUS_FULL;
}

// ---- what comes ----

/* The floor of what is to be installed lies where it may. */
static bool is_plausible(const struct scl *scl, struct bytes plain)
{
    struct manifest manifest = {.floor = 0};
    if (manifest_decode(&manifest, plain) != STATUS_OK) {
        return false;
    }
    bool is_between =
        manifest.floor >= tree_floor(scl->cold.tree) && manifest.floor <= scl->cold.named_floor;
    manifest_release(&manifest);
    return is_between;
}

static enum status receive_manifest(struct scl *scl, const struct record *record,
                                    struct aead_key *key)
{
    struct buffer plain = BUFFER_EMPTY;
    enum status status = STATUS_STALE;
    if (hash_equal(&record->hash, &scl->cold.named.head.hash)) {
        status = seal_open(&plain, record, key);
    }
    if (status == STATUS_OK && !is_plausible(scl, buffer_bytes(&plain))) {
        status = STATUS_FORGED;
    }
    if (status == STATUS_OK) {
        status = tree_adopt(scl->cold.tree, &record->hash, buffer_bytes(&plain));
    }
    if (status == STATUS_OK) {
        scl->cold.adopting = record->hash;
    }
    buffer_release(&plain);
    return status;
}

enum status scl_cold_receive(struct scl *scl, const struct record *record)
{
    struct scl_block *block = block_find(scl, &record->writer, record->sequence);
    if (block == NULL || record->is_pruned) {
        return STATUS_NOT_FOUND;
    }
    if (!hash_equal(&block->ref.hash, &record->hash)) {
        log_event(scl->log, "block refused sequence=%" PRIu64 " cause=\"its hash is another\"",
                  record->sequence);
        scl->counters.records_refused++;
        return STATUS_FORGED;
    }
    struct aead_key *key = scl_open_key(scl, record);
    if (key == NULL) {
        return STATUS_GAP;
    }
    enum status status = STATUS_STALE;
    if (record->type == RECORD_TABLE && scl->cold.on_block != NULL) {
        status = scl->cold.on_block(scl->cold.context, record, key);
    }
    if (record->type == RECORD_MANIFEST) {
        status = receive_manifest(scl, record, key);
    } else if (status == STATUS_STALE) {
        status = tree_supply(scl->cold.tree, record, key);
    }
    if (status == STATUS_NO_MEMORY) {
        return status;
    }
    if (status != STATUS_OK && status != STATUS_STALE) {
        log_event(scl->log, "block refused sequence=%" PRIu64 " cause=\"%s\"", record->sequence,
                  status_text(status));
    }
    block->is_wanted = false;
    return STATUS_OK;
}

// ---- the MANIFEST in effect ----

void scl_cold_name(struct scl *scl, const struct capsule_sync *sync)
{
    scl->cold.named = sync->manifest;
    scl->cold.named_floor = sync->floor;
}

bool scl_cold_is_current(const struct scl *scl)
{
    struct hash installed = tree_manifest_hash(scl->cold.tree);
    return scl->cold.named.head.sequence == 0 || hash_equal(&installed, &scl->cold.named.head.hash);
}

/* What its tables say counts as here from now on, whatever a later MANIFEST lists. */
static void note_covered(struct scl *scl)
{
    for (size_t i = 0; i < scl->peer_count; i++) {
        struct scl_peer *peer = &scl->peers[i];
        if (scl_cold_covers(scl, i, peer->pruned_sequence)) {
            peer->pruned_sequence = 0;
        }
    }
}

/* Whatever is still missing of the MANIFEST that the joined SYNC names. */
static void adopt(struct scl *scl, uint64_t now_us)
{
    struct scl_cold *cold = &scl->cold;
    if (scl_cold_is_current(scl)) {
        return;
    }
    if (!hash_equal(&cold->adopting, &cold->named.head.hash)) {
        const struct block_ref manifest = {
            .writer = cold->named.writer,
            .sequence = cold->named.head.sequence,
            .hash = cold->named.head.hash,
        };
        enum status asked = scl_cold_fetch(scl, &manifest, now_us);
        (void)asked;  // no room: at the next tick
        return;
    }
    struct block_ref missing[SCL_COLD_INDEXES];
    uint32_t count = tree_missing(cold->tree, missing, SCL_COLD_INDEXES);
    enum status asked = STATUS_OK;
    for (uint32_t i = 0; i < count && asked == STATUS_OK; i++) {
        // Its writer may have been admitted after where this replica begins: then it is known soon.
        if (capsule_member_find(scl->capsule, &missing[i].writer) != NULL) {
            asked = scl_cold_fetch(scl, &missing[i], now_us);
        }
    }
    if (count == 0 && tree_install(cold->tree) == STATUS_OK) {
        log_event(scl->log, "manifest in effect sequence=%" PRIu64 " floor=%" PRIu64,
                  cold->named.head.sequence, tree_floor(cold->tree));
        scl->counters.manifests_adopted++;
        note_covered(scl);
    }
}

/*
 * The MANIFEST lists the writer so far up, or no tuple up to there lies above the floor. A
 * compactor that began behind the end of a branch has not heard of it: it keeps the tables, and
 * does not list the writer.
 */
bool scl_cold_covers(const struct scl *scl, size_t index, uint64_t sequence)
{
    const struct scl_peer *peer = &scl->peers[index];
    const struct capsule_member *member = capsule_member_at(scl->capsule, index);
    return manifest_covered(tree_manifest(scl->cold.tree), &member->id) >= sequence ||
           (peer->synced_sequence >= sequence &&
            peer->synced_lamport <= tree_floor(scl->cold.tree));
}

bool scl_cold_is_complete(const struct scl *scl)
{
    for (size_t i = 0; i < scl->peer_count; i++) {
        if (scl->peers[i].pruned_sequence > 0) {
            return false;
        }
    }
    return true;
}

// ---- the memtable's bound ----

void scl_cold_evict(struct scl *scl, uint32_t step_count)
{
    if (scl->cold.memtable_bytes > 0) {
        scl->counters.keys_evicted += memtable_evict(scl->memtable, tree_floor(scl->cold.tree),
                                                     scl->cold.memtable_bytes, step_count);
    }
}

bool scl_cold_has_room(const struct scl *scl)
{
    uint64_t bound = scl->cold.memtable_bytes;
    return bound == 0 || memtable_bytes(scl->memtable) <= 2 * bound + SCL_COLD_SPARE_BYTES;
}

void scl_cold_keep(struct scl *scl, const struct memtable_entry *entry, uint64_t floor)
{
    if (floor != tree_floor(scl->cold.tree) || scl->cold.memtable_bytes == 0) {
        return;
    }
    // What is there already is as new; without memory the next reader asks the tables again.
    enum status status = memtable_apply(scl->memtable, entry);
    if (status == STATUS_OK) {
        scl->counters.keys_kept++;
    }
    scl_note_expiry(scl, entry->expiry_ms);
    scl_cold_evict(scl, SCL_EVICT_STEPS);
}

uint64_t scl_cold_tick(struct scl *scl, uint64_t now_us)
{
    uint64_t wake_us = UINT64_MAX;
    adopt(scl, now_us);
    for (size_t i = 0; i < SCL_BLOCKS_MAX; i++) {
        struct scl_block *block = &scl->cold.blocks[i];
        if (block->is_wanted && now_us >= block->wanted_us + SCL_COLD_GIVE_UP_US) {
            block->is_wanted = false;
        }
        if (!block->is_wanted) {
            continue;
        }
        if (now_us >= block->asked_us + SCL_COLD_REPEAT_US) {
            block_ask(scl, block, now_us);
        }
        uint64_t due_us = block->asked_us + SCL_COLD_REPEAT_US;
        wake_us = due_us < wake_us ? due_us : wake_us;
    }
    scl_cold_evict(scl, SCL_EVICT_STEPS);
    return wake_us;
}
