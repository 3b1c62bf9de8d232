/* tests/cli/command_test.c */

/*
 * Goal: words are read as the command's description says, and nothing else is; the help shows all
 * that can be given.
 * Method: one made-up command with every kind of option.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/command.h"

static const struct command_option options[] = {
    {.name = "count",
     .letter = 'n',
     .value = "N",
     .text = "how many",
     .is_number = true,
     .minimum = 1,
     .maximum = 10},
    {.name = "prefix",
     .value = "P",
     .text = "what it begins with…… and as many words as fit here and more"},
    {.name = "follow", .letter = 'f', .text = "go on"},
};

static const struct command bake = {
    .name = "bake",
    .arguments = "CAKE [PLATE]",
    .argument_min = 1,
    .argument_max = 2,
    .summary = "Bake a cake.",
    .about = "One part.\n\nAnother one, whose lines are\nthose of the help.",
    .options = options,
    .option_count = 3,
    .example = "paranoid bake lemon",
};
static const struct command cake_cut = {.name = "cake cut", .arguments = ""};
static const struct command cake_eat = {.name = "cake eat", .arguments = ""};

static enum status parse(struct command_line *line, char *error, char *words[])
{
    int count = 0;
    while (words[count] != NULL) {
        count++;
    }
    return command_parse(line, &bake, count, words, error);
}

static void reads_options_in_every_form_and_place(void **state)
{
    (void)state;
    struct command_line line;
    char error[COMMAND_ERROR_BYTES];
    char *words[] = {"-n", "3", "lemon", "--prefix=a=b", "--prefix", "c", "-f", "--json", NULL};
    assert_int_equal(parse(&line, error, words), STATUS_OK);
    assert_int_equal(command_number(&line, "count", 7), 3);
    assert_string_equal(command_each(&line, "prefix", 0), "a=b");
    assert_string_equal(command_each(&line, "prefix", 1), "c");
    assert_null(command_each(&line, "prefix", 2));
    assert_string_equal(command_text(&line, "prefix", "none"), "c");
    assert_true(command_has(&line, "follow"));
    assert_true(command_has(&line, "json"));
    assert_false(command_has(&line, "app"));
    assert_string_equal(command_argument(&line, 0, "none"), "lemon");
    assert_string_equal(command_argument(&line, 1, "none"), "none");
}

static void a_lone_dash_and_what_follows_two_are_arguments(void **state)
{
    (void)state;
    struct command_line line;
    char error[COMMAND_ERROR_BYTES];
    char *words[] = {"-", "--", "--count", NULL};
    assert_int_equal(parse(&line, error, words), STATUS_OK);
    assert_int_equal(line.argument_count, 2);
    assert_string_equal(line.arguments[0], "-");
    assert_string_equal(line.arguments[1], "--count");
}

static void refuses_what_it_does_not_know_and_says_the_word(void **state)
{
    (void)state;
    static const struct {
        char *words[6];
        const char *said;
    } cases[] = {
        {{"lemon", "--colour", NULL}, "--colour"},
        {{"lemon", "-x", NULL}, "-x"},
        {{"lemon", "-ff", NULL}, "-ff"},
        {{"lemon", "--count", NULL}, "needs a value"},
        {{"lemon", "--count", "0", NULL}, "from 1 to 10, not '0'"},
        {{"lemon", "--count", "11", NULL}, "'11'"},
        {{"lemon", "--count", "3x", NULL}, "'3x'"},
        {{"lemon", "--count", "-3", NULL}, "'-3'"},
        {{"lemon", "--count=", NULL}, "''"},
        {{"lemon", "--follow=yes", NULL}, "no value"},
        {{"lemon", "plate", "fork", NULL}, "'fork'"},
        {{NULL}, "CAKE"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct command_line line;
        char error[COMMAND_ERROR_BYTES] = "";
        char *words[6];
        memcpy(words, cases[i].words, sizeof words);
        assert_int_equal(parse(&line, error, words), STATUS_MALFORMED);
        assert_non_null(strstr(error, cases[i].said));
    }
}

static void numbers_end_at_what_64_bits_hold(void **state)
{
    (void)state;
    uint64_t number;
    assert_true(command_read_number("18446744073709551609", 0, UINT64_MAX, &number));
    assert_int_equal(number, UINT64_MAX - 6);
    assert_false(command_read_number("18446744073709551616", 0, UINT64_MAX, &number));
    assert_false(command_read_number("99999999999999999999999", 0, UINT64_MAX, &number));
    assert_false(command_read_number("", 0, 5, &number));
    assert_false(command_read_number(" 1", 0, 5, &number));
}

static void takes_no_more_options_than_it_has_room_for(void **state)
{
    (void)state;
    struct command_line line;
    char error[COMMAND_ERROR_BYTES];
    char *words[COMMAND_VALUES_MAX + 3] = {"lemon"};
    for (int i = 1; i <= COMMAND_VALUES_MAX; i++) {
        words[i] = "-f";
    }
    assert_int_equal(parse(&line, error, words), STATUS_OK);
    words[COMMAND_VALUES_MAX + 1] = "-f";
    assert_int_equal(parse(&line, error, words), STATUS_MALFORMED);
}

static void finds_the_command_with_the_longest_name(void **state)
{
    (void)state;
    const struct command *const commands[] = {&bake, &cake_cut, &cake_eat};
    char *words[] = {"cake", "eat", "all"};
    char *unknown[] = {"cake", "eating"};
    int used;
    assert_ptr_equal(command_find(commands, 3, 3, words, &used), &cake_eat);
    assert_int_equal(used, 2);
    assert_null(command_find(commands, 3, 1, words, &used));
    assert_null(command_find(commands, 3, 2, unknown, &used));
}

static void help_names_every_option(void **state)
{
    (void)state;
    char *text = NULL;
    size_t length = 0;
    FILE *target = open_memstream(&text, &length);
    assert_non_null(target);
    command_help(&bake, target);
    fclose(target);
    static const char *const pieces[] = {
        "usage: paranoid bake", "CAKE [PLATE]", "Bake a cake.", "-n, --count N", "--prefix P",
        "-f, --follow", "--app DIR", "--json", "--help", "Exit status:", "paranoid bake lemon",
        "\nOne part.\n\nAnother one, whose lines are those of the help.\n\n",
        // 79 characters, for the dots are one each.
        "  --prefix P                what it begins with…… and as many words as fit here\n"};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        assert_non_null(strstr(text, pieces[i]));
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_options_in_every_form_and_place),
        cmocka_unit_test(a_lone_dash_and_what_follows_two_are_arguments),
        cmocka_unit_test(refuses_what_it_does_not_know_and_says_the_word),
        cmocka_unit_test(numbers_end_at_what_64_bits_hold),
        cmocka_unit_test(takes_no_more_options_than_it_has_room_for),
        cmocka_unit_test(finds_the_command_with_the_longest_name),
        cmocka_unit_test(help_names_every_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
