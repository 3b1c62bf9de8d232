/* src/leader/epoch.c */
#include <inttypes.h>
#include <stdlib.h>

#include "capsule/receipt.h"
#include "leader/leader_internal.h"

/*
 * Epochs (DESIGN 6.4): RTS, EOE, SYNC. An epoch begins when a receipt has spoken of a record that
 * no SYNC lists, or while the floor lies below what is listed, or when a store that is being
 * refilled says that it awaits one: an idle app is silent, once all that was written is decided.
 */
enum {
    EPOCH_INTERVAL_US = 500 * 1000,            // between two SYNCs under load
    EPOCH_ABSENT_US = 250 * 1000,              // who has not answered by then is absent, or later,
    EPOCH_ABSENT_US_MAX = 4 * 1000 * 1000,     // while answers come, but late
    EPOCH_ABSENT_LIMIT_US = 30 * 1000 * 1000,  // who is absent for longer is closed
};

/* A compactor has finished a MANIFEST: a SYNC may name it once W stores hold it. */
static void note_manifest(struct leader *leader, const struct capsule_member *member,
                          const struct record *record)
{
    struct leader_peer *peer = leader_peer_of(leader, member);
    if (member->role == MEMBER_COMPACTOR && record->sequence > peer->manifest.sequence &&
        record_verify(record, &member->key) == STATUS_OK) {
        peer->manifest = (struct head){.sequence = record->sequence, .hash = record->hash};
    }
}

static uint64_t patience_us(const struct leader *leader)
{
    return leader->patience_us == 0 ? EPOCH_ABSENT_US : leader->patience_us;
}

/*
 * An answer that came after its epoch: who gives it is alive, and to be waited for again. On a
 * machine that is overloaded all answers are late: then epochs get longer, and nobody is closed for
 * it.
 */
static void note_late(struct leader *leader, struct leader_peer *peer)
{
    peer->was_absent = false;
    peer->absent_us = 0;
    // However many are late for one epoch, it is one reason.
    if (leader->patience_syncs != leader->counters.syncs_written &&
        patience_us(leader) < EPOCH_ABSENT_US_MAX) {
        leader->patience_us = 2 * patience_us(leader);
        leader->patience_syncs = leader->counters.syncs_written;
    }
}

/* Much sooner than it might: the machine has caught up. */
static void note_on_time(struct leader *leader, uint64_t now_us)
{
    if (now_us < leader->rts_us + patience_us(leader) / 4 &&
        leader->patience_us > EPOCH_ABSENT_US) {
        leader->patience_us /= 2;
    }
}

enum status epoch_receive_record(struct leader *leader, const struct record *record)
{
    const struct capsule_member *member = capsule_member_find(leader->capsule, &record->writer);
    struct eoe eoe;
    if (leader->stage != LEADER_LEADING || member == NULL || member->revoked_epoch != 0) {
        return STATUS_OK;
    }
    if (record->type == RECORD_MANIFEST) {
        note_manifest(leader, member, record);
    }
    if (record->type != RECORD_EOE || sync_eoe_decode(&eoe, record->body) != STATUS_OK) {
        return STATUS_OK;
    }
    enum status status = capsule_accept_leap(leader->capsule, record);
    if (status == STATUS_NO_MEMORY) {
        return status;
    }
    if (status != STATUS_OK) {
        if (status != STATUS_STALE) {
            log_event(leader->log, "eoe refused epoch=%" PRIu64 " status=\"%s\" reason=\"%s\"",
                      eoe.epoch, status_text(status), capsule_reason(leader->capsule));
        }
        return STATUS_OK;
    }
    struct leader_peer *peer = leader_peer_of(leader, member);
    if (peer->was_absent) {
        note_late(leader, peer);
    }
    peer->eoe_epoch = eoe.epoch;
    peer->eoe_head = (struct head){.sequence = record->sequence, .hash = record->hash};
    peer->eoe_lamport = eoe.lamport;
    peer->eoe_joined = member->joined_lamport;
    rotation_note_eoe(leader, member);
    return STATUS_OK;
}

void epoch_receive_receipt(struct leader *leader, struct bytes bytes)
{
    struct receipt receipt;
    if (receipt_decode(&receipt, bytes) != STATUS_OK ||
        durable_receive(leader->durable, bytes) != STATUS_OK) {
        return;
    }
    for (uint32_t i = 0; i < receipt.head_count; i++) {
        struct branch_head head = receipt_head(&receipt, i);
        const struct capsule_member *member = capsule_member_find(leader->capsule, &head.writer);
        if (member == NULL || member->role == MEMBER_LEADER) {
            continue;
        }
        struct leader_peer *peer = leader_peer_of(leader, member);
        if (peer->claimed_sequence < head.head.sequence) {
            peer->claimed_sequence = head.head.sequence;
        }
    }
}

void epoch_receive_recalled(struct leader *leader, const struct frame *frame)
{
    struct frame_recalled recalled;
    const struct genesis_store *store = stores_find(capsule_stores(leader->capsule), &frame->peer);
    if (store != NULL && frame_recalled_decode(&recalled, frame->body) == STATUS_OK &&
        recalled.is_refilling != 0 &&
        frame_recalled_verify(&recalled, capsule_name(leader->capsule), &store->key) == STATUS_OK) {
        leader->is_epoch_awaited = true;
    }
}

static bool is_open_writer(const struct capsule_member *member)
{
    return member->role != MEMBER_LEADER && !member->is_closed;
}

/* Whether W stores hold of some open branch more than the newest SYNC lists. */
static bool has_news(struct leader *leader)
{
    for (size_t i = 0; i < leader->peer_count; i++) {
        const struct capsule_member *member = capsule_member_at(leader->capsule, i);
        const struct leader_peer *peer = &leader->peers[i];
        // A claim is only a reason to look: a forged one must not begin an epoch every time.
        if (is_open_writer(member) && peer->claimed_sequence > peer->listed.sequence &&
            durable_covers(leader->durable, &member->id, peer->listed.sequence + 1)) {
            return true;
        }
    }
    return false;
}

/*
 * Whether another epoch may raise the floor: what lies above it can neither go into tables nor
 * leave a memtable, so workers that are full of it would wait for a write that they refuse.
 */
static bool has_undecided(struct leader *leader)
{
    const struct capsule_sync *newest = capsule_newest_sync(leader->capsule);
    return newest != NULL && newest->floor < newest->lamport &&
           newest->floor < lock_floor_max(leader);
}

/* Whether a member's answer to the epoch under way is here and held by W stores. */
static bool has_answered(struct leader *leader, const struct capsule_member *member)
{
    const struct leader_peer *peer = leader_peer_of(leader, member);
    return peer->eoe_epoch == leader->rts_epoch &&
           durable_covers(leader->durable, &member->id, peer->eoe_head.sequence);
}

/* Whoever was absent last time is not waited for. */
static bool is_complete(struct leader *leader)
{
    for (size_t i = 0; i < leader->peer_count; i++) {
        const struct capsule_member *member = capsule_member_at(leader->capsule, i);
        if (is_open_writer(member) && leader->peers[i].channel != NULL &&
            member->revoked_epoch == 0 && !leader->peers[i].was_absent &&
            !has_answered(leader, member)) {
            return false;
        }
    }
    return true;
}

/* A SYNC is a parent of all that follows: what it names must be there after any crash. */
static bool is_cut_held(struct leader *leader, const struct capsule_member *member)
{
    return durable_covers(leader->durable, &member->id, member->cut.sequence);
}

bool epoch_has_cut_to_list(struct leader *leader)
{
    for (size_t i = 0; i < leader->peer_count; i++) {
        const struct capsule_member *member = capsule_member_at(leader->capsule, i);
        if (member->is_closed && !capsule_is_listed_closed(leader->capsule, member) &&
            is_cut_held(leader, member)) {
            return true;
        }
    }
    return false;
}

bool epoch_lacks_cut(struct leader *leader)
{
    for (size_t i = 0; i < leader->peer_count; i++) {
        const struct capsule_member *member = capsule_member_at(leader->capsule, i);
        if (member->is_closed && !capsule_is_listed_closed(leader->capsule, member) &&
            !is_cut_held(leader, member)) {
            return true;
        }
    }
    return false;
}

/* The head of one branch as the SYNC lists it; false: it has none to list. */
static bool list_head(struct leader *leader, const struct capsule_member *member,
                      struct leader_peer *peer, struct sync_head *head, struct buffer *receipts,
                      uint64_t now_us)
{
    *head = (struct sync_head){.branch.writer = member->id};
    if (member->is_closed) {
        head->branch.head = member->cut;
        head->flags = SYNC_FLAG_CLOSED;
        return !capsule_is_listed_closed(leader->capsule, member) &&
               durable_collect(leader->durable, &member->id, &member->cut, receipts) == STATUS_OK;
    }
    if (leader->rts_epoch != 0 && has_answered(leader, member)) {
        head->branch.head = peer->eoe_head;
        peer->listed_joined = peer->eoe_joined;
        peer->was_absent = false;
        peer->absent_us = 0;
    } else {
        head->branch.head = peer->listed;
        head->flags = SYNC_FLAG_ABSENT;
        leader->counters.absences += leader->rts_epoch != 0 && !peer->was_absent;
        peer->was_absent = leader->rts_epoch != 0;
        peer->absent_us = peer->absent_us == 0 ? now_us : peer->absent_us;
        if (leader->rts_epoch != 0 && peer->eoe_epoch == leader->rts_epoch) {
            note_late(leader, peer);  // its answer is here, but W stores do not hold it yet
        }
    }
    return head->branch.head.sequence > 0 &&
           durable_collect(leader->durable, &member->id, &head->branch.head, receipts) == STATUS_OK;
}

/*
 * The MANIFEST to name: the newest of those that lie below a listed head, so that W stores hold it.
 */
static struct branch_head choose_manifest(struct leader *leader, const struct sync_head *heads,
                                          uint32_t head_count)
{
    const struct capsule_sync *newest = capsule_newest_sync(leader->capsule);
    struct branch_head chosen = {.head = {.sequence = 0}};
    uint64_t admitted = 0;
    if (newest != NULL) {
        chosen = newest->manifest;
    }
    for (uint32_t i = 0; i < head_count; i++) {
        const struct capsule_member *member =
            capsule_member_find(leader->capsule, &heads[i].branch.writer);
        const struct branch_head named = {.writer = member->id,
                                          .head = leader_peer_of(leader, member)->manifest};
        // Of several compactors of this term, the one admitted last.
        if (named.head.sequence > 0 && named.head.sequence <= heads[i].branch.head.sequence &&
            member->admitted_sequence > admitted &&
            capsule_manifest_may_follow(leader->capsule, &named)) {
            chosen = named;
            admitted = member->admitted_sequence;
        }
    }
    return chosen;
}

/* What SYNC is to say, over the heads listed. */
static void sync_fill(struct leader *leader, struct sync_body *sync, const struct sync_head *heads,
                      struct leader_time time)
{
    const struct capsule_sync *newest = capsule_newest_sync(leader->capsule);
    sync->term = leader->term;
    sync->time_ms = time.unix_ms;
    if (newest != NULL) {
        sync->lamport = newest->lamport;
        sync->floor = newest->floor;
        sync->time_ms = time.unix_ms < newest->time_ms ? newest->time_ms : time.unix_ms;
    }
    for (uint32_t i = 0; i < sync->head_count; i++) {
        const struct capsule_member *member =
            capsule_member_find(leader->capsule, &heads[i].branch.writer);
        const struct leader_peer *peer = leader_peer_of(leader, member);
        uint64_t lamport = member->is_closed ? peer->closed_lamport : peer->eoe_lamport;
        if (sync->lamport < lamport) {
            sync->lamport = lamport;
        }
    }
    sync->manifest = choose_manifest(leader, heads, sync->head_count);
    // F(e): the least L(J(w)) over open workers; without any, everything is decided. J(w) is what
    // the branch had joined at its listed head: what follows may rest on that alone, even when an
    // EOE beyond it has come that no W stores hold. A compactor's records carry no versions; what
    // is written under a lock is undecided until its LOCK.
    uint64_t floor =
        lock_floor_max(leader) < sync->lamport ? lock_floor_max(leader) : sync->lamport;
    for (size_t i = 0; i < leader->peer_count; i++) {
        const struct capsule_member *member = capsule_member_at(leader->capsule, i);
        const struct leader_peer *peer = &leader->peers[i];
        // A closed one counts until its records up to the cut are among the ancestors.
        bool is_outside = member->role == MEMBER_WORKER &&
                          !capsule_is_listed_closed(leader->capsule, member) &&
                          !(member->is_closed && is_cut_held(leader, member));
        if (is_outside && peer->listed_joined < floor) {
            floor = peer->listed_joined;
        }
    }
    if (sync->floor < floor) {
        sync->floor = floor;
    }
}

static void note_listed(struct leader *leader, const struct sync_head *heads, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct capsule_member *member =
            capsule_member_find(leader->capsule, &heads[i].branch.writer);
        struct leader_peer *peer = leader_peer_of(leader, member);
        peer->listed = heads[i].branch.head;
    }
}

enum status epoch_write_sync(struct leader *leader, struct leader_time time)
{
    struct buffer receipts = BUFFER_EMPTY, body = BUFFER_EMPTY;
    struct sync_head *heads = calloc(leader->peer_count + 1, sizeof *heads);
    struct hash *parents = calloc(leader->peer_count + 1, sizeof *parents);
    enum status status = STATUS_NO_MEMORY;
    if (heads == NULL || parents == NULL) {
        goto done;
    }
    struct sync_body sync = {0};
    size_t parent_count = 0;
    durable_collect_begin(leader->durable);
    for (size_t i = 0; i < leader->peer_count; i++) {
        const struct capsule_member *member = capsule_member_at(leader->capsule, i);
        bool is_self = writer_id_equal(&member->id, &leader->id);
        bool is_old_leader_open = member->role == MEMBER_LEADER && !member->is_closed;
        struct sync_head *head = &heads[sync.head_count];
        if (is_self || is_old_leader_open ||
            !list_head(leader, member, &leader->peers[i], head, &receipts, time.now_us)) {
            continue;
        }
        if (head->branch.head.sequence > 0) {
            parents[parent_count++] = head->branch.head.hash;
        }
        sync.head_count++;
    }
    sync_fill(leader, &sync, heads, time);
    sync.receipts = buffer_bytes(&receipts);
    uint32_t begun = rotation_epoch_to_begin(leader);
    status = sync_encode(&body, &sync, heads);
    if (status == STATUS_OK) {
        status = leader_write(leader, RECORD_SYNC, buffer_bytes(&body), parents, parent_count,
                              time.now_us);
    }
    if (status == STATUS_OK) {
        note_listed(leader, heads, sync.head_count);
        leader->sync_sequence = leader_own_sequence(leader);
        leader->sync_us = time.now_us;
        leader->rts_epoch = 0;
        leader->is_epoch_awaited = false;
        leader->counters.syncs_written++;
        rotation_note_sync(leader, begun, time.now_us);
    }

done:
    free(heads);
    free(parents);
    buffer_release(&receipts);
    buffer_release(&body);
    return status;
}

static enum status send_rts(struct leader *leader, uint64_t now_us)
{
    static const struct writer_id everyone;
    const struct capsule_sync *newest = capsule_newest_sync(leader->capsule);
    struct buffer body = BUFFER_EMPTY;
    leader->rts_epoch = newest == NULL ? 1 : newest->epoch + 1;
    leader->rts_us = now_us;
    enum status status = frame_rts_encode(&body, capsule_name(leader->capsule), leader->term,
                                          leader->rts_epoch, leader->key);
    if (status == STATUS_OK) {
        status = leader_send(leader, FRAME_RTS, 0, &everyone, buffer_bytes(&body));
    }
    buffer_release(&body);
    return status;
}

/*
 * Who has missed every epoch for so long keeps the floor down, and its branch open: it ends. So
 * does who goes on with an old data key, for those revoked since could read what it writes.
 */
static enum status close_absent(struct leader *leader, uint64_t now_us)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < leader->peer_count && status == STATUS_OK; i++) {
        const struct capsule_member *member = capsule_member_at(leader->capsule, i);
        const struct leader_peer *peer = &leader->peers[i];
        bool is_absent = peer->absent_us != 0 && now_us >= peer->absent_us + EPOCH_ABSENT_LIMIT_US;
        bool is_stale = peer->stale_us != 0 && now_us >= peer->stale_us + EPOCH_ABSENT_LIMIT_US;
        if (is_open_writer(member) && (is_absent || is_stale)) {
            const struct writer_id writer = member->id;
            status = closing_begin(leader, &writer, SYNC_CLOSE_ABSENT, now_us);
        }
    }
    return status;
}

enum status epoch_tick(struct leader *leader, struct leader_time time, uint64_t *wake_us)
{
    if (leader->rts_epoch != 0) {
        bool is_over = time.now_us >= leader->rts_us + patience_us(leader);
        if (is_over || (is_complete(leader) && !rotation_awaits_cut(leader))) {
            note_on_time(leader, time.now_us);
            enum status status = epoch_write_sync(leader, time);
            return status == STATUS_OK ? close_absent(leader, time.now_us) : status;
        }
        *wake_us = leader->rts_us + patience_us(leader);
        return STATUS_OK;
    }
    // One SYNC at a time: the next waits until W stores hold the last.
    bool has_work = epoch_has_cut_to_list(leader) || has_news(leader) || has_undecided(leader) ||
                    leader->is_epoch_awaited || rotation_epoch_to_begin(leader) != 0 ||
                    rotation_is_under_way(leader);
    if (!has_work || !leader_own_is_durable(leader, leader->sync_sequence)) {
        return STATUS_OK;
    }
    uint64_t due_us = leader->sync_us + EPOCH_INTERVAL_US;
    if (time.now_us < due_us) {
        *wake_us = due_us;
        return STATUS_OK;
    }
    *wake_us = time.now_us + patience_us(leader);
    return send_rts(leader, time.now_us);
}
