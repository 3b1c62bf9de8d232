/* src/scl/scl_tag.c */
#include <stdlib.h>

#include "capsule/lock.h"
#include "scl/scl_internal.h"

/*
 * Tagged records, of this and of other writers, until it is known what becomes of them:
 *
 *     accepted ──scl_tag_note_lock() names it──► decided ──W stores hold the LOCK──► applied
 *         └──another LOCK of its lock, or the end of its branch──► void: forgotten
 *
 * A LOCK may come before what it names, and says so for ever: whatever the order, what is applied
 * in the end are the records that LOCKs name.
 */
struct scl_tagged {
    struct scl_tagged *next;
    struct branch_head record;
    struct tuple_tag tag;
    bool is_here;
    struct buffer plain;  // once it is here
    uint32_t origin;      // likewise

    uint64_t decided;  // sequence of the LOCK that names it; 0: undecided
    struct writer_id leader;
    uint64_t term;       // of that leader
    struct buffer lock;  // that record: sent again until its receipts are here
    uint64_t repeat_us;
};

static void tagged_free(struct scl_tagged *tagged)
{
    buffer_release(&tagged->plain);
    buffer_release(&tagged->lock);
    free(tagged);
}

void scl_tag_release(struct scl *scl)
{
    while (scl->tagged != NULL) {
        struct scl_tagged *next = scl->tagged->next;
        tagged_free(scl->tagged);
        scl->tagged = next;
    }
}

static struct scl_tagged *find(const struct scl *scl, const struct writer_id *writer,
                               uint64_t sequence)
{
    struct scl_tagged *tagged = scl->tagged;
    while (tagged != NULL && (tagged->record.head.sequence != sequence ||
                              !writer_id_equal(&tagged->record.writer, writer))) {
        tagged = tagged->next;
    }
    return tagged;
}

static struct scl_tagged *add(struct scl *scl, const struct branch_head *record)
{
    struct scl_tagged *tagged = calloc(1, sizeof *tagged);
    if (tagged != NULL) {
        tagged->record = *record;
        tagged->next = scl->tagged;
        scl->tagged = tagged;
    }
    return tagged;
}

/* Its fate is known: STATUS_OK or STATUS_STALE. */
static void settle(struct scl *scl, struct scl_tagged **place, enum status fate)
{
    struct scl_tagged *tagged = *place;
    *place = tagged->next;
    if (tagged->is_here && writer_id_equal(&tagged->record.writer, &scl->id)) {
        scl_lock_settle(scl, tagged->record.head.sequence, fate);
    }
    tagged_free(tagged);
}

static void settle_one(struct scl *scl, const struct scl_tagged *tagged, enum status fate)
{
    struct scl_tagged **place = &scl->tagged;
    while (*place != tagged) {
        place = &(*place)->next;
    }
    settle(scl, place, fate);
}

/* Whether no LOCK can name it any more. */
static bool is_past(const struct scl *scl, const struct capsule_member *member,
                    const struct tuple_tag *tag)
{
    const struct capsule_lock *last = capsule_lock_find(scl->capsule, &tag->lock);
    return member->is_closed || lock_fence_term(tag->fence) != member->term ||
           (last != NULL && tag->fence <= last->fence);
}

enum status scl_tag_note_record(struct scl *scl, const struct record *record,
                                const struct tuple_tag *tag, struct bytes plain)
{
    const struct capsule_member *member = capsule_member_find(scl->capsule, &record->writer);
    const struct branch_head head = {.writer = record->writer,
                                     .head = {.sequence = record->sequence, .hash = record->hash}};
    uint64_t last_lamport;
    enum status status = tuple_verify_batch(plain, &last_lamport);
    if (status == STATUS_OK && scl->lamport < last_lamport) {
        scl->lamport = last_lamport;
    }
    struct scl_tagged *tagged = find(scl, &record->writer, record->sequence);
    bool is_named = tagged != NULL && hash_equal(&tagged->record.head.hash, &record->hash);
    if (status == STATUS_OK && tagged == NULL) {
        tagged = add(scl, &head);
        status = tagged == NULL ? STATUS_NO_MEMORY : STATUS_OK;
    }
    if (status == STATUS_OK) {
        status = buffer_append(&tagged->plain, plain.at, plain.length);
    }
    if (status != STATUS_OK) {
        return status;
    }
    tagged->is_here = true;
    tagged->tag = *tag;
    tagged->origin = (uint32_t)scl_member_index(scl, member);
    bool is_other = !is_named && tagged->decided != 0;  // than the LOCK names at this place
    if (is_other || (!is_named && is_past(scl, member, tag))) {
        settle_one(scl, tagged, STATUS_STALE);
    }
    return STATUS_OK;
}

void scl_tag_forget(struct scl *scl, const struct record *record)
{
    const struct scl_tagged *tagged = find(scl, &record->writer, record->sequence);
    if (tagged != NULL) {
        settle_one(scl, tagged, STATUS_OK);
    }
}

/* All that were written under this lock so far and are not named by now. */
static void settle_past(struct scl *scl, const struct lock_body *lock)
{
    struct scl_tagged **place = &scl->tagged;
    while (*place != NULL) {
        struct scl_tagged *tagged = *place;
        bool is_past = tagged->is_here && tagged->decided == 0 &&
                       hash_equal(&tagged->tag.lock, &lock->lock) &&
                       tagged->tag.fence <= lock->fence;
        if (is_past) {
            settle(scl, place, STATUS_STALE);
        } else {
            place = &tagged->next;
        }
    }
}

enum status scl_tag_note_lock(struct scl *scl, const struct record *record)
{
    struct lock_body lock;
    enum status status = lock_decode(&lock, record->body);
    if (status != STATUS_OK) {
        return status;
    }
    const struct head *named = &lock.record.head;
    const struct capsule_member *member = capsule_member_find(scl->capsule, &lock.record.writer);
    struct scl_tagged *tagged = find(scl, &lock.record.writer, named->sequence);
    bool is_coming = !lock_is_void(&lock) && named->sequence > member->head.sequence;
    if (tagged == NULL && is_coming) {
        tagged = add(scl, &lock.record);
        if (tagged == NULL) {
            return STATUS_NO_MEMORY;
        }
    }
    if (tagged != NULL && hash_equal(&tagged->record.head.hash, &named->hash)) {
        status = buffer_append(&tagged->lock, record->whole.at, record->whole.length);
        if (status != STATUS_OK) {
            return status;
        }
        tagged->decided = record->sequence;
        tagged->leader = record->writer;
        tagged->term = lock.term;
    }
    settle_past(scl, &lock);
    return STATUS_OK;
}

void scl_tag_note_close(struct scl *scl, const struct writer_id *writer)
{
    struct scl_tagged **place = &scl->tagged;
    while (*place != NULL) {
        struct scl_tagged *tagged = *place;
        if (tagged->decided == 0 && writer_id_equal(&tagged->record.writer, writer)) {
            settle(scl, place, STATUS_STALE);
        } else {
            place = &tagged->next;
        }
    }
}

/*
 * Whether W stores hold the LOCK. They held the own MEMBER, and what its leader wrote before it,
 * when the leader sent the keys.
 */
static bool is_held(struct scl *scl, const struct scl_tagged *tagged)
{
    const struct capsule_member *leader = capsule_member_find(scl->capsule, &tagged->leader);
    bool is_before_us = scl->key_count > 0 && tagged->decided <= scl->admitted_sequence &&
                        writer_id_equal(&tagged->leader, &scl->admitted_by);
    return is_before_us || scl_is_held(scl, leader, tagged->decided);
}

bool scl_tag_is_applied(const struct scl *scl, const struct writer_id *leader, uint64_t sequence)
{
    for (const struct scl_tagged *tagged = scl->tagged; tagged != NULL; tagged = tagged->next) {
        if (tagged->decided != 0 && tagged->decided <= sequence &&
            writer_id_equal(&tagged->leader, leader)) {
            return false;
        }
    }
    return true;
}

/*
 * The first of those that are decided, in the order of terms and of the leader's branch: applied in
 * that order, one number says in a session's token which of them are in the map.
 */
static bool is_first(const struct scl *scl, const struct scl_tagged *tagged)
{
    for (const struct scl_tagged *other = scl->tagged; other != NULL; other = other->next) {
        bool is_before = other->term < tagged->term ||
                         (other->term == tagged->term && other->decided < tagged->decided);
        if (other->decided != 0 && is_before) {
            return false;
        }
    }
    return true;
}

static bool is_due(struct scl *scl, const struct scl_tagged *tagged)
{
    return tagged->is_here && tagged->decided != 0 && is_first(scl, tagged) && is_held(scl, tagged);
}

static struct scl_tagged **find_due(struct scl *scl)
{
    struct scl_tagged **place = &scl->tagged;
    while (*place != NULL && !is_due(scl, *place)) {
        place = &(*place)->next;
    }
    return place;
}

void scl_tag_apply(struct scl *scl)
{
    struct scl_tagged **place;
    while (*(place = find_due(scl)) != NULL) {
        const struct scl_tagged *tagged = *place;
        scl_open_apply(scl, &tagged->record, buffer_bytes(&tagged->plain), tagged->origin);
        scl->lock_leader = tagged->leader;
        scl->lock_applied = tagged->decided;
        settle(scl, place, STATUS_OK);
    }
}

bool scl_tag_missing(const struct scl *scl, size_t *place, struct branch_head *wanted)
{
    size_t index = 0;
    for (const struct scl_tagged *tagged = scl->tagged; tagged != NULL; tagged = tagged->next) {
        if (index++ >= *place && !tagged->is_here) {
            *place = index;
            *wanted = tagged->record;
            return true;
        }
    }
    return false;
}

bool scl_tag_is_ahead(const struct scl *scl)
{
    for (const struct scl_tagged *tagged = scl->tagged; tagged != NULL; tagged = tagged->next) {
        const struct branch_head *record = &tagged->record;
        // One that is gone was closed: all of it was named.
        const struct capsule_member *member = capsule_member_find(scl->capsule, &record->writer);
        if (tagged->decided != 0 && member != NULL &&
            record->head.sequence > capsule_covered_sequence(scl->capsule, member)) {
            return true;
        }
    }
    return false;
}

uint64_t scl_tag_count(const struct scl *scl)
{
    uint64_t count = 0;
    for (const struct scl_tagged *tagged = scl->tagged; tagged != NULL; tagged = tagged->next) {
        count++;
    }
    return count;
}

uint64_t scl_tag_tick(struct scl *scl, uint64_t now_us)
{
    uint64_t wake_us = UINT64_MAX;
    for (struct scl_tagged *tagged = scl->tagged; tagged != NULL; tagged = tagged->next) {
        if (!tagged->is_here || tagged->decided == 0) {
            continue;
        }
        if (tagged->repeat_us == 0) {
            tagged->repeat_us = now_us + OUTBOX_REPEAT_US;
        }
        // A store that holds it says so again.
        if (tagged->repeat_us <= now_us &&
            scl_output_add(scl, FRAME_RECORD, 0, &scl_everyone, buffer_bytes(&tagged->lock)) ==
                STATUS_OK) {
            tagged->repeat_us = now_us + OUTBOX_REPEAT_US;
        }
        wake_us = tagged->repeat_us < wake_us ? tagged->repeat_us : wake_us;
    }
    return wake_us;
}
