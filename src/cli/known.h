/* src/cli/known.h */
#ifndef CLI_KNOWN_H
#define CLI_KNOWN_H

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/proof.h"
#include "capsule/writer.h"
#include "cli/app.h"
#include "wire/message.h"

/*
 * known: the newest SYNC of which a leader has told this machine, with what shows that W stores
 * held it. Stores that lack it one day were rolled back, and this proves it (P8). Beside
 * owner/sync:
 *
 *     owner/sync.warrant   capsule/proof.h
 */
#define KNOWN_WARRANT "owner/sync.warrant"

struct known {
    struct app_sync sync;
    struct branch_head head;  // the same: whose, and where; zeroes: no warrant shows it
    struct buffer warrant;
};

#define KNOWN_NONE ((struct known){.warrant = BUFFER_EMPTY})

/* Read what is kept. Says on stderr why it failed. Release it whatever comes back. */
MUST_CHECK enum status known_load(struct known *known, const struct app *app);
void known_release(struct known *known);

/*
 * A leader that leads has answered: keep the SYNC it names when it is newer and its warrant
 * verifies. STATUS_FORGED: it does not.
 */
MUST_CHECK enum status known_take(struct known *known, const struct app *app,
                                  const struct message_answer *answer);

/*
 * Prove by what stores have signed now that they were rolled back, and write the proof to a file of
 * the app: `path` receives its name. STATUS_FORGED: it proves nothing, and no file was written.
 */
MUST_CHECK enum status known_prove(const struct known *known, const struct app *app,
                                   struct bytes fences, struct proof *proof, struct buffer *bytes,
                                   char path[FILE_PATH_BYTES]);

#endif
