/* src/capsule/record.h */
#ifndef CAPSULE_RECORD_H
#define CAPSULE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/writer.h"
#include "crypto/hash.h"
#include "crypto/sign.h"

/*
 * record: one entry of a capsule, as stored and as sent (DESIGN 5.1,
 * docs/format/record.md). Integers are little endian.
 *
 *     offset  bytes  field
 *          0      4  magic "PCR1"
 *          4      1  type
 *          5      1  reserved, zero (1: pruned, see below)
 *          6      2  parent_count
 *          8      4  key_epoch
 *         12      4  body_bytes
 *         16      8  sequence, 1 for a writer's first record
 *         24      8  epoch: one more than that of the SYNC the branch last joined
 *         32     16  writer id
 *         48     32  capsule name
 *         80     32  body hash, SHA-256(body)
 *        112    32n  parents
 *         ..         body
 *         ..     64  Ed25519 over "paranoid record v1" ‖ record hash
 *
 * Record hash = SHA-256(bytes 0 up to the end of the parents). Parents: the
 * writer's previous record first (absent when sequence is 1), then, on the
 * first record after a join, the SYNC; a SYNC's parents are its writer's
 * previous record and then the heads in the order in which its body lists them.
 *
 * A DATA, TABLE or MANIFEST whose body a PRUNE has dropped stands as the same
 * bytes without the body, and with 1 in the reserved byte, which counts as 0 for
 * the hash. So its hash, its signature and its place in the chain still verify.
 */
enum record_type {
    RECORD_GENESIS = 0,
    RECORD_MEMBER = 1,
    RECORD_DATA = 2,
    RECORD_EOE = 3,
    RECORD_SYNC = 4,
    RECORD_TABLE = 5,
    RECORD_MANIFEST = 6,
    RECORD_FUNCTION = 7,
    RECORD_PRUNE = 8,
    RECORD_TERM = 9,
    RECORD_POLICY = 10,
    RECORD_LOCK = 11,
    RECORD_CLOSE = 12,
    RECORD_REVOKE = 13,
};
enum { RECORD_TYPE_COUNT = 14 };

enum {
    RECORD_HEADER_BYTES = 112,
    RECORD_PARENTS_MAX = 8192,  // a SYNC of as many writers
    RECORD_BODY_BYTES_MAX = (4 << 20) + 16,
    RECORD_BYTES_MAX = RECORD_HEADER_BYTES + RECORD_PARENTS_MAX * HASH_BYTES +
                       RECORD_BODY_BYTES_MAX + SIGN_SIGNATURE_BYTES,
};

/* A decoded record. Borrows every pointer from the bytes it was decoded from. */
struct record {
    enum record_type type;
    uint16_t parent_count;
    uint32_t key_epoch;
    uint64_t sequence;
    uint64_t epoch;
    struct writer_id writer;
    struct hash capsule;
    struct hash body_hash;
    const uint8_t *parents;  // parent_count hashes
    struct bytes body;       // empty when pruned
    bool is_pruned;
    struct signature signature;
    struct bytes header;  // bytes 0 up to the end of the parents: what the hash covers
    struct bytes whole;   // everything
    struct hash hash;     // of the header: computed by record_decode()
};

/*
 * Decode exactly one record, computing its hash and comparing the body with
 * the body hash. Nothing about its writer or its parents is known after that.
 * STATUS_MALFORMED; STATUS_FORGED: the body is not the one that was hashed.
 */
MUST_CHECK enum status record_decode(struct record *record, const uint8_t *bytes, size_t length);

/*
 * The same for what a store keeps: the body may have been pruned, and `is_pruned` says so. Such a
 * record says nothing but its place; whether it was right to prune it is for the caller to judge.
 */
MUST_CHECK enum status record_decode_stored(struct record *record, const uint8_t *bytes,
                                            size_t length);

/* Append a whole record without its body. STATUS_NO_MEMORY: `target` is as it was. */
MUST_CHECK enum status record_prune(struct buffer *target, const struct record *record);

/* Whether bodies of this type may be pruned (DATA, TABLE, MANIFEST). */
bool record_type_is_prunable(enum record_type type);

/*
 * record_decode_stored() for bytes that this process has encoded or decoded before, and that nobody
 * else could change since: the body is not hashed again, which is most of the cost.
 */
MUST_CHECK enum status record_decode_again(struct record *record, const uint8_t *bytes,
                                           size_t length);

/*
 * The whole length of the record that starts at `bytes`, pruned or not, from its header alone; 0
 * when it is none.
 */
size_t record_length(const uint8_t *bytes, size_t available);

/* Copy of parent `index` (0 to parent_count - 1). */
struct hash record_parent(const struct record *record, size_t index);

/* Whether the first parent is the writer's own previous record: all but a first one. */
static inline size_t record_previous_count(const struct record *record)
{
    return record->sequence > 1 ? 1 : 0;
}

/* STATUS_FORGED: `key` did not sign this record. */
MUST_CHECK enum status record_verify(const struct record *record, const struct verify_key *key);

/* What a writer says of a record it is about to make. */
struct record_fields {
    enum record_type type;
    uint32_t key_epoch;
    uint64_t sequence;
    uint64_t epoch;
    struct writer_id writer;
    struct hash capsule;
    const struct hash *parents;  // borrowed
    size_t parent_count;
};

/*
 * Append a whole signed record with a clear body to `target`; `hash` receives
 * the record's hash. STATUS_NO_MEMORY: `target` is as it was.
 */
MUST_CHECK enum status record_encode(struct buffer *target, struct hash *hash,
                                     const struct record_fields *fields, struct bytes body,
                                     const struct sign_key *key);

/* Whether bodies of this type are sealed (DATA, TABLE, MANIFEST, FUNCTION). */
bool record_type_is_sealed(enum record_type type);

/* "DATA", "SYNC"… Static storage. */
const char *record_type_text(enum record_type type);

#endif
