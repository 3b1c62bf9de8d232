/* sim/checker_session.c */
#include "sim/checker_session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The third field, after the capsule's prefix and the term. */
static uint64_t epoch_of(const char *token)
{
    const char *term = strchr(token, '.');
    const char *epoch = term == NULL ? NULL : strchr(term + 1, '.');
    return epoch == NULL ? 0 : strtoull(epoch + 1, NULL, 10);
}

bool checker_session_judge(struct checker_session *session, const struct scl *scl, size_t worker,
                           char reason[CHECKER_REASON_BYTES])
{
    static const struct dependency nothing;
    char token[SCL_VERSION_BYTES_MAX];
    if (session->token[0] != '\0' &&
        scl_version_reaches(scl, bytes_text(session->token)) != STATUS_OK) {
        snprintf(reason, CHECKER_REASON_BYTES, "P6: worker %zu is behind its own token '%.150s'",
                 worker, session->token);
        return false;
    }
    if (scl_version(scl, &nothing, bytes_of(NULL, 0), token) != STATUS_OK) {
        return true;
    }
    uint64_t epoch = epoch_of(token);
    if (epoch < session->epoch) {
        snprintf(reason, CHECKER_REASON_BYTES,
                 "P6: the token of worker %zu goes back from epoch %" PRIu64 " to %" PRIu64, worker,
                 session->epoch, epoch);
        return false;
    }
    memcpy(session->token, token, sizeof token);
    session->epoch = epoch;
    return true;
}

/* Whether nothing is to be read: it, or a later put of its key, was a delete. */
static bool may_be_gone(const struct oracle *oracle, const struct oracle_put *put)
{
    for (size_t i = 0; i < oracle->count; i++) {
        const struct oracle_put *other = &oracle->puts[i];
        if (other->is_delete && strcmp(other->key, put->key) == 0 &&
            (other == put || oracle_is_later(other, put))) {
            return true;
        }
    }
    return false;
}

bool checker_session_judge_put(const struct oracle *oracle, const struct oracle_put *put,
                               struct federation *federation, char reason[CHECKER_REASON_BYTES])
{
    struct memtable_entry entry;
    enum status status =
        federation_worker_find(federation, put->worker, bytes_text(put->key), &entry);
    bool is_read = status == STATUS_GAP;  // no store is there that could tell
    if (status == STATUS_OK) {
        struct oracle_put read = {.lamport = entry.version.lamport, .writer = entry.version.writer};
        is_read = !oracle_is_later(put, &read);
    } else if (status == STATUS_NOT_FOUND) {
        is_read = may_be_gone(oracle, put);
    }
    if (!is_read) {
        snprintf(reason, CHECKER_REASON_BYTES,
                 "P6: worker %zu does not read its own put of '%s', lamport %" PRIu64, put->worker,
                 put->key, put->lamport);
    }
    return is_read;
}

bool checker_session_judge_end(const struct checker_session *session, const struct scl *scl,
                               size_t worker, char reason[CHECKER_REASON_BYTES])
{
    if (session->token[0] == '\0') {
        return true;
    }
    enum status status = scl_version_reaches(scl, bytes_text(session->token));
    if (status != STATUS_OK && status != STATUS_CLOSED) {
        snprintf(reason, CHECKER_REASON_BYTES, "P6: worker %zu never reaches '%.120s': %s", worker,
                 session->token, status_text(status));
        return false;
    }
    return true;
}
