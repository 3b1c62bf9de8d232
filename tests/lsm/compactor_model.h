/* tests/lsm/compactor_model.h */
#ifndef LSM_COMPACTOR_MODEL_H
#define LSM_COMPACTOR_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "lsm/compaction.h"
#include "lsm/manifest.h"
#include "lsm/plan.h"
#include "lsm/tree.h"
#include "tests/lsm/compactor_branch.h"

/*
 * compactor_model: a compactor without leader, store or crash: it flushes entries and merges tables
 * into a branch, and keeps the newest MANIFEST. Beside it, the plainest possible map of what the
 * tables must say. What goes wrong is a CHECK.
 */
enum { COMPACTOR_MODEL_KEYS_MAX = 4096 };

/* The winner of one key. */
struct compactor_model_value {
    uint64_t lamport;
    struct writer_id writer;
    uint64_t expiry_ms;
    bool is_delete;
    uint32_t value_seed;  // compactor_model_fill()
    uint32_t value_length;
    bool is_known;    // anything was ever written
    bool is_flushed;  // the tables must say it
};

struct compactor_model_config {
    uint32_t key_count;
    uint32_t block_bytes;
    uint64_t table_bytes;
    uint32_t value_bytes_max;
    struct plan_config plan;
};

struct compactor_model {
    struct compactor_model_config config;
    struct compactor_branch branch;
    uint64_t random;
    uint64_t lamport;
    uint64_t now_ms;
    struct compactor_model_value values[COMPACTOR_MODEL_KEYS_MAX];
    struct buffer plain;  // of the newest MANIFEST
    struct manifest manifest;
    struct hash hash;
    uint64_t merged_bytes;   // written by merges and flushes
    uint64_t flushed_bytes;  // written by flushes
};

void compactor_model_init(struct compactor_model *model,
                          const struct compactor_model_config *config, uint64_t seed);
void compactor_model_release(struct compactor_model *model);

uint64_t compactor_model_random(struct compactor_model *model);

/* Key `index` as bytes in `target`, TUPLE_KEY_BYTES_MAX long; in the order of the indexes. */
struct bytes compactor_model_key(uint32_t index, uint8_t *target);

/* The bytes of a value. */
void compactor_model_fill(uint8_t *target, uint32_t seed, uint32_t length);

/* Put or delete a random key, at the next lamport. */
void compactor_model_write(struct compactor_model *model);

/* Everything written so far into a run of level 0; a new MANIFEST. */
void compactor_model_flush(struct compactor_model *model);

/* Merge what the plan says. False: nothing to do. */
bool compactor_model_merge(struct compactor_model *model);

/* Give the tree a record that it needs. */
void compactor_model_supply(struct compactor_model *model, struct tree *tree,
                            const struct block_ref *ref);

/* Let the tree read by the newest MANIFEST. */
void compactor_model_install(struct compactor_model *model, struct tree *tree);

#endif
