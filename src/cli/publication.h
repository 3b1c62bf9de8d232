/* src/cli/publication.h */
#ifndef CLI_PUBLICATION_H
#define CLI_PUBLICATION_H

#include "attest/policy.h"
#include "base/buffer.h"
#include "base/status.h"
#include "cli/app.h"
#include "cli/command.h"

/*
 * publication: how policy.json comes into force. The owner signs it, and a leader records it: the
 * running one, which judges by it from then on, or else the next with its term. The version is
 * above every one that was ever signed, so that no capsule refuses it as old.
 */

/*
 * Whether policy.json has to be published: `text` receives it when it is not the one that a leader
 * took last, and stays empty otherwise. `policy`, parsed from it, and policy.json get a higher
 * version where they need one. Says on stderr why it failed.
 */
MUST_CHECK enum status publication_prepare(const struct app *app, struct policy *policy,
                                           struct buffer *text);

/* A leader has taken that text. */
MUST_CHECK enum status publication_note(const struct app *app, struct bytes text);

/* The policy that a leader took last. */
MUST_CHECK enum status publication_in_force(const struct app *app, struct policy *policy);

/*
 * The end of a command that has written policy.json: hand it to the running leader, which is judged
 * by the policy in force, and say so. When the app does not run, the next leader takes it. `done`
 * is what the command did: "admits both". What comes back is the command's result.
 */
int publication_finish(const struct app *app, const char *done, bool is_json);

extern const struct command publication_command;  // policy publish

#endif
