/* sim/checker_keys.c */
#include "sim/checker_keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "capsule/genesis.h"
#include "capsule/revoke.h"
#include "capsule/sync.h"
#include "store/store.h"

struct walk {
    struct checker_keys *checker;
    struct genesis genesis;
    struct branch_head *heads;  // the last record of each writer
    size_t head_count;
    struct branch_head *cuts;
    size_t cut_count;
};

static void note_head(struct walk *walk, const struct record *record)
{
    for (size_t i = 0; i < walk->head_count; i++) {
        if (writer_id_equal(&walk->heads[i].writer, &record->writer)) {
            walk->heads[i].head.sequence = record->sequence;
            return;
        }
    }
    walk->heads = reallocarray(walk->heads, walk->head_count + 1, sizeof *walk->heads);
    CHECK(walk->heads != NULL);
    walk->heads[walk->head_count++] =
        (struct branch_head){.writer = record->writer, .head = {.sequence = record->sequence}};
}

static void note_revoke(struct walk *walk, const struct record *record)
{
    struct checker_keys *checker = walk->checker;
    struct writer_id writer;
    if (revoke_decode(&writer, record->body, &walk->genesis.owner, &walk->genesis.capsule) !=
        STATUS_OK) {
        return;
    }
    checker->revoked = reallocarray(checker->revoked, checker->count + 1, sizeof *checker->revoked);
    CHECK(checker->revoked != NULL);
    checker->revoked[checker->count++] =
        (struct checker_revoked){.writer = writer, .epoch = record->epoch};
}

/* The first key epoch after a REVOKE is closed to whom it names. */
static void note_sync(struct walk *walk, const struct record *record)
{
    for (size_t i = 0; i < walk->checker->count; i++) {
        struct checker_revoked *revoked = &walk->checker->revoked[i];
        if (revoked->key_epoch == 0 && record->key_epoch != 0 && record->epoch >= revoked->epoch) {
            revoked->key_epoch = record->key_epoch;
        }
    }
}

static void note_close(struct walk *walk, const struct record *record)
{
    struct sync_close close;
    if (sync_close_decode(&close, record->body) != STATUS_OK) {
        return;
    }
    walk->cuts = reallocarray(walk->cuts, walk->cut_count + 1, sizeof *walk->cuts);
    CHECK(walk->cuts != NULL);
    walk->cuts[walk->cut_count++] = close.cut;
}

static enum status visit(void *context, struct bytes bytes, const struct store_place *place)
{
    struct walk *walk = context;
    struct record record;
    (void)place;
    enum status status = record_decode_stored(&record, bytes.at, bytes.length);
    if (status != STATUS_OK) {
        return status;
    }
    note_head(walk, &record);
    if (record.type == RECORD_REVOKE) {
        note_revoke(walk, &record);
    } else if (record.type == RECORD_SYNC) {
        note_sync(walk, &record);
    } else if (record.type == RECORD_CLOSE) {
        note_close(walk, &record);
    }
    return STATUS_OK;
}

/* Of those that were revoked: the cuts of others are judged by P3. */
static bool are_within_cuts(const struct walk *walk, char reason[CHECKER_REASON_BYTES])
{
    for (size_t i = 0; i < walk->cut_count; i++) {
        const struct branch_head *cut = &walk->cuts[i];
        for (size_t j = 0; j < walk->head_count; j++) {
            const struct branch_head *head = &walk->heads[j];
            if (checker_keys_find(walk->checker, &cut->writer) != NULL &&
                writer_id_equal(&head->writer, &cut->writer) &&
                head->head.sequence > cut->head.sequence) {
                snprintf(reason, CHECKER_REASON_BYTES,
                         "P11: a store holds record %" PRIu64
                         " of a revoked writer whose cut is %" PRIu64,
                         head->head.sequence, cut->head.sequence);
                return false;
            }
        }
    }
    return true;
}

bool checker_keys_walk(struct checker_keys *checker, const struct disk *disk, struct bytes genesis,
                       char reason[CHECKER_REASON_BYTES])
{
    struct walk walk = {.checker = checker};
    struct store_place place;
    *checker = (struct checker_keys){.revoked = NULL};
    CHECK(genesis_decode(&walk.genesis, genesis) == STATUS_OK);
    enum status status = store_walk(disk, &walk.genesis.capsule, visit, &walk, &place);
    if (status != STATUS_OK) {
        snprintf(reason, CHECKER_REASON_BYTES, "P11: a disk cannot be read: %s",
                 status_text(status));
    }
    bool is_right = status == STATUS_OK && are_within_cuts(&walk, reason);
    free(walk.heads);
    free(walk.cuts);
    return is_right;
}

void checker_keys_release(struct checker_keys *checker)
{
    free(checker->revoked);
    *checker = (struct checker_keys){.revoked = NULL};
}

const struct checker_revoked *checker_keys_find(const struct checker_keys *checker,
                                                const struct writer_id *writer)
{
    for (size_t i = 0; i < checker->count; i++) {
        if (writer_id_equal(&checker->revoked[i].writer, writer)) {
            return &checker->revoked[i];
        }
    }
    return NULL;
}
