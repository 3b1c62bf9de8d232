/* src/lambda/watchdog.c */
#include "lambda/watchdog.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "lambda/resident.h"

/*
 * The engine threads write their seats without a lock. The watchdog looks at
 * all seats every tick while any is taken; after a while without work it
 * sleeps, and says so in `is_asleep`, so that entering makes a system call only
 * when it does.
 */
enum {
    TICK_NS = 5 * 1000 * 1000,
    TICKS_BEFORE_SLEEP = 200,
};

static const uint64_t NS_PER_MS = 1000 * 1000;

struct watchdog_seat {
    struct watchdog *watchdog;
    _Atomic uint64_t deadline_ns;  // 0: nothing runs
    _Atomic uint64_t resident_bytes_max;
    _Atomic clockid_t cpu_clock;  // of the thread that entered
    // The watchdog's own: the deadline that it has seen passed, and the thread's CPU time then.
    uint64_t passed_ns;
    uint64_t passed_cpu_ns;
};

struct watchdog {
    pthread_t thread;
    watchdog_stop *stop;
    void *context;
    int statm;  // /proc/self/statm
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_ending;  // under `lock`
    _Atomic bool is_asleep;
    size_t seat_count;  // under `lock`
    struct watchdog_seat seats[WATCHDOG_SEAT_COUNT_MAX];
};

static uint64_t to_ns(struct timespec time)
{
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return to_ns(now);
}

// The thread's CPU time; where the system cannot tell that of another thread, time itself.
static uint64_t cpu_ns(const struct watchdog_seat *seat)
{
    struct timespec spent;
    return clock_gettime(atomic_load(&seat->cpu_clock), &spent) == 0 ? to_ns(spent) : now_ns();
}

// Whether a thread that should have ended by then has had all that it is granted.
static bool is_beyond_grace(struct watchdog_seat *seat, uint64_t deadline_ns)
{
    uint64_t now = now_ns();
    if (now <= deadline_ns) {
        return false;
    }
    uint64_t cpu = cpu_ns(seat);
    if (seat->passed_ns != deadline_ns) {
        seat->passed_ns = deadline_ns;
        seat->passed_cpu_ns = cpu;
    }
    return cpu > seat->passed_cpu_ns + WATCHDOG_GRACE_CPU_MS * NS_PER_MS ||
           now - deadline_ns > WATCHDOG_GRACE_MS * NS_PER_MS;
}

static void stop(struct watchdog *watchdog, enum watchdog_reason reason)
{
    if (watchdog->stop == NULL) {
        _exit(WATCHDOG_EXIT_STATUS);
    }
    watchdog->stop(watchdog->context, reason);
}

// Look at every seat, under the lock. Whether anything runs.
static bool look(struct watchdog *watchdog)
{
    bool is_busy = false;
    for (size_t i = 0; i < watchdog->seat_count; i++) {
        struct watchdog_seat *seat = &watchdog->seats[i];
        uint64_t deadline_ns = atomic_load(&seat->deadline_ns);
        if (deadline_ns == 0) {
            continue;
        }
        is_busy = true;
        bool is_late = is_beyond_grace(seat, deadline_ns);
        bool is_large = resident_bytes(watchdog->statm) > atomic_load(&seat->resident_bytes_max);
        // Again the deadline: the bounds may be those of an invocation which has just ended.
        if ((is_late || is_large) && atomic_load(&seat->deadline_ns) == deadline_ns) {
            stop(watchdog, is_late ? WATCHDOG_TIME : WATCHDOG_MEMORY);
        }
    }
    return is_busy;
}

static void *watch(void *argument)
{
    struct watchdog *watchdog = argument;
    int idle_ticks = 0;
    pthread_mutex_lock(&watchdog->lock);
    while (!watchdog->is_ending) {
        if (idle_ticks < TICKS_BEFORE_SLEEP) {
            struct timespec until;
            CHECK(clock_gettime(CLOCK_MONOTONIC, &until) == 0);
            until.tv_nsec += TICK_NS;
            until.tv_sec += until.tv_nsec / 1000000000;
            until.tv_nsec %= 1000000000;
            pthread_cond_timedwait(&watchdog->changed, &watchdog->lock, &until);
        } else {
            atomic_store(&watchdog->is_asleep, true);
            // Look once more: an engine that entered before it could see the flag sends no signal.
            while (!watchdog->is_ending && atomic_load(&watchdog->is_asleep) && !look(watchdog)) {
                pthread_cond_wait(&watchdog->changed, &watchdog->lock);
            }
            atomic_store(&watchdog->is_asleep, false);
        }
        idle_ticks = look(watchdog) ? 0 : idle_ticks + 1;
    }
    pthread_mutex_unlock(&watchdog->lock);
    return NULL;
}

static int start_thread(struct watchdog *watchdog)
{
    pthread_condattr_t monotonic;
    CHECK(pthread_condattr_init(&monotonic) == 0);
    CHECK(pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(&watchdog->changed, &monotonic) == 0);
    CHECK(pthread_mutex_init(&watchdog->lock, NULL) == 0);
    pthread_condattr_destroy(&monotonic);
    return pthread_create(&watchdog->thread, NULL, watch, watchdog);
}

enum status watchdog_new(struct watchdog **target, watchdog_stop *on_stop, void *context)
{
    *target = NULL;
    struct watchdog *watchdog = calloc(1, sizeof *watchdog);
    if (watchdog == NULL) {
        return STATUS_NO_MEMORY;
    }
    watchdog->stop = on_stop;
    watchdog->context = context;
    watchdog->statm = resident_open();
    if (watchdog->statm < 0) {
        free(watchdog);
        return STATUS_IO;
    }
    if (start_thread(watchdog) != 0) {
        close(watchdog->statm);
        free(watchdog);
        return STATUS_NO_MEMORY;
    }
    *target = watchdog;
    return STATUS_OK;
}

void watchdog_free(struct watchdog *watchdog)
{
    if (watchdog == NULL) {
        return;
    }
    pthread_mutex_lock(&watchdog->lock);
    watchdog->is_ending = true;
    pthread_cond_signal(&watchdog->changed);
    pthread_mutex_unlock(&watchdog->lock);
    pthread_join(watchdog->thread, NULL);
    pthread_cond_destroy(&watchdog->changed);
    pthread_mutex_destroy(&watchdog->lock);
    close(watchdog->statm);
    free(watchdog);
}

struct watchdog_seat *watchdog_seat(struct watchdog *watchdog)
{
    struct watchdog_seat *seat = NULL;
    pthread_mutex_lock(&watchdog->lock);
    if (watchdog->seat_count < WATCHDOG_SEAT_COUNT_MAX) {
        seat = &watchdog->seats[watchdog->seat_count++];
        seat->watchdog = watchdog;
    }
    pthread_mutex_unlock(&watchdog->lock);
    return seat;
}

void watchdog_enter(struct watchdog_seat *seat, uint64_t time_ms, uint64_t resident_bytes_max)
{
    struct watchdog *watchdog = seat->watchdog;
    clockid_t cpu_clock;
    CHECK(pthread_getcpuclockid(pthread_self(), &cpu_clock) == 0);
    atomic_store(&seat->cpu_clock, cpu_clock);
    atomic_store(&seat->resident_bytes_max, resident_bytes_max);
    // Sequentially consistent with the store of is_asleep: one of the two sees the other.
    atomic_store(&seat->deadline_ns, now_ns() + time_ms * NS_PER_MS);
    if (atomic_load(&watchdog->is_asleep)) {
        pthread_mutex_lock(&watchdog->lock);
        atomic_store(&watchdog->is_asleep, false);
        pthread_cond_signal(&watchdog->changed);
        pthread_mutex_unlock(&watchdog->lock);
    }
}

void watchdog_leave(struct watchdog_seat *seat)
{
    atomic_store(&seat->deadline_ns, 0);
}
