/* src/cli/simulate.c */
#include "cli/simulate.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/app.h"
#include "cli/report.h"

enum { WORD_BYTES = FILE_PATH_BYTES + 16 };

static const struct command_option options[] = {
    {.name = "seed",
     .value = "S",
     .text = "the first seed (default: 1)",
     .is_number = true,
     .maximum = UINT64_MAX / 2},
    {.name = "seeds",
     .value = "N",
     .text = "how many seeds, one after the other (default: 1)",
     .is_number = true,
     .minimum = 1,
     .maximum = UINT32_MAX},
    {.name = "seconds",
     .value = "S",
     .text = "begin no seed later than that (default: all of them)",
     .is_number = true,
     .minimum = 1,
     .maximum = 1000000},
    {.name = "steps",
     .value = "N",
     .text = "steps of workload and faults before they stop (default: 80)",
     .is_number = true,
     .maximum = 1000000},
    {.name = "workers",
     .value = "W",
     .text = "workers at a time (default: 3)",
     .is_number = true,
     .minimum = 1,
     .maximum = 32},
    {.name = "stores",
     .value = "N",
     .text = "stores (default: 1)",
     .is_number = true,
     .minimum = 1,
     .maximum = 8},
    {.name = "receipts",
     .value = "W",
     .text = "stores that must hold a put before it is durable (default: most of them)",
     .is_number = true,
     .minimum = 1,
     .maximum = 8},
    {.name = "tolerated",
     .value = "F",
     .text = "stores that may lie or be rolled back, less than W (default: 0)",
     .is_number = true,
     .minimum = 0,
     .maximum = 7},
    {.name = "without",
     .value = "FAULTS",
     .text = "leave these out: late, drop, kill-store, ... (docs/simulation.md), with commas"},
    {.name = "jobs",
     .value = "N",
     .text = "processes at a time (default: 1)",
     .is_number = true,
     .minimum = 1,
     .maximum = 64},
    {.name = "curve", .text = "measure what an epoch costs 10 to 1,000 workers instead"},
    {.name = "reads", .text = "measure how reads of cold keys grow with 1 to 16 workers instead"},
    {.name = "trace", .text = "print one line for each event (docs/simulation.md)"},
    {.name = "log", .text = "print what the processes log, to standard error"},
};

static int run(const struct command_line *line)
{
    char directory[FILE_PATH_BYTES], path[FILE_PATH_BYTES + 16];
    char words[COMMAND_VALUES_MAX][WORD_BYTES];
    char *arguments[COMMAND_VALUES_MAX + 2] = {path};
    if (app_program_directory(directory) != STATUS_OK) {
        return COMMAND_COULD_NOT;
    }
    snprintf(path, sizeof path, "%s/paranoid-sim", directory);
    for (size_t i = 0; i < line->value_count; i++) {
        const struct command_value *value = &line->values[i];
        bool is_flag = value->text[0] == '\0';
        snprintf(words[i], WORD_BYTES, "--%s%s%s", value->name, is_flag ? "" : "=", value->text);
        arguments[i + 1] = words[i];
    }
    execv(path, arguments);
    report_error("cannot start '%s': %s; build it with './run build'", path, strerror(errno));
    return COMMAND_COULD_NOT;
}

const struct command simulate_command = {
    .name = "sim",
    .arguments = "",
    .summary = "Run a whole app in one process under faults and a seed, and check every promise.",
    .about =
        "Leader, workers and stores as they are, with a network, a disk and clocks that fail as\n"
        "the seed has it. A seed that fails fails again; it is reduced to fewer faults, processes\n"
        "and steps, and the command that repeats it is printed.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .status = "0 every promise was kept, 1 one was not, 2 wrong usage, 3 could not",
    .example = "paranoid sim --seed 1 --seeds 200 --jobs 2",
    .run = run,
};
