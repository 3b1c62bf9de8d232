/* src/cli/store_set.h */
#ifndef CLI_STORE_SET_H
#define CLI_STORE_SET_H

#include "cli/app.h"
#include "cli/command.h"
#include "cli/post.h"

/*
 * store_set: the owner changes which stores count, one at a time
 * (docs/design/0036-the-set-of-stores-changes.md). The change is in force once a leader leads by a
 * TERM that names it; until then those before have to answer, too.
 */

/* Have the host read the owner's word again; and, where `ends_leader`, end the leader. */
MUST_CHECK enum status store_set_tell_host(struct post *post, bool ends_leader);

/* A leader leads by the word in `app`, which the owner has given: those before count no more. */
MUST_CHECK enum status store_set_settle(struct app *app, const struct sign_key *owner,
                                        struct post *post);

extern const struct command store_set_list_command;    // store list
extern const struct command store_set_add_command;     // store add
extern const struct command store_set_remove_command;  // store remove

#endif
