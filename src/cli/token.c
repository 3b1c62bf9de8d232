/* src/cli/token.c */
#include "cli/token.h"

#include <stdio.h>

#include "base/buffer.h"
#include "capsule/keys.h"
#include "cli/app.h"

static int run(const struct command_line *line)
{
    int result = COMMAND_COULD_NOT;
    struct app app;
    struct secret *seed = NULL;
    char text[KEYS_TOKEN_TEXT_BYTES];
    if (app_open(&app, line) == STATUS_OK && app_seed(&app, &seed) == STATUS_OK) {
        keys_token(seed, &app.genesis.capsule, text);
        printf(command_has(line, "json") ? "{\"token\":\"%s\"}\n" : "%s\n", text);
        buffer_wipe(text, sizeof text);
        result = COMMAND_OK;
    }
    secret_free(seed);
    app_release(&app);
    return result;
}

const struct command token_command = {
    .name = "token",
    .arguments = "",
    .summary = "Print the owner's bearer token, for curl and other clients.",
    .about =
        "Who has it may call every function and read and write every key, until the app gets a\n"
        "new seed. Keep it in a file that nobody else can read, never in an argument: after the\n"
        "example, 'curl -H @token' sends it.",
    .example = "(umask 077; printf 'Authorization: Bearer %s' \"$(paranoid token)\" >token)",
    .run = run,
};
