/* bench/lsm/rocks.h */
#ifndef BENCH_LSM_ROCKS_H
#define BENCH_LSM_ROCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/lsm/workload.h"

/* The peer: RocksDB by its C interface. It neither seals nor signs; its blocks have CRC32C sums. */
struct rocks;

struct rocks *rocks_new(const struct workload *workload);
void rocks_free(struct rocks *rocks);  // the files stay

/* One WriteBatch, with sync. */
void rocks_put(struct rocks *rocks, const uint32_t *numbers, size_t count, uint64_t version);
/* Flush, and wait until no compaction is due. */
void rocks_settle(struct rocks *rocks);
/* Merge all of it. Returns the bytes of the tables after it. */
uint64_t rocks_compact(struct rocks *rocks);
/* Close, and open again with an empty cache of so many bytes. */
void rocks_reopen(struct rocks *rocks, uint64_t cache_bytes);

/* Any thread. The value is copied to `target`; false: there is none. */
bool rocks_get(struct rocks *rocks, uint32_t number, uint8_t *target);
/* All keys in order; returns how many. */
uint64_t rocks_scan(struct rocks *rocks);

#endif
