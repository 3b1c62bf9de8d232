/* sim/checker_store.c */
#include "sim/checker_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "capsule/capsule.h"
#include "capsule/lock.h"
#include "sim/federation.h"
#include "store/store.h"

/*
 * The signature of a record may be damaged on its way to a store: then a descendant's vouches for
 * it (DESIGN 5.1), which the store has written right behind it.
 */
enum { RUN_RECORDS_MAX = 512 };

struct walk {
    struct checker_store *checker;
    struct capsule *capsule;
    char *reason;
    struct buffer run[RUN_RECORDS_MAX];  // those that nothing vouches for yet
    struct record records[RUN_RECORDS_MAX];
    size_t run_count;
    struct branch_head *pruned;  // records without a body; their hashes are not looked at
    size_t pruned_count;
};

static struct checker_head *find_or_add(struct checker_store *checker,
                                        const struct writer_id *writer)
{
    for (size_t i = 0; i < checker->count; i++) {
        if (memcmp(checker->heads[i].writer.bytes, writer->bytes, sizeof writer->bytes) == 0) {
            return &checker->heads[i];
        }
    }
    checker->heads = reallocarray(checker->heads, checker->count + 1, sizeof *checker->heads);
    CHECK(checker->heads != NULL);
    checker->heads[checker->count] = (struct checker_head){.writer = *writer};
    return &checker->heads[checker->count++];
}

static enum status run_add(struct walk *walk, struct bytes bytes)
{
    struct buffer *copy = &walk->run[walk->run_count];
    if (walk->run_count == RUN_RECORDS_MAX) {
        return STATUS_FULL;
    }
    *copy = (struct buffer)BUFFER_EMPTY;
    CHECK(buffer_append(copy, bytes.at, bytes.length) == STATUS_OK);
    enum status status =
        record_decode_stored(&walk->records[walk->run_count], copy->bytes, copy->length);
    walk->run_count++;
    return status;
}

static void run_clear(struct walk *walk)
{
    for (size_t i = 0; i < walk->run_count; i++) {
        buffer_release(&walk->run[i]);
    }
    walk->run_count = 0;
}

/* Whether the newest record of the run vouches for all of it; then all are accepted. */
static enum status run_accept(struct walk *walk)
{
    if (walk->run_count == 1) {
        return capsule_accept(walk->capsule, &walk->records[0]);
    }
    enum status status = capsule_verify_run(walk->capsule, walk->records, walk->run_count);
    for (size_t i = 0; i < walk->run_count && status == STATUS_OK; i++) {
        status = capsule_accept_vouched(walk->capsule, &walk->records[i]);
    }
    return status;
}

static void add_fence(struct checker_store *checker, uint64_t fence)
{
    checker->fences =
        reallocarray(checker->fences, checker->fence_count + 1, sizeof *checker->fences);
    CHECK(checker->fences != NULL);
    checker->fences[checker->fence_count++] = fence;
}

static void note_lock(struct checker_store *checker, const struct record *record)
{
    struct lock_body lock;
    if (record->type == RECORD_LOCK && lock_decode(&lock, record->body) == STATUS_OK &&
        !lock_is_void(&lock)) {
        add_fence(checker, lock.fence);
    }
}

/* A body that is gone has to be named by a PRUNE: known at the end. */
static void note_pruned(struct walk *walk, const struct record *record)
{
    if (record->is_pruned) {
        walk->pruned = reallocarray(walk->pruned, walk->pruned_count + 1, sizeof *walk->pruned);
        CHECK(walk->pruned != NULL);
        walk->pruned[walk->pruned_count++] =
            (struct branch_head){.writer = record->writer, .head = {.sequence = record->sequence}};
    }
}

static bool are_pruned_named(const struct walk *walk)
{
    for (size_t i = 0; i < walk->pruned_count; i++) {
        const struct branch_head *record = &walk->pruned[i];
        if (!capsule_is_pruned(walk->capsule, &record->writer, record->head.sequence)) {
            snprintf(walk->reason, CHECKER_REASON_BYTES,
                     "P4: record %" PRIu64 " has lost its body, and no PRUNE names it",
                     record->head.sequence);
            return false;
        }
    }
    return true;
}

static enum status note_run(struct walk *walk)
{
    for (size_t i = 0; i < walk->run_count; i++) {
        const struct record *record = &walk->records[i];
        struct checker_head *head = find_or_add(walk->checker, &record->writer);
        if (record->sequence != head->sequence + 1) {
            snprintf(walk->reason, CHECKER_REASON_BYTES,
                     "P3: record %" PRIu64 " follows record %" PRIu64, record->sequence,
                     head->sequence);
            return STATUS_FORGED;
        }
        head->sequence++;
        walk->checker->record_count++;
        note_pruned(walk, record);
        note_lock(walk->checker, record);
    }
    return STATUS_OK;
}

static enum status visit(void *context, struct bytes bytes, const struct store_place *place)
{
    struct walk *walk = context;
    enum status status = run_add(walk, bytes);
    if (status == STATUS_OK) {
        status = run_accept(walk);
    }
    if (status == STATUS_OK) {
        status = note_run(walk);
        run_clear(walk);
        return status;
    }
    snprintf(walk->reason, CHECKER_REASON_BYTES,
             "P3: the record at segment %" PRIu32 ", offset %" PRIu64 " is %s: %.120s",
             place->segment, place->offset, status_text(status), capsule_reason(walk->capsule));
    return status == STATUS_FORGED ? STATUS_OK : status;
}

bool checker_store_walk(struct checker_store *checker, const struct disk *disk,
                        struct bytes genesis, char reason[CHECKER_REASON_BYTES])
{
    struct walk *walk = calloc(1, sizeof *walk);
    struct store_place place = {.offset = 0};
    CHECK(walk != NULL);
    walk->checker = checker;
    walk->reason = reason;
    *checker = (struct checker_store){.heads = NULL};
    CHECK(capsule_new(&walk->capsule, genesis) == STATUS_OK);
    reason[0] = '\0';
    enum status status = store_walk(disk, capsule_name(walk->capsule), visit, walk, &place);
    if (status != STATUS_OK && reason[0] == '\0') {
        snprintf(reason, CHECKER_REASON_BYTES,
                 "P3: the disk is %s at segment %" PRIu32 ", offset %" PRIu64, status_text(status),
                 place.segment, place.offset);
    }
    bool is_right = status == STATUS_OK && walk->run_count == 0 && are_pruned_named(walk);
    free(walk->pruned);
    run_clear(walk);
    capsule_free(walk->capsule);
    free(walk);
    return is_right;
}

void checker_store_release(struct checker_store *checker)
{
    free(checker->heads);
    free(checker->fences);
    *checker = (struct checker_store){.heads = NULL};
}

bool checker_store_names(const struct checker_store *checker, uint64_t fence)
{
    for (size_t i = 0; i < checker->fence_count; i++) {
        if (checker->fences[i] == fence) {
            return true;
        }
    }
    return false;
}

static int compare_sequences(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return (left < right) - (left > right);  // the greatest first
}

void checker_store_agree(struct checker_store *target, const struct checker_store *stores,
                         size_t store_count, size_t receipt_count)
{
    uint64_t sequences[FEDERATION_STORES_MAX];
    CHECK(0 < receipt_count && receipt_count <= store_count &&
          store_count <= FEDERATION_STORES_MAX);
    *target = (struct checker_store){.heads = NULL};
    for (size_t i = 0; i < store_count; i++) {
        target->record_count += stores[i].record_count;
        for (size_t j = 0; j < stores[i].count; j++) {
            (void)find_or_add(target, &stores[i].heads[j].writer);
        }
    }
    for (size_t j = 0; j < target->count; j++) {
        for (size_t i = 0; i < store_count; i++) {
            sequences[i] = checker_store_head(&stores[i], &target->heads[j].writer);
        }
        qsort(sequences, store_count, sizeof *sequences, compare_sequences);
        target->heads[j].sequence = sequences[receipt_count - 1];
    }
    for (size_t i = 0; i < store_count; i++) {
        for (size_t j = 0; j < stores[i].fence_count; j++) {
            if (!checker_store_names(target, stores[i].fences[j])) {
                add_fence(target, stores[i].fences[j]);
            }
        }
    }
}

uint64_t checker_store_head(const struct checker_store *checker, const struct writer_id *writer)
{
    for (size_t i = 0; i < checker->count; i++) {
        if (memcmp(checker->heads[i].writer.bytes, writer->bytes, sizeof writer->bytes) == 0) {
            return checker->heads[i].sequence;
        }
    }
    return 0;
}
