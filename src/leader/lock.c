/* src/leader/lock.c */
#include "capsule/lock.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/check.h"
#include "leader/leader_internal.h"

/*
 * Locks (DESIGN 6.8): who asks waits in order of arrival; a grant has a fence above all before it;
 * one decision for each fence, in a LOCK record. No clock decides what counts: a lease only says
 * when it is time to take over, which is right at any time.
 *
 *     waits ──grant()──► holds ──decide()──► gone: LOCK names its record
 *                          └────take over, nothing written, its writer ended──► gone
 *
 * Invariants:
 *  1. Of the entries of one name at most one has a fence.
 *  2. An entry with a fence goes in the same step in which its LOCK is written, or without any; so
 *     no fence is decided twice.
 *  3. What is written under a fence has a version above its floor_max, and no SYNC has a
 *     floor above that before the decision.
 */
enum {
    LOCK_LEASE_US = 5 * 1000 * 1000,       // while others wait
    LOCK_LEASE_MAX_US = 60 * 1000 * 1000,  // even if nobody does: the floor waits
};

static struct leader_lock *find(struct leader *leader, const struct writer_id *writer,
                                uint64_t request)
{
    for (size_t i = 0; i < leader->lock_count; i++) {
        struct leader_lock *lock = &leader->locks[i];
        if (lock->request == request && writer_id_equal(&lock->writer, writer)) {
            return lock;
        }
    }
    return NULL;
}

static struct leader_lock *find_holder(struct leader *leader, const struct hash *name)
{
    for (size_t i = 0; i < leader->lock_count; i++) {
        if (leader->locks[i].fence != 0 && hash_equal(&leader->locks[i].name, name)) {
            return &leader->locks[i];
        }
    }
    return NULL;
}

/* The one that has waited longest. */
static struct leader_lock *find_next(struct leader *leader, const struct hash *name)
{
    struct leader_lock *next = NULL;
    for (size_t i = 0; i < leader->lock_count; i++) {
        struct leader_lock *lock = &leader->locks[i];
        if (lock->fence == 0 && hash_equal(&lock->name, name) &&
            (next == NULL || lock->order < next->order)) {
            next = lock;
        }
    }
    return next;
}

static void drop(struct leader *leader, struct leader_lock *lock)
{
    *lock = leader->locks[--leader->lock_count];
}

/*
 * What was read or written under locks and no SYNC lists yet. A branch that was closed since is
 * among it until a SYNC lists it as closed: it may hold what the last holder read. Which of its
 * records count, its CLOSE says: `decided` is raised so that it lies before that.
 */
static uint32_t collect_heads(struct leader *leader, struct branch_head *heads, uint64_t *decided)
{
    uint32_t count = 0;
    for (size_t i = 0; i < leader->peer_count && count < MESSAGE_HEADS_MAX; i++) {
        const struct leader_peer *peer = &leader->peers[i];
        const struct capsule_member *member = capsule_member_at(leader->capsule, i);
        if (!capsule_is_listed_closed(leader->capsule, member) &&
            peer->lock_head.sequence > peer->listed.sequence) {
            heads[count++] = (struct branch_head){.writer = member->id, .head = peer->lock_head};
            *decided = member->is_closed ? leader_own_sequence(leader) : *decided;
        }
    }
    return count;
}

/*
 * The LOCK that whoever is granted this one has to apply first; a name that was forgotten has it
 * before the newest SYNC.
 */
static uint64_t last_decision(const struct leader *leader, const struct hash *name)
{
    const struct capsule_lock *decided = capsule_lock_find(leader->capsule, name);
    const struct capsule_sync *newest = capsule_newest_sync(leader->capsule);
    if (decided != NULL) {
        return decided->sequence;
    }
    return newest == NULL || newest->term != leader->term ? 0 : newest->sequence;
}

static enum status send_grant(struct leader *leader, const struct leader_lock *lock,
                              struct channel *channel)
{
    const struct capsule_sync *newest = capsule_newest_sync(leader->capsule);
    struct buffer plain = BUFFER_EMPTY;
    struct branch_head *heads = calloc(leader->peer_count + 1, sizeof *heads);
    if (heads == NULL) {
        return STATUS_NO_MEMORY;
    }
    uint64_t decided = last_decision(leader, &lock->name);
    uint32_t head_count = collect_heads(leader, heads, &decided);
    const struct message_lock_grant grant = {
        .request = lock->request,
        .lock = lock->name,
        .fence = lock->fence,
        .epoch = newest == NULL ? 0 : newest->epoch,
        .decided = decided,
        .head_count = head_count,
    };
    enum status status = message_lock_grant_encode(&plain, &grant, heads);
    if (status == STATUS_OK) {
        status = leader_send_sealed(leader, channel, &lock->writer, buffer_bytes(&plain));
    }
    buffer_release(&plain);
    free(heads);
    return status;
}

/* The lock is free: to whom it goes now. */
static enum status grant_next(struct leader *leader, const struct hash *name, uint64_t now_us)
{
    struct leader_lock *next = find_next(leader, name);
    if (next == NULL) {
        return STATUS_OK;
    }
    CHECK(find_holder(leader, name) == NULL);
    const struct capsule_member *member = capsule_member_find(leader->capsule, &next->writer);
    struct leader_peer *peer = leader_peer_of(leader, member);
    next->fence = lock_fence(leader->term, ++leader->fence_count);
    next->granted_us = now_us;
    next->floor_max = peer->listed_joined;
    leader->counters.locks_granted++;
    return send_grant(leader, next, peer->channel);
}

static enum status answer(struct leader *leader, const struct capsule_member *member,
                          uint64_t request, enum status code)
{
    const struct message_lock_answer answer = {
        .request = request, .status = code, .sequence = leader_own_sequence(leader)};
    struct buffer plain = BUFFER_EMPTY;
    enum status status = message_lock_answer_encode(&plain, &answer);
    if (status == STATUS_OK) {
        status = leader_send_sealed(leader, leader_peer_of(leader, member)->channel, &member->id,
                                    buffer_bytes(&plain));
    }
    buffer_release(&plain);
    return status;
}

/* Names in use may all be decided, and then some: without it, room is made by forgetting. */
static bool has_names(const struct leader *leader)
{
    return capsule_lock_count(leader->capsule) + LEADER_LOCKS_MAX < CAPSULE_LOCKS_MAX;
}

/* Room for one more that waits, and for its fence and its decision later. */
static bool has_room(struct leader *leader)
{
    if (!has_names(leader) && capsule_lock_forget(leader->capsule) != STATUS_OK) {
        return false;
    }
    if (leader->locks == NULL) {
        leader->locks = calloc(LEADER_LOCKS_MAX, sizeof *leader->locks);
    }
    return leader->locks != NULL && leader->lock_count < LEADER_LOCKS_MAX && has_names(leader) &&
           leader->fence_count < UINT32_MAX - LEADER_LOCKS_MAX;
}

enum status lock_receive_ask(struct leader *leader, const struct capsule_member *member,
                             const struct message_lock_ask *ask, struct leader_time time)
{
    struct leader_peer *peer = leader_peer_of(leader, member);
    struct leader_lock *known = find(leader, &member->id, ask->request);
    if (known != NULL) {
        // Asked again: the grant may have been lost.
        return known->fence == 0 ? STATUS_OK : send_grant(leader, known, peer->channel);
    }
    if (leader->stage != LEADER_LEADING || member->is_closed || member->role != MEMBER_WORKER) {
        return STATUS_OK;
    }
    if (!has_room(leader)) {
        return answer(leader, member, ask->request, STATUS_FULL);
    }
    struct leader_lock *lock = &leader->locks[leader->lock_count++];
    *lock = (struct leader_lock){
        .name = hash_mac(bytes_of(secret_bytes(leader->lock_key), SECRET_BYTES), ask->name),
        .writer = member->id,
        .request = ask->request,
        .order = ++leader->lock_order,
    };
    struct hash name = lock->name;
    return find_holder(leader, &name) == NULL ? grant_next(leader, &name, time.now_us) : STATUS_OK;
}

/* Decide the grant: `record` counts, or (sequence 0) nothing does. */
static enum status decide(struct leader *leader, const struct leader_lock *lock,
                          const struct head *record, uint64_t now_us)
{
    struct lock_body decision = {.term = leader->term, .lock = lock->name, .fence = lock->fence};
    if (record->sequence > 0) {
        decision.record = (struct branch_head){.writer = lock->writer, .head = *record};
    }
    struct buffer body = BUFFER_EMPTY;
    enum status status = lock_encode(&body, &decision);
    if (status == STATUS_OK) {
        status = leader_write(leader, RECORD_LOCK, buffer_bytes(&body), NULL, 0, now_us);
    }
    buffer_release(&body);
    return status;
}

/* Whoever is granted a lock from now on applies this first. */
static void note_heads(struct leader *leader, const struct capsule_member *member,
                       const struct message_lock_release *release)
{
    struct leader_peer *own = leader_peer_of(leader, member);
    if (own->lock_head.sequence < release->record.sequence) {
        own->lock_head = release->record;
    }
    for (uint32_t i = 0; i < release->head_count; i++) {
        struct branch_head head = message_lock_release_head(release, i);
        const struct capsule_member *read = capsule_member_find(leader->capsule, &head.writer);
        struct leader_peer *peer = read == NULL ? NULL : leader_peer_of(leader, read);
        if (peer != NULL && peer->lock_head.sequence < head.head.sequence) {
            peer->lock_head = head.head;
        }
    }
}

enum status lock_receive_release(struct leader *leader, const struct capsule_member *member,
                                 const struct message_lock_release *release,
                                 struct leader_time time)
{
    struct leader_lock *lock = find(leader, &member->id, release->request);
    enum status status = STATUS_OK;
    if (lock != NULL) {
        // A worker that has a fence for what it never was granted has written nothing that counts.
        bool is_current = lock->fence != 0 && lock->fence == release->fence;
        bool was_held = lock->fence != 0;
        struct hash name = lock->name;
        if (is_current && release->record.sequence > 0) {
            status = decide(leader, lock, &release->record, time.now_us);
            note_heads(leader, member, release);
            leader->counters.locks_decided++;
        }
        drop(leader, lock);
        if (status == STATUS_OK && was_held) {
            status = grant_next(leader, &name, time.now_us);
        }
    }
    // Settled before, or taken over: what became of it is in a record.
    return status == STATUS_OK ? answer(leader, member, release->request, STATUS_OK) : status;
}

enum status lock_drop_writer(struct leader *leader, const struct writer_id *writer, uint64_t now_us)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < leader->lock_count;) {
        struct leader_lock *lock = &leader->locks[i];
        if (!writer_id_equal(&lock->writer, writer)) {
            i++;
            continue;
        }
        // Undecided when its branch is closed, its record is void.
        drop(leader, lock);
    }
    // Whoever waited for one of them: a name that nobody holds goes to its next.
    for (size_t i = 0; i < leader->lock_count && status == STATUS_OK; i++) {
        struct hash name = leader->locks[i].name;
        if (find_holder(leader, &name) == NULL) {
            status = grant_next(leader, &name, now_us);
        }
    }
    return status;
}

/* When this holder has had its time; UINT64_MAX for one that waits. */
static uint64_t lease_end_us(struct leader *leader, const struct leader_lock *lock)
{
    if (lock->fence == 0) {
        return UINT64_MAX;
    }
    bool is_wanted = find_next(leader, &lock->name) != NULL;
    return lock->granted_us + (is_wanted ? LOCK_LEASE_US : LOCK_LEASE_MAX_US);
}

enum status lock_tick(struct leader *leader, struct leader_time time, uint64_t *wake_us)
{
    static const struct head nothing;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < leader->lock_count && status == STATUS_OK;) {
        struct leader_lock *lock = &leader->locks[i];
        uint64_t end_us = lease_end_us(leader, lock);
        if (time.now_us < end_us) {
            *wake_us = end_us < *wake_us ? end_us : *wake_us;
            i++;
            continue;
        }
        char text[WRITER_ID_TEXT_BYTES];
        writer_id_text(&lock->writer, text);
        log_event(leader->log, "lock taken over writer=%s fence=%" PRIu64, text, lock->fence);
        struct hash name = lock->name;
        status = decide(leader, lock, &nothing, time.now_us);
        drop(leader, lock);
        leader->counters.locks_taken++;
        if (status == STATUS_OK) {
            status = grant_next(leader, &name, time.now_us);
        }
    }
    return status;
}

uint64_t lock_floor_max(const struct leader *leader)
{
    uint64_t floor_max = UINT64_MAX;
    for (size_t i = 0; i < leader->lock_count; i++) {
        if (leader->locks[i].fence != 0 && leader->locks[i].floor_max < floor_max) {
            floor_max = leader->locks[i].floor_max;
        }
    }
    return floor_max;
}
