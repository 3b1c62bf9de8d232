/* src/cli/command.c */
#include "cli/command.h"

#include <string.h>

enum {
    HELP_COLUMN = 24,       // of options; their texts begin four further on
    HELP_COLUMNS_MAX = 79,  // and a full stop
};

static const struct command_option common_options[] = {
    {.name = "app", .value = "DIR", .text = "the app's directory (default: . or ./paranoid-app)"},
    {.name = "json", .text = "print the result as JSON"},
    {.name = "help", .letter = 'h', .text = "print this help"},
};
enum { COMMON_OPTION_COUNT = sizeof common_options / sizeof *common_options };

static size_t option_total(const struct command *command)
{
    return command->option_count + COMMON_OPTION_COUNT;
}

/* The command's own options, and then those that all have. */
static const struct command_option *option_at(const struct command *command, size_t index)
{
    return index < command->option_count ? &command->options[index]
                                         : &common_options[index - command->option_count];
}

static const struct command_option *find_long(const struct command *command, const char *name,
                                              size_t length)
{
    for (size_t i = 0; i < option_total(command); i++) {
        const struct command_option *option = option_at(command, i);
        if (strlen(option->name) == length && memcmp(option->name, name, length) == 0) {
            return option;
        }
    }
    return NULL;
}

static const struct command_option *find_letter(const struct command *command, char letter)
{
    for (size_t i = 0; i < option_total(command); i++) {
        if (option_at(command, i)->letter == letter) {
            return option_at(command, i);
        }
    }
    return NULL;
}

bool command_read_number(const char *text, uint64_t minimum, uint64_t maximum, uint64_t *number)
{
    uint64_t result = 0;
    if (*text == '\0') {
        return false;
    }
    for (const char *at = text; *at != '\0'; at++) {
        if (*at < '0' || *at > '9' || result > (UINT64_MAX - 9) / 10) {
            return false;
        }
        result = result * 10 + (uint64_t)(*at - '0');
    }
    *number = result;
    return minimum <= result && result <= maximum;
}

static enum status add_value(struct command_line *line, const struct command_option *option,
                             const char *text, char error[COMMAND_ERROR_BYTES])
{
    struct command_value value = {.name = option->name, .text = text};
    if (option->is_number &&
        !command_read_number(text, option->minimum, option->maximum, &value.number)) {
        snprintf(error, COMMAND_ERROR_BYTES, "--%s takes a number from %llu to %llu, not '%s'",
                 option->name, (unsigned long long)option->minimum,
                 (unsigned long long)option->maximum, text);
        return STATUS_MALFORMED;
    }
    if (line->value_count == COMMAND_VALUES_MAX) {
        snprintf(error, COMMAND_ERROR_BYTES, "too many options");
        return STATUS_MALFORMED;
    }
    line->values[line->value_count++] = value;
    return STATUS_OK;
}

/* The option that starts with `word`; `next` is the word behind it, or NULL. */
static enum status read_option(struct command_line *line, const struct command *command,
                               const char *word, const char *next, bool *took_next,
                               char error[COMMAND_ERROR_BYTES])
{
    bool is_long = word[1] == '-';
    const char *equals = is_long ? strchr(word, '=') : NULL;
    size_t name_length = equals != NULL ? (size_t)(equals - word) - 2 : strlen(word) - 2;
    const struct command_option *option = NULL;
    if (is_long) {
        option = find_long(command, word + 2, name_length);
    } else if (word[2] == '\0') {
        option = find_letter(command, word[1]);
    }
    *took_next = false;
    if (option == NULL) {
        snprintf(error, COMMAND_ERROR_BYTES, "there is no option '%s'", word);
        return STATUS_MALFORMED;
    }
    if (option->value == NULL) {
        if (equals != NULL) {
            snprintf(error, COMMAND_ERROR_BYTES, "--%s takes no value", option->name);
            return STATUS_MALFORMED;
        }
        return add_value(line, option, "", error);
    }
    const char *text = equals != NULL ? equals + 1 : next;
    if (text == NULL) {
        snprintf(error, COMMAND_ERROR_BYTES, "--%s needs a value: %s", option->name, option->value);
        return STATUS_MALFORMED;
    }
    *took_next = equals == NULL;
    return add_value(line, option, text, error);
}

enum status command_parse(struct command_line *line, const struct command *command, int count,
                          char *const words[], char error[COMMAND_ERROR_BYTES])
{
    bool only_arguments = false;
    *line = (struct command_line){.argument_count = 0};
    for (int i = 0; i < count; i++) {
        const char *word = words[i];
        if (!only_arguments && strcmp(word, "--") == 0) {
            only_arguments = true;
            continue;
        }
        // A lone '-' is an argument: standard input.
        if (!only_arguments && word[0] == '-' && word[1] != '\0') {
            bool took_next;
            enum status status = read_option(
                line, command, word, i + 1 < count ? words[i + 1] : NULL, &took_next, error);
            if (status != STATUS_OK) {
                return status;
            }
            i += took_next ? 1 : 0;
            continue;
        }
        if (line->argument_count == command->argument_max) {
            snprintf(error, COMMAND_ERROR_BYTES, "'%s' is one argument too many", word);
            return STATUS_MALFORMED;
        }
        line->arguments[line->argument_count++] = word;
    }
    if (line->argument_count < command->argument_min && !command_has(line, "help")) {
        snprintf(error, COMMAND_ERROR_BYTES, "something is missing: %s %s", command->name,
                 command->arguments);
        return STATUS_MALFORMED;
    }
    return STATUS_OK;
}

static const struct command_value *last_value(const struct command_line *line, const char *name)
{
    const struct command_value *found = NULL;
    for (size_t i = 0; i < line->value_count; i++) {
        if (strcmp(line->values[i].name, name) == 0) {
            found = &line->values[i];
        }
    }
    return found;
}

bool command_has(const struct command_line *line, const char *name)
{
    return last_value(line, name) != NULL;
}

const char *command_text(const struct command_line *line, const char *name, const char *otherwise)
{
    const struct command_value *value = last_value(line, name);
    return value != NULL ? value->text : otherwise;
}

uint64_t command_number(const struct command_line *line, const char *name, uint64_t otherwise)
{
    const struct command_value *value = last_value(line, name);
    return value != NULL ? value->number : otherwise;
}

const char *command_each(const struct command_line *line, const char *name, size_t index)
{
    for (size_t i = 0; i < line->value_count; i++) {
        if (strcmp(line->values[i].name, name) == 0 && index-- == 0) {
            return line->values[i].text;
        }
    }
    return NULL;
}

const char *command_argument(const struct command_line *line, size_t index, const char *otherwise)
{
    return index < line->argument_count ? line->arguments[index] : otherwise;
}

/* ---- help ---- */

/* How many characters the next word has, in UTF-8; `*length` receives its bytes. */
static size_t measure_word(const char *at, size_t *length)
{
    size_t columns = 0;
    *length = strcspn(at, " \n");
    for (size_t i = 0; i < *length; i++) {
        columns += ((unsigned char)at[i] & 0xC0) != 0x80;
    }
    return columns;
}

/*
 * Words, broken into lines that begin at column `indent`; the first one goes on at column `column`.
 * An empty line in `text` stays one.
 */
static void print_words(FILE *target, const char *text, size_t indent, size_t column)
{
    const char *at = text;
    while (*at != '\0') {
        size_t length, columns = measure_word(at, &length);
        if (column > indent && column + 1 + columns > HELP_COLUMNS_MAX) {
            fprintf(target, "\n%*s", (int)indent, "");
            column = indent;
        }
        column += (size_t)fprintf(target, "%s", column > indent ? " " : "") + columns;
        fprintf(target, "%.*s", (int)length, at);
        at += length;
        if (at[0] == '\n' && at[1] == '\n') {
            fprintf(target, "\n\n%*s", (int)indent, "");
            column = indent;
        }
        at += strspn(at, " \n");
    }
}

static void print_option(const struct command_option *option, FILE *target)
{
    enum { TEXT_COLUMN = HELP_COLUMN + 4 };
    char left[64];
    int length = 0;
    if (option->letter != 0) {
        length = snprintf(left, sizeof left, "-%c, ", option->letter);
    }
    snprintf(left + length, sizeof left - (size_t)length, "--%s%s%s", option->name,
             option->value != NULL ? " " : "", option->value != NULL ? option->value : "");
    fprintf(target, "  %-*s  ", HELP_COLUMN, left);
    print_words(target, option->text, TEXT_COLUMN, TEXT_COLUMN);
    fputc('\n', target);
}

void command_help(const struct command *command, FILE *target)
{
    static const char usual[] = "0 done, 2 wrong usage, 3 could not", heading[] = "Exit status:";
    fprintf(target, "usage: paranoid %s%s%s%s\n\n", command->name,
            command->option_count > 0 ? " [OPTION]…" : "", command->arguments[0] != '\0' ? " " : "",
            command->arguments);
    print_words(target, command->summary, 0, 0);
    if (command->about != NULL) {
        fputs("\n\n", target);
        print_words(target, command->about, 0, 0);
    }
    fputs("\n\n", target);
    for (size_t i = 0; i < option_total(command); i++) {
        print_option(option_at(command, i), target);
    }
    fprintf(target, "\n%s", heading);
    print_words(target, command->status != NULL ? command->status : usual, 0, sizeof heading - 1);
    fprintf(target, ".\n\nExample:\n  %s\n", command->example);
}

/* How many of the words the name takes up; 0: it does not match. */
static int match_name(const char *name, int count, char *const words[])
{
    int used = 0;
    const char *at = name;
    while (*at != '\0') {
        size_t length = strcspn(at, " ");
        if (used == count || strlen(words[used]) != length ||
            memcmp(words[used], at, length) != 0) {
            return 0;
        }
        used++;
        at += length;
        at += *at == ' ' ? 1 : 0;
    }
    return used;
}

const struct command *command_find(const struct command *const *commands, size_t command_count,
                                   int count, char *const words[], int *used)
{
    const struct command *found = NULL;
    *used = 0;
    for (size_t i = 0; i < command_count; i++) {
        int matched = match_name(commands[i]->name, count, words);
        if (matched > *used) {
            *used = matched;
            found = commands[i];
        }
    }
    return found;
}
