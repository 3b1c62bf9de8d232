/* src/cli/member.h */
#ifndef CLI_MEMBER_H
#define CLI_MEMBER_H

#include "cli/command.h"

/* member: who takes part, and who no longer may; and keys: the key epochs of an app. */
extern const struct command member_list_command;
extern const struct command member_revoke_command;
extern const struct command member_keys_command;
extern const struct command member_rotate_command;

#endif
