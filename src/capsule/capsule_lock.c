/* src/capsule/capsule_lock.c */
#include <inttypes.h>
#include <stdlib.h>

#include "capsule/capsule_internal.h"
#include "capsule/lock.h"

static struct capsule_lock *find(const struct capsule *capsule, const struct hash *name)
{
    size_t probe = 0;
    for (;;) {
        uint32_t position = lookup_next(&capsule->lock_by_name, name->bytes, &probe);
        if (position == LOOKUP_NONE) {
            return NULL;
        }
        struct capsule_lock *lock = &capsule->locks[position];
        if (hash_equal(&lock->name, name)) {
            return lock;
        }
    }
}

void capsule_lock_clear(struct capsule *capsule)
{
    lookup_release(&capsule->lock_by_name);
    free(capsule->locks);
    capsule->locks = NULL;
    capsule->lock_count = capsule->lock_capacity = 0;
}

/*
 * Whoever is granted such a lock has joined that SYNC, and so applied what was decided before it.
 * Each replica forgets at the same place of the leader's branch, so all judge alike; the leader may
 * do so earlier, for its own fences rise whatever it remembers.
 */
enum status capsule_lock_forget(struct capsule *capsule)
{
    const struct capsule_sync *newest = capsule_newest_sync(capsule);
    if (newest == NULL || newest->term != capsule->lock_term) {
        return STATUS_OK;
    }
    struct lookup by_name = {.slots = NULL};
    uint32_t kept = 0;
    for (size_t i = 0; i < capsule->lock_count; i++) {
        const struct capsule_lock *lock = &capsule->locks[i];
        if (lock->sequence < newest->sequence) {
            continue;
        }
        if (lookup_reserve(&by_name) != STATUS_OK) {
            lookup_release(&by_name);
            return STATUS_NO_MEMORY;
        }
        lookup_add(&by_name, lock->name.bytes, kept++);
    }
    kept = 0;
    for (size_t i = 0; i < capsule->lock_count; i++) {
        if (capsule->locks[i].sequence >= newest->sequence) {
            capsule->locks[kept++] = capsule->locks[i];
        }
    }
    capsule->lock_count = kept;
    lookup_release(&capsule->lock_by_name);
    capsule->lock_by_name = by_name;
    return STATUS_OK;
}

static enum status add(struct capsule *capsule, const struct hash *name, struct capsule_lock **lock)
{
    if (capsule->lock_count >= CAPSULE_LOCKS_MAX) {
        enum status status = capsule_lock_forget(capsule);
        if (status != STATUS_OK) {
            return status;
        }
    }
    if (capsule->lock_count >= CAPSULE_LOCKS_MAX) {
        return STATUS_FULL;
    }
    if (capsule->lock_count == capsule->lock_capacity) {
        size_t capacity = capsule->lock_capacity == 0 ? 64 : 2 * capsule->lock_capacity;
        struct capsule_lock *grown = realloc(capsule->locks, capacity * sizeof *grown);
        if (grown == NULL) {
            return STATUS_NO_MEMORY;
        }
        capsule->locks = grown;
        capsule->lock_capacity = capacity;
    }
    enum status status = lookup_reserve(&capsule->lock_by_name);
    if (status != STATUS_OK) {
        return status;
    }
    *lock = &capsule->locks[capsule->lock_count];
    **lock = (struct capsule_lock){.name = *name};
    lookup_add(&capsule->lock_by_name, name->bytes, (uint32_t)capsule->lock_count);
    capsule->lock_count++;
    return STATUS_OK;
}

/* The record it names is a worker's of this term, and its branch goes on. */
static enum status verify_named(struct capsule *capsule, const struct record *record,
                                const struct lock_body *body)
{
    if (lock_is_void(body)) {
        return STATUS_OK;
    }
    const struct branch *branch = capsule_branch_find(capsule, &body->record.writer);
    if (branch == NULL || branch->member.role != MEMBER_WORKER || branch->member.is_closed ||
        branch->member.term != body->term) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "it names a record of %s, which is no open branch of a worker",
                              capsule_digits_of(body->record.writer.bytes).text);
    }
    return STATUS_OK;
}

/*
 * Depends on the leaders' records alone, which have one order: so every replica judges alike,
 * whether it has the record that is named or not.
 */
enum status capsule_lock_apply(struct capsule *capsule, struct branch *leader,
                               const struct record *record)
{
    struct lock_body body;
    enum status status = lock_decode(&body, record->body);
    if (status != STATUS_OK) {
        return capsule_refuse(capsule, record, status, "its body is no LOCK");
    }
    if (body.term != leader->member.term) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "it claims term %" PRIu64 ", its leader's is %" PRIu64, body.term,
                              leader->member.term);
    }
    status = verify_named(capsule, record, &body);
    if (status != STATUS_OK) {
        return status;
    }
    if (capsule->lock_term != body.term) {
        // Every fence of this term is above all of those before.
        capsule_lock_clear(capsule);
        capsule->lock_term = body.term;
    }
    struct capsule_lock *lock = find(capsule, &body.lock);
    if (lock != NULL && body.fence <= lock->fence) {
        return capsule_refuse(capsule, record, STATUS_FORGED,
                              "its fence %" PRIu64 " is not above %" PRIu64 " decided before",
                              body.fence, lock->fence);
    }
    if (lock == NULL) {
        status = add(capsule, &body.lock, &lock);
    }
    if (status != STATUS_OK) {
        return capsule_refuse(capsule, record, status, "no room for another lock");
    }
    lock->fence = body.fence;
    lock->sequence = record->sequence;
    return STATUS_OK;
}

enum status capsule_lock_restore(struct capsule *capsule, const struct capsule_lock *lock)
{
    struct capsule_lock *added;
    if (find(capsule, &lock->name) != NULL) {
        return STATUS_MALFORMED;
    }
    enum status status = add(capsule, &lock->name, &added);
    if (status == STATUS_OK) {
        *added = *lock;
    }
    return status;
}

const struct capsule_lock *capsule_lock_find(const struct capsule *capsule, const struct hash *name)
{
    return capsule->lock_term == capsule->term ? find(capsule, name) : NULL;
}

size_t capsule_lock_count(const struct capsule *capsule)
{
    return capsule->lock_term == capsule->term ? capsule->lock_count : 0;
}
