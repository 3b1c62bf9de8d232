/* src/scl/version.h */
#ifndef SCL_VERSION_H
#define SCL_VERSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

/*
 * version: a session token as text (docs/format/version.md):
 *
 *     <capsule prefix>.<term>.<joined epoch>[.<writer prefix>-<sequence>[-<hash prefix>]…]
 *
 * Prefixes are in hex, numbers in decimal digits. Whoever hands one back made it up or had it from
 * a worker: to read one promises nothing about what it names.
 */
enum {
    VERSION_ID_BYTES = 4,     // of the capsule's name, and of writers' ids
    VERSION_HASH_BYTES = 12,  // of a record's hash: to meet them costs 2^96 hashes
};

struct version {
    uint8_t capsule[VERSION_ID_BYTES];
    uint64_t term;
    uint64_t epoch;
    struct bytes heads;  // for version_next(); borrows from the text
};

/* One head of a branch. */
struct version_head {
    uint8_t writer[VERSION_ID_BYTES];
    uint64_t sequence;
    bool has_hash;  // of a leader's branch none is named
    uint8_t hash[VERSION_HASH_BYTES];
};

/* STATUS_MALFORMED. What the heads say, version_next() finds out. */
MUST_CHECK enum status version_decode(struct version *version, struct bytes text);

/* Take the next head from version->heads. STATUS_EMPTY: that was all. STATUS_MALFORMED. */
MUST_CHECK enum status version_next(struct version *version, struct version_head *head);

/*
 * Begin the text of a token, and append a head. STATUS_FULL: it does not fit into `text_bytes` with
 * its zero; what was there stays.
 */
MUST_CHECK enum status version_begin(char *text, size_t text_bytes, const struct version *version);
MUST_CHECK enum status version_add(char *text, size_t text_bytes, const struct version_head *head);

#endif
