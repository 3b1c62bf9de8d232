/* bench/lsm/workload.h */
#ifndef BENCH_LSM_WORKLOAD_H
#define BENCH_LSM_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* What both sides of the benchmark get: the same sizes, keys, values and bounds. */
struct workload {
    const char *directory;
    uint32_t key_count;
    uint32_t value_bytes;
    uint32_t batch_puts;         // in one durable write
    uint32_t block_bytes;        // of tables
    uint32_t flush_block_bytes;  // of ours on level 0
    uint64_t memtable_bytes;     // then it is flushed
    uint64_t level1_bytes;
    uint64_t table_bytes;
    uint64_t cache_bytes;  // of blocks, for warm reads
    uint64_t cold_bytes;   // of blocks, for cold reads
};

enum { WORKLOAD_KEY_BYTES = 16, WORKLOAD_ABSENT = 1 << 30 };

/*
 * Key `number`, WORKLOAD_KEY_BYTES long. With WORKLOAD_ABSENT added: one that is never put, just
 * behind it.
 */
struct bytes workload_key(char target[WORKLOAD_KEY_BYTES + 1], uint32_t number);

/* A value that does not compress, and begins with its key's number. Borrowed until the next. */
struct bytes workload_value(const struct workload *workload, uint32_t number, uint64_t version);

/* Stops when it is not a value of that key's. */
void workload_check(const struct workload *workload, uint32_t number, struct bytes value);

uint64_t workload_random(uint64_t *state);

double workload_now(void);
/* What this thread has had of a CPU. */
double workload_cpu(void);

#endif
