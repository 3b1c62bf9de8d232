/* src/base/random.c */
#include "base/random.h"

#include <stdint.h>
#include <sys/random.h>

#include "base/check.h"

static void random_kernel_fill(void *context, void *bytes, size_t length)
{
    (void)context;
    uint8_t *target = bytes;
    while (length > 0) {
        // getrandom() is never interrupted for up to 256 bytes.
        size_t part = length < 256 ? length : 256;
        CHECK(getrandom(target, part, 0) == (ssize_t)part);
        target += part;
        length -= part;
    }
}

struct random random_kernel(void)
{
    return (struct random){.fill = random_kernel_fill};
}

// xoshiro256**, Blackman and Vigna 2018: a long period, and the same on every machine.
static uint64_t random_rotate(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

static uint64_t random_next(unsigned long long *s)
{
    uint64_t result = random_rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = random_rotate(s[3], 45);
    return result;
}

static void random_seeded_fill(void *context, void *bytes, size_t length)
{
    struct random_seeded *storage = context;
    uint8_t *target = bytes;
    for (size_t i = 0; i < length; i += 8) {
        uint64_t word = random_next(storage->state);
        for (size_t j = i; j < length && j < i + 8; j++) {
            target[j] = (uint8_t)(word >> (8 * (j - i)));
        }
    }
}

struct random random_seeded(struct random_seeded *storage, unsigned long long seed)
{
    // splitmix64 spreads the seed over the state, which must not be all zero.
    for (int i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15ull;
        uint64_t z = seed;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ z >> 27) * 0x94d049bb133111ebull;
        storage->state[i] = z ^ z >> 31;
    }
    return (struct random){.fill = random_seeded_fill, .context = storage};
}
