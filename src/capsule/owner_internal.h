/* src/capsule/owner_internal.h */
#ifndef CAPSULE_OWNER_INTERNAL_H
#define CAPSULE_OWNER_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/bytes.h"
#include "base/status.h"
#include "capsule/owner.h"

/*
 * owner_json: reads one JSON object member by member, as a cursor reads bytes:
 * it fails once and stays failed, and owner_json_done() also refuses what was
 * not asked for.
 */
struct owner_json {
    json_t *object;  // borrowed; NULL after a failure
    size_t read_count;
    bool failed;
};

/*
 * Parse strictly: one object, no duplicate keys, nothing behind it. NULL: it is none. The
 * caller's.
 */
json_t *owner_json_parse(struct bytes text);

struct owner_json owner_json_over(json_t *object);

/* Any member. Borrowed; NULL on failure. */
json_t *owner_json_member(struct owner_json *in, const char *name);

/* A string. Borrowed; "" on failure. */
const char *owner_json_text(struct owner_json *in, const char *name);

/* A string of 2 * length hexadecimal digits; zeroes on failure. */
void owner_json_hex(struct owner_json *in, const char *name, void *target, size_t length);

/* An integer from 0 to 2^63 - 1; 0 on failure. */
uint64_t owner_json_u64(struct owner_json *in, const char *name);

bool owner_json_boolean(struct owner_json *in, const char *name);

/* Whether nothing failed and the object has no other members. */
bool owner_json_done(const struct owner_json *in);

/* `length` bytes as a JSON string of digits; NULL without memory. */
json_t *owner_json_from_hex(const void *bytes, size_t length);
json_t *owner_json_from_u64(uint64_t value);

/*
 * Write `object` with sorted keys, compact, and sign it with its payload. Takes `object` (NULL:
 * no memory).
 */
MUST_CHECK enum status owner_encode_json(struct buffer *body, enum record_type type, json_t *object,
                                         struct bytes payload, const struct sign_key *owner);

/* Decode, verify, and parse the JSON: in that order. On STATUS_OK `*object` is the caller's. */
MUST_CHECK enum status owner_decode_json(json_t **object, struct owner_body *body,
                                         enum record_type type, struct bytes bytes,
                                         const struct verify_key *owner);

/* 1 to `length_max` letters, digits, '-' and '_'. */
bool owner_name_is_valid(struct bytes name, size_t length_max);

#endif
