/* src/lsm/bloom.h */
#ifndef LSM_BLOOM_H
#define LSM_BLOOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "crypto/short_hash.h"

/*
 * bloom: a set of keys that never denies a member, and takes about one stranger in a hundred for
 * one. All bits of a key lie in one line of 64 bytes, so asking costs one miss of the cache. The
 * hash is keyed, so nobody outside can choose keys that all seem to be there.
 *
 * A filter of n keys is ⌈n × 10 / 512⌉ lines. Line: the high half of the hash, scaled; bits: 7
 * times 9 bits of the low half.
 */
enum { BLOOM_LINE_BYTES = 64, BLOOM_BITS_PER_KEY = 10, BLOOM_PROBE_COUNT = 7 };

/* Bytes of a filter for `key_count` keys: a multiple of BLOOM_LINE_BYTES; 0 for none. */
size_t bloom_bytes(size_t key_count);

/* `filter` starts as zeroes. */
void bloom_add(uint8_t *filter, size_t filter_bytes, struct short_hash hash);

/* False: certainly not added. */
bool bloom_has(const uint8_t *filter, size_t filter_bytes, struct short_hash hash);

#endif
