/* tests/lsm/compactor_branch.h */
#ifndef LSM_COMPACTOR_BRANCH_H
#define LSM_COMPACTOR_BRANCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "capsule/record.h"
#include "crypto/aead.h"
#include "crypto/secret.h"
#include "crypto/sign.h"
#include "lsm/block.h"

/*
 * compactor_branch: the branch of a compactor in one hand, for tests: it seals TABLE records as a
 * real one does, and keeps them where a test can find, bend or lose them. What goes wrong is a
 * CHECK.
 */
struct compactor_branch {
    struct secret *data_key;
    struct sign_key *key;
    struct writer_id writer;
    struct aead_key *body_key;
    struct hash capsule;
    struct hash head;
    struct buffer *records;  // by sequence - 1
    size_t record_count;
    size_t record_capacity;
};

void compactor_branch_init(struct compactor_branch *branch, uint8_t seed);
void compactor_branch_release(struct compactor_branch *branch);

/* Seal and append; returns where it lies. */
struct block_ref compactor_branch_append(struct compactor_branch *branch, struct bytes plain);

/* The record at `ref`, decoded. Borrowed until the next append. */
struct record compactor_branch_record(const struct compactor_branch *branch,
                                      const struct block_ref *ref);

#endif
