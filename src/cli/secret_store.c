/* src/cli/secret_store.c */
#include "cli/secret_store.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "capsule/function.h"
#include "cli/deploy.h"
#include "cli/file.h"
#include "cli/functions.h"
#include "cli/report.h"

static bool take_name(struct function_manifest *manifest, const char *name)
{
    if (!function_secret_name_is_valid(bytes_text(name))) {
        report_error("cannot use '%s': a secret's name has 1 to %d letters, digits, '-' and '_'",
                     name, FUNCTION_SECRET_NAME_BYTES_MAX);
        return false;
    }
    manifest->runtime = FUNCTION_SECRET;
    snprintf(manifest->name, sizeof manifest->name, FUNCTION_SECRET_PREFIX "%s", name);
    return true;
}

/* What it says stays unsaid: only that it does not fit. */
static bool is_text(struct bytes secret)
{
    bool is_good = deploy_is_text(secret);
    if (!is_good) {
        report_error(
            "cannot set the secret: it is %s; functions get it as a string, so encode "
            "bytes, in base64 for example",
            secret.length == 0 ? "empty" : "no UTF-8");
    }
    return is_good;
}

static int run_set(const struct command_line *line)
{
    int result = COMMAND_USAGE;
    const char *path = command_argument(line, 1, "-");
    struct buffer secret = BUFFER_EMPTY;
    struct function_manifest manifest = {.is_removed = false};
    if (!take_name(&manifest, line->arguments[0])) {
        return COMMAND_USAGE;
    }
    if (strcmp(path, "-") == 0 && isatty(STDIN_FILENO) == 1) {
        report_note("type the secret; Ctrl-D at the beginning of a line ends it");
    }
    enum status status = file_read(&secret, path, FUNCTION_SECRET_BYTES_MAX);
    if (status != STATUS_OK) {
        report_error("cannot read '%s': %s", path,
                     status == STATUS_FULL ? "a secret has at most 64 KiB" : file_reason(status));
        result = COMMAND_COULD_NOT;
    } else if (is_text(buffer_bytes(&secret))) {
        result = deploy_publish(line, &manifest, buffer_bytes(&secret));
    }
    buffer_release(&secret);
    return result;
}

static int run_delete(const struct command_line *line)
{
    struct function_manifest manifest = {.is_removed = true};
    if (!take_name(&manifest, line->arguments[0])) {
        return COMMAND_USAGE;
    }
    return deploy_publish(line, &manifest, bytes_of(NULL, 0));
}

static int run_list(const struct command_line *line)
{
    return functions_list(line, true);
}

const struct command secret_store_set_command = {
    .name = "secret set",
    .arguments = "NAME [FILE | -]",
    .argument_min = 1,
    .argument_max = 2,
    .summary = "Give functions a secret: ctx.secret(NAME), in enclaves only.",
    .about =
        "The secret is the text of FILE or of standard input, to the last byte: a line feed at "
        "its\n"
        "end is part of it. A new one replaces the old at each worker. It is never an argument,\n"
        "because the system shows those to others.",
    .status = "0 set, 1 the leader refuses it or is refused, 2 wrong usage, 3 could not",
    .example = "printf %s \"$KEY\" | paranoid secret set api-key",
    .run = run_set,
};

const struct command secret_store_list_command = {
    .name = "secret list",
    .arguments = "",
    .summary = "List the names of the secrets, as this machine's stores have them.",
    .status = "0 listed, 1 the capsule does not verify, 2 wrong usage, 3 could not",
    .example = "paranoid secret list",
    .run = run_list,
};

const struct command secret_store_delete_command = {
    .name = "secret delete",
    .arguments = "NAME",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Take a secret away from all functions.",
    .status = "0 removed, 1 the leader refuses that or is refused, 2 wrong usage, 3 could not",
    .example = "paranoid secret delete api-key",
    .run = run_delete,
};
