/* src/attest/policy_succession.c */
#include "attest/policy_succession.h"

#include <stdio.h>

#include "attest/policy.h"
#include "attest/policy_internal.h"
#include "base/hex.h"

enum { NAME_BYTES = 64 };

static bool read_one(struct policy_succession *succession, size_t index, const json_t *object,
                     char *error)
{
    enum { MEMBER_COUNT = 2 };
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "successions[%zu].old", index);
    if (!policy_read_hex(&succession->older, name, POLICY_MEASUREMENT_BYTES_MIN,
                         POLICY_MEASUREMENT_BYTES_MAX, json_object_get(object, "old"), error)) {
        return false;
    }
    snprintf(name, sizeof name, "successions[%zu].new", index);
    if (!policy_read_hex(&succession->newer, name, POLICY_MEASUREMENT_BYTES_MIN,
                         POLICY_MEASUREMENT_BYTES_MAX, json_object_get(object, "new"), error)) {
        return false;
    }
    if (json_object_size(object) != MEMBER_COUNT ||
        verdict_value_equal(&succession->older, &succession->newer)) {
        return policy_fail(error,
                           "member 'successions[%zu]' has an unknown member, or succeeds itself; "
                           "write two measurements, old and new",
                           index);
    }
    return true;
}

bool policy_succession_read(struct policy_successions *successions, const json_t *value,
                            char *error)
{
    if (!json_is_array(value) || json_array_size(value) > POLICY_SUCCESSION_COUNT_MAX) {
        return policy_fail(error,
                           "member 'successions' is no list; write [ ] around at most %d objects "
                           "with old and new",
                           POLICY_SUCCESSION_COUNT_MAX);
    }
    successions->count = json_array_size(value);
    for (size_t i = 0; i < successions->count; i++) {
        if (!read_one(&successions->values[i], i, json_array_get(value, i), error)) {
            return false;
        }
    }
    return true;
}

json_t *policy_succession_encode(const struct policy_successions *successions)
{
    json_t *array = json_array();
    for (size_t i = 0; i < successions->count; i++) {
        const struct policy_succession *it = &successions->values[i];
        char older[2 * VERDICT_VALUE_BYTES_MAX + 1], newer[2 * VERDICT_VALUE_BYTES_MAX + 1];
        hex_encode(older, it->older.bytes, it->older.length);
        hex_encode(newer, it->newer.bytes, it->newer.length);
        if (json_array_append_new(array, json_pack("{s:s, s:s}", "old", older, "new", newer)) !=
            0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

const struct policy_succession *policy_succession_find(const struct policy_successions *successions,
                                                       const struct verdict_value *older)
{
    for (size_t i = successions->count; i > 0; i--) {
        if (verdict_value_equal(&successions->values[i - 1].older, older)) {
            return &successions->values[i - 1];
        }
    }
    return NULL;
}

static bool is_listed(const struct policy_measurements *list, const struct verdict_value *value)
{
    for (size_t i = 0; i < list->count; i++) {
        if (verdict_value_equal(&list->values[i], value)) {
            return true;
        }
    }
    return false;
}

/* Add the successors of what is listed. Whether any were. */
static bool add_successors(struct policy_measurements *list, const struct policy_successions *said)
{
    size_t before = list->count;
    for (size_t i = 0; i < said->count; i++) {
        const struct policy_succession *it = &said->values[i];
        if (list->count < POLICY_MEASUREMENT_COUNT_MAX && is_listed(list, &it->older) &&
            !is_listed(list, &it->newer)) {
            list->values[list->count++] = it->newer;
        }
    }
    return list->count > before;
}

void policy_succession_follow(struct policy *policy, const struct policy_successions *said)
{
    for (size_t role = 0; role < POLICY_ROLE_COUNT; role++) {
        while (add_successors(&policy->measurements[role], said)) {}
    }
}
