/* src/cli/logs.c */
#include "cli/logs.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "cli/report.h"
#include "cli/service.h"
#include "host/host.h"

enum { LOGS_POLL_MS = 500 };

/* How far each worker's lines are known. */
struct reader {
    struct service service;
    uint64_t last[HOST_WORKER_COUNT_MAX];
    bool is_json;
};

static void print_line(const struct reader *reader, size_t worker, json_t *line)
{
    if (reader->is_json) {
        json_object_set_new(line, "worker", json_integer((json_int_t)worker));
        json_dumpf(line, stdout, JSON_COMPACT | JSON_SORT_KEYS);
        putchar('\n');
        return;
    }
    const char *function = json_string_value(json_object_get(line, "function"));
    const char *level = json_string_value(json_object_get(line, "level"));
    const char *text = json_string_value(json_object_get(line, "text"));
    printf("%zu %s %s: %s\n", worker, function == NULL ? "?" : function,
           level == NULL ? "?" : level, text == NULL ? "" : text);
}

static int read_worker(struct reader *reader, size_t worker)
{
    int result = COMMAND_COULD_NOT;
    char target[64];
    struct client_response response;
    snprintf(target, sizeof target, "/logs?after=%" PRIu64, reader->last[worker]);
    const struct client_request request = {.method = "GET", .target = target, .headers = ""};
    if (service_ask_once(&reader->service, (int)worker, &request, &response) != STATUS_OK) {
        goto done;
    }
    if (response.status >= 400) {
        service_report(&response, "read the logs of", "worker");
        result = COMMAND_NO;
        goto done;
    }
    json_t *page =
        json_loadb((const char *)response.body.bytes, response.body.length, JSON_ALLOW_NUL, NULL);
    size_t index;
    json_t *line;
    json_array_foreach(json_object_get(page, "lines"), index, line)
    {
        print_line(reader, worker, line);
    }
    reader->last[worker] = (uint64_t)json_integer_value(json_object_get(page, "last"));
    json_decref(page);
    result = COMMAND_OK;

done:
    client_response_release(&response);
    return result;
}

static int run(const struct command_line *line)
{
    int result = COMMAND_COULD_NOT;
    struct reader reader = {.is_json = command_has(line, "json")};
    if (service_open(&reader.service, line) != STATUS_OK) {
        goto done;
    }
    size_t count = json_array_size(json_object_get(reader.service.ports, "worker_ports"));
    count = count > HOST_WORKER_COUNT_MAX ? HOST_WORKER_COUNT_MAX : count;
    int only = service_worker_of(line);
    if (service_find_worker(&reader.service, only) != STATUS_OK) {
        goto done;
    }
    do {
        for (size_t i = 0; i < count; i++) {
            if (only != SERVICE_BALANCED && (size_t)only != i) {
                continue;
            }
            result = read_worker(&reader, i);
            if (result != COMMAND_OK) {
                goto done;
            }
        }
        fflush(stdout);
        if (command_has(line, "follow")) {
            // The lines lie in the enclaves' memory, and in no file: a worker tells them only when
            // it is asked.
            nanosleep(&(struct timespec){.tv_nsec = LOGS_POLL_MS * 1000000L}, NULL);
        }
    } while (command_has(line, "follow"));

done:
    service_release(&reader.service);
    return result;
}

static const struct command_option options[] = {
    {.name = "follow", .letter = 'f', .text = "go on printing what comes"},
    {.name = "worker",
     .value = "I",
     .text = "of worker I alone, from 0 (default: all)",
     .is_number = true,
     .maximum = HOST_WORKER_COUNT_MAX - 1},
};

const struct command logs_command = {
    .name = "logs",
    .arguments = "",
    .summary = "Print what functions logged: worker, function, level, text.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .status = "0 printed, 1 refused, 2 wrong usage, 3 could not ask",
    .example = "paranoid logs -f",
    .run = run,
};
