/* src/base/random.h */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>

/*
 * A source of randomness, passed to whoever needs it: the programs pass the
 * kernel's, the simulator a seeded one. `fill` cannot fail.
 */
struct random {
    void (*fill)(void *context, void *bytes, size_t length);
    void *context;
};

static inline void random_fill(const struct random *random, void *bytes, size_t length)
{
    random->fill(random->context, bytes, length);
}

/* The kernel's, by getrandom(). Stops the program when the kernel has none. */
struct random random_kernel(void);

/* A seeded one for tests and simulation: same seed, same bytes. Never for keys that matter. */
struct random_seeded {
    unsigned long long state[4];
};
struct random random_seeded(struct random_seeded *storage, unsigned long long seed);

#endif
