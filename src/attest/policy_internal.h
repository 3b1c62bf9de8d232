/* src/attest/policy_internal.h */
#ifndef ATTEST_POLICY_INTERNAL_H
#define ATTEST_POLICY_INTERNAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attest/verdict.h"

/*
 * Readers of members, each of which says in `error` (POLICY_ERROR_BYTES_MAX) what is wrong with the
 * member `name`, and what to write.
 */

/* Always false, so that a reader can return it. */
bool policy_fail(char *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool policy_read_boolean(bool *target, const char *name, const json_t *value, char *error);
bool policy_read_integer(uint32_t *target, const char *name, uint32_t min, uint32_t max,
                         const json_t *value, char *error);

/* `min` to `max` bytes from hexadecimal digits. `max` is at most VERDICT_VALUE_BYTES_MAX. */
bool policy_read_hex(struct verdict_value *target, const char *name, size_t min, size_t max,
                     const json_t *value, char *error);

/* A list of statuses, as bits; and back: a new array, or NULL for no memory. */
bool policy_read_statuses(uint32_t *target, const char *name, const json_t *value, char *error);
json_t *policy_encode_statuses(uint32_t statuses);

#endif
