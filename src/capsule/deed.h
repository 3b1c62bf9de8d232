/* src/capsule/deed.h */
#ifndef CAPSULE_DEED_H
#define CAPSULE_DEED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "capsule/function.h"
#include "capsule/writer.h"
#include "crypto/hash.h"
#include "crypto/sign.h"

/*
 * deed: what one invocation was asked, answered and wrote, signed by the worker that ran it: a
 * receipt for people (docs/format/deed.md). The worker's key is the one that its MEMBER record
 * names, so whoever has the capsule follows it to the evidence and to the owner. It leaves with an
 * answer, when W stores hold all that it names.
 *
 *     offset  bytes  field
 *          0      4  magic "PDE1"
 *          4     32  capsule
 *         36     32  Ed25519 public key of the worker
 *         68     32  SHA-256 of the evidence that it was admitted by
 *        100      8  epoch of the newest SYNC that it had joined; 0: none, and the next two are 0
 *        108      8  time of that SYNC, Unix time in ms, by the leader's clock
 *        116     32  hash of that SYNC
 *        148      8  version of the function
 *        156     32  SHA-256 of its code
 *        188     32  SHA-256(method ‖ " " ‖ path ‖ "?" ‖ query), the path decoded
 *        220     32  SHA-256 of the body of the request
 *        252     32  SHA-256 of the body of the answer
 *        284      2  status of the answer
 *        286      1  1: it wrote more records than are named; else 0
 *        287      1  1: it may have read more branches than are named; else 0
 *        288      4  name_bytes, then the name of the function
 *         ..      4  written_count, then 40 each: records of the worker's own branch, rising
 *         ..      4  read_count, then 64 each: a branch that it rests on: writer 16, up to which
 *                    sequence 8, the sequence that was here 8 and the hash there 32
 *         ..     64  Ed25519 over "paranoid deed v1" ‖ SHA-256(everything before)
 */
enum { DEED_WRITTEN_MAX = 32, DEED_READ_MAX = 32, DEED_BYTES_MAX = 4096 };

/*
 * A branch that was read: the answer rests on `sequence`; `head` may be beyond what counts later.
 */
struct deed_read {
    struct writer_id writer;
    uint64_t sequence;
    struct head head;
};

struct deed {
    struct hash capsule;
    struct verify_key worker;
    struct hash evidence;
    uint64_t sync_epoch;
    uint64_t sync_time_ms;
    struct hash sync;
    uint64_t function_version;
    struct hash code;
    struct hash target;
    struct hash input;
    struct hash output;
    uint16_t status;
    bool has_more_written;
    bool has_more_read;
    char name[FUNCTION_NAME_BYTES_MAX + 1];
    struct head written[DEED_WRITTEN_MAX];
    uint32_t written_count;
    struct deed_read read[DEED_READ_MAX];
    uint32_t read_count;
    struct signature signature;  // set by deed_decode() alone
    struct hash hash;            // likewise: of what is signed
};

/* Append the deed, signed by `key`, whose public half it names (CHECK). STATUS_NO_MEMORY. */
MUST_CHECK enum status deed_encode(struct buffer *target, const struct deed *deed,
                                   const struct sign_key *key);

/* STATUS_MALFORMED. */
MUST_CHECK enum status deed_decode(struct deed *deed, struct bytes bytes);

/* STATUS_FORGED: the key in it did not sign it. Whose key it is, the capsule says. */
MUST_CHECK enum status deed_verify(const struct deed *deed);

/* What was asked for, as `target` names it. */
struct hash deed_target(struct bytes method, struct bytes path, struct bytes query);

#endif
