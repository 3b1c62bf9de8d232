/* src/cli/command.h */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

/*
 * command: what one command is called, takes and does, stated once: its
 * arguments are parsed and its help is composed from the same description.
 */

/* How a command ends: the exit status of the program. */
enum {
    COMMAND_OK = 0,
    COMMAND_NO = 1,        // it was done, and the answer is no
    COMMAND_USAGE = 2,     // the words made no sense
    COMMAND_COULD_NOT = 3  // something is missing, broken or not running
};

enum { COMMAND_VALUES_MAX = 48, COMMAND_ARGUMENTS_MAX = 3, COMMAND_ERROR_BYTES = 256 };

struct command_option {
    const char *name;   // "workers": given as --workers N or --workers=N
    char letter;        // given as -n, too; 0: it is not
    const char *value;  // how the help calls what follows it, "N"; NULL: it is a flag
    const char *text;   // for the help: what it is, its unit and its default
    bool is_number;     // between `minimum` and `maximum`
    uint64_t minimum;
    uint64_t maximum;
};

struct command_line;

struct command {
    const char *name;       // "up", "capsule verify"
    const char *arguments;  // as the help shows them, "[DIR]"; "" for none
    size_t argument_min;
    size_t argument_max;
    const char *summary;  // what it does, in one sentence
    const char *about;    // more about it; NULL: nothing more
    const struct command_option *options;
    size_t option_count;
    const char *status;  // what the exit statuses mean here; NULL: as everywhere
    const char *example;
    int (*run)(const struct command_line *line);
    bool is_hidden;  // not in the list: the program calls it itself
};

/* Every command also takes --app DIR, --json and --help. */
struct command_value {
    const char *name;
    const char *text;  // "" for a flag
    uint64_t number;
};

/* A parsed line. Borrows from the words. */
struct command_line {
    const char *arguments[COMMAND_ARGUMENTS_MAX];
    size_t argument_count;
    struct command_value values[COMMAND_VALUES_MAX];
    size_t value_count;
};

/*
 * Read the words after the command's name. STATUS_MALFORMED: `error` says which
 * word is wrong and how.
 */
MUST_CHECK enum status command_parse(struct command_line *line, const struct command *command,
                                     int count, char *const words[],
                                     char error[COMMAND_ERROR_BYTES]);

bool command_has(const struct command_line *line, const char *name);

/* The last value given, or `otherwise`. */
const char *command_text(const struct command_line *line, const char *name, const char *otherwise);
uint64_t command_number(const struct command_line *line, const char *name, uint64_t otherwise);

/* Value number `index` of an option that may be given several times; NULL: there is none. */
const char *command_each(const struct command_line *line, const char *name, size_t index);

/* Argument number `index`, or `otherwise`. */
const char *command_argument(const struct command_line *line, size_t index, const char *otherwise);

/* A decimal number from `minimum` to `maximum`, and nothing else. */
bool command_read_number(const char *text, uint64_t minimum, uint64_t maximum, uint64_t *number);

/* Write the help of one command. */
void command_help(const struct command *command, FILE *target);

/*
 * The command that the words begin with: of `commands`, the one with the longest name that
 * matches; `*used` receives how many words that name has. NULL: none does.
 */
const struct command *command_find(const struct command *const *commands, size_t command_count,
                                   int count, char *const words[], int *used);

#endif
