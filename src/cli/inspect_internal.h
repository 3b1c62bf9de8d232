/* src/cli/inspect_internal.h */
#ifndef CLI_INSPECT_INTERNAL_H
#define CLI_INSPECT_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buffer.h"
#include "base/status.h"
#include "cli/app.h"
#include "cli/command.h"
#include "cli/survey.h"
#include "crypto/secret.h"

/* A capsule that is looked at offline, for the commands that do. */

/* What is to be looked at. */
struct inspection {
    struct app app;
    struct buffer genesis;
    struct secret *seed;
    char directories[GENESIS_STORES_MAX][FILE_PATH_BYTES];  // of its stores
    uint32_t store_count;
    bool is_running;
    struct survey survey;
    const struct survey_visitor *visitor;  // borrowed; NULL: none
    FILE *target;                          // of export
    int target_cause;                      // errno of a write to it; 0: none failed
    // Sees each FUNCTION, when the seed is there; NULL: nobody does. `context` is the inspection.
    void (*function)(void *context, const struct function_manifest *manifest, struct bytes code);
    int64_t started_ms;
    int64_t shown_ms;
};

/*
 * The app's files, or those that the line names: then no app is needed. The seed is read when the
 * line says --keys. Close it whatever comes back; what is wrong has been said.
 */
MUST_CHECK enum status inspect_open(struct inspection *it, const struct command_line *line,
                                    const char *named_directory);
void inspect_close(struct inspection *it);

/* As survey_run(), again when the app wrote to the files meanwhile. */
MUST_CHECK enum status inspect_survey(struct inspection *it);

/* Say why not, and the exit status: a refusal is an answer; what cannot be read is not. */
int inspect_refuse(const struct inspection *it, enum status status);

#endif
