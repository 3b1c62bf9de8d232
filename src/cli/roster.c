/* src/cli/roster.c */
#include "cli/roster.h"

#include <stdlib.h>

#include "cli/array.h"

static void forget(void *context)
{
    struct roster *roster = context;
    roster->end_count = 0;
    roster->key_count = 0;
    roster->keys = array_grown(roster->keys, 0, sizeof *roster->keys);
    roster->keys[roster->key_count++] = (struct roster_key){.key_epoch = CAPSULE_KEY_EPOCH_FIRST};
}

static void note_sync(struct roster *roster, const struct record *record)
{
    struct sync_body sync;
    if (record->key_epoch == 0 || sync_decode(&sync, record->body) != STATUS_OK) {
        return;
    }
    roster->keys = array_grown(roster->keys, roster->key_count, sizeof *roster->keys);
    roster->keys[roster->key_count++] = (struct roster_key){
        .key_epoch = record->key_epoch,
        .epoch = record->epoch,
        .time_ms = sync.time_ms,
    };
}

static void note_close(struct roster *roster, const struct record *record)
{
    struct sync_close close;
    if (sync_close_decode(&close, record->body) != STATUS_OK) {
        return;
    }
    roster->ends = array_grown(roster->ends, roster->end_count, sizeof *roster->ends);
    roster->ends[roster->end_count++] =
        (struct roster_end){.cut = close.cut, .reason = close.reason};
}

static void note_record(void *context, const struct record *record)
{
    struct roster *roster = context;
    if (record->type == RECORD_SYNC) {
        note_sync(roster, record);
    } else if (record->type == RECORD_CLOSE) {
        note_close(roster, record);
    }
}

static void note_tuple(void *context, const struct record *record, const struct tuple_tag *tag,
                       const struct tuple *tuple)
{
    (void)context;
    (void)record;
    (void)tag;
    (void)tuple;
}

void roster_init(struct roster *roster)
{
    *roster = (struct roster){
        .visitor = {
            .begin = forget, .record = note_record, .tuple = note_tuple, .context = roster}};
    forget(roster);
}

void roster_release(struct roster *roster)
{
    free(roster->keys);
    free(roster->ends);
    *roster = (struct roster){.keys = NULL};
}

const struct roster_end *roster_end_find(const struct roster *roster,
                                         const struct writer_id *writer)
{
    for (size_t i = 0; i < roster->end_count; i++) {
        if (writer_id_equal(&roster->ends[i].cut.writer, writer)) {
            return &roster->ends[i];
        }
    }
    return NULL;
}

const char *roster_reason_text(enum sync_close_reason reason)
{
    static const char *const texts[] = {
        [SYNC_CLOSE_RESTART] = "restart", [SYNC_CLOSE_EXITED] = "exited",
        [SYNC_CLOSE_ABSENT] = "absent",   [SYNC_CLOSE_FORKED] = "forked",
        [SYNC_CLOSE_REVOKED] = "revoked",
    };
    return texts[reason];
}
