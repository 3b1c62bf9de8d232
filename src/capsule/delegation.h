/* src/capsule/delegation.h */
#ifndef CAPSULE_DELEGATION_H
#define CAPSULE_DELEGATION_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/owner.h"

/*
 * delegation: the owner lets a keeper sign TERMs in its place, and nothing else. JSON
 *   {"capsule":"<hex>","first":TERM,"keeper":"<hex public key>","last":TERM,"name":"…",
 *    "until_s":SECONDS}
 * without a payload. It is good for the terms `first` to `last`, while SYNCs are of a time before
 * `until_s` (seconds since 1970). It lies in each TERM that the keeper signs (capsule/term.h), so
 * whoever knows the owner can judge it. A TERM above `last` ends it for ever: terms only rise.
 */
enum {
    DELEGATION_TYPE = 0x4b,  // 'K', where a record's type stands in what the owner signs
    DELEGATION_NAME_BYTES_MAX = 64,
};

struct delegation {
    struct hash capsule;
    struct verify_key keeper;
    char name[DELEGATION_NAME_BYTES_MAX];  // letters, digits, '-', '_'
    uint64_t first;
    uint64_t last;
    uint64_t until_s;
};

MUST_CHECK enum status delegation_encode(struct buffer *body, const struct delegation *delegation,
                                         const struct sign_key *owner);

/* STATUS_MALFORMED; STATUS_FORGED: not the owner's, or another capsule's. */
MUST_CHECK enum status delegation_decode(struct delegation *delegation, struct bytes body,
                                         const struct verify_key *owner,
                                         const struct hash *capsule);

#endif
