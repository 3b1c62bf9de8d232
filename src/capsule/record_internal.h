/* src/capsule/record_internal.h */
#ifndef CAPSULE_RECORD_INTERNAL_H
#define CAPSULE_RECORD_INTERNAL_H

#include "capsule/record.h"

/* A record laid out in a buffer, its body still to be written. */
struct record_draft {
    struct buffer *target;  // borrowed
    uint8_t *start;
    size_t header_bytes;  // up to the end of the parents
    size_t body_bytes;
    uint8_t *body;  // to be filled by the caller
};

/*
 * Lay out the header and the parents behind the end of `target`, whose length
 * stays until record_draft_finish(). STATUS_NO_MEMORY: nothing changed.
 */
MUST_CHECK enum status record_draft_begin(struct record_draft *draft, struct buffer *target,
                                          const struct record_fields *fields, size_t body_bytes);

/* The body is in place: hash and sign it, and let `target` have it. Returns the record's hash. */
struct hash record_draft_finish(struct record_draft *draft, const struct sign_key *key);

#endif
