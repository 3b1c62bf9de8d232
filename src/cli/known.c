/* src/cli/known.c */
#include "cli/known.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/report.h"

enum { WARRANT_BYTES_MAX = 8 << 20 };

void known_release(struct known *known)
{
    buffer_release(&known->warrant);
    *known = KNOWN_NONE;
}

/* What is in the file, when it verifies and is no older than what is known otherwise. */
static void use_warrant(struct known *known, const struct app *app)
{
    struct proof_warrant warrant;
    if (proof_warrant_verify(&warrant, buffer_bytes(&known->warrant), &app->genesis) != STATUS_OK ||
        warrant.sync.epoch < known->sync.epoch) {
        return;
    }
    known->sync = (struct app_sync){.epoch = warrant.sync.epoch, .hash = warrant.sync.hash};
    known->head = (struct branch_head){
        .writer = warrant.sync.writer,
        .head = {.sequence = warrant.sync.sequence, .hash = warrant.sync.hash},
    };
}

enum status known_load(struct known *known, const struct app *app)
{
    char path[FILE_PATH_BYTES];
    *known = KNOWN_NONE;
    enum status status = app_sync_load(app, &known->sync);
    if (status != STATUS_OK) {
        return status;
    }
    app_path(app, KNOWN_WARRANT, path);
    status = file_read(&known->warrant, path, WARRANT_BYTES_MAX);
    if (status == STATUS_OK) {
        use_warrant(known, app);
    } else if (status != STATUS_NOT_FOUND) {
        report_error("cannot read '%s': %s", path, file_reason(status));
        return status;
    }
    return STATUS_OK;
}

/* STATUS_STALE: another process has written what is newer. */
static enum status write_known(const struct app *app, const struct app_sync *sync,
                               struct bytes warrant, bool is_given_up)
{
    int lock = app_lock(app);
    if (lock < 0) {
        return STATUS_IO;
    }
    enum status status = is_given_up ? STATUS_OK : app_sync_check(app, sync);
    if (status == STATUS_OK) {
        status = app_write(app, KNOWN_WARRANT, warrant, 0600);
    }
    if (status == STATUS_OK) {
        status = app_sync_replace(app, sync);
    }
    close(lock);
    return status;
}

enum status known_take(struct known *known, const struct app *app,
                       const struct message_answer *answer)
{
    struct proof_warrant warrant;
    if (hash_is_zero(&answer->sync) || answer->statements.length == 0) {
        return STATUS_OK;
    }
    enum status status = proof_warrant_verify(&warrant, answer->statements, &app->genesis);
    // The owner has given up what is known here: so says the TERM.
    bool is_given_up = status == STATUS_OK && warrant.term.sync_epoch < known->sync.epoch &&
                       warrant.term.lost_epoch >= known->sync.epoch;
    if (status == STATUS_OK && !is_given_up && !hash_is_zero(&known->sync.hash) &&
        answer->sync_epoch <= known->sync.epoch) {
        return STATUS_OK;
    }
    if (status != STATUS_OK || warrant.sync.epoch != answer->sync_epoch ||
        !hash_equal(&warrant.sync.hash, &answer->sync)) {
        report_error("the leader does not show that stores hold its newest SYNC");
        return STATUS_FORGED;
    }
    const struct app_sync sync = {.epoch = answer->sync_epoch, .hash = answer->sync};
    status = write_known(app, &sync, answer->statements, is_given_up);
    if (status == STATUS_STALE) {
        known_release(known);
        return known_load(known, app);
    }
    if (status == STATUS_OK) {
        known->sync = sync;
        buffer_clear(&known->warrant);
        status = buffer_append(&known->warrant, answer->statements.at, answer->statements.length);
    }
    if (status == STATUS_OK) {
        use_warrant(known, app);
    }
    return status;
}

enum status known_prove(const struct known *known, const struct app *app, struct bytes fences,
                        struct proof *proof, struct buffer *bytes, char path[FILE_PATH_BYTES])
{
    char name[64];
    enum status status = proof_rollback_encode(bytes, buffer_bytes(&app->genesis_body),
                                               buffer_bytes(&known->warrant), fences);
    if (status == STATUS_OK) {
        status = proof_verify(proof, buffer_bytes(bytes));
    }
    if (status != STATUS_OK) {
        return status;
    }
    snprintf(name, sizeof name, "rollback-%" PRIu64 ".proof", proof->term);
    app_path(app, name, path);
    return app_write(app, name, buffer_bytes(bytes), 0644);
}
