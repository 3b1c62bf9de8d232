/* src/cli/invoke.h */
#ifndef CLI_INVOKE_H
#define CLI_INVOKE_H

#include "base/buffer.h"
#include "cli/command.h"

/* invoke: calls a function over HTTPS, as any client would, with the owner's token. */

/* What a DATA argument means: the text, @FILE, or - for standard input. Says why it fails. */
MUST_CHECK enum status invoke_data(const char *word, struct buffer *data);

extern const struct command invoke_command;

#endif
