/* src/ring/bell.c */
#include "ring/bell.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * No wake-up is lost: Dekker's pattern.
 *
 *     waiter                              ringer
 *     W1  is_awaited = 1                  R1  make the condition true
 *     W2  fence                           R2  fence
 *     W3  look at condition and count     R3  look at is_awaited
 *     W4  sleep while count is `seen`     R4  clear it, count + 1, wake
 *
 * Both fences are sequentially consistent, so one comes first. If R2 does, W3
 * sees R1 and nobody sleeps. If W2 does, R3 sees W1 and goes on to R4. Then
 * the kernel, which compares the count and enters the queue as one step,
 * either finds the new count at W4 or has the waiter queued when R4 wakes.
 *
 * Only a ringer clears is_awaited, right before it wakes all: a waiter that
 * gives up does not know whether another one still relies on it. The price is
 * one needless wake after a wait that ended by itself.
 */

static uint32_t count_now(const struct bell_waiter *waiter)
{
    // Acquire: what was done before the ring is seen after it.
    return atomic_load_explicit(&waiter->shared->count, memory_order_acquire);
}

/* Look, and remember the count if there is a reason to return. */
static bool waiter_is_done(struct bell_waiter *waiter, bell_condition *is_ready,
                           const void *context)
{
    uint32_t count = count_now(waiter);
    if (count == waiter->seen && !is_ready(context)) {
        return false;
    }
    waiter->seen = count;
    return true;
}

/* Not FUTEX_PRIVATE: the ringer may be another process. */
static void futex_wake_all(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* False when the time is over. */
static bool futex_wait(_Atomic uint32_t *word, uint32_t expected, int timeout_ms)
{
    struct timespec timeout = {
        .tv_sec = timeout_ms / 1000,
        .tv_nsec = timeout_ms % 1000 * 1000000L,
    };
    long result =
        syscall(SYS_futex, word, FUTEX_WAIT, expected, timeout_ms < 0 ? NULL : &timeout, NULL, 0);
    return result == 0 || errno != ETIMEDOUT;
}

void bell_waiter_init(struct bell_waiter *waiter, struct bell_shared *shared, uint32_t spin_count)
{
    *waiter = (struct bell_waiter){.shared = shared, .spin_count = spin_count};
    waiter->seen = count_now(waiter);
}

void bell_ringer_init(struct bell_ringer *ringer, struct bell_shared *shared, int wake_fd)
{
    *ringer = (struct bell_ringer){.shared = shared, .wake_fd = wake_fd};
}

bool bell_arm(struct bell_waiter *waiter, bell_condition *is_ready, const void *context)
{
    atomic_store_explicit(&waiter->shared->is_awaited, 1, memory_order_relaxed);  // W1
    atomic_thread_fence(memory_order_seq_cst);                                    // W2
    return !waiter_is_done(waiter, is_ready, context);                            // W3
}

void bell_accept(struct bell_waiter *waiter)
{
    waiter->seen = count_now(waiter);
}

enum status bell_wait(struct bell_waiter *waiter, bell_condition *is_ready, const void *context,
                      int timeout_ms)
{
    for (uint32_t i = 0; i < waiter->spin_count; i++) {
        if (waiter_is_done(waiter, is_ready, context)) {
            return STATUS_OK;
        }
        __builtin_ia32_pause();
    }
    if (!bell_arm(waiter, is_ready, context)) {
        return STATUS_OK;
    }
    bool in_time = futex_wait(&waiter->shared->count, waiter->seen, timeout_ms);  // W4
    bell_accept(waiter);
    return in_time ? STATUS_OK : STATUS_TIMEOUT;
}

void bell_ring_if_awaited(struct bell_ringer *ringer)
{
    struct bell_shared *shared = ringer->shared;
    atomic_thread_fence(memory_order_seq_cst);  // R2
    if (atomic_load_explicit(&shared->is_awaited, memory_order_relaxed) == 0 ||
        atomic_exchange(&shared->is_awaited, 0) == 0) {  // R3
        return;
    }
    atomic_fetch_add(&shared->count, 1);  // R4
    if (ringer->wake_fd == BELL_FUTEX) {
        futex_wake_all(&shared->count);
        return;
    }
    // A full eventfd refuses, and is readable: the waiter wakes all the same.
    const uint64_t one = 1;
    ssize_t written = write(ringer->wake_fd, &one, sizeof one);
    (void)written;
}

void bell_ring(struct bell_ringer *ringer)
{
    atomic_fetch_add(&ringer->shared->count, 1);  // R1: a new count is a reason to return
    bell_ring_if_awaited(ringer);
}
