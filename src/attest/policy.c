/* src/attest/policy.c */
#include "attest/policy.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attest/policy_internal.h"
#include "base/check.h"
#include "base/date.h"
#include "base/hex.h"
#include "crypto/crypto.h"

static const char *const role_texts[POLICY_ROLE_COUNT] = {
    [POLICY_LEADER] = "leader",
    [POLICY_WORKER] = "worker",
    [POLICY_COMPACTOR] = "compactor",
};

static const uint64_t SECONDS_PER_DAY = 24 * 60 * 60;

const char *policy_role_text(enum policy_role role)
{
    CHECK(role < POLICY_ROLE_COUNT);
    return role_texts[role];
}

void policy_init(struct policy *policy)
{
    *policy = (struct policy){
        .version = 1,
        .tcb_statuses = 1u << TCB_UP_TO_DATE | 1u << TCB_SW_HARDENING_NEEDED,
        .max_collateral_age_days = POLICY_COLLATERAL_AGE_DAYS_DEFAULT,
    };
}

bool policy_fail(char *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, POLICY_ERROR_BYTES_MAX, format, arguments);
    va_end(arguments);
    return false;
}

bool policy_read_boolean(bool *target, const char *name, const json_t *value, char *error)
{
    if (!json_is_boolean(value)) {
        return policy_fail(error, "member '%s' is not a boolean; write true or false", name);
    }
    *target = json_is_true(value);
    return true;
}

bool policy_read_integer(uint32_t *target, const char *name, uint32_t min, uint32_t max,
                         const json_t *value, char *error)
{
    if (!json_is_integer(value) || json_integer_value(value) < min ||
        json_integer_value(value) > max) {
        return policy_fail(
            error, "member '%s' is not a whole number; write one from %" PRIu32 " to %" PRIu32,
            name, min, max);
    }
    *target = (uint32_t)json_integer_value(value);
    return true;
}

bool policy_read_hex(struct verdict_value *target, const char *name, size_t min, size_t max,
                     const json_t *value, char *error)
{
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    size_t digits = json_is_string(value) ? json_string_length(value) : 0;
    size_t length = digits / 2;
    if (length < min || length > max || !hex_decode(target->bytes, length, text, digits)) {
        return policy_fail(error,
                           "member '%s' is no value of %zu to %zu bytes; write %zu to %zu "
                           "hexadecimal digits in quotes",
                           name, min, max, 2 * min, 2 * max);
    }
    target->length = (uint8_t)length;
    return true;
}

/* Read an array of hexadecimal values. */
static bool read_values(struct verdict_value *targets, size_t *count, size_t count_max,
                        const char *name, size_t min, size_t max, const json_t *array, char *error)
{
    if (!json_is_array(array) || json_array_size(array) > count_max) {
        return policy_fail(error, "member '%s' is no list; write [ ] around at most %zu values",
                           name, count_max);
    }
    *count = json_array_size(array);
    for (size_t i = 0; i < *count; i++) {
        char item_name[64];
        snprintf(item_name, sizeof item_name, "%s[%zu]", name, i);
        targets[i] = (struct verdict_value){.length = 0};
        if (!policy_read_hex(&targets[i], item_name, min, max, json_array_get(array, i), error)) {
            return false;
        }
    }
    return true;
}

static bool read_version(struct policy *policy, const json_t *value, char *error)
{
    return policy_read_integer(&policy->version, "version", 1, INT32_MAX, value, error);
}

static bool read_allow_simulated(struct policy *policy, const json_t *value, char *error)
{
    return policy_read_boolean(&policy->allow_simulated, "allow_simulated", value, error);
}

static bool read_allow_debug(struct policy *policy, const json_t *value, char *error)
{
    return policy_read_boolean(&policy->allow_debug, "allow_debug", value, error);
}

static bool read_simulated_root(struct policy *policy, const json_t *value, char *error)
{
    struct verdict_value root;
    if (!policy_read_hex(&root, "simulated_root", SIGN_PUBLIC_BYTES, SIGN_PUBLIC_BYTES, value,
                         error)) {
        return false;
    }
    memcpy(policy->simulated_root.bytes, root.bytes, SIGN_PUBLIC_BYTES);
    policy->has_simulated_root = true;
    return true;
}

static bool read_measurements(struct policy *policy, const json_t *value, char *error)
{
    if (!json_is_object(value)) {
        return policy_fail(error,
                           "member 'measurements' is no object; write {\"worker\": [\"…\"]}");
    }
    size_t known = 0;
    for (size_t role = 0; role < POLICY_ROLE_COUNT; role++) {
        const json_t *array = json_object_get(value, role_texts[role]);
        struct policy_measurements *target = &policy->measurements[role];
        char name[32];
        snprintf(name, sizeof name, "measurements.%s", role_texts[role]);
        if (array == NULL) {
            continue;
        }
        known++;
        if (!read_values(target->values, &target->count, POLICY_MEASUREMENT_COUNT_MAX, name,
                         POLICY_MEASUREMENT_BYTES_MIN, POLICY_MEASUREMENT_BYTES_MAX, array,
                         error)) {
            return false;
        }
    }
    if (known != json_object_size(value)) {
        return policy_fail(error,
                           "member 'measurements' names an unknown role; "
                           "the roles are leader, worker and compactor");
    }
    return true;
}

bool policy_read_statuses(uint32_t *target, const char *name, const json_t *value, char *error)
{
    if (!json_is_array(value)) {
        return policy_fail(error, "member '%s' is no list; write [\"UpToDate\"]", name);
    }
    *target = 0;
    for (size_t i = 0; i < json_array_size(value); i++) {
        const char *text = json_string_value(json_array_get(value, i));
        enum tcb_status status = text == NULL ? TCB_UNKNOWN : verdict_tcb_parse(text);
        // A revoked platform's key is known to be lost: nobody can accept that with open eyes.
        if (status == TCB_UNKNOWN || status == TCB_REVOKED) {
            return policy_fail(error,
                               "member '%s[%zu]' is no status that can be accepted; "
                               "write UpToDate, SWHardeningNeeded, ConfigurationNeeded, …",
                               name, i);
        }
        *target |= 1u << status;
    }
    return true;
}

static bool read_tcb_statuses(struct policy *policy, const json_t *value, char *error)
{
    return policy_read_statuses(&policy->tcb_statuses, "tcb_statuses", value, error);
}

static bool read_signers(struct policy *policy, const json_t *value, char *error)
{
    size_t known = 0;
    for (size_t role = 0; role < POLICY_ROLE_COUNT; role++) {
        const json_t *array = json_object_get(value, role_texts[role]);
        char name[32];
        snprintf(name, sizeof name, "signers.%s", role_texts[role]);
        if (array == NULL) {
            continue;
        }
        known++;
        if (!policy_tee_read_signers(&policy->signers[role], name, array, error)) {
            return false;
        }
    }
    if (!json_is_object(value) || known != json_object_size(value)) {
        return policy_fail(error,
                           "member 'signers' is no object, or names an unknown role; the roles are "
                           "leader, worker and compactor");
    }
    return true;
}

static bool read_tees(struct policy *policy, const json_t *value, char *error)
{
    return policy_tee_read(policy->tees, value, error);
}

static bool read_successions(struct policy *policy, const json_t *value, char *error)
{
    return policy_succession_read(&policy->successions, value, error);
}

static bool read_platforms(struct policy *policy, const json_t *value, char *error)
{
    if (!read_values(policy->platforms, &policy->platform_count, POLICY_PLATFORM_COUNT_MAX,
                     "platforms", 1, VERDICT_VALUE_BYTES_MAX, value, error)) {
        return false;
    }
    if (policy->platform_count == 0) {
        return policy_fail(error,
                           "member 'platforms' is empty; list ids, or leave it out to admit "
                           "every platform");
    }
    return true;
}

static bool read_retention_s(struct policy *policy, const json_t *value, char *error)
{
    policy->has_retention = true;
    return policy_read_integer(&policy->retention_s, "retention_s", 0, INT32_MAX, value, error);
}

static bool read_hosts(struct policy *policy, const json_t *value, char *error)
{
    if (!json_is_array(value) || json_array_size(value) > CERTIFICATE_HOST_COUNT_MAX) {
        return policy_fail(error, "member 'hosts' is no list; write [ ] around at most %d names",
                           CERTIFICATE_HOST_COUNT_MAX);
    }
    policy->host_count = json_array_size(value);
    for (size_t i = 0; i < policy->host_count; i++) {
        const json_t *item = json_array_get(value, i);
        struct certificate_host *host = &policy->hosts[i];
        *host = (struct certificate_host){.name = ""};
        if (json_is_string(item) && json_string_length(item) < sizeof host->name) {
            memcpy(host->name, json_string_value(item), json_string_length(item));
        }
        if (strlen(host->name) != json_string_length(item) || !certificate_host_is_sound(host)) {
            return policy_fail(error,
                               "member 'hosts[%zu]' is no host; write a DNS name without "
                               "wildcards, or an IP address",
                               i);
        }
    }
    return true;
}

static bool read_max_collateral_age_days(struct policy *policy, const json_t *value, char *error)
{
    return policy_read_integer(&policy->max_collateral_age_days, "max_collateral_age_days", 1,
                               POLICY_COLLATERAL_AGE_DAYS_MAX, value, error);
}

static const struct member {
    const char *name;
    bool (*read)(struct policy *policy, const json_t *value, char *error);
    bool is_required;
} members[] = {
    {"version", read_version, true},
    {"measurements", read_measurements, true},
    {"allow_simulated", read_allow_simulated, false},
    {"simulated_root", read_simulated_root, false},
    {"allow_debug", read_allow_debug, false},
    {"tcb_statuses", read_tcb_statuses, false},
    {"signers", read_signers, false},
    {"tees", read_tees, false},
    {"successions", read_successions, false},
    {"platforms", read_platforms, false},
    {"max_collateral_age_days", read_max_collateral_age_days, false},
    {"retention_s", read_retention_s, false},
    {"hosts", read_hosts, false},
};

enum { MEMBER_COUNT = sizeof members / sizeof *members };

static bool has_member(const char *name)
{
    for (size_t i = 0; i < MEMBER_COUNT; i++) {
        if (strcmp(members[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool read_policy(struct policy *policy, json_t *object, char *error)
{
    if (!json_is_object(object)) {
        return policy_fail(error, "the policy is no object; write { } around its members");
    }
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        if (!has_member(name)) {
            return policy_fail(error, "member '%.64s' is unknown; remove it", name);
        }
    }
    for (size_t i = 0; i < MEMBER_COUNT; i++) {
        value = json_object_get(object, members[i].name);
        if (value == NULL && members[i].is_required) {
            return policy_fail(error, "member '%s' is missing; add it", members[i].name);
        }
        if (value != NULL && !members[i].read(policy, value, error)) {
            return false;
        }
    }
    if (policy->allow_simulated && !policy->has_simulated_root) {
        return policy_fail(error,
                           "member 'simulated_root' is missing and 'allow_simulated' needs it; "
                           "add the root's public key");
    }
    return true;
}

enum status policy_parse(struct policy *policy, struct bytes json,
                         char error[POLICY_ERROR_BYTES_MAX])
{
    policy_init(policy);
    error[0] = '\0';
    if (json.length > POLICY_BYTES_MAX) {
        policy_fail(error, "the policy has %zu bytes; shorten it to %d", json.length,
                    POLICY_BYTES_MAX);
        return STATUS_MALFORMED;
    }
    json_error_t failure;
    const char *text = json.length == 0 ? "" : (const char *)json.at;
    json_t *object = json_loadb(text, json.length, JSON_REJECT_DUPLICATES, &failure);
    if (object == NULL) {
        if (json_error_code(&failure) == json_error_out_of_memory) {
            return STATUS_NO_MEMORY;
        }
        policy_fail(error, "the policy is no JSON text: %.160s at line %d; correct it",
                    failure.text, failure.line);
        return STATUS_MALFORMED;
    }
    enum status status = read_policy(policy, object, error) ? STATUS_OK : STATUS_MALFORMED;
    json_decref(object);
    return status;
}

/* A new array of hexadecimal strings. NULL: no memory. */
static json_t *encode_values(const struct verdict_value *values, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++) {
        char text[2 * VERDICT_VALUE_BYTES_MAX + 1];
        hex_encode(text, values[i].bytes, values[i].length);
        if (json_array_append_new(array, json_string(text)) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *encode_measurements(const struct policy *policy)
{
    json_t *object = json_object();
    for (size_t role = 0; role < POLICY_ROLE_COUNT; role++) {
        const struct policy_measurements *source = &policy->measurements[role];
        if (json_object_set_new(object, role_texts[role],
                                encode_values(source->values, source->count)) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

json_t *policy_encode_statuses(uint32_t statuses)
{
    json_t *array = json_array();
    for (enum tcb_status status = TCB_UP_TO_DATE; status < TCB_STATUS_COUNT; status++) {
        if ((statuses & 1u << status) != 0 &&
            json_array_append_new(array, json_string(verdict_tcb_text(status))) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

/* The roles with signers. A new object, or NULL: no memory. */
static json_t *encode_signers(const struct policy *policy)
{
    json_t *object = json_object();
    for (size_t role = 0; role < POLICY_ROLE_COUNT; role++) {
        const struct policy_tee_signers *signers = &policy->signers[role];
        if (signers->count > 0 && json_object_set_new(object, role_texts[role],
                                                      policy_tee_encode_signers(signers)) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

/* Add a member, unless it would be an empty object. It is taken. Not 0: no memory. */
static int add_unless_empty(json_t *object, const char *name, json_t *value)
{
    if (value != NULL && json_object_size(value) == 0) {
        json_decref(value);
        return 0;
    }
    return json_object_set_new(object, name, value);
}

/* A new object, or NULL: no memory. */
static json_t *encode_policy(const struct policy *policy)
{
    json_t *object =
        json_pack("{s:I, s:b, s:b, s:o, s:o, s:I}", "version", (json_int_t)policy->version,  //
                  "allow_simulated", (int)policy->allow_simulated,                           //
                  "allow_debug", (int)policy->allow_debug,                                   //
                  "measurements", encode_measurements(policy),                               //
                  "tcb_statuses", policy_encode_statuses(policy->tcb_statuses),              //
                  "max_collateral_age_days", (json_int_t)policy->max_collateral_age_days);
    int failed = object == NULL;
    failed |= add_unless_empty(object, "signers", encode_signers(policy));
    failed |= add_unless_empty(object, "tees", policy_tee_encode(policy->tees));
    if (policy->successions.count > 0) {
        failed |= json_object_set_new(object, "successions",
                                      policy_succession_encode(&policy->successions));
    }
    if (policy->has_simulated_root) {
        char text[2 * SIGN_PUBLIC_BYTES + 1];
        hex_encode(text, policy->simulated_root.bytes, SIGN_PUBLIC_BYTES);
        failed |= json_object_set_new(object, "simulated_root", json_string(text));
    }
    if (policy->has_retention) {
        failed |= json_object_set_new(object, "retention_s",
                                      json_integer((json_int_t)policy->retention_s));
    }
    json_t *hosts = policy->host_count == 0 ? NULL : json_array();
    for (size_t i = 0; i < policy->host_count; i++) {
        failed |= json_array_append_new(hosts, json_string(policy->hosts[i].name));
    }
    if (policy->host_count > 0) {
        failed |= json_object_set_new(object, "hosts", hosts);
    }
    if (policy->platform_count > 0) {
        json_t *platforms = encode_values(policy->platforms, policy->platform_count);
        failed |= json_object_set_new(object, "platforms", platforms);
    }
    if (failed) {
        json_decref(object);
        return NULL;
    }
    return object;
}

enum status policy_encode(const struct policy *policy, struct buffer *json)
{
    json_t *object = encode_policy(policy);
    char *text = object == NULL ? NULL : json_dumps(object, JSON_SORT_KEYS | JSON_INDENT(2));
    enum status status = text == NULL ? STATUS_NO_MEMORY : buffer_reserve(json, strlen(text) + 1);
    if (status == STATUS_OK) {
        status = buffer_append(json, text, strlen(text));
    }
    if (status == STATUS_OK) {
        status = buffer_append(json, "\n", 1);
    }
    free(text);
    json_decref(object);
    return status;
}

struct evidence_roots policy_roots(const struct policy *policy, const struct vendor_roots *vendors)
{
    return (struct evidence_roots){
        .simulated = policy->has_simulated_root ? &policy->simulated_root : NULL,
        .vendors = vendors,
    };
}

static bool is_listed(const struct verdict_value *values, size_t count,
                      const struct verdict_value *wanted)
{
    for (size_t i = 0; i < count; i++) {
        if (verdict_value_equal(&values[i], wanted)) {
            return true;
        }
    }
    return false;
}

/* What the policy says of this TEE, where it says something, and else of all. */
struct demands {
    uint32_t tcb_statuses;
    bool allow_debug;
    uint32_t max_collateral_age_days;
};

static struct demands demands_of(const struct policy *policy, enum tee tee)
{
    const struct policy_tee *said = &policy->tees[tee];
    return (struct demands){
        .tcb_statuses = said->has_tcb_statuses ? said->tcb_statuses : policy->tcb_statuses,
        .allow_debug = said->has_allow_debug ? said->allow_debug : policy->allow_debug,
        .max_collateral_age_days = said->has_max_collateral_age ? said->max_collateral_age_days
                                                                : policy->max_collateral_age_days,
    };
}

static bool is_too_old(const struct demands *demands, const struct verdict *verdict)
{
    // Verified collateral is not from the future, so the difference does not wrap. SNP can do
    // without: its certificates have no date of issue that says anything.
    if (verdict->tee == TEE_SEV_SNP && verdict->collateral_issued_s == 0) {
        return false;
    }
    uint64_t age_s = verdict->judged_at_s - verdict->collateral_issued_s;
    return age_s > demands->max_collateral_age_days * SECONDS_PER_DAY;
}

uint64_t policy_collateral_until(const struct policy *policy, const struct verdict *verdict)
{
    const struct demands demands = demands_of(policy, verdict->tee);
    uint64_t old_s =
        verdict->collateral_issued_s + demands.max_collateral_age_days * SECONDS_PER_DAY;
    bool is_dated = verdict->collateral_issued_s > 0;
    return is_dated && old_s < verdict->valid_until_s ? old_s : verdict->valid_until_s;
}

/* Refuse for a value that no list of the policy contains. */
static void refuse_value(struct verdict *verdict, enum reason reason, const char *what,
                         const struct verdict_value *value, const char *where)
{
    char text[2 * VERDICT_VALUE_BYTES_MAX + 1];
    hex_encode(text, value->bytes, value->length);
    verdict_refuse(verdict, reason, "%s %s is not listed in %s", what, text, where);
}

struct verdict policy_judge_report_data(const struct verdict *verdict,
                                        const uint8_t report_data[VERDICT_REPORT_DATA_BYTES])
{
    struct verdict judged = *verdict;
    if (judged.reason == REASON_NONE &&
        !crypto_equal(judged.report_data, report_data, VERDICT_REPORT_DATA_BYTES)) {
        char expected[2 * VERDICT_REPORT_DATA_BYTES + 1];
        hex_encode(expected, report_data, VERDICT_REPORT_DATA_BYTES);
        verdict_refuse(&judged, REASON_REPORT_DATA, "expected report data %s", expected);
    }
    return judged;
}

/* How the machine stands, by what its vendor says. */
static void judge_platform(struct verdict *judged, const struct policy *policy,
                           const struct demands *demands)
{
    const char *tcb_text = verdict_tcb_text(judged->tcb_status);
    char advisory[POLICY_TEE_ADVISORY_BYTES];
    // SNP has no status: its certificate is of the very TCB that the report names.
    bool has_status = judged->tee != TEE_SEV_SNP;
    if (judged->is_debug && !demands->allow_debug) {
        verdict_refuse(judged, REASON_DEBUG,
                       "debug=true and the policy says \"allow_debug\": "
                       "false");
    } else if (has_status &&
               (tcb_text == NULL || (demands->tcb_statuses & 1u << judged->tcb_status) == 0)) {
        verdict_refuse(judged, REASON_TCB_STATUS, "tcb_status=%s is not listed in tcb_statuses",
                       tcb_text != NULL ? tcb_text : "unknown");
    } else if (!has_status && !policy_floor_accepts(&policy->tees[TEE_SEV_SNP].floor, judged)) {
        return;
    } else if (!policy_tee_accepts_advisories(&policy->tees[judged->tee], judged, advisory)) {
        verdict_refuse(judged, REASON_ADVISORY, "advisory %s is not listed in tees.%s.advisories",
                       advisory[0] != '\0' ? advisory : "(one of too many)",
                       verdict_tee_text(judged->tee));
    } else if (is_too_old(demands, judged)) {
        char issued[DATE_TEXT_BYTES], now[DATE_TEXT_BYTES];
        date_text(issued, judged->collateral_issued_s);
        date_text(now, judged->judged_at_s);
        verdict_refuse(judged, REASON_COLLATERAL,
                       "collateral issued at %s is older than %" PRIu32 " days at %s", issued,
                       demands->max_collateral_age_days, now);
    } else if (policy->platform_count > 0 &&
               !is_listed(policy->platforms, policy->platform_count, &judged->platform)) {
        refuse_value(judged, REASON_PLATFORM, "platform", &judged->platform, "platforms");
    }
}

/* Whether the program may have the role: by its measurement, or by its signer. */
static void judge_program(struct verdict *judged, const struct policy *policy,
                          enum policy_role role)
{
    const struct policy_measurements *measurements = &policy->measurements[role];
    const struct policy_tee_signers *signers = &policy->signers[role];
    if (measurements->count == 0 && signers->count == 0) {
        verdict_refuse(judged, REASON_POLICY, "measurements.%s is empty", role_texts[role]);
    } else if (!is_listed(measurements->values, measurements->count, &judged->measurement) &&
               !policy_tee_admits(signers, judged)) {
        char where[64];
        snprintf(where, sizeof where, "measurements.%s, nor its signer", role_texts[role]);
        if (signers->count == 0) {
            where[strcspn(where, ",")] = '\0';
        }
        refuse_value(judged, REASON_MEASUREMENT, "measurement", &judged->measurement, where);
    } else if (judged->tee == TEE_TDX &&
               !policy_rtmr_accepts(&policy->tees[TEE_TDX].rtmrs, judged)) {
        return;
    }
}

struct verdict policy_judge(const struct policy *policy, const struct verdict *verdict,
                            const uint8_t report_data[VERDICT_REPORT_DATA_BYTES],
                            enum policy_role role)
{
    CHECK(role < POLICY_ROLE_COUNT);
    const struct demands demands = demands_of(policy, verdict->tee);
    struct verdict judged = *verdict;
    judged.is_admitted = false;

    if (judged.reason == REASON_NONE && judged.tee == TEE_SIMULATED && !policy->allow_simulated) {
        verdict_refuse(&judged, REASON_SIMULATED_NOT_ALLOWED,
                       "tee=simulated and the policy says \"allow_simulated\": false");
    }
    if (judged.reason == REASON_NONE) {
        judge_platform(&judged, policy, &demands);
    }
    if (judged.reason == REASON_NONE) {
        judge_program(&judged, policy, role);
    }
    judged = policy_judge_report_data(&judged, report_data);
    judged.is_admitted = judged.reason == REASON_NONE;
    return judged;
}
