/* src/lsm/bloom.c */
#include "lsm/bloom.h"

enum {
    LINE_BITS = BLOOM_LINE_BYTES * 8,
    PROBE_BITS = 9,  // 2^9 = LINE_BITS
};

_Static_assert(BLOOM_PROBE_COUNT *PROBE_BITS <= 64, "all probes come from one half of the hash");

size_t bloom_bytes(size_t key_count)
{
    size_t lines = (key_count * BLOOM_BITS_PER_KEY + LINE_BITS - 1) / LINE_BITS;
    return lines * BLOOM_LINE_BYTES;
}

/* Scaled rather than divided: as even, and several times as fast. */
static size_t line_offset(size_t filter_bytes, struct short_hash hash)
{
    size_t lines = filter_bytes / BLOOM_LINE_BYTES;
    return (size_t)(((unsigned __int128)hash.high * lines) >> 64) * BLOOM_LINE_BYTES;
}

void bloom_add(uint8_t *filter, size_t filter_bytes, struct short_hash hash)
{
    uint8_t *line = filter + line_offset(filter_bytes, hash);
    for (int i = 0; i < BLOOM_PROBE_COUNT; i++) {
        uint64_t bit = (hash.low >> (PROBE_BITS * i)) % LINE_BITS;
        line[bit / 8] |= (uint8_t)(1 << (bit % 8));
    }
}

bool bloom_has(const uint8_t *filter, size_t filter_bytes, struct short_hash hash)
{
    const uint8_t *line = filter + line_offset(filter_bytes, hash);
    for (int i = 0; i < BLOOM_PROBE_COUNT; i++) {
        uint64_t bit = (hash.low >> (PROBE_BITS * i)) % LINE_BITS;
        if ((line[bit / 8] & (1 << (bit % 8))) == 0) {
            return false;
        }
    }
    return true;
}
