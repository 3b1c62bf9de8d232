/* src/ring/bell.h */
#ifndef RING_BELL_H
#define RING_BELL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/*
 * bell: wakes a peer that sleeps, and costs no system call while it is awake.
 *
 * A waiter says that it is about to sleep; a ringer enters the kernel only
 * when it reads that. The waiter sleeps on a futex in shared memory (inside
 * an enclave, bell_wait()), or in epoll on an eventfd that the ringer writes
 * to (the host, bell_arm()). Several threads may wait on one bell, each with
 * its own bell_waiter; all wake up.
 *
 * All of a bell is the peer's to write. It can leave a waiter asleep or wake
 * it for nothing, so a waiter that must go on passes a timeout, and looks
 * after waking whether there is anything.
 */

enum { BELL_LINE_BYTES = 128 };

/* The shared part. All zeroes is a bell that nobody waits on. */
struct bell_shared {
    _Alignas(BELL_LINE_BYTES) _Atomic uint32_t count;  // how often it was rung; the futex
    _Atomic uint32_t is_awaited;  // set by waiters, cleared by the ringer that will wake them
};

/* About 12 us of pauses, the price of half a wake-up across cores: see bench/ring. */
enum { BELL_SPIN_COUNT = 500 };

/* The private parts. Plain; they own nothing. */
struct bell_waiter {
    struct bell_shared *shared;  // borrowed
    uint32_t spin_count;
    uint32_t seen;  // the count at the last return
};
struct bell_ringer {
    struct bell_shared *shared;  // borrowed
    int wake_fd;  // an eventfd, borrowed; BELL_FUTEX when the waiter sleeps on the count
};
enum { BELL_FUTEX = -1 };

/* Something to wait for. It is asked often and from the waiter's thread; it must not block. */
typedef bool bell_condition(const void *context);

/*
 * `spin_count` pauses before the first system call: BELL_SPIN_COUNT, or 0
 * where waiter and ringer share one core and spinning only keeps the ringer out.
 */
void bell_waiter_init(struct bell_waiter *waiter, struct bell_shared *shared, uint32_t spin_count);
void bell_ringer_init(struct bell_ringer *ringer, struct bell_shared *shared, int wake_fd);

/*
 * Wait until `is_ready`, or until somebody rang since the last wait, or for
 * `timeout_ms` (-1: for ever). Whoever makes `is_ready` true must then ring.
 * STATUS_OK: look again; it may be for nothing. STATUS_TIMEOUT.
 */
MUST_CHECK enum status bell_wait(struct bell_waiter *waiter, bell_condition *is_ready,
                                 const void *context, int timeout_ms);

/*
 * The same promise for a waiter that sleeps elsewhere: true when from now on
 * a ring writes to the eventfd; false when there is something to do already.
 */
bool bell_arm(struct bell_waiter *waiter, bell_condition *is_ready, const void *context);

/* After such a sleep: what was rung so far is known, and the caller looks again now. */
void bell_accept(struct bell_waiter *waiter);

/*
 * Wake the waiters if there are any. The condition they ask was made true
 * before, in memory that they can see.
 */
void bell_ring_if_awaited(struct bell_ringer *ringer);

/* Wake the waiters, and let the next wait of those that do not wait return at once. */
void bell_ring(struct bell_ringer *ringer);

#endif
