/* bench/lsm/federation.h */
#ifndef BENCH_LSM_FEDERATION_H
#define BENCH_LSM_FEDERATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/lsm/workload.h"

/*
 * Our side: one worker, one compactor and one store without the processes around them. A put is
 * stamped, batched, sealed, signed and chained; the store verifies the record, writes it to its
 * segment and syncs, and signs a receipt; then the put is in the memtable. A thread flushes and
 * merges: what it reads it fetches from the store and verifies, what it writes is sealed, signed,
 * verified by the store and synced. Whoever commits at the store commits what all have brought.
 */
struct federation;

struct federation *federation_new(const struct workload *workload);
void federation_free(struct federation *federation);  // the files stay

void federation_put(struct federation *federation, const uint32_t *numbers, size_t count);
void federation_settle(struct federation *federation);
uint64_t federation_compact(struct federation *federation);
/* A replica that has nothing in its cache, which holds so many bytes. */
void federation_reopen(struct federation *federation, uint64_t cache_bytes);

/* One per reading thread. */
struct federation_reader;
struct federation_reader *federation_reader_new(struct federation *federation);
void federation_reader_free(struct federation_reader *reader);
bool federation_get(struct federation_reader *reader, uint32_t number, uint8_t *target);
uint64_t federation_scan(struct federation_reader *reader);

/* Where the CPU time of the compactor went, in seconds: flushes and merges, ever. */
struct federation_merge_costs {
    double fetch;   // blocks from the store's segments
    double verify;  // SHA-256 of their bodies
    double open;    // AEAD and decoding
    double merge;   // comparing, and encoding the new blocks
    double seal;    // AEAD, SHA-256 and the signature of each new block
    double keep;    // the store: SHA-256, the signature's verification, its segments
};

/* Where the CPU time of fetched blocks went, in seconds, since the last reopen. */
struct federation_costs {
    uint64_t blocks;
    double fetch;   // from the store's segments
    double verify;  // SHA-256 of the body
    double open;    // AEAD and decoding
    struct federation_merge_costs merge;
    uint64_t index_bytes;
    uint64_t table_count;
    uint64_t written_bytes;  // TABLE records, ever
    uint64_t put_bytes;      // keys and values, ever
};
void federation_count(struct federation *federation, struct federation_costs *costs);

#endif
