/* src/cli/keeper.h */
#ifndef CLI_KEEPER_H
#define CLI_KEEPER_H

#include "cli/command.h"

/*
 * keeper: the owner's deputy (DESIGN 6.1): gives the next leader a term when one has died, while
 * the owner is away. It has a directory of its own, which the owner makes and brings to a machine
 * that the owner trusts; it is laid out as an app's (cli/app.h), with
 *
 *     owner/keeper.key   its own key, hex, 0600: it signs terms, and nothing else counts
 *     owner/delegation   the owner's word for that (capsule/delegation.h)
 *     owner/seed         the master seed, which each leader gets from it, 0600
 *     host               the host's directory: where it listens
 *
 * and without the owner's key. The owner's app keeps a copy of the delegation, owner/keeper-NAME.
 */
#define KEEPER_KEY "owner/keeper.key"
#define KEEPER_DELEGATION "owner/delegation"

extern const struct command keeper_command;         // keeper
extern const struct command keeper_grant_command;   // keeper grant
extern const struct command keeper_revoke_command;  // keeper revoke

#endif
