/* sim/checker_map.c */
#include "sim/checker_map.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"

static bool has_survived(const struct oracle_put *put, const struct checker_store *store)
{
    return put->sequence <= checker_store_head(store, &put->writer);
}

/* By key; of one key, the latest first. */
static int compare(const void *a, const void *b)
{
    const struct oracle_put *const *left = a, *const *right = b;
    int order = strcmp((*left)->key, (*right)->key);
    if (order != 0) {
        return order;
    }
    return oracle_is_later(*left, *right) ? -1 : 1;
}

/* The winners in the order of their keys. The caller frees the array. */
static size_t find_winners(const struct oracle *oracle, const struct checker_store *store,
                           const struct oracle_put ***winners)
{
    size_t count = 0, kept = 0;
    *winners = calloc(oracle->count + 1, sizeof **winners);
    CHECK(*winners != NULL);
    for (size_t i = 0; i < oracle->count; i++) {
        if (has_survived(&oracle->puts[i], store)) {
            (*winners)[count++] = &oracle->puts[i];
        }
    }
    qsort(*winners, count, sizeof **winners, compare);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || strcmp((*winners)[i]->key, (*winners)[kept - 1]->key) != 0) {
            (*winners)[kept++] = (*winners)[i];
        }
    }
    return kept;
}

static bool is_winner(const struct memtable_entry *entry, const struct oracle_put *put)
{
    return bytes_equal(entry->key, bytes_text(put->key)) && entry->is_tombstone == put->is_delete &&
           (put->is_delete || bytes_equal(entry->value, bytes_text(put->value))) &&
           entry->version.lamport == put->lamport &&
           memcmp(entry->version.writer.bytes, put->writer.bytes, sizeof put->writer.bytes) == 0;
}

bool checker_map_judge_durable(const struct oracle *oracle, const struct checker_store *store,
                               char reason[CHECKER_REASON_BYTES])
{
    for (size_t i = 0; i < oracle->count; i++) {
        const struct oracle_put *put = &oracle->puts[i];
        if (put->is_durable && !has_survived(put, store)) {
            snprintf(reason, CHECKER_REASON_BYTES,
                     "P4: worker %zu said that '%s' is durable in its record %" PRIu64
                     ", but the store's last one is %" PRIu64,
                     put->worker, put->key, put->sequence, checker_store_head(store, &put->writer));
            return false;
        }
    }
    return true;
}

/* The next winner that is there; what was deleted may have left its tombstone or not. */
static size_t skip_deleted(const struct oracle_put **winners, size_t count, size_t at,
                           struct bytes before)
{
    while (at < count && winners[at]->is_delete &&
           bytes_compare(bytes_text(winners[at]->key), before) < 0) {
        at++;
    }
    return at;
}

bool checker_map_judge(const struct oracle *oracle, const struct checker_store *store,
                       struct federation *federation, size_t worker,
                       char reason[CHECKER_REASON_BYTES])
{
    static const uint8_t last[ORACLE_TEXT_BYTES] = {0xff};
    const struct oracle_put **winners;
    size_t count = find_winners(oracle, store, &winners), at = 0;
    struct memtable_entry entry;
    struct buffer from = BUFFER_EMPTY;
    bool is_right = true;
    enum status status;
    while ((status = federation_worker_seek(federation, worker, buffer_bytes(&from),
                                            from.length > 0, &entry)) == STATUS_OK) {
        buffer_clear(&from);
        CHECK(buffer_append(&from, entry.key.at, entry.key.length) == STATUS_OK);
        if (entry.key.at[0] == ORACLE_FOREIGN) {
            continue;
        }
        at = skip_deleted(winners, count, at, entry.key);
        if (at == count || !is_winner(&entry, winners[at])) {
            snprintf(reason, CHECKER_REASON_BYTES,
                     "P2, P5: worker %zu has '%.*s' of lamport %" PRIu64
                     ", where the last of all puts is '%s' of lamport %" PRIu64,
                     worker, (int)entry.key.length, (const char *)entry.key.at,
                     entry.version.lamport, at == count ? "" : winners[at]->key,
                     at == count ? 0 : winners[at]->lamport);
            is_right = false;
            break;
        }
        at++;
    }
    at = skip_deleted(winners, count, at, bytes_of(last, sizeof last));
    if (is_right && status == STATUS_GAP) {
        snprintf(reason, CHECKER_REASON_BYTES, "P4: no store gives a block that worker %zu needs",
                 worker);
        is_right = false;
    }
    if (is_right && at < count) {
        snprintf(reason, CHECKER_REASON_BYTES,
                 "P5: worker %zu lacks '%s' of lamport %" PRIu64 ", written by worker %zu", worker,
                 winners[at]->key, winners[at]->lamport, winners[at]->worker);
        is_right = false;
    }
    buffer_release(&from);
    free(winners);
    return is_right;
}
