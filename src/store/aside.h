/* src/store/aside.h */
#ifndef STORE_ASIDE_H
#define STORE_ASIDE_H

#include <stdint.h>

#include "base/log.h"
#include "base/status.h"
#include "crypto/hash.h"

/*
 * aside: what a damaged store held, moved out of its way but kept, as evidence for the owner: into
 * DIRECTORY/damaged-N, N = 1, 2, 3…, beside a file `why` with the reason. What is left is an empty
 * store that is to be refilled (store/refill.h). Its file `fence` stays where it is, if it
 * holds: what was promised to a leader is still promised.
 *
 * The mark of the refill comes first: whatever part of the files has been moved when the power
 * fails, what is left is not taken for all.
 */
#define ASIDE_DIRECTORY "damaged-%u"
#define ASIDE_WHY "why"

enum {
    ASIDE_MAX = 16,             // then the owner has to look first
    ASIDE_WHY_BYTES_MAX = 512,  // more is cut off
};

/*
 * `capsule` is its name. STATUS_FULL: ASIDE_MAX are there already. STATUS_NO_SPACE, STATUS_IO,
 * STATUS_NO_MEMORY: part of it may have been moved; it can be called again. The log says what was
 * done, or why not.
 */
MUST_CHECK enum status aside_move(const char *directory, const struct hash *capsule,
                                  const char *why, const struct log *log);

/* How often that was done here, and the owner has not removed it. */
uint32_t aside_count(const char *directory);

#endif
