/* sim/network.h */
#ifndef SIM_NETWORK_H
#define SIM_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/random.h"

/*
 * network: frames under way between numbered places, and what happens to them:
 * late, out of order, lost, doubled, bent, cut off, or seen before. What happens is drawn from the
 * random source alone.
 */
enum { NETWORK_PLACES_MAX = 2048 };

struct network;

/* Percentages of frames; together at most 100: a frame meets one trouble. */
struct network_faults {
    uint64_t delay_us;  // a frame takes from 1 us to 1 us more than this
    unsigned drop_percent;
    unsigned duplicate_percent;
    unsigned corrupt_percent;
    unsigned replay_percent;  // an old frame comes once more, beside this one
};

enum network_link {
    NETWORK_LINK_INNER,  // a process and its own host: nothing is lost, all stays in order
    NETWORK_LINK_RING,   // through the receiver's host: meets troubles, stays in order
    NETWORK_LINK_OPEN,   // meets troubles, overtakes and is overtaken
};

enum network_fate {
    NETWORK_SENT,
    NETWORK_DROPPED,
    NETWORK_DIVIDED,  // lost: the two places cannot reach each other
    NETWORK_DUPLICATED,
    NETWORK_CORRUPTED,
    NETWORK_REPLAYED,
};

struct network_letter {
    uint64_t due_us;
    uint64_t number;  // letters due at once go in the order of sending
    size_t from;
    size_t to;
    uint64_t from_life;  // the caller's: which process of that place it was
    uint64_t to_life;
    struct buffer frame;
};

/* `random` is borrowed. */
struct network *network_new(const struct random *random);
void network_free(struct network *network);

/* From now on. */
void network_disturb(struct network *network, const struct network_faults *faults);
/*
 * Places whose bits (place modulo 64) differ cannot reach each other, but by inner links. 0: all
 * can.
 */
void network_divide(struct network *network, uint64_t sides);

/* Send `frame` (copied). `letter` names places and lives; the rest of it is filled in. */
enum network_fate network_send(struct network *network, enum network_link link,
                               const struct network_letter *letter, struct bytes frame,
                               uint64_t now_us);

/* Take the next letter due at `now_us` or before; its frame is the caller's. False: none is. */
bool network_receive(struct network *network, uint64_t now_us, struct network_letter *letter);
/* When the next one is due; UINT64_MAX: none is under way. */
uint64_t network_due_us(const struct network *network);

#endif
