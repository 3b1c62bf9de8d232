/* src/cli/main.c */

/* paranoid: the owner's command line, and the untrusted host that it starts. */

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/audit.h"
#include "cli/command.h"
#include "cli/deploy.h"
#include "cli/doctor.h"
#include "cli/exhibit.h"
#include "cli/fetch.h"
#include "cli/functions.h"
#include "cli/hosting.h"
#include "cli/init.h"
#include "cli/inspect.h"
#include "cli/invoke.h"
#include "cli/judge.h"
#include "cli/keeper.h"
#include "cli/kv.h"
#include "cli/logs.h"
#include "cli/measure.h"
#include "cli/member.h"
#include "cli/policy_file.h"
#include "cli/publication.h"
#include "cli/recover.h"
#include "cli/report.h"
#include "cli/secret_store.h"
#include "cli/show.h"
#include "cli/simulate.h"
#include "cli/store_set.h"
#include "cli/succession.h"
#include "cli/token.h"
#include "cli/up.h"
#include "crypto/crypto.h"

/* In the order of a newcomer's first hour. */
static const struct command *const commands[] = {
    &init_command,
    &up_command,
    &deploy_command,
    &deploy_remove_command,
    &functions_command,
    &secret_store_set_command,
    &secret_store_list_command,
    &secret_store_delete_command,
    &invoke_command,
    &logs_command,
    &kv_get_command,
    &kv_put_command,
    &kv_delete_command,
    &kv_list_command,
    &kv_history_command,
    &show_command,
    &inspect_info_command,
    &inspect_verify_command,
    &inspect_log_command,
    &inspect_export_command,
    &exhibit_command,
    &recover_command,
    &keeper_command,
    &keeper_grant_command,
    &keeper_revoke_command,
    &audit_command,
    &judge_command,
    &fetch_command,
    &measure_command,
    &publication_command,
    &succession_succeed_command,
    &succession_retire_command,
    &policy_file_command,
    &member_list_command,
    &member_revoke_command,
    &member_keys_command,
    &member_rotate_command,
    &store_set_list_command,
    &store_set_add_command,
    &store_set_remove_command,
    &doctor_command,
    &token_command,
    &simulate_command,
    &hosting_command,
};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static void print_commands(FILE *target, const char *group)
{
    size_t length = strlen(group);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const struct command *command = commands[i];
        bool is_meant = length == 0 || (strncmp(command->name, group, length) == 0 &&
                                        command->name[length] == ' ');
        if (is_meant && !command->is_hidden) {
            fprintf(target, "  %-16s %s\n", command->name, command->summary);
        }
    }
}

static bool is_group(const char *word)
{
    size_t length = strlen(word);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (length > 0 && strncmp(commands[i]->name, word, length) == 0 &&
            commands[i]->name[length] == ' ') {
            return true;
        }
    }
    return false;
}

static void print_help(FILE *target)
{
    fputs(
        "usage: paranoid COMMAND [OPTION]… [ARGUMENT]…\n\n"
        "Functions that share state, on machines that nobody has to trust.\n\n",
        target);
    print_commands(target, "");
    fputs(
        "\nEvery command takes --app DIR, --json and --help. 'paranoid help COMMAND' says more.\n\n"
        "Exit status: 0 ok, 1 no, 2 wrong usage, 3 could not.\n\n"
        "Example:\n"
        "  paranoid init && paranoid up\n",
        target);
}

static int refuse_command(int count, char *const words[])
{
    report_error("there is no command '%s%s%s'; 'paranoid help' lists them", words[0],
                 count > 1 && is_group(words[0]) ? " " : "",
                 count > 1 && is_group(words[0]) ? words[1] : "");
    return COMMAND_USAGE;
}

/* The words after "help". */
static int help(int count, char *const words[])
{
    int used;
    const struct command *command = command_find(commands, COMMAND_COUNT, count, words, &used);
    if (command != NULL && used == count) {
        command_help(command, stdout);
    } else if (count == 1 && is_group(words[0])) {
        printf("usage: paranoid %s COMMAND [OPTION]… [ARGUMENT]…\n\n", words[0]);
        print_commands(stdout, words[0]);
    } else if (count == 0) {
        print_help(stdout);
    } else {
        return refuse_command(count, words);
    }
    return COMMAND_OK;
}

static int run_command(const struct command *command, int count, char *const words[])
{
    char error[COMMAND_ERROR_BYTES];
    struct command_line line;
    if (command_parse(&line, command, count, words, error) != STATUS_OK) {
        report_error("%s: %s; see 'paranoid help %s'", command->name, error, command->name);
        return COMMAND_USAGE;
    }
    if (command_has(&line, "help")) {
        command_help(command, stdout);
        return COMMAND_OK;
    }
    int result = command->run(&line);
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        report_error("cannot write the result to standard output");
        return COMMAND_COULD_NOT;
    }
    return result;
}

int main(int argc, char *argv[])
{
    int count = argc - 1, used;
    char *const *words = argv + 1;
    signal(SIGPIPE, SIG_IGN);
    crypto_init();
    if (count <= 0) {
        print_help(stderr);
        return COMMAND_USAGE;
    }
    if (strcmp(words[0], "help") == 0) {
        return help(count - 1, words + 1);
    }
    if (strcmp(words[0], "--help") == 0 || strcmp(words[0], "-h") == 0) {
        return help(0, words);
    }
    const struct command *command = command_find(commands, COMMAND_COUNT, count, words, &used);
    if (command != NULL) {
        return run_command(command, count - used, words + used);
    }
    if (is_group(words[0]) && (count == 1 || strcmp(words[1], "--help") == 0)) {
        return help(1, words);
    }
    return refuse_command(count, words);
}
