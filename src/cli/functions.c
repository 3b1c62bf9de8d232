/* src/cli/functions.c */
#include "cli/functions.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/app.h"
#include "cli/report.h"
#include "cli/survey.h"
#include "host/host.h"

#define SECRET "secret"

static void forget_functions(void *context)
{
    json_object_clear(context);
}

static const char *runtime_text(enum function_runtime runtime)
{
    return runtime == FUNCTION_JS ? "js" : runtime == FUNCTION_WASM ? "wasm" : SECRET;
}

/* Keep the highest version of each name, removed ones too: an older one does not come back. */
static void note_function(void *context, const struct function_manifest *manifest,
                          struct bytes code)
{
    json_t *functions = context;
    const json_t *known = json_object_get(functions, manifest->name);
    if (known != NULL &&
        (uint64_t)json_integer_value(json_object_get(known, "version")) >= manifest->version) {
        return;
    }
    json_object_set_new(
        functions, manifest->name,
        json_pack("{s:s, s:I, s:s, s:s, s:s, s:b, s:I, s:I}", "name", manifest->name, "version",
                  (json_int_t)manifest->version, "runtime", runtime_text(manifest->runtime),
                  "access", manifest->access == FUNCTION_PUBLIC ? "public" : "token", "durability",
                  manifest->durability == FUNCTION_ASYNC ? "async" : "receipt", "removed",
                  manifest->is_removed, "time_ms", (json_int_t)manifest->time_ms, "code_bytes",
                  (json_int_t)code.length));
}

/* What is there and wanted. The caller's. */
static json_t *pick(json_t *functions, bool wants_secrets)
{
    const char *name;
    json_t *function, *list = json_array();
    void *next;
    json_object_foreach_safe(functions, next, name, function)
    {
        bool is_secret =
            strcmp(json_string_value(json_object_get(function, "runtime")), SECRET) == 0;
        if (json_is_true(json_object_get(function, "removed")) || is_secret != wants_secrets) {
            continue;
        }
        json_object_del(function, "removed");
        json_array_append(list, function);
    }
    return list;
}

static void print_functions(json_t *functions, bool is_json)
{
    json_t *function, *list = pick(functions, false);
    if (is_json) {
        json_dumpf(list, stdout, JSON_COMPACT | JSON_SORT_KEYS);
        putchar('\n');
    } else {
        size_t index;
        printf("%-24s %-8s %-8s %8s %10s  %s\n", "NAME", "RUNTIME", "ACCESS", "TIME ms", "CODE",
               "VERSION");
        json_array_foreach(list, index, function)
        {
            printf("%-24s %-8s %-8s %8lld %10lld  %lld\n",
                   json_string_value(json_object_get(function, "name")),
                   json_string_value(json_object_get(function, "runtime")),
                   json_string_value(json_object_get(function, "access")),
                   json_integer_value(json_object_get(function, "time_ms")),
                   json_integer_value(json_object_get(function, "code_bytes")),
                   json_integer_value(json_object_get(function, "version")));
        }
    }
    json_decref(list);
}

/* Names and versions: what a secret says is for enclaves. */
static void print_secrets(json_t *functions, bool is_json)
{
    json_t *function, *list = pick(functions, true);
    json_t *result = json_array();
    size_t index;
    json_array_foreach(list, index, function)
    {
        const char *name = json_string_value(json_object_get(function, "name"));
        json_t *version = json_object_get(function, "version");
        json_array_append_new(result,
                              json_pack("{s:s, s:O}", "name", name + strlen(FUNCTION_SECRET_PREFIX),
                                        "version", version));
        if (!is_json) {
            printf("%-24s %lld\n", name + strlen(FUNCTION_SECRET_PREFIX),
                   json_integer_value(version));
        }
    }
    if (is_json) {
        json_dumpf(result, stdout, JSON_COMPACT | JSON_SORT_KEYS);
        putchar('\n');
    }
    json_decref(result);
    json_decref(list);
}

int functions_list(const struct command_line *line, bool wants_secrets)
{
    int result = COMMAND_COULD_NOT;
    struct app app;
    struct secret *seed = NULL;
    struct survey survey = {.record_count = 0};
    json_t *functions = json_object();
    char paths[GENESIS_STORES_MAX][FILE_PATH_BYTES];
    const char *directories[GENESIS_STORES_MAX];
    if (app_open(&app, line) != STATUS_OK || app_seed(&app, &seed) != STATUS_OK) {
        goto done;
    }
    survey.seed = seed;
    survey.function = note_function;
    survey.begin = forget_functions;
    survey.context = functions;
    uint32_t count = app_stores(&app, paths);
    for (uint32_t i = 0; i < count; i++) {
        directories[i] = paths[i];
    }
    enum status status = survey_run(&survey, buffer_bytes(&app.genesis_body), directories, count,
                                    (uint64_t)time(NULL));
    // An app that has never run has none; and the end of a log that is being written looks torn.
    if (status != STATUS_OK && status != STATUS_NOT_FOUND && status != STATUS_DAMAGED) {
        report_error("refusing capsule in '%s': %s", app.directory, survey.reason);
        result = COMMAND_NO;
        goto done;
    }
    if (wants_secrets) {
        print_secrets(functions, command_has(line, "json"));
    } else {
        print_functions(functions, command_has(line, "json"));
    }
    result = COMMAND_OK;

done:
    survey_release(&survey);
    json_decref(functions);
    secret_free(seed);
    app_release(&app);
    return result;
}

static int run(const struct command_line *line)
{
    return functions_list(line, false);
}

const struct command functions_command = {
    .name = "functions",
    .arguments = "",
    .summary = "List the functions that are deployed, as this machine's stores have them.",
    .status = "0 listed, 1 the capsule does not verify, 2 wrong usage, 3 could not",
    .example = "paranoid functions",
    .run = run,
};
