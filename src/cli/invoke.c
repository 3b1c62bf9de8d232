/* src/cli/invoke.c */
#include "cli/invoke.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "capsule/function.h"
#include "cli/report.h"
#include "cli/service.h"
#include "host/host.h"

#define INVOKE_RECEIPT_HEADER "X-Paranoid-Receipt: 1\r\n"

enum { INVOKE_DATA_BYTES_MAX = 64 << 20 };

enum status invoke_data(const char *word, struct buffer *data)
{
    if (word[0] != '@' && strcmp(word, "-") != 0) {
        return buffer_append(data, word, strlen(word));
    }
    const char *path = word[0] == '@' ? word + 1 : word;
    enum status status = file_read(data, path, INVOKE_DATA_BYTES_MAX);
    if (status != STATUS_OK) {
        report_error("cannot read '%s': %s", path, file_reason(status));
    }
    return status;
}

/* Lines of --header K:V; false: one is none. */
static bool collect_headers(const struct command_line *line, struct buffer *headers)
{
    const char *given;
    for (size_t i = 0; (given = command_each(line, "header", i)) != NULL; i++) {
        const char *colon = strchr(given, ':');
        if (colon == NULL || colon == given || strpbrk(given, "\r\n") != NULL) {
            report_error("cannot send header '%s': write it as NAME:VALUE", given);
            return false;
        }
        if (buffer_append(headers, given, strlen(given)) != STATUS_OK ||
            buffer_append(headers, "\r\n", 2) != STATUS_OK) {
            return false;
        }
    }
    return buffer_append(headers, "", 1) == STATUS_OK;
}

/* Keep the receipt, or say that there is none. */
static bool save_receipt(const struct client_response *response, const char *path)
{
    struct buffer bytes = BUFFER_EMPTY;
    if (response->receipt.length == 0) {
        report_error("cannot write '%s': there is no receipt; only an answer of a function has one",
                     path);
        return false;
    }
    enum status status = base64_decode(&bytes, buffer_bytes(&response->receipt));
    if (status == STATUS_OK) {
        status = file_replace(path, buffer_bytes(&bytes), 0644);
    }
    if (status != STATUS_OK) {
        report_error("cannot write '%s': %s; %s", path, file_reason(status), file_remedy(errno));
    }
    buffer_release(&bytes);
    return status == STATUS_OK;
}

static void print_json(const struct client_response *response)
{
    json_t *body = json_stringn((const char *)response->body.bytes, response->body.length);
    json_t *result =
        json_pack("{s:i, s:s%, s:o}", "status", (int)response->status, "version",
                  response->version.bytes == NULL ? "" : (char *)response->version.bytes,
                  response->version.length, "body", body == NULL ? json_null() : body);
    json_dumpf(result, stdout, JSON_COMPACT | JSON_SORT_KEYS);
    putchar('\n');
    json_decref(result);
}

static int run(const struct command_line *line)
{
    int result = COMMAND_COULD_NOT;
    const char *name = line->arguments[0];
    struct service service;
    struct client_response response = {.status = 0};
    struct buffer data = BUFFER_EMPTY, headers = BUFFER_EMPTY;
    char target[SERVICE_PATH_BYTES];
    if (!function_name_is_valid(bytes_text(name))) {
        report_error("cannot invoke '%s': a name has 1 to 64 letters, digits, '-' and '_'", name);
        return COMMAND_USAGE;
    }
    const char *receipt = command_text(line, "receipt", NULL);
    // What a function has done is done, whether or not its receipt can be kept.
    if (receipt != NULL && file_try_replace(receipt) != STATUS_OK) {
        report_error("cannot write '%s': %s; %s", receipt, strerror(errno), file_remedy(errno));
        return COMMAND_COULD_NOT;
    }
    if (receipt != NULL && buffer_append(&headers, INVOKE_RECEIPT_HEADER,
                                         strlen(INVOKE_RECEIPT_HEADER)) != STATUS_OK) {
        return COMMAND_COULD_NOT;
    }
    if (!collect_headers(line, &headers)) {
        buffer_release(&headers);
        return COMMAND_USAGE;
    }
    snprintf(target, sizeof target, "/function/%s", name);
    if (service_open(&service, line) != STATUS_OK ||
        invoke_data(command_argument(line, 1, ""), &data) != STATUS_OK) {
        goto done;
    }
    const struct client_request request = {
        .method = "POST",
        .target = target,
        .headers = (const char *)headers.bytes,
        .body = buffer_bytes(&data),
    };
    if (service_ask_once(&service, service_worker_of(line), &request, &response) != STATUS_OK) {
        goto done;
    }
    bool is_good = response.status < 400;
    result = is_good ? COMMAND_OK : COMMAND_NO;
    if (command_has(line, "json")) {
        print_json(&response);
    } else if (is_good) {
        fwrite(response.body.bytes, 1, response.body.length, stdout);
    }
    if (!is_good) {
        service_report(&response, "invoke", name);
    } else if (receipt != NULL && !save_receipt(&response, receipt)) {
        result = COMMAND_COULD_NOT;
    }

done:
    client_response_release(&response);
    buffer_release(&data);
    buffer_release(&headers);
    service_release(&service);
    return result;
}

static const struct command_option options[] = {
    {.name = "worker",
     .value = "I",
     .text = "ask worker I, from 0 (default: any)",
     .is_number = true,
     .maximum = HOST_WORKER_COUNT_MAX - 1},
    {.name = "receipt",
     .value = "FILE",
     .text = "have the worker sign what it did, into FILE; see 'paranoid receipt verify'"},
    {.name = "header", .letter = 'H', .value = "K:V", .text = "send this header, too"},
};

const struct command invoke_command = {
    .name = "invoke",
    .arguments = "NAME [DATA | @FILE | -]",
    .argument_min = 1,
    .argument_max = 2,
    .summary = "Call a function and print what it answers.",
    .about =
        "DATA is sent as it is, @FILE sends a file, - standard input. --header may be given\n"
        "several times.",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .status = "0 it answered, 1 it answered with an error, 2 wrong usage, 3 could not ask",
    .example = "paranoid invoke counter '{\"by\":1}'",
    .run = run,
};
