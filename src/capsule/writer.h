/* src/capsule/writer.h */
#ifndef CAPSULE_WRITER_H
#define CAPSULE_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "crypto/hash.h"
#include "crypto/sign.h"

/*
 * A writer is an enclave that may append. It makes its signing key at start,
 * so its id, the first 16 bytes of SHA-256("paranoid writer v1" ‖ public key),
 * is never used again.
 */
enum { WRITER_ID_BYTES = 16, WRITER_ID_TEXT_BYTES = 33 };

struct writer_id {
    uint8_t bytes[WRITER_ID_BYTES];
};

struct writer_id writer_id_of(const struct verify_key *key);

/* Stores have ids made the same way, from "paranoid store v1". */
struct writer_id writer_store_id_of(const struct verify_key *key);

bool writer_id_equal(const struct writer_id *a, const struct writer_id *b);
bool writer_id_is_zero(const struct writer_id *id);

/* Ids as whole numbers, big endian: the tie-break of the merge rule. <0, 0, >0. */
int writer_id_compare(const struct writer_id *a, const struct writer_id *b);

/* 32 lower-case digits and a NUL. */
void writer_id_text(const struct writer_id *id, char text[WRITER_ID_TEXT_BYTES]);

/* The end of a branch: its last record. Sequence 0 and a zero hash: no record yet. */
struct head {
    uint64_t sequence;
    struct hash hash;
};

/* A branch and its end, as EOE, SYNC, CLOSE, receipts and fences list them: 56 bytes. */
struct branch_head {
    struct writer_id writer;
    struct head head;
};

enum { BRANCH_HEAD_BYTES = 56 };

#endif
