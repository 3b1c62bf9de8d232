/* tests/support/cpu_time.c */
#include "tests/support/cpu_time.h"

#include <time.h>

#include "base/check.h"

static uint64_t taken_ns(void)
{
    struct timespec taken;
    CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &taken) == 0);
    return (uint64_t)taken.tv_sec * 1000000000u + (uint64_t)taken.tv_nsec;
}

void cpu_time_take(uint64_t ms)
{
    uint64_t until = taken_ns() + ms * 1000000u;
    while (taken_ns() < until) {}
}
