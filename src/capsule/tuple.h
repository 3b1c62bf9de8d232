/* src/capsule/tuple.h */
#ifndef CAPSULE_TUPLE_H
#define CAPSULE_TUPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/cursor.h"
#include "base/status.h"
#include "crypto/hash.h"

/*
 * The plaintext of a DATA record: a batch of puts and deletes in the order
 * in which they were stamped (docs/format/data.md).
 *
 *     offset  bytes  field
 *          0      8  first lamport, ≥ 1: that of the first tuple
 *          8      4  tuple count, ≥ 1; with bit 31: a tag follows
 *                40  of a tagged batch: lock 32, HMAC of its name; fence 8, ≥ 1
 *                    tuples:
 *                 1  kind: PUT 1, DELETE 2
 *                 1  flags: bit 0: an expiry follows
 *                 2  key_len, 1 to 1,024
 *                 4  value_len, 0 to 1 MiB; 0 for DELETE
 *            varint  lamport delta to the tuple before, ≥ 1 (0 for the first)
 *                 8  expiry, ms of the leader's clock (flag bit 0; PUT only)
 *                    key, value
 */
enum tuple_kind { TUPLE_PUT = 1, TUPLE_DELETE = 2 };

enum {
    TUPLE_KEY_BYTES_MAX = 1024,
    TUPLE_VALUE_BYTES_MAX = 1 << 20,
    TUPLE_BATCH_BYTES_MAX = 4 << 20,  // a whole plaintext
    TUPLE_BATCH_HEADER_BYTES = 12,
};

struct tuple {
    enum tuple_kind kind;
    uint64_t lamport;
    uint64_t expiry_ms;  // 0: never
    struct bytes key;
    struct bytes value;  // empty for DELETE
};

/*
 * What was written under a lock: the record counts only when a LOCK record names it. Until
 * then receivers hold its tuples back.
 */
struct tuple_tag {
    struct hash lock;  // HMAC of its name
    uint64_t fence;    // of the grant, above 0
};

/* A batch under construction: a plaintext that is always well formed once it has a tuple. */
struct tuple_batch {
    struct buffer plain;
    struct tuple_tag tag;  // fence 0: none; set before the first tuple
    uint64_t last_lamport;
    uint32_t count;
};

/*
 * Append one tuple, whose lamport is above the last one's and whose sizes are
 * within the bounds (CHECK). STATUS_FULL: the batch would exceed
 * TUPLE_BATCH_BYTES_MAX; nothing changed. STATUS_NO_MEMORY.
 */
MUST_CHECK enum status tuple_batch_add(struct tuple_batch *batch, const struct tuple *tuple);
void tuple_batch_clear(struct tuple_batch *batch);    // keeps the memory
void tuple_batch_release(struct tuple_batch *batch);  // wipes

/* Reads a plaintext tuple by tuple. */
struct tuple_reader {
    struct cursor in;
    uint64_t lamport;  // of the tuple last read; before the first: the first lamport
    uint32_t left;
    bool is_first;
    struct tuple_tag tag;  // fence 0: none
};

/* STATUS_MALFORMED: no batch. */
MUST_CHECK enum status tuple_reader_init(struct tuple_reader *reader, struct bytes plain);

/*
 * The next tuple; borrows from the plaintext. STATUS_EMPTY: the batch ended
 * where it said. STATUS_MALFORMED.
 */
MUST_CHECK enum status tuple_reader_next(struct tuple_reader *reader, struct tuple *tuple);

/*
 * Walk a whole plaintext without keeping anything: a batch is applied only
 * when all of it is well formed. `last_lamport` receives the greatest.
 */
MUST_CHECK enum status tuple_verify_batch(struct bytes plain, uint64_t *last_lamport);

#endif
