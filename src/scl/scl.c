/* src/scl/scl.c */
#include "scl/scl.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "crypto/aead.h"
#include "scl/scl_internal.h"

enum {
    SCL_TIME_US =
        10 * 1000 * 1000,  // DESIGN 6.5: how often a SYNC tells the time to keys that expire
    SCL_UNRECEIPTED_BYTES_MAX = 64 << 20,
};

const struct writer_id scl_everyone;

enum status scl_new(struct scl **scl, const struct scl_config *config)
{
    struct scl *made = calloc(1, sizeof *made);
    *scl = NULL;
    if (made == NULL) {
        return STATUS_NO_MEMORY;
    }
    made->key = config->key;
    const struct verify_key public_key = sign_key_public(config->key);
    made->id = writer_id_of(&public_key);
    made->log = config->log;
    made->on_function = config->on_function;
    made->context = config->context;
    made->cold.memtable_bytes = config->memtable_bytes;
    made->is_compactor = config->is_compactor;
    made->start.stage = config->waits_for_start ? SCL_START_WAITING : SCL_START_LOG;
    outbox_init(&made->outbox);
    made->output_end = &made->output;
    made->log_next = 1;
    made->lost_us = SCL_LOST_US;
    made->joined_key_epoch = CAPSULE_KEY_EPOCH_FIRST;

    enum status status = capsule_new(&made->capsule, config->genesis);
    if (status == STATUS_OK) {
        status = durable_new(&made->durable, capsule_genesis(made->capsule), made->capsule);
    }
    if (status == STATUS_OK) {
        status = holdback_new(&made->holdback);
    }
    if (status == STATUS_OK) {
        status = memtable_new(&made->memtable);
    }
    if (status == STATUS_OK) {
        status = tree_new(&made->cold.tree, config->cache_bytes);
    }
    if (status != STATUS_OK) {
        scl_free(made);
        return status;
    }
    *scl = made;
    return STATUS_OK;
}

static void output_drop_first(struct scl *scl)
{
    struct scl_frame *first = scl->output;
    scl->output = first->next;
    if (scl->output == NULL) {
        scl->output_end = &scl->output;
    }
    buffer_release(&first->bytes);
    free(first);
}

void scl_free(struct scl *scl)
{
    if (scl == NULL) {
        return;
    }
    outbox_release(&scl->outbox);
    scl_lock_release_all(scl);
    scl_tag_release(scl);
    buffer_release(&scl->manifest);
    buffer_release(&scl->newest);
    while (scl->output != NULL) {
        output_drop_first(scl);
    }
    for (size_t i = 0; i < scl->peer_count; i++) {
        aead_key_free(scl->peers[i].body_key);
        free(scl->peers[i].marks);
    }
    for (size_t i = 0; i < scl->key_count; i++) {
        secret_free(scl->keys[i].secret);
    }
    aead_key_free(scl->own_body_key);
    tuple_batch_release(&scl->batch);
    tuple_batch_release(&scl->spare);
    free(scl->peers);
    free(scl->required);
    scl_start_release(&scl->start);
    scl_snapshot_release(&scl->snapshots);
    memtable_free(scl->memtable);
    tree_free(scl->cold.tree);
    holdback_free(scl->holdback);
    durable_free(scl->durable);
    capsule_free(scl->capsule);
    free(scl);
}

const struct capsule *scl_capsule(const struct scl *scl)
{
    return scl->capsule;
}

struct memtable *scl_memtable(struct scl *scl)
{
    return scl->memtable;
}

void scl_unblock(struct scl *scl)
{
    for (size_t i = 0; i < scl->peer_count; i++) {
        scl->peers[i].is_blocked = false;
    }
    scl->introductions_waiting = 0;
    scl->is_dirty = true;
}

enum status scl_add_key(struct scl *scl, uint32_t key_epoch, const uint8_t secret[SECRET_BYTES])
{
    if (scl_key_find(scl, key_epoch) != NULL) {
        return STATUS_STALE;
    }
    if (scl->key_count == SCL_KEYS_MAX) {
        return STATUS_FULL;
    }
    scl->keys[scl->key_count++] =
        (struct scl_key){.key_epoch = key_epoch, .secret = secret_new_copy(secret)};
    scl_unblock(scl);
    scl_join_newest(scl);
    return STATUS_OK;
}

const struct scl_key *scl_key_find(const struct scl *scl, uint32_t key_epoch)
{
    for (size_t i = 0; i < scl->key_count; i++) {
        if (scl->keys[i].key_epoch == key_epoch) {
            return &scl->keys[i];
        }
    }
    return NULL;
}

const struct scl_key *scl_key_own(const struct scl *scl)
{
    return scl_key_find(scl, scl->joined_key_epoch);
}

enum status scl_tell(struct scl *scl, uint64_t now_us, struct buffer *plain)
{
    enum status status = scl_keys_output(scl, now_us, plain);
    return status == STATUS_EMPTY ? scl_lock_output(scl, now_us, plain) : status;
}

uint64_t scl_tell_wake_us(struct scl *scl, uint64_t now_us)
{
    uint64_t key_us = scl_keys_wake_us(scl, now_us);
    uint64_t lock_us = scl_lock_wake_us(scl, now_us);
    return key_us < lock_us ? key_us : lock_us;
}

enum status scl_require(struct scl *scl, const struct branch_head *head)
{
    struct branch_head *required =
        realloc(scl->required, (scl->required_count + 1) * sizeof *required);
    if (required == NULL) {
        return STATUS_NO_MEMORY;
    }
    scl->required = required;
    scl->required[scl->required_count++] = *head;
    return STATUS_OK;
}

bool scl_has_begun(const struct scl *scl, const struct capsule_member *own)
{
    return scl->joined_epoch >= own->joined_epoch;
}

bool scl_has_reached(const struct scl *scl, const struct branch_head *wanted)
{
    const struct capsule_member *member = capsule_member_find(scl->capsule, &wanted->writer);
    if (member == NULL || member->head.sequence < wanted->head.sequence) {
        return false;
    }
    // Where its hash is known no more, something that leads back to it was named and reached.
    struct hash here;
    if (!hash_is_zero(&wanted->head.hash) &&
        capsule_hash_at(scl->capsule, member, wanted->head.sequence, &here) &&
        !hash_equal(&here, &wanted->head.hash)) {
        return false;
    }
    // A leader's LOCK is reached when what it names is in the map.
    return member->role != MEMBER_LEADER ||
           scl_tag_is_applied(scl, &wanted->writer, wanted->head.sequence);
}

bool scl_is_ready(const struct scl *scl)
{
    const struct capsule_member *own = capsule_member_find(scl->capsule, &scl->id);
    if (!scl->is_log_done || own == NULL || !scl_has_begun(scl, own) ||
        !scl_cold_is_complete(scl) || !scl_start_is_done(scl)) {
        return false;
    }
    // A compactor takes of others' branches only what SYNCs list: it need not have reached more.
    for (size_t i = 0; i < scl->required_count && !scl->is_compactor; i++) {
        if (!scl_has_reached(scl, &scl->required[i])) {
            return false;
        }
    }
    return true;
}

const struct capsule_member *scl_own_member(const struct scl *scl)
{
    return capsule_member_find(scl->capsule, &scl->id);
}

size_t scl_member_index(const struct scl *scl, const struct capsule_member *member)
{
    return capsule_member_index(scl->capsule, member);
}

enum status scl_peers_reserve(struct scl *scl)
{
    size_t count = capsule_member_count(scl->capsule) + 1;
    if (count <= scl->peer_capacity) {
        return STATUS_OK;
    }
    size_t capacity = count < 8 ? 8 : 2 * count;
    struct scl_peer *peers = realloc(scl->peers, capacity * sizeof *peers);
    if (peers == NULL) {
        return STATUS_NO_MEMORY;
    }
    memset(peers + scl->peer_capacity, 0, (capacity - scl->peer_capacity) * sizeof *peers);
    scl->peers = peers;
    scl->peer_capacity = capacity;
    return STATUS_OK;
}

enum status scl_output_add(struct scl *scl, enum frame_kind kind, uint32_t request,
                           const struct writer_id *peer, struct bytes body)
{
    struct scl_frame *frame = calloc(1, sizeof *frame);
    if (frame == NULL) {
        return STATUS_NO_MEMORY;
    }
    enum status status = frame_encode(&frame->bytes, kind, request, peer, body);
    if (status != STATUS_OK) {
        buffer_release(&frame->bytes);
        free(frame);
        return status;
    }
    *scl->output_end = frame;
    scl->output_end = &frame->next;
    return STATUS_OK;
}

bool scl_has_output(const struct scl *scl)
{
    return scl->output != NULL;
}

enum status scl_output(struct scl *scl, struct buffer *frame)
{
    if (scl->output == NULL) {
        return STATUS_EMPTY;
    }
    enum status status = buffer_append(frame, scl->output->bytes.bytes, scl->output->bytes.length);
    if (status == STATUS_OK) {
        output_drop_first(scl);
    }
    return status;
}

bool scl_is_held(struct scl *scl, const struct capsule_member *member, uint64_t sequence)
{
    const struct scl_peer *peer = &scl->peers[scl_member_index(scl, member)];
    // What is here may be a fork of what a SYNC lists, until it has come to that.
    uint64_t listed = member->head.sequence >= peer->synced_sequence ? peer->synced_sequence
                                                                     : peer->reached_sequence;
    return sequence <= listed || durable_covers(scl->durable, &member->id, sequence);
}

void scl_join_newest(struct scl *scl)
{
    const struct capsule_sync *sync = capsule_joined_sync(scl->capsule);
    const struct capsule_member *own = scl_own_member(scl);
    if (sync == NULL || own == NULL || sync->epoch < own->joined_epoch) {
        return;
    }
    if (sync->epoch > scl->joined_epoch && sync->epoch > own->joined_epoch &&
        !(durable_covers(scl->durable, &sync->leader, sync->sequence) &&
          scl_key_find(scl, sync->key_epoch) != NULL)) {
        // The one that the own MEMBER names was held before the leader admitted us, and its key
        // granted.
        sync = capsule_sync_find(scl->capsule, &own->joined);
    }
    if (sync == NULL || sync->epoch <= scl->joined_epoch) {
        return;
    }
    scl->joined = sync->hash;
    scl->joined_epoch = sync->epoch;
    scl->joined_floor = sync->floor;
    scl->joined_key_epoch = sync->key_epoch;
    scl_cold_name(scl, sync);
    atomic_store_explicit(&scl->joined_time_ms, sync->time_ms, memory_order_relaxed);
    if (scl->lamport < sync->lamport) {
        scl->lamport = sync->lamport;
    }
    // What an older SYNC listed is not kept: until the newest is joined, less is claimed.
    for (size_t i = 0; sync == capsule_newest_sync(scl->capsule) && i < scl->peer_count; i++) {
        scl->peers[i].joined_sequence = scl->peers[i].synced_sequence;
    }
}

void scl_note_expiry(struct scl *scl, uint64_t expiry_ms)
{
    if (scl->expiry_ms < expiry_ms) {
        scl->expiry_ms = expiry_ms;
    }
}

/* The sequence of the record that the open batch will be. */
static uint64_t batch_sequence(const struct scl *scl)
{
    return scl->begun_sequence + 1 + (scl->eoe_next != 0) + (scl->lock_next != NULL);
}

void scl_depend(const struct scl *scl, struct dependency *dependency,
                const struct memtable_version *version)
{
    if (writer_id_equal(&version->writer, &scl->id)) {
        dependency_add_own(dependency, version->sequence);
    } else {
        dependency_add(dependency, version->origin, version->sequence);
    }
}

enum status scl_put(struct scl *scl, const struct tuple *tuple, struct dependency *dependency)
{
    const struct capsule_member *own = scl_own_member(scl);
    if (own == NULL || own->is_closed) {
        return STATUS_CLOSED;
    }
    if (scl->outbox.bytes + scl->batch.plain.length > SCL_UNRECEIPTED_BYTES_MAX ||
        !scl_cold_has_room(scl)) {
        return STATUS_FULL;
    }
    struct tuple stamped = *tuple;
    stamped.lamport = scl->lamport + 1;
    enum status status = tuple_batch_add(&scl->batch, &stamped);
    if (status != STATUS_OK) {
        return status;
    }
    scl->lamport = stamped.lamport;
    scl_note_expiry(scl, stamped.expiry_ms);

    uint32_t origin = (uint32_t)scl_member_index(scl, own);
    const struct memtable_entry entry = {
        .key = stamped.key,
        .value = stamped.value,
        .expiry_ms = stamped.expiry_ms,
        .is_tombstone = stamped.kind == TUPLE_DELETE,
        .version = {.lamport = stamped.lamport,
                    .writer = scl->id,
                    .origin = origin,
                    .sequence = batch_sequence(scl)},
    };
    status = memtable_apply(scl->memtable, &entry);
    // Its lamport is above every one this map has seen, so it cannot lose. Without memory the
    // tuple is in the batch and not in the map: stop, rather than answer from a map that differs.
    CHECK(status == STATUS_OK);
    scl_depend(scl, dependency, &entry.version);
    scl_cold_evict(scl, SCL_EVICT_STEPS);
    scl->counters.tuples_put++;
    return STATUS_OK;
}

bool scl_is_durable(struct scl *scl, const struct dependency *dependency)
{
    const struct capsule_member *own = scl_own_member(scl);
    if (own != NULL && !scl_is_held(scl, own, dependency->own_sequence)) {
        return false;
    }
    if (dependency->has_overflowed) {
        for (size_t i = 0; i < capsule_member_count(scl->capsule); i++) {
            const struct capsule_member *member = capsule_member_at(scl->capsule, i);
            if (!scl_is_held(scl, member, member->head.sequence)) {
                return false;
            }
        }
    }
    for (uint32_t i = 0; i < dependency->count; i++) {
        const struct capsule_member *member =
            capsule_member_at(scl->capsule, dependency->items[i].member);
        if (!scl_is_held(scl, member, dependency->items[i].sequence)) {
            return false;
        }
    }
    return true;
}

uint64_t scl_time_ms(const struct scl *scl)
{
    return atomic_load_explicit(&scl->joined_time_ms, memory_order_relaxed);
}

enum status scl_store_trouble(const struct scl *scl)
{
    return scl->trouble;
}

/* A record's frame once more, to whom it went. */
static enum status repeat(struct scl *scl, struct bytes sent)
{
    struct frame frame;
    enum status status = frame_decode(&frame, sent);
    CHECK(status == STATUS_OK);
    return scl_output_add(scl, FRAME_RECORD, 0, &frame.peer, frame.body);
}

static void repeat_unreceipted(struct scl *scl, uint64_t now_us)
{
    struct outbox_walk walk = OUTBOX_WALK_BEGIN;
    struct bytes frame;
    while (outbox_repeat(&scl->outbox, &walk, now_us, &frame) == STATUS_OK) {
        if (repeat(scl, frame) != STATUS_OK) {
            return;
        }
    }
}

/*
 * W stores hold the newest record, but the leader may not have heard: it writes a SYNC only when it
 * has. Returns when to repeat it next.
 */
static uint64_t repeat_newest(struct scl *scl, uint64_t now_us)
{
    const struct capsule_member *own = scl_own_member(scl);
    bool is_wanted = scl->newest.length > 0 && scl->outbox.first == NULL && own != NULL &&
                     !own->is_closed &&
                     scl->newest_sequence > scl->peers[scl_member_index(scl, own)].synced_sequence;
    if (!is_wanted) {
        return UINT64_MAX;
    }
    if (now_us >= scl->newest_us + OUTBOX_REPEAT_US) {
        scl->newest_us = now_us;
        // Without memory it is repeated later.
        (void)!repeat(scl, buffer_bytes(&scl->newest));
    }
    return scl->newest_us + OUTBOX_REPEAT_US;
}

/*
 * While keys are to expire and no SYNC comes, end the epoch unasked: the leader sees a record that
 * no SYNC lists, and writes one. Returns when to look again.
 */
static uint64_t tick_expiry(struct scl *scl, uint64_t now_us)
{
    if (scl->expiry_ms <= scl_time_ms(scl)) {
        return UINT64_MAX;
    }
    if (scl->timed_epoch != scl->joined_epoch || scl->timed_us == 0) {
        scl->timed_epoch = scl->joined_epoch;
        scl->timed_us = now_us;
    }
    const struct capsule_sync *newest = capsule_newest_sync(scl->capsule);
    if (now_us >= scl->timed_us + SCL_TIME_US && newest != NULL) {
        scl->eoe_asked = newest->epoch + 1;
        scl->timed_us = now_us;
    }
    return scl->timed_us + SCL_TIME_US;
}

uint64_t scl_tick(struct scl *scl, uint64_t now_us)
{
    scl->was_ready = scl->was_ready || scl_is_ready(scl);
    scl_repair_tick(scl, now_us);
    repeat_unreceipted(scl, now_us);
    uint64_t wake_us = tick_expiry(scl, now_us);
    uint64_t tag_us = scl_tag_tick(scl, now_us);
    uint64_t tell_us = scl_tell_wake_us(scl, now_us);
    wake_us = tag_us < wake_us ? tag_us : wake_us;
    wake_us = tell_us < wake_us ? tell_us : wake_us;
    uint64_t cold_us = scl_cold_tick(scl, now_us);
    wake_us = cold_us < wake_us ? cold_us : wake_us;
    uint64_t start_us = scl_start_tick(scl, now_us);
    wake_us = start_us < wake_us ? start_us : wake_us;
    uint64_t repeat_us = repeat_newest(scl, now_us);
    wake_us = repeat_us < wake_us ? repeat_us : wake_us;
    if (scl->outbox.first != NULL && wake_us > now_us + OUTBOX_REPEAT_US) {
        wake_us = now_us + OUTBOX_REPEAT_US;
    }
    if ((!scl->is_log_done || scl_repair_is_needed(scl)) && wake_us > now_us + SCL_STALL_US) {
        wake_us = now_us + SCL_STALL_US;
    }
    return wake_us;
}

void scl_count(const struct scl *scl, struct scl_counters *counters)
{
    *counters = scl->counters;
    const struct capsule_sync *newest = capsule_newest_sync(scl->capsule);
    counters->receipts_verified = durable_verified_count(scl->durable);
    counters->joined_epoch = scl->joined_epoch;
    counters->newest_epoch = newest == NULL ? 0 : newest->epoch;
    counters->lamport = scl->lamport;
    counters->unreceipted_bytes = scl->outbox.bytes;
    counters->keys = memtable_count(scl->memtable);
    counters->key_bytes = memtable_bytes(scl->memtable);
    counters->locks = scl->lock_count;
    counters->undecided = scl_tag_count(scl);
    struct tree_counters tables;
    tree_count(scl->cold.tree, &tables);
    counters->table_floor = tree_floor(scl->cold.tree);
    counters->table_count = tables.table_count;
    counters->table_index_bytes = tables.index_bytes;
    counters->table_cache_bytes = tables.cache_bytes;
}
