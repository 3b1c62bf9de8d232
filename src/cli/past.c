/* src/cli/past.c */
#include "cli/past.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "capsule/lock.h"
#include "capsule/sync.h"
#include "cli/array.h"

/* A SYNC says: this branch counts up to there. */
struct past_head {
    struct writer_id writer;
    uint64_t sequence;
    uint64_t epoch;
};

struct past_lock {
    struct lock_body body;
    struct writer_id leader;
    uint64_t epoch;  // of the SYNC that its leader wrote next; 0: none yet
};

static void forget(void *context)
{
    struct past *past = context;
    for (size_t i = 0; i < past->version_count; i++) {
        buffer_release(&past->versions[i].value);
    }
    past->version_count = past->sync_count = past->head_count = past->lock_count = 0;
}

static void note_sync(struct past *past, const struct record *record)
{
    struct sync_body sync;
    if (sync_decode(&sync, record->body) != STATUS_OK) {
        return;  // the survey refuses it
    }
    past->syncs = array_grown(past->syncs, past->sync_count, sizeof *past->syncs);
    past->syncs[past->sync_count++] =
        (struct past_sync){.epoch = record->epoch, .time_ms = sync.time_ms, .floor = sync.floor};
    for (uint32_t i = 0; i < sync.head_count; i++) {
        const struct sync_head head = sync_head_at(&sync, i);
        past->heads = array_grown(past->heads, past->head_count, sizeof *past->heads);
        past->heads[past->head_count++] = (struct past_head){
            .writer = head.branch.writer,
            .sequence = head.branch.head.sequence,
            .epoch = record->epoch,
        };
    }
    for (size_t i = past->lock_count; i > 0; i--) {
        struct past_lock *lock = &past->locks[i - 1];
        if (lock->epoch == 0 && writer_id_equal(&lock->leader, &record->writer)) {
            lock->epoch = record->epoch;
        }
    }
}

static void note_record(void *context, const struct record *record)
{
    struct past *past = context;
    struct lock_body lock;
    if (record->type == RECORD_SYNC) {
        note_sync(past, record);
    } else if (record->type == RECORD_LOCK && lock_decode(&lock, record->body) == STATUS_OK) {
        past->locks = array_grown(past->locks, past->lock_count, sizeof *past->locks);
        past->locks[past->lock_count++] =
            (struct past_lock){.body = lock, .leader = record->writer};
    }
}

static void note_tuple(void *context, const struct record *record, const struct tuple_tag *tag,
                       const struct tuple *tuple)
{
    struct past *past = context;
    if (!bytes_equal(tuple->key, past->key)) {
        return;
    }
    past->versions = array_grown(past->versions, past->version_count, sizeof *past->versions);
    struct past_version *version = &past->versions[past->version_count++];
    *version = (struct past_version){
        .lamport = tuple->lamport,
        .writer = record->writer,
        .sequence = record->sequence,
        .record = record->hash,
        .expiry_ms = tuple->expiry_ms,
        .is_delete = tuple->kind == TUPLE_DELETE,
        .lock = tag->lock,
        .fence = tag->fence,
    };
    CHECK(buffer_append(&version->value, tuple->value.at, tuple->value.length) == STATUS_OK);
}

void past_init(struct past *past, struct bytes key)
{
    *past = (struct past){
        .key = key,
        .visitor = {.begin = forget, .record = note_record, .tuple = note_tuple, .context = past}};
}

void past_release(struct past *past)
{
    forget(past);
    free(past->versions);
    free(past->syncs);
    free(past->heads);
    free(past->locks);
    *past = (struct past){.versions = NULL};
}

static int by_version(const void *left, const void *right)
{
    const struct past_version *a = left, *b = right;
    if (a->lamport != b->lamport) {
        return a->lamport < b->lamport ? -1 : 1;
    }
    int order = memcmp(a->writer.bytes, b->writer.bytes, sizeof a->writer.bytes);
    // One writer may write a key twice at one time, in one record: the order stays.
    return order != 0 ? order : (a->sequence > b->sequence) - (a->sequence < b->sequence);
}

/* One LOCK decides on a fence, and with it on all below. */
static void decide(const struct past *past, struct past_version *version)
{
    version->state = PAST_UNDECIDED;
    for (size_t i = 0; i < past->lock_count; i++) {
        const struct past_lock *lock = &past->locks[i];
        if (!hash_equal(&lock->body.lock, &version->lock) || lock->body.fence < version->fence) {
            continue;
        }
        const struct branch_head *named = &lock->body.record;
        bool is_named = lock->body.fence == version->fence &&
                        writer_id_equal(&named->writer, &version->writer) &&
                        named->head.sequence == version->sequence &&
                        hash_equal(&named->head.hash, &version->record);
        version->state = is_named ? PAST_COUNTS : PAST_VOID;
        if (is_named) {
            version->epoch = lock->epoch == 0 || version->epoch == 0 ? 0
                             : lock->epoch > version->epoch          ? lock->epoch
                                                                     : version->epoch;
        }
        return;
    }
}

void past_settle(struct past *past)
{
    for (size_t i = 0; i < past->version_count; i++) {
        struct past_version *version = &past->versions[i];
        for (size_t j = 0; j < past->head_count && version->epoch == 0; j++) {
            const struct past_head *head = &past->heads[j];
            if (head->sequence >= version->sequence &&
                writer_id_equal(&head->writer, &version->writer)) {
                version->epoch = head->epoch;
            }
        }
        if (version->fence != 0) {
            decide(past, version);
        }
    }
    if (past->version_count > 0) {
        qsort(past->versions, past->version_count, sizeof *past->versions, by_version);
    }
}

enum status past_at(const struct past *past, uint64_t epoch, const struct past_version **version)
{
    const struct past_sync *sync = NULL;
    for (size_t i = 0; i < past->sync_count && sync == NULL; i++) {
        sync = past->syncs[i].epoch == epoch ? &past->syncs[i] : NULL;
    }
    *version = NULL;
    if (sync == NULL) {
        return STATUS_EMPTY;
    }
    for (size_t i = 0; i < past->version_count; i++) {
        const struct past_version *at = &past->versions[i];
        if (at->state == PAST_COUNTS && at->epoch != 0 && at->epoch <= epoch) {
            *version = at;
        }
    }
    bool is_gone = *version == NULL || (*version)->is_delete ||
                   ((*version)->expiry_ms != 0 && (*version)->expiry_ms <= sync->time_ms);
    return is_gone ? STATUS_NOT_FOUND : STATUS_OK;
}

bool past_is_certain(const struct past *past, const struct past_version *version)
{
    uint64_t floor = past->sync_count == 0 ? 0 : past->syncs[past->sync_count - 1].floor;
    return version != NULL && version->lamport > floor;
}
