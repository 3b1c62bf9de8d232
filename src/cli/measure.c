/* src/cli/measure.c */
#include "cli/measure.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "cli/app.h"
#include "cli/publication.h"
#include "cli/report.h"
#include "host/host.h"

enum { MEASURE_PROGRAM_BYTES_MAX = 256 << 20 };

static const char *program_of(enum policy_role role)
{
    return role == POLICY_WORKER ? HOST_PROGRAM_WORKER : HOST_PROGRAM_LEADER;
}

enum status measure_program(enum policy_role role, struct hash *measurement)
{
    char directory[FILE_PATH_BYTES], path[FILE_PATH_BYTES + 32];
    struct buffer program = BUFFER_EMPTY;
    enum status status = app_program_directory(directory);
    if (status != STATUS_OK) {
        return status;
    }
    snprintf(path, sizeof path, "%s/%s", directory, program_of(role));
    status = file_read(&program, path, MEASURE_PROGRAM_BYTES_MAX);
    if (status == STATUS_OK) {
        *measurement = hash_of(program.bytes, program.length);
    } else {
        report_error(
            "cannot measure '%s': %s; the enclave programs lie beside paranoid: build "
            "them with './run build'",
            path, file_reason(status));
    }
    buffer_release(&program);
    return status;
}

enum status measure_into(struct policy *policy)
{
    static const enum policy_role roles[] = {POLICY_LEADER, POLICY_WORKER, POLICY_COMPACTOR};
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        struct hash measurement;
        enum status status = measure_program(roles[i], &measurement);
        if (status != STATUS_OK) {
            return status;
        }
        struct policy_measurements *measurements = &policy->measurements[roles[i]];
        measurements->values[0] = verdict_value_of(bytes_of(measurement.bytes, HASH_BYTES));
        measurements->count = 1;
    }
    return STATUS_OK;
}

enum status measure_save(const struct app *app, struct policy *policy)
{
    struct buffer text = BUFFER_EMPTY;
    uint64_t above;
    enum status status = app_number(app, APP_POLICY_VERSION, &above);
    if (status == STATUS_OK) {
        policy->version = (uint32_t)(above > policy->version ? above : policy->version) + 1;
        status = policy_encode(policy, &text);
    }
    if (status == STATUS_OK) {
        status = app_write(app, APP_POLICY, buffer_bytes(&text), 0644);
    }
    buffer_release(&text);
    return status;
}

static int run(const struct command_line *line)
{
    int result = COMMAND_COULD_NOT;
    struct app app;
    struct policy *policy = malloc(sizeof *policy);
    CHECK(policy != NULL);
    if (app_open(&app, line) != STATUS_OK || app_policy(&app, policy) != STATUS_OK ||
        measure_into(policy) != STATUS_OK || measure_save(&app, policy) != STATUS_OK) {
        goto done;
    }
    result =
        publication_finish(&app, "admits the programs as they are now", command_has(line, "json"));

done:
    free(policy);
    app_release(&app);
    return result;
}

const struct command measure_command = {
    .name = "policy update",
    .arguments = "",
    .summary = "Measure the enclave programs again and write them into policy.json.",
    .about =
        "The remedy when a rebuilt program is refused. The version rises by one; the running "
        "leader\ntakes it at once, or else the next one.",
    .example = "paranoid policy update && paranoid up",
    .run = run,
};
