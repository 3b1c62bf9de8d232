/* src/cli/secret_store.h */
#ifndef CLI_SECRET_STORE_H
#define CLI_SECRET_STORE_H

#include "cli/command.h"

/*
 * secret_store: secrets for functions. Each is a FUNCTION record of the runtime "secret"
 * (capsule/function.h), signed by the owner and sealed by the leader: enclaves of the app open it,
 * and the owner's command line.
 */
extern const struct command secret_store_set_command;     // secret set
extern const struct command secret_store_list_command;    // secret list
extern const struct command secret_store_delete_command;  // secret delete

#endif
