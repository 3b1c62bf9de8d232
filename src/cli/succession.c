/* src/cli/succession.c */
#include "cli/succession.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/policy.h"
#include "base/check.h"
#include "base/hex.h"
#include "cli/app.h"
#include "cli/measure.h"
#include "cli/publication.h"
#include "cli/report.h"

static bool read_measurement(struct verdict_value *value, const char *text)
{
    uint8_t bytes[POLICY_MEASUREMENT_BYTES_MAX];
    size_t digits = strlen(text), length = digits / 2;
    if (length < POLICY_MEASUREMENT_BYTES_MIN || length > POLICY_MEASUREMENT_BYTES_MAX ||
        !hex_decode(bytes, length, text, digits)) {
        report_error(
            "cannot use '%.100s' as a measurement: write 64 to 96 hexadecimal digits; "
            "'paranoid doctor' shows those of this machine",
            text);
        return false;
    }
    *value = verdict_value_of(bytes_of(bytes, length));
    return true;
}

/* Its place in a list; the list's count when it is not there. */
static size_t find(const struct policy_measurements *list, const struct verdict_value *value)
{
    size_t i = 0;
    while (i < list->count && !verdict_value_equal(&list->values[i], value)) {
        i++;
    }
    return i;
}

/* False, and reported: the new one has no place, or nobody knows the old one. */
static bool succeed(struct policy *policy, const struct verdict_value *older,
                    const struct verdict_value *newer)
{
    size_t role_count = 0;
    for (size_t role = 0; role < POLICY_ROLE_COUNT; role++) {
        struct policy_measurements *list = &policy->measurements[role];
        if (find(list, older) == list->count) {
            continue;
        }
        role_count++;
        if (find(list, newer) < list->count) {
            continue;
        }
        if (list->count == POLICY_MEASUREMENT_COUNT_MAX) {
            report_error("cannot admit another %s: the policy lists %d already; retire one",
                         policy_role_text((enum policy_role)role), POLICY_MEASUREMENT_COUNT_MAX);
            return false;
        }
        list->values[list->count++] = *newer;
    }
    struct policy_successions *successions = &policy->successions;
    if (role_count == 0) {
        report_error("cannot succeed that measurement: policy.json admits it in no role");
        return false;
    }
    if (verdict_value_equal(older, newer) || successions->count == POLICY_SUCCESSION_COUNT_MAX) {
        report_error(
            "cannot state that: a program succeeds another, and policy.json has room for "
            "%d statements",
            POLICY_SUCCESSION_COUNT_MAX);
        return false;
    }
    successions->values[successions->count++] =
        (struct policy_succession){.older = *older, .newer = *newer};
    return true;
}

/* False, and reported: whoever has the role now would have no successor. */
static bool retire(struct policy *policy, const struct verdict_value *older)
{
    const struct policy_succession *said = policy_succession_find(&policy->successions, older);
    if (said == NULL) {
        report_error(
            "cannot retire that measurement: nothing succeeds it; say what does with "
            "'paranoid policy succeed'");
        return false;
    }
    for (size_t role = 0; role < POLICY_ROLE_COUNT; role++) {
        struct policy_measurements *list = &policy->measurements[role];
        size_t place = find(list, older);
        if (place == list->count) {
            continue;
        }
        if (find(list, &said->newer) == list->count) {
            report_error("cannot retire that measurement: its successor is no %s",
                         policy_role_text((enum policy_role)role));
            return false;
        }
        list->count--;
        memmove(&list->values[place], &list->values[place + 1],
                (list->count - place) * sizeof list->values[0]);
    }
    return true;
}

static int change(const struct command_line *line, bool is_retirement)
{
    int result = COMMAND_COULD_NOT;
    struct app app = {.genesis_body = BUFFER_EMPTY};
    struct verdict_value older, newer;
    struct policy *policy = malloc(sizeof *policy);
    CHECK(policy != NULL);
    if (!read_measurement(&older, command_argument(line, 0, "")) ||
        (!is_retirement && !read_measurement(&newer, command_argument(line, 1, "")))) {
        result = COMMAND_USAGE;
    } else if (app_open(&app, line) == STATUS_OK && app_policy(&app, policy) == STATUS_OK) {
        bool is_done = is_retirement ? retire(policy, &older) : succeed(policy, &older, &newer);
        result = !is_done                                  ? COMMAND_NO
                 : measure_save(&app, policy) != STATUS_OK ? COMMAND_COULD_NOT
                                                           : COMMAND_OK;
    }
    if (result == COMMAND_OK) {
        result = publication_finish(&app, is_retirement ? "admits it no longer" : "admits both",
                                    command_has(line, "json"));
    }
    free(policy);
    app_release(&app);
    return result;
}

static int run_succeed(const struct command_line *line)
{
    return change(line, false);
}

static int run_retire(const struct command_line *line)
{
    return change(line, true);
}

const struct command succession_succeed_command = {
    .name = "policy succeed",
    .arguments = "OLD NEW",
    .argument_min = 2,
    .argument_max = 2,
    .summary = "State that the program NEW succeeds OLD, and admit both.",
    .about =
        "OLD and NEW are measurements. The statement is signed with the policy and recorded in\n"
        "the capsule; a running leader takes it at once. Start members of NEW, stop those of OLD,\n"
        "then run 'paranoid policy retire'.",
    .status =
        "0 done, 1 the policy does not admit OLD, or no leader takes it, 2 wrong usage,\n"
        "3 could not",
    .example = "paranoid policy succeed 2dd9…5b1c 2a1c…9a4a",
    .run = run_succeed,
};

const struct command succession_retire_command = {
    .name = "policy retire",
    .arguments = "OLD",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Admit the program OLD no longer, which another succeeds.",
    .about =
        "A running leader takes that at once. Members of OLD that are there stay until they end.",
    .status = "0 done, 1 nothing succeeds it, or no leader takes it, 2 wrong usage, 3 could not",
    .example = "paranoid policy retire 2dd9…5b1c",
    .run = run_retire,
};
