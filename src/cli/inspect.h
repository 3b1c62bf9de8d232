/* src/cli/inspect.h */
#ifndef CLI_INSPECT_H
#define CLI_INSPECT_H

#include "cli/command.h"

/* inspect: the record DAG of a store, offline, without any key. */
extern const struct command inspect_info_command;    // capsule info
extern const struct command inspect_verify_command;  // capsule verify
extern const struct command inspect_log_command;     // capsule log
extern const struct command inspect_export_command;  // capsule export

#endif
