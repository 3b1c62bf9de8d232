/* src/scl/scl_lock.c */
#include "scl/scl_lock.h"

#include <stdlib.h>

#include "base/check.h"
#include "scl/scl_internal.h"

/*
 *     ASKED ──grant──► GRANTED ──heads applied──► held ──scl_lock_seal()──► WRITTEN
 *     WRITTEN ──scl_lock_reserve()──► NEXT ──sealer──► SEALED ──W stores──► RELEASED ──fate──► done
 *
 * A lock that is dropped before it is sealed, or has nothing to seal, goes to RELEASED at once and
 * is done with the leader's answer.
 */
enum scl_lock_state {
    LOCK_ASKED,
    LOCK_GRANTED,
    LOCK_WRITTEN,
    LOCK_NEXT,
    LOCK_SEALED,
    LOCK_RELEASED
};

struct scl_lock {
    struct scl_lock *next;
    enum scl_lock_state state;
    uint64_t request;
    struct buffer name;
    enum status refusal;  // the leader's; STATUS_OK: none
    bool is_dropped;      // nobody asks for it any more
    uint64_t sent_us;     // 0: the message of this state was not sent yet

    // The grant.
    struct hash lock;
    uint64_t fence;
    uint64_t epoch;
    uint64_t decided;
    struct branch_head *heads;
    size_t head_count;

    // What was written.
    struct overlay written;
    struct tuple_batch batch;  // stamped
    struct dependency dependency;
    struct head record;
    enum status fate;

    // The leader's answer to the release: its branch says what became of it, up to here.
    bool has_answer;
    uint64_t answer_sequence;
};

static void lock_free(struct scl_lock *lock)
{
    buffer_release(&lock->name);
    overlay_release(&lock->written);
    tuple_batch_release(&lock->batch);
    free(lock->heads);
    free(lock);
}

void scl_lock_release_all(struct scl *scl)
{
    while (scl->locks != NULL) {
        struct scl_lock *next = scl->locks->next;
        lock_free(scl->locks);
        scl->locks = next;
    }
}

static struct scl_lock *add(struct scl *scl, uint64_t request)
{
    struct scl_lock *lock = calloc(1, sizeof *lock);
    if (lock == NULL) {
        return NULL;
    }
    *lock = (struct scl_lock){.request = request, .fate = STATUS_GAP};
    // At the end: those that asked first are sealed first.
    struct scl_lock **end = &scl->locks;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = lock;
    scl->lock_count++;
    return lock;
}

static void remove_one(struct scl *scl, struct scl_lock *lock)
{
    struct scl_lock **place = &scl->locks;
    while (*place != lock) {
        place = &(*place)->next;
    }
    *place = lock->next;
    scl->lock_count--;
    lock_free(lock);
}

static struct scl_lock *find(const struct scl *scl, uint64_t request)
{
    struct scl_lock *lock = scl->locks;
    while (lock != NULL && lock->request != request) {
        lock = lock->next;
    }
    return lock;
}

enum status scl_lock_new(struct scl *scl, struct bytes name, struct scl_lock **made)
{
    const struct capsule_member *own = scl_own_member(scl);
    *made = NULL;
    if (own == NULL || own->is_closed) {
        return STATUS_CLOSED;
    }
    if (scl->lock_count >= SCL_LOCKS_MAX) {
        return STATUS_FULL;
    }
    struct scl_lock *lock = add(scl, ++scl->lock_request);
    if (lock == NULL || buffer_append(&lock->name, name.at, name.length) != STATUS_OK) {
        if (lock != NULL) {
            remove_one(scl, lock);
        }
        return STATUS_NO_MEMORY;
    }
    *made = lock;
    return STATUS_OK;
}

/*
 * A closed branch is applied when it is here up to its cut: below that, what is here may be another
 * record than the one that leads to it (docs/design/0037). One that was cut below what was read in
 * it has nothing more to apply.
 */
static bool has_applied(const struct scl *scl, const struct branch_head *head)
{
    const struct capsule_member *member = capsule_member_find(scl->capsule, &head->writer);
    return member != NULL && member->is_closed ? member->head.sequence >= member->cut.sequence
                                               : scl_has_reached(scl, head);
}

static struct branch_head decision_of(const struct scl *scl, const struct scl_lock *lock)
{
    return (struct branch_head){.writer = capsule_leader(scl->capsule)->id,
                                .head = {.sequence = lock->decided}};
}

/* What the holder before wrote and read is here. */
static bool is_ready(const struct scl *scl, const struct scl_lock *lock)
{
    const struct capsule_sync *joined = capsule_joined_sync(scl->capsule);
    const struct branch_head decision = decision_of(scl, lock);
    if (lock->epoch > (joined == NULL ? 0 : joined->epoch) || !scl_has_reached(scl, &decision)) {
        return false;
    }
    for (size_t i = 0; i < lock->head_count; i++) {
        if (!has_applied(scl, &lock->heads[i])) {
            return false;
        }
    }
    return true;
}

enum status scl_lock_poll(const struct scl *scl, struct scl_lock *lock)
{
    if (lock->refusal != STATUS_OK) {
        return lock->refusal;
    }
    return lock->state == LOCK_GRANTED && is_ready(scl, lock) ? STATUS_OK : STATUS_GAP;
}

uint64_t scl_lock_fence(const struct scl_lock *lock)
{
    return lock->fence;
}

static void enter(struct scl_lock *lock, enum scl_lock_state state)
{
    lock->state = state;
    lock->sent_us = 0;
}

void scl_lock_seal(struct scl_lock *lock, struct overlay *written,
                   const struct dependency *dependency)
{
    // It was ready when it was polled; since then another leader may have come, who voids it.
    CHECK(lock->state == LOCK_GRANTED);
    lock->written = *written;
    *written = (struct overlay){.entries = NULL};
    lock->dependency = *dependency;
    if (lock->written.count == 0) {
        lock->fate = STATUS_OK;
        enter(lock, LOCK_RELEASED);
    } else {
        enter(lock, LOCK_WRITTEN);
    }
}

uint64_t scl_lock_sequence(const struct scl_lock *lock)
{
    return lock->record.sequence;
}

enum status scl_lock_fate(const struct scl_lock *lock)
{
    return lock->fate;
}

/* Nobody asks any more, and the leader knows. */
static void remove_if_done(struct scl *scl, struct scl_lock *lock)
{
    bool is_settled = lock->record.sequence == 0 ? lock->has_answer : lock->fate != STATUS_GAP;
    if (lock->is_dropped && lock->state == LOCK_RELEASED && is_settled) {
        remove_one(scl, lock);
    }
}

void scl_lock_drop(struct scl *scl, struct scl_lock **dropped)
{
    struct scl_lock *lock = *dropped;
    *dropped = NULL;
    if (lock == NULL) {
        return;
    }
    lock->is_dropped = true;
    if (lock->refusal != STATUS_OK) {
        remove_one(scl, lock);
        return;
    }
    if (lock->state == LOCK_ASKED || lock->state == LOCK_GRANTED) {
        enter(lock, LOCK_RELEASED);
    }
    remove_if_done(scl, lock);
}

/* ---- the way into the branch ---- */

bool scl_lock_has_written(const struct scl *scl)
{
    for (const struct scl_lock *lock = scl->locks; lock != NULL; lock = lock->next) {
        if (lock->state == LOCK_WRITTEN) {
            return true;
        }
    }
    return false;
}

/*
 * Stamped when its place in the branch is certain: behind all that was put before, before all that
 * is put from now on.
 */
static enum status stamp(struct scl *scl, struct scl_lock *lock)
{
    lock->batch.tag = (struct tuple_tag){.lock = lock->lock, .fence = lock->fence};
    for (size_t i = 0; i < lock->written.count; i++) {
        const struct overlay_entry *entry = &lock->written.entries[i];
        const struct tuple tuple = {
            .kind = entry->kind,
            .lamport = scl->lamport + 1 + i,
            .expiry_ms = entry->expiry_ms,
            .key = buffer_bytes(&entry->key),
            .value = buffer_bytes(&entry->value),
        };
        enum status status = tuple_batch_add(&lock->batch, &tuple);
        CHECK(status != STATUS_FULL);  // overlay_put() has counted
        if (status != STATUS_OK) {
            tuple_batch_clear(&lock->batch);
            return status;
        }
        scl_note_expiry(scl, entry->expiry_ms);
    }
    scl->lamport = lock->batch.last_lamport;
    return STATUS_OK;
}

enum status scl_lock_reserve(struct scl *scl)
{
    CHECK(scl->batch.count == 0);
    for (struct scl_lock *lock = scl->locks; lock != NULL && scl->lock_next == NULL;
         lock = lock->next) {
        if (lock->state == LOCK_WRITTEN) {
            enum status status = stamp(scl, lock);
            if (status != STATUS_OK) {
                return status;
            }
            enter(lock, LOCK_NEXT);
            scl->lock_next = lock;
        }
    }
    return STATUS_OK;
}

struct scl_lock *scl_lock_begin(struct scl *scl, struct tuple_batch *batch)
{
    struct scl_lock *lock = scl->lock_next;
    scl->lock_next = NULL;
    *batch = lock->batch;
    lock->batch = (struct tuple_batch){.count = 0};
    return lock;
}

enum status scl_lock_finish(struct scl *scl, struct scl_lock *lock, const struct record *record,
                            const struct tuple_batch *batch)
{
    lock->record = (struct head){.sequence = record->sequence, .hash = record->hash};
    enter(lock, LOCK_SEALED);
    return scl_tag_note_record(scl, record, &batch->tag, buffer_bytes(&batch->plain));
}

void scl_lock_settle(struct scl *scl, uint64_t sequence, enum status fate)
{
    for (struct scl_lock *lock = scl->locks; lock != NULL; lock = lock->next) {
        if (lock->record.sequence == sequence) {
            lock->fate = fate;
            // One that is void before it was released is released all the same, with nothing.
            if (lock->state == LOCK_SEALED) {
                enter(lock, LOCK_RELEASED);
            }
            remove_if_done(scl, lock);
            return;
        }
    }
}

/* ---- the leader ---- */

static enum status receive_grant(struct scl *scl, const struct message_lock_grant *grant)
{
    struct scl_lock *lock = find(scl, grant->request);
    if (lock == NULL) {
        // It was given up, and the leader had not heard of it.
        lock = scl->lock_count < SCL_LOCKS_MAX ? add(scl, grant->request) : NULL;
        if (lock != NULL) {
            lock->is_dropped = true;
            lock->fence = grant->fence;
            enter(lock, LOCK_RELEASED);
        }
        return STATUS_OK;
    }
    if (lock->state != LOCK_ASKED) {
        lock->fence = lock->fence == 0 ? grant->fence : lock->fence;
        return STATUS_STALE;
    }
    lock->heads = calloc((size_t)grant->head_count + 1, sizeof *lock->heads);
    if (lock->heads == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < grant->head_count; i++) {
        struct branch_head head = message_lock_grant_head(grant, i);
        // The own branch is here.
        if (!writer_id_equal(&head.writer, &scl->id)) {
            lock->heads[lock->head_count++] = head;
        }
    }
    lock->lock = grant->lock;
    lock->fence = grant->fence;
    lock->epoch = grant->epoch;
    lock->decided = grant->decided;
    enter(lock, LOCK_GRANTED);
    return STATUS_OK;
}

static enum status receive_answer(struct scl *scl, const struct message_lock_answer *answer)
{
    struct scl_lock *lock = find(scl, answer->request);
    if (lock == NULL) {
        return STATUS_STALE;
    }
    if (answer->status != STATUS_OK && lock->state == LOCK_ASKED) {
        lock->refusal = (enum status)answer->status;
    } else if (lock->state == LOCK_RELEASED) {
        lock->has_answer = true;
        lock->answer_sequence = answer->sequence;
        remove_if_done(scl, lock);
    }
    return STATUS_OK;
}

enum status scl_lock_receive(struct scl *scl, const struct message *message)
{
    return message->kind == MESSAGE_LOCK_GRANT ? receive_grant(scl, &message->lock_grant)
                                               : receive_answer(scl, &message->lock_answer);
}

/* What was read on the way: all of it is held by now. */
static enum status encode_release(struct scl *scl, const struct scl_lock *lock,
                                  struct buffer *plain)
{
    const struct dependency *read = &lock->dependency;
    size_t count = read->has_overflowed ? scl->peer_count : read->count;
    struct message_lock_release release = {
        .request = lock->request,
        .fence = lock->fence,
        .record = lock->fate == STATUS_STALE ? (struct head){.sequence = 0} : lock->record,
    };
    struct branch_head *heads = calloc(count + 1, sizeof *heads);
    if (heads == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (size_t i = 0; i < count && release.head_count < MESSAGE_HEADS_MAX; i++) {
        size_t index = read->has_overflowed ? i : read->items[i].member;
        const struct capsule_member *member = capsule_member_at(scl->capsule, index);
        uint64_t sequence = read->has_overflowed ? member->head.sequence : read->items[i].sequence;
        if (member->role != MEMBER_LEADER && sequence > scl->peers[index].synced_sequence) {
            struct branch_head *head = &heads[release.head_count++];
            *head = (struct branch_head){.writer = member->id, .head = {.sequence = sequence}};
            // Without it, whoever is granted the lock goes by the number.
            (void)capsule_hash_at(scl->capsule, member, sequence, &head->head.hash);
        }
    }
    enum status status = message_lock_release_encode(plain, &release, heads);
    free(heads);
    return status;
}

/* Whether there is something to say of this lock, now or again. */
static bool is_due(struct scl *scl, struct scl_lock *lock, uint64_t now_us)
{
    if (lock->state == LOCK_SEALED) {
        struct dependency all = lock->dependency;
        dependency_add_own(&all, lock->record.sequence);
        if (scl_is_durable(scl, &all)) {
            enter(lock, LOCK_RELEASED);
        }
    }
    bool speaks = (lock->state == LOCK_ASKED && lock->refusal == STATUS_OK) ||
                  (lock->state == LOCK_RELEASED && !lock->has_answer);
    return speaks && (lock->sent_us == 0 || now_us >= lock->sent_us + OUTBOX_REPEAT_US);
}

enum status scl_lock_output(struct scl *scl, uint64_t now_us, struct buffer *plain)
{
    for (struct scl_lock *lock = scl->locks; lock != NULL; lock = lock->next) {
        if (!is_due(scl, lock, now_us)) {
            continue;
        }
        lock->sent_us = now_us;
        if (lock->state == LOCK_RELEASED) {
            return encode_release(scl, lock, plain);
        }
        const struct message_lock_ask ask = {.request = lock->request,
                                             .name = buffer_bytes(&lock->name)};
        return message_lock_ask_encode(plain, &ask);
    }
    return STATUS_EMPTY;
}

uint64_t scl_lock_wake_us(const struct scl *scl, uint64_t now_us)
{
    return scl->locks == NULL ? UINT64_MAX : now_us + SCL_STALL_US;
}

bool scl_lock_missing(const struct scl *scl, size_t *place, struct branch_head *wanted)
{
    const struct capsule_sync *joined = capsule_joined_sync(scl->capsule);
    size_t index = 0;
    for (const struct scl_lock *lock = scl->locks; lock != NULL; lock = lock->next) {
        if (lock->state == LOCK_GRANTED) {
            // The SYNC, too, is in the leader's branch; where, the worker cannot know.
            bool lacks_sync = lock->epoch > (joined == NULL ? 0 : joined->epoch);
            *wanted = decision_of(scl, lock);
            wanted->head.sequence = lacks_sync ? UINT64_MAX : wanted->head.sequence;
            if (index++ >= *place && !scl_has_reached(scl, wanted)) {
                *place = index;
                return true;
            }
            for (size_t i = 0; i < lock->head_count; i++) {
                if (index++ >= *place && !has_applied(scl, &lock->heads[i])) {
                    *place = index;
                    *wanted = lock->heads[i];
                    return true;
                }
            }
        }
        if (lock->state == LOCK_RELEASED && lock->has_answer && lock->fate == STATUS_GAP &&
            index++ >= *place) {
            *place = index;
            *wanted = (struct branch_head){.writer = capsule_leader(scl->capsule)->id,
                                           .head = {.sequence = lock->answer_sequence}};
            return true;
        }
    }
    return false;
}
