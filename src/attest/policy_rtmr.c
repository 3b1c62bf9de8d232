/* src/attest/policy_rtmr.c */
#include "attest/policy_rtmr.h"

#include <stdio.h>
#include <string.h>

#include "attest/policy_internal.h"
#include "base/hex.h"

enum { NAME_BYTES = 128 };

static const char *const register_names[VERDICT_RTMR_COUNT] = {"rtmr0", "rtmr1", "rtmr2", "rtmr3"};

/* A member of a set, 48 bytes. */
static bool read_value(struct verdict_value *target, const char *set_name, const char *member,
                       const json_t *object, char *error)
{
    char name[NAME_BYTES];
    snprintf(name, sizeof name, "%.64s.%s", set_name, member);
    *target = (struct verdict_value){.length = 0};
    return policy_read_hex(target, name, VERDICT_RTMR_BYTES, VERDICT_RTMR_BYTES,
                           json_object_get(object, member), error);
}

static bool read_set(struct policy_rtmr_set *set, const char *name, const json_t *object,
                     char *error)
{
    size_t said_count = 0;
    *set = (struct policy_rtmr_set){.is_said = {false}};
    if (!read_value(&set->measurement, name, "measurement", object, error)) {
        return false;
    }
    for (size_t i = 0; i < VERDICT_RTMR_COUNT; i++) {
        struct verdict_value value;
        if (json_object_get(object, register_names[i]) == NULL) {
            continue;
        }
        if (!read_value(&value, name, register_names[i], object, error)) {
            return false;
        }
        set->is_said[i] = true;
        memcpy(set->values[i], value.bytes, VERDICT_RTMR_BYTES);
        said_count++;
    }
    if (said_count == 0 || json_object_size(object) != 1 + said_count) {
        return policy_fail(error,
                           "member '%s' says nothing of a register, or has an unknown member; "
                           "write measurement and some of rtmr0 to rtmr3",
                           name);
    }
    return true;
}

bool policy_rtmr_read(struct policy_rtmrs *rtmrs, const char *name, const json_t *value,
                      char *error)
{
    if (!json_is_array(value) || json_array_size(value) > POLICY_RTMR_SET_COUNT_MAX) {
        return policy_fail(error, "member '%s' is no list; write [ ] around at most %d objects",
                           name, POLICY_RTMR_SET_COUNT_MAX);
    }
    rtmrs->is_said = true;
    rtmrs->count = json_array_size(value);
    for (size_t i = 0; i < rtmrs->count; i++) {
        char item[NAME_BYTES];
        snprintf(item, sizeof item, "%.64s[%zu]", name, i);
        if (!read_set(&rtmrs->sets[i], item, json_array_get(value, i), error)) {
            return false;
        }
    }
    return true;
}

static json_t *encode_hex(const uint8_t *bytes, size_t length)
{
    char text[2 * VERDICT_VALUE_BYTES_MAX + 1];
    hex_encode(text, bytes, length);
    return json_string(text);
}

json_t *policy_rtmr_encode(const struct policy_rtmrs *rtmrs)
{
    json_t *array = json_array();
    int failed = array == NULL;
    for (size_t i = 0; i < rtmrs->count; i++) {
        const struct policy_rtmr_set *set = &rtmrs->sets[i];
        json_t *object = json_object();
        failed |= json_object_set_new(object, "measurement",
                                      encode_hex(set->measurement.bytes, set->measurement.length));
        for (size_t j = 0; j < VERDICT_RTMR_COUNT; j++) {
            if (set->is_said[j]) {
                failed |= json_object_set_new(object, register_names[j],
                                              encode_hex(set->values[j], VERDICT_RTMR_BYTES));
            }
        }
        failed |= json_array_append_new(array, object);
    }
    if (failed) {
        json_decref(array);
        return NULL;
    }
    return array;
}

/* The first register that is not as the set says; VERDICT_RTMR_COUNT: all are. */
static size_t first_wrong(const struct policy_rtmr_set *set, const struct verdict *verdict)
{
    size_t i = 0;
    while (i < VERDICT_RTMR_COUNT && (!set->is_said[i] || memcmp(set->values[i], verdict->rtmrs[i],
                                                                 VERDICT_RTMR_BYTES) == 0)) {
        i++;
    }
    return i;
}

bool policy_rtmr_accepts(const struct policy_rtmrs *rtmrs, struct verdict *verdict)
{
    size_t wrong = VERDICT_RTMR_COUNT;
    char text[2 * VERDICT_RTMR_BYTES + 1];
    if (!rtmrs->is_said) {
        return true;
    }
    for (size_t i = 0; i < rtmrs->count; i++) {
        const struct policy_rtmr_set *set = &rtmrs->sets[i];
        if (!verdict_value_equal(&set->measurement, &verdict->measurement)) {
            continue;
        }
        wrong = first_wrong(set, verdict);
        if (wrong == VERDICT_RTMR_COUNT) {
            return true;
        }
    }
    if (wrong == VERDICT_RTMR_COUNT) {
        return verdict_refuse(verdict, REASON_MEASUREMENT,
                              "tees.tdx.rtmrs says nothing of the TD's measurement");
    }
    hex_encode(text, verdict->rtmrs[wrong], VERDICT_RTMR_BYTES);
    return verdict_refuse(verdict, REASON_MEASUREMENT,
                          "%s is %s, and tees.tdx.rtmrs asks for another with this measurement",
                          register_names[wrong], text);
}
