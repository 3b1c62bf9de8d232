/* src/cli/kv.h */
#ifndef CLI_KV_H
#define CLI_KV_H

#include "cli/command.h"

/* kv: the shared state, by hand, over HTTPS; and its past, offline. */
extern const struct command kv_get_command;
extern const struct command kv_put_command;
extern const struct command kv_delete_command;
extern const struct command kv_list_command;
extern const struct command kv_history_command;

#endif
